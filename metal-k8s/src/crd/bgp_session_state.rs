use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing: only the status of the resource says something.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "frrk8s.metallb.io",
    version = "v1beta1",
    kind = "BGPSessionState",
    plural = "bgpsessionstates",
    namespaced,
    status = "BGPSessionStateStatus",
    derive = "PartialEq",
    doc = "BGPSessionState says how the BGP session of a node with a router stands.",
    printcolumn = r#"{"name":"Node","type":"string","jsonPath":".status.node"}"#,
    printcolumn = r#"{"name":"Peer","type":"string","jsonPath":".status.peer"}"#,
    printcolumn = r#"{"name":"VRF","type":"string","jsonPath":".status.vrf"}"#,
    printcolumn = r#"{"name":"BGP","type":"string","jsonPath":".status.bgpStatus"}"#,
    printcolumn = r#"{"name":"BFD","type":"string","jsonPath":".status.bfdStatus"}"#,
    printcolumn = r#"{"name":"BGPPeer","type":"string","jsonPath":".status.bgpPeer","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.message","priority":1}"#
)]
pub struct BGPSessionStateSpec {}

/// How a session stands. The first five fields are those of frr-k8s.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BGPSessionStateStatus {
    /// The state of the session, by its name in RFC 4271: Idle, Connect, Active, OpenSent, OpenConfirm, Established.
    #[serde(rename = "bgpStatus", default, skip_serializing_if = "Option::is_none")]
    pub bgp_status: Option<String>,
    /// How the router is by BFD; N/A without BFD.
    #[serde(rename = "bfdStatus", default, skip_serializing_if = "Option::is_none")]
    pub bfd_status: Option<String>,
    /// The node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The router: its address, or the interface where it is. An IPv6 address is written out, with dashes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The VRF; empty for the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,
    /// The BGPPeer that asks for the session.
    #[serde(rename = "bgpPeer", default, skip_serializing_if = "Option::is_none")]
    pub bgp_peer: Option<String>,
    /// The router as it is usually written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<String>,
    /// What ended the session last, or what it is waiting for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
