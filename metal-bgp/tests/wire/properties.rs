//! What always holds.

use ipnet::{Ipv4Net, Ipv6Net};
use metal_bgp::{
    validate::validate,
    wire::{
        Afi, AttributeCode, Attributes, Capability, Contents, Families, Family, Flags, Message, Nlri,
        Notification, Open, OwnedUpdate, Packer, Peer, RouteRefresh, Safi, Session, Update, Value,
        attribute::{
            Aggregator, Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity, MpNlri, NextHop,
            Origin, PathSegment, SegmentKind,
        },
        build::{Encode, Partial, RawAttribute, Reach, Routes},
        capability::{AddPathFamily, GracefulRestart, LongLivedFamily, NextHopEncoding, RestartFamily, Role},
        frame::{Frame, MaxLength, MessageType, Unframed},
        nlri::Route,
        refresh::Subtype,
    },
};
use proptest::{collection::vec, option, prelude::*, sample::select};

fn session() -> impl Strategy<Value = Session> {
    (any::<bool>(), any::<bool>(), vec(any::<bool>(), 4), any::<bool>()).prop_map(
        |(internal, four_octet_as, add_path, extended)| Session {
            peer: if internal { Peer::Internal } else { Peer::External },
            four_octet_as,
            add_path: Families::ALL
                .iter()
                .zip(add_path)
                .filter(|(_, on)| *on)
                .map(|(family, _)| family)
                .collect(),
            max_length: if extended { MaxLength::Extended } else { MaxLength::Standard },
        },
    )
}

fn ipv4() -> impl Strategy<Value = Ipv4Net> {
    (any::<u32>(), 0..=32_u8)
        .prop_map(|(bits, length)| Ipv4Net::new(bits.into(), length).expect("good").trunc())
}

fn ipv6() -> impl Strategy<Value = Ipv6Net> {
    (any::<u128>(), 0..=128_u8)
        .prop_map(|(bits, length)| Ipv6Net::new(bits.into(), length).expect("good").trunc())
}

fn routes<P: core::fmt::Debug + Clone>(
    prefix: impl Strategy<Value = P>,
    add_path: bool,
    most: usize,
) -> impl Strategy<Value = Vec<Nlri<P>>> {
    vec((prefix, any::<u32>()), 0..most).prop_map(move |routes| {
        routes.into_iter().map(|(prefix, id)| Nlri { path_id: add_path.then_some(id), prefix }).collect()
    })
}

fn safi() -> impl Strategy<Value = Safi> {
    select(vec![Safi::UNICAST, Safi::MULTICAST])
}

fn family_routes(session: Session) -> impl Strategy<Value = Routes> {
    let add_path = move |afi, safi| session.add_path.contains(Family::new(afi, safi));
    prop_oneof![
        safi().prop_flat_map(move |safi| {
            routes(ipv4(), add_path(Afi::IPV4, safi), 20).prop_map(move |routes| Routes::Ipv4(safi, routes))
        }),
        safi().prop_flat_map(move |safi| {
            routes(ipv6(), add_path(Afi::IPV6, safi), 20).prop_map(move |routes| Routes::Ipv6(safi, routes))
        }),
    ]
}

fn next_hop6() -> impl Strategy<Value = NextHop> {
    prop_oneof![
        any::<u128>().prop_map(|bits| NextHop::V6(bits.into())),
        any::<[u128; 2]>().prop_map(|[global, link_local]| NextHop::V6Pair {
            global: global.into(),
            link_local: link_local.into()
        }),
    ]
}

fn reach(session: Session) -> impl Strategy<Value = Reach> {
    (family_routes(session), next_hop6(), option::of(any::<u32>())).prop_map(|(routes, next_hop, v4)| {
        let next_hop = match (&routes, v4) {
            (Routes::Ipv4(..), Some(bits)) => NextHop::V4(bits.into()),
            _ => next_hop,
        };
        Reach { next_hop, routes }
    })
}

