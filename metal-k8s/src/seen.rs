//! What the watches have shown of the objects that a sink writes to.
//!
//! The sink needs their uids for events, the time of a condition's last transition, and the versions that its own
//! writes have made. Of configuration objects it must not write what is there already: a restart that changes nothing
//! writes nothing. Of Services the machine knows that.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::jiff::Timestamp;
use metal_core::{
    config::ObjectRef,
    controller::Assignment,
    view::{Condition, Version},
};
use serde_json::Value;

use crate::{raw, view};

/// Own versions that are remembered of a Service: more writes are not under way between two looks at it.
const OWN_VERSIONS: usize = 8;

/// Shared by the watches, which fill it, and the sink.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<HashMap<ObjectRef, Entry>>>);

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    uid: Option<Box<str>>,
    part: Part,
}

/// The part of an object that we write.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Service {
        since: Transitions,
        /// A version that was written to, and those that our own writes have made of it, ascending.
        own: Vec<Version>,
        /// A digest of what the last of them says.
        wrote: Option<u64>,
    },
    Config {
        status: Value,
        /// The status is what we wrote ourselves; what a watch shows may be older.
        ours: bool,
    },
}

/// Since when the conditions of a Service that we write have their status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transitions {
    /// Of `Assigned`.
    pub(crate) assigned: Option<Since>,
    /// Of `Announced`.
    pub(crate) announced: Option<Since>,
}

/// Since when a condition has its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    /// The status.
    pub(crate) status: bool,
    /// The time of its last transition.
    pub(crate) time: Timestamp,
}

impl Since {
    /// Reads it from a condition.
    fn of(condition: &raw::Condition) -> Option<Self> {
        let time = condition.last_transition_time.as_ref()?.0;
        Some(Self { status: condition.status == "True", time })
    }

    /// What it is with the condition that is to be shown.
    fn next(before: Option<Self>, condition: Option<&Condition>, now: Timestamp) -> Option<Self> {
        let status = condition?.status;
        Some(before.filter(|before| before.status == status).unwrap_or(Self { status, time: now }))
    }
}

impl Transitions {
    /// Reads them from a Service.
    pub(crate) fn of(status: &raw::ServiceStatus) -> Self {
        let since = |type_| view::condition(status, type_).and_then(Since::of);
        Self { assigned: since(view::ASSIGNED), announced: since(view::ANNOUNCED) }
    }

    /// What they are once `assignment` is shown.
    pub(crate) fn with(self, assignment: &Assignment, now: Timestamp) -> Self {
        Self {
            assigned: Since::next(self.assigned, assignment.condition.as_ref(), now),
            announced: Since::next(self.announced, assignment.announced.as_ref(), now),
        }
    }
}

impl Seen {
    /// A Service as a watch has just shown it.
    pub(crate) fn show_service(
        &self,
        object: ObjectRef,
        uid: Option<String>,
        version: Version,
        since: Transitions,
    ) {
        let uid = uid.map(String::into_boxed_str);
        let mut entries = self.lock();
        let mut part = Part::Service { since, own: Vec::new(), wrote: None };
        if let Some(Entry { uid: there, part: Part::Service { own, wrote, .. } }) = entries.get(&object)
            && *there == uid
            && let Some(last) = own.last()
        {
            if version < *last {
                return; // Older than what we have written since.
            }
            if version == *last {
                part = Part::Service { since, own: vec![version], wrote: *wrote };
            }
        }
        entries.insert(object, Entry { uid, part });
    }

    /// A configuration object as a watch has just shown it.
    pub(crate) fn show_config(&self, object: ObjectRef, uid: Option<String>, status: Value) {
        let uid = uid.map(String::into_boxed_str);
        let mut entries = self.lock();
        match entries.get(&object) {
            Some(Entry { uid: there, part: Part::Config { ours: true, .. } }) if *there == uid => {}
            _ => {
                entries.insert(object, Entry { uid, part: Part::Config { status, ours: false } });
            }
        }
    }

    /// An object is gone.
    pub(crate) fn forget(&self, object: &ObjectRef) {
        self.lock().remove(object);
    }

    /// The uid of an object.
    pub(crate) fn uid(&self, object: &ObjectRef) -> Option<String> {
        self.lock().get(object)?.uid.as_deref().map(Into::into)
    }

    /// The status of a configuration object; `None` when there is no such object.
    pub(crate) fn config(&self, object: &ObjectRef) -> Option<Value> {
        match &self.lock().get(object)?.part {
            Part::Config { status, .. } => Some(status.clone()),
            Part::Service { .. } => None,
        }
    }

    /// We have written `status` to the object.
    pub(crate) fn wrote_config(&self, object: &ObjectRef, wanted: Value) {
        if let Some(Entry { part: Part::Config { status, ours }, .. }) = self.lock().get_mut(object) {
            (*status, *ours) = (wanted, true);
        }
    }

    /// Since when the conditions of a Service have their status.
    pub(crate) fn since(&self, object: &ObjectRef) -> Transitions {
        match self.lock().get(object).map(|entry| &entry.part) {
            Some(Part::Service { since, .. }) => *since,
            _ => Transitions::default(),
        }
    }

    /// The version that a write has to meet which was decided on `version`: that, or what our own writes have made of
    /// it since.
    pub(crate) fn expected(&self, object: &ObjectRef, version: Version) -> Version {
        match self.lock().get(object).map(|entry| &entry.part) {
            Some(Part::Service { own, .. }) if own.contains(&version) => {
                own.last().copied().unwrap_or(version)
            }
            _ => version,
        }
    }

