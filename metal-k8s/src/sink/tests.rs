use std::{fs, path::Path};

use metal_core::{controller::Usage, view::Condition};
use serde_json::{Value, json};

use super::*;
use crate::{
    backend::{Options, Role},
    parse::POOL,
};

const DEADLINE: Duration = Duration::from_secs(20);

fn sink(directory: &Path, role: Role) -> Sink {
    start(directory, role).0
}

fn start(directory: &Path, role: Role) -> (Sink, mpsc::Sender<Change>, mpsc::Receiver<Change>) {
    let own = directory.join("own");
    let (sender, changes) = mpsc::channel(1);
    let writer = Writer::Directory(StateWriter::new(directory, &own, Options::new(role)));
    let wanted = mpsc::unbounded_channel().0;
    (Sink::start(writer, sender.downgrade(), wanted), sender, changes)
}

fn speaker() -> Role {
    Role::Speaker { node: "n1".into(), pod: None }
}

fn read(directory: &Path, name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(directory.join(name)).unwrap()).unwrap()
}

fn pool() -> ObjectRef {
    ObjectRef { kind: POOL, namespace: "metallb-system".into(), name: "first".into() }
}

fn assignment(address: &str) -> Assignment {
    let addresses = vec![address.parse().unwrap()];
    Assignment { addresses, pools: vec!["first".into()], ..Assignment::default() }
}

fn refusal(text: &str) -> Refusal {
    Refusal { field: "spec.addresses[0]".into(), message: text.into() }
}

#[tokio::test]
async fn a_service_and_its_clearing() {
    let directory = tempfile::tempdir().unwrap();
    let sink = sink(directory.path(), Role::Controller);
    let service = ObjectKey::new("shop", "web");
    sink.assign(service.clone(), 1, 0, assignment("192.0.2.9"));
    let condition =
        |message: &str| Some(Condition { status: true, reason: "Assigned".into(), message: message.into() });
    let assigned = Assignment { condition: condition("m"), ..assignment("192.0.2.1") };
    sink.assign(service.clone(), 2, 0, assigned.clone());
    assert!(sink.flush(DEADLINE).await);
    let file = "services/shop/web.json";
    let expected = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "shop", "name": "web", "annotations": {"metallb.io/ip-allocated-from-pool": "first"}},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}},
    });
    let mut there = read(directory.path(), file);
    let conditions = there["status"].as_object_mut().unwrap().remove("conditions").unwrap();
    assert_eq!(there, expected);
    assert_eq!((&conditions[0]["status"], &conditions[0]["message"]), (&json!("True"), &json!("m")));
    // The time of the transition stays.
    let dated = fs::read_to_string(directory.path().join(file)).unwrap();
    let since = conditions[0]["lastTransitionTime"].as_str().unwrap();
    fs::write(directory.path().join(file), dated.replace(since, "2026-01-01T00:00:00Z")).unwrap();
    sink.assign(service.clone(), 3, 0, Assignment { condition: condition("n"), ..assigned });
    assert!(sink.flush(DEADLINE).await);
    let condition = &read(directory.path(), file)["status"]["conditions"][0];
    assert_eq!(
        (&condition["message"], &condition["lastTransitionTime"]),
        (&json!("n"), &json!("2026-01-01T00:00:00Z"))
    );
    sink.assign(service, 4, 0, Assignment::default());
    assert!(sink.flush(DEADLINE).await);
    let cleared = read(directory.path(), file);
    assert_eq!(cleared["status"], json!({"loadBalancer": {"ingress": []}}));
    assert_eq!(cleared["metadata"].get("annotations"), None);
}

#[tokio::test]
async fn a_pool_has_its_counters_and_its_condition_in_one_object() {
    let directory = tempfile::tempdir().unwrap();
    let path = "objects/IPAddressPool/metallb-system/first.json";
    let usage = Usage { assigned_v4: 1, available_v4: 9, available_v6: u64::MAX, ..Usage::default() };
    let first = sink(directory.path(), Role::Controller);
    first.verdict(pool(), vec![]);
    first.usage(pool(), Some(usage), vec![]);
    assert!(first.flush(DEADLINE).await);
    let object = read(directory.path(), path);
    let status = &object["status"];
    assert_eq!(
        (&status["assignedIPv4"], &status["availableIPv4"], &status["availableIPv6"]),
        (&json!(1), &json!(9), &json!(i64::MAX))
    );
    let condition = &status["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"]), (&json!("Accepted"), &json!("True")));
    let since = condition["lastTransitionTime"].clone();
    let modified = || fs::metadata(directory.path().join(path)).unwrap().modified().unwrap();
    let before = modified();

    // A restart that changes nothing writes nothing, whichever half comes first.
    let again = sink(directory.path(), Role::Controller);
    again.verdict(pool(), vec![]);
    assert!(again.flush(DEADLINE).await);
    again.usage(pool(), Some(usage), vec![]);
    assert!(again.flush(DEADLINE).await);
    assert_eq!(modified(), before);
    assert_eq!(read(directory.path(), path)["status"]["conditions"][0]["lastTransitionTime"], since);

    again.verdict(pool(), vec![refusal("reversed"), refusal("too large")]);
    again.usage(pool(), None, vec![]);
    assert!(again.flush(DEADLINE).await);
    let status = read(directory.path(), path)["status"].take();
    assert_eq!(status["conditions"][0]["status"], "False");
    assert_eq!(
        status["conditions"][0]["message"],
        "spec.addresses[0]: reversed; spec.addresses[0]: too large"
    );
    assert_eq!(status["assignedIPv4"], 0, "a pool that is not in force has no counters");

    again.verdict(pool(), vec![]);
    again.usage(pool(), None, vec![]);
    assert!(again.flush(DEADLINE).await);
    assert!(!directory.path().join(path).exists(), "a pool that is gone has no status");
}

