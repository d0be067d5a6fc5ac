//! What FRR, BIRD, GoBGP and ExaBGP really say: every message of the sessions in `captures/` is read, judged
//! and written again. `captures/README.md` tells where they come from.

#[path = "captures/pcap.rs"]
mod pcap;

use std::net::{IpAddr, Ipv4Addr};

use metal_bgp::{
    validate::validate,
    wire::{
        AttributeCode, Capability, Contents, Family, Message, Nlri, Notification, Open, RouteRefresh,
        Session, Update, Value,
        attribute::{Aggregator, Community, ExtendedCommunity, LargeCommunity, NextHop, Origin, PathSegment},
        build::Routes,
        capability::Role,
        encode_keepalive,
        frame::{Frame, MaxLength},
        notification::Communication,
        open::negotiate,
        refresh::Subtype,
    },
};

use pcap::Captured;

/// A message with the session that its bytes belong to.
struct Said {
    by: IpAddr,
    connection: usize,
    bytes: Vec<u8>,
    session: Session,
}

impl Said {
    fn message(&self) -> Message<'_> {
        let frame = Frame::parse(&self.bytes, self.session.max_length).unwrap();
        assert_eq!(frame.len(), self.bytes.len());
        Message::parse(&frame, &self.session).unwrap()
    }

    fn update(&self) -> Option<Update<'_>> {
        match self.message() {
            Message::Update(update) => Some(update),
            _ => None,
        }
    }
}

/// The messages of a capture, each with what the OPENs of its connection have negotiated until then.
fn capture(name: &str) -> Vec<Said> {
    let mut said: Vec<Said> = Vec::new();
    for Captured { connection, source, destination, bytes } in pcap::messages(name) {
        let open = |by| {
            said.iter().find(|said| said.connection == connection && said.by == by && said.bytes[18] == 1)
        };
        let session = match (open(source), open(destination)) {
            (Some(theirs), Some(ours)) => {
                negotiate(&read_open(&ours.bytes), &read_open(&theirs.bytes)).receive
            }
            _ => Session::default(),
        };
        said.push(Said { by: source, connection, bytes, session });
    }
    said
}

fn read_open(bytes: &[u8]) -> Open<'_> {
    Open::parse(Frame::parse(bytes, MaxLength::Standard).unwrap().body()).unwrap()
}

const CAPTURES: [(&str, usize); 6] = [
    ("bird-two-octet", 10),
    ("exabgp-bird", 30),
    ("exabgp-gobgp", 32),
    ("frr-bird", 65),
    ("frr-gobgp", 29),
    ("frr-unnumbered", 17),
];

#[test]
fn every_message_is_read_and_nothing_is_wrong_with_it() {
    for (name, count) in CAPTURES {
        let said = capture(name);
        assert_eq!(said.len(), count, "{name}");
        for said in &said {
            if let Some(update) = said.update() {
                let findings: Vec<_> = validate(&update).findings().collect();
                assert!(findings.is_empty(), "{name}: {findings:?}");
            }
        }
    }
}

#[test]
fn what_is_canonical_is_written_as_it_was_read() {
    let (mut same, mut other) = (0, 0);
    for (name, _) in CAPTURES {
        for said in capture(name) {
            let written = write(&said);
            if is_canonical(&said) {
                assert_eq!(written, said.bytes, "{name}");
                same += 1;
            } else {
                assert_ne!(written, said.bytes, "{name}");
                let again = Said { bytes: written.clone(), ..said };
                assert_eq!(write(&again), written, "{name}");
                other += 1;
            }
        }
    }
    // Some put each capability into a parameter of its own, or MP_REACH_NLRI last, or waste a length octet.
    assert_eq!((same, other), (118, 65));
}

/// The message as this crate writes it.
fn write(said: &Said) -> Vec<u8> {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let length = match said.message() {
        Message::Open(open) => open.encode(&mut buffer),
        Message::Update(update) => Contents::of(&update).encode(&said.session, &mut buffer),
        Message::Notification(notification) => notification.encode(&mut buffer),
        Message::Keepalive => encode_keepalive(&mut buffer),
        Message::RouteRefresh(refresh) => refresh.encode(&mut buffer),
    };
    buffer.truncate(length.unwrap());
    buffer
}

