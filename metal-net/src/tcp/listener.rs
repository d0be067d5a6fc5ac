//! Waiting for connections.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::net::TcpListener;

use super::{
    Connection, ListenError, Md5Key, Options, Ttl,
    error::{Refused, Step},
    holder, md5,
    options::Family,
};

/// Where to listen, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address and port: the unspecified address is all of its family.
    pub address: SocketAddr,
    /// With an IPv6 address: IPv4 as well, in the same listener.
    pub dual_stack: bool,
    /// Only what comes by this interface; without one, only what comes by no VRF. Listeners for VRFs stand beside the one
    /// without a device; one for another interface does not, but several for interfaces do.
    pub device: Option<String>,
    /// For connections before [`Connection::set_options`] is called on them, the first packets of them included.
    ///
    /// [`Ttl::Gtsm`] here is for all peers, and refuses those who do not use it. Among peers of both kinds take
    /// [`Ttl::Multihop`] of 255, which those who use it accept, and set it on their connections.
    pub options: Options,
}

impl Listen {
    /// The port of BGP.
    pub const PORT: u16 = 179;

    /// All IPv4 addresses, port 179.
    #[must_use]
    pub fn v4() -> Self {
        Self::on((Ipv4Addr::UNSPECIFIED, Self::PORT).into())
    }

    /// All IPv6 addresses, port 179.
    #[must_use]
    pub fn v6() -> Self {
        Self::on((Ipv6Addr::UNSPECIFIED, Self::PORT).into())
    }

    /// An address and port.
    #[must_use]
    pub fn on(address: SocketAddr) -> Self {
        Self { address, dual_stack: false, device: None, options: Options::default() }
    }
}

/// Accepts connections.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    family: Family,
}

impl Listener {
    /// Listens, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`ListenError::InUse`] when somebody else listens there; without CAP_NET_BIND_SERVICE on a port below 1024.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn open(listen: &Listen) -> Result<Self, ListenError> {
        let address = listen.address;
        open(listen).map_err(|refused| {
            if refused.reason().kind() == io::ErrorKind::AddrInUse {
                ListenError::InUse { address, holders: holder::holders(address.port()) }
            } else {
                ListenError::Refused { address, refused }
            }
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// From now on a peer has this password; what it sends without is dropped. Connections that are open keep theirs.
    ///
    /// The kernel knows peers by their address alone. Two link-local peers that have the same address on two interfaces
    /// take two listeners, each with its [device](Listen::device).
    ///
    /// # Errors
    /// [`Step::Key`].
    pub fn set_key(&self, peer: IpAddr, key: &Md5Key) -> Result<(), Refused> {
        self.sign(peer, Some(key)).map_err(|error| Refused::new(Step::Key(peer), error))
    }

    /// From now on a peer has no password; what it signs is dropped. Without one before nothing changes.
    ///
    /// # Errors
    /// [`Step::Key`].
    pub fn remove_key(&self, peer: IpAddr) -> Result<(), Refused> {
        match self.sign(peer, None) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => {
                Err(Refused::new(Step::Key(peer), error))
            }
            _ => Ok(()),
        }
    }

    /// Changes [`Listen::options`]' TTL.
    ///
    /// # Errors
    /// [`Step::Set`].
    pub fn set_ttl(&self, ttl: Ttl) -> Result<(), Refused> {
        let done = ttl.apply(&SockRef::from(&self.socket), self.family);
        done.map_err(|error| Refused::new(Step::Set("the TTL"), error))
    }

    /// Waits for a connection, from whomever: [`Connection::remote`] says. Safe to cancel.
    ///
    /// # Errors
    /// When the process has too many files open, or that connection is gone already. Go on after a moment.
    pub async fn accept(&self) -> io::Result<Connection> {
        let (stream, remote) = self.socket.accept().await?;
        Connection::new(stream, remote)
    }

    fn sign(&self, peer: IpAddr, key: Option<&Md5Key>) -> io::Result<()> {
        md5::sign(&SockRef::from(&self.socket), self.family, peer, key)
    }
}

fn open(listen: &Listen) -> Result<Listener, Refused> {
    let refused = |step| move |source| Refused::new(step, source);
    let family = match listen.address {
        SocketAddr::V4(_) => Family::V4,
        SocketAddr::V6(_) if listen.dual_stack => Family::Both,
        SocketAddr::V6(_) => Family::V6,
    };
    let socket = Socket::new(Domain::for_address(listen.address), Type::STREAM.nonblocking().cloexec(), None)
        .map_err(refused(Step::Open))?;
    if family != Family::V4 {
        socket.set_only_v6(family == Family::V6).map_err(refused(Step::Set("IPV6_V6ONLY")))?;
    }
    // Connections of an earlier process that are not quite over do not matter. Somebody who listens still does.
    socket.set_reuse_address(true).map_err(refused(Step::Set("SO_REUSEADDR")))?;
    if let Some(device) = &listen.device {
        socket.bind_device(Some(device.as_bytes())).map_err(refused(Step::Device(device.clone())))?;
    }
    listen.options.apply(&socket, family)?;
    socket.bind(&SockAddr::from(listen.address)).map_err(refused(Step::Bind))?;
    socket.listen(BACKLOG).map_err(refused(Step::Listen))?;
    let socket = TcpListener::from_std(socket.into()).map_err(refused(Step::Watch))?;
    Ok(Listener { socket, family })
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;
