//! Who gets which address, and when it moves.

use alloc::vec;

use super::*;
use crate::{
    config::ServiceAllocationSpec,
    request::RequestError,
    view::FamilyPolicy::{PreferDualStack, RequireDualStack, SingleStack},
};

#[test]
fn the_first_service_gets_the_first_address() {
    let mut world = World::new(&[("old", "172.42.42.201-172.42.42.250")]);
    world.apply("web", service(1));
    let outputs = world.run();
    assert_eq!(world.shows("web"), "172.42.42.201 from old");
    assert_eq!(events(&outputs), ["web: IPAllocated: Assigned IP [\"172.42.42.201\"]"]);
    assert_eq!(notes(&outputs), ["default/web has 172.42.42.201 from pool old"]);
}

#[test]
fn nothing_is_given_out_before_everything_is_listed() {
    let mut controller = controller();
    controller.handle_input(Instant::ZERO, Input::Service(key("web"), Some(service(1))));
    let spec = Spec::Pool(pool_of(&["192.0.2.0/28"]));
    let status = ObjectStatus::default();
    let object = Object { created: None, labels: Labels::new(), spec, status };
    controller.handle_input(Instant::ZERO, Input::Config(pool_ref("a"), Some(object)));
    assert_eq!(drain(&mut controller, Instant::ZERO), []);
    controller.handle_input(Instant::ZERO, Input::Synced);
    assert_eq!(assigned(&drain(&mut controller, Instant::ZERO)), ["web=192.0.2.0"]);
}

#[test]
fn those_who_wait_for_a_pool_are_served_oldest_first() {
    let mut world = World::new(&[]);
    world.apply("a-young", service(9));
    world.apply("nginx2-lb", service(2));
    world.apply("nginx-lb", service(2));
    let outputs = world.run();
    assert_eq!(events(&outputs).len(), 3);
    assert_eq!(
        events(&outputs)[0],
        "nginx-lb: AllocationFailed!: there is no address pool: create an IPAddressPool"
    );
    world.pool("default", &["192.168.1.30-192.168.1.49"]);
    let outputs = world.run();
    assert_eq!(
        assigned(&outputs),
        ["nginx-lb=192.168.1.30", "nginx2-lb=192.168.1.31", "a-young=192.168.1.32"]
    );
    world.delete("nginx-lb");
    assert_eq!(notes(&world.run()), ["default/nginx-lb is gone: 192.168.1.30 is free"]);
    world.apply("next", service(10));
    assert_eq!(assigned(&world.run()), ["next=192.168.1.30"]);
}

#[test]
fn a_full_pool_is_named_and_a_freed_address_goes_to_the_oldest() {
    let mut world = World::new(&[("tiny", "192.0.2.1/32")]);
    world.apply("first", service(1));
    world.apply("young", service(3));
    world.apply("old", service(2));
    let outputs = world.run();
    let refused = "AllocationFailed!: no address is free: pool tiny has 0 of 1 IPv4 addresses free";
    assert_eq!(events(&outputs)[1..], [format!("old: {refused}"), format!("young: {refused}")]);
    assert!(
        notes(&outputs).contains(
            &"default/old is pending: no address is free: pool tiny has 0 of 1 IPv4 addresses free"
        )
    );
    // Even one that was created before, if it asks only now, is in time within the same batch.
    world.delete("first");
    world.apply("oldest", service(0));
    assert_eq!(assigned(&world.run()), ["oldest=192.0.2.1"]);
    world.delete("oldest");
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["old=192.0.2.1"]);
    assert_eq!(events(&outputs).len(), 1, "the one that still waits was told why already");
}

#[test]
fn a_reason_is_told_once_and_again_when_it_changes() {
    let mut world = World::new(&[("a", "192.0.2.1/32")]);
    world.apply("first", service(1));
    world.apply("second", service(2));
    assert_eq!(events(&world.run()).len(), 2);
    world.apply("second", Service { labels: Labels::from([("x".into(), "y".into())]), ..service(2) });
    assert_eq!(events(&world.run()), [""; 0]);
    world.pool("b", &["2001:db8::/64"]);
    assert_eq!(
        events(&world.run()),
        ["second: AllocationFailed!: no address is free: pool a has 0 of 1 IPv4 addresses free; \
          pool b has no IPv4 addresses"]
    );
}

