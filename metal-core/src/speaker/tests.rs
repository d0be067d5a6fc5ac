mod findings;
mod manner;
mod routing;

use alloc::{
    string::{String, ToString},
    vec,
    vec::Vec,
};

use super::*;
use crate::{
    config::{L2AdvertisementSpec, ObjectStatus, PoolSpec, Spec},
    event::Event,
    machine::drain,
    selector::{Labels, Selector},
    view::Endpoint,
};

const KEY: [u8; 32] = [7; 32];

fn speaker() -> Speaker {
    let setup = Setup { node: "n1".into(), incarnation: [1; 16], seed: 1, interval_ms: 100, multiplier: 3 };
    Speaker::new(setup)
}

fn nic(name: &str) -> Link {
    Link {
        name: name.into(),
        mac: [2, 0, 0, 0, 0, 1],
        up: true,
        carrier: true,
        broadcast: true,
        arp: true,
        enslaved: false,
        prefixes: vec![],
    }
}

fn config(kind: &'static str, spec: Spec) -> Input<'static> {
    let object = ObjectRef { kind, namespace: "metallb-system".into(), name: "first".into() };
    Input::Config(
        object,
        Some(Object { created: None, labels: Labels::new(), spec, status: ObjectStatus::default() }),
    )
}

fn pool(addresses: &str) -> Input<'static> {
    config(
        "IPAddressPool",
        Spec::Pool(PoolSpec { addresses: vec![addresses.into()], auto_assign: true, ..PoolSpec::default() }),
    )
}

fn advertisement(interfaces: &[&str]) -> Input<'static> {
    let interfaces = interfaces.iter().map(ToString::to_string).collect();
    config(
        "L2Advertisement",
        Spec::L2Advertisement(L2AdvertisementSpec { interfaces, ..L2AdvertisementSpec::default() }),
    )
}

fn web() -> ObjectKey {
    ObjectKey::new("default", "web")
}

fn service(addresses: &[&str]) -> Input<'static> {
    let assigned = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Input::Service(web(), Some(Service { assigned, ..Service::default() }))
}

fn endpoints() -> Input<'static> {
    let endpoint = Endpoint { node: Some("n1".into()), ready: true, serving: true };
    Input::Endpoints(web(), Some(EndpointSlice { service: web(), endpoints: vec![endpoint] }))
}

/// A speaker that has been told everything, and what it said.
struct Rig {
    speaker: Speaker,
    now: Instant,
    said: Vec<Output>,
}

impl Rig {
    fn new() -> Self {
        Self { speaker: speaker(), now: Instant::from_secs(1), said: vec![] }
    }

    fn serving() -> Self {
        let mut rig = Self::new();
        rig.tell([
            Input::Link(2, Some(nic("eth0"))),
            Input::Key(KEY),
            Input::Node("n1".into(), Some(Node::default())),
            pool("10.0.0.0/24"),
            advertisement(&[]),
            service(&["10.0.0.1"]),
            endpoints(),
            Input::Synced,
        ]);
        rig.run(400);
        rig
    }

    fn tell<const N: usize>(&mut self, inputs: [Input<'static>; N]) {
        for input in inputs {
            self.speaker.handle_input(self.now, input);
        }
        self.drain();
    }

    fn drain(&mut self) {
        let outputs = drain(&mut self.speaker, self.now);
        self.said.extend(outputs.into_iter().filter(|output| !matches!(output, Output::Send { .. })));
    }

    fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(next) = self.speaker.poll_timeout().filter(|next| *next <= end) {
            self.now = next;
            self.drain();
        }
        self.now = end;
    }

    fn take(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.said)
    }

    fn notes(&mut self) -> Vec<String> {
        let notes = self.take().into_iter();
        notes.filter_map(|output| if let Output::Note(note) = output { Some(note) } else { None }).collect()
    }
}

fn own(address: &str, owned: bool) -> Output {
    let duty = Duty { probe: true, refresh: Some(Duration::from_secs(60)) };
    Output::Own { link: 2, address: address.parse().unwrap(), duty: owned.then_some(duty) }
}

#[test]
fn the_first_address_from_start_to_stop() {
    let mut rig = Rig::serving();
    let said = rig.take();
    let expected = [
        Output::Listen { link: 2, active: true },
        Output::Note("eth0 takes part".into()),
        Output::Note("node n1 is ready to announce".into()),
        own("10.0.0.1", true),
        Output::Note("10.0.0.1 on eth0: this node answers now, nobody serves it".into()),
        Output::Status {
            service: web(),
            status: Some(Status {
                addresses: vec!["10.0.0.1".parse().unwrap()],
                interfaces: vec!["eth0".into()],
            }),
        },
        Output::Event {
            service: web(),
            event: Event {
                severity: crate::event::Severity::Normal,
                reason: "nodeAssigned",
                message: "announcing from node \"n1\" with protocol \"layer2\"".into(),
            },
        },
    ];
    // Being ready from the start is no news.
    let said: Vec<_> = said.into_iter().filter(|output| *output != expected[2]).collect();
    assert_eq!(said, [&expected[..2], &expected[3..]].concat());

    rig.tell([Input::Stop]);
    let said = rig.take();
    assert!(said.contains(&own("10.0.0.1", false)));
    assert!(said.contains(&Output::Status { service: web(), status: None }));
    assert_eq!(said.last(), Some(&Output::Stopped));
    // Nothing follows.
    rig.tell([service(&["10.0.0.2"]), Input::Stop]);
    rig.run(5_000);
    assert_eq!(rig.take(), []);
    assert_eq!(rig.speaker.poll_timeout(), None);
}

