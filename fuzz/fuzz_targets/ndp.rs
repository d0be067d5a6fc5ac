//! Neighbour Discovery: any bytes through the parser and into an answer.
//!
//! Under the fuzzer every checksum counts as right (smoltcp sees to that), so what is behind the check is reached.

#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use metal_arp::{
    ndp::{ALL_NODES, Kind, Packet, group_mac, solicited_node},
    reply,
};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fuzz_target!(|data: &[u8]| {
    let Ok(packet) = Packet::parse(data) else { return };
    // Hop limit, code, what follows from the source.
    assert_eq!((data[14] >> 4, data[20], data[21], data[55]), (6, 58, 255, 0));
    assert!(!packet.target.is_multicast() && !packet.source_ip.is_multicast());
    assert!(!packet.is_probe() || packet.mac.is_none());
    // What it says is said again as the same value, and the same addresses.
    let frame = packet.emit();
    assert_eq!(Packet::parse(frame.as_bytes()), Ok(packet));
    assert_eq!(frame.as_bytes()[..14], data[..14]);
    assert_eq!(frame.as_bytes()[22..54], data[22..54]);
    assert_eq!(frame.as_bytes()[62..78], data[62..78]);
    // An answer is about the address that was asked for, and goes to who asked or, after a probe, to everybody.
    if let Ok(answer) = reply(data, MAC, |address| address == IpAddr::V6(packet.target)) {
        let answer = Packet::parse(answer.as_bytes()).expect("an answer parses");
        assert_eq!(packet.kind, Kind::Solicitation);
        assert_eq!((answer.source, answer.mac), (MAC, Some(MAC)));
        assert_eq!((answer.source_ip, answer.target), (packet.target, packet.target));
        let probe = packet.is_probe();
        assert_eq!(answer.kind, Kind::Advertisement { router: false, solicited: !probe, overrides: true });
        let (mac, ip) =
            if probe { (group_mac(ALL_NODES), ALL_NODES) } else { (packet.sender_mac(), packet.source_ip) };
        assert_eq!((answer.destination, answer.destination_ip), (mac, ip));
        assert!([packet.target, solicited_node(packet.target)].contains(&packet.destination_ip));
    }
});
