//! What the speaker says by BGP, and when.

use alloc::{boxed::Box, format, sync::Arc};

use super::*;
use crate::{
    config::bgp::{AdvertisementSpec, PeerSpec, SecretReference},
    speaker::bgp::{Standing, Upsert},
    view::TrafficPolicy,
};

fn object(kind: &'static str, name: &str, spec: Option<Spec>) -> Input<'static> {
    let reference = ObjectRef { kind, namespace: "metallb-system".into(), name: name.into() };
    let status = ObjectStatus::default();
    Input::Config(reference, spec.map(|spec| Object { created: None, labels: Labels::new(), spec, status }))
}

fn peer(name: &str, address: &str, edit: impl FnOnce(&mut PeerSpec)) -> Input<'static> {
    let (my_asn, peer_asn, peer_address) = (64512, Some(64513), Some(address.into()));
    let mut spec = PeerSpec { my_asn, peer_asn, peer_address, ..PeerSpec::default() };
    edit(&mut spec);
    object("BGPPeer", name, Some(Spec::BgpPeer(Box::new(spec))))
}

fn advertised(peers: &[&str]) -> Input<'static> {
    let peers = peers.iter().map(ToString::to_string).collect();
    let spec = AdvertisementSpec { peers, ..AdvertisementSpec::default() };
    object("BGPAdvertisement", "first", Some(Spec::BgpAdvertisement(Box::new(spec))))
}

fn with_policy(traffic_policy: TrafficPolicy) -> Input<'static> {
    let assigned = vec!["10.0.0.1".parse().unwrap()];
    Input::Service(web(), Some(Service { assigned, traffic_policy, ..Service::default() }))
}

/// What routers get to know of, in short.
fn told(rig: &mut Rig) -> Vec<String> {
    let told = |output| match output {
        Output::Bgp(Upsert::Peer(name, Some(standing))) => Some(match &*standing {
            Standing::Session(session) => {
                let signed = if session.password.is_some() { ", signed" } else { "" };
                format!("{name} at {}{signed}", session.peer.router)
            }
            Standing::Waits(waiting) => format!("{name} waits: {:?}", waiting.obstacle).replace('"', ""),
        }),
        Output::Bgp(Upsert::Peer(name, None)) => Some(format!("no {name}")),
        Output::Bgp(Upsert::Route(key, Some(route))) => Some(format!("{} for {}", route.prefix, key.service)),
        Output::Bgp(Upsert::Route(key, None)) => Some(format!("no {} for {}", key.address, key.service)),
        Output::BgpComplete => Some("complete".into()),
        Output::BgpStatus { status: Some(status), .. } => {
            Some(format!("status {:?}", status.peers).replace('"', ""))
        }
        Output::BgpStatus { status: None, .. } => Some("no status".into()),
        Output::Secrets(names) => Some(format!("secrets {names:?}").replace('"', "")),
        _ => None,
    };
    rig.take().into_iter().filter_map(told).collect()
}

/// A speaker with a peer, a pool that is advertised, and a Service in it. There is no link.
fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.tell([
        Input::Node("n1".into(), Some(Node::default())),
        pool("10.0.0.0/24"),
        advertised(&[]),
        peer("tor", "192.0.2.1", |_| {}),
        with_policy(TrafficPolicy::Cluster),
        endpoints(),
    ]);
    rig
}

#[test]
fn everything_is_told_once_when_all_is_listed_and_then_what_changes() {
    let mut rig = rig();
    assert_eq!(told(&mut rig), [""; 0], "not before everything is listed");
    rig.tell([Input::Synced]);
    assert_eq!(
        told(&mut rig),
        ["tor at 192.0.2.1", "10.0.0.1/32 for default/web", "complete", "status [tor]"]
    );
    rig.tell([endpoints(), with_policy(TrafficPolicy::Cluster), advertised(&[])]);
    assert_eq!(told(&mut rig), [""; 0], "nothing has changed");
    rig.tell([peer("spine", "192.0.2.2", |_| {})]);
    assert_eq!(told(&mut rig), ["spine at 192.0.2.2", "status [spine, tor]"]);
    rig.tell([advertised(&["tor"])]);
    assert_eq!(told(&mut rig), ["10.0.0.1/32 for default/web", "status [tor]"]);
    rig.tell([Input::Endpoints(web(), None)]);
    assert_eq!(told(&mut rig), ["no 10.0.0.1 for default/web", "no status"]);
    rig.tell([endpoints(), object("BGPPeer", "tor", None)]);
    assert_eq!(told(&mut rig), ["no tor", "10.0.0.1/32 for default/web"]);
}

#[test]
fn policy_local_follows_the_endpoints_of_this_node() {
    let mut rig = rig();
    rig.tell([with_policy(TrafficPolicy::Local), Input::Synced]);
    assert!(told(&mut rig).contains(&"10.0.0.1/32 for default/web".into()));
    let elsewhere = Endpoint { node: Some("n2".into()), ready: true, serving: true };
    rig.tell([Input::Endpoints(web(), Some(EndpointSlice { service: web(), endpoints: vec![elsewhere] }))]);
    let said = rig.said.clone();
    assert_eq!(told(&mut rig), ["no 10.0.0.1 for default/web", "no status"]);
    let note = "default/web: 10.0.0.1 is not announced by BGP from here: externalTrafficPolicy is Local, and no \
                endpoint on this node takes traffic";
    assert!(said.contains(&Output::Note(note.into())), "{said:?}");
}

