//! What happens to one Service.

use alloc::{format, string::String, vec::Vec};
use core::{mem, net::IpAddr};

use super::{
    Controller, Timer,
    agenda::{Queue, Step},
    plan::{fits, plan},
    record::{Lost, Own, Record, listed, shown},
    show::{explained, has_new},
};
use crate::{
    event::Severity,
    ipam::{Conflict, Demand, Grant, Ipam},
    name::{ObjectKey, PoolName},
    reason::Reason,
    time::Instant,
    view::{Family, Scope, Service},
};

impl Controller {
    /// Claims the addresses that a Service has already, or releases those it has no right to any more.
    pub(super) fn adopt(&mut self, now: Instant, key: &ObjectKey) {
        let Some(record) = self.services.get(key) else { return };
        if record.service.scope != Scope::Ours {
            return self.retire(now, key);
        }
        let age = record.age(key);
        self.agenda.push(Step::Serve, age);
        if !record.owns.is_empty() {
            return;
        }
        let service = &record.service;
        let mut shown: Vec<(IpAddr, Option<PoolName>)> = Vec::new();
        for (index, address) in service.assigned.iter().copied().enumerate() {
            let from = service.pool_of_assigned(index).cloned();
            let is_second = shown.iter().any(|(other, _)| Family::of(*other) == Family::of(address));
            // Outside every pool only our own annotation tells that the address came from us.
            let pool = self.pool_at(address).or(from);
            if pool.is_some() && !is_second {
                shown.push((address, pool));
            }
        }
        let service = service.clone();
        for (address, pool) in shown {
            // Nobody has to give way to what the Service does not want any more.
            let is_wanted = is_wanted(&self.ipam, &service, address);
            let taken = if is_wanted {
                self.take(key, address)
            } else {
                self.claim(address, key).map_err(|conflict| conflict.by)
            };
            match (taken, pool) {
                (Ok(()), Some(pool)) => {
                    if let Some(record) = self.services.get_mut(key) {
                        record.leaving.retain(|left| *left != address);
                        record.owns.push(Own { address, pool, is_kept: true });
                    }
                    // It may share now what it was about to leave alone.
                    self.agenda.wake(&Queue::Address(address));
                    if let Some(sharing) = &service.sharing {
                        self.agenda.wake(&Queue::Key(sharing.key.clone()));
                    }
                }
                (Ok(()), None) => {}
                (Err(by), _) => self.lose(key, address, by),
            }
        }
    }

    /// Claims an address that a Service shows; a younger one that has it as well gives way.
    fn take(&mut self, key: &ObjectKey, address: IpAddr) -> Result<(), ObjectKey> {
        loop {
            let Some(record) = self.services.get_mut(key) else { return Ok(()) };
            let (age, sharing) = (record.age(key), record.service.sharing.clone());
            record.sharing = sharing;
            let Err(Conflict { by, .. }) = self.claim(address, key) else { return Ok(()) };
            let has = |other: &Record| other.owns.iter().any(|own| own.address == address);
            let wants = |other: &Record| has(other) && is_wanted(&self.ipam, &other.service, address);
            let gives_way = |other: &&mut Record| age < other.age(&by) || !wants(other);
            let Some(other) = self.services.get_mut(&by).filter(gives_way) else { return Err(by) };
            let had = has(other);
            other.leaving.retain(|left| *left != address);
            other.owns.retain(|own| own.address != address);
            self.ipam.release(address, &by);
            if had {
                self.lose(&by, address, key.clone());
                self.look_at(&by);
            }
        }
    }

    /// Keeps an address that a Service shows but has no right to from others until it shows it no more.
    fn claim_as_left(&mut self, key: &ObjectKey, address: IpAddr) {
        let is_claimed = self.claim(address, key).is_ok();
        if let Some(record) = self.services.get_mut(key).filter(|_| is_claimed)
            && !record.leaving.contains(&address)
        {
            record.leaving.push(address);
        }
    }

    /// A Service has lost an address to an older one.
    fn lose(&mut self, key: &ObjectKey, address: IpAddr, by: ObjectKey) {
        let reason = Reason::AddressConflict { address, by };
        self.note(format!("{key} loses {address}: {reason}"));
        self.tell(key, Severity::Normal, "ClearAssignment", format!("{reason}"));
        if let Some(record) = self.services.get_mut(key) {
            record.lost = Some(Lost::Now(reason));
        }
    }

