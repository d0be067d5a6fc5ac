//! NOTIFICATION: why a session ends (RFC 4271 4.5, 6; RFC 4486, 6608, 7313, 8538, 9003, 9384, 9687).

use core::fmt;

use super::{EncodeError, frame::MessageType, writer::Writer};

/// A NOTIFICATION message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Notification<'a> {
    /// The error code.
    pub code: u8,
    /// The error subcode.
    pub subcode: u8,
    /// What the code and subcode define.
    pub data: &'a [u8],
}

/// The error codes.
pub mod code {
    /// Message Header Error.
    pub const HEADER: u8 = 1;
    /// OPEN Message Error.
    pub const OPEN: u8 = 2;
    /// UPDATE Message Error.
    pub const UPDATE: u8 = 3;
    /// Hold Timer Expired.
    pub const HOLD_TIMER: u8 = 4;
    /// Finite State Machine Error.
    pub const FSM: u8 = 5;
    /// Cease.
    pub const CEASE: u8 = 6;
    /// ROUTE-REFRESH Message Error (RFC 7313).
    pub const ROUTE_REFRESH: u8 = 7;
    /// Send Hold Timer Expired (RFC 9687).
    pub const SEND_HOLD_TIMER: u8 = 8;
}

/// The subcodes of Cease.
pub mod cease {
    /// Maximum Number of Prefixes Reached.
    pub const MAXIMUM_PREFIXES: u8 = 1;
    /// Administrative Shutdown; may carry a text.
    pub const ADMINISTRATIVE_SHUTDOWN: u8 = 2;
    /// Peer De-configured.
    pub const PEER_DECONFIGURED: u8 = 3;
    /// Administrative Reset; may carry a text.
    pub const ADMINISTRATIVE_RESET: u8 = 4;
    /// Connection Rejected.
    pub const CONNECTION_REJECTED: u8 = 5;
    /// Other Configuration Change.
    pub const CONFIGURATION_CHANGE: u8 = 6;
    /// Connection Collision Resolution.
    pub const COLLISION_RESOLUTION: u8 = 7;
    /// Out of Resources.
    pub const OUT_OF_RESOURCES: u8 = 8;
    /// Hard Reset: ends the session even where graceful restart would keep the routes (RFC 8538).
    pub const HARD_RESET: u8 = 9;
    /// BFD Down (RFC 9384).
    pub const BFD_DOWN: u8 = 10;
}

