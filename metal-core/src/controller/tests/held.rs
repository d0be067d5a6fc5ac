//! Freed addresses that are kept for the Services that had them (`reuseDelay`).

use alloc::vec;

use super::*;

/// A world with one pool of two addresses that keeps them for a minute.
fn world() -> World {
    let mut world = World::new(&[]);
    world.set_pool("a", delayed(&["192.0.2.0-192.0.2.1"]));
    world.run();
    world
}

fn delayed(addresses: &[&str]) -> PoolSpec {
    PoolSpec { reuse_delay: Some("1m".into()), ..pool_of(addresses) }
}

/// What was said to be kept of a pool, last.
fn said(outputs: &[Output]) -> Vec<String> {
    let held = outputs.iter().rev().find_map(|output| match output {
        Output::Usage { held, usage: Some(_), .. } => Some(held),
        _ => None,
    });
    let text = |held: &Held| format!("{} {} {}", held.address, held.service, held.until - EPOCH);
    held.into_iter().flatten().map(text).collect()
}

#[test]
fn delete_and_create_again_gets_the_same_address_back() {
    let mut world = world();
    world.apply("web", service(1));
    world.apply("api", service(2));
    world.run();
    world.delete("web");
    let outputs = world.run();
    assert_eq!(said(&outputs), ["192.0.2.0 default/web 60"]);
    world.apply("other", service(3));
    world.run();
    assert!(world.condition("other").starts_with("False PoolExhausted: "), "{}", world.condition("other"));
    world.pass(59);
    world.apply("web", service(4));
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["web=192.0.2.0"]);
    assert_eq!(said(&outputs), [""; 0]);
    assert_eq!(world.controller.poll_timeout(), None);
}

#[test]
fn others_get_it_after_the_delay_and_not_before() {
    let mut world = world();
    world.apply("web", asking_for(1, &["192.0.2.1"], None));
    world.run();
    world.delete("web");
    world.apply("wants", asking_for(2, &["192.0.2.1"], None));
    world.apply("one", service(3));
    world.apply("two", service(4));
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["wants=", "one=192.0.2.0", "two="]);
    assert_eq!(
        world.condition("wants"),
        "False AddressReserved: the address 192.0.2.1 is kept for default/web, which had it (reuseDelay)"
    );
    assert_eq!(assigned(&world.pass(59)), [""; 0]);
    let outputs = world.pass(1);
    assert_eq!(assigned(&outputs), ["wants=192.0.2.1"]);
    assert_eq!(said(&outputs), [""; 0]);
}

#[test]
fn a_restart_knows_what_is_kept_and_until_when() {
    let mut world = world();
    world.apply("web", service(1));
    world.run();
    world.delete("web");
    world.run();
    world.pass(30);
    world.restart();
    world.apply("one", service(2));
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["one=192.0.2.1"], "not the one that is kept");
    assert_eq!(said(&outputs), ["192.0.2.0 default/web 60"]);
    world.apply("two", service(3));
    assert_eq!(assigned(&world.pass(29)), ["two="]);
    assert_eq!(assigned(&world.pass(1)), ["two=192.0.2.0"]);
}

#[test]
fn a_restart_forgets_what_is_over_in_use_or_not_of_the_pool() {
    let mut world = world();
    let held =
        |address: &str, until: i64| Held { address: at(address), service: key("gone"), until: EPOCH + until };
    let status = vec![held("192.0.2.0", 99), held("192.0.2.1", 0), held("198.51.100.1", 99)];
    world.objects.get_mut(&pool_ref("a")).unwrap().status.held = status;
    world.pool("b", &["198.51.100.1/32"]);
    world.apply("web", Service { assigned: vec![at("192.0.2.0")], ..service(1) });
    world.restart();
    assert_eq!(said(&world.run()), [""; 0]);
    assert_eq!(world.shows("web"), "192.0.2.0 from a");
    assert_eq!(world.controller.poll_timeout(), None);
}

#[test]
fn whatever_frees_an_address_keeps_it() {
    let mut world = world();
    world.apply("type", service(1));
    world.run();
    world.apply("type", Service { scope: Scope::NotLoadBalancer, ..service(1) });
    let outputs = world.run();
    assert_eq!(said(&outputs), ["192.0.2.0 default/type 60"]);
    world.apply("moves", service(2));
    world.pool("b", &["198.51.100.0/32"]);
    world.run();
    world.apply("moves", asking_for(2, &[], Some("b")));
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["moves=198.51.100.0"]);
    assert_eq!(world.controller.holds.of_pool(&"a".into()).len(), 2);
    // The last user of a shared address counts.
    world.pass(60);
    world.apply("one", sharing(3, "k", 1));
    world.apply("two", sharing(4, "k", 2));
    world.run();
    world.delete("one");
    assert_eq!(said(&world.run()), [""; 0]);
    world.delete("two");
    assert_eq!(said(&world.run()), ["192.0.2.0 default/two 120"]);
}

#[test]
fn without_the_delay_nothing_is_kept_any_longer() {
    let mut world = world();
    world.apply("web", service(1));
    world.run();
    world.delete("web");
    world.apply("waits", asking_for(2, &["192.0.2.0"], None));
    world.run();
    world.pool("a", &["192.0.2.0-192.0.2.1"]);
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["waits=192.0.2.0"]);
    assert_eq!(said(&outputs), [""; 0]);
}

#[test]
fn at_most_256_addresses_are_kept_and_the_oldest_goes_first() {
    let mut world = World::new(&[]);
    world.set_pool("a", delayed(&["10.0.0.0/16"]));
    for number in 0..300 {
        world.apply(&format!("s{number:03}"), service(number));
    }
    world.run();
    for number in 0..300 {
        world.delete(&format!("s{number:03}"));
        world.pass(0);
        world.now += core::time::Duration::from_millis(100);
    }
    let held = world.controller.holds.of_pool(&"a".into());
    assert_eq!(held.len(), 256);
    assert_eq!(held[0].address, at("10.0.0.44"), "the first 44 are for everybody");
    world.apply("new", service(999));
    assert_eq!(assigned(&world.run()), ["new=10.0.0.0"]);
    world.pass(90);
    assert_eq!(world.controller.holds.of_pool(&"a".into()), []);
}
