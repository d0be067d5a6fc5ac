//! What is written, and what is not: restarts, writes under way, other managers.

use alloc::vec;

use super::*;

#[test]
fn a_restart_changes_nothing_and_writes_nothing() {
    let mut world = World::new(&[("a", "192.0.2.0/28,2001:db8::/64")]);
    for (name, created) in [("one", 3), ("two", 2), ("three", 1)] {
        world.apply(name, service(created));
        world.run();
    }
    world.apply("both", dual(4, FamilyPolicy::RequireDualStack));
    world.run();
    let before = world.services.clone();
    world.restart();
    let outputs = world.run();
    assert_eq!((assigned(&outputs), events(&outputs), notes(&outputs)), (vec![], vec![], vec![]));
    assert_eq!(world.services, before);
    world.apply("four", service(0));
    assert_eq!(assigned(&world.run()), ["four=192.0.2.4"]);
}

#[test]
fn after_a_restart_what_is_assigned_comes_before_those_who_wait() {
    let mut world = World::new(&[("a", "192.0.2.0/31")]);
    world.apply("young", Service { assigned: vec![at("192.0.2.0")], ..service(9) });
    world.restart();
    world.apply("old", service(1));
    assert_eq!(assigned(&world.run()), ["old=192.0.2.1", "young=192.0.2.0"], "the pool's name was missing");
}

#[test]
fn of_two_that_claim_one_address_the_older_keeps_it() {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    let shown = |created| Service {
        assigned: vec![at("192.0.2.5")],
        assigned_from: vec!["a".into()],
        ..service(created)
    };
    world.apply("a-young", shown(2));
    world.apply("old", shown(1));
    world.restart();
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["old=192.0.2.5", "a-young=192.0.2.0"]);
    assert_eq!(
        events(&outputs),
        [
            "a-young: ClearAssignment: default/old has the address 192.0.2.5 as well and is older: this Service cannot keep it",
            "a-young: IPAllocated: Assigned IP [\"192.0.2.0\"]"
        ]
    );
    // Nor may it go on showing the other one's address when there is no second one.
    let mut world = World::new(&[("a", "192.0.2.5/32")]);
    world.apply("young", shown(2));
    world.apply("old", shown(1));
    world.restart();
    assert_eq!(assigned(&world.run()), ["old=192.0.2.5", "young="]);
}

#[test]
fn a_foreign_address_is_replaced_left_alone_or_taken_over() {
    let foreign = |created| Service { assigned: vec![at("203.0.113.9")], ..service(created) };
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    world.apply("web", foreign(1));
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);

    let mut world = World::new(&[]);
    world.apply("web", foreign(2));
    world.apply("waiting", service(1));
    assert_eq!(assigned(&world.run()), ["waiting="]);
    assert_eq!(world.shows("web"), "203.0.113.9");
    world.pool("b", &["203.0.113.9-203.0.113.10"]);
    assert_eq!(assigned(&world.run()), ["waiting=203.0.113.10", "web=203.0.113.9"]);
}

#[test]
fn a_write_under_way_is_not_asked_for_again() {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    world.apply("web", service(1));
    assert_eq!(assigned(&world.poll()), ["web=192.0.2.0"]);
    // The Service changes before the write is seen.
    world.apply("web", Service { labels: Labels::from([("x".into(), "y".into())]), ..service(1) });
    assert_eq!(assigned(&world.poll()), ["web=192.0.2.0"], "the first write is refused for the version");
    world.land();
    assert_eq!((world.landed, world.refused), (0, 1));
    assert_eq!(assigned(&world.poll()), [""; 0]);
    world.land();
    assert_eq!((world.landed, world.refused), (1, 1));
    assert_eq!(assigned(&world.run()), [""; 0]);
    assert_eq!(world.shows("web"), "192.0.2.0 from a");
}

#[test]
fn a_second_write_follows_the_first_without_waiting_to_see_it() {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    world.apply("web", service(1));
    assert_eq!(assigned(&world.poll()), ["web=192.0.2.0"]);
    // A pool changes, and with it what there is to say, before the first write is seen.
    world.pool("b", &["192.0.2.0/28"]);
    world.remove_pool("a");
    assert_eq!(assigned(&world.poll()), ["web=192.0.2.0"]);
    world.land();
    assert_eq!(world.shows("web"), "192.0.2.0 from a");
    world.run();
    assert_eq!(world.shows("web"), "192.0.2.0 from b");
}

#[test]
fn an_older_version_of_a_service_is_not_taken_for_a_change() {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    world.apply("web", service(1));
    let old = world.services[&key("web")].clone();
    world.run();
    world.input(Input::Service(key("web"), Some(old)));
    assert_eq!(assigned(&world.run()), [""; 0]);
}

