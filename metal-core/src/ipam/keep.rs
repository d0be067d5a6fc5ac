//! Addresses that are kept for somebody: reservations, and what Services had before.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::net::IpAddr;

use super::trigger::{Asking, Triggers, triggers};
use crate::{
    config::{ObjectRef, Reservation},
    name::ObjectKey,
    net::{AddressRange, RangeMap},
};

/// The reservations in force.
#[derive(Clone, Debug, Default)]
pub(super) struct Reservations {
    by_object: BTreeMap<ObjectRef, Arc<Reservation>>,
    ranges: RangeMap<ObjectRef>,
    by_service: BTreeMap<ObjectKey, BTreeSet<ObjectRef>>,
    by_feature: Triggers<ObjectRef>,
}

impl Reservations {
    pub(super) fn is_empty(&self) -> bool {
        self.by_object.is_empty()
    }

    pub(super) fn get(&self, object: &ObjectRef) -> Option<&Arc<Reservation>> {
        self.by_object.get(object)
    }

    /// The reservation that `address` belongs to.
    pub(super) fn at(&self, address: IpAddr) -> Option<&Arc<Reservation>> {
        self.get(self.ranges.get(address)?.1)
    }

    /// The reserved ranges that have an address of `range`, and whose they are.
    pub(super) fn overlapping(
        &self,
        range: AddressRange,
    ) -> impl Iterator<Item = (AddressRange, &ObjectRef)> {
        self.ranges.overlapping(range)
    }

    /// The reservations for a Service: first those by its name.
    pub(super) fn of(&self, owner: &ObjectKey, asking: Asking<'_>) -> Vec<&Arc<Reservation>> {
        if self.is_empty() {
            return Vec::new();
        }
        let by_name = self.by_service.get(owner);
        let by_feature = self.by_feature.find(asking);
        let by_feature = by_feature.filter(|object| by_name.is_none_or(|by_name| !by_name.contains(*object)));
        let found = by_name.into_iter().flatten().chain(by_feature).filter_map(|object| self.get(object));
        found.filter(|reservation| reservation.is_for(owner, asking.labels)).collect()
    }

    /// Adds a reservation; its name and its addresses are free.
    pub(super) fn insert(&mut self, reservation: Arc<Reservation>) {
        for range in &reservation.ranges {
            self.ranges.insert(*range, reservation.object.clone());
        }
        self.index(&reservation, true);
        self.by_object.insert(reservation.object.clone(), reservation);
    }

    pub(super) fn remove(&mut self, object: &ObjectRef) -> Option<Arc<Reservation>> {
        let reservation = self.by_object.remove(object)?;
        for range in &reservation.ranges {
            self.ranges.remove(*range);
        }
        self.index(&reservation, false);
        Some(reservation)
    }

    fn index(&mut self, reservation: &Reservation, present: bool) {
        let object = &reservation.object;
        if let Some(service) = &reservation.service {
            let objects = self.by_service.entry(service.clone()).or_default();
            if present {
                objects.insert(object.clone());
            } else {
                objects.remove(object);
            }
            if objects.is_empty() {
                self.by_service.remove(service);
            }
        }
        if !reservation.service_selectors.is_empty() {
            for trigger in triggers(&reservation.namespaces, &[], &reservation.service_selectors) {
                self.by_feature.set(trigger, object, present);
            }
        }
    }
}

/// Addresses that are held for the Services that had them.
#[derive(Clone, Debug, Default)]
pub(super) struct Holds {
    by_address: BTreeMap<IpAddr, Hold>,
    by_owner: BTreeMap<ObjectKey, BTreeSet<IpAddr>>,
    next: u64,
}

#[derive(Clone, Debug)]
struct Hold {
    owner: ObjectKey,
    /// Later ones have higher numbers.
    number: u64,
}

impl Holds {
    pub(super) fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    /// For whom `address` is held.
    pub(super) fn owner(&self, address: IpAddr) -> Option<&ObjectKey> {
        self.by_address.get(&address).map(|hold| &hold.owner)
    }

    /// What is held for `owner`, ascending.
    pub(super) fn of(&self, owner: &ObjectKey) -> impl Iterator<Item = IpAddr> {
        self.by_owner.get(owner).into_iter().flatten().copied()
    }

    /// What is held in `range`, with the order in which it came.
    pub(super) fn within(&self, range: AddressRange) -> impl Iterator<Item = (u64, IpAddr)> {
        let held = self.by_address.range(range.first()..=range.last());
        held.map(|(address, hold)| (hold.number, *address))
    }

    /// Adds a hold on an address that has none; answers its number.
    pub(super) fn insert(&mut self, address: IpAddr, owner: &ObjectKey) -> u64 {
        self.next += 1;
        self.by_address.insert(address, Hold { owner: owner.clone(), number: self.next });
        self.by_owner.entry(owner.clone()).or_default().insert(address);
        self.next
    }

    /// Removes the hold on `address`; answers its number and for whom it was.
    pub(super) fn remove(&mut self, address: IpAddr) -> Option<(u64, ObjectKey)> {
        let Hold { owner, number } = self.by_address.remove(&address)?;
        if let Some(addresses) = self.by_owner.get_mut(&owner) {
            addresses.remove(&address);
            if addresses.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
        Some((number, owner))
    }
}
