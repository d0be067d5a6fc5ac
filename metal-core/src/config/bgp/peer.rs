//! Peers, valid by construction.

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::{BfdProfile, PeerSpec, Secret, SecretReference, Source, source::Path};
use crate::{
    config::{
        Refusal,
        check::{self, refusal},
        parse_duration,
    },
    name::PeerName,
    selector::{Labels, Selector, any_or_empty},
    view::{Created, Family},
};

/// A router to speak BGP with (`BGPPeer`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name, by which advertisements mean it. One of a ConfigMap is called after its address.
    pub name: PeerName,
    /// Where it was written.
    pub source: Source,
    /// When it was created: of two for the same router the older one counts.
    pub created: Created,
    /// Our AS number.
    pub my_asn: u32,
    /// Our AS number towards this peer, instead of `my_asn`.
    pub local_asn: Option<u32>,
    /// The AS number of the peer.
    pub peer_asn: PeerAsn,
    /// Where the router is.
    pub router: Router,
    /// The address to speak from.
    pub source_address: Option<IpAddr>,
    /// The TCP port of the router.
    pub port: u16,
    /// The hold time to offer, in seconds: 0 for none, else at least 3.
    pub hold_time: u16,
    /// The time between two KEEPALIVE messages; `None` for a third of the hold time.
    pub keepalive_time: Option<Duration>,
    /// The time between two attempts to connect.
    pub connect_time: Option<Duration>,
    /// The BGP identifier to use.
    pub router_id: Option<Ipv4Addr>,
    /// Only on these nodes; empty means all.
    pub node_selectors: Vec<Selector>,
    /// How segments are signed (TCP MD5).
    pub password: Option<Password>,
    /// How the router is watched by BFD.
    pub bfd: Option<Arc<BfdProfile>>,
    /// The router keeps the routes while the speaker restarts.
    pub graceful_restart: bool,
    /// The router of another AS may be several hops away.
    pub ebgp_multi_hop: bool,
    /// The VRF, by the name of its device.
    pub vrf: Option<String>,
    /// Routes of both families are announced, whatever the family of the address.
    pub dual_stack: bool,
    /// Who opens the connection.
    pub mode: ConnectionMode,
    /// Only packets that no router has forwarded are taken (RFC 5082).
    pub ttl_security: bool,
}

/// The AS number of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAsn {
    /// This one.
    Is(u32),
    /// Whatever it says, as long as it is ours.
    Internal,
    /// Whatever it says, as long as it is not ours.
    External,
}

/// Where a router is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Router {
    /// At this address.
    Address(IpAddr),
    /// At this link-local address on this interface.
    LinkLocal(Ipv6Addr, String),
    /// Somewhere on this interface (unnumbered).
    Interface(String),
}

/// Who opens the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionMode {
    /// We do.
    #[default]
    Dial,
    /// The router does.
    Listen,
    /// Whoever is first.
    Both,
}

/// A password, or where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// The password itself. It is never printed.
    Plain(Secret),
    /// In the Secret of this name, of type `kubernetes.io/basic-auth`, under `password`.
    FromSecret(String),
}

impl Peer {
    /// Whether nodes with these labels speak with it.
    #[must_use]
    pub fn admits_node(&self, labels: &Labels) -> bool {
        any_or_empty(&self.node_selectors, labels)
    }

    /// Whether routes of `family` are announced to it: that of its address, both when it has none or asks for both.
    #[must_use]
    pub fn takes(&self, family: Family) -> bool {
        self.dual_stack
            || match &self.router {
                Router::Address(address) => Family::of(*address) == family,
                Router::LinkLocal(..) => family == Family::V6,
                Router::Interface(_) => true,
            }
    }

    /// What of a session there can be only one of on a node.
    #[must_use]
    pub fn identity(&self) -> (&Router, u16, Option<&str>) {
        (&self.router, self.port, self.vrf.as_deref())
    }

    /// Whether another one, which is in force, is for the same router on nodes of this one. Selectors that differ may
    /// or may not select the same nodes: that shows on each node.
    pub(super) fn clash(&self, source: &Source, other: &Self) -> Option<Refusal> {
        let same_nodes = self.node_selectors.is_empty()
            || other.node_selectors.is_empty()
            || check::same_selectors(&self.node_selectors, &other.node_selectors);
        (same_nodes && self.identity() == other.identity()).then(|| {
            let message = format!(
                "{source} is for the same router, port and VRF on the same nodes, and is in force: remove one of them, \
                 or give them nodeSelectors that exclude each other"
            );
            let path = if self.source.is_part() { Path::legacy("peers") } else { Path::spec() };
            let field = if matches!(self.router, Router::Interface(_)) { "interface" } else { "peerAddress" };
            refusal(path.of(field), message)
        })
    }
}

