//! Netlink messages about links and addresses, as far as the monitor reads them.
//!
//! They are parsed here and not by a general crate, because one attribute that a newer kernel has changed would cost
//! the whole message, and the host's interfaces would silently be out of date.

use std::net::IpAddr;

use ipnet::IpNet;
use metal_core::view::{Link, LinkIndex};

/// What a dump lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dump {
    Links,
    Addresses,
    Routes,
}

/// The request for a dump.
pub(crate) fn request(dump: Dump, sequence: u32) -> Vec<u8> {
    // Behind the header: a zeroed `ifinfomsg`, `ifaddrmsg` or `rtmsg`, which is "all families, all interfaces".
    let (kind, body) = match dump {
        Dump::Links => (libc::RTM_GETLINK, 16_u8),
        Dump::Addresses => (libc::RTM_GETADDR, 8),
        Dump::Routes => (libc::RTM_GETROUTE, 12),
    };
    let length = HEADER + usize::from(body);
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP).cast_unsigned();
    let mut request = Vec::with_capacity(length);
    request.extend((u32::from(body) + 16).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(u16::try_from(flags).unwrap_or_default().to_ne_bytes());
    request.extend(sequence.to_ne_bytes());
    request.resize(length, 0);
    request
}

/// What matters of a message's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// That of the request that this answers, 0 for a notification.
    pub(crate) sequence: u32,
    /// The state changed while it was being listed: the list is not consistent.
    pub(crate) interrupted: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// An interface, without its addresses.
    Link(LinkIndex, Link),
    LinkGone(LinkIndex),
    /// An address of the host, with its prefix length.
    Address(LinkIndex, IpNet),
    AddressGone(LinkIndex, IpNet),
    /// A route to everywhere: its gateways, each with the interface that reaches it.
    DefaultRoute(Vec<(LinkIndex, IpAddr)>),
    /// A route to somewhere, likewise.
    Route(IpNet, Vec<(LinkIndex, IpAddr)>),
    DefaultRouteGone,
    /// The end of a dump.
    Done,
    /// A request succeeded.
    Acknowledged,
    /// A request failed with this errno.
    Error(i32),
    /// Nothing for us.
    Other,
}

/// The messages of a datagram.
pub(crate) fn messages(datagram: &[u8]) -> impl Iterator<Item = (Header, Message)> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(rest, 0)?).ok()?;
        let (kind, flags, sequence) = (u16_at(rest, 4)?, u16_at(rest, 6)?, u32_at(rest, 8)?);
        let body = rest.get(HEADER..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        let interrupted = i32::from(flags) & libc::NLM_F_DUMP_INTR != 0;
        Some((Header { sequence, interrupted }, parse(kind, body).unwrap_or(Message::Other)))
    })
}

/// The length of `nlmsghdr`.
const HEADER: usize = 16;

fn parse(kind: u16, body: &[u8]) -> Option<Message> {
    Some(match kind {
        libc::RTM_NEWLINK => {
            let (index, link) = link(body)?;
            Message::Link(index, link)
        }
        libc::RTM_DELLINK if is_about_link(body) => Message::LinkGone(u32_at(body, 4)?),
        libc::RTM_NEWADDR => {
            let (index, prefix) = address(body)?;
            Message::Address(index, prefix)
        }
        libc::RTM_DELADDR => {
            let (index, prefix) = address(body)?;
            Message::AddressGone(index, prefix)
        }
        libc::RTM_NEWROUTE => match route(body)? {
            (destination, gateways) if destination.prefix_len() == 0 => Message::DefaultRoute(gateways),
            (destination, gateways) => Message::Route(destination, gateways),
        },
        libc::RTM_DELROUTE if route(body)?.0.prefix_len() == 0 => Message::DefaultRouteGone,
        kind if i32::from(kind) == libc::NLMSG_DONE => Message::Done,
        kind if i32::from(kind) == libc::NLMSG_ERROR => match u32_at(body, 0)?.cast_signed() {
            0 => Message::Acknowledged,
            errno => Message::Error(errno.saturating_neg()),
        },
        _ => Message::Other,
    })
}

/// Bridges tell about their ports in messages of the same type, even in deletions.
fn is_about_link(body: &[u8]) -> bool {
    body.first().is_some_and(|&family| i32::from(family) == libc::AF_UNSPEC)
}

