//! What is set on each socket.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    num::NonZeroU8,
    time::Duration,
};

use libc::{IP_MINTTL, IPPROTO_IP, IPPROTO_IPV6, IPV6_MINHOPCOUNT};
use socket2::Socket;

use super::error::{Refused, Step};
use crate::socket::set_option;

/// What may differ from connection to connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How far away the peer may be.
    pub ttl: Ttl,
    /// How long data that has been sent may stay unacknowledged before the connection has failed (TCP_USER_TIMEOUT).
    /// It bounds an attempt to connect as well, and the time for which a peer may read nothing: a router that is busy
    /// with a full table may need some. `None` leaves it to the kernel, which takes about a quarter of an hour for the
    /// first, two minutes for the second and forever for the third.
    pub user_timeout: Option<Duration>,
    /// With so many bytes or more in the kernel that have not even been sent, a write takes nothing
    /// (TCP_NOTSENT_LOWAT): what is urgent then waits behind little.
    pub unsent_limit: u32,
}

/// How far away the peer may be, in routers between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ttl {
    /// On the same link: packets are sent with TTL (hop limit) 1, so that no router passes them on.
    Direct,
    /// At most so many hops away, the peer's own included: that is the TTL. What the peer sends may have any.
    Multihop(NonZeroU8),
    /// The Generalized TTL Security Mechanism (RFC 5082) for a peer at most so many hops away, 1 being the same link:
    /// packets are sent with TTL 255, and received ones that have lost more on their way are dropped. Both sides have to
    /// use it.
    Gtsm(NonZeroU8),
}

impl Ttl {
    /// The TTL or hop limit of packets that are sent.
    #[must_use]
    pub const fn sent(self) -> u8 {
        match self {
            Self::Direct => 1,
            Self::Multihop(hops) => hops.get(),
            Self::Gtsm(_) => u8::MAX,
        }
    }

    /// Received packets with less are dropped.
    #[must_use]
    pub const fn least(self) -> u8 {
        match self {
            Self::Direct | Self::Multihop(_) => 0,
            Self::Gtsm(hops) => u8::MAX - (hops.get() - 1),
        }
    }
}

impl Default for Options {
    /// A peer on the same link, and 16 KiB unsent.
    fn default() -> Self {
        Self { ttl: Ttl::Direct, user_timeout: None, unsent_limit: 16 << 10 }
    }
}

/// Which protocols a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
    /// An IPv6 socket that serves IPv4 as well, by IPv4-mapped addresses.
    Both,
}

impl Family {
    pub(super) const fn of(address: &SocketAddr) -> Self {
        match address {
            SocketAddr::V4(_) => Self::V4,
            SocketAddr::V6(address) if address.ip().to_ipv4_mapped().is_some() => Self::Both,
            SocketAddr::V6(_) => Self::V6,
        }
    }

    const fn has_v4(self) -> bool {
        matches!(self, Self::V4 | Self::Both)
    }

    const fn has_v6(self) -> bool {
        matches!(self, Self::V6 | Self::Both)
    }
}

impl Options {
    /// Sets these and what all BGP connections have.
    pub(super) fn apply(&self, socket: &Socket, family: Family) -> Result<(), Refused> {
        let set = |what| move |source| Refused::new(Step::Set(what), source);
        socket.set_tcp_nodelay(true).map_err(set("TCP_NODELAY"))?;
        socket.set_keepalive(false).map_err(set("SO_KEEPALIVE"))?;
        if family.has_v4() {
            socket.set_tos_v4(CS6).map_err(set("the traffic class"))?;
        }
        if family.has_v6() {
            socket.set_tclass_v6(CS6).map_err(set("the traffic class"))?;
        }
        self.ttl.apply(socket, family).map_err(set("the TTL"))?;
        socket.set_tcp_user_timeout(self.user_timeout).map_err(set("TCP_USER_TIMEOUT"))?;
        socket.set_tcp_notsent_lowat(self.unsent_limit).map_err(set("TCP_NOTSENT_LOWAT"))
    }
}

impl Ttl {
    pub(super) fn apply(self, socket: &Socket, family: Family) -> io::Result<()> {
        if family.has_v4() {
            socket.set_ttl_v4(self.sent().into())?;
            set_option(socket, IPPROTO_IP, IP_MINTTL, libc::c_int::from(self.least()))?;
        }
        if family.has_v6() {
            socket.set_unicast_hops_v6(self.sent().into())?;
            set_option(socket, IPPROTO_IPV6, IPV6_MINHOPCOUNT, libc::c_int::from(self.least()))?;
        }
        Ok(())
    }
}

/// An IPv4 address as such, not as an IPv6 one.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Class Selector 6, network control (RFC 4594), as the octet in the IP header.
const CS6: u32 = 0xc0;

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    const ONE: NonZeroU8 = NonZeroU8::MIN;

    #[test]
    fn a_ttl_is_one_of_three_things() {
        let hops = |hops| NonZeroU8::new(hops).unwrap();
        let both = |ttl: Ttl| (ttl.sent(), ttl.least());
        assert_eq!(both(Ttl::Direct), (1, 0));
        assert_eq!(both(Ttl::Multihop(hops(5))), (5, 0));
        assert_eq!(both(Ttl::Gtsm(ONE)), (255, 255));
        assert_eq!(both(Ttl::Gtsm(hops(3))), (255, 253));
        assert_eq!(both(Ttl::Gtsm(hops(255))), (255, 1));
    }

    #[test]
    fn everything_is_set() {
        let options =
            Options { ttl: Ttl::Gtsm(ONE), user_timeout: Some(Duration::from_secs(9)), unsent_limit: 4096 };
        for (domain, family) in
            [(Domain::IPV4, Family::V4), (Domain::IPV6, Family::V6), (Domain::IPV6, Family::Both)]
        {
            let socket = Socket::new(domain, Type::STREAM, None).unwrap();
            socket.set_keepalive(true).unwrap();
            options.apply(&socket, family).unwrap();
            assert!(socket.tcp_nodelay().unwrap() && !socket.keepalive().unwrap());
            assert_eq!(socket.tcp_user_timeout().unwrap(), options.user_timeout);
            assert_eq!(socket.tcp_notsent_lowat().unwrap(), 4096);
            if family.has_v4() {
                assert_eq!((socket.tos_v4().unwrap(), socket.ttl_v4().unwrap()), (CS6, 255));
            }
            if family.has_v6() {
                assert_eq!((socket.tclass_v6().unwrap(), socket.unicast_hops_v6().unwrap()), (CS6, 255));
            }
            // And changed again.
            Options::default().apply(&socket, family).unwrap();
            assert_eq!(socket.tcp_user_timeout().unwrap().unwrap_or_default(), Duration::ZERO);
        }
    }
}
