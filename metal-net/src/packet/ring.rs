//! A ring of frames that the kernel and this process share.

use std::{
    io,
    os::fd::AsRawFd,
    ptr::{self, NonNull},
    slice,
    sync::atomic::{AtomicU32, Ordering},
};

use socket2::Socket;

use crate::socket;

/// Bytes of a slot: room for the kernel's header (66 with what aligns it) and for a padded ARP frame.
const SLOT: usize = 128;
/// Slots in one piece of the kernel's memory, and pieces: bursts of 16,384 frames, a fifth of a second of the most that
/// one core can send.
const SLOTS_PER_BLOCK: usize = 512;
const BLOCKS: usize = 32;
const SLOTS: usize = SLOTS_PER_BLOCK * BLOCKS;
const BYTES: usize = SLOTS * SLOT;

/// `PACKET_RX_RING` in the form of `TPACKET_V2`: a slot per frame, and the reader is woken for each. (`TPACKET_V3` hands
/// over blocks when they are full or a timer of at least a millisecond is over, far too late for one lonely frame.)
///
/// Frames wait in here instead of in the socket's receive buffer, so that `net.core.rmem_max` does not bound how many,
/// and taking one costs no system call.
#[derive(Debug)]
pub(super) struct Ring {
    base: NonNull<u8>,
    /// The slot that the kernel fills next, or has filled.
    next: usize,
}

// SAFETY: the mapping belongs to this value alone, like a `Box`.
unsafe impl Send for Ring {}

impl Ring {
    /// Makes it the place where `socket` puts its frames. The socket must not be bound yet.
    pub(super) fn map(socket: &Socket) -> io::Result<Self> {
        let version = libc::tpacket_versions::TPACKET_V2 as libc::c_int;
        socket::set_option(socket, libc::SOL_PACKET, libc::PACKET_VERSION, version)?;
        let number = |number: usize| u32::try_from(number).map_err(io::Error::other);
        let request = libc::tpacket_req {
            tp_block_size: number(SLOTS_PER_BLOCK * SLOT)?,
            tp_block_nr: number(BLOCKS)?,
            tp_frame_size: number(SLOT)?,
            tp_frame_nr: number(SLOTS)?,
        };
        socket::set_option(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, request)?;
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping of a socket's ring, at an address of the kernel's choice.
        let base = unsafe { libc::mmap(ptr::null_mut(), BYTES, access, flags, socket.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            // Without a ring frames wait in the receive buffer again.
            let none =
                libc::tpacket_req { tp_block_size: 0, tp_block_nr: 0, tp_frame_size: 0, tp_frame_nr: 0 };
            socket::set_option(socket, libc::SOL_PACKET, libc::PACKET_RX_RING, none)?;
            return Err(error);
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("a ring at address 0"))?;
        Ok(Self { base, next: 0 })
    }

    /// Whether a frame waits.
    pub(super) fn has_frame(&self) -> bool {
        self.status().load(Ordering::Relaxed) & libc::TP_STATUS_USER != 0
    }

    /// Where the slot that comes next begins.
    fn slot(&self) -> NonNull<u8> {
        // SAFETY: `next` is less than `SLOTS`, and the mapping has `SLOTS` times `SLOT` bytes.
        unsafe { self.base.add(self.next * SLOT) }
    }

    /// Whose that slot is.
    fn status(&self) -> &AtomicU32 {
        // SAFETY: a slot is aligned to its size and begins with `tp_status`, 32 bits, which are there as long as the
        // mapping, that is as `self`. While both sides may touch them, they are only touched atomically.
        unsafe { AtomicU32::from_ptr(self.slot().as_ptr().cast()) }
    }

    /// Hands the frame that has waited longest to `each`, with the length that it had on the wire; false when none waits.
    /// What is longer than a slot has been cut.
    pub(super) fn take(&mut self, each: impl FnOnce(&[u8], usize)) -> bool {
        if self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return false;
        }
        let slot = self.slot();
        // SAFETY: the status, read with acquire, says that the kernel has filled the header and leaves the slot alone
        // until it is given back below.
        let header = unsafe { slot.cast::<libc::tpacket2_hdr>().read() };
        let begin = usize::from(header.tp_mac).min(SLOT);
        let length = usize::try_from(header.tp_snaplen).map_or(0, |length| length.min(SLOT - begin));
        // SAFETY: inside the slot, by the two lines above; nobody writes to it meanwhile, as said there.
        let frame = unsafe { slice::from_raw_parts(slot.add(begin).as_ptr(), length) };
        each(frame, usize::try_from(header.tp_len).unwrap_or(length));
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % SLOTS;
        true
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping of `map`, which nobody uses any more. The socket keeps its memory until it is closed.
        unsafe { libc::munmap(self.base.as_ptr().cast(), BYTES) };
    }
}
