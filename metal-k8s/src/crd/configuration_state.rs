use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing: only the status of the resource says something.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "ConfigurationState",
    plural = "configurationstates",
    namespaced,
    status = "ConfigurationStateStatus",
    derive = "PartialEq",
    doc = "ConfigurationState says how a component stands: its configuration, the networks that its node is in, and what is odd about addresses there.",
    printcolumn = r#"{"name":"Result","type":"string","jsonPath":".status.result"}"#,
    printcolumn = r#"{"name":"Error Summary","type":"string","jsonPath":".status.errorSummary"}"#
)]
pub struct ConfigurationStateSpec {}

/// How a component stands.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationStateStatus {
    /// Whether the configuration is usable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Valid", "Invalid", "Unknown"]))]
    pub result: Option<String>,
    /// What is wrong with it, one line for each mistake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_summary: Option<String>,
    /// The verdict of each part of the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Option<Vec<Condition>>,
    /// The networks that the node is in. Automatic allocation leaves their routers alone, the addresses of the node,
    /// and the first and the last address of each IPv4 subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["interface"]))]
    pub networks: Option<Vec<NodeNetwork>>,
    /// What is odd about addresses of Services on the node, the worst first. The controller shows it in the condition
    /// `Announced` of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub findings: Option<Vec<AddressFinding>>,
}

/// Something that is odd about an address of a Service on a node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct AddressFinding {
    /// The namespace of the Service.
    pub namespace: String,
    /// The name of the Service.
    pub name: String,
    /// The address.
    pub address: String,
    /// The interface on which it was found; empty when it is about all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// What it is, for programs, such as AddressConflict.
    pub reason: String,
    /// Whether the address is announced all the same.
    pub announced: bool,
    /// The address has never been announced: the Service may get another one instead.
    #[serde(default, skip_serializing_if = "is_false")]
    pub replaceable: bool,
    /// What it is, for people.
    pub message: String,
    /// When it was noticed.
    pub since: Time,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// What one interface of a node says about the network it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct NodeNetwork {
    /// The interface.
    pub interface: String,
    /// Its own addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub addresses: Vec<String>,
    /// The subnets that these are in, such as 192.0.2.0/24.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub subnets: Vec<String>,
    /// The default routers that it reaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub gateways: Vec<String>,
}
