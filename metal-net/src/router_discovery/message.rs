//! The two messages, read and written.

use std::{net::Ipv6Addr, time::Duration};

use metal_core::view::Mac;
use smoltcp::wire::{Icmpv6Message, Icmpv6Packet, NdiscOption, NdiscOptionType, RawHardwareAddress};

/// A message between routers and hosts of a link. What an advertisement says about prefixes and MTU is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// The sender is a router.
    Advertisement {
        /// For how long it may be a default router, in whole seconds up to 65,535; zero: it is none.
        lifetime: Duration,
        /// Its Ethernet address.
        mac: Option<Mac>,
    },
    /// Routers are to advertise themselves now.
    Solicitation {
        /// The sender's Ethernet address.
        mac: Option<Mac>,
    },
}

/// Why bytes are not a [`Message`]: the checks of RFC 4861 6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// It is another message of ICMPv6.
    OtherMessage,
    /// It ends too early.
    TooShort,
    /// The code is not 0.
    Code,
    /// An advertisement that does not come from a link-local address, or a solicitation from a multicast one.
    Source,
    /// An option has no length, ends outside of the message, or is no Ethernet address although it says so.
    OptionLength,
    /// A solicitation from nobody that names its Ethernet address.
    SourceOption,
}

impl Message {
    /// "I am here, and no default router."
    pub const PRESENT: Self = Self::Advertisement { lifetime: Duration::ZERO, mac: None };

    /// "Who is here?"
    pub const SOLICITATION: Self = Self::Solicitation { mac: None };

    /// Reads an ICMPv6 message from an address; its checksum has been verified.
    ///
    /// # Errors
    /// When it is anything but a valid router advertisement or solicitation.
    pub fn parse(source: Ipv6Addr, message: &[u8]) -> Result<Self, Malformed> {
        let icmp = Icmpv6Packet::new_unchecked(message);
        let fixed = match message.first() {
            Some(&ADVERTISEMENT) => ADVERTISEMENT_LEN,
            Some(&SOLICITATION) => SOLICITATION_LEN,
            Some(_) => return Err(Malformed::OtherMessage),
            None => return Err(Malformed::TooShort),
        };
        let options = message.get(fixed..).ok_or(Malformed::TooShort)?;
        if icmp.msg_code() != 0 {
            return Err(Malformed::Code);
        }
        let mac = source_address(options)?;
        if fixed == ADVERTISEMENT_LEN {
            if !source.is_unicast_link_local() {
                return Err(Malformed::Source);
            }
            let lifetime = Duration::from_secs(icmp.router_lifetime().secs());
            return Ok(Self::Advertisement { lifetime, mac });
        }
        match source {
            Ipv6Addr::UNSPECIFIED if mac.is_some() => Err(Malformed::SourceOption),
            source if source.is_multicast() => Err(Malformed::Source),
            _ => Ok(Self::Solicitation { mac }),
        }
    }

    /// The bytes, with no checksum: the kernel adds it.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let (kind, fixed, mac) = match self {
            Self::Advertisement { mac, .. } => (Icmpv6Message::RouterAdvert, ADVERTISEMENT_LEN, mac),
            Self::Solicitation { mac } => (Icmpv6Message::RouterSolicit, SOLICITATION_LEN, mac),
        };
        let mut bytes = vec![0; fixed + if mac.is_some() { OPTION_LEN } else { 0 }];
        if let Some(mac) = mac {
            let mut option = NdiscOption::new_unchecked(&mut bytes[fixed..]);
            option.set_option_type(NdiscOptionType::SourceLinkLayerAddr);
            option.set_data_len(1);
            option.set_link_layer_addr(RawHardwareAddress::from_bytes(mac));
        }
        let mut icmp = Icmpv6Packet::new_unchecked(&mut bytes);
        icmp.set_msg_type(kind);
        if let Self::Advertisement { lifetime, .. } = self {
            let seconds = lifetime.as_secs().min(u16::MAX.into());
            icmp.set_router_lifetime(smoltcp::time::Duration::from_secs(seconds));
        }
        bytes
    }
}

/// The sender's Ethernet address in options of any kind.
fn source_address(mut options: &[u8]) -> Result<Option<Mac>, Malformed> {
    let mut mac = None;
    while !options.is_empty() {
        let length = options.get(1).map_or(0, |units| usize::from(*units) * OPTION_LEN);
        if length == 0 || length > options.len() {
            return Err(Malformed::OptionLength);
        }
        let (option, rest) = options.split_at(length);
        if NdiscOptionType::from(option[0]) == NdiscOptionType::SourceLinkLayerAddr {
            let address: Mac = option[2..].try_into().map_err(|_| Malformed::OptionLength)?;
            mac = mac.or(Some(address));
        }
        options = rest;
    }
    Ok(mac)
}

