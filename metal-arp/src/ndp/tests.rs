use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::ethernet::is_station;

const CLIENT: Mac = [0x02, 0, 0, 0, 0, 0x99];
const NODE: Mac = [0x02, 0, 0, 0, 0, 0x01];
const VIP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
const ASKER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

/// Frames beside what they say. `rfc1071` checks their sums by another way.
fn table() -> Vec<(&'static [u8], Packet)> {
    let question = Packet {
        destination: [0x33, 0x33, 0xff, 0x12, 0x34, 0x56],
        source: CLIENT,
        source_ip: ASKER,
        destination_ip: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff12, 0x3456),
        kind: Kind::Solicitation,
        target: VIP,
        mac: Some(CLIENT),
    };
    let answer = Packet {
        destination: CLIENT,
        source: NODE,
        source_ip: VIP,
        destination_ip: ASKER,
        kind: Kind::Advertisement { router: false, solicited: true, overrides: true },
        target: VIP,
        mac: Some(NODE),
    };
    alloc::vec![
        // To the group, with the source's address.
        (
            b"\x33\x33\xff\x12\x34\x56\x02\x00\x00\x00\x00\x99\x86\xdd\
              \x60\x00\x00\x00\x00\x20\x3a\xff\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\
              \xff\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xff\x12\x34\x56\
              \x87\x00\xb2\xbc\x00\x00\x00\x00\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12\x34\x56\
              \x01\x01\x02\x00\x00\x00\x00\x99",
            question,
        ),
        // To the address itself, without: a neighbour that checks its cache.
        (
            b"\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x99\x86\xdd\
              \x60\x00\x00\x00\x00\x18\x3a\xff\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12\x34\x56\
              \x87\x00\x86\xaa\x00\x00\x00\x00\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12\x34\x56",
            Packet { destination: NODE, destination_ip: VIP, mac: None, ..question },
        ),
        // RFC 4862 5.4.2: is the address taken?
        (
            b"\x33\x33\xff\x12\x34\x56\x02\x00\x00\x00\x00\x99\x86\xdd\
              \x60\x00\x00\x00\x00\x18\x3a\xff\
              \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
              \xff\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xff\x12\x34\x56\
              \x87\x00\xe4\x1e\x00\x00\x00\x00\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12\x34\x56",
            Packet { source_ip: Ipv6Addr::UNSPECIFIED, mac: None, ..question },
        ),
        // S and O.
        (
            b"\x02\x00\x00\x00\x00\x99\x02\x00\x00\x00\x00\x01\x86\xdd\
              \x60\x00\x00\x00\x00\x20\x3a\xff\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12\x34\x56\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\
              \x88\x00\x21\xa0\x60\x00\x00\x00\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12\x34\x56\
              \x02\x01\x02\x00\x00\x00\x00\x01",
            answer,
        ),
        // O alone, to all nodes.
        (
            b"\x33\x33\x00\x00\x00\x01\x02\x00\x00\x00\x00\x01\x86\xdd\
              \x60\x00\x00\x00\x00\x20\x3a\xff\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12\x34\x56\
              \xff\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\
              \x88\x00\x90\x5c\x20\x00\x00\x00\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12\x34\x56\
              \x02\x01\x02\x00\x00\x00\x00\x01",
            Packet::unsolicited(NODE, VIP),
        ),
        // What a router says that only confirms (R and S), without its address.
        (
            b"\x02\x00\x00\x00\x00\x99\x02\x00\x00\x00\x00\x01\x86\xdd\
              \x60\x00\x00\x00\x00\x18\x3a\xff\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12\x34\x56\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\
              \x88\x00\xc5\xa9\xc0\x00\x00\x00\
              \x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x12\x34\x56",
            Packet {
                kind: Kind::Advertisement { router: true, solicited: true, overrides: false },
                mac: None,
                ..answer
            },
        ),
    ]
}

/// The sum of RFC 1071 over pseudo header and message, as the receiver forms it: all ones when it is right.
fn rfc1071(frame: &[u8]) -> u16 {
    let length = u32::from(u16::from_be_bytes([frame[18], frame[19]]));
    let mut bytes = frame[22..54].to_vec();
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0, 0, 58]);
    bytes.extend(&frame[54..54 + length as usize]);
    let words =
        bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u64::from));
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded")
}

