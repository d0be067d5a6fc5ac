//! Where outputs go: to the API server, or to the state directory.
//!
//! A machine never waits for a write. Each call replaces what was queued for the same object, and a task
//! performs the rest: in order per object, several objects at a time, with back-off after errors.

mod queue;
mod run;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;
use metal_core::{
    config::{Held, ObjectRef, Refusal},
    controller::{Assignment, Usage},
    event::{Event, Severity},
    finding::Finding,
    name::{NodeName, ObjectKey, PeerName},
    speaker::Status,
    view::Version,
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use self::queue::{Class, Queue, Schedule};
use crate::{
    apply::ClusterWriter,
    change::Change,
    crd::NodeNetwork,
    parse::CONFIG_MAP,
    state::StateWriter,
    status::{self, Own, SessionState},
};

/// Writes under way at one time: more only queue in the API server.
const IN_FLIGHT: usize = 8;
/// The pause between two writes of the status of one object: what counts addresses changes with each of them.
const STATUS_PAUSE: Duration = Duration::from_secs(1);

/// The same for what a speaker says of its node, on which the controller acts, and of its announcements and sessions.
const NODE_PAUSE: Duration = Duration::from_millis(500);

/// Takes what the machines decide. Cheap to clone; no call waits or fails.
#[derive(Clone)]
pub struct Sink(Arc<Handle>);

/// Ends the writer when the last clone of the sink is gone.
struct Handle(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    wake: Notify,
    idle: Notify,
    /// Tells the source which Secrets are wanted.
    wanted: mpsc::UnboundedSender<Wanted>,
}

/// The names of the Secrets that are wanted.
pub(crate) type Wanted = BTreeSet<Arc<str>>;

#[derive(Default)]
struct State {
    queue: Queue<Key, Job>,
    configs: BTreeMap<ObjectRef, ConfigStatus>,
    node: NodeState,
    errors: u64,
    closed: bool,
    ended: bool,
}

/// What writes for one object are ordered by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Sweep,
    Service(ObjectKey),
    Config(ObjectRef),
    L2(ObjectKey),
    Bgp(ObjectKey),
    Session(PeerName),
    SecretsInUse,
    Node,
    /// Of events with the same reason about the same object only the last one that waits is worth writing.
    Event(ObjectRef, &'static str),
}

impl Schedule for Key {
    fn class(&self) -> Class {
        match self {
            Self::Sweep | Self::Service(_) | Self::L2(_) | Self::SecretsInUse => Class::Urgent,
            Self::Config(_) | Self::Node | Self::Bgp(_) | Self::Session(_) => Class::Status,
            Self::Event(..) => Class::Later,
        }
    }

    fn pause(&self) -> Duration {
        match self {
            Self::Config(_) => STATUS_PAUSE,
            Self::Node | Self::Bgp(_) | Self::Session(_) => NODE_PAUSE,
            Self::Sweep | Self::Service(_) | Self::L2(_) | Self::SecretsInUse | Self::Event(..) => {
                Duration::ZERO
            }
        }
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Job {
    /// Remove what an earlier incarnation left.
    Sweep,
    /// What a Service shows.
    Assign { service: ObjectKey, write: u64, version: Version, assignment: Assignment },
    /// The status of a configuration object; `None` when there is nothing to say of it any more.
    Config { object: ObjectRef, status: Option<ConfigStatus> },
    /// What this node says in an object of its own.
    Own(Own),
    /// The Secrets that speakers may read.
    SecretsInUse(BTreeSet<Arc<str>>),
    /// How this node stands.
    Node(NodeState),
    /// An event.
    Event { about: ObjectRef, event: Event, at: Timestamp },
}

/// All that is known about a configuration object: both halves are written together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ConfigStatus {
    /// What is refused; `None` before the first verdict.
    pub(crate) refusals: Option<Vec<Refusal>>,
    /// How full the pool is.
    pub(crate) count: Count,
    /// The addresses of the pool that are kept for their former owners.
    pub(crate) held: Vec<Held>,
}

/// How a node stands: all of it is written together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NodeState {
    /// The networks that it is in; `None` before they are known.
    pub(crate) networks: Option<Vec<NodeNetwork>>,
    /// What is odd about addresses there, and since when.
    pub(crate) findings: Vec<(Timestamp, Finding)>,
}

/// How full a pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Count {
    /// Not counted yet.
    #[default]
    Unknown,
    /// The object gives no pool.
    NoPool,
    /// The counters of the pool.
    Pool(Usage),
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// What was to be written is there.
    Written,
    /// It was there already.
    Unchanged,
    /// The object is gone.
    Gone,
    /// The object has changed since the write was decided on: whoever decided it decides again.
    Stale,
}

/// Why a write failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// For the log.
    pub(crate) reason: String,
    /// Whether the same write may work later.
    pub(crate) retry: bool,
}

/// What performs the jobs.
pub(crate) enum Writer {
    /// An API server.
    Cluster(Box<ClusterWriter>),
    /// A state directory.
    Directory(StateWriter),
}

