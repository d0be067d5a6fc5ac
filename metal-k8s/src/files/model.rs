//! All manifests together, and the states beside them: which objects there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use metal_core::{
    config::ObjectRef,
    name::ObjectKey,
    view::{Network, Service},
};

use super::manifest::{self, Entry, Id, Value};
use crate::{
    backend::{Options, Role},
    change::{Change, Problem},
    parse::RESERVATION,
    raw,
    sink::Wanted,
    state, view,
};

/// What is told of a Secret without a password.
const NO_PASSWORD: Value = Value::Secret(Err(String::new()));

/// What the files say, and what has been told of it.
pub(super) struct Model {
    options: Options,
    files: BTreeMap<PathBuf, File>,
    /// What the controller has given to Services; the rest of these is empty.
    states: BTreeMap<ObjectKey, Service>,
    /// What speakers say about their nodes, by file.
    networks: BTreeMap<PathBuf, (ObjectRef, Network)>,
    state_problems: BTreeMap<ObjectKey, Problem>,
    /// The Secrets that somebody wants to know of.
    wanted: Wanted,
    told: BTreeMap<Id, Value>,
    reported: BTreeSet<Problem>,
}

#[derive(Default)]
struct File {
    entries: Vec<Entry>,
    problems: Vec<Problem>,
    unreadable: bool,
}

