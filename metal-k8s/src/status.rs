//! What we write into objects: the values, wherever they go.

mod own;

use std::net::IpAddr;

use k8s_openapi::{
    api::core::v1 as core,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use metal_core::{
    config::{Held, ObjectRef},
    controller::{Assignment, Usage},
    event::{Event, Severity},
    finding::Finding,
    name::{NodeName, ObjectKey, PoolName},
    view::Condition,
};
pub use own::SessionState;
pub(crate) use own::{Author, Own, OwnKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    annotation::{ALLOCATED_FROM, POOL_LABELS},
    backend::Pod,
    crd::{ACCEPTED, AddressFinding, HeldAddress},
    parse::{CONFIGURATION_STATE, POOL},
    seen::Transitions,
    sink::{ConfigStatus, Count, NodeState, refusal_text},
    view::{ANNOUNCED, ASSIGNED},
};

/// The longest value of a label.
const LABEL_LENGTH: usize = 63;

/// The kind of a Node.
const NODE: &str = "Node";
/// Where events about objects without a namespace are.
const CLUSTER_EVENTS: &str = "default";

/// A Node as the object of an event.
pub(crate) fn node_ref(node: &NodeName) -> ObjectRef {
    ObjectRef { kind: NODE, namespace: CLUSTER_EVENTS.into(), name: node.as_str().into() }
}

/// A Service as the object of an event.
pub(crate) fn service_ref(service: &ObjectKey) -> ObjectRef {
    ObjectRef { kind: "Service", namespace: service.namespace.clone(), name: service.name.clone() }
}

/// What is applied to a Service: list, condition and annotations. Without addresses the list is empty, not left out:
/// that clears it even after another manager has taken it. `since` is when the conditions got their status.
pub(crate) fn service(
    service: &ObjectKey,
    assignment: &Assignment,
    since: Transitions,
    ip_mode: bool,
) -> Value {
    let Assignment { addresses, pools, pool_labels, condition, announced } = assignment;
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": &*service.name, "namespace": &*service.namespace},
        "status": {"loadBalancer": {"ingress": ingress(addresses, ip_mode)}},
    });
    let names: Vec<_> = pools.iter().map(PoolName::as_str).collect();
    if !names.is_empty() {
        object["metadata"]["annotations"][ALLOCATED_FROM] = names.join(",").into();
    }
    if let Some(labels) = pool_labels {
        object["metadata"]["annotations"][POOL_LABELS] = json!(labels).to_string().into();
    }
    let conditions: Vec<_> = [(ASSIGNED, condition, since.assigned), (ANNOUNCED, announced, since.announced)]
        .into_iter()
        .filter_map(|(type_, told, since)| Some(condition_of(type_, told.as_ref()?, since?.time)))
        .collect();
    if !conditions.is_empty() {
        object["status"]["conditions"] = conditions.into();
    }
    object
}

fn condition_of(type_: &str, told: &Condition, since: Timestamp) -> Value {
    json!({
        "type": type_,
        "status": if told.status { "True" } else { "False" },
        "reason": told.reason,
        "message": told.message,
        "lastTransitionTime": Time(since),
    })
}

/// `status.loadBalancer.ingress`.
fn ingress(addresses: &[IpAddr], ip_mode: bool) -> Value {
    let entry = |ip: &IpAddr| if ip_mode { json!({"ip": ip, "ipMode": "VIP"}) } else { json!({"ip": ip}) };
    addresses.iter().map(entry).collect()
}

/// The status of a configuration object. The condition keeps the time of its last transition from the status
/// that is `there` unless it changes.
pub(crate) fn config_status(
    object: &ObjectRef,
    status: &ConfigStatus,
    there: &Value,
    now: Timestamp,
) -> Value {
    let mut value = json!({});
    if object.kind == POOL {
        // What is no pool has nothing in use and nothing to give.
        let usage = match status.count {
            Count::Pool(usage) => usage,
            Count::NoPool | Count::Unknown => Usage::default(),
        };
        let counters = [
            ("assignedIPv4", usage.assigned_v4),
            ("assignedIPv6", usage.assigned_v6),
            ("availableIPv4", usage.available_v4),
            ("availableIPv6", usage.available_v6),
        ];
        let unknown = status.count == Count::Unknown;
        for (name, count) in counters {
            // Before the first count, what an earlier incarnation counted is the best there is.
            let before = there.get(name).and_then(Value::as_i64).filter(|_| unknown);
            value[name] = before.unwrap_or_else(|| i64::try_from(count).unwrap_or(i64::MAX)).into();
        }
        let held = if unknown { there.get("held").cloned() } else { held(&status.held) };
        if let Some(held) = held {
            value["held"] = held;
        }
    }
    match &status.refusals {
        Some(refusals) => {
            let (status, reason) =
                if refusals.is_empty() { ("True", ACCEPTED) } else { ("False", "Refused") };
            let same = accepted(there).filter(|there| there["status"] == status);
            let since = same.and_then(|there| there.get("lastTransitionTime").cloned());
            value["conditions"] = json!([{
                "type": ACCEPTED,
                "status": status,
                "reason": reason,
                "message": refusal_text(refusals),
                "lastTransitionTime": since.unwrap_or_else(|| json!(Time(now))),
            }]);
        }
        None => {
            if let Some(condition) = accepted(there) {
                value["conditions"] = json!([condition]);
            }
        }
    }
    value
}

