//! IPv6: what differs from IPv4.

use super::*;
use crate::ndp::{Kind, Packet, solicited_node};

const VIP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
/// Asked for in the same group as [`VIP`].
const TWIN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0x12, 0x3456);
const VIP2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x31);
const ASKER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);

const QUESTION: Packet = Packet::solicitation(CLIENT, ASKER, VIP);
const CLAIM: Packet = Packet::unsolicited(CLIENT, VIP);

const GROUP: Ipv6Addr = solicited_node(VIP);
const JOIN: Output = Output::Join { link: ETH0, group: GROUP };
const LEAVE: Output = Output::Leave { link: ETH0, group: GROUP };
const CONFLICT: Output =
    Output::Conflict { link: ETH0, address: IpAddr::V6(VIP), mac: CLIENT, announced: true };

impl Bed {
    /// Owns the address, its announcement is over.
    fn settled_v6() -> Self {
        let mut bed = Self::new();
        bed.own(0, ETH0, VIP, true);
        assert_eq!(bed.outputs_until(at(10_000)).len(), 7);
        bed
    }

    fn ndp(&mut self, now: u64, link: u32, packet: Packet) {
        self.0.handle_input(at(now), Input::Frame { link, frame: packet.emit().as_bytes() });
    }
}

fn said(packet: Packet) -> Output {
    Output::Send { link: ETH0, frame: packet.emit() }
}

#[test]
fn a_takeover_is_announced_in_the_rounds_of_ipv4() {
    let mut bed = Bed::new();
    bed.own(0, ETH0, VIP, true);
    let expected: Vec<_> = [(0, JOIN)]
        .into_iter()
        .chain([0, 100, 1_100, 2_200, 3_300, 4_400].map(|time| (time, said(Packet::unsolicited(MAC, VIP)))))
        .map(|(time, output)| (at(time), output))
        .collect();
    assert_eq!(bed.outputs_until(at(60_000)), expected);
    assert_eq!(bed.0.poll_timeout(), None);
    assert_eq!(bed.0.counters()[&IpAddr::V6(VIP)].gratuitous, 6);
}

#[test]
fn both_families_are_owned_side_by_side() {
    let mut bed = Bed::settled_v6();
    bed.own(10_000, ETH0, super::VIP, true);
    let forms = [Operation::Request, Operation::Reply];
    let gratuitous = |form| crate::arp::Packet::gratuitous(form, MAC, super::VIP);
    let expected = forms.map(|form| Output::Send { link: ETH0, frame: gratuitous(form).emit() });
    assert_eq!(bed.drain(10_000), expected);
    bed.ndp(10_001, ETH0, QUESTION);
    bed.frame(10_001, ETH0, super::QUESTION);
    assert_eq!(bed.drain(10_001).len(), 2);
    bed.own(10_002, ETH0, super::VIP, false);
    assert!(bed.0.owns(ETH0, VIP.into()) && !bed.0.owns(ETH0, super::VIP.into()));
}

#[test]
fn solicitations_are_answered_on_the_link_that_owns() {
    let mut bed = Bed::settled_v6();
    bed.link(10_000, ETH1, Some(NEW_MAC));
    bed.ndp(10_000, ETH0, QUESTION);
    bed.ndp(10_000, ETH1, QUESTION);
    bed.ndp(10_000, ETH0, Packet::solicitation(CLIENT, ASKER, VIP2));
    assert_eq!(bed.drain(10_000), [said(Packet::reply(MAC, VIP, CLIENT, ASKER))]);
    assert_eq!(bed.0.drops().get(Silence::NotOwned), 2);
    let counters = bed.0.counters()[&IpAddr::V6(VIP)];
    assert_eq!((counters.requests, counters.responses), (1, 1));
}

#[test]
fn a_probe_for_duplicates_is_answered_and_told_to_people() {
    let mut bed = Bed::settled_v6();
    let probe = Packet::solicitation(CLIENT, Ipv6Addr::UNSPECIFIED, VIP);
    bed.ndp(20_000, ETH0, probe);
    assert_eq!(bed.drain(20_000), [CONFLICT, said(Packet::unsolicited(MAC, VIP))]);
    // Each is answered, and told about once a second.
    bed.ndp(20_500, ETH0, probe);
    assert_eq!(bed.drain(20_500), [said(Packet::unsolicited(MAC, VIP))]);
    assert_eq!(bed.0.counters()[&IpAddr::V6(VIP)].conflicts, 2);
    // From our other link in the same LAN it is our own kernel that asks.
    bed.link(30_000, ETH1, Some(NEW_MAC));
    bed.ndp(30_000, ETH0, Packet { source: NEW_MAC, ..probe });
    assert!(bed.drain(30_000).is_empty());
    assert_eq!(bed.0.drops().get(Silence::SpoofedSender), 1);
}

