//! Who has which address: a library of its own, without Kubernetes and without time.
//!
//! ```
//! use metal_core::{config::Pool, ipam::{Demand, Ipam}, name::ObjectKey, request::Request};
//! use metal_core::{selector::Labels, view::{Family, FamilyPolicy}};
//!
//! let mut ipam = Ipam::new();
//! let range = "192.0.2.1-192.0.2.9".parse().unwrap();
//! ipam.set_pool(Pool::new("first", vec![range]).into()).unwrap();
//!
//! let owner = ObjectKey::new("default", "web");
//! let demand = Demand {
//!     owner: &owner,
//!     labels: &Labels::new(),
//!     namespace_labels: &Labels::new(),
//!     sharing: None,
//!     families: &[Family::V4],
//!     policy: FamilyPolicy::SingleStack,
//!     request: &Request::default(),
//! };
//! let grant = ipam.allocate(&demand).unwrap();
//! assert_eq!(grant.addresses[0].to_string(), "192.0.2.1");
//! ipam.release(grant.addresses[0], &owner);
//! ```
//!
//! Every operation takes logarithmic time in the number of addresses, ranges and pools, except for
//! changing the ranges of a pool (proportional to its addresses in use) and for saying why nothing is free
//! (proportional to the number of pools).

mod search;
mod space;
mod stock;
#[cfg(test)]
mod tests;
mod tier;

use alloc::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};
use core::net::IpAddr;

pub use search::{Demand, Grant};

use crate::{
    config::Pool,
    name::{ObjectKey, PoolName},
    net::{AddressRange, RangeMap},
    reason::Reason,
    sharing::{Sharing, SharingProblem},
};
use stock::Stock;
use tier::{Offers, Tiers};

/// The addresses in use, and the pools that free ones come from.
#[derive(Clone, Debug, Default)]
pub struct Ipam {
    stocks: BTreeMap<PoolName, Stock>,
    /// Each range of each pool, with its place in the pool.
    ranges: RangeMap<(PoolName, usize)>,
    /// Addresses in use, also those outside every pool.
    used: BTreeMap<IpAddr, ObjectKey>,
    tiers: Tiers,
}

/// The counters of a pool, saturating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// IPv4 addresses in use.
    pub assigned_v4: u64,
    /// IPv6 addresses in use.
    pub assigned_v6: u64,
    /// IPv4 addresses that are free.
    pub available_v4: u64,
    /// IPv6 addresses that are free.
    pub available_v6: u64,
}

/// An address cannot be claimed because another Service has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// That Service.
    pub by: ObjectKey,
    /// What keeps the two from sharing it.
    pub problem: SharingProblem,
}

/// A pool cannot be taken because another one has some of its addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{range} belongs to pool {pool} already")]
pub struct Overlap {
    /// The addresses that both have.
    pub range: AddressRange,
    /// The pool that has them.
    pub pool: PoolName,
}

impl Ipam {
    /// No pools, nothing in use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pool, or changes the one of the same name. Addresses in use stay in use.
    ///
    /// # Errors
    /// When it overlaps with another pool; nothing has changed then.
    pub fn set_pool(&mut self, pool: Arc<Pool>) -> Result<(), Overlap> {
        for range in &pool.ranges {
            let other = self.ranges.overlapping(*range).find(|(_, (name, _))| *name != pool.name);
            if let Some((taken, (name, _))) = other {
                return Err(Overlap { range: taken.overlap(range).unwrap_or(*range), pool: name.clone() });
            }
        }
        let same_space = |stock: &&mut Stock| {
            (&stock.pool.ranges, stock.pool.avoid_buggy_ips) == (&pool.ranges, pool.avoid_buggy_ips)
        };
        if let Some(stock) = self.stocks.get_mut(&pool.name).filter(same_space) {
            let offers = stock.offers();
            self.tiers.update(&stock.pool, offers, Offers::default());
            self.tiers.update(&pool, Offers::default(), offers);
            stock.pool = pool;
            return Ok(());
        }
        self.remove_pool(&pool.name);
        for (index, range) in pool.ranges.iter().enumerate() {
            self.ranges.insert(*range, (pool.name.clone(), index));
        }
        let stock = Stock::new(pool.clone(), |range| {
            self.used.range(range.first()..=range.last()).map(|(address, _)| *address)
        });
        self.tiers.update(&pool, Offers::default(), stock.offers());
        self.stocks.insert(pool.name.clone(), stock);
        Ok(())
    }

