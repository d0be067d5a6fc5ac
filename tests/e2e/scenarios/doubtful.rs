//! Peers that cannot be: each says in words why, soon, and the session with the good one knows nothing of it.

use std::time::Instant;

use serde_json::Value;

use super::routed::bgp;
use crate::edge::{Edge, NODE_AS, ROUTER_AS, ROUTERS, Terms};
use crate::rack::{NODES, lan_address, set_for_nodes};
use crate::world::{SOON, SYSTEM, World};
use metal_tests::wait::{ensure, wait_for};

const SECRET: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: doubtful, namespace: metallb-system}
type: kubernetes.io/basic-auth
stringData: {password: sesame}
";

/// What no object can be is a condition; what only the router or the kernel can tell is in the session's state.
pub(super) fn peers_say_what_is_wrong(world: &mut World) {
    let edge = Edge::build(world.directory(), Terms { hold_time: 90, both: true });
    apply(world, "good", &format!("{{myASN: {NODE_AS}, peerASN: {ROUTER_AS}, peerAddress: {}}}", ROUTERS[1]));
    await_session(world, "good", "n1", &["session established"]);
    let good = || {
        let sessions = edge.sessions().expect("the routers answer");
        sessions.into_iter().filter(|session| session.of.starts_with("BIRD")).collect::<Vec<_>>()
    };
    edge.await_established("BIRD", NODES.len());
    let before = good();

    let senseless = [
        ("both", "peerASN: 64513, dynamicASN: external, peerAddress: 192.168.1.50", "dynamicASN"),
        ("neither", "peerAddress: 192.168.1.51", "peerASN"),
        ("no-link", "peerASN: 64513, peerAddress: 'fe80::1'", "interface"),
        ("twin", &format!("peerASN: 64514, peerAddress: {}", ROUTERS[1]), "good"),
    ];
    for (name, spec, part) in senseless {
        let started = Instant::now();
        apply(world, name, &format!("{{myASN: {NODE_AS}, {spec}}}"));
        let (_, message) = world.await_condition("BGPPeer", name, "Accepted", "False");
        println!("  {name} within {:?}: {message}", started.elapsed());
        assert!(message.contains(part), "{name}: {message}");
        world.client.delete("BGPPeer", SYSTEM, name);
    }

    world.client.apply(SECRET);
    set_for_nodes("net.ipv4.ip_unprivileged_port_start", 179);
    let frr = ROUTERS[0];
    let ends = |spec: &str| {
        format!(
            "{{myASN: {NODE_AS}, nodeSelectors: [{{matchLabels: {{kubernetes.io/hostname: n1}}}}], {spec}}}"
        )
    };
    // Nothing answers there, and nothing says that it does not.
    let silent = "peerASN: 64513, peerAddress: 203.0.113.9";
    doubt(world, "silent", &ends(silent), &["connecting, no answer since 20"]);
    doubt(world, "unreachable", &ends("peerASN: 64513, peerAddress: 192.0.2.1"), &["unreachable"]);
    doubt(world, "refused", &ends("peerASN: 64513, peerAddress: 192.168.1.1"), &["connection refused"]);
    let wrong_as = format!("peerASN: 64999, peerAddress: {frr}");
    doubt(world, "wrong-as", &ends(&wrong_as), &["64513", "64999"]);
    let other_as = format!("{{myASN: 64599, peerASN: {ROUTER_AS}, peerAddress: {frr}}}");
    doubt(world, "our-wrong-as", &other_as, &["Bad Peer AS", "it expects this side in another AS"]);

    // The router has the address of the node with another password, and waits.
    let n1 = lan_address("n1");
    edge.configure(&[&format!("neighbor {n1} password another")]);
    let with_password =
        format!("peerASN: {ROUTER_AS}, peerAddress: {frr}, passwordSecret: {{name: doubtful}}");
    doubt(world, "password", &ends(&with_password), &["connecting, no answer since 20"]);
    // It dials, too: then the kernel of the node knows.
    edge.configure(&[&format!("no neighbor {n1} passive"), &format!("neighbor {n1} timers connect 1")]);
    let both = format!("{with_password}, connectionMode: Both");
    doubt(world, "password", &ends(&both), &["no answer since 20", "signed with another password"]);
    edge.configure(&[&format!("no neighbor {n1} password")]);
    doubt(world, "password", &ends(&both), &["no answer since 20", "not signed"]);
    edge.configure(&[&format!("neighbor {n1} password sesame")]);
    let open = format!("peerASN: {ROUTER_AS}, peerAddress: {frr}, connectionMode: Both");
    doubt(world, "password", &ends(&open), &["no password is configured here"]);
    doubt(world, "password", &ends(&both), &["session established"]);
    world.client.delete("BGPPeer", SYSTEM, "password");

    // FRR on the node has the session already, and the port.
    edge.configure(&[&format!("no neighbor {n1} password"), &format!("neighbor {n1} passive")]);
    let rival = edge.start_rival(world.directory(), "n1");
    doubt(
        world,
        "shared",
        &ends(&open),
        &[
            "another BGP speaker of this node has a session with this router",
            &n1,
            "cannot listen on [::]:179",
            "in use",
        ],
    );
    for reason in ["BGPPeerShared", "BGPPortUnavailable", "BGPPasswordMismatch"] {
        await_node_event(world, "n1", reason);
    }
    drop(rival);
    doubt(world, "shared", &ends(&open), &["session established"]);
    set_for_nodes("net.ipv4.ip_unprivileged_port_start", 1024);
    assert_eq!(good(), before, "the good sessions know nothing of it");
}

fn apply(world: &mut World, name: &str, spec: &str) {
    world.client.apply(&bgp("BGPPeer", "v1beta2", name, spec));
}

/// Applies a peer, and waits until the state of its session on n1 says all of these. Another one than before goes.
#[track_caller]
fn doubt(world: &mut World, name: &str, spec: &str, parts: &[&str]) {
    let started = Instant::now();
    apply(world, name, spec);
    let message = await_session(world, name, "n1", parts);
    println!("  {name} within {:?}: {message}", started.elapsed());
    if !["password", "shared"].contains(&name) {
        world.client.delete("BGPPeer", SYSTEM, name);
    }
}

#[track_caller]
fn await_session(world: &World, peer: &str, node: &str, parts: &[&str]) -> String {
    wait_for(&format!("a BGPSessionState of {node} for {peer} that says {parts:?}"), 2 * SOON, || {
        let all = world.client.list("BGPSessionState");
        let of_peer = |state: &&Value| state["status"]["bgpPeer"] == peer && state["status"]["node"] == node;
        let found = all.iter().find(of_peer).ok_or_else(|| format!("none among {}", all.len()))?;
        let message = found["status"]["message"].as_str().unwrap_or_default();
        ensure(parts.iter().all(|part| message.contains(part)), || message.to_owned())?;
        Ok(message.to_owned())
    })
}

#[track_caller]
fn await_node_event(world: &World, node: &str, reason: &str) {
    wait_for(&format!("an event {reason} of {node}"), SOON, || {
        let events = world.client.list("Event");
        let is_it = |event: &Value| event["reason"] == reason && event["involvedObject"]["name"] == node;
        ensure(events.iter().any(is_it), || format!("{} other events", events.len()))
    });
}
