//! Configuration objects, from the API's types to the values that are judged.

mod bgp;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use metal_core::{
    config::{
        Held, L2AdvertisementSpec, Object, ObjectRef, ObjectStatus, PoolSpec, PreferredNode, Refusal,
        ReservationSpec, ServiceAllocationSpec, Spec,
    },
    name::ObjectKey,
    selector::{Operator, Requirement, Selector},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

pub(crate) use bgp::{
    BFD_PROFILE, BGP_ADVERTISEMENT, BGP_PEER, COMMUNITY, bfd_profile, bfd_profile_value, bgp_advertisement,
    bgp_advertisement_value, bgp_peer, bgp_peer_value, community, community_value,
};

use crate::{crd, status, view};

/// The kind of a pool.
pub(crate) const POOL: &str = "IPAddressPool";
/// The kind of a reservation.
pub(crate) const RESERVATION: &str = "IPReservation";
/// The kind of what a speaker says about its node.
pub(crate) const CONFIGURATION_STATE: &str = "ConfigurationState";
/// The kind of a layer 2 advertisement.
pub(crate) const L2_ADVERTISEMENT: &str = "L2Advertisement";
/// The kind of the old configuration.
pub(crate) const CONFIG_MAP: &str = "ConfigMap";

/// Which object `meta` belongs to.
pub(crate) fn reference(kind: &'static str, meta: &ObjectMeta) -> ObjectRef {
    let key = view::key(meta);
    ObjectRef { kind, namespace: key.namespace, name: key.name }
}

/// The object with `meta` that says `spec`, and whose status is `status`.
pub(crate) fn object(meta: &ObjectMeta, spec: Spec, status: &Value) -> Object {
    let labels = meta.labels.clone().unwrap_or_default();
    Object { created: view::created(meta), labels, spec, status: object_status(status) }
}

/// What a controller that starts has to know of a status. What cannot be read is as good as absent.
fn object_status(status: &Value) -> ObjectStatus {
    let accepted = status::accepted(status).is_some_and(|condition| condition["status"] == "True");
    let held = |entry: &Value| {
        let entry = crd::HeldAddress::deserialize(entry).ok()?;
        let address = entry.address.parse().ok()?;
        Some(Held { address, service: ObjectKey::new(&entry.namespace, &entry.name), until: entry.until })
    };
    let entries = status.get("held").and_then(Value::as_array);
    ObjectStatus { accepted, held: entries.into_iter().flatten().filter_map(held).collect() }
}

/// Reads the `spec` of an `IPAddressPool`.
pub(crate) fn pool_value(spec: Value) -> Spec {
    decode(spec, pool)
}

/// Reads the `spec` of an `IPReservation`.
pub(crate) fn reservation_value(spec: Value) -> Spec {
    decode(spec, reservation)
}

/// Reads the `spec` of an `L2Advertisement`.
pub(crate) fn l2_advertisement_value(spec: Value) -> Spec {
    decode(or_empty(spec), l2_advertisement)
}

/// Where all fields are optional, so is the whole.
fn or_empty(spec: Value) -> Value {
    if spec.is_null() { Value::Object(serde_json::Map::new()) } else { spec }
}

fn decode<T: DeserializeOwned>(spec: Value, convert: fn(T) -> Spec) -> Spec {
    match serde_json::from_value(spec) {
        Ok(spec) => convert(spec),
        Err(error) => Spec::Unreadable(Refusal { field: "spec".into(), message: error.to_string() }),
    }
}

/// `IPAddressPool.spec` as it is judged.
pub(crate) fn pool(spec: crd::IPAddressPoolSpec) -> Spec {
    let service_allocation = match spec.service_allocation.map(service_allocation).transpose() {
        Ok(allocation) => allocation,
        Err(refusal) => return Spec::Unreadable(refusal),
    };
    Spec::Pool(PoolSpec {
        addresses: spec.addresses,
        auto_assign: spec.auto_assign,
        avoid_buggy_ips: spec.avoid_buggy_ips,
        service_allocation,
        exclude: spec.exclude.unwrap_or_default(),
        reuse_delay: spec.reuse_delay,
        max_addresses_per_namespace: spec.max_addresses_per_namespace,
        sharing: spec.sharing,
        reassign_policy: spec.reassign_policy,
    })
}

/// `IPReservation.spec` as it is judged.
pub(crate) fn reservation(spec: crd::IPReservationSpec) -> Spec {
    let service = spec.service_ref.map(|service| ObjectKey::new(&service.namespace, &service.name));
    match selectors("spec.serviceSelectors", spec.service_selectors) {
        Ok(service_selectors) => Spec::Reservation(ReservationSpec {
            addresses: spec.addresses,
            service,
            service_selectors,
            namespaces: spec.namespaces.unwrap_or_default(),
        }),
        Err(refusal) => Spec::Unreadable(refusal),
    }
}

fn service_allocation(allocation: crd::ServiceAllocation) -> Result<ServiceAllocationSpec, Refusal> {
    let field = |name: &str| format!("spec.serviceAllocation.{name}");
    Ok(ServiceAllocationSpec {
        priority: allocation.priority.unwrap_or(0),
        namespaces: allocation.namespaces.unwrap_or_default(),
        namespace_selectors: selectors(&field("namespaceSelectors"), allocation.namespace_selectors)?,
        service_selectors: selectors(&field("serviceSelectors"), allocation.service_selectors)?,
    })
}

/// `L2Advertisement.spec` as it is judged.
pub(crate) fn l2_advertisement(spec: crd::L2AdvertisementSpec) -> Spec {
    try_l2_advertisement(spec).map_or_else(Spec::Unreadable, Spec::L2Advertisement)
}

fn try_l2_advertisement(spec: crd::L2AdvertisementSpec) -> Result<L2AdvertisementSpec, Refusal> {
    let preferred = spec.preferred_node_selectors.unwrap_or_default().into_iter().enumerate();
    let preferred_nodes = preferred.map(|(index, entry)| {
        let field = format!("spec.preferredNodeSelectors[{index}]");
        let weight = u32::try_from(entry.weight).ok().filter(|weight| (1..=100).contains(weight));
        let weight = weight.ok_or_else(|| Refusal {
            field: format!("{field}.weight"),
            message: format!("{} is not between 1 and 100", entry.weight),
        })?;
        Ok(PreferredNode { weight, preference: selector(&format!("{field}.preference"), entry.preference)? })
    });
    Ok(L2AdvertisementSpec {
        preferred_nodes: preferred_nodes.collect::<Result<_, _>>()?,
        pools: spec.ip_address_pools.unwrap_or_default(),
        pool_selectors: selectors("spec.ipAddressPoolSelectors", spec.ip_address_pool_selectors)?,
        node_selectors: selectors("spec.nodeSelectors", spec.node_selectors)?,
        interfaces: spec.interfaces.unwrap_or_default(),
        service_selectors: selectors("spec.serviceSelectors", spec.service_selectors)?,
        refresh_interval: spec.refresh_interval,
        receive_mode: spec.receive_mode,
    })
}

fn selectors(field: &str, selectors: Option<Vec<LabelSelector>>) -> Result<Vec<Selector>, Refusal> {
    let selectors = selectors.unwrap_or_default().into_iter().enumerate();
    selectors.map(|(index, entry)| selector(&format!("{field}[{index}]"), entry)).collect()
}

fn selector(field: &str, selector: LabelSelector) -> Result<Selector, Refusal> {
    let labels = selector.match_labels.unwrap_or_default().into_iter();
    let mut requirements: Vec<_> =
        labels.map(|(key, value)| Requirement { key, operator: Operator::In(vec![value]) }).collect();
    for (index, expression) in selector.match_expressions.unwrap_or_default().into_iter().enumerate() {
        let refuse =
            |message: String| Refusal { field: format!("{field}.matchExpressions[{index}]"), message };
        let values = expression.values.unwrap_or_default();
        let operator = match (expression.operator.as_str(), values.is_empty()) {
            ("In", false) => Operator::In(values),
            ("NotIn", false) => Operator::NotIn(values),
            ("Exists", true) => Operator::Exists,
            ("DoesNotExist", true) => Operator::DoesNotExist,
            (operator @ ("In" | "NotIn"), true) => {
                return Err(refuse(format!("operator {operator} needs at least one value")));
            }
            (operator @ ("Exists" | "DoesNotExist"), false) => {
                return Err(refuse(format!("operator {operator} takes no values")));
            }
            (operator, _) => {
                let message = format!("operator {operator:?} is none of In, NotIn, Exists, DoesNotExist");
                return Err(refuse(message));
            }
        };
        requirements.push(Requirement { key: expression.key, operator });
    }
    Ok(Selector { requirements })
}

/// Whether `name` is a DNS subdomain (RFC 1123), as names of objects are. It becomes part of a path.
pub(crate) fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// The line and the reason of a YAML error, in one line of text.
pub(crate) fn yaml_error(error: &serde_saphyr::Error) -> (Option<u64>, String) {
    let location = error.location().filter(|location| location.line() > 0);
    let text = error.without_snippet().to_string();
    let text = text.lines().next().unwrap_or_default();
    // The line is said by the caller, who knows where the document starts in its file.
    let reason = text.rsplit_once(" at line ").map_or(text, |(reason, _)| reason);
    (location.map(|location| location.line()), reason.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pool_with_everything() {
        let spec = pool_value(json!({
            "addresses": ["192.0.2.0/28", "2001:db8::1-2001:db8::9"], "autoAssign": false, "avoidBuggyIPs": true,
            "exclude": ["192.0.2.3"], "reuseDelay": "10m", "maxAddressesPerNamespace": 3,
            "sharing": "Never", "reassignPolicy": "Immediate",
            "serviceAllocation": {"priority": 50, "namespaces": ["shop"],
                "namespaceSelectors": [{"matchLabels": {"team": "a"}}],
                "serviceSelectors": [{"matchExpressions": [{"key": "app", "operator": "In", "values": ["x", "y"]}]}]},
        }));
        let selector = |key: &str, values: &[&str]| Selector {
            requirements: vec![Requirement {
                key: key.into(),
                operator: Operator::In(values.iter().map(ToString::to_string).collect()),
            }],
        };
        assert_eq!(
            spec,
            Spec::Pool(PoolSpec {
                addresses: vec!["192.0.2.0/28".into(), "2001:db8::1-2001:db8::9".into()],
                auto_assign: false,
                avoid_buggy_ips: true,
                service_allocation: Some(ServiceAllocationSpec {
                    priority: 50,
                    namespaces: vec!["shop".into()],
                    namespace_selectors: vec![selector("team", &["a"])],
                    service_selectors: vec![selector("app", &["x", "y"])],
                }),
                exclude: vec!["192.0.2.3".into()],
                reuse_delay: Some("10m".into()),
                max_addresses_per_namespace: Some(3),
                sharing: Some("Never".into()),
                reassign_policy: Some("Immediate".into()),
            })
        );
    }

    #[test]
    fn a_pool_is_assigned_automatically_unless_it_says_otherwise() {
        let Spec::Pool(pool) = pool_value(json!({"addresses": []})) else { panic!() };
        assert_eq!(pool, PoolSpec { auto_assign: true, ..PoolSpec::default() });
    }

    #[test]
    fn a_reservation_by_name_by_label_or_for_nobody() {
        let spec = reservation_value(
            json!({"addresses": ["192.0.2.7"], "serviceRef": {"namespace": "shop", "name": "web"}}),
        );
        let mut expected = ReservationSpec {
            addresses: vec!["192.0.2.7".into()],
            service: Some(ObjectKey::new("shop", "web")),
            ..ReservationSpec::default()
        };
        assert_eq!(spec, Spec::Reservation(expected.clone()));
        let spec = reservation_value(json!({"addresses": ["192.0.2.7"], "namespaces": ["shop"],
            "serviceSelectors": [{"matchLabels": {"a": "b"}}]}));
        expected.service = None;
        expected.service_selectors = vec![Selector::label("a", "b")];
        expected.namespaces = vec!["shop".into()];
        assert_eq!(spec, Spec::Reservation(expected));
        let Spec::Unreadable(refusal) = reservation_value(json!({"serviceRef": {}})) else { panic!() };
        assert_eq!(refusal.field, "spec");
    }

    #[test]
    fn a_status_says_what_was_in_force_and_what_is_held() {
        let status = json!({"conditions": [{"type": "Accepted", "status": "True"}], "held": [
            {"address": "192.0.2.1", "namespace": "shop", "name": "web", "until": 77},
            {"address": "?", "namespace": "shop", "name": "web", "until": 77}, 7]});
        let held =
            Held { address: "192.0.2.1".parse().unwrap(), service: ObjectKey::new("shop", "web"), until: 77 };
        assert_eq!(object_status(&status), ObjectStatus { accepted: true, held: vec![held] });
        assert_eq!(object_status(&Value::Null), ObjectStatus::default());
        let refused = json!({"conditions": [{"type": "Accepted", "status": "False"}], "held": null});
        assert_eq!(object_status(&refused), ObjectStatus::default());
    }

    #[test]
    fn an_advertisement_with_nothing_or_everything() {
        assert_eq!(
            l2_advertisement_value(Value::Null),
            Spec::L2Advertisement(L2AdvertisementSpec::default())
        );
        let spec = l2_advertisement_value(json!({
            "ipAddressPools": ["first"], "interfaces": ["eth0"],
            "ipAddressPoolSelectors": [{"matchLabels": {"a": "b"}}],
            "nodeSelectors": [{}], "serviceSelectors": [{"matchLabels": {"c": "d"}}],
            "preferredNodeSelectors": [{"weight": 7, "preference": {"matchLabels": {"rack": "1"}}}],
            "refreshInterval": "10s", "receiveMode": "AllMulti",
        }));
        assert_eq!(
            spec,
            Spec::L2Advertisement(L2AdvertisementSpec {
                pools: vec!["first".into()],
                pool_selectors: vec![Selector::label("a", "b")],
                node_selectors: vec![Selector::default()],
                interfaces: vec!["eth0".into()],
                service_selectors: vec![Selector::label("c", "d")],
                preferred_nodes: vec![PreferredNode { weight: 7, preference: Selector::label("rack", "1") }],
                refresh_interval: Some("10s".into()),
                receive_mode: Some("AllMulti".into()),
            })
        );
    }

    #[test]
    fn what_cannot_be_decoded_says_which_field() {
        let refusal = |spec: Spec| match spec {
            Spec::Unreadable(refusal) => refusal.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(refusal(pool_value(json!({}))).starts_with("spec: missing field `addresses`"));
        assert!(refusal(pool_value(json!({"addresses": "x"}))).starts_with("spec: invalid type"));
        let expression = |operator: &str, values: &[&str]| {
            refusal(l2_advertisement_value(json!({"nodeSelectors": [{}, {"matchExpressions": [
                {"key": "k", "operator": operator, "values": values}]}]})))
        };
        assert_eq!(
            expression("Near", &[]),
            "spec.nodeSelectors[1].matchExpressions[0]: operator \"Near\" is none of In, NotIn, Exists, DoesNotExist"
        );
        assert!(expression("In", &[]).ends_with("operator In needs at least one value"));
        assert!(expression("Exists", &["a"]).ends_with("operator Exists takes no values"));
        let weight = json!({"preferredNodeSelectors": [{"weight": 0, "preference": {}}]});
        assert_eq!(
            refusal(l2_advertisement_value(weight)),
            "spec.preferredNodeSelectors[0].weight: 0 is not between 1 and 100"
        );
    }
}
