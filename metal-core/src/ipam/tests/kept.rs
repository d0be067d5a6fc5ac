//! Addresses that are kept for somebody, and how many a namespace may have.

use alloc::collections::BTreeSet;

use super::*;
use crate::{
    config::Allocation,
    selector::Selector,
    view::{Family::V6, FamilyPolicy::PreferDualStack, FamilyPolicy::RequireDualStack},
};

fn reservation(name: &str, ranges: &[&str]) -> Reservation {
    let object = ObjectRef { kind: "IPReservation", namespace: "metallb-system".into(), name: name.into() };
    let ranges = AddressRange::merged(ranges.iter().map(|text| range(text)).collect());
    Reservation { object, ranges, service: None, service_selectors: vec![], namespaces: BTreeSet::new() }
}

fn for_service(name: &str, ranges: &[&str], service: &str) -> Reservation {
    Reservation { service: Some(key(service)), ..reservation(name, ranges) }
}

fn for_label(name: &str, ranges: &[&str], app: &str) -> Reservation {
    Reservation { service_selectors: vec![Selector::label("app", app)], ..reservation(name, ranges) }
}

fn reserve(ipam: &mut Ipam, reservation: Reservation) {
    ipam.set_reservation(reservation.into()).unwrap();
}

#[test]
fn a_reserved_address_is_only_for_whom_it_is_reserved() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/29"])]);
    reserve(&mut ipam, for_service("r", &["192.0.2.0", "192.0.2.5"], "web"));
    reserve(&mut ipam, reservation("nobody", &["192.0.2.1-192.0.2.2"]));
    assert_eq!(count(&ipam, "a"), (0, 8), "it counts as available");
    assert_eq!(wish("1").get(&mut ipam), "192.0.2.3 from a");
    assert_eq!(
        wish("1").addresses("192.0.2.5").complaint(&ipam),
        "the address 192.0.2.5 is reserved by IPReservation r"
    );
    assert_eq!(wish("web").addresses("192.0.2.1").refused(&ipam).code(), "AddressReserved", "for nobody");
    assert_eq!(wish("web").get(&mut ipam), "192.0.2.0 from a");
    assert_eq!(wish("web").get(&mut ipam), "192.0.2.5 from a");
    assert_eq!(wish("web").get(&mut ipam), "192.0.2.4 from a", "the reservation is used up");
    assert_eq!(ipam.reservation_of(at("192.0.2.2")).unwrap().object.name.as_ref(), "nobody");
    assert_eq!(ipam.reservation_of(at("192.0.2.3")), None);
}

#[test]
fn a_reservation_by_labels_looks_in_its_namespaces() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"])]);
    let namespaces = BTreeSet::from(["default".into()]);
    reserve(&mut ipam, Reservation { namespaces, ..for_label("r", &["192.0.2.8-192.0.2.9"], "web") });
    reserve(&mut ipam, for_label("s", &["192.0.2.10-192.0.2.11"], "db"));
    assert_eq!(wish("1").labelled("app", "web").get(&mut ipam), "192.0.2.8 from a");
    assert_eq!(wish("2").labelled("app", "web").of("other").get(&mut ipam), "192.0.2.0 from a");
    assert_eq!(wish("3").labelled("app", "db").of("other").get(&mut ipam), "192.0.2.10 from a");
    assert_eq!(wish("4").labelled("app", "x").get(&mut ipam), "192.0.2.1 from a");
    reserve(&mut ipam, for_service("t", &["192.0.2.12"], "5"));
    assert_eq!(wish("5").labelled("app", "web").get(&mut ipam), "192.0.2.12 from a", "its name comes first");
}