/// Makes the checksum right again after a change.
fn seal(frame: &mut [u8]) {
    frame[56..58].fill(0);
    let sum = !rfc1071(frame);
    frame[56..58].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn bytes_and_values_agree_both_ways() {
    for (bytes, packet) in table() {
        assert_eq!(
            rfc1071(bytes),
            0xffff,
            "{packet:?}: {:04x} is wrong",
            u16::from_be_bytes([bytes[56], bytes[57]])
        );
        assert_eq!(Packet::parse(bytes), Ok(packet));
        assert_eq!(packet.emit().as_bytes(), bytes, "{packet:?}");
    }
}

#[test]
fn constructors_say_what_the_table_says() {
    let table: Vec<_> = table().into_iter().map(|(_, packet)| packet).collect();
    assert_eq!(Packet::solicitation(CLIENT, ASKER, VIP), table[0]);
    assert_eq!(Packet::solicitation(CLIENT, Ipv6Addr::UNSPECIFIED, VIP), table[2]);
    assert_eq!(Packet::reply(NODE, VIP, CLIENT, ASKER), table[3]);
    assert_eq!(Packet::reply(NODE, VIP, CLIENT, Ipv6Addr::UNSPECIFIED), table[4]);
    let told = Packet::unsolicited_to(NODE, VIP, CLIENT, ASKER);
    let unsolicited = Kind::Advertisement { router: false, solicited: false, overrides: true };
    assert_eq!(told, Packet { kind: unsolicited, ..table[3] });
    assert!(table[2].is_probe() && !table[0].is_probe() && !table[3].is_probe());
}

#[test]
fn groups_have_their_addresses() {
    assert_eq!(solicited_node(VIP), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff12, 0x3456));
    assert_eq!(group_mac(solicited_node(VIP)), [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
    assert!(is_solicited_node(solicited_node(VIP)));
    for other in [ALL_NODES, VIP, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xfe12, 0x3456)] {
        assert!(!is_solicited_node(other), "{other}");
    }
}

#[test]
fn trailing_bytes_are_left_alone_up_to_a_full_frame() {
    let (bytes, packet) = table().remove(0);
    for len in [bytes.len(), 90, 128, MAX_LEN] {
        let mut frame = bytes.to_vec();
        frame.resize(len, 0xa5);
        assert_eq!(Packet::parse(&frame), Ok(packet), "{len} bytes");
    }
}

#[test]
fn other_options_are_skipped() {
    let (bytes, packet) = table().remove(0);
    // A nonce (RFC 3971) before, the other side's address and one of the future behind, and a second source.
    let nonce: &[u8] = &[14, 1, 1, 2, 3, 4, 5, 6];
    let target: &[u8] = &[2, 1, 2, 0, 0, 0, 0, 7];
    let future: &[u8] = &[253, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let second: &[u8] = &[1, 1, 2, 0, 0, 0, 0, 7];
    let mut frame = [&bytes[..78], nonce, &bytes[78..], target, future, second].concat();
    frame[19] = 24 + 8 * 6;
    seal(&mut frame);
    assert_eq!(Packet::parse(&frame), Ok(packet));
}

#[test]
fn what_may_not_be_believed_is_refused_with_the_reason() {
    let frames: Vec<_> = table().into_iter().map(|(bytes, _)| bytes.to_vec()).collect();
    let (question, probe, answer, claim) = (&frames[0], &frames[2], &frames[3], &frames[4]);
    let raw = |frame: &[u8], offset: usize, value: &[u8]| {
        let mut frame = frame.to_vec();
        frame[offset..offset + value.len()].copy_from_slice(value);
        frame
    };
    let patched = |frame: &[u8], offset, value: &[u8]| {
        let mut frame = raw(frame, offset, value);
        seal(&mut frame);
        frame
    };
    let long = {
        let mut frame = question.clone();
        frame.resize(MAX_LEN + 1, 0);
        frame
    };
    // With an option behind the first: its length is wrong.
    let with_option = |option: &[u8]| {
        let mut frame = [question.as_slice(), option].concat();
        frame[19] += u8::try_from(option.len()).expect("short");
        seal(&mut frame);
        frame
    };
    let group = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 2).octets();
    let unspecified = Ipv6Addr::UNSPECIFIED.octets();
    let malformed = |what: Malformed| Err(Error::from(what));
    let other = Err(Error::NotNdp);
    for (frame, reason) in [
        (Vec::new(), malformed(Malformed::TooShort)),
        (question[..13].to_vec(), malformed(Malformed::TooShort)),
        (question[..53].to_vec(), malformed(Malformed::TooShort)),
        (question[..54].to_vec(), malformed(Malformed::TooShort)),
        (question[..85].to_vec(), malformed(Malformed::TooShort)),
        (raw(question, 18, &[0, 0]), malformed(Malformed::TooShort)),
        (patched(question, 18, &[0, 23]), malformed(Malformed::TooShort)),
        (raw(question, 18, &[0xff, 0xff]), malformed(Malformed::TooShort)),
        (long, malformed(Malformed::TooLong)),
        (raw(question, 12, &[0x08, 0x06]), other),
        (raw(question, 12, &[0x81, 0, 0, 5, 0x86, 0xdd]), other),
        (raw(question, 14, &[0x40]), malformed(Malformed::Version)),
        // UDP; a fragment; hop-by-hop options.
        (raw(question, 20, &[17]), other),
        (raw(question, 20, &[44]), other),
        (raw(question, 20, &[0]), other),
        // Echo request, router advertisement, redirect.
        (patched(question, 54, &[128]), other),
        (patched(question, 54, &[134]), other),
        (patched(question, 54, &[137]), other),
        (patched(question, 21, &[254]), malformed(Malformed::HopLimit)),
        (patched(claim, 21, &[64]), malformed(Malformed::HopLimit)),
        (raw(question, 56, &[0, 0]), malformed(Malformed::Checksum)),
        (raw(question, 77, &[0x57]), malformed(Malformed::Checksum)),
        (raw(question, 37, &[8]), malformed(Malformed::Checksum)),
        (patched(question, 55, &[1]), malformed(Malformed::Code)),
        (patched(question, 62, &group), malformed(Malformed::Target)),
        (patched(claim, 62, &group), malformed(Malformed::Target)),
        (patched(question, 22, &group), malformed(Malformed::Source)),
        (patched(question, 22, &Ipv6Addr::LOCALHOST.octets()), malformed(Malformed::Source)),
        (patched(claim, 22, &unspecified), malformed(Malformed::Source)),
        (patched(question, 79, &[0]), malformed(Malformed::OptionLength)),
        (patched(question, 79, &[2]), malformed(Malformed::OptionLength)),
        (with_option(&[14, 0, 0, 0, 0, 0, 0, 0]), malformed(Malformed::OptionLength)),
        (with_option(&[14, 2, 0, 0, 0, 0, 0, 0]), malformed(Malformed::OptionLength)),
        (with_option(&[14]), malformed(Malformed::OptionLength)),
        (with_option(&[1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), malformed(Malformed::OptionLength)),
        (patched(probe, 38, &VIP.octets()), malformed(Malformed::ProbeDestination)),
        (patched(probe, 38, &ALL_NODES.octets()), malformed(Malformed::ProbeDestination)),
        (patched(question, 22, &unspecified), malformed(Malformed::ProbeOption)),
        (patched(claim, 58, &[0x60]), malformed(Malformed::SolicitedGroup)),
        (patched(answer, 38, &group), malformed(Malformed::SolicitedGroup)),
    ] {
        assert_eq!(Packet::parse(&frame), reason, "{frame:02x?}");
    }
}

fn address() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from_bits).prop_filter("an address of a station", |address| {
        !address.is_multicast() && !address.is_loopback() && !address.is_unspecified()
    })
}

