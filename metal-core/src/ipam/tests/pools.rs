//! Which address comes next.

use alloc::collections::BTreeSet;

use super::*;
use crate::{
    config::Allocation,
    selector::Selector,
    view::{Family::V6, FamilyPolicy::PreferDualStack, FamilyPolicy::RequireDualStack},
};

fn pinned(name: &str, range: &str, allocation: Allocation) -> Pool {
    Pool { allocation: Some(allocation), ..pool(name, &[range]) }
}

fn for_namespace(namespace: &str) -> Allocation {
    Allocation { namespaces: BTreeSet::from([namespace.into()]), ..Allocation::default() }
}

fn for_label(key: &str, value: &str) -> Allocation {
    Allocation { service_selectors: vec![Selector::label(key, value)], ..Allocation::default() }
}

fn for_namespace_label(key: &str, value: &str) -> Allocation {
    Allocation { namespace_selectors: vec![Selector::label(key, value)], ..Allocation::default() }
}

#[test]
fn ranges_are_used_in_their_order_and_each_from_below() {
    let mut ipam = ipam([pool("a", &["192.0.2.8-192.0.2.9", "192.0.2.1/32"])]);
    assert_eq!(
        take(&mut ipam, 4),
        ["192.0.2.8 from a", "192.0.2.9 from a", "192.0.2.1 from a", "PoolExhausted"]
    );
    assert!(!ipam.release(at("192.0.2.9"), &key("s0")), "it belongs to another one");
    assert!(ipam.release(at("192.0.2.9"), &key("s1")));
    assert!(!ipam.release(at("192.0.2.9"), &key("s1")), "it is free already");
    assert_eq!(wish("again").get(&mut ipam), "192.0.2.9 from a");
}

#[test]
fn network_and_broadcast_addresses_of_a_pool_are_addresses_like_others() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/30"])]);
    assert_eq!(take(&mut ipam, 4)[0], "192.0.2.0 from a");
    assert_eq!(ipam.owners(at("192.0.2.3")).next(), Some(&key("s3")));
}

#[test]
fn general_pools_are_tried_by_name() {
    let mut ipam = ipam([pool("b", &["192.0.2.1/32"]), pool("a", &["192.0.2.2/32"])]);
    assert_eq!(take(&mut ipam, 2), ["192.0.2.2 from a", "192.0.2.1 from b"]);
}

#[test]
fn addresses_that_end_in_0_and_255_are_left_alone_on_demand() {
    let mut ipam =
        ipam([Pool { avoid_buggy_ips: true, ..pool("a", &["192.0.2.254-192.0.3.1", "2001:db8::/127"]) }]);
    assert_eq!(ipam.usage(&"a".into()).unwrap().available_v4, 2);
    assert_eq!(take(&mut ipam, 3), ["192.0.2.254 from a", "192.0.3.1 from a", "PoolExhausted"]);
    assert_eq!(wish("4").families(&[V6], SingleStack).get(&mut ipam), "2001:db8:: from a");
    assert_eq!(
        wish("5").addresses("192.0.2.255").complaint(&ipam),
        "the requested address 192.0.2.255 ends in .0 or .255, which pool a leaves alone (avoidBuggyIPs)"
    );
    assert!(!ipam.is_inside(at("192.0.2.255")) && ipam.is_inside(at("192.0.3.1")));
}

#[test]
fn a_large_pool_without_buggy_addresses_is_used_up_word_by_word() {
    let mut ipam = ipam([Pool { avoid_buggy_ips: true, ..pool("a", &["10.0.0.0/22"]) }]);
    let got: BTreeSet<_> = take(&mut ipam, 1016).into_iter().collect();
    assert_eq!(got.len(), 1016);
    assert!(!got.iter().any(|text| text.contains(".0 from") || text.contains(".255 from")));
    assert_eq!(wish("more").get(&mut ipam), "PoolExhausted");
    assert_eq!(count(&ipam, "a"), (1016, 0));
    ipam.release(at("10.0.1.254"), &key("s507"));
    assert_eq!(wish("more").get(&mut ipam), "10.0.1.254 from a");
}

