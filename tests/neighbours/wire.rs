//! Frames made by hand, and answers to them, on one link.

use std::{
    cell::Cell,
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use metal_arp::{Operation, Packet, ndp};
use metal_core::view::Mac;
use metal_net::{BlockingPacketSocket, Filter};

use crate::{host::Host, lan::DEADLINE};

/// How long an answer is waited for before the question is asked again.
const PATIENCE: Duration = Duration::from_millis(10);
/// For how long further answers to a question are looked out for.
const ALL_ANSWERS: Duration = Duration::from_millis(200);

/// A link of a host, for questions that its kernel knows nothing of: they come from addresses that nobody has, which
/// number them.
pub(crate) struct Wire {
    arp: BlockingPacketSocket,
    ndp: BlockingPacketSocket,
    mac: Mac,
    number: Cell<u16>,
}

impl Wire {
    /// Opens it.
    pub(crate) fn open(host: &Host, link: &str) -> Self {
        let (index, state) = host.network.link(link).expect("a link");
        let open = |filter| {
            let socket = host.namespace.within(|| BlockingPacketSocket::open(index, filter));
            socket.expect("a thread").unwrap_or_else(|error| panic!("{error}"))
        };
        Self { arp: open(Filter::Arp), ndp: open(Filter::Ndp), mac: state.mac, number: Cell::new(0) }
    }

    /// A question for an address: a broadcast ARP request, or a solicitation to its group.
    pub(crate) fn question(&self, address: IpAddr) -> Vec<u8> {
        let number = self.number.get().wrapping_add(1);
        self.number.set(number);
        let frame = match address {
            IpAddr::V4(target_ip) => Packet {
                destination: [0xff; 6],
                source: self.mac,
                operation: Operation::Request,
                sender_mac: self.mac,
                sender_ip: asker_v4(number),
                target_mac: [0; 6],
                target_ip,
            }
            .emit(),
            IpAddr::V6(target) => ndp::Packet::solicitation(self.mac, asker_v6(number), target).emit(),
        };
        frame.as_bytes().to_vec()
    }

    /// Sends any frame.
    pub(crate) fn send(&self, frame: &[u8]) {
        self.arp.send(frame).expect("a link that is up");
    }

    /// Asks once; everybody who answers, once each. During a takeover some who have asked are told again.
    pub(crate) fn answers(&self, address: IpAddr) -> Vec<Mac> {
        let question = self.question(address);
        let all: BTreeSet<Mac> = self.answers_to(&question, address).into_iter().collect();
        all.into_iter().collect()
    }

    /// Sends a frame; every answer to the latest question for an address.
    pub(crate) fn answers_to(&self, frame: &[u8], address: IpAddr) -> Vec<Mac> {
        self.send(frame);
        let deadline = Instant::now() + ALL_ANSWERS;
        std::iter::from_fn(|| self.answer(address, deadline)).collect()
    }

    /// Asks until somebody answers: who, and after how long.
    #[track_caller]
    pub(crate) fn await_answer(&self, address: IpAddr) -> (Mac, Duration) {
        let begin = Instant::now();
        loop {
            let question = self.question(address);
            self.send(&question);
            if let Some(mac) = self.answer(address, Instant::now() + PATIENCE) {
                return (mac, begin.elapsed());
            }
            assert!(begin.elapsed() < DEADLINE, "nobody answers for {address}");
        }
    }

    /// The next answer to the latest question.
    fn answer(&self, address: IpAddr, deadline: Instant) -> Option<Mac> {
        let (socket, number) = match address {
            IpAddr::V4(_) => (&self.arp, self.number.get()),
            IpAddr::V6(_) => (&self.ndp, self.number.get()),
        };
        let mut frame = [0; 128];
        while let Some(length) = socket.recv_until(&mut frame, deadline).expect("a link") {
            let answer = match address {
                IpAddr::V4(address) => Packet::parse(&frame[..length])
                    .ok()
                    .filter(|packet| {
                        packet.operation == Operation::Reply
                            && packet.sender_ip == address
                            && packet.target_ip == asker_v4(number)
                    })
                    .map(|packet| packet.sender_mac),
                IpAddr::V6(address) => ndp::Packet::parse(&frame[..length])
                    .ok()
                    .filter(|packet| packet.target == address && packet.destination_ip == asker_v6(number))
                    .and_then(|packet| packet.mac),
            };
            if answer.is_some() {
                return answer;
            }
        }
        None
    }
}

/// In a prefix for benchmarks (RFC 2544).
fn asker_v4(number: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() | u32::from(number))
}

/// In a prefix for benchmarks (RFC 5180).
fn asker_v6(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, number)
}

/// A frame with a VLAN tag.
pub(crate) fn tagged(frame: &[u8], tag_protocol: u16, vlan: u16) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(12);
    let tag = [tag_protocol.to_be_bytes(), vlan.to_be_bytes()].concat();
    [addresses, &tag, rest].concat()
}
