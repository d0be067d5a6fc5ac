//! Why there is no connection or no listener, in words.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
};

use super::Holder;

/// A step that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step}: {source}{}", hint(step, source))]
pub struct Refused {
    step: Step,
    source: io::Error,
}

/// What was to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Make a socket.
    Open,
    /// Set an option, which is named.
    Set(&'static str),
    /// Bind to an interface.
    Device(String),
    /// Use a source address.
    Source(IpAddr),
    /// Set the password of a peer.
    Key(IpAddr),
    /// Bind to the address and port to listen on.
    Bind,
    /// Listen.
    Listen,
    /// Connect: the only one that the peer has to do with.
    Connect,
    /// Hand the socket to the runtime.
    Watch,
}

impl Refused {
    pub(super) const fn new(step: Step, source: io::Error) -> Self {
        Self { step, source }
    }

    /// What was to be done.
    #[must_use]
    pub const fn step(&self) -> &Step {
        &self.step
    }

    /// The kernel's reason.
    #[must_use]
    pub const fn reason(&self) -> &io::Error {
        &self.source
    }
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        Self::new(refused.source.kind(), refused)
    }
}

/// Why a connection was not opened.
#[derive(Debug, thiserror::Error)]
#[error("no connection to {peer}: {refused}")]
pub struct DialError {
    pub(super) peer: SocketAddr,
    #[source]
    pub(super) refused: Refused,
}

impl DialError {
    /// The kind of the kernel's reason, such as [`ConnectionRefused`](io::ErrorKind::ConnectionRefused).
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.refused.source.kind()
    }

    /// The step that failed: all but [`Step::Connect`] fail on this host, whatever the peer does.
    #[must_use]
    pub const fn step(&self) -> &Step {
        &self.refused.step
    }
}

impl From<DialError> for io::Error {
    fn from(error: DialError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error("cannot listen on {address}: the port is in use{}", suspicion(address.port(), holders))]
    InUse {
        /// Where it should listen.
        address: SocketAddr,
        /// Who listens on that port, as far as can be seen.
        holders: Vec<Holder>,
    },
    /// The kernel refused something else.
    #[error("cannot listen on {address}: {refused}")]
    Refused {
        /// Where it should listen.
        address: SocketAddr,
        /// What was refused.
        #[source]
        refused: Refused,
    },
}

impl ListenError {
    /// The kind of the kernel's reason.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::InUse { .. } => io::ErrorKind::AddrInUse,
            Self::Refused { refused, .. } => refused.source.kind(),
        }
    }
}

impl From<ListenError> for io::Error {
    fn from(error: ListenError) -> Self {
        Self::new(error.kind(), error)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open a socket"),
            Self::Set(option) => write!(f, "set {option}"),
            Self::Device(name) => write!(f, "bind to interface {name}"),
            Self::Source(address) => write!(f, "use the source address {address}"),
            Self::Key(peer) => write!(f, "set the password of {peer}"),
            Self::Bind => f.write_str("bind to it"),
            Self::Listen => f.write_str("listen"),
            Self::Connect => f.write_str("connect"),
            Self::Watch => f.write_str("watch the socket"),
        }
    }
}

/// What may be the matter, and what to do about it.
fn hint(step: &Step, source: &io::Error) -> &'static str {
    match (step, source.raw_os_error()) {
        (Step::Open, Some(libc::EAFNOSUPPORT)) => " (the kernel has no IPv6)",
        (Step::Device(_), Some(libc::ENODEV)) => " (there is no interface of that name here)",
        (Step::Device(_), Some(libc::EPERM)) => " (before Linux 5.7 it takes the capability CAP_NET_RAW)",
        (Step::Source(_), Some(libc::EADDRNOTAVAIL)) => {
            " (no interface of this host has it, or none of the device to bind to)"
        }
        (Step::Key(_), Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP)) => {
            " (the kernel lacks TCP MD5 signatures, CONFIG_TCP_MD5SIG)"
        }
        (Step::Key(_), Some(libc::EINVAL)) => " (the address is not of the socket's family)",
        (Step::Key(_), Some(libc::ENOMEM)) => {
            " (net.core.optmem_max bounds the passwords of a listener: raise it)"
        }
        (Step::Bind, Some(libc::EACCES)) => {
            " (a port below 1024 takes the capability CAP_NET_BIND_SERVICE, or another port)"
        }
        (Step::Bind, Some(libc::EADDRNOTAVAIL)) => " (no interface of this host has the address)",
        (Step::Connect, Some(libc::ECONNREFUSED)) => {
            " (the peer does not listen there, or not to this address)"
        }
        (Step::Connect, Some(libc::ETIMEDOUT)) => {
            " (no answer: the peer is away, a firewall is between, or only one side has this password or GTSM)"
        }
        (Step::Connect, Some(libc::ENETUNREACH | libc::EHOSTUNREACH)) => " (no route, or nobody there)",
        _ => "",
    }
}

fn suspicion(port: u16, holders: &[Holder]) -> String {
    let names: Vec<String> = holders.iter().map(|holder| format!("{holder} on {}", holder.address)).collect();
    let by = if names.is_empty() { String::new() } else { format!(" by {}", names.join(" and by ")) };
    let advice = if holders.iter().any(|holder| holder.process.is_some()) {
        String::new()
    } else {
        format!(
            "; it may be another BGP speaker of this host, such as Calico's, Cilium's, FRR, BIRD or GoBGP: \
             \"ss -ltnp sport = :{port}\" on the host names it"
        )
    };
    format!("{by}{advice}. End it, listen on another port, or dial only")
}
