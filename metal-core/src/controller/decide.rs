//! What happens to one Service.

use alloc::{format, string::String, vec::Vec};
use core::{mem, net::IpAddr};

use super::{
    Assignment, Controller, Output,
    agenda::Step,
    plan::plan,
    record::{Record, Shown, listed},
};
use crate::{
    event::{Event, Severity},
    ipam::{Demand, Grant},
    name::{ObjectKey, PoolName},
    reason::Reason,
    selector::Labels,
    view::{Family, Scope},
};

impl Controller {
    /// Claims the addresses that a Service has already, or releases those it has no right to any more.
    pub(super) fn adopt(&mut self, key: &ObjectKey) {
        let Some(record) = self.services.get_mut(key) else { return };
        if record.service.scope != Scope::Ours {
            return self.retire(key);
        }
        if !record.held.is_empty() {
            return self.serve(key);
        }
        let service = &record.service;
        let mut lost = None;
        let mut kept: Vec<IpAddr> = Vec::new();
        for address in service.assigned.iter().copied() {
            // Outside every pool only our own annotation tells that the address came from us.
            let is_ours = self.ipam.pool_of(address).is_some() || !service.assigned_from.is_empty();
            let is_second = kept.iter().any(|other| Family::of(*other) == Family::of(address));
            if !is_ours || is_second {
                continue;
            }
            match self.ipam.claim(address, key, None) {
                Ok(()) => kept.push(address),
                Err(conflict) => lost = Some((address, conflict.by)),
            }
        }
        let home = kept.first().and_then(|address| self.ipam.pool_of(*address)).map(|pool| pool.name.clone());
        record.pool = home.or_else(|| service.assigned_from.first().cloned());
        record.held = kept;
        for address in &record.held {
            self.recount.extend(self.ipam.pool_of(*address).map(|pool| pool.name.clone()));
        }
        self.agenda.push(Step::Serve, record.age(key));
        if let Some((address, by)) = lost {
            let message = format!("{address} is in use by {by}: this Service cannot keep it");
            self.note(format!("{key} loses {address}, which is in use by {by}"));
            self.tell(key, Severity::Normal, "ClearAssignment", message);
        }
    }

    /// Releases all that a Service has: it is not for us any more.
    fn retire(&mut self, key: &ObjectKey) {
        let Some(record) = self.services.get_mut(key) else { return };
        self.agenda.satisfied(&(record.service.created, key.clone()), record.reason.take().as_ref());
        record.is_outside = false;
        record.pool = None;
        let held = mem::take(&mut record.held);
        record.leaving.extend(&held);
        // The annotation of a Service of another class may be that of another MetalLB: leave it alone.
        let is_stale =
            record.service.scope == Scope::NotLoadBalancer && !record.service.assigned_from.is_empty();
        // What it still shows is in nobody else's hands before it is cleared.
        for address in record.service.assigned.iter().copied().filter(|_| is_stale) {
            if self.ipam.claim(address, key, None).is_ok() && !record.leaving.contains(&address) {
                record.leaving.push(address);
            }
        }
        if !held.is_empty() || is_stale {
            self.show(key, Shown::default());
        }
        if !held.is_empty() {
            self.note(format!("{key} is not for us any more: it gives up {}", listed(&held)));
        }
        self.let_go(key);
    }

    /// Gives a Service what it asks for, or says why not.
    pub(super) fn serve(&mut self, key: &ObjectKey) {
        let Some(record) = self.services.get(key) else { return };
        let service = &record.service;
        if service.scope != Scope::Ours {
            return;
        }
        let decision = match &service.request {
            Err(error) => Err(Reason::RequestInvalid(error.clone())),
            Ok(request) => {
                let (families, labels) = (&*service.families, &service.labels);
                let policy = service.family_policy;
                let namespace_labels = &Labels::new();
                let sharing = service.sharing.as_ref();
                let demand =
                    Demand { owner: key, labels, namespace_labels, sharing, has: &[], families, policy, request };
                plan(&self.ipam, &demand, &record.held, record.pool.as_ref())
            }
        };
        match decision {
            Ok(grant) => self.hold(key, grant),
            Err(reason) => self.refuse(key, reason),
        }
        self.look_for_outsiders(key);
    }