impl Model {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            options: options.clone(),
            files: BTreeMap::new(),
            states: BTreeMap::new(),
            networks: BTreeMap::new(),
            state_problems: BTreeMap::new(),
            wanted: Wanted::new(),
            told: BTreeMap::new(),
            reported: BTreeSet::new(),
        }
    }

    /// A manifest has this text now, or cannot be read for this reason. One that is unreadable in any way
    /// keeps the objects that it had.
    pub(super) fn manifest(&mut self, path: PathBuf, text: Result<&str, String>) {
        let read = match text {
            Ok(text) => manifest::read(&path, text, &self.options),
            Err(message) => Err(Problem { file: path.clone(), line: None, message }),
        };
        let file = self.files.entry(path).or_default();
        match read {
            Ok(read) => *file = File { entries: read.entries, problems: read.problems, unreadable: false },
            Err(mut problem) => {
                let then = if file.entries.is_empty() {
                    "; nothing in this file counts until it is repaired"
                } else {
                    "; what this file said before stays in force"
                };
                problem.message.push_str(then);
                file.problems = vec![problem];
                file.unreadable = true;
            }
        }
    }

    /// A manifest is gone.
    pub(super) fn removed(&mut self, path: &Path) {
        self.files.remove(path);
    }

    /// These Secrets are wanted, and no other.
    pub(super) fn want(&mut self, names: Wanted) {
        self.wanted = names;
    }

    /// All manifests that are known.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.files.keys().cloned().collect()
    }

    /// The state of a Service has this text now, or is gone.
    pub(super) fn state(&mut self, key: ObjectKey, path: &Path, text: Option<&str>) {
        self.state_problems.remove(&key);
        let Some(text) = text else {
            self.states.remove(&key);
            return;
        };
        match state::service_state(text) {
            Ok(raw) => {
                self.states.insert(key, view::service(raw, &self.options));
            }
            Err(reason) => {
                let message = format!("{reason}; ignored until it is written again");
                self.state_problems.insert(key, Problem { file: path.into(), line: None, message });
            }
        }
    }

    /// What a speaker says about its node has this text now, or is gone.
    pub(super) fn network(&mut self, path: &Path, text: Option<&str>) {
        let state = text.and_then(|text| serde_json::from_str::<raw::ConfigurationState>(text).ok());
        match state {
            Some(raw) => drop(self.networks.insert(path.into(), manifest::network(&raw))),
            None => drop(self.networks.remove(path)),
        }
    }

    /// What speakers say is read anew.
    pub(super) fn forget_networks(&mut self) {
        self.networks.clear();
    }

    /// All states are read anew.
    pub(super) fn forget_states(&mut self) {
        self.states.clear();
        self.state_problems.clear();
    }

    /// Whether any manifest is unreadable now.
    pub(super) fn has_unreadable(&self) -> bool {
        self.files.values().any(|file| file.unreadable)
    }

    /// Services with a state and without a manifest.
    pub(super) fn orphans(&self) -> Vec<ObjectKey> {
        let is_orphan = |key: &&ObjectKey| !self.told.contains_key(&Id::Service((*key).clone()));
        self.states.keys().filter(is_orphan).cloned().collect()
    }

    /// What is different from what was told before.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        let (now, problems) = self.now();
        let new: Vec<_> = problems.difference(&self.reported).cloned().map(Change::Problem).collect();
        let mut changes = new;
        for id in self.told.keys().filter(|id| !now.contains_key(id)) {
            changes.extend(id.clone().change(None));
        }
        for (id, value) in &now {
            if self.told.get(id) != Some(value) {
                changes.extend(id.clone().change(Some(value.clone())));
            }
        }
        self.told = now;
        self.reported = problems;
        changes
    }

    fn now(&self) -> (BTreeMap<Id, Value>, BTreeSet<Problem>) {
        let mut problems: BTreeSet<_> = self.state_problems.values().cloned().collect();
        let mut objects: BTreeMap<&Id, (&Path, &Entry)> = BTreeMap::new();
        for (path, file) in &self.files {
            problems.extend(file.problems.iter().cloned());
            for entry in &file.entries {
                if let Some((first, other)) = objects.get(&entry.id) {
                    let message = format!(
                        "{} is already in {}:{}; this one is ignored",
                        entry.id,
                        first.display(),
                        other.line
                    );
                    problems.insert(Problem { file: path.clone(), line: Some(entry.line), message });
                } else {
                    objects.insert(&entry.id, (path, entry));
                }
            }
        }
        let missing = self.wanted.iter().map(|name| Id::Secret(name.clone()));
        let missing: Vec<_> = missing.filter(|id| !objects.contains_key(id)).collect();
        problems.extend(missing.iter().map(no_secret));
        let missing = missing.into_iter().map(|id| (id, NO_PASSWORD));
        let objects: Vec<_> = objects.into_values().filter(|(_, entry)| self.wants(&entry.id)).collect();
        problems.extend(objects.iter().filter_map(|(path, entry)| no_password(path, entry)));
        let objects = objects.into_iter().map(|(_, entry)| entry);
        let said = self.networks.values().cloned();
        let said = said.map(|(object, network)| (Id::Network(object), Value::Network(network)));
        let objects = objects.map(|entry| (entry.id.clone(), self.with_state(entry)));
        let all: BTreeMap<_, _> = said.chain(objects).chain(missing).collect();
        (all, problems)
    }

    fn wants(&self, id: &Id) -> bool {
        let is_controller = self.options.role == Role::Controller;
        match id {
            Id::Config(object) => is_controller || object.kind != RESERVATION,
            Id::Secret(name) => self.wanted.contains(name),
            Id::Service(_) | Id::Node(_) => true,
            Id::Namespace(_) | Id::Network(_) => is_controller,
            Id::Endpoints(_) => !is_controller,
        }
    }

    /// The manifest's own status counts only where there is no state.
    fn with_state(&self, entry: &Entry) -> Value {
        match (&entry.id, &entry.value) {
            (Id::Service(key), Value::Service(service)) if let Some(state) = self.states.get(key) => {
                Value::Service(Service {
                    assigned: state.assigned.clone(),
                    assigned_from: state.assigned_from.clone(),
                    pool_labels: state.pool_labels.clone(),
                    condition: state.condition.clone(),
                    announced: state.announced.clone(),
                    ..service.clone()
                })
            }
            // The reason is told as a problem.
            (_, Value::Secret(Err(_))) => NO_PASSWORD,
            (_, value) => value.clone(),
        }
    }
}

/// A Secret that is wanted and in no manifest.
fn no_secret(id: &Id) -> Problem {
    let message = "in no manifest; BGP sessions that need its password wait".into();
    Problem { file: id.to_string().into(), line: None, message }
}

/// A Secret that is wanted and holds no password.
fn no_password(path: &Path, entry: &Entry) -> Option<Problem> {
    let Value::Secret(Err(reason)) = &entry.value else { return None };
    let message = format!("{}: {reason}; BGP sessions that need it wait", entry.id);
    Some(Problem { file: path.into(), line: Some(entry.line), message })
}
