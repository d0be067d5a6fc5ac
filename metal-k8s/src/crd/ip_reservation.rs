use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Addresses of pools that are kept for certain Services, or for nobody.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "IPReservation",
    plural = "ipreservations",
    shortname = "ipres",
    namespaced,
    status = "IPReservationStatus",
    derive = "PartialEq",
    doc = "IPReservation keeps addresses of pools for certain Services, or for nobody.",
    printcolumn = r#"{"name":"Addresses","type":"string","jsonPath":".spec.addresses"}"#,
    printcolumn = r#"{"name":"Service Namespace","type":"string","jsonPath":".spec.serviceRef.namespace"}"#,
    printcolumn = r#"{"name":"Service Name","type":"string","jsonPath":".spec.serviceRef.name"}"#,
    printcolumn = r#"{"name":"Accepted","type":"string","jsonPath":".status.conditions[?(@.type==\"Accepted\")].status"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.namespaces) || size(self.namespaces) == 0 || (has(self.serviceSelectors) && size(self.serviceSelectors) > 0)",
     "message": "namespaces narrows serviceSelectors, which are missing: add them (one that is empty, {}, selects all)"},
]))]
pub struct IPReservationSpec {
    /// The addresses: single ones, CIDRs such as 192.0.2.0/28, or ranges such as 192.0.2.10-192.0.2.19. Those outside
    /// every pool have no effect until a pool has them.
    #[schemars(length(min = 1))]
    pub addresses: Vec<String>,
    /// The Service that they are for. Without it and without serviceSelectors they are for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ref: Option<ServiceReference>,
    /// The Services that they are for: those that any of the selectors matches, in addition to serviceRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_selectors: Option<Vec<LabelSelector>>,
    /// The namespaces in which serviceSelectors look. Empty means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
}

/// A Service by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct ServiceReference {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Whether a reservation is in force.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct IPReservationStatus {
    /// Accepted: whether the reservation is in force, else why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Option<Vec<Condition>>,
}
