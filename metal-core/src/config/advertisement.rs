//! Advertisements: which addresses are announced, by whom and where.

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};
use core::time::Duration;

use super::{
    Interfaces, L2AdvertisementSpec, ObjectRef, PreferredNode, Refusal,
    check::{self, refusal},
    parse_duration,
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
    /// Only on these interfaces.
    pub interfaces: Interfaces,
    /// Only these Services; empty means all.
    pub service_selectors: Vec<Selector>,
    /// Which nodes should rather announce.
    pub preferred_nodes: Vec<PreferredNode>,
    /// How often neighbours are reminded of an address, zero for never; `None` when it does not say.
    pub refresh: Option<Duration>,
    /// Which frames the interfaces have to let in; `None` when it does not say.
    pub receive: Option<ReceiveMode>,
}

/// Which frames an interface has to let in, the weakest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiveMode {
    /// Those for its own address, to everybody, and of the groups that are joined; on Wi-Fi, where access points and
    /// drivers often keep back what no program has asked for, of all groups.
    #[default]
    Auto,
    /// Those of all groups too: for cards and drivers that lose groups.
    AllMulti,
    /// All: for cards and access points that lose frames in other ways.
    Promisc,
}

impl ReceiveMode {
    /// As it is written in an object.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::AllMulti => "AllMulti",
            Self::Promisc => "Promisc",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Auto, Self::AllMulti, Self::Promisc].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// Between two refreshes of one address, at least.
const MIN_REFRESH: Duration = Duration::from_secs(1);

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
        self.interfaces.admit(name)
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
        interfaces: Interfaces::default(),
        service_selectors: Vec::new(),
        preferred_nodes: Vec::new(),
        refresh: None,
        receive: None,
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
    let interfaces = Interfaces::parse(&spec.interfaces).unwrap_or_else(|(index, error)| {
        refusals.push(refusal(
            format!("spec.interfaces[{index}]"),
            format!("{:?} {error}", spec.interfaces[index]),
        ));
        Interfaces::default()
    });
    let refresh = spec.refresh_interval.as_deref().and_then(|text| match refresh(text) {
        Ok(refresh) => Some(refresh),
        Err(message) => {
            refusals.push(refusal("spec.refreshInterval", message));
            None
        }
    });
    let receive = spec.receive_mode.as_deref().and_then(|text| {
        let mode = ReceiveMode::parse(text);
        if mode.is_none() {
            let message = format!("{text:?} is none of Auto, AllMulti and Promisc");
            refusals.push(refusal("spec.receiveMode", message));
        }
        mode
    });
    if !refusals.is_empty() {
        return Err(refusals);
    }
    Ok(L2Advertisement {
        object: object.clone(),
        pools: spec.pools.into_iter().map(PoolName::from).collect(),
        pool_selectors: spec.pool_selectors,
        node_selectors: spec.node_selectors,
        interfaces,
        service_selectors: spec.service_selectors,
        preferred_nodes: spec.preferred_nodes,
        refresh,
        receive,
    })
}

/// How often neighbours are reminded; zero for never.
fn refresh(text: &str) -> Result<Duration, String> {
    let refresh = parse_duration(text).map_err(|error| format!("{error}"))?;
    if !refresh.is_zero() && refresh < MIN_REFRESH {
        return Err(format!("{text} is too often: write 1s or more, or 0s for never"));
    }
    Ok(refresh)
}