#[test]
fn the_order_of_inputs_does_not_matter() {
    let mut rig = Rig::new();
    rig.tell([Input::Synced, endpoints(), service(&["10.0.0.1"]), advertisement(&[]), pool("10.0.0.0/24")]);
    rig.run(1_000);
    assert_eq!(rig.speaker.not_ready(), Some(Reason::NoLink));
    rig.tell([Input::Link(2, Some(nic("eth0")))]);
    assert_eq!(rig.speaker.not_ready(), Some(Reason::NoBeaconKey));
    rig.run(1_000);
    assert_eq!(rig.speaker.owned().count(), 0);
    rig.tell([Input::Key(KEY)]);
    rig.run(400);
    assert_eq!(rig.speaker.owned().count(), 1);
    assert_eq!(rig.speaker.not_ready(), None);
}

#[test]
fn nothing_is_claimed_before_everything_is_listed() {
    let mut rig = Rig::new();
    rig.tell([Input::Link(2, Some(nic("eth0"))), Input::Key(KEY), pool("10.0.0.0/24"), advertisement(&[])]);
    rig.tell([service(&["10.0.0.1"]), endpoints()]);
    rig.run(5_000);
    assert_eq!(rig.speaker.not_ready(), Some(Reason::NotSynced));
    assert_eq!(rig.speaker.owned().count(), 0);
    rig.tell([Input::Synced]);
    assert_eq!(rig.speaker.owned().count(), 1);
}

#[test]
fn obstacles_are_told_once() {
    let mut rig = Rig::new();
    rig.tell([Input::Synced, Input::Link(2, Some(nic("eth0"))), Input::Key(KEY)]);
    rig.tell([Input::Node("n1".into(), Some(Node::default())), Input::Link(2, None)]);
    rig.run(1_000);
    let notes = rig.notes();
    let expected = [
        "node n1 announces nothing: no network interface of this node takes part",
        "eth0 takes part",
        "node n1 announces nothing: there is no secret to seal beacons with yet",
        "node n1: there is no Node object of this name: check --node",
        "node n1 is ready to announce",
        "eth0 takes part no longer: it is down",
        "node n1 announces nothing: no network interface of this node takes part",
    ];
    assert_eq!(notes.len(), expected.len(), "{notes:?}");
    for (note, expected) in notes.iter().zip(expected) {
        assert!(note.starts_with(expected), "{note}");
    }
}

#[test]
fn each_reason_for_silence_is_told_once() {
    let note = |rig: &mut Rig| {
        rig.run(300);
        let notes = rig.notes();
        assert_eq!(notes.len(), 1, "{notes:?}");
        notes[0].clone()
    };
    let mut rig = Rig::serving();
    rig.take();
    let silent = "10.0.0.1 on eth0: this node is silent now";

    rig.tell([advertisement(&["eth9"])]);
    rig.run(300);
    let notes = rig.notes();
    assert!(notes[0].starts_with("default/web: 10.0.0.1 is not announced: no node in line has an interface"));
    assert!(notes[0].ends_with("(L2Advertisement metallb-system/first: eth9)"), "{notes:?}");
    assert!(notes[1].starts_with(silent), "{notes:?}");

    rig.tell([Input::Endpoints(web(), None)]);
    assert!(note(&mut rig).ends_with("no endpoint of the Service takes traffic"));
    let reasons: Vec<_> = rig.speaker.reasons().collect();
    assert_eq!(reasons, [("10.0.0.1".parse().unwrap(), Reason::NoReadyEndpoints)]);

    rig.tell([endpoints(), service(&["192.0.2.1"])]);
    assert!(note(&mut rig).contains("192.0.2.1 is not announced: no L2Advertisement applies"));
    rig.tell([advertisement(&[]), service(&["2001:db8::1"])]);
    assert!(note(&mut rig).contains("2001:db8::1 is not announced: no L2Advertisement applies"));
    assert_eq!(rig.speaker.owned().count(), 0);
}

#[test]
fn ipv6_is_served_like_ipv4() {
    let mut rig = Rig::serving();
    rig.tell([pool("fd00::/120"), service(&["fd00::1"])]);
    rig.run(300);
    let owned: Vec<_> = rig.speaker.owned().map(|(_, address)| address).collect();
    assert_eq!(owned, ["fd00::1".parse::<core::net::IpAddr>().unwrap()]);
}

