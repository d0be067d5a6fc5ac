//! What other speakers got wrong: one test each.

use ipnet::{Ipv4Net, Ipv6Net};
use metal_bgp::{
    validate::{Disposition, validate},
    wire::{
        AttributeCode, Attributes, Capability, Contents, EncodeError, Families, Family, Message, Nlri, Open,
        Packer, Safi, Session, Update, Value,
        attribute::{Community, NextHop, Origin, PathSegment, SegmentKind},
        build::Originate,
        frame::{Frame, HeaderError, MaxLength, MessageType, Unframed},
    },
};

use crate::support::{GOOD, VIP, external, hex, internal, message, read, to_hex, told, update_body};

fn v4(text: &str) -> Ipv4Net {
    text.parse().expect("an IPv4 prefix")
}

fn v6(text: &str) -> Ipv6Net {
    text.parse().expect("an IPv6 prefix")
}

fn hosts(count: u32) -> Vec<Ipv4Net> {
    (0..count).map(|n| Ipv4Net::new((0x0a00_0000 + n).into(), 32).expect("a host route")).collect()
}

fn hop4() -> NextHop {
    NextHop::V4([192, 0, 2, 1].into())
}

fn hop6() -> NextHop {
    NextHop::V6("2001:db8::1".parse().expect("an address"))
}

fn ours() -> Attributes {
    Attributes::originate(Originate::External { own_as: 64_512 })
}

/// All messages; each is read back, and nothing may be wrong with it.
fn pack<const N: usize, I>(mut packer: Packer<I>, session: &Session) -> Vec<Vec<u8>>
where
    I: Iterator<
        Item: metal_bgp::wire::nlri::Route<Prefix: metal_bgp::wire::build::Encode<Longest = [u8; N]>>,
    >,
{
    let mut buffer = vec![0xaa; usize::from(session.max_length.bytes())];
    let mut messages = Vec::new();
    while let Some(len) = packer.write(&mut buffer).expect("room") {
        let Ok(Message::Update(update)) = read(&buffer[..len], session) else { panic!("a good UPDATE") };
        assert_eq!(validate(&update).disposition(), None);
        messages.push(buffer[..len].to_vec());
    }
    messages
}

fn body(message: &[u8]) -> &[u8] {
    &message[19..]
}

/// 1
#[test]
fn the_header_alone_decides() {
    let marker = "ffffffffffffffffffffffffffffffff";
    for (header, max, expected) in [
        ("0012 04", MaxLength::Standard, HeaderError::BadMessageLength([0, 18])),
        ("ffff 02", MaxLength::Standard, HeaderError::BadMessageLength([255, 255])),
        ("1001 02", MaxLength::Standard, HeaderError::BadMessageLength([16, 1])),
        ("0014 04", MaxLength::Standard, HeaderError::BadMessageLength([0, 20])),
        ("0014 04", MaxLength::Extended, HeaderError::BadMessageLength([0, 20])),
        ("0016 02", MaxLength::Standard, HeaderError::BadMessageLength([0, 22])),
        ("001c 01", MaxLength::Standard, HeaderError::BadMessageLength([0, 28])),
        ("1001 01", MaxLength::Extended, HeaderError::BadMessageLength([16, 1])),
        ("0013 00", MaxLength::Standard, HeaderError::BadMessageType([0])),
        ("0013 06", MaxLength::Standard, HeaderError::BadMessageType([6])),
    ] {
        let bytes = hex(&format!("{marker} {header}"));
        assert_eq!(Frame::parse(&bytes, max), Err(Unframed::Malformed(expected)), "{header}");
    }
    let long = hex(&format!("{marker} ffff 02"));
    assert!(matches!(Frame::parse(&long, MaxLength::Extended), Err(Unframed::Incomplete { .. })));
}

