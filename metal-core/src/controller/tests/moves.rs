//! What moves a Service, and what does not.

use alloc::vec;

use super::*;

fn immediate(addresses: &[&str]) -> PoolSpec {
    PoolSpec { reassign_policy: Some("Immediate".into()), ..pool_of(addresses) }
}

#[test]
fn a_pool_that_reassigns_moves_what_falls_out_of_it() {
    let mut world = World::new(&[]);
    world.set_pool("a", immediate(&["192.0.2.0-192.0.2.3"]));
    for name in ["one", "two"] {
        world.apply(name, service(1));
    }
    world.run();
    world.set_pool("a", immediate(&["192.0.2.1-192.0.2.3"]));
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["one=192.0.2.2"]);
    assert_eq!(events(&outputs), ["one: IPAllocated: Assigned IP [\"192.0.2.2\"]"]);
    // Excluded is outside, too.
    world.set_pool("a", PoolSpec { exclude: vec!["192.0.2.2".into()], ..immediate(&["192.0.2.0/28"]) });
    assert_eq!(assigned(&world.run()), ["one=192.0.2.0"]);
    // Also when the pool goes altogether.
    world.pool("b", &["198.51.100.0/28"]);
    world.remove_pool("a");
    assert_eq!(assigned(&world.run()), ["one=198.51.100.0", "two=198.51.100.1"]);
}

#[test]
fn what_reassigns_waits_for_a_place_and_keeps_its_address_until_then() {
    let mut world = World::new(&[]);
    world.set_pool("a", immediate(&["192.0.2.0/31"]));
    world.apply("one", service(1));
    world.apply("two", service(2));
    world.run();
    world.set_pool("a", immediate(&["192.0.2.1/32"]));
    world.run();
    assert_eq!(world.shows("one"), "192.0.2.0 from a");
    assert!(
        world.condition("one").starts_with("True AddressOutsidePool: 192.0.2.0 is not in pool a any more")
    );
    world.delete("two");
    assert_eq!(assigned(&world.run()), ["one=192.0.2.1"]);
}

#[test]
fn an_annotation_on_the_service_reassigns_it_alone() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("one", service(1));
    world.apply("two", Service { reassigns: true, ..service(2) });
    world.run();
    world.pool("a", &["192.0.2.2/31"]);
    world.run();
    assert_eq!(
        (world.shows("one"), world.shows("two")),
        ("192.0.2.0 from a".into(), "192.0.2.2 from a".into())
    );
    // It may also be set later.
    world.edit("one", |service| service.reassigns = true);
    assert_eq!(assigned(&world.run()), ["one=192.0.2.3"]);
}

#[test]
fn a_policy_that_is_set_later_moves_those_outside() {
    let mut world = World::new(&[("a", "192.0.2.0/31")]);
    world.apply("one", service(1));
    world.run();
    world.pool("a", &["192.0.2.8/31"]);
    world.run();
    assert_eq!(world.shows("one"), "192.0.2.0 from a");
    world.set_pool("a", immediate(&["192.0.2.8/31"]));
    assert_eq!(assigned(&world.run()), ["one=192.0.2.8"]);
}

#[test]
fn what_a_service_asks_for_by_number_is_not_reassigned() {
    let mut world = World::new(&[]);
    world.set_pool("a", immediate(&["192.0.2.0/30"]));
    world.apply("one", asking_for(1, &["192.0.2.0"], None));
    world.run();
    world.set_pool("a", immediate(&["192.0.2.2/31"]));
    world.run();
    assert_eq!(world.shows("one"), "192.0.2.0 from a");
}

#[test]
fn an_address_that_ends_badly_stays_when_the_pool_starts_to_avoid_it() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("one", service(1));
    world.run();
    let avoiding = PoolSpec { avoid_buggy_ips: true, ..pool_of(&["192.0.2.0/30"]) };
    world.set_pool("a", avoiding.clone());
    world.run();
    assert_eq!(world.shows("one"), "192.0.2.0 from a", "MetalLB moves it");
    assert!(world.condition("one").starts_with("True AddressOutsidePool: "));
    world.apply("two", service(2));
    world.run();
    assert_eq!(world.shows("two"), "192.0.2.1 from a");
    world.set_pool("a", PoolSpec { reassign_policy: Some("Immediate".into()), ..avoiding });
    assert_eq!(assigned(&world.run()), ["one=192.0.2.2"]);
}

