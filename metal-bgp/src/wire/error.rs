//! What can be wrong with a message: each error with its place, and exactly one NOTIFICATION.

use alloc::{boxed::Box, vec::Vec};

use super::{
    attribute::Fault,
    frame::{HeaderError, MessageType},
    notification::{Notification, code},
};

/// Why the session has to end: what is wrong, where, and what the peer is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (at octet {offset} of the message)")]
pub struct Error {
    kind: ErrorKind,
    offset: usize,
    data: Box<[u8]>,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ErrorKind {
    /// The message header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// OPEN: a version other than 4.
    #[error("BGP version {0} is not supported, only 4 is")]
    UnsupportedVersion(u8),
    /// OPEN: AS 0 (RFC 7607), in the fixed field or in the capability.
    #[error("AS 0 must not be used")]
    AsZero,
    /// OPEN: a BGP Identifier of 0 (RFC 6286).
    #[error("the BGP Identifier is 0")]
    BgpIdentifierZero,
    /// OPEN: a hold time of 1 or 2 seconds.
    #[error("a hold time of {0} s: it has to be 0 or at least 3 s")]
    UnacceptableHoldTime(u16),
    /// OPEN: a parameter that is not Capabilities.
    #[error("optional parameter {0} is not supported")]
    UnsupportedOptionalParameter(u8),
    /// OPEN: the optional parameters do not fill their field exactly.
    #[error("the optional parameters do not fit the length of their field")]
    OptionalParameters,
    /// OPEN: a capability that runs over its parameter, or whose length its definition does not allow.
    #[error("capability {0} is malformed")]
    MalformedCapability(u8),
    /// UPDATE: the withdrawn routes would run over the end of the message.
    #[error("{length} octets of withdrawn routes are announced, {room} are left in the message")]
    WithdrawnLength {
        /// What the message says.
        length: u16,
        /// What there is.
        room: usize,
    },
    /// UPDATE: the path attributes would run over the end of the message.
    #[error("{length} octets of path attributes are announced, {room} are left in the message")]
    AttributesLength {
        /// What the message says.
        length: u16,
        /// What there is.
        room: usize,
    },
    /// UPDATE: a prefix with more bits than an address has.
    #[error("a prefix of {length} bits in {field}")]
    PrefixLength {
        /// Where.
        field: Field,
        /// How long it says it is.
        length: u8,
    },
    /// UPDATE: a prefix that is cut off.
    #[error("a prefix is cut off at the end of {0}")]
    PrefixCutOff(Field),
    /// UPDATE: an error of an attribute for which RFC 7606 leaves nothing but to end the session.
    #[error(transparent)]
    Attribute(Fault),
    /// ROUTE-REFRESH: a length that its subtype does not allow (RFC 7313 5).
    #[error("a ROUTE-REFRESH of {0} octets")]
    RefreshLength(usize),
}

/// A list of prefixes in an UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Withdrawn Routes.
    Withdrawn,
    /// Network Layer Reachability Information.
    Nlri,
}

/// Why nothing was written. The buffer may have been written to, but holds no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EncodeError {
    /// The message does not fit into the buffer, or not into the longest message that was agreed on.
    #[error(
        "the message does not fit into {limit} octets: use fewer attributes or prefixes, or a larger buffer"
    )]
    TooLong {
        /// How long it may be.
        limit: usize,
    },
    /// A field of one length octet, or a list, is too long.
    #[error("{0} is too long")]
    FieldTooLong(&'static str),
    /// An attribute without which a receiver would not accept the routes.
    #[error("routes cannot be announced without {0}")]
    Missing(&'static str),
    /// A value that no receiver accepts.
    #[error("{0}")]
    Unacceptable(&'static str),
    /// A message of this type cannot be as short or as long.
    #[error("a {0} cannot have this length")]
    Length(MessageType),
}

impl Error {
    #[cold]
    pub(crate) fn new(kind: ErrorKind, offset: usize, data: &[u8]) -> Self {
        Self { kind, offset, data: Vec::from(data).into_boxed_slice() }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The octet of the message that is wrong. The first of the marker is 0.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// What the peer is told before the connection is closed.
    #[must_use]
    pub fn notification(&self) -> Notification<'_> {
        let (code, subcode) = self.kind.codes();
        Notification::new(code, subcode, &self.data)
    }
}

impl ErrorKind {
    /// The error code and subcode of the NOTIFICATION.
    #[must_use]
    pub const fn codes(&self) -> (u8, u8) {
        match self {
            Self::Header(error) => (error.code(), error.subcode()),
            Self::UnsupportedVersion(_) => (code::OPEN, 1),
            Self::AsZero => (code::OPEN, 2),
            Self::BgpIdentifierZero => (code::OPEN, 3),
            Self::UnsupportedOptionalParameter(_) => (code::OPEN, 4),
            Self::UnacceptableHoldTime(_) => (code::OPEN, 6),
            // A parameter that is recognized, but malformed (RFC 4271 6.2).
            Self::OptionalParameters | Self::MalformedCapability(_) => (code::OPEN, 0),
            Self::WithdrawnLength { .. } | Self::AttributesLength { .. } => (code::UPDATE, 1),
            Self::PrefixLength { .. } | Self::PrefixCutOff(_) => (code::UPDATE, 10),
            Self::Attribute(fault) => (code::UPDATE, fault.subcode()),
            Self::RefreshLength(_) => (code::ROUTE_REFRESH, 1),
        }
    }
}

impl From<HeaderError> for Error {
    fn from(error: HeaderError) -> Self {
        Self::new(ErrorKind::Header(error), error.offset(), error.data())
    }
}

impl core::fmt::Display for Field {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Withdrawn => "the withdrawn routes",
            Self::Nlri => "the NLRI",
        })
    }
}
