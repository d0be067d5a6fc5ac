//! One manifest file: the objects in it, and what is wrong with it.

use std::{path::Path, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use metal_core::{
    config::{Object, ObjectRef, Refusal, Spec, bgp},
    name::{NodeName, ObjectKey},
    selector::Labels,
    view::{EndpointSlice, Network, Node, Service},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value as Json;

use super::document::{self, Document, Fault, Head};
use crate::{
    backend::Options,
    change::{Change, Problem},
    crd, legacy,
    parse::{
        self, BFD_PROFILE, BGP_ADVERTISEMENT, BGP_PEER, COMMUNITY, CONFIG_MAP, CONFIGURATION_STATE,
        L2_ADVERTISEMENT, POOL, RESERVATION, is_name,
    },
    raw, view,
};

/// Which object an entry is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Id {
    /// Configuration comes first: Services are judged by it.
    Config(ObjectRef),
    /// By its name: it is one of the configured namespace.
    Secret(Arc<str>),
    Namespace(Arc<str>),
    Network(ObjectRef),
    Node(NodeName),
    Service(ObjectKey),
    Endpoints(ObjectKey),
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(object) | Self::Network(object) => write!(f, "{object}"),
            Self::Secret(name) => write!(f, "Secret {name}"),
            Self::Namespace(name) => write!(f, "Namespace {name}"),
            Self::Node(name) => write!(f, "Node {name}"),
            Self::Service(key) => write!(f, "Service {key}"),
            Self::Endpoints(key) => write!(f, "EndpointSlice {key}"),
        }
    }
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Config(Object),
    /// Its password, or why it has none.
    Secret(Result<bgp::Secret, String>),
    Namespace(Labels),
    Network(Network),
    Node(Node),
    Service(Service),
    Endpoints(EndpointSlice),
}

impl Id {
    /// The kind and the name of the object.
    pub(super) fn kind_and_name(&self) -> (String, String) {
        match self {
            Self::Config(object) | Self::Network(object) => (object.kind.into(), object.name.to_string()),
            Self::Secret(name) => (SECRET.into(), name.to_string()),
            Self::Namespace(name) => ("Namespace".into(), name.to_string()),
            Self::Node(name) => ("Node".into(), name.to_string()),
            Self::Service(key) => ("Service".into(), key.name.to_string()),
            Self::Endpoints(key) => ("EndpointSlice".into(), key.name.to_string()),
        }
    }

    /// The change that makes this object `value`.
    pub(super) fn change(self, value: Option<Value>) -> Option<Change> {
        Some(match (self, value) {
            (Self::Config(object), None) => Change::Config(object, None),
            (Self::Config(object), Some(Value::Config(value))) => Change::Config(object, Some(value)),
            // It is not wanted any more.
            (Self::Secret(_), None) => return None,
            (Self::Secret(name), Some(Value::Secret(value))) => Change::Secret(name, value.ok()),
            (Self::Namespace(name), None) => Change::Namespace(name, None),
            (Self::Namespace(name), Some(Value::Namespace(labels))) => Change::Namespace(name, Some(labels)),
            (Self::Network(object), None) => Change::Network(object, None),
            (Self::Network(object), Some(Value::Network(value))) => Change::Network(object, Some(value)),
            (Self::Node(name), None) => Change::Node(name, None),
            (Self::Node(name), Some(Value::Node(value))) => Change::Node(name, Some(value)),
            (Self::Service(key), None) => Change::Service(key, None),
            (Self::Service(key), Some(Value::Service(value))) => Change::Service(key, Some(value)),
            (Self::Endpoints(key), None) => Change::Endpoints(key, None),
            (Self::Endpoints(key), Some(Value::Endpoints(value))) => Change::Endpoints(key, Some(value)),
            // An entry is made with both at once, so the kinds agree.
            (_, Some(_)) => return None,
        })
    }
}

/// One object of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: Id,
    pub(super) line: u64,
    pub(super) value: Value,
}

/// What a readable file holds.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub(super) entries: Vec<Entry>,
    /// What is in it, but not usable.
    pub(super) problems: Vec<Problem>,
}

