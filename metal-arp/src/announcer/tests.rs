use alloc::vec::Vec;

use metal_core::drain;
use proptest::prelude::*;

use core::{net::Ipv4Addr, time::Duration};

use super::*;
use crate::{
    arp::{Operation, Packet},
    ethernet::{BROADCAST, is_ipv6},
    reply::answer,
    silence::Silence,
};

mod answering;
mod conflict;
mod hostile;
mod neighbours;
mod pace;
mod probe;
mod requesters;

const ETH0: u32 = 2;
const ETH1: u32 = 3;
const MAC: Mac = [0x02, 0, 0, 0, 0, 0x01];
const NEW_MAC: Mac = [0x02, 0, 0, 0, 0, 0x11];
const CLIENT: Mac = [0x02, 0, 0, 0, 0, 0x99];
const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 30);
const VIP2: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 31);

const QUESTION: Packet = Packet {
    destination: BROADCAST,
    source: CLIENT,
    operation: Operation::Request,
    sender_mac: CLIENT,
    sender_ip: Ipv4Addr::new(192, 168, 1, 7),
    target_mac: [0; 6],
    target_ip: VIP,
};
const CLAIM: Packet = Packet::gratuitous(Operation::Request, CLIENT, VIP);
const CONFLICT: Output =
    Output::Conflict { link: ETH0, address: IpAddr::V4(VIP), mac: CLIENT, announced: true };
const CONFLICT_OVER: Output = Output::ConflictOver { link: ETH0, address: IpAddr::V4(VIP) };

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// An announcer with one link, told things at a time that the test picks. What it says about answering is left out
/// unless asked for.
struct Bed(Announcer, Option<Duration>);

/// Silent once announcements are over.
const QUIETLY: Duty = Duty { probe: false, refresh: None };

impl Bed {
    /// Without refreshes.
    fn new() -> Self {
        let mut bed = Self::unlinked();
        bed.link(0, ETH0, Some(MAC));
        bed
    }

    /// With the usual refreshes.
    fn with(setup: Setup) -> Self {
        let mut bed = Self(Announcer::new(setup), Some(REFRESH));
        bed.link(0, ETH0, Some(MAC));
        bed
    }

    /// Without refreshes and links.
    fn unlinked() -> Self {
        Self(Announcer::default(), None)
    }

    /// Owns the address, its announcement is over.
    fn settled() -> Self {
        let mut bed = Self::new();
        bed.own(0, ETH0, VIP, true);
        assert_eq!(bed.play_until(10_000).len(), 12);
        bed
    }

    fn link(&mut self, now: u64, link: u32, mac: Option<Mac>) {
        self.0.handle_input(at(now), Input::Link { link, mac });
    }

    fn own(&mut self, now: u64, link: u32, address: impl Into<IpAddr>, owned: bool) {
        let duty = owned.then_some(Duty { probe: false, refresh: self.1 });
        self.0.handle_input(at(now), Input::Own { link, address: address.into(), duty });
    }

    /// Owns an address on the first link after asking for it.
    fn probe(&mut self, now: u64, address: impl Into<IpAddr>) {
        let duty = Some(Duty { probe: true, ..QUIETLY });
        self.0.handle_input(at(now), Input::Own { link: ETH0, address: address.into(), duty });
    }

    fn defend(&mut self, now: u64, address: impl Into<IpAddr>) {
        self.0.handle_input(at(now), Input::Defend { link: ETH0, address: address.into() });
    }

    fn frame(&mut self, now: u64, link: u32, packet: Packet) {
        self.0.handle_input(at(now), Input::Frame { link, frame: packet.emit().as_bytes() });
    }

    /// Drains at each deadline up to `end`; the frames with their times in milliseconds.
    fn play_until(&mut self, end: u64) -> Vec<(u64, Packet)> {
        let outputs = self.outputs_until(at(end)).into_iter();
        let timed = |(now, output): (Instant, _)| {
            let packets = packets(alloc::vec![output]).into_iter();
            packets.map(move |(_, packet)| (now.as_micros() / 1_000, packet))
        };
        outputs.flat_map(timed).collect()
    }

