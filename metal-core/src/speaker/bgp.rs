//! What this node announces by BGP, and to whom: pure functions of what everybody knows.
//!
//! There is no election: every node that may announce an address does, and routers spread the traffic.

mod peers;
mod router_id;
mod session;
mod table;
mod wishes;

use alloc::{collections::BTreeSet, string::String, vec::Vec};
use core::{cmp::Reverse, fmt, net::IpAddr};

use ipnet::IpNet;

pub use peers::{Peers, peers};
pub use router_id::router_id;
pub use session::{Obstacle, Session, Standing, Target, Waiting};
pub use table::{RouteKey, Table, Upsert};
pub use wishes::MAX_COMMUNITIES;

use super::{Serving, l2::EXCLUDE_LABEL};
use crate::{
    config::{
        Snapshot,
        bgp::{Advertisement, Attributes, Source},
    },
    name::{NodeName, PeerName},
    view::{Family, Gateway, Node, Scope, Service, TrafficPolicy},
};
use wishes::Wishes;

/// The node that decides.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// Its name.
    pub name: &'a NodeName,
    /// What is known of it; without that it has no labels, no annotations and no conditions.
    pub node: Option<&'a Node>,
    /// The gateways of its default routes (of the main routing table).
    pub gateways: &'a [Gateway],
}

/// What this node announces for one Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The announcements, by address and advertisement.
    pub announcements: Vec<Announcement>,
    /// The addresses that are not announced, and why.
    pub silent: Vec<(IpAddr, Reason)>,
    /// Advertisements that apply to one address and want different local preferences.
    pub conflicts: Vec<Conflict>,
    /// Communities that the Service asks for and does not get, and why.
    pub refused: Vec<RefusedCommunity>,
}

/// A community that a Service asks for and does not get. Its addresses are announced without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCommunity {
    /// The community, as the Service has it.
    pub community: String,
    /// Why, in words.
    pub reason: String,
}

/// That an address is announced by a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The address.
    pub address: IpAddr,
    /// What is announced for it.
    pub prefix: IpNet,
    /// Which advertisement says so. Several may for one prefix: what they say is put together.
    pub source: Source,
    /// To whom.
    pub to: Audience,
    /// What is said of it.
    pub attributes: Attributes,
}

/// To whom something is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every peer of this node.
    All,
    /// These, as far as they are peers of this node.
    Only(BTreeSet<PeerName>),
}

/// Two advertisements of one prefix to one peer that want different local preferences. The higher one is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub address: IpAddr,
    /// Whose local preference counts.
    pub heeded: Source,
    /// Whose does not.
    pub overruled: Source,
}

/// Why an address is not announced by BGP on this node, in the order in which it is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No BGPAdvertisement is about the pool.
    NoAdvertisement,
    /// None of them is about this node.
    NodeNotSelected,
    /// None of those is about the Service.
    ServiceNotSelected,
    /// The node's network is reported as unavailable.
    NetworkUnavailable,
    /// The node is excluded by label.
    NodeExcluded,
    /// Traffic policy Local, and no endpoint on this node takes traffic.
    NoLocalEndpoints,
    /// No endpoint takes traffic.
    NoReadyEndpoints,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::NoAdvertisement,
        Self::NodeNotSelected,
        Self::ServiceNotSelected,
        Self::NetworkUnavailable,
        Self::NodeExcluded,
        Self::NoLocalEndpoints,
        Self::NoReadyEndpoints,
    ];

    /// The name of the reason, stable for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoAdvertisement => "NoAdvertisement",
            Self::NodeNotSelected => "NodeNotSelected",
            Self::ServiceNotSelected => "ServiceNotSelected",
            Self::NetworkUnavailable => "NetworkUnavailable",
            Self::NodeExcluded => "NodeExcluded",
            Self::NoLocalEndpoints => "NoLocalEndpoints",
            Self::NoReadyEndpoints => "NoReadyEndpoints",
        }
    }

    /// What MetalLB calls it in its log.
    #[must_use]
    pub const fn metallb(self) -> &'static str {
        match self {
            Self::NoAdvertisement | Self::NodeNotSelected => "notOwner",
            Self::ServiceNotSelected => "noMatchingAdvertisement",
            Self::NetworkUnavailable => "nodeNetworkUnavailable",
            Self::NodeExcluded => "nodeLabeledExcludeBalancers",
            Self::NoLocalEndpoints => "noLocalEndpoints",
            Self::NoReadyEndpoints => "noEndpoints",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAdvertisement => "no BGPAdvertisement applies: create one that selects the address pool",
            Self::NodeNotSelected => "no BGPAdvertisement of the pool selects this node (nodeSelectors)",
            Self::ServiceNotSelected => {
                "no BGPAdvertisement of the pool for this node selects the Service (serviceSelectors)"
            }
            Self::NetworkUnavailable => "this node has the condition NetworkUnavailable",
            Self::NodeExcluded => {
                "this node has the label node.kubernetes.io/exclude-from-external-load-balancers"
            }
            Self::NoLocalEndpoints => {
                "externalTrafficPolicy is Local, and no endpoint on this node takes traffic"
            }
            Self::NoReadyEndpoints => "no endpoint of the Service takes traffic",
        })
    }
}