/// Whether one parameter holds all capabilities, or lengths are short, MP_REACH_NLRI is first, the other
/// attributes ascend, and communities are sorted.
fn is_canonical(said: &Said) -> bool {
    match said.message() {
        Message::Open(_) => said.bytes.len() == 31 + usize::from(said.bytes[30]),
        Message::Update(update) => {
            let codes: Vec<_> = update
                .attributes()
                .map(|attribute| match attribute.code {
                    AttributeCode::MP_REACH_NLRI => 0,
                    AttributeCode(code) => code,
                })
                .collect();
            let sorted = |code, item| {
                update.attribute(code).is_none_or(|attribute| attribute.bytes.chunks(item).is_sorted())
            };
            codes.is_sorted()
                && update.attributes().all(|attribute| !attribute.flags.extended_length())
                && sorted(AttributeCode::COMMUNITIES, 4)
                && sorted(AttributeCode::EXTENDED_COMMUNITIES, 8)
                && sorted(AttributeCode::LARGE_COMMUNITIES, 12)
        }
        Message::Notification(_) | Message::Keepalive | Message::RouteRefresh(_) => true,
    }
}

const LEFT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const RIGHT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

fn opens(said: &[Said], by: IpAddr) -> Open<'_> {
    read_open(&said.iter().find(|said| said.by == by && said.bytes[18] == 1).unwrap().bytes)
}

/// The first UPDATE of this peer that announces or withdraws the prefix.
fn about(said: &[Said], by: IpAddr, prefix: &str) -> Contents {
    said.iter()
        .filter(|said| said.by == by)
        .filter_map(Said::update)
        .map(|update| Contents::of(&update))
        .find(|contents| prefixes(contents).iter().any(|other| other == prefix))
        .unwrap_or_else(|| panic!("nobody speaks of {prefix}"))
}

fn prefixes(contents: &Contents) -> Vec<String> {
    let mp = [contents.mp_reach.as_ref().map(|reach| &reach.routes), contents.mp_unreach.as_ref()];
    let mut all: Vec<_> =
        contents.nlri.iter().chain(&contents.withdrawn).map(|nlri| nlri.prefix.to_string()).collect();
    for routes in mp.into_iter().flatten() {
        match routes {
            Routes::Ipv4(_, list) => all.extend(list.iter().map(|nlri| nlri.prefix.to_string())),
            Routes::Ipv6(_, list) => all.extend(list.iter().map(|nlri| nlri.prefix.to_string())),
        }
    }
    all
}

fn notifications(said: &[Said]) -> Vec<(IpAddr, Notification<'_>)> {
    said.iter()
        .filter_map(|said| match said.message() {
            Message::Notification(notification) => Some((said.by, notification)),
            _ => None,
        })
        .collect()
}

fn refreshes(said: &[Said], by: IpAddr) -> Vec<RouteRefresh> {
    said.iter()
        .filter(|said| said.by == by)
        .filter_map(|said| match said.message() {
            Message::RouteRefresh(refresh) => Some(refresh),
            _ => None,
        })
        .collect()
}

fn nlri4(path_id: impl Into<Option<u32>>, prefix: &str) -> Nlri<ipnet::Ipv4Net> {
    Nlri { path_id: path_id.into(), prefix: prefix.parse().unwrap() }
}

#[test]
fn frr_and_bird_open_with_all_they_can() {
    let said = capture("frr-bird");
    let (frr, bird) = (opens(&said, LEFT), opens(&said, RIGHT));
    assert_eq!((frr.my_as, frr.asn(), frr.hold_time), (23_456, 4_200_000_001, 9));
    assert_eq!((bird.my_as, bird.asn(), bird.hold_time), (65_002, 65_002, 90));
    assert_eq!(bird.bgp_identifier, Ipv4Addr::new(198, 51, 100, 2));
    assert!(frr.capabilities.contains(&Capability::Role(Role::Provider)));
    assert!(bird.capabilities.contains(&Capability::Role(Role::Customer)));
    for open in [&frr, &bird] {
        for capability in [
            Capability::RouteRefresh,
            Capability::EnhancedRouteRefresh,
            Capability::ExtendedMessage,
            Capability::Multiprotocol(Family::IPV4_MULTICAST),
        ] {
            assert!(open.capabilities.contains(&capability), "{capability:?}");
        }
    }
    let restart = frr.capabilities.iter().find_map(|capability| match capability {
        Capability::GracefulRestart(restart) => Some(restart),
        _ => None,
    });
    let restart = restart.unwrap();
    assert_eq!((restart.restarted, restart.notification, restart.restart_time), (true, true, 77));
    assert_eq!(restart.families.len(), 3);

    let session = negotiate(&frr, &bird);
    assert!(session.receive.four_octet_as);
    assert_eq!(session.receive.max_length, MaxLength::Extended);
    assert_eq!(session.receive.add_path.iter().collect::<Vec<_>>(), [Family::IPV4_UNICAST]);
}

