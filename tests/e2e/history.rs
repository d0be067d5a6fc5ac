//! What everybody could see of the Services: every version of each, in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use tokio::sync::oneshot;

/// A recording. It ends when it is dropped.
pub(crate) struct History {
    seen: Arc<Mutex<Vec<Seen>>>,
    _end: oneshot::Sender<()>,
}

/// A version of a Service.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Its name.
    pub(crate) name: String,
    /// Tells it from another one of the same name.
    pub(crate) uid: String,
    /// Whether it is of type LoadBalancer; a deleted one is not.
    pub(crate) is_load_balancer: bool,
    /// Its addresses.
    pub(crate) addresses: Vec<String>,
    /// All that a controller writes: ingress, conditions, annotations.
    pub(crate) written: Value,
}

impl History {
    /// Records from now on.
    pub(crate) fn record(kubeconfig: &Path) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (end, mut ended) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (kubeconfig, record) = (kubeconfig.to_owned(), Arc::clone(&seen));
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let api = services(&kubeconfig).await;
                let mut version = api
                    .list(&kube::api::ListParams::default())
                    .await
                    .expect("a list of Services")
                    .metadata
                    .resource_version
                    .expect("a version");
                ready.send(()).expect("somebody who waits");
                // A watch ends by itself after a while.
                while let Ok(watch) = api.watch(&WatchParams::default().timeout(200), &version).await {
                    let mut watch = std::pin::pin!(watch);
                    loop {
                        let event = tokio::select! {
                            _ = &mut ended => return,
                            event = watch.next() => event,
                        };
                        let Some(Ok(event)) = event else { break };
                        let (object, is_there) = match event {
                            WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, true),
                            WatchEvent::Deleted(object) => (object, false),
                            WatchEvent::Bookmark(bookmark) => {
                                version = bookmark.metadata.resource_version;
                                continue;
                            }
                            WatchEvent::Error(error) => panic!("the watch of Services fails: {error:?}"),
                        };
                        version = object.metadata.resource_version.clone().unwrap_or_default();
                        let object = serde_json::to_value(&object).expect("an object is JSON");
                        let mut all = record.lock().unwrap_or_else(PoisonError::into_inner);
                        all.push(Seen::of(&object, is_there));
                    }
                }
            });
        });
        is_ready.recv().expect("a recording that begins");
        Self { seen, _end: end }
    }

    /// What has been seen so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Fails when an address was on two Services at any moment, or when a Service got another one in place of
/// one that it had.
pub(crate) fn check(history: &[Seen]) {
    let mut addresses: BTreeMap<&str, &Seen> = BTreeMap::new();
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for seen in history {
        let before = addresses.get(&*seen.uid).map(|before| &*before.addresses).unwrap_or_default();
        let kept = seen.addresses == before || before.is_empty() || !seen.is_load_balancer;
        assert!(kept, "{} had {before:?} and then {:?}", seen.name, seen.addresses);
        owners.retain(|_, owner| *owner != seen.uid);
        for address in &seen.addresses {
            if let Some(other) = owners.insert(address, &seen.uid) {
                panic!("{address} is on {} and on {}", addresses[other].name, seen.name);
            }
        }
        addresses.insert(&seen.uid, seen);
    }
}

/// How often what a controller writes was changed, other than by a change of the Service's type.
pub(crate) fn changes(history: &[Seen]) -> usize {
    let mut last: BTreeMap<&str, &Seen> = BTreeMap::new();
    let changed = history.iter().filter(|seen| {
        let before = last.insert(&*seen.uid, seen);
        before.is_some_and(|before| {
            before.written != seen.written && before.is_load_balancer == seen.is_load_balancer
        })
    });
    changed.count()
}

impl Seen {
    fn of(object: &Value, is_there: bool) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let entries = object.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
        let ingress = entries.into_iter().flatten().filter_map(|entry| entry["ip"].as_str());
        let annotations = object["metadata"]["annotations"].as_object().into_iter().flatten();
        let own = annotations.filter(|(key, _)| OWN.contains(&key.as_str()));
        let own: serde_json::Map<String, Value> =
            own.map(|(key, value)| (key.clone(), value.clone())).collect();
        Self {
            name: text("/metadata/name").to_owned(),
            uid: text("/metadata/uid").to_owned(),
            is_load_balancer: is_there && text("/spec/type") == "LoadBalancer",
            addresses: if is_there { ingress.map(str::to_owned).collect() } else { Vec::new() },
            written: serde_json::json!([
                object["status"]["loadBalancer"],
                object["status"]["conditions"],
                own,
            ]),
        }
    }
}

/// The annotations that the controller writes.
const OWN: [&str; 2] = ["metallb.io/ip-allocated-from-pool", "metallb.io/pool-labels"];

async fn services(kubeconfig: &Path) -> Api<DynamicObject> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a configuration");
    let client = kube::Client::try_from(config).expect("a client");
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Service"));
    Api::namespaced_with(client, "default", &kind)
}