    /// Whether our own writes have made `assignment` of `version` already: it was decided on again before
    /// that was seen, or after a decision between that was taken back on its way.
    pub(crate) fn has_written(&self, object: &ObjectRef, version: Version, assignment: &Assignment) -> bool {
        matches!(
            self.lock().get(object).map(|entry| &entry.part),
            Some(Part::Service { own, wrote: Some(wrote), .. })
                if own.contains(&version) && *wrote == digest(assignment)
        )
    }

    /// A write to a Service that met the version `met` has made it `made`, which says `wrote`, if that is
    /// certain.
    pub(crate) fn wrote_service(
        &self,
        object: &ObjectRef,
        met: Version,
        made: Version,
        transitions: Transitions,
        assignment: Option<&Assignment>,
    ) {
        if let Some(Entry { part: Part::Service { since, own, wrote }, .. }) = self.lock().get_mut(object) {
            *since = transitions;
            *wrote = assignment.map(digest);
            if own.last() != Some(&met) {
                *own = vec![met];
            }
            if made != met {
                own.push(made);
            }
            if own.len() > OWN_VERSIONS {
                own.remove(0);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells assignments apart without keeping them.
fn digest(assignment: &Assignment) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{assignment:?}").hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &'static str) -> ObjectRef {
        ObjectRef { kind, namespace: "a".into(), name: "b".into() }
    }

    #[test]
    fn what_we_wrote_outlasts_older_watch_events_but_not_a_new_object() {
        let seen = Seen::default();
        let object = object("IPAddressPool");
        let status = |text: &str| Value::from(text);
        seen.wrote_config(&object, status("never seen"));
        assert_eq!(seen.config(&object), None);
        seen.show_config(object.clone(), Some("1".into()), status("old"));
        assert_eq!(seen.config(&object), Some(status("old")));
        seen.wrote_config(&object, status("new"));
        seen.show_config(object.clone(), Some("1".into()), status("old"));
        assert_eq!(seen.config(&object), Some(status("new")));
        seen.show_config(object.clone(), Some("2".into()), status("other"));
        assert_eq!(seen.config(&object), Some(status("other")));
        assert_eq!(seen.uid(&object), Some("2".into()));
        seen.forget(&object);
        assert_eq!(seen.uid(&object), None);
    }

    #[test]
    fn a_write_meets_what_our_own_writes_have_made() {
        let seen = Seen::default();
        let object = object("Service");
        let at = |second| {
            let since = Since { status: true, time: Timestamp::from_second(second).unwrap() };
            Transitions { assigned: Some(since), announced: None }
        };
        let none = Transitions::default();
        let show = |version, since| seen.show_service(object.clone(), Some("1".into()), version, since);
        show(100, none);
        assert_eq!(seen.expected(&object, 100), 100);
        seen.wrote_service(&object, 100, 105, at(1), None);
        assert_eq!((seen.expected(&object, 100), seen.expected(&object, 105)), (105, 105));
        assert_eq!(seen.expected(&object, 103), 103, "somebody else's");
        seen.wrote_service(&object, 105, 110, at(2), None);
        assert_eq!((seen.expected(&object, 100), seen.expected(&object, 105)), (110, 110));
        // The watch lags behind.
        show(105, at(1));
        assert_eq!(seen.since(&object), at(2));
        assert_eq!(seen.expected(&object, 100), 110);
        // It has caught up.
        show(110, at(2));
        assert_eq!((seen.expected(&object, 100), seen.expected(&object, 110)), (100, 110));
        seen.wrote_service(&object, 110, 111, at(2), None);
        show(200, none);
        assert_eq!((seen.expected(&object, 110), seen.since(&object)), (110, none));
        for version in 200..220 {
            seen.wrote_service(&object, version, version + 1, none, None);
        }
        assert_eq!((seen.expected(&object, 219), seen.expected(&object, 200)), (220, 200));
        seen.show_service(object.clone(), Some("2".into()), 1, none);
        assert_eq!(seen.expected(&object, 219), 219, "another Service of the same name");
    }

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let condition = |status| Some(Condition { status, reason: "R".into(), message: "m".into() });
        let time = |second| Timestamp::from_second(second).unwrap();
        let show = |condition, announced| Assignment { condition, announced, ..Assignment::default() };
        let first = Transitions::default().with(&show(condition(true), condition(false)), time(1));
        assert_eq!(first.announced, Some(Since { status: false, time: time(1) }));
        let second = first.with(&show(condition(true), condition(true)), time(2));
        assert_eq!(second.assigned, first.assigned);
        assert_eq!(second.announced, Some(Since { status: true, time: time(2) }));
        assert_eq!(second.with(&show(condition(true), None), time(3)).announced, None);
    }

    #[test]
    fn what_is_decided_again_before_it_was_seen_has_been_written() {
        let seen = Seen::default();
        let object = object("Service");
        let none = Transitions::default();
        let show = |version| seen.show_service(object.clone(), Some("1".into()), version, none);
        let one = Assignment { addresses: vec!["192.0.2.1".parse().unwrap()], ..Assignment::default() };
        let two = Assignment::default();
        show(100);
        assert!(!seen.has_written(&object, 100, &one));
        seen.wrote_service(&object, 100, 105, none, Some(&two));
        seen.wrote_service(&object, 105, 110, none, Some(&one));
        show(105);
        assert!(seen.has_written(&object, 105, &one));
        assert!(!seen.has_written(&object, 105, &two), "it said something else before");
        assert!(!seen.has_written(&object, 99, &one), "somebody else has written since");
        show(110);
        assert!(seen.has_written(&object, 110, &one), "what was shown is what was written");
        show(120);
        assert!(!seen.has_written(&object, 120, &one));
        seen.wrote_service(&object, 120, 121, none, None);
        assert!(!seen.has_written(&object, 120, &one), "nobody knows");
    }
}
