//! The configuration of MetalLB before 0.13: a ConfigMap.

use std::time::{Duration, Instant};

use crate::probe;
use crate::rack::PODS;
use crate::world::World;

/// The first Service gets the first address of the pool, and answers.
pub(super) fn gives_the_first_address(world: &mut World) {
    world.apply_old_config_map("172.42.42.201-172.42.42.250");
    world.create_service("first", 80, &["pod-1", "pod-2"]);
    world.await_address("first", "172.42.42.201");
    let served = world.await_answer("172.42.42.201", 80);
    assert!(PODS.iter().any(|pod| pod.name == served.pod), "{served:?}");
}

/// Services that wait for a pool get its addresses in their order; a deleted one's address falls
/// silent within a second and serves again for the next Service.
pub(super) fn serves_pending_services(world: &mut World) {
    world.create_service("nginx-lb", 8080, &["pod-1"]);
    world.create_service("nginx2-lb", 8080, &["pod-2"]);
    for name in ["nginx-lb", "nginx2-lb"] {
        world.await_event("Service", name, &["no address pool"]);
        assert_eq!(world.addresses(name), Vec::<String>::new(), "{name} has an address without any pool");
    }
    world.apply_old_config_map("192.168.1.30-192.168.1.49");
    world.await_address("nginx-lb", "192.168.1.30");
    world.await_address("nginx2-lb", "192.168.1.31");
    assert_eq!(world.await_answer("192.168.1.30", 8080).pod, "pod-1");
    assert_eq!(world.await_answer("192.168.1.31", 8080).pod, "pod-2");

    world.delete_service("nginx-lb");
    let deleted = Instant::now();
    let mut last_answer = Duration::ZERO;
    while let Some(node) = probe::first_answer("192.168.1.30") {
        last_answer = deleted.elapsed();
        assert!(
            last_answer < Duration::from_secs(1),
            "{node} still answers ARP {last_answer:?} after the deletion"
        );
    }
    println!("  silent {last_answer:?} after the deletion");
    assert_eq!(world.await_answer("192.168.1.31", 8080).pod, "pod-2", "the other Service goes on");

    world.create_service("nginx3-lb", 8080, &["pod-2"]);
    world.await_address("nginx3-lb", "192.168.1.30");
    probe::forget("192.168.1.30");
    assert_eq!(world.await_answer("192.168.1.30", 8080).pod, "pod-2");
}