/// 11
#[test]
fn as_numbers_in_an_open() {
    let open = |my_as: &str, capabilities: &str| {
        let capabilities = hex(capabilities);
        let len = capabilities.len();
        let parameters = if len == 0 {
            "00".into()
        } else {
            format!("{:02x}02{len:02x}{}", len + 2, to_hex(&capabilities))
        };
        let bytes = message(MessageType::Open, &hex(&format!("04 {my_as} 005a 0a000001 {parameters}")));
        match read(&bytes, &Session::default()) {
            Ok(Message::Open(open)) => Ok(open.asn()),
            Ok(other) => panic!("not an OPEN: {other:?}"),
            Err(error) => Err((error.notification().code, error.notification().subcode)),
        }
    };
    assert_eq!(open("0000", ""), Err((2, 2)));
    assert_eq!(open("fc00", "4104 00000000"), Err((2, 2)));
    // AS_TRANS alone is an AS like any other; whether it is the expected one, the session knows.
    assert_eq!(open("5ba0", ""), Ok(23_456));
    assert_eq!(open("5ba0", "4104 fa56ea00"), Ok(4_200_000_000));
    // Where the two disagree, the four octets count.
    assert_eq!(open("0001", "4104 0000fc00"), Ok(64_512));
    // Between 32768 and 65535 nothing special happens.
    assert_eq!(Open::new(65_535, 90, [1; 4].into(), vec![]).my_as, 65_535);
    assert_eq!(Open::new(65_536, 90, [1; 4].into(), vec![]).my_as, 23_456);
}

/// 12
#[test]
fn hold_times_of_one_and_two_seconds() {
    for (hold, good) in [(0, true), (1, false), (2, false), (3, true), (65_535, true)] {
        let bytes = message(MessageType::Open, &hex(&format!("04 fc00 {hold:04x} 0a000001 00")));
        match read(&bytes, &Session::default()) {
            Ok(Message::Open(open)) => assert_eq!((open.hold_time, good), (hold, true)),
            Ok(other) => panic!("not an OPEN: {other:?}"),
            Err(error) => {
                assert!(!good);
                assert_eq!(told(&error), (2, 6, vec![], 22));
            }
        }
    }
}

/// 18
#[test]
fn messages_are_filled_by_real_lengths() {
    let session = external();
    // 23 octets, 20 of attributes, and 5 for each prefix.
    let messages = pack(
        Packer::announce(&ours(), hop4(), Safi::UNICAST, hosts(2_000), &session).expect("good"),
        &session,
    );
    let counts: Vec<_> = messages
        .iter()
        .map(|message| (message.len(), Update::parse(body(message), &session).expect("good").nlri().count()))
        .collect();
    assert_eq!(counts, [(4_093, 810), (4_093, 810), (1_943, 380)]);
    // A prefix of 24 bits takes four octets, not five, and the last octet is used.
    let nets = (0..3_000_u32).map(|n| Ipv4Net::new((0x0a00_0000 + (n << 8)).into(), 24).expect("a prefix"));
    let messages =
        pack(Packer::announce(&ours(), hop4(), Safi::UNICAST, nets, &session).expect("good"), &session);
    assert_eq!(messages[0].len(), 4_095);
    // What does not fit by its real length is in the next message, and everything arrives in its order.
    let lengths = [32_u8, 24, 16, 8, 0, 25, 17, 9, 1];
    let mixed: Vec<_> = (0..4_000_u32)
        .map(|n| {
            let length = lengths[n as usize * 7 % lengths.len()];
            Ipv4Net::new(n.wrapping_mul(0x9e37_79b9).into(), length).expect("a prefix").trunc()
        })
        .collect();
    let messages = pack(
        Packer::announce(&ours(), hop4(), Safi::UNICAST, mixed.iter().copied(), &session).expect("good"),
        &session,
    );
    assert!(messages.iter().rev().skip(1).all(|message| message.len() > 4_096 - 5));
    let read: Vec<_> = messages
        .iter()
        .flat_map(|message| Update::parse(body(message), &session).expect("good").nlri())
        .map(|nlri| nlri.prefix)
        .collect();
    assert_eq!(read, mixed);
    // Withdrawals are split as well.
    let messages = pack(Packer::withdraw(Safi::UNICAST, hosts(2_000), &session).expect("good"), &session);
    let lens: Vec<_> = messages.iter().map(Vec::len).collect();
    assert_eq!(lens, [4_093, 4_093, 1_883]);
    // And the limit is the negotiated one.
    let extended = Session { max_length: MaxLength::Extended, ..session };
    let messages = pack(
        Packer::announce(&ours(), hop4(), Safi::UNICAST, hosts(20_000), &extended).expect("good"),
        &extended,
    );
    let lens: Vec<_> = messages.iter().map(Vec::len).collect();
    assert_eq!(lens, [65_533, 34_553]);
}