fn asn(four_octet: bool) -> impl Strategy<Value = u32> {
    1..=if four_octet { u32::MAX } else { u32::from(u16::MAX) }
}

fn path(four_octet: bool) -> impl Strategy<Value = Vec<PathSegment>> {
    vec(vec(asn(four_octet), 1..10).prop_map(PathSegment::sequence), 0..3)
}

fn sorted<T: Ord + core::fmt::Debug>(item: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    vec(item, 0..80).prop_map(|mut list| {
        list.sort_unstable();
        list.dedup();
        list
    })
}

fn aggregator(four_octet: bool) -> impl Strategy<Value = Aggregator> {
    (asn(four_octet), any::<u32>()).prop_map(|(asn, router)| Aggregator { asn, router: router.into() })
}

fn large() -> impl Strategy<Value = LargeCommunity> {
    any::<[u32; 3]>().prop_map(|[global, local1, local2]| LargeCommunity { global, local1, local2 })
}

/// Attributes that nobody understands, ascending.
fn others() -> impl Strategy<Value = Vec<RawAttribute>> {
    let code =
        any::<u8>().prop_map(AttributeCode).prop_filter("not understood", |code| code.flags().is_none());
    vec((code, select(vec![0x80, 0xc0, 0xe0]), vec(any::<u8>(), 0..300)), 0..3).prop_map(|list| {
        let mut list: Vec<_> = list
            .into_iter()
            .map(|(code, flags, value)| RawAttribute { code, flags: Flags(flags), value: value.into() })
            .collect();
        list.sort_unstable();
        list.dedup_by_key(|raw| raw.code);
        list
    })
}

prop_compose! {
    fn attributes(session: Session)(
        (origin, as_path, multi_exit_disc, local_pref, atomic_aggregate, aggregator, communities) in (
            option::of(select(vec![Origin::Igp, Origin::Egp, Origin::Incomplete])),
            option::of(path(session.four_octet_as)),
            option::of(any::<u32>()),
            option::of(any::<u32>()),
            any::<bool>(),
            option::of(aggregator(session.four_octet_as)),
            sorted(any::<u32>().prop_map(Community)),
        ),
        (originator_id, cluster_list, extended_communities, as4_path, as4_aggregator) in (
            option::of(any::<u32>()),
            vec(any::<u32>(), 0..4),
            sorted(any::<[u8; 8]>().prop_map(ExtendedCommunity)),
            option::of(path(true)),
            option::of(aggregator(true)),
        ),
        (ipv6_extended_communities, metric, large_communities, only_to_customer, other, partial) in (
            sorted(any::<[u8; 20]>().prop_map(Ipv6ExtendedCommunity)),
            option::of(any::<u64>()),
            sorted(large()),
            option::of(any::<u32>()),
            others(),
            any::<bool>(),
        ),
    ) -> Attributes {
        let internal = session.peer == Peer::Internal;
        let four = session.four_octet_as;
        let partial = if partial && !communities.is_empty() {
            Partial::default().with(AttributeCode::COMMUNITIES)
        } else {
            Partial::default()
        };
        Attributes {
            origin,
            as_path,
            multi_exit_disc,
            local_pref: local_pref.filter(|_| internal),
            atomic_aggregate,
            aggregator,
            communities,
            originator_id: originator_id.map(Into::into).filter(|_| internal),
            cluster_list: if internal { cluster_list.into_iter().map(Into::into).collect() } else { vec![] },
            extended_communities,
            as4_path: as4_path.filter(|path| !four && !path.is_empty()),
            as4_aggregator: as4_aggregator.filter(|_| !four),
            ipv6_extended_communities,
            aigp: metric.map(|metric| [&[1, 0, 11], &metric.to_be_bytes()[..]].concat().into()).unwrap_or_default(),
            large_communities,
            only_to_customer,
            prefix_sid: [].into(),
            other,
            partial,
        }
    }
}

