//! What the two sides agreed on, as far as bytes depend on it.

use super::{family::Families, frame::MaxLength};

/// How the bytes of one direction of a session are read, judged and written.
///
/// The default is RFC 4271 alone: an external peer that has no capabilities.
/// [`negotiate`](super::open::negotiate) makes the two of a session, one for each direction, from the OPENs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Session {
    /// Whether the peer is in the same AS.
    pub peer: Peer,
    /// Whether AS numbers in AS_PATH and AGGREGATOR take four octets (RFC 6793).
    pub four_octet_as: bool,
    /// The families whose prefixes have a path identifier in this direction (RFC 7911).
    pub add_path: Families,
    /// How long a message may be in this direction (RFC 8654).
    pub max_length: MaxLength,
}

/// Where the peer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Peer {
    /// In another AS (eBGP).
    #[default]
    External,
    /// In our AS (iBGP).
    Internal,
}
