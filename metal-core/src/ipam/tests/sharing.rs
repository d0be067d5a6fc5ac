//! Services that share an address.

use super::*;
use crate::{
    config::{Allocation, SharingPolicy},
    sharing::Sharing,
    view::{Family::V6, FamilyPolicy::PreferDualStack},
};

fn local(key: &str, selector: &[(&str, &str)], port: u16) -> Option<Sharing> {
    Sharing::new(key, Backend::local(&labels(selector)), [tcp(port)])
}

#[test]
fn services_with_the_same_key_and_other_ports_share() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"])]);
    assert_eq!(wish("1").sharing("k", &[80, 443]).get(&mut ipam), "192.0.2.0 from a");
    assert_eq!(
        wish("2").sharing("k", &[53]).get(&mut ipam),
        "192.0.2.0 from a",
        "what is shared already is preferred"
    );
    assert_eq!(
        wish("3").sharing("k", &[443]).get(&mut ipam),
        "192.0.2.1 from a",
        "not with a port of another one"
    );
    assert_eq!(wish("4").sharing("other", &[1]).get(&mut ipam), "192.0.2.2 from a");
    assert_eq!(wish("5").get(&mut ipam), "192.0.2.3 from a");
    assert_eq!(wish("6").sharing("k", &[80]).get(&mut ipam), "192.0.2.1 from a");
    assert_eq!(count(&ipam, "a"), (4, 12), "an address that is shared counts once");
    let owners: Vec<_> = ipam.owners(at("192.0.2.0")).cloned().collect();
    assert_eq!(owners, [key("1"), key("2")]);
}

#[test]
fn protocols_have_ports_of_their_own() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"])]);
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        let sharing = Sharing::new("k", Backend::Anywhere, [Port { protocol, number: 53 }]);
        assert_eq!(Wish { sharing, ..wish(&protocol.to_string()) }.get(&mut ipam), "192.0.2.0 from a");
    }
}

#[test]
fn requests_for_an_address_that_cannot_be_shared_say_why() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"])]);
    Wish { sharing: local("k", &[("app", "a")], 80), ..wish("first") }.get(&mut ipam);
    wish("alone").get(&mut ipam);
    let ask = |wish: Wish| wish.addresses("192.0.2.0").complaint(&ipam);
    assert_eq!(ask(wish("x")), "the address 192.0.2.0 is in use by default/first");
    assert_eq!(
        ask(wish("x").sharing("other", &[1])),
        "the address 192.0.2.0 cannot be shared with default/first: the values of their annotation \
         metallb.io/allow-shared-ip differ"
    );
    assert_eq!(
        ask(Wish { sharing: local("k", &[("app", "b")], 81), ..wish("x") }),
        "the address 192.0.2.0 cannot be shared with default/first: with externalTrafficPolicy Local both need \
         that policy and the same selector"
    );
    assert_eq!(
        ask(Wish { sharing: local("k", &[("app", "a")], 80), ..wish("x") }),
        "the address 192.0.2.0 cannot be shared with default/first: both have the port TCP/80"
    );
    let alone = wish("x").sharing("k", &[80]).addresses("192.0.2.1").refused(&ipam);
    assert_eq!(alone, Reason::AddressInUse { address: at("192.0.2.1"), by: key("alone") });
}

#[test]
fn cluster_services_share_whatever_their_selectors_and_local_ones_only_with_the_same() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"])]);
    let mut get = |name: &str, sharing| Wish { sharing, ..wish(name) }.get(&mut ipam);
    assert_eq!(get("1", local("k", &[("app", "a"), ("tier", "x")], 1)), "192.0.2.0 from a");
    assert_eq!(get("2", local("k", &[("tier", "x"), ("app", "a")], 2)), "192.0.2.0 from a");
    assert_eq!(get("3", local("k", &[("app", "a")], 3)), "192.0.2.1 from a");
    assert_eq!(get("4", shares("k", &[4])), "192.0.2.2 from a");
    assert_eq!(get("5", local("k", &[], 5)), "192.0.2.2 from a", "without a selector it is as with Cluster");
}