impl Writer {
    async fn write(&self, job: &Job) -> Result<Done, Failure> {
        match self {
            Self::Cluster(writer) => writer.write(job).await,
            Self::Directory(writer) => {
                let (writer, job) = (writer.clone(), job.clone());
                // Files are synced, which may take long on a busy disk.
                let written = tokio::task::spawn_blocking(move || writer.write(&job)).await;
                written.unwrap_or_else(|error| Err(Failure { reason: error.to_string(), retry: false }))
            }
        }
    }

    /// Files are written one after the other: there is nothing to gain, and events keep their order.
    const fn in_flight(&self) -> usize {
        match self {
            Self::Cluster(_) => IN_FLIGHT,
            Self::Directory(_) => 1,
        }
    }

    fn sweeps(&self) -> bool {
        match self {
            Self::Cluster(writer) => writer.sweeps(),
            Self::Directory(writer) => writer.sweeps(),
        }
    }
}

impl Sink {
    /// Starts the task that writes, on the current runtime.
    pub(crate) fn start(
        writer: Writer,
        changes: mpsc::WeakSender<Change>,
        wanted: mpsc::UnboundedSender<Wanted>,
    ) -> Self {
        let (state, wake, idle) = (Mutex::default(), Notify::new(), Notify::new());
        let shared = Arc::new(Shared { state, wake, idle, wanted });
        if writer.sweeps() {
            shared.lock().queue.push(Key::Sweep, Job::Sweep, Instant::now());
        }
        let (written, reports) = mpsc::unbounded_channel();
        tokio::spawn(forward(reports, changes));
        tokio::spawn(run::run(shared.clone(), writer, written));
        Self(Arc::new(Handle(shared)))
    }

    /// Writes what a Service shows into its status and its annotations; no addresses clear them. The write is based on
    /// this version of the Service, 0 for any; one that meets another version, unless we made that ourselves, is
    /// dropped. [`Change::Written`] tells when the write of this number is there.
    pub fn assign(&self, service: ObjectKey, write: u64, version: Version, assignment: Assignment) {
        self.push(Key::Service(service.clone()), Job::Assign { service, write, version, assignment });
    }

    /// Tells the user about a Service.
    pub fn event(&self, service: ObjectKey, event: Event) {
        let about = ObjectRef { kind: "Service", namespace: service.namespace, name: service.name };
        self.event_about(about, event);
    }

    /// Writes whether a configuration object is in force: all of it when `refusals` is empty. It becomes the
    /// condition `Accepted` of a custom resource, and an event about a ConfigMap, which has no status.
    pub fn verdict(&self, object: ObjectRef, refusals: Vec<Refusal>) {
        let mut state = self.0.0.lock();
        let status = state.configs.entry(object.clone()).or_default();
        if object.kind == CONFIG_MAP {
            let before = status.refusals.replace(refusals.clone());
            drop(state);
            if let Some(event) = verdict_event(before.as_deref(), &refusals) {
                self.event_about(object, event);
            }
            return;
        }
        status.refusals = Some(refusals);
        state.push_config(object);
        drop(state);
        self.0.0.wake.notify_one();
    }

    /// Writes the counters of the pool that `object` defines, and which of its addresses are held; `None` when there
    /// is no such pool any more.
    pub fn usage(&self, object: ObjectRef, usage: Option<Usage>, held: Vec<Held>) {
        if object.kind == CONFIG_MAP {
            return; // It has no status to write them to.
        }
        let mut state = self.0.0.lock();
        let status = state.configs.entry(object.clone()).or_default();
        (status.count, status.held) = (usage.map_or(Count::NoPool, Count::Pool), held);
        state.push_config(object);
        drop(state);
        self.0.0.wake.notify_one();
    }

    /// Writes what this node announces for a Service; `None` when it announces nothing.
    pub fn l2_status(&self, service: ObjectKey, status: Option<Status>) {
        self.push(Key::L2(service.clone()), Job::Own(Own::L2 { service, status }));
    }

    /// Writes to which peers this node announces a Service, whether or not their sessions stand; `None` when it
    /// announces nothing.
    pub fn bgp_status(&self, service: ObjectKey, peers: Option<Vec<PeerName>>) {
        let peers = peers.filter(|peers| !peers.is_empty());
        self.push(Key::Bgp(service.clone()), Job::Own(Own::Bgp { service, peers }));
    }

    /// Writes how the session with a peer stands; `None` when this node is to have none.
    pub fn session_state(&self, peer: PeerName, state: Option<SessionState>) {
        self.push(Key::Session(peer.clone()), Job::Own(Own::Session { peer, state }));
    }

    /// Says which Secrets of this daemon's namespace are to be watched from now on, in place of what was said before.
    /// Each that is new is answered with one [`Change::Secret`], then there is one for each change of its password.
    pub fn want_secrets(&self, names: BTreeSet<Arc<str>>) {
        // A source that has ended has nothing to tell.
        let _ = self.0.0.wanted.send(names);
    }