    /// Releases all that a Service has: it is not for us any more.
    fn retire(&mut self, now: Instant, key: &ObjectKey) {
        let Some(record) = self.services.get_mut(key) else { return };
        let was_ours = record.reason.take().is_some() || !record.owns.is_empty();
        let age = record.age(key);
        (record.lost, record.orphan, record.contest, record.announced) = (None, None, None, None);
        let held = record.addresses();
        record.leaving.extend(&held);
        let owns = mem::take(&mut record.owns);
        // What stands on a Service of another class may be that of another MetalLB: leave it alone.
        let shows = shown(&record.service);
        let is_stale = record.service.scope == Scope::NotLoadBalancer
            && !(shows.pools.is_empty()
                && shows.condition.is_none()
                && shows.announced.is_none()
                && shows.pool_labels.is_none());
        self.agenda.satisfied(&age);
        self.timers.stop(&Timer::Contest(key.clone()));
        self.forget_outside(key, &owns);
        // What it still shows is in nobody else's hands before it is cleared.
        for address in shows.addresses.into_iter().filter(|_| is_stale) {
            self.claim_as_left(key, address);
        }
        let expects = self.services.get(key).is_some_and(|record| record.expected() != Default::default());
        if was_ours && expects || is_stale {
            self.clear(now, key);
        }
        if !held.is_empty() {
            self.note(format!("{key} is not for us any more: it gives up {}", listed(&held)));
        }
        self.let_go(now, key);
    }

    /// Gives a Service what it asks for, or says why not.
    pub(super) fn serve(&mut self, now: Instant, key: &ObjectKey) {
        let Some(record) = self.services.get(key) else { return };
        if record.service.scope != Scope::Ours || self.awaits_namespace(now, key) {
            return;
        }
        self.share(key);
        self.relocate(key);
        let Some(record) = self.services.get(key) else { return };
        let service = &record.service;
        let decision = match &service.request {
            Err(error) => Err(Reason::RequestInvalid(error.clone())),
            Ok(request) => {
                let has = record.addresses();
                let demand = Demand {
                    owner: key,
                    labels: &service.labels,
                    namespace_labels: self.namespace_labels(&key.namespace),
                    sharing: service.sharing.as_ref(),
                    has: &has,
                    families: &service.families,
                    policy: service.family_policy,
                    request,
                };
                plan(&self.ipam, &demand, &record.owns, |own| {
                    self.is_outside(own) && self.moves(record, own) || self.gives_way(key, record, own)
                })
            }
        };
        match decision {
            Ok(grant) => {
                self.tell_moves(key, &grant);
                self.settle(now, key, grant);
            }
            Err(reason) => self.refuse(now, key, reason),
        }
    }

    /// Puts an edit of how a Service shares into effect: it leaves what it cannot share any more.
    fn share(&mut self, key: &ObjectKey) {
        let Some(record) = self.services.get_mut(key) else { return };
        if record.sharing == record.service.sharing {
            return;
        }
        let before = record.sharing.take();
        record.sharing = record.service.sharing.clone();
        let keys: Vec<_> =
            [before, record.sharing.clone()].into_iter().flatten().map(|sharing| sharing.key).collect();
        for address in record.addresses() {
            let conflict = self.claim(address, key).err();
            if let Some(Conflict { by, problem }) = conflict
                && let Some(record) = self.services.get_mut(key)
            {
                let lost: Vec<_> = record.owns.extract_if(.., |own| own.address == address).collect();
                record.leaving.push(address);
                let reason = Reason::SharingConflict { address, by, problem };
                record.lost = Some(Lost::Now(reason.clone()));
                self.forget_outside(key, &lost);
                self.tell(key, Severity::Normal, "ClearAssignment", format!("{reason}"));
                self.note(format!("{key} leaves {address}: {reason}"));
            }
            self.agenda.wake(&Queue::Address(address));
        }
        for key in keys {
            self.agenda.wake(&Queue::Key(key));
        }
    }

    /// Finds out which pools the addresses of a Service are in now.
    fn relocate(&mut self, key: &ObjectKey) {
        let Some(record) = self.services.get(key) else { return };
        let pools: Vec<_> = record.owns.iter().map(|own| self.pool_at(own.address)).collect();
        if !self.outside.is_empty() {
            let owns = record.owns.clone();
            self.forget_outside(key, &owns);
        }
        let Some(record) = self.services.get_mut(key) else { return };
        for (own, pool) in record.owns.iter_mut().zip(pools) {
            match pool {
                Some(pool) => own.pool = pool,
                None => drop(self.outside.entry(own.pool.clone()).or_default().insert(key.clone())),
            }
        }
        if record.orphan.is_some() && record.owns.iter().all(|own| self.ipam.pool(&own.pool).is_some()) {
            record.orphan = None;
        }
    }

