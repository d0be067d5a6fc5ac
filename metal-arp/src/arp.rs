//! ARP for IPv4 over Ethernet (RFC 826): a whole frame to a value and back.

use core::{fmt, net::Ipv4Addr};

use smoltcp::wire::{ArpHardware, ArpPacket, EthernetFrame, EthernetProtocol};

use crate::ethernet::{BROADCAST, Frame, MAX_LEN, Mac};

/// What an ARP packet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has it.
    Reply,
}

/// An ARP frame with its Ethernet header.
///
/// The fields are named as in RFC 5227: MAC for hardware address, IP for protocol address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    /// Ethernet destination.
    pub destination: Mac,
    /// Ethernet source.
    pub source: Mac,
    /// Request or reply.
    pub operation: Operation,
    /// The sender's hardware address, as the ARP packet says it; `source` may differ.
    pub sender_mac: Mac,
    /// The sender's address; 0.0.0.0 in a probe (RFC 5227).
    pub sender_ip: Ipv4Addr,
    /// The target's hardware address; means nothing in a request.
    pub target_mac: Mac,
    /// The address that is asked for, or in a reply the one who asked.
    pub target_ip: Ipv4Addr,
}

/// Why a frame is not a [`Packet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// The frame carries another protocol, or a VLAN tag.
    NotArp,
    /// The frame says that it is ARP, and is broken or of a kind that does not exist on Ethernet with IPv4.
    Malformed(Malformed),
}

/// What is wrong with an ARP frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Malformed {
    /// It ends before the packet does.
    TooShort,
    /// It is longer than [`MAX_LEN`]. Up to there trailing bytes are padding or what a switch has appended,
    /// and are left alone, as the kernel does.
    TooLong,
    /// The hardware type is not Ethernet.
    HardwareType,
    /// The protocol type is not IPv4.
    ProtocolType,
    /// The address lengths are not 6 and 4.
    AddressLength,
    /// The operation is neither request nor reply.
    Operation,
}

impl Packet {
    /// Reads a whole Ethernet frame.
    ///
    /// # Errors
    /// When the frame is anything but a request or reply of ARP for IPv4 over Ethernet.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<Self, Error> {
        // What every good frame says is compared at once; only a bad one is looked at field by field.
        if let Some(content) = frame.first_chunk::<CONTENT_LEN>()
            && frame.len() <= MAX_LEN
            && content[KIND..KIND + ETHERNET_IPV4.len()] == ETHERNET_IPV4
            && let [0, operation @ (REQUEST | REPLY)] = octets(content, OPERATION)
        {
            return Ok(Self {
                destination: octets(content, 0),
                source: octets(content, 6),
                operation: if operation == REQUEST { Operation::Request } else { Operation::Reply },
                sender_mac: octets(content, SENDER_MAC),
                sender_ip: Ipv4Addr::from_octets(octets(content, SENDER_IP)),
                target_mac: octets(content, TARGET_MAC),
                target_ip: Ipv4Addr::from_octets(octets(content, TARGET_IP)),
            });
        }
        Err(why_not(frame))
    }

    /// The frame that says this.
    #[must_use]
    #[inline]
    pub fn emit(&self) -> Frame {
        let mut content = [0; CONTENT_LEN];
        put(&mut content, 0, self.destination);
        put(&mut content, 6, self.source);
        put(&mut content, KIND, ETHERNET_IPV4);
        let operation = match self.operation {
            Operation::Request => REQUEST,
            Operation::Reply => REPLY,
        };
        put(&mut content, OPERATION, [0, operation]);
        put(&mut content, SENDER_MAC, self.sender_mac);
        put(&mut content, SENDER_IP, self.sender_ip.octets());
        put(&mut content, TARGET_MAC, self.target_mac);
        put(&mut content, TARGET_IP, self.target_ip.octets());
        Frame::padded(&content)
    }

    /// Tells the station that asked that `address` is at `mac`.
    #[must_use]
    #[inline]
    pub const fn reply(mac: Mac, address: Ipv4Addr, asker_mac: Mac, asker_ip: Ipv4Addr) -> Self {
        Self {
            destination: asker_mac,
            source: mac,
            operation: Operation::Reply,
            sender_mac: mac,
            sender_ip: address,
            target_mac: asker_mac,
            target_ip: asker_ip,
        }
    }

    /// Gratuitous ARP: tells every neighbour that `address` is at `mac` now.
    ///
    /// Some neighbours update their caches only from a request, some only from a reply, so both forms are
    /// sent. The target MAC is broadcast in both, as MetalLB has it; nobody reads it in a request.
    #[must_use]
    pub const fn gratuitous(operation: Operation, mac: Mac, address: Ipv4Addr) -> Self {
        Self {
            destination: BROADCAST,
            source: mac,
            operation,
            sender_mac: mac,
            sender_ip: address,
            target_mac: BROADCAST,
            target_ip: address,
        }
    }

    /// Asks everybody whether somebody has `address`, without claiming it (RFC 5227 2.1).
    #[must_use]
    pub const fn probe(mac: Mac, address: Ipv4Addr) -> Self {
        Self {
            destination: BROADCAST,
            source: mac,
            operation: Operation::Request,
            sender_mac: mac,
            sender_ip: Ipv4Addr::UNSPECIFIED,
            target_mac: [0; 6],
            target_ip: address,
        }
    }
}

