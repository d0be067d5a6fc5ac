//! Which addresses a Service can get.

use alloc::vec::Vec;
use core::{mem, net::IpAddr};

use super::{
    Ipam,
    explain::{self, forbids},
    stock::{Stock, StockId},
    tier::{Ranked, rank},
    trigger::Asking,
};
use crate::{
    name::{ObjectKey, PoolName},
    reason::{AddressProblem, Claim, Considered, FamilyProblem, Reason},
    request::{HostPart, Request, Wanted},
    selector::Labels,
    sharing::{Sharing, SharingProblem},
    view::{Family, FamilyPolicy},
};

/// What is wanted, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// Who wants it. What it has already counts as free for it when it asks for exactly that.
    pub owner: &'a ObjectKey,
    /// Its labels, for pools and reservations that select by them.
    pub labels: &'a Labels,
    /// The labels of its namespace, for pools that select by them.
    pub namespace_labels: &'a Labels,
    /// How it wants to share.
    pub sharing: Option<&'a Sharing>,
    /// What it has now. Of the families that it wants it gives that up once it gets something else, so that
    /// does not count against its namespace; what it has of another family it keeps, and the rest is looked
    /// for in the same pool first.
    pub has: &'a [IpAddr],
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

/// A search for the addresses that one Service wants.
pub(super) struct Search<'a> {
    pub(super) ipam: &'a Ipam,
    pub(super) demand: Demand<'a>,
    /// The pool that it asks for.
    pub(super) wanted: Option<(StockId, &'a Stock)>,
    /// What was found, with the pool it lies in.
    pub(super) picks: Picks,
}

/// An address that was found, with the pool it lies in.
pub(super) type Pick = (IpAddr, StockId);

/// At most one address of each family.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Picks([Option<Pick>; 2]);

impl Picks {
    /// What was found, in the order of finding.
    pub(super) fn iter(&self) -> impl Iterator<Item = Pick> {
        self.0.into_iter().flatten()
    }

    pub(super) fn push(&mut self, pick: Pick) {
        let [first, second] = &mut self.0;
        *(if first.is_none() { first } else { second }) = Some(pick);
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    fn has(&self, family: Family) -> bool {
        self.iter().any(|(address, _)| Family::of(address) == family)
    }
}

pub(super) fn find(ipam: &Ipam, demand: &Demand<'_>) -> Result<Grant, Reason> {
    let mut demand = *demand;
    match *demand.families {
        [] => return Err(Reason::NoClusterIP),
        [one]
            if demand.policy == FamilyPolicy::RequireDualStack
                && demand.has.iter().all(|a| Family::of(*a) == one) =>
        {
            return Err(Reason::FamilyUnavailable(FamilyProblem::OneClusterIP { family: one }));
        }
        [one, other] if one == other => demand.families = &demand.families[..1],
        _ => {}
    }
    let mut search = Search { ipam, demand, wanted: None, picks: Picks::default() };
    search.find_requested_pool()?;
    for wanted in &demand.request.addresses {
        search.pick_requested(wanted)?;
    }
    search.pick_kept();
    let reason = search.pick_from_pools().err();
    search.grant(reason)
}

impl<'a> Search<'a> {
    pub(super) fn asking(&self) -> Asking<'a> {
        let Demand { owner, namespace_labels, labels, .. } = self.demand;
        Asking { namespace: &owner.namespace, namespace_labels, labels }
    }

