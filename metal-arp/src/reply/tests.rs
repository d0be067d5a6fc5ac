use alloc::vec::Vec;

use super::*;

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
    reply(question.emit().as_bytes(), NODE, |address| address == VIP)
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
    assert_eq!(reply(&frame.as_bytes()[..41], NODE, all), Err(Silence::Malformed(Malformed::TooShort)));
    let mut other = *frame.as_bytes().first_chunk::<60>().expect("a frame is 60 bytes long");
    other[13] = 0;
    assert_eq!(reply(&other, NODE, all), Err(Silence::NotArp));
}

#[test]
fn every_reason_has_its_place_and_name() {
    for (index, reason) in Silence::ALL.into_iter().enumerate() {
        assert_eq!(reason.index(), index, "{reason}");
    }
    for what in Malformed::ALL {
        assert!(Silence::ALL.contains(&Silence::Malformed(what)));
    }
    let mut names: Vec<_> = Silence::ALL.map(Silence::as_str).to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Silence::ALL.len());
}