    /// Lets speakers read exactly these Secrets.
    pub fn secrets_in_use(&self, names: BTreeSet<Arc<str>>) {
        self.push(Key::SecretsInUse, Job::SecretsInUse(names));
    }

    /// Writes which networks this node is in, in place of what was said before.
    pub fn networks(&self, networks: Vec<NodeNetwork>) {
        self.set_node(|node| node.networks = Some(networks));
    }

    /// Writes what is odd about addresses on this node, in place of what was said before, and since when: in seconds
    /// since 1970.
    pub fn findings(&self, findings: Vec<(i64, Finding)>) {
        let time = |seconds| Timestamp::from_second(seconds).unwrap_or_default();
        let findings = findings.into_iter().map(|(since, finding)| (time(since), finding));
        self.set_node(|node| node.findings = findings.collect());
    }

    /// Tells the user about a node.
    pub fn node_event(&self, node: &NodeName, event: Event) {
        self.event_about(status::node_ref(node), event);
    }

    /// How many writes have failed so far, repeated ones included.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.0.0.lock().errors
    }

    /// Waits until all is written, at most `within`. True when nothing is left.
    pub async fn flush(&self, within: Duration) -> bool {
        let shared = &self.0.0;
        let idle = async {
            loop {
                let mut notified = std::pin::pin!(shared.idle.notified());
                notified.as_mut().enable();
                if shared.lock().queue.is_empty() {
                    return;
                }
                notified.await;
            }
        };
        tokio::time::timeout(within, idle).await.is_ok()
    }

    /// Writes what is left, as far as it can be written `within` this time, and begins nothing after that. True when
    /// nothing is under way any more: nobody need fear a late write of ours.
    pub async fn end(self, within: Duration) -> bool {
        self.flush(within).await;
        let shared = &self.0.0;
        shared.lock().closed = true;
        shared.wake.notify_one();
        let ended = async {
            loop {
                let mut notified = std::pin::pin!(shared.idle.notified());
                notified.as_mut().enable();
                if shared.lock().ended {
                    return;
                }
                notified.await;
            }
        };
        tokio::time::timeout(within, ended).await.is_ok()
    }

    fn set_node(&self, change: impl FnOnce(&mut NodeState)) {
        let mut state = self.0.0.lock();
        change(&mut state.node);
        let job = Job::Node(state.node.clone());
        state.queue.push(Key::Node, job, Instant::now());
        drop(state);
        self.0.0.wake.notify_one();
    }

    fn event_about(&self, about: ObjectRef, event: Event) {
        let key = Key::Event(about.clone(), event.reason);
        self.push(key, Job::Event { about, event, at: Timestamp::now() });
    }

    fn push(&self, key: Key, job: Job) {
        self.0.0.lock().queue.push(key, job, Instant::now());
        self.0.0.wake.notify_one();
    }
}

/// Hands reports on without keeping the stream of changes open, or a write waiting for its consumer.
async fn forward(mut reports: mpsc::UnboundedReceiver<Change>, changes: mpsc::WeakSender<Change>) {
    while let Some(report) = reports.recv().await {
        let Some(changes) = changes.upgrade() else { return };
        if changes.send(report).await.is_err() {
            return;
        }
    }
}

/// The event about a ConfigMap whose verdict changes; being in order from the start needs none.
fn verdict_event(before: Option<&[Refusal]>, refusals: &[Refusal]) -> Option<Event> {
    if before.unwrap_or_default() == refusals {
        return None;
    }
    Some(if refusals.is_empty() {
        let message = "all of it is in force again".to_string();
        Event { severity: Severity::Normal, reason: "ConfigAccepted", message }
    } else {
        Event { severity: Severity::Warning, reason: "ConfigRefused", message: refusal_text(refusals) }
    })
}

/// Refusals as one sentence for a condition or an event.
pub(crate) fn refusal_text(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl State {
    fn push_config(&mut self, object: ObjectRef) {
        let Some(status) = self.configs.get(&object) else { return };
        // Not refused and yet no pool: the object is gone.
        let gone = object.kind == crate::parse::POOL
            && status.count == Count::NoPool
            && status.refusals.as_ref().is_none_or(Vec::is_empty);
        let status = (!gone).then(|| status.clone());
        if gone {
            self.configs.remove(&object);
        }
        self.queue.push(Key::Config(object.clone()), Job::Config { object, status }, Instant::now());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.wake.notify_one();
    }
}

impl std::fmt::Display for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sweep => f.write_str("the removal of earlier statuses of this node"),
            Self::Assign { service, .. } => write!(f, "the addresses of Service {service}"),
            Self::Config { object, .. } => write!(f, "the status of {object}"),
            Self::Node(_) => f.write_str("the ConfigurationState of this node"),
            Self::Own(own) => own.fmt(f),
            Self::SecretsInUse(_) => f.write_str("which Secrets the speakers may read"),
            Self::Event { about, event, .. } => write!(f, "the event {} about {about}", event.reason),
        }
    }
}

#[cfg(test)]
mod tests;
