//! The resources of BGP as they come in, before they are judged.

use alloc::{string::String, sync::Arc, vec::Vec};
use core::fmt;

use crate::selector::Selector;

/// A password. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// The password itself, for who has to use it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// `BGPPeer.spec` (v1beta2), field by field. An empty text and the number 0 are as good as absent, as for MetalLB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerSpec {
    /// `myASN`.
    pub my_asn: u32,
    /// `peerASN`.
    pub peer_asn: Option<u32>,
    /// `dynamicASN`: `internal` or `external`.
    pub dynamic_asn: Option<String>,
    /// `localASN`: the AS number to use towards this peer instead of `myASN`.
    pub local_asn: Option<u32>,
    /// `peerAddress`.
    pub peer_address: Option<String>,
    /// `peerAddressFrom`: what of the node says where the router is, instead of `peerAddress`.
    pub peer_address_from: Option<FromNode>,
    /// `peerASNFrom`: what of the node says the AS number of the router, instead of `peerASN`.
    pub peer_asn_from: Option<FromNode>,
    /// `interface`: where the router is, when it has no configured address or a link-local one.
    pub interface: Option<String>,
    /// `sourceAddress`.
    pub source_address: Option<String>,
    /// `peerPort`.
    pub peer_port: Option<i64>,
    /// `holdTime`, such as `90s`.
    pub hold_time: Option<String>,
    /// `keepaliveTime`.
    pub keepalive_time: Option<String>,
    /// `connectTime`.
    pub connect_time: Option<String>,
    /// `routerID`.
    pub router_id: Option<String>,
    /// `nodeSelectors`: only on these nodes; empty means all.
    pub node_selectors: Vec<Selector>,
    /// `password`.
    pub password: Option<Secret>,
    /// `passwordSecret`.
    pub password_secret: Option<SecretReference>,
    /// `bfdProfile`.
    pub bfd_profile: Option<String>,
    /// `enableGracefulRestart`.
    pub graceful_restart: bool,
    /// `ebgpMultiHop`.
    pub ebgp_multi_hop: bool,
    /// `vrf`.
    pub vrf: Option<String>,
    /// `dualStackAddressFamily`.
    pub dual_stack: bool,
    /// `connectionMode`: `Dial`, `Listen` or `Both`.
    pub connection_mode: Option<String>,
    /// `ttlSecurity`.
    pub ttl_security: bool,
}

/// What of a node has a value: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FromNode {
    /// `nodeLabel`: the label of this key.
    pub node_label: Option<String>,
    /// `nodeAnnotation`: the annotation of this key.
    pub node_annotation: Option<String>,
    /// `defaultGateway`: the gateway of its default route, `IPv4` or `IPv6`.
    pub default_gateway: Option<String>,
}

/// A reference to a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretReference {
    /// Its name.
    pub name: String,
    /// Its namespace, when it says one.
    pub namespace: Option<String>,
}

/// `BGPAdvertisement.spec`, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdvertisementSpec {
    /// `aggregationLength`.
    pub aggregation_length: Option<i64>,
    /// `aggregationLengthV6`.
    pub aggregation_length_v6: Option<i64>,
    /// `localPref`.
    pub local_pref: Option<u32>,
    /// `communities`: values and names of them.
    pub communities: Vec<String>,
    /// `ipAddressPools`: pools by name.
    pub pools: Vec<String>,
    /// `ipAddressPoolSelectors`: pools by label, in addition.
    pub pool_selectors: Vec<Selector>,
    /// `nodeSelectors`: only from these nodes; empty means all.
    pub node_selectors: Vec<Selector>,
    /// `peers`: only to these, by name; empty means all.
    pub peers: Vec<String>,
    /// `serviceSelectors`: only these Services; empty means all.
    pub service_selectors: Vec<Selector>,
    /// `med`.
    pub med: Option<u32>,
    /// `asPathPrepend`: how often our AS number is repeated.
    pub as_path_prepend: Option<i64>,
    /// `nextHop.ipv4`.
    pub next_hop_v4: Option<String>,
    /// `nextHop.ipv6`.
    pub next_hop_v6: Option<String>,
    /// `withoutEndpoints`: `Withdraw` or `Keep`.
    pub without_endpoints: Option<String>,
    /// `externalIPs`: prefixes and ranges, whose addresses are announced where Services have them as external IPs.
    pub external_ips: Vec<String>,
    /// `allowedServiceCommunities`: what communities Services may have added, by value, pattern or name.
    pub allowed_service_communities: Vec<String>,
}

/// `Community.spec.communities`: names and values, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommunitySpec {
    /// Each name with what it stands for.
    pub aliases: Vec<(String, String)>,
}

/// `BFDProfile.spec`, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BfdProfileSpec {
    /// `receiveInterval` in milliseconds.
    pub receive_interval: Option<i64>,
    /// `transmitInterval` in milliseconds.
    pub transmit_interval: Option<i64>,
    /// `echoInterval` in milliseconds.
    pub echo_interval: Option<i64>,
    /// `detectMultiplier`.
    pub detect_multiplier: Option<i64>,
    /// `minimumTtl`.
    pub minimum_ttl: Option<i64>,
    /// `echoMode`.
    pub echo_mode: bool,
    /// `passiveMode`.
    pub passive_mode: bool,
}
