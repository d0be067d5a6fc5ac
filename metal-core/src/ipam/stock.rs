//! A pool and what is left of it.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::net::IpAddr;

use super::{
    Count, Usage,
    shelf::Shelf,
    tier::Offers,
    users::{Joined, Left},
};
use crate::{config::Pool, name::PoolName, view::Family};

/// Where a stock is.
pub(super) type StockId = u32;

/// All stocks, by number and by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Stocks {
    by_id: Vec<Option<Stock>>,
    by_name: BTreeMap<PoolName, StockId>,
    vacant: Vec<StockId>,
}

impl Stocks {
    pub(super) fn get(&self, id: StockId) -> Option<&Stock> {
        self.by_id.get(id as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: StockId) -> Option<&mut Stock> {
        self.by_id.get_mut(id as usize)?.as_mut()
    }

    pub(super) fn id(&self, name: &PoolName) -> Option<StockId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn named(&self, name: &PoolName) -> Option<&Stock> {
        self.get(self.id(name)?)
    }

    /// All stocks, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (StockId, &Stock)> {
        self.by_name.values().filter_map(|id| Some((*id, self.get(*id)?)))
    }

    /// Adds a stock, of whose name there is none.
    pub(super) fn insert(&mut self, stock: Stock) -> StockId {
        let name = stock.pool.name.clone();
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.by_id.push(None);
            StockId::try_from(self.by_id.len() - 1).unwrap_or(StockId::MAX)
        });
        self.by_id[id as usize] = Some(stock);
        self.by_name.insert(name, id);
        id
    }

    pub(super) fn remove(&mut self, id: StockId) -> Option<Stock> {
        let stock = self.by_id.get_mut(id as usize)?.take()?;
        self.by_name.remove(&stock.pool.name);
        self.vacant.push(id);
        Some(stock)
    }
}

/// A pool and what is left of it.
#[derive(Clone, Debug)]
pub(super) struct Stock {
    pub(super) pool: Arc<Pool>,
    v4: Shelf,
    v6: Shelf,
    /// How many addresses the Services of a namespace have; only while the pool limits that.
    by_namespace: BTreeMap<Arc<str>, u32>,
    /// The addresses that are held for their former owners, by the order in which they came.
    pub(super) held: BTreeMap<u64, IpAddr>,
}

impl Stock {
    /// A pool of which nothing is in use, held or kept by anybody.
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        let avoids = pool.avoid_buggy_ips;
        let (v4, v6) = (Shelf::new(Family::V4, avoids), Shelf::new(Family::V6, avoids));
        let mut stock =
            Self { pool: pool.clone(), v4, v6, by_namespace: BTreeMap::new(), held: BTreeMap::new() };
        for (index, range) in (0..).zip(&pool.ranges) {
            let shelf = stock.shelf_mut(range.family());
            for part in range.without(pool.exclude.iter().copied()) {
                shelf.capacity = shelf.capacity.saturating_add(shelf.usable(part));
                shelf.restore(index, part);
            }
        }
        stock
    }

    /// Which families have an address that is free for everybody.
    pub(super) fn offers(&self) -> Offers {
        Offers { v4: self.v4.is_open(), v6: self.v6.is_open() }
    }

    /// Whether the pool gives `address`, which lies in one of its ranges, out at all.
    pub(super) fn is_inside(&self, address: IpAddr) -> bool {
        !self.is_excluded(address) && !self.shelf(Family::of(address)).is_buggy(address)
    }

    /// Whether `address` is excluded.
    pub(super) fn is_excluded(&self, address: IpAddr) -> bool {
        let exclude = &self.pool.exclude;
        let place = exclude.partition_point(|range| range.last() < address);
        exclude.get(place).is_some_and(|range| range.contains(address))
    }

    /// A Service has come to `address`.
    pub(super) fn joined(&mut self, address: IpAddr, namespace: &Arc<str>, joined: &Joined) {
        if joined.is_first {
            self.count(address, |count| *count += 1);
        }
        if joined.is_first_of_namespace && self.pool.max_per_namespace.is_some() {
            *self.by_namespace.entry(namespace.clone()).or_default() += 1;
        }
    }

    /// A Service has left `address`.
    pub(super) fn left(&mut self, address: IpAddr, namespace: &str, left: &Left) {
        if left.is_last {
            self.count(address, |count| *count -= 1);
        }
        if left.is_last_of_namespace
            && let Some(count) = self.by_namespace.get_mut(namespace)
        {
            *count -= 1;
            if *count == 0 {
                self.by_namespace.remove(namespace);
            }
        }
    }

    fn count(&mut self, address: IpAddr, change: impl FnOnce(&mut u128)) {
        let is_inside = self.is_inside(address);
        let shelf = self.shelf_mut(Family::of(address));
        change(if is_inside { &mut shelf.used } else { &mut shelf.used_beyond });
    }

    /// How many addresses the Services of `namespace` have, if the pool limits that.
    pub(super) fn used_by(&self, namespace: &str) -> u32 {
        self.by_namespace.get(namespace).copied().unwrap_or(0)
    }

    /// An address is in use that was so before it came into the pool.
    pub(super) fn recount(&mut self, address: IpAddr) {
        self.count(address, |count| *count += 1);
    }

    /// A namespace has another address.
    pub(super) fn count_namespace(&mut self, namespace: &Arc<str>) {
        *self.by_namespace.entry(namespace.clone()).or_default() += 1;
    }

    /// Forgets how many addresses the Services of each namespace have.
    pub(super) fn forget_namespaces(&mut self) {
        self.by_namespace.clear();
    }

    /// The counters of a family.
    pub(super) fn counts(&self, family: Family) -> Count {
        let shelf = self.shelf(family);
        Count {
            capacity: shelf.capacity,
            assigned: shelf.used.saturating_add(shelf.used_beyond),
            available: shelf.capacity.saturating_sub(shelf.used),
        }
    }

    pub(super) fn usage(&self) -> Usage {
        let saturate = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
        let (v4, v6) = (self.counts(Family::V4), self.counts(Family::V6));
        Usage {
            assigned_v4: saturate(v4.assigned),
            assigned_v6: saturate(v6.assigned),
            available_v4: saturate(v4.available),
            available_v6: saturate(v6.available),
        }
    }

    pub(super) const fn shelf(&self, family: Family) -> &Shelf {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    pub(super) const fn shelf_mut(&mut self, family: Family) -> &mut Shelf {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}
