//! What the LAN thread tells the rest of the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use metal_arp::announcer::Announcer;
use metal_core::{
    config::{ObjectRef, Refusal},
    event::Event,
    membership::beacon::Kind,
    name::{ObjectKey, PeerName},
    speaker::{BgpStatus, Found, Speaker, Status},
};
use metal_k8s::{SessionState, crd::NodeNetwork};

/// One report, in the order in which things happened.
pub(crate) enum Report {
    /// What the node does for a Service.
    Status { service: ObjectKey, status: Option<Status> },
    /// Tell the user about a Service.
    Event { service: ObjectKey, event: Event },
    /// Whether a configuration object is in force.
    Verdict { object: ObjectRef, refusals: Vec<Refusal> },
    /// What is odd about addresses here, in place of what was said before.
    Findings(Vec<Found>),
    /// Tell the user about this node.
    NodeEvent(Event),
    /// The networks that the node is in.
    Networks(Vec<NodeNetwork>),
    /// What is announced for a Service by BGP.
    BgpStatus { service: ObjectKey, status: Option<BgpStatus> },
    /// The Secrets that passwords of peers are in, in place of those named before.
    Secrets(BTreeSet<Arc<str>>),
    /// How the session with a peer stands; `None` when it is no peer of this node any more.
    Session { peer: PeerName, state: Option<PeerState> },
    /// A change of state, for the log.
    Note(String),
}

/// How the session with a peer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerState {
    /// Where the router is, as it is configured.
    pub(crate) router: String,
    /// Its port.
    pub(crate) port: u16,
    /// The VRF that it is in.
    pub(crate) vrf: Option<String>,
    /// The state by its name in RFC 4271.
    pub(crate) phase: &'static str,
    /// What happened last, in words.
    pub(crate) message: String,
}

impl PeerState {
    /// As it is shown in the cluster.
    pub(crate) fn into_status(self) -> SessionState {
        let Self { router, vrf, phase, message, .. } = self;
        SessionState { vrf, phase, bfd: None, message, router }
    }

    pub(crate) fn is_established(&self) -> bool {
        self.phase == "Established"
    }
}

/// The counters of the LAN thread and the packet thread, as a scrape sees them.
#[derive(Default)]
pub(crate) struct Counters {
    /// ARP and Neighbour Discovery frames by address: requests received, responses and gratuitous frames sent.
    pub(crate) arp: BTreeMap<IpAddr, [u64; 3]>,
    /// Members alive, by interface.
    pub(crate) members: BTreeMap<String, usize>,
    /// Frames between speakers, by what became of them.
    pub(crate) beacons: Vec<(&'static str, u64)>,
    /// How often strangers had addresses of ours, by interface.
    pub(crate) conflicts: BTreeMap<String, u64>,
    /// What is odd about addresses, by reason.
    pub(crate) findings: Vec<(&'static str, usize)>,
    /// ARP and Neighbour Discovery frames that were not answered, by reason.
    pub(crate) ignored: Vec<(&'static str, u64)>,
}

impl Counters {
    /// Reads the speaker machine.
    pub(crate) fn read(speaker: &Speaker) -> Self {
        let counters = speaker.counters();
        let by_kind = [
            ("received", counters.received(Kind::Beacon)),
            ("sent", counters.sent(Kind::Beacon)),
            ("suspected", counters.suspected),
            ("cleared", counters.cleared),
            ("starved", counters.starved),
        ];
        Self {
            arp: BTreeMap::new(),
            members: speaker.links().map(|(_, name, members)| (name.to_owned(), members)).collect(),
            beacons: by_kind
                .into_iter()
                .chain(counters.refused().map(|(reason, count)| (reason.name(), count)))
                .collect(),
            conflicts: speaker.conflicts().map(|(name, count)| (name.to_owned(), count)).collect(),
            findings: speaker.findings().into_iter().map(|(reason, count)| (reason.code(), count)).collect(),
            ignored: Vec::new(),
        }
    }

    /// Adds those of the announcer machine.
    pub(crate) fn add_announcer(&mut self, announcer: &Announcer) {
        for (address, counters) in announcer.counters() {
            let counted = [counters.requests, counters.responses, counters.gratuitous];
            self.arp.insert(address, counted);
        }
        self.ignored = announcer.drops().iter().map(|(reason, count)| (reason.as_str(), count)).collect();
    }

    /// Adds what the kernel has answered for addresses that are ours.
    pub(crate) fn add_kernel(&mut self, answers: Vec<(Ipv4Addr, u64)>) {
        for (address, count) in answers {
            if let Some([requests, responses, _]) = self.arp.get_mut(&address.into()) {
                *requests += count;
                *responses += count;
            }
        }
    }
}
