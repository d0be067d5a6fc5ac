//! Which Service is looked at next, and who may use what became free.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use core::{
    net::IpAddr,
    ops::Bound::{Excluded, Unbounded},
};

use super::{Controller, record::Record};
use crate::{
    config::{Allocation, Pool},
    name::{ObjectKey, PoolName},
    net::to_bits,
    reason::{FamilyProblem, Reason},
    request::Wanted,
    view::{Created, Family},
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

/// What Services wait for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Queue {
    /// This address.
    Address(IpAddr),
    /// An address that ends in this byte.
    Ending(Family, u8),
    /// An address that is shared with this key.
    Key(Arc<str>),
    /// The quota of a namespace in this pool, for an address of their choice.
    Quota(PoolName, Arc<str>),
    /// Anything, by the namespace they are in.
    Of(Arc<str>),
    /// Room in this pool.
    Pool(PoolName),
    /// Room in any pool, by namespace.
    Namespace(Arc<str>),
    /// Room in any pool.
    Anywhere,
}

/// Room for a family in a pool.
type Room = (PoolName, Family);

/// With more rooms than this all who wait are looked at once, instead of being asked room by room.
const FEW: usize = 16;

/// Which Services to look at.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: BTreeSet<(Step, Age)>,
    /// Services that do not have what they ask for, and the queues they stand in.
    waiting: BTreeMap<Age, Vec<Queue>>,
    queues: BTreeMap<Queue, BTreeSet<Age>>,
    /// Where there may be room for those who wait, and who was asked last.
    rooms: BTreeMap<Room, Option<Age>>,
}

impl Agenda {
    /// A Service has to be looked at.
    pub(super) fn push(&mut self, step: Step, age: Age) {
        self.due.insert((step, age));
    }

    /// A Service waits in these queues.
    pub(super) fn wait(&mut self, age: Age, queues: Vec<Queue>) {
        if self.waiting.get(&age) == Some(&queues) {
            return;
        }
        self.satisfied(&age);
        for queue in &queues {
            self.queues.entry(queue.clone()).or_default().insert(age.clone());
        }
        self.waiting.insert(age, queues);
    }

    /// A Service does not wait any more.
    pub(super) fn satisfied(&mut self, age: &Age) {
        for queue in self.waiting.remove(age).into_iter().flatten() {
            if let Some(ages) = self.queues.get_mut(&queue) {
                ages.remove(age);
                if ages.is_empty() {
                    self.queues.remove(&queue);
                }
            }
        }
    }

    /// A Service does not wait any more and need not be looked at.
    pub(super) fn forget(&mut self, age: &Age) {
        for step in [Step::Adopt, Step::Serve] {
            self.due.remove(&(step, age.clone()));
        }
        self.satisfied(age);
    }

    /// A Service has another age: it is gone under the old one, and waits for the same as before.
    pub(super) fn rename(&mut self, before: &Age, now: &Age) {
        if before != now {
            let queues = self.waiting.get(before).cloned();
            self.forget(before);
            if let Some(queues) = queues {
                self.wait(now.clone(), queues);
            }
        }
    }

    /// All that wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Age> {
        self.waiting.keys()
    }

    /// All that wait in a queue are looked at.
    pub(super) fn wake(&mut self, queue: &Queue) {
        for age in self.queues.get(queue).into_iter().flatten() {
            self.due.insert((Step::Serve, age.clone()));
        }
    }

    /// Those who wait are looked at, if they are in one of the namespaces (none: in any) or this one, and if
    /// they are among the chosen.
    fn wake_if(
        &mut self,
        namespaces: &BTreeSet<String>,
        one: Option<&ObjectKey>,
        chosen: impl Fn(&ObjectKey) -> bool,
    ) {
        let mut lines: BTreeSet<&str> = namespaces.iter().map(String::as_str).collect();
        lines.extend(one.map(|one| &*one.namespace));
        let mut due = Vec::new();
        if lines.is_empty() {
            due.extend(self.waiting.keys().filter(|(_, key)| chosen(key)).cloned());
        }
        for line in lines {
            let ages = self.queues.get(&Queue::Of(line.into())).into_iter().flatten();
            due.extend(ages.filter(|(_, key)| chosen(key)).cloned());
        }
        self.due.extend(due.into_iter().map(|age| (Step::Serve, age)));
    }

    /// All that wait are looked at.
    pub(super) fn wake_all(&mut self) {
        self.due.extend(self.waiting.keys().map(|age| (Step::Serve, age.clone())));
        self.rooms.clear();
    }

    /// There may be room in a pool: those who wait for it are asked in turn.
    pub(super) fn room(&mut self, room: Room) {
        self.rooms.insert(room, None);
        if self.rooms.len() > FEW {
            self.wake_all();
        }
    }

    /// Whether something that Services have already is still to be claimed.
    pub(super) fn has_adoptions(&self) -> bool {
        self.due.first().is_some_and(|(step, _)| *step == Step::Adopt)
    }
}

