//! What a Service should have, given what it has.

use alloc::vec::Vec;
use core::net::IpAddr;

use crate::{
    ipam::{Demand, Grant, Ipam},
    name::PoolName,
    reason::Reason,
    request::Request,
    view::{Family, FamilyPolicy},
};

/// What a Service should have that has `held`, which came from `pool`.
///
/// What it has and may keep it keeps: only an address that the request contradicts is given up, and a
/// missing family is looked for in the same pool first.
///
/// # Errors
/// Why it cannot have what it asks for.
pub(super) fn plan(
    ipam: &Ipam,
    demand: &Demand<'_>,
    held: &[IpAddr],
    pool: Option<&PoolName>,
) -> Result<Grant, Reason> {
    let home = |address: IpAddr| ipam.pool_of(address).map(|pool| &pool.name).or(pool);
    let request = demand.request;
    let may_stay = |address: &IpAddr| {
        let family = Family::of(*address);
        demand.families.contains(&family)
            && request.addresses.iter().all(|other| other.family() != family || *other == (*address).into())
            && request.pool.as_ref().is_none_or(|wanted| home(*address) == Some(wanted))
    };
    let kept: Vec<_> = held.iter().copied().filter(may_stay).collect();
    let home = kept.first().and_then(|address| home(*address));
    let (Some(home), false) = (home, is_impossible(demand)) else { return ipam.find(demand) };

    let has = |family: &Family| kept.iter().any(|address| Family::of(*address) == *family);
    let lacking: Vec<_> = demand.families.iter().copied().filter(|family| !has(family)).collect();
    let mut grant =
        Grant { pools: alloc::vec![home.clone(); kept.len()], addresses: kept.clone(), missing: None };
    if lacking.is_empty() {
        return Ok(grant);
    }
    let requested = request.addresses.iter().copied().filter(|wanted| lacking.contains(&wanted.family()));
    let rest = Request { addresses: requested.collect(), pool: Some(home.clone()) };
    let policy = FamilyPolicy::SingleStack;
    match ipam.find(&Demand { families: &lacking, policy, request: &rest, ..*demand }) {
        Ok(more) => {
            grant.addresses.extend(more.addresses);
            grant.pools.extend(more.pools);
            let place =
                |address: &IpAddr| demand.families.iter().position(|family| *family == Family::of(*address));
            grant.addresses.sort_by_key(place);
            Ok(grant)
        }
        Err(reason) if demand.policy == FamilyPolicy::PreferDualStack && rest.addresses.is_empty() => {
            grant.missing = Some(reason);
            Ok(grant)
        }
        // Not beside what it has: somewhere else altogether, or not at all.
        Err(_) => ipam.find(demand),
    }
}

/// Whether no address can help, so that what is there must not look as if it were enough.
fn is_impossible(demand: &Demand<'_>) -> bool {
    demand.families.is_empty()
        || (demand.policy == FamilyPolicy::RequireDualStack && demand.families.len() < 2)
}