impl core::fmt::Display for Router {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::LinkLocal(address, interface) => write!(f, "{address}%{interface}"),
            Self::Interface(interface) => f.write_str(interface),
        }
    }
}

/// A peer that is valid by itself; whether its BFD profile is there remains to be seen.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    peer: Peer,
    bfd_profile: Option<String>,
    bfd_field: String,
}

impl Draft {
    /// The peer with its BFD profile.
    pub(super) fn resolve(
        &self,
        profile: impl Fn(&str) -> Option<Arc<BfdProfile>>,
    ) -> Result<Peer, Vec<Refusal>> {
        let mut peer = self.peer.clone();
        if let Some(name) = &self.bfd_profile {
            peer.bfd = profile(name);
            if peer.bfd.is_none() {
                let message = format!("there is no BFDProfile {name}, or it was refused");
                return Err(Vec::from([refusal(self.bfd_field.clone(), message)]));
            }
        }
        Ok(peer)
    }
}

/// Judges a peer by itself.
pub(super) fn judge(
    name: PeerName,
    source: Source,
    created: Created,
    spec: PeerSpec,
    path: &Path,
) -> Result<Draft, Vec<Refusal>> {
    let mut refusals = Vec::new();
    if spec.my_asn == 0 {
        refusals.push(refusal(path.of("myASN"), "0 is no AS number: write ours"));
    }
    let peer_asn = peer_asn(&spec, path, &mut refusals);
    let local_asn = local_asn(&spec, peer_asn, path, &mut refusals);
    let router = router(&spec, path, &mut refusals);
    let source_address = source_address(&spec, router.as_ref(), path, &mut refusals);
    let port = spec.peer_port.filter(|port| *port != 0).unwrap_or(i64::from(BGP_PORT));
    let port = u16::try_from(port).unwrap_or_else(|_| {
        refusals.push(refusal(path.of("peerPort"), format!("{port} is no port: write 1 to 65535")));
        BGP_PORT
    });
    let (hold_time, keepalive_time) = timers(&spec, path, &mut refusals);
    let connect_time = connect_time(&spec, path, &mut refusals);
    let router_id = router_id(&spec, path, &mut refusals);
    check::selectors(&path.of("nodeSelectors"), &spec.node_selectors, &mut refusals);
    let password = password(&spec, &source, path, &mut refusals);
    let mode = mode(&spec, path, &mut refusals);
    let is_internal = peer_asn == Some(PeerAsn::Is(spec.my_asn)) || peer_asn == Some(PeerAsn::Internal);
    if spec.ebgp_multi_hop && is_internal {
        let message = "is for peers of another AS, and this one is of ours: remove it, a peer of our AS may be several \
                       hops away anyway";
        refusals.push(refusal(path.of("ebgpMultiHop"), message));
    }
    if spec.ebgp_multi_hop && spec.ttl_security {
        let message = "is for routers that are no hop away, and ebgpMultiHop for others: remove one of them";
        refusals.push(refusal(path.of("ttlSecurity"), message));
    }
    let (Some(peer_asn), Some(router), true) = (peer_asn, router, refusals.is_empty()) else {
        return Err(refusals);
    };
    let peer = Peer {
        name,
        source,
        created,
        my_asn: spec.my_asn,
        local_asn,
        peer_asn,
        router,
        source_address,
        port,
        hold_time,
        keepalive_time,
        connect_time,
        router_id,
        node_selectors: spec.node_selectors,
        password,
        bfd: None,
        graceful_restart: spec.graceful_restart,
        ebgp_multi_hop: spec.ebgp_multi_hop,
        vrf: spec.vrf.filter(|vrf| !vrf.is_empty()),
        dual_stack: spec.dual_stack,
        mode,
        ttl_security: spec.ttl_security,
    };
    let bfd_profile = spec.bfd_profile.filter(|name| !name.is_empty());
    Ok(Draft { peer, bfd_profile, bfd_field: path.of("bfdProfile") })
}

/// The AS number of the peer. Without one there is a refusal.
fn peer_asn(spec: &PeerSpec, path: &Path, refusals: &mut Vec<Refusal>) -> Option<PeerAsn> {
    let dynamic = written(spec.dynamic_asn.as_ref());
    match (spec.peer_asn.filter(|asn| *asn != 0), dynamic) {
        (Some(asn), None) => Some(PeerAsn::Is(asn)),
        (None, Some("internal")) => Some(PeerAsn::Internal),
        (None, Some("external")) => Some(PeerAsn::External),
        (None, Some(other)) => {
            let message = format!("{other:?} is neither internal nor external");
            refusals.push(refusal(path.of("dynamicASN"), message));
            None
        }
        (Some(_), Some(_)) => {
            let message = "peerASN and dynamicASN exclude each other: remove one of them";
            refusals.push(refusal(path.of("dynamicASN"), message));
            None
        }
        (None, None) => {
            let message =
                "is missing: write the AS number of the router, or dynamicASN: external or internal";
            refusals.push(refusal(path.of("peerASN"), message));
            None
        }
    }
}

