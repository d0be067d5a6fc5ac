//! Packet sockets: whole Ethernet frames, in and out of one interface.

mod blocking;
mod filter;
mod mode;
mod polled;
mod ring;

use std::io;

use metal_core::view::LinkIndex;
use socket2::{Domain, Socket, Type};

pub use blocking::BlockingPacketSocket;
pub use filter::Filter;
pub use mode::Reception;
pub use polled::PolledPacketSocket;

use crate::socket::{self, AsyncSocket};

/// A packet socket for the tokio runtime.
///
/// A link that goes down or disappears shows as an error for which [`is_gone`] holds, once, from whichever of the
/// methods comes first. After a mere down the socket works again as soon as the link is up.
#[derive(Debug)]
pub struct PacketSocket(AsyncSocket);

impl PacketSocket {
    /// Opens a socket on an interface of the calling thread's network namespace.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or when there is no such interface.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn open(link: LinkIndex, filter: Filter) -> Result<Self, OpenError> {
        let socket = open(link, filter)?;
        let registered = AsyncSocket::register(socket);
        registered.map(Self).map_err(|source| OpenError { step: "watch", link, source })
    }

    /// Waits for a frame and returns its length; what does not fit into `buf` is cut off. Safe to cancel.
    ///
    /// # Errors
    /// [`is_gone`] ones and those of `recv(2)`.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buf).await
    }

    /// A frame that is already there.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none; else as [`recv`](Self::recv).
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        socket::recv(self.0.get(), buf)
    }

    /// Sends a whole frame, Ethernet header included, waiting for room in the send buffer.
    ///
    /// # Errors
    /// [`is_gone`] ones and those of `send(2)`.
    pub async fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.send(frame).await.map(drop)
    }

    /// Sends a whole frame now or not at all.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when the send buffer is full; else as [`send`](Self::send).
    pub fn try_send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.get().send(frame).map(drop)
    }
}

/// Whether `error` says that the link below the socket is down or does not exist any more.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    let opening = error.get_ref().and_then(|inner| inner.downcast_ref::<OpenError>());
    opening.map_or_else(|| names_no_link(error), OpenError::is_gone)
}

/// Whether `error` says that a frame was not sent because the queue before it is full. A link that has just
/// lost its carrier answers like this as well.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

/// Why a packet socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} a packet socket on interface {link}: {source}{}", hint(source))]
pub struct OpenError {
    /// What failed, as a verb.
    step: &'static str,
    link: LinkIndex,
    source: io::Error,
}

impl OpenError {
    /// Whether the interface does not exist (any more).
    #[must_use]
    pub fn is_gone(&self) -> bool {
        names_no_link(&self.source)
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

pub(crate) fn names_no_link(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV))
}

fn hint(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => " (it takes the capability CAP_NET_RAW, or root)",
        Some(libc::EAFNOSUPPORT) => " (the kernel lacks packet sockets, CONFIG_PACKET)",
        _ => "",
    }
}

/// Bytes of frames that may wait while the reader is busy. Memory is taken by waiting frames only.
const RECEIVE_BUFFER: libc::c_int = 4 << 20;

/// A non-blocking socket that has received nothing but what passes the filter.
fn open(link: LinkIndex, filter: Filter) -> Result<Socket, OpenError> {
    open_with(link, filter, |_| {})
}

/// The same, prepared further before it is bound.
fn open_with(link: LinkIndex, filter: Filter, prepare: impl FnOnce(&Socket)) -> Result<Socket, OpenError> {
    let at = |step| move |source| OpenError { step, link, source };
    // Protocol 0 receives nothing: no stray frame is queued before the filter is attached.
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None).map_err(at("open"))?;
    socket.attach_filter(&filter.program()).map_err(at("attach the filter to"))?;
    socket::set_option(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)
        .map_err(at("ignore outgoing frames on"))?;
    socket::raise_receive_buffer(&socket, RECEIVE_BUFFER).map_err(at("size the receive buffer of"))?;
    prepare(&socket);
    let index =
        link.try_into().map_err(|_| io::Error::from_raw_os_error(libc::ENODEV)).map_err(at("bind"))?;
    let address = socket::address::<libc::sockaddr_ll>(|address| {
        address.sll_family = socket::family(libc::AF_PACKET);
        address.sll_protocol = filter.ether_type().to_be();
        address.sll_ifindex = index;
    });
    socket.bind(&address).map_err(at("bind"))?;
    Ok(socket)
}
