use metal_core::{
    config::{Held, Refusal},
    controller::Usage,
    event::{Event, Severity},
    finding::Finding,
    speaker::{Reason, Status as L2Status},
    view::Condition,
};
use serde_json::Value;

use super::*;
use crate::{
    backend::Pod,
    crd::NodeNetwork,
    fake::{Answer, Fake, Request, refused},
    seen::{Since, Transitions},
    sink::{Count, NodeState},
    status::{Own, SessionState},
};

fn assignment(addresses: &[&str], pools: &[&str]) -> Assignment {
    Assignment {
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        pools: pools.iter().map(|pool| (*pool).into()).collect(),
        ..Assignment::default()
    }
}

fn condition(status: bool) -> Option<Condition> {
    Some(Condition { status, reason: "Assigned".into(), message: "192.0.2.1 from pool first".into() })
}

fn patch(assignment: &Assignment, ip_mode: bool) -> Value {
    let since = Transitions::default().with(assignment, Timestamp::from_second(5).unwrap());
    status::service(&ObjectKey::new("shop", "web"), assignment, since, ip_mode)
}

#[test]
fn clearing_applies_an_empty_list_and_neither_annotation_nor_condition() {
    let patch = patch(&Assignment::default(), true);
    assert_eq!(patch["status"], json!({"loadBalancer": {"ingress": []}}));
    assert_eq!(patch["metadata"], json!({"name": "web", "namespace": "shop"}));
}

#[test]
fn addresses_come_with_the_pool_and_the_mode_where_the_server_knows_it() {
    let both = assignment(&["192.0.2.1", "2001:db8::1"], &["first"]);
    let applied = patch(&both, true);
    assert_eq!(applied["metadata"]["annotations"], json!({"metallb.io/ip-allocated-from-pool": "first"}));
    assert_eq!(
        applied["status"]["loadBalancer"]["ingress"],
        json!([{"ip": "192.0.2.1", "ipMode": "VIP"}, {"ip": "2001:db8::1", "ipMode": "VIP"}])
    );
    let applied = patch(&assignment(&["192.0.2.1"], &[]), false);
    assert_eq!(applied["status"]["loadBalancer"]["ingress"], json!([{"ip": "192.0.2.1"}]));
}

#[test]
fn two_pools_their_labels_and_the_condition_are_one_write() {
    let whole = Assignment {
        pool_labels: Some([("zone".into(), "a".into())].into()),
        condition: condition(true),
        ..assignment(&["192.0.2.1", "2001:db8::1"], &["first", "second"])
    };
    let patch = patch(&whole, true);
    assert_eq!(
        patch["metadata"]["annotations"],
        json!({"metallb.io/ip-allocated-from-pool": "first,second", "metallb.io/pool-labels": "{\"zone\":\"a\"}"})
    );
    assert_eq!(
        patch["status"]["conditions"],
        json!([{"type": "Assigned", "status": "True", "reason": "Assigned", "message": "192.0.2.1 from pool first",
            "lastTransitionTime": "1970-01-01T00:00:05Z"}])
    );
}

#[test]
fn versions_of_vendors_are_understood() {
    assert!(knows_ip_mode("1", "29"));
    assert!(knows_ip_mode("1", "37+"));
    assert!(knows_ip_mode("2", "0"));
    assert!(!knows_ip_mode("1", "28+"));
    assert!(!knows_ip_mode("", ""));
}

#[test]
fn what_is_refused_for_its_content_is_not_tried_again() {
    let error = |code: u16| {
        let status = kube::core::Status { code, message: "m".into(), ..Default::default() };
        failure(&kube::Error::Api(Box::new(status)))
    };
    assert!(!error(422).retry);
    assert!(error(500).retry && error(409).retry);
    assert!(error(403).reason.contains("deploy/"));
}

fn writer(fake: &Fake, role: Role) -> (ClusterWriter, Seen) {
    let seen = Seen::default();
    (ClusterWriter::new(fake.client(), Options::new(role), seen.clone(), None), seen)
}

fn speaker() -> Role {
    Role::Speaker { node: "n1".into(), pod: Some(Pod { name: "speaker-x".into(), uid: "7".into() }) }
}

