//! Which pools with free addresses are tried, and in which order.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
};
use core::iter;

use crate::{config::Pool, name::PoolName, view::Family};

/// Which families have free addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offers {
    pub(super) v4: bool,
    pub(super) v6: bool,
}

/// The pools that are given out automatically and have free addresses, by what they offer.
#[derive(Clone, Debug, Default)]
pub(super) struct Tiers {
    v4: Tier,
    v6: Tier,
    both: Tier,
}

/// First the pools that are reserved for certain Services, by priority; then those for everybody.
#[derive(Clone, Debug, Default)]
struct Tier {
    /// Pools that are reserved for namespaces.
    by_namespace: BTreeMap<String, BTreeSet<Ranked>>,
    /// Pools that are reserved, but not for namespaces.
    any_namespace: BTreeSet<Ranked>,
    general: BTreeSet<PoolName>,
}

/// A pool with its priority.
type Ranked = ((bool, i64), PoolName);

impl Tiers {
    /// What `pool` offers has changed.
    pub(super) fn update(&mut self, pool: &Pool, before: Offers, now: Offers) {
        if !pool.auto_assign || before == now {
            return;
        }
        self.v4.set(pool, now.v4);
        self.v6.set(pool, now.v6);
        self.both.set(pool, now.v4 && now.v6);
    }

    /// The pools with a free address of `family` that may serve `namespace`, in the order of trying.
    /// Their selectors for Services are not looked at.
    pub(super) fn of(&self, family: Family, namespace: &str) -> impl Iterator<Item = &PoolName> {
        match family {
            Family::V4 => self.v4.candidates(namespace),
            Family::V6 => self.v6.candidates(namespace),
        }
    }

    /// The same with free addresses of both families.
    pub(super) fn of_both(&self, namespace: &str) -> impl Iterator<Item = &PoolName> {
        self.both.candidates(namespace)
    }
}

impl Tier {
    fn set(&mut self, pool: &Pool, open: bool) {
        let Some(allocation) = &pool.allocation else {
            return put(&mut self.general, pool.name.clone(), open);
        };
        let ranked = (allocation.rank(), pool.name.clone());
        if allocation.namespaces.is_empty() {
            return put(&mut self.any_namespace, ranked, open);
        }
        for namespace in &allocation.namespaces {
            let pools = self.by_namespace.entry(namespace.clone()).or_default();
            put(pools, ranked.clone(), open);
            if pools.is_empty() {
                self.by_namespace.remove(namespace);
            }
        }
    }

    fn candidates(&self, namespace: &str) -> impl Iterator<Item = &PoolName> + use<'_> {
        let mut own = self.by_namespace.get(namespace).into_iter().flatten().peekable();
        let mut any = self.any_namespace.iter().peekable();
        let reserved = iter::from_fn(move || match (own.peek(), any.peek()) {
            (Some(one), Some(other)) if one < other => own.next(),
            (Some(_), None) => own.next(),
            (_, Some(_)) => any.next(),
            (None, None) => None,
        });
        reserved.map(|(_, pool)| pool).chain(&self.general)
    }
}

fn put<T: Ord>(set: &mut BTreeSet<T>, entry: T, present: bool) {
    if present {
        set.insert(entry);
    } else {
        set.remove(&entry);
    }
}
