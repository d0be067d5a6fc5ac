use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    sync::Arc,
    vec,
};

use proptest::prelude::*;

use super::*;
use crate::{
    config::{
        Configuration, Object, ObjectRef, ObjectStatus, PoolSpec, Spec,
        bgp::{AdvertisementSpec, CommunitySpec, FromNode, PeerAsn, PeerSpec},
    },
    name::ObjectKey,
    selector::{Labels, Selector},
};

fn object(kind: &'static str, name: &str, spec: Spec) -> (ObjectRef, Object) {
    let reference = ObjectRef { kind, namespace: "metallb-system".into(), name: name.into() };
    (reference, Object { created: Some(1), labels: Labels::new(), spec, status: ObjectStatus::default() })
}

fn pool(name: &str, range: &str) -> (ObjectRef, Object) {
    let spec = PoolSpec { addresses: vec![range.into()], auto_assign: true, ..PoolSpec::default() };
    object("IPAddressPool", name, Spec::Pool(spec))
}

fn advertisement(name: &str, spec: AdvertisementSpec) -> (ObjectRef, Object) {
    object("BGPAdvertisement", name, Spec::BgpAdvertisement(Box::new(spec)))
}

fn peer(name: &str, created: i64, address: &str, rack: Option<&str>) -> (ObjectRef, Object) {
    let spec = PeerSpec {
        my_asn: 64512,
        peer_asn: Some(64513),
        peer_address: Some(address.into()),
        node_selectors: rack.iter().map(|rack| Selector::label("rack", rack)).collect(),
        ..PeerSpec::default()
    };
    let (reference, mut object) = object("BGPPeer", name, Spec::BgpPeer(Box::new(spec)));
    object.created = Some(created);
    (reference, object)
}