    /// Removes a pool. Its addresses in use stay in use.
    pub fn remove_pool(&mut self, name: &PoolName) -> Option<Arc<Pool>> {
        let stock = self.stocks.remove(name)?;
        self.tiers.update(&stock.pool, stock.offers(), Offers::default());
        for range in &stock.pool.ranges {
            self.ranges.remove(*range);
        }
        Some(stock.pool)
    }

    /// The pool of this name.
    #[must_use]
    pub fn pool(&self, name: &PoolName) -> Option<&Arc<Pool>> {
        self.stocks.get(name).map(|stock| &stock.pool)
    }

    /// The pool that `address` lies in.
    #[must_use]
    pub fn pool_of(&self, address: IpAddr) -> Option<&Arc<Pool>> {
        let (_, (name, _)) = self.ranges.get(address)?;
        self.pool(name)
    }

    /// The counters of a pool.
    #[must_use]
    pub fn usage(&self, pool: &PoolName) -> Option<Usage> {
        self.stocks.get(pool).map(Stock::usage)
    }

    /// Whether a pool has a free address.
    #[must_use]
    pub fn has_room(&self, pool: &PoolName) -> bool {
        self.stocks.get(pool).is_some_and(|stock| stock.offers() != Offers::default())
    }

    /// Who has `address`.
    #[must_use]
    pub fn owner(&self, address: IpAddr) -> Option<&ObjectKey> {
        self.used.get(&address)
    }

    /// The addresses in use in a range and who has them, ascending.
    pub fn used_in(&self, range: AddressRange) -> impl Iterator<Item = (IpAddr, &ObjectKey)> {
        self.used.range(range.first()..=range.last()).map(|(address, owner)| (*address, owner))
    }

    /// Looks for addresses; nothing changes.
    ///
    /// # Errors
    /// Why there are none.
    pub fn find(&self, demand: &Demand<'_>) -> Result<Grant, Reason> {
        search::find(self, demand)
    }

    /// Looks for addresses and claims them.
    ///
    /// # Errors
    /// Why there are none; nothing has changed then.
    pub fn allocate(&mut self, demand: &Demand<'_>) -> Result<Grant, Reason> {
        let grant = self.find(demand)?;
        for address in &grant.addresses {
            self.claim(*address, demand.owner, demand.sharing)
                .map_err(|conflict| Reason::AddressInUse { address: *address, by: conflict.by })?;
        }
        Ok(grant)
    }

    /// Gives `address` to `owner`, whether or not it lies in a pool. Repeating it changes nothing, except for
    /// how the owner shares.
    ///
    /// # Errors
    /// Who has it, when somebody else does; nothing has changed then.
    pub fn claim(
        &mut self,
        address: IpAddr,
        owner: &ObjectKey,
        _sharing: Option<&Sharing>,
    ) -> Result<(), Conflict> {
        match self.used.entry(address) {
            Entry::Occupied(entry) if entry.get() == owner => return Ok(()),
            Entry::Occupied(entry) => {
                return Err(Conflict { by: entry.get().clone(), problem: SharingProblem::NotShared });
            }
            Entry::Vacant(entry) => drop(entry.insert(owner.clone())),
        }
        self.with_stock(address, |stock, index| stock.take(index, address));
        Ok(())
    }

    /// Takes `address` from `owner`; says whether it had it.
    pub fn release(&mut self, address: IpAddr, owner: &ObjectKey) -> bool {
        if self.used.get(&address) != Some(owner) {
            return false;
        }
        self.used.remove(&address);
        self.with_stock(address, |stock, index| stock.give(index, address));
        true
    }

    /// Changes the stock that `address` belongs to, if there is one.
    fn with_stock(&mut self, address: IpAddr, change: impl FnOnce(&mut Stock, usize)) {
        let Some((_, (name, index))) = self.ranges.get(address) else { return };
        let Some(stock) = self.stocks.get_mut(name) else { return };
        let before = stock.offers();
        change(stock, *index);
        let now = stock.offers();
        if before != now {
            self.tiers.update(&stock.pool, before, now);
        }
    }
}
