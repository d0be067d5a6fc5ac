//! Kubernetes objects with only the fields that matter: the rest never becomes a value.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::Resource;
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::Value;

use crate::{
    annotation,
    backend::CONTROLLER,
    crd::{AddressFinding, NodeNetwork},
};

/// A Service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "WholeService")]
pub(crate) struct Service {
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: ServiceSpec,
    pub(crate) status: ServiceStatus,
    /// The field manager that `status.loadBalancer` is from, unless it is the controller.
    pub(crate) written_by: Option<String>,
}

/// A Service as it comes.
#[derive(Deserialize)]
struct WholeService {
    metadata: Meta<Vec<Writer>>,
    #[serde(default, deserialize_with = "or_default")]
    spec: ServiceSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: ServiceStatus,
}

/// What is read of an entry of `metadata.managedFields`: whether it has `status.loadBalancer`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Writer {
    manager: Option<String>,
    time: Option<String>,
    fields_v1: Option<WrittenFields>,
}

#[derive(Deserialize)]
struct WrittenFields {
    #[serde(rename = "f:status")]
    status: Option<WrittenStatus>,
}

#[derive(Deserialize)]
struct WrittenStatus {
    #[serde(rename = "f:loadBalancer")]
    load_balancer: Option<IgnoredAny>,
}

impl From<WholeService> for Service {
    fn from(service: WholeService) -> Self {
        let WholeService { mut metadata, spec, status } = service;
        let written_by = written_by(metadata.managed_fields.take().unwrap_or_default());
        Self { metadata: metadata.into(), spec, status, written_by }
    }
}

/// Who wrote the status last, if the controller has no part in it any more.
fn written_by(writers: Vec<Writer>) -> Option<String> {
    let owns = |writer: &Writer| {
        let status = writer.fields_v1.as_ref().and_then(|fields| fields.status.as_ref());
        status.is_some_and(|status| status.load_balancer.is_some())
    };
    let owners: Vec<_> = writers.into_iter().filter(owns).collect();
    if owners.iter().any(|owner| owner.manager.as_deref() == Some(CONTROLLER)) {
        return None;
    }
    // RFC 3339 in UTC: the later time is the greater text.
    owners.into_iter().max_by(|one, other| one.time.cmp(&other.time))?.manager
}

/// Its `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(crate) type_: Option<String>,
    pub(crate) load_balancer_class: Option<String>,
    #[serde(rename = "loadBalancerIP")]
    pub(crate) load_balancer_ip: Option<String>,
    #[serde(rename = "clusterIP")]
    pub(crate) cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs", default, deserialize_with = "or_default")]
    pub(crate) cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs", default, deserialize_with = "or_default")]
    pub(crate) external_ips: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) ip_families: Vec<String>,
    pub(crate) ip_family_policy: Option<String>,
    pub(crate) external_traffic_policy: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) ports: Vec<ServicePort>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) selector: BTreeMap<String, String>,
}

/// One of its ports.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ServicePort {
    pub(crate) port: u16,
    pub(crate) protocol: Option<String>,
}

/// Its `status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceStatus {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) load_balancer: LoadBalancerStatus,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) conditions: Vec<Condition>,
}

/// One of its conditions.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) type_: String,
    pub(crate) status: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) reason: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) message: String,
    pub(crate) last_transition_time: Option<Time>,
}

/// `status.loadBalancer`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct LoadBalancerStatus {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) ingress: Vec<Ingress>,
}

/// One entry of `status.loadBalancer.ingress`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Ingress {
    pub(crate) ip: Option<String>,
}

/// An EndpointSlice.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct EndpointSlice {
    #[serde(deserialize_with = "trimmed")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) endpoints: Vec<Endpoint>,
}

/// One of its endpoints.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoint {
    pub(crate) node_name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) conditions: EndpointConditions,
}

/// The conditions of an endpoint.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct EndpointConditions {
    pub(crate) ready: Option<bool>,
    pub(crate) serving: Option<bool>,
}

/// A Node.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Node {
    #[serde(deserialize_with = "with_annotations")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) status: NodeStatus,
}

/// Its `status`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct NodeStatus {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) conditions: Vec<NodeCondition>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) addresses: Vec<NodeAddress>,
}

/// One of its addresses, which may also be a host name.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct NodeAddress {
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub(crate) type_: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) address: String,
}

/// One of its conditions.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct NodeCondition {
    #[serde(rename = "type")]
    pub(crate) type_: String,
    pub(crate) status: String,
}

/// A Namespace.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Namespace {
    #[serde(deserialize_with = "trimmed")]
    pub(crate) metadata: ObjectMeta,
}

/// A ConfigurationState.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ConfigurationState {
    #[serde(deserialize_with = "trimmed")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) status: ConfigurationStateStatus,
}

/// Its `status`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ConfigurationStateStatus {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) networks: Vec<NodeNetwork>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) findings: Vec<AddressFinding>,
}

/// A ConfigMap.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ConfigMap {
    #[serde(deserialize_with = "trimmed")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) data: BTreeMap<String, String>,
}

/// An IPAddressPool whose `spec` is judged later, so that one bad object does not spoil a whole list.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Pool {
    #[serde(deserialize_with = "trimmed")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: Value,
    #[serde(default)]
    pub(crate) status: Value,
}

