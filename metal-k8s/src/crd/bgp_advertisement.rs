use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AcceptedStatus;

/// Which addresses are announced by BGP, from which nodes, to which peers, and what is said of them.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "BGPAdvertisement",
    plural = "bgpadvertisements",
    namespaced,
    status = "AcceptedStatus",
    derive = "PartialEq",
    doc = "BGPAdvertisement has the addresses of pools announced by BGP.",
    printcolumn = r#"{"name":"IPAddressPools","type":"string","jsonPath":".spec.ipAddressPools"}"#,
    printcolumn = r#"{"name":"IPAddressPool Selectors","type":"string","jsonPath":".spec.ipAddressPoolSelectors"}"#,
    printcolumn = r#"{"name":"Peers","type":"string","jsonPath":".spec.peers"}"#,
    printcolumn = r#"{"name":"Node Selectors","type":"string","priority":10,"jsonPath":".spec.nodeSelectors"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.allowedServiceCommunities) || self.allowedServiceCommunities.size() == 0 || ((!has(self.aggregationLength) || self.aggregationLength == 32) && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))",
    "message": "allowedServiceCommunities is about single Services: not with prefixes that others share",
}]))]
pub struct BGPAdvertisementSpec {
    /// The length of the prefixes that are announced for IPv4 addresses. None may reach beyond the pool.
    #[serde(default = "full_v4", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub aggregation_length: Option<i64>,
    /// The length of the prefixes that are announced for IPv6 addresses. None may reach beyond the pool.
    #[serde(default = "full_v6", rename = "aggregationLengthV6", skip_serializing_if = "Option::is_none")]
    pub aggregation_length_v6: Option<i64>,
    /// LOCAL_PREF, by which peers of our AS choose; the higher the better. 0 is as good as absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub local_pref: Option<i64>,
    /// Communities: standard ones such as 64512:100, large ones such as large:64512:1:2, extended ones such as
    /// extended:rt:64512:100, names that a Community defines, and well-known names such as no-export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub communities: Option<Vec<String>>,
    /// The pools, by name. Without any name or selector: all pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address_pools: Option<Vec<String>>,
    /// The pools, by label, in addition to those by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address_pool_selectors: Option<Vec<LabelSelector>>,
    /// The nodes that announce: those that any of the selectors matches. Empty means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selectors: Option<Vec<LabelSelector>>,
    /// The peers, by name. Empty means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<String>>,
    /// The Services whose addresses are announced: those that any of the selectors matches. Empty means all. Not with
    /// prefixes that are shorter than an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_selectors: Option<Vec<LabelSelector>>,
    /// MULTI_EXIT_DISC, by which neighbours of another AS choose between our nodes; the lower the better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub med: Option<i64>,
    /// How often our AS number is repeated in AS_PATH, which makes the route worse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 16))]
    pub as_path_prepend: Option<i64>,
    /// The next hop, in place of the node that announces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<NextHop>,
    /// What happens while no endpoint of a Service takes traffic: its addresses are withdrawn (Withdraw, the default),
    /// or stay announced (Keep).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Withdraw", "Keep"]))]
    pub without_endpoints: Option<String>,
    /// Prefixes and ranges whose addresses are announced as well where a Service, of whatever type, has them in
    /// spec.externalIPs. Whoever may write Services may take any of these addresses.
    #[serde(default, rename = "externalIPs", skip_serializing_if = "Option::is_none")]
    pub external_ips: Option<Vec<String>>,
    /// The communities that a Service may ask for by its annotation metallb.io/bgp-communities: values, names, and all
    /// that begin alike, such as 64512:*. Not with prefixes that are shorter than an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_service_communities: Option<Vec<String>>,
}

/// A next hop for each family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct NextHop {
    /// That of IPv4 prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<String>,
    /// That of IPv6 prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<String>,
}

const fn full_v4() -> Option<i64> {
    Some(32)
}

const fn full_v6() -> Option<i64> {
    Some(128)
}