/// The kind of what holds passwords.
const SECRET: &str = "Secret";

/// Kinds that a manifest may well have and that nothing here depends on.
const UNUSED: &[&str] = &[
    "ClusterRole",
    "ClusterRoleBinding",
    "CronJob",
    "CustomResourceDefinition",
    "DaemonSet",
    "Deployment",
    "Endpoints",
    "Event",
    "HorizontalPodAutoscaler",
    "Ingress",
    "IngressClass",
    "Job",
    "Lease",
    "LimitRange",
    "MutatingWebhookConfiguration",
    "NetworkPolicy",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "PodMonitor",
    "PriorityClass",
    "ReplicaSet",
    "ReplicationController",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "RuntimeClass",
    "ServiceAccount",
    "ServiceBGPStatus",
    "ServiceL2Status",
    "ServiceMonitor",
    "StatefulSet",
    "StorageClass",
    "ValidatingWebhookConfiguration",
];

/// Kinds of old versions of MetalLB that are not read.
const UNSUPPORTED: &[&str] = &["AddressPool"];

/// Reads a file.
///
/// # Errors
/// When any of it is not readable: then none of it counts.
pub(super) fn read(file: &Path, text: &str, options: &Options) -> Result<Manifest, Problem> {
    let mut reader = Reader { file, options, is_placing: false, manifest: Manifest::default() };
    let json = file.extension().is_some_and(|extension| extension == "json");
    for document in document::split(text, json) {
        reader.document(&document)?;
    }
    Ok(reader.manifest)
}

/// A document that cannot be used.
#[derive(Debug)]
pub(super) struct Broken {
    /// Its kind and name, as far as it says them.
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
    /// Whether it is YAML or JSON at all.
    pub(super) is_legible: bool,
    pub(super) problem: Problem,
}

/// Reads a file document by document: what is wrong with one is no matter of the others. A configuration
/// object without a namespace is taken to be applied where those are.
pub(super) fn read_each(file: &Path, text: &str, json: bool, options: &Options) -> (Manifest, Vec<Broken>) {
    let mut reader = Reader { file, options, is_placing: true, manifest: Manifest::default() };
    let mut broken = Vec::new();
    for document in document::split(text, json) {
        reader.each(&document, &mut broken);
    }
    (reader.manifest, broken)
}

struct Reader<'a> {
    file: &'a Path,
    options: &'a Options,
    /// Whether configuration objects without a namespace belong to the configured one.
    is_placing: bool,
    manifest: Manifest,
}

#[derive(Deserialize)]
struct Custom<S> {
    metadata: Meta,
    spec: S,
    #[serde(default)]
    status: Json,
}

