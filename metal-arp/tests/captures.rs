//! Frames that real kernels and tools have sent, read and written again; where they come from: `captures/README.md`.

use std::collections::BTreeMap;

use metal_arp::{Operation, Packet, arp, ndp};

#[test]
fn each_frame_is_read_and_written_again() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for frame in frames(include_bytes!("captures/lab.pcap")) {
        let kind = match frame[12..14] {
            [0x08, 0x06] => arp_frame(frame),
            [0x86, 0xdd] => ndp_frame(frame),
            _ => panic!("{frame:02x?} is of another protocol"),
        };
        *seen.entry(kind).or_default() += 1;
    }
    let kinds: Vec<&str> = seen.keys().copied().collect();
    let expected = [
        "ARP probe",
        "ARP reply",
        "ARP request to all",
        "ARP request to one",
        "IPv6, something else",
        "advertisement asked for",
        "advertisement unasked",
        "gratuitous ARP reply",
        "gratuitous ARP request",
        "probe for duplicates",
        "solicitation to a group",
        "solicitation to one",
    ];
    assert_eq!(kinds, expected, "{seen:?}");
}

fn arp_frame(frame: &[u8]) -> &'static str {
    let packet = Packet::parse(frame).unwrap_or_else(|error| panic!("{error}: {frame:02x?}"));
    assert_is(frame, packet.emit().as_bytes());
    let to_all = packet.destination == [0xff; 6];
    match packet.operation {
        _ if packet.sender_ip == packet.target_ip => match packet.operation {
            Operation::Request => "gratuitous ARP request",
            Operation::Reply => "gratuitous ARP reply",
        },
        Operation::Request if packet.sender_ip.is_unspecified() => "ARP probe",
        Operation::Request if to_all => "ARP request to all",
        Operation::Request => "ARP request to one",
        Operation::Reply => "ARP reply",
    }
}

fn ndp_frame(frame: &[u8]) -> &'static str {
    assert!(matches!(Packet::parse(frame), Err(arp::Error::NotArp)));
    let packet = match ndp::Packet::parse(frame) {
        Ok(packet) => packet,
        Err(ndp::Error::NotNdp) => return "IPv6, something else",
        Err(error) => panic!("{error}: {frame:02x?}"),
    };
    assert_is(frame, packet.emit().as_bytes());
    match packet.kind {
        ndp::Kind::Solicitation if packet.is_probe() => "probe for duplicates",
        ndp::Kind::Solicitation if packet.destination_ip.is_multicast() => "solicitation to a group",
        ndp::Kind::Solicitation => "solicitation to one",
        ndp::Kind::Advertisement { solicited: true, .. } => "advertisement asked for",
        ndp::Kind::Advertisement { .. } => "advertisement unasked",
    }
}

/// Ours is padded to the shortest frame of Ethernet; on a virtual link the kernel's own is not.
#[track_caller]
fn assert_is(captured: &[u8], ours: &[u8]) {
    let (content, padding) = ours.split_at(captured.len());
    assert_eq!(content, captured);
    assert!(padding.iter().all(|octet| *octet == 0), "{padding:02x?}");
}

/// The frames of a file as tcpdump writes it: microseconds, little-endian, Ethernet.
fn frames(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let number = |at: &[u8]| u32::from_le_bytes(at.try_into().expect("four octets"));
    let (header, mut rest) = file.split_at(24);
    assert_eq!((number(&header[..4]), number(&header[20..])), (0xa1b2_c3d4, 1), "a capture of Ethernet");
    std::iter::from_fn(move || {
        let (header, content) = rest.split_at_checked(16)?;
        let length = usize::try_from(number(&header[8..12])).expect("a length");
        let (frame, others) = content.split_at(length);
        rest = others;
        Some(frame)
    })
}