    /// Drains at each deadline up to `end`.
    fn outputs_until(&mut self, end: Instant) -> Vec<(Instant, Output)> {
        let mut outputs = Vec::new();
        let mut now = Instant::ZERO;
        while let Some(deadline) = self.0.poll_timeout().filter(|deadline| *deadline <= end) {
            now = now.max(deadline);
            outputs.extend(drain(&mut self.0, now).into_iter().map(|output| (now, output)));
        }
        outputs.retain(|(_, output)| !matches!(output, Output::Answering { .. }));
        outputs
    }

    fn drain(&mut self, now: u64) -> Vec<Output> {
        let mut outputs = self.drain_all(now);
        outputs.retain(|output| !matches!(output, Output::Answering { .. }));
        outputs
    }

    fn drain_all(&mut self, now: u64) -> Vec<Output> {
        drain(&mut self.0, at(now))
    }
}

fn packets(outputs: Vec<Output>) -> Vec<(u32, Packet)> {
    outputs
        .into_iter()
        .map(|output| match output {
            Output::Send { link, frame } => (link, Packet::parse(frame.as_bytes()).expect("ours parse")),
            output => panic!("unexpected: {output:?}"),
        })
        .collect()
}

fn round(mac: Mac, address: Ipv4Addr) -> [Packet; 2] {
    [Operation::Request, Operation::Reply].map(|form| Packet::gratuitous(form, mac, address))
}

#[test]
fn a_takeover_is_announced_at_once_and_repeated() {
    let mut bed = Bed::new();
    bed.own(0, ETH0, VIP, true);
    let expected: Vec<_> = [0, 100, 1_100, 2_200, 3_300, 4_400]
        .into_iter()
        .flat_map(|time| round(MAC, VIP).map(|packet| (time, packet)))
        .collect();
    assert_eq!(bed.play_until(60_000), expected);
    assert_eq!(bed.0.poll_timeout(), None);
    assert_eq!(bed.0.counters()[&IpAddr::V4(VIP)].gratuitous, 12);
}

#[test]
fn ownership_may_come_before_the_link() {
    let mut bed = Bed::unlinked();
    bed.own(0, ETH0, VIP, true);
    assert!(bed.drain_all(0).is_empty());
    assert_eq!(bed.0.poll_timeout(), None);
    bed.link(5_000, ETH0, Some(MAC));
    assert_eq!(packets(bed.drain(5_000)), round(MAC, VIP).map(|packet| (ETH0, packet)));
}

#[test]
fn ownership_repeated_announces_again_but_never_faster_than_the_pause() {
    let mut bed = Bed::settled();
    bed.own(10_000, ETH0, VIP, true);
    assert_eq!(bed.drain(10_000).len(), 2);
    for now in 10_001..10_100 {
        bed.own(now, ETH0, VIP, true);
        assert!(bed.drain(now).is_empty(), "at {now}");
    }
    let times: Vec<_> = bed.play_until(60_000).into_iter().map(|(time, _)| time).step_by(2).collect();
    assert_eq!(times, [10_100, 10_200, 11_200, 12_300, 13_400, 14_500]);
}

#[test]
fn a_driver_that_was_held_up_sends_no_bunch() {
    let mut bed = Bed::new();
    bed.own(0, ETH0, VIP, true);
    assert_eq!(bed.drain(0).len(), 2);
    assert_eq!(bed.drain(30_000).len(), 2);
    assert_eq!(bed.0.poll_timeout(), Some(at(31_000)));
}

