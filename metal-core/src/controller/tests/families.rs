//! One family or two, and how a Service gets from one to the other.

use alloc::vec;

use super::*;
use crate::view::FamilyPolicy::{PreferDualStack, RequireDualStack, SingleStack};

const V4: &str = "192.0.2.0/30";
const V6: &str = "2001:db8::/126";

fn with(family_policy: FamilyPolicy) -> impl FnOnce(&mut Service) {
    move |service| service.family_policy = family_policy
}

#[test]
fn preferring_both_with_one_cluster_ip_is_one_address_and_stays_so() {
    let mut world = World::new(&[("a", "192.0.2.0/30,2001:db8::/126")]);
    world.apply("web", Service { family_policy: PreferDualStack, ..service(1) });
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);
    world.edit("web", |service| drop(service.labels.insert("x".into(), "y".into())));
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.restart();
    assert_eq!(assigned(&world.run()), [""; 0]);
}

#[test]
fn addresses_stand_in_the_order_of_the_families() {
    let mut world = World::new(&[("a", "192.0.2.0/30,2001:db8::/126")]);
    let families = vec![Family::V6, Family::V4];
    world.apply("web", Service { families: families.clone(), ..dual(1, RequireDualStack) });
    assert_eq!(assigned(&world.run()), ["web=2001:db8::, 192.0.2.0"]);
    // Also the one that comes later.
    world.apply("late", Service { families: vec![Family::V4], ..service(2) });
    world.run();
    world.edit("late", |service| {
        service.families = families;
        service.family_policy = PreferDualStack;
    });
    assert_eq!(assigned(&world.run()), ["late=2001:db8::1, 192.0.2.1"]);
    world.restart();
    assert_eq!(assigned(&world.run()), [""; 0]);
}

#[test]
fn a_pool_with_both_families_comes_before_one_with_one() {
    let mut world = World::new(&[("a", V4), ("b", "198.51.100.0/30,2001:db8:b::/126")]);
    world.apply("web", dual(1, PreferDualStack));
    assert_eq!(assigned(&world.run()), ["web=198.51.100.0, 2001:db8:b::"]);
}

#[test]
fn the_families_may_come_from_two_pools() {
    let mut world = World::new(&[("four", V4), ("six", V6)]);
    world.apply("web", dual(1, RequireDualStack));
    world.run();
    assert_eq!(world.shows("web"), "192.0.2.0, 2001:db8:: from four,six");
    assert_eq!(
        world.condition("web"),
        "True Assigned: 192.0.2.0 from pool four and 2001:db8:: from pool six"
    );
    world.restart();
    assert_eq!(assigned(&world.run()), [""; 0]);
    // Each address still belongs to its own pool when that is gone.
    world.remove_pool("six");
    world.run();
    assert_eq!(world.shows("web"), "192.0.2.0, 2001:db8:: from four,six");
    assert!(world.condition("web").starts_with("True AddressOutsidePool: 2001:db8:: is not in pool six"));
}

#[test]
fn requiring_both_is_both_or_nothing() {
    let mut world = World::new(&[("four", V4)]);
    world.apply("web", dual(1, RequireDualStack));
    world.run();
    assert!(world.condition("web").starts_with("False FamilyUnavailable: "), "{}", world.condition("web"));
    assert_eq!(world.shows("web"), "");
    world.pool("six", &[V6]);
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0, 2001:db8::"]);
}

#[test]
fn preferring_both_takes_one_and_the_second_family_later_without_touching_the_first() {
    let mut world = World::new(&[("four", V4)]);
    world.apply("web", dual(1, PreferDualStack));
    world.run();
    assert_eq!(world.shows("web"), "192.0.2.0 from four");
    assert!(world.condition("web").starts_with("True FamilyUnavailable: no pool can serve IPv6"));
    world.pool("six", &[V6]);
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0, 2001:db8::"], "from another pool");
    assert_eq!(
        world.condition("web"),
        "True Assigned: 192.0.2.0 from pool four and 2001:db8:: from pool six"
    );
}

#[test]
fn the_second_family_comes_from_the_same_pool_if_it_can() {
    let mut world =
        World::new(&[("a", "198.51.100.0/30,2001:db8:a::/126"), ("b", "192.0.2.0/30,2001:db8:b::/126")]);
    world.apply("web", asking_for(1, &[], Some("b")));
    world.run();
    world.edit("web", |service| {
        service.request = request("", "");
        service.families = vec![Family::V4, Family::V6];
        service.family_policy = PreferDualStack;
    });
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0, 2001:db8:b::"]);
}

