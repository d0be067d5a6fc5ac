//! Prefixes into a buffer: the tight loops.

use core::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::wire::nlri::{Nlri, PATH_ID, Prefix, Route, mask4, mask6, octets};

/// A prefix that can be written.
pub trait Encode: Prefix {
    /// The longest form, with the octet for the length.
    type Longest: AsRef<[u8]>;
    /// Length and address, without the bits beyond the length, and how many octets of it count.
    fn octets(self) -> (Self::Longest, usize);
    /// The same of a host route; `None` for any other.
    fn host_octets(self) -> Option<Self::Longest>;
}

impl Encode for Ipv4Net {
    type Longest = [u8; 5];

    #[inline]
    fn octets(self) -> (Self::Longest, usize) {
        let length = self.prefix_len();
        let [a, b, c, d] = (self.addr().to_bits() & mask4(length)).to_be_bytes();
        ([length, a, b, c, d], 1 + octets(length))
    }

    #[inline]
    fn host_octets(self) -> Option<Self::Longest> {
        let [a, b, c, d] = self.addr().octets();
        (self.prefix_len() == 32).then_some([32, a, b, c, d])
    }
}

impl Encode for Ipv6Net {
    type Longest = [u8; 17];

    #[inline]
    fn octets(self) -> (Self::Longest, usize) {
        let length = self.prefix_len();
        let mut longest = [length; 17];
        if let Some(address) = longest.last_chunk_mut() {
            *address = (self.addr().to_bits() & mask6(length)).to_be_bytes();
        }
        (longest, 1 + octets(length))
    }

    #[inline]
    fn host_octets(self) -> Option<Self::Longest> {
        let mut longest = [128; 17];
        if let Some(address) = longest.last_chunk_mut() {
            *address = self.addr().octets();
        }
        (self.prefix_len() == 128).then_some(longest)
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

#[inline]
fn fill_plain<const LONGEST: usize, R, I>(room: &mut [u8], routes: &mut I, first: Option<R>) -> (usize, Option<R>)
where
    R: Route<Prefix: Encode<Longest = [u8; LONGEST]>>,
    I: Iterator<Item = R>,
{
    let mut at = 0;
    let mut next = first;
    while let Some(route) = next {
        let (octets, len) = route.nlri().prefix.octets();
        let Some(rest) = room.get_mut(at..) else { return (at, next) };
        match rest.first_chunk_mut::<LONGEST>() {
            // Writes the longest form, of which the next prefix overwrites what does not count.
            Some(window) => *window = octets,
            None => match (rest.get_mut(..len), octets.get(..len)) {
                (Some(rest), Some(octets)) => rest.copy_from_slice(octets),
                _ => return (at, next),
            },
        }
        at += len;
        next = routes.next();
        // Runs of host routes, which is what services have, need neither a mask nor a place of their own.
        if len == LONGEST {
            let windows = room.get_mut(at..).unwrap_or_default().as_chunks_mut::<LONGEST>().0;
            for window in windows {
                let Some(host) = next.and_then(|route| route.nlri().prefix.host_octets()) else { break };
                *window = host;
                at += LONGEST;
                next = routes.next();
            }
        }
    }
    (at, None)
}

fn fill_with_ids<const LONGEST: usize, R, I>(room: &mut [u8], routes: &mut I, first: Option<R>) -> (usize, Option<R>)
where
    R: Route<Prefix: Encode<Longest = [u8; LONGEST]>>,
    I: Iterator<Item = R>,
{
    let mut at = 0;
    let mut next = first;
    while let Some(route) = next {
        let Nlri { path_id, prefix } = route.nlri();
        let (octets, len) = prefix.octets();
        let Some((id, rest)) = room.get_mut(at..).and_then(<[u8]>::split_first_chunk_mut::<PATH_ID>) else {
            return (at, next);
        };
        let (Some(rest), Some(octets)) = (rest.get_mut(..len), octets.get(..len)) else { return (at, next) };
        *id = path_id.unwrap_or_default().to_be_bytes();
        rest.copy_from_slice(octets);
        at += PATH_ID + len;
        next = routes.next();
    }
    (at, None)
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
