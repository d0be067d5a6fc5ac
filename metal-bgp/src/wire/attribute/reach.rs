//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760, 2545, 8950).

use core::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::{AttributeCode, Fault};
use crate::wire::{
    Families, Family, Prefixes,
    family::{Afi, Safi},
    nlri::{BadPrefix, Prefix},
};

/// MP_REACH_NLRI.
#[derive(Clone, Debug)]
pub struct MpReach<'a> {
    /// What is reachable.
    pub family: Family,
    /// Through whom; `None` in a family that is not understood.
    pub next_hop: Option<NextHop>,
    /// The next hop as it came.
    pub next_hop_bytes: &'a [u8],
    /// The prefixes.
    pub nlri: MpNlri<'a>,
}

/// MP_UNREACH_NLRI.
#[derive(Clone, Debug)]
pub struct MpUnreach<'a> {
    /// What is no longer reachable.
    pub family: Family,
    /// The prefixes. None at all is the End-of-RIB marker of the family (RFC 4724 2).
    pub nlri: MpNlri<'a>,
}

/// The prefixes of a family.
#[derive(Clone, Debug)]
pub enum MpNlri<'a> {
    /// IPv4 unicast or multicast.
    Ipv4(Prefixes<'a, Ipv4Net>),
    /// IPv6 unicast or multicast.
    Ipv6(Prefixes<'a, Ipv6Net>),
    /// Another family, as bytes.
    Other(&'a [u8]),
}

/// Through whom prefixes are reachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    /// An IPv4 address, for IPv4 prefixes.
    V4(Ipv4Addr),
    /// An IPv6 address. For IPv4 prefixes the peer has to have extended next hop (RFC 8950).
    V6(Ipv6Addr),
    /// A global IPv6 address, and the link-local one for peers on the same link (RFC 2545 3).
    V6Pair {
        /// The global address.
        global: Ipv6Addr,
        /// The link-local address.
        link_local: Ipv6Addr,
    },
}

impl<'a> MpReach<'a> {
    /// Reads the value of the attribute. Prefixes that were `checked` before are not checked again.
    pub(crate) fn read(bytes: &'a [u8], add_path: Families, checked: bool) -> Result<Self, Fault> {
        let length = Fault::Length { code: AttributeCode::MP_REACH_NLRI, length: bytes.len() };
        let &[afi1, afi2, safi, hop_len, ref rest @ ..] = bytes else { return Err(length) };
        let family = Family::new(Afi(u16::from_be_bytes([afi1, afi2])), Safi(safi));
        let bad_hop = Fault::NextHopLength(hop_len);
        let (next_hop_bytes, rest) = rest.split_at_checked(usize::from(hop_len)).ok_or(bad_hop)?;
        // The octet after the next hop is reserved; its value is ignored.
        let (_, nlri) = rest.split_first().ok_or(bad_hop)?;
        let next_hop = NextHop::read(next_hop_bytes);
        match (family.is_understood(), family.afi, next_hop) {
            (true, _, None) | (true, Afi::IPV6, Some(NextHop::V4(_))) => return Err(bad_hop),
            _ => {}
        }
        let nlri = MpNlri::read(family, nlri, add_path, AttributeCode::MP_REACH_NLRI, checked)?;
        let next_hop = next_hop.filter(|_| family.is_understood());
        Ok(Self { family, next_hop, next_hop_bytes, nlri })
    }
}

impl<'a> MpUnreach<'a> {
    /// Reads the value of the attribute. Prefixes that were `checked` before are not checked again.
    pub(crate) fn read(bytes: &'a [u8], add_path: Families, checked: bool) -> Result<Self, Fault> {
        let &[afi1, afi2, safi, ref nlri @ ..] = bytes else {
            return Err(Fault::Length { code: AttributeCode::MP_UNREACH_NLRI, length: bytes.len() });
        };
        let family = Family::new(Afi(u16::from_be_bytes([afi1, afi2])), Safi(safi));
        let nlri = MpNlri::read(family, nlri, add_path, AttributeCode::MP_UNREACH_NLRI, checked)?;
        Ok(Self { family, nlri })
    }
}

impl<'a> MpNlri<'a> {
    fn read(
        family: Family,
        bytes: &'a [u8],
        add_path: Families,
        code: AttributeCode,
        checked: bool,
    ) -> Result<Self, Fault> {
        let add_path = add_path.contains(family);
        match (family.is_understood(), family.afi) {
            (true, Afi::IPV4) => prefixes(bytes, add_path, code, checked).map(Self::Ipv4),
            (true, Afi::IPV6) => prefixes(bytes, add_path, code, checked).map(Self::Ipv6),
            _ => Ok(Self::Other(bytes)),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// As it came.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Ipv4(prefixes) => prefixes.as_bytes(),
            Self::Ipv6(prefixes) => prefixes.as_bytes(),
            Self::Other(bytes) => bytes,
        }
    }
}

impl NextHop {
    fn read(bytes: &[u8]) -> Option<Self> {
        if let Ok(bits) = bytes.try_into() {
            return Some(Self::V4(Ipv4Addr::from_bits(u32::from_be_bytes(bits))));
        }
        if let Ok(bits) = bytes.try_into() {
            return Some(Self::V6(Ipv6Addr::from_bits(u128::from_be_bytes(bits))));
        }
        let (global, link_local) = bytes.split_first_chunk()?;
        Some(Self::V6Pair {
            global: Ipv6Addr::from_bits(u128::from_be_bytes(*global)),
            link_local: Ipv6Addr::from_bits(u128::from_be_bytes(link_local.try_into().ok()?)),
        })
    }
}

fn prefixes<P: Prefix>(
    bytes: &[u8],
    add_path: bool,
    code: AttributeCode,
    checked: bool,
) -> Result<Prefixes<'_, P>, Fault> {
    if checked {
        return Ok(Prefixes::checked(bytes, add_path));
    }
    Prefixes::check(bytes, add_path).map_err(|bad| match bad {
        BadPrefix::TooLong { length, .. } => Fault::PrefixLength { code, length },
        BadPrefix::CutOff { .. } => Fault::PrefixCutOff(code),
    })
}
