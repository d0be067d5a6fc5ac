//! Planned ends and beginnings.

use std::time::Duration;

use metal_core::speaker::{Input, Output};
use metal_tests::lan::Lan;

use crate::{calm, gapless, ip, millis, moved, web};

#[test]
fn stopping_hands_over_without_a_gap() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        lan.tell(owner, Input::Stop);
        gapless(&mut lan, ip(1), millis(50));
        assert!(lan.station(owner).stopped, "seed {seed}");
        assert!(matches!(lan.station(owner).said.last(), Some((_, Output::Stopped))));
        assert_ne!(lan.owner(ip(1)), owner);
        calm(&mut lan, Duration::from_secs(2));
    }
}

#[test]
fn stopping_alone_ends_at_once() {
    let mut lan = Lan::settled(1, web());
    lan.kill(1);
    lan.kill(2);
    lan.run(Duration::from_secs(1));
    assert_eq!(lan.owner(ip(1)), 0);
    lan.tell(0, Input::Stop);
    assert!(lan.station(0).stopped);
    let said = &lan.station(0).said;
    let silent = said.iter().any(|(_, output)| matches!(output, Output::Own { duty: None, .. }));
    assert!(silent, "{said:?}");
}

#[test]
fn stopping_does_not_wait_for_a_dead_successor_for_ever() {
    let mut lan = Lan::settled(1, web());
    let owner = lan.owner(ip(1));
    (0..3).filter(|id| *id != owner).for_each(|id| lan.pause(id));
    lan.tell(owner, Input::Stop);
    lan.run(millis(600));
    assert!(lan.station(owner).stopped);
}

#[test]
fn a_returning_owner_takes_nothing_back() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        lan.kill(owner);
        moved(&mut lan, ip(1), owner);
        lan.start(owner);
        calm(&mut lan, Duration::from_secs(3));
    }
}

#[test]
fn a_quick_restart_ends_with_one_owner() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        lan.start(owner);
        lan.run(Duration::from_secs(1));
        lan.owner(ip(1));
        calm(&mut lan, Duration::from_secs(2));
    }
}

#[test]
fn a_new_node_takes_nothing() {
    for seed in 0..20 {
        let mut lan = Lan::new(seed, web());
        lan.start(0);
        lan.run(Duration::from_secs(1));
        assert_eq!(lan.owner(ip(1)), 0);
        lan.start(1);
        lan.start(2);
        calm(&mut lan, Duration::from_secs(3));
    }
}

#[test]
fn restarting_one_after_the_other_leaves_no_gap() {
    for seed in 0..20 {
        let mut lan = Lan::settled(seed, web());
        for id in 0..3 {
            lan.tell(id, Input::Stop);
            gapless(&mut lan, ip(1), millis(700));
            assert!(lan.station(id).stopped);
            lan.start(id);
            gapless(&mut lan, ip(1), Duration::from_secs(1));
        }
        lan.owner(ip(1));
    }
}
