//! The announcer: any operations in any order.
//!
//! The bytes are a program: links come and go, addresses are owned and withdrawn, frames arrive, time passes,
//! outputs are taken one by one or all. Whatever happens, the announcer keeps the laws of a machine, speaks only for
//! what it owns, from the link's own MAC, and asks for the groups of just that.

#![no_main]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use metal_arp::{Announcer, Input, Mac, Output, Packet, Setup, ethernet::is_station, ndp};
use metal_core::{Instant, Machine, drain};

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let seed = u64::from(take(&mut data).unwrap_or_default());
    // Small rates, so that budgets matter within a short program.
    let setup = Setup { seed, takeover_rate: 20, refresh_rate: 2, ..Setup::default() };
    let mut world =
        World { announcer: Announcer::new(setup), links: BTreeMap::new(), groups: BTreeSet::new() };
    let mut now = Instant::ZERO;
    while let Some(opcode) = take(&mut data) {
        let link = u32::from(opcode >> 6);
        let announcer = &mut world.announcer;
        match opcode & 15 {
            0 => {
                let mac = take(&mut data).map(mac);
                world.links.insert(link, mac);
                announcer.handle_input(now, Input::Link { link, mac });
            }
            1 => {
                world.links.insert(link, None);
                announcer.handle_input(now, Input::Link { link, mac: None });
            }
            2..=5 => {
                let owned = opcode & 1 == 0;
                let n = take(&mut data).unwrap_or_default();
                let address = if opcode & 15 < 4 { IpAddr::V4(v4(n)) } else { IpAddr::V6(v6(n)) };
                announcer.handle_input(now, Input::Own { link, address, owned });
                assert_eq!(announcer.owns(link, address), owned && !address.is_unspecified());
            }
            6 => {
                // An ARP frame of plausible parts: destination, sender, addresses, operation.
                let mut part = || take(&mut data).unwrap_or_default();
                let mut frame = Vec::with_capacity(42);
                frame.extend(mac(part()));
                let sender = mac(part());
                frame.extend(sender);
                frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, part() % 4]);
                frame.extend(sender);
                frame.extend(v4(part()).octets());
                frame.extend(mac(0));
                frame.extend(v4(part()).octets());
                announcer.handle_input(now, Input::Frame { link, frame: &frame });
            }
            7 | 8 => {
                let mut part = || take(&mut data).unwrap_or_default();
                let (sender, source_ip, target) = (mac(part()), v6(part()), v6(part()));
                let packet = match part() % 4 {
                    0 => ndp::Packet::solicitation(sender, source_ip, target),
                    1 => ndp::Packet {
                        destination: mac(part()),
                        destination_ip: v6(part()),
                        ..ndp::Packet::solicitation(sender, source_ip, target)
                    },
                    2 => ndp::Packet::unsolicited(sender, target),
                    _ => ndp::Packet::reply(sender, target, mac(part()), source_ip),
                };
                announcer.handle_input(now, Input::Frame { link, frame: packet.emit().as_bytes() });
            }
            9 => {
                // A frame of anything.
                let len = usize::from(take(&mut data).unwrap_or_default()).min(data.len());
                let (frame, rest) = data.split_at(len);
                data = rest;
                announcer.handle_input(now, Input::Frame { link, frame });
            }
            10 => {
                now += Duration::from_millis(u64::from(take(&mut data).unwrap_or_default()) * 16);
                world.drain(now);
            }
            11 => {
                now += Duration::from_secs(take(&mut data).unwrap_or_default().into());
                world.drain(now);
            }
            _ => {
                if let Some(output) = announcer.poll_output(now) {
                    world.check(output);
                }
            }
        }
    }
    world.drain(now);
});

struct World {
    announcer: Announcer,
    links: BTreeMap<u32, Option<Mac>>,
    groups: BTreeSet<(u32, Ipv6Addr)>,
}

impl World {
    fn drain(&mut self, now: Instant) {
        for output in drain(&mut self.announcer, now) {
            self.check(output);
        }
        let up = self.links.iter().filter(|(_, mac)| mac.is_some_and(is_station));
        let places = up.flat_map(|(link, _)| (1..16).map(|n| (*link, v6(n))));
        let owned = places.filter(|(link, address)| self.announcer.owns(*link, IpAddr::V6(*address)));
        let wanted: BTreeSet<_> = owned.map(|(link, address)| (link, ndp::solicited_node(address))).collect();
        assert_eq!(self.groups, wanted);
    }

    fn check(&mut self, output: Output) {
        match output {
            Output::Send { link, frame } => {
                let (source, sender, address) = match Packet::parse(frame.as_bytes()) {
                    Ok(packet) => (packet.source, Some(packet.sender_mac), IpAddr::V4(packet.sender_ip)),
                    Err(_) => {
                        let packet = ndp::Packet::parse(frame.as_bytes()).expect("what is sent parses");
                        assert_ne!(packet.kind, ndp::Kind::Solicitation);
                        assert_eq!(packet.source_ip, packet.target);
                        (packet.source, packet.mac, IpAddr::V6(packet.target))
                    }
                };
                assert_eq!(self.links.get(&link), Some(&sender));
                assert_eq!(Some(source), sender);
                assert!(is_station(source));
                assert!(self.announcer.owns(link, address));
            }
            Output::Conflict { link, address, mac } => {
                assert!(self.announcer.owns(link, address));
                assert!(is_station(mac));
                assert!(!self.links.values().any(|ours| *ours == Some(mac)));
            }
            Output::Join { link, group } => assert!(self.groups.insert((link, group))),
            Output::Leave { link, group } => assert!(self.groups.remove(&(link, group))),
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

fn v4(n: u8) -> Ipv4Addr {
    if n == 0 { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::new(10, 0, 0, n % 16) }
}

/// Sixteen addresses, of which two share a group.
fn v6(n: u8) -> Ipv6Addr {
    let n = n % 16;
    if n == 0 {
        Ipv6Addr::UNSPECIFIED
    } else {
        Ipv6Addr::new(0xfd00, 0, 0, n.into(), 0, 0, 0, u16::from(n / 2))
    }
}
