//! When there is no address to give, everybody learns why.

use std::time::Instant;

use crate::probe;
use crate::world::{SOON, SYSTEM, World};
use metal_tests::wait::{ensure, wait_for};

/// The Service that finds the pool full is told so, and gets the address that is freed.
pub(super) fn full_pool_leaves_a_service_pending(world: &mut World) {
    world.create_pool("tiny-pool", "192.168.1.60-192.168.1.61");
    world.advertise("tiny-pool");
    for (name, address) in [("full-a", "192.168.1.60"), ("full-b", "192.168.1.61")] {
        world.create_service(name, 80, &["pod-1"]);
        world.await_address(name, address);
    }
    world.create_service("full-c", 80, &["pod-2"]);
    world.await_event("Service", "full-c", &["tiny-pool"]);
    wait_for("a log line of the controller that names the pool", SOON, || {
        let log = world.daemons.controller().log();
        let said = log.lines().any(|line| line.contains("full-c") && line.contains("tiny-pool"));
        ensure(said, || "no such line".to_owned())
    });
    assert_eq!(world.addresses("full-c"), Vec::<String>::new());

    world.delete_service("full-a");
    let freed = Instant::now();
    world.await_address("full-c", "192.168.1.60");
    println!("  the freed address was given away after {:?}", freed.elapsed());
    probe::forget("192.168.1.60");
    // kube-proxy forgets the Service that had the address a moment later.
    wait_for("the Pod behind the address to be another one", SOON, || {
        let pod = world.await_answer("192.168.1.60", 80).pod;
        ensure(pod == "pod-2", || format!("{pod} answers"))
    });
}

/// A pool that cannot be parsed says so itself; the others go on.
pub(super) fn unparsable_pool_is_refused_alone(world: &mut World) {
    world.create_pool("good-pool", "192.168.1.70-192.168.1.79");
    world.advertise("good-pool");
    world.create_service("before", 80, &["pod-1"]);
    world.await_address("before", "192.168.1.70");

    world.create_pool("bad-pool", "192.168.1.300-192.168.1.310");
    let (reason, message) = world.await_condition("IPAddressPool", "bad-pool", "Accepted", "False");
    println!("  {reason}: {message}");
    assert!(!reason.is_empty(), "a condition needs a reason");
    assert!(message.contains("192.168.1.300"), "the message does not say what is wrong: {message}");

    world.create_service("after", 80, &["pod-2"]);
    world.await_address("after", "192.168.1.71");
    assert_eq!(world.await_answer("192.168.1.70", 80).pod, "pod-1");
    assert_eq!(world.await_answer("192.168.1.71", 80).pod, "pod-2");
    let good = world.client.get("IPAddressPool", SYSTEM, "good-pool").unwrap_or_default();
    let text = good["status"]["conditions"].to_string();
    assert!(!text.contains("\"False\""), "the good pool is refused as well: {text}");
}

/// Of two pools that overlap, the one in force stays, and the other says which one is in its way.
pub(super) fn overlapping_pool_is_refused(world: &mut World) {
    world.create_pool("first-come", "192.168.1.110-192.168.1.119");
    world.advertise("first-come");
    world.create_service("before", 80, &["pod-1"]);
    world.await_address("before", "192.168.1.110");

    // Its name sorts first, which must not matter.
    world.create_pool("a-late-one", "192.168.1.105-192.168.1.110");
    let (reason, message) = world.await_condition("IPAddressPool", "a-late-one", "Accepted", "False");
    println!("  {reason}: {message}");
    assert!(message.contains("first-come"), "the message does not name the other pool: {message}");
    world.create_service("after", 80, &["pod-2"]);
    world.await_address("after", "192.168.1.111");
    assert_eq!(world.await_answer("192.168.1.110", 80).pod, "pod-1");

    world.delete_service("before");
    world.delete_service("after");
    world.client.delete("IPAddressPool", SYSTEM, "first-come");
    world.await_condition("IPAddressPool", "a-late-one", "Accepted", "True");
    world.create_service("later", 80, &["pod-1"]);
    world.await_address("later", "192.168.1.105");
}