#[test]
fn a_peer_waits_for_its_password_and_follows_it() {
    let mut rig = rig();
    let with_secret = |spec: &mut PeerSpec| {
        spec.password_secret = Some(SecretReference { name: "tor-password".into(), namespace: None });
    };
    rig.tell([peer("tor", "192.0.2.1", with_secret), peer("spine", "192.0.2.2", |_| {}), Input::Synced]);
    let name: Arc<str> = "tor-password".into();
    assert_eq!(
        told(&mut rig),
        [
            "tor waits: NoPassword(tor-password)",
            "spine at 192.0.2.2",
            "10.0.0.1/32 for default/web",
            "complete",
            "secrets {tor-password}",
            "status [spine]",
        ]
    );
    rig.tell([Input::Password(name.clone(), Some("first".into()))]);
    assert_eq!(told(&mut rig), ["tor at 192.0.2.1, signed", "status [spine, tor]"]);
    rig.tell([Input::Password(name.clone(), Some("first".into()))]);
    assert_eq!(told(&mut rig), [""; 0]);
    rig.tell([Input::Password(name.clone(), Some("second".into()))]);
    assert_eq!(told(&mut rig), ["tor at 192.0.2.1, signed"], "it alone");
    let shown = format!("{:?}", Input::Password(name, Some("second".into())));
    assert!(!shown.contains("second"), "{shown}");
    rig.tell([peer("tor", "192.0.2.1", |_| {})]);
    assert_eq!(told(&mut rig), ["tor at 192.0.2.1", "secrets {}"]);
}

#[test]
fn labels_of_this_node_choose_its_peers() {
    let mut rig = rig();
    let in_rack = |spec: &mut PeerSpec| spec.node_selectors = vec![Selector::label("rack", "1")];
    rig.tell([peer("tor", "192.0.2.1", in_rack), Input::Synced]);
    assert_eq!(told(&mut rig), ["10.0.0.1/32 for default/web"]);
    let labelled = || {
        let labels = [("rack".to_string(), "1".to_string())].into_iter().collect();
        Some(Node { labels, ..Node::default() })
    };
    rig.tell([Input::Node("n2".into(), labelled())]);
    assert_eq!(told(&mut rig), [""; 0], "another node");
    rig.tell([Input::Node("n1".into(), labelled())]);
    assert_eq!(told(&mut rig), ["tor at 192.0.2.1", "complete", "status [tor]"]);
    let unfit = labelled().map(|node| Node { network_unavailable: true, ..node });
    rig.tell([Input::Node("n1".into(), unfit)]);
    assert_eq!(told(&mut rig), ["no 10.0.0.1 for default/web", "no status"]);
}

#[test]
fn of_two_peers_that_are_one_router_the_younger_waits() {
    let mut rig = rig();
    let racks = |rack: &'static str| {
        move |spec: &mut PeerSpec| spec.node_selectors = vec![Selector::label("rack", rack)]
    };
    rig.tell([
        peer("tor", "192.0.2.1", racks("1")),
        peer("twin", "192.0.2.1", |spec| spec.node_selectors = vec![Selector::label("row", "1")]),
        Input::Node(
            "n1".into(),
            Some(Node {
                labels: [("rack", "1"), ("row", "1")].map(|(k, v)| (k.to_string(), v.to_string())).into(),
                ..Node::default()
            }),
        ),
        Input::Synced,
    ]);
    let said = told(&mut rig);
    assert_eq!(said[..2], ["twin waits: Duplicate(tor)", "tor at 192.0.2.1"]);
    rig.tell([object("BGPPeer", "tor", None)]);
    assert_eq!(told(&mut rig), ["no tor", "twin at 192.0.2.1", "status [twin]"]);
}

#[test]
fn a_link_local_peer_waits_for_its_link() {
    let mut rig = rig();
    let on_eth0 = |spec: &mut PeerSpec| spec.interface = Some("eth0".into());
    rig.tell([peer("tor", "fe80::1", on_eth0), Input::Synced]);
    assert_eq!(told(&mut rig)[0], "tor waits: NoInterface(eth0)");
    rig.tell([Input::Link(2, Some(nic("eth0")))]);
    assert_eq!(told(&mut rig)[0], "tor at fe80::1%eth0");
    rig.tell([Input::Link(2, None)]);
    assert_eq!(told(&mut rig)[0], "tor waits: NoInterface(eth0)");
}

#[test]
fn who_wants_bgp_is_not_told_to_advertise_by_layer_2() {
    let mut rig = rig();
    rig.tell([Input::Link(2, Some(nic("eth0"))), Input::Key(KEY), Input::Synced]);
    rig.run(400);
    let notes = rig.notes();
    assert!(!notes.iter().any(|note| note.contains("L2Advertisement")), "{notes:?}");
    rig.tell([object("BGPAdvertisement", "first", None)]);
    let notes = rig.notes();
    assert!(notes.iter().any(|note| note.contains("no L2Advertisement applies")), "{notes:?}");
}

#[test]
fn who_ends_announces_nothing_more() {
    let mut rig = rig();
    rig.tell([Input::Synced]);
    told(&mut rig);
    rig.tell([Input::Stop, Input::Endpoints(web(), None)]);
    // Routers learn it from the session, which ends.
    assert_eq!(told(&mut rig), ["no status"]);
}
