//! Links that go, come back, and meet.

use std::time::Duration;

use metal_core::view::LinkIndex;
use metal_tests::{
    cluster::Cluster,
    lan::{Id, Lan},
};

use crate::{NODES, calm, ip, millis, moved, web};

#[test]
fn a_lost_link_moves_the_address_and_its_return_does_not() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        lan.set_carrier(owner, false);
        let time = moved(&mut lan, ip(1), owner);
        assert!(time <= millis(400), "{time:?} with seed {seed}");
        lan.run(Duration::from_secs(1));
        lan.set_carrier(owner, true);
        calm(&mut lan, Duration::from_secs(2));
    }
}

#[test]
fn a_link_that_flaps_shortly_keeps_its_addresses() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        for _ in 0..5 {
            lan.set_carrier(owner, false);
            lan.run(millis(80));
            lan.set_carrier(owner, true);
            calm(&mut lan, millis(500));
        }
    }
}

fn serving_links(lan: &Lan, id: Id) -> Vec<LinkIndex> {
    lan.speaker(id).map(|speaker| speaker.owned().map(|(link, _)| link).collect()).unwrap_or_default()
}

#[test]
fn two_links_in_one_lan_serve_once() {
    let mut cluster = Cluster::new(&["n1"]);
    cluster.serve("web", ip(1), &["n1"]);
    let mut lan = Lan::new(1, cluster);
    lan.plug(0, 3, "eth1", 0);
    lan.start(0);
    lan.run(Duration::from_secs(1));
    assert_eq!(serving_links(&lan, 0), [2]);
    calm(&mut lan, Duration::from_secs(1));

    // The other one takes over when the first is lost, and gives way when it is back.
    lan.set_carrier(0, false);
    lan.run(Duration::from_secs(1));
    assert_eq!(serving_links(&lan, 0), [3]);
    lan.set_carrier(0, true);
    lan.run(Duration::from_secs(1));
    assert_eq!(serving_links(&lan, 0), [2]);
}

#[test]
fn each_lan_has_an_owner_of_its_own() {
    let mut cluster = Cluster::new(&NODES);
    cluster.serve("web", ip(1), &NODES);
    let mut lan = Lan::new(1, cluster);
    for id in 0..3 {
        lan.plug(id, 3, "eth1", 1);
        lan.start(id);
    }
    lan.run(Duration::from_secs(1));
    let links: Vec<_> = (0..3).flat_map(|id| serving_links(&lan, id)).collect();
    assert_eq!((links.len(), links.iter().filter(|link| **link == 2).count()), (2, 1), "{links:?}");
    calm(&mut lan, Duration::from_secs(2));
}

#[test]
fn three_nodes_with_two_links_in_one_lan_serve_once() {
    let mut lan = Lan::new(1, web());
    for id in 0..3 {
        lan.plug(id, 3, "eth1", 0);
        lan.start(id);
    }
    lan.run(Duration::from_secs(2));
    let links: Vec<_> = (0..3).flat_map(|id| serving_links(&lan, id)).collect();
    assert_eq!(links, [2]);
    calm(&mut lan, Duration::from_secs(2));
}