#[test]
fn a_withdrawal_is_silent_and_immediate() {
    let mut bed = Bed::new();
    bed.own(0, ETH0, VIP, true);
    // Half a round is out, an answer waits, and more rounds are due.
    assert!(matches!(bed.0.poll_output(at(0)), Some(Output::Answering { mac: Some(MAC), .. })));
    assert!(matches!(bed.0.poll_output(at(0)), Some(Output::Send { .. })));
    bed.frame(0, ETH0, QUESTION);
    bed.own(0, ETH0, VIP, false);
    assert!(bed.drain(0).is_empty());
    assert_eq!(bed.0.poll_timeout(), None);
    bed.frame(1, ETH0, QUESTION);
    assert!(bed.drain(1).is_empty());
    assert_eq!(bed.0.drops().get(Silence::NotOwned), 1);
    assert!(bed.0.counters().is_empty());
    // Once more, and of something that was never ours.
    bed.own(2, ETH0, VIP, false);
    bed.own(2, ETH1, VIP, false);
    assert!(bed.drain(2).is_empty());
}

#[test]
fn requests_are_answered_on_the_link_that_owns() {
    let mut bed = Bed::settled();
    bed.link(10_000, ETH1, Some(NEW_MAC));
    bed.frame(10_000, ETH0, QUESTION);
    bed.frame(10_000, ETH1, QUESTION);
    let expected = answer(&QUESTION, MAC, |address| address == VIP).expect("an answer");
    assert_eq!(packets(bed.drain(10_000)), [(ETH0, expected)]);
    assert_eq!(bed.0.drops().get(Silence::NotOwned), 1);
    let counters = bed.0.counters()[&IpAddr::V4(VIP)];
    assert_eq!((counters.requests, counters.responses), (1, 1));
}

#[test]
fn answers_go_before_announcements() {
    let mut bed = Bed::settled();
    bed.own(10_000, ETH0, VIP2, true);
    bed.frame(10_000, ETH0, QUESTION);
    let sent = packets(bed.drain(10_000));
    let destinations: Vec<_> = sent.iter().map(|(_, packet)| packet.destination).collect();
    // The last one tells the asker of the takeover.
    assert_eq!(destinations, [CLIENT, BROADCAST, BROADCAST, CLIENT]);
}

#[test]
fn a_new_mac_is_announced_at_once() {
    let mut bed = Bed::new();
    bed.own(0, ETH0, VIP, true);
    bed.own(0, ETH0, VIP2, true);
    assert_eq!(bed.drain(0).len(), 4);
    bed.frame(10, ETH0, QUESTION);
    bed.link(10, ETH0, Some(NEW_MAC));
    let sent: Vec<_> = packets(bed.drain(10)).into_iter().map(|(_, packet)| packet).collect();
    // The answer that waited names the new MAC as well.
    let expected: Vec<_> = [Packet::reply(NEW_MAC, VIP, CLIENT, QUESTION.sender_ip)]
        .into_iter()
        .chain(
            [Operation::Request, Operation::Reply]
                .into_iter()
                .flat_map(|form| [VIP, VIP2].map(|vip| Packet::gratuitous(form, NEW_MAC, vip))),
        )
        .chain([VIP, VIP2].map(|vip| Packet::reply(NEW_MAC, vip, CLIENT, QUESTION.sender_ip)))
        .collect();
    assert_eq!(sent, expected);
    // Netlink repeats itself; that is no news.
    bed.link(11, ETH0, Some(NEW_MAC));
    assert!(bed.drain(11).is_empty());
}

#[test]
fn a_link_that_returns_is_announced_at_once() {
    let mut bed = Bed::new();
    bed.own(0, ETH0, VIP, true);
    assert_eq!(bed.drain(0).len(), 2);
    bed.link(50, ETH0, None);
    assert!(bed.drain(50).is_empty());
    assert_eq!(bed.0.poll_timeout(), None);
    bed.frame(50, ETH0, QUESTION);
    assert!(bed.drain(5_000).is_empty());
    assert_eq!(bed.0.drops().get(Silence::NoLink), 1);
    bed.link(5_050, ETH0, Some(MAC));
    assert_eq!(bed.drain(5_050).len(), 2);
    assert_eq!(bed.0.poll_timeout(), Some(at(5_150)));
    // A link may be gone for good, and its addresses withdrawn one by one: nothing stays behind.
    bed.link(6_000, ETH0, None);
    bed.own(6_000, ETH0, VIP, false);
    assert!(bed.0.links.is_empty());
    assert!(bed.drain(6_000).is_empty());
    assert_eq!(bed.0.poll_timeout(), None);
}

