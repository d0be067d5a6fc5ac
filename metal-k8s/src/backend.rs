//! Where a daemon gets its inputs from and writes its outputs to.

use std::{
    io,
    path::{Path, PathBuf},
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use metal_core::name::NodeName;
use tokio::sync::mpsc;

use crate::{
    apply::ClusterWriter,
    change::{BACKLOG, Changes},
    fence::Fence,
    files,
    lease::LeaseClient,
    secret,
    seen::Seen,
    sink::{Sink, Writer},
    state::{self, StateWriter},
    watch,
};

/// The field manager of what the controller writes.
pub(crate) const CONTROLLER: &str = "metal-controller";

/// What a daemon is, which says what it watches and what it may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Watches Services and configuration, writes Services and the statuses of configuration objects.
    Controller,
    /// Watches EndpointSlices and Nodes as well, writes its own `ServiceL2Status` objects.
    Speaker {
        /// The node it runs on.
        node: NodeName,
        /// The Pod it runs in, if known: the owner of the objects it writes.
        pod: Option<Pod>,
    },
}

/// A Pod, as owner of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl Role {
    /// The field manager of everything it writes.
    pub(crate) const fn field_manager(&self) -> &'static str {
        match self {
            Self::Controller => CONTROLLER,
            Self::Speaker { .. } => "metal-speaker",
        }
    }

    /// The component that its events come from; these names are what existing tools look for.
    pub(crate) const fn component(&self) -> &'static str {
        match self {
            Self::Controller => "metallb-controller",
            Self::Speaker { .. } => "metallb-speaker",
        }
    }
}

/// What is the same for both backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What the daemon is.
    pub role: Role,
    /// The only namespace whose configuration objects count, and where own objects are written.
    pub namespace: String,
    /// The `spec.loadBalancerClass` that is ours; `None` means Services without a class.
    pub class: Option<String>,
}

impl Options {
    /// Namespace `metallb-system` and no load balancer class.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self { role, namespace: "metallb-system".into(), class: None }
    }
}

/// A source of inputs together with the place where outputs go.
#[derive(Clone)]
pub struct Backend {
    options: Options,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Cluster(Client),
    Directory {
        manifests: PathBuf,
        /// What the controller writes and speakers read.
        state: PathBuf,
        /// What this daemon alone writes.
        own: PathBuf,
    },
}

/// Why a backend cannot be used at all. Nothing runs then.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No API server is configured.
    #[error(
        "no Kubernetes API server: {0}; run in a cluster, give --kubeconfig, or use --manifests and --state"
    )]
    NoCluster(String),
    /// The kubeconfig is not usable.
    #[error("kubeconfig {path}: {reason}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A directory is not usable.
    #[error("{what} {path}: {source}")]
    Directory {
        /// Which one it is and what was tried.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Backend {
    /// Prepares a connection to the API server of `kubeconfig`, else of `$KUBECONFIG` or `~/.kube/config`,
    /// else of the cluster that this process runs in. The server need not answer yet.
    ///
    /// # Errors
    /// When no server is configured or the configuration cannot be read.
    pub async fn cluster(options: Options, kubeconfig: Option<&Path>) -> Result<Self, OpenError> {
        let mut config = match kubeconfig {
            Some(path) => {
                let refuse = |error: &dyn std::error::Error| OpenError::Kubeconfig {
                    path: path.into(),
                    reason: error.to_string(),
                };
                let file = Kubeconfig::read_from(path).map_err(|error| refuse(&error))?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                    .await
                    .map_err(|error| refuse(&error))?
            }
            None => Config::infer().await.map_err(|error| OpenError::NoCluster(error.to_string()))?,
        };
        // Longer than a watch lasts (290 s): it only ends a request that a vanished server never answers.
        config.read_timeout = Some(std::time::Duration::from_secs(310));
        config.reset_reader_on_write = true;
        // The watches and the sink try again by themselves, and say so.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|error| OpenError::NoCluster(error.to_string()))?;
        Ok(Self { options, place: Place::Cluster(client) })
    }

    /// Uses the manifests below `manifests`, and `state` for what would be statuses in a cluster. A speaker
    /// keeps its own state in `node_state`, by default `STATE/nodes/NAME`.
    ///
    /// # Errors
    /// When `manifests` is not a readable directory, or `state` cannot be made.
    pub fn directory(
        options: Options,
        manifests: &Path,
        state: &Path,
        node_state: Option<&Path>,
    ) -> Result<Self, OpenError> {
        std::fs::read_dir(manifests).map_err(|source| OpenError::Directory {
            what: "cannot read the manifests in",
            path: manifests.into(),
            source,
        })?;
        let own = match &options.role {
            Role::Controller => state.to_path_buf(),
            Role::Speaker { node, .. } => {
                node_state.map_or_else(|| state.join(state::NODES).join(node.as_str()), Path::to_path_buf)
            }
        };
        for path in [state.join("services"), own.clone()] {
            std::fs::create_dir_all(&path).map_err(|source| OpenError::Directory {
                what: "cannot make the state directory",
                path,
                source,
            })?;
        }
        let (manifests, state) = (manifests.into(), state.into());
        Ok(Self { options, place: Place::Directory { manifests, state, own } })
    }

    /// Starts to watch and to write, on the current tokio runtime. The source ends when the changes are
    /// dropped, the writer when all clones of the sink are. Each call starts anew, with complete lists.
    ///
    /// In a cluster nothing is written that the fence does not let through, and no write takes longer than a second
    /// then.
    ///
    /// # Errors
    /// When a directory cannot be watched.
    pub fn start(&self, fence: Option<&Fence>) -> Result<(Changes, Sink), OpenError> {
        let (sender, changes) = mpsc::channel(BACKLOG);
        let options = &self.options;
        let written = sender.downgrade();
        let (wanting, wanted) = mpsc::unbounded_channel();
        let writer = match &self.place {
            Place::Cluster(client) => {
                let seen = Seen::default();
                watch::start(client, options, &seen, &sender);
                watch::secrets::start(client, options, wanted, &sender);
                let (client, options) = (client.clone(), options.clone());
                Writer::Cluster(Box::new(ClusterWriter::new(client, options, seen, fence.cloned())))
            }
            Place::Directory { manifests, state, own } => {
                files::start(options, manifests, state, wanted, sender)?;
                Writer::Directory(StateWriter::new(state, own, options.clone()))
            }
        };
        let sink = Sink::start(writer, written, wanting);
        Ok((changes, sink))
    }

    /// The Lease that replicas of the controller elect their leader by. A directory has none: it belongs to one
    /// controller.
    #[must_use]
    pub fn lease(&self) -> Option<LeaseClient> {
        match &self.place {
            Place::Cluster(client) => Some(LeaseClient::new(client.clone(), &self.options.namespace)),
            Place::Directory { .. } => None,
        }
    }

    /// The secret that seals the beacons between speakers. The controller makes it where there is none yet; a
    /// speaker waits for it and logs what it waits for.
    pub async fn beacon_key(&self) -> [u8; 32] {
        match &self.place {
            Place::Cluster(client) => secret::from_cluster(client, &self.options).await,
            Place::Directory { state, .. } => secret::from_directory(state, &self.options.role).await,
        }
    }
}