impl Malformed {
    /// Every value, in the order of the declaration.
    pub const ALL: [Self; 6] = [
        Self::TooShort,
        Self::TooLong,
        Self::HardwareType,
        Self::ProtocolType,
        Self::AddressLength,
        Self::Operation,
    ];

    /// The value of a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::HardwareType => "hardware_type",
            Self::ProtocolType => "protocol_type",
            Self::AddressLength => "address_length",
            Self::Operation => "operation",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotArp => f.write_str("not an ARP frame"),
            Self::Malformed(what) => write!(f, "malformed ARP frame: {}", what.as_str()),
        }
    }
}

impl core::error::Error for Error {}

/// What is wrong with a frame that is no packet.
#[cold]
fn why_not(frame: &[u8]) -> Error {
    let malformed = Error::Malformed;
    let Ok(ethernet) = EthernetFrame::new_checked(frame) else {
        return malformed(Malformed::TooShort);
    };
    if ethernet.ethertype() != EthernetProtocol::Arp {
        return Error::NotArp;
    }
    if frame.len() < CONTENT_LEN {
        return malformed(Malformed::TooShort);
    }
    if frame.len() > MAX_LEN {
        return malformed(Malformed::TooLong);
    }
    let arp = ArpPacket::new_unchecked(ethernet.payload());
    if arp.hardware_type() != ArpHardware::Ethernet {
        return malformed(Malformed::HardwareType);
    }
    if arp.protocol_type() != EthernetProtocol::Ipv4 {
        return malformed(Malformed::ProtocolType);
    }
    if (arp.hardware_len(), arp.protocol_len()) != (6, 4) {
        return malformed(Malformed::AddressLength);
    }
    malformed(Malformed::Operation)
}

#[inline]
fn octets<const N: usize>(content: &[u8; CONTENT_LEN], at: usize) -> [u8; N] {
    let mut octets = [0; N];
    octets.copy_from_slice(&content[at..at + N]);
    octets
}

#[inline]
fn put<const N: usize>(content: &mut [u8; CONTENT_LEN], at: usize, octets: [u8; N]) {
    content[at..at + N].copy_from_slice(&octets);
}

/// An ARP frame without padding.
const CONTENT_LEN: usize = 42;

/// From the EtherType to the address lengths: ARP for Ethernet with IPv4.
const ETHERNET_IPV4: [u8; 8] = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4];

// Where the fields begin.
const KIND: usize = 12;
const OPERATION: usize = 20;
const SENDER_MAC: usize = 22;
const SENDER_IP: usize = 28;
const TARGET_MAC: usize = 32;
const TARGET_IP: usize = 38;

const REQUEST: u8 = 1;
const REPLY: u8 = 2;

#[cfg(test)]
mod tests;
