//! A frame and what we own in; the answer, or the reason for silence, out.

use core::{fmt, net::Ipv4Addr};

use crate::{
    arp::{self, Malformed, Operation, Packet},
    ethernet::{BROADCAST, Frame, Mac, is_station},
};

/// Why a frame gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Silence {
    /// Another protocol, or a frame with a VLAN tag.
    NotArp,
    /// An ARP frame that is broken.
    Malformed(Malformed),
    /// The sender gives a MAC that is ours, or that no station can have. Our own frames that come back
    /// through a loop in the network are here too.
    SpoofedSender,
    /// Another station says that it has an address that is ours: a conflict (RFC 5227 2.4).
    SenderClaimsAddress,
    /// A reply; there is nothing to answer.
    NotRequest,
    /// The frame is addressed to another station. Without promiscuous mode this is a multicast.
    NotForUs,
    /// The address that is asked for is not ours.
    NotOwned,
    /// The frame came in on a link that is gone or has not been named; only from an
    /// [`Announcer`](crate::Announcer).
    NoLink,
    /// Too many answers wait to be sent; only from an [`Announcer`](crate::Announcer).
    Backlog,
}

/// The answer to a whole Ethernet frame that came in on a link whose address is `mac`.
///
/// `owned` says whether an address is ours on that link; it is asked at most twice.
///
/// ```
/// # use core::net::Ipv4Addr;
/// # use metal_arp::{Operation, Packet, Silence, reply};
/// # let client = [2, 0, 0, 0, 0, 9];
/// let question = Packet {
///     destination: [0xff; 6],
///     source: client,
///     operation: Operation::Request,
///     sender_mac: client,
///     sender_ip: Ipv4Addr::new(10, 0, 0, 9),
///     target_mac: [0; 6],
///     target_ip: Ipv4Addr::new(10, 0, 0, 1),
/// };
/// let mac = [2, 0, 0, 0, 0, 1];
/// let frame = question.emit();
/// let answer = reply(frame.as_bytes(), mac, |address| address.octets() == [10, 0, 0, 1]).unwrap();
/// assert_eq!(Packet::parse(answer.as_bytes()).unwrap().sender_mac, mac);
/// assert_eq!(reply(frame.as_bytes(), mac, |_| false), Err(Silence::NotOwned));
/// ```
///
/// # Errors
/// The reason why nothing is to be sent.
pub fn reply(frame: &[u8], mac: Mac, owned: impl Fn(Ipv4Addr) -> bool) -> Result<Frame, Silence> {
    Ok(answer(&Packet::parse(frame)?, mac, owned)?.emit())
}

/// [`reply`] between the parser and the emitter.
///
/// # Errors
/// The reason why nothing is to be sent.
#[inline]
pub fn answer(question: &Packet, mac: Mac, owned: impl Fn(Ipv4Addr) -> bool) -> Result<Packet, Silence> {
    let sender = question.sender_mac;
    if !is_station(sender) || sender == mac || question.source == mac {
        return Err(Silence::SpoofedSender);
    }
    // Before all else: a conflict counts in requests and replies alike, whomever they are addressed to
    // (RFC 5227 2.4). A probe has no sender address and claims nothing; it is answered like any request.
    if !question.sender_ip.is_unspecified() && owned(question.sender_ip) {
        return Err(Silence::SenderClaimsAddress);
    }
    if question.operation != Operation::Request {
        return Err(Silence::NotRequest);
    }
    if question.destination != BROADCAST && question.destination != mac {
        return Err(Silence::NotForUs);
    }
    if !owned(question.target_ip) {
        return Err(Silence::NotOwned);
    }
    Ok(Packet::reply(mac, question.target_ip, sender, question.sender_ip))
}

impl Silence {
    /// Every reason, each at its [`index`](Self::index).
    pub const ALL: [Self; 14] = [
        Self::NotArp,
        Self::SpoofedSender,
        Self::SenderClaimsAddress,
        Self::NotRequest,
        Self::NotForUs,
        Self::NotOwned,
        Self::NoLink,
        Self::Backlog,
        Self::Malformed(Malformed::TooShort),
        Self::Malformed(Malformed::TooLong),
        Self::Malformed(Malformed::HardwareType),
        Self::Malformed(Malformed::ProtocolType),
        Self::Malformed(Malformed::AddressLength),
        Self::Malformed(Malformed::Operation),
    ];

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::NotArp => 0,
            Self::SpoofedSender => 1,
            Self::SenderClaimsAddress => 2,
            Self::NotRequest => 3,
            Self::NotForUs => 4,
            Self::NotOwned => 5,
            Self::NoLink => 6,
            Self::Backlog => 7,
            Self::Malformed(what) => 8 + what as usize,
        }
    }

    /// The value of a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotArp => "not_arp",
            Self::Malformed(what) => what.as_str(),
            Self::SpoofedSender => "spoofed_sender",
            Self::SenderClaimsAddress => "sender_claims_address",
            Self::NotRequest => "not_request",
            Self::NotForUs => "not_for_us",
            Self::NotOwned => "not_owned",
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
            arp::Error::Malformed(what) => Self::Malformed(what),
        }
    }
}

#[cfg(test)]
mod tests;
