//! Services that share an address.

use alloc::vec;

use super::*;
use crate::sharing::Backend;

#[test]
fn services_with_one_key_share_an_address_as_long_as_their_ports_differ() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("dns-tcp", sharing(1, "dns", 53));
    world.apply("web", sharing(2, "dns", 80));
    world.apply("second", sharing(3, "dns", 53));
    world.apply("other", sharing(4, "other", 443));
    world.apply("alone", service(5));
    let outputs = world.run();
    assert_eq!(world.shows("dns-tcp"), "192.0.2.0 from a");
    assert_eq!(world.shows("web"), "192.0.2.0 from a");
    assert_eq!(world.shows("second"), "192.0.2.1 from a", "the port is taken");
    assert_eq!(world.shows("other"), "192.0.2.2 from a");
    assert_eq!(world.shows("alone"), "192.0.2.3 from a");
    assert_eq!(usage("a", &outputs).last(), Some(&Some((4, 0))), "a shared address counts once");
}

#[test]
fn tcp_and_udp_ports_of_one_number_do_not_conflict() {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    let with = |protocol| Service {
        sharing: Sharing::new("dns", Backend::Anywhere, [Port { protocol, number: 53 }]),
        ..service(1)
    };
    world.apply("tcp", with(Protocol::Tcp));
    world.apply("udp", with(Protocol::Udp));
    world.apply("sctp", with(Protocol::Sctp));
    world.run();
    for name in ["tcp", "udp", "sctp"] {
        assert_eq!(world.shows(name), "192.0.2.0 from a");
    }
}

#[test]
fn services_with_policy_local_share_only_with_the_same_selector() {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    let local = |app: &str, port| Service {
        sharing: Sharing::new(
            "k",
            Backend::local(&Labels::from([("app".into(), app.into())])),
            [Port { protocol: Protocol::Tcp, number: port }],
        ),
        ..service(i64::from(port))
    };
    world.apply("one", local("x", 1));
    world.apply("two", local("x", 2));
    world.apply("three", Service { request: request("192.0.2.0", ""), ..local("y", 3) });
    world.apply("four", Service { request: request("192.0.2.0", ""), ..sharing(4, "k", 4) });
    world.run();
    assert_eq!(world.shows("two"), "192.0.2.0 from a");
    for name in ["three", "four"] {
        assert!(world.condition(name).starts_with("False SharingConflict: "), "{}", world.condition(name));
    }
}

#[test]
fn a_freed_port_is_offered_to_those_who_wait_for_the_address() {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    world.apply("one", sharing(1, "k", 1));
    world.apply("two", sharing(2, "k", 2));
    world.apply("wants-address", Service { request: request("192.0.2.0", ""), ..sharing(4, "k", 1) });
    world.apply("wants-room", sharing(3, "k", 1));
    let outputs = world.run();
    assert!(events(&outputs).contains(
        &"wants-address: AllocationFailed!: the address 192.0.2.0 cannot be shared with default/one: both have the \
          port TCP/1"
            .to_string()
    ));
    assert!(world.condition("wants-room").starts_with("False PoolExhausted: "));
    world.delete("one");
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["wants-room=192.0.2.0", "wants-address="], "the older one");
    // It changes its port: that frees one, too.
    world.edit("wants-room", |service| service.sharing = shares("k", 7));
    assert_eq!(assigned(&world.run()), ["wants-address=192.0.2.0"]);
}

#[test]
fn the_only_user_of_an_address_may_change_its_key_in_place() {
    let mut world = World::new(&[("a", "192.0.2.0/31")]);
    world.apply("one", sharing(1, "k", 1));
    world.run();
    world.apply("one", sharing(1, "other", 1));
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.apply("two", sharing(2, "other", 2));
    assert_eq!(assigned(&world.run()), ["two=192.0.2.0"]);
}

