//! Why a Service gets nothing.

use alloc::{vec, vec::Vec};
use core::net::IpAddr;

use super::{
    search::Search,
    stock::{Stock, StockId},
    trigger::Asking,
};
use crate::{
    reason::{AddressProblem, Considered, FamilyProblem, Obstacle, Reason},
    request::{HostPart, Wanted},
    view::Family,
};

/// How many pools a reason names.
const NAMED: usize = 16;

/// What keeps a Service out of a pool, even if it asks for it.
pub(super) fn forbids(stock: &Stock, asking: Asking<'_>) -> Option<Obstacle> {
    let allocation = stock.pool.allocation.as_ref()?;
    if !allocation.admits_namespace(asking.namespace, asking.namespace_labels) {
        return Some(Obstacle::Namespace);
    }
    (!allocation.admits_labels(asking.labels)).then_some(Obstacle::Labels)
}

/// The namespace has all it may have of a pool.
pub(super) fn quota(stock: &Stock, namespace: &str, considered: Considered) -> Reason {
    let limit = limit(stock);
    Reason::QuotaExceeded { pool: stock.pool.name.clone(), namespace: namespace.into(), limit, considered }
}

/// Why nothing was found of `families`.
pub(super) fn nothing(search: &Search<'_>, families: &[Family]) -> Reason {
    let has = |stock: &Stock, family: Family| stock.shelf(family).capacity > 0;
    let is_over_quota =
        |id: StockId, stock: &Stock| families.iter().any(|family| search.is_over_quota(id, stock, *family));
    let considered = consider(search, families, |id, stock| {
        if is_over_quota(id, stock) {
            return Obstacle::Quota { limit: limit(stock) };
        }
        let lacks = |family: &&Family| stock.shelf(**family).next_free().is_none();
        let family = *families.iter().find(lacks).unwrap_or(&families[0]);
        if has(stock, family) { full(search, stock, family) } else { Obstacle::NoFamily(family) }
    });
    let serving = || serving(search, families);
    let is_unserved = |family: &Family| !serving().any(|(_, stock)| has(stock, *family));
    let unserved: Vec<_> = families.iter().copied().filter(is_unserved).collect();
    if serving().next().is_none() {
        Reason::NoMatchingPool(considered)
    } else if !unserved.is_empty() {
        Reason::FamilyUnavailable(FamilyProblem::NoPool { families: unserved, considered })
    } else if let Some((_, stock)) = serving().find(|(id, stock)| is_over_quota(*id, stock)) {
        quota(stock, &search.demand.owner.namespace, considered)
    } else {
        Reason::PoolExhausted(considered)
    }
}

/// Why there is no address with this end.
pub(super) fn no_host(search: &Search<'_>, host: HostPart) -> Reason {
    let has = |stock: &Stock| {
        let mut ending_so = stock.pool.ranges.iter().flat_map(|range| host.within(*range, *range));
        ending_so.any(|address| stock.is_inside(address))
    };
    let is_over_quota = |id: StockId, stock| search.hosts_in(id, stock, host).next().is_some();
    // It lies where pools are given out, not beside what there is already.
    let considered = consider(search, &[], |id, stock| {
        if is_over_quota(id, stock) {
            Obstacle::Quota { limit: limit(stock) }
        } else if has(stock) {
            Obstacle::HostTaken(host)
        } else {
            Obstacle::NoHost(host)
        }
    });
    let serving = || serving(search, &[]);
    if serving().next().is_none() {
        Reason::NoMatchingPool(considered)
    } else if let Some((_, stock)) = serving().find(|(id, stock)| is_over_quota(*id, stock)) {
        quota(stock, &search.demand.owner.namespace, considered)
    } else if serving().any(|(_, stock)| has(stock)) {
        Reason::PoolExhausted(considered)
    } else {
        Reason::AddressNotInPool { wanted: Wanted::Host(host), problem: AddressProblem::NoHost(considered) }
    }
}

fn limit(stock: &Stock) -> u32 {
    stock.pool.max_per_namespace.unwrap_or(u32::MAX)
}

/// The pools that may serve a Service with `families`: the one it asks for, else those that do without being asked, and
/// those from which it has something of another family.
fn serving<'a>(search: &Search<'a>, families: &[Family]) -> impl Iterator<Item = (StockId, &'a Stock)> {
    let all = search.ipam.stocks.iter().filter(|_| search.wanted.is_none());
    let all = all.filter(|(id, stock)| {
        (stock.pool.auto_assign || is_home(search, *id, families))
            && forbids(stock, search.asking()).is_none()
    });
    search.wanted.into_iter().chain(all)
}

/// Whether a pool is one from which the Service has something of another family.
fn is_home(search: &Search<'_>, id: StockId, families: &[Family]) -> bool {
    families.iter().any(|family| search.homes(*family).any(|home| home == id))
}

/// Every pool that could be asked, with its obstacle; those that may serve the Service come first.
fn consider<'a>(
    search: &Search<'a>,
    families: &[Family],
    obstacle: impl Fn(StockId, &'a Stock) -> Obstacle,
) -> Considered {
    if let Some((id, stock)) = search.wanted {
        return Considered { pools: vec![(stock.pool.name.clone(), obstacle(id, stock))], more: 0 };
    }
    let (mut candidates, mut others) = (Considered::default(), Considered::default());
    for (id, stock) in search.ipam.stocks.iter() {
        let forbidden = forbids(stock, search.asking());
        let is_automatic = stock.pool.auto_assign || is_home(search, id, families);
        let forbidden = forbidden.or((!is_automatic).then_some(Obstacle::NotAutomatic));
        let list = if forbidden.is_none() { &mut candidates } else { &mut others };
        if list.pools.len() < NAMED {
            let obstacle = forbidden.unwrap_or_else(|| obstacle(id, stock));
            list.pools.push((stock.pool.name.clone(), obstacle));
        } else {
            list.more += 1;
        }
    }
    let mut considered = candidates;
    let room = NAMED - considered.pools.len();
    considered.more += others.more + others.pools.len().saturating_sub(room);
    considered.pools.extend(others.pools.into_iter().take(room));
    considered
}

/// A pool has no address of a family left that is free for everybody: where they all are.
fn full(search: &Search<'_>, stock: &Stock, family: Family) -> Obstacle {
    let shelf = stock.shelf(family);
    let unreserved = |address: &IpAddr| {
        Family::of(*address) == family
            && search.ipam.reservations.at(*address).is_none()
            && stock.is_inside(*address)
            && !search.ipam.users.is_used(*address)
    };
    let count = |number: usize| u128::try_from(number).unwrap_or(u128::MAX);
    let held = count(stock.held.values().filter(|address| unreserved(address)).count());
    let ranges = stock.pool.ranges.iter().filter(|range| range.family() == family);
    let avoided = ranges.flat_map(|range| search.ipam.avoided.range(range.first()..=range.last()));
    let avoided =
        avoided.filter(|address| unreserved(address) && search.ipam.holds.owner(**address).is_none());
    let network = count(avoided.count());
    let reserved = shelf.capacity.saturating_sub(shelf.used).saturating_sub(held).saturating_sub(network);
    Obstacle::Full { family, total: shelf.capacity, reserved, held, network }
}
