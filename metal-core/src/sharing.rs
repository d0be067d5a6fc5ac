//! Services that share an address.

use alloc::{string::String, sync::Arc};
use core::fmt;

/// How a Service wants to share its address: the annotation `allow-shared-ip` and what it depends on.
///
/// Two Services may have one address when their keys and backends are equal and no port is in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// The value of the annotation, never empty.
    pub key: Arc<str>,
    /// Where the traffic has to go.
    pub backend: Backend,
    /// The ports of the Service, sorted, each once.
    pub ports: Arc<[Port]>,
}

/// What a Service's traffic policy says about where its traffic has to go.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// Any node forwards to the endpoints: policy Cluster.
    #[default]
    Anywhere,
    /// Only nodes with endpoints of this selector attract traffic: policy Local.
    ///
    /// The selector in canonical form, `key=value` sorted and joined by commas; empty when there is none.
    Local(Arc<str>),
}

/// A port of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Its protocol: TCP and UDP ports of one number do not conflict.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, the default.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Why two Services cannot have the same address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharingProblem {
    /// One of them does not share at all.
    NotShared,
    /// Their keys differ.
    Keys,
    /// At least one has policy Local, and their selectors or policies differ.
    Backends,
    /// Both have this port.
    Port(Port),
    /// The pool does not let addresses be shared, or only within a namespace.
    Pool(String),
}

impl Sharing {
    /// What keeps two Services from having the same address.
    #[must_use]
    pub fn conflict(&self, other: &Self) -> Option<SharingProblem> {
        if self.key != other.key {
            return Some(SharingProblem::Keys);
        }
        if self.backend != other.backend {
            return Some(SharingProblem::Backends);
        }
        let twice = self.ports.iter().find(|port| other.ports.binary_search(port).is_ok());
        twice.map(|port| SharingProblem::Port(*port))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol, self.number)
    }
}

impl fmt::Display for SharingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotShared => {
                f.write_str("only Services with the same annotation metallb.io/allow-shared-ip can share it")
            }
            Self::Keys => f.write_str("the values of their annotation metallb.io/allow-shared-ip differ"),
            Self::Backends => {
                f.write_str("with externalTrafficPolicy Local both need that policy and the same selector")
            }
            Self::Port(port) => write!(f, "both have the port {port}"),
            Self::Pool(limit) => f.write_str(limit),
        }
    }
}
