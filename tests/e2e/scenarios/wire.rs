//! From the API server to the wire: how soon a router hears of an address. `METAL_E2E_SERVICES` says of how many; what
//! is measured is printed, not asserted.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ear::Ear;
use crate::edge::{NODE_AS, ROUTER_AS};
use crate::rack::{MANAGEMENT, NODES};
use crate::world::World;

use super::{load::service, routed::bgp};

/// How long all of it may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Single changes that are measured.
const CHANGES: u32 = 100;
/// Longer than changes are put together for.
const QUIET: Duration = Duration::from_millis(25);
const LABEL: &str = "e2e-load=wire";
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 65, 0, 1);

/// A status that is written is announced at once, and a speaker that starts announces all that there is.
pub(super) fn a_router_hears_of_an_address_at_once(world: &mut World) {
    let count = std::env::var("METAL_E2E_SERVICES").map_or(300, |text| {
        text.parse().unwrap_or_else(|_| panic!("METAL_E2E_SERVICES={text:?} is no number"))
    });
    // The statuses are written here, and one speaker is enough.
    world.daemons.stop_controller();
    for node in &NODES[1..] {
        world.daemons.stop_speaker(node);
    }
    let mut ear = Ear::listen(MANAGEMENT);
    world.create_pool("wire", "10.65.0.0/16");
    world.client.apply(&bgp("BGPAdvertisement", "v1beta1", "wire", "{ipAddressPools: [wire]}"));
    let (ip, port) = (ear.address().ip(), ear.address().port());
    let peer = format!("{{myASN: {NODE_AS}, peerASN: {ROUTER_AS}, peerAddress: {ip}, peerPort: {port}}}");
    world.client.apply(&bgp("BGPPeer", "v1beta2", "ear", &peer));
    let all = 0..count.max(CHANGES);
    let services: Vec<Value> = all.clone().map(|number| service("wire", number as usize, None)).collect();
    world.client.create_many("Service", "default", &services);
    world.client.create_many("EndpointSlice", "default", &all.map(slice).collect::<Vec<_>>());

    // The session stands once the first one has been heard.
    world.client.apply_status("e2e-wire", &status(0));
    assert!(ear.heard(address(0), PATIENCE).is_some(), "nothing is announced");
    let mut delays: Vec<Duration> = (1..CHANGES)
        .map(|number| {
            // The first change after a quiet time goes out at once, and others wait for it.
            ear.await_quiet(QUIET);
            world.client.apply_status("e2e-wire", &status(number));
            let written = Instant::now();
            let heard = ear.heard(address(number), PATIENCE);
            // It may be heard before the writer has its answer.
            heard
                .unwrap_or_else(|| panic!("{} is not announced", address(number)))
                .saturating_duration_since(written)
        })
        .collect();
    delays.sort();
    let at = |percent: usize| delays[(delays.len() - 1) * percent / 100];
    println!(
        "  from the writer's answer to the UPDATE at the router, {} times: p50 {:.2?}, p99 {:.2?}, longest {:.2?}",
        delays.len(),
        at(50),
        at(99),
        at(100)
    );

    let others: Vec<Value> = (CHANGES..count).map(status).collect();
    world.client.apply_many("e2e-wire", 8, &others);
    for number in 0..count {
        assert!(ear.heard(address(number), PATIENCE).is_some(), "{} is not announced", address(number));
    }
    world.daemons.stop_speaker(NODES[0]);
    ear.forget();
    let started = Instant::now();
    world.daemons.start_speaker(&world.plane, NODES[0]);
    let heard: Option<Vec<Instant>> = (0..count).map(|number| ear.heard(address(number), PATIENCE)).collect();
    let heard = heard.expect("a speaker that starts announces all");
    let (first, last) = (heard.iter().min().copied(), heard.iter().max().copied());
    let (first, last) = first.zip(last).expect("some");
    println!(
        "  a speaker starts with {count} Services: the router hears the first after {:.0?}, and all {:.2?} later",
        first.saturating_duration_since(started),
        last - first
    );
    world.client.delete_labelled("Service", "default", LABEL);
    world.client.delete_labelled("EndpointSlice", "default", LABEL);
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST.to_bits() + number)
}

fn slice(number: u32) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("wire-{number}"), "namespace": "default",
            "labels": {"e2e-load": "wire", "kubernetes.io/service-name": format!("wire-{number}")},
        },
        "endpoints": [{"addresses": ["10.244.1.9"], "nodeName": NODES[0], "conditions": {"ready": true}}],
        "ports": [{"port": 80}],
    })
}

fn status(number: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": format!("wire-{number}"), "namespace": "default"},
        "status": {"loadBalancer": {"ingress": [{"ip": address(number)}]}},
    })
}
