//! What clients learn when an address moves.

use std::time::{Duration, Instant};

use metal_tests::wait::{ensure, wait_for};

use crate::lan::{DEADLINE, Lan, VIP_V6, VIPS};

#[test]
fn a_takeover_updates_the_neighbour_caches_of_a_silent_client() {
    let mut lan = Lan::start(3);
    // The client's kernel must not find out by itself either.
    for family in ["ipv4", "ipv6"] {
        lan.client.set(&format!("{family}/neigh/eth0/delay_first_probe_time"), "60");
    }
    for vip in VIPS {
        let before = lan.owner(vip);
        let filter = format!("arp or (icmp6 and host {VIP_V6})");
        let asked = lan.client.capture(lan.directory(), "eth0", "out", &filter);
        let killed = Instant::now();
        lan.kill(before);
        let after = wait_for("another Ethernet address in the client's cache", DEADLINE, || {
            lan.cached(vip).filter(|node| *node != before).ok_or_else(|| lan.client.neighbour(vip))
        });
        println!("{vip}: the client's cache was updated {:?} after the kill", killed.elapsed());
        assert_eq!(asked.frames(&[]), [] as [&str; 0], "the client has asked");
        assert_eq!(lan.connect(vip), after);
    }
}

#[test]
fn an_address_is_found_again_with_an_empty_cache() {
    let lan = Lan::start(2);
    for _ in 0..10 {
        for vip in VIPS {
            lan.client.forget();
            let begin = Instant::now();
            lan.connect(vip);
            // The kernel asks again after a second; one answer to the first question is enough.
            assert!(begin.elapsed() < Duration::from_millis(900), "{vip}: {:?}", begin.elapsed());
        }
    }
}

#[test]
fn the_tools_of_administrators_get_one_answer_each() {
    let lan = Lan::start(2);
    lan.settle();
    let owner = lan.owner(VIPS[0]);
    for broadcast in ["-b", "-q"] {
        // Without -b the first request is a broadcast, the others go to who has answered it.
        let options = ["-c", "2", "-I", "eth0", "192.168.50.200"];
        let options: Vec<&str> =
            if broadcast == "-b" { [&["-b"], &options[..]].concat() } else { options.into() };
        let said = lan.client.run("arping", &options);
        assert!(said.contains("Received 2 response(s)"), "{said}");
        assert!(said.contains(&format!("02:00:00:00:00:{owner:02}")), "{said}");
    }
    let owner = lan.owner(VIP_V6);
    let said = lan.client.run("ndisc6", &["-m", "-r", "1", "-w", "500", "-q", &VIP_V6.to_string(), "eth0"]);
    assert_eq!(said.to_lowercase().trim(), format!("02:00:00:00:00:{owner:02}"));
}

#[test]
fn a_switch_that_watches_memberships_passes_solicitations() {
    let mut lan = Lan::build(2);
    // A query each second, answered within a tenth.
    lan.switch.ip("link set lan type bridge mcast_snooping 1 mcast_querier 1 mcast_query_interval 100 \
                   mcast_query_response_interval 10");
    lan.start_daemons("");
    for round in 0..2 {
        let owner = lan.owner(VIP_V6);
        wait_for("the membership on the owner's port", DEADLINE, || {
            let memberships = lan.switch.run("bridge", &["mdb", "show"]);
            let mut ports = memberships.lines().filter(|line| line.contains("ff02::1:ffaa:c8"));
            ensure(ports.any(|line| line.contains(&format!("node{owner}"))), || memberships.clone())
        });
        lan.client.forget();
        assert_eq!(lan.connect(VIP_V6), owner);
        if round == 0 {
            lan.kill(owner);
            wait_for("the takeover", DEADLINE, || {
                lan.cached(VIP_V6).filter(|node| *node != owner).ok_or_else(|| lan.client.neighbour(VIP_V6))
            });
        }
    }
}
