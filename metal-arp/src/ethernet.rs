//! Ethernet: station addresses, and the frame that we send.

use core::fmt;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// The address of every station on the LAN.
pub const BROADCAST: Mac = [0xff; 6];

/// Destination, source and EtherType.
pub const HEADER_LEN: usize = 14;

/// The shortest frame that IEEE 802.3 allows, without the check sequence.
pub const MIN_LEN: usize = 60;

/// The longest frame that is not a jumbo frame, with room for one VLAN tag or the check sequence, which some
/// drivers leave on.
pub const MAX_LEN: usize = 1518;

/// Whether `mac` can be the address of one station: neither a group (multicast, broadcast) nor all zero.
#[must_use]
pub const fn is_station(mac: Mac) -> bool {
    mac[0] & 1 == 0 && !matches!(mac, [0, 0, 0, 0, 0, 0])
}

/// Whether a frame says that it carries IPv6.
#[inline]
pub(crate) fn is_ipv6(frame: &[u8]) -> bool {
    frame.get(12..HEADER_LEN) == Some(&[0x86, 0xdd])
}

/// The longest frame that we send: a neighbour solicitation or advertisement with its option.
pub(crate) const MAX_SENT_LEN: usize = 86;

/// A whole frame to send, header included, kept inline.
///
/// It is never shorter than [`MIN_LEN`], padded with zeros, although an ARP frame has 42 bytes of content. A
/// network card would pad it, but virtual links (veth, tap) pass short frames on as they are, and a virtual
/// machine's card or a switch behind them drops them as runts. Zeros of our own also never leak old memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    bytes: [u8; MAX_SENT_LEN],
    len: u8,
}

impl Frame {
    /// The bytes as they go out.
    #[must_use]
    #[inline]
    pub const fn as_bytes(&self) -> &[u8] {
        self.bytes.split_at(self.len as usize).0
    }

    /// Whether it carries IPv6; else it is ARP.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        is_ipv6(self.as_bytes())
    }

    /// With this content, and zeros behind it up to the shortest length.
    #[inline]
    pub(crate) fn padded<const N: usize>(content: &[u8; N]) -> Self {
        let mut frame = Self::empty(N);
        frame.bytes[..N].copy_from_slice(content);
        frame
    }

    /// All zero, to be filled by an `emit` with so much content.
    #[inline]
    pub(crate) const fn empty(content: usize) -> Self {
        assert!(content <= MAX_SENT_LEN, "no frame of ours is as long");
        let len = if content < MIN_LEN { MIN_LEN } else { content };
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        Self { bytes: [0; MAX_SENT_LEN], len: len as u8 }
    }

    #[inline]
    pub(crate) const fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.split_at_mut(self.len as usize).0
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Hexadecimal, for test failures.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:02x?})", self.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_station_is_neither_a_group_nor_nobody() {
        assert!(is_station([0x02, 0, 0, 0, 0, 1]));
        assert!(is_station([0, 0, 0, 0, 0, 1]));
        assert!(!is_station([0; 6]));
        assert!(!is_station(BROADCAST));
        assert!(!is_station([0x01, 0, 0x5e, 0, 0, 1]));
    }
}
