//! The interfaces of a network namespace, their addresses, and every change of them.

pub(crate) mod message;
mod table;

use std::{collections::VecDeque, io};

use metal_core::view::{Link, LinkIndex};
use socket2::{Domain, Protocol, Socket, Type};

use self::{
    message::{Dump, Message},
    table::Table,
};
use crate::socket::{self, AsyncSocket};

/// A change of the host's interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// An interface is new or has changed; this is all of it.
    Upsert(LinkIndex, Link),
    /// An interface does not exist (in this namespace) any more.
    Removed(LinkIndex),
    /// All interfaces that existed at the start have been reported. Comes once.
    Synced,
}

/// Follows the interfaces of the network namespace of the thread that opens it.
///
/// It starts with an [`Upsert`](LinkEvent::Upsert) for each interface and a [`Synced`](LinkEvent::Synced). Changes that
/// arrive together are merged, and an interface that is as it was last reported is not reported again. Lost
/// notifications (the kernel drops them when nobody reads) cause a new full listing.
///
/// In a [`Link`] from here, `carrier` holds only when the interface may also be used (no 802.1X or lower interface in
/// the way), `arp` only on Ethernet, `mac` is zero where there is no Ethernet address, and `prefixes` hold the
/// interface's own addresses with their lengths, such as 192.0.2.7/24, in ascending order.
#[derive(Debug)]
pub struct LinkMonitor {
    socket: AsyncSocket,
    buf: Vec<u8>,
    table: Table,
    pending: VecDeque<LinkEvent>,
    /// The running dump.
    dump: Option<Dump>,
    /// The state may be stale: a new round of dumps is due.
    stale: bool,
    /// Of the latest dump.
    sequence: u32,
    synced: bool,
}

impl LinkMonitor {
    /// Subscribes to links and addresses.
    ///
    /// # Errors
    /// When the kernel refuses a netlink socket.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn open() -> io::Result<Self> {
        Self::with_receive_buffer(RECEIVE_BUFFER)
    }

    fn with_receive_buffer(bytes: libc::c_int) -> io::Result<Self> {
        let kind = Type::RAW.nonblocking().cloexec();
        let socket =
            Socket::new(Domain::from(libc::AF_NETLINK), kind, Some(Protocol::from(libc::NETLINK_ROUTE)))?;
        socket::raise_receive_buffer(&socket, bytes)?;
        let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        socket.bind(&netlink_address(groups.cast_unsigned()))?;
        // Connected to the kernel, it takes messages from nobody else.
        socket.connect(&netlink_address(0))?;
        Ok(Self {
            socket: AsyncSocket::register(socket)?,
            buf: vec![0; DATAGRAM],
            table: Table::default(),
            pending: VecDeque::new(),
            dump: None,
            stale: true,
            sequence: 0,
            synced: false,
        })
    }

    /// Lists everything anew before the next event. Only differences are reported.
    pub fn resync(&mut self) {
        self.stale = true;
    }

    /// Waits for the next change. Safe to cancel.
    ///
    /// # Errors
    /// When the kernel refuses to list or the socket fails. The next call tries again; let some time pass before.
    pub async fn next(&mut self) -> io::Result<LinkEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(event);
            }
            if self.stale && self.dump.is_none() {
                self.start_round()?;
            }
            let drained = self.read_batch()?;
            if self.dump.is_none() {
                self.pending.extend(self.table.changes());
                if !self.synced && !self.stale {
                    self.synced = true;
                    self.pending.push_back(LinkEvent::Synced);
                }
            }
            if self.pending.is_empty() && !(self.stale && self.dump.is_none()) {
                if drained {
                    let received = self.socket.recv(&mut self.buf).await;
                    self.received(received)?;
                } else {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Handles what has arrived, up to a limit; whether that was all.
    fn read_batch(&mut self) -> io::Result<bool> {
        for _ in 0..BATCH {
            match socket::recv(self.socket.get(), &mut self.buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                received => self.received(received)?,
            }
        }
        Ok(false)
    }

    fn received(&mut self, received: io::Result<usize>) -> io::Result<()> {
        match received {
            Ok(length) => {
                if length == self.buf.len() {
                    // Cut off, perhaps: make room and list anew.
                    self.buf.resize(length * 2, 0);
                    self.stale = true;
                }
                self.handle(length)
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.stale = true;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn handle(&mut self, length: usize) -> io::Result<()> {
        let mut done = false;
        for (header, message) in message::messages(&self.buf[..length]) {
            if header.interrupted {
                self.stale = true;
            }
            match message {
                Message::Link(index, link) => self.table.upsert_link(index, link),
                Message::Address(index, prefix) => self.table.upsert_address(index, prefix),
                Message::LinkGone(index) => {
                    self.table.remove_link(index);
                    self.stale |= self.dump.is_some();
                }
                Message::AddressGone(index, prefix) => {
                    self.table.remove_address(index, prefix);
                    // The running dump may list it behind our back: it is made without the lock of the change.
                    self.stale |= self.dump.is_some();
                }
                Message::Done if header.sequence == self.sequence => done = true,
                Message::Error(errno) if header.sequence == self.sequence => {
                    self.dump = None;
                    self.stale = true;
                    return Err(io::Error::from_raw_os_error(errno));
                }
                Message::DefaultRoute(_)
                | Message::DefaultRouteGone
                | Message::Route(..)
                | Message::Done
                | Message::Acknowledged
                | Message::Error(_)
                | Message::Other => {}
            }
        }
        match self.dump {
            Some(Dump::Links) if done => self.request(Dump::Addresses),
            Some(Dump::Addresses) if done => {
                self.dump = None;
                self.table.end_round();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn start_round(&mut self) -> io::Result<()> {
        self.table.begin_round();
        self.request(Dump::Links)?;
        self.stale = false;
        Ok(())
    }

    fn request(&mut self, dump: Dump) -> io::Result<()> {
        self.dump = None;
        self.sequence = self.sequence.wrapping_add(1);
        if let Err(error) = self.socket.get().send(&message::request(dump, self.sequence)) {
            self.stale = true;
            return Err(error);
        }
        self.dump = Some(dump);
        Ok(())
    }
}

/// Bytes of notifications that may wait while the reader is busy.
const RECEIVE_BUFFER: libc::c_int = 1 << 20;
/// Bytes of a datagram: the kernel fills at most this much of a dump into one.
const DATAGRAM: usize = 32 << 10;
/// Datagrams handled before other tasks get their turn.
const BATCH: usize = 64;

/// The address of a netlink socket in these multicast groups.
pub(crate) fn netlink_address(groups: u32) -> socket2::SockAddr {
    socket::address::<libc::sockaddr_nl>(|address| {
        address.nl_family = socket::family(libc::AF_NETLINK);
        address.nl_groups = groups;
    })
}

#[cfg(test)]
mod tests;
