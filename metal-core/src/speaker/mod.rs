//! The speaker: what this node announces.
//!
//! [`Speaker`] puts the parts together: [`membership`] says who is alive on each link,
//! [`l2`] who is in line for an address there, [`ownership`](crate::ownership) who of those answers. What is announced
//! by BGP is decided by [`bgp`]. Inputs
//! only mark what has to be decided again; polling decides one thing at a time and emits the difference.

pub mod bgp;
mod conflict;
mod decide;
mod endpoints;
mod findings;
mod input;
pub mod l2;
mod link;
pub mod manner;
mod output;
mod reason;
mod report;
mod routing;
#[cfg(test)]
mod tests;
mod traps;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    vec::Vec,
};
use core::{fmt, net::IpAddr, time::Duration};

use self::{
    conflict::Stranger, endpoints::Endpoints, findings::Findings, input::Nic, manner::Merged,
    routing::Routing, traps::Traps,
};
pub use self::{
    endpoints::Serving,
    findings::MAX_FINDINGS,
    link::takes_part,
    output::{BgpStatus, Duty, Found, Output, Status},
    reason::Reason,
};
use crate::{
    config::{Configuration, Object, ObjectRef, ReceiveMode, bgp::Secret},
    machine::Machine,
    membership::{self, Counters, Identity, Membership},
    name::{NodeName, ObjectKey, PoolName},
    ownership::{Ownership, Pace, Place},
    time::Instant,
    timer::Timers,
    view::{EndpointSlice, Gateway, Link, LinkIndex, Mac, Node, Service},
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
    /// What the sysctl `arp_ignore` is on a link: the larger one of the link's own and `all`.
    ArpIgnore(LinkIndex, u8),
    /// The secret that seals beacons. Nothing is claimed before.
    Key([u8; 32]),
    /// The gateways of this host's default routes, in place of those before.
    Gateways(Vec<Gateway>),
    /// The password in one of the Secrets that [`Output::Secrets`] has named; `None` when there is none.
    Password(Arc<str>, Option<Secret>),
    /// A whole Ethernet frame from the beacon socket of a link.
    Frame {
        /// Where it came in.
        link: LinkIndex,
        /// The frame, Ethernet header included.
        frame: &'a [u8],
    },
    /// A foreign MAC has an address that is ours on a link, so the announcer says.
    Conflict {
        /// The link.
        link: LinkIndex,
        /// The address.
        address: IpAddr,
        /// Who has it.
        mac: Mac,
        /// It is announced. Otherwise it was only asked for, and stays silent while somebody has it.
        announced: bool,
    },
    /// Nobody objects any more, so the announcer says.
    ConflictOver {
        /// The link.
        link: LinkIndex,
        /// The address.
        address: IpAddr,
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
            Self::ArpIgnore(link, value) => write!(f, "ArpIgnore({link}, {value})"),
            Self::Key(_) => f.write_str("Key(..)"),
            Self::Gateways(gateways) => f.debug_tuple("Gateways").field(gateways).finish(),
            Self::Password(name, value) => f.debug_tuple("Password").field(name).field(value).finish(),
            Self::Frame { link, frame } => write!(f, "Frame({link}, {} bytes)", frame.len()),
            Self::Conflict { link, address, mac, announced } => {
                write!(f, "Conflict({link}, {address}, {mac:02x?}, announced: {announced})")
            }
            Self::ConflictOver { link, address } => write!(f, "ConflictOver({link}, {address})"),
            Self::Stop => f.write_str("Stop"),
        }
    }
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
    /// How often neighbours are reminded of what is ours, as it was told.
    refreshes: BTreeMap<Place, Option<Duration>>,
    /// Which frames the links let in, as it was told.
    receive_modes: BTreeMap<LinkIndex, ReceiveMode>,
    statuses: BTreeMap<ObjectKey, Status>,
    routing: Routing,
    /// Who has addresses of ours.
    strangers: BTreeMap<Place, Stranger>,
    /// How often strangers were met, by link.
    conflicts: BTreeMap<LinkIndex, u64>,
    /// When to look whether a member that has an address of ours has claimed it, and whether it is announced.
    members_seen: Timers<(Place, bool)>,
    traps: Traps,
    findings: Findings,
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
    /// It came after everything had been listed: it is new to the cluster, not only to us.
    is_new: bool,
    /// When we claimed it first, on whatever link.
    claimed: Option<Instant>,
}

/// Where we stand for an address on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    /// Our place in line.
    place: Option<usize>,
    /// The first other one in line that could serve now.
    heir: Option<u32>,
    /// How often neighbours are reminded of it.
    refresh: Merged<Option<Duration>>,
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
    /// What is found out about an address.
    findings: BTreeSet<IpAddr>,
    /// Which frames the links have to let in.
    receive: bool,
    /// What is said by BGP.
    routing: routing::Dirty,
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
            refreshes: BTreeMap::new(),
            receive_modes: BTreeMap::new(),
            statuses: BTreeMap::new(),
            routing: Routing::default(),
            strangers: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            members_seen: Timers::new(),
            traps: Traps::default(),
            findings: Findings::default(),
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

    /// How often a stranger had an address of ours, by link; at most once a second for each address.
    pub fn conflicts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.conflicts.iter().map(|(link, count)| (self.link_name(*link), *count))
    }

    /// How many findings there are, by reason; those that are beyond [`MAX_FINDINGS`] included.
    #[must_use]
    pub fn findings(&self) -> BTreeMap<Reason, usize> {
        self.findings.count()
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
        } else if core::mem::take(&mut self.dirty.receive) {
            self.decide_receive();
        } else if let Some(address) = self.dirty.lines.pop_first() {
            self.decide_line(address);
        } else if let Some(place) = self.dirty.owners.pop_first() {
            self.decide_owner(now, place);
        } else if let Some(output) = self.membership.poll_output(now) {
            self.on_member(output);
        } else if self.route() {
            // One piece at a time: an owner may have to be decided meanwhile.
        } else if let Some(service) = self.dirty.services.pop_first() {
            self.report_service(&service);
        } else if let Some((place, announced)) = self.members_seen.take_due(now) {
            self.insist(now, place, announced);
        } else if let Some(address) = self.dirty.findings.pop_first() {
            self.review(now, address);
        } else if self.findings.is_due(now) {
            self.tell_findings(now);
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
                self.end_findings();
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
        let deadlines = [
            self.membership.poll_timeout(),
            self.ownership.poll_timeout(),
            self.flaps.next(),
            self.members_seen.next(),
            self.findings.due(),
        ];
        deadlines.into_iter().flatten().min()
    }
}

/// How long each place in line waits when an owner is gone.
const STEP: Duration = Duration::from_millis(20);

/// How long a leaving owner waits for its successor.
const PATIENCE: Duration = Duration::from_millis(500);
