//! What an attribute says, and whether it may say so.

use core::net::Ipv4Addr;

use super::{
    Aigp, AsPath, AttributeCode, Community, ExtendedCommunity, Fault, Flags, Ipv6ExtendedCommunity,
    LargeCommunity, MpReach, MpUnreach, as_path::width,
};
use crate::wire::{Families, List, Peer, Session, list::Item};

/// What an attribute says.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// ORIGIN.
    Origin(Origin),
    /// AS_PATH.
    AsPath(AsPath<'a>),
    /// NEXT_HOP.
    NextHop(Ipv4Addr),
    /// MULTI_EXIT_DISC.
    MultiExitDisc(u32),
    /// LOCAL_PREF.
    LocalPref(u32),
    /// ATOMIC_AGGREGATE.
    AtomicAggregate,
    /// AGGREGATOR.
    Aggregator(Aggregator),
    /// COMMUNITIES.
    Communities(List<'a, Community>),
    /// ORIGINATOR_ID.
    OriginatorId(Ipv4Addr),
    /// CLUSTER_LIST.
    ClusterList(List<'a, Ipv4Addr>),
    /// MP_REACH_NLRI.
    MpReach(MpReach<'a>),
    /// MP_UNREACH_NLRI.
    MpUnreach(MpUnreach<'a>),
    /// EXTENDED COMMUNITIES.
    ExtendedCommunities(List<'a, ExtendedCommunity>),
    /// AS4_PATH.
    As4Path(AsPath<'a>),
    /// AS4_AGGREGATOR.
    As4Aggregator(Aggregator),
    /// IPv6 Address Specific Extended Community.
    Ipv6ExtendedCommunities(List<'a, Ipv6ExtendedCommunity>),
    /// AIGP.
    Aigp(Aigp<'a>),
    /// LARGE_COMMUNITY.
    LargeCommunities(List<'a, LargeCommunity>),
    /// Only to Customer: the AS that said so.
    OnlyToCustomer(u32),
    /// BGP Prefix-SID, as bytes.
    PrefixSid(&'a [u8]),
    /// Not understood: the bytes are kept.
    Unknown(&'a [u8]),
}

/// How a route came into BGP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// From inside of the AS that announced it first.
    Igp,
    /// From EGP.
    Egp,
    /// By other means.
    Incomplete,
}

/// Who formed an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aggregator {
    /// In which AS.
    pub asn: u32,
    /// Which router.
    pub router: Ipv4Addr,
}

/// What decides about an attribute besides itself.
#[derive(Clone, Copy)]
pub(crate) struct Context {
    external: bool,
    four_octet: bool,
    add_path: Families,
    nlri: bool,
    /// Only whether it can be read.
    lenient: bool,
}

impl Context {
    pub(crate) const fn new(session: &Session) -> Self {
        Self {
            external: matches!(session.peer, Peer::External),
            four_octet: session.four_octet_as,
            add_path: session.add_path,
            nlri: false,
            lenient: false,
        }
    }

    /// For whoever wants to know what an attribute says, whether or not it may.
    pub(crate) const fn lenient(self) -> Self {
        Self { lenient: true, ..self }
    }

    /// NEXT_HOP means something only to prefixes in the NLRI field (RFC 4760 3).
    pub(crate) const fn with_nlri(self, nlri: bool) -> Self {
        Self { nlri, ..self }
    }
}

/// Whether an attribute as most UPDATEs have it is good. `false` says nothing: [`check`] decides.
#[inline]
pub(crate) fn is_plainly_good(code: AttributeCode, flags: Flags, bytes: &[u8], context: Context) -> bool {
    match (code.0, flags.kind()) {
        (1, 0x40) => matches!(bytes, [0..=2]),
        (2, 0x40) => match *bytes {
            // One AS_SEQUENCE.
            [2, count @ 1..=u8::MAX, ref asns @ ..]
                if asns.len() == usize::from(count) * width(context.four_octet) =>
            {
                !has_zero(asns, context.four_octet)
            }
            _ => false,
        },
        (3, 0x40) => matches!(*bytes, [a, _, _, _] if is_host(Ipv4Addr::new(a, 0, 0, 0))),
        (4, 0x80) => bytes.len() == 4,
        (5, 0x40) => bytes.len() == 4 && !context.external,
        (8, 0xc0) => whole::<Community>(bytes),
        (16, 0xc0) => whole::<ExtendedCommunity>(bytes),
        (32, 0xc0) => whole::<LargeCommunity>(bytes),
        _ => false,
    }
}

/// What is wrong with an attribute, if anything: whether the peer may send it, then flags, then value.
pub(crate) fn check(code: AttributeCode, flags: Flags, bytes: &[u8], context: Context) -> Option<Fault> {
    use AttributeCode as Code;
    match code {
        // Discarded whatever they say (RFC 7606 7.5, 7.9, 7.10).
        Code::LOCAL_PREF | Code::ORIGINATOR_ID | Code::CLUSTER_LIST
            if context.external && !context.lenient =>
        {
            return Some(Fault::FromExternal(code));
        }
        Code::AS4_PATH | Code::AS4_AGGREGATOR if context.four_octet && !context.lenient => {
            return Some(Fault::FromFourOctet(code));
        }
        _ => {}
    }
    match code {
        // Wrong flags withdraw the prefixes, for which they have to be readable (RFC 7606 3 j).
        Code::MP_REACH_NLRI => {
            if let Err(fault) = MpReach::read(bytes, context.add_path, false) {
                return Some(fault);
            }
        }
        Code::MP_UNREACH_NLRI => {
            if let Err(fault) = MpUnreach::read(bytes, context.add_path, false) {
                return Some(fault);
            }
        }
        _ => {}
    }
    match code.flags() {
        _ if context.lenient => {}
        Some(right) if right.kind() != flags.kind() => return Some(Fault::Flags { code, flags: flags.0 }),
        None if !flags.optional() => return Some(Fault::UnrecognizedWellKnown(code)),
        _ => {}
    }
    let length = Fault::Length { code, length: bytes.len() };
    let right = match code {
        Code::ORIGIN => match *bytes {
            [0..=2] => return None,
            [value] => return Some(Fault::Origin(value)),
            _ => false,
        },
        Code::AS_PATH => return check_path(code, bytes, context.four_octet, context),
        // Confederation segments are dropped from an AS4_PATH, not judged (RFC 6793 6).
        Code::AS4_PATH if !bytes.is_empty() => return check_path(code, bytes, true, context),
        Code::NEXT_HOP => match bytes.try_into().map(u32::from_be_bytes).map(Ipv4Addr::from_bits) {
            Ok(address) if context.nlri && !is_host(address) => return Some(Fault::NextHop(address)),
            address => address.is_ok(),
        },
        Code::MULTI_EXIT_DISC | Code::LOCAL_PREF | Code::ORIGINATOR_ID | Code::ONLY_TO_CUSTOMER => {
            bytes.len() == 4
        }
        Code::ATOMIC_AGGREGATE => bytes.is_empty(),
        Code::AGGREGATOR | Code::AS4_AGGREGATOR => {
            let four_octet = context.four_octet || code == Code::AS4_AGGREGATOR;
            match Aggregator::read(bytes, four_octet) {
                Some(Aggregator { asn: 0, .. }) if !context.lenient => return Some(Fault::AsZero(code)),
                aggregator => aggregator.is_some(),
            }
        }
        Code::COMMUNITIES => whole::<Community>(bytes),
        Code::CLUSTER_LIST => whole::<Ipv4Addr>(bytes),
        Code::EXTENDED_COMMUNITIES => whole::<ExtendedCommunity>(bytes),
        Code::IPV6_EXTENDED_COMMUNITIES => whole::<Ipv6ExtendedCommunity>(bytes),
        Code::LARGE_COMMUNITIES => whole::<LargeCommunity>(bytes),
        Code::AIGP if !Aigp::new(bytes).is_well_formed() => return Some(Fault::Tlv(code)),
        Code::PREFIX_SID if !prefix_sid_is_well_formed(bytes) => return Some(Fault::Tlv(code)),
        Code::AS4_PATH => false,
        _ => true,
    };
    if right { None } else { Some(length) }
}

/// The value of an attribute that has been checked. One that has not is kept as bytes where it does not fit.
impl<'a> Value<'a> {
    #[inline]
    pub(crate) fn read(code: AttributeCode, bytes: &'a [u8], session: &Session) -> Self {
        Self::known(code, bytes, session).unwrap_or(Self::Unknown(bytes))
    }

    fn known(code: AttributeCode, bytes: &'a [u8], session: &Session) -> Option<Self> {
        use AttributeCode as Code;
        let word = || bytes.try_into().ok().map(u32::from_be_bytes);
        let address = || word().map(Ipv4Addr::from_bits);
        Some(match code {
            Code::ORIGIN => Self::Origin(Origin::from_code(*bytes.first()?)?),
            Code::AS_PATH => Self::AsPath(AsPath::new(bytes, session.four_octet_as)),
            Code::NEXT_HOP => Self::NextHop(address()?),
            Code::MULTI_EXIT_DISC => Self::MultiExitDisc(word()?),
            Code::LOCAL_PREF => Self::LocalPref(word()?),
            Code::ATOMIC_AGGREGATE => Self::AtomicAggregate,
            Code::AGGREGATOR => Self::Aggregator(Aggregator::read(bytes, session.four_octet_as)?),
            Code::COMMUNITIES => Self::Communities(List::from_wire(bytes)?),
            Code::ORIGINATOR_ID => Self::OriginatorId(address()?),
            Code::CLUSTER_LIST => Self::ClusterList(List::from_wire(bytes)?),
            Code::MP_REACH_NLRI => Self::MpReach(MpReach::read(bytes, session.add_path, true).ok()?),
            Code::MP_UNREACH_NLRI => Self::MpUnreach(MpUnreach::read(bytes, session.add_path, true).ok()?),
            Code::EXTENDED_COMMUNITIES => Self::ExtendedCommunities(List::from_wire(bytes)?),
            Code::AS4_PATH => Self::As4Path(AsPath::new(bytes, true)),
            Code::AS4_AGGREGATOR => Self::As4Aggregator(Aggregator::read(bytes, true)?),
            Code::IPV6_EXTENDED_COMMUNITIES => Self::Ipv6ExtendedCommunities(List::from_wire(bytes)?),
            Code::AIGP => Self::Aigp(Aigp::new(bytes)),
            Code::LARGE_COMMUNITIES => Self::LargeCommunities(List::from_wire(bytes)?),
            Code::ONLY_TO_CUSTOMER => Self::OnlyToCustomer(word()?),
            Code::PREFIX_SID => Self::PrefixSid(bytes),
            _ => return None,
        })
    }
}

impl Origin {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Igp => 0,
            Self::Egp => 1,
            Self::Incomplete => 2,
        }
    }

    /// The origin with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Igp),
            1 => Some(Self::Egp),
            2 => Some(Self::Incomplete),
            _ => None,
        }
    }
}

impl Aggregator {
    fn read(bytes: &[u8], four_octet: bool) -> Option<Self> {
        let (asn, router) = match *bytes {
            [a, b, c, d, ref router @ ..] if four_octet => (u32::from_be_bytes([a, b, c, d]), router),
            [a, b, ref router @ ..] if !four_octet => (u32::from(u16::from_be_bytes([a, b])), router),
            _ => return None,
        };
        let router = Ipv4Addr::from_bits(u32::from_be_bytes(router.try_into().ok()?));
        Some(Self { asn, router })
    }
}

/// Whether it can be the address of a host on a network (RFC 4271 6.3).
pub(crate) const fn is_host(address: Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..)
}

/// A list that is neither empty nor cut off (RFC 7606 7.8, 7.10, 7.14, 7.15; RFC 8092 6).
fn whole<T: Item>(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len().is_multiple_of(T::LEN)
}

fn check_path(
    code: AttributeCode,
    mut bytes: &[u8],
    four_octet: bool,
    Context { external, lenient, .. }: Context,
) -> Option<Fault> {
    let in_confederation = !external || code == AttributeCode::AS4_PATH;
    while let [kind, count, rest @ ..] = bytes {
        let Some((asns, rest)) = rest.split_at_checked(usize::from(*count) * width(four_octet)) else {
            return Some(match kind {
                1..=4 => Fault::SegmentCutOff(code),
                _ => Fault::SegmentType { code, kind: *kind },
            });
        };
        match kind {
            1..=4 if *count == 0 => return Some(Fault::EmptySegment(code)),
            1..=4 if lenient => {}
            3 | 4 if !in_confederation => return Some(Fault::Confederation),
            1 | 4 => return Some(Fault::AsSet(code)),
            2 | 3 => {}
            kind => return Some(Fault::SegmentType { code, kind: *kind }),
        }
        if !lenient && has_zero(asns, four_octet) {
            return Some(Fault::AsZero(code));
        }
        bytes = rest;
    }
    if bytes.is_empty() { None } else { Some(Fault::SegmentCutOff(code)) }
}

#[inline]
fn has_zero(asns: &[u8], four_octet: bool) -> bool {
    if four_octet {
        asns.as_chunks::<4>().0.iter().any(|asn| u32::from_be_bytes(*asn) == 0)
    } else {
        asns.as_chunks::<2>().0.iter().any(|asn| u16::from_be_bytes(*asn) == 0)
    }
}

/// Whether the TLVs fill the attribute, and those of RFC 8669 3 have a length that they may have.
fn prefix_sid_is_well_formed(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let [kind, high, low, after @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(after) = after.get(len..) else { return false };
        match kind {
            1 if len != 7 => return false,
            3 if len < 8 || !(len - 2).is_multiple_of(6) => return false,
            _ => {}
        }
        rest = after;
    }
    rest.is_empty() && !bytes.is_empty()
}