/// An IPReservation, likewise.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Reservation {
    #[serde(deserialize_with = "trimmed")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: Value,
    #[serde(default)]
    pub(crate) status: Value,
}

/// A Service as the answer to a write: only its metadata, but all of them.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Applied {
    pub(crate) metadata: ObjectMeta,
}

/// An L2Advertisement, likewise.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct L2Advertisement {
    #[serde(deserialize_with = "trimmed")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: Value,
    #[serde(default)]
    pub(crate) status: Value,
}

macro_rules! resource {
    ($type:ident, $scope:ty, $group:literal, $version:literal, $kind:literal, $plural:literal) => {
        impl Resource for $type {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> Cow<'_, str> {
                $kind.into()
            }
            fn group((): &()) -> Cow<'_, str> {
                $group.into()
            }
            fn version((): &()) -> Cow<'_, str> {
                $version.into()
            }
            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

mod bgp;
mod secret;
pub(crate) use bgp::{BfdProfile, BgpAdvertisement, BgpPeer, Community};
pub(crate) use secret::Secret;

resource!(Service, NamespaceResourceScope, "", "v1", "Service", "services");
resource!(Applied, NamespaceResourceScope, "", "v1", "Service", "services");
resource!(Secret, NamespaceResourceScope, "", "v1", "Secret", "secrets");
resource!(Namespace, ClusterResourceScope, "", "v1", "Namespace", "namespaces");
resource!(Reservation, NamespaceResourceScope, "metallb.io", "v1beta1", "IPReservation", "ipreservations");
resource!(
    ConfigurationState,
    NamespaceResourceScope,
    "metallb.io",
    "v1beta1",
    "ConfigurationState",
    "configurationstates"
);
resource!(EndpointSlice, NamespaceResourceScope, "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");
resource!(Node, ClusterResourceScope, "", "v1", "Node", "nodes");
resource!(ConfigMap, NamespaceResourceScope, "", "v1", "ConfigMap", "configmaps");
resource!(Pool, NamespaceResourceScope, "metallb.io", "v1beta1", "IPAddressPool", "ipaddresspools");
resource!(
    L2Advertisement,
    NamespaceResourceScope,
    "metallb.io",
    "v1beta1",
    "L2Advertisement",
    "l2advertisements"
);

/// What is read of `metadata`; `W` is what managed fields are read as.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<W> {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    managed_fields: Option<W>,
}

impl<W> From<Meta<W>> for ObjectMeta {
    fn from(mut meta: Meta<W>) -> Self {
        if let Some(annotations) = &mut meta.annotations {
            annotations.retain(|key, _| annotation::is_relevant(key));
        }
        meta.whole()
    }
}

impl<W> Meta<W> {
    fn whole(self) -> ObjectMeta {
        ObjectMeta {
            name: self.name,
            namespace: self.namespace,
            uid: self.uid,
            resource_version: self.resource_version,
            creation_timestamp: self.creation_timestamp,
            labels: self.labels,
            annotations: self.annotations,
            ..ObjectMeta::default()
        }
    }
}

/// Metadata without what nobody reads: managed fields, owners, foreign annotations.
pub(crate) fn trimmed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    Meta::<IgnoredAny>::deserialize(deserializer).map(Into::into)
}

/// Metadata without managed fields and owners, but with all annotations: users name which of a Node's matter.
fn with_annotations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    Meta::<IgnoredAny>::deserialize(deserializer).map(Meta::whole)
}

/// `null` is as good as absent, as for the API server.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn managed_fields_and_foreign_annotations_never_become_values() {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "a", "managedFields": [{"manager": "x"}], "labels": null,
                "annotations": {"metallb.io/address-pool": "p", "kubectl.kubernetes.io/last-applied-configuration": "{}"}},
            "spec": null,
            "status": {"loadBalancer": null},
        }))
        .unwrap();
        assert!(service.metadata.managed_fields.is_none());
        assert_eq!(service.metadata.annotations.unwrap().len(), 1);
        assert!(service.status.load_balancer.ingress.is_empty());
    }

    #[test]
    fn who_wrote_the_status_last_is_known() {
        let service = |fields: Value| -> Option<String> {
            let object = json!({"metadata": {"name": "a", "managedFields": fields}});
            serde_json::from_value::<Service>(object).unwrap().written_by
        };
        let entry = |manager: &str, time: &str, status: Value| {
            json!({"manager": manager, "operation": "Update",
            "apiVersion": "v1", "time": time, "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}, "f:status": status}})
        };
        let status = || json!({"f:loadBalancer": {"f:ingress": {}}});
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        assert_eq!(service(json!([])), None);
        assert_eq!(
            service(json!([entry("a", early, status()), entry("b", late, status())])),
            Some("b".into())
        );
        assert_eq!(
            service(json!([entry("a", late, status()), entry("b", early, status())])),
            Some("a".into())
        );
        assert_eq!(service(json!([entry("a", late, json!({"f:conditions": {}}))])), None);
        assert_eq!(service(json!([entry("a", late, status()), entry(CONTROLLER, early, status())])), None);
        assert_eq!(service(json!([{"manager": "a", "time": null}, {"manager": "b", "fieldsV1": {}}])), None);
    }
}
