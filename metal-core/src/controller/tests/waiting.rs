//! Who is looked at when something becomes free: those who may use it, oldest first, and nobody else.

use alloc::vec;

use super::*;
use crate::config::ServiceAllocationSpec;

/// How many Services are looked at while `happens`.
fn looks(world: &mut World, happens: impl FnOnce(&mut World)) -> usize {
    world.run();
    let before = world.controller.looks;
    happens(world);
    world.run();
    world.controller.looks - before
}

fn reserved(addresses: &[&str], namespace: &str) -> PoolSpec {
    let namespaces = vec![namespace.into()];
    let allocation = ServiceAllocationSpec { namespaces, ..ServiceAllocationSpec::default() };
    PoolSpec { service_allocation: Some(allocation), ..pool_of(addresses) }
}

#[test]
fn a_freed_address_is_offered_to_those_who_may_use_it_and_to_nobody_else() {
    let mut world = World::new(&[("a", "192.0.2.0/32"), ("b", "198.51.100.0/32")]);
    world.set_pool("mine", reserved(&["203.0.113.0/32"], "mine"));
    world.apply("mine/user", service(1));
    world.apply("a", asking_for(1, &[], Some("a")));
    world.apply("b", asking_for(1, &[], Some("b")));
    // Hundreds wait for other things: another pool, an address, another family, a pool that is not there.
    for number in 0..200 {
        world.apply(&format!("a{number}"), asking_for(2, &[], Some("a")));
        world.apply(&format!("y{number}"), asking_for(2, &[], Some("none")));
        world.apply(&format!("z{number}"), Service { families: vec![Family::V6], ..service(2) });
        world.apply(&format!("other/general{number}"), service(3));
    }
    for number in 0..3 {
        world.apply(&format!("x{number}"), asking_for(2, &["198.51.100.0"], None));
    }
    world.apply("mine/next", service(9));
    world.apply("b-next", asking_for(9, &[], Some("b")));
    // The Service that goes away is not looked at, the next one twice: when asked and when it shows its address.
    let looked = looks(&mut world, |world| world.delete("mine/user"));
    assert_eq!(world.shows("mine/next"), "203.0.113.0 from mine");
    assert!(looked <= 3, "{looked} Services were looked at");
    let looked = looks(&mut world, |world| world.delete("b"));
    assert_eq!(world.shows("x0"), "198.51.100.0 from b", "the oldest of those who want the address");
    // The others learn who has it now.
    assert!(looked <= 8, "{looked} Services were looked at");
    let looked = looks(&mut world, |world| world.delete("a"));
    assert_eq!(world.shows("a0"), "192.0.2.0 from a");
    assert!(looked <= 3, "{looked} Services were looked at");
}

#[test]
fn what_does_not_free_anything_wakes_nobody() {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    world.apply("user", service(1));
    for number in 0..50 {
        world.apply(&format!("w{number}"), service(2));
    }
    let label =
        |world: &mut World| world.edit("user", |service| drop(service.labels.insert("x".into(), "y".into())));
    assert_eq!(looks(&mut world, label), 1);
    assert_eq!(looks(&mut world, |world| world.delete("w3")), 0);
}

#[test]
fn space_goes_to_the_oldest_across_pools() {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    world.set_pool("b", reserved(&["198.51.100.0/32"], "mine"));
    world.apply("one", service(1));
    world.apply("mine/two", service(2));
    world.run();
    world.apply("mine/young", service(9));
    world.apply("old", service(3));
    world.apply("mine/older", service(4));
    world.run();
    world.delete("one");
    world.delete("mine/two");
    world.run();
    assert_eq!(world.shows("old"), "192.0.2.0 from a");
    assert_eq!(world.shows("mine/older"), "198.51.100.0 from b");
    assert_eq!(world.shows("mine/young"), "");
}

#[test]
fn a_bulk_of_freed_addresses_serves_all_who_wait_oldest_first() {
    let pools: Vec<_> =
        (0..40).map(|number| (format!("p{number:02}"), format!("192.0.2.{number}/32"))).collect();
    let pools: Vec<_> = pools.iter().map(|(name, range)| (name.as_str(), range.as_str())).collect();
    let mut world = World::new(&pools);
    for number in 0..40 {
        world.apply(&format!("user{number:02}"), service(1));
    }
    world.run();
    for number in 0..50 {
        world.apply(&format!("w{number:02}"), service(100 - number));
    }
    world.run();
    (0..40).for_each(|number| world.delete(&format!("user{number:02}")));
    world.run();
    for number in 0..50 {
        let shown = world.shows(&format!("w{number:02}"));
        assert_eq!(shown.is_empty(), number < 10, "w{number}: {shown:?}");
    }
}

#[test]
fn a_quota_that_frees_wakes_the_namespace_that_waits_for_it() {
    let mut world = World::new(&[]);
    let spec = PoolSpec { max_addresses_per_namespace: Some(1), ..pool_of(&["192.0.2.0/29"]) };
    world.set_pool("a", spec);
    world.apply("one/first", service(1));
    world.apply("one/second", service(2));
    world.apply("two/first", service(3));
    let outputs = world.run();
    assert_eq!(assigned(&outputs).len(), 2 + 1, "{outputs:?}");
    assert!(
        world.condition("one/second").starts_with("False QuotaExceeded: "),
        "{}",
        world.condition("one/second")
    );
    assert_eq!(world.shows("two/first"), "192.0.2.1 from a");
    world.delete("one/first");
    world.run();
    assert_eq!(world.shows("one/second"), "192.0.2.0 from a");
}