/// The text of an administrative shutdown or reset (RFC 9003), as far as it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Communication<'a> {
    /// What the other operator wrote.
    Text(&'a str),
    /// The length octet does not fit the data, or the text is not UTF-8: to be logged as bytes.
    Unreadable(&'a [u8]),
}

impl<'a> Notification<'a> {
    /// A NOTIFICATION.
    #[must_use]
    pub const fn new(code: u8, subcode: u8, data: &'a [u8]) -> Self {
        Self { code, subcode, data }
    }

    /// Reads the body of a message. A NOTIFICATION is never answered with another one, so nothing in it is an
    /// error: `None` is a body that is too short, which no [`Frame`](super::frame::Frame) has.
    #[must_use]
    pub const fn parse(body: &'a [u8]) -> Option<Self> {
        match body {
            [code, subcode, data @ ..] => Some(Self { code: *code, subcode: *subcode, data }),
            _ => None,
        }
    }

    /// Writes the message and returns its length.
    ///
    /// # Errors
    /// When the buffer is too short for it.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::message(out, MessageType::Notification)?;
        writer.put(&[self.code, self.subcode])?;
        writer.put(self.data)?;
        writer.finish()
    }

    /// The text that explains an administrative shutdown or reset; `None` when there is none.
    #[must_use]
    pub fn communication(&self) -> Option<Communication<'a>> {
        let (cease::ADMINISTRATIVE_SHUTDOWN | cease::ADMINISTRATIVE_RESET) = self.subcode else {
            return None;
        };
        if self.code != code::CEASE {
            return None;
        }
        let (&length, rest) = self.data.split_first()?;
        // What follows the text is ignored, as it would be if a later RFC put something there.
        let text = rest.get(..usize::from(length)).and_then(|text| core::str::from_utf8(text).ok());
        match text {
            Some("") => None,
            Some(text) => Some(Communication::Text(text)),
            None => Some(Communication::Unreadable(self.data)),
        }
    }

    /// The NOTIFICATION inside a Hard Reset: why it really ends (RFC 8538 3.1).
    #[must_use]
    pub const fn hard_reset(&self) -> Option<Self> {
        if self.code == code::CEASE && self.subcode == cease::HARD_RESET {
            Self::parse(self.data)
        } else {
            None
        }
    }

    /// The registered name of the code.
    #[must_use]
    pub const fn code_name(&self) -> Option<&'static str> {
        Some(match self.code {
            code::HEADER => "Message Header Error",
            code::OPEN => "OPEN Message Error",
            code::UPDATE => "UPDATE Message Error",
            code::HOLD_TIMER => "Hold Timer Expired",
            code::FSM => "Finite State Machine Error",
            code::CEASE => "Cease",
            code::ROUTE_REFRESH => "ROUTE-REFRESH Message Error",
            code::SEND_HOLD_TIMER => "Send Hold Timer Expired",
            9 => "Loss of LSDB Synchronization",
            _ => return None,
        })
    }

    /// The registered name of the subcode.
    #[must_use]
    pub const fn subcode_name(&self) -> Option<&'static str> {
        Some(match (self.code, self.subcode) {
            (code::HEADER, 0) | (code::OPEN, 0) | (code::UPDATE, 0) => "Unspecific",
            (code::HEADER, 1) => "Connection Not Synchronized",
            (code::HEADER, 2) => "Bad Message Length",
            (code::HEADER, 3) => "Bad Message Type",
            (code::OPEN, 1) => "Unsupported Version Number",
            (code::OPEN, 2) => "Bad Peer AS",
            (code::OPEN, 3) => "Bad BGP Identifier",
            (code::OPEN, 4) => "Unsupported Optional Parameter",
            (code::OPEN, 5) => "Authentication Failure (deprecated)",
            (code::OPEN, 6) => "Unacceptable Hold Time",
            (code::OPEN, 7) => "Unsupported Capability",
            (code::OPEN, 8) => "Grouping Conflict (deprecated)",
            (code::OPEN, 9) => "Grouping Required (deprecated)",
            (code::OPEN, 10) => "Capability Value Mismatch (deprecated)",
            (code::OPEN, 11) => "Role Mismatch",
            (code::UPDATE, 1) => "Malformed Attribute List",
            (code::UPDATE, 2) => "Unrecognized Well-known Attribute",
            (code::UPDATE, 3) => "Missing Well-known Attribute",
            (code::UPDATE, 4) => "Attribute Flags Error",
            (code::UPDATE, 5) => "Attribute Length Error",
            (code::UPDATE, 6) => "Invalid ORIGIN Attribute",
            (code::UPDATE, 7) => "AS Routing Loop (deprecated)",
            (code::UPDATE, 8) => "Invalid NEXT_HOP Attribute",
            (code::UPDATE, 9) => "Optional Attribute Error",
            (code::UPDATE, 10) => "Invalid Network Field",
            (code::UPDATE, 11) => "Malformed AS_PATH",
            (code::FSM, 0) => "Unspecified Error",
            (code::FSM, 1) => "Receive Unexpected Message in OpenSent State",
            (code::FSM, 2) => "Receive Unexpected Message in OpenConfirm State",
            (code::FSM, 3) => "Receive Unexpected Message in Established State",
            (code::CEASE, cease::MAXIMUM_PREFIXES) => "Maximum Number of Prefixes Reached",
            (code::CEASE, cease::ADMINISTRATIVE_SHUTDOWN) => "Administrative Shutdown",
            (code::CEASE, cease::PEER_DECONFIGURED) => "Peer De-configured",
            (code::CEASE, cease::ADMINISTRATIVE_RESET) => "Administrative Reset",
            (code::CEASE, cease::CONNECTION_REJECTED) => "Connection Rejected",
            (code::CEASE, cease::CONFIGURATION_CHANGE) => "Other Configuration Change",
            (code::CEASE, cease::COLLISION_RESOLUTION) => "Connection Collision Resolution",
            (code::CEASE, cease::OUT_OF_RESOURCES) => "Out of Resources",
            (code::CEASE, cease::HARD_RESET) => "Hard Reset",
            (code::CEASE, cease::BFD_DOWN) => "BFD Down",
            (code::ROUTE_REFRESH, 0) => "Reserved",
            (code::ROUTE_REFRESH, 1) => "Invalid Message Length",
            _ => return None,
        })
    }
}

/// The data of an administrative shutdown or reset with this text (RFC 9003 2), written into `out`. A text of
/// more than 255 octets is cut at a character.
pub fn communicate<'o>(text: &str, out: &'o mut [u8; 256]) -> &'o [u8] {
    let len = text.floor_char_boundary(usize::from(u8::MAX));
    let (length, room) = out.split_at_mut(1);
    if let ([length], Some(room), Some(text)) = (length, room.get_mut(..len), text.as_bytes().get(..len)) {
        *length = u8::try_from(len).unwrap_or(u8::MAX);
        room.copy_from_slice(text);
    }
    out.get(..=len).unwrap_or_default()
}

impl fmt::Display for Notification<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code_name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "error code {}", self.code)?,
        }
        match (self.subcode_name(), self.subcode) {
            (Some(name), _) => write!(f, ": {name}"),
            (None, 0) => Ok(()),
            (None, subcode) => write!(f, ": subcode {subcode}"),
        }
    }
}
