use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AcceptedStatus;

/// Names for BGP communities.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "Community",
    plural = "communities",
    namespaced,
    status = "AcceptedStatus",
    derive = "PartialEq",
    doc = "Community gives names to BGP communities.",
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#
)]
pub struct CommunitySpec {
    /// The names, with what they stand for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub communities: Option<Vec<CommunityAlias>>,
}

/// A name for a community.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct CommunityAlias {
    /// The name, which no other Community defines.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The community, such as 64512:100, large:64512:1:2 or extended:rt:64512:100.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
}