#[test]
fn a_quota_that_frees_wakes_also_those_who_ask_for_an_address() {
    let mut world = World::new(&[("b", "198.51.100.0/32")]);
    let quota =
        PoolSpec { max_addresses_per_namespace: Some(1), auto_assign: false, ..pool_of(&["192.0.2.0/30"]) };
    world.set_pool("a", quota);
    world.apply("first", asking_for(1, &["192.0.2.0"], None));
    world.apply("second", asking_for(2, &["192.0.2.1"], None));
    world.run();
    assert!(world.condition("second").starts_with("False QuotaExceeded: "), "{}", world.condition("second"));
    world.apply("first", asking_for(1, &[], Some("b")));
    world.run();
    assert_eq!(world.shows("second"), "192.0.2.1 from a");
}

#[test]
fn a_quota_that_frees_wakes_also_those_who_could_share() {
    let mut world = World::new(&[]);
    let quota = PoolSpec { max_addresses_per_namespace: Some(2), ..pool_of(&["192.0.2.0/30"]) };
    world.set_pool("a", quota);
    world.apply("two/shared", sharing(1, "k", 1));
    world.apply("one/first", service(2));
    world.apply("one/second", service(3));
    world.run();
    // Nothing is free for everybody, whatever goes.
    let addresses = vec!["192.0.2.2-192.0.2.3".into()];
    world.reserve("nobody", ReservationSpec { addresses, ..ReservationSpec::default() });
    world.apply("one/late", sharing(4, "k", 2));
    world.run();
    assert!(
        world.condition("one/late").starts_with("False QuotaExceeded: "),
        "{}",
        world.condition("one/late")
    );
    world.delete("one/second");
    world.run();
    assert_eq!(world.shows("one/late"), "192.0.2.0 from a");
}

#[test]
fn a_lower_quota_takes_nothing_away() {
    let mut world = World::new(&[("a", "192.0.2.0/29")]);
    world.apply("one", service(1));
    world.apply("two", service(2));
    world.run();
    let spec = PoolSpec { max_addresses_per_namespace: Some(1), ..pool_of(&["192.0.2.0/29"]) };
    world.set_pool("a", spec);
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.restart();
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.apply("three", service(3));
    world.run();
    assert!(world.condition("three").starts_with("False QuotaExceeded: "), "{}", world.condition("three"));
    world.delete("one");
    assert_eq!(assigned(&world.run()), [""; 0], "still one too many");
}

#[test]
fn a_service_waits_a_moment_for_its_namespace_when_pools_select_by_that() {
    let mut world = World::new(&[("general", "198.51.100.0/28")]);
    let allocation = ServiceAllocationSpec {
        namespace_selectors: vec![crate::selector::Selector::label("team", "a")],
        ..ServiceAllocationSpec::default()
    };
    world.input(Input::Namespace("default".into(), Some(Labels::new())));
    world.apply("new/early", service(1));
    assert_eq!(assigned(&world.run()), ["early=198.51.100.0"], "no pool selects by that");
    world.set_pool("a", PoolSpec { service_allocation: Some(allocation), ..pool_of(&["192.0.2.0/28"]) });
    world.apply("new/web", service(2));
    world.apply("web", service(3));
    assert_eq!(assigned(&world.run()), ["web=198.51.100.1"]);
    world.input(Input::Namespace("new".into(), Some(Labels::from([("team".into(), "a".into())]))));
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);
    // It does not wait forever.
    world.apply("unknown/web", service(4));
    assert_eq!(assigned(&world.run()), [""; 0]);
    assert_eq!(assigned(&world.pass(1)), ["web=198.51.100.2"]);
    assert_eq!(world.controller.poll_timeout(), None);
    // Nor does what has an address already.
    world.restart();
    world.input(Input::Namespace("default".into(), Some(Labels::new())));
    assert_eq!(assigned(&world.run()), [""; 0]);
}

#[test]
fn a_namespace_that_gets_the_right_labels_is_served() {
    let mut world = World::new(&[]);
    let allocation = ServiceAllocationSpec {
        namespace_selectors: vec![crate::selector::Selector::label("team", "a")],
        ..ServiceAllocationSpec::default()
    };
    world.set_pool("a", PoolSpec { service_allocation: Some(allocation), ..pool_of(&["192.0.2.0/32"]) });
    world.apply("shop/web", service(1));
    world.apply("other/web", service(0));
    world.run();
    assert!(
        world.condition("shop/web").starts_with("False NoMatchingPool: "),
        "{}",
        world.condition("shop/web")
    );
    let labels = Labels::from([("team".into(), "a".into())]);
    let looked = looks(&mut world, |world| world.input(Input::Namespace("shop".into(), Some(labels))));
    assert_eq!(world.shows("shop/web"), "192.0.2.0 from a");
    assert!(looked <= 2, "{looked}");
    // Losing the labels moves nobody.
    world.input(Input::Namespace("shop".into(), None));
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.apply("shop/next", service(2));
    world.run();
    assert!(world.condition("shop/next").starts_with("False NoMatchingPool: "));
}
