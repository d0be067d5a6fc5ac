//! The speaker: what this node announces.
//!
//! [`Speaker`] puts the parts together: [`membership`] says who is alive on each link,
//! [`l2`] who is in line for an address there, [`ownership`](crate::ownership) who of those answers. Inputs
//! only mark what has to be decided again; polling decides one thing at a time and emits the difference.

mod decide;
mod endpoints;
mod input;
pub mod l2;
mod link;
pub mod manner;
mod reason;
mod report;
#[cfg(test)]
mod tests;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    string::String,
    vec::Vec,
};
use core::{fmt, net::IpAddr, time::Duration};

use self::{endpoints::Endpoints, input::Nic};
pub use self::{endpoints::Serving, link::takes_part, reason::Reason};
use crate::{
    config::{Configuration, Object, ObjectRef, Refusal},
    event::Event,
    machine::Machine,
    membership::{self, Counters, Identity, Membership},
    name::{NodeName, ObjectKey, PoolName},
    ownership::{Ownership, Pace, Place},
    time::Instant,
    timer::Timers,
    view::{EndpointSlice, Link, LinkIndex, Node, Service},
};

/// How a speaker is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The node it runs on.
    pub node: NodeName,
    /// Random bytes that no other process ever uses: they tell this incarnation from the one before.
    pub incarnation: [u8; 16],
    /// For jitter.
    pub seed: u64,
    /// Milliseconds between two beacons.
    pub interval_ms: u16,
    /// How many intervals without a beacon mean that a member is gone.
    pub multiplier: u8,
}

/// What the speaker is told.
pub enum Input<'a> {
    /// A Service as it is now; `None` when it is gone.
    Service(ObjectKey, Option<Service>),
    /// An EndpointSlice (by its own key) as it is now; `None` when it is gone.
    Endpoints(ObjectKey, Option<EndpointSlice>),
    /// A Node as it is now; `None` when it is gone.
    Node(NodeName, Option<Node>),
    /// A configuration object as it is now; `None` when it is gone.
    Config(ObjectRef, Option<Object>),
    /// Every kind has been listed completely once. Nothing is claimed before.
    Synced,
    /// A network interface as it is now; `None` when it is gone.
    Link(LinkIndex, Option<Link>),
    /// The secret that seals beacons. Nothing is claimed before.
    Key([u8; 32]),
    /// A whole Ethernet frame from the beacon socket of a link.
    Frame {
        /// Where it came in.
        link: LinkIndex,
        /// The frame, Ethernet header included.
        frame: &'a [u8],
    },
    /// End cleanly: hand over, say farewell, then [`Output::Stopped`].
    Stop,
}

impl fmt::Debug for Input<'_> {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(key, value) => f.debug_tuple("Service").field(key).field(value).finish(),
            Self::Endpoints(key, value) => f.debug_tuple("Endpoints").field(key).field(value).finish(),
            Self::Node(name, value) => f.debug_tuple("Node").field(name).field(value).finish(),
            Self::Config(object, value) => f.debug_tuple("Config").field(object).field(value).finish(),
            Self::Synced => f.write_str("Synced"),
            Self::Link(index, value) => f.debug_tuple("Link").field(index).field(value).finish(),
            Self::Key(_) => f.write_str("Key(..)"),
            Self::Frame { link, frame } => write!(f, "Frame({link}, {} bytes)", frame.len()),
            Self::Stop => f.write_str("Stop"),
        }
    }
}

/// What the speaker wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open (true) or close (false) the sockets of a link: it takes part, or no longer does.
    Listen {
        /// The link.
        link: LinkIndex,
        /// Whether it takes part.
        active: bool,
    },
    /// Send a whole Ethernet frame on the beacon socket of a link.
    Send {
        /// The link.
        link: LinkIndex,
        /// The frame, Ethernet header included.
        frame: Vec<u8>,
    },
    /// Answer for an address on a link, or fall silent. Being told to answer again means that somebody else
    /// answered meanwhile: announce it again.
    Own {
        /// The link.
        link: LinkIndex,
        /// The address.
        address: IpAddr,
        /// Whether it is ours now.
        owned: bool,
    },
    /// What this node does for a Service; `None` when it does nothing.
    Status {
        /// The Service.
        service: ObjectKey,
        /// What it does.
        status: Option<Status>,
    },
    /// Tell the user about a Service.
    Event {
        /// The Service.
        service: ObjectKey,
        /// What happened.
        event: Event,
    },
    /// A configuration object that is not wholly in force, for the log; empty when it is again.
    Verdict {
        /// The object.
        object: ObjectRef,
        /// What is refused, and why.
        refusals: Vec<Refusal>,
    },
    /// A change of state with its reason, for the log.
    Note(String),
    /// All is handed over: the process may end.
    Stopped,
}

/// What this node announces for one Service (MetalLB's `ServiceL2Status`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The addresses this node answers for.
    pub addresses: Vec<IpAddr>,
    /// The interfaces it answers on.
    pub interfaces: Vec<String>,
}

/// The speaker machine.
#[derive(Debug)]
pub struct Speaker {
    setup: Setup,
    phase: Phase,
    synced: bool,
    membership: Membership,
    ownership: Ownership,
    config: Configuration,
    /// Objects whose last verdict had refusals.
    refused: BTreeSet<ObjectRef>,
    services: BTreeMap<ObjectKey, Service>,
    endpoints: Endpoints,
    nodes: BTreeMap<NodeName, Node>,
    nics: BTreeMap<LinkIndex, Nic>,
    /// Links that were lost so lately that nobody can have noticed.
    flaps: Timers<LinkIndex>,
    addresses: BTreeMap<IpAddr, Carried>,
    standings: BTreeMap<Place, Standing>,
    statuses: BTreeMap<ObjectKey, Status>,
    /// What kept this node from serving when it was last reported.
    obstacle: Option<Reason>,
    dirty: Dirty,
    /// What the network waits for.
    outputs: VecDeque<Output>,
    /// What only people wait for.
    reports: VecDeque<Output>,
}

