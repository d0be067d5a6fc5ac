//! Communities: plain (RFC 1997), extended (RFC 4360, 5701), large (RFC 8092), link bandwidth (RFC 10005).

use core::{fmt, net::Ipv4Addr, str::FromStr};

use super::AS_TRANS;
use crate::wire::list::Item;

/// A community: an AS and what it means there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Community(pub u32);

/// A large community: an AS of four octets and twice four octets of what it means there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity {
    /// Global Administrator: the AS.
    pub global: u32,
    /// Local Data Part 1.
    pub local1: u32,
    /// Local Data Part 2.
    pub local2: u32,
}

/// An extended community, as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedCommunity(pub [u8; 8]);

/// An IPv6 address specific extended community, as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ipv6ExtendedCommunity(pub [u8; 20]);

/// How much traffic a next hop can take (RFC 10005).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkBandwidth {
    /// Whether it leaves the AS.
    pub transitive: bool,
    /// Who says so. [`AS_TRANS`] stands for an AS that does not fit.
    pub asn: u16,
    /// In octets per second; never negative, always finite.
    pub bytes_per_second: f32,
}

/// Not a community.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a community: write it as {0}")]
pub struct ParseCommunityError(&'static str);

impl Community {
    /// GRACEFUL_SHUTDOWN (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
    /// ACCEPT_OWN (RFC 7611).
    pub const ACCEPT_OWN: Self = Self(0xffff_0001);
    /// LLGR_STALE (RFC 9494).
    pub const LLGR_STALE: Self = Self(0xffff_0006);
    /// NO_LLGR (RFC 9494).
    pub const NO_LLGR: Self = Self(0xffff_0007);
    /// BLACKHOLE (RFC 7999).
    pub const BLACKHOLE: Self = Self(0xffff_029a);
    /// NO_EXPORT (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// NO_ADVERTISE (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    /// NO_EXPORT_SUBCONFED (RFC 1997).
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xffff_ff03);
    /// NOPEER (RFC 3765).
    pub const NO_PEER: Self = Self(0xffff_ff04);

    /// The community of an AS.
    #[must_use]
    pub const fn new(asn: u16, value: u16) -> Self {
        Self((asn as u32) << 16 | value as u32)
    }

    /// The name of a well-known community.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::GRACEFUL_SHUTDOWN => "GRACEFUL_SHUTDOWN",
            Self::ACCEPT_OWN => "ACCEPT_OWN",
            Self::LLGR_STALE => "LLGR_STALE",
            Self::NO_LLGR => "NO_LLGR",
            Self::BLACKHOLE => "BLACKHOLE",
            Self::NO_EXPORT => "NO_EXPORT",
            Self::NO_ADVERTISE => "NO_ADVERTISE",
            Self::NO_EXPORT_SUBCONFED => "NO_EXPORT_SUBCONFED",
            Self::NO_PEER => "NOPEER",
            _ => return None,
        })
    }
}

impl ExtendedCommunity {
    /// Link bandwidth. `asn` is replaced by [`AS_TRANS`] when it does not fit. `None` for a bandwidth that is
    /// negative or not finite, which no receiver uses.
    #[must_use]
    pub fn link_bandwidth(asn: u32, bytes_per_second: f32, transitive: bool) -> Option<Self> {
        if !is_bandwidth(bytes_per_second) {
            return None;
        }
        let [asn1, asn2] = u16::try_from(asn).unwrap_or(AS_TRANS).to_be_bytes();
        let [a, b, c, d] = bytes_per_second.to_be_bytes();
        let kind = if transitive { 0x00 } else { NON_TRANSITIVE };
        Some(Self([kind, LINK_BANDWIDTH, asn1, asn2, a, b, c, d]))
    }

