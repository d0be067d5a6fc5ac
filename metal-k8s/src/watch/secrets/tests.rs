use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};

use super::*;
use crate::{
    backend::Role,
    fake::{Answer, Fake, Request, refused},
};

const DEADLINE: Duration = Duration::from_secs(20);

struct Rig {
    fake: Fake,
    wanted: mpsc::UnboundedSender<Wanted>,
    changes: mpsc::Receiver<Change>,
}

impl Rig {
    async fn start(handler: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let fake = Fake::start(handler).await;
        let (wanted, names) = mpsc::unbounded_channel();
        let (sender, changes) = mpsc::channel(16);
        let options = Options::new(Role::Speaker { node: "n1".into(), pod: None });
        super::start(&fake.client(), &options, names, &sender);
        Self { fake, wanted, changes }
    }

    fn want(&self, names: &[&str]) {
        self.wanted.send(names.iter().map(|name| (*name).into()).collect()).unwrap();
    }

    /// The next Secret that is told of, with its password.
    async fn next(&mut self) -> (String, Option<String>) {
        let change = tokio::time::timeout(DEADLINE, self.changes.recv()).await.expect("a change in time");
        match change {
            Some(Change::Secret(name, value)) => {
                (name.to_string(), value.map(|value| value.expose().to_string()))
            }
            other => panic!("{other:?}"),
        }
    }
}

fn told(name: &str, password: &str) -> (String, Option<String>) {
    (name.into(), Some(password.into()).filter(|password: &String| !password.is_empty()))
}

/// A Secret with this password, in Base64.
fn secret(name: &str, password: &str) -> Value {
    let metadata = json!({"name": name, "namespace": "metallb-system", "uid": name, "resourceVersion": "2"});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/basic-auth",
        "data": {"password": password}})
}

fn list(items: &[Value]) -> Answer {
    let metadata = json!({"resourceVersion": "1"});
    Answer::Json(200, json!({"kind": "SecretList", "apiVersion": "v1", "metadata": metadata, "items": items}))
}

fn watches(request: &Request) -> bool {
    request.path.contains("watch=true")
}

const QUIET: fn() -> Answer = || Answer::Watch { events: vec![], end: false };

/// The name that a request selects.
fn selected(request: &Request) -> String {
    let path = &request.path;
    assert!(path.starts_with("/api/v1/namespaces/metallb-system/secrets?"), "{path}");
    let (_, rest) = path.split_once("fieldSelector=metadata.name%3D").expect("a request for one Secret");
    rest.split('&').next().unwrap_or_default().into()
}

#[tokio::test]
async fn each_wanted_secret_is_told_once_and_each_has_a_watch_of_its_own() {
    let mut rig = Rig::start(|request| match (watches(request), &*selected(request)) {
        (true, _) => QUIET(),
        (false, "a") => list(&[secret("a", "aHVudGVyMg==")]),
        (false, _) => list(&[]),
    })
    .await;
    rig.want(&["a", "b"]);
    let mut both = [rig.next().await, rig.next().await];
    both.sort();
    assert_eq!(both, [told("a", "hunter2"), told("b", "")]);
    // What is wanted already goes on; what is wanted anew is answered anew.
    rig.want(&["a", "c"]);
    assert_eq!(rig.next().await, told("c", ""));
    rig.want(&["a", "b"]);
    assert_eq!(rig.next().await, told("b", ""));
    let lists =
        rig.fake.take().iter().filter(|request| !watches(request) && selected(request) == "a").count();
    assert_eq!(lists, 1);
}

#[tokio::test]
async fn a_change_of_the_password_is_told_at_once_and_other_changes_are_not() {
    let mut rig = Rig::start(|request| {
        if !watches(request) {
            return list(&[secret("a", "b25l")]);
        }
        let event = |kind: &str, object: Value| json!({"type": kind, "object": object});
        let mut other = secret("a", "dHdv");
        other["type"] = "Opaque".into();
        let events = vec![
            event("MODIFIED", secret("a", "b25l")),
            event("MODIFIED", secret("a", "dHdv")),
            event("MODIFIED", other),
            event("MODIFIED", secret("a", "dHJlcw==")),
            event("DELETED", secret("a", "dHJlcw==")),
            event("ADDED", secret("a", "cXVhdHRybw==")),
        ];
        Answer::Watch { events, end: false }
    })
    .await;
    rig.want(&["a"]);
    for password in ["one", "two", "", "tres", "", "quattro"] {
        assert_eq!(rig.next().await, told("a", password));
    }
}

#[tokio::test]
async fn without_the_right_to_read_it_there_is_no_password_until_there_is() {
    let allowed = Arc::new(AtomicBool::new(false));
    let is_allowed = allowed.clone();
    let mut rig = Rig::start(move |request| match (is_allowed.load(Ordering::Acquire), watches(request)) {
        (false, _) => refused(403, "secrets \"a\" is forbidden"),
        (true, false) => list(&[secret("a", "b25l")]),
        (true, true) => QUIET(),
    })
    .await;
    rig.want(&["a"]);
    assert_eq!(rig.next().await, told("a", ""));
    allowed.store(true, Ordering::Release);
    assert_eq!(rig.next().await, told("a", "one"));
}

#[tokio::test]
async fn a_right_that_is_lost_takes_no_password_away() {
    let lists = Mutex::new(0);
    let mut rig = Rig::start(move |request| {
        let mut lists = lists.lock().unwrap();
        *lists += u32::from(!watches(request));
        match (*lists, watches(request)) {
            (1, false) => list(&[secret("a", "b25l")]),
            (1, true) => {
                let status = json!({"kind": "Status", "code": 410, "message": "too old", "reason": "Expired", "status": "Failure"});
                Answer::Watch { events: vec![json!({"type": "ERROR", "object": status})], end: true }
            }
            (2, _) => refused(403, "forbidden"),
            (_, false) => list(&[secret("a", "dHdv")]),
            (_, true) => QUIET(),
        }
    })
    .await;
    rig.want(&["a"]);
    assert_eq!(rig.next().await, told("a", "one"));
    assert_eq!(rig.next().await, told("a", "two"), "nothing in between");
}

#[tokio::test]
async fn what_is_no_name_is_never_asked_for() {
    let mut rig = Rig::start(|_| list(&[])).await;
    rig.want(&["a,metadata.namespace!=b"]);
    assert_eq!(rig.next().await, told("a,metadata.namespace!=b", ""));
    assert!(rig.fake.take().is_empty());
}

#[tokio::test]
async fn it_ends_when_nobody_listens() {
    let Rig { wanted, changes, .. } = Rig::start(|_| list(&[])).await;
    drop(changes);
    tokio::time::timeout(DEADLINE, wanted.closed()).await.expect("the end of the watches");
}
