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
        |(at, output): &&(_, Output)| *at > healed && matches!(output, Output::Own { duty: Some(_), .. });
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
fn a_deaf_owner_is_replaced_and_yields_when_it_hears_again() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        (0..3).filter(|id| *id != owner).for_each(|id| lan.set_path(id, owner, false));
        let start = lan.now();
        lan.run_while(Duration::from_secs(2), |lan| lan.owners(ip(1)).len() < 2);
        assert!(lan.now().since(start) <= millis(900), "seed {seed}");
        lan.run(Duration::from_secs(2));
        let successor = *lan.owners(ip(1)).iter().find(|id| **id != owner).unwrap();
        (0..3).for_each(|id| lan.set_path(id, owner, true));
        lan.run(millis(300));
        assert_eq!(lan.owner(ip(1)), successor, "seed {seed}");
        calm(&mut lan, Duration::from_secs(2));
    }
}

#[test]
fn who_misses_somebody_that_the_others_hear_waits() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        lan.set_path(owner, (owner + 1) % 3, false);
        calm(&mut lan, millis(450));
        lan.set_path(owner, (owner + 1) % 3, true);
        calm(&mut lan, Duration::from_secs(1));
    }
}

#[test]
fn who_hears_only_some_of_the_others_ends_with_one_owner() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        let other = (owner + 1) % 3;
        // The other one misses the owner and claims; the owner hears that it is not heard.
        lan.set_path(owner, other, false);
        lan.run(Duration::from_secs(2));
        assert_eq!(lan.owners(ip(1)).len(), 1, "seed {seed}");
        lan.set_path(owner, other, true);
        lan.run(Duration::from_secs(1));
        lan.owner(ip(1));
        calm(&mut lan, Duration::from_secs(1));
    }
}