    /// The families for which nothing was found so far.
    pub(super) fn lacking(&self) -> impl Iterator<Item = Family> + use<'a> {
        let (picks, families) = (self.picks, self.demand.families);
        families.iter().copied().filter(move |family| !picks.has(*family))
    }

    fn grant(self, reason: Option<Reason>) -> Result<Grant, Reason> {
        let Self { ipam, demand, picks, .. } = self;
        if let Some(reason) = &reason
            && (picks.iter().next().is_none() || demand.policy == FamilyPolicy::RequireDualStack)
        {
            return Err(reason.clone());
        }
        let of_family = |family: &Family| picks.iter().find(|(address, _)| Family::of(*address) == *family);
        let mut grant = Grant {
            addresses: Vec::with_capacity(demand.families.len()),
            pools: Vec::with_capacity(demand.families.len()),
            missing: reason,
        };
        for (address, id) in demand.families.iter().filter_map(of_family) {
            grant.addresses.push(address);
            grant.pools.extend(ipam.stocks.get(id).map(|stock| stock.pool.name.clone()));
        }
        Ok(grant)
    }

    /// The pool that is asked for.
    fn find_requested_pool(&mut self) -> Result<(), Reason> {
        let Some(name) = &self.demand.request.pool else { return Ok(()) };
        let found = self.ipam.stocks.id(name).and_then(|id| Some((id, self.ipam.stocks.get(id)?)));
        let Some((id, stock)) = found else { return Err(Reason::PoolNotFound { pool: name.clone() }) };
        self.must_admit(stock)?;
        self.wanted = Some((id, stock));
        Ok(())
    }

    fn must_admit(&self, stock: &Stock) -> Result<(), Reason> {
        let pool = || stock.pool.name.clone();
        forbids(stock, self.asking())
            .map_or(Ok(()), |obstacle| Err(Reason::PoolNotAllowed { pool: pool(), obstacle }))
    }

    /// What is asked for: an address, or one with a certain end.
    fn pick_requested(&mut self, wanted: &Wanted) -> Result<(), Reason> {
        if !self.demand.families.contains(&wanted.family()) {
            // What it has of another family it keeps; that was asked for elsewhere.
            if self.demand.has.iter().any(|address| Family::of(*address) == wanted.family()) {
                return Ok(());
            }
            return Err(Reason::FamilyUnavailable(FamilyProblem::NotOfService { wanted: *wanted }));
        }
        let pick = match wanted {
            Wanted::Address(address) => self.check_address(*address)?,
            Wanted::Host(host) => self.find_host(*host)?,
        };
        self.picks.push(pick);
        Ok(())
    }

    /// Whether the Service can have exactly this address.
    fn check_address(&self, address: IpAddr) -> Result<Pick, Reason> {
        let Demand { owner, sharing, .. } = self.demand;
        let refuse = |problem| Err(Reason::AddressNotInPool { wanted: address.into(), problem });
        let Some((_, (id, _))) = self.ipam.ranges.get(address) else { return refuse(AddressProblem::NoPool) };
        let Some(stock) = self.ipam.stocks.get(*id) else { return refuse(AddressProblem::NoPool) };
        let pool = || stock.pool.name.clone();
        if let Some((_, wanted)) = self.wanted.filter(|(wanted, _)| wanted != id) {
            return refuse(AddressProblem::OtherPool { pool: pool(), wanted: wanted.pool.name.clone() });
        }
        self.must_admit(stock)?;
        let has_it = self.ipam.users.owners(address).any(|user| user == owner);
        if !has_it && stock.is_excluded(address) {
            return refuse(AddressProblem::Excluded { pool: pool() });
        }
        if !has_it && !stock.is_inside(address) {
            return refuse(AddressProblem::Avoided { pool: pool() });
        }
        if !has_it && let Some(claim) = self.reserved_for_others(address) {
            return Err(Reason::AddressReserved { address, claim });
        }
        if let Some(conflict) = self.ipam.users.conflict(address, owner, sharing) {
            let by = conflict.by;
            return Err(match conflict.problem {
                SharingProblem::NotShared => Reason::AddressInUse { address, by },
                problem => Reason::SharingConflict { address, by, problem },
            });
        }
        if !has_it && let Some((by, problem)) = self.unshared(stock, address) {
            return Err(Reason::SharingConflict { address, by, problem });
        }
        if !has_it && let Some(former) = self.held_for_others(address) {
            return Err(Reason::AddressReserved { address, claim: Claim::Former(former.clone()) });
        }
        if self.exceeds_quota(*id, stock, address) {
            return Err(explain::quota(stock, &owner.namespace, Considered::default()));
        }
        Ok((address, *id))
    }

    /// An address with this end: what is reserved or held for the Service first, then in the order of the pools.
    fn find_host(&self, host: HostPart) -> Result<Pick, Reason> {
        if let Some(pick) = self.kept(host.family, Some(host)) {
            return Ok(pick);
        }
        let host_in = |id: StockId, stock: &'a Stock| {
            let mut ending_so = self.hosts_in(id, stock, host);
            Some((ending_so.find(|address| !self.exceeds_quota(id, stock, *address))?, id))
        };
        let found = match self.wanted {
            Some((id, stock)) => host_in(id, stock),
            None => {
                let mut pools = self.ipam.tiers.all(self.asking());
                pools.find_map(|(_, _, id)| host_in(*id, self.admitting(*id)?))
            }
        };
        found.ok_or_else(|| explain::no_host(self, host))
    }

    /// The addresses of a pool with this end that the Service could have: what it can share, then what is free.
    pub(super) fn hosts_in(
        &self,
        id: StockId,
        stock: &'a Stock,
        host: HostPart,
    ) -> impl Iterator<Item = IpAddr> {
        let ends_so = move |address: &IpAddr| {
            self.ipam.ranges.get(*address).is_some_and(|(range, _)| host.is_of(*address, Some(range)))
        };
        let free = stock.pool.ranges.iter().flat_map(move |range| host.within(*range, *range));
        let free = free
            .filter(|address| self.is_free(stock, *address) && self.ipam.reservations.at(*address).is_none());
        self.shared_in(id, stock, host.family).filter(ends_so).chain(free)
    }

    /// Whether nobody has `address` or had it lately. That the network keeps it does not matter.
    pub(super) fn is_free(&self, stock: &Stock, address: IpAddr) -> bool {
        !self.ipam.users.is_used(address)
            && self.ipam.holds.owner(address).is_none()
            && stock.is_inside(address)
    }

    /// What is lacking still, from pools: what it gets so far belongs together with the rest.
    fn pick_from_pools(&mut self) -> Result<(), Reason> {
        let families = self.demand.families;
        if self.wanted.is_none()
            && families.len() > 1
            && self.lacking().eq(families.iter().copied())
            && let Some(picks) = self.first_pool(families)
        {
            self.picks = picks;
            return Ok(());
        }
        let before = self.picks;
        let mut missing = self.pick_each(self.lacking());
        if self.wanted.is_none() && families.len() > 1 && missing.len() == 1 && before.is_empty() {
            // The first family may have taken the last of a quota that the second needs and the first does not.
            let greedy = mem::replace(&mut self.picks, before);
            if self.pick_each(families.iter().rev().copied()).is_empty() {
                missing.clear();
            } else {
                self.picks = greedy;
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(explain::nothing(self, &missing)) }
    }

    /// An address of each of `families`, one after the other; those of which there is none.
    fn pick_each(&mut self, families: impl Iterator<Item = Family>) -> Vec<Family> {
        let mut missing = Vec::new();
        for family in families {
            let pick = match self.wanted {
                Some((id, stock)) => self.pick_in(id, stock, family, &Picks::default()),
                None => self.beside(family).or_else(|| self.first_pool(&[family])?.iter().next()),
            };
            match pick {
                Some(pick) => self.picks.push(pick),
                None => missing.push(family),
            }
        }
        missing
    }

    /// An address beside those of another family that it has or gets.
    fn beside(&self, family: Family) -> Option<Pick> {
        for id in self.homes(family) {
            if let Some(stock) = self.admitting(id)
                && let Some(pick) = self.pick_in(id, stock, family, &Picks::default())
            {
                return Some(pick);
            }
        }
        None
    }

    /// The pools of what it has or gets of another family than this one.
    pub(super) fn homes(&self, family: Family) -> impl Iterator<Item = StockId> {
        let has = self.demand.has.iter().filter(move |address| Family::of(**address) != family);
        let homes = has.filter_map(|address| Some(self.ipam.ranges.get(*address)?.1.0));
        self.picks.iter().map(|(_, id)| id).chain(homes)
    }

    /// One address of each of `families` from the first pool in turn that has them all.
    fn first_pool(&self, families: &[Family]) -> Option<Picks> {
        let pick_all = |id: StockId| {
            let stock = self.admitting(id)?;
            let mut picks = Picks::default();
            for family in families {
                picks.push(self.pick_in(id, stock, *family, &picks)?);
            }
            Some(picks)
        };
        let mut open = self.ipam.tiers.open(families, self.asking());
        let open = open.find_map(|rank| Some((rank, pick_all(rank.2)?)));
        let Some(sharing) = self.demand.sharing else { return open.map(|(_, picks)| picks) };
        // Pools without a free address may have one that can be shared.
        let mut best: Option<(Ranked, Picks)> = open.map(|(rank, picks)| (rank.clone(), picks));
        let mut next = 0;
        while let Some(id) = self.ipam.sharable.pool_from(&sharing.key, next) {
            next = id.saturating_add(1);
            let Some(stock) = self.ipam.stocks.get(id).filter(|stock| stock.pool.auto_assign) else {
                continue;
            };
            let rank = rank(&stock.pool, id);
            if best.as_ref().is_none_or(|(best, _)| rank < *best)
                && let Some(picks) = pick_all(id)
            {
                best = Some((rank, picks));
            }
            if next == 0 || id == StockId::MAX {
                break;
            }
        }
        best.map(|(_, picks)| picks)
    }

    /// An address of one pool: one to share, else the one that is next in turn. `others` come from it as well.
    pub(super) fn pick_in(&self, id: StockId, stock: &Stock, family: Family, others: &Picks) -> Option<Pick> {
        let suits = |address: &IpAddr| {
            !self.ipam.avoided.contains(address) && !self.exceeds(id, stock, *address, others)
        };
        let shared = || self.shared_in(id, stock, family).find(suits);
        let address = self.demand.sharing.and_then(|_| shared());
        let next =
            || stock.shelf(family).next_free().filter(|address| !self.exceeds(id, stock, *address, others));
        Some((address.or_else(next)?, id))
    }
}