#[test]
fn a_second_family_that_is_freed_goes_to_the_oldest_who_lacks_it() {
    let mut world = World::new(&[("a", "192.0.2.0/30,2001:db8::/128")]);
    world.apply("six", Service { families: vec![Family::V6], ..service(0) });
    world.apply("young", dual(9, PreferDualStack));
    world.apply("old", dual(1, PreferDualStack));
    world.run();
    world.delete("six");
    assert_eq!(assigned(&world.run()), ["old=192.0.2.0, 2001:db8::"]);
}

#[test]
fn a_pool_that_loses_a_family_takes_nothing_away() {
    let mut world = World::new(&[("a", "192.0.2.0/30,2001:db8::/126")]);
    world.apply("web", dual(1, PreferDualStack));
    world.run();
    world.pool("a", &[V4]);
    world.pool("b", &["198.51.100.0/30", "2001:db8:b::/126"]);
    world.run();
    assert_eq!(world.shows("web"), "192.0.2.0, 2001:db8:: from a");
    assert!(
        world.condition("web").starts_with("True AddressOutsidePool: 2001:db8:: is not in pool a any more")
    );
}

#[test]
fn a_new_pool_with_both_families_attracts_nobody() {
    let mut world = World::new(&[("z", V4)]);
    world.apply("web", dual(1, PreferDualStack));
    world.run();
    world.pool("a", &["198.51.100.0/30", "2001:db8:a::/126"]);
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0, 2001:db8:a::"]);
}

#[test]
fn requiring_both_too_late_keeps_the_one_there_is() {
    let mut world = World::new(&[("a", V4)]);
    world.apply("web", dual(1, PreferDualStack));
    world.run();
    world.edit("web", with(RequireDualStack));
    world.run();
    assert_eq!(world.shows("web"), "192.0.2.0 from a", "MetalLB takes it away");
    assert!(world.condition("web").starts_with("True FamilyUnavailable: "));
    world.edit("web", with(PreferDualStack));
    world.run();
    assert_eq!(world.shows("web"), "192.0.2.0 from a");
    world.edit("web", |service| {
        service.families = vec![Family::V4];
        service.family_policy = SingleStack;
    });
    world.run();
    assert_eq!(world.condition("web"), "True Assigned: 192.0.2.0 from pool a");
}

#[test]
fn a_dual_stack_service_may_ask_for_one_address_and_gets_the_other_by_itself() {
    let mut world =
        World::new(&[("a", "192.0.2.0/30,2001:db8::/126"), ("b", "198.51.100.0/30,2001:db8:b::/126")]);
    let asks = |policy| Service { request: request("198.51.100.2", ""), ..dual(1, policy) };
    world.apply("web", asks(PreferDualStack));
    assert_eq!(assigned(&world.run()), ["web=198.51.100.2, 2001:db8:b::"]);
    let mut world = World::new(&[("four", V4)]);
    world.apply("prefers", Service { request: request("192.0.2.2", ""), ..dual(1, PreferDualStack) });
    world.apply("requires", Service { request: request("192.0.2.3", ""), ..dual(2, RequireDualStack) });
    world.run();
    assert_eq!(world.shows("prefers"), "192.0.2.2 from four");
    assert_eq!(world.shows("requires"), "");
}

/// The pool is given out on request only. What it has of the other family is looked for all the same, since it has
/// served the request, and asked for again when its quota frees.
#[test]
fn the_second_family_beside_a_requested_address_waits_for_the_quota_of_its_pool() {
    let mut world = World::new(&[]);
    let spec = pool_of(&["192.0.2.0/29", "2001:db8::/125"]);
    world.set_pool("a", PoolSpec { auto_assign: false, max_addresses_per_namespace: Some(2), ..spec });
    world.apply("web", Service { request: request("192.0.2.2", ""), ..dual(1, PreferDualStack) });
    world.apply("other", asking_for(0, &["192.0.2.3"], None));
    world.run();
    assert_eq!(world.shows("web"), "192.0.2.2 from a");
    assert!(world.condition("web").starts_with("True QuotaExceeded: "), "{}", world.condition("web"));
    world.delete("other");
    world.run();
    assert_eq!(world.shows("web"), "192.0.2.2, 2001:db8:: from a");
}

#[test]
fn two_requested_addresses_may_lie_in_two_pools() {
    let mut world = World::new(&[("four", V4), ("six", V6)]);
    world
        .apply("web", Service { request: request("2001:db8::2,192.0.2.2", ""), ..dual(1, RequireDualStack) });
    world.run();
    assert_eq!(world.shows("web"), "192.0.2.2, 2001:db8::2 from four,six");
}

#[test]
fn another_cluster_ip_family_changes_the_address() {
    let mut world = World::new(&[("a", "192.0.2.0/30,2001:db8::/126")]);
    world.apply("web", service(1));
    world.run();
    world.edit("web", |service| service.families = vec![Family::V6]);
    assert_eq!(assigned(&world.run()), ["web=2001:db8::"]);
}