prop_compose! {
    fn contents(session: Session)(
        withdrawn in routes(ipv4(), session.add_path.contains(Family::IPV4_UNICAST), 30),
        attributes in attributes(session),
        next_hop in option::of(any::<u32>()),
        mp_reach in option::of(reach(session)),
        mp_unreach in option::of(family_routes(session)),
        nlri in routes(ipv4(), session.add_path.contains(Family::IPV4_UNICAST), 30),
    ) -> Contents {
        Contents { withdrawn, attributes, next_hop: next_hop.map(Into::into), mp_reach, mp_unreach, nlri }
    }
}

fn family() -> impl Strategy<Value = Family> {
    (any::<u16>(), any::<u8>()).prop_map(|(afi, safi)| Family::new(Afi(afi), Safi(safi)))
}

fn capability() -> impl Strategy<Value = Capability<'static>> {
    let restart = vec((family(), any::<bool>()), 0..5).prop_map(|list| {
        list.into_iter().map(|(family, forwarding)| RestartFamily { family, forwarding }).collect::<Vec<_>>()
    });
    let long_lived = vec((family(), any::<bool>(), 0..1_u32 << 24), 0..5).prop_map(|list| {
        list.into_iter()
            .map(|(family, forwarding, stale_time)| LongLivedFamily { family, forwarding, stale_time })
            .collect::<Vec<_>>()
    });
    let add_path = vec((family(), any::<u8>()), 0..5).prop_map(|list| {
        list.into_iter()
            .map(|(family, send_receive)| AddPathFamily { family, send_receive })
            .collect::<Vec<_>>()
    });
    let next_hops = vec(any::<(u16, u16, u16)>(), 0..5).prop_map(|list| {
        list.into_iter()
            .map(|(afi, safi, next_hop)| NextHopEncoding { afi: Afi(afi), safi, next_hop: Afi(next_hop) })
            .collect::<Vec<_>>()
    });
    prop_oneof![
        family().prop_map(Capability::Multiprotocol),
        select(vec![
            Capability::RouteRefresh,
            Capability::RouteRefreshCisco,
            Capability::ExtendedMessage,
            Capability::EnhancedRouteRefresh,
            Capability::BfdStrict,
            Capability::LinkLocalNextHop,
        ]),
        next_hops.prop_map(|list| Capability::ExtendedNextHop(list.into())),
        any::<u8>().prop_map(|role| Capability::Role(Role::from_code(role))),
        (any::<bool>(), any::<bool>(), 0..4_096_u16, restart).prop_map(
            |(restarted, notification, restart_time, families)| {
                let families = families.into();
                Capability::GracefulRestart(GracefulRestart {
                    restarted,
                    notification,
                    restart_time,
                    families,
                })
            }
        ),
        (1..=u32::MAX).prop_map(Capability::FourOctetAs),
        add_path.prop_map(|list| Capability::AddPath(list.into())),
        long_lived.prop_map(|list| Capability::LongLivedGracefulRestart(list.into())),
        (vec(any::<u8>(), 0..60), vec(any::<u8>(), 0..60))
            .prop_map(|(host, domain)| Capability::Fqdn { host: host.into(), domain: domain.into() }),
        (200..=255_u8, vec(any::<u8>(), 0..60))
            .prop_map(|(code, value)| Capability::Unknown { code, value: value.into() }),
    ]
}

/// Everything that a view says, gathered by every way there is.
fn look_at(update: &Update<'_>) -> (Vec<Nlri<Ipv4Net>>, Vec<Nlri<Ipv4Net>>, Vec<String>) {
    let attributes = update
        .attributes()
        .map(|attribute| {
            let value = match attribute.value() {
                Ok(Value::MpReach(reach)) => {
                    format!("{:?} {:?} {}", reach.family, reach.next_hop, list(&reach.nlri))
                }
                Ok(Value::MpUnreach(unreach)) => format!("{:?} {}", unreach.family, list(&unreach.nlri)),
                other => format!("{other:?}"),
            };
            format!("{} {:?} {} {value}", attribute.code, attribute.flags, attribute.offset)
        })
        .chain(validate(update).findings().map(|finding| format!("{finding:?}")))
        .collect();
    (update.withdrawn().collect(), update.nlri().collect(), attributes)
}

