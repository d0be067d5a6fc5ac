use serde_json::{Value, json};

use super::*;

fn options() -> Options {
    Options::new(Role::Controller)
}

fn of(object: Value) -> Service {
    service(serde_json::from_value(object).unwrap(), &options())
}

fn spec(spec: Value) -> Service {
    of(json!({"metadata": {"name": "a"}, "spec": spec}))
}

fn whole() -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "1970-01-01T00:01:40Z",
            "resourceVersion": "77", "labels": {"app": "web"},
            "managedFields": [{"manager": "other", "fieldsV1": {"f:status": {"f:loadBalancer": {}}}}],
            "annotations": {"metallb.universe.tf/address-pool": "gold", "metallb.io/loadBalancerIPs": "192.0.2.7",
                "metallb.io/ip-allocated-from-pool": "silver, gold", "metallb.universe.tf/allow-shared-ip": "k",
                "metallb.io/reassignPolicy": "Immediate", "metallb.io/pool-labels": "{\"zone\":\"a\"}"}},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"],
            "ipFamilyPolicy": "RequireDualStack", "externalTrafficPolicy": "Local", "selector": {"b": "2", "a": "1"},
            "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}, {"port": 53, "protocol": "TCP", "name": "x"}]},
        "status": {"loadBalancer": {"ingress": [{"hostname": "x"}, {"ip": "192.0.2.7", "ipMode": "VIP"}, {"ip": "?"}]},
            "conditions": [{"type": "Other", "status": "True"}, {"type": "Assigned", "status": "False",
                "reason": "PoolExhausted", "message": "full", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    })
}

fn announced() -> Service {
    Service {
        labels: [("app".into(), "web".into())].into(),
        traffic_policy: TrafficPolicy::Local,
        families: vec![],
        assigned: vec!["192.0.2.7".parse().unwrap()],
        assigned_from: vec!["silver".into(), "gold".into()],
        pool_labels: Some([("zone".into(), "a".into())].into()),
        ..Service::default()
    }
}

#[test]
fn everything_that_counts_of_a_service() {
    let ip: IpAddr = "192.0.2.7".parse().unwrap();
    let port = |protocol| Port { protocol, number: 53 };
    assert_eq!(
        of(whole()),
        Service {
            version: 77,
            created: Some(100),
            families: vec![Family::V4, Family::V6],
            family_policy: FamilyPolicy::RequireDualStack,
            request: Ok(Request { addresses: vec![ip.into()], pool: Some("gold".into()) }),
            sharing: Some(Sharing {
                key: "k".into(),
                backend: Backend::Local("a=1,b=2".into()),
                ports: [port(Protocol::Tcp), port(Protocol::Udp)].into(),
            }),
            reassigns: true,
            condition: Some(Condition {
                status: false,
                reason: "PoolExhausted".into(),
                message: "full".into()
            }),
            written_by: Some("other".into()),
            ..announced()
        }
    );
}

#[test]
fn a_speaker_holds_only_what_it_announces_by() {
    let options = Options::new(Role::Speaker { node: "n1".into(), pod: None });
    assert_eq!(service(serde_json::from_value(whole()).unwrap(), &options), announced());
}

#[test]
fn what_is_no_sharing_and_no_pool_label() {
    let annotated =
        |key: &str, value: &str| of(json!({"metadata": {"name": "a", "annotations": {key: value}}}));
    assert_eq!(annotated("metallb.io/allow-shared-ip", "").sharing, None);
    let sharing = annotated("metallb.io/allow-shared-ip", "k").sharing.unwrap();
    assert_eq!((sharing.backend, sharing.ports.len()), (Backend::Anywhere, 0));
    assert_eq!(annotated("metallb.io/pool-labels", "zone=a").pool_labels, None);
    assert_eq!(annotated("metallb.io/ip-allocated-from-pool", " ,").assigned_from, vec![]);
    assert!(!annotated("metallb.io/reassignPolicy", "Never").reassigns);
}

