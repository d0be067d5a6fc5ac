//! A controller that starts finds everything as it should be and leaves it so.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::control_plane::Write;
use crate::daemons::{CONTROLLER, SPEAKER};
use crate::world::World;

/// The Services that have no address: one finds the pool full, the others ask for an address of no pool.
const PENDING: [&str; 4] = ["kept-pending", "settled", "after-stop", "after-crash"];

/// With addresses assigned, one Service pending and one pool refused, neither an orderly restart nor
/// one after a crash writes anything.
pub(super) fn writes_nothing(world: &mut World) {
    world.create_pool("kept-pool", "192.168.1.80-192.168.1.81");
    world.create_pool("refused-pool", "192.168.1.99-192.168.1.90");
    world.advertise("kept-pool");
    for (name, address) in [("kept-a", "192.168.1.80"), ("kept-b", "192.168.1.81")] {
        world.create_service(name, 80, &["pod-1"]);
        world.await_address(name, address);
    }
    world.create_service("kept-pending", 80, &["pod-1"]);
    world.await_event("Service", "kept-pending", &["kept-pool"]);
    world.await_condition("IPAddressPool", "refused-pool", "Accepted", "False");
    settle(world, "settled");

    world.daemons.stop_controller();
    restart_changes_nothing(world, "after-stop");
    world.daemons.kill_controller();
    restart_changes_nothing(world, "after-crash");
    assert_eq!(world.await_answer("192.168.1.80", 80).pod, "pod-1");

    let of_speakers = world.plane.writes(SPEAKER.identity);
    let to_services: Vec<_> = of_speakers.iter().filter(|write| write.what.contains(" services/")).collect();
    assert!(to_services.is_empty(), "only the controller may write Services, a speaker did: {to_services:?}");
}

fn restart_changes_nothing(world: &mut World, barrier: &str) {
    let versions = versions(world);
    let written = world.plane.writes(CONTROLLER.identity).len();
    world.daemons.start_controller(&world.plane);
    // What it does about this Service comes after all that it found at its start.
    let first = settle(world, barrier);
    let writes = world.plane.writes(CONTROLLER.identity);
    // It may tell again why a Service is still pending.
    let reminds = |write: &&Write| write.what.contains(" events/") && PENDING.contains(&write.name.as_str());
    let writes: Vec<_> = writes[written..first].iter().filter(|write| !reminds(write)).collect();
    assert!(writes.is_empty(), "the restarted controller wrote {writes:?}");
    assert_eq!(versions, self::versions(world), "resource versions changed");
}

/// Creates a Service that asks for an address of no pool and waits until the controller has said so.
/// Returns the place of the first write about it in the controller's writes.
fn settle(world: &mut World, barrier: &str) -> usize {
    world.client.apply(&format!(
        "\
apiVersion: v1
kind: Service
metadata: {{name: {barrier}, namespace: default, annotations: {{metallb.io/loadBalancerIPs: 192.168.1.200}}}}
spec:
  type: LoadBalancer
  ports: [{{port: 80}}]
"
    ));
    world.await_event("Service", barrier, &["192.168.1.200"]);
    let writes = world.plane.writes(CONTROLLER.identity);
    let first = writes.iter().position(|write| write.name == barrier);
    first.unwrap_or_else(|| panic!("no write about {barrier} in the audit log: {writes:?}"))
}

/// The versions of all objects that the controller may write, other than those made to wait for it.
fn versions(world: &World) -> BTreeMap<String, String> {
    let kinds = ["Service", "IPAddressPool", "L2Advertisement", "ConfigMap", "Secret"];
    let objects = kinds.into_iter().flat_map(|kind| {
        world.client.list(kind).into_iter().map(move |object| (kind, object["metadata"].clone()))
    });
    let text = |metadata: &Value, field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
    let named = objects.map(|(kind, metadata)| {
        (
            format!("{kind} {}/{}", text(&metadata, "namespace"), text(&metadata, "name")),
            text(&metadata, "resourceVersion"),
        )
    });
    named.filter(|(name, _)| !PENDING[1..].iter().any(|pending| name.ends_with(pending))).collect()
}
