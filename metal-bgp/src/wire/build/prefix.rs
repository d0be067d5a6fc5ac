//! Prefixes into a buffer: the tight loops.

use core::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::wire::nlri::{PATH_ID, Prefix, Route, mask4, mask6, octets};

/// A prefix that can be written.
pub trait Encode: Prefix {
    /// The longest form, with the octet for the length.
    type Longest;
    /// Writes length and address, without the bits beyond the length; how many octets of it count.
    fn write(&self, window: &mut Self::Longest) -> usize;
    /// Writes it if it is a host route; whether it is one.
    fn write_host(&self, window: &mut Self::Longest) -> bool;
}

impl Encode for Ipv4Net {
    type Longest = [u8; 5];

    #[inline]
    fn write(&self, window: &mut Self::Longest) -> usize {
        let [length, address @ ..] = window;
        *length = self.prefix_len();
        *address = (self.addr().to_bits() & mask4(self.prefix_len())).to_be_bytes();
        1 + octets(self.prefix_len())
    }

    #[inline]
    fn write_host(&self, window: &mut Self::Longest) -> bool {
        let is_host = self.prefix_len() == 32;
        if is_host {
            let [length, address @ ..] = window;
            *length = 32;
            *address = self.addr().octets();
        }
        is_host
    }
}

impl Encode for Ipv6Net {
    type Longest = [u8; 17];

    #[inline]
    fn write(&self, window: &mut Self::Longest) -> usize {
        let [length, address @ ..] = window;
        *length = self.prefix_len();
        *address = (self.addr().to_bits() & mask6(self.prefix_len())).to_be_bytes();
        1 + octets(self.prefix_len())
    }

    #[inline]
    fn write_host(&self, window: &mut Self::Longest) -> bool {
        let is_host = self.prefix_len() == 128;
        if is_host {
            let [length, address @ ..] = window;
            *length = 128;
            *address = self.addr().octets();
        }
        is_host
    }
}

/// Writes routes until the first that does not fit, which is returned, and says how many octets were written.
#[inline]
pub(crate) fn fill<const LONGEST: usize, R, I>(
    room: &mut [u8],
    routes: &mut I,
    first: Option<R>,
    add_path: bool,
) -> (usize, Option<R>)
where
    R: Route<Prefix: Encode<Longest = [u8; LONGEST]>>,
    I: Iterator<Item = R>,
{
    let first = first.or_else(|| routes.next());
    if add_path { fill_with_ids(room, routes, first) } else { fill_plain(room, routes, first) }
}

/// A function of its own, so that it is known that buffer and iterator are apart: the iterator stays in registers.
#[inline(never)]
fn fill_plain<const LONGEST: usize, R, I>(
    room: &mut [u8],
    routes: &mut I,
    first: Option<R>,
) -> (usize, Option<R>)
where
    R: Route<Prefix: Encode<Longest = [u8; LONGEST]>>,
    I: Iterator<Item = R>,
{
    let mut at = 0;
    let mut next = first;
    while let Some(route) = next {
        let Some(rest) = room.get_mut(at..) else { return (at, next) };
        match rest.first_chunk_mut::<LONGEST>() {
            // Writes the longest form, of which the next prefix overwrites what does not count.
            Some(window) => at += route.prefix().write(window),
            None => match put_last(route.prefix(), rest) {
                Some(len) => at += len,
                None => return (at, next),
            },
        }
        // Runs of host routes, which is what services have, need neither a mask nor a length of their own.
        let all = room.len();
        let mut rest = room.get_mut(at..).unwrap_or_default();
        next = loop {
            let Some(route) = routes.next() else { break None };
            let Some(window) = rest.first_chunk_mut() else { break Some(route) };
            if !route.prefix().write_host(window) {
                break Some(route);
            }
            rest = rest.get_mut(LONGEST..).unwrap_or_default();
        };
        at = all - rest.len();
    }
    (at, None)
}

#[inline(never)]
fn fill_with_ids<const LONGEST: usize, R, I>(
    room: &mut [u8],
    routes: &mut I,
    first: Option<R>,
) -> (usize, Option<R>)
where
    R: Route<Prefix: Encode<Longest = [u8; LONGEST]>>,
    I: Iterator<Item = R>,
{
    let mut at = 0;
    let mut next = first;
    while let Some(route) = next {
        let prefix = route.prefix();
        let Some((id, rest)) = room.get_mut(at..).and_then(<[u8]>::split_first_chunk_mut::<PATH_ID>) else {
            return (at, next);
        };
        let len = match rest.first_chunk_mut::<LONGEST>() {
            Some(window) => prefix.write(window),
            None => match put_last(prefix, rest) {
                Some(len) => len,
                None => return (at, next),
            },
        };
        *id = route.path_id().unwrap_or_default().to_be_bytes();
        at += PATH_ID + len;
        next = routes.next();
    }
    (at, None)
}

/// A prefix where there is no room for the longest one: its length, or `None` if it does not fit either.
#[cold]
fn put_last<const LONGEST: usize, P>(prefix: &P, rest: &mut [u8]) -> Option<usize>
where
    P: Encode<Longest = [u8; LONGEST]>,
{
    let mut window = [0; LONGEST];
    let len = prefix.write(&mut window);
    rest.get_mut(..len)?.copy_from_slice(window.get(..len)?);
    Some(len)
}

/// Whether a next hop of this address can be used by anybody.
pub(crate) fn is_reachable(address: Ipv6Addr) -> bool {
    // An IPv4-mapped address is dropped by some routers and misread by others.
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.to_ipv4_mapped().is_some())
}

/// As a next hop, the address of a host.
pub(crate) fn is_host(address: Ipv4Addr) -> bool {
    crate::wire::attribute::is_host(address)
}
