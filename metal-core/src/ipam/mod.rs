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
//!     has: &[],
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

mod bits;
mod explain;
mod keep;
mod search;
mod shelf;
mod stock;
#[cfg(test)]
mod tests;
mod tier;
mod trigger;
mod users;

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};
use core::net::IpAddr;

pub use search::{Demand, Grant};

use crate::{
    config::{ObjectRef, Pool, Reservation},
    name::{ObjectKey, PoolName},
    net::{AddressRange, RangeMap},
    reason::Reason,
    request::Wanted,
    sharing::{Sharing, SharingProblem},
    view::Family,
};
use keep::{Holds, Reservations};
use stock::{Stock, StockId, Stocks};
use tier::{Offers, Tiers};
use users::Users;

/// How many addresses of a pool can be held for their former owners.
pub const MAX_HELD: usize = 256;

/// The addresses in use, and the pools that free ones come from.
#[derive(Clone, Debug, Default)]
pub struct Ipam {
    stocks: Stocks,
    /// Each range of each pool, with its place in the pool.
    ranges: RangeMap<Place>,
    tiers: Tiers,
    users: Users,
    /// Addresses in use outside every pool.
    outside: BTreeSet<IpAddr>,
    /// Addresses in pools that can be shared, by key, in the order of the pool.
    shared: BTreeSet<Shared>,
    reservations: Reservations,
    holds: Holds,
    /// What the network uses itself.
    avoided: BTreeSet<IpAddr>,
}

/// A pool, and the place of a range in it.
type Place = (StockId, u32);

/// A key, and the place of an address that can be shared by it.
type Shared = (Arc<str>, StockId, u32, IpAddr);

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

/// The counters of a pool for one family, exact (but for `::/0`, which has one address more than fits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many addresses it can give out at all: without those that are excluded, or left alone because of
    /// how they end.
    pub capacity: u128,
    /// How many addresses in its ranges are in use; one that is shared counts once.
    pub assigned: u128,
    /// How many of its capacity nobody uses, also those that are reserved, held, or kept by the network.
    pub available: u128,
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

/// A reservation cannot be taken because another one has some of its addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{range} is reserved by {object} already")]
pub struct ReservedTwice {
    /// The addresses that both have.
    pub range: AddressRange,
    /// The reservation that has them.
    pub object: ObjectRef,
}

