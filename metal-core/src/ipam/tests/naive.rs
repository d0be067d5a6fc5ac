//! The allocator without any cleverness: lists that are walked from the start to the end.

use alloc::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    config::SharingPolicy,
    net::to_bits,
    request::{HostPart, Wanted},
    view::FamilyPolicy::{PreferDualStack, RequireDualStack},
};

#[derive(Default)]
pub(crate) struct Naive {
    pub(crate) pools: BTreeMap<PoolName, Pool>,
    pub(crate) users: BTreeMap<IpAddr, Vec<(ObjectKey, Option<Sharing>)>>,
    pub(crate) reservations: BTreeMap<ObjectRef, Reservation>,
    pub(crate) holds: BTreeMap<IpAddr, ObjectKey>,
    pub(crate) avoided: BTreeSet<IpAddr>,
}

/// What was found, with the pool.
type Pick<'a> = (IpAddr, &'a Pool);

/// Addresses with the code of what is missing, or the code of the reason.
type Found = Result<(Vec<IpAddr>, Option<&'static str>), &'static str>;

impl Naive {
    pub(crate) fn find(&self, wish: &Wish) -> Found {
        let mut families = wish.families.clone();
        families.dedup();
        if families.is_empty() {
            return Err("NoClusterIP");
        }
        let has_other = wish.has.iter().any(|address| !families.contains(&Family::of(*address)));
        if families.len() < 2 && wish.families.len() < 2 && wish.policy == RequireDualStack && !has_other {
            return Err("FamilyUnavailable");
        }
        let ask = Ask { naive: self, wish, families };
        if let Some(name) = &wish.request.pool {
            let pool = self.pools.get(name).ok_or("PoolNotFound")?;
            if !ask.admits(pool) {
                return Err("PoolNotAllowed");
            }
        }
        let mut picks: Vec<Pick<'_>> = Vec::new();
        for wanted in &wish.request.addresses {
            if !ask.families.contains(&wanted.family()) {
                if wish.has.iter().any(|address| Family::of(*address) == wanted.family()) {
                    continue;
                }
                return Err("FamilyUnavailable");
            }
            picks.push(match wanted {
                Wanted::Address(address) => ask.exact(*address, &picks)?,
                Wanted::Host(host) => ask.host(*host, &picks)?,
            });
        }
        for family in &ask.families {
            if picks.iter().all(|(address, _)| Family::of(*address) != *family) {
                picks.extend(ask.kept(*family, None, &picks));
            }
        }
        let missing = ask.rest(&mut picks);
        if let Some(code) = missing
            && (picks.is_empty() || wish.policy == RequireDualStack)
        {
            return Err(code);
        }
        picks.sort_by_key(|(address, _)| ask.families.iter().position(|f| *f == Family::of(*address)));
        Ok((picks.iter().map(|(address, _)| *address).collect(), missing))
    }

    pub(crate) fn may_join(&self, address: IpAddr, owner: &ObjectKey, sharing: Option<&Sharing>) -> bool {
        self.users.get(&address).into_iter().flatten().filter(|(user, _)| user != owner).all(|(_, other)| {
            matches!((sharing, other), (Some(one), Some(other)) if one.conflict(other).is_none())
        })
    }

    pub(crate) fn join(&mut self, address: IpAddr, owner: &ObjectKey, sharing: Option<&Sharing>) {
        let users = self.users.entry(address).or_default();
        users.retain(|(user, _)| user != owner);
        users.push((owner.clone(), sharing.cloned()));
        users.sort_by(|one, other| one.0.cmp(&other.0));
        self.holds.remove(&address);
    }

    pub(crate) fn pool_of(&self, address: IpAddr) -> Option<&Pool> {
        self.pools.values().find(|pool| pool.ranges.iter().any(|range| range.contains(address)))
    }

    pub(crate) fn is_usable(pool: &Pool, address: IpAddr) -> bool {
        let is_buggy = address.is_ipv4() && matches!(to_bits(address) & 0xff, 0 | 0xff);
        !(is_buggy && pool.avoid_buggy_ips || pool.exclude.iter().any(|range| range.contains(address)))
    }

    pub(crate) fn addresses(pool: &Pool, family: Family) -> impl Iterator<Item = IpAddr> {
        let ranges = pool.ranges.iter().filter(move |range| range.family() == family);
        ranges.flat_map(AddressRange::addresses)
    }

    fn reservation(&self, address: IpAddr) -> Option<&Reservation> {
        self.reservations
            .values()
            .find(|reservation| reservation.ranges.iter().any(|range| range.contains(address)))
    }

    /// Free for everybody.
    pub(crate) fn is_free(&self, pool: &Pool, address: IpAddr) -> bool {
        Self::is_usable(pool, address)
            && !self.users.contains_key(&address)
            && !self.holds.contains_key(&address)
            && !self.avoided.contains(&address)
            && self.reservation(address).is_none()
    }
}

/// One search.
struct Ask<'a> {
    naive: &'a Naive,
    wish: &'a Wish,
    families: Vec<Family>,
}