fn paths(requests: &[Request]) -> Vec<String> {
    let path = |request: &Request| request.path.split('?').next().unwrap_or_default().to_string();
    requests.iter().map(|request| format!("{} {}", request.method, path(request))).collect()
}

/// Echoes what is applied, with `more` in it.
fn echo(more: Value) -> impl FnMut(&Request) -> Answer {
    move |request| {
        if request.path.starts_with("/version") {
            let version = json!({"major": "1", "minor": "35", "gitVersion": "v1.35.0", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": ""});
            return Answer::Json(200, version);
        }
        let mut object = request.body.clone();
        for (name, value) in more.as_object().into_iter().flatten() {
            object[name] = value.clone();
        }
        Answer::Json(200, object)
    }
}

const SERVICE: &str = "/api/v1/namespaces/shop/services/web/status";

fn web() -> ObjectKey {
    ObjectKey::new("shop", "web")
}

fn assign(version: Version, assignment: Assignment) -> Job {
    Job::Assign { service: web(), write: 1, version, assignment }
}

/// Answers each patch of the Service with the next version, and with this list of managed fields.
fn versions(mut next: Version, fields: Value) -> impl FnMut(&Request) -> Answer {
    let mut echo = echo(json!({}));
    move |request| {
        let Answer::Json(code, mut object) = echo(request) else { panic!("a document") };
        if request.method == "PATCH" {
            object["metadata"]["name"] = "web".into();
            object["metadata"]["resourceVersion"] = next.to_string().into();
            object["metadata"]["managedFields"] = fields.clone();
            next += 1;
        }
        Answer::Json(code, object)
    }
}

#[tokio::test]
async fn one_apply_carries_all_and_meets_the_version_it_was_decided_on() {
    let fake = Fake::start(versions(101, json!([]))).await;
    let (writer, seen) = writer(&fake, Role::Controller);
    seen.show_service(status::service_ref(&web()), Some("1".into()), 100, Transitions::default());
    let job =
        assign(100, Assignment { condition: condition(true), ..assignment(&["192.0.2.1"], &["first"]) });
    assert_eq!(writer.write(&job).await.unwrap(), Done::Written);
    let requests = fake.take();
    assert_eq!(paths(&requests), ["GET /version", &format!("PATCH {SERVICE}")]);
    assert!(
        requests[1].path.contains("fieldManager=metal-controller") && requests[1].path.contains("force=true")
    );
    assert_eq!(requests[1].body["metadata"]["resourceVersion"], "100");
    let since = requests[1].body["status"]["conditions"][0]["lastTransitionTime"].clone();

    // The same, decided again before its effect is seen, is there already.
    writer.write(&job).await.unwrap();
    assert_eq!(paths(&fake.take()), [""; 0]);
    // Decided on the same version, it meets the one that we have made of that; the transition was then.
    let other =
        assign(100, Assignment { condition: condition(true), ..assignment(&["192.0.2.9"], &["first"]) });
    writer.write(&other).await.unwrap();
    let requests = fake.take();
    assert_eq!(paths(&requests), [format!("PATCH {SERVICE}")]);
    assert_eq!(requests[0].body["metadata"]["resourceVersion"], "101");
    assert_eq!(requests[0].body["status"]["conditions"][0]["lastTransitionTime"], since);
    // Of a Service without versions any will do.
    let fresh = assign(0, assignment(&["192.0.2.2"], &["first"]));
    writer.write(&fresh).await.unwrap();
    assert!(fake.take()[0].body["metadata"].get("resourceVersion").is_none());
}

#[tokio::test]
async fn the_time_of_a_condition_is_that_of_its_last_transition() {
    let fake = Fake::start(versions(101, json!([]))).await;
    let (writer, seen) = writer(&fake, Role::Controller);
    let time = Timestamp::from_second(5).unwrap();
    let since = Transitions { assigned: Some(Since { status: false, time }), announced: None };
    seen.show_service(status::service_ref(&web()), Some("1".into()), 100, since);
    let with = |status| assign(100, Assignment { condition: condition(status), ..Assignment::default() });
    writer.write(&with(false)).await.unwrap();
    writer.write(&with(true)).await.unwrap();
    let requests = fake.take();
    let times: Vec<_> = requests[1..]
        .iter()
        .map(|request| &request.body["status"]["conditions"][0]["lastTransitionTime"])
        .collect();
    assert_eq!(times[0], "1970-01-01T00:00:05Z");
    assert_ne!(times[1], times[0]);
}

#[tokio::test]
async fn a_write_that_meets_another_version_is_dropped() {
    let conflict = |causes: Value| {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 409,
            "message": "the object has been modified", "reason": "Conflict", "details": {"causes": causes}})
    };
    for (causes, stale) in
        [(json!([]), true), (json!([{"reason": "FieldManagerConflict", "message": "m"}]), false)]
    {
        let body = conflict(causes);
        let fake = Fake::start(move |request| match request.path.starts_with("/version") {
            true => refused(403, "no"),
            false => Answer::Json(409, body.clone()),
        })
        .await;
        let (writer, _) = writer(&fake, Role::Controller);
        let result = writer.write(&assign(7, Assignment::default())).await;
        match result {
            Ok(done) => assert!(stale && done == Done::Stale),
            Err(failure) => assert!(!stale && failure.retry),
        }
    }
}

