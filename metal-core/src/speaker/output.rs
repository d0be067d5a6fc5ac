//! What the speaker wants done.

use alloc::{collections::BTreeSet, string::String, sync::Arc, vec::Vec};
use core::{net::IpAddr, time::Duration};

use crate::{
    config::{ObjectRef, ReceiveMode, Refusal},
    event::Event,
    finding::Finding,
    name::{ObjectKey, PeerName},
    speaker::bgp::Upsert,
    time::Instant,
    view::LinkIndex,
};

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
    /// Let such frames in on a link that takes part; `Auto` unless told.
    ReceiveMode {
        /// The link.
        link: LinkIndex,
        /// Which frames.
        mode: ReceiveMode,
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
        /// How to answer for it; `None` when it is not ours.
        duty: Option<Duty>,
    },
    /// Say against a stranger that an address is ours, unless that was said lately (RFC 5227 2.4 c).
    Defend {
        /// The link.
        link: LinkIndex,
        /// The address.
        address: IpAddr,
    },
    /// What this node does for a Service; `None` when it does nothing.
    Status {
        /// The Service.
        service: ObjectKey,
        /// What it does.
        status: Option<Status>,
    },
    /// A peer, or what is announced by BGP, is not as it was.
    Bgp(Upsert),
    /// All that is to be announced by BGP has been said once: comes once.
    BgpComplete,
    /// The Secrets that the passwords of peers are in, in place of those named before: [`super::Input::Password`] says
    /// what is in them.
    Secrets(BTreeSet<Arc<str>>),
    /// What this node announces for a Service by BGP; `None` when it is nothing.
    BgpStatus {
        /// The Service.
        service: ObjectKey,
        /// What it announces.
        status: Option<BgpStatus>,
    },
    /// All that is odd about addresses here, in place of what was said before. At most [`super::MAX_FINDINGS`],
    /// the worst first.
    Findings(Vec<Found>),
    /// Tell the user about a Service.
    Event {
        /// The Service.
        service: ObjectKey,
        /// What happened.
        event: Event,
    },
    /// Tell the user about this node.
    NodeEvent(Event),
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

/// How an address is to be answered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Ask first whether somebody has it: nobody of ours is known to have served it before. Without it the
    /// address is announced at once, even if it is being asked for.
    pub probe: bool,
    /// The time between two refreshes; `None` for none.
    pub refresh: Option<Duration>,
}

/// What this node announces for one Service (MetalLB's `ServiceL2Status`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The addresses this node answers for.
    pub addresses: Vec<IpAddr>,
    /// The interfaces it answers on.
    pub interfaces: Vec<String>,
}

/// What this node announces for one Service by BGP (MetalLB's `ServiceBGPStatus`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BgpStatus {
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// The peers that are told of one of them at least, as soon as there are sessions with them.
    pub peers: Vec<PeerName>,
}

/// Something that is odd about an address, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// When it was noticed.
    pub since: Instant,
    /// What it is.
    pub finding: Finding,
}
