//! Kubernetes objects as the policy sees them.
//!
//! What an API server would have defaulted is defaulted here too, so that a manifest means the same from a
//! file.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use metal_core::{
    finding::Finding,
    name::{NodeName, ObjectKey, PoolName},
    request::Request,
    selector::Labels,
    sharing::{Backend, Port, Protocol, Sharing},
    speaker::Reason,
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
/// The condition of a Service that says what keeps its addresses from being announced, or is odd about that.
pub(crate) const ANNOUNCED: &str = "Announced";
/// The names of the `ConfigurationState` objects of speakers begin with this; the rest is that of the node.
const SPEAKER_PREFIX: &str = "speaker-";
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
        announced: condition(&status, ANNOUNCED).map(told),
        families: Vec::new(),
        ..Service::default()
    };
    if options.role != Role::Controller {
        let external_ips = external_ips(&spec);
        let communities = communities(annotations);
        let labels = metadata.labels.unwrap_or_default();
        return Service { external_ips, communities, labels, ..announced };
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
        condition: condition(&status, ASSIGNED).map(told),
        written_by: written_by.map(Arc::from),
        labels: metadata.labels.unwrap_or_default(),
        ..announced
    }
}

/// The IP entries of a Service's status. Host names are somebody else's.
fn assigned(status: &raw::ServiceStatus) -> Vec<IpAddr> {
    status.load_balancer.ingress.iter().filter_map(|entry| entry.ip.as_deref()?.parse().ok()).collect()
}

/// The external IPs that traffic is forwarded for: a Service without a cluster IP has none, whatever it says.
fn external_ips(spec: &raw::ServiceSpec) -> Vec<IpAddr> {
    let is_headless = spec.cluster_ip.as_deref() == Some("None");
    if is_headless || spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    spec.external_ips.iter().filter_map(|ip| ip.parse().ok()).collect()
}

/// The communities that a Service asks for, each once.
fn communities(annotations: Option<&BTreeMap<String, String>>) -> Vec<String> {
    let text = annotations.and_then(|all| all.get(annotation::BGP_COMMUNITIES)).map_or("", String::as_str);
    let mut communities: Vec<String> = Vec::new();
    for community in text.split(',').map(str::trim).filter(|community| !community.is_empty()) {
        if !communities.iter().any(|there| there == community) {
            communities.push(community.into());
        }
    }
    communities
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

/// The condition of a Service of this type.
pub(crate) fn condition<'a>(status: &'a raw::ServiceStatus, type_: &str) -> Option<&'a raw::Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_)
}

fn told(condition: &raw::Condition) -> Condition {
    Condition {
        status: condition.status == "True",
        reason: condition.reason.clone(),
        message: condition.message.clone(),
    }
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
        Role::Controller => Node { addresses: addresses(&raw.status), ..Node::default() },
        Role::Speaker { node: own, .. } => {
            let is_own = raw.metadata.name.as_deref() == Some(own.as_str());
            let node = Node {
                network_unavailable: raw.status.conditions.iter().any(unavailable),
                labels: raw.metadata.labels.unwrap_or_default(),
                ..Node::default()
            };
            if !is_own {
                return node;
            }
            let annotations = raw.metadata.annotations.unwrap_or_default();
            Node { addresses: addresses(&raw.status), annotations, ..node }
        }
    }
}

/// The IP addresses of a Node, internal ones first.
fn addresses(status: &raw::NodeStatus) -> Vec<IpAddr> {
    let mut entries: Vec<_> = status.addresses.iter().collect();
    entries.sort_by_key(|entry| entry.type_ != "InternalIP");
    entries.into_iter().filter_map(|entry| entry.address.parse().ok()).collect()
}

/// What a speaker says about its node. What cannot be read is as good as absent.
pub(crate) fn network(raw: &raw::ConfigurationState) -> Network {
    let name = raw.metadata.name.as_deref().unwrap_or_default();
    let mut network = Network {
        speaker: name.strip_prefix(SPEAKER_PREFIX).map(NodeName::from),
        findings: raw.status.findings.iter().filter_map(finding).collect(),
        ..Network::default()
    };
    for entry in &raw.status.networks {
        network.addresses.extend(entry.addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok()));
        network.subnets.extend(entry.subnets.iter().filter_map(|text| text.parse::<ipnet::IpNet>().ok()));
        network.gateways.extend(entry.gateways.iter().filter_map(|text| text.parse::<IpAddr>().ok()));
    }
    network
}

fn finding(entry: &crd::AddressFinding) -> Option<Finding> {
    Some(Finding {
        service: ObjectKey::new(&entry.namespace, &entry.name),
        address: entry.address.parse().ok()?,
        interface: entry.interface.clone(),
        reason: Reason::from_code(&entry.reason)?,
        announced: entry.announced,
        replaceable: entry.replaceable,
        message: entry.message.clone(),
    })
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
mod tests;
