//! Neighbour Discovery for IPv6 over Ethernet (RFC 4861): a whole frame to a value and back.

use core::{fmt, net::Ipv6Addr};

use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Message, Icmpv6Packet, IpProtocol, Ipv6Packet,
    NdiscNeighborFlags, NdiscOption, NdiscOptionType, RawHardwareAddress,
};

use crate::ethernet::{Frame, HEADER_LEN, MAX_LEN, Mac};

/// What a message does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Who has the target address?
    Solicitation,
    /// The sender has it.
    Advertisement {
        /// R: the sender is a router.
        router: bool,
        /// S: it answers a solicitation.
        solicited: bool,
        /// O: it replaces what the receiver believed.
        overrides: bool,
    },
}

/// A frame with a neighbour solicitation or advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    /// Ethernet destination.
    pub destination: Mac,
    /// Ethernet source.
    pub source: Mac,
    /// IPv6 source; unspecified in a probe for duplicates (RFC 4862).
    pub source_ip: Ipv6Addr,
    /// IPv6 destination.
    pub destination_ip: Ipv6Addr,
    /// Solicitation or advertisement.
    pub kind: Kind,
    /// The address that it is about.
    pub target: Ipv6Addr,
    /// The link-layer address option: the source's in a solicitation, the target's in an advertisement.
    pub mac: Option<Mac>,
}

/// Why a frame is not a [`Packet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// The frame carries another protocol or another message of ICMPv6, or a VLAN tag. A message behind an
    /// extension header is here too: nobody sends that, and behind a fragment header it must be ignored (RFC 6980).
    NotNdp,
    /// The frame says that it is a solicitation or advertisement, and may not be believed.
    Malformed(Malformed),
}

/// What is wrong with a frame: the checks of RFC 4861 7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Malformed {
    /// It ends before the message does.
    TooShort,
    /// It is longer than [`MAX_LEN`]. Up to there trailing bytes are padding or what a switch has appended.
    TooLong,
    /// The version is not 6.
    Version,
    /// The hop limit is not 255: the message may come from outside the LAN.
    HopLimit,
    /// The checksum is wrong.
    Checksum,
    /// The code is not 0.
    Code,
    /// The target is a multicast address.
    Target,
    /// The source is an address that no station sends from.
    Source,
    /// An option has no length, ends outside of the message, or is no Ethernet address although it says so.
    OptionLength,
    /// A probe for duplicates that does not go to a solicited-node group.
    ProbeDestination,
    /// A probe for duplicates that names its sender's Ethernet address.
    ProbeOption,
    /// An advertisement to a group that says it was asked for.
    SolicitedGroup,
}