#[test]
fn an_edit_that_excludes_sharing_moves_the_edited_one_and_nobody_else() {
    let mut world = World::new(&[("a", "192.0.2.0/31")]);
    world.apply("one", sharing(1, "k", 1));
    world.apply("two", sharing(2, "k", 2));
    world.run();
    world.apply("one", sharing(1, "other", 1));
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["one=192.0.2.1"], "although it is the older one");
    assert_eq!(
        events(&outputs)[0],
        "one: ClearAssignment: the address 192.0.2.0 cannot be shared with default/two: the values of their \
         annotation metallb.io/allow-shared-ip differ"
    );
    assert_eq!(world.condition("one"), "True Assigned: 192.0.2.1 from pool a");
}

#[test]
fn the_ports_of_one_who_shares_no_more_are_offered_to_those_with_the_key() {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    world.apply("stays", sharing(1, "k", 1));
    world.apply("leaves", sharing(2, "k", 2));
    world.apply("waits", sharing(3, "k", 2));
    world.run();
    world.apply("leaves", service(2));
    world.run();
    assert_eq!((world.shows("leaves").as_str(), world.shows("waits").as_str()), ("", "192.0.2.0 from a"));
}

#[test]
fn an_edit_that_excludes_sharing_leaves_the_edited_one_pending_when_nothing_else_is_free() {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    world.apply("one", sharing(1, "k", 1));
    world.apply("two", sharing(2, "k", 2));
    world.run();
    world.apply("one", sharing(1, "k", 2));
    let outputs = world.run();
    assert_eq!(assigned(&outputs), ["one="]);
    let conflict = "the address 192.0.2.0 cannot be shared with default/two: both have the port TCP/2";
    assert_eq!(world.condition("one"), format!("False SharingConflict: {conflict}"));
    assert!(events(&outputs).contains(&format!(
        "one: AllocationFailed!: {conflict}; no address is free: pool a has 0 of 1 IPv4 addresses free"
    )));
    // Nothing is written and said again after a restart.
    world.restart();
    let outputs = world.run();
    assert_eq!((assigned(&outputs), events(&outputs)), (vec![], vec![]));
    world.delete("two");
    assert_eq!(assigned(&world.run()), ["one=192.0.2.0"]);
    assert_eq!(world.condition("one"), "True Assigned: 192.0.2.0 from pool a");
}

#[test]
fn a_restart_keeps_shared_addresses_and_knows_their_ports() {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    world.apply("one", sharing(1, "k", 1));
    world.apply("two", sharing(2, "k", 2));
    world.run();
    world.restart();
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.apply("three", sharing(3, "k", 2));
    world.apply("four", sharing(4, "k", 4));
    assert_eq!(assigned(&world.run()), ["three=", "four=192.0.2.0"]);
}

#[test]
fn a_pool_that_forbids_sharing_takes_nothing_away() {
    let mut world = World::new(&[("a", "192.0.2.0/31")]);
    world.apply("one", sharing(1, "k", 1));
    world.apply("two", sharing(2, "k", 2));
    world.run();
    world.set_pool("a", PoolSpec { sharing: Some("Never".into()), ..pool_of(&["192.0.2.0/31"]) });
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.restart();
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.apply("three", sharing(3, "k", 3));
    assert_eq!(assigned(&world.run()), ["three=192.0.2.1"]);
}

#[test]
fn a_pool_may_let_only_services_of_one_namespace_share() {
    let mut world = World::new(&[]);
    world.set_pool("a", PoolSpec { sharing: Some("SameNamespace".into()), ..pool_of(&["192.0.2.0/31"]) });
    world.apply("x/one", sharing(1, "k", 1));
    world.apply("y/two", sharing(2, "k", 2));
    world.apply("x/three", sharing(3, "k", 3));
    world.run();
    assert_eq!(world.shows("y/two"), "192.0.2.1 from a");
    assert_eq!(world.shows("x/three"), "192.0.2.0 from a");
    world.apply("y/four", Service { request: request("192.0.2.0", ""), ..sharing(4, "k", 4) });
    world.run();
    assert!(
        world.condition("y/four").starts_with("False SharingConflict: "),
        "{}",
        world.condition("y/four")
    );
}
