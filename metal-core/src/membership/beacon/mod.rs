//! The frames that speakers on one LAN send each other: their bytes and their seal.
//!
//! # On the wire
//! An Ethernet frame (broadcast, or unicast where it answers somebody) with IPv4 `0.0.0.0` to
//! `255.255.255.255`, TTL 1, and UDP 7946 to 7946 without checksum: no IP address is needed and no router
//! passes it on. All numbers are big-endian.
//!
//! | clear header | bytes |
//! | --- | --- |
//! | magic `mtlb` | 4 |
//! | version, 1 | 1 |
//! | kind: 1 beacon, 2 probe, 3 answer to a probe, 4 farewell | 1 |
//! | id of the secret that seals this frame | 4 |
//! | salt of the sender's incarnation | 16 |
//! | sequence: one counter per incarnation over all links and kinds, and the nonce of the seal | 8 |
//! | number of the sender's interface on its host | 4 |
//! | name of that interface, of the node: each a length and UTF-8 | 1+1..15, 1+1..253 |
//!
//! The rest is sealed with ChaCha20-Poly1305. The key is HKDF-SHA256 of the cluster's secret with the salt
//! and `metal beacon v1` plus the node's name; the Ethernet source and the clear header are authenticated.
//! See [`Beacon`], [`Probe`], [`Answer`] and [`Farewell`] for what is inside.
//!
//! # How it can grow
//! A change that old speakers would misread takes a new version, which they refuse and count. Anything else is
//! an extension at the end of the sealed body: type and length, two bytes each, then the value. Unknown types
//! are skipped, unknown flags are ignored.

mod body;
mod codec;
mod frame;
mod page;
mod seal;
#[cfg(test)]
mod tests;

pub use body::{Answer, Beacon, Farewell, Flags, Heard, Message, Probe};
pub use frame::{Envelope, Header, Kind, emit, parse};
pub use page::{Claim, ClaimState, Page};
pub use seal::{Salt, Seal, Secret, key_id, member_hash};

/// The UDP port on both ends.
pub const PORT: u16 = 7946;

/// A random number that only somebody who hears a link now can repeat.
pub type Nonce = [u8; 8];

/// Why a frame is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refused {
    /// It ends before its headers do.
    Incomplete,
    /// Another protocol: not IPv4, UDP 7946 and our magic.
    Foreign,
    /// A version of ours that this program does not know.
    Version,
    /// A wrong checksum or length, or a part that contradicts itself.
    Malformed,
    /// Sealed with a secret that we do not hold.
    Key,
    /// The seal is broken: another secret, or somebody changed the frame.
    Seal,
    /// Its sequence is not newer than what was heard.
    Replayed,
    /// Our own frame came back on the link it was sent on.
    Own,
    /// More members on a link than we keep.
    Crowded,
}

impl Refused {
    /// All reasons, in the order of their counters.
    pub const ALL: [Self; 9] = [
        Self::Incomplete,
        Self::Foreign,
        Self::Version,
        Self::Malformed,
        Self::Key,
        Self::Seal,
        Self::Replayed,
        Self::Own,
        Self::Crowded,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Foreign => "foreign",
            Self::Version => "version",
            Self::Malformed => "malformed",
            Self::Key => "key",
            Self::Seal => "seal",
            Self::Replayed => "replayed",
            Self::Own => "own",
            Self::Crowded => "crowded",
        }
    }
}