#[test]
fn frr_announces_to_bird() {
    let said = capture("frr-bird");
    let route = about(&said, LEFT, "10.1.2.3/32");
    assert_eq!(route.next_hop, Some(Ipv4Addr::new(192, 0, 2, 1)));
    let nlri = [nlri4(2, "0.0.0.0/0"), nlri4(4, "10.1.2.3/32"), nlri4(3, "10.1.0.0/16")];
    assert_eq!(route.nlri, nlri);
    let attributes = route.attributes;
    assert_eq!(attributes.origin, Some(Origin::Igp));
    assert_eq!(attributes.as_path, Some(vec![PathSegment::sequence([4_200_000_001])]));
    assert_eq!(attributes.multi_exit_disc, Some(77));
    assert_eq!(
        attributes.communities,
        [
            Community::new(65_001, 1),
            Community::new(65_001, 2),
            Community::GRACEFUL_SHUTDOWN,
            Community::NO_EXPORT
        ]
    );
    let large = |local2| LargeCommunity { global: 4_200_000_001, local1: 0, local2 };
    assert_eq!(attributes.large_communities, [large(1), large(2)]);
    // 100 Mbit/s; an AS of four octets does not fit.
    let bandwidth = ExtendedCommunity::link_bandwidth(4_200_000_001, 12_500_000.0, true).unwrap();
    assert_eq!(
        attributes.extended_communities,
        [ExtendedCommunity([0, 2, 0xfd, 0xe9, 0, 0, 0, 5]), bandwidth]
    );
    assert_eq!(attributes.only_to_customer, Some(4_200_000_001));
    assert_eq!(attributes.local_pref, None);

    // 300 prefixes of equal attributes take one message; so do their withdrawals.
    let many = about(&said, LEFT, "198.18.74.192/26");
    assert_eq!((many.nlri.len(), many.attributes.multi_exit_disc), (300, Some(10)));
    let gone = said.iter().filter_map(Said::update).map(|update| update.withdrawn().count()).max();
    assert_eq!(gone, Some(301)); // and 10.1.2.3/32
}

#[test]
fn bird_announces_to_frr() {
    let said = capture("frr-bird");
    let route = about(&said, RIGHT, "203.0.113.77/32");
    assert_eq!(route.attributes.origin, Some(Origin::Incomplete));
    assert_eq!(route.attributes.as_path, Some(vec![PathSegment::sequence([65_002, 4_200_000_099, 65_002])]));
    assert_eq!(route.nlri, [nlri4(2, "203.0.113.77/32")]);
    assert_eq!(
        route.attributes.extended_communities,
        [ExtendedCommunity([0, 2, 0xfd, 0xea, 0, 0, 0, 7]), ExtendedCommunity([1, 3, 198, 51, 100, 2, 0, 9])]
    );

    let reach = about(&said, RIGHT, "2001:db8:beef:1::7/128").mp_reach.unwrap();
    assert_eq!(reach.routes.family(), Family::IPV6_UNICAST);
    let NextHop::V6Pair { global, link_local } = reach.next_hop else { panic!("{:?}", reach.next_hop) };
    assert_eq!(global, "2001:db8::2".parse::<std::net::Ipv6Addr>().unwrap());
    assert!(link_local.is_unicast_link_local());
    let reach = about(&said, RIGHT, "198.51.100.0/24").mp_reach.unwrap();
    assert_eq!(reach.routes.family(), Family::IPV4_MULTICAST);
    assert_eq!(reach.next_hop, NextHop::V4(Ipv4Addr::new(192, 0, 2, 2)));

    let ends: Vec<_> = said
        .iter()
        .filter(|said| said.by == RIGHT && said.connection == 0)
        .filter_map(Said::update)
        .collect();
    let ends: Vec<_> = ends.iter().filter_map(Update::end_of_rib).collect();
    assert_eq!(ends.len(), 3);
    for family in [Family::IPV4_UNICAST, Family::IPV4_MULTICAST, Family::IPV6_UNICAST] {
        assert!(ends.contains(&family));
    }
}

