//! What both sources tell: one stream of keyed upserts.

use std::{fmt, path::PathBuf, sync::Arc};

use metal_core::{
    config::{Object, ObjectRef, bgp::Secret},
    name::{NodeName, ObjectKey},
    selector::Labels,
    view::{EndpointSlice, Network, Node, Service},
};
use tokio::sync::mpsc;

/// The stream of changes. Dropping it ends the source.
pub type Changes = mpsc::Receiver<Change>;

/// How many changes may wait for the consumer before the source waits for it.
pub(crate) const BACKLOG: usize = 256;

/// Something is different from before. A value replaces the earlier one of the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A Service as it is now; `None` when it is gone.
    Service(ObjectKey, Option<Service>),
    /// An EndpointSlice (by its own key) as it is now; `None` when it is gone.
    Endpoints(ObjectKey, Option<EndpointSlice>),
    /// A Node as it is now; `None` when it is gone.
    Node(NodeName, Option<Node>),
    /// The labels of a Namespace as they are now; `None` when it is gone. For the controller.
    Namespace(Arc<str>, Option<Labels>),
    /// What a speaker says about the networks of its node (`ConfigurationState`); `None` when that is gone. For the
    /// controller.
    Network(ObjectRef, Option<Network>),
    /// A configuration object as it is now; `None` when it is gone.
    Config(ObjectRef, Option<Object>),
    /// The password in a Secret that is wanted ([`Sink::want_secrets`](crate::Sink::want_secrets)) as it is now;
    /// `None` when there is none: the Secret is gone, cannot be read or holds no password, which has been told.
    Secret(Arc<str>, Option<Secret>),
    /// Every kind has been listed completely once. Comes once.
    Synced,
    /// What [`Sink::assign`](crate::Sink::assign) was told with this number has been written, and nothing older
    /// will be.
    Written {
        /// The Service.
        service: ObjectKey,
        /// The number of the write.
        write: u64,
    },
    /// Something the user should repair; what was known before stays. For the log.
    Problem(Problem),
}

/// Something in a manifest that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file or directory.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: Option<u64>,
    /// What is wrong, and what follows from it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}