/// An address that Services have.
#[derive(Debug, Default)]
struct Carried {
    services: BTreeSet<ObjectKey>,
    /// The pool it was found in when last decided.
    pool: Option<PoolName>,
    /// Why nobody on our links is in line.
    reason: Option<Reason>,
}

/// Where we stand for an address on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    /// Our place in line.
    place: Option<usize>,
    /// The first other one in line that could serve now.
    heir: Option<u32>,
}

/// What has to be decided again.
#[derive(Debug, Default)]
struct Dirty {
    /// Who is in line.
    lines: BTreeSet<IpAddr>,
    /// Who answers.
    owners: BTreeSet<Place>,
    /// What is told about a Service.
    services: BTreeSet<ObjectKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Handing over.
    Stopping,
    /// Farewell has been said.
    Ended,
    Stopped,
}

impl Speaker {
    /// A speaker that has not been told anything yet.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let membership = Membership::new(Identity {
            node: setup.node.clone(),
            salt: setup.incarnation,
            seed: setup.seed,
            interval_ms: setup.interval_ms,
            multiplier: setup.multiplier,
        });
        let pace = Pace { step: STEP, fresh_step: membership.interval().max(STEP), patience: PATIENCE };
        Self {
            setup,
            phase: Phase::Running,
            synced: false,
            membership,
            ownership: Ownership::new(pace),
            config: Configuration::new(),
            refused: BTreeSet::new(),
            services: BTreeMap::new(),
            endpoints: Endpoints::default(),
            nodes: BTreeMap::new(),
            nics: BTreeMap::new(),
            flaps: Timers::new(),
            addresses: BTreeMap::new(),
            standings: BTreeMap::new(),
            statuses: BTreeMap::new(),
            obstacle: None,
            dirty: Dirty::default(),
            outputs: VecDeque::new(),
            reports: VecDeque::new(),
        }
    }

    /// What keeps this node from serving anything, for a readiness probe.
    #[must_use]
    pub fn not_ready(&self) -> Option<Reason> {
        let linked = self.nics.values().any(|nic| nic.active);
        [
            (!self.synced, Reason::NotSynced),
            (!linked, Reason::NoLink),
            (!self.membership.has_key(), Reason::NoBeaconKey),
        ]
        .into_iter()
        .find_map(|(missing, reason)| missing.then_some(reason))
    }

    /// The links that take part, by name, and how many members are alive on each.
    pub fn links(&self) -> impl Iterator<Item = (LinkIndex, &str, usize)> {
        let active = self.nics.iter().filter(|(_, nic)| nic.active);
        active.map(|(index, nic)| (*index, nic.link.name.as_str(), self.membership.peers(*index).count()))
    }

    /// The nodes of the members that are alive on a link.
    pub fn members(&self, link: LinkIndex) -> impl Iterator<Item = &NodeName> {
        self.membership.peers(link).map(|(_, peer)| &peer.node)
    }

    /// The addresses that this node answers for, and where.
    pub fn owned(&self) -> impl Iterator<Item = (LinkIndex, IpAddr)> {
        self.ownership.owned()
    }

    /// The addresses that nobody on this node's links can answer for, and why. For
    /// [`Reason::AllNodesExcluded`] somebody does all the same.
    pub fn reasons(&self) -> impl Iterator<Item = (IpAddr, Reason)> {
        self.addresses.iter().filter_map(|(address, carried)| Some((*address, carried.reason?)))
    }

    /// Beacons that came in, went out, and were refused.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        self.membership.counters()
    }

    /// Does one piece of pending work; false when there is none at `now`.
    fn work(&mut self, now: Instant) -> bool {
        if let Some(link) = self.flaps.take_due(now) {
            self.deactivate(now, link, Reason::LinkNoCarrier);
        } else if let Some(place) = self.ownership.take_due(now) {
            self.dirty.owners.insert(place);
        } else if let Some(address) = self.dirty.lines.pop_first() {
            self.decide_line(address);
        } else if let Some(place) = self.dirty.owners.pop_first() {
            self.decide_owner(now, place);
        } else if let Some(output) = self.membership.poll_output(now) {
            self.on_member(output);
        } else if let Some(service) = self.dirty.services.pop_first() {
            self.report_service(&service);
        } else {
            return self.step_down(now);
        }
        true
    }

    /// Ends when told to and nothing is left to hand over.
    fn step_down(&mut self, now: Instant) -> bool {
        match self.phase {
            Phase::Stopping if self.ownership.owned().next().is_none() => {
                self.membership.handle_input(now, membership::Input::Farewell);
                self.phase = Phase::Ended;
                true
            }
            Phase::Ended => {
                self.phase = Phase::Stopped;
                self.reports.push_back(Output::Stopped);
                true
            }
            Phase::Running | Phase::Stopping | Phase::Stopped => false,
        }
    }
}

impl Machine for Speaker {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        if matches!(self.phase, Phase::Running | Phase::Stopping) {
            self.take(now, input);
        }
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let worked = self.phase != Phase::Stopped && self.work(now);
            if !worked {
                return self.reports.pop_front();
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Stopped {
            return None;
        }
        let deadlines = [self.membership.poll_timeout(), self.ownership.poll_timeout(), self.flaps.next()];
        deadlines.into_iter().flatten().min()
    }
}

/// How long each place in line waits when an owner is gone.
const STEP: Duration = Duration::from_millis(20);

/// How long a leaving owner waits for its successor.
const PATIENCE: Duration = Duration::from_millis(500);
