//! Peers with all that a session with them takes.

use alloc::{boxed::Box, string::String, sync::Arc};
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    config::bgp::{Peer, Secret},
    name::PeerName,
    view::LinkIndex,
};

/// How this node stands to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is to be a session.
    Session(Box<Session>),
    /// There cannot be one yet.
    Waits(Waiting),
}

/// A peer without a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Where its router is, as far as that is known.
    pub router: String,
    /// Its port.
    pub port: u16,
    /// The VRF that it is in.
    pub vrf: Option<String>,
    /// Why.
    pub obstacle: Obstacle,
}

/// What a session takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The peer as it is configured.
    pub peer: Arc<Peer>,
    /// Where it is.
    pub target: Target,
    /// This speaker's identifier.
    pub router_id: Ipv4Addr,
    /// What signs the segments.
    pub password: Option<Secret>,
    /// This node's addresses, for next hops of a family that the session is not of.
    pub next_hops: (Option<Ipv4Addr>, Option<Ipv6Addr>),
}

/// Where a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Wherever the routes to an address lead.
    Address(IpAddr),
    /// At a link-local address on a link.
    LinkLocal(Ipv6Addr, LinkIndex),
    /// On a link, at an address that it has to be asked for.
    Link(LinkIndex),
}

/// What keeps a session from being tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The password has not been read, or there is none.
    NoPassword(Arc<str>),
    /// This node has no such interface.
    NoInterface(Arc<str>),
    /// Another peer of this node is the same router.
    Duplicate(PeerName),
    /// The router is to be found by what the node says, which does not tell: why, in words.
    Unresolved(String),
}

impl Standing {
    /// The session, if there is to be one.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::Session(session) => Some(session),
            Self::Waits(_) => None,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPassword(secret) => write!(
                f,
                "there is no password: create the Secret {secret} of type kubernetes.io/basic-auth with the key \
                 password in the namespace of the speakers"
            ),
            Self::NoInterface(name) => write!(
                f,
                "this node has no interface {name}: leave the node out with nodeSelectors, or create it"
            ),
            Self::Duplicate(other) => {
                write!(f, "BGPPeer {other} is for the same router, port and VRF on this node, and is older")
            }
            Self::Unresolved(why) => f.write_str(why),
        }
    }
}
