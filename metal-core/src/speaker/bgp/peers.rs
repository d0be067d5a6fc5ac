//! The peers of a node: those that select it, each with the router that it has there.

use alloc::{collections::BTreeMap, format, string::String, sync::Arc, vec::Vec};

use super::Here;
use crate::{
    config::{
        Snapshot,
        bgp::{AsnSource, NodeKey, Peer, PeerAsn, PeerTemplate, Router, RouterSource},
    },
    name::PeerName,
    view::{Family, Node},
};

/// The peers of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers<'a> {
    /// Those to speak with.
    pub active: BTreeMap<PeerName, Arc<Peer>>,
    /// Those that do not count, each with the one that does.
    pub duplicates: BTreeMap<PeerName, &'a PeerName>,
    /// Those whose router is to be found by what the node says, and is not: why, in words.
    pub unresolved: BTreeMap<PeerName, String>,
}

/// The peers of a node, by name, and those that do not count there: of several for the same router, port and VRF the
/// oldest one counts, then the one whose name comes first.
#[must_use]
pub fn peers<'a>(snapshot: &'a Snapshot, here: Here<'_>) -> Peers<'a> {
    let unknown = Node::default();
    let labels = &here.node.unwrap_or(&unknown).labels;
    let mut selected: Vec<_> = snapshot.bgp().peers().filter(|peer| peer.admits_node(labels)).collect();
    selected.sort_by(|one, other| (one.created, &one.name).cmp(&(other.created, &other.name)));
    let mut peers = Peers::default();
    let mut resolved: Vec<(&PeerName, Arc<Peer>)> = Vec::new();
    for template in selected {
        match resolve(template, here) {
            Ok(peer) => resolved.push((&template.name, Arc::new(peer))),
            Err(reason) => drop(peers.unresolved.insert(template.name.clone(), reason)),
        }
    }
    let mut holders = BTreeMap::new();
    for (name, peer) in &resolved {
        let holder = *holders.entry(peer.identity()).or_insert(*name);
        if holder == *name {
            peers.active.insert((*name).clone(), peer.clone());
        } else {
            peers.duplicates.insert((*name).clone(), holder);
        }
    }
    peers
}

/// The peer with the router and the AS number that it has on this node, or why there is none.
fn resolve(template: &PeerTemplate, here: Here<'_>) -> Result<Peer, String> {
    let router = match &template.router {
        RouterSource::Fixed(router) => router.clone(),
        RouterSource::Node(key, interface) => {
            let router = key.router(said(key, here)?, interface.as_deref());
            router.map_err(|reason| format!("{key} of node {}: {reason}", here.name))?
        }
        RouterSource::DefaultGateway(family, interface) => gateway(*family, interface.as_deref(), here)?,
    };
    if let Some(source) = template.source_address
        && Family::of(source) != router.family()
    {
        return Err(format!(
            "sourceAddress {source} is {}, but node {} reaches the router {router} by {}",
            Family::of(source),
            here.name,
            router.family()
        ));
    }
    let asn = match &template.peer_asn {
        AsnSource::Fixed(asn) => *asn,
        AsnSource::Node(key) => {
            let text = said(key, here)?;
            let asn = text.parse().map_err(|_| format!("{text:?} is no AS number"));
            let asn = asn.and_then(|asn| template.allows_asn(asn).map(|()| asn));
            PeerAsn::Is(asn.map_err(|reason| format!("{key} of node {}: {reason}", here.name))?)
        }
    };
    Ok(template.with(router, asn))
}

/// What the node says, or that it does not.
fn said<'a>(key: &NodeKey, here: Here<'a>) -> Result<&'a str, String> {
    let Some(node) = here.node else {
        return Err(format!("node {} is not known yet, and its {key} is to say it", here.name));
    };
    key.get(node).ok_or_else(|| format!("node {} has no {key}", here.name))
}

/// The one gateway of a family.
fn gateway(family: Family, interface: Option<&str>, here: Here<'_>) -> Result<Router, String> {
    let on = interface.map(|interface| format!(" on {interface}")).unwrap_or_default();
    let fits = |gateway: &&crate::view::Gateway| {
        Family::of(gateway.address) == family
            && interface.is_none_or(|interface| gateway.interface == interface)
    };
    let found: Vec<_> = here.gateways.iter().filter(fits).collect();
    match found[..] {
        [] => Err(format!("node {} has no default gateway of {family}{on}", here.name)),
        [gateway] => match gateway.address {
            core::net::IpAddr::V6(address) if address.is_unicast_link_local() => {
                Ok(Router::LinkLocal(address, gateway.interface.clone()))
            }
            address => Ok(Router::Address(address)),
        },
        [one, other, ..] => {
            let advice = if one.interface == other.interface {
                "write their addresses into labels of the node and peerAddressFrom.nodeLabel"
            } else {
                "write the interface of the one that is meant"
            };
            Err(format!(
                "node {} has {} default gateways of {family}{on}, such as {} on {} and {} on {}: {advice}",
                here.name,
                found.len(),
                one.address,
                one.interface,
                other.address,
                other.interface
            ))
        }
    }
}
