//! Segments that the kernel has dropped for reasons that are somebody's configuration.

use std::{fs, io};

/// How many TCP segments a network namespace has dropped so far, by reason. The kernel does not say whose they were.
///
/// Who dials and is met by another password does not see it here: it is the other side that drops. What the peer sends
/// to a [`Listener`](super::Listener) counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Not signed, though a password is set for the sender (`TCPMD5NotFound`).
    pub md5_missing: u64,
    /// Signed, though no password is set for the sender (`TCPMD5Unexpected`).
    pub md5_unexpected: u64,
    /// Signed with another password (`TCPMD5Failure`).
    pub md5_wrong: u64,
    /// From farther away than [`Ttl::Gtsm`](super::Ttl::Gtsm) allows, or from somebody who does not use it
    /// (`TCPMinTTLDrop`).
    pub too_far: u64,
}

impl Drops {
    /// Those of the network namespace of the calling thread.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn read() -> io::Result<Self> {
        Ok(Self::parse(&fs::read_to_string("/proc/thread-self/net/netstat")?))
    }

    /// What has been added since `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            md5_missing: self.md5_missing.wrapping_sub(earlier.md5_missing),
            md5_unexpected: self.md5_unexpected.wrapping_sub(earlier.md5_unexpected),
            md5_wrong: self.md5_wrong.wrapping_sub(earlier.md5_wrong),
            too_far: self.too_far.wrapping_sub(earlier.too_far),
        }
    }

    /// A line of names, then one of values; a counter that this kernel lacks stays 0.
    fn parse(text: &str) -> Self {
        let mut drops = Self::default();
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
        let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return drops };
        for (name, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
            let counter = match name {
                "TCPMD5NotFound" => &mut drops.md5_missing,
                "TCPMD5Unexpected" => &mut drops.md5_unexpected,
                "TCPMD5Failure" => &mut drops.md5_wrong,
                "TCPMinTTLDrop" => &mut drops.too_far,
                _ => continue,
            };
            *counter = value.parse().unwrap_or_default();
        }
        drops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_stand_in_two_lines() {
        let text = "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPMinTTLDrop More\n\
                    TcpExt: 1 2 3 4 5 6\nIpExt: TCPMD5NotFound\nIpExt: 9\n";
        let drops = Drops { md5_missing: 2, md5_unexpected: 3, md5_wrong: 4, too_far: 5 };
        assert_eq!(Drops::parse(text), drops);
        assert_eq!(Drops::parse("TcpExt: TCPMD5NotFound\n"), Drops::default());
        assert_eq!(drops.since(Drops { md5_wrong: 1, ..Drops::default() }).md5_wrong, 3);
    }

    #[test]
    fn this_kernel_has_them() {
        let text = fs::read_to_string("/proc/thread-self/net/netstat").unwrap();
        for name in ["TCPMD5NotFound", "TCPMD5Unexpected", "TCPMD5Failure", "TCPMinTTLDrop"] {
            assert!(text.contains(&format!(" {name} ")), "{name}");
        }
        Drops::read().unwrap();
    }
}