/// Whether any address of a Service can be announced: it is ours, or has external IPs.
#[must_use]
pub fn concerns(service: &Service) -> bool {
    service.scope == Scope::Ours || !service.external_ips.is_empty()
}

/// What this node announces for `service`, whose endpoints that take traffic are `serving` (`None` means nowhere).
#[must_use]
pub fn decide(snapshot: &Snapshot, service: &Service, serving: Option<&Serving>, here: Here<'_>) -> Decision {
    let mut decision = Decision::default();
    if !concerns(service) {
        return decision;
    }
    let mut wishes = Wishes::of(snapshot, service);
    for (address, advertisements) in addresses(snapshot, service) {
        match applying(&advertisements, service, serving, here) {
            Ok(applying) => {
                decision.conflicts.extend(conflicts(address, &applying));
                let announcements = applying.into_iter().map(|entry| {
                    let mut announcement = announcement(address, entry);
                    announcement.attributes.communities.extend(wishes.grant(entry));
                    announcement
                });
                decision.announcements.extend(announcements);
            }
            Err(reason) => decision.silent.push((address, reason)),
        }
    }
    decision.refused = wishes.refused();
    decision
}

/// The addresses of a Service, each once, with the advertisements that are about them. An external IP that none is
/// about is nobody's business here.
fn addresses<'a>(snapshot: &'a Snapshot, service: &'a Service) -> Vec<(IpAddr, Vec<&'a Advertisement>)> {
    let of_external = |address| snapshot.bgp().advertisements_of_external(address).map(AsRef::as_ref);
    let mut addresses = Vec::new();
    if service.scope == Scope::Ours {
        for (index, address) in service.assigned.iter().enumerate() {
            let mut entries = advertisements(snapshot, service, index, *address);
            if service.external_ips.contains(address) {
                let others = of_external(*address);
                let others: Vec<_> =
                    others.filter(|other| entries.iter().all(|entry| entry.source != other.source)).collect();
                entries.extend(others);
            }
            addresses.push((*address, entries));
        }
    }
    for address in &service.external_ips {
        if addresses.iter().any(|(there, _)| there == address) {
            continue;
        }
        let entries: Vec<_> = of_external(*address).collect();
        if !entries.is_empty() {
            addresses.push((*address, entries));
        }
    }
    addresses
}

