//! The state directory: what would be statuses in a cluster.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use k8s_openapi::{api::core::v1 as core, jiff::Timestamp};
use metal_core::{config::ObjectRef, name::ObjectKey};
use serde_json::{Value, json};

use crate::{
    backend::{Options, Role},
    parse::CONFIGURATION_STATE,
    raw,
    seen::Transitions,
    sink::{Done, Failure, Job},
    status::{self, Author, OwnKind, SpeakerState},
};

/// How many events `events.jsonl` keeps.
const KEPT_EVENTS: usize = 1_000;

/// The part of a state directory where the speakers' own directories are.
pub(crate) const NODES: &str = "nodes";

/// Where the state of a Service is.
pub(crate) fn service_path(state: &Path, service: &ObjectKey) -> PathBuf {
    state.join("services").join(&*service.namespace).join(format!("{}.json", service.name))
}

/// Where the status of a configuration object is.
pub(crate) fn object_path(state: &Path, object: &ObjectRef) -> PathBuf {
    state.join("objects").join(object.kind).join(&*object.namespace).join(format!("{}.json", object.name))
}

/// What the controller keeps of a Service.
pub(crate) fn service_state(text: &str) -> Result<raw::Service, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Writes into a state directory.
#[derive(Clone)]
pub(crate) struct StateWriter(Arc<Inner>);

struct Inner {
    state: PathBuf,
    own: PathBuf,
    options: Options,
}

impl StateWriter {
    /// `state` is where Services and configuration objects are; `own` is where the rest of this daemon is.
    pub(crate) fn new(state: &Path, own: &Path, options: Options) -> Self {
        Self(Arc::new(Inner { state: state.into(), own: own.into(), options }))
    }

    /// Whether an earlier incarnation may have left something to remove.
    pub(crate) fn sweeps(&self) -> bool {
        matches!(self.0.options.role, Role::Speaker { .. })
    }

    /// Performs `job`. What is there already is not written again.
    pub(crate) fn write(&self, job: &Job) -> Result<Done, Failure> {
        self.try_write(job)
            .map(|()| Done::Written)
            .map_err(|(path, error)| Failure { reason: format!("{}: {error}", path.display()), retry: true })
    }

    fn try_write(&self, job: &Job) -> Result<(), (PathBuf, io::Error)> {
        let Inner { state, own, options } = &*self.0;
        match job {
            Job::Sweep => OwnKind::ALL.into_iter().try_for_each(|kind| {
                let path = own.join("objects").join(kind.name());
                match fs::remove_dir_all(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err((path, error)),
                    _ => Ok(()),
                }
            }),
            Job::Assign { service, assignment, .. } => {
                let path = service_path(state, service);
                let there = fs::read_to_string(&path).ok().and_then(|text| service_state(&text).ok());
                let since = there.map(|there| Transitions::of(&there.status)).unwrap_or_default();
                let since = since.with(assignment, Timestamp::now());
                put(path, &status::service(service, assignment, since, true))
            }
            Job::Config { object, status: wanted } => {
                let path = object_path(state, object);
                let Some(wanted) = wanted else { return remove(path) };
                let there = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
                let there = there.unwrap_or_default()["status"].take();
                let status = status::config_status(object, wanted, &there, Timestamp::now());
                let metadata = json!({"namespace": &*object.namespace, "name": &*object.name});
                let api_version = "metallb.io/v1beta1";
                put(
                    path,
                    &json!({"apiVersion": api_version, "kind": object.kind, "metadata": metadata, "status": status}),
                )
            }
            Job::Own(said) => {
                let Role::Speaker { node, .. } = &options.role else { return Ok(()) };
                let author = Author { node, namespace: &options.namespace, pod: None };
                let (namespace, name) = (options.namespace.as_str().into(), said.name(node).into());
                let path = object_path(own, &ObjectRef { kind: said.kind().name(), namespace, name });
                let Some((mut main, mut status)) = said.manifests(author) else { return remove(path) };
                main["status"] = status["status"].take();
                put(path, &main)
            }
            // Whoever may read the manifests may read what they say.
            Job::SecretsInUse(_) => Ok(()),
            Job::Node(node_state) => {
                let Role::Speaker { node, .. } = &options.role else { return Ok(()) };
                let object = SpeakerState { node, namespace: &options.namespace, pod: None };
                let (namespace, name) = (options.namespace.as_str().into(), object.name().as_str().into());
                let path = object_path(own, &ObjectRef { kind: CONFIGURATION_STATE, namespace, name });
                let (mut main, mut with_status) = object.manifests(node_state);
                main["status"] = with_status["status"].take();
                put(path, &main)
            }
            Job::Event { about, event: what, at } => {
                let host = match &options.role {
                    Role::Controller => None,
                    Role::Speaker { node, .. } => Some(node.as_str()),
                };
                let event = status::event(about, what, *at, options.role.component(), host);
                append_event(own.join("events.jsonl"), &event)
            }
        }
    }
}

fn append_event(path: PathBuf, event: &core::Event) -> Result<(), (PathBuf, io::Error)> {
    let written = (|| {
        let there = match fs::read_to_string(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            there => there.unwrap_or_default(),
        };
        let mut lines: Vec<&str> = there.lines().collect();
        let line = serde_json::to_string(event)?;
        lines.push(&line);
        let first = lines.len().saturating_sub(KEPT_EVENTS);
        write_file(&path, (lines[first..].join("\n") + "\n").as_bytes(), Durable::No)
    })();
    written.map_err(|error| (path, error))
}

fn put(path: PathBuf, value: &Value) -> Result<(), (PathBuf, io::Error)> {
    let text = format!("{value:#}\n");
    if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    write_file(&path, text.as_bytes(), Durable::Yes).map_err(|error| (path, error))
}

/// Removes a file that need not be there.
pub(crate) fn remove(path: PathBuf) -> Result<(), (PathBuf, io::Error)> {
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err((path, error)),
        _ => Ok(()),
    }
}

/// Whether a file must outlive a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    /// It is synced before and after the rename.
    Yes,
    /// It is not worth waiting for the disk.
    No,
}

/// Replaces a file in one step: nobody ever reads half of it. Only the owner may read it.
pub(crate) fn write_file(path: &Path, bytes: &[u8], durable: Durable) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;

    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Hidden, so that whoever watches the directory takes no notice.
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    let mode = if name == crate::secret::FILE { 0o600 } else { 0o644 };
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| match durable {
        Durable::Yes => file.sync_data(),
        Durable::No => Ok(()),
    });
    let replaced = written.and_then(|()| fs::rename(&temporary, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    replaced?;
    match durable {
        Durable::Yes => File::open(directory)?.sync_all(),
        Durable::No => Ok(()),
    }
}
