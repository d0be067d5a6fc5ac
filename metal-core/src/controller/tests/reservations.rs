//! Addresses that are reserved for certain Services, or for nobody (`IPReservation`).

use alloc::vec;

use super::*;
use crate::selector::Selector;

fn reserve(addresses: &[&str]) -> ReservationSpec {
    ReservationSpec { addresses: addresses.iter().map(ToString::to_string).collect(), ..Default::default() }
}

fn for_service(addresses: &[&str], name: &str) -> ReservationSpec {
    ReservationSpec { service: Some(key(name)), ..reserve(addresses) }
}

#[test]
fn a_reserved_address_goes_to_its_service_and_to_nobody_else() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.reserve("r", for_service(&["192.0.2.0"], "web"));
    world.apply("first", service(1));
    world.apply("asks", asking_for(2, &["192.0.2.0"], None));
    world.apply("web", service(3));
    world.run();
    assert_eq!(world.shows("first"), "192.0.2.1 from a");
    assert_eq!(
        world.condition("asks"),
        "False AddressReserved: the address 192.0.2.0 is reserved by IPReservation r"
    );
    assert_eq!(world.shows("web"), "192.0.2.0 from a");
    // Once it is not reserved any more it is like any other.
    world.delete("web");
    world.run();
    assert_eq!(world.shows("asks"), "");
    world.remove(&reservation_ref("r"));
    assert_eq!(assigned(&world.run()), ["asks=192.0.2.0"]);
}

#[test]
fn a_reservation_may_select_by_label_and_namespace() {
    let mut world = World::new(&[]);
    world.set_pool("a", PoolSpec { auto_assign: false, ..pool_of(&["192.0.2.0/30"]) });
    let spec = ReservationSpec {
        service_selectors: vec![Selector::label("app", "db")],
        namespaces: vec!["shop".into()],
        ..reserve(&["192.0.2.2-192.0.2.3"])
    };
    world.reserve("r", spec);
    let labelled =
        |created| Service { labels: Labels::from([("app".into(), "db".into())]), ..service(created) };
    world.apply("shop/one", labelled(1));
    world.apply("shop/two", labelled(2));
    world.apply("shop/three", labelled(3));
    world.apply("other/four", labelled(0));
    world.run();
    assert_eq!(
        world.shows("shop/one"),
        "192.0.2.2 from a",
        "although the pool is not for automatic allocation"
    );
    assert_eq!(world.shows("shop/two"), "192.0.2.3 from a");
    assert_eq!((world.shows("shop/three").as_str(), world.shows("other/four").as_str()), ("", ""));
    world.delete("shop/one");
    assert_eq!(assigned(&world.run()), ["three=192.0.2.2"]);
}

#[test]
fn a_reservation_for_nobody_keeps_addresses_free() {
    let mut world = World::new(&[("a", "192.0.2.0/31")]);
    world.reserve("r", reserve(&["192.0.2.0"]));
    world.apply("one", service(1));
    world.apply("two", service(2));
    world.run();
    assert_eq!((world.shows("one").as_str(), world.shows("two").as_str()), ("192.0.2.1 from a", ""));
}

#[test]
fn an_address_in_use_stays_with_its_user_when_it_is_reserved_for_another() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.apply("user", service(1));
    world.run();
    world.reserve("r", for_service(&["192.0.2.0"], "web"));
    world.apply("web", service(2));
    assert_eq!(assigned(&world.run()), ["web=192.0.2.1"], "it takes what it can get");
    world.restart();
    assert_eq!(assigned(&world.run()), [""; 0]);
    world.delete("user");
    world.apply("next", service(3));
    assert_eq!(assigned(&world.run()), ["next=192.0.2.2"], "it is reserved still");
}

#[test]
fn what_is_kept_for_a_former_owner_is_not_given_to_the_one_it_is_reserved_for() {
    let mut world = World::new(&[]);
    world.set_pool("a", PoolSpec { reuse_delay: Some("1m".into()), ..pool_of(&["192.0.2.0/31"]) });
    world.apply("web", service(1));
    world.run();
    world.delete("web");
    world.run();
    world.reserve("r", for_service(&["192.0.2.0"], "other"));
    world.apply("other", service(2));
    world.run();
    assert_eq!(world.shows("other"), "192.0.2.1 from a");
    // Unless it asks for exactly that.
    world.edit("other", |service| service.request = request("192.0.2.0", ""));
    assert_eq!(assigned(&world.run()), ["other=192.0.2.0"]);
}

#[test]
fn of_two_reservations_that_overlap_one_is_refused_alone() {
    let mut world = World::new(&[("a", "192.0.2.0/30")]);
    world.reserve("b", for_service(&["192.0.2.0"], "b"));
    world.reserve("a", for_service(&["192.0.2.0/31"], "a"));
    world.apply("a", service(1));
    world.apply("b", service(2));
    world.run();
    assert_eq!(
        (world.shows("a").as_str(), world.shows("b").as_str()),
        ("192.0.2.1 from a", "192.0.2.0 from a")
    );
    world.delete("b");
    world.remove(&reservation_ref("b"));
    world.delete("a");
    world.apply("a", service(3));
    world.run();
    assert_eq!(world.shows("a"), "192.0.2.0 from a");
}