impl Packet {
    /// Reads a whole Ethernet frame.
    ///
    /// # Errors
    /// When the frame is anything but a valid neighbour solicitation or advertisement.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<Self, Error> {
        let Ok(ethernet) = EthernetFrame::new_checked(frame) else {
            return Err(Malformed::TooShort.into());
        };
        if ethernet.ethertype() != EthernetProtocol::Ipv6 {
            return Err(Error::NotNdp);
        }
        let content = ethernet.payload();
        if content.len() < IP_LEN {
            return Err(Malformed::TooShort.into());
        }
        let ip = Ipv6Packet::new_unchecked(content);
        check(ip.version() == 6, Malformed::Version)?;
        if ip.next_header() != IpProtocol::Icmpv6 {
            return Err(Error::NotNdp);
        }
        check(ip.total_len() <= content.len(), Malformed::TooShort)?;
        let message = ip.payload();
        let icmp = Icmpv6Packet::new_unchecked(message);
        let (asks, option) = match message.first().map(|kind| Icmpv6Message::from(*kind)) {
            None => return Err(Malformed::TooShort.into()),
            Some(Icmpv6Message::NeighborSolicit) => (true, NdiscOptionType::SourceLinkLayerAddr),
            Some(Icmpv6Message::NeighborAdvert) => (false, NdiscOptionType::TargetLinkLayerAddr),
            Some(_) => return Err(Error::NotNdp),
        };
        check(message.len() >= MESSAGE_LEN, Malformed::TooShort)?;
        check(frame.len() <= MAX_LEN, Malformed::TooLong)?;
        check(ip.hop_limit() == HOP_LIMIT, Malformed::HopLimit)?;
        let (source_ip, destination_ip, target) = (ip.src_addr(), ip.dst_addr(), icmp.target_addr());
        check(sum(content, message) == 0xffff, Malformed::Checksum)?;
        check(icmp.msg_code() == 0, Malformed::Code)?;
        check(!target.is_multicast(), Malformed::Target)?;
        check(!source_ip.is_multicast() && !source_ip.is_loopback(), Malformed::Source)?;
        let mac = link_layer_address(&message[MESSAGE_LEN..], option)?;
        let kind = if asks {
            if source_ip.is_unspecified() {
                check(is_solicited_node(destination_ip), Malformed::ProbeDestination)?;
                check(mac.is_none(), Malformed::ProbeOption)?;
            }
            Kind::Solicitation
        } else {
            check(!source_ip.is_unspecified(), Malformed::Source)?;
            let flags = icmp.neighbor_flags();
            let solicited = flags.contains(NdiscNeighborFlags::SOLICITED);
            check(!(solicited && destination_ip.is_multicast()), Malformed::SolicitedGroup)?;
            Kind::Advertisement {
                router: flags.contains(NdiscNeighborFlags::ROUTER),
                solicited,
                overrides: flags.contains(NdiscNeighborFlags::OVERRIDE),
            }
        };
        let (destination, source) = (ethernet.dst_addr().0, ethernet.src_addr().0);
        Ok(Self { destination, source, source_ip, destination_ip, kind, target, mac })
    }

    /// The frame that says this.
    #[must_use]
    #[inline]
    pub fn emit(&self) -> Frame {
        let option = if self.mac.is_some() { OPTION_LEN } else { 0 };
        let length = MESSAGE_LEN + option;
        let mut frame = Frame::empty(HEADER_LEN + IP_LEN + length);
        let mut ethernet = EthernetFrame::new_unchecked(frame.bytes_mut());
        ethernet.set_dst_addr(EthernetAddress(self.destination));
        ethernet.set_src_addr(EthernetAddress(self.source));
        ethernet.set_ethertype(EthernetProtocol::Ipv6);
        let mut ip = Ipv6Packet::new_unchecked(ethernet.payload_mut());
        ip.set_version(6);
        ip.set_payload_len(u16::try_from(length).unwrap_or_default());
        ip.set_next_header(IpProtocol::Icmpv6);
        ip.set_hop_limit(HOP_LIMIT);
        ip.set_src_addr(self.source_ip);
        ip.set_dst_addr(self.destination_ip);
        let message = ip.payload_mut();
        let option_type = match self.kind {
            Kind::Solicitation => NdiscOptionType::SourceLinkLayerAddr,
            Kind::Advertisement { .. } => NdiscOptionType::TargetLinkLayerAddr,
        };
        if let Some(mac) = self.mac {
            let mut option = NdiscOption::new_unchecked(&mut message[MESSAGE_LEN..]);
            option.set_option_type(option_type);
            option.set_data_len(1);
            option.set_link_layer_addr(RawHardwareAddress::from_bytes(&mac));
        }
        let mut icmp = Icmpv6Packet::new_unchecked(message);
        match self.kind {
            Kind::Solicitation => icmp.set_msg_type(Icmpv6Message::NeighborSolicit),
            Kind::Advertisement { router, solicited, overrides } => {
                icmp.set_msg_type(Icmpv6Message::NeighborAdvert);
                let mut flags = NdiscNeighborFlags::empty();
                flags.set(NdiscNeighborFlags::ROUTER, router);
                flags.set(NdiscNeighborFlags::SOLICITED, solicited);
                flags.set(NdiscNeighborFlags::OVERRIDE, overrides);
                icmp.set_neighbor_flags(flags);
            }
        }
        icmp.set_target_addr(self.target);
        let (_, content) = frame.as_bytes().split_at(HEADER_LEN);
        let checksum = !sum(content, &content[IP_LEN..IP_LEN + length]);
        let at = HEADER_LEN + IP_LEN + CHECKSUM;
        frame.bytes_mut()[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        frame
    }

    /// Asks everybody who has `target`, as a host at `mac` with the address `source_ip` does. From the unspecified
    /// address it is a probe for duplicates.
    #[must_use]
    pub const fn solicitation(mac: Mac, source_ip: Ipv6Addr, target: Ipv6Addr) -> Self {
        let group = solicited_node(target);
        Self {
            destination: group_mac(group),
            source: mac,
            source_ip,
            destination_ip: group,
            kind: Kind::Solicitation,
            target,
            mac: if source_ip.is_unspecified() { None } else { Some(mac) },
        }
    }

    /// Tells the station that asked that `address` is at `mac`; everybody, if it asked without an address.
    ///
    /// It overrides what the station believed, because the address may have been elsewhere (RFC 4861 7.2.4), and comes
    /// from the address itself, so the link needs none of its own.
    #[must_use]
    #[inline]
    pub const fn reply(mac: Mac, address: Ipv6Addr, asker_mac: Mac, asker_ip: Ipv6Addr) -> Self {
        if asker_ip.is_unspecified() {
            return Self::unsolicited(mac, address);
        }
        Self {
            destination: asker_mac,
            destination_ip: asker_ip,
            kind: Kind::Advertisement { router: false, solicited: true, overrides: true },
            ..Self::unsolicited(mac, address)
        }
    }

    /// Tells every neighbour that `address` is at `mac` now.
    #[must_use]
    #[inline]
    pub const fn unsolicited(mac: Mac, address: Ipv6Addr) -> Self {
        Self {
            destination: group_mac(ALL_NODES),
            source: mac,
            source_ip: address,
            destination_ip: ALL_NODES,
            kind: Kind::Advertisement { router: false, solicited: false, overrides: true },
            target: address,
            mac: Some(mac),
        }
    }

    /// Tells one neighbour, unasked, that `address` is at `mac` now.
    #[must_use]
    pub const fn unsolicited_to(mac: Mac, address: Ipv6Addr, to_mac: Mac, to_ip: Ipv6Addr) -> Self {
        Self { destination: to_mac, destination_ip: to_ip, ..Self::unsolicited(mac, address) }
    }

    /// Whether it asks if anybody has the address before its sender uses it (RFC 4862 5.4).
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        matches!(self.kind, Kind::Solicitation) && self.source_ip.is_unspecified()
    }

    /// The addresses that the sender says it has.
    #[inline]
    pub(crate) fn claims(&self) -> impl Iterator<Item = Ipv6Addr> {
        let target = matches!(self.kind, Kind::Advertisement { .. }).then_some(self.target);
        target.into_iter().chain([self.source_ip])
    }

    /// The sender's Ethernet address: that of the option, else that of the frame.
    #[must_use]
    #[inline]
    pub const fn sender_mac(&self) -> Mac {
        match self.mac {
            Some(mac) => mac,
            None => self.source,
        }
    }
}