#[test]
fn a_reservation_needs_a_pool_that_admits_the_service_but_not_auto_assign() {
    let allocation =
        Some(Allocation { service_selectors: vec![Selector::label("x", "y")], ..Allocation::default() });
    let mut ipam = ipam([
        Pool { allocation, ..pool("pinned", &["192.0.2.0/29"]) },
        Pool { auto_assign: false, ..pool("manual", &["192.0.2.8/29"]) },
        pool("z", &["198.51.100.0/28"]),
    ]);
    reserve(&mut ipam, for_service("r", &["192.0.2.7-192.0.2.9", "203.0.113.1"], "web"));
    assert_eq!(wish("web").get(&mut ipam), "192.0.2.8 from manual");
    assert_eq!(wish("web").in_pool("z").get(&mut ipam), "198.51.100.0 from z", "it asks for something else");
    assert_eq!(wish("web").labelled("x", "y").get(&mut ipam), "192.0.2.7 from pinned");
    assert_eq!(wish("web").addresses("203.0.113.1").get(&mut ipam), "AddressNotInPool", "no pool has it");
    ipam.set_pool(pool("new", &["203.0.113.0/30"]).into()).unwrap();
    assert_eq!(wish("x").get(&mut ipam), "203.0.113.0 from new");
    assert_eq!(wish("web").addresses("203.0.113.1").get(&mut ipam), "203.0.113.1 from new");
    assert_eq!(wish("x").get(&mut ipam), "203.0.113.2 from new");
}

#[test]
fn an_address_in_use_stays_with_its_user_when_it_is_reserved() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/30"])]);
    take(&mut ipam, 1);
    reserve(&mut ipam, for_service("r", &["192.0.2.0/31"], "web"));
    assert_eq!(wish("s0").addresses("192.0.2.0").get(&mut ipam), "192.0.2.0 from a");
    assert_eq!(wish("web").addresses("192.0.2.0").get(&mut ipam), "AddressInUse");
    assert_eq!(wish("web").get(&mut ipam), "192.0.2.1 from a");
    ipam.release(at("192.0.2.0"), &key("s0"));
    assert_eq!(wish("s0").get(&mut ipam), "192.0.2.2 from a");
    assert_eq!(wish("web").get(&mut ipam), "192.0.2.0 from a");
}

#[test]
fn reservations_come_and_go() {
    let mut ipam = ipam([Pool { exclude: vec![range("192.0.2.2")], ..pool("a", &["192.0.2.0-192.0.2.4"]) }]);
    reserve(&mut ipam, reservation("r", &["192.0.2.0/24"]));
    assert!(!ipam.has_room(&"a".into()));
    assert_eq!(
        wish("x").complaint(&ipam),
        "no address is free: pool a has 0 of 4 IPv4 addresses free (4 reserved)"
    );
    let overlap = ipam.set_reservation(reservation("s", &["192.0.2.4/31"]).into()).unwrap_err();
    assert_eq!(
        overlap.to_string(),
        "192.0.2.4-192.0.2.5 is reserved by IPReservation metallb-system/r already"
    );
    reserve(&mut ipam, reservation("r", &["192.0.2.1"]));
    assert_eq!(take(&mut ipam, 2), ["192.0.2.0 from a", "192.0.2.3 from a"]);
    assert!(ipam.remove_reservation(&reservation("r", &[]).object).is_some());
    assert!(ipam.remove_reservation(&reservation("r", &[]).object).is_none());
    assert_eq!(take(&mut ipam, 3), ["192.0.2.1 from a", "192.0.2.4 from a", "PoolExhausted"]);
}

#[test]
fn an_end_of_an_address_finds_what_is_reserved_for_the_service() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/24"]), pool("b", &["198.51.100.0/24"])]);
    reserve(&mut ipam, for_service("r", &["198.51.100.8-198.51.100.12"], "web"));
    assert_eq!(wish("web").addresses(".10").get(&mut ipam), "198.51.100.10 from b");
    assert_eq!(wish("web").addresses(".10").get(&mut ipam), "192.0.2.10 from a");
    assert_eq!(wish("x").addresses(".11").in_pool("b").get(&mut ipam), "PoolExhausted");
}

#[test]
fn a_reservation_of_one_family_is_completed_from_its_pool() {
    let mut ipam = ipam([
        pool("a", &["192.0.2.0/28", "2001:db8:a::/64"]),
        pool("b", &["198.51.100.0/28", "2001:db8:b::/64"]),
    ]);
    reserve(&mut ipam, for_service("r", &["198.51.100.9"], "web"));
    let both = wish("web").families(&[V6, V4], RequireDualStack);
    assert_eq!(both.get(&mut ipam), "2001:db8:b:: from b, 198.51.100.9 from b");
}

