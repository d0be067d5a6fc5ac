//! A LAN that falls apart and heals.

use std::time::Duration;

use metal_tests::lan::Lan;

use crate::{calm, ip, millis, web};

#[test]
fn each_side_serves_and_one_owner_is_left_after_healing() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        lan.partition(|id| u64::from(id == owner));
        lan.run(Duration::from_secs(2));
        assert_eq!(lan.owners(ip(1)).len(), 2, "seed {seed}");
        lan.partition(|_| 0);
        lan.run(millis(250));
        // The other side has claimed later, so it has the higher term.
        assert_ne!(lan.owner(ip(1)), owner, "seed {seed}");
        calm(&mut lan, Duration::from_secs(2));
    }
}

#[test]
fn the_survivor_announces_again() {
    use metal_core::speaker::Output;
    let mut lan = Lan::settled(1, web());
    let owner = lan.owner(ip(1));
    lan.partition(|id| u64::from(id == owner));
    lan.run(Duration::from_secs(2));
    lan.partition(|_| 0);
    let healed = lan.now();
    lan.run(Duration::from_secs(1));
    let survivor = lan.owner(ip(1));
    let said = &lan.station(survivor).said;
    let repeats =
        |(at, output): &&(_, Output)| *at > healed && matches!(output, Output::Own { owned: true, .. });
    assert!(said.iter().filter(repeats).count() >= 1, "{said:?}");
}

#[test]
fn nobody_yields_to_both_sides() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        lan.partition(|id| id as u64);
        lan.run(Duration::from_secs(2));
        assert_eq!(lan.owners(ip(1)).len(), 3);
        lan.partition(|_| 0);
        lan.run_while(Duration::from_secs(2), |lan| {
            assert!(!lan.owners(ip(1)).is_empty(), "nobody answers at {} with seed {seed}", lan.now());
            true
        });
        lan.owner(ip(1));
    }
}

#[test]
fn a_claimant_yields_to_who_cannot_hear_it() {
    for seed in 0..20 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        // The owner goes deaf: it still sends, so it stays the owner and nobody competes.
        (0..3).filter(|id| *id != owner).for_each(|id| lan.set_path(id, owner, false));
        calm(&mut lan, Duration::from_secs(2));
        // Hearing again, it is one of them again.
        (0..3).for_each(|id| lan.set_path(id, owner, true));
        calm(&mut lan, Duration::from_secs(2));
    }
}