/// 18, in the multiprotocol attributes
#[test]
fn multiprotocol_attributes_are_filled_by_real_lengths() {
    let session = external();
    let hosts: Vec<_> = (0..600_u128)
        .map(|n| Ipv6Net::new((0x2001_0db8_u128 << 96 | n).into(), 128).expect("a host route"))
        .collect();
    let announced = pack(
        Packer::announce(&ours(), hop6(), Safi::UNICAST, hosts.clone(), &session).expect("good"),
        &session,
    );
    let withdrawn = pack(Packer::withdraw(Safi::UNICAST, hosts.clone(), &session).expect("good"), &session);
    assert!(
        announced.iter().take(2).chain(withdrawn.iter().take(2)).all(|message| message.len() > 4_096 - 17)
    );
    let mut read = Vec::new();
    for message in &announced {
        let reach = Update::parse(body(message), &session).expect("good").mp_reach().expect("there");
        let metal_bgp::wire::attribute::MpNlri::Ipv6(prefixes) = reach.nlri else { panic!("IPv6") };
        read.extend(prefixes.map(|nlri| nlri.prefix));
    }
    assert_eq!(read, hosts);
}

/// 19 and 21
#[test]
fn what_is_originated() {
    let one = [v4("198.51.100.7/32")];
    let attributes = |packed: &[Vec<u8>], session: &Session| {
        let update = Update::parse(body(&packed[0]), session).expect("good");
        Contents::of(&update).attributes
    };
    // ORIGIN IGP, our AS once, no LOCAL_PREF, to an external peer, even if somebody set one.
    let mut to_send = ours();
    to_send.local_pref = Some(500);
    to_send.originator_id = Some([1, 1, 1, 1].into());
    to_send.cluster_list = vec![[1, 1, 1, 1].into()];
    let session = external();
    let sent = attributes(
        &pack(Packer::announce(&to_send, hop4(), Safi::UNICAST, one, &session).expect("good"), &session),
        &session,
    );
    assert_eq!(sent, ours());
    assert_eq!(sent.origin, Some(Origin::Igp));
    assert_eq!(sent.as_path, Some(vec![PathSegment::sequence([64_512])]));
    // An empty path and a LOCAL_PREF to an internal one.
    let to_send = Attributes::originate(Originate::Internal { local_pref: 500 });
    let session = internal();
    let sent = attributes(
        &pack(Packer::announce(&to_send, hop4(), Safi::UNICAST, one, &session).expect("good"), &session),
        &session,
    );
    assert_eq!((sent.as_path, sent.local_pref), (Some(vec![]), Some(500)));
}

/// 20
#[test]
fn multiprotocol_first_then_ascending_communities_sorted_and_unique() {
    let session = external();
    let mut attributes = ours();
    attributes.communities = (0..100).rev().chain(0..100).map(|n| Community::new(64_512, n)).collect();
    attributes.multi_exit_disc = Some(1);
    let messages = pack(
        Packer::announce(&attributes, hop6(), Safi::UNICAST, [v6("2001:db8::7/128")], &session)
            .expect("good"),
        &session,
    );
    let update = Update::parse(body(&messages[0]), &session).expect("good");
    let codes: Vec<_> = update.attributes().map(|attribute| attribute.code.0).collect();
    assert_eq!(codes, [14, 1, 2, 4, 8]);
    let extended: Vec<_> = update.attributes().map(|attribute| attribute.flags.extended_length()).collect();
    // More than 63 communities take two octets of length.
    assert_eq!(extended, [false, false, false, false, true]);
    let communities = update.attribute(AttributeCode::COMMUNITIES).expect("there");
    let Ok(Value::Communities(list)) = communities.value() else { panic!("communities") };
    assert!(list.iter().eq((0..100).map(|n| Community::new(64_512, n))));
    // 63 are the most that one octet of length can say.
    for (count, extended) in [(63, false), (64, true)] {
        attributes.communities.truncate(0);
        attributes.communities.extend((0..count).map(Community));
        let messages = pack(
            Packer::announce(&attributes, hop4(), Safi::UNICAST, [v4("10.0.0.0/8")], &session).expect("good"),
            &session,
        );
        let update = Update::parse(body(&messages[0]), &session).expect("good");
        let communities = update.attribute(AttributeCode::COMMUNITIES).expect("there");
        assert_eq!(
            (communities.flags.extended_length(), communities.bytes.len()),
            (extended, count as usize * 4)
        );
    }
}

