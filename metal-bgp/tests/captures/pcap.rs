//! BGP messages out of the captures beside this file, which are simple: written by tcpdump on this kind of
//! machine, on Ethernet, complete and in order. Anything else is a mistake and panics.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A message.
pub(crate) struct Captured {
    /// Which TCP connection, in the order of their first segments with data.
    pub(crate) connection: usize,
    /// Who sent it.
    pub(crate) source: IpAddr,
    /// To whom.
    pub(crate) destination: IpAddr,
    /// Its octets.
    pub(crate) bytes: Vec<u8>,
}

/// A direction of a connection: what was received and not cut off yet, and the sequence number after it.
#[derive(Default)]
struct Stream {
    received: Vec<u8>,
    next: Option<u32>,
}

/// The messages of a capture in their order.
pub(crate) fn messages(name: &str) -> Vec<Captured> {
    let path = format!("{}/tests/captures/{name}.pcap", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (header, mut packets) = file.split_at(24);
    assert_eq!(header[..4], [0xd4, 0xc3, 0xb2, 0xa1], "{path}: little-endian, microseconds");
    assert_eq!(header[20..], [1, 0, 0, 0], "{path}: Ethernet");

    let mut messages = Vec::new();
    let mut connections = Vec::new();
    let mut streams: BTreeMap<_, Stream> = BTreeMap::new();
    while !packets.is_empty() {
        let length = u32::from_le_bytes(packets[8..12].try_into().unwrap()) as usize;
        let (source, destination, tcp) = ip(&packets[16 + 14..16 + length]);
        packets = &packets[16 + length..];
        let ports = (word(&tcp[..2]), word(&tcp[2..4]));
        let sequence = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
        let payload = &tcp[usize::from(tcp[12] >> 4) * 4..];
        if payload.is_empty() {
            continue;
        }
        let client = if ports.1 == 179 { (source, ports.0) } else { (destination, ports.1) };
        let connection = connections.iter().position(|other| *other == client).unwrap_or_else(|| {
            connections.push(client);
            connections.len() - 1
        });
        let stream = streams.entry((source, ports)).or_default();
        match stream.next {
            Some(next) if next != sequence => {
                assert!(next.wrapping_sub(sequence) < 1 << 16, "{path}: a segment is missing");
                continue; // sent again
            }
            _ => {}
        }
        stream.next = Some(sequence.wrapping_add(u32::try_from(payload.len()).unwrap()));
        stream.received.extend(payload);
        while stream.received.len() >= 19 {
            let length = usize::from(word(&stream.received[16..18]));
            if stream.received.len() < length {
                break;
            }
            let bytes = stream.received.drain(..length).collect();
            messages.push(Captured { connection, source, destination, bytes });
        }
    }
    assert!(streams.values().all(|stream| stream.received.is_empty()), "{path}: ends inside of a message");
    messages
}

fn ip(packet: &[u8]) -> (IpAddr, IpAddr, &[u8]) {
    match packet[0] >> 4 {
        4 => {
            let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap());
            assert_eq!(packet[9], 6, "TCP");
            let end = usize::from(word(&packet[2..4]));
            (address(12).into(), address(16).into(), &packet[usize::from(packet[0] & 15) * 4..end])
        }
        6 => {
            let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
            assert_eq!(packet[6], 6, "TCP");
            let end = 40 + usize::from(word(&packet[4..6]));
            (address(8).into(), address(24).into(), &packet[40..end])
        }
        version => panic!("IP version {version}"),
    }
}

fn word(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}
