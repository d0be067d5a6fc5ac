//! A pool and what is left of it.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};
use core::net::IpAddr;

use super::{Usage, space::Space, tier::Offers};
use crate::{config::Pool, net::AddressRange, reason::Obstacle, selector::Labels, view::Family};

/// A pool and what is left of it.
#[derive(Clone, Debug)]
pub(super) struct Stock {
    pub(super) pool: Arc<Pool>,
    /// One space for each range of the pool.
    spaces: Vec<Space>,
    v4: Shelf,
    v6: Shelf,
}

/// What a pool has of one family.
#[derive(Clone, Debug, Default)]
struct Shelf {
    /// The spaces with free addresses, by their place in the pool.
    open: BTreeSet<usize>,
    /// How many addresses can be given out at all.
    usable: u128,
    /// How many of these are in use.
    used: u128,
    /// How many addresses are in use although the pool leaves them alone.
    avoided: u128,
}

impl Stock {
    /// `used` are the addresses in use in a range, ascending.
    pub(super) fn new<I: Iterator<Item = IpAddr>>(pool: Arc<Pool>, used: impl Fn(AddressRange) -> I) -> Self {
        let avoids = pool.avoid_buggy_ips;
        let spaces: Vec<_> =
            pool.ranges.iter().map(|range| Space::new(*range, avoids, used(*range))).collect();
        let mut stock = Self { pool: pool.clone(), spaces, v4: Shelf::default(), v6: Shelf::default() };
        for (index, range) in pool.ranges.iter().enumerate() {
            let (mut avoided, mut regular) = (0, 0);
            for address in used(*range) {
                let count = if stock.spaces[index].is_avoided(address) { &mut avoided } else { &mut regular };
                *count += 1;
            }
            let open = stock.spaces[index].lowest().is_some();
            let shelf = stock.shelf_mut(range.family());
            shelf.usable = shelf.usable.saturating_add(Space::usable(*range, avoids));
            shelf.used += regular;
            shelf.avoided += avoided;
            if open {
                shelf.open.insert(index);
            }
        }
        stock
    }

    /// The free address that is next in turn: first range first, lowest first.
    pub(super) fn next_free(&self, family: Family) -> Option<IpAddr> {
        self.spaces[*self.shelf(family).open.first()?].lowest()
    }

    /// Which families have free addresses.
    pub(super) fn offers(&self) -> Offers {
        Offers { v4: !self.v4.open.is_empty(), v6: !self.v6.open.is_empty() }
    }

    /// Whether the pool leaves an address of its range `index` alone.
    pub(super) fn is_avoided(&self, index: usize, address: IpAddr) -> bool {
        self.spaces[index].is_avoided(address)
    }

    /// Marks an address of the range `index` as in use.
    pub(super) fn take(&mut self, index: usize, address: IpAddr) {
        let space = &mut self.spaces[index];
        space.take(address);
        let (open, avoided) = (space.lowest().is_some(), space.is_avoided(address));
        let shelf = self.shelf_mut(Family::of(address));
        *(if avoided { &mut shelf.avoided } else { &mut shelf.used }) += 1;
        if !open {
            shelf.open.remove(&index);
        }
    }

    /// Marks an address of the range `index` as free.
    pub(super) fn give(&mut self, index: usize, address: IpAddr) {
        let space = &mut self.spaces[index];
        space.give(address);
        let (open, avoided) = (space.lowest().is_some(), space.is_avoided(address));
        let shelf = self.shelf_mut(Family::of(address));
        *(if avoided { &mut shelf.avoided } else { &mut shelf.used }) -= 1;
        if open {
            shelf.open.insert(index);
        }
    }

    /// What keeps a Service out of the pool, even one that asks for it.
    pub(super) fn forbids(&self, namespace: &str, labels: &Labels) -> Option<Obstacle> {
        let allocation = self.pool.allocation.as_ref()?;
        if !allocation.admits_namespace(namespace) {
            return Some(Obstacle::Namespace);
        }
        (!allocation.admits_labels(labels)).then_some(Obstacle::Labels)
    }

    /// Why there is no free address of a family.
    pub(super) fn lack(&self, family: Family) -> Obstacle {
        match self.shelf(family).usable {
            0 => Obstacle::NoFamily(family),
            total => Obstacle::Full { family, total },
        }
    }

    /// Whether the pool has addresses of a family, free or not.
    pub(super) fn has(&self, family: Family) -> bool {
        self.shelf(family).usable > 0
    }

    pub(super) fn usage(&self) -> Usage {
        let saturate = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
        Usage {
            assigned_v4: saturate(self.v4.used + self.v4.avoided),
            assigned_v6: saturate(self.v6.used + self.v6.avoided),
            available_v4: saturate(self.v4.usable - self.v4.used),
            available_v6: saturate(self.v6.usable - self.v6.used),
        }
    }

    const fn shelf(&self, family: Family) -> &Shelf {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    const fn shelf_mut(&mut self, family: Family) -> &mut Shelf {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}
