//! The announcer: any operations in any order.
//!
//! The bytes are a program: links come and go, addresses are owned with and without asking first, defended and
//! withdrawn, frames arrive, time passes, outputs are taken one by one or all. Whatever happens, the announcer keeps the
//! laws of a machine, speaks only for what it owns, from the link's own MAC, announces and answers for nothing that it
//! still asks for, asks for the groups of just that, stays within its budgets, and says of conflicts only what is new and
//! not about itself.

#![no_main]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use metal_arp::{
    Announcer, Duty, Input, Mac, Operation, Output, Packet, Setup, announcer::PROBE_WINDOW,
    ethernet::is_station, ndp,
};
use metal_core::{Instant, Machine, drain};

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let seed = u64::from(take(&mut data).unwrap_or_default());
    // Small rates, so that budgets matter within a short program.
    let setup = Setup { seed, takeover_rate: 20, refresh_rate: 2 };
    let mut world = World { announcer: Announcer::new(setup), ..World::default() };
    let mut now = Instant::ZERO;
    while let Some(opcode) = take(&mut data) {
        let link = u32::from(opcode >> 6);
        let announcer = &mut world.announcer;
        match opcode & 15 {
            0 => {
                let mac = take(&mut data).map(mac);
                announcer.handle_input(now, Input::Link { link, mac });
                world.set_link(link, mac.filter(|mac| is_station(*mac)));
            }
            1 => {
                announcer.handle_input(now, Input::Link { link, mac: None });
                world.set_link(link, None);
            }
            2..=5 => {
                let n = take(&mut data).unwrap_or_default();
                let address = if opcode & 15 < 4 { IpAddr::V4(v4(n)) } else { IpAddr::V6(v6(n)) };
                let duty = (opcode & 1 == 0).then(|| Duty {
                    probe: opcode & 16 != 0,
                    refresh: (opcode & 32 != 0).then_some(Duration::from_millis(u64::from(n) * 100)),
                });
                let asks = duty.is_some_and(|duty| duty.probe);
                let fresh = !announcer.owns(link, address);
                announcer.handle_input(now, Input::Own { link, address, duty });
                assert_eq!(announcer.owns(link, address), duty.is_some() && !address.is_unspecified());
                if asks && fresh {
                    assert_eq!(announcer.answers(link, address), None);
                    world.asked.insert((link, address), None);
                } else if !asks {
                    world.asked.remove(&(link, address));
                }
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
            12 => {
                let n = take(&mut data).unwrap_or_default();
                let address = if n & 128 == 0 { IpAddr::V4(v4(n)) } else { IpAddr::V6(v6(n)) };
                announcer.handle_input(now, Input::Defend { link, address });
            }
            13 => {
                // A few milliseconds, as between two probes.
                now += Duration::from_millis(u64::from(opcode >> 4) * 8);
                world.drain(now);
            }
            _ => {
                if let Some(output) = announcer.poll_output(now) {
                    world.check(now, output);
                }
            }
        }
    }
    world.drain(now);
});

#[derive(Default)]
struct World {
    announcer: Announcer,
    /// Those that are up, with their addresses.
    links: BTreeMap<u32, Option<Mac>>,
    groups: BTreeSet<(u32, Ipv6Addr)>,
    answered: BTreeMap<(u32, IpAddr), Mac>,
    /// What is to be asked for before it is announced, and the first question.
    asked: BTreeMap<(u32, IpAddr), Option<Instant>>,
    /// The conflicts that were told and are not over.
    conflicts: BTreeSet<(u32, IpAddr)>,
    /// When frames went out that were not asked for.
    unasked: BTreeMap<u32, Vec<Instant>>,
}

impl World {
    fn set_link(&mut self, link: u32, mac: Option<Mac>) {
        self.links.insert(link, mac);
        if mac.is_none() {
            // What nothing is known of any more starts with a new budget.
            self.unasked.remove(&link);
        }
    }

