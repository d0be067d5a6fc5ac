use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    sync::Arc,
    vec,
    vec::Vec,
};
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    config::{Configuration, Legacy as ConfigMap, LegacyPool, Object, ObjectStatus, PoolSpec, Spec},
    selector::{Labels, Selector},
    view::Family,
};

fn reference(kind: &'static str, name: &str) -> ObjectRef {
    ObjectRef { kind, namespace: "metallb-system".into(), name: name.into() }
}

fn object(created: i64, spec: Spec) -> Object {
    Object { created: Some(created), labels: Labels::new(), spec, status: ObjectStatus::default() }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

type Given = (ObjectRef, Object);

fn peer_spec(address: &str) -> PeerSpec {
    PeerSpec {
        my_asn: 64512,
        peer_asn: Some(64513),
        peer_address: Some(address.into()),
        ..PeerSpec::default()
    }
}

fn peer_of(name: &str, created: i64, spec: PeerSpec) -> Given {
    (reference("BGPPeer", name), object(created, Spec::BgpPeer(Box::new(spec))))
}

fn advertisement_of(name: &str, spec: AdvertisementSpec) -> Given {
    (reference("BGPAdvertisement", name), object(1, Spec::BgpAdvertisement(Box::new(spec))))
}

fn pool_of(name: &str, addresses: &[&str]) -> Given {
    let spec = PoolSpec { addresses: texts(addresses), auto_assign: true, ..PoolSpec::default() };
    (reference("IPAddressPool", name), object(1, Spec::Pool(spec)))
}

fn community_of(name: &str, created: i64, aliases: &[(&str, &str)]) -> Given {
    let aliases = aliases.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    (reference("Community", name), object(created, Spec::Community(CommunitySpec { aliases })))
}

fn profile_of(name: &str, spec: BfdProfileSpec) -> Given {
    (reference("BFDProfile", name), object(1, Spec::BfdProfile(spec)))
}

fn configuration(objects: Vec<Given>) -> Configuration {
    let mut configuration = Configuration::new();
    for (object, value) in objects {
        configuration.apply(object, Some(value));
    }
    configuration.synced();
    configuration
}

fn apply(configuration: &mut Configuration, (object, value): Given) {
    configuration.apply(object, Some(value));
}

/// What is wrong with each object whose verdict has changed.
fn verdicts(configuration: &mut Configuration) -> Vec<(String, Vec<String>)> {
    let verdicts = configuration.take_changes().verdicts.into_iter();
    let text = |refusals: Vec<Refusal>| refusals.iter().map(ToString::to_string).collect();
    verdicts.map(|(object, refusals)| (object.name.to_string(), text(refusals))).collect()
}

#[track_caller]
fn refusals(configuration: &mut Configuration, name: &str) -> Vec<String> {
    let found = verdicts(configuration).into_iter().find(|(object, _)| object == name);
    found.unwrap_or_else(|| panic!("no new verdict on {name}")).1
}

fn peers(configuration: &Configuration) -> Vec<String> {
    configuration.snapshot().bgp().peers().map(|peer| format!("{}={}", peer.name, peer.router)).collect()
}

/// The advertisements applied to a pool, with their lengths for IPv4.
fn applied(configuration: &Configuration, pool: &str) -> Vec<String> {
    let applied = configuration.snapshot().bgp().advertisements_for(&pool.into());
    applied.map(|entry| format!("{}/{}", entry.source.object.name, entry.aggregation_v4)).collect()
}

/// The peer that a spec makes on any node, or what is wrong with it.
fn judged(spec: PeerSpec) -> Result<Peer, Vec<String>> {
    template(spec).map(|template| match (&template.router, &template.peer_asn) {
        (RouterSource::Fixed(router), AsnSource::Fixed(asn)) => template.with(router.clone(), *asn),
        _ => panic!("{template:?} depends on the node"),
    })
}

fn label(key: &str) -> Option<FromNode> {
    Some(FromNode { node_label: Some(key.into()), ..FromNode::default() })
}

fn annotation(key: &str) -> Option<FromNode> {
    Some(FromNode { node_annotation: Some(key.into()), ..FromNode::default() })
}

fn gateway(family: &str) -> Option<FromNode> {
    Some(FromNode { default_gateway: Some(family.into()), ..FromNode::default() })
}

/// The peer that a spec makes, or what is wrong with it.
fn template(spec: PeerSpec) -> Result<Arc<PeerTemplate>, Vec<String>> {
    let mut configuration = configuration(vec![peer_of("p", 1, spec)]);
    let refusals = refusals(&mut configuration, "p");
    configuration.snapshot().bgp().peer(&"p".into()).cloned().ok_or(refusals)
}

#[track_caller]
fn is_refused(spec: PeerSpec, expected: &str) {
    let refusals = judged(spec).unwrap_err();
    assert!(refusals.len() == 1 && refusals[0].starts_with(expected), "{refusals:?}");
}

#[test]
fn a_peer_with_nothing_but_the_necessary_has_the_defaults() {
    let peer = judged(peer_spec("10.0.0.1")).unwrap();
    assert_eq!((peer.my_asn, peer.peer_asn), (64512, PeerAsn::Is(64513)));
    assert_eq!(peer.router, Router::Address("10.0.0.1".parse().unwrap()));
    assert_eq!((peer.port, peer.hold_time, peer.keepalive_time, peer.connect_time), (179, 90, None, None));
    assert_eq!(
        (&peer.password, &peer.bfd, &peer.vrf, peer.mode),
        (&None, &None, &None, ConnectionMode::Dial)
    );
    assert!(peer.takes(Family::V4) && !peer.takes(Family::V6));
}

#[test]
fn a_peer_with_everything() {
    let profile =
        profile_of("fast", BfdProfileSpec { receive_interval: Some(50), ..BfdProfileSpec::default() });
    let spec = PeerSpec {
        local_asn: Some(65000),
        source_address: Some("10.0.0.9".into()),
        peer_port: Some(1179),
        hold_time: Some("3s".into()),
        keepalive_time: Some("1s".into()),
        connect_time: Some("5s".into()),
        router_id: Some("192.0.2.9".into()),
        node_selectors: vec![Selector::label("rack", "1")],
        password_secret: Some(SecretReference { name: "bgp".into(), namespace: None }),
        bfd_profile: Some("fast".into()),
        graceful_restart: true,
        ebgp_multi_hop: true,
        vrf: Some("red".into()),
        dual_stack: true,
        connection_mode: Some("Both".into()),
        ..peer_spec("10.0.0.1")
    };
    let mut configuration = configuration(vec![peer_of("p", 1, spec), profile]);
    assert_eq!(refusals(&mut configuration, "p"), [""; 0]);
    let peer = configuration.snapshot().bgp().peer(&"p".into()).unwrap();
    assert_eq!((peer.local_asn, peer.port, peer.hold_time), (Some(65000), 1179, 3));
    assert_eq!(peer.keepalive_time, Some(Duration::from_secs(1)));
    assert_eq!(peer.connect_time, Some(Duration::from_secs(5)));
    assert_eq!(peer.password, Some(Password::FromSecret("bgp".into())));
    assert_eq!((peer.vrf.as_deref(), peer.mode), (Some("red"), ConnectionMode::Both));
    let bfd = peer.bfd.as_ref().unwrap();
    assert_eq!(
        (bfd.receive_interval, bfd.transmit_interval),
        (Duration::from_millis(50), Duration::from_millis(300))
    );
    assert!(peer.dual_stack);
    assert!(
        peer.admits_node(&Labels::from([("rack".into(), "1".into())])) && !peer.admits_node(&Labels::new())
    );
}

#[test]
fn a_peer_has_exactly_one_asn_source() {
    let with = |peer_asn, dynamic: Option<&str>| PeerSpec {
        peer_asn,
        dynamic_asn: dynamic.map(Into::into),
        ..peer_spec("10.0.0.1")
    };
    is_refused(with(None, None), "spec.peerASN: is missing");
    is_refused(with(Some(0), Some("")), "spec.peerASN: is missing");
    is_refused(with(Some(1), Some("external")), "spec.dynamicASN: peerASN and dynamicASN exclude each other");
    is_refused(with(None, Some("both")), "spec.dynamicASN: \"both\" is neither internal nor external");
    assert_eq!(judged(with(None, Some("internal"))).unwrap().peer_asn, PeerAsn::Internal);
    assert_eq!(judged(with(Some(0), Some("external"))).unwrap().peer_asn, PeerAsn::External);
    is_refused(PeerSpec { my_asn: 0, ..peer_spec("10.0.0.1") }, "spec.myASN: 0 is no AS number");
}

#[test]
fn a_local_asn_is_for_peers_of_another_as() {
    let with =
        |local, peer| PeerSpec { local_asn: Some(local), peer_asn: Some(peer), ..peer_spec("10.0.0.1") };
    assert_eq!(judged(with(65000, 64513)).unwrap().local_asn, Some(65000));
    assert_eq!(judged(with(64512, 64513)).unwrap().local_asn, None, "it is ours anyway");
    is_refused(with(65000, 64512), "spec.localASN: is for peers of another AS, and this one is of ours");
    is_refused(with(64513, 64513), "spec.localASN: is the AS number of the peer");
    let internal = PeerSpec { peer_asn: None, dynamic_asn: Some("internal".into()), ..with(65000, 1) };
    is_refused(internal, "spec.localASN: is for peers of another AS");
}

#[test]
fn the_node_may_say_which_router_it_is() {
    let from = |from: Option<FromNode>| PeerSpec { peer_address_from: from, ..peer_spec("") };
    let router = |from_node| template(from(from_node)).unwrap().router.clone();
    assert_eq!(router(label("a/tor")), RouterSource::Node(NodeKey::Label("a/tor".into()), None));
    assert_eq!(router(annotation("a/tor")), RouterSource::Node(NodeKey::Annotation("a/tor".into()), None));
    assert_eq!(router(gateway("IPv6")), RouterSource::DefaultGateway(Family::V6, None));
    let on = PeerSpec { interface: Some("eth1".into()), ..from(gateway("IPv4")) };
    assert_eq!(template(on).unwrap().router.to_string(), "the node's default gateway of IPv4 on eth1");

    is_refused(from(Some(FromNode::default())), "spec.peerAddressFrom: is empty");
    let both = FromNode { node_annotation: Some("b".into()), ..label("a").unwrap() };
    is_refused(
        from(Some(both)),
        "spec.peerAddressFrom: nodeLabel, nodeAnnotation and defaultGateway exclude",
    );
    let both = FromNode { default_gateway: Some("IPv4".into()), ..label("a").unwrap() };
    is_refused(
        from(Some(both)),
        "spec.peerAddressFrom: nodeLabel, nodeAnnotation and defaultGateway exclude",
    );
    is_refused(from(gateway("v4")), "spec.peerAddressFrom.defaultGateway: \"v4\" is neither IPv4 nor IPv6");
    is_refused(
        PeerSpec { vrf: Some("red".into()), ..from(gateway("IPv4")) },
        "spec.peerAddressFrom.defaultGateway: is that of the main routing table",
    );
    is_refused(
        PeerSpec { peer_address_from: label("a"), ..peer_spec("10.0.0.1") },
        "spec.peerAddressFrom: peerAddress and peerAddressFrom exclude each other",
    );
    is_refused(
        PeerSpec { source_address: Some("2001:db8::1".into()), ..from(gateway("IPv4")) },
        "spec.sourceAddress: 2001:db8::1 is IPv6, but the router is reached by IPv4",
    );
}

#[test]
fn the_node_may_say_of_which_as_the_router_is() {
    let from = |from, peer_asn| PeerSpec { peer_asn, peer_asn_from: from, ..peer_spec("10.0.0.1") };
    let asn = |from_node| template(from(from_node, None)).unwrap().peer_asn.clone();
    assert_eq!(asn(label("a/as")), AsnSource::Node(NodeKey::Label("a/as".into())));
    assert_eq!(asn(annotation("a/as")), AsnSource::Node(NodeKey::Annotation("a/as".into())));
    for wrong in [Some(FromNode::default()), gateway("IPv4")] {
        is_refused(from(wrong, None), "spec.peerASNFrom: write either nodeLabel or nodeAnnotation");
    }
    is_refused(from(label("a"), Some(1)), "spec.peerASNFrom: peerASN, dynamicASN and peerASNFrom exclude");
    let local = PeerSpec { local_asn: Some(65000), ..from(label("a"), None) };
    let local = template(local).unwrap();
    assert_eq!(local.allows_asn(64513), Ok(()));
    assert!(local.allows_asn(64512).unwrap_err().starts_with("AS 64512 is ours"));
    assert!(local.allows_asn(65000).unwrap_err().starts_with("AS 65000 is localASN"));
    assert!(template(from(label("a"), None)).unwrap().allows_asn(0).is_err());
}

#[test]
fn two_that_ask_the_same_of_the_node_are_one() {
    let tor = || PeerSpec { peer_address_from: label("tor"), ..peer_spec("") };
    let other = PeerSpec { peer_address_from: label("tor-b"), ..peer_spec("") };
    let mut configuration =
        configuration(vec![peer_of("a", 1, tor()), peer_of("b", 2, tor()), peer_of("c", 3, other)]);
    let refusals = refusals(&mut configuration, "b");
    assert!(
        refusals[0].starts_with("spec.peerAddressFrom: BGPPeer metallb-system/a is for the same"),
        "{refusals:?}"
    );
    assert_eq!(peers(&configuration), ["a=label tor of the node", "c=label tor-b of the node"]);
}

#[test]
fn external_ips_and_communities_of_services_are_allowed_by_list() {
    let spec = AdvertisementSpec {
        external_ips: texts(&["203.0.113.0/24", "2001:db8::7", "198.51.100.1-198.51.100.9"]),
        allowed_service_communities: texts(&["64512:*", "blue", "no-export", "large:1:2:3"]),
        ..AdvertisementSpec::default()
    };
    let blue = || community_of("names", 1, &[("blue", "64999:1")]);
    let configuration = configuration(vec![advertisement_of("a", spec), blue()]);
    let advertisement = configuration.snapshot().bgp().advertisements().next().unwrap();
    let external = |address: &str| advertisement.has_external(address.parse().unwrap());
    assert!(external("203.0.113.255") && external("2001:db8::7") && external("198.51.100.9"));
    assert!(!external("203.0.114.0") && !external("2001:db8::8") && !external("198.51.100.10"));
    let allows = |community: &str| advertisement.allows(community.parse().unwrap());
    assert!(allows("64512:9") && allows("64999:1") && allows("65535:65281") && allows("large:1:2:3"));
    assert!(!allows("64999:2") && !allows("65535:65282") && !allows("large:1:2:4"));
}

#[test]
fn lists_for_services_that_cannot_be_are_refused() {
    let refused = |spec: AdvertisementSpec, expected: &str| {
        let mut configuration = configuration(vec![advertisement_of("a", spec)]);
        let refusals = refusals(&mut configuration, "a");
        assert!(refusals.len() == 1 && refusals[0].starts_with(expected), "{refusals:?}");
    };
    let external = |entries: &[&str], length| AdvertisementSpec {
        external_ips: texts(entries),
        aggregation_length: Some(length),
        ..AdvertisementSpec::default()
    };
    let allowed = |entries: &[&str], length| AdvertisementSpec {
        allowed_service_communities: texts(entries),
        aggregation_length: Some(length),
        ..AdvertisementSpec::default()
    };
    refused(
        external(&["10.0.0.0"], 24),
        "spec.externalIPs[0]: aggregationLength 24 would announce more than",
    );
    refused(external(&["a"], 32), "spec.externalIPs[0]: ");
    refused(external(&["10.0.0.1", "10.0.0.1"], 32), "spec.externalIPs[1]: 10.0.0.1 is listed twice");
    refused(allowed(&["64512:*"], 24), "spec.allowedServiceCommunities: is about single Services");
    refused(allowed(&["64512:*:*"], 32), "spec.allowedServiceCommunities[0]: \"64512:*:*\" is no community");
    refused(allowed(&["green"], 32), "spec.allowedServiceCommunities[0]: \"green\" is neither a community");
}

#[test]
fn what_services_may_ask_of_bgp_is_told_when_it_changes() {
    let mut configuration = configuration(vec![]);
    let mut told = |given: Given| {
        apply(&mut configuration, given);
        let changes = configuration.take_changes();
        (changes.bgp_wishes, changes.advertised_by_bgp.len())
    };
    let external =
        |entries: &[&str]| AdvertisementSpec { external_ips: texts(entries), ..AdvertisementSpec::default() };
    assert_eq!(told(advertisement_of("a", external(&[]))), (false, 0));
    assert_eq!(told(advertisement_of("a", external(&["192.0.2.0/24"]))), (true, 0));
    let med = AdvertisementSpec { med: Some(1), ..external(&["192.0.2.0/24"]) };
    assert_eq!(told(advertisement_of("a", med.clone())), (true, 0));
    assert_eq!(told(advertisement_of("a", med)), (false, 0));
    assert_eq!(told(community_of("names", 1, &[("blue", "64512:1")])), (true, 0));
    assert_eq!(told(pool_of("p", &["192.0.2.0/24"])), (false, 1));
    assert_eq!(told(advertisement_of("a", external(&[]))), (true, 1));
}

#[test]
fn a_router_has_an_address_or_an_interface() {
    let with = |address: &str, interface: &str| PeerSpec {
        peer_address: Some(address.into()),
        interface: Some(interface.into()),
        ..peer_spec("")
    };
    let router = |address, interface| judged(with(address, interface)).unwrap().router.to_string();
    assert_eq!(router("2001:db8::1", ""), "2001:db8::1");
    assert_eq!(router("", "eth0"), "eth0");
    assert_eq!(router("fe80::1", "eth0"), "fe80::1%eth0");
    assert_eq!(router("fe80::1%eth0", ""), "fe80::1%eth0");
    assert_eq!(router("fe80::1%eth0", "eth0"), "fe80::1%eth0");
    is_refused(
        with("", ""),
        "spec.peerAddress: is missing: write the address of the router, or the interface",
    );
    is_refused(with("router", ""), "spec.peerAddress: \"router\" is not an IP address");
    is_refused(with("10.0.0.1", "eth0"), "spec.peerAddress: 10.0.0.1 needs no interface");
    is_refused(with("10.0.0.1%eth0", ""), "spec.peerAddress: 10.0.0.1 needs no interface");
    is_refused(with("fe80::1", ""), "spec.peerAddress: fe80::1 is link-local: write the interface");
    is_refused(with("fe80::1%eth0", "eth1"), "spec.peerAddress: is on eth0, but interface says eth1");
    is_refused(
        with("::ffff:10.0.0.1", ""),
        "spec.peerAddress: ::ffff:10.0.0.1 is an IPv4 address written as IPv6",
    );
    for nobody in ["0.0.0.0", "255.255.255.255", "224.0.0.5", "ff02::1"] {
        is_refused(with(nobody, ""), &format!("spec.peerAddress: {nobody} is the address of no router"));
    }
}

#[test]
fn an_unnumbered_peer_takes_both_families() {
    let spec = PeerSpec { peer_address: None, interface: Some("eth0".into()), ..peer_spec("") };
    let peer = judged(spec).unwrap();
    assert!(peer.takes(Family::V4) && peer.takes(Family::V6));
    let peer = judged(peer_spec("fe80::1%eth0")).unwrap();
    assert!(!peer.takes(Family::V4) && peer.takes(Family::V6));
}

#[test]
fn a_source_address_is_of_the_routers_family() {
    let with =
        |router: &str, source: &str| PeerSpec { source_address: Some(source.into()), ..peer_spec(router) };
    assert!(judged(with("10.0.0.1", "10.0.0.2")).unwrap().source_address.is_some());
    is_refused(
        with("10.0.0.1", "fd00::1"),
        "spec.sourceAddress: fd00::1 is IPv6, but the router is reached by IPv4",
    );
    is_refused(with("10.0.0.1", "x"), "spec.sourceAddress: \"x\" is not an IP address");
    is_refused(with("10.0.0.1", "0.0.0.0"), "spec.sourceAddress: 0.0.0.0 is the address of no node");
}

#[test]
fn hold_and_keepalive_time_follow_from_each_other() {
    let with = |hold: Option<&str>, keepalive: Option<&str>| PeerSpec {
        hold_time: hold.map(Into::into),
        keepalive_time: keepalive.map(Into::into),
        ..peer_spec("10.0.0.1")
    };
    let times = |hold, keepalive| {
        let peer = judged(with(hold, keepalive)).unwrap();
        (peer.hold_time, peer.keepalive_time.map(|time| time.as_millis()))
    };
    assert_eq!(times(None, None), (90, None));
    assert_eq!(times(Some("3.9s"), None), (3, None), "whole seconds");
    assert_eq!(times(None, Some("20s")), (60, Some(20_000)));
    assert_eq!(times(Some("180s"), Some("60s")), (180, Some(60_000)));
    assert_eq!(times(Some("0s"), Some("0s")), (0, None));
    assert_eq!(times(None, Some("0s")), (0, None));
    assert_eq!(times(Some(""), Some("")), (90, None));
    is_refused(with(Some("2s"), None), "spec.holdTime: a hold time of 2s is too short");
    is_refused(with(None, Some("500ms")), "spec.keepaliveTime: a hold time of 1s is too short");
    is_refused(with(Some("24h"), None), "spec.holdTime: a hold time of 86400s is too long");
    is_refused(with(Some("9s"), Some("10s")), "spec.keepaliveTime: is longer than holdTime");
    is_refused(with(Some("-1s"), None), "spec.holdTime: \"-1s\" is not a duration");
}

#[test]
fn a_connect_time_is_in_whole_seconds() {
    let with = |time: &str| PeerSpec { connect_time: Some(time.into()), ..peer_spec("10.0.0.1") };
    assert_eq!(judged(with("1m")).unwrap().connect_time, Some(Duration::from_secs(60)));
    for wrong in ["0s", "1.5s", "65536s"] {
        is_refused(with(wrong), "spec.connectTime: is not a whole number of seconds from 1s to 65535s");
    }
}

#[test]
fn ports_and_router_ids_have_their_ranges() {
    let with = |port| PeerSpec { peer_port: Some(port), ..peer_spec("10.0.0.1") };
    assert_eq!((judged(with(0)).unwrap().port, judged(with(65535)).unwrap().port), (179, 65535));
    is_refused(with(65536), "spec.peerPort: 65536 is no port");
    is_refused(with(-1), "spec.peerPort: -1 is no port");
    let with = |id: &str| PeerSpec { router_id: Some(id.into()), ..peer_spec("10.0.0.1") };
    assert!(judged(with("192.0.2.1")).unwrap().router_id.is_some());
    for wrong in ["fd00::1", "0.0.0.0", "7"] {
        is_refused(with(wrong), "spec.routerID: ");
    }
}

#[test]
fn multihop_is_for_peers_of_another_as_and_not_with_ttl_security() {
    let with = |peer, ttl_security| PeerSpec {
        peer_asn: Some(peer),
        ebgp_multi_hop: true,
        ttl_security,
        ..peer_spec("10.0.0.1")
    };
    assert!(judged(with(64513, false)).unwrap().ebgp_multi_hop);
    is_refused(with(64512, false), "spec.ebgpMultiHop: is for peers of another AS");
    is_refused(with(64513, true), "spec.ttlSecurity: is for routers that are no hop away");
    let mode = PeerSpec { connection_mode: Some("dial".into()), ..peer_spec("10.0.0.1") };
    is_refused(mode, "spec.connectionMode: \"dial\" is none of Dial, Listen and Both");
}

#[test]
fn a_password_is_given_once_and_never_printed() {
    let reference = |namespace: Option<&str>| {
        Some(SecretReference { name: "bgp".into(), namespace: namespace.map(Into::into) })
    };
    let with = |password: &str, password_secret| PeerSpec {
        password: Some(password.into()),
        password_secret,
        ..peer_spec("10.0.0.1")
    };
    let spec = with("hunter2", None);
    assert!(!format!("{spec:?}").contains("hunter2"));
    let peer = judged(spec).unwrap();
    assert!(!format!("{peer:?}").contains("hunter2"), "{peer:?}");
    let Some(Password::Plain(password)) = &peer.password else { panic!("{peer:?}") };
    assert_eq!(password.expose(), "hunter2");
    assert_eq!(judged(with("", None)).unwrap().password, None);
    assert!(judged(with("", reference(Some("metallb-system")))).unwrap().password.is_some());
    is_refused(
        with("x", reference(None)),
        "spec.passwordSecret: password and passwordSecret exclude each other",
    );
    is_refused(with("", reference(Some("other"))), "spec.passwordSecret: is in namespace other");
    let refusals = judged(with(&"p".repeat(81), None)).unwrap_err();
    assert!(
        refusals[0].starts_with("spec.password: is longer than 80 bytes") && !refusals[0].contains("ppp")
    );
}

#[test]
fn a_bad_peer_is_refused_alone_and_stays_in_its_last_good_version() {
    let mut configuration =
        configuration(vec![peer_of("good", 1, peer_spec("10.0.0.1")), peer_of("bad", 1, peer_spec("x"))]);
    assert_eq!(peers(&configuration), ["good=10.0.0.1"]);
    configuration.take_changes();
    apply(&mut configuration, peer_of("good", 1, PeerSpec { my_asn: 0, ..peer_spec("10.0.0.2") }));
    let refused = refusals(&mut configuration, "good");
    assert!(refused[0].ends_with("its last valid version stays in force"), "{refused:?}");
    assert_eq!(peers(&configuration), ["good=10.0.0.1"]);
    let unreadable = Spec::Unreadable(refusal("spec", "no map"));
    configuration.apply(reference("BGPPeer", "good"), Some(object(1, unreadable)));
    let refused = refusals(&mut configuration, "good");
    assert!(refused.iter().any(|refused| refused.starts_with("spec: no map; its last valid")), "{refused:?}");
    assert_eq!(peers(&configuration), ["good=10.0.0.1"]);
    configuration.apply(reference("BGPPeer", "good"), None);
    let changes = configuration.take_changes();
    assert_eq!((changes.peers, peers(&configuration)), (BTreeSet::from(["good".into()]), vec![]));
}

#[test]
fn a_change_of_one_peer_touches_that_peer_only() {
    let mut configuration = configuration(vec![
        peer_of("a", 1, peer_spec("10.0.0.1")),
        peer_of("b", 1, peer_spec("10.0.0.2")),
        pool_of("p", &["192.0.2.0/24"]),
        advertisement_of("all", AdvertisementSpec::default()),
    ]);
    let changes = configuration.take_changes();
    assert_eq!(changes.peers, BTreeSet::from(["a".into(), "b".into()]));
    assert_eq!(changes.advertised_by_bgp, BTreeSet::from(["p".into()]));
    apply(
        &mut configuration,
        peer_of("a", 1, PeerSpec { hold_time: Some("9s".into()), ..peer_spec("10.0.0.1") }),
    );
    let changes = configuration.take_changes();
    assert_eq!((changes.peers, changes.advertised_by_bgp.len()), (BTreeSet::from(["a".into()]), 0));
    apply(&mut configuration, pool_of("q", &["198.51.100.0/24"]));
    let changes = configuration.take_changes();
    assert_eq!((changes.peers.len(), changes.advertised_by_bgp), (0, BTreeSet::from(["q".into()])));
}

#[test]
fn of_two_peers_for_one_router_the_one_in_force_stays_else_the_older() {
    let with = |selectors: &[(&str, &str)]| PeerSpec {
        node_selectors: selectors.iter().map(|(key, value)| Selector::label(key, value)).collect(),
        ..peer_spec("10.0.0.1")
    };
    let mut configuration =
        configuration(vec![peer_of("a", 2, with(&[])), peer_of("b", 1, with(&[("rack", "1")]))]);
    assert_eq!(peers(&configuration), ["b=10.0.0.1"]);
    let refused = refusals(&mut configuration, "a");
    assert!(
        refused[0].starts_with("spec.peerAddress: BGPPeer metallb-system/b is for the same router"),
        "{refused:?}"
    );
    apply(&mut configuration, peer_of("0", 0, with(&[])));
    assert_eq!(peers(&configuration), ["b=10.0.0.1"]);
    configuration.apply(reference("BGPPeer", "b"), None);
    assert_eq!(peers(&configuration), ["0=10.0.0.1"], "the oldest of those waiting follows");

    // Other selectors, another port or VRF: both can be.
    let apart = [
        peer_of("c", 1, with(&[("rack", "1")])),
        peer_of("d", 1, with(&[("rack", "2")])),
        peer_of("e", 1, PeerSpec { peer_port: Some(1179), ..with(&[("rack", "1")]) }),
        peer_of("f", 1, PeerSpec { vrf: Some("red".into()), ..with(&[("rack", "1")]) }),
        peer_of("g", 1, with(&[("rack", "2"), ("rack", "1")])),
        peer_of("h", 1, with(&[("rack", "1"), ("rack", "2")])),
    ];
    let configuration = self::configuration(apart.into());
    assert_eq!(configuration.snapshot().bgp().peers().count(), 5, "h has the selectors of g");
}

#[test]
fn a_peer_needs_its_bfd_profile_and_keeps_the_last_one() {
    let spec = || PeerSpec { bfd_profile: Some("fast".into()), ..peer_spec("10.0.0.1") };
    let profile = |interval| {
        profile_of("fast", BfdProfileSpec { receive_interval: Some(interval), ..BfdProfileSpec::default() })
    };
    let mut configuration = configuration(vec![peer_of("p", 1, spec())]);
    assert_eq!(
        refusals(&mut configuration, "p"),
        ["spec.bfdProfile: there is no BFDProfile fast, or it was refused"]
    );
    assert_eq!(peers(&configuration), [""; 0]);
    apply(&mut configuration, profile(100));
    assert_eq!(refusals(&mut configuration, "p"), [""; 0]);
    let interval = |configuration: &Configuration| {
        let peer = configuration.snapshot().bgp().peers().next().unwrap();
        peer.bfd.as_ref().unwrap().receive_interval.as_millis()
    };
    assert_eq!(interval(&configuration), 100);
    apply(&mut configuration, profile(200));
    assert_eq!(configuration.take_changes().peers.len(), 1);
    assert_eq!(interval(&configuration), 200);
    configuration.apply(reference("BFDProfile", "fast"), None);
    assert!(refusals(&mut configuration, "p")[0].ends_with("its last valid version stays in force"));
    assert_eq!(interval(&configuration), 200);
}

#[test]
fn a_bfd_profile_keeps_to_its_bounds() {
    let judge = |spec| {
        let mut configuration = configuration(vec![profile_of("p", spec)]);
        refusals(&mut configuration, "p")
    };
    assert_eq!(judge(BfdProfileSpec::default()), [""; 0]);
    let wrong = BfdProfileSpec {
        receive_interval: Some(9),
        transmit_interval: Some(60_001),
        echo_interval: Some(-1),
        detect_multiplier: Some(1),
        minimum_ttl: Some(255),
        ..BfdProfileSpec::default()
    };
    assert_eq!(
        judge(wrong),
        [
            "spec.receiveInterval: 9 is not between 10 and 60000",
            "spec.transmitInterval: 60001 is not between 10 and 60000",
            "spec.echoInterval: -1 is not between 10 and 60000",
            "spec.detectMultiplier: 1 is not between 2 and 255",
            "spec.minimumTtl: 255 is not between 1 and 254",
        ]
    );
    let right = BfdProfileSpec {
        receive_interval: Some(10),
        transmit_interval: Some(60_000),
        detect_multiplier: Some(255),
        minimum_ttl: Some(1),
        ..BfdProfileSpec::default()
    };
    assert_eq!(judge(right), [""; 0]);
}

/// The advertisement that a spec makes, or what is wrong with it.
fn judged_advertisement(spec: AdvertisementSpec) -> Result<Arc<Advertisement>, Vec<String>> {
    let mut configuration = configuration(vec![advertisement_of("a", spec)]);
    let refusals = refusals(&mut configuration, "a");
    configuration.snapshot().bgp().advertisements().next().cloned().ok_or(refusals)
}

#[test]
fn an_advertisement_with_nothing_and_with_everything() {
    let plain = judged_advertisement(AdvertisementSpec::default()).unwrap();
    assert_eq!((plain.aggregation_v4, plain.aggregation_v6), (32, 128));
    assert_eq!(plain.attributes, Attributes::default());
    assert!(plain.selects_every_pool() && plain.peers.is_empty() && !plain.keeps_without_endpoints);
    let spec = AdvertisementSpec {
        aggregation_length: Some(24),
        aggregation_length_v6: Some(64),
        local_pref: Some(200),
        communities: texts(&["64512:1", "large:64512:1:2", "extended:rt:64512:3", "no-export"]),
        med: Some(0),
        as_path_prepend: Some(3),
        next_hop_v4: Some("192.0.2.1".into()),
        next_hop_v6: Some("2001:db8::1".into()),
        without_endpoints: Some("Keep".into()),
        ..AdvertisementSpec::default()
    };
    let full = judged_advertisement(spec).unwrap();
    assert_eq!((full.length(Family::V4), full.length(Family::V6)), (24, 64));
    let attributes = &full.attributes;
    assert_eq!((attributes.local_pref, attributes.med, attributes.prepend), (Some(200), Some(0), 3));
    assert_eq!(attributes.next_hop_v4, Some([192, 0, 2, 1].into()));
    let communities: Vec<_> = attributes.communities.iter().map(ToString::to_string).collect();
    assert_eq!(communities, ["64512:1", "65535:65281", "large:64512:1:2", "extended:0x0002fc0000000003"]);
    assert!(full.keeps_without_endpoints);
    let zero = AdvertisementSpec { local_pref: Some(0), ..AdvertisementSpec::default() };
    assert_eq!(judged_advertisement(zero).unwrap().attributes.local_pref, None, "0 is as good as absent");
}

#[test]
fn a_bad_advertisement_is_refused_field_by_field() {
    let spec = AdvertisementSpec {
        aggregation_length: Some(33),
        aggregation_length_v6: Some(129),
        communities: texts(&["65536:1", "a:b:c", "64512:1", "64512:1"]),
        pools: texts(&["p", "p"]),
        peers: texts(&["r", "r"]),
        node_selectors: vec![Selector::default(), Selector::default()],
        as_path_prepend: Some(17),
        next_hop_v4: Some("224.0.0.1".into()),
        next_hop_v6: Some("fe80::1".into()),
        without_endpoints: Some("keep".into()),
        ..AdvertisementSpec::default()
    };
    let refusals = judged_advertisement(spec).unwrap_err();
    let fields: Vec<_> = refusals.iter().map(|text| text.split_once(": ").unwrap().0).collect();
    assert_eq!(
        fields,
        [
            "spec.aggregationLength",
            "spec.aggregationLengthV6",
            "spec.communities[3]",
            "spec.ipAddressPools[1]",
            "spec.peers[1]",
            "spec.nodeSelectors[1]",
            "spec.communities[0]",
            "spec.communities[1]",
            "spec.asPathPrepend",
            "spec.nextHop.ipv4",
            "spec.nextHop.ipv6",
            "spec.withoutEndpoints",
        ]
    );
}

#[test]
fn service_selectors_exclude_aggregation() {
    let with = |length| AdvertisementSpec {
        aggregation_length: length,
        service_selectors: vec![Selector::label("a", "b")],
        ..AdvertisementSpec::default()
    };
    assert!(judged_advertisement(with(None)).is_ok() && judged_advertisement(with(Some(32))).is_ok());
    let refusals = judged_advertisement(with(Some(31))).unwrap_err();
    assert!(refusals[0].starts_with("spec.serviceSelectors: selects single Services"), "{refusals:?}");
}

#[test]
fn a_community_by_name_needs_a_definition_and_keeps_the_last_one() {
    let spec = || AdvertisementSpec { communities: texts(&["blue"]), ..AdvertisementSpec::default() };
    let value = |configuration: &Configuration| {
        let advertisement = configuration.snapshot().bgp().advertisements().next()?;
        advertisement.attributes.communities.first().map(ToString::to_string)
    };
    let mut configuration = configuration(vec![advertisement_of("a", spec())]);
    let refused = refusals(&mut configuration, "a");
    assert!(refused[0].starts_with("spec.communities[0]: \"blue\" is neither a community"), "{refused:?}");
    assert_eq!(value(&configuration), None);
    apply(&mut configuration, community_of("c", 1, &[("blue", "64512:7")]));
    assert_eq!(refusals(&mut configuration, "a"), [""; 0]);
    assert_eq!(value(&configuration).as_deref(), Some("64512:7"));
    apply(&mut configuration, community_of("c", 1, &[("blue", "large:1:2:3")]));
    assert_eq!(value(&configuration).as_deref(), Some("large:1:2:3"));
    configuration.apply(reference("Community", "c"), None);
    assert!(refusals(&mut configuration, "a")[0].ends_with("its last valid version stays in force"));
    assert_eq!(value(&configuration).as_deref(), Some("large:1:2:3"));
}

#[test]
fn a_name_is_defined_once_and_overrides_a_well_known_one() {
    let mut configuration = configuration(vec![
        community_of("young", 2, &[("no-export", "64512:9"), ("blue", "64512:1")]),
        community_of("old", 1, &[("no-export", "64512:7")]),
        advertisement_of(
            "a",
            AdvertisementSpec { communities: texts(&["no-export"]), ..AdvertisementSpec::default() },
        ),
    ]);
    let communities = |configuration: &Configuration| {
        let advertisement = configuration.snapshot().bgp().advertisements().next().unwrap();
        advertisement.attributes.communities.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(communities(&configuration), ["64512:7"]);
    let refused = refusals(&mut configuration, "young");
    assert!(refused[0].contains("Community metallb-system/old defines \"no-export\" already"), "{refused:?}");
    configuration.apply(reference("Community", "old"), None);
    assert_eq!(communities(&configuration), ["64512:9"]);
    apply(
        &mut configuration,
        community_of("bad", 1, &[("", "1:1"), ("a:b", "1:1"), ("x", "y"), ("z", "1:1"), ("z", "1:1")]),
    );
    let refused = refusals(&mut configuration, "bad");
    let fields: Vec<_> = refused.iter().map(|text| text.split_once(": ").unwrap().0).collect();
    let field = |index, part| format!("spec.communities[{index}].{part}");
    assert_eq!(fields, [field(0, "name"), field(1, "name"), field(2, "value"), field(4, "name")]);
}

fn aggregated(length: i64) -> AdvertisementSpec {
    AdvertisementSpec { aggregation_length: Some(length), ..AdvertisementSpec::default() }
}

#[test]
fn a_prefix_may_not_reach_beyond_a_pool() {
    // The largest block of the range is a /26.
    let pools =
        || [pool_of("small", &["192.0.2.0/28"]), pool_of("range", &["3.3.3.2-3.3.3.254", "2001:db8::/64"])];
    let mut configuration =
        configuration(pools().into_iter().chain([advertisement_of("a", aggregated(26))]).collect());
    assert_eq!(
        (applied(&configuration, "range"), applied(&configuration, "small")),
        (vec!["a/26".to_string()], vec![])
    );
    assert_eq!(
        refusals(&mut configuration, "a"),
        [
            "spec.aggregationLength: 26 would announce more than pool small has in 192.0.2.0-192.0.2.15: write 28 or more, \
          or leave the pool out; it is not applied to this pool"
        ]
    );
    // What fits no longer is not taken over for the pool.
    apply(&mut configuration, advertisement_of("a", aggregated(28)));
    assert_eq!(refusals(&mut configuration, "a"), [""; 0]);
    apply(&mut configuration, advertisement_of("a", aggregated(24)));
    assert_eq!(refusals(&mut configuration, "a").len(), 2);
    assert_eq!(
        (applied(&configuration, "range"), applied(&configuration, "small")),
        (vec!["a/28".into()], vec!["a/28".into()])
    );
    // Once the pool has grown it is.
    apply(&mut configuration, pool_of("small", &["192.0.2.0/24"]));
    assert_eq!(applied(&configuration, "small"), ["a/24"]);
    assert_eq!(refusals(&mut configuration, "a").len(), 1);
    apply(&mut configuration, pool_of("small", &["192.0.2.0/25"]));
    assert_eq!(applied(&configuration, "small"), [""; 0], "the version before does not fit either");
}

#[test]
fn an_advertisement_is_applied_once_to_a_pool_by_name_and_by_label() {
    let (object, mut pool) = pool_of("p", &["192.0.2.0/24"]);
    pool.labels = Labels::from([("a".into(), "b".into())]);
    let both = AdvertisementSpec {
        pools: texts(&["p", "gone"]),
        pool_selectors: vec![Selector::label("a", "b")],
        ..AdvertisementSpec::default()
    };
    let nothing =
        AdvertisementSpec { pool_selectors: vec![Selector::label("a", "c")], ..AdvertisementSpec::default() };
    let mut configuration = configuration(vec![
        (object, pool),
        advertisement_of("both", both),
        advertisement_of("nothing", nothing),
        advertisement_of("all", AdvertisementSpec::default()),
        pool_of("q", &["198.51.100.0/24"]),
    ]);
    assert_eq!(applied(&configuration, "p"), ["all/32", "both/32"]);
    assert_eq!(applied(&configuration, "q"), ["all/32"]);
    assert!(verdicts(&mut configuration).iter().all(|(_, refusals)| refusals.is_empty()));
}

#[test]
fn a_peer_that_an_advertisement_names_has_to_be_there() {
    let spec = AdvertisementSpec { peers: texts(&["here", "there"]), ..AdvertisementSpec::default() };
    let mut configuration = configuration(vec![
        pool_of("p", &["192.0.2.0/24"]),
        advertisement_of("a", spec),
        peer_of("here", 1, peer_spec("10.0.0.1")),
    ]);
    assert_eq!(applied(&configuration, "p"), ["a/32"], "the rest of it counts");
    assert_eq!(
        refusals(&mut configuration, "a"),
        ["spec.peers: there is no BGPPeer there, or it was refused: nothing is announced to it"]
    );
    apply(&mut configuration, peer_of("there", 1, peer_spec("10.0.0.2")));
    assert_eq!(refusals(&mut configuration, "a"), [""; 0]);
}

#[test]
fn local_preferences_that_differ_are_told_and_the_higher_counts() {
    let with = |local_pref, length, peers: &[&str], rack: Option<&str>| AdvertisementSpec {
        local_pref: Some(local_pref),
        aggregation_length: Some(length),
        peers: texts(peers),
        node_selectors: rack.iter().map(|rack| Selector::label("rack", rack)).collect(),
        ..AdvertisementSpec::default()
    };
    let conflict = |one, other| {
        let mut configuration = configuration(vec![
            pool_of("p", &["192.0.2.0/24"]),
            peer_of("x", 1, peer_spec("10.0.0.1")),
            peer_of("y", 1, peer_spec("10.0.0.2")),
            advertisement_of("one", one),
            advertisement_of("other", other),
        ]);
        assert_eq!(applied(&configuration, "p").len(), 2, "both are applied all the same");
        let verdicts = verdicts(&mut configuration).into_iter().filter(|(_, refusals)| !refusals.is_empty());
        verdicts.map(|(object, refusals)| format!("{object} {}", refusals[0])).collect::<Vec<_>>().join("\n")
    };
    let told = conflict(with(100, 32, &[], None), with(200, 32, &["x"], Some("1")));
    assert!(
        told.starts_with(
            "one spec.localPref: 100 yields to 200 of BGPAdvertisement metallb-system/other for pool p"
        ),
        "{told}"
    );
    assert!(
        conflict(with(200, 32, &["x", "y"], None), with(0, 32, &["y"], None))
            .starts_with("other spec.localPref: none yields")
    );
    assert_eq!(conflict(with(100, 32, &[], None), with(100, 32, &[], None)), "");
    assert_eq!(conflict(with(100, 32, &[], None), with(200, 24, &[], None)), "", "other prefixes");
    assert_eq!(conflict(with(100, 32, &["x"], None), with(200, 32, &["y"], None)), "", "other peers");
    assert_eq!(
        conflict(with(100, 32, &[], Some("1")), with(200, 32, &[], Some("2"))),
        "",
        "that shows on each node"
    );
}

fn config_map(pools: Vec<LegacyPool>, bgp: Legacy) -> Given {
    (reference("ConfigMap", "config"), object(1, Spec::Legacy(ConfigMap { pools, bgp })))
}

fn bgp_pool(name: &str, addresses: &str, advertisements: Vec<AdvertisementSpec>) -> LegacyPool {
    let spec = PoolSpec { addresses: texts(&[addresses]), auto_assign: true, ..PoolSpec::default() };
    LegacyPool { name: name.into(), protocol: "bgp".into(), spec, advertisements }
}

#[test]
fn a_config_map_has_peers_communities_profiles_and_pools_for_bgp() {
    let bgp = || Legacy {
        peers: vec![
            PeerSpec { bfd_profile: Some("fast".into()), ..peer_spec("10.0.0.1") },
            PeerSpec { peer_port: Some(1179), ..peer_spec("10.0.0.1") },
            PeerSpec { my_asn: 0, ..peer_spec("10.0.0.3") },
        ],
        communities: CommunitySpec { aliases: vec![("blue".into(), "64512:7".into())] },
        bfd_profiles: vec![("fast".into(), BfdProfileSpec::default())],
    };
    let pools = || {
        vec![
            bgp_pool("plain", "192.0.2.0/24", vec![]),
            bgp_pool(
                "two",
                "198.51.100.0/24",
                vec![
                    AdvertisementSpec { communities: texts(&["blue"]), ..aggregated(32) },
                    aggregated(24),
                    aggregated(8),
                ],
            ),
        ]
    };
    let mut configuration =
        configuration(vec![config_map(pools(), bgp()), pool_of("other", &["203.0.113.0/24"])]);
    assert_eq!(
        peers(&configuration),
        ["config/peers/10.0.0.1=10.0.0.1", "config/peers/10.0.0.1:1179=10.0.0.1"]
    );
    assert_eq!(applied(&configuration, "plain"), ["config/32"]);
    assert_eq!(applied(&configuration, "two"), ["config/32", "config/24"]);
    assert_eq!(applied(&configuration, "other"), [""; 0], "the pool of another object");
    assert_eq!(configuration.snapshot().advertisements().count(), 0, "none of them for layer 2");
    let refused = refusals(&mut configuration, "config");
    assert!(refused[0].starts_with("peers[2].my-asn: 0 is no AS number"), "{refused:?}");
    assert!(
        refused[1].starts_with("bgp-advertisements.aggregation-length: 8 would announce more"),
        "{refused:?}"
    );
    assert_eq!(refused.len(), 2);

    // What moves in the list stays the same; what goes, goes.
    let mut fewer = bgp();
    fewer.peers.remove(0);
    fewer.peers.pop();
    configuration.take_changes();
    apply(&mut configuration, config_map(pools(), fewer));
    assert_eq!(configuration.take_changes().peers, BTreeSet::from(["config/peers/10.0.0.1".into()]));
    configuration.apply(reference("ConfigMap", "config"), None);
    assert_eq!((peers(&configuration), applied(&configuration, "plain")), (vec![], vec![]));
}

#[test]
fn a_config_maps_pool_changes_its_protocol() {
    let layer2 = || LegacyPool { protocol: "layer2".into(), ..bgp_pool("p", "192.0.2.0/24", vec![]) };
    let mut configuration = configuration(vec![config_map(vec![layer2()], Legacy::default())]);
    let both = |configuration: &Configuration| {
        let pool = configuration.snapshot().pool(&"p".into()).unwrap();
        let by_arp = configuration.snapshot().advertisements_for(pool).count();
        (by_arp, configuration.snapshot().bgp().advertisements_for(&pool.name).count())
    };
    assert_eq!(both(&configuration), (1, 0));
    apply(&mut configuration, config_map(vec![bgp_pool("p", "192.0.2.0/24", vec![])], Legacy::default()));
    assert_eq!(both(&configuration), (0, 1));
    apply(&mut configuration, config_map(vec![layer2()], Legacy::default()));
    assert_eq!(both(&configuration), (1, 0));
    let other = LegacyPool { protocol: "rip".into(), ..layer2() };
    configuration.take_changes();
    apply(&mut configuration, config_map(vec![other], Legacy::default()));
    assert_eq!(
        refusals(&mut configuration, "config"),
        [
            "address-pools[0].protocol: \"rip\" is neither layer2 nor bgp; its last valid version stays in force"
        ]
    );
    assert_eq!(both(&configuration), (1, 0));
}

/// Small objects that often clash and need each other.
fn any_object() -> impl Strategy<Value = Given> {
    let peer = ("[a-d]", 0_i64..3, 1_u8..4, "(rack)?", "(fast)?", any::<bool>()).prop_map(
        |(name, created, host, rack, profile, bad)| {
            let node_selectors = if rack.is_empty() { vec![] } else { vec![Selector::label(&rack, "1")] };
            let spec = PeerSpec {
                my_asn: u32::from(!bad || created > 0),
                node_selectors,
                bfd_profile: Some(profile),
                ..peer_spec(&format!("10.0.0.{host}"))
            };
            peer_of(&name, created, spec)
        },
    );
    let advertisement = ("[a-d]", 22_i64..30, prop::option::of("blue|red|no-export|1:2"), "[a-e]", 0_u32..3)
        .prop_map(|(name, length, community, peer, local_pref)| {
            let spec = AdvertisementSpec {
                communities: community.into_iter().collect(),
                peers: if peer == "e" { vec![] } else { vec![peer] },
                local_pref: Some(local_pref),
                ..aggregated(length)
            };
            advertisement_of(&name, spec)
        });
    let community = ("[ab]", 0_i64..3, "blue|red", 0_u16..3).prop_map(|(name, created, alias, value)| {
        community_of(&name, created, &[(&alias, &format!("1:{value}"))])
    });
    let profile = ("fast", 9_i64..12).prop_map(|(name, interval)| {
        profile_of(&name, BfdProfileSpec { receive_interval: Some(interval), ..BfdProfileSpec::default() })
    });
    let pool = ("[pq]", 24_u8..28, 0_u8..2)
        .prop_map(|(name, length, net)| pool_of(&name, &[&format!("192.0.{net}.0/{length}")]));
    let map = (1_u8..4, "blue|red", 22_i64..30).prop_map(|(host, alias, length)| {
        let bgp = Legacy {
            peers: vec![peer_spec(&format!("10.0.0.{host}"))],
            communities: CommunitySpec { aliases: vec![(alias, "3:3".into())] },
            bfd_profiles: vec![],
        };
        config_map(vec![bgp_pool("p", "192.0.7.0/24", vec![aggregated(length)])], bgp)
    });
    prop_oneof![3 => peer, 3 => advertisement, 2 => community, 1 => profile, 2 => pool, 1 => map]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_order_of_objects_does_not_matter(
        objects in prop::collection::btree_map(any::<u8>(), any_object(), 0..14),
    ) {
        let unique: BTreeMap<ObjectRef, Object> = objects.values().cloned().collect();
        let mut sorted = configuration(unique.clone().into_iter().collect());
        let shuffled = objects.into_values().map(|(object, _)| (object.clone(), unique[&object].clone()));
        let mut shuffled = configuration(shuffled.collect());
        prop_assert_eq!(format!("{:?}", sorted.snapshot().bgp()), format!("{:?}", shuffled.snapshot().bgp()));
        prop_assert_eq!(sorted.take_changes(), shuffled.take_changes());
    }

    #[test]
    fn edits_leave_nothing_that_clashes_and_changes_tell_all(
        edits in prop::collection::vec((any_object(), any::<bool>()), 0..24),
    ) {
        let mut configuration = Configuration::new();
        configuration.synced();
        for ((object, value), present) in edits {
            let before = configuration.snapshot().bgp().clone();
            configuration.apply(object, present.then_some(value));
            let changes = configuration.take_changes();
            let snapshot = configuration.snapshot();
            prop_assert_eq!((changes.peers, changes.advertised_by_bgp), snapshot.bgp().difference(&before));
            let peers: Vec<_> = snapshot.bgp().peers().collect();
            for (index, one) in peers.iter().enumerate() {
                let apart = |other: &&Arc<PeerTemplate>| one.clash(&other.source, other).is_none();
                prop_assert!(peers[..index].iter().all(apart), "{peers:?}");
            }
            for pool in snapshot.pools() {
                let mut applied = snapshot.bgp().advertisements_for(&pool.name);
                prop_assert!(applied.all(|entry| entry.fits(pool).is_ok()));
            }
        }
    }
}
