//! What is in force.

use alloc::{collections::BTreeMap, sync::Arc};
use core::net::IpAddr;

use super::{L2Advertisement, ObjectRef, Pool, Reservation, bgp};
use crate::{
    name::PoolName,
    net::{AddressRange, RangeMap},
    selector::Labels,
};

/// The configuration in force: always valid, cheap to read.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pools: BTreeMap<PoolName, InForce>,
    ranges: RangeMap<PoolName>,
    advertisements: BTreeMap<AdvertisementKey, Arc<L2Advertisement>>,
    reservations: BTreeMap<ObjectRef, Arc<Reservation>>,
    reserved: RangeMap<ObjectRef>,
    bgp: bgp::Snapshot,
}

/// An advertisement: of an object of its own, or of one pool in a ConfigMap.
pub(super) type AdvertisementKey = (ObjectRef, Option<PoolName>);

#[derive(Clone, Debug)]
struct InForce {
    pool: Arc<Pool>,
    object: ObjectRef,
    advertisements: BTreeMap<AdvertisementKey, Arc<L2Advertisement>>,
}

impl Snapshot {
    /// The pool of this name.
    #[must_use]
    pub fn pool(&self, name: &PoolName) -> Option<&Arc<Pool>> {
        self.pools.get(name).map(|entry| &entry.pool)
    }

    /// All pools, by name.
    pub fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.pools.values().map(|entry| &entry.pool)
    }

    /// The pool that `address` lies in.
    #[must_use]
    pub fn pool_of(&self, address: IpAddr) -> Option<&Arc<Pool>> {
        self.pool(self.ranges.get(address)?.1)
    }

    /// The object that defines the pool of this name.
    #[must_use]
    pub fn object_of(&self, name: &PoolName) -> Option<&ObjectRef> {
        self.pools.get(name).map(|entry| &entry.object)
    }

    /// The reservation of this object.
    #[must_use]
    pub fn reservation(&self, object: &ObjectRef) -> Option<&Arc<Reservation>> {
        self.reservations.get(object)
    }

    /// All reservations, by object.
    pub fn reservations(&self) -> impl Iterator<Item = &Arc<Reservation>> {
        self.reservations.values()
    }

    /// The advertisements in force, each object's own and those of ConfigMaps.
    pub fn advertisements(&self) -> impl Iterator<Item = &Arc<L2Advertisement>> {
        self.advertisements.values()
    }

    /// The advertisements of a pool.
    pub fn advertisements_for(&self, pool: &Pool) -> impl Iterator<Item = &Arc<L2Advertisement>> {
        self.pools.get(&pool.name).into_iter().flat_map(|entry| entry.advertisements.values())
    }

    /// The advertisements of a pool that may be gone: those that are about it by name, by its labels, or about every
    /// pool. A pool that is still there speaks for itself; `labels` are the last known ones of one that is not.
    ///
    /// For addresses in use that lie outside every pool now.
    pub fn advertisements_of_former<'a>(
        &'a self,
        name: &'a PoolName,
        labels: Option<&'a Labels>,
    ) -> impl Iterator<Item = &'a Arc<L2Advertisement>> {
        let labels = self.pool(name).map(|pool| &pool.labels).or(labels);
        self.advertisements.values().filter(move |entry| {
            entry.selects_every_pool()
                || entry.pools.contains(name)
                || labels.is_some_and(|labels| entry.selects_pool(name, labels))
        })
    }

    /// Peers and advertisements of BGP.
    #[must_use]
    pub const fn bgp(&self) -> &bgp::Snapshot {
        &self.bgp
    }

    /// The place for peers and advertisements of BGP.
    pub(super) const fn bgp_mut(&mut self) -> &mut bgp::Snapshot {
        &mut self.bgp
    }

    /// Whether this advertisement is in force.
    pub(super) fn has_advertisement(&self, key: &AdvertisementKey) -> bool {
        self.advertisements.contains_key(key)
    }

    /// The ranges of pools that have an address of `range`.
    pub(super) fn overlapping(&self, range: AddressRange) -> impl Iterator<Item = (AddressRange, &PoolName)> {
        self.ranges.overlapping(range)
    }

    /// The ranges that are reserved and have an address of `range`.
    pub(super) fn reserved(&self, range: AddressRange) -> impl Iterator<Item = (AddressRange, &ObjectRef)> {
        self.reserved.overlapping(range)
    }

    /// Puts a reservation in force; its object has none, and its addresses are free.
    pub(super) fn insert_reservation(&mut self, reservation: Arc<Reservation>) {
        for range in &reservation.ranges {
            self.reserved.insert(*range, reservation.object.clone());
        }
        self.reservations.insert(reservation.object.clone(), reservation);
    }

    /// Takes a reservation out of force; says whether it was.
    pub(super) fn remove_reservation(&mut self, object: &ObjectRef) -> bool {
        let Some(reservation) = self.reservations.remove(object) else { return false };
        for range in &reservation.ranges {
            self.reserved.remove(*range);
        }
        true
    }

    /// Puts a pool in force; its name and its addresses are free.
    pub(super) fn insert_pool(&mut self, pool: Arc<Pool>, object: ObjectRef) {
        for range in &pool.ranges {
            self.ranges.insert(*range, pool.name.clone());
        }
        let advertisements = self
            .advertisements
            .iter()
            .filter(|(_, advertisement)| advertisement.selects_pool(&pool.name, &pool.labels))
            .map(|(key, advertisement)| (key.clone(), advertisement.clone()))
            .collect();
        self.pools.insert(pool.name.clone(), InForce { pool, object, advertisements });
    }

    /// Takes a pool out of force.
    pub(super) fn remove_pool(&mut self, name: &PoolName) {
        let Some(entry) = self.pools.remove(name) else { return };
        for range in &entry.pool.ranges {
            self.ranges.remove(*range);
        }
    }

    /// Puts an advertisement in force or takes it out; `touched` gets each pool for which this matters.
    pub(super) fn set_advertisement(
        &mut self,
        key: &AdvertisementKey,
        value: Option<Arc<L2Advertisement>>,
        mut touched: impl FnMut(&PoolName),
    ) {
        let before = self.advertisements.get(key).cloned();
        if before == value {
            return;
        }
        for advertisement in [&before, &value].into_iter().flatten() {
            let named_only = advertisement.pool_selectors.is_empty() && !advertisement.pools.is_empty();
            let mut attach = |name: &PoolName, entry: &mut InForce| {
                let selected = value.as_ref().filter(|value| value.selects_pool(name, &entry.pool.labels));
                let detached = entry.advertisements.remove(key);
                if let Some(selected) = selected {
                    entry.advertisements.insert(key.clone(), selected.clone());
                }
                if selected.is_some() || detached.is_some() {
                    touched(name);
                }
            };
            if named_only {
                for name in &advertisement.pools {
                    if let Some(entry) = self.pools.get_mut(name) {
                        attach(name, entry);
                    }
                }
            } else {
                self.pools.iter_mut().for_each(|(name, entry)| attach(name, entry));
            }
        }
        match value {
            Some(value) => self.advertisements.insert(key.clone(), value),
            None => self.advertisements.remove(key),
        };
    }
}
