//! The ARP requests that the lab probes with. Each carries its number where an answer returns it.

use std::net::Ipv4Addr;

use metal_arp::{Frame, Operation, Packet};
use metal_core::view::Mac;

/// How many requests can be told apart: as many as the benchmarking prefix 198.18.0.0/15 has addresses.
pub(crate) const NUMBERS: u32 = 1 << 17;

const FIRST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// A broadcast request for `target`. It claims to come from an address that nobody has, so that no
/// neighbour entry on the LAN is refreshed by it, and that address is the number: an answer carries it back.
pub(crate) fn request(number: u32, source: Mac, target: Ipv4Addr) -> Frame {
    let packet = Packet {
        destination: [0xff; 6],
        source,
        operation: Operation::Request,
        sender_mac: source,
        sender_ip: Ipv4Addr::from_bits(FIRST.to_bits() | (number % NUMBERS)),
        target_mac: [0; 6],
        target_ip: target,
    };
    packet.emit()
}

/// The number of the request that a frame answers, and who answers; `None` for any other frame.
pub(crate) fn answer(frame: &[u8], source: Mac, target: Ipv4Addr) -> Option<(u32, Mac)> {
    let packet = Packet::parse(frame).ok()?;
    let number = packet.target_ip.to_bits() ^ FIRST.to_bits();
    let ours = packet.operation == Operation::Reply
        && packet.sender_ip == target
        && packet.target_mac == source
        && number < NUMBERS;
    ours.then_some((number, packet.sender_mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Mac = [2, 0, 0, 0, 0, 100];
    const OWNER: Mac = [2, 0, 0, 0, 0, 11];
    const TARGET: Ipv4Addr = Ipv4Addr::new(192, 168, 42, 200);

    fn reply(request: &Frame) -> Frame {
        metal_arp::reply(request.as_bytes(), OWNER, |address| address == TARGET).unwrap()
    }

    #[test]
    fn an_answer_brings_the_number_back() {
        for number in [0, 1, 0x1_0203, NUMBERS - 1] {
            let reply = reply(&request(number, SOURCE, TARGET));
            assert_eq!(answer(reply.as_bytes(), SOURCE, TARGET), Some((number, OWNER)));
        }
    }

    #[test]
    fn other_frames_are_none() {
        let request = request(7, SOURCE, TARGET);
        let reply = reply(&request);
        assert_eq!(answer(request.as_bytes(), SOURCE, TARGET), None);
        assert_eq!(answer(&reply.as_bytes()[..41], SOURCE, TARGET), None);
        assert_eq!(answer(reply.as_bytes(), OWNER, TARGET), None);
        assert_eq!(answer(reply.as_bytes(), SOURCE, Ipv4Addr::new(192, 168, 42, 201)), None);
        let gratuitous = Packet::gratuitous(Operation::Reply, OWNER, TARGET).emit();
        assert_eq!(answer(gratuitous.as_bytes(), SOURCE, TARGET), None);
    }
}
