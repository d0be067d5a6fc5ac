//! ARP: any bytes through the parser, and any operations on the announcer.

#![no_main]

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use libfuzzer_sys::fuzz_target;
use metal_arp::{Announcer, Input, Mac, Output, Packet, ethernet::is_station};
use metal_core::{Instant, Machine, drain};

fuzz_target!(|data: &[u8]| {
    parser(data);
    operations(data);
});

/// What parses is emitted as the same content.
fn parser(data: &[u8]) {
    if let Ok(packet) = Packet::parse(data) {
        let frame = packet.emit();
        assert_eq!(frame.as_bytes()[..42], data[..42]);
        assert_eq!(Packet::parse(frame.as_bytes()), Ok(packet));
    }
}

/// The bytes are a program: links come and go, addresses are owned and withdrawn, frames arrive, time passes,
/// outputs are taken one by one or all. Whatever happens, the announcer keeps the laws of a machine and speaks
/// only for what it owns, from the link's own MAC.
fn operations(mut data: &[u8]) {
    let mut announcer = Announcer::new();
    let mut links = BTreeMap::<u32, Option<Mac>>::new();
    let mut now = Instant::ZERO;
    while let Some(opcode) = take(&mut data) {
        let link = u32::from(opcode >> 6);
        match opcode & 7 {
            0 => {
                let mac = take(&mut data).map(mac);
                links.insert(link, mac);
                announcer.handle_input(now, Input::Link { link, mac });
            }
            1 => {
                links.insert(link, None);
                announcer.handle_input(now, Input::Link { link, mac: None });
            }
            2 | 3 => {
                let owned = opcode & 1 == 0;
                let address = ip(take(&mut data).unwrap_or_default());
                announcer.handle_input(now, Input::Own { link, address, owned });
                assert_eq!(announcer.owns(link, address), owned);
            }
            4 => {
                // A frame of plausible parts: destination, sender, addresses, operation.
                let mut part = || take(&mut data).unwrap_or_default();
                let mut frame = Vec::with_capacity(42);
                frame.extend(mac(part()));
                let sender = mac(part());
                frame.extend(sender);
                frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, part() % 4]);
                frame.extend(sender);
                frame.extend(ip(part()).octets());
                frame.extend(mac(0));
                frame.extend(ip(part()).octets());
                announcer.handle_input(now, Input::Frame { link, frame: &frame });
            }
            5 => {
                // A frame of anything.
                let len = usize::from(take(&mut data).unwrap_or_default()).min(data.len());
                let (frame, rest) = data.split_at(len);
                data = rest;
                announcer.handle_input(now, Input::Frame { link, frame });
            }
            6 => {
                now += Duration::from_millis(u64::from(take(&mut data).unwrap_or_default()) * 16);
                for output in drain(&mut announcer, now) {
                    check(&announcer, &links, output);
                }
            }
            _ => {
                if let Some(output) = announcer.poll_output(now) {
                    check(&announcer, &links, output);
                }
            }
        }
    }
    for output in drain(&mut announcer, now) {
        check(&announcer, &links, output);
    }
}

fn check(announcer: &Announcer, links: &BTreeMap<u32, Option<Mac>>, output: Output) {
    match output {
        Output::Send { link, frame } => {
            let packet = Packet::parse(frame.as_bytes()).expect("what is sent parses");
            assert_eq!(links.get(&link), Some(&Some(packet.sender_mac)));
            assert_eq!(packet.source, packet.sender_mac);
            assert!(is_station(packet.sender_mac));
            assert!(announcer.owns(link, packet.sender_ip));
        }
        Output::Conflict { link, address, mac } => {
            assert!(announcer.owns(link, address));
            assert!(is_station(mac));
            assert!(!links.values().any(|ours| *ours == Some(mac)));
        }
    }
}

fn take(data: &mut &[u8]) -> Option<u8> {
    let (first, rest) = data.split_first()?;
    *data = rest;
    Some(*first)
}

/// A few stations, a multicast group, broadcast, nobody.
fn mac(n: u8) -> Mac {
    match n % 8 {
        0 => [0; 6],
        1 => [0xff; 6],
        2 => [0x01, 0, 0x5e, 0, 0, 1],
        n => [0x02, 0, 0, 0, 0, n],
    }
}

fn ip(n: u8) -> Ipv4Addr {
    if n == 0 { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::new(10, 0, 0, n % 16) }
}
