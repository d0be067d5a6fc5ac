//! IPv6 on a LAN of namespaces: the real daemons, with the kernel's own Neighbour Discovery on the other side.

#![allow(clippy::print_stdout, reason = "the numbers of a run, for its record")]

mod lan;

use std::time::{Duration, Instant};

use lan::{DEADLINE, Lan, VIP};
use metal_tests::wait::{ensure, wait_for};

#[test]
fn a_takeover_updates_the_neighbour_cache_of_a_silent_client() {
    let mut lan = Lan::start(false);
    let before = lan.owner();
    // From here on the client sends nothing: what it learns it is told.
    let killed = Instant::now();
    lan.kill(before);
    let after = wait_for("another Ethernet address in the client's cache", DEADLINE, || {
        lan.cached().filter(|node| *node != before).ok_or_else(|| lan.neighbour())
    });
    println!("the client's cache was updated {:?} after the kill", killed.elapsed());
    assert_eq!(lan.connect(), after);
}

#[test]
fn an_address_is_found_again_with_an_empty_cache() {
    let lan = Lan::start(false);
    for _ in 0..20 {
        lan.forget();
        let begin = Instant::now();
        lan.connect();
        // The kernel asks again after a second; one answer to the first question is enough.
        assert!(begin.elapsed() < Duration::from_millis(900), "{:?}", begin.elapsed());
    }
}

#[test]
fn a_stranger_with_the_address_is_told_and_named() {
    let lan = Lan::start(false);
    let owner = lan.owner();
    wait_for("a word about it in the owner's log", DEADLINE, || {
        lan.stranger_takes_the_address();
        wait_for("the stranger to give it up (RFC 4862)", DEADLINE, || {
            let addresses = lan.stranger_addresses();
            ensure(addresses.contains("dadfailed"), || addresses.clone())
        });
        // While a takeover is being announced the stranger gives up before it has asked: then it tries again.
        lan.stranger_gives_it_up();
        let log = lan.log(owner);
        let named = log.contains(&format!("claims {VIP}")) && log.contains("02:00:00:00:00:63");
        ensure(named, || log.clone())
    });
    assert_eq!(lan.connect(), owner, "the address stays where it is");
}

#[test]
fn a_switch_that_watches_memberships_passes_solicitations() {
    let mut lan = Lan::start(true);
    for _ in 0..2 {
        let owner = lan.owner();
        wait_for("the membership on the owner's port", DEADLINE, || {
            let memberships = lan.memberships();
            let ports = memberships.lines().filter(|line| line.contains("ff02::1:ffaa:c8"));
            ensure(ports.clone().any(|line| line.contains(&format!("node{owner}"))), || memberships.clone())
        });
        lan.forget();
        assert_eq!(lan.connect(), owner);
        if lan.running() == 1 {
            break;
        }
        lan.kill(owner);
        wait_for("the takeover", DEADLINE, || {
            lan.cached().filter(|node| *node != owner).ok_or_else(|| lan.neighbour())
        });
    }
}
