//! What moves an address, how fast, and what does not.

use std::{net::IpAddr, time::Duration};

use metal_core::speaker::{Input, Output};
use metal_tests::{cluster::Cluster, lan::Lan};

const NODES: [&str; 3] = ["n1", "n2", "n3"];

fn ip(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn web() -> Cluster {
    let mut cluster = Cluster::new(&NODES);
    cluster.serve("web", ip(1), &NODES);
    cluster
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs until the address has one owner that is not `before`, and says how long that took.
fn moved(lan: &mut Lan, address: IpAddr, before: usize) -> Duration {
    let start = lan.now();
    lan.run_while(Duration::from_secs(5), |lan| {
        let owners = lan.owners(address);
        owners.len() != 1 || owners[0] == before
    });
    assert_ne!(lan.owner(address), before);
    lan.now().since(start)
}

#[test]
fn a_dead_owner_is_replaced_within_400_ms() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        lan.kill(owner);
        let time = moved(&mut lan, ip(1), owner);
        assert!(time <= millis(400), "{time:?} with seed {seed}");
        lan.run(Duration::from_secs(2));
        assert_ne!(lan.owner(ip(1)), owner);
    }
}

#[test]
fn a_lone_node_serves() {
    let mut cluster = Cluster::new(&["n1"]);
    cluster.serve("web", ip(1), &["n1"]);
    let lan = Lan::settled(1, cluster);
    assert_eq!(lan.owner(ip(1)), 0);
    let said: Vec<_> = lan.station(0).said.iter().map(|(at, output)| format!("{at} {output:?}")).collect();
    println!("{}", said.join("\n"));
}

#[test]
fn stopping_hands_over_without_a_gap() {
    for seed in 0..50 {
        let mut lan = Lan::settled(seed, web());
        let owner = lan.owner(ip(1));
        lan.tell(owner, Input::Stop);
        lan.run_while(Duration::from_secs(2), |lan| {
            assert!(!lan.owners(ip(1)).is_empty(), "nobody answers at {} with seed {seed}", lan.now());
            !lan.station(owner).stopped
        });
        assert!(lan.station(owner).stopped);
        assert!(matches!(lan.station(owner).said.last(), Some((_, Output::Stopped))));
        lan.run(Duration::from_secs(2));
        assert_ne!(lan.owner(ip(1)), owner);
    }
}
