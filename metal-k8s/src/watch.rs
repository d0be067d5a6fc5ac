//! The cluster as a source: one watch per kind, one stream of changes.

mod kinds;
pub(crate) mod secrets;

use std::{
    collections::HashSet,
    fmt::Debug,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::StreamExt;
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use metal_core::{config::ObjectRef, name::ObjectKey};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::{
    backend::{Options, Role},
    change::Change,
    legacy, raw,
    seen::Seen,
    view,
};

/// Objects per page of a list: what bounds the memory of a relist. Each page costs a round trip and the server's work
/// for it, 20 ms or more where there are thousands of Services.
const PAGE: u32 = 500;

/// Starts all watches that the role needs. They end when the receiver of `changes` is dropped.
pub(crate) fn start(client: &Client, options: &Options, seen: &Seen, changes: &mpsc::Sender<Change>) {
    let all = watcher::Config::default().page_size(PAGE);
    let watches = Watches {
        context: Context { options: options.clone(), seen: seen.clone(), changes: changes.clone() },
        left: Arc::new(AtomicUsize::new(0)),
        begun: Vec::new(),
    };
    let namespace = &options.namespace;
    let mut watches = watches
        .with::<raw::Service>(Api::all(client.clone()), all.clone())
        .with::<raw::Pool>(Api::namespaced(client.clone(), namespace), all.clone())
        .with::<raw::L2Advertisement>(Api::namespaced(client.clone(), namespace), all.clone())
        .with::<raw::BgpPeer>(Api::namespaced(client.clone(), namespace), all.clone())
        .with::<raw::BgpAdvertisement>(Api::namespaced(client.clone(), namespace), all.clone())
        .with::<raw::Community>(Api::namespaced(client.clone(), namespace), all.clone())
        .with::<raw::BfdProfile>(Api::namespaced(client.clone(), namespace), all.clone());
    for name in legacy::NAMES {
        let one = all.clone().fields(&format!("metadata.name={name}"));
        watches = watches.with::<raw::ConfigMap>(Api::namespaced(client.clone(), namespace), one);
    }
    watches = match options.role {
        Role::Controller => watches
            .with::<raw::Reservation>(Api::namespaced(client.clone(), namespace), all.clone())
            .with::<raw::ConfigurationState>(Api::namespaced(client.clone(), namespace), all.clone())
            .with::<raw::Namespace>(Api::all(client.clone()), all.clone())
            .with::<raw::Node>(Api::all(client.clone()), all),
        Role::Speaker { .. } => watches
            .with::<raw::EndpointSlice>(Api::all(client.clone()), all.clone())
            .with::<raw::Node>(Api::all(client.clone()), all),
    };
    watches.spawn();
}

/// A kind that can be watched.
trait Kind: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static {
    /// What the object says. Also remembers what the sink has to know of it.
    fn change(self, context: &Context) -> Change;

    /// That the object with `key` is gone.
    fn gone(key: ObjectKey, context: &Context) -> Change;
}

#[derive(Clone)]
struct Context {
    options: Options,
    seen: Seen,
    changes: mpsc::Sender<Change>,
}

impl Context {
    fn forget(&self, kind: &'static str, key: ObjectKey) -> ObjectRef {
        let object = ObjectRef { kind, namespace: key.namespace, name: key.name };
        self.seen.forget(&object);
        object
    }
}

type Begun = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// The watches before they run: all are counted first, so that the last one to be listed is known.
struct Watches {
    context: Context,
    left: Arc<AtomicUsize>,
    begun: Vec<Begun>,
}

impl Watches {
    fn with<K: Kind>(mut self, api: Api<K>, config: watcher::Config) -> Self {
        self.left.fetch_add(1, Ordering::Relaxed);
        let barrier = Barrier { left: Some(self.left.clone()), changes: self.context.changes.clone() };
        self.begun.push(Box::pin(run(api, config, self.context.clone(), barrier)));
        self
    }

    fn spawn(self) {
        self.begun.into_iter().for_each(|watch| {
            tokio::spawn(watch);
        });
    }
}

/// Says `Synced` when the last kind has been listed.
struct Barrier {
    left: Option<Arc<AtomicUsize>>,
    changes: mpsc::Sender<Change>,
}

impl Barrier {
    async fn listed(&mut self) {
        if let Some(left) = self.left.take()
            && left.fetch_sub(1, Ordering::AcqRel) == 1
        {
            let _ = self.changes.send(Change::Synced).await;
        }
    }
}

async fn run<K: Kind>(api: Api<K>, config: watcher::Config, context: Context, mut barrier: Barrier) {
    let mut events = pin!(watcher::watcher(api, config).default_backoff());
    let mut objects = Objects::default();
    let mut trouble = Trouble::default();
    loop {
        let event = tokio::select! {
            () = context.changes.closed() => return,
            event = events.next() => event,
        };
        let Some(event) = event else { return };
        let (changes, listed) = match event {
            Ok(event) => {
                trouble.over::<K>(&event);
                let listed = matches!(event, Event::InitDone);
                (objects.changes(event, &context), listed)
            }
            Err(error) => {
                trouble.tell::<K>(&error);
                // A kind that the server does not know has no objects.
                if is_missing(&error) { (objects.all_gone::<K>(&context), true) } else { (Vec::new(), false) }
            }
        };
        for change in changes {
            if context.changes.send(change).await.is_err() {
                return;
            }
        }
        if listed {
            barrier.listed().await;
        }
    }
}

/// Which objects of a kind exist, so that a new list shows which ones are gone.
#[derive(Default)]
struct Objects {
    known: HashSet<ObjectKey>,
    listed: HashSet<ObjectKey>,
}

impl Objects {
    fn changes<K: Kind>(&mut self, event: Event<K>, context: &Context) -> Vec<Change> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                let key = key(&object);
                self.listed.insert(key.clone());
                self.known.insert(key);
                vec![object.change(context)]
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let gone: Vec<_> = self.known.difference(&listed).cloned().collect();
                self.known = listed;
                self.known.shrink_to_fit();
                gone.into_iter().map(|key| K::gone(key, context)).collect()
            }
            Event::Apply(object) => {
                self.known.insert(key(&object));
                vec![object.change(context)]
            }
            Event::Delete(object) => {
                let key = key(&object);
                self.known.remove(&key);
                vec![K::gone(key, context)]
            }
        }
    }

    fn all_gone<K: Kind>(&mut self, context: &Context) -> Vec<Change> {
        self.listed.clear();
        self.known.drain().map(|key| K::gone(key, context)).collect()
    }
}

