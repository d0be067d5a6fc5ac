//! What a Service should have, given what it has.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::record::Own;
use crate::{
    ipam::{Demand, Grant, Ipam},
    reason::Reason,
    request::{Request, Wanted},
    view::{Family, FamilyPolicy},
};

/// What a Service should have that has `owns`, of which it leaves `movable` as soon as it gets others.
///
/// What it has and may keep it keeps: only an address that the request contradicts is given up, and a
/// missing family is looked for in the same pool first.
///
/// # Errors
/// Why it cannot have what it asks for.
pub(super) fn plan(
    ipam: &Ipam,
    demand: &Demand<'_>,
    owns: &[Own],
    movable: impl Fn(&Own) -> bool,
) -> Result<Grant, Reason> {
    let kept: Vec<_> = owns.iter().filter(|own| may_stay(ipam, demand, own)).collect();
    let firm: Vec<_> = kept.iter().copied().filter(|own| !movable(own)).collect();
    if firm.len() < kept.len()
        && let Ok(grant) = complete(ipam, demand, &firm)
        && grant.addresses.len() >= kept.len()
        && kept.iter().all(|own| firm.contains(own) == grant.addresses.contains(&own.address))
    {
        return Ok(grant);
    }
    complete(ipam, demand, &kept)
}

/// Whether the request does not contradict what a Service has.
fn may_stay(ipam: &Ipam, demand: &Demand<'_>, own: &Own) -> bool {
    fits(ipam, demand.families, demand.request, own.address)
        && demand.request.pool.as_ref().is_none_or(|wanted| own.pool == *wanted)
}

/// Whether an address is one that a Service of these families asks for, whatever its pool.
pub(super) fn fits(ipam: &Ipam, families: &[Family], request: &Request, address: IpAddr) -> bool {
    let family = Family::of(address);
    let meets = |wanted: &Wanted| wanted.family() != family || ipam.meets(address, wanted);
    families.contains(&family) && request.addresses.iter().all(meets)
}

/// Adds what is missing beside `kept`.
fn complete(ipam: &Ipam, demand: &Demand<'_>, kept: &[&Own]) -> Result<Grant, Reason> {
    if kept.is_empty() || is_impossible(demand) {
        return ipam.find(demand);
    }
    let has = |family: &Family| kept.iter().any(|own| Family::of(own.address) == *family);
    let mut lacking: Vec<_> = demand.families.iter().copied().filter(|family| !has(family)).collect();
    lacking.dedup();
    let mut grant = Grant {
        addresses: kept.iter().map(|own| own.address).collect(),
        pools: kept.iter().map(|own| own.pool.clone()).collect(),
        missing: None,
    };
    if !lacking.is_empty() {
        let requested = demand.request.addresses.iter().copied();
        let requested: Vec<_> = requested.filter(|wanted| lacking.contains(&wanted.family())).collect();
        let is_free_choice = requested.is_empty();
        let request = Request { addresses: requested, pool: demand.request.pool.clone() };
        let policy = FamilyPolicy::SingleStack;
        let more = ipam.find(&Demand { families: &lacking, policy, request: &request, ..*demand });
        match more {
            Ok(more) => {
                grant.addresses.extend(more.addresses);
                grant.pools.extend(more.pools);
            }
            Err(reason) if demand.policy == FamilyPolicy::PreferDualStack && is_free_choice => {
                grant.missing = Some(reason);
            }
            // Which address is all the same to it, so what it has does not move for the sake of the other one.
            Err(reason) if is_free_choice => return Err(reason),
            // Not beside what it has: somewhere else altogether, or not at all.
            Err(_) => return ipam.find(demand),
        }
    }
    order(&mut grant, demand.families);
    Ok(grant)
}

/// Puts addresses in the order of the families.
fn order(grant: &mut Grant, families: &[Family]) {
    let place = |address: &IpAddr| families.iter().position(|family| *family == Family::of(*address));
    if let [one, other] = &*grant.addresses
        && place(other) < place(one)
    {
        grant.addresses.reverse();
        grant.pools.reverse();
    }
}

/// Whether no address can help, so that what is there must not look as if it were enough.
fn is_impossible(demand: &Demand<'_>) -> bool {
    demand.families.is_empty()
        || (demand.policy == FamilyPolicy::RequireDualStack && demand.families.len() < 2)
}