/// 20: one octet of length where one will do, also for the attribute whose length is known last
#[test]
fn lengths_are_as_short_as_they_can_be() {
    let session = external();
    for count in 0..20_u128 {
        let prefixes: Vec<_> =
            (0..count).map(|n| Ipv6Net::new((n << 64).into(), 128).expect("a host route")).collect();
        for messages in [
            pack(
                Packer::announce(&ours(), hop6(), Safi::UNICAST, prefixes.clone(), &session).expect("good"),
                &session,
            ),
            pack(Packer::withdraw(Safi::UNICAST, prefixes.clone(), &session).expect("good"), &session),
        ] {
            assert_eq!(messages.len(), usize::from(count > 0));
            for message in messages {
                let update = Update::parse(body(&message), &session).expect("good");
                let first = update.attributes().next().expect("there");
                assert_eq!(first.flags.extended_length(), first.bytes.len() > 255);
                // The same as one message, as told.
                let mut buffer = [0; 4_096];
                let len = Contents::of(&update).encode(&session, &mut buffer).expect("it fits");
                assert_eq!(to_hex(&buffer[..len]), to_hex(&message));
            }
        }
    }
}

/// 21 and others: what a strict receiver would not accept is not sent
#[test]
fn a_strict_receiver_gets_nothing_to_refuse() {
    let one = [v4("198.51.100.7/32")];
    let with = |change: fn(&mut Attributes)| {
        let mut attributes = ours();
        change(&mut attributes);
        Packer::announce(&attributes, hop4(), Safi::UNICAST, one, &external()).map(|_| ())
    };
    assert_eq!(with(|a| a.origin = None), Err(EncodeError::Missing("ORIGIN")));
    assert_eq!(with(|a| a.as_path = None), Err(EncodeError::Missing("AS_PATH")));
    let changes: [fn(&mut Attributes); 4] = [
        |a| a.as_path = Some(vec![]),
        |a| a.as_path = Some(vec![PathSegment::sequence([64_512, 0])]),
        |a| a.as_path = Some(vec![PathSegment { kind: SegmentKind::Set, asns: vec![64_512] }]),
        |a| a.as_path = Some(vec![PathSegment { kind: SegmentKind::ConfedSequence, asns: vec![64_512] }]),
    ];
    for change in changes {
        assert!(matches!(with(change), Err(EncodeError::Unacceptable(_))));
    }
    assert_eq!(
        Packer::announce(&ours(), hop4(), Safi::UNICAST, one, &internal()).map(|_| ()),
        Err(EncodeError::Missing("LOCAL_PREF"))
    );
    let hop = |text: &str| match text.parse().expect("an address") {
        core::net::IpAddr::V4(address) => NextHop::V4(address),
        core::net::IpAddr::V6(address) => NextHop::V6(address),
    };
    for text in
        ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1", "::ffff:192.0.2.1"]
    {
        let refused = Packer::announce(&ours(), hop(text), Safi::UNICAST, one, &external()).map(|_| ());
        assert!(matches!(refused, Err(EncodeError::Unacceptable(_))), "{text}");
    }
    let refused =
        Packer::announce(&ours(), hop4(), Safi::UNICAST, [v6("2001:db8::7/128")], &external()).map(|_| ());
    assert!(matches!(refused, Err(EncodeError::Unacceptable(_))));
    assert!(Packer::withdraw(Safi(70), one, &external()).is_err());
}