#[test]
fn without_versions_writes_are_made_all_the_same() {
    let mut controller = controller();
    let mut file = service(1);
    let spec = Spec::Pool(pool_of(&["192.0.2.0/31"]));
    let object = Object { created: None, labels: Labels::new(), spec, status: ObjectStatus::default() };
    controller.handle_input(Instant::ZERO, Input::Config(pool_ref("a"), Some(object)));
    controller.handle_input(Instant::ZERO, Input::Synced);
    controller.handle_input(Instant::ZERO, Input::Service(key("web"), Some(file.clone())));
    assert_eq!(assigned(&drain(&mut controller, Instant::ZERO)), ["web=192.0.2.0"]);
    file.labels.insert("x".into(), "y".into());
    controller.handle_input(Instant::ZERO, Input::Service(key("web"), Some(file.clone())));
    assert_eq!(assigned(&drain(&mut controller, Instant::ZERO)), [""; 0], "it is still under way");
    file.scope = Scope::NotLoadBalancer;
    controller.handle_input(Instant::ZERO, Input::Service(key("web"), Some(file.clone())));
    assert_eq!(assigned(&drain(&mut controller, Instant::ZERO)), ["web="]);
    controller.handle_input(Instant::ZERO, Input::Service(key("next"), Some(service(2))));
    assert_eq!(assigned(&drain(&mut controller, Instant::ZERO)), ["next=192.0.2.1"]);
    controller.handle_input(Instant::ZERO, Input::Written { service: key("web"), write: 2 });
    controller.handle_input(Instant::ZERO, Input::Service(key("third"), Some(service(3))));
    assert_eq!(assigned(&drain(&mut controller, Instant::ZERO)), ["third=192.0.2.0"]);
}

#[test]
fn what_another_manager_writes_is_put_right() {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    world.apply("web", service(1));
    world.run();
    world.overwrite("web", &["192.0.2.9"], None);
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);
    world.overwrite("web", &[], None);
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);
    world.edit("web", |service| service.assigned_from.clear());
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);
    world.edit("web", |service| service.condition = None);
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);
    assert_eq!(world.shows("web"), "192.0.2.0 from a");
    assert_eq!(events(&world.run()), [""; 0]);
}

#[test]
fn a_service_that_is_created_again_is_written_again() {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    world.apply("web", service(1));
    world.poll();
    // The write is lost with the old Service, and the watch shows only the new one.
    world.writes.clear();
    world.services.clear();
    world.apply("web", service(2));
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);
}

#[test]
fn a_clearing_under_way_is_not_asked_for_again() {
    let mut world = World::new(&[("a", "192.0.2.0/28")]);
    world.apply("web", service(1));
    world.run();
    let mut other = Service { scope: Scope::NotLoadBalancer, ..service(1) };
    world.apply("web", other.clone());
    assert_eq!(assigned(&world.poll()), ["web="]);
    other.labels.insert("x".into(), "y".into());
    world.apply("web", other);
    assert_eq!(assigned(&world.poll()), ["web="], "the first one is refused for the version");
    world.run();
    assert_eq!((world.shows("web").as_str(), world.refused), ("", 1));
    world.apply("web", service(1));
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);
}

#[test]
fn an_address_goes_on_only_when_its_former_service_is_seen_without_it() {
    let mut world = World::new(&[("a", "192.0.2.0-192.0.2.1")]);
    for (name, created) in [("one", 1), ("two", 2), ("three", 3), ("four", 4)] {
        world.apply(name, service(created));
    }
    world.run();
    world.pool("b", &["198.51.100.0/32"]);
    world.run();
    assert_eq!(world.shows("three"), "198.51.100.0 from b");
    world.delete("three");
    world.apply("one", asking_for(1, &["198.51.100.0"], None));
    assert_eq!(assigned(&world.poll()), ["one=198.51.100.0"]);
    world.apply("two", Service { scope: Scope::NotLoadBalancer, ..service(2) });
    assert_eq!(assigned(&world.poll()), ["two="]);
    world.land();
    assert_eq!(assigned(&world.poll()), ["four=192.0.2.0"]);
    world.apply("five", service(5));
    assert_eq!(assigned(&world.poll()), ["five="]);
    world.land();
    assert_eq!(assigned(&world.poll()), ["five=192.0.2.1"]);
}

#[test]
fn an_address_whose_write_is_refused_is_free_at_once() {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    world.apply("web", service(1));
    assert_eq!(assigned(&world.poll()), ["web=192.0.2.0"]);
    // The write is refused for the version, and nothing has to be cleared.
    world.apply("web", Service { scope: Scope::NotLoadBalancer, ..service(1) });
    assert_eq!(assigned(&world.poll()), [""; 0]);
    world.apply("next", service(2));
    assert_eq!(assigned(&world.poll()), ["next=192.0.2.0"]);
    world.run();
    assert_eq!((world.shows("web").as_str(), world.landed, world.refused), ("", 1, 1));
}
