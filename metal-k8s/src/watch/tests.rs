use metal_core::config::Spec;
use serde_json::{Value, json};

use super::*;
use crate::fake::{Answer, Fake, refused};

fn context() -> Context {
    Context { options: Options::new(Role::Controller), seen: Seen::default(), changes: mpsc::channel(1).0 }
}

fn service(name: &str) -> raw::Service {
    let object =
        json!({"metadata": {"name": name, "namespace": "a", "uid": name}, "spec": {"type": "LoadBalancer"}});
    serde_json::from_value(object).unwrap()
}

fn gone(changes: &[Change]) -> Vec<String> {
    let gone = |change: &Change| match change {
        Change::Service(key, None) => Some(key.to_string()),
        _ => None,
    };
    changes.iter().filter_map(gone).collect()
}

#[test]
fn a_new_list_shows_what_is_gone() {
    let context = context();
    let mut objects = Objects::default();
    for event in
        [Event::Init, Event::InitApply(service("x")), Event::InitApply(service("y")), Event::InitDone]
    {
        assert!(gone(&objects.changes(event, &context)).is_empty());
    }
    objects.changes(Event::Apply(service("z")), &context);
    assert_eq!(gone(&objects.changes(Event::Delete(service("x")), &context)), ["a/x"]);
    objects.changes(Event::<raw::Service>::Init, &context);
    objects.changes(Event::InitApply(service("y")), &context);
    assert_eq!(gone(&objects.changes(Event::<raw::Service>::InitDone, &context)), ["a/z"]);
    let object = ObjectRef { kind: "Service", namespace: "a".into(), name: "y".into() };
    assert_eq!(context.seen.uid(&object), Some("y".into()));
    assert_eq!(gone(&objects.all_gone::<raw::Service>(&context)), ["a/y"]);
    assert_eq!(context.seen.uid(&object), None);
}

#[test]
fn errors_say_what_to_do() {
    let error = |code: u16, message: &str| {
        let status = kube::core::Status { code, message: message.into(), ..Default::default() };
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    };
    let missing = error(404, "the server could not find the requested resource");
    assert!(is_missing(&missing));
    assert!(explain::<raw::Pool>(&missing).contains("does not know ipaddresspools.metallb.io"));
    let forbidden = error(403, "services is forbidden");
    assert!(!is_missing(&forbidden));
    assert!(
        explain::<raw::Service>(&forbidden)
            .starts_with("not ready: the API server forbids to watch services")
    );
}

#[tokio::test]
async fn synced_comes_after_the_last_kind_once() {
    let (changes, mut received) = mpsc::channel(8);
    let left = Arc::new(AtomicUsize::new(2));
    let mut barriers = [(); 2].map(|()| Barrier { left: Some(left.clone()), changes: changes.clone() });
    barriers[0].listed().await;
    barriers[0].listed().await;
    assert!(received.try_recv().is_err());
    barriers[1].listed().await;
    barriers[1].listed().await;
    assert_eq!(received.try_recv(), Ok(Change::Synced));
    assert!(received.try_recv().is_err());
}

fn list(kind: &str, items: &[Value]) -> Answer {
    let metadata = json!({"resourceVersion": "1"});
    Answer::Json(
        200,
        json!({"kind": format!("{kind}List"), "apiVersion": "v1", "metadata": metadata, "items": items}),
    )
}

fn a_service(name: &str) -> Value {
    let metadata = json!({"name": name, "namespace": "a", "uid": name, "resourceVersion": "2"});
    json!({"metadata": metadata, "spec": {"type": "LoadBalancer"}})
}

/// A speaker's watches of a server that has two Services and does not know pools.
async fn watched(mut services: impl FnMut(bool) -> Answer + Send + 'static) -> mpsc::Receiver<Change> {
    let fake = Fake::start(move |request| {
        let watches = request.path.contains("watch=true");
        match request.path.split('?').next().unwrap_or_default() {
            "/api/v1/services" => services(watches),
            path if path.ends_with("/ipaddresspools") => refused(404, "the server could not find the requested resource"),
            _ if watches => Answer::Watch { events: vec![], end: false },
            "/api/v1/nodes" => list("Node", &[json!({"metadata": {"name": "n1"}})]),
            path if path.ends_with("/l2advertisements") => {
                assert!(path.contains("/namespaces/metallb-system/"));
                list("L2Advertisement", &[json!({"metadata": {"name": "all", "namespace": "metallb-system"}, "spec": {"interfaces": 7}})])
            }
            _ => list("Any", &[]),
        }
    })
    .await;
    let (changes, received) = mpsc::channel(16);
    let role = Role::Speaker { node: "n1".into(), pod: None };
    start(&fake.client(), &Options::new(role), &Seen::default(), &changes);
    received
}

async fn next(changes: &mut mpsc::Receiver<Change>) -> Change {
    let next = tokio::time::timeout(std::time::Duration::from_secs(20), changes.recv());
    next.await.expect("a change in time").expect("an open stream")
}

#[tokio::test]
async fn all_kinds_are_listed_before_synced() {
    let mut changes = watched(|watches| {
        if watches {
            Answer::Watch { events: vec![], end: false }
        } else {
            list("Service", &[a_service("x"), a_service("y")])
        }
    })
    .await;
    let mut seen = Vec::new();
    loop {
        match next(&mut changes).await {
            Change::Synced => break,
            Change::Service(key, Some(_)) => seen.push(format!("Service {key}")),
            Change::Node(name, Some(_)) => seen.push(format!("Node {name}")),
            Change::Config(object, Some(value)) => {
                assert!(matches!(value.spec, Spec::Unreadable(_)), "one bad object does not spoil the list");
                seen.push(object.to_string());
            }
            other => panic!("{other:?}"),
        }
    }
    seen.sort();
    assert_eq!(seen, ["L2Advertisement metallb-system/all", "Node n1", "Service a/x", "Service a/y"]);
}

#[tokio::test]
async fn a_relist_after_a_lost_watch_shows_what_is_gone() {
    let mut lists = 0;
    let mut changes = watched(move |watches| {
        if watches && lists == 1 {
            let status = json!({"kind": "Status", "code": 410, "message": "too old", "reason": "Expired", "status": "Failure"});
            return Answer::Watch { events: vec![json!({"type": "ERROR", "object": status})], end: true };
        }
        if watches {
            let deleted = json!({"type": "DELETED", "object": a_service("z")});
            return Answer::Watch { events: vec![deleted], end: false };
        }
        lists += 1;
        if lists == 1 { list("Service", &[a_service("x"), a_service("y")]) } else { list("Service", &[a_service("y"), a_service("z")]) }
    })
    .await;
    let mut gone = Vec::new();
    while gone.len() < 2 {
        if let Change::Service(key, None) = next(&mut changes).await {
            gone.push(key.to_string());
        }
    }
    assert_eq!(gone, ["a/x", "a/z"]);
}