#[test]
fn frr_and_bird_refresh_and_say_goodbye() {
    let said = capture("frr-bird");
    let asked = refreshes(&said, LEFT);
    assert!(asked.contains(&RouteRefresh { family: Family::IPV4_UNICAST, subtype: Subtype::Request }));
    let answered = refreshes(&said, RIGHT);
    for subtype in [Subtype::Request, Subtype::Beginning, Subtype::End] {
        for family in [Family::IPV4_UNICAST, Family::IPV6_UNICAST] {
            assert!(answered.contains(&RouteRefresh { family, subtype }), "{family} {subtype:?}");
        }
    }

    let [(bird, reset), (frr, shutdown)] = notifications(&said)[..] else { panic!("not two NOTIFICATIONs") };
    assert_eq!((bird, reset.code, reset.subcode), (RIGHT, 6, 4));
    assert_eq!(reset.to_string(), "Cease: Administrative Reset");
    assert_eq!(reset.communication(), Some(Communication::Text("maintenance, back in a moment")));
    assert_eq!((frr, shutdown.code, shutdown.subcode), (LEFT, 6, 2));
    assert_eq!(shutdown.communication(), Some(Communication::Text("Umbau im Rack B, zurück um 6")));
}

#[test]
fn gobgp_and_frr_over_ipv6() {
    let said = capture("frr-gobgp");
    let (frr, gobgp) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
    assert_eq!((opens(&said, frr).asn(), opens(&said, gobgp).asn()), (65_001, 65_003));

    let route = about(&said, gobgp, "203.0.113.4/32");
    assert_eq!(route.attributes.origin, Some(Origin::Egp));
    assert_eq!(route.attributes.as_path, Some(vec![PathSegment::sequence([65_003, 64_999, 4_200_000_007])]));
    let updates: Vec<_> = said.iter().filter(|said| said.by == gobgp).filter_map(Said::update).collect();
    let metrics: Vec<_> = updates
        .iter()
        .filter_map(|update| update.attribute(AttributeCode::AIGP)?.value().ok())
        .filter_map(|value| match value {
            Value::Aigp(aigp) => aigp.metric(),
            _ => None,
        })
        .collect();
    assert_eq!(metrics.first(), Some(&1_000));

    // An IPv4 prefix through an IPv6 next hop (RFC 8950), from an aggregate.
    let route = about(&said, frr, "10.3.0.0/16");
    let reach = route.mp_reach.unwrap();
    assert_eq!(reach.routes.family(), Family::IPV4_UNICAST);
    assert!(matches!(reach.next_hop, NextHop::V6Pair { .. }));
    assert!(route.attributes.atomic_aggregate);
    let router = Ipv4Addr::new(198, 51, 100, 1);
    assert_eq!(route.attributes.aggregator, Some(Aggregator { asn: 65_001, router }));

    // EVPN is no family that is understood: octets, and no harm.
    let evpn = said.iter().filter_map(Said::update).filter_map(|update| update.mp_reach());
    assert_eq!(evpn.filter(|reach| !reach.family.is_understood()).count(), 2);

    let withdrawn = said.iter().filter(|said| said.by == gobgp).filter_map(Said::update);
    let withdrawn: Vec<_> = withdrawn.flat_map(|update| update.withdrawn()).collect();
    assert_eq!(withdrawn, [nlri4(1, "203.0.113.3/32")]);

    let [(by, shutdown)] = notifications(&said)[..] else { panic!("not one NOTIFICATION") };
    assert_eq!((by, shutdown.code, shutdown.subcode), (gobgp, 6, 2));
    assert_eq!(shutdown.communication(), None);
}