fn list(nlri: &MpNlri<'_>) -> String {
    match nlri {
        MpNlri::Ipv4(prefixes) => format!("{:?}", prefixes.clone().collect::<Vec<_>>()),
        MpNlri::Ipv6(prefixes) => format!("{:?}", prefixes.clone().collect::<Vec<_>>()),
        MpNlri::Other(bytes) => format!("{bytes:?}"),
    }
}

/// An UPDATE with parts of likely lengths and attributes of likely types, so that more than the lengths is tried.
fn likely_update() -> impl Strategy<Value = Vec<u8>> {
    let attribute = (select(vec![0x40_u8, 0x80, 0xc0, 0xe0, 0x50, 0x90]), 1..=41_u8, vec(any::<u8>(), 0..40))
        .prop_map(|(flags, code, value)| {
            let len = u8::try_from(value.len()).expect("short");
            let header = if flags & 0x10 == 0 { vec![flags, code, len] } else { vec![flags, code, 0, len] };
            [header, value].concat()
        });
    let prefix = (0..=33_u8, vec(any::<u8>(), 4))
        .prop_map(|(length, bits)| [&[length], &bits[..usize::from(length).div_ceil(8).min(4)]].concat());
    let prefixes = || vec(prefix.clone(), 0..4).prop_map(|list| list.concat());
    (prefixes(), vec(attribute, 0..6), prefixes()).prop_map(|(withdrawn, attributes, nlri)| {
        let mut body = Vec::new();
        for part in [withdrawn, attributes.concat()] {
            body.extend(u16::try_from(part.len()).expect("short").to_be_bytes());
            body.extend(part);
        }
        body.extend(nlri);
        body
    })
}