#[test]
fn a_conflict_is_reported_once_a_second() {
    let mut bed = Bed::settled_v6();
    let solicited = Kind::Advertisement { router: false, solicited: true, overrides: true };
    for (now, frame, expected) in [
        (20_000, CLAIM, Some(CONFLICT)),
        (20_001, CLAIM, None),
        // To somebody else, without the option, and a question by a station that uses the address.
        (21_000, Packet { destination_ip: ASKER, kind: solicited, ..CLAIM }, Some(CONFLICT)),
        (22_000, Packet { mac: None, ..CLAIM }, Some(CONFLICT)),
        (23_000, Packet { source_ip: ASKER, ..CLAIM }, Some(CONFLICT)),
        (24_000, Packet { target: VIP2, ..CLAIM }, Some(CONFLICT)),
        (25_000, Packet::solicitation(CLIENT, VIP, VIP), Some(CONFLICT)),
    ] {
        bed.ndp(now, ETH0, frame);
        assert_eq!(bed.drain(now).pop(), expected, "at {now}");
    }
    assert_eq!(bed.0.counters()[&IpAddr::V6(VIP)].conflicts, 7);
    // Our own frames that come back are none, nor is what is said about others.
    bed.ndp(30_000, ETH0, Packet::unsolicited(MAC, VIP));
    bed.ndp(30_000, ETH0, Packet::unsolicited(CLIENT, VIP2));
    assert!(bed.drain(30_000).is_empty());
}

#[test]
fn a_withdrawal_is_silent_and_immediate() {
    let mut bed = Bed::new();
    bed.own(0, ETH0, VIP, true);
    let answering = Output::Answering { link: ETH0, address: VIP.into(), mac: Some(MAC) };
    assert_eq!(bed.0.poll_output(at(0)), Some(answering));
    assert_eq!(bed.0.poll_output(at(0)), Some(JOIN));
    bed.ndp(0, ETH0, QUESTION);
    bed.own(0, ETH0, VIP, false);
    assert_eq!(bed.drain(0), [LEAVE]);
    assert_eq!(bed.0.poll_timeout(), None);
    bed.ndp(1, ETH0, QUESTION);
    assert!(bed.drain(1).is_empty());
}

#[test]
fn a_new_mac_and_a_returning_link_are_announced_at_once() {
    let mut bed = Bed::settled_v6();
    bed.link(10_000, ETH0, Some(NEW_MAC));
    assert_eq!(bed.drain(10_000), [said(Packet::unsolicited(NEW_MAC, VIP))]);
    bed.link(10_001, ETH0, None);
    assert_eq!(bed.drain(10_001), [LEAVE]);
    bed.ndp(10_002, ETH0, QUESTION);
    assert!(bed.drain(60_000).is_empty());
    bed.link(60_001, ETH0, Some(MAC));
    assert_eq!(bed.drain(60_001), [JOIN, said(Packet::unsolicited(MAC, VIP))]);
}

#[test]
fn a_group_is_left_with_its_last_address() {
    let mut bed = Bed::settled_v6();
    bed.link(10_000, ETH1, Some(NEW_MAC));
    bed.own(10_000, ETH0, TWIN, true);
    bed.own(10_000, ETH0, TWIN, true);
    bed.own(10_000, ETH1, TWIN, true);
    let memberships = |bed: &mut Bed, now| -> Vec<_> {
        bed.drain(now).into_iter().filter(|output| !matches!(output, Output::Send { .. })).collect()
    };
    assert_eq!(memberships(&mut bed, 10_000), [Output::Join { link: ETH1, group: GROUP }]);
    bed.own(10_001, ETH0, VIP, false);
    assert!(memberships(&mut bed, 10_001).is_empty());
    bed.own(10_002, ETH0, TWIN, false);
    assert_eq!(memberships(&mut bed, 10_002), [LEAVE]);
    // Given and taken between two polls: nothing has happened.
    bed.own(10_003, ETH0, VIP, true);
    bed.own(10_003, ETH0, VIP, false);
    assert!(bed.drain(10_003).is_empty());
    // A link that has not been named yet.
    bed.own(10_004, 77, VIP, true);
    assert!(bed.drain(10_004).is_empty());
    bed.link(10_005, 77, Some(CLIENT));
    assert_eq!(memberships(&mut bed, 10_005), [Output::Join { link: 77, group: GROUP }]);
}

#[test]
fn what_no_station_can_have_is_never_owned() {
    let mut bed = Bed::new();
    for address in [Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST, crate::ndp::ALL_NODES] {
        bed.own(0, ETH0, address, true);
    }
    for address in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST, Ipv4Addr::new(224, 0, 0, 1)] {
        bed.own(0, ETH0, address, true);
    }
    assert!(bed.drain(0).is_empty());
}