#[test]
fn a_link_without_a_station_address_is_not_up() {
    let mut bed = Bed::unlinked();
    bed.own(0, ETH0, VIP, true);
    for mac in [[0; 6], BROADCAST] {
        bed.link(0, ETH0, Some(mac));
        assert!(bed.drain(0).is_empty());
    }
}

#[test]
fn a_conflict_is_reported_once_a_second() {
    let mut bed = Bed::settled();
    let conflict = CONFLICT;
    for (now, expected) in
        [(20_000, Some(conflict)), (20_001, None), (20_999, None), (21_000, Some(conflict)), (21_500, None)]
    {
        bed.frame(now, ETH0, CLAIM);
        assert_eq!(bed.drain(now).pop(), expected, "at {now}");
    }
    // The reply form and a plain question from a station that uses the address count as well.
    bed.frame(30_000, ETH0, Packet::gratuitous(Operation::Reply, CLIENT, VIP));
    bed.frame(30_000, ETH0, Packet { sender_ip: VIP, target_ip: VIP2, ..QUESTION });
    assert_eq!(bed.drain(30_000), [conflict]);
    assert_eq!(bed.0.counters()[&IpAddr::V4(VIP)].conflicts, 7);
    assert_eq!(bed.0.drops().get(Silence::SenderClaimsAddress), 7);
    // After a withdrawal the claim is somebody's right.
    bed.frame(40_000, ETH0, CLAIM);
    bed.own(40_000, ETH0, VIP, false);
    assert_eq!(bed.drain(40_000), [CONFLICT_OVER]);
}

#[test]
fn our_own_frames_are_no_conflict() {
    let mut bed = Bed::settled();
    bed.link(20_000, ETH1, Some(NEW_MAC));
    // Back through a loop, and from our other link in the same LAN.
    bed.frame(20_000, ETH0, Packet::gratuitous(Operation::Request, MAC, VIP));
    bed.frame(20_000, ETH0, Packet::gratuitous(Operation::Request, NEW_MAC, VIP));
    assert!(bed.drain(20_000).is_empty());
    assert_eq!(bed.0.drops().get(Silence::SpoofedSender), 2);
    assert_eq!(bed.0.counters()[&IpAddr::V4(VIP)].conflicts, 0);
    // A stranger's MAC that turns out to be that of a link we had not heard of.
    bed.frame(30_000, ETH0, CLAIM);
    bed.link(30_000, ETH1, Some(CLIENT));
    assert!(bed.drain(30_000).is_empty());
}

#[test]
fn a_driver_that_does_not_poll_costs_bounded_memory() {
    let mut bed = Bed::settled();
    for _ in 0..BACKLOG + 5 {
        bed.frame(20_000, ETH0, QUESTION);
    }
    bed.frame(20_000, ETH0, CLAIM);
    assert_eq!(bed.0.drops().get(Silence::Backlog), 5);
    assert_eq!(bed.drain(20_000).len(), BACKLOG);
    // The report that found no room is not forgotten for a second.
    bed.frame(20_001, ETH0, CLAIM);
    assert_eq!(bed.drain(20_001), [CONFLICT]);
}

#[test]
fn every_drop_is_counted_by_reason() {
    let mut bed = Bed::settled();
    bed.0.handle_input(at(0), Input::Frame { link: ETH0, frame: b"short" });
    bed.frame(0, ETH0, Packet { operation: Operation::Reply, ..QUESTION });
    bed.frame(0, ETH0, Packet { sender_mac: BROADCAST, ..QUESTION });
    bed.frame(0, 77, QUESTION);
    let counted: Vec<_> = bed
        .0
        .drops()
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| (reason.as_str(), count))
        .collect();
    assert_eq!(counted, [("spoofed_sender", 1), ("not_request", 1), ("no_link", 1), ("too_short", 1)]);
}