#[test]
fn the_only_user_of_an_address_may_change_how_it_shares() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"])]);
    let address = at("192.0.2.0");
    wish("1").sharing("k", &[80]).get(&mut ipam);
    assert_eq!(ipam.claim(address, &key("1"), shares("new", &[81]).as_ref()), Ok(()));
    assert_eq!(wish("2").sharing("k", &[82]).get(&mut ipam), "192.0.2.1 from a");
    assert_eq!(wish("3").sharing("new", &[80]).get(&mut ipam), "192.0.2.0 from a");
    // Now there is somebody else.
    let conflict = ipam.claim(address, &key("1"), shares("k", &[81]).as_ref()).unwrap_err();
    assert_eq!(conflict, Conflict { by: key("3"), problem: SharingProblem::Keys });
    let conflict = ipam.claim(address, &key("1"), None).unwrap_err();
    assert_eq!(conflict, Conflict { by: key("3"), problem: SharingProblem::NotShared });
    let conflict = ipam.claim(address, &key("1"), shares("new", &[80]).as_ref()).unwrap_err();
    assert_eq!(conflict, Conflict { by: key("3"), problem: SharingProblem::Port(tcp(80)) });
    assert_eq!(
        wish("4").sharing("new", &[81]).get(&mut ipam),
        "192.0.2.2 from a",
        "it keeps its former port"
    );
    assert_eq!(ipam.claim(address, &key("1"), shares("new", &[83]).as_ref()), Ok(()));
    assert_eq!(wish("5").sharing("new", &[81]).get(&mut ipam), "192.0.2.0 from a", "which is free now");
}

#[test]
fn who_leaves_frees_its_ports_and_the_last_one_the_address() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/31"])]);
    for name in ["1", "2", "3"] {
        let port = name.parse().unwrap();
        wish(name).sharing("k", &[port]).get(&mut ipam);
    }
    assert!(!ipam.release(at("192.0.2.0"), &key("other")));
    assert!(ipam.release(at("192.0.2.0"), &key("1")));
    assert!(!ipam.release(at("192.0.2.0"), &key("1")));
    assert_eq!(wish("4").sharing("k", &[1]).get(&mut ipam), "192.0.2.0 from a");
    for name in ["2", "3", "4"] {
        assert!(ipam.release(at("192.0.2.0"), &key(name)));
    }
    assert_eq!(count(&ipam, "a"), (0, 2));
    assert_eq!(wish("5").get(&mut ipam), "192.0.2.0 from a");
    assert_eq!(wish("6").sharing("k", &[1]).get(&mut ipam), "192.0.2.1 from a", "nothing of the key is left");
}

#[test]
fn the_first_pool_with_either_a_shared_or_a_free_address_serves() {
    let allocation = Some(Allocation { priority: 1, ..Allocation::default() });
    let mut ipam = ipam([
        Pool { allocation, ..pool("pinned", &["192.0.2.0/31"]) },
        pool("a", &["198.51.100.0/32"]),
        pool("b", &["203.0.113.0/28"]),
    ]);
    wish("early").sharing("k", &[1]).in_pool("b").get(&mut ipam);
    assert_eq!(
        wish("1").sharing("k", &[2]).get(&mut ipam),
        "192.0.2.0 from pinned",
        "an earlier pool has a free one"
    );
    assert_eq!(wish("2").get(&mut ipam), "192.0.2.1 from pinned");
    assert_eq!(
        wish("3").sharing("k", &[3]).get(&mut ipam),
        "192.0.2.0 from pinned",
        "a full pool has one to share"
    );
    assert_eq!(wish("4").sharing("k", &[1]).get(&mut ipam), "192.0.2.0 from pinned");
    assert_eq!(wish("5").sharing("k", &[1]).get(&mut ipam), "198.51.100.0 from a");
    assert_eq!(wish("6").sharing("k", &[1]).get(&mut ipam), "203.0.113.1 from b");
    assert_eq!(wish("7").sharing("k", &[4]).in_pool("b").get(&mut ipam), "203.0.113.0 from b");
    assert_eq!(
        wish("8").sharing("k", &[4]).addresses(".1").get(&mut ipam),
        "203.0.113.1 from b",
        "before 192.0.2.1 is free"
    );
}

