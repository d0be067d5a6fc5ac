//! Addresses, ends of addresses, and pools that are asked for.

use super::*;
use crate::view::{Family::V6, FamilyPolicy::PreferDualStack, FamilyPolicy::RequireDualStack};

#[test]
fn requests_for_an_address_say_why_they_fail() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"]), pool("b", &["198.51.100.0/28", "2001:db8::/64"])]);
    let first = wish("first").addresses("192.0.2.3");
    assert_eq!(first.get(&mut ipam), "192.0.2.3 from a");
    assert_eq!(first.get(&mut ipam), "192.0.2.3 from a", "it has it already");
    let reason = |wish: Wish| wish.complaint(&ipam);
    assert_eq!(reason(wish("x").addresses("192.0.2.3")), "the address 192.0.2.3 is in use by default/first");
    assert_eq!(reason(wish("x").addresses("203.0.113.1")), "the requested address 203.0.113.1 is in no pool");
    assert_eq!(
        reason(wish("x").addresses("192.0.2.4").in_pool("b")),
        "the requested address 192.0.2.4 is in pool a, but has to come from pool b"
    );
    assert_eq!(reason(wish("x").in_pool("c")), "the requested pool c does not exist, or was refused");
    assert_eq!(
        reason(wish("x").addresses("2001:db8::1")),
        "the requested address 2001:db8::1 is IPv6, but the Service has no IPv6 cluster IP"
    );
    assert_eq!(
        reason(wish("x").in_pool("a").families(&[V6], SingleStack)),
        "no pool can serve IPv6: pool a has no IPv6 addresses"
    );
}

#[test]
fn two_requested_addresses_may_lie_in_two_pools() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"]), pool("b", &["2001:db8::/64"])]);
    let both = wish("1").addresses("192.0.2.4,2001:db8::1:1").families(&[V6, V4], RequireDualStack);
    assert_eq!(both.get(&mut ipam), "2001:db8::1:1 from b, 192.0.2.4 from a");
    let other = wish("2").addresses("192.0.2.5,2001:db8::1:1").families(&[V4, V6], PreferDualStack);
    assert_eq!(other.get(&mut ipam), "AddressInUse", "what is asked for is not optional");
}

#[test]
fn the_other_family_of_a_requested_address_comes_from_its_pool_first() {
    let mut ipam = ipam([
        pool("a", &["2001:db8:a::/64"]),
        pool("b", &["192.0.2.0/28", "2001:db8:b::/127"]),
        pool("c", &["198.51.100.0/28"]),
    ]);
    let both =
        |name: &str, address: &str| wish(name).addresses(address).families(&[V4, V6], RequireDualStack);
    assert_eq!(both("1", "192.0.2.7").get(&mut ipam), "192.0.2.7 from b, 2001:db8:b:: from b");
    assert_eq!(both("2", "198.51.100.7").get(&mut ipam), "198.51.100.7 from c, 2001:db8:a:: from a");
    let only_b = wish("3").addresses("198.51.100.8").in_pool("c");
    assert_eq!(
        only_b.families(&[V4, V6], RequireDualStack).complaint(&ipam),
        "no pool can serve IPv6: pool c has no IPv6 addresses"
    );
    let prefer = wish("4").addresses("198.51.100.8").in_pool("c").families(&[V4, V6], PreferDualStack);
    assert_eq!(prefer.get(&mut ipam), "198.51.100.8 from c");
}

#[test]
fn families_that_the_service_or_no_pool_has() {
    let ipam = ipam([pool("a", &["192.0.2.0/28"])]);
    let reason = |families: &[Family], policy| wish("x").families(families, policy).complaint(&ipam);
    assert_eq!(reason(&[V6], SingleStack), "no pool can serve IPv6: pool a has no IPv6 addresses");
    assert_eq!(
        reason(&[V4], RequireDualStack),
        "the Service requires both families, but has a cluster IP of IPv4 only"
    );
    assert_eq!(reason(&[V4, V6], RequireDualStack), "no pool can serve IPv6: pool a has no IPv6 addresses");
    assert!(reason(&[], SingleStack).contains("no cluster IP"));
    assert_eq!(wish("x").complaint(&Ipam::new()), "there is no address pool: create an IPAddressPool");
}

