//! Reservations: addresses that are kept for certain Services, or for nobody.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    sync::Arc,
    vec::Vec,
};

use super::{
    Configuration, ObjectRef, Refusal, ReservationSpec,
    check::{self, refusal},
    pool,
};
use crate::{
    name::ObjectKey,
    net::AddressRange,
    selector::{Labels, Selector},
    view::Created,
};

/// Addresses that are kept for certain Services, or for nobody (`IPReservation`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The object that says so.
    pub object: ObjectRef,
    /// The addresses, sorted; no two of them overlap.
    pub ranges: Vec<AddressRange>,
    /// The Service that they are for.
    pub service: Option<ObjectKey>,
    /// The Services that they are for, by label; only in `namespaces`.
    pub service_selectors: Vec<Selector>,
    /// Where `service_selectors` look; empty means everywhere.
    pub namespaces: BTreeSet<String>,
}

impl Reservation {
    /// Whether the addresses are for the Service `owner`, which has `labels`.
    #[must_use]
    pub fn is_for(&self, owner: &ObjectKey, labels: &Labels) -> bool {
        self.service.as_ref() == Some(owner)
            || ((self.namespaces.is_empty() || self.namespaces.contains(&*owner.namespace))
                && self.service_selectors.iter().any(|selector| selector.matches(labels)))
    }
}

/// Judges an `IPReservation` by itself.
fn judge(object: &ObjectRef, spec: ReservationSpec) -> Result<Reservation, Vec<Refusal>> {
    let mut refusals = Vec::new();
    if spec.addresses.is_empty() {
        refusals.push(refusal("spec.addresses", "is empty: a reservation needs at least one address"));
    }
    let ranges = pool::lenient_ranges("spec.addresses", &spec.addresses, &mut refusals);
    check::selectors("spec.serviceSelectors", &spec.service_selectors, &mut refusals);
    check::duplicates("spec.namespaces", &spec.namespaces, &mut refusals);
    if !spec.namespaces.is_empty() && spec.service_selectors.is_empty() {
        let message =
            "narrows serviceSelectors, which are missing: add them (one that is empty, {}, selects all)";
        refusals.push(refusal("spec.namespaces", message));
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    Ok(Reservation {
        object: object.clone(),
        ranges,
        service: spec.service,
        service_selectors: spec.service_selectors,
        namespaces: spec.namespaces.into_iter().collect(),
    })
}

/// What stands for being a reservation.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    candidates: BTreeMap<ObjectRef, Candidate>,
    /// Those that are not in force as they want to be, oldest first.
    contenders: BTreeSet<(Created, ObjectRef)>,
}

#[derive(Debug, Default)]
struct Candidate {
    created: Created,
    /// Its last valid version.
    wanted: Option<Arc<Reservation>>,
    /// What is wrong with its last version.
    refusals: Vec<Refusal>,
    /// What keeps `wanted` from coming into force.
    obstacle: Option<Refusal>,
}

impl Reservations {
    /// What is wrong with an object.
    pub(super) fn refusals(&self, object: &ObjectRef) -> impl Iterator<Item = &Refusal> {
        let candidate = self.candidates.get(object);
        candidate.into_iter().flat_map(|candidate| candidate.refusals.iter().chain(&candidate.obstacle))
    }
}

impl Configuration {
    /// Lets a reservation stand for coming into force.
    pub(super) fn judge_reservation(&mut self, object: &ObjectRef, created: Created, spec: ReservationSpec) {
        let in_force = self.snapshot.reservation(object).cloned();
        let Reservations { candidates, contenders } = &mut self.reservations;
        let candidate = candidates.entry(object.clone()).or_default();
        contenders.remove(&(candidate.created, object.clone()));
        candidate.created = created;
        match judge(object, spec) {
            Ok(wanted) => (candidate.wanted, candidate.refusals) = (Some(Arc::new(wanted)), Vec::new()),
            Err(refusals) => candidate.refusals = refusals,
        }
        if candidate.wanted == in_force {
            candidate.obstacle = None;
        } else {
            contenders.insert((created, object.clone()));
        }
    }

    /// Forgets a reservation.
    pub(super) fn drop_reservation(&mut self, object: &ObjectRef) {
        let Some(candidate) = self.reservations.candidates.remove(object) else { return };
        self.reservations.contenders.remove(&(candidate.created, object.clone()));
        if self.snapshot.remove_reservation(object) {
            self.changed_reservations.insert(object.clone());
        }
    }

    /// Puts in force whatever can be, oldest first; only what is `among` these, if that is given.
    pub(super) fn settle_reservations(&mut self, among: Option<&BTreeSet<ObjectRef>>) {
        'again: loop {
            for (_, object) in self.reservations.contenders.clone() {
                let may = among.is_none_or(|among| among.contains(&object));
                if may && self.enforce_reservation(&object) {
                    // An older one may have waited for exactly this.
                    continue 'again;
                }
            }
            return;
        }
    }

    /// Puts a reservation in force if it can be; says whether its former version lost its place thereby.
    fn enforce_reservation(&mut self, object: &ObjectRef) -> bool {
        let Some(candidate) = self.reservations.candidates.get_mut(object) else { return false };
        let Some(wanted) = candidate.wanted.clone() else { return false };
        self.touched.insert(object.clone());
        for range in &wanted.ranges {
            let mut others = self.snapshot.reserved(*range);
            if let Some((taken, other)) = others.find(|(_, other)| *other != object) {
                let overlap = taken.overlap(range).unwrap_or(*range);
                let message = format!(
                    "{overlap} is reserved by {other} already, which is in force: remove these addresses from \
                     one of them"
                );
                candidate.obstacle = Some(refusal("spec.addresses", message));
                return false;
            }
        }
        candidate.obstacle = None;
        self.reservations.contenders.remove(&(candidate.created, object.clone()));
        let freed = self.snapshot.remove_reservation(object);
        self.snapshot.insert_reservation(wanted);
        self.changed_reservations.insert(object.clone());
        freed
    }
}