impl<'a> Ask<'a> {
    fn admits(&self, pool: &Pool) -> bool {
        pool.allocation.as_ref().is_none_or(|pinned| {
            pinned.admits_namespace(&self.wish.owner.namespace, &self.wish.namespace_labels)
                && pinned.admits_labels(&self.wish.labels)
        })
    }

    /// The pools that may serve, in their order.
    fn pools(&self) -> Vec<&'a Pool> {
        let mut pools: Vec<_> = match &self.wish.request.pool {
            Some(name) => self.naive.pools.get(name).into_iter().collect(),
            None => self.naive.pools.values().filter(|pool| pool.auto_assign && self.admits(pool)).collect(),
        };
        pools.sort_by_key(|pool| match &pool.allocation {
            Some(pinned) if pinned.priority != 0 => (0, pinned.priority),
            Some(_) => (1, 0),
            None => (2, 0),
        });
        pools
    }

    fn has_it(&self, address: IpAddr) -> bool {
        self.naive.users.get(&address).into_iter().flatten().any(|(user, _)| *user == self.wish.owner)
    }

    fn exact(&self, address: IpAddr, picks: &[Pick<'a>]) -> Result<Pick<'a>, &'static str> {
        let (naive, wish) = (self.naive, self.wish);
        let pool = naive.pool_of(address).ok_or("AddressNotInPool")?;
        if wish.request.pool.as_ref().is_some_and(|name| pool.name != *name) {
            return Err("AddressNotInPool");
        }
        if !self.admits(pool) {
            return Err("PoolNotAllowed");
        }
        let has_it = self.has_it(address);
        if !has_it && !Naive::is_usable(pool, address) {
            return Err("AddressNotInPool");
        }
        let reservation = naive.reservation(address);
        if !has_it && reservation.is_some_and(|found| !found.is_for(&wish.owner, &wish.labels)) {
            return Err("AddressReserved");
        }
        let others: Vec<_> =
            naive.users.get(&address).into_iter().flatten().filter(|(user, _)| *user != wish.owner).collect();
        if others.iter().any(|(_, other)| other.is_none() || wish.sharing.is_none()) {
            return Err("AddressInUse");
        }
        let forbidden = |other: &ObjectKey| match pool.sharing {
            SharingPolicy::Key => false,
            SharingPolicy::SameNamespace => other.namespace != wish.owner.namespace,
            SharingPolicy::Never => true,
        };
        if !naive.may_join(address, &wish.owner, wish.sharing.as_ref())
            || (!has_it && others.iter().any(|(other, _)| forbidden(other)))
        {
            return Err("SharingConflict");
        }
        let held = naive.holds.get(&address).is_some_and(|former| *former != wish.owner);
        if !has_it && held && reservation.is_none() {
            return Err("AddressReserved");
        }
        if self.exceeds(pool, address, picks) {
            return Err("QuotaExceeded");
        }
        Ok((address, pool))
    }

    fn ends_so(&self, host: HostPart, pool: &Pool, address: IpAddr) -> bool {
        let range = pool.ranges.iter().find(|range| range.contains(address));
        host.is_of(address, range.copied())
    }

    fn hosts(&self, host: HostPart, pool: &'a Pool) -> Vec<IpAddr> {
        let naive = self.naive;
        let all = || Naive::addresses(pool, host.family).filter(|address| self.ends_so(host, pool, *address));
        let everybody = |address: &IpAddr| naive.reservation(*address).is_none();
        let shared = all().filter(|address| self.can_share(pool, *address)).filter(everybody);
        let free = all().filter(|address| {
            Naive::is_usable(pool, *address)
                && !naive.users.contains_key(address)
                && !naive.holds.contains_key(address)
        });
        shared.chain(free.filter(everybody)).collect()
    }

    fn host(&self, host: HostPart, picks: &[Pick<'a>]) -> Result<Pick<'a>, &'static str> {
        if let Some(pick) = self.kept(host.family, Some(host), picks) {
            return Ok(pick);
        }
        let pools = self.pools();
        for pool in &pools {
            let mut hosts = self.hosts(host, pool).into_iter();
            if let Some(address) = hosts.find(|address| !self.exceeds(pool, *address, picks)) {
                return Ok((address, pool));
            }
        }
        let has = |pool: &&&Pool| {
            Naive::addresses(pool, host.family)
                .any(|address| Naive::is_usable(pool, address) && self.ends_so(host, pool, address))
        };
        Err(if pools.is_empty() {
            "NoMatchingPool"
        } else if pools.iter().any(|pool| !self.hosts(host, pool).is_empty()) {
            "QuotaExceeded"
        } else if pools.iter().any(|pool| has(&pool)) {
            "PoolExhausted"
        } else {
            "AddressNotInPool"
        })
    }

    /// Reserved, else held.
    fn kept(&self, family: Family, host: Option<HostPart>, picks: &[Pick<'a>]) -> Option<Pick<'a>> {
        let (naive, wish) = (self.naive, self.wish);
        let suits = |pool: &Pool, address: IpAddr| {
            Family::of(address) == family
                && Naive::is_usable(pool, address)
                && self.admits(pool)
                && wish.request.pool.as_ref().is_none_or(|name| *name == pool.name)
                && host.map_or_else(
                    || !naive.avoided.contains(&address),
                    |host| self.ends_so(host, pool, address),
                )
                && !self.exceeds(pool, address, picks)
        };
        let is_held = |address: &IpAddr| naive.holds.get(address) == Some(&wish.owner);
        let mut mine: Vec<_> = naive.reservations.values().collect();
        mine.retain(|reservation| reservation.is_for(&wish.owner, &wish.labels));
        mine.sort_by_key(|reservation| reservation.service.as_ref() != Some(&wish.owner));
        for range in mine.iter().flat_map(|reservation| &reservation.ranges) {
            // Range by range, and in it pool range by pool range.
            let mut parts: Vec<_> = naive
                .pools
                .values()
                .flat_map(|pool| pool.ranges.iter().filter_map(move |own| Some((own.overlap(range)?, pool))))
                .collect();
            parts.sort_by_key(|(part, _)| part.first());
            for (part, pool) in parts {
                let all = || part.addresses().filter(|address| suits(pool, *address));
                let free = |address: &IpAddr| {
                    !naive.users.contains_key(address) && !naive.holds.contains_key(address)
                };
                let found = all().find(is_held);
                let found = found.or_else(|| all().find(|address| self.can_share(pool, *address)));
                let found = found.or_else(|| all().find(free));
                if let Some(address) = found {
                    return Some((address, pool));
                }
            }
        }
        naive.holds.keys().copied().filter(is_held).find_map(|address| {
            let pool = naive.pool_of(address)?;
            let found = (pool.auto_assign || wish.request.pool.is_some())
                && naive.reservation(address).is_none()
                && suits(pool, address);
            found.then_some((address, pool))
        })
    }

    fn can_share(&self, pool: &Pool, address: IpAddr) -> bool {
        let (naive, wish) = (self.naive, self.wish);
        let Some(sharing) = &wish.sharing else { return false };
        let Some(users) = naive.users.get(&address) else { return false };
        let allowed = |user: &ObjectKey| match pool.sharing {
            SharingPolicy::Key => true,
            SharingPolicy::SameNamespace => *user == wish.owner || user.namespace == wish.owner.namespace,
            SharingPolicy::Never => false,
        };
        Naive::is_usable(pool, address)
            && naive.may_join(address, &wish.owner, Some(sharing))
            && users.iter().all(|(user, other)| {
                allowed(user) && other.as_ref().is_some_and(|other| other.key == sharing.key)
            })
    }

    fn pick_in(&self, pool: &'a Pool, family: Family, picks: &[Pick<'a>]) -> Option<Pick<'a>> {
        let all = || Naive::addresses(pool, family).filter(|address| !self.exceeds(pool, *address, picks));
        let everybody = |address: &IpAddr| {
            self.naive.reservation(*address).is_none() && !self.naive.avoided.contains(address)
        };
        let shared = all().find(|address| self.can_share(pool, *address) && everybody(address));
        Some((shared.or_else(|| all().find(|address| self.naive.is_free(pool, *address)))?, pool))
    }

    /// What is lacking, from pools; the code of what is missing then.
    fn rest(&self, picks: &mut Vec<Pick<'a>>) -> Option<&'static str> {
        let has =
            |picks: &[Pick<'_>], family| picks.iter().any(|(address, _)| Family::of(*address) == family);
        let lacking: Vec<_> = self.families.iter().copied().filter(|family| !has(picks, *family)).collect();
        let pools = self.pools();
        let both = lacking.clone();
        if lacking.len() == 2 && self.wish.request.pool.is_none() {
            for pool in &pools {
                let Some(first) = self.pick_in(pool, lacking[0], &[]) else { continue };
                let Some(second) = self.pick_in(pool, lacking[1], &[first]) else { continue };
                picks.extend([first, second]);
                return None;
            }
        }
        let mut missing = Vec::new();
        for family in lacking {
            let mut ordered = Vec::new();
            if self.wish.request.pool.is_none() {
                ordered.extend(picks.iter().map(|(_, pool)| *pool));
                let others = self.wish.has.iter().filter(|address| Family::of(**address) != family);
                ordered.extend(others.filter_map(|address| self.naive.pool_of(*address)));
                ordered.retain(|pool| self.admits(pool));
            }
            ordered.extend(&pools);
            match ordered.into_iter().find_map(|pool| self.pick_in(pool, family, picks)) {
                Some(pick) => picks.push(pick),
                None => missing.push(family),
            }
        }
        if missing.is_empty() {
            return None;
        }
        let pools = match self.wish.request.pool {
            Some(_) => pools,
            None => self.with_homes(pools, &missing, picks),
        };
        if both.len() == 2 && picks.len() == 1 && self.wish.request.pool.is_none() {
            // Any pool for the one, any pool for the other.
            for (second, first) in
                pools.iter().flat_map(|second| pools.iter().map(move |first| (second, first)))
            {
                let Some(second) = self.pick_in(second, both[1], &[]) else { continue };
                let Some(first) = self.pick_in(first, both[0], &[second]) else { continue };
                *picks = vec![first, second];
                return None;
            }
        }
        let has = |pool: &&&Pool, family| {
            Naive::addresses(pool, family).any(|address| Naive::is_usable(pool, address))
        };
        let over_quota = |pool: &&Pool| {
            let mut all = missing.iter().flat_map(|family| Naive::addresses(pool, *family));
            all.any(|address| {
                let everybody =
                    self.naive.reservation(address).is_none() && !self.naive.avoided.contains(&address);
                let is_there =
                    self.naive.is_free(pool, address) || everybody && self.can_share(pool, address);
                is_there && self.exceeds(pool, address, picks)
            })
        };
        Some(if pools.is_empty() {
            "NoMatchingPool"
        } else if missing.iter().any(|family| !pools.iter().any(|pool| has(&pool, *family))) {
            "FamilyUnavailable"
        } else if pools.iter().any(over_quota) {
            "QuotaExceeded"
        } else {
            "PoolExhausted"
        })
    }

    /// These pools, and those of what it has or gets of other families.
    fn with_homes(&self, mut pools: Vec<&'a Pool>, missing: &[Family], picks: &[Pick<'a>]) -> Vec<&'a Pool> {
        for family in missing {
            let others = self.wish.has.iter().filter(|address| Family::of(**address) != *family);
            let homes = others.filter_map(|address| self.naive.pool_of(*address));
            for pool in picks.iter().map(|(_, pool)| *pool).chain(homes) {
                if self.admits(pool) && !pools.iter().any(|other| other.name == pool.name) {
                    pools.push(pool);
                }
            }
        }
        pools
    }

    /// Whether the namespace would have too much of a pool.
    fn exceeds(&self, pool: &Pool, address: IpAddr, picks: &[Pick<'_>]) -> bool {
        let Some(limit) = pool.max_per_namespace else { return false };
        let (naive, wish) = (self.naive, self.wish);
        let inside = |address: &IpAddr| pool.ranges.iter().any(|range| range.contains(*address));
        let of_namespace = |address: &IpAddr| {
            let users = naive.users.get(address).into_iter().flatten().map(|(user, _)| user);
            users.filter(|user| user.namespace == wish.owner.namespace).collect::<Vec<_>>()
        };
        let mut all: BTreeSet<IpAddr> = naive.users.keys().copied().filter(inside).collect();
        all.retain(|address| !of_namespace(address).is_empty());
        if all.contains(&address) {
            return false;
        }
        for gone in wish.has.iter().filter(|address| self.families.contains(&Family::of(**address))) {
            if of_namespace(gone) == [&wish.owner] {
                all.remove(gone);
            }
        }
        all.extend(picks.iter().map(|(address, _)| *address).filter(inside));
        all.insert(address);
        all.len() > limit as usize
    }
}

#[test]
fn the_naive_one_does_what_is_obvious() {
    let mut naive = Naive::default();
    naive.pools.insert("a".into(), pool("a", &["192.0.2.0/31"]));
    assert_eq!(naive.find(&wish("x")), Ok((vec![at("192.0.2.0")], None)));
    naive.join(at("192.0.2.0"), &key("x"), None);
    assert_eq!(naive.find(&wish("y")), Ok((vec![at("192.0.2.1")], None)));
    naive.join(at("192.0.2.1"), &key("y"), None);
    assert_eq!(naive.find(&wish("z")), Err("PoolExhausted"));
    let prefer = wish("x").families(&[V4, Family::V6], PreferDualStack).has(&["192.0.2.0"]);
    assert_eq!(naive.find(&prefer), Err("FamilyUnavailable"));
}