    /// The link bandwidth that it says; `None` when it says something else, or nothing that can be used.
    #[must_use]
    pub fn as_link_bandwidth(self) -> Option<LinkBandwidth> {
        let [kind @ (0x00 | NON_TRANSITIVE), LINK_BANDWIDTH, asn1, asn2, a, b, c, d] = self.0 else {
            return None;
        };
        let bytes_per_second = f32::from_be_bytes([a, b, c, d]);
        is_bandwidth(bytes_per_second).then_some(LinkBandwidth {
            transitive: kind == 0x00,
            asn: u16::from_be_bytes([asn1, asn2]),
            bytes_per_second,
        })
    }

    /// Whether it leaves the AS (RFC 4360 2).
    #[must_use]
    pub const fn is_transitive(self) -> bool {
        self.0[0] & NON_TRANSITIVE == 0
    }
}

fn is_bandwidth(value: f32) -> bool {
    value.is_finite() && value.is_sign_positive()
}

impl Item for Community {
    const LEN: usize = 4;

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self(bytes.first_chunk().copied().map_or(0, u32::from_be_bytes))
    }

    #[inline]
    fn write(self, bytes: &mut [u8]) {
        write(bytes, self.0.to_be_bytes());
    }

    #[inline]
    fn write_all(items: &[Self], bytes: &mut [u8]) {
        for (item, bytes) in items.iter().zip(bytes.as_chunks_mut::<4>().0) {
            *bytes = item.0.to_be_bytes();
        }
    }
}

impl Item for Ipv4Addr {
    const LEN: usize = 4;

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        bytes.first_chunk().copied().map_or(Self::UNSPECIFIED, Self::from)
    }

    #[inline]
    fn write(self, bytes: &mut [u8]) {
        write(bytes, self.octets());
    }
}

impl Item for ExtendedCommunity {
    const LEN: usize = 8;

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self(bytes.first_chunk().copied().unwrap_or_default())
    }

    #[inline]
    fn write(self, bytes: &mut [u8]) {
        write(bytes, self.0);
    }
}

impl Item for Ipv6ExtendedCommunity {
    const LEN: usize = 20;

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self(bytes.first_chunk().copied().unwrap_or_default())
    }

    #[inline]
    fn write(self, bytes: &mut [u8]) {
        write(bytes, self.0);
    }
}

impl Item for LargeCommunity {
    const LEN: usize = 12;

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        let bits = bytes.first_chunk::<12>().copied().unwrap_or_default();
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bits;
        Self {
            global: u32::from_be_bytes([a, b, c, d]),
            local1: u32::from_be_bytes([e, f, g, h]),
            local2: u32::from_be_bytes([i, j, k, l]),
        }
    }

    #[inline]
    fn write(self, bytes: &mut [u8]) {
        let [a, b, c, d] = self.global.to_be_bytes();
        let [e, f, g, h] = self.local1.to_be_bytes();
        let [i, j, k, l] = self.local2.to_be_bytes();
        write(bytes, [a, b, c, d, e, f, g, h, i, j, k, l]);
    }
}

#[inline]
fn write<const N: usize>(bytes: &mut [u8], value: [u8; N]) {
    if let Some(room) = bytes.first_chunk_mut() {
        *room = value;
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff)
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local1, self.local2)
    }
}

impl FromStr for Community {
    type Err = ParseCommunityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = ParseCommunityError("asn:value, both at most 65535");
        let (asn, value) = text.split_once(':').ok_or(error)?;
        Ok(Self::new(asn.parse().map_err(|_| error)?, value.parse().map_err(|_| error)?))
    }
}

impl FromStr for LargeCommunity {
    type Err = ParseCommunityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = ParseCommunityError("asn:value:value, each at most 4294967295");
        let mut parts = text.split(':').map(|part| part.parse().map_err(|_| error));
        let mut next = || parts.next().unwrap_or(Err(error));
        let community = Self { global: next()?, local1: next()?, local2: next()? };
        if parts.next().is_some() { Err(error) } else { Ok(community) }
    }
}

/// The bit of an extended community that does not leave the AS.
const NON_TRANSITIVE: u8 = 0x40;
const LINK_BANDWIDTH: u8 = 0x04;