/// Metadata trimmed as everywhere, by way of a type that has nothing else.
#[derive(Deserialize)]
struct MetaOnly {
    metadata: Meta,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Meta(#[serde(deserialize_with = "raw::trimmed")] ObjectMeta);

impl Reader<'_> {
    fn each(&mut self, document: &Document<'_>, broken: &mut Vec<Broken>) {
        let head = document.decode::<Head>().unwrap_or_default();
        let is_list = head.kind.as_deref().is_some_and(is_list);
        let read = match is_list.then(|| document.items()) {
            Some(Ok(items)) => return items.iter().for_each(|item| self.each(item, broken)),
            Some(Err(fault)) => Err(self.unreadable(document, fault)),
            None => self.document(document),
        };
        if let Err(mut problem) = read {
            problem.line.get_or_insert_with(|| document.line_of(""));
            let is_legible = document.decode::<Json>().is_ok();
            let name = head.metadata.and_then(|metadata| metadata.name);
            broken.push(Broken { kind: head.kind, name, is_legible, problem });
        }
    }

    fn document(&mut self, document: &Document<'_>) -> Result<(), Problem> {
        let head: Head = document.decode().map_err(|fault| self.unreadable(document, fault))?;
        let Some(kind) = head.kind.as_deref() else {
            let message = "not a Kubernetes object: it has no kind".into();
            return Err(self.problem(document.line, message));
        };
        let api_version = head.api_version.as_deref().unwrap_or_default();
        if is_list(kind) {
            let items = document.items().map_err(|fault| self.unreadable(document, fault))?;
            return items.iter().try_for_each(|item| self.document(item));
        }
        let line = document.kind_line();
        let Some(expected) = expected(kind) else {
            if UNSUPPORTED.contains(&kind) {
                self.tell(
                    line,
                    format!("{kind} is not supported; write IPAddressPool and an advertisement; ignored"),
                );
            } else if !UNUSED.contains(&kind) {
                self.tell(line, format!("unknown kind {kind:?} ({api_version}); ignored"));
            }
            return Ok(());
        };
        if !expected.contains(&api_version) {
            let expected = expected[0];
            self.tell(
                line,
                format!("{kind} has apiVersion {api_version:?} instead of {expected:?}; ignored"),
            );
            return Ok(());
        }
        let meta = head.metadata.unwrap_or_default();
        for (field, name) in [("metadata.name", meta.name.as_deref().unwrap_or_default())]
            .into_iter()
            .chain(meta.namespace.as_deref().map(|namespace| ("metadata.namespace", namespace)))
        {
            if !is_name(name) {
                return Err(self.problem(document.line, format!("{field}: {name:?} is not a valid name")));
            }
        }
        self.object(kind, document)
    }

    fn object(&mut self, kind: &str, document: &Document<'_>) -> Result<(), Problem> {
        match kind {
            "Service" => {
                let raw: raw::Service = self.decode(document)?;
                let id = Id::Service(view::key(&raw.metadata));
                let value = view::service(raw, self.options);
                self.entry(document, id, Value::Service(value));
            }
            "EndpointSlice" => {
                let raw: raw::EndpointSlice = self.decode(document)?;
                let id = Id::Endpoints(view::key(&raw.metadata));
                if let Some(value) = view::endpoint_slice(raw) {
                    self.entry(document, id, Value::Endpoints(value));
                }
            }
            "Node" => {
                let raw: raw::Node = self.decode(document)?;
                let id = Id::Node(raw.metadata.name.clone().unwrap_or_default().into());
                self.entry(document, id, Value::Node(view::node(raw, &self.options.role)));
            }
            "Namespace" => {
                let raw: raw::Namespace = self.decode(document)?;
                let id = Id::Namespace(raw.metadata.name.as_deref().unwrap_or_default().into());
                let labels = raw.metadata.labels.unwrap_or_default();
                self.entry(document, id, Value::Namespace(labels));
            }
            SECRET => {
                let raw: raw::Secret = self.decode(document)?;
                let object = self.reference(SECRET, &raw.metadata);
                if *object.namespace == *self.options.namespace {
                    self.entry(document, Id::Secret(object.name), Value::Secret(raw.password()));
                }
            }
            CONFIGURATION_STATE => {
                let raw: raw::ConfigurationState = self.decode(document)?;
                let (object, network) = network(&raw);
                if *object.namespace == *self.options.namespace {
                    self.entry(document, Id::Network(object), Value::Network(network));
                }
            }
            CONFIG_MAP => {
                let raw: raw::ConfigMap = self.decode(document)?;
                let object = self.reference(CONFIG_MAP, &raw.metadata);
                let is_config = legacy::NAMES.contains(&&*object.name);
                if is_config && *object.namespace == *self.options.namespace {
                    let value = parse::object(&raw.metadata, legacy::spec(&raw.data), &Json::Null);
                    self.entry(document, Id::Config(object), Value::Config(value));
                }
            }
            POOL => {
                self.custom::<crd::IPAddressPoolSpec>(POOL, document, parse::pool)?;
            }
            RESERVATION => {
                self.custom::<crd::IPReservationSpec>(RESERVATION, document, parse::reservation)?;
            }
            BGP_PEER => self.custom::<crd::BGPPeerSpec>(BGP_PEER, document, parse::bgp_peer)?,
            // Of the others all fields are optional, and so is the whole.
            BGP_ADVERTISEMENT => self.custom(BGP_ADVERTISEMENT, document, |spec: Option<_>| {
                parse::bgp_advertisement(spec.unwrap_or_default())
            })?,
            COMMUNITY => self
                .custom(COMMUNITY, document, |spec: Option<_>| parse::community(spec.unwrap_or_default()))?,
            BFD_PROFILE => self.custom(BFD_PROFILE, document, |spec: Option<_>| {
                parse::bfd_profile(spec.unwrap_or_default())
            })?,
            _ => self.custom(L2_ADVERTISEMENT, document, |spec: Option<_>| {
                parse::l2_advertisement(spec.unwrap_or_default())
            })?,
        }
        Ok(())
    }

    /// A custom resource. One whose `spec` cannot be decoded is refused like any other bad one, so that the
    /// rest of the file counts.
    fn custom<S: DeserializeOwned>(
        &mut self,
        kind: &'static str,
        document: &Document<'_>,
        convert: fn(S) -> Spec,
    ) -> Result<(), Problem> {
        let (meta, spec, status) = match document.decode::<Custom<S>>() {
            Ok(Custom { metadata, spec, status }) => (metadata.0, convert(spec), status),
            Err(fault) => {
                let meta: MetaOnly = self.decode(document)?;
                let line = fault.line.unwrap_or(document.line);
                let message = format!("{}:{line}: {}", self.file.display(), fault.reason);
                let spec = Spec::Unreadable(Refusal { field: String::new(), message });
                (meta.metadata.0, spec, Json::Null)
            }
        };
        let object = self.reference(kind, &meta);
        if *object.namespace == *self.options.namespace {
            self.entry(document, Id::Config(object), Value::Config(parse::object(&meta, spec, &status)));
        } else {
            let namespace = &self.options.namespace;
            let line = document.kind_line();
            self.tell(
                line,
                format!("{object}: ignored, it counts only in namespace {namespace} (see --namespace)"),
            );
        }
        Ok(())
    }

    /// Which configuration object it is.
    fn reference(&self, kind: &'static str, meta: &ObjectMeta) -> ObjectRef {
        let object = parse::reference(kind, meta);
        if self.is_placing && meta.namespace.is_none() {
            return ObjectRef { namespace: self.options.namespace.as_str().into(), ..object };
        }
        object
    }

    fn decode<T: DeserializeOwned>(&self, document: &Document<'_>) -> Result<T, Problem> {
        document.decode().map_err(|fault| self.unreadable(document, fault))
    }

    fn entry(&mut self, document: &Document<'_>, id: Id, value: Value) {
        self.manifest.entries.push(Entry { id, line: document.line, value });
    }

    fn tell(&mut self, line: u64, message: String) {
        self.manifest.problems.push(self.problem(line, message));
    }

    fn problem(&self, line: u64, message: String) -> Problem {
        Problem { file: self.file.into(), line: Some(line), message }
    }

    fn unreadable(&self, document: &Document<'_>, fault: Fault) -> Problem {
        // What is wrong with a Secret may be a part of the password.
        let is_secret = document.is_secret();
        let message = if is_secret {
            "cannot be read; it has a Secret, so nothing of it is quoted".into()
        } else {
            fault.reason
        };
        Problem { file: self.file.into(), line: fault.line, message }
    }
}

fn is_list(kind: &str) -> bool {
    kind == "List" || kind.strip_suffix("List").is_some_and(|item| expected(item).is_some())
}

/// The `apiVersion` that a kind must have, if it is one that counts; the first one is the present one.
fn expected(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "Service" | "Node" | "Namespace" | CONFIG_MAP | SECRET => &["v1"],
        "EndpointSlice" => &["discovery.k8s.io/v1"],
        BGP_PEER => &["metallb.io/v1beta2", "metallb.io/v1beta1"],
        POOL | L2_ADVERTISEMENT | RESERVATION | CONFIGURATION_STATE | BGP_ADVERTISEMENT | COMMUNITY
        | BFD_PROFILE => &["metallb.io/v1beta1"],
        _ => return None,
    })
}

/// What a speaker says about the networks of its node.
pub(super) fn network(raw: &raw::ConfigurationState) -> (ObjectRef, Network) {
    (parse::reference(CONFIGURATION_STATE, &raw.metadata), view::network(raw))
}

#[cfg(test)]
mod tests;
