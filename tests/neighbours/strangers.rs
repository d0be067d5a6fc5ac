//! Somebody else has one of our addresses.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use metal_arp::{Operation, Packet, ndp};
use metal_core::view::Mac;
use metal_tests::wait::{ensure, wait_for};

use crate::{
    host::mac_text,
    lan::{DEADLINE, Lan, VIP_V4, VIP_V6, VIPS, node_mac},
    wire::Wire,
};

const STRANGER: Mac = [2, 0, 0, 0, 0, 0x63];
const STRANGER_TEXT: &str = "02:00:00:00:00:63";

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

/// It is named and counted, and the address defended, but not every time: two that defend it for ever would flood the
/// LAN (RFC 5227 2.4c).
#[test]
fn a_stranger_that_claims_the_address_is_named_and_answered_once_in_ten_seconds() {
    let lan = Lan::start(2);
    let owners = VIPS.map(|vip| lan.owner(vip));
    lan.settle();
    let wire = Wire::open(&lan.stranger, "eth0");
    let capture = lan.client.capture(lan.directory(), "eth0", "in", "arp or icmp6");
    for (vip, owner) in VIPS.into_iter().zip(owners) {
        let mac = mac_text(node_mac(owner));
        let words = match vip.is_ipv4() {
            true => [format!("{mac} > ff:ff:ff:ff:ff:ff"), format!("Reply {vip} is-at")],
            false => [format!("{mac} > 33:33:00:00:00:01"), format!("tgt is {vip}")],
        };
        lan.owner(vip);
        let defences = || capture.frames(&words.each_ref().map(String::as_str)).len();
        assert_eq!(defences(), 0, "before");
        // As `arping -A` of a host does that has the address.
        wire.send(&claim(vip));
        wait_for("the client to be told again, which asks for nothing", DEADLINE, || {
            ensure(lan.cached(vip) == Some(owner) && defences() == 1, || lan.client.neighbour(vip))
        });
        let (begin, mut claims) = (Instant::now(), 1);
        wait_for("five seconds of claims, twenty of them", DEADLINE, || {
            wire.send(&claim(vip));
            claims += 1;
            ensure(begin.elapsed() > Duration::from_secs(5) && claims > 20, || claims.to_string())
        });
        assert_eq!(defences(), 1, "{claims} claims of {vip}");
        wait_for("a word about it in the owner's log and metrics", DEADLINE, || {
            let log = lan.log(owner);
            let named =
                log.lines().any(|line| line.contains(&vip.to_string()) && line.contains(STRANGER_TEXT));
            let counted = lan.metric(owner, "metal_speaker_conflicts_total", &[]) > 0.0;
            ensure(named && counted, || format!("counted: {counted}; {log}"))
        });
        lan.client.forget();
        assert_eq!(lan.connect(vip), owner, "{vip} stays where it is");
    }
}

/// Nobody of ours has had the address: it is not announced, and the one that has it notices nothing but a question.
#[test]
fn an_address_that_a_stranger_has_is_announced_when_it_is_free() {
    let mut lan = Lan::build(1);
    let masks = [(VIP_V4, 24), (VIP_V6, 64)];
    for (vip, length) in masks {
        lan.stranger.ip(&format!("address add {vip}/{length} dev eth0 nodad"));
    }
    let capture = lan.client.capture(lan.directory(), "eth0", "in", "arp or icmp6");
    lan.launch_daemons("");
    let wire = lan.wire();
    for vip in VIPS {
        wait_for("a word about it in the log", DEADLINE, || {
            let log = lan.log(1);
            let named =
                log.lines().any(|line| line.contains(&vip.to_string()) && line.contains(STRANGER_TEXT));
            ensure(named, || log.clone())
        });
        assert_eq!(wire.answers(vip), [STRANGER], "{vip}");
    }
    let mac = mac_text(node_mac(1));
    for words in
        [[&*mac, "Reply 192.168.50.200 is-at"], [&*mac, "neighbor advertisement, tgt is fd00:42::aa:c8"]]
    {
        let announced = capture.frames(&words);
        assert!(announced.is_empty(), "{announced:?}");
    }
    for (vip, length) in masks {
        lan.stranger.ip(&format!("address del {vip}/{length} dev eth0"));
    }
    for vip in VIPS {
        assert_eq!(wire.await_answer(vip).0, node_mac(1), "{vip}");
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