#[test]
fn those_for_whom_an_address_is_reserved_share_it() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"])]);
    reserve(&mut ipam, for_label("r", &["192.0.2.8-192.0.2.9"], "web"));
    let web = |name: &str, port| wish(name).labelled("app", "web").sharing("k", &[port]);
    assert_eq!(web("1", 1).get(&mut ipam), "192.0.2.8 from a");
    assert_eq!(web("2", 2).get(&mut ipam), "192.0.2.8 from a");
    assert_eq!(web("3", 1).get(&mut ipam), "192.0.2.9 from a");
    assert_eq!(
        wish("4").sharing("k", &[3]).get(&mut ipam),
        "192.0.2.0 from a",
        "others do not, even with the key"
    );
    let reason = wish("5").sharing("k", &[3]).addresses("192.0.2.8").refused(&ipam);
    assert_eq!(reason.code(), "AddressReserved");
}

#[test]
fn a_held_address_goes_back_to_who_had_it() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/29"])]);
    take(&mut ipam, 3);
    ipam.release(at("192.0.2.1"), &key("s1"));
    assert_eq!(ipam.hold(at("192.0.2.1"), &key("s1")), None);
    assert_eq!(ipam.held_by(at("192.0.2.1")), Some(&key("s1")));
    assert_eq!(count(&ipam, "a"), (2, 6), "it counts as available");
    assert_eq!(wish("x").get(&mut ipam), "192.0.2.3 from a");
    assert_eq!(
        wish("x").addresses("192.0.2.1").complaint(&ipam),
        "the address 192.0.2.1 is kept for default/s1, which had it (reuseDelay)"
    );
    assert_eq!(wish("x").addresses(".1").get(&mut ipam), "PoolExhausted");
    assert_eq!(wish("s1").get(&mut ipam), "192.0.2.1 from a");
    assert_eq!(ipam.held_by(at("192.0.2.1")), None, "it is not held beyond that");
    assert_eq!(ipam.held(&"a".into()).count(), 0);
}

#[test]
fn a_held_address_is_given_back_only_if_it_is_what_is_asked_for() {
    let allocation =
        Some(Allocation { service_selectors: vec![Selector::label("x", "y")], ..Allocation::default() });
    let mut ipam = ipam([pool("a", &["192.0.2.0/29", "2001:db8::/64"]), pool("b", &["198.51.100.0/28"])]);
    ipam.hold(at("192.0.2.5"), &key("web"));
    assert_eq!(wish("web").in_pool("b").get(&mut ipam), "198.51.100.0 from b");
    assert_eq!(wish("web").addresses("192.0.2.6").get(&mut ipam), "192.0.2.6 from a");
    assert_eq!(wish("web").addresses(".4").get(&mut ipam), "192.0.2.4 from a");
    assert_eq!(wish("web").families(&[V6], SingleStack).get(&mut ipam), "2001:db8:: from a");
    ipam.avoid([at("192.0.2.5")].into());
    assert_eq!(wish("web").get(&mut ipam), "192.0.2.0 from a", "it belongs to the network now");
    ipam.avoid(BTreeSet::new());
    ipam.set_pool(Pool { auto_assign: false, ..pool("a", &["192.0.2.0/29", "2001:db8::/64"]) }.into())
        .unwrap();
    assert_eq!(wish("web").get(&mut ipam), "198.51.100.1 from b", "the pool is on request only");
    ipam.set_pool(Pool { allocation, ..pool("a", &["192.0.2.0/29", "2001:db8::/64"]) }.into()).unwrap();
    assert_eq!(wish("web").get(&mut ipam), "198.51.100.2 from b", "the pool is for others");
    ipam.set_pool(pool("a", &["192.0.2.0/29", "2001:db8::/64"]).into()).unwrap();
    assert_eq!(wish("web").addresses(".5").get(&mut ipam), "192.0.2.5 from a");
}

