//! Who is in line for an address on a link: a pure function of what everybody knows.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{cmp::Reverse, net::IpAddr};

use ipnet::IpNet;

use super::{Reason, Serving};
use crate::{
    config::L2Advertisement,
    election::Rank,
    membership::beacon::Salt,
    name::NodeName,
    selector::Labels,
    view::{Node, TrafficPolicy},
};

/// A Service that has the address.
#[derive(Clone, Debug)]
pub struct Carrier<'a> {
    /// The advertisements that apply to it.
    pub advertisements: Vec<&'a L2Advertisement>,
    /// Whether a node needs an endpoint of its own.
    pub traffic_policy: TrafficPolicy,
    /// Where it has endpoints that take traffic; `None` means nowhere.
    pub serving: Option<&'a Serving>,
}

/// A speaker that is alive on the link: ourselves, or a member.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// Its node.
    pub node: &'a NodeName,
    /// Its incarnation.
    pub salt: &'a Salt,
    /// Its interface on this LAN.
    pub interface: &'a str,
    /// The prefixes of its addresses there.
    pub prefixes: &'a [IpNet],
    /// How willing its node is to serve; lower is better.
    pub tier: u8,
}

/// Who may answer for an address, the first in line first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Numbers of candidates.
    pub order: Vec<usize>,
    /// All of them are excluded by label, and nobody else is left.
    pub all_excluded: bool,
}

/// The label that keeps a node from announcing, whatever its value.
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Who is in line for `address` among `candidates`.
///
/// In line is who may announce every Service on the address: its node and interface match an advertisement of
/// each, its network is not reported as unavailable, and it has an endpoint where the traffic policy asks for
/// one. The order is tier, preference, whether the address lies in a prefix of the link, then MetalLB's.
///
/// # Errors
/// The reason why nobody is.
pub fn line(
    address: IpAddr,
    carriers: &[Carrier<'_>],
    candidates: &[Candidate<'_>],
    nodes: &BTreeMap<NodeName, Node>,
) -> Result<Line, Reason> {
    let advertised = carriers.iter().filter(|carrier| !carrier.advertisements.is_empty());
    let serving = |carrier: &&Carrier<'_>| carrier.serving.is_some_and(|serving| serving.anywhere);
    let carriers: Vec<_> = advertised.clone().filter(serving).collect();
    if carriers.is_empty() {
        let advertised = advertised.count() > 0;
        return Err(if advertised { Reason::NoReadyEndpoints } else { Reason::NoAdvertisement });
    }

    let unknown = Node::default();
    let node_of = |candidate: &Candidate<'_>| nodes.get(candidate.node).unwrap_or(&unknown);
    let fits = |candidate: &Candidate<'_>, carrier: &Carrier<'_>| fit(candidate, node_of(candidate), carrier);
    let mut furthest = Obstacle::Node;
    let mut order: Vec<usize> = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        match carriers.iter().try_for_each(|carrier| fits(candidate, carrier)) {
            Ok(()) => order.push(index),
            Err(obstacle) => furthest = furthest.max(obstacle),
        }
    }
    if order.is_empty() {
        let each_has_one = carriers
            .iter()
            .all(|carrier| candidates.iter().any(|candidate| fits(candidate, carrier).is_ok()));
        return Err(if each_has_one { Reason::NoCommonNode } else { furthest.reason() });
    }

    let excluded = |index: &usize| node_of(&candidates[*index]).labels.contains_key(EXCLUDE_LABEL);
    let all_excluded = order.iter().all(excluded);
    if !all_excluded {
        order.retain(|index| !excluded(index));
    }
    order.sort_by_cached_key(|index| {
        let candidate = &candidates[*index];
        let score = score(&carriers, &node_of(candidate).labels);
        let fits_subnet = candidate.prefixes.iter().any(|prefix| prefix.contains(&address));
        let rank = Rank::new(candidate.node.as_str(), address, score);
        (candidate.tier, Reverse(rank.score), !fits_subnet, rank, *candidate.salt)
    });
    Ok(Line { order, all_excluded })
}

/// What keeps a candidate out of line; the later ones it meets only after passing the earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    Node,
    Interface,
    Network,
    Endpoint,
}

impl Obstacle {
    const fn reason(self) -> Reason {
        match self {
            Self::Node => Reason::NoEligibleNode,
            Self::Interface => Reason::InterfaceMissing,
            Self::Network => Reason::NetworkUnavailable,
            Self::Endpoint => Reason::NoLocalEndpoints,
        }
    }
}

fn fit(candidate: &Candidate<'_>, node: &Node, carrier: &Carrier<'_>) -> Result<(), Obstacle> {
    let mut admitting = carrier
        .advertisements
        .iter()
        .filter(|advertisement| advertisement.admits_node(&node.labels))
        .peekable();
    if admitting.peek().is_none() {
        return Err(Obstacle::Node);
    }
    if !admitting.any(|advertisement| advertisement.admits_interface(candidate.interface)) {
        return Err(Obstacle::Interface);
    }
    if node.network_unavailable {
        return Err(Obstacle::Network);
    }
    let local = carrier.serving.is_some_and(|serving| serving.nodes.contains(candidate.node));
    match carrier.traffic_policy {
        TrafficPolicy::Local if !local => Err(Obstacle::Endpoint),
        TrafficPolicy::Local | TrafficPolicy::Cluster => Ok(()),
    }
}

/// The weights of all preferences that match a node, whether or not their advertisement admits it: nodes that
/// none admits are not in line.
fn score(carriers: &[&Carrier<'_>], labels: &Labels) -> u64 {
    let advertisements = carriers.iter().flat_map(|carrier| &carrier.advertisements);
    advertisements
        .filter(|advertisement| advertisement.admits_node(labels))
        .map(|advertisement| u64::from(advertisement.preference(labels)))
        .sum()
}

#[cfg(test)]
mod tests;
