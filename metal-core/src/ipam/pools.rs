//! Pools, reservations, and what the network keeps.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};
use core::{mem, net::IpAddr};

use super::{
    Count, Ipam, Overlap, ReservedTwice, Usage,
    stock::{Stock, StockId},
    tier::Offers,
    trigger::Asking,
};
use crate::{
    config::{ObjectRef, Pool, Reservation},
    name::{ObjectKey, PoolName},
    request::Wanted,
    selector::Labels,
    view::Family,
};

/// Pools, reservations, and what the network keeps.
impl Ipam {
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
                    self.sharable.remove(key, (id, index), address);
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
        let before = mem::replace(&mut stock.pool, pool);
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
                    self.sharable.insert(key, (id, index), address);
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

    /// Whether anything is reserved for a Service, by name or by what it is labelled with, or held for it.
    #[must_use]
    pub fn keeps_for(&self, owner: &ObjectKey, labels: &Labels, namespace_labels: &Labels) -> bool {
        let asking = Asking { namespace: &owner.namespace, namespace_labels, labels };
        self.holds.of(owner).next().is_some() || !self.reservations.of(owner, asking).is_empty()
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
        let before = mem::replace(&mut self.avoided, addresses);
        let changed: Vec<_> = before.symmetric_difference(&self.avoided).copied().collect();
        changed.into_iter().for_each(|address| self.refresh(address));
    }
}

/// Whether two pools have the same addresses to give out.
fn has_same_space(one: &Pool, other: &Pool) -> bool {
    let space = |pool: &Pool| (pool.avoid_buggy_ips, pool.ranges.len(), pool.exclude.len());
    space(one) == space(other) && one.ranges == other.ranges && one.exclude == other.exclude
}
