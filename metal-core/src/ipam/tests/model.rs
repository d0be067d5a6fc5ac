//! Random operations against a model without cleverness.

use alloc::{collections::BTreeMap, format, vec, vec::Vec};
use core::net::IpAddr;

use proptest::prelude::*;

use super::{super::*, wish};
use crate::{
    config::Allocation,
    net::{from_bits, to_bits},
    view::{
        Family::{self, V4, V6},
        FamilyPolicy::{self, PreferDualStack, RequireDualStack, SingleStack},
    },
};

/// A step against the allocator.
#[derive(Clone, Debug)]
enum Step {
    SetPool(u8, Vec<(u8, u8)>, bool, bool, Option<i64>),
    RemovePool(u8),
    Allocate(u8, Vec<Family>, FamilyPolicy, Option<u8>),
    Claim(u8, u8),
    Release(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    let families = prop::sample::select(vec![vec![V4], vec![V6], vec![V4, V6], vec![V6, V4]]);
    let policy = prop::sample::select(vec![SingleStack, PreferDualStack, RequireDualStack]);
    let ranges = prop::collection::vec((any::<u8>(), 0_u8..12), 1..4);
    prop_oneof![
        2 => (0_u8..4, ranges, any::<bool>(), any::<bool>(), prop::option::of(-1_i64..3)).prop_map(
            |(pool, ranges, auto, avoid, priority)| Step::SetPool(pool, ranges, auto, avoid, priority)
        ),
        1 => (0_u8..4).prop_map(Step::RemovePool),
        6 => (any::<u8>(), families, policy, prop::option::weighted(0.2, 0_u8..4)).prop_map(
            |(owner, families, policy, pool)| Step::Allocate(owner, families, policy, pool)
        ),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(number, owner)| Step::Claim(number, owner)),
        4 => any::<u8>().prop_map(Step::Release),
    ]
}

/// 256 addresses of each family around a border of /24, so that .255 and .0 are met: one of four is IPv6.
fn address(number: u8) -> IpAddr {
    if number.is_multiple_of(4) {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number / 4)])
    } else {
        from_bits(V4, 0xc000_0200 + 200 + u128::from(number / 4 * 3 + number % 4))
    }
}

/// The allocator without any cleverness.
#[derive(Default)]
struct Naive {
    pools: BTreeMap<PoolName, Pool>,
    used: BTreeMap<IpAddr, ObjectKey>,
}

impl Naive {
    fn next(&self, pool: &Pool, family: Family) -> Option<IpAddr> {
        let of_family = pool.ranges.iter().filter(|range| range.family() == family);
        of_family.flat_map(AddressRange::addresses).find(|address| {
            let octet = to_bits(*address) & 0xff;
            let buggy = family == V4 && (octet == 0 || octet == 255);
            !(self.used.contains_key(address) || buggy && pool.avoid_buggy_ips)
        })
    }

    fn find(&self, families: &[Family], policy: FamilyPolicy, pool: Option<PoolName>) -> Option<Vec<IpAddr>> {
        if families.len() < 2 && policy == RequireDualStack {
            return None;
        }
        let mut pools: Vec<&Pool> = match pool {
            Some(name) => self.pools.get(&name).into_iter().collect(),
            None => self.pools.values().filter(|pool| pool.auto_assign).collect(),
        };
        let priority = |pool: &&Pool| {
            pool.allocation.as_ref().map_or((2, 0), |a| (i64::from(a.priority == 0), a.priority))
        };
        pools.sort_by_key(priority);
        let all = |families: &[Family]| {
            pools.iter().find_map(|pool| families.iter().map(|family| self.next(pool, *family)).collect())
        };
        let one = |family: &Family| all(core::slice::from_ref(family));
        all(families).or_else(|| families.iter().filter(|_| policy == PreferDualStack).find_map(one))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn it_does_what_a_plain_list_would_do(steps in prop::collection::vec(any_step(), 1..120)) {
        let (mut ipam, mut naive) = (Ipam::new(), Naive::default());
        for step in steps {
            match step {
                Step::SetPool(number, ranges, auto_assign, avoid_buggy_ips, priority) => {
                    let name = PoolName::from(format!("p{number}"));
                    let ranges: Vec<_> = ranges.into_iter().filter_map(|(first, more)| {
                        let (first, last) = (address(first), address(first.saturating_add(more)));
                        AddressRange::new(first, last).ok()
                    }).collect();
                    let clash = |range: &AddressRange| naive.pools.values().filter(|pool| pool.name != name)
                        .any(|pool| pool.ranges.iter().any(|other| other.overlap(range).is_some()));
                    let own = ranges.iter().enumerate().any(|(index, range)| {
                        ranges[..index].iter().any(|other| other.overlap(range).is_some())
                    });
                    if own {
                        continue; // A pool is valid by itself.
                    }
                    let clashes = ranges.iter().any(clash);
                    let allocation = priority.map(|priority| Allocation { priority, ..Allocation::default() });
                    let pool = Pool { auto_assign, avoid_buggy_ips, allocation, ..Pool::new(name.clone(), ranges) };
                    prop_assert_eq!(ipam.set_pool(pool.clone().into()).is_err(), clashes);
                    if !clashes {
                        naive.pools.insert(name, pool);
                    }
                }
                Step::RemovePool(number) => {
                    let name = PoolName::from(format!("p{number}"));
                    prop_assert_eq!(ipam.remove_pool(&name).is_some(), naive.pools.remove(&name).is_some());
                }
                Step::Allocate(owner, families, policy, pool) => {
                    let mut wish = wish(&format!("s{owner}")).families(&families, policy);
                    wish.request.pool = pool.map(|number| PoolName::from(format!("p{number}")));
                    let expected = naive.find(&families, policy, wish.request.pool.clone());
                    let got = ipam.allocate(&wish.demand());
                    prop_assert_eq!(got.as_ref().ok().map(|grant| grant.addresses.clone()), expected.clone(), "{:?}", got);
                    for address in expected.into_iter().flatten() {
                        naive.used.insert(address, wish.owner.clone());
                    }
                }
                Step::Claim(number, owner) => {
                    let owner = ObjectKey::new("default", &format!("s{owner}"));
                    let holder = naive.used.entry(address(number)).or_insert(owner.clone()).clone();
                    let expected = if holder == owner { Ok(()) } else { Err(holder) };
                    prop_assert_eq!(ipam.claim(address(number), &owner), expected);
                }
                Step::Release(number) => {
                    prop_assert_eq!(ipam.release(address(number)), naive.used.remove(&address(number)));
                }
            }
            for pool in naive.pools.values() {
                let count = |family, in_use: bool| pool.ranges.iter().filter(|range| range.family() == family)
                    .flat_map(AddressRange::addresses)
                    .filter(|address| {
                        let octet = to_bits(*address) & 0xff;
                        let avoided = pool.avoid_buggy_ips && family == V4 && (octet == 0 || octet == 255);
                        naive.used.contains_key(address) == in_use && (in_use || !avoided)
                    }).count() as u64;
                let expected = Usage {
                    assigned_v4: count(V4, true), assigned_v6: count(V6, true),
                    available_v4: count(V4, false), available_v6: count(V6, false),
                };
                prop_assert_eq!(ipam.usage(&pool.name), Some(expected));
            }
        }
    }
}