#[test]
fn capacity_without_buggy_addresses() {
    for (range, usable) in [
        ("198.51.100.0/24", 254),
        ("198.51.100.0/25", 127),
        ("198.51.100.128/25", 127),
        ("198.51.100.1-198.51.101.0", 254),
        ("198.51.100.0/23", 508),
        ("198.51.100.0/32", 0),
    ] {
        let ipam = ipam([Pool { avoid_buggy_ips: true, ..pool("a", &[range]) }]);
        assert_eq!(count(&ipam, "a"), (0, usable), "{range}");
        assert_eq!(ipam.has_room(&"a".into()), usable > 0, "{range}");
    }
    let both = ipam([pool("a", &["198.51.100.0/24", "192.0.2.0/25"])]);
    assert_eq!(count(&both, "a"), (0, 384));
}

#[test]
fn counters_saturate_and_exact_ones_do_not() {
    let ipam = ipam([pool("a", &["::/1", "192.0.2.0/24"]), pool("b", &["fd00::/64"])]);
    assert_eq!(ipam.usage(&"a".into()).unwrap().available_v6, u64::MAX);
    assert_eq!(ipam.count(&"a".into(), V6).unwrap().available, 1 << 127);
    assert_eq!(ipam.usage(&"a".into()).unwrap().available_v4, 256, "the other family is not affected");
    assert_eq!(ipam.count(&"b".into(), V6).unwrap().capacity, 1 << 64);
    assert_eq!(ipam.count(&"c".into(), V6), None);
}

#[test]
fn what_is_excluded_is_not_there() {
    let exclude = vec![range("192.0.2.1"), range("192.0.2.3-192.0.2.5")];
    let mut ipam = ipam([Pool { exclude, ..pool("a", &["192.0.2.0-192.0.2.6"]) }]);
    assert_eq!(count(&ipam, "a"), (0, 3));
    assert_eq!(
        wish("x").addresses("192.0.2.4").complaint(&ipam),
        "the requested address 192.0.2.4 is excluded from pool a (exclude)"
    );
    ipam.claim(at("192.0.2.4"), &key("former"), None).unwrap();
    assert!(!ipam.is_inside(at("192.0.2.4")), "what is in use there lies outside");
    assert_eq!(ipam.pool_of(at("192.0.2.4")).map(|pool| pool.name.as_str()), Some("a"));
    assert_eq!(count(&ipam, "a"), (1, 3));
    assert_eq!(wish("former").addresses("192.0.2.4").get(&mut ipam), "192.0.2.4 from a", "who has it has it");
    assert_eq!(
        take(&mut ipam, 4),
        ["192.0.2.0 from a", "192.0.2.2 from a", "192.0.2.6 from a", "PoolExhausted"]
    );
    ipam.release(at("192.0.2.4"), &key("former"));
    assert!(!ipam.has_room(&"a".into()), "it does not come back");
    ipam.set_pool(pool("a", &["192.0.2.0-192.0.2.6"]).into()).unwrap();
    assert_eq!(wish("y").get(&mut ipam), "192.0.2.1 from a");
}

#[test]
fn pinned_pools_come_first_by_priority_with_zero_last() {
    let with = |priority| Allocation { priority, ..Allocation::default() };
    let mut ipam = ipam([
        pool("a-general", &["192.0.2.1/32"]),
        pinned("b-unset", "192.0.2.2/32", with(0)),
        pinned("c-two", "192.0.2.3/32", with(2)),
        pinned("d-one", "192.0.2.4/32", with(1)),
        pinned("e-negative", "192.0.2.5/32", with(-1)),
        pinned("b-one", "192.0.2.6/32", with(1)),
    ]);
    assert_eq!(
        take(&mut ipam, 7),
        [
            "192.0.2.5 from e-negative",
            "192.0.2.6 from b-one",
            "192.0.2.4 from d-one",
            "192.0.2.3 from c-two",
            "192.0.2.2 from b-unset",
            "192.0.2.1 from a-general",
            "PoolExhausted"
        ]
    );
}

#[test]
fn pinned_pools_serve_only_those_they_are_for_and_are_no_fall_back() {
    let mut ipam = ipam([
        pinned("label", "192.0.2.16/28", Allocation { priority: 1, ..for_label("tier", "gold") }),
        pinned("namespace", "192.0.2.0/28", Allocation { priority: 2, ..for_namespace("default") }),
    ]);
    assert_eq!(wish("1").get(&mut ipam), "192.0.2.0 from namespace");
    assert_eq!(wish("2").labelled("tier", "gold").get(&mut ipam), "192.0.2.16 from label");
    assert_eq!(
        wish("3").of("other").complaint(&ipam),
        "no pool may serve this Service: pool label is reserved for Services with other labels \
         (serviceAllocation.serviceSelectors); pool namespace is reserved for other namespaces \
         (serviceAllocation.namespaces and namespaceSelectors)"
    );
    assert_eq!(wish("4").in_pool("label").refused(&ipam).code(), "PoolNotAllowed");
    assert_eq!(
        wish("5").addresses("192.0.2.17").complaint(&ipam),
        "pool label may not serve this Service: it is reserved for Services with other labels \
         (serviceAllocation.serviceSelectors)"
    );
}

