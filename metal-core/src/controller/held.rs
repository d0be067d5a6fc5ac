//! Addresses that are kept for the Service that had them (`reuseDelay`).

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::net::IpAddr;

use super::{Controller, Timer};
use crate::{
    config::Held,
    name::{ObjectKey, PoolName},
    time::Instant,
};

/// The addresses that are kept.
#[derive(Debug, Default)]
pub(super) struct Holds {
    by_address: BTreeMap<IpAddr, (PoolName, Held)>,
    by_pool: BTreeMap<PoolName, BTreeSet<(i64, IpAddr)>>,
}

impl Holds {
    /// What is kept of a pool, by address.
    pub(super) fn of_pool(&self, pool: &PoolName) -> Vec<Held> {
        let entries = self.by_pool.get(pool).into_iter().flatten();
        let mut held: Vec<_> =
            entries.filter_map(|(_, address)| Some(self.by_address.get(address)?.1.clone())).collect();
        held.sort();
        held
    }

    /// The addresses that are kept of a pool.
    pub(super) fn addresses(&self, pool: &PoolName) -> Vec<IpAddr> {
        self.by_pool.get(pool).into_iter().flatten().map(|(_, address)| *address).collect()
    }

    fn insert(&mut self, pool: PoolName, held: Held) {
        self.by_pool.entry(pool.clone()).or_default().insert((held.until, held.address));
        self.by_address.insert(held.address, (pool, held));
    }

    fn remove(&mut self, address: IpAddr) -> Option<(PoolName, Held)> {
        let (pool, held) = self.by_address.remove(&address)?;
        if let Some(entries) = self.by_pool.get_mut(&pool) {
            entries.remove(&(held.until, address));
            if entries.is_empty() {
                self.by_pool.remove(&pool);
            }
        }
        Some((pool, held))
    }
}

impl Controller {
    /// Keeps an address, which just became free, for the Service that had it, if its pool says so.
    pub(super) fn keep_for(&mut self, now: Instant, address: IpAddr, service: &ObjectKey) {
        let Some(pool) = self.ipam.pool_of(address) else { return };
        if pool.reuse_delay.is_zero() {
            return;
        }
        let end = now + pool.reuse_delay;
        let until = (u128::from(self.epoch) + u128::from(end.as_micros())).div_ceil(1_000_000);
        let until = i64::try_from(until).unwrap_or(i64::MAX);
        self.hold(pool.name.clone(), Held { address, service: service.clone(), until });
    }

    fn hold(&mut self, pool: PoolName, held: Held) {
        let surplus = self.ipam.hold(held.address, &held.service);
        self.timers.set(Timer::Held(held.address), self.at(held.until));
        self.holds.remove(held.address);
        self.holds.insert(pool.clone(), held);
        self.recount.insert(pool);
        if let Some(surplus) = surplus {
            self.unhold(surplus);
        }
    }

    /// An address is not kept any longer: it is for everybody, or in use.
    pub(super) fn unhold(&mut self, address: IpAddr) {
        let Some((pool, held)) = self.holds.remove(address) else { return };
        self.timers.stop(&Timer::Held(address));
        self.ipam.drop_hold(address);
        self.recount.insert(pool);
        self.agenda.wake(&super::agenda::Queue::Address(address));
        if self.ipam.owners(address).next().is_none() {
            self.offer(held.address);
        }
    }

    /// Takes over what the pools' status says, once everything in use has been claimed.
    pub(super) fn restore(&mut self, now: Instant) {
        for (object, held) in core::mem::take(&mut self.remembered) {
            for held in held {
                let Some(pool) = self.ipam.pool_of(held.address) else { continue };
                let is_ours = self.config.snapshot().object_of(&pool.name) == Some(&object);
                let is_free = self.ipam.owners(held.address).next().is_none();
                if is_ours && is_free && !pool.reuse_delay.is_zero() && self.at(held.until) > now {
                    self.hold(pool.name.clone(), held);
                }
            }
        }
    }

    /// Forgets what a pool does not keep any more.
    pub(super) fn review_holds(&mut self, pool: &PoolName) {
        for address in self.holds.addresses(pool) {
            let now = self.ipam.pool_of(address);
            if now.is_none_or(|now| now.name != *pool || now.reuse_delay.is_zero()) {
                self.unhold(address);
            }
        }
    }

    /// The instant of a unix time in seconds.
    fn at(&self, unix: i64) -> Instant {
        let micros = i128::from(unix) * 1_000_000 - i128::from(self.epoch);
        Instant::from_micros(u64::try_from(micros.max(0)).unwrap_or(u64::MAX))
    }
}