#[test]
fn exabgp_sends_what_few_others_send() {
    let said = capture("exabgp-bird");
    let route = about(&said, LEFT, "203.0.113.10/32");
    assert_eq!(route.nlri, [nlri4(0x0102_0304, "203.0.113.10/32")]);
    let attributes = route.attributes;
    assert_eq!(attributes.as_path, Some(vec![PathSegment::sequence([64_496, 64_497])]));
    assert_eq!((attributes.multi_exit_disc, attributes.local_pref), (Some(9), Some(300)));
    assert_eq!(attributes.communities, [Community::new(65_010, 10), Community::new(65_010, 11)]);
    assert_eq!(attributes.originator_id, Some(Ipv4Addr::new(198, 51, 100, 6)));
    assert_eq!(attributes.cluster_list, [Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(198, 51, 100, 8)]);

    let route = about(&said, LEFT, "203.0.113.11/32").attributes;
    assert!(route.atomic_aggregate);
    let router = Ipv4Addr::new(198, 51, 100, 9);
    assert_eq!(route.aggregator, Some(Aggregator { asn: 64_500, router }));
    assert_eq!(*route.aigp, [1, 0, 11, 0, 0, 0, 0, 0, 0, 0x13, 0x88]);

    let other = about(&said, LEFT, "203.0.113.12/32").attributes.other;
    let [unknown] = &other[..] else { panic!("not one unknown attribute: {other:?}") };
    assert_eq!((unknown.code.0, unknown.flags.0), (99, 0xc0));
    assert_eq!(*unknown.value, [1, 2, 3, 4, 5]);

    let sids: Vec<_> = said
        .iter()
        .filter_map(Said::update)
        .map(|update| Contents::of(&update).attributes.prefix_sid.len())
        .filter(|length| *length > 0)
        .collect();
    assert_eq!(sids, [10, 10]);

    let reflected = about(&said, RIGHT, "192.88.99.0/24");
    assert_eq!(reflected.attributes.as_path, Some(vec![]));
    assert_eq!(reflected.attributes.local_pref, Some(250));
}

#[test]
fn two_octet_as_numbers() {
    let said = capture("bird-two-octet");
    assert!(said.iter().all(|said| !said.session.four_octet_as));
    let route = about(&said, LEFT, "10.4.0.0/16").attributes;
    let asns = |path: &Option<Vec<PathSegment>>| path.as_ref().unwrap()[0].asns.clone();
    assert_eq!(asns(&route.as_path), [23_456, 23_456, 64_501]);
    assert_eq!(asns(&route.as4_path), [4_200_000_001, 4_200_000_001, 64_501]);
    assert_eq!(route.aggregator.unwrap().asn, 23_456);
    assert_eq!(route.as4_aggregator.unwrap().asn, 4_200_000_001);
    assert!(route.atomic_aggregate);
    let route = about(&said, RIGHT, "203.0.113.20/32").attributes;
    assert_eq!((asns(&route.as_path), route.as4_path), (vec![65_020], None));
}

#[test]
fn unnumbered_peers_have_nothing_but_link_local_next_hops() {
    let said = capture("frr-unnumbered");
    let left = "fe80::ff:fe00:1".parse().unwrap();
    for (prefix, family) in
        [("10.31.0.0/16", Family::IPV4_UNICAST), ("2001:db8:31::/48", Family::IPV6_UNICAST)]
    {
        let reach = about(&said, left, prefix).mp_reach.unwrap();
        assert_eq!(reach.routes.family(), family);
        // FRR's older form: the link-local address twice.
        let NextHop::V6Pair { global, link_local } = reach.next_hop else { panic!("{:?}", reach.next_hop) };
        assert_eq!((IpAddr::V6(global), IpAddr::V6(link_local)), (left, left));
    }
}

#[test]
fn sessions_that_end_badly() {
    let said = capture("exabgp-gobgp");
    let [(by, wrong_as), (other, silent)] = notifications(&said)[..] else { panic!("not two NOTIFICATIONs") };
    assert_eq!((by, wrong_as.code, wrong_as.subcode), (RIGHT, 2, 2));
    assert_eq!(wrong_as.to_string(), "OPEN Message Error: Bad Peer AS");
    assert_eq!((other, silent.code, silent.subcode, silent.data.len()), (RIGHT, 4, 0, 0));
    assert_eq!(silent.to_string(), "Hold Timer Expired");
    let route = about(&said, LEFT, "203.0.113.40/32").attributes;
    assert_eq!(route.communities, [Community::NO_EXPORT, Community::BLACKHOLE]);
}
