use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which addresses are announced by layer 2 (ARP), from which nodes and interfaces.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "L2Advertisement",
    plural = "l2advertisements",
    namespaced,
    status = "L2AdvertisementStatus",
    derive = "PartialEq",
    doc = "L2Advertisement has the addresses of pools announced by layer 2 (ARP).",
    printcolumn = r#"{"name":"IPAddressPools","type":"string","jsonPath":".spec.ipAddressPools"}"#,
    printcolumn = r#"{"name":"IPAddressPool Selectors","type":"string","jsonPath":".spec.ipAddressPoolSelectors"}"#,
    printcolumn = r#"{"name":"Interfaces","type":"string","jsonPath":".spec.interfaces"}"#,
    printcolumn = r#"{"name":"Node Selectors","type":"string","priority":10,"jsonPath":".spec.nodeSelectors"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct L2AdvertisementSpec {
    /// The pools, by name. Without any name or selector: all pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address_pools: Option<Vec<String>>,
    /// The pools, by label, in addition to those by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address_pool_selectors: Option<Vec<LabelSelector>>,
    /// The nodes that may announce: those that any of the selectors matches. Empty means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selectors: Option<Vec<LabelSelector>>,
    /// The interfaces to answer on, by name or pattern: * stands for any characters, ? for one, [0-3] for one of
    /// these. An entry that starts with ! excludes what it matches; with only such entries, all others are meant. Empty
    /// means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<String>>,
    /// The Services whose addresses are announced: those that any of the selectors matches. Empty means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_selectors: Option<Vec<LabelSelector>>,
    /// The nodes that should rather announce. The weights of all entries that match a node are summed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_node_selectors: Option<Vec<PreferredNodeSelector>>,
    /// How often neighbours and switches are reminded of an address that is announced, such as 30s; 0s for never. The
    /// default is 60s. Of several advertisements of an address the shortest interval counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(0|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+)$"))]
    pub refresh_interval: Option<String>,
    /// Which frames the interfaces let in: what is for the node (Auto, the default), all multicast too (AllMulti), or
    /// everything (Promisc). The latter two are for Wi-Fi and for drivers that lose frames. Of several advertisements
    /// for an interface the one that lets in most counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Auto", "AllMulti", "Promisc"]))]
    pub receive_mode: Option<String>,
}

/// Nodes that should rather announce.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct PreferredNodeSelector {
    /// How much rather, from 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// The nodes. The empty selector matches all.
    pub preference: LabelSelector,
}

/// Whether an advertisement is in force.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct L2AdvertisementStatus {
    /// Accepted: whether the advertisement is in force, else why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Option<Vec<Condition>>,
}
