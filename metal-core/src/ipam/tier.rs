//! Which pools are tried, and in which order.

use alloc::collections::BTreeSet;

use super::{
    stock::StockId,
    trigger::{Asking, Triggers, put, triggers},
};
use crate::{config::Pool, name::PoolName, view::Family};

/// Which families have an address that is free for everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offers {
    pub(super) v4: bool,
    pub(super) v6: bool,
}

/// The pools that are given out automatically, by what they offer.
#[derive(Clone, Debug, Default)]
pub(super) struct Tiers {
    v4: Tier,
    v6: Tier,
    both: Tier,
    /// Also those that are full.
    all: Tier,
}

/// First the pools that are for certain Services, or have a priority; then those for everybody.
#[derive(Clone, Debug, Default)]
struct Tier {
    pinned: Triggers<Ranked>,
    general: BTreeSet<Ranked>,
}

/// The place of a pool in the order of trying: pools for certain Services first, by priority with 0 last, then
/// by name.
pub(super) type Ranked = ((bool, (bool, i64)), PoolName, StockId);

/// The place of a pool in the order of trying.
pub(super) fn rank(pool: &Pool, id: StockId) -> Ranked {
    let order = pool.allocation.as_ref().map_or((true, (false, 0)), |pinned| (false, pinned.rank()));
    (order, pool.name.clone(), id)
}

impl Tiers {
    /// A pool has come, or gone.
    pub(super) fn set(&mut self, pool: &Pool, id: StockId, present: bool) {
        if pool.auto_assign {
            self.all.set(pool, &rank(pool, id), present);
        }
    }

    /// What `pool` offers has changed.
    pub(super) fn update(&mut self, pool: &Pool, id: StockId, before: Offers, now: Offers) {
        if !pool.auto_assign || before == now {
            return;
        }
        let rank = rank(pool, id);
        let both = |offers: Offers| offers.v4 && offers.v6;
        for (tier, before, now) in [
            (&mut self.v4, before.v4, now.v4),
            (&mut self.v6, before.v6, now.v6),
            (&mut self.both, both(before), both(now)),
        ] {
            if before != now {
                tier.set(pool, &rank, now);
            }
        }
    }

    /// The pools with a free address of each of `families`, in the order of trying. Whether they are for the
    /// Service that asks has to be asked of each.
    pub(super) fn open(&self, families: &[Family], asking: Asking<'_>) -> impl Iterator<Item = &Ranked> {
        let tier = match families {
            [Family::V4] => &self.v4,
            [Family::V6] => &self.v6,
            _ => &self.both,
        };
        tier.find(asking)
    }

    /// All pools, in the order of trying. Whether they are for the Service that asks has to be asked of each.
    pub(super) fn all(&self, asking: Asking<'_>) -> impl Iterator<Item = &Ranked> {
        self.all.find(asking)
    }
}

impl Tier {
    fn set(&mut self, pool: &Pool, rank: &Ranked, present: bool) {
        let Some(pinned) = &pool.allocation else { return put(&mut self.general, rank, present) };
        let triggers = triggers(&pinned.namespaces, &pinned.namespace_selectors, &pinned.service_selectors);
        for trigger in triggers {
            self.pinned.set(trigger, rank, present);
        }
    }

    fn find(&self, asking: Asking<'_>) -> impl Iterator<Item = &Ranked> {
        self.pinned.find(asking).chain(&self.general)
    }
}
