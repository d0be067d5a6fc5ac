//! UPDATE: octets and values side by side, both ways.

use metal_bgp::{
    validate::validate,
    wire::{
        Afi, AttributeCode, Attributes, Contents, Families, Family, Flags, Message, Nlri, OwnedUpdate, Safi,
        Session, Update, Value,
        attribute::{
            Aggregator, Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity, LinkBandwidth,
            MpNlri, NextHop, Origin, PathSegment, SegmentKind, merge_as4_path,
        },
        build::{Originate, Partial, RawAttribute, Reach, Routes, encode_end_of_rib},
        frame::MessageType,
    },
};

use crate::support::{GOOD, VIP, external, hex, internal, message, read, to_hex, update_body};

fn prefix<P: core::str::FromStr<Err: core::fmt::Debug>>(text: &str) -> Nlri<P> {
    Nlri { path_id: None, prefix: text.parse().expect("a prefix") }
}

/// Both ways, through the view and through the owned form.
fn both_ways(session: &Session, body: &[u8], contents: &Contents) {
    let bytes = message(MessageType::Update, body);
    let Ok(Message::Update(update)) = read(&bytes, session) else { panic!("a good UPDATE") };
    assert_eq!(&Contents::of(&update), contents);
    let owned = OwnedUpdate::parse(body, session).expect("a good UPDATE");
    assert_eq!(&Contents::of(&owned.view()), contents);
    let mut buffer = [0xaa; 4_096];
    let len = contents.encode(session, &mut buffer).expect("it fits");
    assert_eq!(to_hex(&buffer[..len]), to_hex(&bytes));
}

fn good() -> Attributes {
    Attributes::originate(Originate::External { own_as: 64_512 })
}

