use super::*;
use crate::arp;

const NODE: Mac = [0x02, 0, 0, 0, 0, 0x01];
const CLIENT: Mac = [0x02, 0, 0, 0, 0, 0x99];
const OTHER: Mac = [0x02, 0, 0, 0, 0, 0x02];
const MULTICAST: Mac = [0x01, 0, 0x5e, 0, 0, 0x01];
const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 30);

const QUESTION: Packet = Packet {
    destination: BROADCAST,
    source: CLIENT,
    operation: Operation::Request,
    sender_mac: CLIENT,
    sender_ip: Ipv4Addr::new(192, 168, 1, 7),
    target_mac: [0; 6],
    target_ip: VIP,
};

fn ask(question: Packet) -> Result<Packet, Silence> {
    reply(question.emit().as_bytes(), NODE, |address| address == IpAddr::V4(VIP))
        .map(|frame| Packet::parse(frame.as_bytes()).expect("the answer parses"))
}

#[test]
fn the_answer_goes_to_the_requester_alone() {
    let answer = Packet {
        destination: CLIENT,
        source: NODE,
        operation: Operation::Reply,
        sender_mac: NODE,
        sender_ip: VIP,
        target_mac: CLIENT,
        target_ip: QUESTION.sender_ip,
    };
    assert_eq!(ask(QUESTION), Ok(answer));
    // A neighbour that checks its cache asks us directly (RFC 1122 2.3.2.1).
    assert_eq!(ask(Packet { destination: NODE, ..QUESTION }), Ok(answer));
    // Nobody reads the target MAC of a request.
    assert_eq!(ask(Packet { target_mac: OTHER, ..QUESTION }), Ok(answer));
    // A bridge may put its own source on the frame; the ARP packet says who asks.
    assert_eq!(ask(Packet { source: OTHER, ..QUESTION }), Ok(answer));
}

#[test]
fn a_probe_is_answered() {
    let answer = ask(Packet { sender_ip: Ipv4Addr::UNSPECIFIED, ..QUESTION }).expect("an answer");
    assert_eq!((answer.sender_ip, answer.target_ip), (VIP, Ipv4Addr::UNSPECIFIED));
    assert_eq!(answer.destination, CLIENT);
}

#[test]
fn the_hostile_set_is_ignored_each_with_its_reason() {
    let stranger = Ipv4Addr::new(192, 168, 1, 31);
    for (question, reason) in [
        (Packet { sender_mac: NODE, ..QUESTION }, Silence::SpoofedSender),
        (Packet { source: NODE, ..QUESTION }, Silence::SpoofedSender),
        (Packet { sender_mac: BROADCAST, ..QUESTION }, Silence::SpoofedSender),
        (Packet { sender_mac: MULTICAST, ..QUESTION }, Silence::SpoofedSender),
        (Packet { sender_mac: [0; 6], ..QUESTION }, Silence::SpoofedSender),
        (Packet { sender_mac: NODE, sender_ip: VIP, ..QUESTION }, Silence::SpoofedSender),
        (Packet { sender_ip: VIP, ..QUESTION }, Silence::SenderClaimsAddress),
        (Packet { sender_ip: VIP, target_ip: stranger, ..QUESTION }, Silence::SenderClaimsAddress),
        (
            Packet { sender_ip: VIP, operation: Operation::Reply, destination: OTHER, ..QUESTION },
            Silence::SenderClaimsAddress,
        ),
        (Packet { operation: Operation::Reply, ..QUESTION }, Silence::NotRequest),
        (Packet { operation: Operation::Reply, destination: NODE, ..QUESTION }, Silence::NotRequest),
        (Packet { destination: OTHER, ..QUESTION }, Silence::NotForUs),
        (Packet { destination: MULTICAST, ..QUESTION }, Silence::NotForUs),
        (Packet { target_ip: stranger, ..QUESTION }, Silence::NotOwned),
        (Packet { target_ip: QUESTION.sender_ip, ..QUESTION }, Silence::NotOwned),
    ] {
        assert_eq!(ask(question), Err(reason), "{question:?}");
    }
}

#[test]
fn what_does_not_parse_is_ignored_with_the_reason_of_the_parser() {
    let frame = QUESTION.emit();
    let all = |_| true;
    assert_eq!(reply(&frame.as_bytes()[..41], NODE, all), Err(Silence::Arp(arp::Malformed::TooShort)));
    let mut other = *frame.as_bytes().first_chunk::<60>().expect("a frame is 60 bytes long");
    other[13] = 0;
    assert_eq!(reply(&other, NODE, all), Err(Silence::NotArp));
}

mod ndp_tests {
    use super::*;
    use crate::ndp::{ALL_NODES, Kind, Malformed, Packet, group_mac, solicited_node};