/// The group of every node on the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The group in which whoever has `address` is asked for it (RFC 4291 2.7.1). 2^104 addresses share one.
#[must_use]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(SOLICITED_NODE | address.to_bits() & 0xff_ffff)
}

/// The Ethernet address of a group (RFC 2464 7).
#[must_use]
pub const fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

impl Malformed {
    /// Every value, in the order of the declaration.
    pub const ALL: [Self; 12] = [
        Self::TooShort,
        Self::TooLong,
        Self::Version,
        Self::HopLimit,
        Self::Checksum,
        Self::Code,
        Self::Target,
        Self::Source,
        Self::OptionLength,
        Self::ProbeDestination,
        Self::ProbeOption,
        Self::SolicitedGroup,
    ];

    /// The value of a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooShort => "ndp_too_short",
            Self::TooLong => "ndp_too_long",
            Self::Version => "ndp_version",
            Self::HopLimit => "ndp_hop_limit",
            Self::Checksum => "ndp_checksum",
            Self::Code => "ndp_code",
            Self::Target => "ndp_target",
            Self::Source => "ndp_source",
            Self::OptionLength => "ndp_option_length",
            Self::ProbeDestination => "ndp_probe_destination",
            Self::ProbeOption => "ndp_probe_option",
            Self::SolicitedGroup => "ndp_solicited_group",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNdp => f.write_str("not a neighbour solicitation or advertisement"),
            Self::Malformed(what) => write!(f, "malformed Neighbour Discovery frame: {}", what.as_str()),
        }
    }
}

