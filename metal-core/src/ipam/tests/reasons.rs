//! Every reason has a scenario, and every sentence is complete.

use alloc::collections::BTreeSet;

use super::*;
use crate::{
    config::Allocation,
    reason::{Claim, Considered, Obstacle},
    view::{Family::V6, FamilyPolicy::RequireDualStack},
};

/// What the allocator says where a reason is its own; the controller's reasons have their scenarios there.
fn scenario(code: &str) -> Option<Reason> {
    let a = || pool("a", &["192.0.2.0/32"]);
    let used = || {
        let mut ipam = ipam([a()]);
        wish("first").sharing("k", &[80]).get(&mut ipam);
        ipam
    };
    let namespaces = BTreeSet::from(["other".into()]);
    let pinned = Pool { allocation: Some(Allocation { namespaces, ..Allocation::default() }), ..a() };
    Some(match code {
        "PoolExhausted" => wish("x").refused(&used()),
        "NoMatchingPool" => wish("x").refused(&ipam([pinned])),
        "PoolNotFound" => wish("x").in_pool("b").refused(&ipam([a()])),
        "PoolNotAllowed" => wish("x").in_pool("a").refused(&ipam([pinned])),
        "AddressNotInPool" => wish("x").addresses("203.0.113.1").refused(&ipam([a()])),
        "AddressInUse" => wish("x").addresses("192.0.2.0").refused(&used()),
        "FamilyUnavailable" => wish("x").families(&[V6], RequireDualStack).refused(&ipam([a()])),
        "NoClusterIP" => wish("x").families(&[], SingleStack).refused(&ipam([a()])),
        "AddressReserved" => {
            let mut ipam = ipam([a()]);
            ipam.hold(at("192.0.2.0"), &key("former"));
            wish("x").addresses("192.0.2.0").refused(&ipam)
        }
        "SharingConflict" => wish("x").sharing("k", &[80]).addresses("192.0.2.0").refused(&used()),
        "QuotaExceeded" => wish("x").refused(&ipam([Pool { max_per_namespace: Some(0), ..a() }])),
        _ => return None,
    })
}

/// Whether the allocator itself says it. Exhaustive: a new reason does not compile until somebody decides.
fn is_ours(reason: &Reason) -> bool {
    match reason {
        Reason::PoolExhausted(_)
        | Reason::NoMatchingPool(_)
        | Reason::PoolNotFound { .. }
        | Reason::PoolNotAllowed { .. }
        | Reason::AddressNotInPool { .. }
        | Reason::AddressInUse { .. }
        | Reason::FamilyUnavailable(_)
        | Reason::NoClusterIP
        | Reason::AddressReserved { .. }
        | Reason::SharingConflict { .. }
        | Reason::QuotaExceeded { .. } => true,
        // A request that cannot be understood never comes here; the rest is about what a Service has.
        Reason::RequestInvalid(_)
        | Reason::AddressOutsidePool { .. }
        | Reason::AddressConflict { .. }
        | Reason::ContestedBy { .. } => false,
    }
}

#[test]
fn every_reason_of_the_allocator_has_a_scenario() {
    let mut said = 0;
    for code in Reason::CODES {
        if let Some(reason) = scenario(code) {
            assert!(is_ours(&reason), "{code}");
            assert_eq!(reason.code(), code);
            said += 1;
        }
    }
    assert_eq!(said, 11, "as many as are ours");
}

#[test]
fn a_full_pool_says_where_its_addresses_are() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"])]);
    ipam.avoid(["192.0.2.0", "192.0.2.15", "192.0.2.9"].map(at).into());
    ipam.hold(at("192.0.2.7"), &key("former"));
    let object = ObjectRef { kind: "IPReservation", namespace: "x".into(), name: "r".into() };
    let ranges = vec![range("192.0.2.8-192.0.2.11")];
    let (service, service_selectors, namespaces) = (None, vec![], BTreeSet::new());
    ipam.set_reservation(Reservation { object, ranges, service, service_selectors, namespaces }.into())
        .unwrap();
    assert_eq!(take(&mut ipam, 10)[9], "PoolExhausted");
    assert_eq!(
        wish("x").complaint(&ipam),
        "no address is free: pool a has 0 of 16 IPv4 addresses free (4 reserved, 1 held for former owners, \
         2 kept for nodes, routers and strangers)"
    );
}

#[test]
fn a_reason_names_so_many_pools_and_counts_the_rest() {
    let ipam = ipam((0..20).map(|n| pool(&format!("p{n:02}"), &[&format!("2001:db8:{n}::/64")])));
    let reason = wish("x").refused(&ipam);
    let text = reason.to_string();
    assert!(
        text.contains("pool p15") && !text.contains("pool p16") && text.ends_with("; and 4 more pools"),
        "{text}"
    );
    assert_eq!(reason.code(), "FamilyUnavailable");
}

#[test]
fn pools_that_are_not_named_decide_as_well() {
    let small = (0..20).map(|n| Pool {
        max_per_namespace: (n == 19).then_some(1),
        ..pool(&format!("p{n:02}"), &[&format!("192.0.2.{}/31", 2 * n)])
    });
    let mut ipam = ipam(small.chain([pool("q", &["2001:db8::/128"])]));
    assert_eq!(take(&mut ipam, 39)[38], "192.0.2.38 from p19");
    assert_eq!(wish("x").refused(&ipam).code(), "QuotaExceeded");
    wish("x").families(&[V6], SingleStack).get(&mut ipam);
    assert_eq!(wish("x").families(&[V6], SingleStack).refused(&ipam).code(), "PoolExhausted");
}

#[test]
fn candidates_are_named_before_pools_that_are_for_others() {
    let mut manual = pool("a", &["192.0.2.0/28"]);
    manual.auto_assign = false;
    let mut ipam = ipam([manual, pool("b", &["198.51.100.0/32"])]);
    take(&mut ipam, 1);
    let Reason::PoolExhausted(Considered { pools, more }) = wish("x").refused(&ipam) else { panic!() };
    assert_eq!(more, 0);
    assert_eq!((pools[0].0.as_str(), pools[1].clone()), ("b", ("a".into(), Obstacle::NotAutomatic)));
}

#[test]
fn each_claim_says_for_whom() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"])]);
    ipam.hold(at("192.0.2.0"), &key("former"));
    assert_eq!(
        wish("x").addresses("192.0.2.0").refused(&ipam),
        Reason::AddressReserved { address: at("192.0.2.0"), claim: Claim::Former(key("former")) }
    );
}
