//! Whole clusters in virtual time.
#![allow(clippy::print_stderr, reason = "a failing seed says how to repeat it")]

mod failover;
mod hostile;
mod lease;
mod links;
mod objects;
mod partition;
mod random;
mod restart;
mod stranger;

use std::{net::IpAddr, time::Duration};

use metal_tests::{
    cluster::Cluster,
    lan::{Id, Lan},
};

const NODES: [&str; 3] = ["n1", "n2", "n3"];

fn ip(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn ip6(last: u8) -> IpAddr {
    [0xfd00, 0, 0, 0, 0, 0, 0, last.into()].into()
}

/// Three nodes, and one Service with an endpoint on each.
fn web() -> Cluster {
    let mut cluster = Cluster::new(&NODES);
    cluster.serve("web", ip(1), &NODES);
    cluster
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs until the address has one owner that is not `before`, and says how long that took.
fn moved(lan: &mut Lan, address: IpAddr, before: Id) -> Duration {
    let start = lan.now();
    lan.run_while(Duration::from_secs(5), |lan| {
        let owners = lan.owners(address);
        owners.len() != 1 || owners[0] == before
    });
    assert_ne!(lan.owner(address), before);
    lan.now().since(start)
}

/// Runs and insists that nothing moves meanwhile.
fn calm(lan: &mut Lan, time: Duration) {
    let before = lan.history.len();
    lan.run(time);
    assert_eq!(lan.history[before..], [], "something moved until {}", lan.now());
}

/// Runs and insists that somebody answers for the address at every instant.
fn gapless(lan: &mut Lan, address: IpAddr, time: Duration) {
    let served =
        |lan: &Lan| assert!(!lan.owners(address).is_empty(), "nobody answers for {address} at {}", lan.now());
    served(lan);
    lan.run_while(time, |lan| {
        served(lan);
        true
    });
}