#[test]
fn a_reservation_beats_a_hold() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/29"])]);
    ipam.hold(at("192.0.2.5"), &key("former"));
    ipam.hold(at("192.0.2.6"), &key("web"));
    reserve(&mut ipam, for_service("r", &["192.0.2.4-192.0.2.6"], "web"));
    assert_eq!(wish("former").get(&mut ipam), "192.0.2.0 from a");
    assert_eq!(wish("web").addresses("192.0.2.5").get(&mut ipam), "192.0.2.5 from a");
    assert_eq!(wish("web").get(&mut ipam), "192.0.2.6 from a", "what it had comes before what is lower");
    assert_eq!(wish("web").get(&mut ipam), "192.0.2.4 from a");
}

#[test]
fn a_hold_ends_when_it_is_dropped_and_the_oldest_gives_way() {
    let mut ipam = ipam([pool("a", &["10.0.0.0/16"])]);
    for number in 0..256_u16 {
        let [high, low] = number.to_be_bytes();
        assert_eq!(ipam.hold(IpAddr::from([10, 0, high, low]), &key(&number.to_string())), None);
    }
    assert_eq!(ipam.hold(at("10.0.9.9"), &key("more")), Some(at("10.0.0.0")));
    let held: Vec<_> = ipam.held(&"a".into()).map(|(address, _)| address).collect();
    assert_eq!((held.len(), held[0], held[255]), (256, at("10.0.0.1"), at("10.0.9.9")));
    assert_eq!(wish("x").get(&mut ipam), "10.0.0.0 from a");
    assert_eq!(wish("x").get(&mut ipam), "10.0.1.0 from a");
    assert_eq!(ipam.drop_hold(at("10.0.0.7")), Some(key("7")));
    assert_eq!(ipam.drop_hold(at("10.0.0.7")), None);
    assert_eq!(wish("x").get(&mut ipam), "10.0.0.7 from a");
}

#[test]
fn nothing_in_use_or_outside_every_pool_is_held_but_what_is_held_survives_its_pool() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/29"])]);
    take(&mut ipam, 1);
    ipam.hold(at("192.0.2.0"), &key("x"));
    ipam.hold(at("203.0.113.1"), &key("x"));
    assert_eq!((ipam.held_by(at("192.0.2.0")), ipam.held_by(at("203.0.113.1"))), (None, None));
    ipam.hold(at("192.0.2.1"), &key("x"));
    ipam.remove_pool(&"a".into());
    ipam.set_pool(pool("b", &["192.0.2.0/30"]).into()).unwrap();
    assert_eq!(ipam.held(&"b".into()).collect::<Vec<_>>(), [(at("192.0.2.1"), &key("x"))]);
    assert_eq!(wish("y").get(&mut ipam), "192.0.2.2 from b");
    assert_eq!(wish("x").get(&mut ipam), "192.0.2.1 from b");
}

#[test]
fn a_namespace_has_at_most_so_many_addresses_of_a_pool() {
    let mut ipam = ipam([Pool { max_per_namespace: Some(2), ..pool("a", &["192.0.2.0/28"]) }]);
    assert_eq!(take(&mut ipam, 2), ["192.0.2.0 from a", "192.0.2.1 from a"]);
    let text = "namespace default cannot have more than 2 addresses of pool a (maxAddressesPerNamespace)";
    assert_eq!(wish("2").complaint(&ipam), text);
    assert_eq!(wish("2").addresses("192.0.2.9").complaint(&ipam), text);
    assert_eq!(wish("2").addresses(".9").complaint(&ipam), text);
    assert_eq!(wish("2").in_pool("a").complaint(&ipam), text);
    assert_eq!(wish("2").of("other").get(&mut ipam), "192.0.2.2 from a");
    ipam.release(at("192.0.2.0"), &key("s0"));
    assert_eq!(wish("2").get(&mut ipam), "192.0.2.0 from a");
}