#[test]
fn namespaces_are_selected_by_name_or_by_label_and_one_must_match() {
    let both =
        Allocation { namespaces: BTreeSet::from(["named".into()]), ..for_namespace_label("team", "red") };
    let none = Allocation { namespaces: BTreeSet::new(), ..for_namespace_label("team", "nobody") };
    let exists = Selector {
        requirements: vec![crate::selector::Requirement {
            key: "any".into(),
            operator: crate::selector::Operator::Exists,
        }],
    };
    let any = Allocation { namespace_selectors: vec![exists], ..Allocation::default() };
    let mut ipam = ipam([
        pinned("a", "192.0.2.0/28", both),
        pinned("b", "192.0.2.16/28", none),
        pinned("c", "192.0.2.32/28", any),
    ]);
    let of = |namespace: &str, of_namespace: &[(&str, &str)]| Wish {
        namespace_labels: labels(of_namespace),
        ..wish(namespace).of(namespace)
    };
    assert_eq!(of("named", &[]).get(&mut ipam), "192.0.2.0 from a");
    assert_eq!(of("x", &[("team", "red"), ("any", "1")]).get(&mut ipam), "192.0.2.1 from a");
    assert_eq!(of("y", &[("team", "blue"), ("any", "1")]).get(&mut ipam), "192.0.2.32 from c");
    assert_eq!(
        of("z", &[]).get(&mut ipam),
        "NoMatchingPool",
        "a selector that matches nothing admits nobody"
    );
}

#[test]
fn namespace_and_service_must_both_match() {
    let allocation =
        Allocation { namespaces: BTreeSet::from(["default".into()]), ..for_label("tier", "gold") };
    let mut ipam = ipam([pinned("a", "192.0.2.0/28", allocation)]);
    assert_eq!(wish("1").get(&mut ipam), "NoMatchingPool");
    assert_eq!(wish("1").labelled("tier", "gold").of("other").get(&mut ipam), "NoMatchingPool");
    assert_eq!(wish("1").labelled("tier", "gold").get(&mut ipam), "192.0.2.0 from a");
}

#[test]
fn a_pool_on_request_only_serves_requests_for_it_or_its_addresses() {
    let mut ipam = ipam([Pool { auto_assign: false, ..pool("a", &["192.0.2.0/28"]) }]);
    assert_eq!(
        wish("1").complaint(&ipam),
        "no pool may serve this Service: pool a is given out on request only (autoAssign: false)"
    );
    assert_eq!(wish("2").in_pool("a").get(&mut ipam), "192.0.2.0 from a");
    assert_eq!(wish("3").addresses("192.0.2.9").get(&mut ipam), "192.0.2.9 from a");
    assert_eq!(wish("4").addresses(".9").get(&mut ipam), "NoMatchingPool", "an end does not name the pool");
    assert_eq!(wish("5").addresses(".8").in_pool("a").get(&mut ipam), "192.0.2.8 from a");
}

#[test]
fn two_families_come_from_one_pool_if_one_has_both_in_the_order_of_the_service() {
    let mut ipam = ipam([
        pool("a", &["192.0.2.0/32"]),
        pool("b", &["2001:db8:b::/128"]),
        pool("c", &["198.51.100.0/31", "2001:db8:c::/128"]),
    ]);
    let both = |name: &str, families: &[Family]| wish(name).families(families, RequireDualStack);
    assert_eq!(both("1", &[V6, V4]).get(&mut ipam), "2001:db8:c:: from c, 198.51.100.0 from c");
    assert_eq!(
        both("2", &[V4, V6]).get(&mut ipam),
        "192.0.2.0 from a, 2001:db8:b:: from b",
        "else two pools"
    );
    assert_eq!(
        both("3", &[V4, V6]).complaint(&ipam),
        "no address is free: pool a has no IPv6 addresses; pool b has 0 of 1 IPv6 addresses free; \
         pool c has 0 of 1 IPv6 addresses free"
    );
    let prefer = wish("4").families(&[V6, V4], PreferDualStack);
    let grant = ipam.allocate(&prefer.demand()).unwrap();
    assert_eq!((grant.addresses, grant.pools), (vec![at("198.51.100.1")], vec!["c".into()]));
    assert_eq!(grant.missing.unwrap().code(), "PoolExhausted");
}

