//! Which addresses a Service can get, and why not.

use alloc::{vec, vec::Vec};
use core::net::IpAddr;

use super::{Ipam, stock::Stock};
use crate::{
    name::{ObjectKey, PoolName},
    reason::{AddressProblem, Considered, FamilyProblem, Obstacle, Reason},
    request::{Request, Wanted},
    selector::Labels,
    sharing::Sharing,
    view::{Family, FamilyPolicy},
};

/// What is wanted, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// Who wants it; what it has already counts as free for it.
    pub owner: &'a ObjectKey,
    /// Its labels, for pools that are reserved.
    pub labels: &'a Labels,
    /// The labels of its namespace, for pools that are reserved.
    pub namespace_labels: &'a Labels,
    /// How it wants to share.
    pub sharing: Option<&'a Sharing>,
    /// One address of each of these families, in this order.
    pub families: &'a [Family],
    /// Whether one of two families will do.
    pub policy: FamilyPolicy,
    /// Which addresses or which pool it asks for.
    pub request: &'a Request,
}

/// What can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The addresses, in the order of the families.
    pub addresses: Vec<IpAddr>,
    /// The pool of each address.
    pub pools: Vec<PoolName>,
    /// Why the other family is missing, where only one of two could be had and will do.
    pub missing: Option<Reason>,
}

/// The addresses that are asked for by number.
fn exact(demand: &Demand<'_>) -> impl Iterator<Item = IpAddr> {
    demand.request.addresses.iter().filter_map(|wanted| match wanted {
        Wanted::Address(address) => Some(*address),
        Wanted::Host(_) => None,
    })
}

/// How many pools a reason names.
const NAMED: usize = 16;

pub(super) fn find(ipam: &Ipam, demand: &Demand<'_>) -> Result<Grant, Reason> {
    let mut demand = *demand;
    match *demand.families {
        [] => return Err(Reason::NoClusterIP),
        [one] if demand.policy == FamilyPolicy::RequireDualStack => {
            return Err(Reason::FamilyUnavailable(FamilyProblem::OneClusterIP { family: one }));
        }
        [one, other] if one == other => demand.families = &demand.families[..1],
        _ => {}
    }
    let foreign = exact(&demand).find(|address| !demand.families.contains(&Family::of(*address)));
    if let Some(address) = foreign {
        return Err(Reason::FamilyUnavailable(FamilyProblem::NotOfService { address }));
    }
    match requested_pool(ipam, &demand)? {
        Some(stock) => from_requested(stock, &demand),
        None => automatic(ipam, &demand),
    }
}

/// The pool that has to serve, when addresses or a pool are asked for.
fn requested_pool<'a>(ipam: &'a Ipam, demand: &Demand<'_>) -> Result<Option<&'a Stock>, Reason> {
    let mut wanted = None;
    if let Some(name) = &demand.request.pool {
        let not_found = || Reason::PoolNotFound { pool: name.clone() };
        wanted = Some(ipam.stocks.get(name).ok_or_else(not_found)?);
    }
    for address in exact(demand) {
        let refuse = |problem| Reason::AddressNotInPool { address, problem };
        let (_, (name, index)) = ipam.ranges.get(address).ok_or_else(|| refuse(AddressProblem::NoPool))?;
        let Some(stock) = ipam.stocks.get(name) else { continue };
        let wanted = wanted.get_or_insert(stock);
        if wanted.pool.name != *name {
            let (pool, wanted) = (name.clone(), wanted.pool.name.clone());
            return Err(refuse(AddressProblem::OtherPool { pool, wanted }));
        }
        if let Some(by) = ipam.owner(address) {
            if by != demand.owner {
                return Err(Reason::AddressInUse { address, by: by.clone() });
            }
        } else if stock.is_avoided(*index, address) {
            return Err(refuse(AddressProblem::Avoided { pool: name.clone() }));
        }
    }
    if let Some(stock) = wanted
        && let Some(obstacle) = stock.forbids(&demand.owner.namespace, demand.labels)
    {
        return Err(Reason::PoolNotAllowed { pool: stock.pool.name.clone(), obstacle });
    }
    Ok(wanted)
}

