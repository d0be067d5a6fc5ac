//! Somebody else has one of our addresses.

use std::net::IpAddr;

use metal_arp::{Operation, Packet, ndp};
use metal_core::view::Mac;
use metal_tests::wait::{ensure, wait_for};

use crate::lan::{DEADLINE, Lan, VIP_V6, VIPS};
use crate::wire::Wire;

const STRANGER: Mac = [2, 0, 0, 0, 0, 0x63];

#[test]
fn a_stranger_that_probes_for_the_address_is_told_that_it_is_taken() {
    let lan = Lan::start(2);
    lan.stranger.set("ipv6/conf/eth0/accept_dad", "1");
    let owner = lan.owner(VIP_V6);
    lan.stranger.ip(&format!("address add {VIP_V6}/64 dev eth0"));
    wait_for("the stranger to give it up (RFC 4862)", DEADLINE, || {
        let addresses = lan.stranger.ip("-6 address show dev eth0");
        ensure(addresses.contains("dadfailed"), || addresses.clone())
    });
    lan.stranger.ip(&format!("address del {VIP_V6}/64 dev eth0"));
    // A probe of IPv4 (RFC 5227), by the tool that does it before an address is configured.
    let said = lan.stranger.try_run("arping", &["-D", "-c", "1", "-w", "2", "-I", "eth0", "192.168.50.200"]);
    let said = said.expect_err("it fails when the address is taken");
    assert!(said.contains("Received 1 response(s)"), "{said}");
    assert_eq!(lan.connect(VIP_V6), owner, "the address stays where it is");
}

#[test]
fn a_stranger_that_claims_the_address_is_named() {
    let lan = Lan::start(2);
    let wire = Wire::open(&lan.stranger, "eth0");
    for vip in VIPS {
        let owner = lan.owner(vip);
        wait_for("a word about it in the owner's log", DEADLINE, || {
            // As the real one does it: `arping -A` of a host that has the address.
            wire.send(&claim(vip));
            let log = lan.log(owner);
            let named =
                log.lines().any(|line| line.contains(&vip.to_string()) && line.contains("02:00:00:00:00:63"));
            ensure(named, || log.clone())
        });
        wait_for("a page from the owner", DEADLINE, || {
            lan.client.forget();
            let node = lan.connect(vip);
            ensure(node == owner, || format!("node {node}"))
        });
    }
}

/// What a host sends that has just got an address.
fn claim(vip: IpAddr) -> Vec<u8> {
    let frame = match vip {
        IpAddr::V4(vip) => Packet::gratuitous(Operation::Reply, STRANGER, vip).emit(),
        IpAddr::V6(vip) => ndp::Packet::unsolicited(STRANGER, vip).emit(),
    };
    frame.as_bytes().to_vec()
}
