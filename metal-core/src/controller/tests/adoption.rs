//! What a controller that starts makes of what it finds.

use alloc::vec;

use super::*;

fn shows(created: i64, address: &str, from: &[&str]) -> Service {
    let assigned_from = from.iter().map(|pool| PoolName::from(*pool)).collect();
    Service { assigned: vec![at(address)], assigned_from, ..service(created) }
}

#[test]
fn an_address_in_a_pool_is_ours_and_one_outside_only_with_our_annotation() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("inside", shows(1, "192.0.2.1", &[]));
    world.apply("annotated", shows(2, "203.0.113.1", &["gone"]));
    world.apply("foreign", shows(3, "203.0.113.2", &[]));
    world.restart();
    assert_eq!(assigned(&world.run()), ["inside=192.0.2.1", "annotated=203.0.113.1", "foreign=192.0.2.0"]);
    assert_eq!(world.shows("annotated"), "203.0.113.1 from gone");
    assert!(
        world.condition("annotated").starts_with("True AddressOutsidePool: 203.0.113.1 is not in pool gone")
    );
    assert!(world.state("inside").is_kept && !world.state("foreign").is_kept);
}

#[test]
fn excluded_is_outside() {
    let mut world = World::new(&[]);
    world.set_pool("a", PoolSpec { exclude: vec!["192.0.2.0/31".into()], ..pool_of(&["192.0.2.0/29"]) });
    world.apply("ours", shows(1, "192.0.2.0", &["a"]));
    world.apply("foreign", shows(2, "192.0.2.1", &[]));
    world.restart();
    assert_eq!(assigned(&world.run()), ["ours=192.0.2.0", "foreign=192.0.2.2"]);
    assert!(world.condition("ours").starts_with("True AddressOutsidePool: "));
}

#[test]
fn the_labels_of_a_pool_that_is_gone_are_kept_until_it_is_back() {
    let mut world = World::new(&[]);
    let labels = Labels::from([("zone".into(), "a".into())]);
    let object = Object {
        created: Some(0),
        labels: labels.clone(),
        spec: Spec::Pool(pool_of(&["192.0.2.0/30"])),
        status: ObjectStatus::default(),
    };
    world.objects.insert(pool_ref("a"), object.clone());
    world.input(Input::Config(pool_ref("a"), Some(object.clone())));
    world.apply("web", service(1));
    world.run();
    world.remove_pool("a");
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"], "one write");
    let pool_labels = |world: &World| world.services[&key("web")].pool_labels.clone();
    assert_eq!(pool_labels(&world), Some(labels.clone()));
    assert!(world.condition("web").starts_with("True AddressOutsidePool: "));
    world.restart();
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.edit("web", |service| drop(service.labels.insert("x".into(), "y".into())));
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.input(Input::Config(pool_ref("a"), Some(object)));
    assert_eq!(assigned(&world.run()), ["web=192.0.2.0"]);
    assert_eq!(
        (pool_labels(&world), world.condition("web").as_str()),
        (None, "True Assigned: 192.0.2.0 from pool a")
    );
}

#[test]
fn of_pools_that_overlap_the_one_that_was_in_force_stays_after_a_restart() {
    let mut world = World::new(&[("z", "192.0.2.0/30")]);
    world.apply("web", service(1));
    world.run();
    world.pool("a", &["192.0.2.0/29"]);
    world.run();
    world.objects.get_mut(&pool_ref("z")).unwrap().status.accepted = true;
    world.restart();
    assert_eq!(assigned(&world.run()), [""; 0]);
    assert_eq!(world.shows("web"), "192.0.2.0 from z");
}

