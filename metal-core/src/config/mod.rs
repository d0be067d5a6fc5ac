//! What the user configured: each object judged on its own, the valid ones in force.
//!
//! [`Configuration`] takes objects as they come and goes, and keeps a [`Snapshot`] of what is in force:
//!
//! - A bad object is refused alone, with the field and the reason; the others go on.
//! - An object that becomes bad stays in force in its last good version.
//! - Of two pools that exclude each other (the same name, or addresses in common) the one in force stays.
//!   When neither is in force yet, the one wins whose status says that it was (so a restart changes nothing),
//!   else the older one, by creation and then by name. The other one is refused, and comes into force by
//!   itself once its obstacle is gone.
//! - The same holds for reservations that have addresses in common.
//! - A pool of a ConfigMap gives way to an `IPAddressPool` of the same name.
//! - What is about BGP follows the same rules ([`bgp`]).

mod advertisement;
pub mod bgp;
mod check;
mod duration;
mod interfaces;
mod legacy;
mod object;
mod pool;
mod reservation;
mod snapshot;
#[cfg(test)]
mod tests;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    sync::Arc,
    vec,
    vec::Vec,
};
use core::mem;

pub use advertisement::{L2Advertisement, ReceiveMode};
pub use duration::{DurationError, parse_duration};
pub use interfaces::{Interfaces, PatternError};
pub use object::{
    Held, L2AdvertisementSpec, Legacy, LegacyPool, Object, ObjectRef, ObjectStatus, PoolSpec, PreferredNode,
    Refusal, ReservationSpec, ServiceAllocationSpec, Spec,
};
pub use pool::{Allocation, Pool, SharingPolicy};
pub use reservation::Reservation;
pub use snapshot::Snapshot;

use crate::{
    name::{PeerName, PoolName},
    view::Created,
};
use check::refusal;
use legacy::Protocol;
use reservation::Reservations;

/// The configuration objects, judged.
///
/// Nothing is in force before [`synced`](Self::synced), so that the order in which objects are listed at
/// the start does not matter. From then on each [`apply`](Self::apply) counts at once.
#[derive(Debug, Default)]
pub struct Configuration {
    /// What came in before everything was listed.
    unread: BTreeMap<ObjectRef, Object>,
    is_synced: bool,
    objects: BTreeMap<ObjectRef, Judged>,
    candidates: BTreeMap<Slot, Candidate>,
    /// Candidates that are not in force as they want to be, oldest first.
    contenders: BTreeSet<(Created, Slot)>,
    reservations: Reservations,
    bgp: bgp::Objects,
    snapshot: Snapshot,
    touched: BTreeSet<ObjectRef>,
    changed: BTreeSet<PoolName>,
    advertised: BTreeSet<PoolName>,
    changed_reservations: BTreeSet<ObjectRef>,
    changed_peers: BTreeSet<PeerName>,
    advertised_by_bgp: BTreeSet<PoolName>,
    bgp_wishes: bool,
}

/// What has changed since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Objects with a new verdict: wholly in force when the list is empty, else what is refused and why.
    /// The first verdict on an object is a change, too.
    pub verdicts: Vec<(ObjectRef, Vec<Refusal>)>,
    /// Pools that came, changed or went.
    pub pools: BTreeSet<PoolName>,
    /// Pools whose advertisements came, changed or went; a pool that came or went itself is among them.
    pub advertised: BTreeSet<PoolName>,
    /// Reservations that came, changed or went.
    pub reservations: BTreeSet<ObjectRef>,
    /// BGP peers that came, changed or went.
    pub peers: BTreeSet<PeerName>,
    /// Pools whose advertisements by BGP came, changed or went.
    pub advertised_by_bgp: BTreeSet<PoolName>,
    /// Something else may come of what Services ask of BGP themselves: of external IPs, and of communities that they
    /// name. Each Service that has such is to be decided upon anew.
    pub bgp_wishes: bool,
}

/// A pool of an object: an `IPAddressPool` has one, a ConfigMap any number.
type Slot = (PoolName, ObjectRef);

