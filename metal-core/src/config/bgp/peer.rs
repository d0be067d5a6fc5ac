//! Peers, valid by construction.

mod judge;
mod source;

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

pub(super) use judge::judge;
pub use source::{AsnSource, NodeKey, RouterSource};

use super::{BfdProfile, Secret, Source, source::Path};
use crate::{
    config::{
        Refusal,
        check::{self, refusal},
    },
    name::PeerName,
    selector::{Labels, Selector, any_or_empty},
    view::{Created, Family},
};

/// A router to speak BGP with (`BGPPeer`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer<R = Router, A = PeerAsn> {
    /// Its name, by which advertisements mean it. One of a ConfigMap is called after its address.
    pub name: PeerName,
    /// Where it was written.
    pub source: Source,
    /// When it was created: of two for the same router the older one counts.
    pub created: Created,
    /// Our AS number.
    pub my_asn: u32,
    /// Our AS number towards this peer, instead of `my_asn`.
    pub local_asn: Option<u32>,
    /// The AS number of the peer.
    pub peer_asn: A,
    /// Where the router is.
    pub router: R,
    /// The address to speak from.
    pub source_address: Option<IpAddr>,
    /// The TCP port of the router.
    pub port: u16,
    /// The hold time to offer, in seconds: 0 for none, else at least 3.
    pub hold_time: u16,
    /// The time between two KEEPALIVE messages; `None` for a third of the hold time.
    pub keepalive_time: Option<Duration>,
    /// The time between two attempts to connect.
    pub connect_time: Option<Duration>,
    /// The BGP identifier to use.
    pub router_id: Option<Ipv4Addr>,
    /// Only on these nodes; empty means all.
    pub node_selectors: Vec<Selector>,
    /// How segments are signed (TCP MD5).
    pub password: Option<Password>,
    /// How the router is watched by BFD.
    pub bfd: Option<Arc<BfdProfile>>,
    /// The router keeps the routes while the speaker restarts.
    pub graceful_restart: bool,
    /// The router of another AS may be several hops away.
    pub ebgp_multi_hop: bool,
    /// The VRF, by the name of its device.
    pub vrf: Option<String>,
    /// Routes of both families are announced, whatever the family of the address.
    pub dual_stack: bool,
    /// Who opens the connection.
    pub mode: ConnectionMode,
    /// Only packets that no router has forwarded are taken (RFC 5082).
    pub ttl_security: bool,
}

/// A peer as it is written: which router that is, and of which AS, may be for each node to say.
pub type PeerTemplate = Peer<RouterSource, AsnSource>;

/// The AS number of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAsn {
    /// This one.
    Is(u32),
    /// Whatever it says, as long as it is ours.
    Internal,
    /// Whatever it says, as long as it is not ours.
    External,
}

/// Where a router is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Router {
    /// At this address.
    Address(IpAddr),
    /// At this link-local address on this interface.
    LinkLocal(Ipv6Addr, String),
    /// Somewhere on this interface (unnumbered).
    Interface(String),
}

/// Who opens the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionMode {
    /// We do.
    #[default]
    Dial,
    /// The router does.
    Listen,
    /// Whoever is first.
    Both,
}

/// A password, or where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// The password itself. It is never printed.
    Plain(Secret),
    /// In the Secret of this name, of type `kubernetes.io/basic-auth`, under `password`.
    FromSecret(String),
}

impl<R, A> Peer<R, A> {
    /// Whether nodes with these labels speak with it.
    #[must_use]
    pub fn admits_node(&self, labels: &Labels) -> bool {
        any_or_empty(&self.node_selectors, labels)
    }

    /// What of a session there can be only one of on a node.
    #[must_use]
    pub fn identity(&self) -> (&R, u16, Option<&str>) {
        (&self.router, self.port, self.vrf.as_deref())
    }

    /// The same peer with this router, which is of this AS.
    #[must_use]
    pub fn with<S, B>(&self, router: S, peer_asn: B) -> Peer<S, B> {
        Peer {
            name: self.name.clone(),
            source: self.source.clone(),
            created: self.created,
            my_asn: self.my_asn,
            local_asn: self.local_asn,
            peer_asn,
            router,
            source_address: self.source_address,
            port: self.port,
            hold_time: self.hold_time,
            keepalive_time: self.keepalive_time,
            connect_time: self.connect_time,
            router_id: self.router_id,
            node_selectors: self.node_selectors.clone(),
            password: self.password.clone(),
            bfd: self.bfd.clone(),
            graceful_restart: self.graceful_restart,
            ebgp_multi_hop: self.ebgp_multi_hop,
            vrf: self.vrf.clone(),
            dual_stack: self.dual_stack,
            mode: self.mode,
            ttl_security: self.ttl_security,
        }
    }
}

impl Peer {
    /// Whether routes of `family` are announced to it: that of its address, both when it has none or asks for both.
    #[must_use]
    pub fn takes(&self, family: Family) -> bool {
        self.dual_stack
            || match &self.router {
                Router::Address(address) => Family::of(*address) == family,
                Router::LinkLocal(..) => family == Family::V6,
                Router::Interface(_) => true,
            }
    }
}

impl PeerTemplate {
    /// Whether another one, which is in force, is for the same router on nodes of this one. Selectors that differ may
    /// or may not select the same nodes: that shows on each node.
    pub(super) fn clash(&self, source: &Source, other: &Self) -> Option<Refusal> {
        let same_nodes = self.node_selectors.is_empty()
            || other.node_selectors.is_empty()
            || check::same_selectors(&self.node_selectors, &other.node_selectors);
        (same_nodes && self.identity() == other.identity()).then(|| {
            let message = format!(
                "{source} is for the same router, port and VRF on the same nodes, and is in force: remove one of them, \
                 or give them nodeSelectors that exclude each other"
            );
            let path = if self.source.is_part() { Path::legacy("peers") } else { Path::spec() };
            refusal(path.of(self.router.field()), message)
        })
    }
}

impl core::fmt::Display for Router {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::LinkLocal(address, interface) => write!(f, "{address}%{interface}"),
            Self::Interface(interface) => f.write_str(interface),
        }
    }
}

/// A peer that is valid by itself; whether its BFD profile is there remains to be seen.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    peer: PeerTemplate,
    bfd_profile: Option<String>,
    bfd_field: String,
}

impl Draft {
    /// The peer with its BFD profile.
    pub(super) fn resolve(
        &self,
        profile: impl Fn(&str) -> Option<Arc<BfdProfile>>,
    ) -> Result<PeerTemplate, Vec<Refusal>> {
        let mut peer = self.peer.clone();
        if let Some(name) = &self.bfd_profile {
            peer.bfd = profile(name);
            if peer.bfd.is_none() {
                let message = format!("there is no BFDProfile {name}, or it was refused");
                return Err(Vec::from([refusal(self.bfd_field.clone(), message)]));
            }
        }
        Ok(peer)
    }
}