#[test]
fn one_prefix() {
    let bytes = hex("ffffffffffffffffffffffffffffffff 0034 02
        0000                    // Withdrawn Routes Length
        0018                    // Total Path Attribute Length
        40 01 01 00             // ORIGIN IGP
        50 02 0006 02 01 0000fc00 // AS_PATH: AS_SEQUENCE of 64512, two octets of length where one would do
        40 03 04 c0000201       // NEXT_HOP 192.0.2.1
        80 04 00                // MULTI_EXIT_DISC, cut short
        20 c6336407             // NLRI 198.51.100.7/32");
    // The length of MULTI_EXIT_DISC is wrong: it is kept, and the rest is read all the same.
    let Ok(Message::Update(update)) = read(&bytes, &external()) else { panic!("a good UPDATE") };
    assert_eq!(update.nlri().collect::<Vec<_>>(), [prefix("198.51.100.7/32")]);
    let offsets: Vec<_> = update.attributes().map(|attribute| (attribute.code.0, attribute.offset)).collect();
    assert_eq!(offsets, [(1, 23), (2, 27), (3, 37), (4, 44)]);
    assert_eq!((update.attributes_offset(), update.nlri_offset()), (23, 47));
    let contents = Contents::of(&update);
    assert_eq!(contents.next_hop, Some([192, 0, 2, 1].into()));
    assert_eq!(contents.attributes.as_path, Some(vec![PathSegment::sequence([64_512])]));
    let med = RawAttribute { code: AttributeCode(4), flags: Flags(0x80), value: [].into() };
    assert_eq!(contents.attributes.other, [med]);
}

#[test]
fn withdrawn_routes_and_nlri() {
    let body = update_body("00 08 0a 0c ac10 18 c63364", GOOD, "09 0a80 19 c6336480 20 c6336407");
    let contents = Contents {
        withdrawn: ["0.0.0.0/0", "10.0.0.0/8", "172.16.0.0/12", "198.51.100.0/24"].map(prefix).into(),
        attributes: good(),
        next_hop: Some([192, 0, 2, 1].into()),
        nlri: ["10.128.0.0/9", "198.51.100.128/25", "198.51.100.7/32"].map(prefix).into(),
        ..Contents::default()
    };
    both_ways(&external(), &body, &contents);
}

#[test]
fn each_attribute_both_ways() {
    let community = |asn, value| Community::new(asn, value);
    type Change = fn(&mut Attributes);
    let table: [(&str, Change); 22] = [
        ("40 01 01 01", |a| a.origin = Some(Origin::Egp)),
        ("40 01 01 02", |a| a.origin = Some(Origin::Incomplete)),
        ("40 02 00", |a| a.as_path = Some(vec![])),
        ("40 02 0e 02 03 00000001 0000fc00 fa56ea00", |a| {
            a.as_path = Some(vec![PathSegment::sequence([1, 64_512, 4_200_000_000])]);
        }),
        ("40 02 10 03 01 0000fc00 02 02 00000001 00000002", |a| {
            let confederation = PathSegment { kind: SegmentKind::ConfedSequence, asns: vec![64_512] };
            a.as_path = Some(vec![confederation, PathSegment::sequence([1, 2])]);
        }),
        ("80 04 04 00000064", |a| a.multi_exit_disc = Some(100)),
        ("40 05 04 000000c8", |a| a.local_pref = Some(200)),
        ("40 06 00", |a| a.atomic_aggregate = true),
        ("c0 07 08 fa56ea00 0a000001", |a| {
            a.aggregator = Some(Aggregator { asn: 4_200_000_000, router: [10, 0, 0, 1].into() });
        }),
        ("c0 08 08 fc000001 ffffff01", |a| {
            a.communities = vec![Community::new(64_512, 1), Community::NO_EXPORT];
        }),
        ("e0 08 04 ffff0000", |a| {
            a.communities = vec![Community::GRACEFUL_SHUTDOWN];
            a.partial = Partial::default().with(AttributeCode::COMMUNITIES);
        }),
        ("80 09 04 0a000009", |a| a.originator_id = Some([10, 0, 0, 9].into())),
        // In the order in which clusters were passed, which is no order of numbers.
        ("80 0a 08 0a000002 0a000001", |a| a.cluster_list = vec![[10, 0, 0, 2].into(), [10, 0, 0, 1].into()]),
        ("c0 10 10 0002 fc00 00000064 4004 fc00 4cbebc20", |a| {
            a.extended_communities = vec![
                ExtendedCommunity([0, 2, 0xfc, 0, 0, 0, 0, 100]),
                ExtendedCommunity([0x40, 4, 0xfc, 0, 0x4c, 0xbe, 0xbc, 0x20]),
            ];
        }),
        ("c0 19 14 0002 20010db8000000000000000000000001 0064", |a| {
            let mut octets = [0; 20];
            octets.copy_from_slice(&hex("0002 20010db8000000000000000000000001 0064"));
            a.ipv6_extended_communities = vec![Ipv6ExtendedCommunity(octets)];
        }),
        ("80 1a 0b 01 000b 0000000000000064", |a| a.aigp = hex("01 000b 0000000000000064").into()),
        ("c0 20 0c fa56ea00 00000001 00000002", |a| {
            a.large_communities = vec![LargeCommunity { global: 4_200_000_000, local1: 1, local2: 2 }];
        }),
        ("c0 23 04 0000fc00", |a| a.only_to_customer = Some(64_512)),
        ("c0 28 0a 01 0007 00 0000 00000005", |a| a.prefix_sid = hex("01 0007 00 0000 00000005").into()),
        // Not understood, with its flags: one without and one with a value, and one of 300 octets.
        ("80 63 00", |a| {
            a.other = vec![RawAttribute { code: AttributeCode(99), flags: Flags(0x80), value: [].into() }];
        }),
        ("e0 17 04 01020304", |a| {
            let value = [1, 2, 3, 4].into();
            a.other = vec![RawAttribute { code: AttributeCode(23), flags: Flags(0xe0), value }];
        }),
        ("c0 08 04 fc000001", |a| a.communities = vec![Community(0xfc00_0001)]),
    ];
    assert_eq!(community(64_512, 1), Community(0xfc00_0001));
    for (octets, change) in table {
        let mut contents = Contents::default();
        change(&mut contents.attributes);
        both_ways(&internal(), &update_body("", octets, ""), &contents);
    }
}

#[test]
fn all_attributes_in_ascending_order() {
    let body = update_body(
        "",
        "40 01 01 00  40 02 06 0201 0000fc00  40 03 04 c0000201  80 04 04 00000001  40 05 04 00000002
         40 06 00  c0 07 08 0000fc00 0a000001  c0 08 04 fc000001  80 09 04 0a000001  80 0a 04 0a000002
         c0 10 08 0002fc0000000001  c0 16 01 ff  c0 20 0c 0000fc000000000100000002  c0 23 04 0000fc00  c0 c8 01 00",
        VIP,
    );
    let Ok(update) = Update::parse(&body, &internal()) else { panic!("a good UPDATE") };
    assert_eq!(validate(&update).disposition(), None);
    let contents = Contents::of(&update);
    let codes: Vec<_> = contents.attributes.other.iter().map(|raw| raw.code.0).collect();
    assert_eq!(codes, [22, 200]);
    both_ways(&internal(), &body, &contents);
}

#[test]
fn values_that_say_more() {
    let body = update_body(
        "",
        "40 02 18 02 03 00000001 00000002 00000003 01 02 00000004 00000005
         c0 10 10 0004 5ba0 4b189680 4004 fc00 7f800000
         80 1a 12 02 0007 01020304 01 000b 0000000000000064",
        "",
    );
    let update = Update::parse(&body, &internal()).expect("a good UPDATE");
    let path = update.attribute(AttributeCode::AS_PATH).expect("there");
    // An AS_SET is not allowed, and read all the same.
    assert_eq!(validate(&update).findings().count(), 1);
    let Ok(Value::AsPath(path)) = path.value() else { panic!("AS_PATH") };
    assert_eq!(
        path.segments().map(|segment| segment.kind).collect::<Vec<_>>(),
        [SegmentKind::Sequence, SegmentKind::Set]
    );
    assert_eq!(path.hops(), 4);

    let communities = update.attribute(AttributeCode::EXTENDED_COMMUNITIES).expect("there");
    let Ok(Value::ExtendedCommunities(list)) = communities.value() else { panic!("communities") };
    let bandwidths: Vec<_> = list.iter().map(ExtendedCommunity::as_link_bandwidth).collect();
    let ten = LinkBandwidth { transitive: true, asn: 23_456, bytes_per_second: 10_000_000.0 };
    // Infinity is no bandwidth.
    assert_eq!(bandwidths, [Some(ten), None]);
    assert_eq!(ExtendedCommunity::link_bandwidth(4_200_000_000, 1e7, true), list.iter().next());
    let bad = [f32::NAN, f32::INFINITY, -1.0, -0.0];
    assert!(bad.iter().all(|bandwidth| ExtendedCommunity::link_bandwidth(1, *bandwidth, true).is_none()));
    assert_eq!(
        ExtendedCommunity::link_bandwidth(64_512, 0.0, false),
        Some(ExtendedCommunity([0x40, 4, 0xfc, 0, 0, 0, 0, 0]))
    );

    let aigp = update.attribute(AttributeCode::AIGP).expect("there");
    let Ok(Value::Aigp(aigp)) = aigp.value() else { panic!("AIGP") };
    assert_eq!((aigp.metric(), aigp.tlvs().count()), (Some(100), 2));
}

#[test]
fn what_may_not_be_said_is_read_all_the_same() {
    for (octets, expected) in [
        ("40 05 04 00000064", "LocalPref(100)"),
        ("80 09 04 0a000001", "OriginatorId(10.0.0.1)"),
        ("80 0a 04 0a000001", "ClusterList([10.0.0.1])"),
        ("c0 12 08 0000fc00 0a000001", "As4Aggregator(Aggregator { asn: 64512, router: 10.0.0.1 })"),
        ("c0 07 08 00000000 0a000001", "Aggregator(Aggregator { asn: 0, router: 10.0.0.1 })"),
        ("c0 04 04 00000064", "MultiExitDisc(100)"),
        ("40 03 04 00000000", "NextHop(0.0.0.0)"),
        ("40 63 01 07", "Unknown([7])"),
    ] {
        let body = update_body("", octets, VIP);
        let update = Update::parse(&body, &external()).expect("readable");
        assert!(validate(&update).disposition().is_some(), "{octets}");
        let attribute = update.attributes().next().expect("there");
        assert_eq!(format!("{:?}", attribute.value().expect("readable")), expected);
        // And written as it came, wrong flags included.
        let mut buffer = [0; 4_096];
        let len = Contents::of(&update).encode(&external(), &mut buffer).expect("it fits");
        assert_eq!(to_hex(&buffer[19..len]), to_hex(&body));
    }
    for octets in ["40 05 03 000064", "c0 08 03 000064", "40 02 04 0202 0001", "40 01 01 03", "80 1a 02 0100"]
    {
        let body = update_body("", octets, VIP);
        let update = Update::parse(&body, &external()).expect("readable");
        assert!(update.attributes().next().expect("there").value().is_err(), "{octets}");
    }
}

#[test]
fn paths() {
    let body = update_body("", "40 02 10 03 01 0000fc00 02 02 00000001 00000002", "");
    let update = Update::parse(&body, &internal()).expect("a good UPDATE");
    let Ok(Value::AsPath(path)) = update.attribute(AttributeCode::AS_PATH).expect("there").value() else {
        panic!("AS_PATH")
    };
    assert_eq!(path.asns().collect::<Vec<_>>(), [64_512, 1, 2]);
    assert_eq!((path.hops(), path.is_empty()), (2, false));
}

#[test]
fn ipv6_unicast() {
    let reach = "80 0e 30 0002 01 10 20010db8000000000000000000000001 00
        80 20010db8000000000000000000000007 30 20010db80001 00 01 80";
    let body = update_body("", &format!("{reach} 40010100 40020602010000fc00"), "");
    let routes = ["2001:db8::7/128", "2001:db8:1::/48", "::/0", "8000::/1"].map(prefix).into();
    let contents = Contents {
        attributes: good(),
        mp_reach: Some(Reach {
            next_hop: NextHop::V6("2001:db8::1".parse().expect("an address")),
            routes: Routes::Ipv6(Safi::UNICAST, routes),
        }),
        ..Contents::default()
    };
    both_ways(&external(), &body, &contents);

    let body = update_body("", "80 0f 14 0002 01 80 20010db8000000000000000000000007", "");
    let contents = Contents {
        mp_unreach: Some(Routes::Ipv6(Safi::UNICAST, vec![prefix("2001:db8::7/128")])),
        ..Contents::default()
    };
    both_ways(&external(), &body, &contents);
}

#[test]
fn next_hops_of_every_length() {
    let global = "20010db8000000000000000000000001";
    let link_local = "fe800000000000000000000000000001";
    let v6 = NextHop::V6("2001:db8::1".parse().expect("an address"));
    let pair = NextHop::V6Pair {
        global: "2001:db8::1".parse().expect("an address"),
        link_local: "fe80::1".parse().expect("an address"),
    };
    for (family, next_hop, octets) in [
        (Family::IPV4_UNICAST, NextHop::V4([192, 0, 2, 1].into()), "04 c0000201".to_owned()),
        (Family::IPV4_MULTICAST, NextHop::V4([192, 0, 2, 1].into()), "04 c0000201".to_owned()),
        // RFC 8950.
        (Family::IPV4_UNICAST, v6, format!("10 {global}")),
        (Family::IPV4_UNICAST, pair, format!("20 {global} {link_local}")),
        (Family::IPV6_UNICAST, v6, format!("10 {global}")),
        (Family::IPV6_UNICAST, pair, format!("20 {global} {link_local}")),
        (Family::IPV6_MULTICAST, pair, format!("20 {global} {link_local}")),
    ] {
        let (routes, nlri) = if family.afi == Afi::IPV4 {
            (Routes::Ipv4(family.safi, vec![prefix("198.51.100.7/32")]), VIP)
        } else {
            (Routes::Ipv6(family.safi, vec![prefix("2001:db8::/32")]), "20 20010db8")
        };
        let value = format!("{:04x} {:02x} {octets} 00 {nlri}", family.afi.0, family.safi.0);
        let attribute = format!("80 0e {:02x} {value}", hex(&value).len());
        let contents = Contents { mp_reach: Some(Reach { next_hop, routes }), ..Contents::default() };
        both_ways(&external(), &update_body("", &attribute, ""), &contents);
    }
}

#[test]
fn the_reserved_octet_is_ignored() {
    let body = update_body("", "80 0e 0e 0001 02 04 c0000201 07 20 c6336407", "");
    let update = Update::parse(&body, &external()).expect("a good UPDATE");
    let MpNlri::Ipv4(mut prefixes) = update.mp_reach().expect("readable").nlri else { panic!("IPv4") };
    assert_eq!(prefixes.next(), Some(prefix("198.51.100.7/32")));
}

#[test]
fn other_families_are_kept_as_bytes() {
    // L2VPN EVPN: AFI 25, SAFI 70.
    let reach = "80 0e 0b 0019 46 04 c0000201 00 0102";
    let unreach = "80 0f 05 0019 46 0304";
    let body = update_body("", &format!("{reach} {unreach} {GOOD}"), "");
    let update = Update::parse(&body, &external()).expect("a good UPDATE");
    assert_eq!(validate(&update).disposition(), None);
    let mp = update.mp_reach().expect("readable");
    assert_eq!((mp.family, mp.next_hop), (Family::new(Afi(25), Safi(70)), None));
    assert_eq!(mp.next_hop_bytes, [192, 0, 2, 1]);
    assert!(matches!(mp.nlri, MpNlri::Other([1, 2])));
    let contents = Contents::of(&update);
    assert_eq!((&contents.mp_reach, &contents.mp_unreach), (&None, &None));
    both_ways(&external(), &body, &contents);
}

#[test]
fn path_identifiers() {
    let session = Session { add_path: Families::NONE.with(Family::IPV4_UNICAST), ..external() };
    let id = |path_id, text: &str| Nlri { path_id: Some(path_id), ..prefix(text) };
    let body =
        update_body("00000001 18 c63364", GOOD, "00000001 20 c6336407 ffffffff 20 c6336407 00000000 00");
    let contents = Contents {
        withdrawn: vec![id(1, "198.51.100.0/24")],
        attributes: good(),
        next_hop: Some([192, 0, 2, 1].into()),
        nlri: vec![id(1, "198.51.100.7/32"), id(u32::MAX, "198.51.100.7/32"), id(0, "0.0.0.0/0")],
        ..Contents::default()
    };
    both_ways(&session, &body, &contents);

    // IPv6 in the same session has none.
    let attribute = "80 0f 14 0002 01 80 20010db8000000000000000000000007";
    let contents = Contents {
        mp_unreach: Some(Routes::Ipv6(Safi::UNICAST, vec![prefix("2001:db8::7/128")])),
        ..Contents::default()
    };
    both_ways(&session, &update_body("", attribute, ""), &contents);

    let session = Session { add_path: Families::ALL, ..external() };
    let attribute = "80 0f 18 0002 01 00000007 80 20010db8000000000000000000000007";
    let nlri = Nlri { path_id: Some(7), ..prefix("2001:db8::7/128") };
    let contents =
        Contents { mp_unreach: Some(Routes::Ipv6(Safi::UNICAST, vec![nlri])), ..Contents::default() };
    both_ways(&session, &update_body("", attribute, ""), &contents);
}

#[test]
fn two_octet_as_numbers() {
    let session = Session::default();
    // AS_TRANS where the number does not fit, and the whole path beside it (RFC 6793 4.2.2).
    let body = update_body(
        "",
        "40 01 01 00  40 02 08 02 03 0001 5ba0 fc00  40 03 04 c0000201  c0 07 06 5ba0 0a000001
         c0 11 0e 02 03 00000001 fa56ea00 0000fc00  c0 12 08 fa56ea00 0a000001",
        VIP,
    );
    let path = vec![PathSegment::sequence([1, 4_200_000_000, 64_512])];
    let aggregator = Aggregator { asn: 4_200_000_000, router: [10, 0, 0, 1].into() };
    let trans = Aggregator { asn: 23_456, router: [10, 0, 0, 1].into() };
    let contents = Contents {
        attributes: Attributes {
            origin: Some(Origin::Igp),
            as_path: Some(vec![PathSegment::sequence([1, 23_456, 64_512])]),
            aggregator: Some(trans),
            as4_path: Some(path.clone()),
            as4_aggregator: Some(aggregator),
            ..Attributes::default()
        },
        next_hop: Some([192, 0, 2, 1].into()),
        nlri: vec![prefix("198.51.100.7/32")],
        ..Contents::default()
    };
    both_ways(&session, &body, &contents);

    // The same, made from the real path alone.
    let mut made = contents.clone();
    made.attributes.as_path = Some(path.clone());
    made.attributes.as4_path = None;
    made.attributes.aggregator = Some(aggregator);
    made.attributes.as4_aggregator = None;
    let mut buffer = [0; 4_096];
    let len = made.encode(&session, &mut buffer).expect("it fits");
    assert_eq!(to_hex(&buffer[19..len]), to_hex(&body));

    let as_path = contents.attributes.as_path.expect("there");
    assert_eq!(merge_as4_path(&as_path, &path), path);
    // A longer AS4_PATH is not believed; of a shorter one the front of AS_PATH is kept.
    let longer = vec![PathSegment::sequence([1, 2, 3, 4])];
    assert_eq!(merge_as4_path(&as_path, &longer), as_path);
    let shorter = vec![PathSegment::sequence([4_200_000_000, 64_512])];
    assert_eq!(merge_as4_path(&as_path, &shorter), path);
    // A peer with four-octet numbers gets neither of the two attributes.
    let len = made.encode(&external(), &mut buffer).expect("it fits");
    let update = Update::parse(&buffer[19..len], &external()).expect("a good UPDATE");
    assert!(update.attribute(AttributeCode::AS4_PATH).is_none());
    assert!(update.attribute(AttributeCode::AS4_AGGREGATOR).is_none());
}

#[test]
fn long_paths_take_several_segments() {
    let asns: Vec<u32> = (1..=300).collect();
    let mut contents = Contents::default();
    contents.attributes.as_path = Some(vec![PathSegment::sequence(asns.clone())]);
    let mut buffer = [0; 4_096];
    let len = contents.encode(&external(), &mut buffer).expect("it fits");
    let update = Update::parse(&buffer[19..len], &external()).expect("a good UPDATE");
    let path = update.attribute(AttributeCode::AS_PATH).expect("there");
    assert!(path.flags.extended_length());
    let Ok(Value::AsPath(path)) = path.value() else { panic!("AS_PATH") };
    assert_eq!(path.segments().map(|segment| segment.asns.len()).collect::<Vec<_>>(), [255, 45]);
    assert_eq!(path.asns().collect::<Vec<_>>(), asns);
}

#[test]
fn end_of_rib() {
    for (family, octets) in [
        (Family::IPV4_UNICAST, "0000 0000"),
        (Family::IPV4_MULTICAST, "0000 0006 80 0f 03 0001 02"),
        (Family::IPV6_UNICAST, "0000 0006 80 0f 03 0002 01"),
        (Family::new(Afi(25), Safi(70)), "0000 0006 80 0f 03 0019 46"),
    ] {
        let body = hex(octets);
        let update = Update::parse(&body, &external()).expect("a good UPDATE");
        assert_eq!(update.end_of_rib(), Some(family));
        assert_eq!(validate(&update).disposition(), None);
        let mut buffer = [0; 64];
        let len = encode_end_of_rib(family, &mut buffer).expect("it fits");
        assert_eq!(to_hex(&buffer[..len]), to_hex(&message(MessageType::Update, &body)));
    }
    for not in [
        update_body("", "", VIP),
        update_body(VIP, "", ""),
        update_body("", "80 0f 04 0002 01 00", ""),
        update_body("", "80 0f 03 0002 01 40 01 01 00", ""),
        update_body("", "80 0f 03 0002 01 40", ""),
        update_body(VIP, "80 0f 03 0002 01", ""),
        update_body("", "80 0f 02 0002", ""),
    ] {
        let update = Update::parse(&not, &external()).expect("readable");
        assert_eq!(update.end_of_rib(), None, "{}", to_hex(&not));
    }
}
