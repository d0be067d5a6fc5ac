//! What a neighbour may send to do harm: nothing comes of it but a count by reason, whether the address that it is about
//! is announced or still asked for.

use super::*;
use crate::{arp, ndp::Packet as Ndp};

const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
const ASKER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);
const GROUP_MAC: Mac = [0x01, 0, 0x5e, 0, 0, 1];

/// A frame, and why nothing comes of it.
type Case = (&'static str, Vec<u8>, Silence);

fn patched(frame: Frame, offset: usize, octets: &[u8]) -> Vec<u8> {
    let mut frame = frame.as_bytes().to_vec();
    frame[offset..offset + octets.len()].copy_from_slice(octets);
    frame
}

fn resized(frame: Frame, len: usize) -> Vec<u8> {
    let mut frame = frame.as_bytes().to_vec();
    frame.resize(len, 0);
    frame
}

fn of_arp() -> Vec<Case> {
    let question = QUESTION.emit();
    let said = |packet: Packet| packet.emit().as_bytes().to_vec();
    let malformed = Silence::Arp;
    alloc::vec![
        ("nothing", Vec::new(), malformed(arp::Malformed::TooShort)),
        ("short", question.as_bytes()[..41].to_vec(), malformed(arp::Malformed::TooShort)),
        ("long", resized(question, 1519), malformed(arp::Malformed::TooLong)),
        ("token ring", patched(question, 14, &[0, 6]), malformed(arp::Malformed::HardwareType)),
        ("not IPv4", patched(question, 16, &[0x86, 0xdd]), malformed(arp::Malformed::ProtocolType)),
        ("MAC of 8", patched(question, 18, &[8]), malformed(arp::Malformed::AddressLength)),
        ("IP of 255", patched(question, 19, &[255]), malformed(arp::Malformed::AddressLength)),
        ("reverse ARP", patched(question, 20, &[0, 3]), malformed(arp::Malformed::Operation)),
        ("a VLAN's", patched(question, 12, &[0x81, 0, 0, 5, 8, 6]), Silence::NotArp),
        ("sender MAC is ours", said(Packet { sender_mac: MAC, ..QUESTION }), Silence::SpoofedSender),
        ("source is ours", said(Packet { source: MAC, ..QUESTION }), Silence::SpoofedSender),
        ("our own claim", said(Packet::gratuitous(Operation::Reply, MAC, VIP)), Silence::SpoofedSender),
        ("our own question", said(Packet::probe(MAC, VIP)), Silence::SpoofedSender),
        ("broadcast sender", said(Packet { sender_mac: BROADCAST, ..CLAIM }), Silence::SpoofedSender),
        ("multicast sender", said(Packet { sender_mac: GROUP_MAC, ..CLAIM }), Silence::SpoofedSender),
        ("nobody sends", said(Packet { sender_mac: [0; 6], ..CLAIM }), Silence::SpoofedSender),
        (
            "a reply to us that says nothing of ours",
            said(Packet { destination: MAC, target_mac: MAC, operation: Operation::Reply, ..QUESTION }),
            Silence::NotRequest
        ),
        ("for another host", said(Packet { destination: NEW_MAC, ..QUESTION }), Silence::NotForUs),
        ("for a group", said(Packet { destination: GROUP_MAC, ..QUESTION }), Silence::NotForUs),
        ("not ours", said(Packet { target_ip: VIP2, ..QUESTION }), Silence::NotOwned),
        ("for everybody", said(Packet { target_ip: Ipv4Addr::BROADCAST, ..QUESTION }), Silence::NotOwned),
    ]
}

fn of_ndp() -> Vec<Case> {
    let question = Ndp::solicitation(CLIENT, ASKER, V6);
    let frame = question.emit();
    let claim = Ndp::unsolicited(CLIENT, V6);
    let said = |packet: Ndp| packet.emit().as_bytes().to_vec();
    let malformed = Silence::Ndp;
    let stranger = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77);
    alloc::vec![
        ("short", frame.as_bytes()[..77].to_vec(), malformed(ndp::Malformed::TooShort)),
        ("long", resized(frame, 1519), malformed(ndp::Malformed::TooLong)),
        ("wrong length", patched(frame, 18, &[0xff, 0xff]), malformed(ndp::Malformed::TooShort)),
        ("version 4", patched(frame, 14, &[0x45]), malformed(ndp::Malformed::Version)),
        ("from afar", patched(frame, 21, &[254]), malformed(ndp::Malformed::HopLimit)),
        ("wrong checksum", patched(frame, 56, &[0, 1]), malformed(ndp::Malformed::Checksum)),
        (
            "a claim with a wrong checksum",
            patched(claim.emit(), 56, &[0, 1]),
            malformed(ndp::Malformed::Checksum)
        ),
        ("echo", patched(frame, 54, &[128]), Silence::NotNdp),
        ("a fragment", patched(frame, 20, &[44]), Silence::NotNdp),
        ("a VLAN's", patched(frame, 12, &[0x81, 0, 0, 5, 0x86, 0xdd]), Silence::NotArp),
        (
            "from loopback",
            said(Ndp { source_ip: Ipv6Addr::LOCALHOST, ..question }),
            malformed(ndp::Malformed::Source)
        ),
        (
            "a probe to one host",
            said(Ndp {
                destination: MAC,
                destination_ip: V6,
                ..Ndp::solicitation(CLIENT, Ipv6Addr::UNSPECIFIED, V6)
            }),
            malformed(ndp::Malformed::ProbeDestination)
        ),
        (
            "a probe with an address",
            said(Ndp { mac: Some(CLIENT), ..Ndp::solicitation(CLIENT, Ipv6Addr::UNSPECIFIED, V6) }),
            malformed(ndp::Malformed::ProbeOption)
        ),
        ("sender MAC is ours", said(Ndp { mac: Some(MAC), ..question }), Silence::SpoofedSender),
        ("source is ours", said(Ndp { source: MAC, ..question }), Silence::SpoofedSender),
        ("our own claim", said(Ndp::unsolicited(MAC, V6)), Silence::SpoofedSender),
        ("our own probe", said(Ndp::solicitation(MAC, Ipv6Addr::UNSPECIFIED, V6)), Silence::SpoofedSender),
        ("broadcast sender", said(Ndp { mac: Some(BROADCAST), ..claim }), Silence::SpoofedSender),
        ("multicast sender", said(Ndp { mac: None, source: GROUP_MAC, ..claim }), Silence::SpoofedSender),
        ("a claim of others", said(Ndp::unsolicited(CLIENT, stranger)), Silence::NotRequest),
        ("for another host", said(Ndp { destination: NEW_MAC, ..question }), Silence::NotForUs),
        ("to all nodes", said(Ndp { destination_ip: ndp::ALL_NODES, ..question }), Silence::NotForUs),
        ("not ours", said(Ndp::solicitation(CLIENT, ASKER, stranger)), Silence::NotOwned),
    ]
}

#[test]
fn nothing_comes_of_it_but_a_count() {
    for (what, frame, reason) in of_arp().into_iter().chain(of_ndp()) {
        for probe in [false, true] {
            let mut bed = Bed::new();
            for address in [VIP.into(), IpAddr::V6(V6)] {
                let duty = Some(Duty { probe, refresh: None });
                bed.0.handle_input(at(0), Input::Own { link: ETH0, address, duty });
            }
            bed.drain(0);
            bed.0.handle_input(at(1), Input::Frame { link: ETH0, frame: &frame });
            assert_eq!(bed.drain_all(1), [], "{what}");
            let counted: Vec<_> = bed.0.drops().iter().filter(|(_, count)| *count > 0).collect();
            assert_eq!(counted, [(reason, 1)], "{what}");
            assert_eq!(bed.0.counters()[&VIP.into()].conflicts, 0, "{what}");
            assert_eq!(bed.0.counters()[&IpAddr::V6(V6)].conflicts, 0, "{what}");
        }
    }
}