#[test]
fn both_families_are_shared() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"]), pool("b", &["198.51.100.0/32", "2001:db8::/128"])]);
    let both = |name: &str, port| wish(name).sharing("k", &[port]).families(&[V4, V6], PreferDualStack);
    assert_eq!(both("1", 1).get(&mut ipam), "198.51.100.0 from b, 2001:db8:: from b");
    assert_eq!(both("2", 2).get(&mut ipam), "198.51.100.0 from b, 2001:db8:: from b");
    assert_eq!(both("3", 1).get(&mut ipam), "192.0.2.0 from a");
}

#[test]
fn a_pool_may_forbid_sharing_or_keep_it_within_a_namespace() {
    let with = |sharing| Pool { sharing, ..pool("a", &["192.0.2.0/28"]) };
    let mut never = ipam([with(SharingPolicy::Never)]);
    assert_eq!(wish("1").sharing("k", &[1]).get(&mut never), "192.0.2.0 from a");
    assert_eq!(wish("2").sharing("k", &[2]).get(&mut never), "192.0.2.1 from a");
    assert_eq!(
        wish("3").sharing("k", &[3]).addresses("192.0.2.0").complaint(&never),
        "the address 192.0.2.0 cannot be shared with default/1: in pool a no address is shared (sharing: Never)"
    );
    let mut same = ipam([with(SharingPolicy::SameNamespace)]);
    assert_eq!(wish("1").sharing("k", &[1]).get(&mut same), "192.0.2.0 from a");
    assert_eq!(wish("2").sharing("k", &[2]).of("other").get(&mut same), "192.0.2.1 from a");
    assert_eq!(wish("3").sharing("k", &[3]).get(&mut same), "192.0.2.0 from a");
    assert_eq!(
        wish("4").sharing("k", &[4]).of("other").addresses("192.0.2.0").complaint(&same),
        "the address 192.0.2.0 cannot be shared with default/1: in pool a only Services of one namespace share an \
         address (sharing: SameNamespace)"
    );
}

#[test]
fn a_new_rule_of_the_pool_takes_nothing_from_those_that_share_already() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"])]);
    wish("1").sharing("k", &[1]).get(&mut ipam);
    wish("2").sharing("k", &[2]).get(&mut ipam);
    ipam.set_pool(Pool { sharing: SharingPolicy::Never, ..pool("a", &["192.0.2.0/28"]) }.into()).unwrap();
    assert_eq!(ipam.claim(at("192.0.2.0"), &key("2"), shares("k", &[3]).as_ref()), Ok(()));
    assert_eq!(wish("2").sharing("k", &[3]).addresses("192.0.2.0").get(&mut ipam), "192.0.2.0 from a");
    assert_eq!(wish("3").sharing("k", &[4]).get(&mut ipam), "192.0.2.1 from a");
}

#[test]
fn an_address_that_is_shared_can_still_be_so_in_another_pool() {
    let mut ipam = ipam([pool("a", &["192.0.2.0/28"])]);
    wish("1").sharing("k", &[1]).get(&mut ipam);
    ipam.remove_pool(&"a".into());
    assert_eq!(ipam.claim(at("192.0.2.0"), &key("2"), shares("k", &[2]).as_ref()), Ok(()));
    ipam.set_pool(pool("b", &["192.0.2.0/24"]).into()).unwrap();
    assert_eq!(wish("3").sharing("k", &[3]).get(&mut ipam), "192.0.2.0 from b");
    assert_eq!(ipam.used_in(range("192.0.2.0/24")).count(), 3);
}
