//! Kubernetes objects as the policy sees them.
//!
//! What an API server would have defaulted is defaulted here too, so that a manifest means the same from a
//! file.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use metal_core::{
    name::{ObjectKey, PoolName},
    request::Request,
    view::{Created, Endpoint, EndpointSlice, Family, FamilyPolicy, Node, Scope, Service, TrafficPolicy},
};

use crate::{annotation, raw};

/// The namespace of an object that names none.
const DEFAULT_NAMESPACE: &str = "default";
/// The label of an EndpointSlice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The key of a namespaced object.
pub(crate) fn key(meta: &ObjectMeta) -> ObjectKey {
    let namespace = meta.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    ObjectKey::new(namespace.unwrap_or(DEFAULT_NAMESPACE), meta.name.as_deref().unwrap_or_default())
}

/// When an object was created.
pub(crate) fn created(meta: &ObjectMeta) -> Created {
    meta.creation_timestamp.as_ref().map(|time| time.0.as_second())
}

/// A Service; `class` is the load balancer class that is ours.
pub(crate) fn service(raw: raw::Service, class: Option<&str>) -> Service {
    let raw::Service { metadata, spec, status } = raw;
    let family_policy = family_policy(spec.ip_family_policy.as_deref());
    let annotations = metadata.annotations.as_ref();
    let request = Request::parse(
        annotation::get(annotations, "loadBalancerIPs"),
        spec.load_balancer_ip.as_deref(),
        annotation::get(annotations, "address-pool"),
    );
    Service {
        created: created(&metadata),
        scope: scope(&spec, class),
        families: families(&spec, family_policy),
        family_policy,
        traffic_policy: match spec.external_traffic_policy.as_deref() {
            Some("Local") => TrafficPolicy::Local,
            _ => TrafficPolicy::Cluster,
        },
        request,
        assigned: assigned(&status),
        assigned_from: assigned_from(&metadata),
        labels: metadata.labels.unwrap_or_default(),
    }
}

/// The IP entries of a Service's status. Host names are somebody else's.
pub(crate) fn assigned(status: &raw::ServiceStatus) -> Vec<IpAddr> {
    status.load_balancer.ingress.iter().filter_map(|entry| entry.ip.as_deref()?.parse().ok()).collect()
}

/// The pool that a Service's addresses came from.
pub(crate) fn assigned_from(meta: &ObjectMeta) -> Option<PoolName> {
    let pool = meta.annotations.as_ref()?.get(annotation::ALLOCATED_FROM)?;
    (!pool.is_empty()).then(|| PoolName::from(pool.as_str()))
}

/// An EndpointSlice; `None` when it belongs to no Service.
pub(crate) fn endpoint_slice(raw: raw::EndpointSlice) -> Option<EndpointSlice> {
    let key = key(&raw.metadata);
    let service = raw.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    let endpoints = raw.endpoints.into_iter().map(|endpoint| {
        let ready = endpoint.conditions.ready.unwrap_or(true);
        Endpoint {
            node: endpoint.node_name.map(Into::into),
            ready,
            serving: endpoint.conditions.serving.unwrap_or(ready),
        }
    });
    Some(EndpointSlice {
        service: ObjectKey { namespace: key.namespace, name: service.as_str().into() },
        endpoints: endpoints.collect(),
    })
}

/// A Node.
pub(crate) fn node(raw: raw::Node) -> Node {
    let unavailable = |condition: &raw::NodeCondition| {
        condition.type_ == "NetworkUnavailable" && condition.status == "True"
    };
    Node {
        network_unavailable: raw.status.conditions.iter().any(unavailable),
        labels: raw.metadata.labels.unwrap_or_default(),
    }
}

fn scope(spec: &raw::ServiceSpec, class: Option<&str>) -> Scope {
    if spec.type_.as_deref() != Some("LoadBalancer") {
        Scope::NotLoadBalancer
    } else if spec.load_balancer_class.as_deref() == class {
        Scope::Ours
    } else {
        Scope::OtherClass
    }
}

fn family_policy(text: Option<&str>) -> FamilyPolicy {
    match text {
        Some("PreferDualStack") => FamilyPolicy::PreferDualStack,
        Some("RequireDualStack") => FamilyPolicy::RequireDualStack,
        _ => FamilyPolicy::SingleStack,
    }
}