#[test]
fn an_end_of_an_address_is_looked_for_in_pool_order() {
    let mut ipam = ipam([
        pool("a", &["192.0.2.0/28", "198.51.100.0/24"]),
        pool("b", &["10.1.0.0/16", "2001:db8::/112"]),
        pool("c", &["2001:db8:1::/48"]),
    ]);
    let mut ending = |name: &str, end: &str, families: &[Family]| {
        wish(name).addresses(end).families(families, SingleStack).get(&mut ipam)
    };
    assert_eq!(ending("1", ".10", &[V4]), "192.0.2.10 from a");
    assert_eq!(ending("2", ".10", &[V4]), "198.51.100.10 from a");
    assert_eq!(ending("3", ".10", &[V4]), "10.1.0.10 from b");
    assert_eq!(ending("4", ".10", &[V4]), "10.1.1.10 from b");
    assert_eq!(ending("5", ".1.10", &[V4]), "PoolExhausted");
    assert_eq!(ending("6", ".2.10", &[V4]), "10.1.2.10 from b");
    assert_eq!(ending("7", "::1", &[V6]), "2001:db8::1 from b");
    assert_eq!(ending("8", "::1", &[V6]), "2001:db8:1::1 from c");
    assert_eq!(ending("9", "::1", &[V6]), "2001:db8:1:1::1 from c");
    assert_eq!(ending("10", "::1:0:0:1", &[V6]), "2001:db8:1:0:1::1 from c", "too long for b");
    let reason = wish("x").addresses(".16.10").in_pool("a").refused(&ipam);
    assert_eq!(
        reason.to_string(),
        "the requested address .16.10 is the end of no address: pool a has no address that ends in .16.10"
    );
    let reason = wish("x").addresses(".1.10").refused(&ipam);
    assert_eq!(
        reason.to_string(),
        "no address is free: pool a has no address that ends in .1.10; pool b has no address that ends in .1.10 \
         and is neither in use nor kept for others; pool c has no address that ends in .1.10"
    );
    let both = wish("y").addresses(".9,::9").families(&[V6, V4], RequireDualStack);
    assert_eq!(both.get(&mut ipam), "2001:db8::9 from b, 192.0.2.9 from a");
    assert!(ipam.meets(at("192.0.2.9"), &both.request.addresses[0]));
    assert!(ipam.meets(at("2001:db8::9"), &both.request.addresses[1]));
    assert!(
        ipam.meets(at("2001:db8::1:9"), &both.request.addresses[1]),
        "outside every pool it is as written"
    );
    assert!(!ipam.meets(at("2001:db8::1:8"), &both.request.addresses[1]));
}

#[test]
fn ends_of_addresses_skip_what_a_pool_does_not_give_out() {
    let exclude = vec![range("192.0.2.1")];
    let mut ipam = ipam([Pool { avoid_buggy_ips: true, exclude, ..pool("a", &["192.0.2.0/23"]) }]);
    assert_eq!(wish("1").addresses(".1").get(&mut ipam), "192.0.3.1 from a");
    assert_eq!(wish("2").addresses(".0").get(&mut ipam), "AddressNotInPool");
}

#[test]
fn what_the_network_keeps_is_skipped_but_not_refused_on_request() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/29"])]);
    ipam.claim(at("192.0.2.3"), &key("early"), None).unwrap();
    ipam.avoid(["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", "203.0.113.1"].map(at).into());
    assert_eq!(count(&ipam, "a"), (1, 7), "it counts as available");
    assert_eq!(wish("1").get(&mut ipam), "192.0.2.4 from a");
    assert_eq!(wish("2").addresses("192.0.2.1").get(&mut ipam), "192.0.2.1 from a");
    assert_eq!(wish("3").addresses(".2").get(&mut ipam), "192.0.2.2 from a", "its end is a request, too");
    ipam.release(at("192.0.2.1"), &key("2"));
    assert_eq!(wish("4").get(&mut ipam), "192.0.2.5 from a", "it is still avoided");
    ipam.avoid([at("192.0.2.6")].into());
    assert_eq!(wish("5").get(&mut ipam), "192.0.2.0 from a", "what is said last counts");
    ipam.release(at("192.0.2.3"), &key("early"));
    assert_eq!(
        take(&mut ipam, 4),
        ["192.0.2.1 from a", "192.0.2.3 from a", "192.0.2.7 from a", "PoolExhausted"]
    );
    assert!(
        wish("6")
            .complaint(&ipam)
            .ends_with("pool a has 0 of 8 IPv4 addresses free (1 kept for nodes, routers and strangers)")
    );
}