#[tokio::test]
async fn the_time_of_a_transition_stays_while_only_the_message_changes() {
    let status = |refusals: &[&str]| ConfigStatus {
        refusals: Some(refusals.iter().map(|text| refusal(text)).collect()),
        ..ConfigStatus::default()
    };
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    let object = ObjectRef { kind: "L2Advertisement", namespace: "a".into(), name: "b".into() };
    let write = |status: &ConfigStatus, there: &Value, seconds| {
        crate::status::config_status(&object, status, there, at(seconds))
    };
    let first = write(&status(&["x"]), &Value::Null, 1);
    let second = write(&status(&["y"]), &first, 2);
    assert_eq!(second["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:01Z");
    assert!(!crate::status::same_config_status(&second, &first));
    assert!(crate::status::same_config_status(&write(&status(&["y"]), &second, 3), &second));
    let third = write(&status(&[]), &second, 3);
    assert_eq!(third["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:03Z");
    assert!(third.get("assignedIPv4").is_none(), "only pools have counters");
}

#[tokio::test]
async fn an_l2_status_lives_as_long_as_its_announcement() {
    let directory = tempfile::tempdir().unwrap();
    let objects = directory.path().join("own/objects/ServiceL2Status/metallb-system");
    fs::create_dir_all(&objects).unwrap();
    fs::write(objects.join("l2-stale.json"), "{}").unwrap();
    let sink = sink(directory.path(), speaker());
    let service = ObjectKey::new("shop", "web");
    let status = Status { addresses: vec!["192.0.2.1".parse().unwrap()], interfaces: vec!["eth0".into()] };
    sink.l2_status(service.clone(), Some(status));
    assert!(sink.flush(DEADLINE).await);
    let files: Vec<_> = fs::read_dir(&objects).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "what an earlier incarnation left is gone: {files:?}");
    let object: Value = serde_json::from_str(&fs::read_to_string(&files[0]).unwrap()).unwrap();
    assert_eq!(object["metadata"]["labels"]["metallb.io/node"], "n1");
    assert_eq!(
        object["status"],
        json!({"node": "n1", "serviceName": "web", "serviceNamespace": "shop", "interfaces": [{"name": "eth0"}]})
    );
    sink.l2_status(service, None);
    assert!(sink.flush(DEADLINE).await);
    assert_eq!(fs::read_dir(&objects).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_said_of_bgp_lives_as_long_as_it_is_true() {
    let directory = tempfile::tempdir().unwrap();
    let objects = directory.path().join("own/objects");
    for kind in ["ServiceBGPStatus", "BGPSessionState"] {
        fs::create_dir_all(objects.join(kind).join("metallb-system")).unwrap();
        fs::write(objects.join(kind).join("metallb-system/stale.json"), "{}").unwrap();
    }
    let sink = sink(directory.path(), speaker());
    let only = |kind: &str| {
        let files = fs::read_dir(objects.join(kind).join("metallb-system")).unwrap();
        let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "what an earlier incarnation left is gone: {files:?}");
        serde_json::from_str::<Value>(&fs::read_to_string(&files[0]).unwrap()).unwrap()
    };
    let service = ObjectKey::new("shop", "web");
    let state = |phase| SessionState {
        phase,
        message: "m".into(),
        router: "192.0.2.1".into(),
        ..SessionState::default()
    };
    sink.bgp_status(service.clone(), Some(vec!["tor-b".into(), "tor-a".into()]));
    sink.session_state("tor".into(), Some(state("Connect")));
    sink.session_state("tor".into(), Some(state("Established")));
    assert!(sink.flush(DEADLINE).await);
    let status = only("ServiceBGPStatus")["status"].take();
    assert_eq!((&status["serviceName"], &status["peers"]), (&json!("web"), &json!(["tor-a", "tor-b"])));
    let session = only("BGPSessionState");
    assert_eq!(session["apiVersion"], "frrk8s.metallb.io/v1beta1");
    assert_eq!(
        (&session["status"]["bgpStatus"], &session["status"]["message"]),
        (&json!("Established"), &json!("m"))
    );
    sink.bgp_status(service, Some(vec![]));
    sink.session_state("tor".into(), None);
    assert!(sink.flush(DEADLINE).await);
    for kind in ["ServiceBGPStatus", "BGPSessionState"] {
        assert_eq!(fs::read_dir(objects.join(kind).join("metallb-system")).unwrap().count(), 0, "{kind}");
    }
}

#[tokio::test]
async fn events_are_lines_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let sink = sink(directory.path(), speaker());
    let event = |message: String| Event { severity: Severity::Warning, reason: "AllocationFailed", message };
    for number in 0..1_003 {
        sink.event(ObjectKey::new("shop", &format!("web-{number}")), event("superseded".into()));
    }
    for number in 0..1_003 {
        sink.event(ObjectKey::new("shop", &format!("web-{number}")), event(number.to_string()));
    }
    assert!(sink.flush(DEADLINE).await);
    let text = fs::read_to_string(directory.path().join("own/events.jsonl")).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 1_000, "old ones are dropped");
    assert_eq!((&events[0]["message"], &events[999]["message"]), (&json!("3"), &json!("1002")));
    assert_eq!(events[0]["type"], "Warning");
    assert_eq!(events[0]["source"], json!({"component": "metallb-speaker", "host": "n1"}));
    assert_eq!(events[0]["involvedObject"]["name"], "web-3");
}

