//! Many Services at once. `METAL_E2E_SERVICES` says how many; what is measured is printed, and only counts are
//! asserted.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::control_plane::{ADMIN, Request};
use crate::daemons::CONTROLLER;
use crate::history::{self, History};
use crate::rack::NODES;
use crate::world::{SYSTEM, World};
use metal_tests::wait::{ensure, wait_for};

/// How long all of it may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// How many writes the bare loop has on their way, the same as the controller.
const AT_A_TIME: usize = 8;
const LABEL: &str = "e2e=load";
const BARE: &str = "e2e-load=bare";

/// Services that were created while no controller ran get an address with one write each, and a restart writes
/// nothing.
pub(super) fn every_service_is_written_once(world: &mut World) {
    let count = std::env::var("METAL_E2E_SERVICES").map_or(300, |text| {
        text.parse().unwrap_or_else(|_| panic!("METAL_E2E_SERVICES={text:?} is no number"))
    });
    // What else would work on so many Services stays out of the measurement.
    for node in NODES {
        world.daemons.stop_speaker(node);
    }
    world.daemons.stop_controller();
    world.create_pool("load", "10.64.0.0/16");
    let ours: Vec<Value> = (0..count).map(|number| service("load", number, None)).collect();
    let bare: Vec<Value> =
        (0..count).map(|number| service("bare", number, Some("example.com/nobody"))).collect();
    let history = History::record(&world.plane.kubeconfig(&ADMIN));
    world.client.create_many("Service", "default", &ours);
    world.client.create_many("Service", "default", &bare);

    world.daemons.launch_replica(&world.plane, 0);
    let writes = await_assigned(world, &history, count);
    let begin = writes.iter().map(|write| write.begin).fold(f64::INFINITY, f64::min);
    let end = writes.iter().map(|write| write.end).fold(0.0, f64::max);
    let own = rate(writes.len(), end - begin);
    drop(history);
    let peak = memory(world);

    let example = world.client.get("Service", "default", "load-0").unwrap_or_default();
    let statuses: Vec<Value> = (0..count).map(|number| status(&example, number)).collect();
    let started = Instant::now();
    world.client.apply_many("bare-loop", AT_A_TIME, &statuses);
    let loops = rate(count, started.elapsed().as_secs_f64());
    println!(
        "  {count} Services: {own:.0} writes a second, a bare loop of the same writes {loops:.0} ({:.0} %); \
         peak memory of the controller {:.1} MiB",
        100.0 * own / loops,
        peak
    );

    // The restart is one with so many Services, not with twice as many.
    world.client.delete_labelled("Service", "default", BARE);
    world.daemons.stop_controller();
    let written = world.plane.writes(CONTROLLER.identity).len();
    let started = Instant::now();
    world.daemons.launch_replica(&world.plane, 0);
    wait_for("the restarted controller to be ready", PATIENCE, || world.daemons.is_ready(0));
    println!(
        "  restarted with {count} assigned: ready after {:.0} ms, peak memory {:.1} MiB",
        started.elapsed().as_secs_f64() * 1_000.0,
        memory(world)
    );
    // What it does about this one comes after all that it found at its start.
    world.create_service("after-load", 80, &["pod-1"]);
    wait_for("an address for the next Service", PATIENCE, || {
        let addresses = world.addresses("after-load");
        ensure(addresses.len() == 1, || format!("{addresses:?}"))
    });
    let writes = world.plane.writes(CONTROLLER.identity);
    let found: Vec<_> = writes[written..].iter().take_while(|write| write.name != "after-load").collect();
    let found: Vec<_> = found.iter().filter(|write| write.what.contains(" services/")).collect();
    assert!(found.is_empty(), "the restarted controller wrote {found:?}");

    world.client.delete_labelled("Service", "default", LABEL);
    world.client.delete("Service", "default", "after-load");
    wait_for("the counters of an empty pool", PATIENCE, || {
        let status = &world.client.get("IPAddressPool", SYSTEM, "load").unwrap_or_default()["status"];
        ensure(status["assignedIPv4"] == 0, || status.to_string())
    });
}

/// One that nothing but the controller and the speakers works on.
pub(super) fn service(prefix: &str, number: usize, class: Option<&str>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": format!("{prefix}-{number}"), "namespace": "default",
            // kube-proxy leaves those alone that have another proxy.
            "labels": {"e2e": "load", "e2e-load": prefix, "service.kubernetes.io/service-proxy-name": "none"},
        },
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": class, "allocateLoadBalancerNodePorts": false,
            "ports": [{"port": 80}],
        },
    })
}

/// What the controller wrote to one Service, for another one.
fn status(example: &Value, number: usize) -> Value {
    let condition = &example["status"]["conditions"];
    let annotation = "metallb.io/ip-allocated-from-pool";
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": format!("bare-{number}"), "namespace": "default",
            "annotations": {annotation: example["metadata"]["annotations"][annotation]},
        },
        "status": {"loadBalancer": example["status"]["loadBalancer"], "conditions": condition},
    })
}

/// Waits until all Services are assigned, and returns the writes. Each Service has changed once, and been written
/// once; a write that the controller has given up counts only for the former.
fn await_assigned(world: &World, history: &History, count: usize) -> Vec<Request> {
    wait_for("all Services to be assigned", PATIENCE, || {
        let status = &world.client.get("IPAddressPool", SYSTEM, "load").unwrap_or_default()["status"];
        ensure(status["assignedIPv4"] == count, || status.to_string())?;
        let changes = history::changes(&history.seen());
        ensure(changes == count, || format!("{changes} changes of {count} Services"))
    });
    history::check(&history.seen());
    let requests = world.plane.requests(CONTROLLER.identity);
    let to_services = |request: &Request| request.what.contains(" services/default/load-");
    let writes: Vec<Request> = requests.into_iter().filter(to_services).collect();
    assert!(writes.len() <= count, "{} writes for {count} Services", writes.len());
    writes
}

/// The most memory that the controller has had so far, in MiB.
fn memory(world: &mut World) -> f64 {
    let file = format!("/proc/{}/status", world.daemons.controller().id());
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes / 1_024.0
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn rate(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}