/// The key of an object; a cluster-wide one is in the namespace "default", which nobody reads.
fn key<K: Kind>(object: &K) -> ObjectKey {
    view::key(object.meta())
}

/// Logs an error of a watch once until it changes.
#[derive(Default)]
struct Trouble {
    last: Option<String>,
}

impl Trouble {
    fn tell<K: Kind>(&mut self, error: &watcher::Error) {
        if answer(error).is_some_and(|status| status.code == 410) {
            return; // Ordinary: the server has forgotten where we were, so everything is listed again.
        }
        let text = explain::<K>(error);
        if self.last.as_ref() != Some(&text) {
            tracing::warn!("{text}");
            self.last = Some(text);
        }
    }

    fn over<K: Kind>(&mut self, event: &Event<K>) {
        // `Init` comes before the server has answered anything.
        if !matches!(event, Event::Init) && self.last.take().is_some() {
            tracing::info!("watching {} again", K::plural(&()));
        }
    }
}

fn explain<K: Kind>(error: &watcher::Error) -> String {
    let plural = K::plural(&());
    match answer(error) {
        Some(status) if status.code == 403 => format!(
            "not ready: the API server forbids to watch {plural}: {}; grant list and watch to this service account (deploy/ has the roles)",
            status.message
        ),
        Some(status) if status.code == 401 => {
            format!("not ready: the API server refuses our credentials: {}", status.message)
        }
        Some(status) if status.code == 404 => format!(
            "the API server does not know {plural}.{}: taken as none until their CustomResourceDefinition is applied (deploy/crds)",
            K::group(&())
        ),
        Some(status) => format!("cannot watch {plural}: {}; retrying", status.message),
        None => format!("cannot watch {plural}: {}; retrying", with_causes(error)),
    }
}

/// An error with its causes: the outermost one alone seldom says what happened.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn is_missing(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(_))
        && answer(error).is_some_and(|status| status.code == 404)
}

fn answer(error: &watcher::Error) -> Option<&kube::core::Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
