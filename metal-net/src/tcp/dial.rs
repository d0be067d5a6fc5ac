//! Opening a connection.

use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
};

use libc::{IP_BIND_ADDRESS_NO_PORT, IPPROTO_IP};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::TcpSocket;

use super::{
    Connection, DialError, Md5Key, Options,
    error::{Refused, Step},
    md5,
    options::{Family, canonical},
};
use crate::socket::set_option;

/// Whom to connect to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// The peer. A link-local address names its interface by the scope id.
    pub peer: SocketAddr,
    /// The address to connect from; `None` leaves it to the routing table.
    pub source: Option<IpAddr>,
    /// The interface to bind to, such as a VRF device.
    pub device: Option<String>,
    /// The password, if there is one. Another one takes another connection.
    pub key: Option<Md5Key>,
    /// All else.
    pub options: Options,
}

impl Dial {
    /// From any address, without a password.
    #[must_use]
    pub fn to(peer: SocketAddr) -> Self {
        Self { peer, source: None, device: None, key: None, options: Options::default() }
    }

    /// A socket with everything set, in the network namespace of the calling thread. Nothing has been sent yet.
    ///
    /// # Errors
    /// When something of it cannot be had on this host; [`DialError::step`] says what.
    pub fn open(&self) -> Result<Dialling, DialError> {
        let peer = canonical(self.peer);
        let socket = self.socket(peer).map_err(|refused| DialError { peer, refused })?;
        // The conversion is about the type: it is a socket that is not connected yet.
        Ok(Dialling { peer, socket: TcpSocket::from_std_stream(socket.into()) })
    }

    fn socket(&self, peer: SocketAddr) -> Result<Socket, Refused> {
        let refused = |step| move |source| Refused::new(step, source);
        if let SocketAddr::V6(peer) = peer
            && peer.ip().is_unicast_link_local()
            && peer.scope_id() == 0
        {
            let error =
                io::Error::new(io::ErrorKind::InvalidInput, "a link-local address takes an interface");
            return Err(Refused::new(Step::Connect, error));
        }
        let family = Family::of(&peer);
        let socket = Socket::new(Domain::for_address(peer), Type::STREAM.nonblocking().cloexec(), None)
            .map_err(refused(Step::Open))?;
        if let Some(device) = &self.device {
            socket.bind_device(Some(device.as_bytes())).map_err(refused(Step::Device(device.clone())))?;
        }
        self.options.apply(&socket, family)?;
        if let Some(key) = &self.key {
            md5::sign(&socket, family, peer.ip(), Some(key)).map_err(refused(Step::Key(peer.ip())))?;
        }
        if let Some(source) = self.source {
            bind(&socket, source, peer).map_err(refused(Step::Source(source)))?;
        }
        Ok(socket)
    }
}

fn bind(socket: &Socket, source: IpAddr, peer: SocketAddr) -> io::Result<()> {
    let address = match (source, peer) {
        (IpAddr::V4(source), SocketAddr::V4(_)) => SocketAddr::new(source.into(), 0),
        (IpAddr::V6(source), SocketAddr::V6(peer)) => {
            let scope = if source.is_unicast_link_local() { peer.scope_id() } else { 0 };
            SocketAddrV6::new(source, 0, 0, scope).into()
        }
        _ => {
            let why = format!("the peer {} is of another family", peer.ip());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
    };
    // The port is chosen at connecting: then one serves connections to several peers.
    set_option(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)?;
    socket.bind(&SockAddr::from(address))
}

/// A connection to be.
#[derive(Debug)]
pub struct Dialling {
    peer: SocketAddr,
    socket: TcpSocket,
}

impl Dialling {
    /// Connects. Dropping the future gives up at once.
    ///
    /// # Errors
    /// When the peer refuses, cannot be reached, or does not answer, which the kernel believes after two minutes unless
    /// there is an [`Options::user_timeout`]. A peer with another password does not answer either.
    pub async fn connect(self) -> Result<Connection, DialError> {
        let Self { peer, socket } = self;
        let connected = match socket.connect(peer).await {
            Ok(stream) => Connection::new(stream, peer),
            Err(error) => Err(error),
        };
        connected.map_err(|source| DialError { peer, refused: Refused::new(Step::Connect, source) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(dial: &Dial) -> String {
        dial.open().unwrap_err().to_string()
    }

    #[tokio::test]
    async fn what_cannot_be_had_here_is_said() {
        let v4: SocketAddr = ([127, 0, 0, 1], 179).into();
        let dial = Dial { source: Some([198, 51, 100, 1].into()), ..Dial::to(v4) };
        assert_eq!(
            refusal(&dial),
            "no connection to 127.0.0.1:179: cannot use the source address 198.51.100.1: Cannot assign requested \
             address (os error 99) (no interface of this host has it, or none of the device to bind to)"
        );
        let dial = Dial { source: Some("2001:db8::1".parse().unwrap()), ..Dial::to(v4) };
        assert!(refusal(&dial).ends_with("2001:db8::1: the peer 127.0.0.1 is of another family"));
        let dial = Dial { device: Some("nonsense0".into()), ..Dial::to(v4) };
        assert!(refusal(&dial).ends_with("(there is no interface of that name here)"), "{}", refusal(&dial));
        let dial = Dial::to("[fe80::1]:179".parse().unwrap());
        assert!(refusal(&dial).ends_with("a link-local address takes an interface"));
    }

    #[tokio::test]
    async fn a_peer_that_does_not_listen_is_told_from_trouble_here() {
        let peer = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let error = Dial::to(peer).open().unwrap().connect().await.unwrap_err();
        assert_eq!((error.kind(), error.step()), (io::ErrorKind::ConnectionRefused, &Step::Connect));
    }
}