/// Whether writing `wanted` would change nothing of what we own in `there`.
pub(crate) fn same_config_status(wanted: &Value, there: &Value) -> bool {
    let Some(wanted) = wanted.as_object() else { return false };
    let nothing = Value::Null;
    let held = |held: Option<&Value>| held.filter(|held| **held != nothing && **held != json!([])).cloned();
    if held(wanted.get("held")) != held(there.get("held")) {
        return false;
    }
    wanted.iter().all(|(name, value)| match name.as_str() {
        "conditions" => accepted(there) == value.get(0),
        name => there.get(name) == Some(value),
    })
}

/// `IPAddressPool.status.held`; left out when it is empty.
fn held(held: &[Held]) -> Option<Value> {
    let entry = |held: &Held| {
        json!(HeldAddress {
            address: held.address.to_string(),
            namespace: held.service.namespace.to_string(),
            name: held.service.name.to_string(),
            until: held.until,
        })
    };
    (!held.is_empty()).then(|| held.iter().map(entry).collect())
}

/// The condition `Accepted` of a configuration object.
pub(crate) fn accepted(status: &Value) -> Option<&Value> {
    status.get("conditions")?.as_array()?.iter().find(|condition| condition["type"] == ACCEPTED)
}

/// An event, named so that no other has the same name.
pub(crate) fn event(
    about: &ObjectRef,
    event: &Event,
    at: Timestamp,
    component: &str,
    host: Option<&str>,
) -> core::Event {
    let api_version =
        if matches!(about.kind, "Service" | "ConfigMap" | NODE) { "v1" } else { "metallb.io/v1beta1" };
    // A Node is in no namespace, and those who look for its events expect its name as the uid.
    let is_node = about.kind == NODE;
    let mut hash = Sha256::new();
    hash.update(format!("{component}/{host:?}/{}/{}", event.reason, event.message));
    let unique = format!("{:x}{}", at.as_nanosecond(), hex(&hash.finalize()[..2]));
    core::Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{unique}", about.name)),
            namespace: Some(about.namespace.to_string()),
            ..ObjectMeta::default()
        },
        involved_object: core::ObjectReference {
            api_version: Some(api_version.into()),
            kind: Some(about.kind.into()),
            namespace: (!is_node).then(|| about.namespace.to_string()),
            name: Some(about.name.to_string()),
            uid: is_node.then(|| about.name.to_string()),
            ..core::ObjectReference::default()
        },
        type_: Some(severity(event.severity).into()),
        reason: Some(event.reason.into()),
        message: Some(event.message.clone()),
        count: Some(1),
        first_timestamp: Some(Time(at)),
        last_timestamp: Some(Time(at)),
        source: Some(core::EventSource { component: Some(component.into()), host: host.map(Into::into) }),
        reporting_component: Some(component.into()),
        reporting_instance: Some(host.unwrap_or(component).into()),
        ..core::Event::default()
    }
}

/// The `ConfigurationState` of a speaker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpeakerState<'a> {
    pub(crate) node: &'a NodeName,
    pub(crate) namespace: &'a str,
    pub(crate) pod: Option<&'a Pod>,
}

impl SpeakerState<'_> {
    /// MetalLB's name for it.
    pub(crate) fn name(&self) -> String {
        format!("speaker-{}", self.node)
    }

    /// The object without its status, and with nothing but its status: they are written apart.
    pub(crate) fn manifests(&self, state: &NodeState) -> (Value, Value) {
        let head = || {
            json!({
                "apiVersion": "metallb.io/v1beta1",
                "kind": CONFIGURATION_STATE,
                "metadata": {"name": self.name(), "namespace": self.namespace},
            })
        };
        let (mut main, mut status) = (head(), head());
        main["metadata"]["labels"] = json!({
            "metallb.io/component-type": "speaker",
            "metallb.io/node-name": label(self.node.as_str()),
        });
        if let Some(pod) = self.pod {
            main["metadata"]["ownerReferences"] = json!([owner(pod)]);
        }
        status["status"] = json!({});
        if let Some(networks) = &state.networks {
            status["status"]["networks"] = json!(networks);
        }
        if !state.findings.is_empty() {
            status["status"]["findings"] = state.findings.iter().map(finding).collect();
        }
        (main, status)
    }
}

fn finding((since, finding): &(Timestamp, Finding)) -> Value {
    let Finding { service, address, interface, reason, announced, replaceable, message } = finding.clone();
    json!(AddressFinding {
        namespace: service.namespace.to_string(),
        name: service.name.to_string(),
        address: address.to_string(),
        interface,
        reason: reason.code().into(),
        announced,
        replaceable,
        message,
        since: Time(*since),
    })
}

fn owner(pod: &Pod) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid})
}

/// `text` as the value of a label; what is too long for one is replaced by its hash.
pub(crate) fn label(text: &str) -> String {
    if text.len() <= LABEL_LENGTH {
        return text.into();
    }
    hex(&Sha256::digest(text)[..16])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How serious an event is, in the API's words.
const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    }
}
