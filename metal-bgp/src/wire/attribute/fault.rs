//! What can be wrong with an attribute.

use super::AttributeCode;
use crate::wire::notification::code;

/// What is wrong with an attribute, or with the list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// The list ends inside of an attribute.
    #[error("the list of path attributes ends inside of an attribute")]
    CutOff,
    /// It is there more than once.
    #[error("{0} is there more than once")]
    Duplicate(AttributeCode),
    /// It has to be there, and is not.
    #[error("{0} is missing")]
    Missing(AttributeCode),
    /// It is not optional, and nobody knows it.
    #[error("attribute {} is marked as well-known, but is not known", .0.0)]
    UnrecognizedWellKnown(AttributeCode),
    /// The optional and transitive flags are not those of its type.
    #[error("{code} has the flags {flags:#04x}")]
    Flags {
        /// Which attribute.
        code: AttributeCode,
        /// Its flags.
        flags: u8,
    },
    /// The length is not one that its type may have.
    #[error("{code} has a length of {length}")]
    Length {
        /// Which attribute.
        code: AttributeCode,
        /// The length of its value.
        length: usize,
    },
    /// ORIGIN: a value that is not defined.
    #[error("ORIGIN has the undefined value {0}")]
    Origin(u8),
    /// AS_PATH or AS4_PATH: a segment of a type that is not defined.
    #[error("{code} has a segment of the undefined type {kind}")]
    SegmentType {
        /// Which attribute.
        code: AttributeCode,
        /// The type.
        kind: u8,
    },
    /// AS_PATH or AS4_PATH: a segment without AS numbers.
    #[error("{0} has an empty segment")]
    EmptySegment(AttributeCode),
    /// AS_PATH or AS4_PATH: the last segment is cut off.
    #[error("{0} ends inside of a segment")]
    SegmentCutOff(AttributeCode),
    /// AS 0 (RFC 7607).
    #[error("{0} contains AS 0")]
    AsZero(AttributeCode),
    /// AS_PATH or AS4_PATH: an AS_SET or AS_CONFED_SET (RFC 9774).
    #[error("{0} contains an AS_SET, which is no longer allowed")]
    AsSet(AttributeCode),
    /// AS_PATH: a confederation segment from a peer outside of any confederation of ours (RFC 5065 5).
    #[error("AS_PATH contains a confederation segment, but the peer is external")]
    Confederation,
    /// NEXT_HOP: not the address of a host.
    #[error("NEXT_HOP {0} is not the address of a host")]
    NextHop(core::net::Ipv4Addr),
    /// Not for external peers.
    #[error("{0} from an external peer")]
    FromExternal(AttributeCode),
    /// AS4_PATH or AS4_AGGREGATOR from a peer who needs neither (RFC 6793 3).
    #[error("{0} from a peer that uses four-octet AS numbers")]
    FromFourOctet(AttributeCode),
    /// MP_REACH_NLRI: a next hop of a length that the family does not have, so that the prefixes cannot be found.
    #[error("MP_REACH_NLRI has a next hop of {0} octets")]
    NextHopLength(u8),
    /// MP_REACH_NLRI or MP_UNREACH_NLRI: a prefix with more bits than an address has.
    #[error("{code} has a prefix of {length} bits")]
    PrefixLength {
        /// Which attribute.
        code: AttributeCode,
        /// How long it says it is.
        length: u8,
    },
    /// MP_REACH_NLRI or MP_UNREACH_NLRI: the last prefix is cut off.
    #[error("{0} ends inside of a prefix")]
    PrefixCutOff(AttributeCode),
    /// AIGP or PREFIX_SID: a TLV that is cut off, or too short or too long for its type.
    #[error("{0} has a malformed TLV")]
    Tlv(AttributeCode),
}

impl Fault {
    /// The subcode of an UPDATE Message Error for it (RFC 4271 6.3, 4760 7).
    #[must_use]
    pub const fn subcode(self) -> u8 {
        match self {
            Self::CutOff | Self::Duplicate(_) => 1,
            Self::UnrecognizedWellKnown(_) => 2,
            Self::Missing(_) => 3,
            Self::Flags { .. } => 4,
            Self::Length { code: AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI, .. } => 9,
            Self::Length { .. } => 5,
            Self::Origin(_) => 6,
            Self::NextHop(_) => 8,
            Self::FromExternal(_)
            | Self::FromFourOctet(_)
            | Self::NextHopLength(_)
            | Self::PrefixLength { .. }
            | Self::PrefixCutOff(_)
            | Self::Tlv(_) => 9,
            Self::AsZero(AttributeCode::AGGREGATOR | AttributeCode::AS4_AGGREGATOR) => 9,
            Self::SegmentType { .. }
            | Self::EmptySegment(_)
            | Self::SegmentCutOff(_)
            | Self::AsZero(_)
            | Self::AsSet(_)
            | Self::Confederation => 11,
        }
    }

    /// The error code of all of them.
    #[must_use]
    pub const fn code(self) -> u8 {
        code::UPDATE
    }
}