/// The families of the cluster IPs; without these, of `ipFamilies`; without both, what a dual-stack cluster
/// whose first family is IPv4 would give.
fn families(spec: &raw::ServiceSpec, policy: FamilyPolicy) -> Vec<Family> {
    let cluster_ips: Vec<&str> = match &spec.cluster_ips[..] {
        [] => spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty()).into_iter().collect(),
        ips => ips.iter().map(String::as_str).collect(),
    };
    if !cluster_ips.is_empty() {
        // "None" is a headless Service: it has no family.
        return cluster_ips.iter().filter_map(|ip| ip.parse().ok()).map(Family::of).collect();
    }
    if !spec.ip_families.is_empty() {
        let family = |text: &String| match text.as_str() {
            "IPv4" => Some(Family::V4),
            "IPv6" => Some(Family::V6),
            _ => None,
        };
        return spec.ip_families.iter().filter_map(family).collect();
    }
    match policy {
        FamilyPolicy::SingleStack => vec![Family::V4],
        FamilyPolicy::PreferDualStack | FamilyPolicy::RequireDualStack => vec![Family::V4, Family::V6],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(object: Value) -> Service {
        service(serde_json::from_value(object).unwrap(), None)
    }

    fn spec(spec: Value) -> Service {
        of(json!({"metadata": {"name": "a"}, "spec": spec}))
    }

    #[test]
    fn everything_that_counts_of_a_service() {
        let service = of(json!({
            "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "1970-01-01T00:01:40Z",
                "labels": {"app": "web"},
                "annotations": {"metallb.universe.tf/address-pool": "gold", "metallb.io/loadBalancerIPs": "192.0.2.7",
                    "metallb.io/ip-allocated-from-pool": "silver"}},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"],
                "ipFamilyPolicy": "RequireDualStack", "externalTrafficPolicy": "Local"},
            "status": {"loadBalancer": {"ingress": [{"hostname": "x"}, {"ip": "192.0.2.7", "ipMode": "VIP"}, {"ip": "?"}]}},
        }));
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        assert_eq!(
            service,
            Service {
                created: Some(100),
                labels: [("app".into(), "web".into())].into(),
                scope: Scope::Ours,
                families: vec![Family::V4, Family::V6],
                family_policy: FamilyPolicy::RequireDualStack,
                traffic_policy: TrafficPolicy::Local,
                request: Ok(Request { addresses: vec![ip], pool: Some("gold".into()) }),
                assigned: vec![ip],
                assigned_from: Some("silver".into()),
            }
        );
    }

    #[test]
    fn a_bare_service_gets_the_defaults_of_an_api_server() {
        let service = of(json!({"metadata": {"name": "a", "creationTimestamp": null}}));
        assert_eq!(service, Service { scope: Scope::NotLoadBalancer, ..Service::default() });
    }

    #[test]
    fn scope_follows_type_and_class() {
        let cases = [
            (json!({"type": "ClusterIP"}), None, Scope::NotLoadBalancer),
            (json!({"type": "LoadBalancer"}), None, Scope::Ours),
            (json!({"type": "LoadBalancer", "loadBalancerClass": "x/y"}), None, Scope::OtherClass),
            (json!({"type": "LoadBalancer", "loadBalancerClass": "x/y"}), Some("x/y"), Scope::Ours),
            (json!({"type": "LoadBalancer"}), Some("x/y"), Scope::OtherClass),
            (json!({"type": "ClusterIP", "loadBalancerClass": "x/y"}), Some("x/y"), Scope::NotLoadBalancer),
        ];
        for (spec, class, expected) in cases {
            let raw = serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": spec})).unwrap();
            assert_eq!(service(raw, class).scope, expected, "{spec} {class:?}");
        }
    }

    #[test]
    fn families_come_from_cluster_ips_then_ip_families_then_the_policy() {
        use Family::{V4, V6};
        let cases = [
            (json!({"clusterIPs": ["fd00::1"], "ipFamilies": ["IPv4"]}), vec![V6]),
            (json!({"clusterIP": "10.0.0.1", "ipFamilyPolicy": "PreferDualStack"}), vec![V4]),
            (json!({"clusterIP": "None", "clusterIPs": ["None"]}), vec![]),
            (json!({"ipFamilies": ["IPv6", "IPv4"]}), vec![V6, V4]),
            (json!({"ipFamilyPolicy": "SingleStack"}), vec![V4]),
            (json!({"ipFamilyPolicy": "PreferDualStack"}), vec![V4, V6]),
            (json!({"ipFamilyPolicy": "RequireDualStack", "clusterIP": ""}), vec![V4, V6]),
        ];
        for (object, expected) in cases {
            assert_eq!(spec(object.clone()).families, expected, "{object}");
        }
    }

    #[test]
    fn the_current_annotation_wins_even_when_empty() {
        let service = of(json!({"metadata": {"name": "a", "annotations": {
            "metallb.io/loadBalancerIPs": "", "metallb.universe.tf/loadBalancerIPs": "192.0.2.1"}}}));
        assert_eq!(service.request, Ok(Request::default()));
        let service = of(
            json!({"metadata": {"name": "a", "annotations": {"metallb.universe.tf/loadBalancerIPs": "x"}}}),
        );
        assert!(service.request.is_err());
    }

    #[test]
    fn endpoints_are_ready_unless_they_say_otherwise() {
        let slice = |conditions: Value| {
            let object = json!({
                "metadata": {"name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
                "endpoints": [{"nodeName": "n1", "conditions": conditions, "addresses": ["10.0.0.1"]}],
            });
            let slice = endpoint_slice(serde_json::from_value(object).unwrap()).unwrap();
            assert_eq!(slice.service, ObjectKey::new("default", "web"));
            assert_eq!(slice.endpoints[0].node, Some("n1".into()));
            (slice.endpoints[0].ready, slice.endpoints[0].serving)
        };
        assert_eq!(slice(json!({})), (true, true));
        assert_eq!(slice(json!(null)), (true, true));
        assert_eq!(slice(json!({"ready": false})), (false, false));
        assert_eq!(slice(json!({"ready": false, "serving": true})), (false, true));
        let stray = json!({"metadata": {"name": "x"}, "endpoints": null});
        assert_eq!(endpoint_slice(serde_json::from_value(stray).unwrap()), None);
    }

    #[test]
    fn a_node_says_whether_its_network_is_unavailable() {
        let node = |status: &str| {
            let object = json!({"metadata": {"name": "n1", "labels": {"zone": "a"}},
                "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "NetworkUnavailable", "status": status}]}});
            node(serde_json::from_value(object).unwrap())
        };
        assert!(node("True").network_unavailable);
        assert!(!node("False").network_unavailable);
        assert_eq!(node("Unknown").labels["zone"], "a");
    }
}