#[test]
fn another_pool_is_asked_for_also_right_after_a_restart() {
    let mut world = World::new(&[("a", "192.0.2.0/30"), ("b", "198.51.100.0/32")]);
    world.apply("one", service(1));
    world.apply("two", service(2));
    world.run();
    world.services.get_mut(&key("one")).unwrap().request = request("", "b");
    world.services.get_mut(&key("two")).unwrap().request = request("", "b");
    world.restart();
    assert_eq!(assigned(&world.run()), ["one=198.51.100.0", "two=192.0.2.1"]);
    assert!(world.condition("two").starts_with("True PoolExhausted: "), "{}", world.condition("two"));
    world.delete("one");
    assert_eq!(assigned(&world.run()), ["two=198.51.100.0"]);
}

#[test]
fn a_host_part_is_met_by_whatever_range_fits() {
    let mut world = World::new(&[("a", "192.0.2.0/30"), ("b", "198.51.100.0/24,2001:db8::/64")]);
    world.apply("v4", asking_for(1, &[".10"], None));
    world.apply("v6", Service { families: vec![Family::V6], ..asking_for(2, &["::53"], None) });
    world.apply("next", asking_for(3, &[".10"], None));
    world.run();
    assert_eq!(world.shows("v4"), "198.51.100.10 from b");
    assert_eq!(world.shows("v6"), "2001:db8::53 from b");
    assert!(world.condition("next").starts_with("False "), "{}", world.condition("next"));
    // What it has ends as it asks for: nothing moves.
    world.pool("c", &["203.0.113.0/24"]);
    assert_eq!(assigned(&world.run()), ["next=203.0.113.10"]);
    world.delete("v4");
    world.apply("late", asking_for(4, &[".10"], None));
    assert_eq!(assigned(&world.run()), ["late=198.51.100.10"]);
    world.apply("last", asking_for(5, &[".10"], None));
    world.run();
    world.delete("next");
    assert_eq!(assigned(&world.run()), ["last=203.0.113.10"]);
}

#[test]
fn load_balancer_ip_works_like_the_annotation() {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    let request = Request::parse(None, Some("192.0.2.7"), None);
    world.apply("web", Service { request, ..service(1) });
    assert_eq!(assigned(&world.run()), ["web=192.0.2.7"]);
    let both = Request::parse(Some("192.0.2.7"), Some("192.0.2.7"), None);
    world.apply("both", Service { request: both, ..service(2) });
    world.run();
    assert!(world.condition("both").starts_with("False RequestInvalid: "));
}

#[test]
fn what_the_network_uses_is_skipped_but_given_on_request() {
    let mut world = World::new(&[("a", "192.0.2.0/29")]);
    let node = ObjectRef { kind: "Node", namespace: "".into(), name: "n1".into() };
    let network = Network {
        addresses: vec![at("192.0.2.1")],
        subnets: vec!["192.0.2.0/29".parse().unwrap()],
        gateways: vec![at("192.0.2.2")],
        ..Network::default()
    };
    world.input(Input::Network(node.clone(), Some(network)));
    for name in ["one", "two", "three", "four", "five"] {
        world.apply(name, service(1));
    }
    world.apply("asks", asking_for(2, &["192.0.2.1"], None));
    let outputs = world.run();
    let shown: Vec<_> = ["five", "four", "one", "three", "two", "asks"].map(|name| world.shows(name)).into();
    let pool = |last: &str| format!("192.0.2.{last} from a");
    assert_eq!(shown, [pool("3"), pool("4"), pool("5"), pool("6"), String::new(), pool("1")]);
    assert_eq!(usage("a", &outputs).last(), Some(&Some((5, 3))), "they count as available");
    // The node goes: the one that waits is served.
    world.input(Input::Network(node, None));
    assert_eq!(assigned(&world.run()), ["two=192.0.2.0"]);
}
