use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    vec,
};

use proptest::prelude::*;

use super::*;
use crate::{
    config::{
        Configuration, Object, ObjectRef, ObjectStatus, PoolSpec, Spec,
        bgp::{AdvertisementSpec, PeerSpec},
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
        let waiting = |peer: &Arc<Peer>| Standing::Waits(peer.clone(), Obstacle::NoInterface("eth0".into()));
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
