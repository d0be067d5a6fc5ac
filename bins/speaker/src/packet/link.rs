//! What the packet thread has open on one link.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use metal_core::{
    config::ReceiveMode,
    view::{LinkIndex, Mac},
};
use metal_net::{
    Expiry, FastPath, Filter, Groups, Joined, PolledPacketSocket, Reception,
    clock::boottime,
    packet::{OpenError, is_full, is_gone},
};
use tracing::{debug, info, warn};

/// Which frames a socket is for.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Arp,
    Ndp,
}

impl Kind {
    /// In the order of [`Link::descriptors`].
    pub(super) const ALL: [Self; 2] = [Self::Arp, Self::Ndp];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arp => "ARP",
            Self::Ndp => "Neighbour Discovery",
        })
    }
}

/// The sockets of a link and what hangs on them.
pub(super) struct Link {
    arp: PolledPacketSocket,
    ndp: PolledPacketSocket,
    groups: Groups,
    /// As long as it is there the card lets in what it is asked to.
    reception: Reception,
    fast_path: Option<FastPath>,
    expiry: Arc<Expiry>,
}

impl Link {
    /// Opens them.
    pub(super) fn open(index: LinkIndex, expiry: Arc<Expiry>) -> Result<Self, OpenError> {
        let arp = PolledPacketSocket::open(index, Filter::Arp)?;
        if let Some(error) = arp.why_no_ring() {
            warn!(
                "interface {index} has no packet ring: {error}; ARP requests wait in the socket's receive buffer \
                 instead, whose size net.core.rmem_max bounds"
            );
        }
        let ndp = PolledPacketSocket::open(index, Filter::Ndp)?;
        let fast_path = expiry.is_shared_with_kernel().then(|| fast_path(index, &expiry)).flatten();
        let (groups, reception) = (Groups::new(index), Reception::new(index));
        let mut link = Self { arp, ndp, groups, reception, fast_path, expiry };
        link.set_mode(index, ReceiveMode::Auto);
        Ok(link)
    }

    /// Has the card let in such frames.
    pub(super) fn set_mode(&mut self, index: LinkIndex, mode: ReceiveMode) {
        if let Err(error) = self.reception.set(mode) {
            report(error, |error| {
                warn!("interface {index} cannot be asked to let in more frames ({mode:?}): {error}");
            });
        }
    }

    /// What to wait for, in the order of [`Kind::ALL`].
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.arp.as_fd(), self.ndp.as_fd()]
    }

    /// Whether an ARP frame waits in the ring.
    pub(super) fn has_frame(&self) -> bool {
        self.arp.has_frame()
    }

    /// Hands the frames that wait to `each`, at most so many.
    pub(super) fn receive(
        &mut self,
        index: LinkIndex,
        kind: Kind,
        most: usize,
        failed: bool,
        each: impl FnMut(&[u8]),
    ) {
        let socket = match kind {
            Kind::Arp => &mut self.arp,
            Kind::Ndp => &mut self.ndp,
        };
        let pending = if failed { socket.take_error().unwrap_or_else(Some) } else { None };
        let received = socket.receive(most, each).err();
        // The socket works again when the link does.
        for error in pending.into_iter().chain(received) {
            report(error, |error| warn!("cannot read {kind} frames on interface {index}: {error}"));
        }
    }

    /// Sends a frame, unless the LAN thread has not been heard of for too long.
    pub(super) fn send(&self, index: LinkIndex, kind: Kind, frame: &[u8]) {
        if self.expiry.is_over(boottime()) {
            return;
        }
        let socket = match kind {
            Kind::Arp => &self.arp,
            Kind::Ndp => &self.ndp,
        };
        match socket.send(frame) {
            Ok(()) => {}
            Err(error) if is_gone(&error) || is_full(&error) => {
                debug!("{kind} frame on interface {index} not sent: {error}");
            }
            Err(error) => warn!("{kind} frame on interface {index} not sent: {error}"),
        }
    }

    /// Wants solicitations to a group.
    pub(super) fn join(&mut self, index: LinkIndex, group: Ipv6Addr) {
        match self.groups.join(group) {
            Ok(Joined::Reported) => {}
            Ok(Joined::Unreported) => warn!(
                "the kernel takes no membership in {group} on interface {index}: every multicast frame is let in \
                 instead, but a switch that watches memberships (MLD snooping) may withhold neighbour solicitations; \
                 enable IPv6 in the kernel, or raise net.core.optmem_max"
            ),
            Err(error) => report(error, |error| {
                warn!(
                    "cannot join {group} on interface {index}: {error}; neighbour solicitations may not arrive there"
                );
            }),
        }
    }

    /// No longer does.
    pub(super) fn leave(&mut self, group: Ipv6Addr) {
        self.groups.leave(group);
    }

    /// Lets the kernel answer for an address, or (`None`) no longer.
    pub(super) fn answer(&self, index: LinkIndex, address: Ipv4Addr, mac: Option<Mac>) {
        let Some(fast_path) = &self.fast_path else { return };
        if let Err(error) = fast_path.answer(address, mac) {
            warn!(
                "the kernel does not take {address} on interface {index}: {error}; it is answered for from here"
            );
        }
    }

    /// Whether the kernel answers here, and how often it has for each address.
    pub(super) fn answered_by_kernel(&self, index: LinkIndex) -> Vec<(Ipv4Addr, u64)> {
        let counts = self.fast_path.as_ref().map_or_else(|| Ok(Vec::new()), FastPath::counts);
        counts.unwrap_or_else(|error| {
            warn!("cannot read how often the kernel has answered on interface {index}: {error}");
            Vec::new()
        })
    }
}

fn fast_path(index: LinkIndex, expiry: &Expiry) -> Option<FastPath> {
    match FastPath::attach(index, expiry) {
        Ok(fast_path) => {
            info!("the kernel answers ARP requests on interface {index}");
            Some(fast_path)
        }
        Err(error) if error.is_gone() => {
            debug!("{error}");
            None
        }
        Err(error) => {
            warn!("{error}; requests on interface {index} are answered from here, as without --fast-path");
            None
        }
    }
}

/// Tells an error, unless it says that the link is gone: netlink says so, too.
fn report(error: io::Error, tell: impl FnOnce(io::Error)) {
    if is_gone(&error) {
        debug!("{error}");
    } else {
        tell(error);
    }
}
