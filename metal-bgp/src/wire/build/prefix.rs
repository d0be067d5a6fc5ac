//! Prefixes into a buffer: the tight loops.

use core::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::wire::nlri::{Nlri, PATH_ID, Prefix, mask4, mask6, octets};

/// A prefix that can be written.
pub trait Encode: Prefix {
    /// The longest form, with the octet for the length.
    type Longest: AsRef<[u8]>;
    /// Length and address, without the bits beyond the length, and how many octets of it count.
    fn octets(self) -> (Self::Longest, usize);
}

impl Encode for Ipv4Net {
    type Longest = [u8; 5];

    #[inline]
    fn octets(self) -> (Self::Longest, usize) {
        let length = self.prefix_len();
        let [a, b, c, d] = (self.addr().to_bits() & mask4(length)).to_be_bytes();
        ([length, a, b, c, d], 1 + octets(length))
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
}

/// Writes prefixes until the first that does not fit, which is returned, and says how many octets were written.
#[inline]
pub(crate) fn fill<const LONGEST: usize, P, I>(
    room: &mut [u8],
    prefixes: &mut I,
    first: Option<Nlri<P>>,
    add_path: bool,
) -> (usize, Option<Nlri<P>>)
where
    P: Encode<Longest = [u8; LONGEST]>,
    I: Iterator<Item = Nlri<P>>,
{
    let ids = if add_path { PATH_ID } else { 0 };
    let mut at = 0;
    let mut next = first.or_else(|| prefixes.next());
    while let Some(nlri) = next {
        let (octets, len) = nlri.prefix.octets();
        let Some(rest) = room.get_mut(at..) else { return (at, next) };
        let Some((id, rest)) = rest.split_at_mut_checked(ids) else { return (at, next) };
        match rest.first_chunk_mut::<LONGEST>() {
            // Writes the longest form, of which the next prefix overwrites what does not count.
            Some(window) => *window = octets,
            None => match (rest.get_mut(..len), octets.get(..len)) {
                (Some(rest), Some(octets)) => rest.copy_from_slice(octets),
                _ => return (at, next),
            },
        }
        if let Some(id) = id.first_chunk_mut() {
            *id = nlri.path_id.unwrap_or_default().to_be_bytes();
        }
        at += ids + len;
        next = prefixes.next();
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
