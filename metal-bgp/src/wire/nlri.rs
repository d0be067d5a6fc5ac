//! Prefixes (RFC 4271 4.3), with and without path identifiers (RFC 7911 3).

use core::{
    iter::FusedIterator,
    marker::PhantomData,
    net::{Ipv4Addr, Ipv6Addr},
};

use ipnet::{Ipv4Net, Ipv6Net};

use super::family::Afi;

/// One route as it goes over the wire: a prefix, and which of several paths to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nlri<P> {
    /// The path identifier, where they are in use.
    pub path_id: Option<u32>,
    /// The prefix. Bits beyond its length are never set in what was read or written.
    pub prefix: P,
}

/// The prefixes of a list that has been checked.
#[derive(Clone, Debug)]
pub struct Prefixes<'a, P> {
    rest: &'a [u8],
    add_path: bool,
    prefixes: PhantomData<P>,
}

/// A prefix of either version.
pub trait Prefix: Copy + core::fmt::Debug + sealed::Sealed {
    /// The address family.
    const AFI: Afi;
    /// The octets of an address.
    const OCTETS: usize;
}

impl Prefix for Ipv4Net {
    const AFI: Afi = Afi::IPV4;
    const OCTETS: usize = 4;
}

impl Prefix for Ipv6Net {
    const AFI: Afi = Afi::IPV6;
    const OCTETS: usize = 16;
}

/// What can be announced or withdrawn: a prefix alone, or with its path identifier. References to them too, which
/// is the fastest way through a slice.
pub trait Route: Copy {
    /// The prefix.
    type Prefix: Prefix;
    /// The prefix.
    fn prefix(&self) -> &Self::Prefix;
    /// The path identifier. A prefix alone has none; where they are in use it gets 0.
    fn path_id(&self) -> Option<u32>;
}

impl<P: Prefix> Route for Nlri<P> {
    type Prefix = P;

    #[inline]
    fn prefix(&self) -> &P {
        &self.prefix
    }

    #[inline]
    fn path_id(&self) -> Option<u32> {
        self.path_id
    }
}

impl Route for Ipv4Net {
    type Prefix = Self;

    #[inline]
    fn prefix(&self) -> &Self {
        self
    }

    #[inline]
    fn path_id(&self) -> Option<u32> {
        None
    }
}

impl Route for Ipv6Net {
    type Prefix = Self;

    #[inline]
    fn prefix(&self) -> &Self {
        self
    }

    #[inline]
    fn path_id(&self) -> Option<u32> {
        None
    }
}

impl<R: Route> Route for &R {
    type Prefix = R::Prefix;

    #[inline]
    fn prefix(&self) -> &Self::Prefix {
        (**self).prefix()
    }

    #[inline]
    fn path_id(&self) -> Option<u32> {
        (**self).path_id()
    }
}

/// What is wrong with a list of prefixes, and at which of its octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadPrefix {
    TooLong { at: usize, length: u8 },
    CutOff { at: usize },
}

impl<'a, P: Prefix> Prefixes<'a, P> {
    /// Checks the whole list; afterwards no prefix can be wrong.
    pub(crate) fn check(bytes: &'a [u8], add_path: bool) -> Result<Self, BadPrefix> {
        let checked = if add_path { check_with_ids::<P>(bytes) } else { check::<P>(bytes) };
        checked.map(|()| Self::checked(bytes, add_path))
    }

    /// A list that was checked before. If it was not, the prefixes end at the first wrong one.
    pub(crate) const fn checked(bytes: &'a [u8], add_path: bool) -> Self {
        Self { rest: bytes, add_path, prefixes: PhantomData }
    }

    /// The prefixes that are still to come, as they go over the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether there is none left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take_path_id(&mut self) -> Option<u32> {
        let (id, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*id))
    }
}

impl Iterator for Prefixes<'_, Ipv4Net> {
    type Item = Nlri<Ipv4Net>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let path_id = if self.add_path { Some(self.take_path_id()?) } else { None };
        // Host routes are predicted, so that the next prefix need not wait for the length of this one.
        if let &[32, a, b, c, d, ref rest @ ..] = self.rest {
            self.rest = rest;
            return Some(Nlri { path_id, prefix: Ipv4Addr::new(a, b, c, d).into() });
        }
        let (bits, length) = take::<4>(&mut self.rest)?;
        let bits = u32::from_be_bytes(bits) & mask4(length);
        let prefix = Ipv4Net::new(Ipv4Addr::from_bits(bits), length).ok()?;
        Some(Nlri { path_id, prefix })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.bounds(5)
    }
}

