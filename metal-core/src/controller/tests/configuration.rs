//! What edits of pools do to Services, and what is said about pools.

use alloc::vec;

use super::*;

#[test]
fn shrinking_or_deleting_a_pool_keeps_addresses_in_use() {
    let mut world = World::new(&[("a", "192.0.2.0-192.0.2.3")]);
    for name in ["one", "two"] {
        world.apply(name, service(1));
    }
    world.run();
    world.pool("a", &["192.0.2.1-192.0.2.9"]);
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["one=192.0.2.0"], "only the condition");
    let sentence = "192.0.2.0 is not in pool a any more; the Service keeps it (set reassignPolicy: Immediate on the \
                    pool, or the annotation metallb.io/reassignPolicy: Immediate on the Service, to move it)";
    assert_eq!(events(&outputs), [format!("one: AddressOutsidePool!: {sentence}")]);
    assert_eq!(world.condition("one"), format!("True AddressOutsidePool: {sentence}"));
    world.remove_pool("a");
    assert_eq!(assigned(&world.run()), ["two=192.0.2.1"]);
    world.restart();
    assert_eq!(assigned(&world.run()), [""; 0], "our annotation says that they are ours");
    world.pool("b", &["192.0.2.0-192.0.2.3"]);
    world.apply("three", service(3));
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["one=192.0.2.0", "two=192.0.2.1", "three=192.0.2.2"]);
    assert_eq!(world.shows("one"), "192.0.2.0 from b", "only the pool's name is written");
    assert_eq!(world.condition("one"), "True Assigned: 192.0.2.0 from pool b");
}

#[test]
fn a_pool_may_be_renamed_split_or_reserved_without_moving_anybody() {
    let mut world = World::new(&[("a", "192.0.2.0-192.0.2.3")]);
    for name in ["one", "two", "three"] {
        world.apply(name, service(1));
    }
    world.run();
    world.pool("a", &["192.0.2.0/32"]);
    world.pool("b", &["192.0.2.1-192.0.2.3"]);
    world.run();
    assert_eq!(world.shows("one"), "192.0.2.0 from a");
    assert_eq!(world.shows("two"), "192.0.2.2 from b");
    let mut spec = pool_of(&["192.0.2.1-192.0.2.3"]);
    spec.service_allocation = Some(crate::config::ServiceAllocationSpec {
        namespaces: vec!["elsewhere".into()],
        ..crate::config::ServiceAllocationSpec::default()
    });
    spec.avoid_buggy_ips = true;
    world.set_pool("b", spec);
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.apply("four", service(4));
    assert!(events(&world.run())[0].contains("pool b is reserved for other namespaces"));
}

#[test]
fn two_pools_may_swap_their_ranges() {
    let mut world = World::new(&[("a", "192.0.2.0/32"), ("b", "192.0.2.1/32")]);
    world.apply("one", service(1));
    world.apply("two", service(2));
    world.run();
    world.pool("a", &["203.0.113.0/32"]);
    world.pool("b", &["192.0.2.0/32"]);
    world.pool("a", &["192.0.2.1/32"]);
    world.run();
    assert_eq!(world.shows("one"), "192.0.2.0 from b");
    assert_eq!(world.shows("two"), "192.0.2.1 from a");
}

#[test]
fn an_expanded_pool_serves_those_who_wait() {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    for (name, created) in [("one", 1), ("three", 3), ("two", 2)] {
        world.apply(name, service(created));
    }
    world.run();
    world.pool("a", &["192.0.2.0/31"]);
    assert_eq!(
        assigned(&world.run()),
        ["two=192.0.2.1", "three="],
        "the other one learns how full it is now"
    );
}

#[test]
fn counters_follow_pools_and_services_and_are_said_once() {
    let mut world = World::new(&[]);
    world.pool("a", &["192.0.2.0/30"]);
    let outputs = world.run();
    assert_eq!(usage("a", &outputs), [Some((0, 4))]);
    world.apply("one", service(1));
    world.apply("two", service(2));
    assert_eq!(usage("a", &world.run()), [Some((2, 2))]);
    world.apply("one", asking_for(1, &["192.0.2.3"], None));
    // The former address counts until the Service is seen without it.
    assert_eq!(usage("a", &world.run()), [Some((3, 1)), Some((2, 2))]);
    world.delete("one");
    assert_eq!(usage("a", &world.run()), [Some((1, 3))]);
    world.remove_pool("a");
    assert_eq!(usage("a", &world.run()), [None]);
}

#[test]
fn verdicts_are_passed_on_when_they_change() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    let verdicts = |outputs: &[Output]| {
        let verdict = |output: &Output| match output {
            Output::Verdict { object, refusals } => Some((object.name.to_string(), refusals.len())),
            _ => None,
        };
        outputs.iter().filter_map(verdict).collect::<Vec<_>>()
    };
    world.pool("bad", &["192.0.2.9-192.0.2.1"]);
    world.pool("over", &["192.0.2.0/24"]);
    assert_eq!(verdicts(&world.run()), [("bad".to_string(), 1), ("over".to_string(), 1)]);
    world.pool("bad", &["192.0.2.9-192.0.2.1"]);
    assert_eq!(verdicts(&world.run()), []);
    world.remove_pool("a");
    world.apply("web", service(1));
    let outputs = world.run();
    assert_eq!(verdicts(&outputs), [("over".to_string(), 0)]);
    assert_eq!(assigned(&outputs), ["web=192.0.2.0"]);
}