/// 22, as far as the codec goes: no message both withdraws and announces
#[test]
fn one_kind_of_route_change_in_each_message() {
    let session = external();
    let multicast = Safi::MULTICAST;
    let all = [
        pack(
            Packer::announce(&ours(), hop4(), Safi::UNICAST, hosts(1_000), &session).expect("good"),
            &session,
        ),
        pack(
            Packer::announce(&ours(), hop6(), Safi::UNICAST, hosts(1_000), &session).expect("good"),
            &session,
        ),
        pack(Packer::announce(&ours(), hop4(), multicast, hosts(1_000), &session).expect("good"), &session),
        pack(Packer::withdraw(Safi::UNICAST, hosts(1_000), &session).expect("good"), &session),
        pack(Packer::withdraw(multicast, hosts(1_000), &session).expect("good"), &session),
    ];
    for message in all.concat() {
        let update = Update::parse(body(&message), &session).expect("good");
        let kinds = [
            !update.withdrawn().is_empty(),
            !update.nlri().is_empty(),
            update.mp_reach().is_some(),
            update.mp_unreach().is_some(),
        ];
        assert_eq!(kinds.iter().filter(|kind| **kind).count(), 1);
        // NEXT_HOP goes with NLRI, and with nothing else.
        assert_eq!(update.attribute(AttributeCode::NEXT_HOP).is_some(), kinds[1]);
    }
}

/// 23
#[test]
fn host_bits_are_masked_both_ways_and_a_default_route_is_one_octet() {
    let body = update_body("", GOOD, "00 01 ff 08 0a 14 c633ff 1f c6336407");
    let update = Update::parse(&body, &external()).expect("good");
    let prefixes: Vec<_> = update.nlri().map(|nlri| nlri.prefix.to_string()).collect();

    assert_eq!(prefixes, ["0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/8", "198.51.240.0/20", "198.51.100.6/31"]);

    let session = external();
    let dirty = [v4("10.255.255.255/8"), v4("198.51.100.7/31"), v4("1.2.3.4/0")];
    let messages =
        pack(Packer::announce(&ours(), hop4(), Safi::UNICAST, dirty, &session).expect("good"), &session);
    assert!(to_hex(&messages[0]).ends_with("080a1fc633640600"));
    let dirty = [v6("2001:db8:ffff::1/33"), v6("::1/0")];
    let messages =
        pack(Packer::announce(&ours(), hop6(), Safi::UNICAST, dirty, &session).expect("good"), &session);
    assert!(to_hex(&messages[0]).contains("2120010db88000"));
}

/// 23: lengths that wrap in 16 bits
#[test]
fn lengths_do_not_wrap() {
    let session = Session { max_length: MaxLength::Extended, ..external() };
    let mut attributes = ours();
    attributes.communities = (0..20_000).map(Community).collect();
    let refused = Packer::announce(&attributes, hop4(), Safi::UNICAST, hosts(1), &session).map(|_| ());
    assert!(matches!(refused, Err(EncodeError::FieldTooLong(_) | EncodeError::TooLong { .. })));
    attributes.communities.truncate(16_000);
    let messages = pack(
        Packer::announce(&attributes, hop4(), Safi::UNICAST, hosts(500), &session).expect("good"),
        &session,
    );
    assert_eq!(messages.len(), 2);
    // Attributes that take a whole message leave no room for a prefix.
    attributes.communities.truncate(1_011);
    assert!(Packer::announce(&attributes, hop4(), Safi::UNICAST, hosts(1), &external()).is_ok());
    attributes.communities.push(Community::NO_EXPORT);
    let refused = Packer::announce(&attributes, hop4(), Safi::UNICAST, hosts(1), &external()).map(|_| ());
    assert_eq!(refused, Err(EncodeError::TooLong { limit: 4_096 }));
    let contents = Contents { attributes, ..Contents::default() };
    let mut buffer = vec![0; 70_000];
    assert!(contents.encode(&external(), &mut buffer).is_ok());
    let contents =
        Contents { nlri: vec![Nlri { path_id: None, prefix: v4("10.0.0.0/8") }; 40_000], ..contents };
    assert_eq!(contents.encode(&session, &mut buffer), Err(EncodeError::TooLong { limit: 65_535 }));
}

/// 24, as far as the codec goes: a buffer that was too short loses nothing
#[test]
fn a_short_buffer_loses_nothing() {
    let session = external();
    let mut packer = Packer::announce(&ours(), hop4(), Safi::UNICAST, hosts(30), &session).expect("good");
    let mut read = Vec::new();
    let mut sizes = [0, 19, 47, 48, 60, 4_096].into_iter().cycle();
    loop {
        let mut buffer = vec![0; sizes.next().expect("a cycle")];
        match packer.write(&mut buffer) {
            Ok(Some(len)) => {
                let update = Update::parse(body(&buffer[..len]), &session).expect("good");
                read.extend(update.nlri().map(|nlri| nlri.prefix));
            }
            Ok(None) => break,
            Err(error) => assert_eq!(error, EncodeError::TooLong { limit: buffer.len() }),
        }
    }
    assert_eq!(read, hosts(30));
}

