//! Services that somebody else serves, or has served before.

use serde_json::{Value, json};

use crate::daemons::CONTROLLER;
use crate::world::{SOON, World};
use metal_tests::wait::{ensure, wait_for};

/// What MetalLB calls itself.
const OTHER: &str = "metallb-controller";

/// A status that another manager replaced is taken over, with its claim.
pub(super) fn from_a_status_that_was_replaced(world: &mut World) {
    adopt(world, "replaced", |world, name, address| {
        let done = world.client.replace_status(OTHER, ("Service", "default", name), |service| {
            service["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"] = "adopted".into();
            service["status"] = status(address);
        });
        assert!(done, "nobody else writes");
    });
}

/// A status that another manager applied is taken over, with its claim.
pub(super) fn from_a_status_that_was_applied(world: &mut World) {
    adopt(world, "applied", |world, name, address| {
        world.client.apply_status(
            OTHER,
            &json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {
                    "name": name, "namespace": "default",
                    "annotations": {"metallb.io/ip-allocated-from-pool": "adopted"},
                },
                "status": status(address),
            }),
        );
    });
}

fn adopt(world: &mut World, name: &str, give: impl Fn(&World, &str, &str)) {
    // Not the lowest, which it would get by itself.
    let address = "192.168.1.165";
    world.daemons.stop_controller();
    world.create_pool("adopted", "192.168.1.160-192.168.1.169");
    world.advertise("adopted");
    world.create_service(name, 80, &["pod-1"]);
    give(world, name, address);
    assert_eq!(claims(world, name), [OTHER], "the other manager owns it");

    world.daemons.start_controller(&world.plane);
    wait_for("the controller to own what it took over", SOON, || {
        let claims = claims(world, name);
        ensure(claims == [CONTROLLER.name], || format!("{claims:?} own it"))
    });
    assert_eq!(world.addresses(name), [address]);
    assert_eq!(world.await_answer(address, 80).pod, "pod-1");

    world.client.merge("Service", "default", name, &json!({"spec": {"type": "ClusterIP"}}));
    wait_for("an empty status", SOON, || {
        let service = world.client.get("Service", "default", name).unwrap_or_default();
        let annotation = &service["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"];
        let is_empty = service["status"]["loadBalancer"] == json!({}) && annotation.is_null();
        ensure(is_empty, || format!("{annotation} and {}", service["status"]))
    });
    let claims = claims(world, name);
    assert!(!claims.iter().any(|manager| manager == OTHER), "{claims:?}");
}

/// Two writers that undo each other's work: the controller stops, and says with whom it quarrels.
pub(super) fn a_contested_service_is_left_alone(world: &mut World) {
    let theirs = "203.0.113.9";
    world.create_pool("contested", "192.168.1.170-192.168.1.179");
    world.create_service("quarrel", 80, &["pod-1"]);
    world.await_address("quarrel", "192.168.1.170");
    for _ in 0..2 {
        world.await_address("quarrel", "192.168.1.170");
        let object = ("Service", "default", "quarrel");
        while !world.client.replace_status(OTHER, object, |service| service["status"] = status(theirs)) {}
    }
    world.await_event("Service", "quarrel", &[OTHER]);
    let event = world
        .client
        .list("Event")
        .into_iter()
        .any(|event| event["involvedObject"]["name"] == "quarrel" && event["reason"] == "ContestedBy");
    assert!(event, "an event with reason ContestedBy");

    // The others go on, and so it would have been written before them.
    world.create_service("bystander", 80, &["pod-1"]);
    world.await_address("bystander", "192.168.1.171");
    assert_eq!(world.addresses("quarrel"), [theirs]);
    let writes = world.plane.writes(CONTROLLER.identity);
    let about = |what: &str| what.contains(" services/default/quarrel");
    let writes = writes.iter().filter(|write| about(&write.what)).count();
    assert!(writes <= 5, "{writes} writes in a quarrel");
}

fn status(address: &str) -> Value {
    json!({"loadBalancer": {"ingress": [{"ip": address}]}})
}

/// The managers that own the addresses of a Service.
fn claims(world: &World, name: &str) -> Vec<String> {
    let service = world.client.get("Service", "default", name).unwrap_or_default();
    let entries = service["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let owns = |entry: &&Value| !entry["fieldsV1"]["f:status"]["f:loadBalancer"].is_null();
    entries
        .iter()
        .filter(owns)
        .map(|entry| entry["manager"].as_str().unwrap_or_default().to_owned())
        .collect()
}