#[test]
fn a_requested_address_or_pool_is_served_or_the_reason_said() {
    let mut world = World::new(&[("a", "192.0.2.0/28"), ("b", "198.51.100.0/28")]);
    world.apply("address", asking_for(1, &["198.51.100.7"], None));
    world.apply("pool", asking_for(2, &[], Some("b")));
    world.apply("late", asking_for(3, &["198.51.100.7"], None));
    world.apply("lost", asking_for(4, &[], Some("c")));
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["address=198.51.100.7", "pool=198.51.100.0", "late=", "lost="]);
    let events = events(&outputs);
    assert!(events.contains(
        &"late: AllocationFailed!: the address 198.51.100.7 is in use by default/address".to_string()
    ));
    assert!(events.contains(
        &"lost: AllocationFailed!: the requested pool c does not exist, or was refused".to_string()
    ));
    world.delete("address");
    assert_eq!(assigned(&world.run()), ["late=198.51.100.7"]);
    world.pool("c", &["203.0.113.0/28"]);
    assert_eq!(assigned(&world.run()), ["lost=203.0.113.0"]);
}

#[test]
fn a_new_request_moves_the_service_only_if_it_can_be_met() {
    let mut world = World::new(&[("a", "192.0.2.0-192.0.2.1"), ("b", "198.51.100.0/28")]);
    world.apply("web", service(1));
    world.apply("other", service(2));
    world.apply("third", asking_for(3, &[], Some("a")));
    world.run();
    assert_eq!(world.shows("web"), "192.0.2.0 from a");

    world.apply("web", asking_for(1, &["192.0.2.1"], None));
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["web=192.0.2.0"], "only the condition");
    let sentence = "the address 192.0.2.1 is in use by default/other; the Service has 192.0.2.0 from pool a";
    assert_eq!(events(&outputs), [format!("web: AllocationFailed!: {sentence}")]);
    assert_eq!(world.condition("web"), format!("True AddressInUse: {sentence}"));
    world.apply("web", asking_for(1, &["198.51.100.3"], None));
    let outputs = world.run();
    // What it leaves goes to the one that waits.
    assert_eq!(assigned(&outputs), ["web=198.51.100.3", "third=192.0.2.0"]);
    assert!(notes(&outputs).contains(&"default/web has 198.51.100.3 from pool b instead of 192.0.2.0"));

    world.apply("web", asking_for(1, &[], Some("nowhere")));
    assert_eq!(assigned(&world.run()), ["web=198.51.100.3"]);
    assert!(world.condition("web").starts_with("True PoolNotFound: "), "{}", world.condition("web"));
    world.apply("web", service(1));
    assert_eq!(assigned(&world.run()), ["web=198.51.100.3"], "no request is met by any address");
    assert_eq!(world.shows("web"), "198.51.100.3 from b");
}

#[test]
fn a_service_waits_for_the_address_it_asks_for_beside_the_one_it_has() {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    world.apply("one", service(1));
    world.apply("two", service(2));
    world.run();
    world.apply("two", asking_for(2, &["192.0.2.0"], None));
    world.run();
    world.restart();
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.delete("one");
    assert_eq!(assigned(&world.run()), ["two=192.0.2.0"]);
}

#[test]
fn a_malformed_request_keeps_what_is_served_and_blocks_nobody() {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    world.apply("web", service(1));
    world.run();
    let error = RequestError::NotAnAddress { field: "annotation", text: "x".into() };
    world.apply("web", Service { request: Err(error.clone()), ..service(1) });
    world.apply("bad", Service { request: Err(error.clone()), ..service(2) });
    world.apply("good", service(3));
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["web=192.0.2.0", "bad=", "good=192.0.2.1"]);
    assert_eq!(
        events(&outputs)[..2],
        [
            format!("web: LoadBalancerFailed!: {error}; the Service has 192.0.2.0 from pool a"),
            format!("bad: LoadBalancerFailed!: {error}")
        ]
    );
}

#[test]
fn a_reserved_pool_serves_only_those_it_is_for() {
    let mut world = World::new(&[("general", "192.0.2.1/32")]);
    let namespaces = vec!["default".into()];
    let allocation = ServiceAllocationSpec { priority: 1, namespaces, ..ServiceAllocationSpec::default() };
    let spec = PoolSpec { service_allocation: Some(allocation), ..pool_of(&["198.51.100.1/32"]) };
    world.set_pool("reserved", spec);
    world.apply("web", service(5));
    world.run();
    assert_eq!(world.shows("web"), "198.51.100.1 from reserved");
    let foreign = |name: &str| ObjectKey::new("other", name);
    for (name, created) in [("x", 1), ("y", 2)] {
        world.services.insert(foreign(name), service(created));
        world.notify(&foreign(name));
    }
    world.apply("waiting", asking_for(9, &[], Some("reserved")));
    world.run();
    assert_eq!(world.services[&foreign("x")].assigned, [at("192.0.2.1")]);
    world.delete("web");
    assert_eq!(assigned(&world.run()), ["waiting=198.51.100.1"], "the older one may not use this pool");
}