    /// Lets a Service have exactly this.
    fn settle(&mut self, now: Instant, key: &ObjectKey, grant: Grant) {
        let Some(record) = self.services.get_mut(key) else { return };
        let Grant { addresses, pools, missing } = grant;
        let before = mem::take(&mut record.owns);
        let old: Vec<_> = before.iter().map(|own| own.address).collect();
        for (address, pool) in addresses.iter().copied().zip(pools) {
            let same = before.iter().find(|own| own.address == address).cloned();
            record.owns.push(same.unwrap_or(Own { address, pool, is_kept: false }));
        }
        record.leaving.extend(&old);
        record.leaving.retain(|address| !addresses.contains(address));
        record.lost = None;
        let is_new = has_new(&addresses, &old);
        let left: Vec<_> = before.into_iter().filter(|own| !addresses.contains(&own.address)).collect();
        self.forget_outside(key, &left);
        for address in addresses.iter().filter(|address| !old.contains(address)) {
            let is_first = self.ipam.owners(*address).next().is_none();
            let claimed = self.claim(*address, key);
            debug_assert_eq!(claimed, Ok(()), "only what can be had is granted");
            let sharing = self.services.get(key).and_then(|record| record.sharing.clone());
            if let Some(sharing) = sharing.filter(|_| is_first) {
                self.agenda.wake(&Queue::Key(sharing.key));
            }
        }
        let reason = missing.clone().or_else(|| self.outsiders(key));
        let is_news = self.wait(key, reason.as_ref()) && !self.says_so(key);
        self.show(now, key);
        let Some(record) = self.services.get(key) else { return };
        if is_new {
            let quoted: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
            let deprecated = record.service.deprecated.clone();
            self.tell(key, Severity::Normal, "IPAllocated", format!("Assigned IP [{}]", quoted.join(" ")));
            for annotation in deprecated {
                let message = format!("the annotation {annotation} is deprecated: write metallb.io/ instead");
                self.tell(key, Severity::Warning, "deprecatedAnnotation", message);
            }
        }
        let Some(record) = self.services.get(key) else { return };
        let explained = reason.as_ref().map(|reason| explained(reason, record));
        if is_new || old.len() != addresses.len() {
            let placed = super::record::placed(&record.owns);
            let instead =
                if old.is_empty() { String::new() } else { format!(" instead of {}", listed(&old)) };
            self.note(format!("{key} has {placed}{instead}"));
        }
        if is_news && let (Some(reason), Some(explained)) = (reason, explained) {
            let (severity, name) = if missing.is_some() {
                (Severity::Normal, "AdditionalAssignFailed")
            } else {
                (Severity::Warning, reason.code())
            };
            self.note(format!("{key}: {explained}"));
            self.tell(key, severity, name, explained);
        }
        self.let_go(now, key);
    }

    /// Leaves a Service with what it has, and says why it does not get what it asks for.
    fn refuse(&mut self, now: Instant, key: &ObjectKey, reason: Reason) {
        let is_news = self.wait(key, Some(&reason)) && !self.says_so(key);
        let Some(record) = self.services.get(key) else { return };
        // What it shows without having it is foreign, which is not ours to clear, or somebody else's.
        let shows = record.expected().addresses;
        let is_foreign = |address: &IpAddr| {
            !record.leaving.contains(address) && self.ipam.owners(*address).next().is_none()
        };
        if !record.owns.is_empty() || !shows.iter().any(is_foreign) {
            self.show(now, key);
        }
        if let Some(record) = self.services.get(key).filter(|_| is_news) {
            let message = if record.owns.is_empty() {
                match &record.lost {
                    Some(Lost::Now(lost)) if super::show::is_lack(&reason) => format!("{lost}; {reason}"),
                    _ => format!("{reason}"),
                }
            } else {
                explained(&reason, record)
            };
            let name = match reason {
                Reason::RequestInvalid(_) => "LoadBalancerFailed",
                _ => "AllocationFailed",
            };
            let pending = if record.owns.is_empty() { " is pending" } else { "" };
            self.note(format!("{key}{pending}: {message}"));
            self.tell(key, Severity::Warning, name, message);
        }
        self.let_go(now, key);
    }