impl Controller {
    /// The Service to look at next: first all that have something already, then the oldest of those that
    /// have changed or could use what became free.
    pub(super) fn next_due(&mut self) -> Option<(Step, ObjectKey)> {
        if !self.agenda.has_adoptions()
            && let Some((room, age)) = self.next_hopeful()
            && self.agenda.due.first().is_none_or(|(_, due)| age <= *due)
        {
            self.agenda.due.remove(&(Step::Serve, age.clone()));
            let key = age.1.clone();
            self.agenda.rooms.insert(room, Some(age));
            return Some((Step::Serve, key));
        }
        let (step, (_, key)) = self.agenda.due.pop_first()?;
        Some((step, key))
    }

    /// The oldest of those who wait for room that there may be, and the room.
    fn next_hopeful(&mut self) -> Option<(Room, Age)> {
        let mut oldest: Option<(Room, Age)> = None;
        let rooms: Vec<_> = self.agenda.rooms.keys().cloned().collect();
        for room in rooms {
            match self.next_for(&room) {
                Some(age) if oldest.as_ref().is_none_or(|(_, other)| age < *other) => {
                    oldest = Some((room, age));
                }
                Some(_) => {}
                None => drop(self.agenda.rooms.remove(&room)),
            }
        }
        oldest
    }

    /// The next one to be asked whether it can use room in a pool.
    fn next_for(&mut self, room: &Room) -> Option<Age> {
        let (name, family) = room;
        if !self.ipam.has_room_of(name, *family) {
            return None;
        }
        let pool = self.ipam.pool(name)?.clone();
        loop {
            let asked = self.agenda.rooms.get(room)?;
            let start = asked.as_ref().map_or(Unbounded, Excluded);
            let after = |ages: &BTreeSet<Age>| ages.range((start, Unbounded)).next().cloned();
            let queues = &self.agenda.queues;
            let mut next = queues.get(&Queue::Pool(name.clone())).and_then(after);
            if pool.auto_assign {
                let general = if is_for_everybody(&pool) {
                    queues.get(&Queue::Anywhere).and_then(after)
                } else {
                    let lines = queues.range(Queue::Namespace("".into())..Queue::Anywhere);
                    let open = lines.filter(|(queue, _)| match queue {
                        Queue::Namespace(namespace) => self.may_use(&pool, namespace),
                        _ => false,
                    });
                    open.filter_map(|(_, ages)| after(ages)).min()
                };
                next = next.into_iter().chain(general).min();
            }
            let next = next?;
            if self
                .services
                .get(&next.1)
                .is_some_and(|record| self.could_use(&next.1, record, &pool, *family))
            {
                return Some(next);
            }
            self.agenda.rooms.insert(room.clone(), Some(next));
        }
    }

    /// Whether Services of a namespace may get a new address of a pool.
    fn may_use(&self, pool: &Pool, namespace: &str) -> bool {
        let admits = |allocation: &Allocation| {
            allocation.admits_namespace(namespace, self.namespace_labels(namespace))
        };
        pool.allocation.as_ref().is_none_or(admits) && !self.ipam.is_quota_reached(&pool.name, namespace)
    }

    /// Whether a free address of a pool may be what a Service waits for; its namespace has been looked at.
    fn could_use(&self, key: &ObjectKey, record: &Record, pool: &Pool, family: Family) -> bool {
        let wanted = record.service.request.as_ref().ok().and_then(|request| request.pool.as_ref());
        let has = record.owns.iter().any(|own| {
            Family::of(own.address) == family
                && self.ipam.is_inside(own.address)
                && !self.gives_way(key, record, own)
                && wanted.is_none_or(|wanted| own.pool == *wanted)
        });
        let admits = |allocation: &Allocation| allocation.admits_labels(&record.service.labels);
        !has && record.service.families.contains(&family) && pool.allocation.as_ref().is_none_or(admits)
    }