prop_compose! {
    /// Packets that may be believed.
    fn packet()(
        destination: Mac,
        source: Mac,
        source_ip in address(),
        destination_ip: u128,
        target in address(),
        kind in 0..9_u8,
        mac: Option<Mac>,
    ) -> Packet {
        let destination_ip = Ipv6Addr::from_bits(destination_ip);
        let bare = Packet { destination, source, source_ip, destination_ip, kind: Kind::Solicitation, target, mac };
        match kind {
            0 => bare,
            1 => Packet {
                source_ip: Ipv6Addr::UNSPECIFIED,
                destination_ip: solicited_node(destination_ip),
                mac: None,
                ..bare
            },
            flags => Packet {
                kind: Kind::Advertisement {
                    router: flags & 1 != 0,
                    solicited: flags & 2 != 0 && !destination_ip.is_multicast(),
                    overrides: flags & 4 != 0,
                },
                ..bare
            },
        }
    }
}

proptest! {
    #[test]
    fn what_is_emitted_parses_to_the_same(packet in packet()) {
        prop_assert_eq!(Packet::parse(packet.emit().as_bytes()), Ok(packet));
    }

    #[test]
    fn the_checksum_is_right(packet in packet()) {
        prop_assert_eq!(rfc1071(packet.emit().as_bytes()), 0xffff);
    }

    #[test]
    fn what_parses_may_be_believed(packet in packet(), offset in 14..86_usize, value: u8) {
        let mut frame = packet.emit().as_bytes().to_vec();
        if let Some(byte) = frame.get_mut(offset) {
            *byte = value;
        }
        if frame.len() >= 54 + usize::from(frame[19]) && frame[18] == 0 && frame[19] >= 4 {
            seal(&mut frame);
        }
        if let Ok(packet) = Packet::parse(&frame) {
            prop_assert_eq!(frame[21], 255);
            prop_assert!(!packet.target.is_multicast() && !packet.source_ip.is_multicast());
            prop_assert_eq!(Packet::parse(packet.emit().as_bytes()), Ok(packet));
        }
    }

    #[test]
    fn no_bytes_panic(frame in proptest::collection::vec(any::<u8>(), 0..120)) {
        let mut frame = frame;
        let _ = Packet::parse(&frame);
        // The same as IPv6, and as a message of our kinds.
        for (offset, byte) in [(12, 0x86), (13, 0xdd), (14, 0x60), (18, 0), (20, 58), (54, 135)] {
            if let Some(at) = frame.get_mut(offset) {
                *at = byte;
            }
        }
        let _ = Packet::parse(&frame);
    }
}

#[test]
fn a_frame_says_who_sent_it() {
    let packet = Packet::unsolicited(NODE, VIP);
    assert_eq!(packet.sender_mac(), NODE);
    let bare = Packet { mac: None, source: CLIENT, ..packet };
    assert_eq!(bare.sender_mac(), CLIENT);
    assert!(is_station(bare.sender_mac()));
}