#[test]
fn over_quota_the_next_pool_serves() {
    let mut ipam = ipam([
        Pool { max_per_namespace: Some(1), ..pool("a", &["192.0.2.0/28", "2001:db8::/64"]) },
        Pool { max_per_namespace: Some(1), ..pool("b", &["198.51.100.0/28"]) },
        pool("c", &["203.0.113.0/32"]),
    ]);
    assert_eq!(
        wish("0").families(&[V4, V6], RequireDualStack).of("other").get(&mut ipam),
        "198.51.100.0 from b, 2001:db8:: from a",
        "the first family does not take what the second needs"
    );
    let prefer = wish("1").families(&[V6, V4], PreferDualStack);
    assert_eq!(prefer.get(&mut ipam), "2001:db8::1 from a, 198.51.100.1 from b");
    assert_eq!(wish("2").get(&mut ipam), "203.0.113.0 from c");
    assert_eq!(
        wish("3").complaint(&ipam),
        "namespace default cannot have more than 1 addresses of pool a (maxAddressesPerNamespace): \
         pool a gives this namespace 1 addresses and no more (maxAddressesPerNamespace); \
         pool b gives this namespace 1 addresses and no more (maxAddressesPerNamespace); \
         pool c has 0 of 1 IPv4 addresses free"
    );
}

#[test]
fn a_shared_address_counts_once_for_each_namespace() {
    let mut ipam = ipam([Pool { max_per_namespace: Some(1), ..pool("a", &["192.0.2.0/28"]) }]);
    assert_eq!(wish("1").sharing("k", &[1]).get(&mut ipam), "192.0.2.0 from a");
    assert_eq!(wish("2").sharing("k", &[2]).get(&mut ipam), "192.0.2.0 from a");
    assert_eq!(wish("3").sharing("k", &[3]).of("other").get(&mut ipam), "192.0.2.0 from a");
    assert_eq!(wish("4").of("other").get(&mut ipam), "QuotaExceeded");
    assert_eq!(wish("5").sharing("k", &[1]).get(&mut ipam), "QuotaExceeded", "it would be a new address");
    ipam.release(at("192.0.2.0"), &key("1"));
    assert_eq!(wish("6").get(&mut ipam), "QuotaExceeded", "there is still another one");
    ipam.release(at("192.0.2.0"), &key("2"));
    assert_eq!(wish("6").get(&mut ipam), "192.0.2.1 from a");
}

#[test]
fn a_new_or_lower_limit_takes_nothing_away() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"])]);
    take(&mut ipam, 3);
    let limited = |limit| Pool { max_per_namespace: limit, ..pool("a", &["192.0.2.0/28"]) };
    ipam.set_pool(limited(Some(2)).into()).unwrap();
    assert_eq!(wish("x").get(&mut ipam), "QuotaExceeded");
    assert_eq!(wish("s2").addresses("192.0.2.2").get(&mut ipam), "192.0.2.2 from a", "who has it has it");
    ipam.set_pool(limited(Some(4)).into()).unwrap();
    assert_eq!(wish("x").get(&mut ipam), "192.0.2.3 from a");
    assert_eq!(wish("x").get(&mut ipam), "QuotaExceeded");
    ipam.set_pool(limited(None).into()).unwrap();
    assert_eq!(wish("x").get(&mut ipam), "192.0.2.4 from a");
    ipam.remove_pool(&"a".into());
    ipam.set_pool(limited(Some(5)).into()).unwrap();
    assert_eq!(wish("x").get(&mut ipam), "QuotaExceeded", "those in use before count, too");
}

#[test]
fn what_a_service_gives_up_does_not_count_against_its_namespace() {
    let mut ipam =
        ipam([Pool { max_per_namespace: Some(1), ..pool("a", &["192.0.2.0/28", "2001:db8::/64"]) }]);
    take(&mut ipam, 1);
    assert_eq!(wish("s0").addresses("192.0.2.9").has(&["192.0.2.0"]).get(&mut ipam), "192.0.2.9 from a");
    ipam.release(at("192.0.2.0"), &key("s0"));
    let second = wish("s0").families(&[V6], SingleStack).has(&["192.0.2.9"]);
    assert_eq!(second.get(&mut ipam), "QuotaExceeded", "what it keeps counts");
    assert_eq!(
        wish("x").addresses("192.0.2.8").has(&["192.0.2.9"]).get(&mut ipam),
        "QuotaExceeded",
        "it is not its own"
    );
}
