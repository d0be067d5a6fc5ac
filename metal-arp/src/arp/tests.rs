use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::ethernet::MIN_LEN;

/// Frames as they were seen on a wire, beside what they say.
fn table() -> Vec<(&'static [u8], Packet)> {
    let client = [0x02, 0, 0, 0, 0, 0x99];
    let node = [0x02, 0, 0, 0, 0, 0x01];
    let vip = Ipv4Addr::new(192, 168, 1, 30);
    let request = Packet {
        destination: BROADCAST,
        source: client,
        operation: Operation::Request,
        sender_mac: client,
        sender_ip: Ipv4Addr::new(192, 168, 1, 7),
        target_mac: [0; 6],
        target_ip: vip,
    };
    alloc::vec![
        (
            b"\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x99\x08\x06\
              \x00\x01\x08\x00\x06\x04\x00\x01\
              \x02\x00\x00\x00\x00\x99\xc0\xa8\x01\x07\
              \x00\x00\x00\x00\x00\x00\xc0\xa8\x01\x1e",
            request,
        ),
        // RFC 5227 probe: the sender has no address yet.
        (
            b"\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x99\x08\x06\
              \x00\x01\x08\x00\x06\x04\x00\x01\
              \x02\x00\x00\x00\x00\x99\x00\x00\x00\x00\
              \x00\x00\x00\x00\x00\x00\xc0\xa8\x01\x1e",
            Packet::probe(client, vip),
        ),
        (
            b"\x02\x00\x00\x00\x00\x99\x02\x00\x00\x00\x00\x01\x08\x06\
              \x00\x01\x08\x00\x06\x04\x00\x02\
              \x02\x00\x00\x00\x00\x01\xc0\xa8\x01\x1e\
              \x02\x00\x00\x00\x00\x99\xc0\xa8\x01\x07",
            Packet {
                destination: client,
                source: node,
                operation: Operation::Reply,
                sender_mac: node,
                sender_ip: vip,
                target_mac: client,
                target_ip: Ipv4Addr::new(192, 168, 1, 7),
            },
        ),
        (
            b"\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06\
              \x00\x01\x08\x00\x06\x04\x00\x01\
              \x02\x00\x00\x00\x00\x01\xc0\xa8\x01\x1e\
              \xff\xff\xff\xff\xff\xff\xc0\xa8\x01\x1e",
            Packet::gratuitous(Operation::Request, node, vip),
        ),
        (
            b"\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06\
              \x00\x01\x08\x00\x06\x04\x00\x02\
              \x02\x00\x00\x00\x00\x01\xc0\xa8\x01\x1e\
              \xff\xff\xff\xff\xff\xff\xc0\xa8\x01\x1e",
            Packet::gratuitous(Operation::Reply, node, vip),
        ),
    ]
}

#[test]
fn bytes_and_values_agree_both_ways() {
    for (bytes, packet) in table() {
        assert_eq!(Packet::parse(bytes), Ok(packet));
        let frame = packet.emit();
        let (content, padding) = frame.as_bytes().split_at(bytes.len());
        assert_eq!(content, bytes, "{packet:?}");
        assert!(padding.iter().all(|byte| *byte == 0), "{frame:?}");
        assert_eq!(frame.as_bytes().len(), MIN_LEN);
    }
}

#[test]
fn trailing_bytes_are_left_alone_up_to_a_full_frame() {
    let (bytes, packet) = table().remove(0);
    for len in [bytes.len(), 60, 64, 128, MAX_LEN] {
        let mut frame = bytes.to_vec();
        frame.resize(len, 0xa5);
        assert_eq!(Packet::parse(&frame), Ok(packet), "{len} bytes");
    }
}

#[test]
fn what_is_not_ipv4_over_ethernet_is_refused_with_the_reason() {
    let good = table().remove(0).0.to_vec();
    let patched = |offset: usize, value: &[u8]| {
        let mut frame = good.clone();
        frame[offset..offset + value.len()].copy_from_slice(value);
        frame
    };
    let long = {
        let mut frame = good.clone();
        frame.resize(MAX_LEN + 1, 0);
        frame
    };
    let malformed = Error::Malformed;
    for (frame, reason) in [
        (Vec::new(), malformed(Malformed::TooShort)),
        (good[..13].to_vec(), malformed(Malformed::TooShort)),
        (good[..14].to_vec(), malformed(Malformed::TooShort)),
        (good[..21].to_vec(), malformed(Malformed::TooShort)),
        (good[..41].to_vec(), malformed(Malformed::TooShort)),
        (long, malformed(Malformed::TooLong)),
        (patched(12, b"\x08\x00"), Error::NotArp),
        (patched(12, b"\x86\xdd"), Error::NotArp),
        (patched(12, b"\x81\x00\x00\x05\x08\x06"), Error::NotArp),
        (patched(14, b"\x00\x06"), malformed(Malformed::HardwareType)),
        (patched(16, b"\x86\xdd"), malformed(Malformed::ProtocolType)),
        (patched(18, b"\x00"), malformed(Malformed::AddressLength)),
        (patched(18, b"\xff"), malformed(Malformed::AddressLength)),
        (patched(18, b"\x08"), malformed(Malformed::AddressLength)),
        (patched(19, b"\x10"), malformed(Malformed::AddressLength)),
        (patched(18, b"\x04\x06"), malformed(Malformed::AddressLength)),
        (patched(20, b"\x00\x00"), malformed(Malformed::Operation)),
        (patched(20, b"\x00\x03"), malformed(Malformed::Operation)),
        (patched(20, b"\x01\x01"), malformed(Malformed::Operation)),
    ] {
        assert_eq!(Packet::parse(&frame), Err(reason), "{frame:02x?}");
    }
}

prop_compose! {
    fn packet()(
        destination: Mac,
        source: Mac,
        request: bool,
        sender_mac: Mac,
        sender_ip: u32,
        target_mac: Mac,
        target_ip: u32,
    ) -> Packet {
        Packet {
            destination,
            source,
            operation: if request { Operation::Request } else { Operation::Reply },
            sender_mac,
            sender_ip: sender_ip.into(),
            target_mac,
            target_ip: target_ip.into(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_emitted_parses_to_the_same(packet in packet()) {
        prop_assert_eq!(Packet::parse(packet.emit().as_bytes()), Ok(packet));
    }

    #[test]
    fn what_parses_is_emitted_as_the_same_bytes(
        packet in packet(),
        offset in 0..42_usize,
        value: u8,
    ) {
        let mut frame = packet.emit().as_bytes().to_vec();
        frame[offset] = value;
        if let Ok(packet) = Packet::parse(&frame) {
            let again = packet.emit();
            prop_assert_eq!(again.as_bytes(), &frame[..]);
        }
    }

    #[test]
    fn no_bytes_panic(frame in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = Packet::parse(&frame);
    }
}