#[test]
fn the_second_family_comes_later_and_from_the_same_pool_if_that_has_it() {
    let mut ipam = ipam([
        pool("a", &["2001:db8:a::/64"]),
        pool("b", &["192.0.2.0/28", "2001:db8:b::/127"]),
        pool("c", &["198.51.100.0/28"]),
    ]);
    let second = |name: &str, has: &str| wish(name).families(&[V6], SingleStack).has(&[has]);
    for (name, has, expected) in [
        ("1", "192.0.2.0", "2001:db8:b:: from b"),
        ("2", "198.51.100.0", "2001:db8:a:: from a"),
        ("3", "192.0.2.1", "2001:db8:b::1 from b"),
        ("4", "192.0.2.2", "2001:db8:a::1 from a"),
    ] {
        ipam.claim(at(has), &key(name), None).unwrap();
        assert_eq!(second(name, has).get(&mut ipam), expected, "{has}");
    }
}

#[test]
fn one_family_is_enough_for_a_service_with_one_cluster_ip() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28", "2001:db8::/64"])]);
    assert_eq!(wish("1").families(&[V6], PreferDualStack).get(&mut ipam), "2001:db8:: from a");
    assert_eq!(wish("2").families(&[V4, V4], SingleStack).get(&mut ipam), "192.0.2.0 from a");
}

#[test]
fn a_changed_pool_keeps_what_is_in_use() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/30"])]);
    take(&mut ipam, 3);
    ipam.set_pool(pool("a", &["192.0.2.1-192.0.2.9"]).into()).unwrap();
    assert_eq!(count(&ipam, "a"), (2, 7));
    assert_eq!(ipam.owners(at("192.0.2.0")).next(), Some(&key("s0")));
    assert!(ipam.pool_of(at("192.0.2.0")).is_none() && !ipam.is_inside(at("192.0.2.0")));
    assert_eq!(wish("3").get(&mut ipam), "192.0.2.3 from a");
    ipam.set_pool(pool("b", &["192.0.2.0/32"]).into()).unwrap();
    assert_eq!(count(&ipam, "b"), (1, 0), "what lies in no pool is not lost");
    assert_eq!(wish("4").get(&mut ipam), "192.0.2.4 from a");
    ipam.set_pool(Pool { auto_assign: false, ..pool("a", &["192.0.2.1-192.0.2.9"]) }.into()).unwrap();
    assert_eq!(wish("5").get(&mut ipam), "PoolExhausted");
    let overlap = ipam.set_pool(pool("c", &["192.0.2.9/32"]).into()).unwrap_err();
    assert_eq!(overlap.to_string(), "192.0.2.9 belongs to pool a already");
    assert!(ipam.pool(&"c".into()).is_none());
}

#[test]
fn a_removed_pool_leaves_what_is_in_use_to_its_users_and_to_its_successor() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/30"])]);
    take(&mut ipam, 2);
    assert!(ipam.remove_pool(&"a".into()).is_some());
    assert!(ipam.remove_pool(&"a".into()).is_none());
    assert_eq!(ipam.usage(&"a".into()), None);
    let used: Vec<_> = ipam.used_in(range("192.0.2.0/24")).map(|(address, _)| address.to_string()).collect();
    assert_eq!(used, ["192.0.2.0", "192.0.2.1"]);
    ipam.release(at("192.0.2.0"), &key("s0"));
    ipam.set_pool(pool("b", &["192.0.2.0/31"]).into()).unwrap();
    assert_eq!(take(&mut ipam, 2), ["192.0.2.0 from b", "PoolExhausted"]);
}

#[test]
fn used_addresses_are_listed_in_order_whether_or_not_they_lie_in_pools() {
    let mut ipam = ipam([pool("a", &["192.0.2.8/29"]), pool("b", &["2001:db8::/64"])]);
    for address in ["192.0.2.9", "192.0.2.1", "2001:db8::5", "192.0.2.8", "192.0.2.200"] {
        ipam.claim(at(address), &key(address), None).unwrap();
    }
    ipam.avoid([at("192.0.2.10")].into());
    ipam.hold(at("192.0.2.11"), &key("former"));
    let used: Vec<_> = ipam.used_in(range("192.0.2.1-192.0.2.100")).map(|(_, owner)| &*owner.name).collect();
    assert_eq!(used, ["192.0.2.1", "192.0.2.8", "192.0.2.9"]);
}
