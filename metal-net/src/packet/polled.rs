use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use metal_core::view::LinkIndex;
use socket2::Socket;

use super::{Filter, OpenError, ring::Ring};
use crate::socket;

/// A packet socket for a thread that waits for several of them with a [`Poll`](crate::Poll). It never blocks.
///
/// ARP frames come through a ring that is shared with the kernel, where it can be had: taking one is no system call, and
/// `net.core.rmem_max` does not bound how many may wait.
#[derive(Debug)]
pub struct PolledPacketSocket {
    /// Before the socket, to be unmapped first.
    ring: Option<Ring>,
    socket: Socket,
    why_no_ring: Option<io::Error>,
    buf: Box<[u8; FRAME]>,
}

/// The largest frame a link with the usual MTU carries, with room to spare.
const FRAME: usize = 2048;

impl PolledPacketSocket {
    /// Opens a socket on an interface of the calling thread's network namespace.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or when there is no such interface.
    pub fn open(link: LinkIndex, filter: Filter) -> Result<Self, OpenError> {
        let (mut ring, mut why_no_ring) = (None, None);
        let socket = super::open_with(link, filter, |socket| {
            if filter == Filter::Arp {
                match Ring::map(socket) {
                    Ok(mapped) => ring = Some(mapped),
                    Err(error) => why_no_ring = Some(error),
                }
            }
        })?;
        Ok(Self { ring, socket, why_no_ring, buf: Box::new([0; FRAME]) })
    }

    /// Why frames do not come through a ring, if they should.
    #[must_use]
    pub const fn why_no_ring(&self) -> Option<&io::Error> {
        self.why_no_ring.as_ref()
    }

    /// Whether a frame waits in the ring, which takes no system call to see; false without a ring.
    #[must_use]
    pub fn has_frame(&self) -> bool {
        self.ring.as_ref().is_some_and(Ring::has_frame)
    }

    /// Hands the frames that wait to `each`, at most so many; says how many it were. What is longer than 2,048 bytes is
    /// cut.
    ///
    /// # Errors
    /// Without a ring [`is_gone`](super::is_gone) ones and those of `recv(2)`; with one see
    /// [`take_error`](Self::take_error).
    pub fn receive(&mut self, most: usize, mut each: impl FnMut(&[u8])) -> io::Result<usize> {
        for count in 0..most {
            let Some(ring) = &mut self.ring else {
                match socket::recv(&self.socket, &mut self.buf[..]) {
                    Ok(length) => each(&self.buf[..length]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
                    Err(error) => return Err(error),
                }
                continue;
            };
            let taken = ring.take(|frame, length| {
                if length > frame.len() {
                    // Its length may matter; what has been cut off is padding if it is ARP at all.
                    self.buf.fill(0);
                    self.buf[..frame.len()].copy_from_slice(frame);
                    each(&self.buf[..length.min(FRAME)]);
                } else {
                    each(frame);
                }
            });
            if !taken {
                return Ok(count);
            }
        }
        Ok(most)
    }

    /// The error that makes the descriptor ready, if there is one; it is shown once.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// Sends a whole frame, Ethernet header included, now or not at all.
    ///
    /// # Errors
    /// [`is_full`](super::is_full) ones when the queue before it is full, [`is_gone`](super::is_gone) ones, and those of
    /// `send(2)`.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(frame).map(drop)
    }
}

impl AsFd for PolledPacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