/// What is known of an object beside its pools.
#[derive(Debug, Default)]
struct Judged {
    pools: BTreeSet<PoolName>,
    refusals: Vec<Refusal>,
    reported: Option<Vec<Refusal>>,
}

#[derive(Debug)]
struct Candidate {
    created: Created,
    /// How a ConfigMap has it announced; an object of its own has advertisements for this.
    legacy: Option<Protocol>,
    /// Leads to the pool's fields.
    path: String,
    /// Its last valid version.
    wanted: Option<Arc<Pool>>,
    in_force: Option<Arc<Pool>>,
    /// What is wrong with its last version.
    refusals: Vec<Refusal>,
    /// What keeps `wanted` from coming into force.
    obstacle: Option<Refusal>,
}

impl Configuration {
    /// Nothing configured.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an object as it is now; `None` when it is gone.
    pub fn apply(&mut self, object: ObjectRef, value: Option<Object>) {
        match (self.is_synced, value) {
            (false, Some(value)) => drop(self.unread.insert(object, value)),
            (false, None) => drop(self.unread.remove(&object)),
            (true, value) => {
                self.judge(object, value);
                self.settle(None);
                self.settle_bgp(None);
            }
        }
    }

    /// Every kind has been listed completely: what is valid comes into force.
    pub fn synced(&mut self) {
        if mem::replace(&mut self.is_synced, true) {
            return;
        }
        let mut accepted = BTreeSet::new();
        for (object, value) in mem::take(&mut self.unread) {
            if value.status.accepted {
                accepted.insert(object.clone());
            }
            self.judge(object, Some(value));
        }
        // What was in force before a restart comes before what is older.
        self.settle(Some(&accepted));
        self.settle(None);
        self.settle_bgp(Some(&accepted));
    }