#[test]
fn nothing_said_in_any_order_before_the_end_of_the_list_matters() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("web", service(1));
    world.run();
    let now = world.services[&key("web")].clone();
    world.controller = controller();
    let stale = |version, addresses: &[&str]| Service {
        version,
        assigned: addresses.iter().map(|address| at(address)).collect(),
        ..now.clone()
    };
    let say = |world: &mut World, service| world.input(Input::Service(key("web"), Some(service)));
    say(&mut world, stale(1, &["192.0.2.3"]));
    say(&mut world, now.clone());
    say(&mut world, stale(1, &[]));
    world.input(Input::Service(key("gone"), Some(service(0))));
    let pool = world.objects[&pool_ref("a")].clone();
    world.input(Input::Config(pool_ref("a"), Some(pool)));
    world.input(Input::Service(key("gone"), None));
    world.input(Input::Synced);
    assert_eq!(assigned(&world.run()), [""; 0]);
}

#[test]
fn an_address_that_appears_on_an_older_service_later_is_taken_from_the_younger() {
    // A leader that was paused has sent its last write.
    let mut world = World::new(&[("a", "192.0.2.0/31")]);
    world.apply("old", Service { families: vec![], ..service(1) });
    world.apply("young", service(2));
    world.run();
    world.edit("old", |service| {
        service.families = vec![Family::V4];
        service.assigned = vec![at("192.0.2.0")];
        service.assigned_from = vec!["a".into()];
    });
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["old=192.0.2.0", "young=192.0.2.1"]);
    assert!(events(&outputs).contains(
        &"young: ClearAssignment: default/old has the address 192.0.2.0 as well and is older: this Service cannot \
          keep it"
            .to_string()
    ));
    // The other way round the younger one loses what it has been given.
    world.apply("waits", service(3));
    world.run();
    world.edit("waits", |service| service.assigned = vec![at("192.0.2.1")]);
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["waits="]);
    assert!(
        world
            .condition("waits")
            .starts_with("False AddressConflict: default/young has the address 192.0.2.1")
    );
    world.restart();
    assert_eq!(assigned(&world.run()), [""; 0]);
}

#[test]
fn what_another_write_puts_beside_an_address_of_ours_is_put_right() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("one", service(1));
    world.apply("two", service(2));
    world.run();
    world.overwrite("one", &["192.0.2.1"], None);
    assert_eq!(assigned(&world.run()), ["one=192.0.2.0"], "although it is older than the other");
}

#[test]
fn a_type_change_while_no_controller_ran_is_cleared_whatever_the_class() {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    world.apply("web", service(1));
    world.apply("next", service(2));
    world.run();
    world.services.get_mut(&key("web")).unwrap().scope = Scope::NotLoadBalancer;
    world.restart();
    assert_eq!(assigned(&world.run()), ["web=", "next=192.0.2.0"]);
    assert_eq!((world.shows("web"), world.condition("web")), (String::new(), String::new()));
}

#[test]
fn a_service_that_is_for_us_again_before_it_was_cleared_keeps_its_address() {
    let mut world = World::new(&[("a", "192.0.2.0/31")]);
    world.apply("web", service(1));
    world.run();
    world.services.get_mut(&key("web")).unwrap().scope = Scope::NotLoadBalancer;
    world.restart();
    assert_eq!(assigned(&world.poll()), ["web="]);
    world.edit("web", |service| service.scope = Scope::Ours);
    world.run();
    assert_eq!((world.shows("web").as_str(), world.refused), ("192.0.2.0 from a", 1));
    // Nor is it free for others when somebody else clears it.
    world.overwrite("web", &[], None);
    world.apply("other", asking_for(2, &["192.0.2.0"], None));
    world.run();
    assert_eq!((world.shows("web").as_str(), world.shows("other").as_str()), ("192.0.2.0 from a", ""));
}

#[test]
fn a_pending_service_that_is_not_for_us_any_more_loses_its_condition() {
    let mut world = World::new(&[]);
    world.apply("type", service(1));
    world.apply("class", service(2));
    world.run();
    assert!(world.condition("type").starts_with("False NoMatchingPool: "));
    world.edit("type", |service| service.scope = Scope::NotLoadBalancer);
    world.edit("class", |service| service.scope = Scope::OtherClass);
    assert_eq!(assigned(&world.run()), ["type=", "class="]);
    assert_eq!((world.condition("type"), world.condition("class")), (String::new(), String::new()));
    assert_eq!(world.controller.pending().len(), 0);
}
