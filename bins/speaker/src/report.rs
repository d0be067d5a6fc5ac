//! What the LAN thread tells the rest of the process.

use std::{collections::BTreeMap, net::IpAddr};

use metal_arp::announcer::Announcer;
use metal_core::{
    config::{ObjectRef, Refusal},
    event::Event,
    membership::beacon::Kind,
    name::ObjectKey,
    speaker::{Speaker, Status},
    view::Mac,
};
use metal_k8s::crd::NodeNetwork;

/// One report, in the order in which things happened.
pub(crate) enum Report {
    /// What the node does for a Service.
    Status { service: ObjectKey, status: Option<Status> },
    /// Tell the user about a Service.
    Event { service: ObjectKey, event: Event },
    /// Whether a configuration object is in force.
    Verdict { object: ObjectRef, refusals: Vec<Refusal> },
    /// A stranger answers for an address of ours.
    Conflict { link: String, address: IpAddr, mac: Mac },
    /// The networks that the node is in.
    Networks(Vec<NodeNetwork>),
    /// A change of state, for the log.
    Note(String),
}

/// The counters of the LAN thread, as a scrape sees them.
#[derive(Default)]
pub(crate) struct Counters {
    /// ARP and Neighbour Discovery frames by address: requests received, responses and gratuitous frames sent.
    pub(crate) arp: BTreeMap<IpAddr, [u64; 3]>,
    /// Members alive, by interface.
    pub(crate) members: BTreeMap<String, usize>,
    /// Frames between speakers, by what became of them.
    pub(crate) beacons: Vec<(&'static str, u64)>,
}

impl Counters {
    /// Reads both machines.
    pub(crate) fn read(speaker: &Speaker, announcer: &Announcer) -> Self {
        let counters = speaker.counters();
        let by_kind = [
            ("received", counters.received(Kind::Beacon)),
            ("sent", counters.sent(Kind::Beacon)),
            ("suspected", counters.suspected),
            ("cleared", counters.cleared),
            ("starved", counters.starved),
        ];
        Self {
            arp: announcer
                .counters()
                .into_iter()
                .map(|(address, counters)| {
                    (address, [counters.requests, counters.responses, counters.gratuitous])
                })
                .collect(),
            members: speaker.links().map(|(_, name, members)| (name.to_owned(), members)).collect(),
            beacons: by_kind
                .into_iter()
                .chain(counters.refused().map(|(reason, count)| (reason.name(), count)))
                .collect(),
        }
    }
}