#[test]
fn a_bare_service_gets_the_defaults_of_an_api_server() {
    let service = of(json!({"metadata": {"name": "a", "creationTimestamp": null}}));
    assert_eq!(service, Service { scope: Scope::NotLoadBalancer, ..Service::default() });
}

#[test]
fn scope_follows_type_and_class() {
    let cases = [
        (json!({"type": "ClusterIP"}), None, Scope::NotLoadBalancer),
        (json!({"type": "LoadBalancer"}), None, Scope::Ours),
        (json!({"type": "LoadBalancer", "loadBalancerClass": "x/y"}), None, Scope::OtherClass),
        (json!({"type": "LoadBalancer", "loadBalancerClass": "x/y"}), Some("x/y"), Scope::Ours),
        (json!({"type": "LoadBalancer"}), Some("x/y"), Scope::OtherClass),
        (json!({"type": "ClusterIP", "loadBalancerClass": "x/y"}), Some("x/y"), Scope::NotLoadBalancer),
    ];
    for (spec, class, expected) in cases {
        let raw = serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": spec})).unwrap();
        let options = Options { class: class.map(Into::into), ..options() };
        assert_eq!(service(raw, &options).scope, expected, "{spec} {class:?}");
    }
}

#[test]
fn families_come_from_cluster_ips_then_ip_families_then_the_policy() {
    use Family::{V4, V6};
    let cases = [
        (json!({"clusterIPs": ["fd00::1"], "ipFamilies": ["IPv4"]}), vec![V6]),
        (json!({"clusterIP": "10.0.0.1", "ipFamilyPolicy": "PreferDualStack"}), vec![V4]),
        (json!({"clusterIP": "None", "clusterIPs": ["None"]}), vec![]),
        (json!({"ipFamilies": ["IPv6", "IPv4"]}), vec![V6, V4]),
        (json!({"ipFamilyPolicy": "SingleStack"}), vec![V4]),
        (json!({"ipFamilyPolicy": "PreferDualStack"}), vec![V4, V6]),
        (json!({"ipFamilyPolicy": "RequireDualStack", "clusterIP": ""}), vec![V4, V6]),
    ];
    for (object, expected) in cases {
        assert_eq!(spec(object.clone()).families, expected, "{object}");
    }
}

#[test]
fn the_current_annotation_wins_even_when_empty() {
    let service = of(json!({"metadata": {"name": "a", "annotations": {
        "metallb.io/loadBalancerIPs": "", "metallb.universe.tf/loadBalancerIPs": "192.0.2.1"}}}));
    assert_eq!(service.request, Ok(Request::default()));
    let service =
        of(json!({"metadata": {"name": "a", "annotations": {"metallb.universe.tf/loadBalancerIPs": "x"}}}));
    assert!(service.request.is_err());
}

#[test]
fn endpoints_are_ready_unless_they_say_otherwise() {
    let slice = |conditions: Value| {
        let object = json!({
            "metadata": {"name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": [{"nodeName": "n1", "conditions": conditions, "addresses": ["10.0.0.1"]}],
        });
        let slice = endpoint_slice(serde_json::from_value(object).unwrap()).unwrap();
        assert_eq!(slice.service, ObjectKey::new("default", "web"));
        assert_eq!(slice.endpoints[0].node, Some("n1".into()));
        (slice.endpoints[0].ready, slice.endpoints[0].serving)
    };
    assert_eq!(slice(json!({})), (true, true));
    assert_eq!(slice(json!(null)), (true, true));
    assert_eq!(slice(json!({"ready": false})), (false, false));
    assert_eq!(slice(json!({"ready": false, "serving": true})), (false, true));
    let stray = json!({"metadata": {"name": "x"}, "endpoints": null});
    assert_eq!(endpoint_slice(serde_json::from_value(stray).unwrap()), None);
}

#[test]
fn a_node_says_whether_its_network_is_unavailable() {
    let node = |status: &str| {
        let object = json!({"metadata": {"name": "n1", "labels": {"zone": "a"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "NetworkUnavailable", "status": status}]}});
        node(serde_json::from_value(object).unwrap(), &Role::Speaker { node: "n1".into(), pod: None })
    };
    assert!(node("True").network_unavailable);
    assert!(!node("False").network_unavailable);
    assert_eq!(node("Unknown").labels["zone"], "a");
}

