use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, IgnoredAny},
};

use super::AcceptedStatus;

/// A router to speak BGP with, from which nodes and how.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta2",
    kind = "BGPPeer",
    plural = "bgppeers",
    namespaced,
    status = "AcceptedStatus",
    derive = "PartialEq",
    doc = "BGPPeer is a router to speak BGP with.",
    printcolumn = r#"{"name":"Address","type":"string","jsonPath":".spec.peerAddress"}"#,
    printcolumn = r#"{"name":"ASN","type":"string","jsonPath":".spec.peerASN"}"#,
    printcolumn = r#"{"name":"BFD Profile","type":"string","jsonPath":".spec.bfdProfile"}"#,
    printcolumn = r#"{"name":"Multi Hops","type":"string","jsonPath":".spec.ebgpMultiHop"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.peerAddressFrom) || !has(self.peerAddress) || self.peerAddress == ''",
        "message": "peerAddress and peerAddressFrom exclude each other",
    },
    {
        "rule": "!has(self.peerASNFrom) || ((!has(self.peerASN) || self.peerASN == 0) && (!has(self.dynamicASN) || self.dynamicASN == ''))",
        "message": "peerASN, dynamicASN and peerASNFrom exclude each other",
    },
]))]
pub struct BGPPeerSpec {
    /// Our AS number.
    #[serde(rename = "myASN")]
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub my_asn: i64,
    /// The AS number of the router. Either this or dynamicASN.
    #[serde(default, rename = "peerASN", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub peer_asn: Option<i64>,
    /// The AS number of the router is what it says, as long as that is ours (internal) or is not (external).
    #[serde(default, rename = "dynamicASN", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["internal", "external"]))]
    pub dynamic_asn: Option<String>,
    /// Our AS number towards this router, in place of myASN, which then stands nowhere in what is sent.
    #[serde(default, rename = "localASN", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub local_asn: Option<i64>,
    /// The address of the router. Either this or interface; both for a link-local address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_address: Option<String>,
    /// Where the node says which router is its peer, in place of peerAddress: one object for all racks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_address_from: Option<AddressFromNode>,
    /// Where the node says the AS number of its router, in place of peerASN.
    #[serde(default, rename = "peerASNFrom", skip_serializing_if = "Option::is_none")]
    pub peer_asn_from: Option<FromNode>,
    /// The interface that the router is on. Without peerAddress it is found there by its router advertisements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The address of the node to speak from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,
    /// The TCP port of the router.
    #[serde(default = "bgp_port", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65_535))]
    pub peer_port: Option<i64>,
    /// How long silence is taken for, such as 90s, the default; 0s for ever. The lesser one of both sides counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<String>,
    /// The time between two signs of life. A third of the hold time unless given; with holdTime absent, that is three
    /// times this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_time: Option<String>,
    /// The time between two attempts to connect, in whole seconds from 1s to 65535s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_time: Option<String>,
    /// The BGP identifier to use, an IPv4 address. Unless given, the IPv4 address of the node.
    #[serde(default, rename = "routerID", skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    /// The nodes that speak with the router: those that any of the selectors matches. Empty means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selectors: Option<Vec<LabelSelector>>,
    /// The password that signs segments (TCP MD5). passwordSecret is the better place for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// A Secret of type kubernetes.io/basic-auth in the same namespace, whose key password has the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretReference>,
    /// The BFDProfile by which the router is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bfd_profile: Option<String>,
    /// Whether the router is asked to keep the routes while the speaker restarts.
    #[serde(default)]
    pub enable_graceful_restart: bool,
    /// Whether a router of another AS may be several hops away.
    #[serde(default)]
    pub ebgp_multi_hop: bool,
    /// The VRF that the router is in, by the name of its device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,
    /// Has no effect; dualStackAddressFamily is what it was for.
    #[serde(default, rename = "disableMP")]
    pub disable_mp: bool,
    /// Whether routes of both families are announced, whatever the family of the router's address.
    #[serde(default)]
    pub dual_stack_address_family: bool,
    /// Who opens the connection: we (Dial, the default), the router (Listen), or whoever is first (Both).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Dial", "Listen", "Both"]))]
    pub connection_mode: Option<String>,
    /// Whether only packets are taken that no router has forwarded (RFC 5082); the router has to be set up likewise.
    #[serde(default)]
    pub ttl_security: bool,
}

/// What of a node says which router is its peer: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.nodeLabel), has(self.nodeAnnotation), has(self.defaultGateway)].filter(x, x).size() == 1",
    "message": "exactly one of nodeLabel, nodeAnnotation and defaultGateway is needed",
}]))]
pub struct AddressFromNode {
    /// The label of this key has the address. An IPv6 address has dashes in place of colons there: 2001-db8--1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub node_label: Option<String>,
    /// The annotation of this key has the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub node_annotation: Option<String>,
    /// The router is the gateway of the node's default route of this family; with interface, the one there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["IPv4", "IPv6"]))]
    pub default_gateway: Option<String>,
}

/// What of a node says a value: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.nodeLabel) != has(self.nodeAnnotation)",
    "message": "exactly one of nodeLabel and nodeAnnotation is needed",
}]))]
pub struct FromNode {
    /// The label of this key has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub node_label: Option<String>,
    /// The annotation of this key has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub node_annotation: Option<String>,
}

/// A password. It is never printed, not even when it is no text and so cannot be read.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Password(pub String);

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// What may stand where a password is expected.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Other(IgnoredAny),
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Text(text)) => Ok(Self(text)),
            Ok(Written::Other(_)) | Err(_) => {
                Err(D::Error::custom("the password is no text: put it in quotes"))
            }
        }
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A Secret by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct SecretReference {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its namespace; that of the BGPPeer, if it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

const fn bgp_port() -> Option<i64> {
    Some(179)
}
