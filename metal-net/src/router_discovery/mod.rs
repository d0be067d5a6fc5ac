//! Routers of a link find each other by Router Discovery (RFC 4861): so does a BGP speaker whose peer is configured as an
//! interface instead of an address ("unnumbered").
//!
//! Each side advertises itself with a lifetime of zero, which says "I am here" without becoming anybody's default
//! router, and learns the other's link-local address from the source of what it hears.
//!
//! ```no_run
//! use metal_net::{RouterDiscovery, router_discovery::Message};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let discovery = RouterDiscovery::open(2)?;
//! discovery.send(&Message::PRESENT).await?;
//! discovery.send(&Message::SOLICITATION).await?;
//! let (router, _message) = discovery.receive().await?;
//! // ... a peer to connect to: `router` with the interface as its scope id.
//! # let _ = router;
//! # Ok(())
//! # }
//! ```

mod message;

use std::{
    io,
    net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket as StdSocket},
};

use metal_core::view::LinkIndex;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::net::UdpSocket;

pub use message::{Malformed, Message};

use crate::socket::set_option;

/// Router Discovery on one interface.
///
/// It sees what the kernel ignores as well: advertisements on a host that forwards.
#[derive(Debug)]
pub struct RouterDiscovery {
    link: LinkIndex,
    /// A raw ICMPv6 socket, whose datagrams are messages without the IP header.
    socket: UdpSocket,
}

impl RouterDiscovery {
    /// On an interface of the calling thread's network namespace.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, when there is no such interface, or without IPv6.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn open(link: LinkIndex) -> Result<Self, OpenError> {
        let at = |step| move |source| OpenError { step, link, source };
        let kind = Type::RAW.nonblocking().cloexec();
        let socket = Socket::new(Domain::IPV6, kind, Some(Protocol::ICMPV6)).map_err(at("open"))?;
        // First, so that nothing else is queued but for what comes before the next line.
        socket.attach_filter(&FILTER).map_err(at("attach the filter to"))?;
        let index = libc::c_int::try_from(link).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV));
        index
            .and_then(|index| set_option(&socket, libc::SOL_SOCKET, SO_BINDTOIFINDEX, index))
            .map_err(at("bind"))?;
        let hops = u32::from(HOP_LIMIT);
        socket.set_multicast_hops_v6(hops).map_err(at("set the hop limit of"))?;
        socket.set_multicast_loop_v6(false).map_err(at("ignore what is sent by"))?;
        socket.set_multicast_if_v6(link).map_err(at("bind"))?;
        // Every host is in the group of all nodes; that of the routers is for those who forward, and for us.
        socket.join_multicast_v6(&ALL_ROUTERS, link).map_err(at("join the routers' group with"))?;
        // What came by other interfaces before the socket was bound.
        drain(&socket).map_err(at("empty"))?;
        let socket = UdpSocket::from_std(StdSocket::from(socket)).map_err(at("watch"))?;
        Ok(Self { link, socket })
    }

    /// The interface.
    #[must_use]
    pub const fn link(&self) -> LinkIndex {
        self.link
    }

    /// Waits for a message, and says who sent it: a router's link-local address for an advertisement. Malformed ones and
    /// those that come from other links (a hop limit other than 255) are passed over. Safe to cancel.
    ///
    /// # Errors
    /// Those of `recv(2)`.
    pub async fn receive(&self) -> io::Result<(Ipv6Addr, Message)> {
        let mut buf = [0; LONGEST];
        loop {
            let (length, sender) = self.socket.recv_from(&mut buf).await?;
            if let SocketAddr::V6(sender) = sender
                && let Ok(message) = Message::parse(*sender.ip(), &buf[..length])
            {
                return Ok((*sender.ip(), message));
            }
        }
    }

    /// Sends a message to all whom it concerns: an advertisement to all nodes, a solicitation to all routers. The
    /// source is the interface's link-local address.
    ///
    /// # Errors
    /// While the interface is down, or has no link-local address yet.
    pub async fn send(&self, message: &Message) -> io::Result<()> {
        let group = match message {
            Message::Advertisement { .. } => ALL_NODES,
            Message::Solicitation { .. } => ALL_ROUTERS,
        };
        let to = SocketAddrV6::new(group, 0, 0, self.link);
        self.socket.send_to(&message.emit(), to).await.map(drop)
    }
}

/// Why Router Discovery cannot be done on an interface.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} an ICMPv6 socket on interface {link}: {source}{}", hint(source))]
pub struct OpenError {
    /// What failed, as a verb.
    step: &'static str,
    link: LinkIndex,
    source: io::Error,
}

impl OpenError {
    /// The kernel's reason.
    #[must_use]
    pub const fn reason(&self) -> &io::Error {
        &self.source
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

fn hint(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => " (it takes the capability CAP_NET_RAW, or root)",
        Some(libc::EAFNOSUPPORT) => " (the kernel has no IPv6)",
        Some(libc::ENODEV) => " (there is no such interface, or it has no IPv6)",
        _ => "",
    }
}

/// Reads what is there away.
fn drain(mut socket: &Socket) -> io::Result<()> {
    loop {
        match io::Read::read(&mut socket, &mut [0; 1]) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Advertisements and solicitations of routers that no router has passed on. Offsets count from the ICMPv6 header; the
/// kernel has checked its checksum.
const FILTER: [SockFilter; 7] = [
    statement(
        libc::BPF_LD | libc::BPF_B | libc::BPF_ABS,
        (libc::SKF_NET_OFF + HOP_LIMIT_OFFSET).cast_unsigned(),
    ),
    jump(HOP_LIMIT, 0, 4),
    statement(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0),
    jump(message::ADVERTISEMENT, 1, 0),
    jump(message::SOLICITATION, 0, 1),
    statement(libc::BPF_RET | libc::BPF_K, u32::MAX),
    statement(libc::BPF_RET | libc::BPF_K, 0),
];

#[expect(clippy::cast_possible_truncation, reason = "instructions have 16 bits")]
const fn statement(code: u32, value: u32) -> SockFilter {
    SockFilter::new(code as u16, 0, 0, value)
}

/// Skips so many instructions if the loaded value is this one, or else so many.
#[expect(clippy::cast_possible_truncation, reason = "instructions have 16 bits")]
const fn jump(value: u8, equal: u8, other: u8) -> SockFilter {
    SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, equal, other, value as u32)
}

/// The libc crate lacks it; the number is that of all architectures but SPARC and PA-RISC.
const SO_BINDTOIFINDEX: libc::c_int = 62;

/// Of every message: with less it has come from another link.
const HOP_LIMIT: u8 = 255;
/// Where it is in the IPv6 header.
const HOP_LIMIT_OFFSET: libc::c_int = 7;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Routers with many prefixes and search domains say them in one message of a jumbo frame at most.
const LONGEST: usize = 9216;
