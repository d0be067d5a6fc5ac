//! Services that share an address.

use alloc::{string::String, sync::Arc, vec::Vec};
use core::{
    fmt::{self, Write as _},
    str::FromStr,
};

use crate::{config::SharingPolicy, name::PoolName, selector::Labels};

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
    Pool {
        /// The pool.
        pool: PoolName,
        /// What it allows.
        policy: SharingPolicy,
    },
}

impl Sharing {
    /// A Service's wish to share by `key`; none when that is empty.
    #[must_use]
    pub fn new(key: &str, backend: Backend, ports: impl IntoIterator<Item = Port>) -> Option<Self> {
        let mut ports: Vec<_> = ports.into_iter().collect();
        ports.sort_unstable();
        ports.dedup();
        (!key.is_empty()).then(|| Self { key: key.into(), backend, ports: ports.into() })
    }

    /// What keeps a Service from having an address that is shared by `key` in front of `backend`, whatever its
    /// ports.
    #[must_use]
    pub fn mismatch(&self, key: &str, backend: &Backend) -> Option<SharingProblem> {
        if *self.key != *key {
            return Some(SharingProblem::Keys);
        }
        (self.backend.selector() != backend.selector()).then_some(SharingProblem::Backends)
    }

    /// What keeps two Services from having the same address.
    #[must_use]
    pub fn conflict(&self, other: &Self) -> Option<SharingProblem> {
        if let Some(problem) = self.mismatch(&other.key, &other.backend) {
            return Some(problem);
        }
        let twice = self.ports.iter().find(|port| other.ports.binary_search(port).is_ok());
        twice.map(|port| SharingProblem::Port(*port))
    }
}

impl Backend {
    /// Where the traffic of a Service with policy Local and this selector has to go.
    #[must_use]
    pub fn local(selector: &Labels) -> Self {
        let mut text = String::new();
        for (key, value) in selector {
            let separator = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{separator}{key}={value}");
        }
        Self::Local(text.into())
    }

    /// What two Services on one address must have in common. A Service with policy Local and without a
    /// selector counts as one with policy Cluster, as in MetalLB.
    fn selector(&self) -> &str {
        match self {
            Self::Anywhere => "",
            Self::Local(selector) => selector,
        }
    }
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    /// Reads `TCP`, `UDP` or `SCTP`.
    fn from_str(text: &str) -> Result<Self, UnknownProtocol> {
        match text {
            "TCP" => Ok(Self::Tcp),
            "UDP" => Ok(Self::Udp),
            "SCTP" => Ok(Self::Sctp),
            other => Err(UnknownProtocol(other.into())),
        }
    }
}

/// Not a transport protocol that Kubernetes knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a protocol: it is TCP, UDP or SCTP")]
pub struct UnknownProtocol(String);

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
            Self::Pool { pool, policy: SharingPolicy::SameNamespace } => write!(
                f,
                "in pool {pool} only Services of one namespace share an address (sharing: SameNamespace)"
            ),
            Self::Pool { pool, .. } => write!(f, "in pool {pool} no address is shared (sharing: Never)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn an_empty_key_shares_nothing_and_ports_are_sorted() {
        let port = |number| Port { protocol: Protocol::Tcp, number };
        assert_eq!(Sharing::new("", Backend::Anywhere, [port(1)]), None);
        let sharing = Sharing::new("k", Backend::Anywhere, [port(9), port(1), port(9)]).unwrap();
        assert_eq!(*sharing.ports, [port(1), port(9)]);
    }

    #[test]
    fn a_selector_has_one_canonical_form() {
        let labels = Labels::from([("tier".into(), "x".into()), ("app".into(), "a".into())]);
        assert_eq!(Backend::local(&labels), Backend::Local("app=a,tier=x".into()));
        assert_eq!(Backend::local(&Labels::new()), Backend::Local("".into()));
    }

    #[test]
    fn protocols_are_read_as_they_are_written() {
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
        assert_eq!(
            "tcp".parse::<Protocol>().unwrap_err().to_string(),
            "\"tcp\" is not a protocol: it is TCP, UDP or SCTP"
        );
    }
}
