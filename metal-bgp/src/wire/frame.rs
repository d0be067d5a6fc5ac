//! The message header (RFC 4271 4.1): a byte stream to messages and back.

use alloc::vec::Vec;
use core::{fmt, num::NonZeroUsize, ops::RangeInclusive};

use nom::{
    IResult, Needed,
    bytes::streaming::{tag, take},
    error::{ErrorKind, ParseError},
    number::streaming::{be_u8, be_u16},
};

/// Marker, length and type.
pub const HEADER_LEN: usize = 19;

/// A whole message: its type, and a body whose length is right for the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame<'a> {
    kind: MessageType,
    /// Of the whole message.
    len: u16,
    body: &'a [u8],
}

/// The kinds of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// OPEN (RFC 4271 4.2).
    Open,
    /// UPDATE (RFC 4271 4.3).
    Update,
    /// NOTIFICATION (RFC 4271 4.5).
    Notification,
    /// KEEPALIVE (RFC 4271 4.4).
    Keepalive,
    /// ROUTE-REFRESH (RFC 2918).
    RouteRefresh,
}

/// How long a message may be. OPEN and KEEPALIVE never make use of the extension (RFC 8654 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MaxLength {
    /// 4,096 bytes (RFC 4271).
    #[default]
    Standard,
    /// 65,535 bytes (RFC 8654): for what arrives once we have advertised the capability, for what we send
    /// once the peer has advertised it too.
    Extended,
}

/// Why there is no message at the front of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unframed {
    /// Nothing is wrong so far. `needed` completes the header, or after it the message.
    #[error("incomplete: at least {needed} more bytes are needed")]
    Incomplete {
        /// How many more bytes have to arrive at least.
        needed: NonZeroUsize,
    },
    /// The peer sent what it must not. The session ends; more bytes do not help.
    #[error(transparent)]
    Malformed(#[from] HeaderError),
}

/// A Message Header Error: exactly the NOTIFICATION that the peer gets for it (RFC 4271 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HeaderError {
    /// The marker is not all ones: the peer does not speak BGP, or the stream has slipped.
    #[error("connection not synchronized: the marker is not all ones")]
    ConnectionNotSynchronized,
    /// The length is not allowed for any message, or not for its type. The field as it was received.
    #[error("bad message length: {}", u16::from_be_bytes(*.0))]
    BadMessageLength([u8; 2]),
    /// The type is unknown. The field as it was received.
    #[error("bad message type: {}", .0[0])]
    BadMessageType([u8; 1]),
}

/// The caller's body is too short or too long for a message of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("a body of {body_len} bytes is not allowed in {kind}")]
pub struct WrongBodyLength {
    /// The type.
    pub kind: MessageType,
    /// The length without the header.
    pub body_len: usize,
}

impl<'a> Frame<'a> {
    /// A message to send.
    ///
    /// # Errors
    /// When a message of this type cannot have a body of this length.
    pub fn new(kind: MessageType, body: &'a [u8], max: MaxLength) -> Result<Self, WrongBodyLength> {
        u16::try_from(body.len().saturating_add(HEADER_LEN))
            .ok()
            .filter(|len| kind.lengths(max).contains(len))
            .map(|len| Self { kind, len, body })
            .ok_or(WrongBodyLength { kind, body_len: body.len() })
    }

    /// Reads the message at the front of `input`; [`len`](Self::len) says how many bytes it takes.
    ///
    /// A mistake is found as soon as its byte is in, so nobody waits for the rest of a message that is already
    /// wrong, and it makes no difference where the stream is cut.
    ///
    /// # Errors
    /// When more bytes are needed, or when the header is wrong.
    pub fn parse(input: &'a [u8], max: MaxLength) -> Result<Self, Unframed> {
        match frame(input, max) {
            Ok((_, frame)) => Ok(frame),
            Err(nom::Err::Error(error) | nom::Err::Failure(error)) => Err(Unframed::Malformed(error)),
            Err(nom::Err::Incomplete(needed)) => Err(Unframed::Incomplete {
                needed: match (NonZeroUsize::new(HEADER_LEN.saturating_sub(input.len())), needed) {
                    (Some(for_header), _) => for_header,
                    (None, Needed::Size(for_body)) => for_body,
                    (None, Needed::Unknown) => NonZeroUsize::MIN,
                },
            }),
        }
    }