#[test]
fn an_address_outside_every_pool_needs_an_advertisement_of_its_pool_or_of_all() {
    let mut rig = Rig::serving();
    // Without a pool it goes on by the pool it came from, if that is known.
    rig.tell([pool("10.1.0.0/24")]);
    assert_eq!(rig.speaker.owned().count(), 0);
    let assigned = vec!["10.0.0.1".parse().unwrap()];
    let service = Service { assigned, assigned_from: vec!["first".into()], ..Service::default() };
    rig.tell([Input::Service(web(), Some(service))]);
    rig.run(200);
    assert_eq!(rig.speaker.owned().count(), 1);
}

#[test]
fn an_address_whose_pool_is_gone_goes_on_by_the_labels_that_the_pool_had() {
    let by_label = |value: &str| {
        let pool_selectors = vec![Selector::label("zone", value)];
        let spec = L2AdvertisementSpec { pool_selectors, ..L2AdvertisementSpec::default() };
        config("L2Advertisement", Spec::L2Advertisement(spec))
    };
    let pool = ObjectRef { kind: "IPAddressPool", namespace: "metallb-system".into(), name: "first".into() };
    let mut rig = Rig::serving();
    // Two addresses of two pools that are both gone; the labels are those of the pool of the first.
    let gone = |pools: &[&str], labels: &[&str]| {
        let service = Service {
            assigned: vec!["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            assigned_from: pools.iter().map(|pool| (*pool).into()).collect(),
            pool_labels: labels.first().map(|zone| Labels::from([("zone".into(), (*zone).into())])),
            ..Service::default()
        };
        Input::Service(web(), Some(service))
    };
    rig.tell([Input::Config(pool, None), by_label("a"), gone(&["first", "second"], &["a"])]);
    rig.run(200);
    assert_eq!(rig.speaker.owned().count(), 1);
    rig.tell([gone(&["first"], &["b"])]);
    assert_eq!(rig.speaker.owned().count(), 0);
    rig.tell([gone(&["first"], &["a"])]);
    rig.run(200);
    assert_eq!(rig.speaker.owned().count(), 2);
    rig.tell([gone(&["first"], &[])]);
    assert_eq!(rig.speaker.owned().count(), 0);
}

#[test]
fn services_that_are_not_ours_are_left_alone() {
    for scope in [crate::view::Scope::OtherClass, crate::view::Scope::NotLoadBalancer] {
        let mut rig = Rig::serving();
        rig.take();
        let assigned = vec!["10.0.0.1".parse().unwrap()];
        let service = Service { scope, assigned, ..Service::default() };
        rig.tell([Input::Service(web(), Some(service))]);
        let said = rig.take();
        assert!(said.contains(&own("10.0.0.1", false)));
        assert!(said.contains(&Output::Status { service: web(), status: None }));
        assert!(rig.speaker.addresses.is_empty() && rig.speaker.standings.is_empty());
    }
}

#[test]
fn verdicts_are_told_when_there_is_something_to_tell() {
    let verdicts = |rig: &mut Rig| {
        let said = rig.take().into_iter();
        said.filter(|output| matches!(output, Output::Verdict { .. })).collect::<Vec<_>>()
    };
    let mut rig = Rig::serving();
    assert_eq!(verdicts(&mut rig), []);
    rig.tell([pool("10.0.0.9-10.0.0.1")]);
    let said = verdicts(&mut rig);
    assert!(matches!(&said[..], [Output::Verdict { refusals, .. }] if refusals.len() == 1), "{said:?}");
    // The last good version goes on.
    assert_eq!(rig.speaker.owned().count(), 1);
    rig.tell([pool("10.0.0.0/24")]);
    let said = verdicts(&mut rig);
    assert!(matches!(&said[..], [Output::Verdict { refusals, .. }] if refusals.is_empty()), "{said:?}");
}

#[test]
fn a_link_that_is_lost_for_long_ends_everything_there() {
    let mut rig = Rig::serving();
    rig.take();
    rig.tell([Input::Link(2, Some(Link { carrier: false, ..nic("eth0") }))]);
    let said = rig.take();
    assert!(matches!(&said[..], [Output::Note(note)] if note.contains("has no carrier")), "{said:?}");
    rig.run(200);
    let said = rig.take();
    let silent = said.iter().position(|output| *output == own("10.0.0.1", false)).unwrap();
    let closed = said.iter().position(|output| *output == Output::Listen { link: 2, active: false }).unwrap();
    assert!(silent < closed);
    // Back again, it listens first.
    rig.tell([Input::Link(2, Some(nic("eth0")))]);
    assert_eq!(rig.speaker.owned().count(), 0);
    rig.run(350);
    assert_eq!(rig.speaker.owned().count(), 1);
    // One that may no longer take part ends at once.
    rig.tell([Input::Link(2, Some(Link { enslaved: true, ..nic("eth0") }))]);
    assert_eq!(rig.speaker.owned().count(), 0);
}

#[test]
fn secrets_are_not_printed() {
    let text = alloc::format!("{:?} {:?}", Input::Key([0xab; 32]), {
        let mut speaker = speaker();
        speaker.handle_input(Instant::ZERO, Input::Key([0xab; 32]));
        speaker
    });
    assert!(!text.contains("171") && !text.contains("abab"), "{text}");
}
