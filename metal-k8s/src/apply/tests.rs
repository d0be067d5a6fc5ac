use metal_core::{config::Refusal, controller::Usage, event::Severity};

use super::*;
use crate::{
    backend::Pod,
    fake::{Answer, Fake, Request, refused},
    sink::Count,
};

#[test]
fn clearing_applies_an_empty_list_and_no_annotation() {
    let service = ObjectKey::new("shop", "web");
    let patch = service_patch(&service, &[], None, true);
    assert_eq!(patch["status"], json!({"loadBalancer": {"ingress": []}}));
    assert_eq!(patch["metadata"], json!({"name": "web", "namespace": "shop"}));
}

#[test]
fn addresses_come_with_the_pool_and_the_mode_where_the_server_knows_it() {
    let service = ObjectKey::new("shop", "web");
    let addresses = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    let patch = service_patch(&service, &addresses, Some(&"first".into()), true);
    assert_eq!(patch["metadata"]["annotations"], json!({"metallb.io/ip-allocated-from-pool": "first"}));
    assert_eq!(
        patch["status"]["loadBalancer"]["ingress"],
        json!([{"ip": "192.0.2.1", "ipMode": "VIP"}, {"ip": "2001:db8::1", "ipMode": "VIP"}])
    );
    let patch = service_patch(&service, &addresses[..1], None, false);
    assert_eq!(patch["status"]["loadBalancer"]["ingress"], json!([{"ip": "192.0.2.1"}]));
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
    (ClusterWriter::new(fake.client(), Options::new(role), seen.clone()), seen)
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

#[tokio::test]
async fn a_service_that_has_its_addresses_already_is_not_written() {
    let fake = Fake::start(echo(json!({}))).await;
    let (writer, seen) = writer(&fake, Role::Controller);
    let service = ObjectKey::new("shop", "web");
    let addresses: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap()];
    let there = Status::Service { addresses: addresses.clone(), pool: Some("first".into()) };
    seen.show(status::service_ref(&service), Some("1".into()), there);
    let assign = |addresses: &[IpAddr], pool: Option<&str>| Job::Assign {
        service: service.clone(),
        addresses: addresses.to_vec(),
        pool: pool.map(Into::into),
    };
    writer.write(&assign(&addresses, Some("first"))).await.unwrap();
    assert_eq!(paths(&fake.take()), Vec::<String>::new());

    let other = ["192.0.2.2".parse().unwrap()];
    writer.write(&assign(&other, Some("first"))).await.unwrap();
    let requests = fake.take();
    assert_eq!(paths(&requests), ["GET /version", &format!("PATCH {SERVICE}")]);
    assert!(
        requests[1].path.contains("fieldManager=metal-controller") && requests[1].path.contains("force=true")
    );
    assert_eq!(
        requests[1].body["status"]["loadBalancer"]["ingress"],
        json!([{"ip": "192.0.2.2", "ipMode": "VIP"}])
    );

    // Somebody has spoilt it since, so the machine asks for the same again.
    writer.write(&assign(&other, Some("first"))).await.unwrap();
    assert_eq!(paths(&fake.take()), [format!("PATCH {SERVICE}")]);
}

#[tokio::test]
async fn an_annotation_that_survives_its_clearing_is_removed() {
    let more =
        json!({"metadata": {"name": "web", "namespace": "shop", "annotations": {ALLOCATED_FROM: "old"}}});
    let fake = Fake::start(echo(more)).await;
    let (writer, _) = writer(&fake, Role::Controller);
    let service = ObjectKey::new("shop", "web");
    writer.write(&Job::Assign { service, addresses: vec![], pool: None }).await.unwrap();
    let requests = fake.take();
    assert_eq!(paths(&requests)[1..], [format!("PATCH {SERVICE}"), format!("PATCH {SERVICE}")]);
    assert_eq!(requests[1].body["status"], json!({"loadBalancer": {"ingress": []}}));
    assert_eq!(requests[2].body, json!({"metadata": {"annotations": {ALLOCATED_FROM: null}}}));
}

#[tokio::test]
async fn a_status_is_written_when_it_differs_from_what_is_there() {
    let fake = Fake::start(echo(json!({}))).await;
    let (writer, seen) = writer(&fake, Role::Controller);
    let object = ObjectRef { kind: POOL, namespace: "metallb-system".into(), name: "first".into() };
    let status = |refusals: Vec<Refusal>| ConfigStatus {
        refusals: Some(refusals),
        count: Count::Pool(Usage::default()),
    };
    let job = |status: ConfigStatus| Job::Config { object: object.clone(), status: Some(status) };
    writer.write(&job(status(vec![]))).await.unwrap();
    assert!(fake.take().is_empty(), "there is no such object");

    seen.show(object.clone(), Some("1".into()), Status::Config(Value::Null));
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
    seen.show(object.clone(), Some("1".into()), Status::Config(there));
    writer.write(&job(status(vec![]))).await.unwrap();
    assert!(fake.take().is_empty(), "a restart");
    let refusal = Refusal { field: "spec.addresses[0]".into(), message: "reversed".into() };
    writer.write(&job(status(vec![refusal]))).await.unwrap();
    assert_eq!(fake.take()[0].body["status"]["conditions"][0]["message"], "spec.addresses[0]: reversed");
}

#[tokio::test]
async fn an_l2_status_is_applied_after_the_sweep_of_earlier_ones() {
    let fake = Fake::start(echo(json!({"kind": "Status"}))).await;
    let (writer, _) = writer(&fake, speaker());
    let service = ObjectKey::new("shop", "web");
    let status = L2Status { addresses: vec![], interfaces: vec!["eth0".into()] };
    writer.write(&Job::L2 { service: service.clone(), status: Some(status) }).await.unwrap();
    writer.write(&Job::L2 { service, status: None }).await.unwrap();
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
async fn an_event_is_made_once_and_counted_after_that() {
    let fake = Fake::start(echo(json!({}))).await;
    let (writer, seen) = writer(&fake, Role::Controller);
    let about = status::service_ref(&ObjectKey::new("shop", "web"));
    seen.show(about.clone(), Some("u".into()), Status::Service { addresses: vec![], pool: None });
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
    let assign =
        |name: &str| Job::Assign { service: ObjectKey::new("shop", name), addresses: vec![], pool: None };
    assert_eq!(writer.write(&assign("web")).await.unwrap(), Done::Gone);
    let failure = writer.write(&assign("other")).await.unwrap_err();
    assert!(failure.retry && failure.reason.contains("busy"), "{failure:?}");
}