fn local_asn(
    spec: &PeerSpec,
    peer_asn: Option<PeerAsn>,
    path: &Path,
    refusals: &mut Vec<Refusal>,
) -> Option<u32> {
    let local = spec.local_asn.filter(|asn| *asn != 0)?;
    let message = match peer_asn {
        _ if local == spec.my_asn => return None,
        Some(PeerAsn::Internal) => "is for peers of another AS: remove it, or write dynamicASN: external",
        Some(PeerAsn::Is(asn)) if asn == spec.my_asn => {
            "is for peers of another AS, and this one is of ours: write it as myASN instead"
        }
        Some(PeerAsn::Is(asn)) if asn == local => {
            "is the AS number of the peer: write it as myASN for a session within one AS"
        }
        Some(PeerAsn::Is(_) | PeerAsn::External) | None => return Some(local),
    };
    refusals.push(refusal(path.of("localASN"), message));
    None
}

/// Where the router is. Without that there is a refusal.
fn router(spec: &PeerSpec, path: &Path, refusals: &mut Vec<Refusal>) -> Option<Router> {
    let interface = written(spec.interface.as_ref());
    let Some(text) = written(spec.peer_address.as_ref()) else {
        if let Some(interface) = interface {
            return Some(Router::Interface(interface.into()));
        }
        let message = "is missing: write the address of the router, or the interface that it is on";
        refusals.push(refusal(path.of("peerAddress"), message));
        return None;
    };
    let (text, zone) = text.split_once('%').map_or((text, None), |(text, zone)| (text, Some(zone)));
    let zone = written(zone);
    let mut refuse = |message: String| {
        refusals.push(refusal(path.of("peerAddress"), message));
        None
    };
    let Ok(address) = text.parse::<IpAddr>() else {
        return refuse(format!("{text:?} is not an IP address"));
    };
    if let IpAddr::V6(mapped) = address
        && let Some(plain) = mapped.to_ipv4_mapped()
    {
        return refuse(format!("{mapped} is an IPv4 address written as IPv6: write {plain}"));
    }
    if address.is_unspecified() || address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return refuse(format!("{address} is the address of no router"));
    }
    match address {
        IpAddr::V6(link_local) if link_local.is_unicast_link_local() => match (zone, interface) {
            (Some(zone), Some(interface)) if zone != interface => {
                refuse(format!("is on {zone}, but interface says {interface}: remove one of them"))
            }
            (Some(interface), _) | (None, Some(interface)) => {
                Some(Router::LinkLocal(link_local, interface.into()))
            }
            (None, None) => {
                refuse(format!("{address} is link-local: write the interface that it is on as well"))
            }
        },
        _ if zone.is_some() || interface.is_some() => refuse(format!(
            "{address} needs no interface: write either the address or the interface (both only for a link-local address)"
        )),
        _ => Some(Router::Address(address)),
    }
}

fn source_address(
    spec: &PeerSpec,
    router: Option<&Router>,
    path: &Path,
    refusals: &mut Vec<Refusal>,
) -> Option<IpAddr> {
    let text = written(spec.source_address.as_ref())?;
    let message = match text.parse::<IpAddr>() {
        Err(_) => format!("{text:?} is not an IP address"),
        Ok(address) if address.is_unspecified() || address.is_multicast() => {
            format!("{address} is the address of no node")
        }
        Ok(address) => {
            let family = match router {
                Some(Router::Address(router)) => Family::of(*router),
                Some(Router::LinkLocal(..) | Router::Interface(_)) => Family::V6,
                None => Family::of(address),
            };
            if Family::of(address) == family {
                return Some(address);
            }
            format!("{address} is {}, but the router is reached by {family}", Family::of(address))
        }
    };
    refusals.push(refusal(path.of("sourceAddress"), message));
    None
}