#[test]
fn a_speaker_knows_more_of_its_own_node() {
    let node = |own: &str| {
        let object = json!({"metadata": {"name": "n1", "annotations": {"example.com/tor": "10.0.0.1"}},
            "status": {"addresses": [{"type": "Hostname", "address": "n1"}, {"type": "ExternalIP", "address": "192.0.2.7"},
                {"type": "InternalIP", "address": "10.0.0.7"}]}});
        node(serde_json::from_value(object).unwrap(), &Role::Speaker { node: own.into(), pod: None })
    };
    let own = node("n1");
    assert_eq!(own.annotations["example.com/tor"], "10.0.0.1");
    let addresses: Vec<IpAddr> = vec!["10.0.0.7".parse().unwrap(), "192.0.2.7".parse().unwrap()];
    assert_eq!(own.addresses, addresses);
    assert_eq!(node("n2"), Node::default());
}

#[test]
fn a_speaker_knows_what_a_service_asks_of_bgp() {
    let seen = |spec: serde_json::Value| {
        let object = json!({"metadata": {"name": "a", "annotations": {
            "metallb.io/bgp-communities": "64512:1, blue,,64512:1"}}, "spec": spec});
        let options = Options::new(Role::Speaker { node: "n1".into(), pod: None });
        service(serde_json::from_value(object).unwrap(), &options)
    };
    let external = json!(["203.0.113.1", "?", "2001:db8::1"]);
    let cluster_ip = seen(json!({"type": "ClusterIP", "clusterIP": "10.96.0.1", "externalIPs": external}));
    let addresses: Vec<IpAddr> = vec!["203.0.113.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    assert_eq!(cluster_ip.external_ips, addresses);
    assert_eq!(cluster_ip.communities, ["64512:1", "blue"]);
    let nowhere: Vec<IpAddr> = vec![];
    assert_eq!(seen(json!({"clusterIP": "None", "externalIPs": external})).external_ips, nowhere);
    assert_eq!(seen(json!({"type": "ExternalName", "externalIPs": external})).external_ips, nowhere);
    assert_eq!(seen(json!({"externalIPs": null})).external_ips, nowhere);
}

#[test]
fn the_network_of_nodes() {
    let object = json!({"metadata": {"name": "n1", "labels": {"zone": "a"}}, "status": {"addresses": [
        {"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "192.0.2.7"},
        {"type": "ExternalIP", "address": "2001:db8::7"}]}});
    let node = node(serde_json::from_value(object).unwrap(), &Role::Controller);
    let addresses = vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
    assert_eq!(node, Node { addresses, ..Node::default() });
    let object = json!({"metadata": {"name": "speaker-n1"}, "status": {"result": "Valid", "networks": [
        {"interface": "eth0", "addresses": ["192.0.2.7", "?"], "subnets": ["192.0.2.0/24"]},
        {"interface": "eth1", "gateways": ["2001:db8::1"]}]}});
    let state: raw::ConfigurationState = serde_json::from_value(object).unwrap();
    assert_eq!(
        network(&state),
        Network {
            addresses: vec!["192.0.2.7".parse().unwrap()],
            subnets: vec!["192.0.2.0/24".parse().unwrap()],
            gateways: vec!["2001:db8::1".parse().unwrap()],
            speaker: Some("n1".into()),
            findings: vec![],
        }
    );
}
