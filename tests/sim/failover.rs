//! A process that dies, freezes or is late.

use std::time::Duration;

use metal_core::election;
use metal_tests::{cluster::Cluster, lan::Lan};

use crate::{NODES, calm, ip, ip6, millis, moved, web};

#[test]
fn a_dead_owner_is_replaced_within_400_ms() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        lan.kill(owner);
        let time = moved(&mut lan, ip(1), owner);
        assert!(time <= millis(400), "{time:?} with seed {seed}");
        calm(&mut lan, Duration::from_secs(2));
    }
}

#[test]
fn ipv6_is_replaced_like_ipv4_and_by_itself() {
    for seed in 0..20 {
        let mut cluster = web();
        cluster.serve("six", ip6(1), &NODES);
        let both = [ip(2), ip6(2)];
        cluster.serve("both", both[0], &NODES);
        cluster.services.get_mut("both").expect("it was added").assigned = both.to_vec();
        let mut lan = Lan::settled(seed, cluster);
        for address in [ip6(1), ip6(2), ip(2)] {
            let owner = lan.owner(address);
            lan.kill(owner);
            let time = moved(&mut lan, address, owner);
            assert!(time <= millis(400), "{address}: {time:?} with seed {seed}");
            // What else it served has to move as well before it comes back.
            lan.run(Duration::from_secs(1));
            lan.start(owner);
            calm(&mut lan, Duration::from_secs(2));
        }
    }
}

#[test]
fn a_second_death_is_survived_like_the_first() {
    let mut lan = Lan::settled(1, web());
    for _ in 0..2 {
        let owner = lan.owner(ip(1));
        lan.kill(owner);
        assert!(moved(&mut lan, ip(1), owner) <= millis(400));
        calm(&mut lan, Duration::from_secs(1));
    }
}

#[test]
fn a_lone_node_serves_after_one_detection_time() {
    let mut cluster = Cluster::new(&["n1"]);
    cluster.serve("web", ip(1), &["n1"]);
    let mut lan = Lan::new(1, cluster);
    lan.start(0);
    lan.run(millis(299));
    assert_eq!(lan.owners(ip(1)), []);
    lan.run(millis(2));
    assert_eq!(lan.owner(ip(1)), 0);
}

#[test]
fn from_empty_addresses_go_to_the_first_in_metallbs_order() {
    for seed in 0..10 {
        let mut cluster = Cluster::new(&NODES);
        for n in 1..=50 {
            cluster.serve(&format!("s{n}"), ip(n), &NODES);
        }
        let lan = Lan::settled(seed, cluster);
        for n in 1..=50 {
            let first = NODES.iter().min_by_key(|node| election::hash(node, ip(n))).unwrap();
            assert_eq!(lan.station(lan.owner(ip(n))).name, *first, "{} with seed {seed}", ip(n));
        }
    }
}

#[test]
fn a_frozen_owner_is_replaced_and_does_not_take_back() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        lan.pause(owner);
        lan.run_while(Duration::from_secs(1), |lan| lan.owners(ip(1)).len() < 2);
        let successor = *lan.owners(ip(1)).iter().find(|id| **id != owner).unwrap();
        lan.run(Duration::from_secs(2));
        lan.resume(owner);
        assert_eq!(lan.owner(ip(1)), successor, "seed {seed}");
        calm(&mut lan, Duration::from_secs(2));
    }
}

#[test]
fn who_wakes_late_serves_nothing_before_it_has_listened() {
    for seed in 0..20 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        lan.pause(owner);
        lan.run(Duration::from_secs(2));
        // Its sockets have overflowed: nothing tells it what it has missed.
        lan.resume_without_frames(owner);
        assert_ne!(lan.owner(ip(1)), owner, "seed {seed}");
        calm(&mut lan, Duration::from_secs(2));
    }
}

#[test]
fn a_short_stall_moves_nothing() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        for round in 0..20 {
            let stalled = round % 3;
            lan.pause(stalled);
            lan.run(millis(150));
            lan.resume(stalled);
            calm(&mut lan, millis(300));
        }
    }
}

#[test]
fn everybody_frozen_at_once_ends_with_one_owner() {
    let mut lan = Lan::settled(1, web());
    (0..3).for_each(|id| lan.pause(id));
    lan.run(Duration::from_secs(3));
    (0..3).for_each(|id| lan.resume(id));
    lan.run(Duration::from_secs(2));
    lan.owner(ip(1));
    calm(&mut lan, Duration::from_secs(1));
}

#[test]
fn one_loss_in_twenty_is_no_death() {
    for seed in 0..5 {
        let mut lan = Lan::settled(seed, web());
        lan.weather.loss = 50;
        calm(&mut lan, Duration::from_secs(120));
    }
}

#[test]
fn a_thousand_addresses_move_within_a_second() {
    let mut cluster = Cluster::new(&NODES);
    for n in 0..1_000u16 {
        let [high, low] = n.to_be_bytes();
        cluster.serve(&format!("s{n}"), [10, 0, high, low].into(), &NODES);
    }
    let pool = metal_core::config::PoolSpec { addresses: vec!["10.0.0.0/16".into()], ..Default::default() };
    cluster.configure("IPAddressPool", "first", metal_core::config::Spec::Pool(pool));
    let mut lan = Lan::settled(1, cluster);
    lan.run(Duration::from_secs(5));
    let address = |n: u16| std::net::IpAddr::from([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
    (0..1_000).for_each(|n| assert_eq!(lan.owners(address(n)).len(), 1, "{}", address(n)));
    lan.kill(0);
    lan.run(millis(1_300));
    (0..1_000).for_each(|n| assert_eq!(lan.owners(address(n)).len(), 1, "{}", address(n)));
    calm(&mut lan, Duration::from_secs(1));
}