/// Pools, reservations, and what the network keeps.
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
        let id = self.stocks.id(&pool.name);
        for range in &pool.ranges {
            let other = self.ranges.overlapping(*range).find(|(_, (other, _))| Some(*other) != id);
            if let Some((taken, (other, _))) = other
                && let Some(other) = self.stocks.get(*other)
            {
                let range = taken.overlap(range).unwrap_or(*range);
                return Err(Overlap { range, pool: other.pool.name.clone() });
            }
        }
        if let Some(id) = id
            && self.stocks.get(id).is_some_and(|stock| has_same_space(&stock.pool, &pool))
        {
            self.change_rules(id, pool);
            return Ok(());
        }
        self.remove_pool(&pool.name);
        self.add_pool(pool);
        Ok(())
    }

    /// Removes a pool. Its addresses in use stay in use, and what is held stays held.
    pub fn remove_pool(&mut self, name: &PoolName) -> Option<Arc<Pool>> {
        let id = self.stocks.id(name)?;
        let stock = self.stocks.remove(id)?;
        self.tiers.update(&stock.pool, id, stock.offers(), Offers::default());
        self.tiers.set(&stock.pool, id, false);
        for (index, range) in (0..).zip(&stock.pool.ranges) {
            self.ranges.remove(*range);
            for address in stock.shelf(range.family()).busy_in(*range) {
                if !self.users.is_used(address) {
                    continue;
                }
                if let Some(key) = self.users.key(address) {
                    self.shared.remove(&(key.clone(), id, index, address));
                }
                self.outside.insert(address);
            }
        }
        Some(stock.pool)
    }

    /// Changes who may use a pool and how, but not its addresses.
    fn change_rules(&mut self, id: StockId, pool: Arc<Pool>) {
        let Some(stock) = self.stocks.get_mut(id) else { return };
        let offers = stock.offers();
        self.tiers.update(&stock.pool, id, offers, Offers::default());
        self.tiers.set(&stock.pool, id, false);
        self.tiers.set(&pool, id, true);
        self.tiers.update(&pool, id, Offers::default(), offers);
        let before = core::mem::replace(&mut stock.pool, pool);
        match (before.max_per_namespace, stock.pool.max_per_namespace) {
            (Some(_), None) => stock.forget_namespaces(),
            (None, Some(_)) => self.count_namespaces(id),
            _ => {}
        }
    }

    fn add_pool(&mut self, pool: Arc<Pool>) {
        let id = self.stocks.insert(Stock::new(pool.clone()));
        let Some(stock) = self.stocks.get_mut(id) else { return };
        for (index, range) in (0..).zip(&pool.ranges) {
            self.ranges.insert(*range, (id, index));
            let family = range.family();
            let used: Vec<_> = self.outside.range(range.first()..=range.last()).copied().collect();
            for address in used {
                self.outside.remove(&address);
                stock.recount(address);
                stock.shelf_mut(family).mark(index, address, true);
                if let Some(key) = self.users.key(address) {
                    self.shared.insert((key.clone(), id, index, address));
                }
            }
            for address in self.avoided.range(range.first()..=range.last()) {
                stock.shelf_mut(family).mark(index, *address, true);
            }
            for (number, address) in self.holds.within(*range) {
                stock.held.insert(number, address);
                stock.shelf_mut(family).mark(index, address, true);
            }
            for (reserved, _) in self.reservations.overlapping(*range) {
                if let Some(part) = reserved.overlap(range) {
                    stock.shelf_mut(family).cut(index, part);
                }
            }
        }
        self.tiers.set(&pool, id, true);
        self.tiers.update(&pool, id, Offers::default(), stock.offers());
        if pool.max_per_namespace.is_some() {
            self.count_namespaces(id);
        }
    }

    /// Counts what the Services of each namespace have of a pool.
    fn count_namespaces(&mut self, id: StockId) {
        let Some(stock) = self.stocks.get_mut(id) else { return };
        stock.forget_namespaces();
        for range in stock.pool.clone().ranges.iter().copied() {
            let busy: Vec<_> = stock.shelf(range.family()).busy_in(range).collect();
            for address in busy {
                let mut former: Option<&Arc<str>> = None;
                for owner in self.users.owners(address) {
                    // They are sorted, so those of one namespace follow each other.
                    if former != Some(&owner.namespace) {
                        stock.count_namespace(&owner.namespace);
                    }
                    former = Some(&owner.namespace);
                }
            }
        }
    }

    /// The pool of this name.
    #[must_use]
    pub fn pool(&self, name: &PoolName) -> Option<&Arc<Pool>> {
        self.stocks.named(name).map(|stock| &stock.pool)
    }

    /// The pool that `address` lies in, also when it does not give it out.
    #[must_use]
    pub fn pool_of(&self, address: IpAddr) -> Option<&Arc<Pool>> {
        let (_, stock) = self.place(address)?;
        Some(&stock.pool)
    }

    /// Whether `address` lies in a pool that gives it out.
    #[must_use]
    pub fn is_inside(&self, address: IpAddr) -> bool {
        self.place(address).is_some_and(|(_, stock)| stock.is_inside(address))
    }

    /// Whether `address` is what is asked for.
    #[must_use]
    pub fn meets(&self, address: IpAddr, wanted: &Wanted) -> bool {
        match wanted {
            Wanted::Address(other) => address == *other,
            Wanted::Host(host) => host.is_of(address, self.ranges.get(address).map(|(range, _)| range)),
        }
    }

    /// The counters of a pool.
    #[must_use]
    pub fn usage(&self, pool: &PoolName) -> Option<Usage> {
        self.stocks.named(pool).map(Stock::usage)
    }

    /// The exact counters of a pool for one family.
    #[must_use]
    pub fn count(&self, pool: &PoolName, family: Family) -> Option<Count> {
        self.stocks.named(pool).map(|stock| stock.counts(family))
    }

    /// Whether a pool has an address that is free for everybody.
    #[must_use]
    pub fn has_room(&self, pool: &PoolName) -> bool {
        self.stocks.named(pool).is_some_and(|stock| stock.offers() != Offers::default())
    }

    /// Whether a pool has an address of a family that is free for everybody.
    #[must_use]
    pub fn has_room_of(&self, pool: &PoolName, family: Family) -> bool {
        let offers = self.stocks.named(pool).map(Stock::offers);
        offers.is_some_and(|offers| match family {
            Family::V4 => offers.v4,
            Family::V6 => offers.v6,
        })
    }

    /// Whether the Services of a namespace have all the addresses of a pool that they may have.
    #[must_use]
    pub fn is_quota_reached(&self, pool: &PoolName, namespace: &str) -> bool {
        self.stocks.named(pool).is_some_and(|stock| {
            stock.pool.max_per_namespace.is_some_and(|limit| stock.used_by(namespace) >= limit)
        })
    }

    /// Adds a reservation, or changes the one of the same object. Addresses in use stay in use.
    ///
    /// # Errors
    /// When it overlaps with another one; nothing has changed then.
    pub fn set_reservation(&mut self, reservation: Arc<Reservation>) -> Result<(), ReservedTwice> {
        for range in &reservation.ranges {
            let mut others = self.reservations.overlapping(*range);
            if let Some((taken, object)) = others.find(|(_, object)| **object != reservation.object) {
                let range = taken.overlap(range).unwrap_or(*range);
                return Err(ReservedTwice { range, object: object.clone() });
            }
        }
        self.remove_reservation(&reservation.object);
        for range in &reservation.ranges {
            self.with_stocks(*range, |stock, index, part| {
                stock.shelf_mut(part.family()).cut(index, part);
            });
        }
        self.reservations.insert(reservation);
        Ok(())
    }

    /// Removes a reservation.
    pub fn remove_reservation(&mut self, object: &ObjectRef) -> Option<Arc<Reservation>> {
        let reservation = self.reservations.remove(object)?;
        for range in &reservation.ranges {
            self.with_stocks(*range, |stock, index, part| {
                for open in part.without(stock.pool.exclude.iter().copied()) {
                    stock.shelf_mut(part.family()).restore(index, open);
                }
            });
        }
        Some(reservation)
    }

    /// The reservation that `address` belongs to.
    #[must_use]
    pub fn reservation_of(&self, address: IpAddr) -> Option<&Arc<Reservation>> {
        self.reservations.at(address)
    }

    /// Keeps automatic allocation away from what the network uses itself. This replaces what was said before.
    pub fn avoid(&mut self, addresses: BTreeSet<IpAddr>) {
        let before = core::mem::replace(&mut self.avoided, addresses);
        let changed: Vec<_> = before.symmetric_difference(&self.avoided).copied().collect();
        changed.into_iter().for_each(|address| self.refresh(address));
    }

    /// Where `address` lies.
    fn place(&self, address: IpAddr) -> Option<(u32, &Stock)> {
        let (_, (id, index)) = self.ranges.get(address)?;
        Some((*index, self.stocks.get(*id)?))
    }

    /// Changes the stocks that have addresses of `range`: in which of their ranges, and which part.
    fn with_stocks(&mut self, range: AddressRange, mut change: impl FnMut(&mut Stock, u32, AddressRange)) {
        let places: Vec<_> = self
            .ranges
            .overlapping(range)
            .filter_map(|(own, place)| Some((own.overlap(&range)?, *place)))
            .collect();
        for (part, (id, index)) in places {
            self.with_stock(id, |stock| change(stock, index, part));
        }
    }

    /// Changes a stock, and with it the order in which pools are tried.
    fn with_stock<T>(&mut self, id: StockId, change: impl FnOnce(&mut Stock) -> T) -> Option<T> {
        let stock = self.stocks.get_mut(id)?;
        let before = stock.offers();
        let result = change(stock);
        self.tiers.update(&stock.pool, id, before, stock.offers());
        Some(result)
    }

    /// Looks again whether `address` is kept away from automatic allocation.
    fn refresh(&mut self, address: IpAddr) {
        let Some((_, (id, index))) = self.ranges.get(address) else { return };
        let (id, index) = (*id, *index);
        let busy = self.users.is_used(address)
            || self.holds.owner(address).is_some()
            || self.avoided.contains(&address);
        self.with_stock(id, |stock| stock.shelf_mut(Family::of(address)).mark(index, address, busy));
    }
}

