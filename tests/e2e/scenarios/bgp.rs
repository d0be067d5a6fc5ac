//! The resources of BGP as a real API server takes them, and what a speaker reads and writes of them.

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

use metal_core::name::ObjectKey;
use metal_k8s::{Backend, Change, Options, Role, SessionState, Sink};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::passwords::{await_role, secret};
use crate::daemons::SPEAKER;
use crate::world::{SOON, SYSTEM, World};
use metal_tests::wait::{ensure, wait_for};

fn object(kind: &str, name: &str, spec: &str) -> String {
    let version = if kind == "BGPPeer" { "v1beta2" } else { "v1beta1" };
    format!(
        "apiVersion: metallb.io/{version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {SYSTEM}}}\nspec: {spec}\n"
    )
}

/// What is right comes into force; what no field can be is refused by the API server; what only makes no sense is
/// flagged by the controller.
pub(super) fn resources_are_admitted_or_refused(world: &mut World) {
    world.create_pool("bgp-pool", "192.0.2.0/24");
    let good = [
        (
            "BFDProfile",
            "quick",
            "{receiveInterval: 50, transmitInterval: 50, echoInterval: 60, detectMultiplier: 3, echoMode: true, \
              passiveMode: false, minimumTtl: 250}",
        ),
        ("Community", "names", "{communities: [{name: web, value: '64500:80'}]}"),
        (
            "BGPPeer",
            "whole",
            "{myASN: 64500, peerASN: 64501, localASN: 64502, peerAddress: 192.0.2.1, sourceAddress: 192.0.2.9, \
              peerPort: 1179, holdTime: 90s, keepaliveTime: 30s, connectTime: 5s, routerID: 192.0.2.9, \
              nodeSelectors: [{matchLabels: {rack: none}}], passwordSecret: {name: tor}, bfdProfile: quick, \
              enableGracefulRestart: true, ebgpMultiHop: true, dualStackAddressFamily: true, connectionMode: Both}",
        ),
        ("BGPPeer", "dynamic", "{myASN: 64500, dynamicASN: external, interface: eth9, ttlSecurity: true}"),
        (
            "BGPAdvertisement",
            "whole",
            "{ipAddressPools: [bgp-pool], aggregationLength: 32, aggregationLengthV6: 128, localPref: 7, \
              communities: [web, 'large:64500:1:2', no-export], peers: [whole], med: 5, asPathPrepend: 2, \
              nextHop: {ipv4: 192.0.2.7}, withoutEndpoints: Keep, serviceSelectors: [{matchLabels: {app: web}}]}",
        ),
        ("BGPAdvertisement", "all", "{}"),
    ];
    for (kind, name, spec) in good {
        world.client.apply(&object(kind, name, spec));
    }
    for (kind, name, _) in good {
        world.await_condition(kind, name, "Accepted", "True");
    }
    // MetalLB's older version of a peer is the same object in the newer one.
    let old = object("BGPPeer", "old", "{myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.3}");
    world.client.apply(&old.replace("v1beta2", "v1beta1"));
    world.await_condition("BGPPeer", "old", "Accepted", "True");
    let old = world.client.get("BGPPeer", SYSTEM, "old").unwrap_or_default();
    assert_eq!((&old["apiVersion"], &old["spec"]["peerPort"]), (&json!("metallb.io/v1beta2"), &json!(179)));

    let unfit = [
        ("BGPPeer", "{peerASN: 64501, peerAddress: 192.0.2.1}", "myASN"),
        ("BGPPeer", "{myASN: 4294967296, peerASN: 64501, peerAddress: 192.0.2.1}", "myASN"),
        ("BGPPeer", "{myASN: 64500, dynamicASN: whatever, peerAddress: 192.0.2.1}", "dynamicASN"),
        ("BGPPeer", "{myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1, peerPort: 65536}", "peerPort"),
        (
            "BGPPeer",
            "{myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1, connectionMode: Wait}",
            "connectionMode",
        ),
        ("BGPAdvertisement", "{aggregationLength: 0}", "aggregationLength"),
        ("BGPAdvertisement", "{withoutEndpoints: Forget}", "withoutEndpoints"),
        ("BGPAdvertisement", "{asPathPrepend: 17}", "asPathPrepend"),
        ("BFDProfile", "{detectMultiplier: 1}", "detectMultiplier"),
        ("BFDProfile", "{receiveInterval: 5}", "receiveInterval"),
        ("Community", "{communities: web}", "communities"),
    ];
    for (kind, spec, field) in unfit {
        let (_, message) = world.client.is_refused(&object(kind, "unfit", spec));
        assert!(message.contains(field), "{kind} {spec}: {message}");
    }

    let senseless = [
        ("BGPPeer", "neither", "{myASN: 64500, peerAddress: 192.0.2.4}", "peerASN"),
        ("BGPPeer", "nobody", "{myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.x}", "spec.peerAddress"),
        (
            "BGPPeer",
            "no-profile",
            "{myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.5, bfdProfile: nowhere}",
            "nowhere",
        ),
        (
            "BGPAdvertisement",
            "beyond",
            "{ipAddressPools: [bgp-pool], aggregationLength: 16}",
            "aggregationLength",
        ),
        ("BGPAdvertisement", "nonsense", "{communities: ['1:2:3:4']}", "spec.communities[0]"),
        ("Community", "twice", "{communities: [{name: web, value: '64500:81'}]}", "web"),
    ];
    for (kind, name, spec, part) in senseless {
        world.client.apply(&object(kind, name, spec));
        let (_, message) = world.await_condition(kind, name, "Accepted", "False");
        assert!(message.contains(part), "{kind} {name}: {message}");
    }
    for (kind, name, _) in good {
        world.await_condition(kind, name, "Accepted", "True");
    }
}

