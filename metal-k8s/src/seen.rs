//! What the watches have shown of the objects that a sink writes to.
//!
//! The sink needs their uids for events, and must not write what is there already: a restart that changes
//! nothing writes nothing.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use metal_core::{config::ObjectRef, name::PoolName};
use serde_json::Value;

/// Shared by the watches, which fill it, and the sink.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<HashMap<ObjectRef, Entry>>>);

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    uid: Option<String>,
    status: Status,
    /// The status is what we wrote ourselves; what a watch shows may be older.
    ours: bool,
}

/// The part of an object that we write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Status {
    /// Of a Service.
    Service {
        /// The IP entries of its ingress list.
        addresses: Vec<IpAddr>,
        /// The annotation with the pool.
        pool: Option<PoolName>,
    },
    /// Of a configuration object.
    Config(Value),
}

impl Seen {
    /// An object as a watch has just shown it.
    pub(crate) fn show(&self, object: ObjectRef, uid: Option<String>, status: Status) {
        let mut entries = self.lock();
        match entries.get_mut(&object) {
            Some(entry) if entry.uid == uid && entry.ours => {}
            _ => {
                entries.insert(object, Entry { uid, status, ours: false });
            }
        }
    }

    /// An object is gone.
    pub(crate) fn forget(&self, object: &ObjectRef) {
        self.lock().remove(object);
    }

    /// We have written `status` to the object.
    pub(crate) fn wrote(&self, object: &ObjectRef, status: Status) {
        if let Some(entry) = self.lock().get_mut(object) {
            entry.status = status;
            entry.ours = true;
        }
    }

    /// The uid of an object.
    pub(crate) fn uid(&self, object: &ObjectRef) -> Option<String> {
        self.lock().get(object)?.uid.clone()
    }

    /// The status of an object, and whether it is from us.
    pub(crate) fn status(&self, object: &ObjectRef) -> Option<(Status, bool)> {
        self.lock().get(object).map(|entry| (entry.status.clone(), entry.ours))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_wrote_outlasts_older_watch_events_but_not_a_new_object() {
        let seen = Seen::default();
        let object = ObjectRef { kind: "IPAddressPool", namespace: "a".into(), name: "b".into() };
        let status = |text: &str| Status::Config(text.into());
        seen.wrote(&object, status("never seen"));
        assert_eq!(seen.status(&object), None);
        seen.show(object.clone(), Some("1".into()), status("old"));
        assert_eq!(seen.status(&object), Some((status("old"), false)));
        seen.wrote(&object, status("new"));
        seen.show(object.clone(), Some("1".into()), status("old"));
        assert_eq!(seen.status(&object), Some((status("new"), true)));
        seen.show(object.clone(), Some("2".into()), status("other"));
        assert_eq!(seen.status(&object), Some((status("other"), false)));
        assert_eq!(seen.uid(&object), Some("2".into()));
        seen.forget(&object);
        assert_eq!(seen.uid(&object), None);
    }
}
