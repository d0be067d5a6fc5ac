//! The message header (RFC 4271 4.1): a byte stream to messages and back.

use alloc::vec::Vec;
use core::{fmt, num::NonZeroUsize, ops::RangeInclusive};

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
    ConnectionNotSynchronized {
        /// Which octet of the marker is the first to be wrong.
        offset: u8,
    },
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
    #[inline]
    pub fn parse(input: &'a [u8], max: MaxLength) -> Result<Self, Unframed> {
        let Some(header) = input.first_chunk::<HEADER_LEN>() else { return Err(cut_off(input, max)) };
        let &[ref marker @ .., high, low, code] = header;
        if *marker != MARKER {
            return Err(not_synchronized(marker).into());
        }
        let (kind, len) = MessageType::from_header([high, low], code, max)?;
        match input.get(HEADER_LEN..usize::from(len)) {
            Some(body) => Ok(Self { kind, len, body }),
            None => Err(incomplete(usize::from(len), input)),
        }
    }

    /// The two octets with the length.
    pub(crate) const fn length_field(&self) -> [u8; 2] {
        self.len.to_be_bytes()
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
    #[inline]
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

    /// Length first, then type, then both together.
    #[inline]
    fn from_header(field: [u8; 2], code: u8, max: MaxLength) -> Result<(Self, u16), HeaderError> {
        let len = checked_length(field, max)?;
        let kind = Self::from_code(code).ok_or(HeaderError::BadMessageType([code]))?;
        let lengths = kind.lengths(max);
        if lengths.contains(&len) { Ok((kind, len)) } else { Err(HeaderError::BadMessageLength(field)) }
    }

    /// The lengths that a message of this kind may have, header included.
    #[must_use]
    #[inline]
    pub const fn lengths(self, max: MaxLength) -> RangeInclusive<u16> {
        match self {
            Self::Open => 29..=MaxLength::Standard.bytes(),
            Self::Update => 23..=max.bytes(),
            Self::Notification => 21..=max.bytes(),
            Self::Keepalive => 19..=19,
            // What is longer than 23 octets is wrong as well, but which error it is depends on the subtype
            // (RFC 7313 5).
            Self::RouteRefresh => 23..=max.bytes(),
        }
    }
}

impl MaxLength {
    /// The length of the longest message, header included.
    #[must_use]
    #[inline]
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
            Self::ConnectionNotSynchronized { .. } => 1,
            Self::BadMessageLength(_) => 2,
            Self::BadMessageType(_) => 3,
        }
    }

    /// The octet of the message that was wrong.
    #[must_use]
    pub const fn offset(&self) -> usize {
        match self {
            Self::ConnectionNotSynchronized { offset } => *offset as usize,
            Self::BadMessageLength(_) => 16,
            Self::BadMessageType(_) => 18,
        }
    }

    /// The data of the NOTIFICATION: the field that was wrong.
    #[must_use]
    pub const fn data(&self) -> &[u8] {
        match self {
            Self::ConnectionNotSynchronized { .. } => &[],
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

/// What can be said of less than a header. The checks come in the order of the bytes: only so a stream that is cut
/// anywhere gives the same answer.
#[cold]
fn cut_off(input: &[u8], max: MaxLength) -> Unframed {
    let (marker, rest) = input.split_at_checked(MARKER.len()).unwrap_or((input, &[]));
    if marker.iter().any(|octet| *octet != 0xff) {
        return not_synchronized(marker).into();
    }
    match *rest {
        [high, low] => match checked_length([high, low], max) {
            Ok(_) => incomplete(HEADER_LEN, input),
            Err(error) => error.into(),
        },
        _ => incomplete(HEADER_LEN, input),
    }
}

#[cold]
fn not_synchronized(marker: &[u8]) -> HeaderError {
    let offset = marker.iter().position(|octet| *octet != 0xff).unwrap_or_default();
    HeaderError::ConnectionNotSynchronized { offset: u8::try_from(offset).unwrap_or_default() }
}

/// The length, if any message may have it.
#[inline]
fn checked_length(field: [u8; 2], max: MaxLength) -> Result<u16, HeaderError> {
    let len = u16::from_be_bytes(field);
    if usize::from(len) >= HEADER_LEN && len <= max.bytes() {
        Ok(len)
    } else {
        Err(HeaderError::BadMessageLength(field))
    }
}

#[cold]
fn incomplete(wanted: usize, input: &[u8]) -> Unframed {
    let needed = NonZeroUsize::new(wanted.saturating_sub(input.len())).unwrap_or(NonZeroUsize::MIN);
    Unframed::Incomplete { needed }
}

pub(crate) const MARKER: [u8; 16] = [0xff; 16];

#[cfg(test)]
mod tests;
