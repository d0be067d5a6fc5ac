use std::{
    io,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use metal_core::view::LinkIndex;
use socket2::Socket;

use super::{Filter, OpenError};
use crate::{poll, socket};

/// A packet socket for a thread of its own, such as a probe's.
#[derive(Debug)]
pub struct BlockingPacketSocket(Socket);

impl BlockingPacketSocket {
    /// Opens a socket on an interface of the calling thread's network namespace.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or when there is no such interface.
    pub fn open(link: LinkIndex, filter: Filter) -> Result<Self, OpenError> {
        super::open(link, filter).map(Self)
    }

    /// Waits for a frame until `deadline` and returns its length; `None` when the deadline passes first.
    ///
    /// # Errors
    /// [`is_gone`](super::is_gone) ones and those of `recv(2)`.
    pub fn recv_until(&self, buf: &mut [u8], deadline: Instant) -> io::Result<Option<usize>> {
        loop {
            match socket::recv(&self.0, buf) {
                Ok(length) => return Ok(Some(length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return Ok(None);
            }
            poll::readable(self.0.as_fd(), left)?;
        }
    }

    /// Sends a whole frame, Ethernet header included.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when the send buffer is full, [`is_gone`](super::is_gone) ones and those of
    /// `send(2)`.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.send(frame).map(drop)
    }
}
