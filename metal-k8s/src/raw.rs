//! Kubernetes objects with only the fields that matter: the rest never becomes a value.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::Resource;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::annotation;

/// A Service.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Service {
    #[serde(deserialize_with = "trimmed")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) spec: ServiceSpec,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) status: ServiceStatus,
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
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) ip_families: Vec<String>,
    pub(crate) ip_family_policy: Option<String>,
    pub(crate) external_traffic_policy: Option<String>,
}

/// Its `status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceStatus {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) load_balancer: LoadBalancerStatus,
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
    #[serde(deserialize_with = "trimmed")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) status: NodeStatus,
}

/// Its `status`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct NodeStatus {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) conditions: Vec<NodeCondition>,
}

/// One of its conditions.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct NodeCondition {
    #[serde(rename = "type")]
    pub(crate) type_: String,
    pub(crate) status: String,
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

resource!(Service, NamespaceResourceScope, "", "v1", "Service", "services");
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

/// Metadata without what nobody reads: managed fields, owners, foreign annotations.
pub(crate) fn trimmed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let meta = Meta::deserialize(deserializer)?;
    let annotations = meta.annotations.map(|mut annotations| {
        annotations.retain(|key, _| annotation::is_relevant(key));
        annotations
    });
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        creation_timestamp: meta.creation_timestamp,
        labels: meta.labels,
        annotations,
        ..ObjectMeta::default()
    })
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
}