    /// Lets a Service have exactly this.
    fn hold(&mut self, key: &ObjectKey, grant: Grant) {
        let Some(record) = self.services.get_mut(key) else { return };
        let Grant { addresses, pools, missing } = grant;
        let Some(pool) = pools.into_iter().next() else { return };
        let before = mem::replace(&mut record.held, addresses.clone());
        record.pool = Some(pool.clone());
        record.leaving.extend(&before);
        record.leaving.retain(|address| !addresses.contains(address));
        let is_new = addresses.iter().any(|address| !before.contains(address));
        for address in &addresses {
            let claimed = self.ipam.claim(*address, key, None);
            debug_assert_eq!(claimed, Ok(()), "only free addresses are granted");
        }
        self.recount.insert(pool.clone());
        self.show(key, Shown { addresses: addresses.clone(), pool: Some(pool.clone()) });
        if is_new {
            let quoted: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
            self.tell(key, Severity::Normal, "IPAllocated", format!("Assigned IP [{}]", quoted.join(" ")));
        }
        if is_new || before.len() != addresses.len() {
            let instead =
                if before.is_empty() { String::new() } else { format!(" instead of {}", listed(&before)) };
            self.note(format!("{key} has {} from pool {pool}{instead}", listed(&addresses)));
        }
        if self.wait(key, missing.as_ref())
            && let Some(reason) = missing
        {
            self.note(format!("{key} has one address family only: {reason}"));
            self.tell(key, Severity::Normal, "AdditionalAssignFailed", format!("{reason}"));
        }
        self.let_go(key);
    }

    /// Leaves a Service with what it has, and says why it does not get what it asks for.
    fn refuse(&mut self, key: &ObjectKey, reason: Reason) {
        let Some(record) = self.services.get(key) else { return };
        let held = record.held.clone();
        if held.is_empty() {
            // What it shows is not claimed for it: foreign, which is not ours to clear, or somebody else's.
            let shown = record.expected();
            if shown.addresses.iter().any(|address| self.ipam.owners(*address).next().is_some()) {
                self.show(key, Shown::default());
            }
        } else {
            let home = self.ipam.pool_of(held[0]).map(|pool| pool.name.clone());
            self.keep(key, home);
        }
        if self.wait(key, Some(&reason)) {
            let (note, message) = if held.is_empty() {
                (format!("{key} is pending: {reason}"), format!("{reason}"))
            } else {
                let held = listed(&held);
                (format!("{key} keeps {held}: {reason}"), format!("{reason}; the Service keeps {held}"))
            };
            self.note(note);
            self.tell(key, Severity::Warning, "AllocationFailed", message);
        }
    }

    /// Lets a Service show what it has.
    fn keep(&mut self, key: &ObjectKey, home: Option<PoolName>) {
        let Some(record) = self.services.get_mut(key) else { return };
        record.pool = home.or_else(|| record.pool.take());
        let shown = Shown { addresses: record.held.clone(), pool: record.pool.clone() };
        self.show(key, shown);
    }

    /// Remembers why a Service does not have all it asks for; says whether that is news.
    fn wait(&mut self, key: &ObjectKey, reason: Option<&Reason>) -> bool {
        let Some(record) = self.services.get_mut(key) else { return false };
        if record.reason.as_ref() == reason {
            return false;
        }
        let age = record.age(key);
        self.agenda.satisfied(&age, record.reason.as_ref());
        self.agenda.resume(&age, reason);
        record.reason = reason.cloned();
        true
    }

    /// Logs when addresses of a Service fall out of every pool, and when they are back.
    fn look_for_outsiders(&mut self, key: &ObjectKey) {
        let Some(record) = self.services.get_mut(key) else { return };
        let outside: Vec<_> =
            record.held.iter().copied().filter(|address| self.ipam.pool_of(*address).is_none()).collect();
        if mem::replace(&mut record.is_outside, !outside.is_empty()) == outside.is_empty() {
            let note = if outside.is_empty() {
                format!("{key} has all its addresses in a pool again")
            } else {
                format!("{key} keeps {}, which is outside every pool now", listed(&outside))
            };
            self.note(note);
        }
    }

    /// Frees what a Service has given up and does not show any more.
    pub(super) fn let_go(&mut self, key: &ObjectKey) {
        let left = self.services.get_mut(key).map(Record::take_left);
        left.into_iter().flatten().for_each(|address| self.free(address, key));
    }

    /// Lets a Service show something, if it does not and will not by itself.
    fn show(&mut self, key: &ObjectKey, target: Shown) {
        let Some(record) = self.services.get_mut(key) else { return };
        if record.ask(&target, self.write + 1) {
            self.write += 1;
            let version = record.service.version;
            let Shown { addresses, pool } = target;
            let assignment =
                Assignment { addresses, pools: pool.into_iter().collect(), ..Assignment::default() };
            self.outputs.push_back(Output::Assign {
                service: key.clone(),
                write: self.write,
                version,
                assignment,
            });
        }
    }

    fn tell(&mut self, key: &ObjectKey, severity: Severity, reason: &'static str, message: String) {
        let event = Event { severity, reason, message };
        self.outputs.push_back(Output::Event { service: key.clone(), event });
    }

    fn note(&mut self, note: String) {
        self.outputs.push_back(Output::Note(note));
    }
}
