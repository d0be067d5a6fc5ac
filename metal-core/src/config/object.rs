//! Configuration objects as they come in, before they are judged.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use core::{fmt, net::IpAddr};

use super::bgp::{self, AdvertisementSpec, BfdProfileSpec, CommunitySpec, PeerSpec};
use crate::{
    name::ObjectKey,
    selector::{Labels, Selector},
    view::Created,
};

/// Which object a configuration or a verdict is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectRef {
    /// Its kind, such as `IPAddressPool`.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// A configuration object, not yet judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// When it was created: of two that exclude each other the older one wins.
    pub created: Created,
    /// Its labels.
    pub labels: Labels,
    /// What it says.
    pub spec: Spec,
    /// What its status said when it was seen first.
    pub status: ObjectStatus,
}

/// What the status of a configuration object says, as far as a controller that starts has to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectStatus {
    /// Condition `Accepted` is True: it was in force.
    pub accepted: bool,
    /// `held`: the addresses of the pool that are kept for their former owners.
    pub held: Vec<Held>,
}

/// An address that is kept for its former owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The address.
    pub address: IpAddr,
    /// The Service that had it.
    pub service: ObjectKey,
    /// Until when, in seconds since 1970.
    pub until: i64,
}

/// What a configuration object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// An `IPAddressPool`.
    Pool(PoolSpec),
    /// An `L2Advertisement`.
    L2Advertisement(L2AdvertisementSpec),
    /// An `IPReservation`.
    Reservation(ReservationSpec),
    /// A `BGPPeer`.
    BgpPeer(Box<PeerSpec>),
    /// A `BGPAdvertisement`.
    BgpAdvertisement(Box<AdvertisementSpec>),
    /// A `Community`.
    Community(CommunitySpec),
    /// A `BFDProfile`.
    BfdProfile(BfdProfileSpec),
    /// A ConfigMap as MetalLB before 0.13 had it.
    Legacy(Legacy),
    /// An object that could not be decoded, with the reason.
    Unreadable(Refusal),
}

/// `IPAddressPool.spec`, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolSpec {
    /// `addresses`: CIDRs and `first-last` ranges.
    pub addresses: Vec<String>,
    /// `autoAssign`: may be chosen without being asked for.
    pub auto_assign: bool,
    /// `avoidBuggyIPs`: skip IPv4 addresses ending in .0 and .255.
    pub avoid_buggy_ips: bool,
    /// `serviceAllocation`: who may use the pool.
    pub service_allocation: Option<ServiceAllocationSpec>,
    /// `exclude`: CIDRs and ranges that are not given out at all.
    pub exclude: Vec<String>,
    /// `reuseDelay`: how long a freed address is kept for the Service that had it, such as `10m`.
    pub reuse_delay: Option<String>,
    /// `maxAddressesPerNamespace`.
    pub max_addresses_per_namespace: Option<i64>,
    /// `sharing`: `Never`, `SameNamespace` or `Key`.
    pub sharing: Option<String>,
    /// `reassignPolicy`: `Never` or `Immediate`.
    pub reassign_policy: Option<String>,
}

/// `IPReservation.spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReservationSpec {
    /// `addresses`: CIDRs, ranges and single addresses.
    pub addresses: Vec<String>,
    /// `serviceRef`: the Service that they are for.
    pub service: Option<ObjectKey>,
    /// `serviceSelectors`: the Services that they are for, by label.
    pub service_selectors: Vec<Selector>,
    /// `namespaces`: where `serviceSelectors` look; empty means everywhere.
    pub namespaces: Vec<String>,
}

/// `IPAddressPool.spec.serviceAllocation`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAllocationSpec {
    /// `priority`: lower is tried first, 0 last.
    pub priority: i64,
    /// `namespaces`.
    pub namespaces: Vec<String>,
    /// `namespaceSelectors`.
    pub namespace_selectors: Vec<Selector>,
    /// `serviceSelectors`.
    pub service_selectors: Vec<Selector>,
}

/// `L2Advertisement.spec`, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L2AdvertisementSpec {
    /// `ipAddressPools`: pools by name.
    pub pools: Vec<String>,
    /// `ipAddressPoolSelectors`: pools by label, in addition.
    pub pool_selectors: Vec<Selector>,
    /// `nodeSelectors`: only from these nodes; empty means all.
    pub node_selectors: Vec<Selector>,
    /// `interfaces`: only on these, by name or pattern; empty means all.
    pub interfaces: Vec<String>,
    /// `serviceSelectors`: only these Services; empty means all.
    pub service_selectors: Vec<Selector>,
    /// `preferredNodeSelectors`: which nodes should rather announce.
    pub preferred_nodes: Vec<PreferredNode>,
    /// `refreshInterval`: how often neighbours are reminded, such as `60s`; `0s` for never.
    pub refresh_interval: Option<String>,
    /// `receiveMode`: `Auto`, `AllMulti` or `Promisc`.
    pub receive_mode: Option<String>,
}

/// One entry of `preferredNodeSelectors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreferredNode {
    /// `weight`, 1 to 100; the weights of all that match are summed.
    pub weight: u32,
    /// `preference`: the nodes that are meant.
    pub preference: Selector,
}

/// The old ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Legacy {
    /// `address-pools`.
    pub pools: Vec<LegacyPool>,
    /// All that is about BGP.
    pub bgp: bgp::Legacy,
}

/// One entry of `address-pools` in the old ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyPool {
    /// `name`.
    pub name: String,
    /// `protocol`: `layer2` or `bgp`.
    pub protocol: String,
    /// `addresses`, `auto-assign` and `avoid-buggy-ips`.
    pub spec: PoolSpec,
    /// `bgp-advertisements`.
    pub advertisements: Vec<AdvertisementSpec>,
}

/// Why an object, or a part of it, is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The field, such as `spec.addresses[0]`.
    pub field: String,
    /// What is wrong with it and what to do.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.field, self.message)
    }
}
