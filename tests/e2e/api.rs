//! What a user does with `kubectl`: apply YAML, look at objects, delete them.

use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

use metal_tests::wait::{ensure, wait_for};

/// The kinds in use: group, version, kind, whether it is namespaced.
const KINDS: [(&str, &str, &str, bool); 27] = [
    ("", "v1", "ConfigMap", true),
    ("", "v1", "Event", true),
    ("", "v1", "Namespace", false),
    ("", "v1", "Node", false),
    ("", "v1", "Secret", true),
    ("", "v1", "Service", true),
    ("", "v1", "ServiceAccount", true),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", false),
    ("apps", "v1", "DaemonSet", true),
    ("apps", "v1", "Deployment", true),
    ("coordination.k8s.io", "v1", "Lease", true),
    ("discovery.k8s.io", "v1", "EndpointSlice", true),
    ("frrk8s.metallb.io", "v1beta1", "BGPSessionState", true),
    ("metallb.io", "v1beta1", "BFDProfile", true),
    ("metallb.io", "v1beta1", "BGPAdvertisement", true),
    ("metallb.io", "v1beta2", "BGPPeer", true),
    ("metallb.io", "v1beta1", "Community", true),
    ("metallb.io", "v1beta1", "ConfigurationState", true),
    ("metallb.io", "v1beta1", "IPAddressPool", true),
    ("metallb.io", "v1beta1", "IPReservation", true),
    ("metallb.io", "v1beta1", "L2Advertisement", true),
    ("metallb.io", "v1beta1", "ServiceBGPStatus", true),
    ("metallb.io", "v1beta1", "ServiceL2Status", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", false),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", false),
    ("rbac.authorization.k8s.io", "v1", "Role", true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", true),
];

/// How many objects are created at the same time where there are many.
const AT_A_TIME: usize = 16;

/// A client that remembers what it created.
pub(crate) struct Client {
    runtime: tokio::runtime::Runtime,
    client: kube::Client,
    created: Vec<Reference>,
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    kind: String,
    namespace: String,
    name: String,
}

impl Client {
    /// Connects with a kubeconfig file.
    pub(crate) fn connect(kubeconfig: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
            let options = KubeConfigOptions::default();
            let config =
                kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a configuration");
            kube::Client::try_from(config).expect("a client")
        });
        Self { runtime, client, created: Vec::new() }
    }

    /// Applies every object of a YAML text. [`Client::remove_created`] will remove them.
    #[track_caller]
    pub(crate) fn apply(&mut self, yaml: &str) {
        let applied = self.apply_for_good(yaml);
        self.created.extend(applied);
    }

    /// Applies every object of a YAML text, with its status if it has one.
    #[track_caller]
    pub(crate) fn apply_for_good(&self, yaml: &str) -> Vec<Reference> {
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        let references = objects.iter().map(|object| {
            let reference = Reference::of(object);
            self.apply_object(&reference, object).unwrap_or_else(|error| panic!("{reference:?}: {error}"));
            reference
        });
        references.collect()
    }

    /// Applies one object that the API server must refuse; returns its answer.
    #[track_caller]
    pub(crate) fn is_refused(&self, yaml: &str) -> (u16, String) {
        let object: Value = serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        match self.apply_object(&Reference::of(&object), &object) {
            Err(kube::Error::Api(status)) => (status.code, status.message.clone()),
            result => panic!("not refused: {result:?}\n{yaml}"),
        }
    }

    fn apply_object(&self, reference: &Reference, object: &Value) -> Result<(), kube::Error> {
        let written = object["apiVersion"].as_str().and_then(|version| version.rsplit('/').next());
        let api = self.api_in(&reference.kind, written, Some(&reference.namespace));
        let parameters = PatchParams::apply("e2e").force();
        let patch = Patch::Apply(object);
        self.runtime.block_on(async {
            api.patch(&reference.name, &parameters, &patch).await?;
            if object.get("status").is_some() {
                api.patch_status(&reference.name, &parameters, &patch).await?;
            }
            Ok(())
        })
    }

    /// What the API server answers who wants to read an object: 200, or the code of its refusal.
    pub(crate) fn may_get(&self, kind: &str, namespace: &str, name: &str) -> u16 {
        code(self.runtime.block_on(self.api(kind, Some(namespace)).get(name)))
    }

    /// The same for a list of the objects that a selector of fields leaves.
    pub(crate) fn may_list(&self, kind: &str, namespace: &str, fields: &str) -> u16 {
        let selected = ListParams::default().fields(fields);
        code(self.runtime.block_on(self.api(kind, Some(namespace)).list(&selected)))
    }

    /// Replaces the status of an object with what `change` makes of the object, as a controller does that knows
    /// nothing of server-side apply. False when somebody else was faster.
    #[track_caller]
    pub(crate) fn replace_status(
        &self,
        manager: &str,
        (kind, namespace, name): (&str, &str, &str),
        change: impl FnOnce(&mut Value),
    ) -> bool {
        let mut object = self.get(kind, namespace, name).unwrap_or_else(|| panic!("no {kind} {name}"));
        change(&mut object);
        let parameters = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        let api = self.api(kind, Some(namespace));
        match self.runtime.block_on(api.replace_status(name, &parameters, &object)) {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if status.code == 409 => false,
            Err(error) => panic!("{kind} {name}: {error}"),
        }
    }

    /// Applies the status of an object as another field manager.
    #[track_caller]
    pub(crate) fn apply_status(&self, manager: &str, object: &Value) {
        let Reference { kind, namespace, name } = Reference::of(object);
        let api = self.api(&kind, Some(&namespace));
        let parameters = PatchParams::apply(manager).force();
        self.runtime
            .block_on(api.patch_status(&name, &parameters, &Patch::Apply(object)))
            .unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// Merges a patch into an object that must exist.
    #[track_caller]
    pub(crate) fn merge(&self, kind: &str, namespace: &str, name: &str, patch: &Value) {
        let api = self.api(kind, Some(namespace));
        let parameters = PatchParams { field_manager: Some("e2e".to_owned()), ..PatchParams::default() };
        self.runtime
            .block_on(api.patch(name, &parameters, &Patch::Merge(patch)))
            .unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// Creates many objects of a kind, some at a time; [`Client::delete_labelled`] removes them.
    #[track_caller]
    pub(crate) fn create_many(&self, kind: &str, namespace: &str, objects: &[Value]) {
        let api = self.api(kind, Some(namespace));
        let creations = objects.iter().map(|object| {
            let object: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
            let api = api.clone();
            async move { api.create(&PostParams::default(), &object).await.map(drop) }
        });
        let all = futures::stream::iter(creations).buffer_unordered(AT_A_TIME).try_collect::<()>();
        self.runtime.block_on(all).unwrap_or_else(|error| panic!("{kind}: {error}"));
    }

    /// Applies the statuses of many objects as a field manager, some at a time.
    #[track_caller]
    pub(crate) fn apply_many(&self, manager: &str, at_a_time: usize, objects: &[Value]) {
        let parameters = PatchParams::apply(manager).force();
        let writes = objects.iter().map(|object| {
            let Reference { kind, namespace, name } = Reference::of(object);
            let (api, parameters) = (self.api(&kind, Some(&namespace)), parameters.clone());
            async move { api.patch_status(&name, &parameters, &Patch::Apply(object)).await.map(drop) }
        });
        let all = futures::stream::iter(writes).buffer_unordered(at_a_time).try_collect::<()>();
        self.runtime.block_on(all).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Applies many objects of the current versions, all at the same time.
    #[track_caller]
    pub(crate) fn apply_at_once(&self, objects: &[Value]) {
        let parameters = PatchParams::apply("e2e").force();
        let writes = objects.iter().map(|object| {
            let Reference { kind, namespace, name } = Reference::of(object);
            let (api, parameters) = (self.api(&kind, Some(&namespace)), parameters.clone());
            async move { api.patch(&name, &parameters, &Patch::Apply(object)).await.map(drop) }
        });
        let all = futures::future::try_join_all(writes);
        self.runtime.block_on(all).map(drop).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Deletes objects of a kind, all at the same time.
    #[track_caller]
    pub(crate) fn delete_at_once(&self, kind: &str, namespace: &str, names: &[String]) {
        let api = self.api(kind, Some(namespace));
        let parameters = DeleteParams::default();
        let all = futures::future::try_join_all(names.iter().map(|name| api.delete(name, &parameters)));
        self.runtime.block_on(all).map(drop).unwrap_or_else(|error| panic!("{kind}: {error}"));
    }

    /// Deletes all objects of a kind that have a label.
    #[track_caller]
    pub(crate) fn delete_labelled(&self, kind: &str, namespace: &str, label: &str) {
        let api = self.api(kind, Some(namespace));
        let labelled = ListParams::default().labels(label);
        self.runtime
            .block_on(api.delete_collection(&DeleteParams::default(), &labelled))
            .map(drop)
            .unwrap_or_else(|error| panic!("{kind} with {label}: {error}"));
    }

    /// An object, if it exists.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let found = self.runtime.block_on(self.api(kind, Some(namespace)).get_opt(name));
        found.unwrap_or_else(|error| panic!("{kind} {name}: {error}")).map(|object| to_json(&object))
    }

    /// All objects of a kind.
    pub(crate) fn list(&self, kind: &str) -> Vec<Value> {
        let listed = self.runtime.block_on(self.api(kind, None).list(&ListParams::default()));
        listed.unwrap_or_else(|error| panic!("{kind}: {error}")).iter().map(to_json).collect()
    }

    /// Deletes an object that must exist.
    pub(crate) fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let deleted =
            self.runtime.block_on(self.api(kind, Some(namespace)).delete(name, &DeleteParams::default()));
        deleted.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// Deletes what [`Client::apply`] created and is still there, last first, and waits until it is gone.
    pub(crate) fn remove_created(&mut self) {
        while let Some(Reference { kind, namespace, name }) = self.created.pop() {
            if self.get(&kind, &namespace, &name).is_none() {
                continue;
            }
            self.delete(&kind, &namespace, &name);
            wait_for(&format!("the end of {kind} {name}"), Duration::from_secs(10), || {
                let found = self.get(&kind, &namespace, &name);
                ensure(found.is_none(), || format!("{}", found.unwrap_or_default()))
            });
        }
    }

    fn api(&self, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        self.api_in(kind, None, namespace)
    }

    /// In another version than usual, if that is given.
    fn api_in(&self, kind: &str, written: Option<&str>, namespace: Option<&str>) -> Api<DynamicObject> {
        let known = KINDS.iter().find(|known| known.2 == kind);
        let (group, version, kind, namespaced) =
            *known.unwrap_or_else(|| panic!("{kind} is not among the kinds in use"));
        let version = written.unwrap_or(version);
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            Some(namespace) if namespaced => Api::namespaced_with(self.client.clone(), namespace, &resource),
            _ => Api::all_with(self.client.clone(), &resource),
        }
    }
}

impl Reference {
    /// The object's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn of(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        Self {
            kind: text("/kind").unwrap_or_else(|| panic!("an object without kind: {object}")).to_owned(),
            namespace: text("/metadata/namespace").unwrap_or("default").to_owned(),
            name: text("/metadata/name")
                .unwrap_or_else(|| panic!("an object without name: {object}"))
                .to_owned(),
        }
    }
}

/// 200, or the code of a refusal.
fn code<T>(answer: Result<T, kube::Error>) -> u16 {
    match answer {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    }
}

fn to_json(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("an object is JSON")
}