/// Packs, and reads back what was packed.
fn packed<const N: usize, I, P>(
    mut packer: Packer<I>,
    session: &Session,
    prefixes: fn(&Update<'_>) -> Vec<Nlri<P>>,
) -> Vec<(usize, Vec<Nlri<P>>)>
where
    I: Iterator<Item: Route<Prefix: Encode<Longest = [u8; N]>>>,
{
    let mut buffer = vec![0xaa; 65_535];
    let mut all = Vec::new();
    while let Some(len) = packer.write(&mut buffer).expect("room for each prefix") {
        let frame = Frame::parse(&buffer[..len], session.max_length).expect("a whole message");
        assert_eq!(frame.len(), len);
        let update = Update::parse(frame.body(), session).expect("a good UPDATE");
        assert_eq!(validate(&update).disposition(), None);
        all.push((len, prefixes(&update)));
    }
    all
}

proptest! {
    #[test]
    fn an_update_is_read_as_it_was_written(
        (session, contents) in session().prop_flat_map(|session| (Just(session), contents(session)))
    ) {
        let mut buffer = vec![0xaa; 65_535];
        let Ok(len) = contents.encode(&session, &mut buffer) else {
            prop_assume!(session.max_length == MaxLength::Standard);
            return Ok(());
        };
        let frame = Frame::parse(&buffer[..len], session.max_length).expect("a whole message");
        let update = Update::parse(frame.body(), &session).expect("a good UPDATE");
        prop_assert_eq!(&Contents::of(&update), &contents);
        // Nothing is wrong with what was written, apart from what was left out.
        let wrong: Vec<_> = validate(&update).findings().map(|finding| finding.fault).collect();
        prop_assert!(
            wrong.iter().all(|fault| matches!(
                fault,
                metal_bgp::validate::Fault::Missing(_) | metal_bgp::validate::Fault::NextHop(_)
            )),
            "{:?}", wrong
        );
        // The buffer has to be as long as the message, and no longer.
        let mut exact = vec![0; len];
        prop_assert_eq!(contents.encode(&session, &mut exact), Ok(len));
        prop_assert_eq!(&exact, &buffer[..len]);
        prop_assert!(contents.encode(&session, &mut exact[1..]).is_err());
    }

    #[test]
    fn what_is_packed_arrives_in_order_and_no_message_has_room_for_one_more(
        session in session(),
        prefixes in vec(ipv4(), 0..3_000),
        withdraw: bool,
    ) {
        let mut attributes = Attributes {
            origin: Some(Origin::Igp),
            as_path: Some(vec![PathSegment::sequence([64_512])]),
            ..Attributes::default()
        };
        attributes.local_pref = Some(100);
        let next_hop = NextHop::V4([192, 0, 2, 1].into());
        let messages = if withdraw {
            let packer = Packer::withdraw(Safi::UNICAST, prefixes.iter().copied(), &session).expect("good");
            packed(packer, &session, |update| update.withdrawn().collect())
        } else {
            let packer = Packer::announce(&attributes, next_hop, Safi::UNICAST, prefixes.iter().copied(), &session);
            packed(packer.expect("good"), &session, |update| update.nlri().collect())
        };
        let add_path = session.add_path.contains(Family::IPV4_UNICAST);
        for pair in messages.windows(2) {
            let next = pair[1].1[0].prefix.prefix_len();
            let needed = 1 + usize::from(next).div_ceil(8) + if add_path { 4 } else { 0 };
            prop_assert!(pair[0].0 + needed > usize::from(session.max_length.bytes()));
        }
        let arrived: Vec<_> = messages.into_iter().flat_map(|(_, routes)| routes).collect();
        prop_assert!(arrived.iter().map(|nlri| nlri.prefix).eq(prefixes));
        prop_assert!(arrived.iter().all(|nlri| nlri.path_id == add_path.then_some(0)));
    }

    #[test]
    fn ipv6_is_packed_as_well(
        session in session(),
        prefixes in vec((ipv6(), any::<u32>()), 0..800),
        withdraw: bool,
        safi in safi(),
        hop in 1..u32::MAX,
    ) {
        let attributes = Attributes {
            origin: Some(Origin::Igp),
            as_path: Some(vec![PathSegment::sequence([64_512])]),
            local_pref: Some(100),
            ..Attributes::default()
        };
        let add_path = session.add_path.contains(Family::new(Afi::IPV6, safi));
        let routes: Vec<_> = prefixes
            .into_iter()
            .map(|(prefix, id)| Nlri { path_id: add_path.then_some(id), prefix })
            .collect();
        let next_hop = NextHop::V6((0x2001_0db8_u128 << 96 | u128::from(hop)).into());
        let messages = if withdraw {
            packed(Packer::withdraw(safi, routes.iter().copied(), &session).expect("good"), &session, |update| {
                match update.mp_unreach().expect("there").nlri {
                    MpNlri::Ipv6(prefixes) => prefixes.collect(),
                    _ => vec![],
                }
            })
        } else {
            let packer = Packer::announce(&attributes, next_hop, safi, routes.iter().copied(), &session);
            packed(packer.expect("good"), &session, |update| {
                match update.mp_reach().expect("there").nlri {
                    MpNlri::Ipv6(prefixes) => prefixes.collect(),
                    _ => vec![],
                }
            })
        };
        for pair in messages.windows(2) {
            let next = pair[1].1[0].prefix.prefix_len();
            let needed = 1 + usize::from(next).div_ceil(8) + if add_path { 4 } else { 0 };
            prop_assert!(pair[0].0 + needed > usize::from(session.max_length.bytes()));
        }
        prop_assert!(messages.into_iter().flat_map(|(_, routes)| routes).eq(routes));
    }

    #[test]
    fn an_open_is_read_as_it_was_written(
        asn in 1..=u32::MAX,
        hold_time in prop_oneof![Just(0), 3..=u16::MAX],
        id in 1..=u32::MAX,
        capabilities in vec(capability(), 0..20),
    ) {
        let open = Open::new(asn, hold_time, id.into(), capabilities.clone());
        let mut buffer = [0xaa; 4_096];
        let len = open.encode(&mut buffer).expect("it fits");
        let frame = Frame::parse(&buffer[..len], MaxLength::Standard).expect("a whole message");
        let read = Open::parse(frame.body()).expect("a good OPEN");
        prop_assert_eq!(&read, &open);
        prop_assert_eq!(read.capabilities.to_vec(), capabilities);
        prop_assert_eq!(read.asn(), open.asn());
        prop_assert_eq!(read.clone().into_owned(), read);
    }

    #[test]
    fn small_messages_are_read_as_they_were_written(
        code: u8, subcode: u8, data in vec(any::<u8>(), 0..100), family in family(), subtype: u8,
    ) {
        let mut buffer = [0xaa; 200];
        let notification = Notification::new(code, subcode, &data);
        let len = notification.encode(&mut buffer).expect("it fits");
        let frame = Frame::parse(&buffer[..len], MaxLength::Standard).expect("a whole message");
        prop_assert_eq!(Notification::parse(frame.body()), Some(notification));
        let refresh = RouteRefresh { family, subtype: Subtype::from_code(subtype) };
        let len = refresh.encode(&mut buffer).expect("it fits");
        let frame = Frame::parse(&buffer[..len], MaxLength::Standard).expect("a whole message");
        prop_assert_eq!(RouteRefresh::parse(frame.body()), Ok(refresh));
    }

    #[test]
    fn lazy_and_owned_agree_and_writing_again_changes_nothing(
        session in session(),
        body in prop_oneof![likely_update(), vec(any::<u8>(), 0..80)],
    ) {
        let Ok(update) = Update::parse(&body, &session) else { return Ok(()) };
        let owned = OwnedUpdate::parse(&body, &session).expect("the same");
        prop_assert_eq!(look_at(&update), look_at(&owned.view()));
        prop_assert_eq!(validate(&update).disposition(), validate(&owned.view()).disposition());

        // Once canonical, always canonical.
        let contents = Contents::of(&update);
        let mut buffer = [0; 4_096];
        let len = contents.encode(&session, &mut buffer).expect("it fits");
        let again = Update::parse(&buffer[19..len], &session).expect("still readable");
        let mut second = [0; 4_096];
        let again = Contents::of(&again).encode(&session, &mut second).expect("it fits");
        prop_assert_eq!(&second[..again], &buffer[..len]);
    }

    #[test]
    fn no_bytes_panic(
        session in session(),
        kind in select(&MessageType::ALL[..]),
        body in vec(any::<u8>(), 0..200),
    ) {
        if let Ok(frame) = Frame::new(kind, &body, session.max_length) {
            match Message::parse(&frame, &session) {
                Ok(Message::Update(update)) => drop(look_at(&update)),
                Ok(Message::Open(open)) => drop(open.into_owned()),
                Ok(other) => prop_assert_eq!(other.kind(), kind),
                Err(error) => {
                    prop_assert!(error.notification().code > 0);
                    prop_assert!(error.offset() <= 19 + body.len());
                    prop_assert!(error.notification().data.len() <= 19 + body.len());
                }
            }
        }
        if let Err(Unframed::Incomplete { needed }) = Frame::parse(&body, session.max_length) {
            prop_assert!(needed.get() <= 65_535);
        }
    }
}

#[test]
fn segments_of_every_kind_have_their_own_number() {
    for code in 0..=u8::MAX {
        if let Some(kind) = SegmentKind::from_code(code) {
            assert_eq!(kind.code(), code);
        }
        assert_eq!(Role::from_code(code).code(), code);
        assert_eq!(Subtype::from_code(code).code(), code);
    }
}
