//! The header of an attribute: flags, type, length.

use core::fmt;

use super::{Context, Fault, Value, check};
use crate::wire::Session;

/// A path attribute where it lies. Its value may be malformed: [`value`](Self::value) says so.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// The flags as received.
    pub flags: Flags,
    /// The type.
    pub code: AttributeCode,
    /// The octet of the message at which it begins, with the flags.
    pub offset: usize,
    /// The value.
    pub bytes: &'a [u8],
    /// All of it, header included.
    pub raw: &'a [u8],
    pub(crate) session: Session,
    /// Nothing is wrong with it.
    pub(crate) sound: bool,
}

/// An attribute's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeCode(pub u8);

/// An attribute's flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flags(pub u8);

/// The attributes of an UPDATE in their order; ends at one that is cut off.
#[derive(Clone, Debug)]
pub struct AttributeIter<'a> {
    pub(crate) rest: &'a [u8],
    /// Of `rest`, in the message.
    pub(crate) offset: usize,
    pub(crate) session: Session,
    /// Nothing is wrong with any of them.
    pub(crate) sound: bool,
}

impl<'a> Attribute<'a> {
    /// What it says, whether or not it may: an AS_SET, or a LOCAL_PREF from an external peer, is read as well.
    ///
    /// # Errors
    /// When it cannot be read. What follows from that, and from what may not be said, is for
    /// [`validate`](crate::validate::validate()).
    #[inline]
    pub fn value(&self) -> Result<Value<'a>, Fault> {
        // Where nothing in the UPDATE is wrong, nothing is checked again.
        if !self.sound
            && let Some(fault) =
                check(self.code, self.flags, self.bytes, Context::new(&self.session).lenient())
        {
            return Err(fault);
        }
        Ok(Value::read(self.code, self.bytes, &self.session))
    }

    /// Whether the optional and transitive flags are those of its type, if that is understood.
    #[must_use]
    pub fn has_right_flags(&self) -> bool {
        self.code.flags().is_none_or(|right| right.kind() == self.flags.kind())
    }
}

impl<'a> Iterator for AttributeIter<'a> {
    type Item = Attribute<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let Split { flags, code, bytes, raw, rest } = split(self.rest)?;
        let offset = self.offset;
        self.rest = rest;
        self.offset = offset.saturating_add(raw.len());
        let Self { session, sound, .. } = *self;
        Some(Attribute { flags, code, offset, bytes, raw, session, sound })
    }
}

/// The first attribute of a list.
pub(crate) struct Split<'a> {
    pub(crate) flags: Flags,
    pub(crate) code: AttributeCode,
    pub(crate) bytes: &'a [u8],
    pub(crate) raw: &'a [u8],
    pub(crate) rest: &'a [u8],
}

/// Takes the first attribute off a list; `None` when it is cut off.
#[inline]
pub(crate) fn split(list: &[u8]) -> Option<Split<'_>> {
    let &[flags, code, len, ref after @ ..] = list else { return None };
    let (flags, code) = (Flags(flags), AttributeCode(code));
    let (header, len, after) = if flags.extended_length() {
        let (&low, after) = after.split_first()?;
        (4, usize::from(u16::from_be_bytes([len, low])), after)
    } else {
        (3, usize::from(len), after)
    };
    let (bytes, rest) = after.split_at_checked(len)?;
    let raw = list.get(..header + len)?;
    Some(Split { flags, code, bytes, raw, rest })
}

impl Flags {
    /// Well-known: neither optional nor partial, always transitive.
    pub const WELL_KNOWN: Self = Self(0x40);
    /// Optional, passed on by those who do not know it.
    pub const OPTIONAL_TRANSITIVE: Self = Self(0xc0);
    /// Optional, dropped by those who do not know it.
    pub const OPTIONAL: Self = Self(0x80);
    /// Somebody on the way did not know it.
    pub const PARTIAL: Self = Self(0x20);
    /// The length has two octets.
    pub const EXTENDED_LENGTH: Self = Self(0x10);