    const VIP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
    const ASKER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);
    const STRANGER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77);
    const QUESTION: Packet = Packet::solicitation(CLIENT, ASKER, VIP);
    const PROBE: Packet = Packet::solicitation(CLIENT, Ipv6Addr::UNSPECIFIED, VIP);
    const CLAIM: Packet = Packet::unsolicited(CLIENT, VIP);

    fn ask(question: Packet) -> Result<Packet, Silence> {
        reply(question.emit().as_bytes(), NODE, |address| address == IpAddr::V6(VIP))
            .map(|frame| Packet::parse(frame.as_bytes()).expect("the answer parses"))
    }

    #[test]
    fn the_answer_goes_to_the_asker_alone_and_overrides() {
        let answer = Packet {
            destination: CLIENT,
            source: NODE,
            source_ip: VIP,
            destination_ip: ASKER,
            kind: Kind::Advertisement { router: false, solicited: true, overrides: true },
            target: VIP,
            mac: Some(NODE),
        };
        assert_eq!(ask(QUESTION), Ok(answer));
        // A neighbour that checks its cache asks us directly, with or without its address (RFC 4861 4.3).
        let direct = Packet { destination: NODE, destination_ip: VIP, ..QUESTION };
        assert_eq!(ask(direct), Ok(answer));
        assert_eq!(ask(Packet { mac: None, ..direct }), Ok(answer));
        assert_eq!(ask(Packet { mac: None, ..QUESTION }), Ok(answer));
        // A bridge may put its own source on the frame; the option says who asks.
        assert_eq!(ask(Packet { source: OTHER, ..QUESTION }), Ok(answer));
    }

    #[test]
    fn a_probe_for_duplicates_is_answered_to_everybody() {
        let answer = ask(PROBE).expect("an answer");
        assert_eq!(answer, Packet::unsolicited(NODE, VIP));
        assert_eq!((answer.destination, answer.destination_ip), ([0x33, 0x33, 0, 0, 0, 1], ALL_NODES));
        let Kind::Advertisement { solicited, .. } = answer.kind else { panic!("{answer:?}") };
        assert!(!solicited);
    }

    #[test]
    fn the_hostile_set_is_ignored_each_with_its_reason() {
        let solicited = Kind::Advertisement { router: false, solicited: true, overrides: false };
        let others = solicited_node(STRANGER);
        for (question, reason) in [
            (Packet { mac: Some(NODE), ..QUESTION }, Silence::SpoofedSender),
            (Packet { source: NODE, ..QUESTION }, Silence::SpoofedSender),
            (Packet { source: NODE, ..PROBE }, Silence::SpoofedSender),
            (Packet { mac: Some(BROADCAST), ..QUESTION }, Silence::SpoofedSender),
            (Packet { mac: Some(MULTICAST), ..QUESTION }, Silence::SpoofedSender),
            (Packet { mac: Some([0; 6]), ..QUESTION }, Silence::SpoofedSender),
            (Packet { source: BROADCAST, ..PROBE }, Silence::SpoofedSender),
            (Packet { mac: Some(NODE), ..CLAIM }, Silence::SpoofedSender),
            (Packet { source_ip: VIP, ..QUESTION }, Silence::SenderClaimsAddress),
            (CLAIM, Silence::SenderClaimsAddress),
            (Packet { mac: None, ..CLAIM }, Silence::SenderClaimsAddress),
            (Packet { source_ip: ASKER, ..CLAIM }, Silence::SenderClaimsAddress),
            (Packet { target: STRANGER, ..CLAIM }, Silence::SenderClaimsAddress),
            (
                Packet { destination: OTHER, destination_ip: ASKER, kind: solicited, ..CLAIM },
                Silence::SenderClaimsAddress,
            ),
            (Packet::unsolicited(CLIENT, STRANGER), Silence::NotRequest),
            (Packet { destination: OTHER, ..QUESTION }, Silence::NotForUs),
            (Packet { destination: BROADCAST, ..QUESTION }, Silence::NotForUs),
            (Packet { destination: group_mac(ALL_NODES), ..QUESTION }, Silence::NotForUs),
            (Packet { destination: NODE, destination_ip: ALL_NODES, ..QUESTION }, Silence::NotForUs),
            (Packet { destination: NODE, destination_ip: STRANGER, ..QUESTION }, Silence::NotForUs),
            (
                Packet { destination: group_mac(others), destination_ip: others, ..QUESTION },
                Silence::NotForUs,
            ),
            (Packet::solicitation(CLIENT, ASKER, STRANGER), Silence::NotOwned),
            (Packet::solicitation(CLIENT, ASKER, ASKER), Silence::NotOwned),
            (Packet::solicitation(CLIENT, Ipv6Addr::UNSPECIFIED, STRANGER), Silence::NotOwned),
            (
                Packet { destination: NODE, destination_ip: VIP, ..PROBE },
                Silence::Ndp(Malformed::ProbeDestination),
            ),
            (Packet { mac: Some(CLIENT), ..PROBE }, Silence::Ndp(Malformed::ProbeOption)),
        ] {
            assert_eq!(ask(question), Err(reason), "{question:?}");
        }
    }
}
