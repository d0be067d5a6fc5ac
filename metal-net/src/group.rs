//! Membership in IPv6 multicast groups, as a host has it: with reports that switches hear.

use std::{collections::BTreeSet, io, net::Ipv6Addr};

use metal_core::view::LinkIndex;
use socket2::{Domain, Socket, Type};

use crate::socket::{self, Membership};

/// The groups of which one interface is a member. Dropping it leaves them all.
///
/// The kernel reports each membership (MLD) and answers queries, so that switches that watch memberships pass frames
/// for the group on; the interface's card lets them in. One socket holds as many groups as `net.core.optmem_max`
/// allows, some hundreds; beyond that there are more sockets.
#[derive(Debug)]
pub struct Groups {
    link: LinkIndex,
    sockets: Vec<Holder>,
    /// For groups that the kernel does not take as such, because it has no IPv6: the card lets every multicast in.
    every: Option<Holder>,
}

/// A socket and the groups that it is for.
#[derive(Debug)]
struct Holder {
    socket: Socket,
    groups: BTreeSet<Ipv6Addr>,
}

/// How an interface became a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// Switches know.
    Reported,
    /// The card lets every multicast frame in, but nothing tells switches: one that watches memberships may withhold
    /// them.
    Unreported,
}

impl Groups {
    /// No group yet, on an interface of the calling thread's network namespace. All calls belong on a thread of that
    /// namespace.
    #[must_use]
    pub const fn new(link: LinkIndex) -> Self {
        Self { link, sockets: Vec::new(), every: None }
    }

    /// Becomes a member; being one already changes nothing.
    ///
    /// # Errors
    /// [`is_gone`](crate::packet::is_gone) ones, and those of `setsockopt(2)`.
    pub fn join(&mut self, group: Ipv6Addr) -> io::Result<Joined> {
        if self.sockets.iter().any(|holder| holder.groups.contains(&group)) {
            return Ok(Joined::Reported);
        }
        // The last one first: the others are full, or have lost a group since.
        for holder in self.sockets.iter_mut().rev() {
            match holder.join(group, self.link) {
                Ok(()) => return Ok(Joined::Reported),
                Err(error) if is_full(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let another = Holder::ipv6().and_then(|mut holder| holder.join(group, self.link).map(|()| holder));
        match another {
            Ok(holder) => {
                self.sockets.push(holder);
                Ok(Joined::Reported)
            }
            Err(error) if is_full(&error) || error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                self.join_every(group)?;
                Ok(Joined::Unreported)
            }
            Err(error) => Err(error),
        }
    }

    /// Is a member no longer. Errors have no consequence: the link is gone, and the membership with it.
    pub fn leave(&mut self, group: Ipv6Addr) {
        for holder in &mut self.sockets {
            if holder.groups.remove(&group) {
                let _gone = holder.socket.leave_multicast_v6(&group, self.link);
            }
        }
        self.sockets.retain(|holder| !holder.groups.is_empty());
        if let Some(every) = &mut self.every {
            every.groups.remove(&group);
        }
        self.every.take_if(|every| every.groups.is_empty());
    }

    /// How many sockets hold the memberships.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.sockets.len() + usize::from(self.every.is_some())
    }

    fn join_every(&mut self, group: Ipv6Addr) -> io::Result<()> {
        if let Some(every) = &mut self.every {
            every.groups.insert(group);
            return Ok(());
        }
        let index = self.link.try_into().map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
        // Protocol 0 receives nothing.
        let socket = Socket::new(Domain::PACKET, Type::RAW.cloexec(), None)?;
        let kind = libc::c_ushort::try_from(libc::PACKET_MR_ALLMULTI).unwrap_or_default();
        let request = Membership { mr_ifindex: index, mr_type: kind, mr_alen: 0, mr_address: [0; 8] };
        socket::set_option(&socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, request)?;
        self.every = Some(Holder { socket, groups: BTreeSet::from([group]) });
        Ok(())
    }
}

impl Holder {
    fn ipv6() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM.cloexec(), None)?;
        Ok(Self { socket, groups: BTreeSet::new() })
    }

    fn join(&mut self, group: Ipv6Addr, link: LinkIndex) -> io::Result<()> {
        self.socket.join_multicast_v6(&group, link)?;
        self.groups.insert(group);
        Ok(())
    }
}

/// Whether a socket has no room for another group.
fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOMEM | libc::ENOBUFS))
}