/// 25
#[test]
fn families_that_were_not_negotiated_do_no_harm() {
    for family in ["0019 46", "4004 47", "0001 80", "0002 04", "0001 85", "ffff ff"] {
        let attributes = format!("80 0e 0b {family} 04 c0000201 00 ff01  80 0f 05 {family} ffff {GOOD}");
        let body = update_body("", &attributes, "");
        let update = Update::parse(&body, &external()).expect("readable");
        assert_eq!(validate(&update).disposition(), None, "{family}");
    }
}

/// 25: of two the first counts
#[test]
fn the_first_of_two_attributes_counts() {
    let body = update_body("", &format!("{GOOD} 40010102"), VIP);
    let update = Update::parse(&body, &external()).expect("readable");
    assert_eq!(validate(&update).disposition(), Some(Disposition::Discard));
    assert_eq!(Contents::of(&update).attributes.origin, Some(Origin::Igp));
    let origin = update.attribute(AttributeCode::ORIGIN).expect("there");
    assert!(matches!(origin.value(), Ok(Value::Origin(Origin::Igp))));
}

/// 26
#[test]
fn next_hops_of_other_lengths_hide_the_prefixes() {
    for len in 0..=48_usize {
        for (afi, good) in [(1, [4, 16, 32].as_slice()), (2, [16, 32].as_slice())] {
            let hop = "20".repeat(len);
            let value = format!("{afi:04x} 01 {len:02x} {hop} 00 08 0a");
            let attribute = format!("80 0e {:02x} {value} 40010100 40020602010000fc00", hex(&value).len());
            let body = update_body("", &attribute, "");
            let update = Update::parse(&body, &external()).expect("readable");
            let expected = if good.contains(&len) { None } else { Some(Disposition::DisableFamily) };
            assert_eq!(validate(&update).disposition(), expected, "AFI {afi}, {len} octets");
            assert_eq!(update.mp_reach().is_some(), expected.is_none());
        }
    }
}

/// 27
#[test]
fn a_message_full_of_default_routes() {
    let mut body = vec![0; 4];
    body.resize(65_516, 0);
    let session = Session { max_length: MaxLength::Extended, ..external() };
    let update = Update::parse(&body, &session).expect("readable");
    assert_eq!(update.nlri().count(), 65_512);
    // Room is made for what is there, not for what a length says.
    let (least, most) = update.nlri().size_hint();
    assert!(least <= 65_512 && most == Some(65_512));
    let full = Contents::of(&update);
    assert_eq!(full.nlri.len(), 65_512);
    let ids = Session { add_path: Families::NONE.with(Family::IPV4_UNICAST), ..session };
    body.truncate(4 + 5 * 100);
    assert_eq!(Update::parse(&body, &ids).expect("readable").nlri().size_hint(), (56, Some(100)));
}

/// 37
#[test]
fn no_message_cut_short_anywhere_panics() {
    let whole = update_body(
        "00 08 0a",
        &format!("{GOOD} 800e0e 0001 02 04 c0000201 00 20c6336407 c00804fc000001"),
        VIP,
    );
    let open = hex("04 fc00 005a 0a000001 12 02 10 0104 00010001 4104 0000fc00 4902 0000");
    for session in [external(), internal(), Session { add_path: Families::ALL, ..external() }] {
        for end in 0..=whole.len() {
            for at in 0..end {
                let mut damaged = whole[..end].to_vec();
                for value in [0, 1, 0x7f, 0xff] {
                    damaged[at] = value;
                    if let Ok(update) = Update::parse(&damaged, &session) {
                        let _ = validate(&update).findings().count();
                        let _ = Contents::of(&update);
                    }
                }
            }
        }
    }
    for end in 0..=open.len() {
        for at in 0..end {
            let mut damaged = open[..end].to_vec();
            for value in [0, 1, 2, 0xff] {
                damaged[at] = value;
                if let Ok(open) = Open::parse(&damaged) {
                    let _ = open.capabilities.iter().map(Capability::into_owned).count();
                }
            }
        }
    }
}