/// A Secret that was told of, with its password.
type Told = (String, Option<String>);

/// Somebody with the rights of a speaker, who is on no node of the rack. Its tasks run on a thread of their own.
struct Speaker {
    sink: Sink,
    secrets: mpsc::Receiver<Told>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Speaker {
    fn start(kubeconfig: PathBuf) -> Self {
        let (secret, secrets) = mpsc::channel();
        let (started, sink) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let run = async move {
            let options = Options::new(Role::Speaker { node: "nowhere".into(), pod: None });
            let backend = Backend::cluster(options, Some(&kubeconfig)).await.expect("a backend");
            let (mut changes, sink) = backend.start(None).expect("a source");
            started.send(sink).expect("a test that waits");
            let tell = async {
                while let Some(change) = changes.recv().await {
                    if let Change::Secret(name, value) = change {
                        let told = (name.to_string(), value.map(|value| value.expose().to_owned()));
                        secret.send(told).expect("a test that listens");
                    }
                }
            };
            tokio::select! {
                () = tell => {}
                _ = stopped => {}
            }
        };
        let thread = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(run);
        });
        let sink = sink.recv_timeout(SOON).expect("a sink");
        Self { sink, secrets, stop: Some(stop), thread: Some(thread) }
    }

    /// The next Secret that it is told of.
    fn next_secret(&self) -> Told {
        self.secrets.recv_timeout(SOON).expect("a Secret in time")
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A thread that panicked has said so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A password is there once the Role allows it, and follows the Secret; statuses are written and removed.
pub(super) fn a_speaker_reads_secrets_and_writes_statuses(world: &mut World) {
    let speaker = Speaker::start(world.plane.kubeconfig(&SPEAKER));
    world.client.apply(&secret("tor"));
    speaker.sink.want_secrets(["tor".into()].into());
    assert_eq!(speaker.next_secret(), ("tor".into(), None), "nobody has granted it yet");
    let spec = "{myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1, passwordSecret: {name: tor}, \
                nodeSelectors: [{matchLabels: {rack: none}}]}";
    world.client.apply(&object("BGPPeer", "tor", spec));
    await_role(world, &["tor"]);
    assert_eq!(speaker.next_secret(), ("tor".into(), Some("hunter2".into())));
    world.client.apply(&secret("tor").replace("hunter2", "correct horse"));
    assert_eq!(speaker.next_secret(), ("tor".into(), Some("correct horse".into())));
    world.client.delete("Secret", SYSTEM, "tor");
    assert_eq!(speaker.next_secret(), ("tor".into(), None));
    world.client.apply(&secret("tor").replace("kubernetes.io/basic-auth", "Opaque"));
    world.client.delete("Secret", SYSTEM, "tor");
    world.client.apply(&secret("tor"));
    assert_eq!(
        speaker.next_secret(),
        ("tor".into(), Some("hunter2".into())),
        "an Opaque one has no password"
    );

    let service = ObjectKey::new("default", "web");
    speaker.sink.bgp_status(service.clone(), Some(vec!["tor-b".into(), "tor-a".into()]));
    let state = |phase: &'static str, message: &str| SessionState {
        phase,
        message: message.into(),
        router: "2001:db8::1".into(),
        ..SessionState::default()
    };
    speaker.sink.session_state("tor".into(), Some(state("Active", "connection refused")));
    await_status(
        world,
        "ServiceBGPStatus",
        &json!({"node": "nowhere", "serviceName": "web",
        "serviceNamespace": "default", "peers": ["tor-a", "tor-b"]}),
    );
    let expected = |phase: &str, message: &str| {
        json!({"node": "nowhere", "peer": "2001-0db8-0000-0000-0000-0000-0000-0001", "vrf": "", "bgpStatus": phase,
            "bfdStatus": "N/A", "bgpPeer": "tor", "router": "2001:db8::1", "message": message})
    };
    await_status(world, "BGPSessionState", &expected("Active", "connection refused"));
    speaker.sink.session_state("tor".into(), Some(state("Established", "up")));
    await_status(world, "BGPSessionState", &expected("Established", "up"));

    // Another incarnation removes what this one leaves behind, but not what frr-k8s has written.
    world.client.apply(&format!(
        "apiVersion: frrk8s.metallb.io/v1beta1\nkind: BGPSessionState\n\
         metadata: {{name: of-frr-k8s, namespace: {SYSTEM}, labels: {{frrk8s.metallb.io/node: nowhere}}}}\n\
         spec: {{}}\nstatus: {{bgpStatus: Established}}\n"
    ));
    drop(speaker);
    let speaker = Speaker::start(world.plane.kubeconfig(&SPEAKER));
    await_gone(world, "ServiceBGPStatus");
    await_status(world, "BGPSessionState", &json!({"bgpStatus": "Established"}));
    speaker.sink.bgp_status(service.clone(), Some(vec!["tor-a".into()]));
    speaker.sink.session_state("tor".into(), Some(state("Idle", "shut down")));
    wait_for("a session state of each writer", SOON, || {
        let all = world.client.list("BGPSessionState");
        ensure(all.len() == 2, || format!("{all:?}"))
    });
    speaker.sink.bgp_status(service, None);
    speaker.sink.session_state("tor".into(), None);
    await_gone(world, "ServiceBGPStatus");
    await_status(world, "BGPSessionState", &json!({"bgpStatus": "Established"}));
}

/// Waits until there is one object of this kind, and it has this status.
#[track_caller]
fn await_status(world: &World, kind: &str, status: &Value) {
    wait_for(&format!("a {kind} that says {status}"), SOON, || {
        let all = world.client.list(kind);
        ensure(all.len() == 1 && all[0]["status"] == *status, || format!("{all:?}"))
    });
}

#[track_caller]
fn await_gone(world: &World, kind: &str) {
    wait_for(&format!("no {kind}"), SOON, || {
        let all = world.client.list(kind);
        ensure(all.is_empty(), || format!("{all:?}"))
    });
}