/// Addresses in use, and those that were.
impl Ipam {
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
            let claimed = self.claim(*address, demand.owner, demand.sharing);
            debug_assert_eq!(claimed, Ok(()), "what is granted can be had");
        }
        Ok(grant)
    }

    /// Gives `address` to `owner`, whether or not it lies in a pool and whoever it is kept for. Repeating it
    /// changes nothing but how the owner shares.
    ///
    /// Only the Services that have the address matter here, not the pool's rules: what Services have already
    /// is not taken from them because rules have changed.
    ///
    /// # Errors
    /// With whom the owner cannot share it; nothing has changed then.
    pub fn claim(
        &mut self,
        address: IpAddr,
        owner: &ObjectKey,
        sharing: Option<&Sharing>,
    ) -> Result<(), Conflict> {
        let joined = self.users.join(address, owner, sharing)?;
        self.drop_hold(address);
        let Some((_, (id, index))) = self.ranges.get(address) else {
            self.outside.insert(address);
            return Ok(());
        };
        let (id, index) = (*id, *index);
        let key = sharing.map(|sharing| &sharing.key);
        if key != joined.former_key.as_ref() {
            if let Some(key) = &joined.former_key {
                self.shared.remove(&(key.clone(), id, index, address));
            }
            if let Some(key) = key {
                self.shared.insert((key.clone(), id, index, address));
            }
        }
        if joined.is_first || joined.is_first_of_namespace {
            self.with_stock(id, |stock| {
                stock.joined(address, &owner.namespace, &joined);
                if joined.is_first {
                    stock.shelf_mut(Family::of(address)).mark(index, address, true);
                }
            });
        }
        Ok(())
    }

    /// Takes `address` from `owner`; says whether it had it.
    pub fn release(&mut self, address: IpAddr, owner: &ObjectKey) -> bool {
        let Some(left) = self.users.leave(address, owner) else { return false };
        let Some((_, (id, index))) = self.ranges.get(address) else {
            if left.is_last {
                self.outside.remove(&address);
            }
            return true;
        };
        let (id, index) = (*id, *index);
        if let Some(key) = &left.former_key {
            self.shared.remove(&(key.clone(), id, index, address));
        }
        let busy = !left.is_last || self.avoided.contains(&address);
        self.with_stock(id, |stock| {
            stock.left(address, &owner.namespace, &left);
            if !busy {
                stock.shelf_mut(Family::of(address)).mark(index, address, false);
            }
        });
        true
    }

    /// Who has `address`, by name; several when it is shared.
    pub fn owners(&self, address: IpAddr) -> impl Iterator<Item = &ObjectKey> {
        self.users.owners(address)
    }

    /// The addresses in use in a range and who has them, ascending.
    pub fn used_in(&self, range: AddressRange) -> impl Iterator<Item = (IpAddr, &ObjectKey)> {
        let inside = self.ranges.overlapping(range).filter_map(move |(own, (id, _))| {
            let part = own.overlap(&range)?;
            Some(self.stocks.get(*id)?.shelf(part.family()).busy_in(part))
        });
        let mut addresses: Vec<_> = inside.flatten().collect();
        addresses.extend(self.outside.range(range.first()..=range.last()));
        addresses.sort_unstable();
        addresses
            .into_iter()
            .flat_map(|address| self.users.owners(address).map(move |owner| (address, owner)))
    }

    /// Holds an address that nobody has for `owner`, who had it: only it may get it. Of more than
    /// [`MAX_HELD`] in a pool the oldest goes, which is the answer then. An address outside every pool is not
    /// held.
    pub fn hold(&mut self, address: IpAddr, owner: &ObjectKey) -> Option<IpAddr> {
        if self.users.is_used(address) {
            return None;
        }
        let (_, (id, _)) = self.ranges.get(address)?;
        let id = *id;
        self.drop_hold(address);
        let number = self.holds.insert(address, owner);
        let held = self.with_stock(id, |stock| {
            stock.held.insert(number, address);
            stock.held.len()
        });
        self.refresh(address);
        if held? <= MAX_HELD {
            return None;
        }
        let (_, oldest) = self.stocks.get(id)?.held.first_key_value()?;
        let oldest = *oldest;
        self.drop_hold(oldest);
        Some(oldest)
    }

    /// Holds an address no longer; says for whom it was.
    pub fn drop_hold(&mut self, address: IpAddr) -> Option<ObjectKey> {
        if self.holds.is_empty() {
            return None;
        }
        let (number, owner) = self.holds.remove(address)?;
        if let Some((_, (id, _))) = self.ranges.get(address) {
            let id = *id;
            self.with_stock(id, |stock| stock.held.remove(&number));
        }
        self.refresh(address);
        Some(owner)
    }

    /// For whom `address` is held.
    #[must_use]
    pub fn held_by(&self, address: IpAddr) -> Option<&ObjectKey> {
        self.holds.owner(address)
    }

    /// What is held of a pool and for whom, the oldest first.
    pub fn held(&self, pool: &PoolName) -> impl Iterator<Item = (IpAddr, &ObjectKey)> {
        let held = self.stocks.named(pool).into_iter().flat_map(|stock| stock.held.values());
        held.filter_map(|address| Some((*address, self.holds.owner(*address)?)))
    }
}

/// Whether two pools have the same addresses to give out.
fn has_same_space(one: &Pool, other: &Pool) -> bool {
    let space = |pool: &Pool| (pool.avoid_buggy_ips, pool.ranges.len(), pool.exclude.len());
    space(one) == space(other) && one.ranges == other.ranges && one.exclude == other.exclude
}