    /// Appends the message as it goes over the wire.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.reserve(self.len());
        out.extend_from_slice(&MARKER);
        out.extend_from_slice(&self.len.to_be_bytes());
        out.push(self.kind.code());
        out.extend_from_slice(self.body);
    }

    /// What kind of message it is.
    #[must_use]
    pub const fn kind(&self) -> MessageType {
        self.kind
    }

    /// What follows the header.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The length of the whole message, which is never zero.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no message is empty")]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }
}

impl MessageType {
    /// Every kind, in the order of the codes.
    pub const ALL: [Self; 5] =
        [Self::Open, Self::Update, Self::Notification, Self::Keepalive, Self::RouteRefresh];

    /// The number in the header.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Update => 2,
            Self::Notification => 3,
            Self::Keepalive => 4,
            Self::RouteRefresh => 5,
        }
    }

    /// The kind with this number in the header.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Open),
            2 => Some(Self::Update),
            3 => Some(Self::Notification),
            4 => Some(Self::Keepalive),
            5 => Some(Self::RouteRefresh),
            _ => None,
        }
    }

    /// The lengths that a message of this kind may have, header included.
    #[must_use]
    pub const fn lengths(self, max: MaxLength) -> RangeInclusive<u16> {
        match self {
            Self::Open => 29..=MaxLength::Standard.bytes(),
            Self::Update => 23..=max.bytes(),
            Self::Notification => 21..=max.bytes(),
            Self::Keepalive => 19..=19,
            // RFC 2918 3; only outbound route filters (RFC 5291), which nobody offers here, make it longer.
            Self::RouteRefresh => 23..=23,
        }
    }
}

impl MaxLength {
    /// The length of the longest message, header included.
    #[must_use]
    pub const fn bytes(self) -> u16 {
        match self {
            Self::Standard => 4_096,
            Self::Extended => u16::MAX,
        }
    }
}

impl HeaderError {
    /// The error code of the NOTIFICATION: Message Header Error.
    #[must_use]
    pub const fn code(&self) -> u8 {
        1
    }

    /// The error subcode of the NOTIFICATION.
    #[must_use]
    pub const fn subcode(&self) -> u8 {
        match self {
            Self::ConnectionNotSynchronized => 1,
            Self::BadMessageLength(_) => 2,
            Self::BadMessageType(_) => 3,
        }
    }

    /// The data of the NOTIFICATION: the field that was wrong.
    #[must_use]
    pub const fn data(&self) -> &[u8] {
        match self {
            Self::ConnectionNotSynchronized => &[],
            Self::BadMessageLength(field) => field,
            Self::BadMessageType(field) => field,
        }
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "OPEN",
            Self::Update => "UPDATE",
            Self::Notification => "NOTIFICATION",
            Self::Keepalive => "KEEPALIVE",
            Self::RouteRefresh => "ROUTE-REFRESH",
        })
    }
}

/// The marker is the only thing that nom itself can find wrong; everything else it can only find missing.
impl ParseError<&[u8]> for HeaderError {
    fn from_error_kind(_: &[u8], _: ErrorKind) -> Self {
        Self::ConnectionNotSynchronized
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// The checks come in the order of the bytes. Only so a stream that is cut anywhere gives the same answer.
fn frame(input: &[u8], max: MaxLength) -> IResult<&[u8], Frame<'_>, HeaderError> {
    let (rest, _) = tag(MARKER.as_slice())(input)?;
    let (rest, len) = be_u16(rest)?;
    let bad_length = nom::Err::Failure(HeaderError::BadMessageLength(len.to_be_bytes()));
    let body_len = match usize::from(len).checked_sub(HEADER_LEN) {
        Some(body_len) if len <= max.bytes() => body_len,
        _ => return Err(bad_length),
    };
    let (rest, code) = be_u8(rest)?;
    let kind = MessageType::from_code(code).ok_or(nom::Err::Failure(HeaderError::BadMessageType([code])))?;
    if !kind.lengths(max).contains(&len) {
        return Err(bad_length);
    }
    let (rest, body) = take(body_len)(rest)?;
    Ok((rest, Frame { kind, len, body }))
}

const MARKER: [u8; 16] = [0xff; 16];

#[cfg(test)]
mod tests;