    /// Remembers why a Service does not have all it asks for, and where it stands because of that; says
    /// whether that is news.
    fn wait(&mut self, key: &ObjectKey, reason: Option<&Reason>) -> bool {
        // Without a reason it may wait for room, to leave an address to a stranger.
        let waits = reason.is_some() || self.is_squeezed(key);
        let Some(record) = self.services.get_mut(key) else { return false };
        let is_news = record.reason.as_ref() != reason;
        record.reason = reason.cloned();
        let age = record.age(key);
        if waits {
            let queues = record.queues(key, reason);
            self.agenda.wait(age, queues);
        } else {
            self.agenda.satisfied(&age);
        }
        is_news
    }

    /// Says which addresses of a Service are outside their pool, if any are.
    fn outsiders(&self, key: &ObjectKey) -> Option<Reason> {
        let record = self.services.get(key)?;
        let outside: Vec<_> = record.owns.iter().filter(|own| self.is_outside(own)).collect();
        let pool = outside.first()?.pool.clone();
        let addresses = outside.iter().map(|own| own.address).collect();
        Some(Reason::AddressOutsidePool { addresses, pool: Some(pool) })
    }

    /// Frees what a Service has given up and does not show any more.
    pub(super) fn let_go(&mut self, now: Instant, key: &ObjectKey) {
        let left = self.services.get_mut(key).map(Record::take_left);
        left.into_iter().flatten().for_each(|address| self.free(now, address, key));
    }

    /// Claims an address for a Service, as it shares.
    fn claim(&mut self, address: IpAddr, key: &ObjectKey) -> Result<(), Conflict> {
        let sharing = self.services.get(key).and_then(|record| record.service.sharing.as_ref());
        self.ipam.claim(address, key, sharing)?;
        self.recount.extend(self.ipam.pool_of(address).map(|pool| pool.name.clone()));
        self.unhold(address);
        Ok(())
    }

    /// Frees an address and offers it to those who wait.
    pub(super) fn free(&mut self, now: Instant, address: IpAddr, owner: &ObjectKey) {
        self.ipam.release(address, owner);
        self.recount.extend(self.ipam.pool_of(address).map(|pool| pool.name.clone()));
        if self.ipam.owners(address).next().is_none() {
            self.keep_for(now, address, owner);
        }
        self.offer(address);
        if let Some(pool) = self.ipam.pool_of(address).filter(|pool| pool.max_per_namespace.is_some()) {
            let pool = pool.name.clone();
            self.offer_quota(pool, &owner.namespace);
        }
        // Those who stay have ports to offer.
        let other = self.ipam.owners(address).next().and_then(|other| self.services.get(other));
        if let Some(sharing) = other.and_then(|record| record.sharing.as_ref()) {
            self.agenda.wake(&Queue::Key(sharing.key.clone()));
        }
    }

    /// The pool that gives an address out.
    fn pool_at(&self, address: IpAddr) -> Option<PoolName> {
        let pool = self.ipam.pool_of(address).filter(|_| self.ipam.is_inside(address))?;
        Some(pool.name.clone())
    }

    fn is_outside(&self, own: &Own) -> bool {
        !self.ipam.is_inside(own.address)
    }

    /// Whether a Service leaves an address that is outside its pool at once.
    fn moves(&self, record: &Record, own: &Own) -> bool {
        let pool = self.ipam.pool(&own.pool).map(|pool| pool.reassigns);
        let orphan = || record.orphan.as_ref().is_some_and(|orphan| orphan.reassigns);
        record.service.reassigns || pool.unwrap_or_else(orphan)
    }

    /// A Service does not have these addresses any more.
    pub(super) fn forget_outside(&mut self, key: &ObjectKey, owns: &[Own]) {
        for own in owns {
            if let Some(list) = self.outside.get_mut(&own.pool) {
                list.remove(key);
                if list.is_empty() {
                    self.outside.remove(&own.pool);
                }
            }
        }
    }
}

/// Whether a Service that has an address does not ask for another one instead.
fn is_wanted(ipam: &Ipam, service: &Service, address: IpAddr) -> bool {
    let Ok(request) = &service.request else { return service.families.contains(&Family::of(address)) };
    let home = ipam.pool_of(address);
    fits(ipam, &service.families, request, address)
        && request.pool.as_ref().is_none_or(|pool| home.is_none_or(|home| home.name == *pool))
}
