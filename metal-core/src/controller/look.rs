//! What the controller has decided, for those who ask: metrics and plans.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::net::IpAddr;

use super::{Controller, record::Lost};
use crate::{
    config::{Pool, Snapshot},
    ipam::{Count, Usage},
    name::{ObjectKey, PoolName},
    reason::Reason,
    view::{Family, Scope},
};

/// What the controller has decided about a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceState {
    /// The Service.
    pub service: ObjectKey,
    /// Whether it is for us.
    pub scope: Scope,
    /// Its addresses, in the order of its families.
    pub addresses: Vec<IpAddr>,
    /// The pool that each address is or was in.
    pub pools: Vec<PoolName>,
    /// It had all its addresses before this controller knew it.
    pub is_kept: bool,
    /// Why it does not have what it asks for, or what is odd about what it has.
    pub reason: Option<Reason>,
}

impl Controller {
    /// The configuration in force.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        self.config.snapshot()
    }

    /// All Services that are known, by name.
    pub fn services(&self) -> impl Iterator<Item = ServiceState> {
        self.services.iter().map(|(key, record)| {
            let lost = match &record.lost {
                Some(Lost::Now(lost)) => Some(lost.clone()),
                _ => None,
            };
            let contested = record.contest.as_ref().and_then(|contest| contest.reason());
            ServiceState {
                service: key.clone(),
                scope: record.service.scope,
                addresses: record.addresses(),
                pools: record.owns.iter().map(|own| own.pool.clone()).collect(),
                is_kept: !record.owns.is_empty() && record.owns.iter().all(|own| own.is_kept),
                reason: contested.or(lost).or_else(|| record.reason.clone()),
            }
        })
    }

    /// All pools in force, by name, with their exact counters of IPv4 and IPv6 and the same, saturating.
    pub fn pools(&self) -> impl Iterator<Item = (&Arc<Pool>, Count, Count, Usage)> {
        self.snapshot().pools().filter_map(|pool| {
            let count = |family| self.ipam.count(&pool.name, family);
            Some((pool, count(Family::V4)?, count(Family::V6)?, self.ipam.usage(&pool.name)?))
        })
    }

    /// How many Services lack an address of a family, by the pool that they ask for.
    #[must_use]
    pub fn pending(&self) -> BTreeMap<(Option<PoolName>, Family), u64> {
        let mut pending = BTreeMap::new();
        let waiting = self.agenda.waiting().filter_map(|(_, key)| self.services.get(key));
        for record in waiting {
            let pool = record.service.request.as_ref().ok().and_then(|request| request.pool.clone());
            for family in &record.service.families {
                if !record.owns.iter().any(|own| Family::of(own.address) == *family) {
                    *pending.entry((pool.clone(), *family)).or_default() += 1;
                }
            }
        }
        pending
    }
}