/// What a world can do to an announcer.
#[derive(Clone, Debug)]
enum Step {
    Link(u32, Option<u8>),
    Own(u32, IpAddr, Option<Duty>),
    Defend(u32, IpAddr),
    Ask(u32, [u8; 5]),
    Solicit(u32, [u8; 5]),
    Wait(u64),
    /// Take one output and leave the rest.
    Poll,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    let parts = || [0..6_u8, 0..6_u8, 0..6_u8, 0..6_u8, 0..6_u8];
    prop_oneof![
        (0..3_u32, proptest::option::of(0..4_u8)).prop_map(|(link, mac)| Step::Link(link, mac)),
        (0..3_u32, address(), duty()).prop_map(|(link, address, duty)| Step::Own(link, address, duty)),
        (0..3_u32, address()).prop_map(|(link, address)| Step::Defend(link, address)),
        (0..3_u32, parts()).prop_map(|(link, parts)| Step::Ask(link, parts)),
        (0..3_u32, parts()).prop_map(|(link, parts)| Step::Solicit(link, parts)),
        (0..100_u64).prop_map(Step::Wait),
        (0..12_000_u64).prop_map(Step::Wait),
        (60_000..70_000_u64).prop_map(Step::Wait),
        Just(Step::Poll),
        Just(Step::Drain),
    ]
}

fn address() -> impl Strategy<Value = IpAddr> {
    (0..5_u8, any::<bool>()).prop_map(|(n, four)| if four { v4(n).into() } else { v6(n).into() })
}

fn duty() -> impl Strategy<Value = Option<Duty>> {
    let refresh = proptest::option::of((1..90_u64).prop_map(Duration::from_secs));
    let duty = (any::<bool>(), refresh).prop_map(|(probe, refresh)| Duty { probe, refresh });
    proptest::option::of(duty)
}

/// The last two are no stations.
fn mac(n: u8) -> Mac {
    if n == 5 { BROADCAST } else { [0x02 | u8::from(n == 4), 0, 0, 0, 0, n] }
}

const fn v4(n: u8) -> Ipv4Addr {
    if n == 0 { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::new(10, 0, 0, n) }
}

/// Two neighbouring numbers share a group.
const fn v6(n: u8) -> Ipv6Addr {
    if n == 0 { Ipv6Addr::UNSPECIFIED } else { Ipv6Addr::new(0xfd00, 0, 0, n as u16, 0, 0, 0, n as u16 / 2) }
}

fn question([destination, sender, sender_ip, target_ip, operation]: [u8; 5]) -> Frame {
    let packet = Packet {
        destination: mac(destination),
        source: mac(sender),
        operation: if operation < 4 { Operation::Request } else { Operation::Reply },
        sender_mac: mac(sender),
        sender_ip: v4(sender_ip),
        target_mac: [0; 6],
        target_ip: v4(target_ip),
    };
    packet.emit()
}

fn solicitation([destination, sender, source_ip, target, kind]: [u8; 5]) -> Frame {
    let solicitation = ndp::Packet::solicitation(mac(sender), v6(source_ip), v6(target));
    let packet = match kind {
        0..3 => solicitation,
        3 => ndp::Packet { destination: mac(destination), destination_ip: v6(target), ..solicitation },
        4 => ndp::Packet::unsolicited(mac(sender), v6(target)),
        _ => ndp::Packet::reply(mac(sender), v6(target), mac(destination), v6(source_ip)),
    };
    packet.emit()
}

