//! Each reason has a scenario: what the condition says, what the event says, and what is asked for stays so.

use super::*;
use crate::{config::ServiceAllocationSpec, reason::Reason, selector::Selector};

/// A world in which Service `web` does not get what it asks for, and what has happened in it.
fn scenario(code: &str) -> (World, Vec<Output>) {
    let mut world = World::new(&[("a", "192.0.2.0/32")]);
    let mut all = Vec::new();
    match code {
        "PoolExhausted" => {
            world.apply("other", service(1));
            world.apply("web", service(2));
        }
        "NoMatchingPool" => {
            world.set_pool("a", PoolSpec { auto_assign: false, ..pool_of(&["192.0.2.0/32"]) });
            world.apply("web", service(1));
        }
        "PoolNotFound" => world.apply("web", asking_for(1, &[], Some("b"))),
        "PoolNotAllowed" => {
            let service_selectors = alloc::vec![Selector::label("app", "db")];
            let allocation = ServiceAllocationSpec { service_selectors, ..Default::default() };
            let service_allocation = Some(allocation);
            world.set_pool("a", PoolSpec { service_allocation, ..pool_of(&["192.0.2.0/32"]) });
            world.apply("web", asking_for(1, &[], Some("a")));
        }
        "AddressNotInPool" => world.apply("web", asking_for(1, &["192.0.2.1"], None)),
        "AddressInUse" => {
            world.apply("other", service(1));
            world.apply("web", asking_for(2, &["192.0.2.0"], None));
        }
        "FamilyUnavailable" => {
            world.apply("web", Service { families: alloc::vec![Family::V6], ..service(1) });
        }
        "RequestInvalid" => world.apply("web", Service { request: request("x", ""), ..service(1) }),
        "NoClusterIP" => world.apply("web", Service { families: Vec::new(), ..service(1) }),
        "AddressReserved" => {
            let addresses = alloc::vec!["192.0.2.0".into()];
            world.reserve("r", ReservationSpec { addresses, ..ReservationSpec::default() });
            world.apply("web", asking_for(2, &["192.0.2.0"], None));
        }
        "SharingConflict" => {
            world.apply("other", sharing(1, "k", 80));
            world.apply("web", Service { request: request("192.0.2.0", ""), ..sharing(2, "k", 80) });
        }
        "QuotaExceeded" => {
            let max_addresses_per_namespace = Some(1);
            world.set_pool("a", PoolSpec { max_addresses_per_namespace, ..pool_of(&["192.0.2.0/30"]) });
            world.apply("other", service(1));
            world.apply("web", service(2));
        }
        "AddressOutsidePool" => {
            world.apply("web", service(1));
            all.extend(world.run());
            world.pool("a", &["192.0.2.1/32"]);
        }
        "AddressConflict" => {
            let shows = |created| Service { assigned: alloc::vec![at("192.0.2.0")], ..service(created) };
            world.apply("other", shows(1));
            world.apply("web", shows(2));
            world.restart();
        }
        "ContestedBy" => {
            world.apply("web", service(1));
            for _ in 0..2 {
                all.extend(world.run());
                world.overwrite("web", &["203.0.113.1"], Some("metallb-controller"));
            }
            all.extend(world.pass(120));
        }
        other => panic!("no scenario for the reason {other}: write one"),
    }
    all.extend(world.run());
    (world, all)
}

/// All reasons there are. This does not compile when one is missing.
const fn all_codes(reason: &Reason) -> &'static [&'static str] {
    match reason {
        Reason::PoolExhausted(_)
        | Reason::NoMatchingPool(_)
        | Reason::PoolNotFound { .. }
        | Reason::PoolNotAllowed { .. }
        | Reason::AddressNotInPool { .. }
        | Reason::AddressInUse { .. }
        | Reason::FamilyUnavailable(_)
        | Reason::RequestInvalid(_)
        | Reason::NoClusterIP
        | Reason::AddressReserved { .. }
        | Reason::SharingConflict { .. }
        | Reason::QuotaExceeded { .. }
        | Reason::AddressOutsidePool { .. }
        | Reason::AddressConflict { .. }
        | Reason::ContestedBy { .. } => &[
            "PoolExhausted",
            "NoMatchingPool",
            "PoolNotFound",
            "PoolNotAllowed",
            "AddressNotInPool",
            "AddressInUse",
            "FamilyUnavailable",
            "RequestInvalid",
            "NoClusterIP",
            "AddressReserved",
            "SharingConflict",
            "QuotaExceeded",
            "AddressOutsidePool",
            "AddressConflict",
            "ContestedBy",
        ],
    }
}

#[test]
fn every_reason_reaches_the_condition_the_events_and_whoever_asks() {
    for code in all_codes(&Reason::NoClusterIP) {
        let (world, outputs) = scenario(code);
        let state = world.state("web");
        let reason = state.reason.unwrap_or_else(|| panic!("{code}: no reason"));
        assert_eq!(reason.code(), *code);
        let condition = world.services[&key("web")].condition.clone().unwrap();
        assert_eq!((condition.status, condition.reason.as_str()), (!state.addresses.is_empty(), *code));
        let sentence = reason.to_string();
        assert!(condition.message.starts_with(&sentence), "{code}: {} {sentence}", condition.message);
        let said =
            events(&outputs).iter().any(|event| event.starts_with("web: ") && event.contains(&sentence));
        assert!(said, "{code}: {sentence:?} {:?}", events(&outputs));
        assert_eq!(
            world.controller.pending().len(),
            usize::from(state.addresses.is_empty() && code != &"NoClusterIP"),
            "{code}"
        );
    }
}

#[test]
fn every_reason_survives_a_restart_without_a_word() {
    for code in all_codes(&Reason::NoClusterIP).iter().filter(|code| **code != "ContestedBy") {
        let (mut world, _) = scenario(code);
        world.restart();
        let outputs = world.run();
        assert_eq!((assigned(&outputs), events(&outputs)), (Vec::new(), Vec::new()), "{code}");
    }
}