/// The type of a router advertisement.
pub(super) const ADVERTISEMENT: u8 = 134;
/// The type of a router solicitation.
pub(super) const SOLICITATION: u8 = 133;

const ADVERTISEMENT_LEN: usize = 16;
const SOLICITATION_LEN: usize = 8;
/// An option with an Ethernet address, and the unit in which options are long.
const OPTION_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const MAC: Mac = [2, 0, 0, 0, 0, 1];
    /// What zebra of FRR says on an interface with an unnumbered peer: hop limit 64, lifetime 0, its address.
    const ZEBRA: [u8; 24] = [134, 0, 0xab, 0xcd, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 1];

    #[test]
    fn a_router_that_is_no_default_router() {
        let present = Message::Advertisement { lifetime: Duration::ZERO, mac: Some(MAC) };
        assert_eq!(Message::parse(ROUTER, &ZEBRA), Ok(present));
        let mut said = present.emit();
        // It leaves the hop limit to the hosts, and the checksum to the kernel.
        assert_eq!(said[2..5], [0; 3]);
        said[2..5].copy_from_slice(&ZEBRA[2..5]);
        assert_eq!(said, ZEBRA);
        assert_eq!(Message::PRESENT.emit(), [&[134][..], &[0; 15]].concat());
    }

    #[test]
    fn what_is_written_is_read() {
        for mac in [None, Some(MAC)] {
            for message in [
                Message::Solicitation { mac },
                Message::Advertisement { lifetime: Duration::from_secs(1800), mac },
                Message::Advertisement { lifetime: Duration::from_secs(65_535), mac },
            ] {
                assert_eq!(Message::parse(ROUTER, &message.emit()), Ok(message));
            }
        }
        assert_eq!(Message::Solicitation { mac: Some(MAC) }.emit()[..10], [133, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        let forever = Message::Advertisement { lifetime: Duration::MAX, mac: None };
        assert_eq!(forever.emit()[6..8], [0xff, 0xff], "as long as it can be said");
    }

    #[test]
    fn other_options_are_passed_over() {
        // An MTU, a prefix, then the address.
        let mtu = [5, 1, 0, 0, 0, 0, 5, 220];
        let prefix = [&[3, 4, 64, 0xc0][..], &[0; 28]].concat();
        let message = [&ZEBRA[..16], &mtu, &prefix, &ZEBRA[16..]].concat();
        assert_eq!(Message::parse(ROUTER, &message), Message::parse(ROUTER, &ZEBRA));
    }

    #[test]
    fn what_may_not_be_believed() {
        let with = |at: usize, value: u8| {
            let mut message = ZEBRA;
            message[at] = value;
            Message::parse(ROUTER, &message)
        };
        assert_eq!(with(0, 135), Err(Malformed::OtherMessage));
        assert_eq!(with(1, 1), Err(Malformed::Code));
        assert_eq!(with(17, 0), Err(Malformed::OptionLength));
        assert_eq!(with(17, 2), Err(Malformed::OptionLength));
        let global = "2001:db8::1".parse().unwrap();
        assert_eq!(Message::parse(global, &ZEBRA), Err(Malformed::Source));
        assert_eq!(Message::parse(Ipv6Addr::UNSPECIFIED, &ZEBRA), Err(Malformed::Source));
        let asked = Message::Solicitation { mac: Some(MAC) }.emit();
        assert_eq!(Message::parse(Ipv6Addr::UNSPECIFIED, &asked), Err(Malformed::SourceOption));
        assert_eq!(Message::parse(ALL, &asked), Err(Malformed::Source));
        assert_eq!(
            Message::parse(Ipv6Addr::UNSPECIFIED, &Message::SOLICITATION.emit()),
            Ok(Message::SOLICITATION)
        );
        // An address of twice the length.
        let long = [&ZEBRA[..16], &[1, 2], &[0; 14]].concat();
        assert_eq!(Message::parse(ROUTER, &long), Err(Malformed::OptionLength));
    }

    const ALL: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

    #[test]
    fn no_bytes_cause_a_panic() {
        for length in 0..ZEBRA.len() {
            let cut = Message::parse(ROUTER, &ZEBRA[..length]);
            assert_eq!(cut.is_ok(), length == ADVERTISEMENT_LEN, "{length}: {cut:?}");
        }
        for kind in [ADVERTISEMENT, SOLICITATION] {
            for fill in 0..=255 {
                for length in 0..80 {
                    let mut bytes = vec![fill; length];
                    bytes.iter_mut().take(1).for_each(|first| *first = kind);
                    let _any = Message::parse(ROUTER, &bytes);
                }
            }
        }
    }
}
