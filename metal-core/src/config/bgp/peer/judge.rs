//! What a peer says, field by field, and whether it can be.

use alloc::{format, string::String, vec::Vec};
use core::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use super::{AsnSource, ConnectionMode, Draft, NodeKey, Password, Peer, PeerAsn, Router, RouterSource};
use crate::{
    config::{
        Refusal,
        bgp::{FromNode, PeerSpec, SecretReference, Source, source::Path},
        check::{self, refusal},
        parse_duration,
    },
    name::PeerName,
    view::{Created, Family},
};

/// Judges a peer by itself.
pub(in crate::config::bgp) fn judge(
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
    let local_asn = local_asn(&spec, peer_asn.as_ref(), path, &mut refusals);
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
    let is_internal = [PeerAsn::Is(spec.my_asn), PeerAsn::Internal]
        .into_iter()
        .any(|asn| peer_asn == Some(AsnSource::Fixed(asn)));
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
fn peer_asn(spec: &PeerSpec, path: &Path, refusals: &mut Vec<Refusal>) -> Option<AsnSource> {
    let dynamic = written(spec.dynamic_asn.as_ref());
    let (field, message) = match (spec.peer_asn.filter(|asn| *asn != 0), dynamic, &spec.peer_asn_from) {
        (Some(asn), None, None) => return Some(AsnSource::Fixed(PeerAsn::Is(asn))),
        (None, Some("internal"), None) => return Some(AsnSource::Fixed(PeerAsn::Internal)),
        (None, Some("external"), None) => return Some(AsnSource::Fixed(PeerAsn::External)),
        (None, Some(other), None) => ("dynamicASN", format!("{other:?} is neither internal nor external")),
        (None, None, Some(from)) => match node_key(from) {
            Some(Ok(key)) if written(from.default_gateway.as_ref()).is_none() => {
                return Some(AsnSource::Node(key));
            }
            _ => ("peerASNFrom", "write either nodeLabel or nodeAnnotation".into()),
        },
        (Some(_), Some(_), _) => {
            ("dynamicASN", "peerASN and dynamicASN exclude each other: remove one of them".into())
        }
        (_, _, Some(_)) => {
            let message = "peerASN, dynamicASN and peerASNFrom exclude each other: keep one of them";
            ("peerASNFrom", message.into())
        }
        (None, None, None) => {
            let message = "is missing: write the AS number of the router, or dynamicASN: external or internal, or \
                           peerASNFrom";
            ("peerASN", message.into())
        }
    };
    refusals.push(refusal(path.of(field), message));
    None
}

fn local_asn(
    spec: &PeerSpec,
    peer_asn: Option<&AsnSource>,
    path: &Path,
    refusals: &mut Vec<Refusal>,
) -> Option<u32> {
    let local = spec.local_asn.filter(|asn| *asn != 0)?;
    let peer_asn = match peer_asn {
        Some(AsnSource::Fixed(asn)) => Some(*asn),
        // Which one that is shows on each node.
        Some(AsnSource::Node(_)) | None => None,
    };
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

/// Which router it is. Without that there is a refusal.
fn router(spec: &PeerSpec, path: &Path, refusals: &mut Vec<Refusal>) -> Option<RouterSource> {
    let interface = written(spec.interface.as_ref());
    match (written(spec.peer_address.as_ref()), &spec.peer_address_from) {
        (Some(_), Some(_)) => {
            let message = "peerAddress and peerAddressFrom exclude each other: remove one of them";
            refusals.push(refusal(path.of("peerAddressFrom"), message));
            None
        }
        (None, Some(from)) => router_from(from, spec, path, refusals),
        (Some(text), None) => match Router::parse(text, interface) {
            Ok(router) => Some(RouterSource::Fixed(router)),
            Err(message) => {
                refusals.push(refusal(path.of("peerAddress"), message));
                None
            }
        },
        (None, None) if let Some(interface) = interface => {
            Some(RouterSource::Fixed(Router::Interface(interface.into())))
        }
        (None, None) => {
            let message = "is missing: write the address of the router, or the interface that it is on, or peerAddressFrom";
            refusals.push(refusal(path.of("peerAddress"), message));
            None
        }
    }
}

fn router_from(
    from: &FromNode,
    spec: &PeerSpec,
    path: &Path,
    refusals: &mut Vec<Refusal>,
) -> Option<RouterSource> {
    let interface = written(spec.interface.as_ref()).map(String::from);
    let gateway = written(from.default_gateway.as_ref());
    let message = match (gateway, node_key(from)) {
        (None, Some(Ok(key))) => return Some(RouterSource::Node(key, interface)),
        (Some(_), None) if written(spec.vrf.as_ref()).is_some() => {
            "is that of the main routing table, and vrf says another one: write nodeLabel or nodeAnnotation"
                .into()
        }
        (Some("IPv4"), None) => return Some(RouterSource::DefaultGateway(Family::V4, interface)),
        (Some("IPv6"), None) => return Some(RouterSource::DefaultGateway(Family::V6, interface)),
        (Some(other), None) => format!("{other:?} is neither IPv4 nor IPv6"),
        (None, None) => "is empty: write nodeLabel, nodeAnnotation or defaultGateway".into(),
        (_, Some(_)) => {
            "nodeLabel, nodeAnnotation and defaultGateway exclude each other: keep one of them".into()
        }
    };
    let field = if node_key(from).is_none() && gateway.is_some() {
        "peerAddressFrom.defaultGateway"
    } else {
        "peerAddressFrom"
    };
    refusals.push(refusal(path.of(field), message));
    None
}

/// The label or annotation that is named; an error when both are.
fn node_key(from: &FromNode) -> Option<Result<NodeKey, ()>> {
    match (written(from.node_label.as_ref()), written(from.node_annotation.as_ref())) {
        (None, None) => None,
        (Some(key), None) => Some(Ok(NodeKey::Label(key.into()))),
        (None, Some(key)) => Some(Ok(NodeKey::Annotation(key.into()))),
        (Some(_), Some(_)) => Some(Err(())),
    }
}

fn source_address(
    spec: &PeerSpec,
    router: Option<&RouterSource>,
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
            let family = router.and_then(RouterSource::family).unwrap_or(Family::of(address));
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