/// The hold time and the keepalive time.
fn timers(spec: &PeerSpec, path: &Path, refusals: &mut Vec<Refusal>) -> (u16, Option<Duration>) {
    let hold = duration(spec.hold_time.as_ref(), "holdTime", path, refusals);
    let keepalive = duration(spec.keepalive_time.as_ref(), "keepaliveTime", path, refusals);
    let seconds = match (hold, keepalive) {
        (Some(hold), _) => hold.as_secs(),
        (None, Some(keepalive)) => (keepalive * 3).as_secs(),
        (None, None) => return (DEFAULT_HOLD_TIME, None),
    };
    let field = if hold.is_some() { "holdTime" } else { "keepaliveTime" };
    let hold_time = match u16::try_from(seconds) {
        Ok(1 | 2) => {
            let message = format!("a hold time of {seconds}s is too short: write 0s for none, or 3s or more");
            refusals.push(refusal(path.of(field), message));
            DEFAULT_HOLD_TIME
        }
        Ok(hold_time) => hold_time,
        Err(_) => {
            let message = format!("a hold time of {seconds}s is too long: it is at most 65535s");
            refusals.push(refusal(path.of(field), message));
            DEFAULT_HOLD_TIME
        }
    };
    if let (Some(hold), Some(keepalive)) = (hold, keepalive)
        && keepalive > hold
    {
        let message =
            "is longer than holdTime: a third of it is usual, and is what it is when it is left out";
        refusals.push(refusal(path.of("keepaliveTime"), message));
    }
    (hold_time, keepalive.filter(|keepalive| !keepalive.is_zero()))
}

fn connect_time(spec: &PeerSpec, path: &Path, refusals: &mut Vec<Refusal>) -> Option<Duration> {
    let time = duration(spec.connect_time.as_ref(), "connectTime", path, refusals)?;
    if time.subsec_nanos() != 0 || !(1..=65_535).contains(&time.as_secs()) {
        let message = "is not a whole number of seconds from 1s to 65535s";
        refusals.push(refusal(path.of("connectTime"), message));
    }
    Some(time)
}

fn duration(
    text: Option<&String>,
    field: &str,
    path: &Path,
    refusals: &mut Vec<Refusal>,
) -> Option<Duration> {
    match parse_duration(written(text)?) {
        Ok(duration) => Some(duration),
        Err(error) => {
            refusals.push(refusal(path.of(field), format!("{error}")));
            None
        }
    }
}

fn router_id(spec: &PeerSpec, path: &Path, refusals: &mut Vec<Refusal>) -> Option<Ipv4Addr> {
    let text = written(spec.router_id.as_ref())?;
    let id = text.parse::<Ipv4Addr>().ok().filter(|id| !id.is_unspecified());
    if id.is_none() {
        let message = format!("{text:?} is no router ID: write an IPv4 address other than 0.0.0.0");
        refusals.push(refusal(path.of("routerID"), message));
    }
    id
}

fn password(spec: &PeerSpec, source: &Source, path: &Path, refusals: &mut Vec<Refusal>) -> Option<Password> {
    let plain = spec.password.as_ref().filter(|password| !password.expose().is_empty());
    let reference = spec.password_secret.as_ref().filter(|secret| !secret.name.is_empty());
    match (plain, reference) {
        (None, None) => None,
        (Some(_), Some(_)) => {
            let message = "password and passwordSecret exclude each other: remove one of them";
            refusals.push(refusal(path.of("passwordSecret"), message));
            None
        }
        (Some(password), None) => {
            if password.expose().len() > LONGEST_PASSWORD {
                let message =
                    format!("is longer than {LONGEST_PASSWORD} bytes, which is all that TCP MD5 takes");
                refusals.push(refusal(path.of("password"), message));
            }
            Some(Password::Plain(password.clone()))
        }
        (None, Some(SecretReference { name, namespace })) => {
            let ours = &source.object.namespace;
            if let Some(other) = written(namespace.as_ref()).filter(|namespace| *namespace != &**ours) {
                let message =
                    format!("is in namespace {other}: only Secrets in namespace {ours} can be used");
                refusals.push(refusal(path.of("passwordSecret"), message));
            }
            Some(Password::FromSecret(name.clone()))
        }
    }
}

fn mode(spec: &PeerSpec, path: &Path, refusals: &mut Vec<Refusal>) -> ConnectionMode {
    match written(spec.connection_mode.as_ref()) {
        None | Some("Dial") => ConnectionMode::Dial,
        Some("Listen") => ConnectionMode::Listen,
        Some("Both") => ConnectionMode::Both,
        Some(other) => {
            let message = format!("{other:?} is none of Dial, Listen and Both");
            refusals.push(refusal(path.of("connectionMode"), message));
            ConnectionMode::Dial
        }
    }
}

/// The text, unless it is empty.
fn written<T: AsRef<str> + ?Sized>(text: Option<&T>) -> Option<&str> {
    text.map(AsRef::as_ref).filter(|text| !text.is_empty())
}

/// Where BGP listens.
const BGP_PORT: u16 = 179;
/// RFC 4271 section 10.
const DEFAULT_HOLD_TIME: u16 = 90;
/// What Linux takes (`TCP_MD5SIG_MAXKEYLEN`).
const LONGEST_PASSWORD: usize = 80;
