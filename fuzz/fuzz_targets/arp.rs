//! ARP: any bytes through the parser and into an answer.

#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use metal_arp::{Operation, Packet, reply};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fuzz_target!(|data: &[u8]| {
    // What parses is emitted as the same content.
    if let Ok(packet) = Packet::parse(data) {
        let frame = packet.emit();
        assert_eq!(frame.as_bytes()[..42], data[..42]);
        assert_eq!(Packet::parse(frame.as_bytes()), Ok(packet));
        // An answer is about the address that was asked for, and goes to who asked.
        if let Ok(answer) = reply(data, MAC, |address| address == IpAddr::V4(packet.target_ip)) {
            let answer = Packet::parse(answer.as_bytes()).expect("an answer parses");
            assert_eq!((answer.operation, answer.source, answer.sender_mac), (Operation::Reply, MAC, MAC));
            assert_eq!((answer.sender_ip, answer.destination), (packet.target_ip, packet.sender_mac));
        }
    }
});