    /// Whether not everybody has to know it.
    #[must_use]
    pub const fn optional(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// Whether those who do not know it pass it on.
    #[must_use]
    pub const fn transitive(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// Whether somebody on the way did not know it.
    #[must_use]
    pub const fn partial(self) -> bool {
        self.0 & Self::PARTIAL.0 != 0
    }

    /// Whether the length has two octets.
    #[must_use]
    pub const fn extended_length(self) -> bool {
        self.0 & Self::EXTENDED_LENGTH.0 != 0
    }

    /// The two bits that the type decides.
    pub(crate) const fn kind(self) -> u8 {
        self.0 & 0xc0
    }
}

impl AttributeCode {
    /// ORIGIN (RFC 4271).
    pub const ORIGIN: Self = Self(1);
    /// AS_PATH (RFC 4271, 6793).
    pub const AS_PATH: Self = Self(2);
    /// NEXT_HOP (RFC 4271).
    pub const NEXT_HOP: Self = Self(3);
    /// MULTI_EXIT_DISC (RFC 4271).
    pub const MULTI_EXIT_DISC: Self = Self(4);
    /// LOCAL_PREF (RFC 4271).
    pub const LOCAL_PREF: Self = Self(5);
    /// ATOMIC_AGGREGATE (RFC 4271).
    pub const ATOMIC_AGGREGATE: Self = Self(6);
    /// AGGREGATOR (RFC 4271, 6793).
    pub const AGGREGATOR: Self = Self(7);
    /// COMMUNITIES (RFC 1997).
    pub const COMMUNITIES: Self = Self(8);
    /// ORIGINATOR_ID (RFC 4456).
    pub const ORIGINATOR_ID: Self = Self(9);
    /// CLUSTER_LIST (RFC 4456).
    pub const CLUSTER_LIST: Self = Self(10);
    /// MP_REACH_NLRI (RFC 4760).
    pub const MP_REACH_NLRI: Self = Self(14);
    /// MP_UNREACH_NLRI (RFC 4760).
    pub const MP_UNREACH_NLRI: Self = Self(15);
    /// EXTENDED COMMUNITIES (RFC 4360).
    pub const EXTENDED_COMMUNITIES: Self = Self(16);
    /// AS4_PATH (RFC 6793).
    pub const AS4_PATH: Self = Self(17);
    /// AS4_AGGREGATOR (RFC 6793).
    pub const AS4_AGGREGATOR: Self = Self(18);
    /// IPv6 Address Specific Extended Community (RFC 5701).
    pub const IPV6_EXTENDED_COMMUNITIES: Self = Self(25);
    /// AIGP (RFC 7311).
    pub const AIGP: Self = Self(26);
    /// LARGE_COMMUNITY (RFC 8092).
    pub const LARGE_COMMUNITIES: Self = Self(32);
    /// Only to Customer (RFC 9234).
    pub const ONLY_TO_CUSTOMER: Self = Self(35);
    /// BGP Prefix-SID (RFC 8669).
    pub const PREFIX_SID: Self = Self(40);

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "ORIGIN",
            2 => "AS_PATH",
            3 => "NEXT_HOP",
            4 => "MULTI_EXIT_DISC",
            5 => "LOCAL_PREF",
            6 => "ATOMIC_AGGREGATE",
            7 => "AGGREGATOR",
            8 => "COMMUNITIES",
            9 => "ORIGINATOR_ID",
            10 => "CLUSTER_LIST",
            14 => "MP_REACH_NLRI",
            15 => "MP_UNREACH_NLRI",
            16 => "EXTENDED_COMMUNITIES",
            17 => "AS4_PATH",
            18 => "AS4_AGGREGATOR",
            22 => "PMSI_TUNNEL",
            23 => "TUNNEL_ENCAPSULATION",
            24 => "TRAFFIC_ENGINEERING",
            25 => "IPV6_EXTENDED_COMMUNITIES",
            26 => "AIGP",
            27 => "PE_DISTINGUISHER_LABELS",
            29 => "BGP_LS",
            32 => "LARGE_COMMUNITY",
            33 => "BGPSEC_PATH",
            34 => "OPERATIONS_AND_MAINTENANCE",
            35 => "ONLY_TO_CUSTOMER",
            36 => "BGP_DOMAIN_PATH",
            37 => "SFP",
            38 => "BFD_DISCRIMINATOR",
            40 => "PREFIX_SID",
            128 => "ATTR_SET",
            _ => return None,
        })
    }

    /// What the optional and transitive flags have to be; `None` for a type that is not understood.
    #[must_use]
    pub const fn flags(self) -> Option<Flags> {
        Some(match self {
            Self::ORIGIN | Self::AS_PATH | Self::NEXT_HOP | Self::LOCAL_PREF | Self::ATOMIC_AGGREGATE => {
                Flags::WELL_KNOWN
            }
            Self::MULTI_EXIT_DISC
            | Self::ORIGINATOR_ID
            | Self::CLUSTER_LIST
            | Self::MP_REACH_NLRI
            | Self::MP_UNREACH_NLRI
            | Self::AIGP => Flags::OPTIONAL,
            Self::AGGREGATOR
            | Self::COMMUNITIES
            | Self::EXTENDED_COMMUNITIES
            | Self::AS4_PATH
            | Self::AS4_AGGREGATOR
            | Self::IPV6_EXTENDED_COMMUNITIES
            | Self::LARGE_COMMUNITIES
            | Self::ONLY_TO_CUSTOMER
            | Self::PREFIX_SID => Flags::OPTIONAL_TRANSITIVE,
            _ => return None,
        })
    }
}

impl fmt::Display for AttributeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "attribute {}", self.0),
        }
    }
}