/// The advertisements of the pool that an address lies in, or came from.
fn advertisements<'a>(
    snapshot: &'a Snapshot,
    service: &'a Service,
    index: usize,
    address: IpAddr,
) -> Vec<&'a Advertisement> {
    let bgp = snapshot.bgp();
    // Outside every pool it is served until the controller replaces it: the pool has shrunk, or is gone.
    let former = || service.pool_of_assigned(index);
    match snapshot.pool_of(address) {
        Some(pool) => bgp.advertisements_for(&pool.name).map(AsRef::as_ref).collect(),
        None => match former() {
            Some(pool) if snapshot.pool(pool).is_some() => {
                bgp.advertisements_for(pool).map(AsRef::as_ref).collect()
            }
            Some(pool) => {
                // The labels are those of the first pool.
                let is_first = service.assigned_from.first() == Some(pool);
                let labels = service.pool_labels.as_ref().filter(|_| is_first);
                bgp.advertisements_of_former(pool, labels).map(AsRef::as_ref).collect()
            }
            None => Vec::new(),
        },
    }
}

/// The advertisements that apply, or why there are none.
fn applying<'a>(
    advertisements: &[&'a Advertisement],
    service: &Service,
    serving: Option<&Serving>,
    here: Here<'_>,
) -> Result<Vec<&'a Advertisement>, Reason> {
    let unknown = Node::default();
    let node = here.node.unwrap_or(&unknown);
    let mut left = narrow(advertisements, Reason::NoAdvertisement, |_| true)?;
    left = narrow(&left, Reason::NodeNotSelected, |entry| entry.admits_node(&node.labels))?;
    left = narrow(&left, Reason::ServiceNotSelected, |entry| entry.admits_service(&service.labels))?;
    if node.network_unavailable {
        return Err(Reason::NetworkUnavailable);
    }
    if node.labels.contains_key(EXCLUDE_LABEL) {
        return Err(Reason::NodeExcluded);
    }
    let Some(serving) = serving.filter(|serving| serving.anywhere) else {
        let reason = match service.traffic_policy {
            TrafficPolicy::Local => Reason::NoLocalEndpoints,
            TrafficPolicy::Cluster => Reason::NoReadyEndpoints,
        };
        return narrow(&left, reason, |entry| entry.keeps_without_endpoints);
    };
    match service.traffic_policy {
        TrafficPolicy::Local if !serving.nodes.contains(here.name) => Err(Reason::NoLocalEndpoints),
        TrafficPolicy::Local | TrafficPolicy::Cluster => Ok(left),
    }
}

/// Those that pass, or the reason when none does.
fn narrow<'a>(
    advertisements: &[&'a Advertisement],
    reason: Reason,
    passes: impl Fn(&Advertisement) -> bool,
) -> Result<Vec<&'a Advertisement>, Reason> {
    let left: Vec<_> = advertisements.iter().copied().filter(|entry| passes(entry)).collect();
    if left.is_empty() { Err(reason) } else { Ok(left) }
}

fn announcement(address: IpAddr, advertisement: &Advertisement) -> Announcement {
    // The lengths of an advertisement are those of its family, so there is always such a prefix.
    let prefix = IpNet::new(address, advertisement.length(Family::of(address)));
    Announcement {
        address,
        prefix: prefix.unwrap_or_else(|_| IpNet::from(address)).trunc(),
        source: advertisement.source.clone(),
        to: if advertisement.peers.is_empty() {
            Audience::All
        } else {
            Audience::Only(advertisement.peers.clone())
        },
        attributes: advertisement.attributes.clone(),
    }
}

/// Each advertisement that is overruled, with the one that counts.
fn conflicts(address: IpAddr, applying: &[&Advertisement]) -> Vec<Conflict> {
    let family = Family::of(address);
    let heeded_before = |one: &&Advertisement| {
        let rivals = applying.iter().copied().filter(|other| {
            one.length(family) == other.length(family)
                && one.shares_peers(other)
                && one.attributes.local_pref < other.attributes.local_pref
        });
        rivals.min_by_key(|other| (Reverse(other.attributes.local_pref), &other.source))
    };
    let conflict = |one: &&Advertisement| {
        let heeded = heeded_before(one)?.source.clone();
        Some(Conflict { address, heeded, overruled: one.source.clone() })
    };
    applying.iter().filter_map(conflict).collect()
}

#[cfg(test)]
mod tests;
