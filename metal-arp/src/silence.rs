//! Why a frame gets no answer.

use core::fmt;

use crate::{arp, ndp};

/// Why a frame gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Silence {
    /// Neither ARP nor IPv6, or a frame with a VLAN tag.
    NotArp,
    /// IPv6, and neither a neighbour solicitation nor an advertisement.
    NotNdp,
    /// An ARP frame that is broken.
    Arp(arp::Malformed),
    /// A Neighbour Discovery frame that is broken or may not be believed.
    Ndp(ndp::Malformed),
    /// The sender gives a MAC that is ours, or that no station can have. Our own frames that come back
    /// through a loop in the network are here too.
    SpoofedSender,
    /// Another station says that it has an address that is ours: a conflict (RFC 5227 2.4, RFC 4861 7.2.5).
    SenderClaimsAddress,
    /// A reply or advertisement; there is nothing to answer.
    NotRequest,
    /// The frame is addressed to another station. Without promiscuous mode this is a multicast.
    NotForUs,
    /// The address that is asked for is not ours.
    NotOwned,
    /// We still ask ourselves whether somebody has the address; only from an [`Announcer`](crate::Announcer).
    Probing,
    /// The frame came in on a link that is gone or has not been named; only from an
    /// [`Announcer`](crate::Announcer).
    NoLink,
    /// Too many answers wait to be sent; only from an [`Announcer`](crate::Announcer).
    Backlog,
}

impl Silence {
    /// Every reason, each at its [`index`](Self::index).
    pub const ALL: [Self; 28] = [
        Self::NotArp,
        Self::NotNdp,
        Self::SpoofedSender,
        Self::SenderClaimsAddress,
        Self::NotRequest,
        Self::NotForUs,
        Self::NotOwned,
        Self::Probing,
        Self::NoLink,
        Self::Backlog,
        Self::Arp(arp::Malformed::TooShort),
        Self::Arp(arp::Malformed::TooLong),
        Self::Arp(arp::Malformed::HardwareType),
        Self::Arp(arp::Malformed::ProtocolType),
        Self::Arp(arp::Malformed::AddressLength),
        Self::Arp(arp::Malformed::Operation),
        Self::Ndp(ndp::Malformed::TooShort),
        Self::Ndp(ndp::Malformed::TooLong),
        Self::Ndp(ndp::Malformed::Version),
        Self::Ndp(ndp::Malformed::HopLimit),
        Self::Ndp(ndp::Malformed::Checksum),
        Self::Ndp(ndp::Malformed::Code),
        Self::Ndp(ndp::Malformed::Target),
        Self::Ndp(ndp::Malformed::Source),
        Self::Ndp(ndp::Malformed::OptionLength),
        Self::Ndp(ndp::Malformed::ProbeDestination),
        Self::Ndp(ndp::Malformed::ProbeOption),
        Self::Ndp(ndp::Malformed::SolicitedGroup),
    ];

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        const ARP: usize = 10;
        const NDP: usize = ARP + arp::Malformed::ALL.len();
        match self {
            Self::NotArp => 0,
            Self::NotNdp => 1,
            Self::SpoofedSender => 2,
            Self::SenderClaimsAddress => 3,
            Self::NotRequest => 4,
            Self::NotForUs => 5,
            Self::NotOwned => 6,
            Self::Probing => 7,
            Self::NoLink => 8,
            Self::Backlog => 9,
            Self::Arp(what) => ARP + what as usize,
            Self::Ndp(what) => NDP + what as usize,
        }
    }

    /// The value of a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotArp => "not_arp",
            Self::NotNdp => "not_ndp",
            Self::Arp(what) => what.as_str(),
            Self::Ndp(what) => what.as_str(),
            Self::SpoofedSender => "spoofed_sender",
            Self::SenderClaimsAddress => "sender_claims_address",
            Self::NotRequest => "not_request",
            Self::NotForUs => "not_for_us",
            Self::NotOwned => "not_owned",
            Self::Probing => "probing",
            Self::NoLink => "no_link",
            Self::Backlog => "backlog",
        }
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<arp::Error> for Silence {
    fn from(error: arp::Error) -> Self {
        match error {
            arp::Error::NotArp => Self::NotArp,
            arp::Error::Malformed(what) => Self::Arp(what),
        }
    }
}

impl From<ndp::Error> for Silence {
    fn from(error: ndp::Error) -> Self {
        match error {
            ndp::Error::NotNdp => Self::NotNdp,
            ndp::Error::Malformed(what) => Self::Ndp(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn every_reason_has_its_place_and_name() {
        for (index, reason) in Silence::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index, "{reason}");
        }
        for what in arp::Malformed::ALL {
            assert!(Silence::ALL.contains(&Silence::Arp(what)));
        }
        for what in ndp::Malformed::ALL {
            assert!(Silence::ALL.contains(&Silence::Ndp(what)));
        }
        let mut names: Vec<_> = Silence::ALL.map(Silence::as_str).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Silence::ALL.len());
    }
}
