//! The default gateways of a network namespace.

use std::{collections::BTreeSet, io, net::IpAddr};

use metal_core::view::LinkIndex;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    link::{
        message::{self, Dump, Message},
        netlink_address,
    },
    socket::AsyncSocket,
};

/// Gateways, each with the interface that reaches it.
pub type Gateways = BTreeSet<(LinkIndex, IpAddr)>;

/// Follows the gateways of the default routes of the main table, in the network namespace of the thread that opens it.
///
/// Whatever changes, and whatever is lost (the kernel drops notifications when nobody reads), makes it list the routes
/// anew; only a set that differs from the last one is reported.
#[derive(Debug)]
pub struct GatewayMonitor {
    socket: AsyncSocket,
    buf: Vec<u8>,
    /// What the running dump has listed so far.
    listed: Gateways,
    reported: Option<Gateways>,
    is_dumping: bool,
    /// A new dump is due.
    is_stale: bool,
    sequence: u32,
}

impl GatewayMonitor {
    /// Subscribes to routes.
    ///
    /// # Errors
    /// When the kernel refuses a netlink socket.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn open() -> io::Result<Self> {
        let kind = Type::RAW.nonblocking().cloexec();
        let socket =
            Socket::new(Domain::from(libc::AF_NETLINK), kind, Some(Protocol::from(libc::NETLINK_ROUTE)))?;
        // An interface that goes down takes its IPv4 routes along without a word about them, and so does an address.
        let groups =
            libc::RTMGRP_IPV4_ROUTE | libc::RTMGRP_IPV6_ROUTE | libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR;
        socket.bind(&netlink_address(groups.cast_unsigned()))?;
        // Connected to the kernel, it takes messages from nobody else.
        socket.connect(&netlink_address(0))?;
        Ok(Self {
            socket: AsyncSocket::register(socket)?,
            buf: vec![0; DATAGRAM],
            listed: Gateways::new(),
            reported: None,
            is_dumping: false,
            is_stale: true,
            sequence: 0,
        })
    }

    /// Waits until the gateways are others than at the last call; the first call returns those that there are. Safe to
    /// cancel.
    ///
    /// # Errors
    /// When the kernel refuses to list or the socket fails. The next call tries again; let some time pass before.
    pub async fn next(&mut self) -> io::Result<Gateways> {
        loop {
            if self.is_stale && !self.is_dumping {
                self.request()?;
            }
            match self.socket.recv(&mut self.buf).await {
                Ok(length) => {
                    if length == self.buf.len() {
                        // Cut off, perhaps: make room and list anew.
                        self.buf.resize(length * 2, 0);
                        self.is_stale = true;
                    }
                    if self.handle(length)? && self.reported.as_ref() != Some(&self.listed) {
                        self.reported = Some(self.listed.clone());
                        return Ok(self.listed.clone());
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.is_stale = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a datagram; says whether it completes a list that still holds.
    fn handle(&mut self, length: usize) -> io::Result<bool> {
        let mut done = false;
        for (header, message) in message::messages(&self.buf[..length]) {
            let is_ours = self.is_dumping && header.sequence == self.sequence;
            self.is_stale |= header.interrupted;
            match message {
                Message::DefaultRoute(gateways) if is_ours => self.listed.extend(gateways),
                Message::DefaultRoute(_) | Message::DefaultRouteGone => self.is_stale = true,
                Message::Link(link, _) | Message::LinkGone(link) | Message::AddressGone(link, _) => {
                    self.is_stale |= self.reported.iter().flatten().any(|(through, _)| *through == link);
                }
                Message::Done if is_ours => done = true,
                Message::Error(errno) if is_ours => {
                    (self.is_dumping, self.is_stale) = (false, true);
                    return Err(io::Error::from_raw_os_error(errno));
                }
                _ => {}
            }
        }
        self.is_dumping &= !done;
        Ok(done && !self.is_stale)
    }

    fn request(&mut self) -> io::Result<()> {
        self.listed.clear();
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.get().send(&message::request(Dump::Routes, self.sequence))?;
        (self.is_dumping, self.is_stale) = (true, false);
        Ok(())
    }
}

/// Bytes of a datagram: the kernel fills at most this much of a dump into one.
const DATAGRAM: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Duration};

    use super::*;
    use crate::Namespace;

    const DEADLINE: Duration = Duration::from_secs(10);

    async fn next(gateways: &mut GatewayMonitor) -> Vec<IpAddr> {
        let next = tokio::time::timeout(DEADLINE, gateways.next()).await;
        let next = next.expect("gateways before the deadline").expect("a list");
        next.into_iter().map(|(_, gateway)| gateway).collect()
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[tokio::test]
    async fn default_routes_come_and_go() {
        let namespace = Namespace::new().unwrap_or_else(|error| panic!("run this test as root: {error}"));
        let ip = |words: &str| {
            let words: Vec<String> = words.split(' ').map(ToString::to_string).collect();
            let status = namespace
                .within(move || Command::new("ip").args(&words).status())
                .expect("a thread")
                .expect("ip(8) is installed");
            assert!(status.success());
        };
        let network = namespace.network().expect("a netlink socket");
        network.add_veth("one", &namespace, "two").expect("a veth pair");
        for words in [
            "link set one up",
            "link set two up",
            "addr add 192.0.2.7/24 dev one",
            "addr add 2001:db8::7/64 dev one nodad",
            "route add 198.51.100.0/24 via 192.0.2.9",
        ] {
            ip(words);
        }
        let mut gateways =
            namespace.within(GatewayMonitor::open).expect("a thread").expect("a netlink socket");
        assert_eq!(next(&mut gateways).await, addresses(&[]));
        ip("route add default via 192.0.2.1");
        assert_eq!(next(&mut gateways).await, addresses(&["192.0.2.1"]));
        ip("-6 route add default via 2001:db8::1");
        assert_eq!(next(&mut gateways).await, addresses(&["192.0.2.1", "2001:db8::1"]));
        ip("route replace default nexthop via 192.0.2.2 nexthop via 192.0.2.3");
        assert_eq!(next(&mut gateways).await, addresses(&["192.0.2.2", "192.0.2.3", "2001:db8::1"]));
        ip("route add default via 192.0.2.200 table 77");
        ip("route del default");
        assert_eq!(next(&mut gateways).await, addresses(&["2001:db8::1"]));
        ip("link set one down");
        assert_eq!(next(&mut gateways).await, addresses(&[]));
    }
}