proptest! {
    #[test]
    fn whatever_happens_we_speak_only_for_what_is_ours(
        steps in proptest::collection::vec(step(), 0..200),
        seed: u64,
    ) {
        let mut announcer = Announcer::new(Setup { seed, ..Setup::default() });
        let mut links = BTreeMap::new();
        let mut groups = BTreeSet::new();
        let mut answered = BTreeMap::new();
        let mut conflicts = BTreeSet::new();
        let mut now = Instant::ZERO;
        for step in steps {
            let mut outputs = Vec::new();
            let drained = matches!(step, Step::Drain);
            match step {
                Step::Link(link, n) => {
                    let mac = n.map(mac);
                    links.insert(link, mac.filter(|mac| is_station(*mac)));
                    announcer.handle_input(now, Input::Link { link, mac });
                }
                Step::Own(link, address, duty) => {
                    announcer.handle_input(now, Input::Own { link, address, duty });
                    prop_assert_eq!(announcer.owns(link, address), duty.is_some() && !address.is_unspecified());
                }
                Step::Defend(link, address) => announcer.handle_input(now, Input::Defend { link, address }),
                Step::Ask(link, parts) => {
                    announcer.handle_input(now, Input::Frame { link, frame: question(parts).as_bytes() });
                }
                Step::Solicit(link, parts) => {
                    announcer.handle_input(now, Input::Frame { link, frame: solicitation(parts).as_bytes() });
                }
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Poll => outputs.extend(announcer.poll_output(now)),
                Step::Drain => outputs = drain(&mut announcer, now),
            }
            for output in outputs {
                match output {
                    Output::Send { link, frame } => {
                        let (source, sender, address, asks) = if is_ipv6(frame.as_bytes()) {
                            let packet = ndp::Packet::parse(frame.as_bytes()).expect("ours parse");
                            if packet.is_probe() {
                                (packet.source, Some(packet.source), IpAddr::V6(packet.target), true)
                            } else {
                                prop_assert_ne!(packet.kind, ndp::Kind::Solicitation);
                                prop_assert_eq!(packet.source_ip, packet.target);
                                (packet.source, packet.mac, IpAddr::V6(packet.target), false)
                            }
                        } else {
                            let packet = Packet::parse(frame.as_bytes()).expect("ours parse");
                            let asks = packet.sender_ip.is_unspecified();
                            let about = if asks { packet.target_ip } else { packet.sender_ip };
                            (packet.source, Some(packet.sender_mac), IpAddr::V4(about), asks)
                        };
                        prop_assert_eq!(sender, links[&link]);
                        prop_assert_eq!(Some(source), sender);
                        prop_assert!(announcer.owns(link, address));
                        // What is still asked for is not announced.
                        prop_assert!(asks || announcer.answers(link, address) == sender);
                        prop_assert!(asks || answered.get(&(link, address)) == sender.as_ref());
                    }
                    Output::Answering { link, address, mac } => {
                        let before = match mac {
                            Some(mac) => answered.insert((link, address), mac),
                            None => answered.remove(&(link, address)),
                        };
                        prop_assert_ne!(before, mac);
                    }
                    Output::Conflict { link, address, mac, announced } => {
                        prop_assert!(announcer.owns(link, address));
                        prop_assert!(is_station(mac));
                        prop_assert!(links.values().all(|ours| *ours != Some(mac)));
                        prop_assert!(announced || announcer.answers(link, address).is_none());
                        conflicts.insert((link, address));
                    }
                    Output::ConflictOver { link, address } => {
                        prop_assert!(conflicts.remove(&(link, address)));
                    }
                    Output::Join { link, group } => prop_assert!(groups.insert((link, group))),
                    Output::Leave { link, group } => prop_assert!(groups.remove(&(link, group))),
                }
            }
            if drained {
                let up = links.iter().filter(|(_, mac)| mac.is_some());
                let places = up.flat_map(|(link, _)| (1..5).map(|n| (*link, v6(n))));
                let owned = places.filter(|(link, address)| announcer.owns(*link, IpAddr::V6(*address)));
                let wanted: BTreeSet<_> =
                    owned.map(|(link, address)| (link, ndp::solicited_node(address))).collect();
                prop_assert_eq!(&groups, &wanted);
                for ((link, address), mac) in &answered {
                    prop_assert_eq!(announcer.answers(*link, *address), Some(*mac));
                }
                let gone = conflicts.iter().find(|(link, address)| !announcer.owns(*link, *address));
                prop_assert_eq!(gone, None);
            }
        }
    }
}
