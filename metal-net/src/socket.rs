//! What packet sockets and netlink sockets share.

use std::{
    io::{self, Read},
    os::fd::AsRawFd,
};

use socket2::{SockAddr, SockAddrStorage, Socket};
use tokio::io::{Interest, unix::AsyncFd};

/// A non-blocking socket on the runtime of the calling task.
#[derive(Debug)]
pub(crate) struct AsyncSocket(AsyncFd<Socket>);

impl AsyncSocket {
    /// Registers `socket`, which must be non-blocking.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub(crate) fn register(socket: Socket) -> io::Result<Self> {
        // SAFETY: a `Socket` owns its descriptor, always names the same one and closes it on drop only.
        let registered = unsafe { AsyncFd::register(socket) };
        Ok(Self(registered?))
    }

    pub(crate) fn get(&self) -> &Socket {
        self.0.get_ref()
    }

    /// Receives one datagram. Safe to cancel: nothing is lost.
    pub(crate) async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            // An error that is pending on the socket (link down, overrun) shows as ERROR alone.
            let mut guard = self.0.ready(Interest::READABLE | Interest::ERROR).await?;
            if let Ok(result) = guard.try_io(|fd| recv(fd.get_ref(), buf)) {
                return result;
            }
        }
    }

    /// Sends one datagram as soon as the send buffer has room.
    pub(crate) async fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        loop {
            let mut guard = self.0.writable().await?;
            if let Ok(result) = guard.try_io(|fd| fd.get_ref().send(datagram)) {
                return result;
            }
        }
    }
}

/// Receives one datagram; what does not fit into `buf` is cut off.
pub(crate) fn recv(mut socket: &Socket, buf: &mut [u8]) -> io::Result<usize> {
    socket.read(buf)
}

/// Asks for a receive buffer of `bytes`: past the system's limit where that is permitted, else up to it.
pub(crate) fn raise_receive_buffer(socket: &Socket, bytes: libc::c_int) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
        .or_else(|_| set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes))
}

/// What a socket option can be: a C type without padding.
pub(crate) trait OptionValue {}
impl OptionValue for libc::c_int {}
impl OptionValue for Membership {}
impl OptionValue for libc::tpacket_req {}

/// `packet_mreq`: what a packet socket wants its interface's card to let in.
pub(crate) use libc::packet_mreq as Membership;

/// Sets a socket option.
pub(crate) fn set_option<T: OptionValue>(
    socket: &Socket,
    level: libc::c_int,
    name: libc::c_int,
    value: T,
) -> io::Result<()> {
    set_option_from(socket, level, name, &value)
}

/// The same for a value that must not be copied.
pub(crate) fn set_option_from<T: OptionValue>(
    socket: &Socket,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let pointer = std::ptr::from_ref(value).cast();
    // SAFETY: the pointer and the length describe `value`, which outlives the call; all its bytes are initialised.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, pointer, length_of::<T>()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The generic form of a packet socket's or netlink socket's address.
pub(crate) trait Address: Sized {}
impl Address for libc::sockaddr_ll {}
impl Address for libc::sockaddr_nl {}

/// A socket address of the given kind, all zero but for what `fill` sets (the family included).
pub(crate) fn address<A: Address>(fill: impl FnOnce(&mut A)) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: only `sockaddr_*` types are `Address`, and all-zero bytes are valid for these.
    fill(unsafe { storage.view_as::<A>() });
    // SAFETY: the storage holds an `A`, which names its own family, and the length is that of an `A`.
    unsafe { SockAddr::new(storage, length_of::<A>()) }
}

/// An `AF_` constant as addresses hold it.
#[expect(clippy::cast_possible_truncation, reason = "address families are small numbers")]
pub(crate) const fn family(constant: libc::c_int) -> libc::sa_family_t {
    constant.cast_unsigned() as libc::sa_family_t
}

/// The size of a C structure, as the kernel wants it.
#[expect(clippy::cast_possible_truncation, reason = "no C structure that the kernel takes is 4 GiB long")]
pub(crate) const fn length_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}