    fn drain(&mut self, now: Instant) {
        for output in drain(&mut self.announcer, now) {
            self.check(now, output);
        }
        let up = self.links.iter().filter(|(_, mac)| mac.is_some());
        let places = up.flat_map(|(link, _)| (1..16).map(|n| (*link, v6(n))));
        let owned = places.filter(|(link, address)| self.announcer.owns(*link, IpAddr::V6(*address)));
        let wanted: BTreeSet<_> = owned.map(|(link, address)| (link, ndp::solicited_node(address))).collect();
        assert_eq!(self.groups, wanted);
        for ((link, address), mac) in &self.answered {
            assert_eq!(self.announcer.answers(*link, *address), Some(*mac));
        }
        for (link, address) in &self.conflicts {
            assert!(self.announcer.owns(*link, *address));
        }
    }

    fn check(&mut self, now: Instant, output: Output) {
        match output {
            Output::Send { link, frame } => {
                let said = Said::read(frame.as_bytes());
                assert!(is_station(said.mac));
                assert_eq!(self.links.get(&link), Some(&Some(said.mac)));
                assert!(self.announcer.owns(link, said.about));
                let place = (link, said.about);
                if said.asks {
                    if let Some(first) = self.asked.get_mut(&place) {
                        first.get_or_insert(now);
                    }
                } else {
                    assert_eq!(self.announcer.answers(link, said.about), Some(said.mac));
                    assert_eq!(self.answered.get(&place), Some(&said.mac));
                }
                // Answers are many more than the budget of 20 a second; a broadcast to everybody is none of them,
                // except to a probe for duplicates.
                if said.asks || said.is_announcement {
                    let sent = self.unasked.entry(link).or_default();
                    sent.push(now);
                    let lately = sent.iter().filter(|at| now.since(**at) < Duration::from_secs(1)).count();
                    assert!(lately <= 100 + 20 + 2 + 1, "{lately} frames within a second");
                }
            }
            Output::Answering { link, address, mac } => {
                let place = (link, address);
                let before = match mac {
                    Some(mac) => self.answered.insert(place, mac),
                    None => self.answered.remove(&place),
                };
                assert_ne!(before, mac);
                if mac.is_some()
                    && let Some(first) = self.asked.remove(&place)
                {
                    let first = first.expect("it was asked for before");
                    assert!(now.since(first) >= PROBE_WINDOW);
                }
            }
            Output::Conflict { link, address, mac, announced } => {
                assert!(self.announcer.owns(link, address));
                assert!(is_station(mac));
                assert!(!self.links.values().any(|ours| *ours == Some(mac)));
                assert!(announced || self.announcer.answers(link, address).is_none());
                self.conflicts.insert((link, address));
            }
            Output::ConflictOver { link, address } => assert!(self.conflicts.remove(&(link, address))),
            Output::Join { link, group } => assert!(self.groups.insert((link, group))),
            Output::Leave { link, group } => assert!(self.groups.remove(&(link, group))),
        }
    }
}

/// What a frame of the announcer says.
struct Said {
    mac: Mac,
    about: IpAddr,
    /// It is a question, not a claim.
    asks: bool,
    /// Nobody had asked: gratuitous ARP. An advertisement to everybody may also be the answer to a probe.
    is_announcement: bool,
}

impl Said {
    fn read(frame: &[u8]) -> Self {
        if let Ok(packet) = Packet::parse(frame) {
            assert_eq!(packet.source, packet.sender_mac);
            let asks = packet.sender_ip.is_unspecified();
            assert!(!asks || packet.operation == Operation::Request);
            let about = if asks { packet.target_ip } else { packet.sender_ip };
            let is_announcement = packet.sender_ip == packet.target_ip;
            return Self { mac: packet.source, about: about.into(), asks, is_announcement };
        }
        let packet = ndp::Packet::parse(frame).expect("what is sent parses");
        let asks = packet.is_probe();
        if !asks {
            assert_ne!(packet.kind, ndp::Kind::Solicitation);
            assert_eq!(packet.source_ip, packet.target);
            assert_eq!(packet.mac, Some(packet.source));
        }
        Self { mac: packet.source, about: packet.target.into(), asks, is_announcement: false }
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
