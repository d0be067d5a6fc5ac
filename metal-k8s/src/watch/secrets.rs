//! The Secrets that somebody wants to know of: one watch each, which needs no right to see any other.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use kube::{
    Api, Client,
    runtime::watcher::{self, Event},
};
use metal_core::config::bgp;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use super::{answer, with_causes};
use crate::{backend::Options, change::Change, parse::is_name, raw, sink::Wanted};

/// The pause after a first failure; it doubles up to [`LONGEST`]. The right to read a Secret comes a moment after its
/// first use.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// Watches what is wanted until the receiver of `changes` or the sender of `wanted` is dropped.
pub(crate) fn start(
    client: &Client,
    options: &Options,
    wanted: mpsc::UnboundedReceiver<Wanted>,
    changes: &mpsc::Sender<Change>,
) {
    let api = Api::namespaced(client.clone(), &options.namespace);
    tokio::spawn(keep(api, options.namespace.as_str().into(), wanted, changes.clone()));
}

async fn keep(
    api: Api<raw::Secret>,
    namespace: Arc<str>,
    mut wanted: mpsc::UnboundedReceiver<Wanted>,
    changes: mpsc::Sender<Change>,
) {
    let mut watches = JoinSet::new();
    let mut by_name: BTreeMap<Arc<str>, AbortHandle> = BTreeMap::new();
    loop {
        let names = tokio::select! {
            () = changes.closed() => return,
            names = wanted.recv() => names,
        };
        let Some(names) = names else { return };
        by_name.retain(|name, watch| {
            let stays = names.contains(name);
            if !stays {
                watch.abort();
            }
            stays
        });
        for name in names {
            by_name.entry(name.clone()).or_insert_with(|| {
                let news = News::new(&namespace, name.clone(), changes.clone());
                watches.spawn(follow(api.clone(), name, news))
            });
        }
        while watches.try_join_next().is_some() {}
    }
}

/// Tells of one Secret until nobody listens.
async fn follow(api: Api<raw::Secret>, name: Arc<str>, mut news: News) {
    if !is_name(&name) {
        // It would be part of a selector, which has a syntax of its own.
        drop(news.tell(Err("this is not the name of a Secret".into())).await);
        return;
    }
    let one = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(watcher::watcher(api, one));
    let mut listed = None;
    let mut pause = SHORTEST;
    while let Some(event) = events.next().await {
        let found = match event {
            Ok(Event::Init) => {
                listed = None;
                continue;
            }
            Ok(Event::InitApply(secret)) => {
                listed = Some(secret.password());
                continue;
            }
            Ok(Event::InitDone) => listed.take().unwrap_or_else(|| Err("it is not there".into())),
            Ok(Event::Apply(secret)) => secret.password(),
            Ok(Event::Delete(_)) => Err("it is gone".into()),
            Err(error) => {
                // Ordinary when it is 410: the server has forgotten where we were.
                let is_trouble = answer(&error).is_none_or(|status| status.code != 410);
                if is_trouble && news.trouble(&error).await.is_err() {
                    return;
                }
                tokio::time::sleep(shortened(pause)).await;
                pause = LONGEST.min(pause * 2);
                continue;
            }
        };
        pause = SHORTEST;
        if news.tell(found).await.is_err() {
            return;
        }
    }
}

/// Somewhat less than `pause`, so that not all nodes ask at the same moment.
fn shortened(pause: Duration) -> Duration {
    let mut random = [0];
    // Without random bytes the pause is simply whole.
    let _ = getrandom::fill(&mut random);
    pause - pause * u32::from(random[0]) / 512
}

/// What has been told of a Secret.
struct News {
    place: String,
    name: Arc<str>,
    changes: mpsc::Sender<Change>,
    told: Option<Option<bgp::Secret>>,
    /// Why there is no password, or no news, as far as the log says it.
    logged: Option<String>,
}

type Told = Result<(), mpsc::error::SendError<Change>>;

impl News {
    fn new(namespace: &str, name: Arc<str>, changes: mpsc::Sender<Change>) -> Self {
        Self { place: format!("Secret {namespace}/{name}"), name, changes, told: None, logged: None }
    }

    /// Tells what is known now, if that is new.
    async fn tell(&mut self, found: Result<bgp::Secret, String>) -> Told {
        let value = match found {
            Ok(secret) => {
                if self.logged.take().is_some() {
                    tracing::info!("{}: the password is there", self.place);
                } else if self.told.as_ref().is_some_and(|told| *told != Some(secret.clone())) {
                    tracing::info!("{}: the password has changed", self.place);
                }
                Some(secret)
            }
            Err(reason) => {
                self.log(format!("{}: {reason}; BGP sessions that need it wait", self.place));
                None
            }
        };
        if self.told.as_ref() == Some(&value) {
            return Ok(());
        }
        self.told = Some(value.clone());
        self.changes.send(Change::Secret(self.name.clone(), value)).await
    }

    /// The API server does not say. A password that is known stays: nothing says that it is a wrong one.
    async fn trouble(&mut self, error: &watcher::Error) -> Told {
        let Some(status) = answer(error) else {
            self.log(format!("{}: {}; retrying", self.place, with_causes(error)));
            return Ok(());
        };
        let reason = match status.code {
            403 => format!(
                "{}; the controller grants it through the Role metal-bgp-passwords, which deploy/metal.yaml binds to this service account; retrying",
                status.message
            ),
            _ => format!("{}; retrying", status.message),
        };
        self.log(format!("{}: {reason}", self.place));
        if self.told.is_some() {
            return Ok(());
        }
        self.told = Some(None);
        self.changes.send(Change::Secret(self.name.clone(), None)).await
    }

    fn log(&mut self, text: String) {
        if self.logged.as_ref() != Some(&text) {
            tracing::warn!("{text}");
            self.logged = Some(text);
        }
    }
}

#[cfg(test)]
mod tests;
