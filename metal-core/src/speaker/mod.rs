//! The speaker: what this node announces.

use alloc::{string::String, vec::Vec};
use core::net::IpAddr;

use crate::{
    config::{Object, ObjectRef, Refusal},
    event::Event,
    machine::Machine,
    name::{NodeName, ObjectKey},
    time::Instant,
    view::{EndpointSlice, Link, LinkIndex, Node, Service},
};

/// How a speaker is set up.
#[derive(Clone)]
pub struct Setup {
    /// The node it runs on.
    pub node: NodeName,
    /// Random bytes that no other process ever uses: they tell this incarnation from the one before.
    pub incarnation: [u8; 16],
    /// For jitter.
    pub seed: u64,
    /// Kind of milliseconds between two beacons, and how many may be missed.
    pub interval_ms: u16,
    /// How many intervals without a beacon mean that a member is gone.
    pub multiplier: u8,
}

/// What the speaker is told.
#[derive(Debug)]
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
    /// Answer for an address on a link, or fall silent.
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
pub struct Speaker {}

impl Speaker {
    /// A speaker that has not been told anything yet.
    #[must_use]
    pub fn new(_setup: Setup) -> Self {
        Self {}
    }
}

impl Machine for Speaker {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn handle_input(&mut self, _now: Instant, _input: Input<'_>) {}

    fn poll_output(&mut self, _now: Instant) -> Option<Output> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