impl Iterator for Prefixes<'_, Ipv6Net> {
    type Item = Nlri<Ipv6Net>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let path_id = if self.add_path { Some(self.take_path_id()?) } else { None };
        if let [128, rest @ ..] = self.rest
            && let Some((octets, rest)) = rest.split_first_chunk::<16>()
        {
            self.rest = rest;
            return Some(Nlri { path_id, prefix: Ipv6Addr::from(*octets).into() });
        }
        let (bits, length) = take::<16>(&mut self.rest)?;
        let bits = u128::from_be_bytes(bits) & mask6(length);
        let prefix = Ipv6Net::new(Ipv6Addr::from_bits(bits), length).ok()?;
        Some(Nlri { path_id, prefix })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.bounds(17)
    }
}

impl FusedIterator for Prefixes<'_, Ipv4Net> {}
impl FusedIterator for Prefixes<'_, Ipv6Net> {}

impl<P> Prefixes<'_, P> {
    /// From the bytes that are there, whatever any length field says.
    fn bounds(&self, longest: usize) -> (usize, Option<usize>) {
        let ids = if self.add_path { 4 } else { 0 };
        (self.rest.len().div_ceil(longest + ids), Some(self.rest.len() / (1 + ids)))
    }
}

/// Lists on real sessions are mostly runs of one length. Inside a run the next place does not depend on what
/// was just loaded, so the loads overlap.
fn check<P: Prefix>(bytes: &[u8]) -> Result<(), BadPrefix> {
    let mut at = 0;
    while let Some(&length) = bytes.get(at) {
        if usize::from(length) > P::OCTETS * 8 {
            return Err(BadPrefix::TooLong { at, length });
        }
        let stride = 1 + octets(length);
        at += stride;
        while bytes.get(at) == Some(&length) {
            at += stride;
        }
        if at > bytes.len() {
            return Err(BadPrefix::CutOff { at: at - stride });
        }
    }
    Ok(())
}

fn check_with_ids<P: Prefix>(bytes: &[u8]) -> Result<(), BadPrefix> {
    let mut at = 0;
    while at < bytes.len() {
        let Some(&length) = bytes.get(at + PATH_ID) else { return Err(BadPrefix::CutOff { at }) };
        if usize::from(length) > P::OCTETS * 8 {
            return Err(BadPrefix::TooLong { at: at + PATH_ID, length });
        }
        let next = at + PATH_ID + 1 + octets(length);
        if next > bytes.len() {
            return Err(BadPrefix::CutOff { at });
        }
        at = next;
    }
    Ok(())
}

/// The octets of the next prefix, with any that follow it, and its length.
#[inline]
fn take<const N: usize>(rest: &mut &[u8]) -> Option<([u8; N], u8)> {
    let (&length, after) = rest.split_first()?;
    let octets = octets(length);
    if let Some(window) = after.first_chunk() {
        *rest = after.get(octets..)?;
        return Some((*window, length));
    }
    let (last, after) = after.split_at_checked(octets)?;
    let mut window = [0; N];
    window.get_mut(..octets)?.copy_from_slice(last);
    *rest = after;
    Some((window, length))
}

/// The octets that a prefix of this length takes, after the octet with its length.
#[inline]
pub(crate) const fn octets(length: u8) -> usize {
    (length as usize).div_ceil(8)
}

/// The leading bits.
#[inline]
pub(crate) const fn mask4(length: u8) -> u32 {
    match u32::MAX.checked_shl(32_u32.wrapping_sub(length as u32)) {
        Some(mask) => mask,
        None => 0,
    }
}

/// The leading bits.
#[inline]
pub(crate) const fn mask6(length: u8) -> u128 {
    match u128::MAX.checked_shl(128_u32.wrapping_sub(length as u32)) {
        Some(mask) => mask,
        None => 0,
    }
}

/// The octets of a path identifier.
pub(crate) const PATH_ID: usize = 4;

mod sealed {
    pub trait Sealed {}
    impl Sealed for ipnet::Ipv4Net {}
    impl Sealed for ipnet::Ipv6Net {}
}