#[tokio::test]
async fn a_verdict_on_a_config_map_is_an_event_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let sink = sink(directory.path(), Role::Controller);
    let object = ObjectRef { kind: CONFIG_MAP, namespace: "metallb-system".into(), name: "config".into() };
    for refusals in [vec![], vec![refusal("x")], vec![refusal("x")], vec![]] {
        sink.verdict(object.clone(), refusals);
    }
    sink.usage(object, Some(Usage::default()), vec![]);
    assert!(sink.flush(DEADLINE).await);
    let text = fs::read_to_string(directory.path().join("own/events.jsonl")).unwrap();
    let reasons: Vec<_> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["reason"].clone()).collect();
    assert_eq!(reasons, ["ConfigRefused", "ConfigAccepted"]);
    assert!(!directory.path().join("objects").exists());
}

#[tokio::test]
async fn a_failed_write_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let services = directory.path().join("services");
    fs::write(&services, "in the way").unwrap();
    let sink = sink(directory.path(), Role::Controller);
    sink.assign(ObjectKey::new("shop", "web"), 1, 0, assignment("192.0.2.1"));
    let failed = async {
        while sink.errors() == 0 {
            assert!(!sink.flush(Duration::from_millis(20)).await);
        }
    };
    tokio::time::timeout(DEADLINE, failed).await.expect("a failure");
    fs::remove_file(&services).unwrap();
    assert!(sink.flush(DEADLINE).await);
    assert!(services.join("shop/web.json").exists());
}

#[tokio::test]
async fn what_was_assigned_last_is_reported_as_written() {
    let directory = tempfile::tempdir().unwrap();
    let (sink, sender, mut changes) = start(directory.path(), Role::Controller);
    let service = ObjectKey::new("shop", "web");
    for (write, address) in [(1, "192.0.2.1"), (2, "192.0.2.2"), (5, "192.0.2.3")] {
        sink.assign(service.clone(), write, 0, assignment(address));
    }
    assert!(sink.flush(DEADLINE).await, "nobody has to listen");
    let change = tokio::time::timeout(DEADLINE, changes.recv()).await.unwrap();
    assert_eq!(change, Some(Change::Written { service: service.clone(), write: 5 }));
    drop(sender);
    assert_eq!(changes.recv().await, None, "the sink does not keep the stream open");
    sink.assign(service, 6, 0, Assignment::default());
    assert!(sink.end(DEADLINE).await, "nothing is under way any more");
}

#[tokio::test]
async fn the_networks_of_a_node_are_in_its_own_state() {
    let directory = tempfile::tempdir().unwrap();
    let sink = sink(directory.path(), speaker());
    let network = NodeNetwork {
        interface: "eth0".into(),
        gateways: vec!["192.0.2.1".into()],
        ..NodeNetwork::default()
    };
    sink.networks(vec![network]);
    assert!(sink.flush(DEADLINE).await);
    let object = read(directory.path(), "own/objects/ConfigurationState/metallb-system/speaker-n1.json");
    assert_eq!(object["metadata"]["labels"]["metallb.io/node-name"], "n1");
    assert_eq!(object["status"]["networks"], json!([{"interface": "eth0", "gateways": ["192.0.2.1"]}]));
}
