//! Kubernetes objects as the policy sees them.
//!
//! What an API server would have defaulted is defaulted here too, so that a manifest means the same from a
//! file.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use metal_core::{
    name::{ObjectKey, PoolName},
    request::Request,
    selector::Labels,
    sharing::{Backend, Port, Protocol, Sharing},
    view::{
        Condition, Created, Endpoint, EndpointSlice, Family, FamilyPolicy, Network, Node, Scope, Service,
        TrafficPolicy, Version,
    },
};

use crate::{
    annotation,
    backend::{Options, Role},
    crd, raw,
};

/// The condition of a Service that says whether it has its addresses.
pub(crate) const ASSIGNED: &str = "Assigned";
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

/// The version of an object; 0 when it has none.
pub(crate) fn version(meta: &ObjectMeta) -> Version {
    meta.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// A Service, as far as the daemon needs it.
pub(crate) fn service(raw: raw::Service, options: &Options) -> Service {
    let raw::Service { metadata, spec, status, written_by } = raw;
    let annotations = metadata.annotations.as_ref();
    let traffic_policy = match spec.external_traffic_policy.as_deref() {
        Some("Local") => TrafficPolicy::Local,
        _ => TrafficPolicy::Cluster,
    };
    let announced = Service {
        scope: scope(&spec, options.class.as_deref()),
        traffic_policy,
        assigned: assigned(&status),
        assigned_from: assigned_from(annotations),
        pool_labels: pool_labels(annotations),
        families: Vec::new(),
        ..Service::default()
    };
    if options.role != Role::Controller {
        return Service { labels: metadata.labels.unwrap_or_default(), ..announced };
    }
    let family_policy = family_policy(spec.ip_family_policy.as_deref());
    Service {
        version: version(&metadata),
        created: created(&metadata),
        families: families(&spec, family_policy),
        family_policy,
        request: Request::parse(
            annotation::get(annotations, "loadBalancerIPs"),
            spec.load_balancer_ip.as_deref(),
            annotation::get(annotations, "address-pool"),
        ),
        sharing: sharing(annotations, &spec, traffic_policy),
        reassigns: annotations.and_then(|all| all.get(annotation::REASSIGN_POLICY)).map(String::as_str)
            == Some("Immediate"),
        condition: assigned_condition(&status).map(|condition| Condition {
            status: condition.status == "True",
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        }),
        written_by: written_by.map(Arc::from),
        labels: metadata.labels.unwrap_or_default(),
        ..announced
    }
}

/// The IP entries of a Service's status. Host names are somebody else's.
fn assigned(status: &raw::ServiceStatus) -> Vec<IpAddr> {
    status.load_balancer.ingress.iter().filter_map(|entry| entry.ip.as_deref()?.parse().ok()).collect()
}

/// The pools that a Service's addresses came from.
fn assigned_from(annotations: Option<&BTreeMap<String, String>>) -> Vec<PoolName> {
    let pools = annotations.and_then(|all| all.get(annotation::ALLOCATED_FROM)).map_or("", String::as_str);
    pools.split(',').map(str::trim).filter(|pool| !pool.is_empty()).map(PoolName::from).collect()
}

/// The last known labels of a pool that is gone. Whoever has spoilt the annotation has lost them.
fn pool_labels(annotations: Option<&BTreeMap<String, String>>) -> Option<Labels> {
    serde_json::from_str(annotations?.get(annotation::POOL_LABELS)?).ok()
}

/// The condition `Assigned` of a Service.
pub(crate) fn assigned_condition(status: &raw::ServiceStatus) -> Option<&raw::Condition> {
    status.conditions.iter().find(|condition| condition.type_ == ASSIGNED)
}

/// How a Service wants to share its addresses.
fn sharing(
    annotations: Option<&BTreeMap<String, String>>,
    spec: &raw::ServiceSpec,
    policy: TrafficPolicy,
) -> Option<Sharing> {
    let key = annotation::get(annotations, "allow-shared-ip")?;
    let backend = match policy {
        TrafficPolicy::Cluster => Backend::Anywhere,
        TrafficPolicy::Local => Backend::local(&spec.selector),
    };
    let port = |port: &raw::ServicePort| Port {
        protocol: match port.protocol.as_deref() {
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            _ => Protocol::Tcp,
        },
        number: port.port,
    };
    Sharing::new(key, backend, spec.ports.iter().map(port))
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

/// A Node, as far as the daemon needs it.
pub(crate) fn node(raw: raw::Node, role: &Role) -> Node {
    let unavailable = |condition: &raw::NodeCondition| {
        condition.type_ == "NetworkUnavailable" && condition.status == "True"
    };
    match role {
        Role::Controller => {
            let addresses = raw.status.addresses.iter().filter_map(|entry| entry.address.parse().ok());
            Node { addresses: addresses.collect(), ..Node::default() }
        }
        Role::Speaker { .. } => Node {
            network_unavailable: raw.status.conditions.iter().any(unavailable),
            labels: raw.metadata.labels.unwrap_or_default(),
            addresses: Vec::new(),
        },
    }
}

/// What a speaker says about the networks of its node. What cannot be read is as good as absent.
pub(crate) fn network(networks: &[crd::NodeNetwork]) -> Network {
    let mut network = Network::default();
    for entry in networks {
        network.addresses.extend(entry.addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok()));
        network.subnets.extend(entry.subnets.iter().filter_map(|text| text.parse::<ipnet::IpNet>().ok()));
        network.gateways.extend(entry.gateways.iter().filter_map(|text| text.parse::<IpAddr>().ok()));
    }
    network
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

    fn options() -> Options {
        Options::new(Role::Controller)
    }

    fn of(object: Value) -> Service {
        service(serde_json::from_value(object).unwrap(), &options())
    }

    fn spec(spec: Value) -> Service {
        of(json!({"metadata": {"name": "a"}, "spec": spec}))
    }

    fn whole() -> Value {
        json!({
            "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "1970-01-01T00:01:40Z",
                "resourceVersion": "77", "labels": {"app": "web"},
                "managedFields": [{"manager": "other", "fieldsV1": {"f:status": {"f:loadBalancer": {}}}}],
                "annotations": {"metallb.universe.tf/address-pool": "gold", "metallb.io/loadBalancerIPs": "192.0.2.7",
                    "metallb.io/ip-allocated-from-pool": "silver, gold", "metallb.universe.tf/allow-shared-ip": "k",
                    "metallb.io/reassignPolicy": "Immediate", "metallb.io/pool-labels": "{\"zone\":\"a\"}"}},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"],
                "ipFamilyPolicy": "RequireDualStack", "externalTrafficPolicy": "Local", "selector": {"b": "2", "a": "1"},
                "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}, {"port": 53, "protocol": "TCP", "name": "x"}]},
            "status": {"loadBalancer": {"ingress": [{"hostname": "x"}, {"ip": "192.0.2.7", "ipMode": "VIP"}, {"ip": "?"}]},
                "conditions": [{"type": "Other", "status": "True"}, {"type": "Assigned", "status": "False",
                    "reason": "PoolExhausted", "message": "full", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        })
    }

    fn announced() -> Service {
        Service {
            labels: [("app".into(), "web".into())].into(),
            traffic_policy: TrafficPolicy::Local,
            families: vec![],
            assigned: vec!["192.0.2.7".parse().unwrap()],
            assigned_from: vec!["silver".into(), "gold".into()],
            pool_labels: Some([("zone".into(), "a".into())].into()),
            ..Service::default()
        }
    }

    #[test]
    fn everything_that_counts_of_a_service() {
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        let port = |protocol| Port { protocol, number: 53 };
        assert_eq!(
            of(whole()),
            Service {
                version: 77,
                created: Some(100),
                families: vec![Family::V4, Family::V6],
                family_policy: FamilyPolicy::RequireDualStack,
                request: Ok(Request { addresses: vec![ip.into()], pool: Some("gold".into()) }),
                sharing: Some(Sharing {
                    key: "k".into(),
                    backend: Backend::Local("a=1,b=2".into()),
                    ports: [port(Protocol::Tcp), port(Protocol::Udp)].into(),
                }),
                reassigns: true,
                condition: Some(Condition {
                    status: false,
                    reason: "PoolExhausted".into(),
                    message: "full".into()
                }),
                written_by: Some("other".into()),
                ..announced()
            }
        );
    }

    #[test]
    fn a_speaker_holds_only_what_it_announces_by() {
        let options = Options::new(Role::Speaker { node: "n1".into(), pod: None });
        assert_eq!(service(serde_json::from_value(whole()).unwrap(), &options), announced());
    }

    #[test]
    fn what_is_no_sharing_and_no_pool_label() {
        let annotated =
            |key: &str, value: &str| of(json!({"metadata": {"name": "a", "annotations": {key: value}}}));
        assert_eq!(annotated("metallb.io/allow-shared-ip", "").sharing, None);
        let sharing = annotated("metallb.io/allow-shared-ip", "k").sharing.unwrap();
        assert_eq!((sharing.backend, sharing.ports.len()), (Backend::Anywhere, 0));
        assert_eq!(annotated("metallb.io/pool-labels", "zone=a").pool_labels, None);
        assert_eq!(annotated("metallb.io/ip-allocated-from-pool", " ,").assigned_from, vec![]);
        assert!(!annotated("metallb.io/reassignPolicy", "Never").reassigns);
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
            let options = Options { class: class.map(Into::into), ..options() };
            assert_eq!(service(raw, &options).scope, expected, "{spec} {class:?}");
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
            node(serde_json::from_value(object).unwrap(), &Role::Speaker { node: "n1".into(), pod: None })
        };
        assert!(node("True").network_unavailable);
        assert!(!node("False").network_unavailable);
        assert_eq!(node("Unknown").labels["zone"], "a");
    }

    #[test]
    fn the_network_of_nodes() {
        let object = json!({"metadata": {"name": "n1", "labels": {"zone": "a"}}, "status": {"addresses": [
            {"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "192.0.2.7"},
            {"type": "ExternalIP", "address": "2001:db8::7"}]}});
        let node = node(serde_json::from_value(object).unwrap(), &Role::Controller);
        let addresses = vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        assert_eq!(node, Node { addresses, ..Node::default() });
        let object = json!({"metadata": {"name": "speaker-n1"}, "status": {"result": "Valid", "networks": [
            {"interface": "eth0", "addresses": ["192.0.2.7", "?"], "subnets": ["192.0.2.0/24"]},
            {"interface": "eth1", "gateways": ["2001:db8::1"]}]}});
        let state: raw::ConfigurationState = serde_json::from_value(object).unwrap();
        assert_eq!(
            network(&state.status.networks),
            Network {
                addresses: vec!["192.0.2.7".parse().unwrap()],
                subnets: vec!["192.0.2.0/24".parse().unwrap()],
                gateways: vec!["2001:db8::1".parse().unwrap()],
            }
        );
    }
}