#[test]
fn other_types_and_classes_give_back_what_they_have() {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    for (name, scope) in [("type", Scope::NotLoadBalancer), ("class", Scope::OtherClass)] {
        world.apply(name, service(1));
        world.run();
        assert_eq!(world.shows(name), "192.0.2.0 from a");
        world.apply(name, Service { scope, ..service(1) });
        let outputs = world.run();
        assert_eq!(assigned(&outputs), [format!("{name}=")]);
        assert_eq!(
            notes(&outputs),
            [format!("default/{name} is not for us any more: it gives up 192.0.2.0")]
        );
    }
}

#[test]
fn what_another_controller_serves_is_left_alone() {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    let shown = Service { assigned: vec![at("192.0.2.5")], assigned_from: vec!["a".into()], ..service(1) };
    world.apply("other", Service { scope: Scope::OtherClass, ..shown.clone() });
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.apply("left", Service { scope: Scope::NotLoadBalancer, ..shown.clone() });
    world.apply("node-port", Service { scope: Scope::NotLoadBalancer, assigned_from: vec![], ..shown });
    assert_eq!(assigned(&world.run()), ["left="], "our annotation on a Service that is none is stale");
}

#[test]
fn both_families_come_from_one_pool_and_the_second_one_later() {
    let mut world = World::new(&[("a", "192.0.2.0/28"), ("b", "198.51.100.0/28,2001:db8:b::/64")]);
    world.apply("both", dual(1, RequireDualStack));
    world.apply("one", asking_for(2, &[], Some("a")));
    world.run();
    assert_eq!(world.shows("both"), "198.51.100.0, 2001:db8:b:: from b");

    let prefers = Service { request: asking_for(2, &[], Some("a")).request, ..dual(2, PreferDualStack) };
    world.apply("one", prefers);
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["one=192.0.2.0"], "only the condition");
    assert_eq!(
        events(&outputs),
        ["one: AdditionalAssignFailed: no pool can serve IPv6: pool a has no IPv6 addresses; \
          the Service has 192.0.2.0 from pool a"]
    );
    world.pool("a", &["192.0.2.0/28", "2001:db8:a::/64"]);
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["one=192.0.2.0, 2001:db8:a::"], "the first one is not touched");
    assert_eq!(events(&outputs), ["one: IPAllocated: Assigned IP [\"192.0.2.0\" \"2001:db8:a::\"]"]);

    world.pool("a", &["192.0.2.0/28"]);
    assert_eq!(assigned(&world.run()), ["one=192.0.2.0, 2001:db8:a::"], "only the condition");
    assert!(world.condition("one").starts_with("True AddressOutsidePool: 2001:db8:a:: is not in pool a"));
    world.apply("one", Service { request: asking_for(2, &[], Some("a")).request, ..service(2) });
    assert_eq!(assigned(&world.run()), ["one=192.0.2.0"], "one family is enough again");
}

#[test]
fn requiring_the_second_family_adds_it_from_wherever_it_is() {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    world.apply("web", service(1));
    world.run();
    world.apply("web", dual(1, RequireDualStack));
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["web=192.0.2.0"], "only the condition");
    assert_eq!(
        events(&outputs),
        ["web: AllocationFailed!: no pool can serve IPv6: pool a has no IPv6 addresses; \
          the Service has 192.0.2.0 from pool a"]
    );
    world.pool("b", &["198.51.100.0/28", "2001:db8:b::/64"]);
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0, 2001:db8:b::"], "what it has stays");
    assert_eq!(world.shows("web"), "192.0.2.0, 2001:db8:b:: from a,b");
}

#[test]
fn the_families_of_a_service_may_be_impossible() {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    world.apply("headless", Service { families: vec![], ..service(1) });
    world.apply("half", Service { family_policy: RequireDualStack, ..service(2) });
    world.apply("twice", Service { families: vec![Family::V4; 2], family_policy: SingleStack, ..service(3) });
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["headless=", "half=", "twice=192.0.2.0"]);
    assert!(events(&outputs)[0].contains("has no cluster IP"));
    assert!(events(&outputs)[1].contains("requires both families, but has a cluster IP of IPv4 only"));
}
