//! A directory of manifests as a source: the same changes as from a cluster, without one.
//!
//! A file counts once it has been closed or renamed and then left alone for a moment. What cannot be read
//! changes nothing and is reported. What would be the status of a Service in a cluster is read from the state
//! directory, which the controller writes.

mod document;
mod manifest;
mod model;
pub(crate) mod offline;
mod outline;
mod tree;

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use metal_core::name::ObjectKey;
use tokio::{sync::mpsc, time::Instant};

use self::{
    model::Model,
    tree::{Notice, Tree},
};
use crate::{
    backend::{OpenError, Options, Role},
    change::{Change, Problem},
    parse::CONFIGURATION_STATE,
    sink::Wanted,
    state,
};

/// How long a manifest must have been left alone.
const QUIET: Duration = Duration::from_millis(100);
/// The pause between two attempts to find a directory that has vanished.
const LOST_PAUSE: Duration = Duration::from_millis(500);

/// Starts a thread that reads and watches both directories until the receiver of `changes` is dropped. It is a
/// thread of its own because files are read synchronously.
pub(crate) fn start(
    options: &Options,
    manifests: &Path,
    state: &Path,
    wanted: mpsc::UnboundedReceiver<Wanted>,
    changes: mpsc::Sender<Change>,
) -> Result<(), OpenError> {
    let services = state.join("services");
    let refuse = |path: &Path| {
        let path = path.to_path_buf();
        move |source: io::Error| OpenError::Directory { what: "cannot watch", path, source }
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refuse(manifests))?;
    let guard = runtime.enter();
    let nodes = state.join(state::NODES);
    let source = Source {
        networks: match options.role {
            Role::Controller => {
                fs::create_dir_all(&nodes).map_err(refuse(&nodes))?;
                Some(Tree::open(&nodes, is_network).map_err(refuse(&nodes))?)
            }
            Role::Speaker { .. } => None,
        },
        manifests: Tree::open(manifests, is_manifest).map_err(refuse(manifests))?,
        services: Tree::open(&services, is_json).map_err(refuse(&services))?,
        model: Model::new(options),
        forgets: (options.role == Role::Controller).then(|| state.to_path_buf()),
        due: HashMap::new(),
        wanted: Some(wanted),
        changes,
    };
    drop(guard);
    let thread = std::thread::Builder::new().name("manifests".into());
    thread.spawn(move || runtime.block_on(source.run())).map(drop).map_err(refuse(manifests))
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// What a speaker says about the networks of its node.
fn is_network(path: &Path) -> bool {
    is_json(path) && path.iter().any(|part| part == CONFIGURATION_STATE)
}

struct Source {
    manifests: Tree,
    services: Tree,
    /// What speakers write, for the controller.
    networks: Option<Tree>,
    model: Model,
    /// The state directory whose entries this daemon removes together with their objects.
    forgets: Option<PathBuf>,
    /// Manifests that have changed, and when they will have been quiet for long enough.
    due: HashMap<PathBuf, Instant>,
    /// Which Secrets somebody wants to know of, as long as that may change.
    wanted: Option<mpsc::UnboundedReceiver<Wanted>>,
    changes: mpsc::Sender<Change>,
}

impl Source {
    async fn run(mut self) {
        for path in self.manifests.files() {
            self.read_manifest(path);
        }
        for path in self.services.files() {
            self.read_service(&path);
        }
        self.read_networks();
        if self.tell().await.is_err() || self.changes.send(Change::Synced).await.is_err() {
            return;
        }
        self.forget_orphans();
        while self.turn().await.is_ok() {}
    }

    /// Waits for something to happen and deals with it. An error means that nobody listens any more.
    async fn turn(&mut self) -> Result<(), mpsc::error::SendError<Change>> {
        let due = self.due.values().min().copied();
        let quiet = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.changes.closed() => return Err(mpsc::error::SendError(Change::Synced)),
            notices = self.manifests.next() => return self.on_manifests(notices).await,
            notices = self.services.next() => self.on_services(notices).await,
            notices = next(&mut self.networks) => self.on_networks(notices).await,
            wanted = wants(&mut self.wanted) => self.model.want(wanted),
            () = quiet => {
                let now = Instant::now();
                let due: Vec<_> = self.due.extract_if(|_, due| *due <= now).map(|(path, _)| path).collect();
                due.into_iter().for_each(|path| self.read_manifest(path));
            }
        }
        self.tell().await
    }

    async fn on_manifests(&mut self, notices: Vec<Notice>) -> Result<(), mpsc::error::SendError<Change>> {
        let due = Instant::now() + QUIET;
        for notice in notices {
            match notice {
                Notice::Ready(path) => drop(self.due.insert(path, due)),
                // Only who closes a file says that it is complete; who goes on writing says that it is not.
                Notice::Growing(path) => drop(self.due.get_mut(&path).map(|old| *old = due)),
                Notice::Everything => {
                    let all = self.manifests.files().into_iter().chain(self.model.paths());
                    self.due.extend(all.map(|path| (path, due)));
                }
                Notice::Lost => {
                    let file = self.manifests.root().to_path_buf();
                    let message = "the directory is gone; what was read from it stays in force".into();
                    self.changes.send(Change::Problem(Problem { file, line: None, message })).await?;
                    reopen(&mut self.manifests).await;
                    let all = self.manifests.files().into_iter().chain(self.model.paths());
                    self.due.extend(all.map(|path| (path, due)));
                }
            }
        }
        Ok(())
    }

    async fn on_services(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            match notice {
                Notice::Ready(path) => self.read_service(&path),
                Notice::Growing(_) => {}
                Notice::Everything => self.read_services(),
                Notice::Lost => {
                    reopen(&mut self.services).await;
                    self.read_services();
                }
            }
        }
    }

    fn read_services(&mut self) {
        self.model.forget_states();
        self.services.files().iter().for_each(|path| self.read_service(path));
    }

    async fn on_networks(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            match notice {
                Notice::Ready(path) => self.read_network(&path),
                Notice::Growing(_) => {}
                Notice::Everything => self.read_networks(),
                Notice::Lost => {
                    if let Some(tree) = &mut self.networks {
                        reopen(tree).await;
                    }
                    self.read_networks();
                }
            }
        }
    }

    fn read_networks(&mut self) {
        self.model.forget_networks();
        let files = self.networks.as_mut().map(Tree::files).unwrap_or_default();
        files.iter().for_each(|path| self.read_network(path));
    }

    /// Written by rename, like the state of a Service.
    fn read_network(&mut self, path: &Path) {
        self.model.network(path, fs::read_to_string(path).ok().as_deref());
    }

    fn read_manifest(&mut self, path: PathBuf) {
        match fs::read_to_string(&path) {
            Ok(text) => self.model.manifest(path, Ok(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.model.removed(&path),
            Err(error) => self.model.manifest(path, Err(error.to_string())),
        }
    }

    /// A state file is written by rename, so it is complete whenever it is there.
    fn read_service(&mut self, path: &Path) {
        let Some(key) = service_key(self.services.root(), path) else { return };
        match fs::read_to_string(path) {
            Ok(text) => self.model.state(key, path, Some(&text)),
            Err(_) => self.model.state(key, path, None),
        }
    }

    async fn tell(&mut self) -> Result<(), mpsc::error::SendError<Change>> {
        for change in self.model.changes() {
            self.forget(&change);
            self.changes.send(change).await?;
        }
        Ok(())
    }

    /// The state of an object goes with the object.
    fn forget(&self, change: &Change) {
        let Some(directory) = &self.forgets else { return };
        let path = match change {
            Change::Service(key, None) => state::service_path(directory, key),
            Change::Config(object, None) => state::object_path(directory, object),
            _ => return,
        };
        if let Err((path, error)) = state::remove(path) {
            tracing::warn!("cannot remove the state of an object that is gone: {}: {error}", path.display());
        }
    }

    /// Removes the states of Services that have gone while no controller ran. Not while a manifest is
    /// unreadable: they may be in there.
    fn forget_orphans(&mut self) {
        if self.forgets.is_none() || self.model.has_unreadable() {
            return;
        }
        for key in self.model.orphans() {
            self.forget(&Change::Service(key, None));
        }
    }
}

/// What has happened in a tree, if there is one.
async fn next(tree: &mut Option<Tree>) -> Vec<Notice> {
    match tree {
        Some(tree) => tree.next().await,
        None => std::future::pending().await,
    }
}

/// The Secrets that are wanted from now on.
async fn wants(wanted: &mut Option<mpsc::UnboundedReceiver<Wanted>>) -> Wanted {
    if let Some(receiver) = wanted {
        if let Some(names) = receiver.recv().await {
            return names;
        }
        // The sink is gone: it stays as it is.
        *wanted = None;
    }
    std::future::pending().await
}

/// Waits until the directory is there again.
async fn reopen(tree: &mut Tree) {
    while let Err(error) = tree.reopen() {
        tracing::debug!("{}: {error}", tree.root().display());
        tokio::time::sleep(LOST_PAUSE).await;
    }
}

/// The Service whose state is in `path`, that is `ROOT/NAMESPACE/NAME.json`.
fn service_key(root: &Path, path: &Path) -> Option<ObjectKey> {
    let mut parts = path.strip_prefix(root).ok()?.iter();
    let (namespace, file) = (parts.next()?.to_str()?, parts.next()?.to_str()?);
    let name = file.strip_suffix(".json")?;
    parts.next().is_none().then(|| ObjectKey::new(namespace, name))
}

#[cfg(test)]
mod tests;