impl core::error::Error for Error {}

impl From<Malformed> for Error {
    fn from(what: Malformed) -> Self {
        Self::Malformed(what)
    }
}

#[inline]
fn check(holds: bool, what: Malformed) -> Result<(), Malformed> {
    if holds { Ok(()) } else { Err(what) }
}

/// The sum of RFC 1071 over the pseudo header of an IPv6 packet and its message: all ones when the message has the
/// right checksum in it.
#[inline]
fn sum(ip: &[u8], message: &[u8]) -> u16 {
    let addresses = add(&ip[8..IP_LEN]);
    #[expect(clippy::cast_possible_truncation, reason = "no message of a frame is as long")]
    let length_and_kind = message.len() as u32 + u32::from(u8::from(IpProtocol::Icmpv6));
    let mut sum = addresses + u64::from(length_and_kind.to_be()) + add(message);
    while let carry @ 1.. = sum >> 16 {
        sum = (sum & 0xffff) + carry;
    }
    #[expect(clippy::cast_possible_truncation, reason = "folded")]
    let folded = sum as u16;
    u16::from_be(folded)
}

/// The sum of words, four octets at a time and in the processor's own byte order: folded, and turned round once at the
/// end, it is the same (RFC 1071 2).
#[inline]
fn add(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().chain([&last]).map(|word| u64::from(u32::from_ne_bytes(*word))).sum()
}

/// The Ethernet address in the first option of a kind. Other options are skipped, their lengths are not trusted.
#[inline]
fn link_layer_address(mut options: &[u8], wanted: NdiscOptionType) -> Result<Option<Mac>, Malformed> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let length = usize::from(units) * OPTION_LEN;
        check(length != 0 && length <= options.len(), Malformed::OptionLength)?;
        let (option, rest) = options.split_at(length);
        if NdiscOptionType::from(kind) == wanted {
            let &[_, _, a, b, c, d, e, f] = option else { return Err(Malformed::OptionLength) };
            found = found.or(Some([a, b, c, d, e, f]));
        }
        options = rest;
    }
    check(options.is_empty(), Malformed::OptionLength)?;
    Ok(found)
}

const fn is_solicited_node(group: Ipv6Addr) -> bool {
    group.to_bits() >> 24 == SOLICITED_NODE >> 24
}

/// ff02::1:ff00:0/104
const SOLICITED_NODE: u128 = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).to_bits();
const HOP_LIMIT: u8 = 255;
/// The IPv6 header.
const IP_LEN: usize = 40;
/// Where a message has its checksum.
const CHECKSUM: usize = 2;
/// A message without options.
const MESSAGE_LEN: usize = 24;
/// A link-layer address option; also the unit of all options' lengths.
const OPTION_LEN: usize = 8;

#[cfg(test)]
mod tests;
