//! ROUTE-REFRESH: send it all again (RFC 2918), and where that begins and ends (RFC 7313).

use alloc::vec::Vec;

use super::{
    EncodeError, Error, ErrorKind, Family,
    family::{Afi, Safi},
    frame::{HEADER_LEN, HeaderError, MARKER, MessageType},
    writer::Writer,
};

/// A ROUTE-REFRESH message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteRefresh {
    /// Of which routes.
    pub family: Family,
    /// What is meant.
    pub subtype: Subtype,
}

/// The octet between AFI and SAFI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subtype {
    /// 0: a request, and all that there is without enhanced route refresh.
    Request,
    /// 1: Beginning of Route Refresh.
    Beginning,
    /// 2: End of Route Refresh.
    End,
    /// To be ignored (RFC 7313 5).
    Unknown(u8),
}

impl RouteRefresh {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// When it is not four octets long.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let &[afi1, afi2, subtype, safi] = body else { return Err(wrong_length(body)) };
        let family = Family::new(Afi(u16::from_be_bytes([afi1, afi2])), Safi(safi));
        Ok(Self { family, subtype: Subtype::from_code(subtype) })
    }

    /// Writes the message and returns its length.
    ///
    /// # Errors
    /// When the buffer is too short for it.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::message(out, MessageType::RouteRefresh)?;
        let [afi1, afi2] = self.family.afi.0.to_be_bytes();
        writer.put(&[afi1, afi2, self.subtype.code(), self.family.safi.0])?;
        writer.finish()
    }
}

impl Subtype {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Beginning => 1,
            Self::End => 2,
            Self::Unknown(code) => code,
        }
    }

    /// The subtype with this number.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Request,
            1 => Self::Beginning,
            2 => Self::End,
            code => Self::Unknown(code),
        }
    }
}

/// Where a refresh begins or ends the data is the whole message (RFC 7313 5); else it is a length like any other.
#[cold]
fn wrong_length(body: &[u8]) -> Error {
    let length = HEADER_LEN.saturating_add(body.len());
    let field = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    if !matches!(body, [_, _, 1 | 2, ..]) {
        return HeaderError::BadMessageLength(field).into();
    }
    let mut message = Vec::with_capacity(length);
    message.extend_from_slice(&MARKER);
    message.extend_from_slice(&field);
    message.push(MessageType::RouteRefresh.code());
    message.extend_from_slice(body);
    Error::new(ErrorKind::RefreshLength(length), LENGTH_OFFSET, &message)
}

/// Where the length is in a message.
const LENGTH_OFFSET: usize = 16;
