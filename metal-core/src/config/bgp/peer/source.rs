//! Where it is written which router a peer is, and of which AS.

use alloc::{borrow::Cow, format, string::String};
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{PeerAsn, PeerTemplate, Router};
use crate::view::{Family, Node};

/// Where it is written which router a peer is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouterSource {
    /// In the peer itself.
    Fixed(Router),
    /// In a label or an annotation of the node; the interface is for a link-local address.
    Node(NodeKey, Option<String>),
    /// It is the gateway of the node's default route, on this interface if there is one.
    DefaultGateway(Family, Option<String>),
}

/// Where it is written which AS a router is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsnSource {
    /// In the peer itself.
    Fixed(PeerAsn),
    /// In a label or an annotation of the node.
    Node(NodeKey),
}

/// What users write about a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeKey {
    /// The label of this key.
    Label(String),
    /// The annotation of this key.
    Annotation(String),
}

impl NodeKey {
    /// What the node says.
    #[must_use]
    pub fn get<'a>(&self, node: &'a Node) -> Option<&'a str> {
        let text = match self {
            Self::Label(key) => node.labels.get(key),
            Self::Annotation(key) => node.annotations.get(key),
        };
        text.map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// The router that `text` of this key means.
    ///
    /// The value of a label has no colons: an IPv6 address has dashes in place of them there, as in names of DNS.
    ///
    /// # Errors
    /// Why it means none, in words.
    pub fn router(&self, text: &str, interface: Option<&str>) -> Result<Router, String> {
        let written = match self {
            Self::Label(_) if text.parse::<Ipv4Addr>().is_err() => Cow::from(text.replace('-', ":")),
            Self::Label(_) | Self::Annotation(_) => Cow::from(text),
        };
        Router::parse(if written.parse::<Ipv6Addr>().is_ok() { &written } else { text }, interface)
    }
}

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(key) => write!(f, "label {key}"),
            Self::Annotation(key) => write!(f, "annotation {key}"),
        }
    }
}

impl RouterSource {
    /// The family of the router's address, as far as it is known already.
    pub(super) fn family(&self) -> Option<Family> {
        match self {
            Self::Fixed(router) => Some(router.family()),
            Self::Node(..) => None,
            Self::DefaultGateway(family, _) => Some(*family),
        }
    }

    /// The field that it is written in.
    pub(super) const fn field(&self) -> &'static str {
        match self {
            Self::Fixed(Router::Interface(_)) => "interface",
            Self::Fixed(Router::Address(_) | Router::LinkLocal(..)) => "peerAddress",
            Self::Node(..) | Self::DefaultGateway(..) => "peerAddressFrom",
        }
    }
}

impl fmt::Display for RouterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(router) => router.fmt(f),
            Self::Node(key, _) => write!(f, "{key} of the node"),
            Self::DefaultGateway(family, None) => write!(f, "the node's default gateway of {family}"),
            Self::DefaultGateway(family, Some(interface)) => {
                write!(f, "the node's default gateway of {family} on {interface}")
            }
        }
    }
}

impl Router {
    /// The router at an address; `interface` is for a link-local one, which may also say it by itself (`fe80::1%eth0`).
    ///
    /// # Errors
    /// Why there can be no router, in words.
    pub fn parse(text: &str, interface: Option<&str>) -> Result<Self, String> {
        let (text, zone) = text.split_once('%').map_or((text, None), |(text, zone)| (text, Some(zone)));
        let zone = zone.filter(|zone| !zone.is_empty());
        let Ok(address) = text.parse::<IpAddr>() else {
            return Err(format!("{text:?} is not an IP address"));
        };
        if let IpAddr::V6(mapped) = address
            && let Some(plain) = mapped.to_ipv4_mapped()
        {
            return Err(format!("{mapped} is an IPv4 address written as IPv6: write {plain}"));
        }
        if address.is_unspecified() || address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Err(format!("{address} is the address of no router"));
        }
        match address {
            IpAddr::V6(link_local) if link_local.is_unicast_link_local() => match (zone, interface) {
                (Some(zone), Some(interface)) if zone != interface => {
                    Err(format!("is on {zone}, but interface says {interface}: remove one of them"))
                }
                (Some(interface), _) | (None, Some(interface)) => {
                    Ok(Self::LinkLocal(link_local, interface.into()))
                }
                (None, None) => {
                    Err(format!("{address} is link-local: write the interface that it is on as well"))
                }
            },
            _ if zone.is_some() || interface.is_some() => Err(format!(
                "{address} needs no interface: write either the address or the interface (both only for a link-local address)"
            )),
            _ => Ok(Self::Address(address)),
        }
    }

    /// The family of the packets to it; one that is found on an interface has a link-local address.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Address(address) => Family::of(*address),
            Self::LinkLocal(..) | Self::Interface(_) => Family::V6,
        }
    }
}

impl PeerTemplate {
    /// What keeps a router of this AS from being this peer, of whose `localASN` only a node could tell.
    ///
    /// # Errors
    /// The obstacle, in words.
    pub fn allows_asn(&self, asn: u32) -> Result<(), String> {
        match self.local_asn {
            Some(_) if asn == self.my_asn => {
                Err(format!("AS {asn} is ours, and localASN is for routers of another AS"))
            }
            Some(local) if asn == local => {
                Err(format!("AS {asn} is localASN, which is for routers of another AS"))
            }
            _ if asn == 0 => Err("0 is no AS number".into()),
            _ => Ok(()),
        }
    }
}
