//! Advertisements: which addresses are announced, by whom and where.

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};

use super::{
    L2AdvertisementSpec, ObjectRef, PreferredNode, Refusal,
    check::{self, refusal},
};
use crate::{
    name::PoolName,
    selector::{Labels, Selector, any_or_empty},
};

/// Announces addresses of pools on the local network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L2Advertisement {
    /// The object that asks for it: an `L2Advertisement`, or a ConfigMap with a pool of protocol `layer2`.
    pub object: ObjectRef,
    /// Pools by name. Without names and selectors it is about every pool.
    pub pools: BTreeSet<PoolName>,
    /// Pools by label, in addition.
    pub pool_selectors: Vec<Selector>,
    /// Only from these nodes; empty means all.
    pub node_selectors: Vec<Selector>,
    /// Only on interfaces of these names, sorted; empty means all.
    pub interfaces: Vec<String>,
    /// Only these Services; empty means all.
    pub service_selectors: Vec<Selector>,
    /// Which nodes should rather announce.
    pub preferred_nodes: Vec<PreferredNode>,
}

impl L2Advertisement {
    /// Whether it is about the pool `name`, which has `labels`.
    #[must_use]
    pub fn selects_pool(&self, name: &PoolName, labels: &Labels) -> bool {
        self.selects_every_pool()
            || self.pools.contains(name)
            || self.pool_selectors.iter().any(|selector| selector.matches(labels))
    }

    /// Whether it is about every pool: it names none and selects none by label.
    #[must_use]
    pub fn selects_every_pool(&self) -> bool {
        self.pools.is_empty() && self.pool_selectors.is_empty()
    }

    /// Whether nodes with these labels may announce.
    #[must_use]
    pub fn admits_node(&self, labels: &Labels) -> bool {
        any_or_empty(&self.node_selectors, labels)
    }

    /// Whether Services with these labels are announced.
    #[must_use]
    pub fn admits_service(&self, labels: &Labels) -> bool {
        any_or_empty(&self.service_selectors, labels)
    }

    /// Whether an interface of this name may be used.
    #[must_use]
    pub fn admits_interface(&self, name: &str) -> bool {
        self.interfaces.is_empty() || self.interfaces.iter().any(|interface| interface == name)
    }

    /// The sum of the weights of all preferences that match a node with these labels.
    #[must_use]
    pub fn preference(&self, labels: &Labels) -> u32 {
        let matching = self.preferred_nodes.iter().filter(|node| node.preference.matches(labels));
        matching.fold(0, |sum, node| sum.saturating_add(node.weight))
    }
}

/// The advertisement of one pool on all nodes and interfaces, as a ConfigMap of protocol `layer2` means it.
pub(super) fn of_pool(object: ObjectRef, pool: PoolName) -> L2Advertisement {
    L2Advertisement {
        object,
        pools: BTreeSet::from([pool]),
        pool_selectors: Vec::new(),
        node_selectors: Vec::new(),
        interfaces: Vec::new(),
        service_selectors: Vec::new(),
        preferred_nodes: Vec::new(),
    }
}

/// Judges an `L2Advertisement` by itself.
pub(super) fn judge(object: &ObjectRef, spec: L2AdvertisementSpec) -> Result<L2Advertisement, Vec<Refusal>> {
    let mut refusals = Vec::new();
    check::duplicates("spec.ipAddressPools", &spec.pools, &mut refusals);
    check::selectors("spec.ipAddressPoolSelectors", &spec.pool_selectors, &mut refusals);
    check::selectors("spec.nodeSelectors", &spec.node_selectors, &mut refusals);
    check::selectors("spec.serviceSelectors", &spec.service_selectors, &mut refusals);
    for (index, node) in spec.preferred_nodes.iter().enumerate() {
        let field = format!("spec.preferredNodeSelectors[{index}]");
        check::selector(&format!("{field}.preference"), &node.preference, &mut refusals);
        if !(1..=100).contains(&node.weight) {
            let message = format!("{} is not a weight: it is a number from 1 to 100", node.weight);
            refusals.push(refusal(format!("{field}.weight"), message));
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut interfaces = spec.interfaces;
    interfaces.sort();
    interfaces.dedup();
    Ok(L2Advertisement {
        object: object.clone(),
        pools: spec.pools.into_iter().map(PoolName::from).collect(),
        pool_selectors: spec.pool_selectors,
        node_selectors: spec.node_selectors,
        interfaces,
        service_selectors: spec.service_selectors,
        preferred_nodes: spec.preferred_nodes,
    })
}