/// `ifinfomsg` and its attributes.
fn link(body: &[u8]) -> Option<(LinkIndex, Link)> {
    if !is_about_link(body) {
        return None;
    }
    let (hardware, index) = (u16_at(body, 2)?, u32_at(body, 4)?);
    let flags = u32_at(body, 8)?.cast_signed();
    let has = |flag| flags & flag != 0;
    let ethernet = hardware == libc::ARPHRD_ETHER;
    let mut name = None;
    let mut mac = [0; 6];
    let mut enslaved = false;
    let mut operational = true;
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            libc::IFLA_IFNAME => {
                let text = value.split(|&byte| byte == 0).next().unwrap_or_default();
                name = Some(String::from_utf8_lossy(text).into_owned());
            }
            libc::IFLA_ADDRESS if ethernet => mac = value.try_into().unwrap_or_default(),
            libc::IFLA_MASTER => enslaved = u32_at(value, 0)? != 0,
            libc::IFLA_OPERSTATE => {
                operational = matches!(value.first(), Some(&(IF_OPER_UNKNOWN | IF_OPER_UP)))
            }
            _ => {}
        }
    }
    let link = Link {
        // Wireless drivers send messages with nothing but an event in them.
        name: name?,
        mac,
        up: has(libc::IFF_UP),
        carrier: has(libc::IFF_LOWER_UP) && operational,
        broadcast: has(libc::IFF_BROADCAST),
        arp: ethernet && !has(libc::IFF_NOARP),
        enslaved,
        prefixes: Vec::new(),
    };
    Some((index, link))
}

/// RFC 2863: the driver does not say.
const IF_OPER_UNKNOWN: u8 = 0;
/// RFC 2863: ready to pass packets.
const IF_OPER_UP: u8 = 6;

/// `ifaddrmsg` and its attributes.
fn address(body: &[u8]) -> Option<(LinkIndex, IpNet)> {
    let (family, length, index) = (*body.first()?, *body.get(1)?, u32_at(body, 4)?);
    let (mut address, mut local) = (None, None);
    for (kind, value) in attributes(body.get(8..)?) {
        match kind {
            libc::IFA_ADDRESS => address = ip(family, value),
            // Our own end of a point-to-point link; there IFA_ADDRESS is the other end.
            libc::IFA_LOCAL => local = ip(family, value),
            _ => {}
        }
    }
    Some((index, IpNet::new(local.or(address)?, length).ok()?))
}

/// `rtmsg` and its attributes, if it is a route of the main table.
fn route(body: &[u8]) -> Option<(IpNet, Vec<(LinkIndex, IpAddr)>)> {
    let (family, length, table, kind) = (*body.first()?, *body.get(1)?, *body.get(4)?, *body.get(7)?);
    if table != libc::RT_TABLE_MAIN || kind != libc::RTN_UNICAST {
        return None;
    }
    // That of a default route is left out.
    let mut destination = match i32::from(family) {
        libc::AF_INET => IpAddr::from([0; 4]),
        _ => IpAddr::from([0; 16]),
    };
    let mut gateways = Vec::new();
    let (mut link, mut gateway) = (None, None);
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            libc::RTA_DST => destination = ip(family, value)?,
            libc::RTA_OIF => link = u32_at(value, 0),
            libc::RTA_GATEWAY => gateway = ip(family, value),
            libc::RTA_VIA => gateway = via(value),
            libc::RTA_MULTIPATH => gateways.extend(next_hops(family, value)),
            _ => {}
        }
    }
    gateways.extend(link.zip(gateway));
    Some((IpNet::new(destination, length).ok()?, gateways))
}

/// `rtvia`: a gateway of another family than the route.
fn via(value: &[u8]) -> Option<IpAddr> {
    ip(u8::try_from(u16_at(value, 0)?).ok()?, value.get(2..)?)
}

/// `rtnexthop`s, each with its attributes.
fn next_hops(family: u8, bytes: &[u8]) -> impl Iterator<Item = (LinkIndex, IpAddr)> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, link) = (usize::from(u16_at(rest, 0)?), u32_at(rest, 4)?);
        let hop = rest.get(8..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        let gateway = attributes(hop).find_map(|(kind, value)| match kind {
            libc::RTA_GATEWAY => ip(family, value),
            libc::RTA_VIA => via(value),
            _ => None,
        });
        Some(gateway.map(|gateway| (link, gateway)))
    })
    .flatten()
}

fn ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
        libc::AF_INET6 => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
        _ => None,
    }
}

/// Type and value of each attribute.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, kind) = (usize::from(u16_at(rest, 0)?), u16_at(rest, 2)?);
        let value = rest.get(4..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        // The upper two bits are flags.
        Some((kind & 0x3fff, value))
    })
}

/// Messages and attributes begin at multiples of four.
const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..)?.first_chunk().copied()?))
}