    /// What is in force.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What has changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        let mut verdicts = Vec::new();
        for object in mem::take(&mut self.touched) {
            let verdict = self.verdict(&object);
            if let Some(judged) = self.objects.get_mut(&object)
                && judged.reported.as_ref() != Some(&verdict)
            {
                judged.reported = Some(verdict.clone());
                verdicts.push((object, verdict));
            }
        }
        Changes {
            verdicts,
            pools: mem::take(&mut self.changed),
            advertised: mem::take(&mut self.advertised),
            reservations: mem::take(&mut self.changed_reservations),
            peers: mem::take(&mut self.changed_peers),
            advertised_by_bgp: mem::take(&mut self.advertised_by_bgp),
            bgp_wishes: mem::take(&mut self.bgp_wishes),
        }
    }

    fn verdict(&self, object: &ObjectRef) -> Vec<Refusal> {
        let Some(judged) = self.objects.get(object) else { return Vec::new() };
        let is_in_force = self.snapshot.has_advertisement(&(object.clone(), None))
            || self.snapshot.reservation(object).is_some()
            || self.bgp.has(object);
        let own = judged.refusals.iter().chain(self.reservations.refusals(object));
        let mut verdict: Vec<_> = own.map(|own| kept(own, is_in_force)).collect();
        for pool in &judged.pools {
            let Some(candidate) = self.candidates.get(&(pool.clone(), object.clone())) else { continue };
            let refusals = candidate.refusals.iter().chain(&candidate.obstacle);
            verdict.extend(refusals.map(|refusal| kept(refusal, candidate.in_force.is_some())));
        }
        verdict.extend(self.bgp.refusals(object));
        verdict
    }

    /// Judges an object by itself.
    fn judge(&mut self, object: ObjectRef, value: Option<Object>) {
        self.touched.insert(object.clone());
        let Some(Object { created, labels, spec, status: _ }) = value else {
            self.keep_only(&object, &BTreeSet::new());
            self.advertise(&(object.clone(), None), None);
            self.drop_reservation(&object);
            self.bgp.forget(&object);
            self.objects.remove(&object);
            return;
        };
        let judged = self.objects.entry(object.clone()).or_default();
        judged.refusals.clear();
        match spec {
            // Whatever it was stays as it is.
            Spec::Unreadable(refusal) => judged.refusals = vec![refusal],
            Spec::Pool(spec) => {
                let name = PoolName::from(&*object.name);
                self.keep_only(&object, &BTreeSet::from([name.clone()]));
                let pool = pool::judge(name.clone(), labels, &spec, "spec.");
                self.stand((name, object), created, None, "spec.".into(), pool);
            }
            Spec::L2Advertisement(spec) => match advertisement::judge(&object, spec) {
                Ok(advertisement) => self.advertise(&(object, None), Some(Arc::new(advertisement))),
                Err(refusals) => judged.refusals = refusals,
            },
            Spec::Reservation(spec) => self.judge_reservation(&object, created, spec),
            Spec::BgpPeer(spec) => self.bgp.judge_peer(&object, created, *spec),
            Spec::BgpAdvertisement(spec) => self.bgp.judge_advertisement(&object, created, *spec),
            Spec::Community(spec) => self.bgp.judge_community(&object, created, &spec),
            Spec::BfdProfile(spec) => self.bgp.judge_profile(&object, created, &spec),
            Spec::Legacy(legacy) => self.judge_legacy(&object, created, legacy),
        }
    }

    /// Lets a pool stand for coming into force.
    fn stand(
        &mut self,
        slot: Slot,
        created: Created,
        legacy: Option<Protocol>,
        path: String,
        pool: Result<Pool, Vec<Refusal>>,
    ) {
        if let Some(judged) = self.objects.get_mut(&slot.1) {
            judged.pools.insert(slot.0.clone());
        }
        let candidate = self.candidates.entry(slot.clone()).or_insert_with(|| Candidate {
            created,
            legacy,
            path: String::new(),
            wanted: None,
            in_force: None,
            refusals: Vec::new(),
            obstacle: None,
        });
        self.contenders.remove(&(candidate.created, slot.clone()));
        (candidate.created, candidate.path, candidate.legacy) = (created, path, legacy);
        match pool {
            Ok(pool) => (candidate.wanted, candidate.refusals) = (Some(Arc::new(pool)), Vec::new()),
            Err(refusals) => candidate.refusals = refusals,
        }
        let is_in_force = candidate.in_force.is_some();
        if candidate.wanted == candidate.in_force {
            candidate.obstacle = None;
        } else {
            self.contenders.insert((created, slot.clone()));
        }
        if is_in_force {
            self.advertise_legacy(&slot, legacy);
        }
    }

    /// Removes the pools of `object` that are not among `names`.
    fn keep_only(&mut self, object: &ObjectRef, names: &BTreeSet<PoolName>) {
        let Some(judged) = self.objects.get_mut(object) else { return };
        let gone: Vec<_> = judged.pools.difference(names).cloned().collect();
        judged.pools.retain(|name| names.contains(name));
        for name in gone {
            let slot = (name, object.clone());
            self.withdraw(&slot);
            if let Some(candidate) = self.candidates.remove(&slot) {
                self.contenders.remove(&(candidate.created, slot));
            }
        }
    }

    /// Puts in force whatever can be, oldest first; only what is `among` these, if that is given.
    fn settle(&mut self, among: Option<&BTreeSet<ObjectRef>>) {
        self.settle_reservations(among);
        self.settle_pools(among);
    }

    fn settle_pools(&mut self, among: Option<&BTreeSet<ObjectRef>>) {
        'again: loop {
            for (_, slot) in self.contenders.clone() {
                if among.is_none_or(|among| among.contains(&slot.1)) && self.enforce(&slot) {
                    // An older one may have waited for exactly this.
                    continue 'again;
                }
            }
            return;
        }
    }

    /// Puts in force what there is of BGP, by the pools that are in force now.
    fn settle_bgp(&mut self, accepted: Option<&BTreeSet<ObjectRef>>) {
        let mut settled = self.bgp.settle(&mut self.snapshot, accepted);
        self.touched.append(&mut settled.told);
        self.changed_peers.append(&mut settled.peers);
        self.advertised_by_bgp.append(&mut settled.advertised);
        self.bgp_wishes |= settled.wishes;
    }

    /// Puts a pool in force if it can be; says whether something else lost its place thereby.
    fn enforce(&mut self, slot: &Slot) -> bool {
        let Some(candidate) = self.candidates.get(slot) else { return false };
        let Some(pool) = candidate.wanted.clone() else { return false };
        let displaced = match self.check(slot, candidate, &pool) {
            Ok(displaced) => displaced,
            Err(obstacle) => {
                if let Some(candidate) = self.candidates.get_mut(slot) {
                    candidate.obstacle = Some(obstacle);
                }
                self.touched.insert(slot.1.clone());
                return false;
            }
        };
        let mut freed = false;
        if let Some(displaced) = displaced {
            freed |= self.withdraw(&displaced);
        }
        freed |= self.withdraw(slot);
        let Some(candidate) = self.candidates.get_mut(slot) else { return freed };
        self.contenders.remove(&(candidate.created, slot.clone()));
        (candidate.in_force, candidate.obstacle) = (Some(pool.clone()), None);
        let legacy = candidate.legacy;
        self.touched.insert(slot.1.clone());
        self.changed.insert(slot.0.clone());
        self.advertised.insert(slot.0.clone());
        self.snapshot.insert_pool(pool, slot.1.clone());
        self.bgp.pools_changed();
        self.advertise_legacy(slot, legacy);
        freed
    }

    /// Whether nothing in force stands in the way of a pool, and what it may displace.
    fn check(&self, slot: &Slot, candidate: &Candidate, pool: &Pool) -> Result<Option<Slot>, Refusal> {
        let mut displaced = None;
        if let Some(holder) = self.snapshot.object_of(&slot.0).filter(|holder| **holder != slot.1) {
            let holder = (slot.0.clone(), holder.clone());
            let gives_way = self.candidates.get(&holder).is_some_and(|other| other.legacy.is_some());
            if candidate.legacy.is_some() || !gives_way {
                let field = if candidate.legacy.is_some() {
                    format!("{}name", candidate.path)
                } else {
                    "metadata.name".into()
                };
                let message = format!("{} defines the pool {} already: rename one of them", holder.1, slot.0);
                return Err(refusal(field, message));
            }
            displaced = Some(holder);
        }
        for (index, range) in pool.ranges.iter().enumerate() {
            // What has the same name is this pool's former version, or what it displaces.
            let other = self.snapshot.overlapping(*range).find(|(_, name)| **name != slot.0);
            let Some((taken, name)) = other else { continue };
            let Some(overlap) = taken.overlap(range) else { continue };
            let owner =
                self.snapshot.object_of(name).map(|object| format!(" ({object})")).unwrap_or_default();
            let message = format!(
                "overlaps with pool {name}{owner}, which is in force, in {overlap}: \
                 remove these addresses from one of them"
            );
            return Err(refusal(format!("{}addresses[{index}]", candidate.path), message));
        }
        Ok(displaced)
    }

    /// Takes a pool out of force; says whether it was.
    fn withdraw(&mut self, slot: &Slot) -> bool {
        let Some(candidate) = self.candidates.get_mut(slot) else { return false };
        if candidate.in_force.take().is_none() {
            return false;
        }
        self.contenders.insert((candidate.created, slot.clone()));
        if candidate.legacy.is_some() {
            self.advertise_legacy(slot, None);
        }
        self.snapshot.remove_pool(&slot.0);
        self.bgp.pools_changed();
        self.touched.insert(slot.1.clone());
        self.changed.insert(slot.0.clone());
        self.advertised.insert(slot.0.clone());
        true
    }

    fn advertise(&mut self, key: &snapshot::AdvertisementKey, value: Option<Arc<L2Advertisement>>) {
        let advertised = &mut self.advertised;
        self.snapshot.set_advertisement(key, value, |pool| {
            advertised.insert(pool.clone());
        });
    }
}

/// The refusal, with a word on what is in force instead.
fn kept(refusal: &Refusal, in_force: bool) -> Refusal {
    let Refusal { field, message } = refusal.clone();
    let message =
        if in_force { format!("{message}; its last valid version stays in force") } else { message };
    Refusal { field, message }
}
