//! Each rule of giving out addresses by its name.

mod model;

use alloc::{
    collections::BTreeSet,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use super::*;
use crate::{
    config::Allocation,
    request::Request,
    selector::{Labels, Selector},
    view::{
        Family::{self, V4, V6},
        FamilyPolicy::{self, PreferDualStack, RequireDualStack, SingleStack},
    },
};

fn pool(name: &str, ranges: &[&str]) -> Pool {
    Pool::new(name, ranges.iter().map(|range| range.parse().unwrap()).collect())
}

fn reserved(name: &str, range: &str, allocation: Allocation) -> Pool {
    Pool { allocation: Some(allocation), ..pool(name, &[range]) }
}

fn ipam(pools: Vec<Pool>) -> Ipam {
    let mut ipam = Ipam::new();
    for pool in pools {
        ipam.set_pool(pool.into()).unwrap();
    }
    ipam
}

fn at(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A Service that wants addresses.
struct Wish {
    owner: ObjectKey,
    labels: Labels,
    families: Vec<Family>,
    policy: FamilyPolicy,
    request: Request,
}

fn wish(name: &str) -> Wish {
    Wish {
        owner: ObjectKey::new("default", name),
        labels: Labels::new(),
        families: vec![V4],
        policy: SingleStack,
        request: Request::default(),
    }
}

impl Wish {
    fn families(mut self, families: &[Family], policy: FamilyPolicy) -> Self {
        (self.families, self.policy) = (families.to_vec(), policy);
        self
    }

    fn in_pool(mut self, pool: &str) -> Self {
        self.request.pool = Some(pool.into());
        self
    }

    fn addresses(mut self, addresses: &[&str]) -> Self {
        self.request.addresses = addresses.iter().map(|address| at(address)).collect();
        self
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            owner: &self.owner,
            labels: &self.labels,
            families: &self.families,
            policy: self.policy,
            request: &self.request,
        }
    }

    /// Allocates; the addresses and their pool as text, or the reason's code.
    fn get(&self, ipam: &mut Ipam) -> String {
        match ipam.allocate(&self.demand()) {
            Ok(grant) => {
                let addresses: Vec<_> = grant.addresses.iter().map(ToString::to_string).collect();
                format!("{} from {}", addresses.join(" "), grant.pool)
            }
            Err(reason) => reason.code().into(),
        }
    }

    fn refused(&self, ipam: &Ipam) -> Reason {
        ipam.find(&self.demand()).unwrap_err()
    }
}

#[test]
fn ranges_are_used_in_their_order_and_each_from_below() {
    let mut ipam = ipam(vec![pool("a", &["192.0.2.8-192.0.2.9", "192.0.2.1/32"])]);
    let got: Vec<_> = (0..4).map(|n| wish(&n.to_string()).get(&mut ipam)).collect();
    assert_eq!(got, ["192.0.2.8 from a", "192.0.2.9 from a", "192.0.2.1 from a", "PoolExhausted"]);
    assert_eq!(ipam.release(at("192.0.2.9")), Some(ObjectKey::new("default", "1")));
    assert_eq!(wish("again").get(&mut ipam), "192.0.2.9 from a");
}

#[test]
fn general_pools_are_tried_by_name() {
    let mut ipam = ipam(vec![pool("b", &["192.0.2.1/32"]), pool("a", &["192.0.2.2/32"])]);
    assert_eq!(wish("1").get(&mut ipam), "192.0.2.2 from a");
    assert_eq!(wish("2").get(&mut ipam), "192.0.2.1 from b");
}

#[test]
fn addresses_that_end_in_0_and_255_are_left_alone_on_demand() {
    let mut ipam =
        ipam(vec![Pool { avoid_buggy_ips: true, ..pool("a", &["192.0.2.254-192.0.3.1", "2001:db8::/127"]) }]);
    assert_eq!(ipam.usage(&"a".into()).unwrap().available_v4, 2);
    assert_eq!(wish("1").get(&mut ipam), "192.0.2.254 from a");
    assert_eq!(wish("2").get(&mut ipam), "192.0.3.1 from a");
    assert_eq!(wish("3").get(&mut ipam), "PoolExhausted");
    assert_eq!(wish("4").families(&[V6], SingleStack).get(&mut ipam), "2001:db8:: from a");
    let reason = wish("5").addresses(&["192.0.2.255"]).refused(&ipam);
    assert_eq!(
        reason.to_string(),
        "the requested address 192.0.2.255 ends in .0 or .255, which pool a leaves alone (avoidBuggyIPs)"
    );
}

#[test]
fn capacity_without_buggy_addresses() {
    for (range, usable) in
        [("198.51.100.0/24", 254), ("198.51.100.0/25", 127), ("198.51.100.1-198.51.101.0", 254)]
    {
        let ipam = ipam(vec![Pool { avoid_buggy_ips: true, ..pool("a", &[range]) }]);
        assert_eq!(ipam.usage(&"a".into()).unwrap().available_v4, usable, "{range}");
    }
}

#[test]
fn counters_saturate() {
    let ipam = ipam(vec![pool("a", &["::/0"])]);
    assert_eq!(ipam.usage(&"a".into()).unwrap().available_v6, u64::MAX);
}

#[test]
fn reserved_pools_come_first_by_priority_with_zero_last() {
    let with = |priority| Allocation { priority, ..Allocation::default() };
    let mut ipam = ipam(vec![
        pool("a-general", &["192.0.2.1/32"]),
        reserved("b-unset", "192.0.2.2/32", with(0)),
        reserved("c-two", "192.0.2.3/32", with(2)),
        reserved("d-one", "192.0.2.4/32", with(1)),
        reserved("e-negative", "192.0.2.5/32", with(-1)),
    ]);
    let got: Vec<_> = (0..5).map(|n| wish(&n.to_string()).get(&mut ipam)).collect();
    assert_eq!(
        got,
        [
            "192.0.2.5 from e-negative",
            "192.0.2.4 from d-one",
            "192.0.2.3 from c-two",
            "192.0.2.2 from b-unset",
            "192.0.2.1 from a-general"
        ]
    );
}

#[test]
fn reserved_pools_serve_only_those_they_are_for() {
    let namespaces = BTreeSet::from([String::from("default")]);
    let by_namespace = Allocation { priority: 2, namespaces, ..Allocation::default() };
    let by_label = Allocation {
        priority: 1,
        service_selectors: vec![Selector::label("tier", "gold")],
        ..Allocation::default()
    };
    let mut ipam = ipam(vec![
        reserved("namespace", "192.0.2.0/28", by_namespace),
        reserved("label", "192.0.2.16/28", by_label),
    ]);
    assert_eq!(wish("1").get(&mut ipam), "192.0.2.0 from namespace");
    let mut gold = wish("2");
    gold.labels.insert("tier".into(), "gold".into());
    assert_eq!(gold.get(&mut ipam), "192.0.2.16 from label");
    let other = Wish { owner: ObjectKey::new("other", "3"), ..wish("3") };
    assert_eq!(
        other.refused(&ipam).to_string(),
        "no pool may serve this Service: pool label is reserved for Services with other labels \
         (serviceAllocation.serviceSelectors); pool namespace is reserved for other namespaces \
         (serviceAllocation.namespaces)"
    );
    let reason = wish("4").in_pool("label").refused(&ipam);
    assert_eq!(reason.code(), "PoolNotAllowed");
    assert_eq!(wish("5").addresses(&["192.0.2.17"]).refused(&ipam).code(), "PoolNotAllowed");
}

#[test]
fn a_pool_on_request_only_serves_requests_for_it_or_its_addresses() {
    let mut ipam = ipam(vec![Pool { auto_assign: false, ..pool("a", &["192.0.2.0/28"]) }]);
    assert_eq!(
        wish("1").refused(&ipam).to_string(),
        "no pool may serve this Service: pool a is given out on request only (autoAssign: false)"
    );
    assert_eq!(wish("2").in_pool("a").get(&mut ipam), "192.0.2.0 from a");
    assert_eq!(wish("3").addresses(&["192.0.2.9"]).get(&mut ipam), "192.0.2.9 from a");
}

#[test]
fn requests_for_an_address_say_why_they_fail() {
    let mut ipam = ipam(vec![pool("a", &["192.0.2.0/28"]), pool("b", &["198.51.100.0/28", "2001:db8::/64"])]);
    assert_eq!(wish("first").addresses(&["192.0.2.3"]).get(&mut ipam), "192.0.2.3 from a");
    assert_eq!(
        wish("first").addresses(&["192.0.2.3"]).get(&mut ipam),
        "192.0.2.3 from a",
        "it has it already"
    );
    let reason = |wish: Wish| wish.refused(&ipam).to_string();
    assert_eq!(
        reason(wish("x").addresses(&["192.0.2.3"])),
        "the address 192.0.2.3 is in use by default/first"
    );
    assert_eq!(
        reason(wish("x").addresses(&["203.0.113.1"])),
        "the requested address 203.0.113.1 is in no pool"
    );
    assert_eq!(
        reason(wish("x").addresses(&["192.0.2.4"]).in_pool("b")),
        "the requested address 192.0.2.4 is in pool a, but has to come from pool b"
    );
    assert_eq!(reason(wish("x").in_pool("c")), "the requested pool c does not exist, or was refused");
    assert_eq!(
        reason(wish("x").addresses(&["2001:db8::1"])),
        "the requested address 2001:db8::1 is IPv6, but the Service has no IPv6 cluster IP"
    );
    assert_eq!(
        reason(wish("x").addresses(&["192.0.2.4", "2001:db8::1"]).families(&[V4, V6], RequireDualStack)),
        "the requested address 2001:db8::1 is in pool b, but has to come from pool a"
    );
}

#[test]
fn two_families_come_from_one_pool_in_the_order_of_the_service() {
    let pools = || {
        vec![
            pool("a", &["192.0.2.0/32"]),
            pool("b", &["2001:db8:b::/128"]),
            pool("c", &["198.51.100.0/31", "2001:db8:c::/128"]),
        ]
    };
    let mut first = ipam(pools());
    assert_eq!(
        wish("1").families(&[V6, V4], RequireDualStack).get(&mut first),
        "2001:db8:c:: 198.51.100.0 from c"
    );
    let reason = wish("2").families(&[V4, V6], RequireDualStack).refused(&first);
    assert_eq!(reason.code(), "PoolExhausted");
    assert_eq!(
        reason.to_string(),
        "no address is free: pool a has no IPv6 addresses; pool b has no IPv4 addresses; \
         pool c has 0 of 1 IPv6 addresses free"
    );
    // Either family will do: the first one of the Service first.
    assert_eq!(wish("3").families(&[V6, V4], PreferDualStack).get(&mut first), "2001:db8:b:: from b");
    assert_eq!(wish("4").families(&[V6, V4], PreferDualStack).get(&mut first), "192.0.2.0 from a");

    let mut second = ipam(pools());
    let grant = second.allocate(&wish("1").families(&[V4, V6], PreferDualStack).demand()).unwrap();
    assert_eq!(
        (grant.pool.as_str(), grant.missing),
        ("c", None),
        "a pool with both beats one with the first"
    );
    let grant = second.allocate(&wish("2").families(&[V4, V6], PreferDualStack).demand()).unwrap();
    assert_eq!(grant.pool.as_str(), "a");
    assert_eq!(grant.missing.unwrap().code(), "PoolExhausted");
}

#[test]
fn the_other_family_of_a_requested_address_comes_from_its_pool() {
    let mut ipam = ipam(vec![pool("a", &["192.0.2.0/28", "2001:db8::/64"]), pool("b", &["198.51.100.0/28"])]);
    let both = wish("1").addresses(&["192.0.2.7"]).families(&[V4, V6], RequireDualStack);
    assert_eq!(both.get(&mut ipam), "192.0.2.7 2001:db8:: from a");
    let lacking = wish("2").addresses(&["198.51.100.7"]).families(&[V4, V6], RequireDualStack);
    assert_eq!(lacking.refused(&ipam).to_string(), "no pool can serve IPv6: pool b has no IPv6 addresses");
    let prefer = wish("3").addresses(&["198.51.100.7"]).families(&[V4, V6], PreferDualStack);
    assert_eq!(prefer.get(&mut ipam), "198.51.100.7 from b");
}

#[test]
fn families_that_the_service_or_no_pool_has() {
    let ipam = ipam(vec![pool("a", &["192.0.2.0/28"])]);
    let reason =
        |families: &[Family], policy| wish("x").families(families, policy).refused(&ipam).to_string();
    assert_eq!(reason(&[V6], SingleStack), "no pool can serve IPv6: pool a has no IPv6 addresses");
    assert_eq!(
        reason(&[V4], RequireDualStack),
        "the Service requires both families, but has a cluster IP of IPv4 only"
    );
    assert!(reason(&[], SingleStack).contains("no cluster IP"));
    let empty = Ipam::new();
    assert_eq!(wish("x").refused(&empty).to_string(), "there is no address pool: create an IPAddressPool");
}

#[test]
fn a_reason_names_so_many_pools_and_counts_the_rest() {
    let ipam = ipam((0..20).map(|n| pool(&format!("p{n:02}"), &[&format!("2001:db8:{n}::/64")])).collect());
    let text = wish("x").refused(&ipam).to_string();
    assert!(
        text.contains("pool p15") && !text.contains("pool p16") && text.ends_with("; and 4 more pools"),
        "{text}"
    );
}

#[test]
fn a_changed_pool_keeps_what_is_in_use() {
    let mut ipam = ipam(vec![pool("a", &["192.0.2.0/30"])]);
    for name in ["0", "1", "2"] {
        wish(name).get(&mut ipam);
    }
    ipam.set_pool(pool("a", &["192.0.2.1-192.0.2.9"]).into()).unwrap();
    let usage = ipam.usage(&"a".into()).unwrap();
    assert_eq!((usage.assigned_v4, usage.available_v4), (2, 7));
    assert_eq!(ipam.owner(at("192.0.2.0")), Some(&ObjectKey::new("default", "0")));
    assert!(ipam.pool_of(at("192.0.2.0")).is_none());
    assert_eq!(wish("3").get(&mut ipam), "192.0.2.3 from a");
    ipam.set_pool(pool("b", &["192.0.2.0/32"]).into()).unwrap();
    assert_eq!(wish("4").get(&mut ipam), "192.0.2.4 from a", "what lies in no pool is not lost");
    ipam.set_pool(Pool { auto_assign: false, ..pool("a", &["192.0.2.1-192.0.2.9"]) }.into()).unwrap();
    assert_eq!(wish("5").get(&mut ipam), "PoolExhausted");
    let overlap = ipam.set_pool(pool("c", &["192.0.2.9/32"]).into()).unwrap_err();
    assert_eq!(overlap.to_string(), "192.0.2.9 belongs to pool a already");
}
