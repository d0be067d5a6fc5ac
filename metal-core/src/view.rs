//! Kubernetes and Linux as the policy sees them: nothing in here that it ignores.

use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};
use core::{fmt, net::IpAddr};

use ipnet::IpNet;

use crate::{
    finding::Finding,
    name::{NodeName, ObjectKey, PoolName},
    request::{Request, RequestError},
    selector::Labels,
    sharing::Sharing,
};

/// `metadata.creationTimestamp` in seconds since 1970; `None` counts as the oldest.
pub type Created = Option<i64>;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of `address`.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// `spec.ipFamilyPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FamilyPolicy {
    /// One family.
    #[default]
    SingleStack,
    /// Both families where possible.
    PreferDualStack,
    /// Both families or nothing.
    RequireDualStack,
}

/// `spec.externalTrafficPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrafficPolicy {
    /// Any node forwards to any endpoint.
    #[default]
    Cluster,
    /// A node forwards to its own endpoints only.
    Local,
}

/// Whether a Service is for us to serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Type LoadBalancer with our load balancer class.
    #[default]
    Ours,
    /// Type LoadBalancer, but of a class that somebody else serves.
    OtherClass,
    /// Another type.
    NotLoadBalancer,
}

/// The version of an object (`metadata.resourceVersion`); 0 when there is none, as in a file.
pub type Version = u64;

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its version: a write that was decided on an older one is refused.
    pub version: Version,
    /// When it was created: older ones are served first.
    pub created: Created,
    /// Its labels, for selectors.
    pub labels: Labels,
    /// Whether it is for us.
    pub scope: Scope,
    /// The families of its cluster IPs, in their order; empty when it has none (a headless Service).
    pub families: Vec<Family>,
    /// How many families it wants.
    pub family_policy: FamilyPolicy,
    /// Which nodes may attract its traffic.
    pub traffic_policy: TrafficPolicy,
    /// What its annotations and `spec.loadBalancerIP` ask for.
    pub request: Result<Request, RequestError>,
    /// The IP entries of `status.loadBalancer.ingress`.
    pub assigned: Vec<IpAddr>,
    /// The annotation `metallb.io/ip-allocated-from-pool`: none, one for all addresses, or one for each.
    pub assigned_from: Vec<PoolName>,
    /// How it wants to share addresses; `None` when it does not.
    pub sharing: Option<Sharing>,
    /// The annotation `metallb.io/reassignPolicy: Immediate`: move it when its address is outside its pool.
    pub reassigns: bool,
    /// The annotation `metallb.io/pool-labels`: the last known labels of a pool that is gone.
    pub pool_labels: Option<Labels>,
    /// The condition `Assigned` as it stands. Speakers do not look at it.
    pub condition: Option<Condition>,
    /// The condition `Announced` as it stands.
    pub announced: Option<Condition>,
    /// Who else wrote `status.loadBalancer` last, if it was not us. Speakers do not look at it.
    pub written_by: Option<Arc<str>>,
    /// `spec.externalIPs`, where traffic for them is forwarded at all. Only speakers look at them.
    pub external_ips: Vec<IpAddr>,
    /// The annotation `metallb.io/bgp-communities`: the communities, as they are written, that its addresses are to be
    /// announced with. Only speakers look at them.
    pub communities: Vec<String>,
    /// The annotations with the old prefix `metallb.universe.tf/` that count. Speakers do not look at them.
    pub deprecated: Vec<String>,
}

/// A condition of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it holds: it has addresses (`Assigned`), they are announced (`Announced`).
    pub status: bool,
    /// The machine-readable reason: `Assigned`, or the [code](crate::reason::Reason::code) of what is missing; of
    /// `Announced` the [code](crate::speaker::Reason::code) of what was found.
    pub reason: String,
    /// The sentence that users read.
    pub message: String,
}

impl Service {
    /// The pool that the address number `index` came from, by the annotation.
    #[must_use]
    pub fn pool_of_assigned(&self, index: usize) -> Option<&PoolName> {
        match &*self.assigned_from {
            [one] => Some(one),
            pools => pools.get(index),
        }
    }
}

impl Default for Service {
    fn default() -> Self {
        Self {
            version: 0,
            created: None,
            labels: Labels::new(),
            scope: Scope::Ours,
            families: alloc::vec![Family::V4],
            family_policy: FamilyPolicy::SingleStack,
            traffic_policy: TrafficPolicy::Cluster,
            request: Ok(Request::default()),
            assigned: Vec::new(),
            assigned_from: Vec::new(),
            sharing: None,
            reassigns: false,
            pool_labels: None,
            condition: None,
            announced: None,
            written_by: None,
            external_ips: Vec::new(),
            communities: Vec::new(),
            deprecated: Vec::new(),
        }
    }
}

/// One EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// The Service it belongs to (label `kubernetes.io/service-name`).
    pub service: ObjectKey,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The node it runs on, if it says so.
    pub node: Option<NodeName>,
    /// `conditions.ready`; absent means true.
    pub ready: bool,
    /// `conditions.serving`; absent means the same as ready.
    pub serving: bool,
}

impl Endpoint {
    /// Whether it takes traffic: ready, or terminating but still serving.
    #[must_use]
    pub const fn serves(&self) -> bool {
        self.ready || self.serving
    }
}

/// A Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its labels, for selectors and for `node.kubernetes.io/exclude-from-external-load-balancers`.
    pub labels: Labels,
    /// Condition `NetworkUnavailable` is True.
    pub network_unavailable: bool,
    /// Its own addresses (`status.addresses`), internal ones first. Speakers know those of their own node only.
    pub addresses: Vec<IpAddr>,
    /// Its annotations, where a `BGPPeer` may look for its router. Only speakers know them, of their own node.
    pub annotations: BTreeMap<String, String>,
}

/// The gateway of a default route of this host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gateway {
    /// Its address.
    pub address: IpAddr,
    /// The name of the interface that it is reached by.
    pub interface: String,
}

/// What is known of the network that nodes are in, as far as it makes addresses unfit for Services, and of what became
/// of addresses there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Addresses of nodes.
    pub addresses: Vec<IpAddr>,
    /// The subnets that nodes are in: their network and broadcast addresses are not for Services.
    pub subnets: Vec<IpNet>,
    /// The routers of nodes.
    pub gateways: Vec<IpAddr>,
    /// The node whose speaker says this.
    pub speaker: Option<NodeName>,
    /// What that speaker has found out about addresses of Services.
    pub findings: Vec<Finding>,
}

/// A network interface's number on its host.
pub type LinkIndex = u32;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// A network interface of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name, such as `eth0`.
    pub name: String,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Administratively up.
    pub up: bool,
    /// It has carrier.
    pub carrier: bool,
    /// It can broadcast.
    pub broadcast: bool,
    /// It does ARP (flag NOARP is not set).
    pub arp: bool,
    /// It is a port of a bridge, a member of a bond or of a VRF.
    pub enslaved: bool,
    /// The prefixes of its own addresses.
    pub prefixes: Vec<IpNet>,
}

impl Link {
    /// Whether frames can come and go now.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.up && self.carrier
    }
}