#[tokio::test]
async fn the_claim_of_another_manager_is_taken_over_once() {
    let metallb = json!([{"manager": "controller", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:status": {"f:loadBalancer": {"f:ingress": {}}}}, "subresource": "status"}]);
    let fake = Fake::start(versions(101, metallb)).await;
    let (writer, seen) = writer(&fake, Role::Controller);
    seen.show_service(status::service_ref(&web()), Some("1".into()), 100, Transitions::default());
    writer.write(&assign(100, assignment(&["192.0.2.1"], &["first"]))).await.unwrap();
    let requests = fake.take();
    let whole = SERVICE.trim_end_matches("/status");
    assert_eq!(paths(&requests)[1..], [format!("PATCH {SERVICE}"), format!("PATCH {whole}")]);
    assert_eq!(requests[2].body, json!({"metadata": {"resourceVersion": "101", "managedFields": []}}));
    assert_eq!(seen.expected(&status::service_ref(&web()), 100), 102);
}

#[tokio::test]
async fn nothing_is_written_through_a_closed_fence() {
    let fake = Fake::start(versions(101, json!([]))).await;
    let seen = Seen::default();
    let fence = Fence::new(|| metal_core::Instant::from_micros(5));
    let options = Options::new(Role::Controller);
    let writer = ClusterWriter::new(fake.client(), options, seen, Some(fence.clone()));
    let job = assign(100, assignment(&["192.0.2.1"], &["first"]));
    let failure = writer.write(&job).await.unwrap_err();
    assert!(failure.retry && failure.reason.contains("does not lead"), "{failure:?}");
    assert_eq!(paths(&fake.take()), ["GET /version"]);
    fence.open(metal_core::Instant::from_micros(6));
    writer.write(&job).await.unwrap();
    assert_eq!(paths(&fake.take()), [format!("PATCH {SERVICE}")]);
}

#[tokio::test]
async fn what_a_speaker_knows_of_its_networks_is_a_configuration_state() {
    let fake = Fake::start(echo(json!({}))).await;
    let (writer, _) = writer(&fake, speaker());
    let network = NodeNetwork {
        interface: "eth0".into(),
        subnets: vec!["192.0.2.0/24".into()],
        ..NodeNetwork::default()
    };
    let state = NodeState { networks: Some(vec![network]), ..NodeState::default() };
    writer.write(&Job::Node(state)).await.unwrap();
    let requests = fake.take();
    let object = "/apis/metallb.io/v1beta1/namespaces/metallb-system/configurationstates/speaker-n1";
    assert_eq!(paths(&requests), [format!("PATCH {object}"), format!("PATCH {object}/status")]);
    let labels = &requests[0].body["metadata"]["labels"];
    assert_eq!(*labels, json!({"metallb.io/component-type": "speaker", "metallb.io/node-name": "n1"}));
    assert_eq!(requests[0].body["metadata"]["ownerReferences"][0]["uid"], "7");
    assert_eq!(
        requests[1].body["status"],
        json!({"networks": [{"interface": "eth0", "subnets": ["192.0.2.0/24"]}]})
    );

    let finding = Finding {
        service: web(),
        address: "192.0.2.1".parse().unwrap(),
        interface: "eth0".into(),
        reason: Reason::AddressConflict,
        announced: false,
        replaceable: true,
        message: "m".into(),
    };
    let findings = vec![(Timestamp::from_second(5).unwrap(), finding.clone())];
    writer.write(&Job::Node(NodeState { networks: None, findings })).await.unwrap();
    let requests = fake.take();
    assert_eq!(paths(&requests), [format!("PATCH {object}/status")], "the object itself stays as it is");
    let said = json!({"namespace": "shop", "name": "web", "address": "192.0.2.1", "interface": "eth0",
        "reason": "AddressConflict", "announced": false, "replaceable": true, "message": "m",
        "since": "1970-01-01T00:00:05Z"});
    assert_eq!(requests[0].body["status"], json!({"findings": [said]}));
    let read: raw::ConfigurationState = serde_json::from_value(requests[0].body.clone()).unwrap();
    let network = view::network(&read);
    assert_eq!((network.speaker, network.findings), (Some("n1".into()), vec![finding]));
}

#[tokio::test]
async fn a_state_that_somebody_has_removed_is_made_again() {
    let mut echo = echo(json!({}));
    let mut misses = 1;
    let fake = Fake::start(move |request| {
        if request.path.contains("/status") && misses > 0 {
            misses -= 1;
            return refused(404, "not found");
        }
        echo(request)
    })
    .await;
    let (writer, _) = writer(&fake, speaker());
    writer.write(&Job::Node(NodeState::default())).await.unwrap();
    let paths = paths(&fake.take());
    let ends: Vec<_> = paths.iter().map(|path| path.ends_with("/status")).collect();
    assert_eq!(ends, [false, true, false, true], "{paths:?}");
}

#[tokio::test]
async fn an_event_about_a_node_is_where_those_of_nodes_are() {
    let fake = Fake::start(echo(json!({}))).await;
    let (writer, _) = writer(&fake, speaker());
    let about = status::node_ref(&"n1".into());
    let event = Event { severity: Severity::Warning, reason: "HostAnswers", message: "m".into() };
    writer.write(&Job::Event { about, event, at: Timestamp::from_second(5).unwrap() }).await.unwrap();
    let request = &fake.take()[0];
    assert!(request.path.starts_with("/api/v1/namespaces/default/events"), "{}", request.path);
    assert_eq!(
        request.body["involvedObject"],
        json!({"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n1"})
    );
}

#[tokio::test]
async fn a_status_is_written_when_it_differs_from_what_is_there() {
    let fake = Fake::start(echo(json!({}))).await;
    let (writer, seen) = writer(&fake, Role::Controller);
    let object = ObjectRef { kind: POOL, namespace: "metallb-system".into(), name: "first".into() };
    let status = |refusals: Vec<Refusal>| ConfigStatus {
        refusals: Some(refusals),
        count: Count::Pool(Usage::default()),
        held: vec![],
    };
    let job = |status: ConfigStatus| Job::Config { object: object.clone(), status: Some(status) };
    writer.write(&job(status(vec![]))).await.unwrap();
    assert!(fake.take().is_empty(), "there is no such object");

    seen.show_config(object.clone(), Some("1".into()), Value::Null);
    writer.write(&job(status(vec![]))).await.unwrap();
    let first = fake.take().remove(0);
    assert!(
        first
            .path
            .starts_with("/apis/metallb.io/v1beta1/namespaces/metallb-system/ipaddresspools/first/status?")
    );
    assert_eq!(first.body["status"]["availableIPv4"], 0);
    writer.write(&job(status(vec![]))).await.unwrap();
    assert!(fake.take().is_empty(), "the same again");

    // The next incarnation finds it there, with a condition of somebody else.
    let mut there = first.body["status"].clone();
    there["conditions"].as_array_mut().unwrap().insert(0, json!({"type": "Other", "status": "True"}));
    seen.forget(&object);
    seen.show_config(object.clone(), Some("1".into()), there);
    writer.write(&job(status(vec![]))).await.unwrap();
    assert!(fake.take().is_empty(), "a restart");
    let refusal = Refusal { field: "spec.addresses[0]".into(), message: "reversed".into() };
    writer.write(&job(status(vec![refusal]))).await.unwrap();
    assert_eq!(fake.take()[0].body["status"]["conditions"][0]["message"], "spec.addresses[0]: reversed");

    let held = Held { address: "192.0.2.1".parse().unwrap(), service: web(), until: 77 };
    let with = |held: &[Held]| job(ConfigStatus { held: held.to_vec(), ..status(vec![]) });
    writer.write(&with(std::slice::from_ref(&held))).await.unwrap();
    assert_eq!(
        fake.take()[0].body["status"]["held"],
        json!([{"address": "192.0.2.1", "namespace": "shop", "name": "web", "until": 77}])
    );
    writer.write(&with(&[held])).await.unwrap();
    assert!(fake.take().is_empty());
    writer.write(&with(&[])).await.unwrap();
    assert!(fake.take()[0].body["status"].get("held").is_none());
    // Before the pool has been counted, what an earlier incarnation wrote stays.
    writer.write(&job(ConfigStatus { count: Count::Unknown, ..status(vec![]) })).await.unwrap();
    assert!(fake.take().is_empty());
}

#[tokio::test]
async fn an_l2_status_is_applied_after_the_sweep_of_earlier_ones() {
    let fake = Fake::start(echo(json!({"kind": "Status"}))).await;
    let (writer, _) = writer(&fake, speaker());
    let service = ObjectKey::new("shop", "web");
    let status = L2Status { addresses: vec![], interfaces: vec!["eth0".into()] };
    let own = |status| Job::Own(Own::L2 { service: service.clone(), status });
    writer.write(&own(Some(status))).await.unwrap();
    writer.write(&own(None)).await.unwrap();
    let requests = fake.take();
    let all = "/apis/metallb.io/v1beta1/namespaces/metallb-system/servicel2statuses";
    let name = requests[1].body["metadata"]["name"].as_str().unwrap();
    assert_eq!(
        paths(&requests),
        [
            format!("DELETE {all}"),
            format!("PATCH {all}/{name}"),
            format!("PATCH {all}/{name}/status"),
            format!("DELETE {all}/{name}")
        ]
    );
    assert!(requests[0].path.contains("labelSelector=metallb.io%2Fnode%3Dn1"), "{}", requests[0].path);
    assert_eq!(requests[1].body["metadata"]["ownerReferences"][0]["uid"], "7");
    assert_eq!(requests[2].body["status"]["interfaces"], json!([{"name": "eth0"}]));
    assert!(requests[2].body.get("spec").is_none());
}

#[tokio::test]
async fn what_is_said_of_bgp_is_swept_written_and_removed() {
    let fake = Fake::start(echo(json!({"kind": "Status"}))).await;
    let (writer, _) = writer(&fake, speaker());
    let own = |peers| Job::Own(Own::Bgp { service: web(), peers });
    writer.write(&Job::Sweep).await.unwrap();
    writer.write(&own(Some(vec!["tor".into()]))).await.unwrap();
    writer.write(&own(None)).await.unwrap();
    let state = SessionState { phase: "Active", router: "192.0.2.1".into(), ..SessionState::default() };
    let session = |state| Job::Own(Own::Session { peer: "tor".into(), state });
    writer.write(&session(Some(state))).await.unwrap();
    writer.write(&session(None)).await.unwrap();
    let requests = fake.take();
    let of = |group: &str, plural: &str| format!("/apis/{group}/v1beta1/namespaces/metallb-system/{plural}");
    let (l2, bgp) = (of("metallb.io", "servicel2statuses"), of("metallb.io", "servicebgpstatuses"));
    let sessions = of("frrk8s.metallb.io", "bgpsessionstates");
    let name = |index: usize| requests[index].body["metadata"]["name"].as_str().unwrap();
    let mut expected: Vec<_> = [&l2, &bgp, &sessions].map(|all| format!("DELETE {all}")).into();
    for (all, index) in [(bgp, 3), (sessions, 6)] {
        let object = format!("{all}/{}", name(index));
        expected.extend([
            format!("PATCH {object}"),
            format!("PATCH {object}/status"),
            format!("DELETE {object}"),
        ]);
    }
    assert_eq!(paths(&requests), expected);
    assert_eq!(requests[4].body["status"]["peers"], json!(["tor"]));
    assert!(
        requests[2].path.contains("managed-by%3Dmetal-speaker"),
        "not those of frr-k8s: {}",
        requests[2].path
    );
    assert!(name(6).starts_with("n1-"));
    assert_eq!(requests[6].body["metadata"]["ownerReferences"][0]["uid"], "7");
    assert_eq!(requests[7].body["status"]["bgpStatus"], "Active");
}

#[tokio::test]
async fn the_role_names_exactly_the_secrets_in_use_and_only_the_leader_writes_it() {
    let rule = |name: &str| json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get", "list", "watch"]}]);
    let old = rule("old");
    let mut echo = echo(json!({}));
    let fake = Fake::start(move |request| match &*request.method {
        "GET" => Answer::Json(200, json!({"metadata": {"name": "metal-bgp-passwords"}, "rules": old})),
        _ => echo(request),
    })
    .await;
    let fence = Fence::new(|| metal_core::Instant::from_micros(5));
    let options = Options::new(Role::Controller);
    let writer = ClusterWriter::new(fake.client(), options, Seen::default(), Some(fence.clone()));
    let job = |names: &[&str]| Job::SecretsInUse(names.iter().map(|name| (*name).into()).collect());
    assert!(writer.write(&job(&["tor"])).await.unwrap_err().retry);
    assert!(fake.take().iter().all(|request| request.method == "GET"), "it does not lead");
    fence.open(metal_core::Instant::from_micros(6));
    writer.write(&job(&["tor"])).await.unwrap();
    writer.write(&job(&[])).await.unwrap();
    writer.write(&job(&["old"])).await.unwrap();
    let mut requests = fake.take();
    requests.retain(|request| request.method != "GET");
    let role = "/apis/rbac.authorization.k8s.io/v1/namespaces/metallb-system/roles/metal-bgp-passwords";
    assert_eq!(
        paths(&requests),
        [format!("PATCH {role}"), format!("PATCH {role}")],
        "what it says is not said again"
    );
    assert_eq!(requests[0].body["rules"], rule("tor"));
    assert_eq!(requests[1].body["rules"], json!([]));
}

#[tokio::test]
async fn an_event_is_made_once_and_counted_after_that() {
    let fake = Fake::start(echo(json!({}))).await;
    let (writer, seen) = writer(&fake, Role::Controller);
    let about = status::service_ref(&ObjectKey::new("shop", "web"));
    seen.show_service(about.clone(), Some("u".into()), 1, Transitions::default());
    let event = |message: &str| Job::Event {
        about: about.clone(),
        event: Event { severity: Severity::Warning, reason: "AllocationFailed", message: message.into() },
        at: Timestamp::from_second(5).unwrap(),
    };
    for message in ["full", "full", "other", "full"] {
        writer.write(&event(message)).await.unwrap();
    }
    let requests = fake.take();
    let made = &requests[0].body;
    assert_eq!(made["involvedObject"]["uid"], "u");
    assert_eq!(made["source"]["component"], "metallb-controller");
    let all = "/api/v1/namespaces/shop/events";
    let name = made["metadata"]["name"].as_str().unwrap();
    let again = format!("PATCH {all}/{name}");
    let post = format!("POST {all}");
    assert_eq!(paths(&requests), [post.clone(), again.clone(), post, again]);
    assert_eq!(requests[3].body, json!({"count": 3, "lastTimestamp": "1970-01-01T00:00:05Z"}));
}

#[tokio::test]
async fn what_is_gone_is_no_failure_and_what_is_away_is_tried_again() {
    let fake = Fake::start(|request| match &*request.path {
        path if path.starts_with("/version") => refused(403, "no"),
        path if path.contains("/web/") => refused(404, "services \"web\" not found"),
        _ => refused(503, "busy"),
    })
    .await;
    let (writer, _) = writer(&fake, Role::Controller);
    let assign = |name: &str| {
        let (service, assignment) = (ObjectKey::new("shop", name), Assignment::default());
        Job::Assign { service, write: 1, version: 1, assignment }
    };
    assert_eq!(writer.write(&assign("web")).await.unwrap(), Done::Gone);
    let failure = writer.write(&assign("other")).await.unwrap_err();
    assert!(failure.retry && failure.reason.contains("busy"), "{failure:?}");
}