    /// Something about an address has changed for others: it is free, or has free ports.
    pub(super) fn offer(&mut self, address: IpAddr) {
        let (agenda, ending) = (&mut self.agenda, to_bits(address).to_be_bytes()[15]);
        agenda.wake(&Queue::Address(address));
        agenda.wake(&Queue::Ending(Family::of(address), ending));
        if let Some(pool) = self.ipam.pool_of(address) {
            agenda.room((pool.name.clone(), Family::of(address)));
            if pool.max_per_namespace.is_some() {
                // Both families count against the namespace.
                agenda.room((pool.name.clone(), Family::of(address).other()));
            }
        }
        if let Some(reservation) = self.ipam.reservation_of(address).cloned() {
            self.agenda.wake_if(&reservation.namespaces, reservation.service.as_ref(), |key| {
                let record = self.services.get(key);
                record.is_some_and(|record| reservation.is_for(key, &record.service.labels))
            });
        }
    }

    /// A namespace has fewer addresses of a pool that limits how many it may have.
    pub(super) fn offer_quota(&mut self, pool: PoolName, namespace: &Arc<str>) {
        self.agenda.wake(&Queue::Quota(pool, namespace.clone()));
        // What is kept for somebody, or can be shared with somebody, is no room for everybody, for which they are asked in
        // turn.
        let labels = self.namespace_labels(namespace).clone();
        self.agenda.wake_if(&[namespace.to_string()].into(), None, |key| {
            let record = self.services.get(key);
            record.is_some_and(|Record { service, .. }| {
                service.sharing.is_some() || self.ipam.keeps_for(key, &service.labels, &labels)
            })
        });
    }
}

/// Whether no look at namespaces is needed.
fn is_for_everybody(pool: &Pool) -> bool {
    let limits = |allocation: &Allocation| {
        !allocation.namespaces.is_empty() || !allocation.namespace_selectors.is_empty()
    };
    pool.max_per_namespace.is_none() && !pool.allocation.as_ref().is_some_and(limits)
}

impl Record {
    /// Where a Service has to stand that waits for `reason`, or without a reason for another address.
    pub(super) fn queues(&self, key: &ObjectKey, reason: Option<&Reason>) -> Vec<Queue> {
        let mut queues = alloc::vec![Queue::Of(key.namespace.clone())];
        if let Some(
            Reason::AddressInUse { address, .. }
            | Reason::AddressReserved { address, .. }
            | Reason::SharingConflict { address, .. },
        ) = reason
        {
            queues.push(Queue::Address(*address));
        }
        if let Ok(request) = &self.service.request {
            if let Some(Reason::QuotaExceeded { pool, .. }) = reason
                && !request.addresses.is_empty()
            {
                queues.push(Queue::Quota(pool.clone(), key.namespace.clone()));
            }
            for wanted in &request.addresses {
                queues.push(match wanted {
                    Wanted::Address(address) => Queue::Address(*address),
                    Wanted::Host(host) => Queue::Ending(host.family, host.bits.to_be_bytes()[7]),
                });
            }
            let lacks_room = matches!(
                reason,
                None | Some(
                    Reason::PoolExhausted(_)
                        | Reason::FamilyUnavailable(FamilyProblem::NoPool { .. })
                        | Reason::QuotaExceeded { .. }
                        | Reason::AddressOutsidePool { .. }
                        | Reason::AddressConflict { .. }
                        | Reason::SharingConflict { .. }
                )
            );
            if lacks_room {
                queues.extend(self.owns.iter().map(|own| Queue::Pool(own.pool.clone())));
                match &request.pool {
                    Some(pool) => queues.push(Queue::Pool(pool.clone())),
                    None => queues.extend([Queue::Namespace(key.namespace.clone()), Queue::Anywhere]),
                }
                queues.extend(self.service.sharing.iter().map(|sharing| Queue::Key(sharing.key.clone())));
            }
        }
        queues.sort();
        queues.dedup();
        queues
    }
}
