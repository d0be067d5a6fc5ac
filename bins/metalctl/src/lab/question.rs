//! What the lab asks for an address: an ARP request, or a neighbour solicitation. Each carries its number where an
//! answer returns it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use metal_arp::{Frame, Operation, Packet, ndp};
use metal_core::view::Mac;

/// How many questions can be told apart: as many as the benchmarking prefix 198.18.0.0/15 has addresses.
pub(crate) const NUMBERS: u32 = 1 << 17;

/// An answer is not longer than this, padding included.
pub(crate) const LONGEST: usize = 128;

const FIRST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
/// The benchmarking prefix of IPv6 (RFC 5180), 2001:2::/48.
const FIRST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0);

/// The question for `target`, to everybody whom it concerns. It claims to come from an address that nobody has, so
/// that no neighbour entry on the LAN is refreshed by it, and that address is the number: an answer carries it back.
pub(crate) fn ask(number: u32, source: Mac, target: IpAddr) -> Frame {
    let number = number % NUMBERS;
    match target {
        IpAddr::V4(target) => Packet {
            destination: [0xff; 6],
            source,
            operation: Operation::Request,
            sender_mac: source,
            sender_ip: Ipv4Addr::from_bits(FIRST.to_bits() | number),
            target_mac: [0; 6],
            target_ip: target,
        }
        .emit(),
        IpAddr::V6(target) => {
            let asker = Ipv6Addr::from_bits(FIRST_V6.to_bits() | u128::from(number));
            ndp::Packet::solicitation(source, asker, target).emit()
        }
    }
}

/// The number of the question that a frame answers, and who answers; `None` for any other frame.
pub(crate) fn answer(frame: &[u8], source: Mac, target: IpAddr) -> Option<(u32, Mac)> {
    match target {
        IpAddr::V4(target) => {
            let packet = Packet::parse(frame).ok()?;
            let number = packet.target_ip.to_bits() ^ FIRST.to_bits();
            let ours = packet.operation == Operation::Reply
                && packet.sender_ip == target
                && packet.target_mac == source
                && number < NUMBERS;
            ours.then_some((number, packet.sender_mac))
        }
        IpAddr::V6(target) => {
            let packet = ndp::Packet::parse(frame).ok()?;
            let number = u32::try_from(packet.destination_ip.to_bits() ^ FIRST_V6.to_bits()).ok()?;
            let ours = matches!(packet.kind, ndp::Kind::Advertisement { solicited: true, .. })
                && packet.target == target
                && packet.destination == source
                && number < NUMBERS;
            ours.then_some((number, packet.mac?))
        }
    }
}

/// What a question is called.
pub(crate) const fn name(target: IpAddr) -> &'static str {
    match target {
        IpAddr::V4(_) => "ARP",
        IpAddr::V6(_) => "NDP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Mac = [2, 0, 0, 0, 0, 100];
    const OWNER: Mac = [2, 0, 0, 0, 0, 11];
    const TARGETS: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::new(192, 168, 42, 200)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x200)),
    ];

    fn reply(question: &Frame, target: IpAddr) -> Frame {
        metal_arp::reply(question.as_bytes(), OWNER, |address| address == target).unwrap()
    }

    #[test]
    fn an_answer_brings_the_number_back() {
        for target in TARGETS {
            for number in [0, 1, 0x1_0203, NUMBERS - 1] {
                let reply = reply(&ask(number, SOURCE, target), target);
                assert_eq!(answer(reply.as_bytes(), SOURCE, target), Some((number, OWNER)));
                assert!(reply.as_bytes().len() <= LONGEST);
            }
        }
    }

    #[test]
    fn other_frames_are_none() {
        for (target, other) in TARGETS.into_iter().zip(TARGETS.into_iter().rev()) {
            let question = ask(7, SOURCE, target);
            let reply = reply(&question, target);
            assert_eq!(answer(question.as_bytes(), SOURCE, target), None);
            assert_eq!(answer(&reply.as_bytes()[..41], SOURCE, target), None);
            assert_eq!(answer(reply.as_bytes(), OWNER, target), None);
            assert_eq!(answer(reply.as_bytes(), SOURCE, other), None);
        }
        let [v4, v6] = TARGETS;
        let neighbour = "192.168.42.201".parse().unwrap();
        assert_eq!(answer(reply(&ask(7, SOURCE, v4), v4).as_bytes(), SOURCE, neighbour), None);
        let neighbour = "fd00:42::201".parse().unwrap();
        assert_eq!(answer(reply(&ask(7, SOURCE, v6), v6).as_bytes(), SOURCE, neighbour), None);
        let (IpAddr::V4(v4_only), IpAddr::V6(v6_only)) = (v4, v6) else { panic!("one of each") };
        let gratuitous = Packet::gratuitous(Operation::Reply, OWNER, v4_only).emit();
        assert_eq!(answer(gratuitous.as_bytes(), SOURCE, v4), None);
        let unsolicited = ndp::Packet::unsolicited(OWNER, v6_only).emit();
        assert_eq!(answer(unsolicited.as_bytes(), SOURCE, v6), None);
    }
}
