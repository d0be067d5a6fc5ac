//! Which Service is looked at next.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::{
    net::IpAddr,
    ops::Bound::{Excluded, Unbounded},
};

use super::{Controller, record::Record};
use crate::{
    ipam::Ipam,
    name::{ObjectKey, PoolName},
    reason::{FamilyProblem, Reason},
    request::Wanted,
    view::Created,
};

/// A Service by age: the older one comes first, then the name decides.
pub(super) type Age = (Created, ObjectKey);

/// What to do with a Service. All of the first kind comes before any of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Claim what it has already, or release what it has no right to any more.
    Adopt,
    /// Give it what it asks for.
    Serve,
}

/// More rooms than this are not looked at one by one.
const FEW: usize = 8;

/// Which Services to look at.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: BTreeSet<(Step, Age)>,
    /// Services that do not have what they ask for.
    waiting: BTreeSet<Age>,
    /// Those of them that ask for an address that somebody else has.
    by_address: BTreeMap<IpAddr, BTreeSet<Age>>,
    /// Pools in which addresses became free: those who wait are asked in turn.
    rooms: BTreeSet<PoolName>,
    /// The last one that was asked.
    asked: Option<Age>,
}

impl Agenda {
    /// A Service has to be looked at.
    pub(super) fn push(&mut self, step: Step, age: Age) {
        self.due.insert((step, age));
    }

    /// A Service waits for what it asks for.
    pub(super) fn wait(&mut self, age: Age, reason: &Reason) {
        if let Reason::AddressInUse { address, .. } = reason {
            self.by_address.entry(*address).or_default().insert(age.clone());
        }
        self.waiting.insert(age);
    }

    /// A Service, which waits for `reason`, does so no longer and need not be looked at.
    pub(super) fn forget(&mut self, age: &Age, reason: Option<&Reason>) {
        for step in [Step::Adopt, Step::Serve] {
            self.due.remove(&(step, age.clone()));
        }
        self.satisfied(age, reason);
    }

    /// A Service, which waits for `reason`, does so no longer.
    pub(super) fn satisfied(&mut self, age: &Age, reason: Option<&Reason>) {
        self.waiting.remove(age);
        if let Some(Reason::AddressInUse { address, .. }) = reason
            && let Some(ages) = self.by_address.get_mut(address)
        {
            ages.remove(age);
            if ages.is_empty() {
                self.by_address.remove(address);
            }
        }
    }

    /// Waits again, if there is a reason.
    pub(super) fn resume(&mut self, age: &Age, reason: Option<&Reason>) {
        if let Some(reason) = reason {
            self.wait(age.clone(), reason);
        }
    }

    /// All that wait.
    pub(super) fn waiting(&self) -> Vec<Age> {
        self.waiting.iter().cloned().collect()
    }

    /// An address became free, and with it room in its pool.
    pub(super) fn freed(&mut self, address: IpAddr, pool: Option<PoolName>) {
        for age in self.by_address.get(&address).into_iter().flatten() {
            self.due.insert((Step::Serve, age.clone()));
        }
        self.rooms.extend(pool);
        self.asked = None;
    }
}

impl Controller {
    /// The Service to look at next: first all that have something already, then the oldest of those that
    /// have changed or could use what became free.
    pub(super) fn next_due(&mut self) -> Option<(Step, ObjectKey)> {
        let hopeful = self.next_hopeful();
        let due = self.agenda.due.first();
        if let Some(age) = hopeful
            && due.is_none_or(|(step, due)| *step == Step::Serve && age < *due)
        {
            let key = age.1.clone();
            self.agenda.asked = Some(age);
            return Some((Step::Serve, key));
        }
        let (step, (_, key)) = self.agenda.due.pop_first()?;
        Some((step, key))
    }

    /// The oldest of those that wait and have not been asked whether they can use what became free.
    fn next_hopeful(&mut self) -> Option<Age> {
        let (agenda, ipam) = (&mut self.agenda, &self.ipam);
        if agenda.rooms.len() <= FEW {
            agenda.rooms.retain(|room| ipam.has_room(room));
        }
        if agenda.rooms.is_empty() {
            return None;
        }
        let (mut passed, mut found) = (None, None);
        let start = agenda.asked.as_ref().map_or(Unbounded, Excluded);
        for age in agenda.waiting.range((start, Unbounded)) {
            let Some(record) = self.services.get(&age.1) else { continue };
            let mut rooms = agenda.rooms.iter();
            let is_hopeful = record.waits_for_room()
                && (rooms.len() > FEW || rooms.any(|room| could_use(ipam, &age.1, record, room)));
            if is_hopeful {
                found = Some(age.clone());
                break;
            }
            passed = Some(age.clone());
        }
        if found.is_none() {
            agenda.rooms.clear();
            agenda.asked = None;
        } else if passed.is_some() {
            agenda.asked = passed;
        }
        found
    }
}

/// Whether it makes sense to look again now that the pool `room` has a free address.
fn could_use(ipam: &Ipam, key: &ObjectKey, record: &Record, room: &PoolName) -> bool {
    let (Some(pool), Ok(request)) = (ipam.pool(room), &record.service.request) else { return false };
    let wanted = request.addresses.iter().filter_map(|wanted| match wanted {
        Wanted::Address(address) => Some(*address),
        Wanted::Host(_) => None,
    });
    let mut own = record.held.iter().copied().chain(wanted);
    // What lies outside every pool still belongs to the one it came from.
    let home = |address| ipam.pool_of(address).map(|pool| &pool.name).or(record.pool.as_ref());
    let is_home = own.any(|address| home(address) == Some(room));
    let is_asked_for = match &request.pool {
        Some(requested) => requested == room,
        None => request.addresses.is_empty() && pool.auto_assign,
    };
    let admits = pool.allocation.as_ref().is_none_or(|allocation| {
        allocation.admits_namespace(&key.namespace, &crate::selector::Labels::new())
            && allocation.admits_labels(&record.service.labels)
    });
    (is_home || is_asked_for) && admits
}

impl Record {
    /// Whether a free address somewhere may be what is missing.
    fn waits_for_room(&self) -> bool {
        matches!(
            self.reason,
            Some(Reason::PoolExhausted(_) | Reason::FamilyUnavailable(FamilyProblem::NoPool { .. }))
        )
    }
}