/// Serves from one pool: what is asked for, else what is next in turn.
fn from_requested(stock: &Stock, demand: &Demand<'_>) -> Result<Grant, Reason> {
    let mut addresses = Vec::with_capacity(demand.families.len());
    let mut lack = None;
    for family in demand.families.iter().copied() {
        let requested = exact(demand).find(|address| Family::of(*address) == family);
        match requested.or_else(|| stock.next_free(family)) {
            Some(address) => addresses.push(address),
            None => lack = lack.or(Some(family)),
        }
    }
    let pool = stock.pool.name.clone();
    let missing = lack.map(|family| {
        let considered = Considered { pools: vec![(pool.clone(), stock.lack(family))], more: 0 };
        if stock.has(family) {
            Reason::PoolExhausted(considered)
        } else {
            let families = vec![family];
            Reason::FamilyUnavailable(FamilyProblem::NoPool { families, considered })
        }
    });
    match missing {
        Some(reason) if addresses.is_empty() || demand.policy != FamilyPolicy::PreferDualStack => Err(reason),
        missing => Ok(Grant { pools: vec![pool; addresses.len()], addresses, missing }),
    }
}

/// Serves from the first pool in turn that can.
fn automatic(ipam: &Ipam, demand: &Demand<'_>) -> Result<Grant, Reason> {
    let namespace = &*demand.owner.namespace;
    let open = |name: &PoolName| {
        let stock = ipam.stocks.get(name)?;
        stock.forbids(namespace, demand.labels).is_none().then_some(stock)
    };
    let grant = |stock: &Stock, missing| {
        let addresses: Vec<_> =
            demand.families.iter().filter_map(|family| stock.next_free(*family)).collect();
        Grant { pools: vec![stock.pool.name.clone(); addresses.len()], addresses, missing }
    };
    if let [family] = *demand.families {
        let mut candidates = ipam.tiers.of(family, namespace).filter_map(open);
        return candidates.next().map(|stock| grant(stock, None)).ok_or_else(|| explain(ipam, demand));
    }
    if let Some(stock) = ipam.tiers.of_both(namespace).find_map(open) {
        return Ok(grant(stock, None));
    }
    let reason = explain(ipam, demand);
    if demand.policy == FamilyPolicy::PreferDualStack {
        let mut families = demand.families.iter();
        if let Some(stock) = families.find_map(|family| ipam.tiers.of(*family, namespace).find_map(open)) {
            return Ok(grant(stock, Some(reason)));
        }
    }
    Err(reason)
}

/// Why no pool serves by itself.
fn explain(ipam: &Ipam, demand: &Demand<'_>) -> Reason {
    let (mut candidates, mut others) = (Considered::default(), Considered::default());
    let (mut any, mut capable) = (false, false);
    for stock in ipam.stocks.values() {
        let forbidden = stock.forbids(&demand.owner.namespace, demand.labels);
        let forbidden = forbidden.or((!stock.pool.auto_assign).then_some(Obstacle::NotAutomatic));
        let (list, obstacle) = if let Some(obstacle) = forbidden {
            (&mut others, obstacle)
        } else {
            any = true;
            capable |= demand.families.iter().all(|family| stock.has(*family));
            let lacking = demand.families.iter().find(|family| stock.next_free(**family).is_none());
            (&mut candidates, stock.lack(*lacking.unwrap_or(&demand.families[0])))
        };
        if list.pools.len() < NAMED {
            list.pools.push((stock.pool.name.clone(), obstacle));
        } else {
            list.more += 1;
        }
    }
    let mut considered = candidates;
    let room = NAMED - considered.pools.len();
    considered.more += others.more + others.pools.len().saturating_sub(room);
    considered.pools.extend(others.pools.into_iter().take(room));
    if capable {
        Reason::PoolExhausted(considered)
    } else if any {
        let families = demand.families.to_vec();
        Reason::FamilyUnavailable(FamilyProblem::NoPool { families, considered })
    } else {
        Reason::NoMatchingPool(considered)
    }
}
