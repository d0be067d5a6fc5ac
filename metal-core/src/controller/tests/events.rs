//! The events, under MetalLB's names, each said once.

use alloc::vec;

use super::*;

fn names(outputs: &[Output]) -> Vec<String> {
    events(outputs)
        .iter()
        .filter_map(|event| Some(event.split_once(": ")?.1.split_once(": ")?.0.into()))
        .collect()
}

#[test]
fn old_annotations_are_mentioned_when_an_address_is_given_and_not_each_time() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    let deprecated = vec!["metallb.universe.tf/address-pool".into()];
    world.apply("web", Service { deprecated, ..service(1) });
    let outputs = world.run();
    assert_eq!(names(&outputs), ["IPAllocated", "deprecatedAnnotation!"]);
    assert!(events(&outputs)[1].contains("metallb.universe.tf/address-pool"));
    world.edit("web", |service| drop(service.labels.insert("x".into(), "y".into())));
    assert_eq!(names(&world.run()), [""; 0]);
    world.restart();
    assert_eq!(names(&world.run()), [""; 0]);
}

#[test]
fn an_invalid_request_is_a_failed_load_balancer() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("web", Service { request: request("192.0.2.300", ""), ..service(1) });
    assert_eq!(names(&world.run()), ["LoadBalancerFailed!"]);
}

#[test]
fn nothing_is_said_again_after_a_restart() {
    let mut world = World::new(&[("a", "192.0.2.0/31")]);
    world.apply("one", service(1));
    world.apply("both", dual(2, FamilyPolicy::PreferDualStack));
    world.apply("pending", service(3));
    world.apply("bad", Service { request: request("x", ""), ..service(4) });
    world.apply("asks", asking_for(5, &["192.0.2.0"], None));
    let outputs = world.run();
    assert_eq!(
        names(&outputs),
        [
            "IPAllocated",
            "IPAllocated",
            "AdditionalAssignFailed",
            "AllocationFailed!",
            "LoadBalancerFailed!",
            "AllocationFailed!"
        ]
    );
    world.pool("a", &["192.0.2.1/32"]);
    assert_eq!(names(&world.run())[0], "AddressOutsidePool!");
    world.restart();
    let outputs = world.run();
    assert_eq!((assigned(&outputs), names(&outputs)), (vec![], vec![]));
}

#[test]
fn the_state_of_each_service_can_be_asked_for() {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    world.apply("one", Service { assigned: vec![at("192.0.2.0")], ..service(1) });
    world.apply("two", service(2));
    world.apply("asks", asking_for(3, &[], Some("b")));
    world.apply("type", Service { scope: Scope::NotLoadBalancer, ..service(4) });
    world.restart();
    world.run();
    let one = world.state("one");
    assert_eq!(
        (one.addresses, one.pools, one.is_kept, one.reason),
        (vec![at("192.0.2.0")], vec!["a".into()], true, None)
    );
    let two = world.state("two");
    assert_eq!((two.addresses, two.is_kept, two.reason.unwrap().code()), (vec![], false, "PoolExhausted"));
    assert_eq!(world.state("type").scope, Scope::NotLoadBalancer);
    let pending = world.controller.pending();
    let expected = [((None, Family::V4), 1), ((Some("b".into()), Family::V4), 1)];
    assert_eq!(pending, BTreeMap::from(expected));
    let (pool, v4, v6, usage) = world.controller.pools().next().unwrap();
    assert_eq!((pool.name.as_str(), v4.assigned, v4.available, v6.capacity), ("a", 1, 0, 0));
    assert_eq!((usage.assigned_v4, usage.available_v4), (1, 0));
}