fn configuration(objects: impl IntoIterator<Item = (ObjectRef, Object)>) -> Configuration {
    let mut configuration = Configuration::new();
    for (object, value) in objects {
        configuration.apply(object, Some(value));
    }
    configuration.synced();
    configuration
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn service(addresses: &[&str]) -> Service {
    Service {
        assigned: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        labels: labels(&[("app", "web")]),
        ..Service::default()
    }
}

fn local(service: Service) -> Service {
    Service { traffic_policy: TrafficPolicy::Local, ..service }
}

fn serving(nodes: &[&str]) -> Option<Serving> {
    Some(Serving { anywhere: true, nodes: nodes.iter().map(|node| NodeName::from(*node)).collect() })
}

/// What node n1, which is in rack 1, announces: prefixes with their peers and advertisements, else the reason.
fn told(decision: &Decision) -> Vec<String> {
    let announced = decision.announcements.iter().map(|announcement| {
        let to = match &announcement.to {
            Audience::All => "all".into(),
            Audience::Only(peers) => format!("{peers:?}"),
        };
        format!("{} to {to} by {}", announcement.prefix, announcement.source.object.name)
    });
    let silent = decision.silent.iter().map(|(address, reason)| format!("{address} {}", reason.code()));
    announced.chain(silent).collect()
}

fn node(more: &[(&str, &str)]) -> Node {
    let mut node = Node { labels: labels(&[("rack", "1")]), ..Node::default() };
    node.labels.extend(labels(more));
    node
}

fn told_by(
    configuration: &Configuration,
    service: &Service,
    serving: Option<&Serving>,
    node: Option<&Node>,
) -> Vec<String> {
    let name = NodeName::from("n1");
    told(&decide(configuration.snapshot(), service, serving, Here { name: &name, node, gateways: &[] }))
}

#[test]
fn the_table_of_decisions() {
    struct Row {
        what: &'static str,
        advertisements: Vec<AdvertisementSpec>,
        service: Service,
        serving: Option<Serving>,
        node: Option<Node>,
        expected: &'static str,
    }
    let plain = AdvertisementSpec::default;
    let in_rack =
        |rack: &str| AdvertisementSpec { node_selectors: vec![Selector::label("rack", rack)], ..plain() };
    let of_app =
        |app: &str| AdvertisementSpec { service_selectors: vec![Selector::label("app", app)], ..plain() };
    let keep = || AdvertisementSpec { without_endpoints: Some("Keep".into()), ..plain() };
    let row = |what, advertisements, expected| Row {
        what,
        advertisements,
        service: service(&["192.0.2.1"]),
        serving: serving(&["n1"]),
        node: Some(node(&[])),
        expected,
    };
    let announced = "192.0.2.1/32 to all by a0";
    let rows = [
        row("policy Cluster", vec![plain()], announced),
        Row {
            serving: serving(&["n2"]),
            ..row("Cluster, endpoints elsewhere only", vec![plain()], announced)
        },
        Row {
            service: local(service(&["192.0.2.1"])),
            ..row("Local, an endpoint here", vec![plain()], announced)
        },
        Row {
            service: local(service(&["192.0.2.1"])),
            serving: serving(&["n2"]),
            ..row("Local, endpoints elsewhere only", vec![plain()], "192.0.2.1 NoLocalEndpoints")
        },
        Row {
            service: local(service(&["192.0.2.1"])),
            serving: serving(&[]),
            ..row("Local, an endpoint of an unknown node", vec![plain()], "192.0.2.1 NoLocalEndpoints")
        },
        Row { serving: None, ..row("no endpoints", vec![plain()], "192.0.2.1 NoReadyEndpoints") },
        Row {
            serving: Some(Serving::default()),
            ..row("no endpoints that take traffic", vec![plain()], "192.0.2.1 NoReadyEndpoints")
        },
        Row {
            service: local(service(&["192.0.2.1"])),
            serving: None,
            ..row("Local, no endpoints", vec![plain()], "192.0.2.1 NoLocalEndpoints")
        },
        Row { serving: None, ..row("no endpoints, kept", vec![keep()], announced) },
        Row {
            serving: None,
            ..row("no endpoints, kept by one of two", vec![plain(), keep()], "192.0.2.1/32 to all by a1")
        },
        Row {
            service: local(service(&["192.0.2.1"])),
            serving: serving(&["n2"]),
            ..row("Local, kept, endpoints elsewhere", vec![keep()], "192.0.2.1 NoLocalEndpoints")
        },
        row("no advertisement", vec![], "192.0.2.1 NoAdvertisement"),
        row("an advertisement for this rack", vec![in_rack("1")], announced),
        row("an advertisement for another rack", vec![in_rack("2")], "192.0.2.1 NodeNotSelected"),
        Row {
            node: None,
            ..row("an unknown node has no labels", vec![in_rack("1")], "192.0.2.1 NodeNotSelected")
        },
        Row { node: None, ..row("an unknown node announces", vec![plain()], announced) },
        row("an advertisement for the Service", vec![of_app("web")], announced),
        row("an advertisement for another Service", vec![of_app("db")], "192.0.2.1 ServiceNotSelected"),
        row(
            "for the Service elsewhere, for others here",
            vec![
                AdvertisementSpec { service_selectors: vec![Selector::label("app", "web")], ..in_rack("2") },
                of_app("db"),
            ],
            "192.0.2.1 ServiceNotSelected",
        ),
        Row {
            node: Some(Node { network_unavailable: true, ..node(&[]) }),
            serving: None,
            ..row("the network is unavailable", vec![plain()], "192.0.2.1 NetworkUnavailable")
        },
        Row {
            node: Some(node(&[(EXCLUDE_LABEL, "")])),
            ..row("the node is excluded", vec![plain()], "192.0.2.1 NodeExcluded")
        },
        Row {
            service: Service { scope: Scope::OtherClass, ..service(&["192.0.2.1"]) },
            ..row("a Service of another class", vec![plain()], "")
        },
        Row { service: service(&[]), ..row("no address", vec![plain()], "") },
        Row {
            service: service(&["203.0.113.9"]),
            ..row("an address of no pool", vec![plain()], "203.0.113.9 NoAdvertisement")
        },
        row(
            "some peers",
            vec![AdvertisementSpec { peers: vec!["r2".into(), "r1".into()], ..plain() }],
            "192.0.2.1/32 to {\"r1\", \"r2\"} by a0",
        ),
    ];
    for row in rows {
        let named = row.advertisements.into_iter().enumerate();
        let objects = named.map(|(index, spec)| advertisement(&format!("a{index}"), spec));
        let configuration = configuration(objects.chain([pool("p", "192.0.2.0/24")]));
        let told = told_by(&configuration, &row.service, row.serving.as_ref(), row.node.as_ref());
        assert_eq!(told.join("; "), row.expected, "{}", row.what);
    }
}

#[test]
fn both_families_each_with_its_prefix_and_its_attributes() {
    let spec = AdvertisementSpec {
        aggregation_length: Some(26),
        aggregation_length_v6: Some(64),
        local_pref: Some(300),
        communities: vec!["64512:1".into()],
        med: Some(5),
        as_path_prepend: Some(2),
        next_hop_v4: Some("198.51.100.1".into()),
        ..AdvertisementSpec::default()
    };
    let plain = AdvertisementSpec { pools: vec!["four".into()], ..AdvertisementSpec::default() };
    let configuration = configuration([
        pool("four", "192.0.2.0/24"),
        pool("six", "2001:db8::/48"),
        advertisement("wide", spec),
        advertisement("single", plain),
    ]);
    let name = NodeName::from("n1");
    let here = Here { name: &name, node: None, gateways: &[] };
    let service = service(&["192.0.2.77", "2001:db8::1:0:0:7"]);
    let decision = decide(configuration.snapshot(), &service, serving(&["n1"]).as_ref(), here);
    assert_eq!(
        told(&decision),
        ["192.0.2.77/32 to all by single", "192.0.2.64/26 to all by wide", "2001:db8::/64 to all by wide"]
    );
    let wide = &decision.announcements[1].attributes;
    assert_eq!((wide.local_pref, wide.med, wide.prepend), (Some(300), Some(5), 2));
    assert_eq!((wide.next_hop_v4, wide.next_hop_v6), (Some([198, 51, 100, 1].into()), None));
    assert_eq!(wide.communities.iter().map(ToString::to_string).collect::<Vec<_>>(), ["64512:1"]);
    assert_eq!(decision.announcements[0].attributes, Attributes::default());
    assert_eq!(decision.conflicts, [], "the prefixes differ");
}

#[test]
fn each_address_is_decided_by_its_own_pool() {
    let spec = AdvertisementSpec { pools: vec!["six".into()], ..AdvertisementSpec::default() };
    let configuration =
        configuration([pool("four", "192.0.2.0/24"), pool("six", "2001:db8::/64"), advertisement("a", spec)]);
    let told = told_by(&configuration, &service(&["192.0.2.1", "2001:db8::1"]), serving(&[]).as_ref(), None);
    assert_eq!(told, ["2001:db8::1/128 to all by a", "192.0.2.1 NoAdvertisement"]);
}

#[test]
fn an_address_stays_announced_while_its_pool_is_gone_or_smaller() {
    let spec = AdvertisementSpec { pools: vec!["p".into()], ..AdvertisementSpec::default() };
    let by_label =
        AdvertisementSpec { pool_selectors: vec![Selector::label("a", "b")], ..AdvertisementSpec::default() };
    let of = |objects: Vec<(ObjectRef, Object)>| {
        let service = Service {
            assigned_from: vec!["p".into()],
            pool_labels: Some(labels(&[("a", "b")])),
            ..service(&["192.0.2.200"])
        };
        told_by(&configuration(objects), &service, serving(&[]).as_ref(), None).join("; ")
    };
    let (named, labelled) =
        (|| advertisement("named", spec.clone()), || advertisement("labelled", by_label.clone()));
    assert_eq!(
        of(vec![named(), labelled()]),
        "192.0.2.200/32 to all by labelled; 192.0.2.200/32 to all by named"
    );
    assert_eq!(of(vec![named(), labelled(), pool("p", "192.0.2.0/25")]), "192.0.2.200/32 to all by named");
    assert_eq!(of(vec![pool("p", "192.0.2.0/25")]), "192.0.2.200 NoAdvertisement");
}

#[test]
fn local_preferences_that_meet_on_this_node_are_told() {
    let with = |local_pref, rack: &str, app: Option<&str>| AdvertisementSpec {
        local_pref: Some(local_pref),
        node_selectors: vec![Selector::label("rack", rack), Selector::label("pod", "7")],
        service_selectors: app.iter().map(|app| Selector::label("app", app)).collect(),
        ..AdvertisementSpec::default()
    };
    let configuration = configuration([
        pool("p", "192.0.2.0/24"),
        advertisement("low", with(100, "1", None)),
        advertisement("high", with(200, "1", Some("web"))),
        advertisement("other", with(300, "2", None)),
        advertisement("none", with(400, "1", Some("db"))),
    ]);
    let name = NodeName::from("n1");
    let node = node(&[]);
    let here = Here { name: &name, node: Some(&node), gateways: &[] };
    let decision = decide(configuration.snapshot(), &service(&["192.0.2.1"]), serving(&[]).as_ref(), here);
    assert_eq!(decision.announcements.len(), 2, "nothing is withheld");
    let [Conflict { heeded, overruled, .. }] = &decision.conflicts[..] else {
        panic!("{:?}", decision.conflicts)
    };
    assert_eq!((&*heeded.object.name, &*overruled.object.name), ("high", "low"));
}

#[test]
fn a_node_has_the_peers_that_select_it_and_one_for_each_router() {
    let configuration = configuration([
        peer("everywhere", 3, "10.0.0.1", None),
        peer("rack-1", 2, "10.0.0.2", Some("1")),
        peer("rack-2", 1, "10.0.0.2", Some("2")),
        peer("zone", 1, "10.0.0.3", Some("1")),
        {
            let (reference, mut object) = peer("pod", 0, "10.0.0.3", None);
            let Spec::BgpPeer(spec) = &mut object.spec else { panic!() };
            spec.node_selectors = vec![Selector::label("pod", "7")];
            (reference, object)
        },
    ]);
    let name = NodeName::from("n1");
    let of = |node: Option<&Node>| {
        let peers = peers(configuration.snapshot(), Here { name: &name, node, gateways: &[] });
        let active: Vec<_> = peers.active.keys().map(ToString::to_string).collect();
        let duplicates = peers.duplicates.iter().map(|(one, other)| format!("{one} is {other}"));
        (active.join(" "), duplicates.collect::<Vec<_>>().join(" "))
    };
    assert_eq!(of(Some(&node(&[]))), ("everywhere rack-1 zone".into(), String::new()));
    assert_eq!(of(Some(&node(&[("rack", "2")]))), ("everywhere rack-2".into(), String::new()));
    assert_eq!(of(None), ("everywhere".into(), String::new()));
    assert_eq!(
        of(Some(&node(&[("pod", "7")]))),
        ("everywhere pod rack-1".into(), "zone is pod".into()),
        "the older one counts"
    );
}

/// What the only peer, which is made of `spec`, is on node n1: its router and AS, or why it is none.
fn resolved(spec: PeerSpec, node: Option<&Node>, gateways: &[(&str, &str)]) -> String {
    let spec = PeerSpec { my_asn: 64512, ..spec };
    let configuration = configuration([object("BGPPeer", "p", Spec::BgpPeer(Box::new(spec)))]);
    let gateway = |(address, interface): &(&str, &str)| Gateway {
        address: address.parse().unwrap(),
        interface: (*interface).into(),
    };
    let gateways: Vec<_> = gateways.iter().map(gateway).collect();
    let name = NodeName::from("n1");
    let peers = peers(configuration.snapshot(), Here { name: &name, node, gateways: &gateways });
    match (peers.active.into_values().next(), peers.unresolved.into_values().next()) {
        (Some(peer), None) => match peer.peer_asn {
            PeerAsn::Is(asn) => format!("{} AS {asn}", peer.router),
            other => format!("{} {other:?}", peer.router),
        },
        (None, Some(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_router_is_what_the_node_says() {
    let from = |from: FromNode, interface: &str| PeerSpec {
        peer_asn: Some(64513),
        peer_address_from: Some(from),
        interface: Some(interface.into()),
        ..PeerSpec::default()
    };
    let label = || FromNode { node_label: Some("a/tor".into()), ..FromNode::default() };
    let annotation = || FromNode { node_annotation: Some("a/tor".into()), ..FromNode::default() };
    let of_label = |text: &str| resolved(from(label(), ""), Some(&node(&[("a/tor", text)])), &[]);
    let annotated = |text: &str| {
        let annotations = [("a/tor".to_string(), text.to_string())].into();
        Node { annotations, ..node(&[]) }
    };
    let of_annotation = |text: &str| resolved(from(annotation(), ""), Some(&annotated(text)), &[]);
    assert_eq!(of_label("10.0.0.1"), "10.0.0.1 AS 64513");
    assert_eq!(of_label("2001-db8--1"), "2001:db8::1 AS 64513", "labels have no colons");
    assert_eq!(of_label("tor-1"), "label a/tor of node n1: \"tor-1\" is not an IP address");
    assert_eq!(of_label(""), "node n1 has no label a/tor");
    assert_eq!(of_annotation(" 2001:db8::1 "), "2001:db8::1 AS 64513");
    assert_eq!(of_annotation("fe80::1%eth0"), "fe80::1%eth0 AS 64513");
    assert_eq!(
        of_annotation("fe80::1"),
        "annotation a/tor of node n1: fe80::1 is link-local: write the interface that it is on as well"
    );
    assert_eq!(
        resolved(from(label(), "eth0"), Some(&node(&[("a/tor", "fe80--1")])), &[]),
        "fe80::1%eth0 AS 64513"
    );
    assert_eq!(resolved(from(annotation(), ""), Some(&node(&[])), &[]), "node n1 has no annotation a/tor");
    assert_eq!(
        resolved(from(label(), ""), None, &[]),
        "node n1 is not known yet, and its label a/tor is to say it"
    );
    let source = PeerSpec { source_address: Some("10.0.0.9".into()), ..from(annotation(), "") };
    assert_eq!(
        resolved(source, Some(&annotated("2001:db8::1")), &[]),
        "sourceAddress 10.0.0.9 is IPv4, but node n1 reaches the router 2001:db8::1 by IPv6"
    );
}

#[test]
fn the_router_is_the_default_gateway() {
    let from = |family: &str, interface: &str| PeerSpec {
        peer_asn: Some(64513),
        peer_address_from: Some(FromNode { default_gateway: Some(family.into()), ..FromNode::default() }),
        interface: Some(interface.into()),
        ..PeerSpec::default()
    };
    let of = |family, interface, gateways: &[(&str, &str)]| resolved(from(family, interface), None, gateways);
    let both = [("10.0.0.1", "eth0"), ("fe80::1", "eth0")];
    assert_eq!(of("IPv4", "", &both), "10.0.0.1 AS 64513");
    assert_eq!(of("IPv6", "", &both), "fe80::1%eth0 AS 64513");
    assert_eq!(of("IPv6", "", &[("2001:db8::1", "eth0")]), "2001:db8::1 AS 64513");
    assert_eq!(of("IPv6", "", &both[..1]), "node n1 has no default gateway of IPv6");
    assert_eq!(of("IPv4", "eth1", &both), "node n1 has no default gateway of IPv4 on eth1");
    let two = [("10.0.0.1", "eth0"), ("10.0.1.1", "eth1")];
    assert_eq!(of("IPv4", "eth1", &two), "10.0.1.1 AS 64513");
    assert_eq!(
        of("IPv4", "", &two),
        "node n1 has 2 default gateways of IPv4, such as 10.0.0.1 on eth0 and 10.0.1.1 on eth1: write the interface of \
         the one that is meant"
    );
    let beside = [("10.0.0.1", "eth0"), ("10.0.0.2", "eth0")];
    assert!(of("IPv4", "eth0", &beside).ends_with("into labels of the node and peerAddressFrom.nodeLabel"));
}

#[test]
fn the_as_is_what_the_node_says() {
    let spec = || PeerSpec {
        peer_address: Some("10.0.0.1".into()),
        peer_asn_from: Some(FromNode { node_label: Some("a/as".into()), ..FromNode::default() }),
        local_asn: Some(65000),
        ..PeerSpec::default()
    };
    let of = |text: &str| resolved(spec(), Some(&node(&[("a/as", text)])), &[]);
    assert_eq!(of("4200000001"), "10.0.0.1 AS 4200000001");
    assert_eq!(of("tor"), "label a/as of node n1: \"tor\" is no AS number");
    assert_eq!(of("0"), "label a/as of node n1: 0 is no AS number");
    assert_eq!(
        of("64512"),
        "label a/as of node n1: AS 64512 is ours, and localASN is for routers of another AS"
    );
    assert_eq!(resolved(spec(), Some(&node(&[])), &[]), "node n1 has no label a/as");
}

#[test]
fn one_object_makes_the_session_of_a_thousand_nodes() {
    let tor = |name: &str| {
        let from = Some(FromNode { node_label: Some(name.into()), ..FromNode::default() });
        let spec = PeerSpec {
            my_asn: 64512,
            peer_address_from: from,
            peer_asn_from: Some(FromNode { node_label: Some("as".into()), ..FromNode::default() }),
            ..PeerSpec::default()
        };
        object("BGPPeer", name, Spec::BgpPeer(Box::new(spec)))
    };
    let configuration = configuration([tor("tor-a"), tor("tor-b")]);
    for index in 0..1000_u32 {
        let rack = index / 20;
        let labelled = [
            ("tor-a".to_string(), format!("10.{rack}.0.1")),
            ("tor-b".to_string(), format!("10.{rack}.0.2")),
            ("as".to_string(), (64600 + rack).to_string()),
        ];
        let node = Node { labels: labelled.into(), ..Node::default() };
        let name = NodeName::from(format!("n{index}"));
        let peers = peers(configuration.snapshot(), Here { name: &name, node: Some(&node), gateways: &[] });
        let active = peers.active.values().map(|peer| (peer.router.to_string(), peer.peer_asn));
        let asn = PeerAsn::Is(64600 + rack);
        assert_eq!(
            active.collect::<Vec<_>>(),
            [(format!("10.{rack}.0.1"), asn), (format!("10.{rack}.0.2"), asn)]
        );
    }
}

#[test]
fn which_peers_are_the_same_shows_once_their_routers_are_known() {
    let from_label = || {
        let spec = PeerSpec {
            my_asn: 64512,
            peer_asn: Some(64513),
            peer_address_from: Some(FromNode { node_label: Some("tor".into()), ..FromNode::default() }),
            ..PeerSpec::default()
        };
        object("BGPPeer", "labelled", Spec::BgpPeer(Box::new(spec)))
    };
    let configuration = configuration([from_label(), peer("fixed", 9, "10.0.0.1", None)]);
    let name = NodeName::from("n1");
    let of = |tor: &str| {
        let node = node(&[("tor", tor)]);
        let peers = peers(configuration.snapshot(), Here { name: &name, node: Some(&node), gateways: &[] });
        let active = peers.active.iter().map(|(name, peer)| format!("{name}={}", peer.router));
        let duplicates = peers.duplicates.iter().map(|(one, other)| format!("{one} is {other}"));
        active.chain(duplicates).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("10.0.0.1"), "labelled=10.0.0.1 fixed is labelled");
    assert_eq!(of("10.0.0.2"), "fixed=10.0.0.1 labelled=10.0.0.2");
    assert_eq!(of("?"), "fixed=10.0.0.1");
}

#[test]
fn external_ips_are_announced_where_an_advertisement_lists_them() {
    let external = |entries: &[&str]| AdvertisementSpec {
        external_ips: entries.iter().map(ToString::to_string).collect(),
        pools: vec!["none".into()],
        ..AdvertisementSpec::default()
    };
    let configuration = configuration([
        pool("p", "192.0.2.0/24"),
        advertisement("external", external(&["203.0.113.0/24", "192.0.2.9"])),
        advertisement("pool", AdvertisementSpec { pools: vec!["p".into()], ..AdvertisementSpec::default() }),
    ]);
    let with = |scope, assigned: &[&str], external: &[&str]| Service {
        scope,
        external_ips: service(external).assigned,
        ..service(assigned)
    };
    let of = |service: &Service, serving: Option<Serving>| {
        told_by(&configuration, service, serving.as_ref(), None).join("; ")
    };
    let cluster_ip = with(Scope::NotLoadBalancer, &[], &["203.0.113.1", "198.51.100.1"]);
    assert_eq!(
        of(&cluster_ip, serving(&[])),
        "203.0.113.1/32 to all by external",
        "the other one is no business of ours"
    );
    assert_eq!(of(&cluster_ip, None), "203.0.113.1 NoReadyEndpoints");
    assert_eq!(of(&local(cluster_ip), serving(&["n2"])), "203.0.113.1 NoLocalEndpoints");
    let other_class = with(Scope::OtherClass, &["192.0.2.7"], &["203.0.113.1"]);
    assert_eq!(
        of(&other_class, serving(&[])),
        "203.0.113.1/32 to all by external",
        "its own address is somebody else's"
    );
    let both = with(Scope::Ours, &["192.0.2.1"], &["203.0.113.1"]);
    assert_eq!(of(&both, serving(&[])), "192.0.2.1/32 to all by pool; 203.0.113.1/32 to all by external");
    let same = with(Scope::Ours, &["192.0.2.9"], &["192.0.2.9"]);
    assert_eq!(of(&same, serving(&[])), "192.0.2.9/32 to all by pool; 192.0.2.9/32 to all by external");
    let of_the_pool = with(Scope::NotLoadBalancer, &[], &["192.0.2.10"]);
    assert_eq!(of(&of_the_pool, serving(&[])), "", "whoever may use a pool does not get it by external IPs");
    assert!(concerns(&of_the_pool) && !concerns(&with(Scope::NotLoadBalancer, &["192.0.2.1"], &[])));
}

#[test]
fn a_service_gets_the_communities_that_are_allowed() {
    let allowing = |entries: &[&str], peer: &str| AdvertisementSpec {
        communities: vec!["64512:1".into()],
        allowed_service_communities: entries.iter().map(ToString::to_string).collect(),
        peers: vec![peer.into()],
        ..AdvertisementSpec::default()
    };
    let aliases = vec![("blue".to_string(), "64999:7".to_string())];
    let configuration = configuration([
        pool("p", "192.0.2.0/24"),
        object("Community", "names", Spec::Community(CommunitySpec { aliases })),
        advertisement("a", allowing(&["64512:*", "blue"], "r1")),
        advertisement("b", allowing(&[], "r2")),
    ]);
    let name = NodeName::from("n1");
    let of = |wanted: &[&str], serving: Option<&Serving>| {
        let communities = wanted.iter().map(ToString::to_string).collect();
        let service = Service { communities, ..service(&["192.0.2.1"]) };
        let here = Here { name: &name, node: None, gateways: &[] };
        let decision = decide(configuration.snapshot(), &service, serving, here);
        let said = decision.announcements.iter().map(|entry| format!("{:?}", entry.attributes.communities));
        let refused =
            decision.refused.iter().map(|refused| format!("{}: {}", refused.community, refused.reason));
        said.chain(refused).collect::<Vec<_>>().join(" ")
    };
    let serving = serving(&[]);
    let of_all = |wanted: &[&str]| of(wanted, serving.as_ref());
    assert_eq!(of_all(&[]), "{64512:1} {64512:1}");
    assert_eq!(of_all(&["64512:2", "blue", "64999:7"]), "{64512:1, 64512:2, 64999:7} {64512:1}");
    assert_eq!(of_all(&["64512:1"]), "{64512:1} {64512:1}");
    assert_eq!(
        of_all(&["no-export", "64512:2"]),
        "{64512:1, 64512:2} {64512:1} no-export: no BGPAdvertisement that applies allows it (allowedServiceCommunities)"
    );
    assert_eq!(of_all(&["green"]), "{64512:1} {64512:1} green: no Community defines this name");
    assert!(of_all(&["64512:x"]).starts_with("{64512:1} {64512:1} 64512:x: \"64512:x\" is no community"));
    assert_eq!(of(&["no-export"], None), "", "why nothing is announced is told already");
    let many: Vec<_> = (0..40).map(|index| format!("64512:{index}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(of_all(&many).matches("at most").count(), 40 - MAX_COMMUNITIES);
}

#[test]
fn only_what_is_not_as_before_is_told() {
    let objects = |length: i64, rack| {
        let with =
            |length| AdvertisementSpec { aggregation_length: Some(length), ..AdvertisementSpec::default() };
        configuration([
            pool("p", "192.0.2.0/24"),
            advertisement("wide", with(length)),
            advertisement("single", with(32)),
            peer("one", 1, "10.0.0.1", rack),
            peer("two", 1, "10.0.0.2", None),
        ])
    };
    let (name, node, web) = (NodeName::from("n1"), node(&[]), ObjectKey::new("default", "web"));
    let here = Here { name: &name, node: Some(&node), gateways: &[] };
    let service = service(&["192.0.2.1", "192.0.2.2"]);
    let mut table = Table::default();
    let mut tell = |configuration: &Configuration, serving: Option<&Serving>| {
        let peers = peers(configuration.snapshot(), here);
        let waiting = |peer: &Arc<crate::config::bgp::Peer>| {
            let obstacle = Obstacle::NoInterface("eth0".into());
            Standing::Waits(Waiting { router: format!("{}", peer.router), port: 179, vrf: None, obstacle })
        };
        let peers = peers.active.iter().map(|(name, peer)| (name.clone(), waiting(peer)));
        let mut upserts = table.set_peers(peers.collect());
        let decision = decide(configuration.snapshot(), &service, serving, here);
        upserts.extend(table.set_service(&web, decision.announcements));
        let text = |upsert: &Upsert| match upsert {
            Upsert::Peer(name, peer) => format!("{}{name}", if peer.is_some() { '+' } else { '-' }),
            Upsert::Route(key, Some(route)) => format!("{}={}", key.source.object.name, route.prefix),
            Upsert::Route(key, None) => format!("{}-{}", key.source.object.name, key.address),
        };
        upserts.iter().map(text).collect::<Vec<_>>().join(" ")
    };
    let serving = serving(&[]);
    assert_eq!(
        tell(&objects(24, None), serving.as_ref()),
        "+one +two single=192.0.2.1/32 wide=192.0.2.0/24 single=192.0.2.2/32 wide=192.0.2.0/24"
    );
    assert_eq!(tell(&objects(24, None), serving.as_ref()), "");
    assert_eq!(tell(&objects(25, Some("2")), serving.as_ref()), "-one wide=192.0.2.0/25 wide=192.0.2.0/25");
    assert_eq!(
        tell(&objects(25, Some("1")), None),
        "+one single-192.0.2.1 wide-192.0.2.1 single-192.0.2.2 wide-192.0.2.2"
    );
}

#[test]
fn every_reason_has_a_code_of_its_own_and_a_sentence() {
    let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert!(reason.to_string().len() > 20 && !reason.metallb().is_empty());
    }
}

proptest! {
    #[test]
    fn whatever_the_node_says_is_a_router_or_a_reason(text in "[ -~]{0,40}", label: bool) {
        let (key, mut node) = ("k".to_string(), Node::default());
        let from = if label {
            node.labels.insert(key.clone(), text);
            FromNode { node_label: Some(key), ..FromNode::default() }
        } else {
            node.annotations.insert(key.clone(), text);
            FromNode { node_annotation: Some(key), ..FromNode::default() }
        };
        let spec = PeerSpec {
            peer_asn: Some(64513), peer_address_from: Some(from), ..PeerSpec::default()
        };
        let told = resolved(spec, Some(&node), &[]);
        prop_assert!(told.contains("node n1") || told.ends_with(" AS 64513"), "{told}");
    }

    #[test]
    fn nothing_is_announced_that_nobody_allowed(
        allowed in prop::collection::btree_set(0_u16..6, 0..4),
        wanted in prop::collection::btree_set(0_u16..6, 0..4),
        external: core::net::Ipv4Addr,
    ) {
        let texts = |set: &BTreeSet<u16>| set.iter().map(|low| format!("64512:{low}")).collect::<Vec<_>>();
        let spec = AdvertisementSpec {
            allowed_service_communities: texts(&allowed),
            external_ips: vec!["64.0.0.0/2".into()],
            ..AdvertisementSpec::default()
        };
        let configuration = configuration([pool("p", "192.0.2.0/24"), advertisement("a", spec)]);
        let service = Service {
            communities: texts(&wanted),
            external_ips: vec![external.into()],
            ..service(&["192.0.2.1"])
        };
        let name = NodeName::from("n1");
        let here = Here { name: &name, node: None, gateways: &[] };
        let decision = decide(configuration.snapshot(), &service, serving(&[]).as_ref(), here);
        let is_allowed = external.octets()[0] >> 6 == 1;
        prop_assert_eq!(decision.announcements.len(), 1 + usize::from(is_allowed));
        let both: BTreeSet<_> = allowed.intersection(&wanted).copied().collect();
        for announcement in &decision.announcements {
            let said: Vec<_> = announcement.attributes.communities.iter().map(ToString::to_string).collect();
            prop_assert_eq!(&said, &texts(&both));
        }
        prop_assert_eq!(decision.refused.len(), wanted.len() - both.len());
    }

    #[test]
    fn the_order_of_objects_does_not_matter(
        specs in prop::collection::vec((0_u32..3, prop::option::of("[12]"), prop::option::of("web|db"), "[ab]?"), 0..6),
        rotation in 0_usize..6,
    ) {
        let advertisements = specs.into_iter().enumerate().map(|(index, (local_pref, rack, app, peer))| {
            let selector = |key: &str, value: Option<String>| value.map(|value| Selector::label(key, &value));
            advertisement(&format!("a{index}"), AdvertisementSpec {
                local_pref: Some(local_pref),
                node_selectors: selector("rack", rack).into_iter().collect(),
                service_selectors: selector("app", app).into_iter().collect(),
                peers: if peer.is_empty() { vec![] } else { vec![peer] },
                ..AdvertisementSpec::default()
            })
        });
        let mut objects: Vec<_> = advertisements.chain([pool("p", "192.0.2.0/24")]).collect();
        let name = NodeName::from("n1");
        let node = node(&[]);
        let here = Here { name: &name, node: Some(&node), gateways: &[] };
        let decide = |objects: &[(ObjectRef, Object)]| {
            let configuration = configuration(objects.to_vec());
            super::decide(configuration.snapshot(), &service(&["192.0.2.1"]), serving(&[]).as_ref(), here)
        };
        let one = decide(&objects);
        let rotation = rotation % objects.len();
        objects.rotate_left(rotation);
        prop_assert_eq!(&one, &decide(&objects));
        objects.reverse();
        prop_assert_eq!(one, decide(&objects));
    }
}
