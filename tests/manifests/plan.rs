//! `metalctl plan`: a case for each line of what it promises.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use metal_tests::process::binary;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::directory::{pool, service};

/// What a plan came to.
struct Plan {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Plan {
    /// Plans these manifests, given on standard input.
    fn of(manifests: &str) -> Self {
        Self::run(&["-f", "-", "--output", "json"], manifests)
    }

    fn run(arguments: &[&str], stdin: &str) -> Self {
        let mut child = Command::new(binary("metalctl"))
            .arg("plan")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("metalctl runs");
        // One that does not read what it was given closes the pipe.
        let _closed = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
        let output = child.wait_with_output().expect("metalctl ends");
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// The document, which is all there is on standard output.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    #[track_caller]
    fn service(&self, name: &str) -> Value {
        let document = self.json();
        let services = document["services"].as_array().expect("Services");
        let found = services.iter().find(|service| service["name"] == name);
        found.unwrap_or_else(|| panic!("no Service {name} in {document}")).clone()
    }

    /// The state of a Service, its addresses, and the code of its reason.
    #[track_caller]
    fn fate(&self, name: &str) -> (String, Vec<String>, Option<String>) {
        let service = self.service(name);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let addresses = service["addresses"].as_array().expect("addresses").iter().filter_map(text).collect();
        let message = &service["reason"]["message"];
        assert!(message.is_null() || message.as_str().is_some_and(|text| text.len() > 20), "{service}");
        (text(&service["state"]).expect("a state"), addresses, text(&service["reason"]["code"]))
    }

    #[track_caller]
    fn is(&self, name: &str, state: &str, addresses: &[&str], reason: Option<&str>) {
        let expected = (
            state.to_owned(),
            addresses.iter().map(ToString::to_string).collect(),
            reason.map(str::to_owned),
        );
        assert_eq!(self.fate(name), expected, "{}", self.service(name));
    }
}

/// A Service with more in its spec, and addresses in its status.
fn served(name: &str, metadata: &str, spec: &str, addresses: &[&str]) -> String {
    let ingress: Vec<String> = addresses.iter().map(|address| format!("{{ip: '{address}'}}")).collect();
    let with =
        service(name, metadata).replace("ports: [{port: 80}]}", &format!("ports: [{{port: 80}}]{spec}}}"));
    format!("{with}status: {{loadBalancer: {{ingress: [{}]}}}}\n", ingress.join(", "))
}

fn annotated(name: &str, annotation: &str, value: &str) -> String {
    service(name, &format!("annotations: {{metallb.io/{annotation}: '{value}'}}"))
}

/// A pool with more in its spec.
fn pool_with(name: &str, range: &str, spec: &str) -> String {
    pool(name, range).replace(&format!("['{range}']}}"), &format!("['{range}'], {spec}}}"))
}

const DUAL: &str = ", clusterIPs: [10.96.0.1, 'fd00::1'], ipFamilies: [IPv4, IPv6], ipFamilyPolicy";

#[test]
fn the_document_is_the_contract() {
    let manifests = [
        pool("p", "192.0.2.1-192.0.2.1"),
        pool("bad", "192.0.2.9-192.0.2.2"),
        service("web", "creationTimestamp: '2026-01-01T00:00:00Z'"),
        service("late", "namespace: shop, creationTimestamp: '2026-01-02T00:00:00Z'"),
    ]
    .concat();
    let plan = Plan::of(&manifests);
    let mut document = plan.json();
    let told = |value: &mut Value| {
        let message = value["message"].take();
        message.as_str().expect("a message").to_owned()
    };
    let pending = told(&mut document["services"][1]["reason"]);
    assert!(pending.contains("pool p has 0 of 1 IPv4 addresses free"), "{pending}");
    let (reason, refused) = (told(&mut document["pools"][0]["reason"]), told(&mut document["refused"][0]));
    assert!(reason.contains("spec.addresses[0]") && reason == refused, "{reason}\n{refused}");
    let expected = json!({
        "services": [
            {"namespace": "default", "name": "web", "addresses": ["192.0.2.1"], "pool": "p", "pools": ["p"],
             "state": "assigned", "reason": null},
            {"namespace": "shop", "name": "late", "addresses": [], "pool": null, "pools": [],
             "state": "pending", "reason": {"code": "PoolExhausted", "message": null}},
        ],
        "pools": [
            {"name": "bad", "accepted": false, "reason": {"code": "Invalid", "message": null},
             "assignedIPv4": 0, "assignedIPv6": 0, "availableIPv4": 0, "availableIPv6": 0},
            {"name": "p", "accepted": true, "reason": null,
             "assignedIPv4": 1, "assignedIPv6": 0, "availableIPv4": 0, "availableIPv6": 0},
        ],
        "refused": [{"kind": "IPAddressPool", "name": "bad", "code": "Invalid", "message": null, "file": null,
                     "line": 10}],
    });
    assert_eq!(document, expected);
    assert_eq!(plan.code, Some(1));
}

#[test]
fn older_services_come_first_then_namespace_then_name() {
    let at = |day: u32| format!("creationTimestamp: '2026-01-0{day}T00:00:00Z'");
    let manifests = [
        service("b", &at(2)),
        service("a", &at(2)),
        service("z", &format!("namespace: alpha, {}", at(2))),
        service("new", "namespace: alpha"),
        service("old", &at(1)),
        pool("p", "192.0.2.0/24"),
    ]
    .concat();
    let plan = Plan::of(&manifests);
    let document = plan.json();
    let got: Vec<_> = document["services"]
        .as_array()
        .expect("Services")
        .iter()
        .map(|service| {
            (service["name"].as_str().unwrap_or("?"), service["addresses"][0].as_str().unwrap_or("?"))
        })
        .collect();
    assert_eq!(
        got,
        [
            ("old", "192.0.2.0"),
            ("z", "192.0.2.1"),
            ("a", "192.0.2.2"),
            ("b", "192.0.2.3"),
            ("new", "192.0.2.4")
        ]
    );
    assert_eq!(plan.code, Some(0));
}

#[test]
fn what_a_status_shows_is_kept_also_by_a_younger_service() {
    let manifests = [
        pool("p", "192.0.2.1-192.0.2.9"),
        service("new", "creationTimestamp: '2026-01-01T00:00:00Z'"),
        served("old", "creationTimestamp: '2026-02-01T00:00:00Z'", "", &["192.0.2.1"]),
    ]
    .concat();
    let plan = Plan::of(&manifests);
    plan.is("old", "kept", &["192.0.2.1"], None);
    plan.is("new", "assigned", &["192.0.2.2"], None);
    assert_eq!(plan.code, Some(0));
}

#[test]
fn an_unmet_request_of_a_service_that_is_served_is_told_and_no_failure() {
    let wants = "annotations: {metallb.io/loadBalancerIPs: 198.51.100.1}";
    let from = "annotations: {metallb.io/ip-allocated-from-pool: gone}";
    let manifests = [
        pool("p", "192.0.2.1-192.0.2.9"),
        served("elsewhere", wants, "", &["192.0.2.1"]),
        served("outside", from, "", &["203.0.113.7"]),
    ]
    .concat();
    let plan = Plan::of(&manifests);
    plan.is("elsewhere", "kept", &["192.0.2.1"], Some("AddressNotInPool"));
    plan.is("outside", "kept", &["203.0.113.7"], Some("AddressOutsidePool"));
    assert_eq!(plan.service("outside")["pool"], "gone");
    assert_eq!(plan.code, Some(0));
}

#[test]
fn a_request_that_can_be_met_moves_the_service() {
    let wants = "annotations: {metallb.io/loadBalancerIPs: 192.0.2.9}";
    let plan =
        Plan::of(&[pool("p", "192.0.2.1-192.0.2.9"), served("web", wants, "", &["192.0.2.1"])].concat());
    plan.is("web", "assigned", &["192.0.2.9"], None);
    assert_eq!(plan.code, Some(0));
}

#[test]
fn each_reason_of_a_pending_service() {
    let shared = |name: &str, key: &str| {
        let request = "metallb.io/loadBalancerIPs: 192.0.2.2";
        service(name, &format!("annotations: {{{request}, metallb.io/allow-shared-ip: {key}}}"))
    };
    let reservation = "---\napiVersion: metallb.io/v1beta1\nkind: IPReservation\n\
         metadata: {name: printer, namespace: metallb-system}\nspec: {addresses: [192.0.2.3]}\n";
    let of_shop = "serviceAllocation: {namespaces: [shop]}";
    let limited = |name: &str| {
        let wants = "annotations: {metallb.io/address-pool: limited}";
        service(name, &format!("namespace: quota, {wants}"))
    };
    let manifests = [
        pool("p", "192.0.2.1-192.0.2.3"),
        reservation.to_owned(),
        pool_with("shop", "198.51.100.1-198.51.100.9", of_shop),
        pool_with("limited", "203.0.113.0/24", "autoAssign: false, maxAddressesPerNamespace: 1"),
        served("a-user", "creationTimestamp: '2025-01-01T00:00:00Z'", "", &["192.0.2.1"]),
        shared("b-sharer", "one"),
        limited("c-limited"),
        service("exhausted", ""),
        annotated("no-pool", "address-pool", "nowhere"),
        annotated("not-allowed", "address-pool", "shop"),
        annotated("not-in-pool", "loadBalancerIPs", "10.0.0.1"),
        annotated("in-use", "loadBalancerIPs", "192.0.2.1"),
        annotated("reserved", "loadBalancerIPs", "192.0.2.3"),
        shared("conflict", "two"),
        annotated("six", "loadBalancerIPs", "2001:db8::1"),
        annotated("invalid", "loadBalancerIPs", "192.0.2.x"),
        limited("limited-again"),
        service("headless", "").replace("ports:", "clusterIP: None, ports:"),
    ]
    .concat();
    let plan = Plan::of(&manifests);
    for (name, code) in [
        ("exhausted", "PoolExhausted"),
        ("no-pool", "PoolNotFound"),
        ("not-allowed", "PoolNotAllowed"),
        ("not-in-pool", "AddressNotInPool"),
        ("in-use", "AddressInUse"),
        ("reserved", "AddressReserved"),
        ("conflict", "SharingConflict"),
        ("six", "FamilyUnavailable"),
        ("invalid", "RequestInvalid"),
        ("limited-again", "QuotaExceeded"),
        ("headless", "NoClusterIP"),
    ] {
        plan.is(name, "pending", &[], Some(code));
        assert_eq!((&plan.service(name)["pool"], &plan.service(name)["pools"]), (&Value::Null, &json!([])));
    }
    assert_eq!(plan.code, Some(1));
    let plan = Plan::of(&[pool_with("p", "192.0.2.0/24", of_shop), service("web", "")].concat());
    plan.is("web", "pending", &[], Some("NoMatchingPool"));
}

#[test]
fn of_two_that_show_the_same_address_the_older_keeps_it() {
    let at = |day: u32| format!("creationTimestamp: '2026-01-0{day}T00:00:00Z'");
    let both =
        [served("young", &at(2), "", &["192.0.2.1"]), served("old", &at(1), "", &["192.0.2.1"])].concat();
    let plan = Plan::of(&[pool("p", "192.0.2.1-192.0.2.2"), both.clone()].concat());
    plan.is("old", "kept", &["192.0.2.1"], None);
    let (state, addresses, _) = plan.fate("young");
    assert_eq!((&*state, addresses), ("assigned", vec!["192.0.2.2".to_owned()]));
    assert_eq!(plan.code, Some(0));
    let plan = Plan::of(&[pool("p", "192.0.2.1-192.0.2.1"), both].concat());
    plan.is("young", "pending", &[], Some("AddressConflict"));
}

#[test]
fn services_of_other_classes_are_not_ours_and_other_types_are_left_out() {
    let manifests = [
        pool("p", "192.0.2.0/24"),
        served("other", "", ", loadBalancerClass: example.com/lb", &["198.51.100.7"]),
        service("web", "").replace("LoadBalancer", "ClusterIP"),
        service("node", "").replace("LoadBalancer", "NodePort"),
    ]
    .concat();
    let plan = Plan::of(&manifests);
    plan.is("other", "not-ours", &[], None);
    assert_eq!(plan.json()["services"].as_array().map(Vec::len), Some(1));
    assert_eq!(plan.code, Some(0), "what is not ours is not pending");
    let arguments = ["-f", "-", "--output", "json", "--lb-class", "example.com/lb"];
    Plan::run(&arguments, &manifests).is("other", "assigned", &["192.0.2.0"], None);
}

#[test]
fn dual_stack_services_have_their_pools_parallel_to_their_addresses() {
    let manifests = [
        pool("six", "2001:db8::1-2001:db8::9"),
        pool("four", "192.0.2.1-192.0.2.9"),
        served("both", "", &format!("{DUAL}: RequireDualStack"), &[]),
    ]
    .concat();
    let plan = Plan::of(&manifests);
    plan.is("both", "assigned", &["192.0.2.1", "2001:db8::1"], None);
    let both = plan.service("both");
    assert_eq!((&both["pool"], &both["pools"]), (&json!("four"), &json!(["four", "six"])));
    let turned = manifests
        .replace("[IPv4, IPv6]", "[IPv6, IPv4]")
        .replace("10.96.0.1, 'fd00::1'", "'fd00::1', 10.96.0.1");
    let both = Plan::of(&turned).service("both");
    assert_eq!((&both["addresses"][0], &both["pools"]), (&json!("2001:db8::1"), &json!(["six", "four"])));
}

#[test]
fn prefer_dual_stack_with_one_family_is_served_with_a_reason() {
    let four = pool("four", "192.0.2.1-192.0.2.9");
    let plan =
        Plan::of(&[four.clone(), served("web", "", &format!("{DUAL}: PreferDualStack"), &[])].concat());
    plan.is("web", "assigned", &["192.0.2.1"], Some("FamilyUnavailable"));
    assert_eq!(plan.code, Some(0));
    let plan = Plan::of(&[four, served("web", "", &format!("{DUAL}: RequireDualStack"), &[])].concat());
    plan.is("web", "pending", &[], Some("FamilyUnavailable"));
    assert_eq!(plan.code, Some(1));
}

#[test]
fn counters_are_exact() {
    let plan = Plan::of(&[pool("net", "2001:db8::/64"), pool("small", "192.0.2.0/30")].concat());
    let pools = &plan.json()["pools"];
    assert_eq!(
        (&pools[0]["availableIPv6"], &pools[1]["availableIPv4"]),
        (&json!("18446744073709551616"), &json!(4))
    );
}

mod files {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().expect("a temporary directory");
        for (file, text) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            fs::write(path, text).expect("a manifest");
        }
        root
    }

    fn plan(root: &TempDir, paths: &[&str]) -> Plan {
        let paths: Vec<String> =
            paths.iter().map(|path| root.path().join(path).display().to_string()).collect();
        let words: Vec<&str> = paths.iter().map(String::as_str).collect();
        Plan::run(&[&["--output", "json", "-f"], &*words].concat(), "")
    }

    #[test]
    fn directories_are_read_with_all_below_them_and_nothing_twice() {
        let root = tree(&[
            ("pools/p.yaml", &pool("p", "192.0.2.0/24")),
            ("apps/one/web.yml", &service("web", "")),
            (
                "apps/two/list.json",
                r#"{"apiVersion": "v1", "kind": "List", "items": [
                {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "listed"}, "spec": {"type": "LoadBalancer"}}]}"#,
            ),
            ("apps/.hidden/no.yaml", "{"),
            ("apps/readme.txt", "{"),
        ]);
        let plan = plan(&root, &["pools/p.yaml", "apps", "apps/one/web.yml"]);
        plan.is("web", "assigned", &["192.0.2.1"], None);
        plan.is("listed", "assigned", &["192.0.2.0"], None);
        assert_eq!((plan.code, &*plan.stderr), (Some(0), ""));
    }

    #[test]
    fn what_is_refused_has_its_file_and_the_line_of_the_field() {
        let bad = "# pools\n---\napiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata:\n  name: bad\n  \
                   namespace: metallb-system\nspec:\n  addresses:\n  - 192.0.2.0/24\n  - 192.0.2.x\n";
        let root = tree(&[
            ("bad.yaml", bad),
            ("a.yaml", &pool("older", "198.51.100.0/24")),
            ("b.yaml", &pool("overlaps", "198.51.100.7-198.51.100.8")),
            ("type.yaml", &service("typed", "").replace("LoadBalancer", "{}")),
            ("twice.yaml", &pool("older", "10.0.0.0/8")),
            ("web.yaml", &service("web", "")),
        ]);
        let plan = plan(&root, &["."]);
        let file = |name: &str| root.path().join(".").join(name).display().to_string();
        let document = plan.json();
        let refused: Vec<_> = document["refused"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|entry| {
                let text = |key: &str| entry[key].as_str().unwrap_or("-").to_owned();
                (text("file"), entry["line"].as_u64().unwrap_or(0), text("kind"), text("name"), text("code"))
            })
            .collect();
        let entry = |name: &str, line: u64, what: [&str; 3]| {
            let [kind, object, code] = what.map(str::to_owned);
            (file(name), line, kind, object, code)
        };
        assert_eq!(
            refused,
            [
                entry("b.yaml", 5, ["IPAddressPool", "overlaps", "Conflict"]),
                entry("bad.yaml", 11, ["IPAddressPool", "bad", "Invalid"]),
                entry("twice.yaml", 2, ["IPAddressPool", "older", "Duplicate"]),
                entry("type.yaml", 5, ["Service", "typed", "Undecodable"]),
            ]
        );
        plan.is("web", "assigned", &["198.51.100.0"], None);
        assert_eq!(plan.code, Some(1));
    }

    #[test]
    fn a_path_that_is_not_readable_ends_with_2_and_the_rest_is_printed() {
        let root = tree(&[("pool.yaml", &pool("p", "192.0.2.0/24")), ("web.yaml", &service("web", ""))]);
        let plan = plan(&root, &["pool.yaml", "missing.yaml", "web.yaml"]);
        plan.is("web", "assigned", &["192.0.2.0"], None);
        assert_eq!(plan.code, Some(2));
        assert!(plan.stderr.contains("missing.yaml: No such file"), "{}", plan.stderr);
    }

    #[test]
    fn a_file_that_is_not_yaml_ends_with_2_and_the_rest_is_printed() {
        let root = tree(&[
            ("broken.yaml", "kind: Service\nmetadata: [\n"),
            ("broken.json", "{\"kind\": \"Service\",\n"),
            ("pool.yaml", &pool("p", "192.0.2.0/24")),
            ("web.yaml", &service("web", "")),
        ]);
        let plan = plan(&root, &["."]);
        plan.is("web", "assigned", &["192.0.2.0"], None);
        let document = plan.json();
        let refused = document["refused"].as_array().expect("a list");
        let codes: Vec<_> = refused.iter().map(|entry| (&entry["code"], entry["line"].is_u64())).collect();
        assert_eq!(codes, [(&json!("NotYAML"), true), (&json!("NotYAML"), true)], "{document}");
        assert_eq!(plan.code, Some(2));
    }

    #[test]
    fn a_document_that_is_no_object_is_refused_and_the_others_of_its_file_count() {
        let text = [&pool("p", "192.0.2.0/24"), "---\n- just\n- a list\n", &service("web", "")].concat();
        let plan = Plan::of(&text);
        plan.is("web", "assigned", &["192.0.2.0"], None);
        let refused = &plan.json()["refused"][0];
        assert_eq!(
            (&refused["code"], &refused["file"], &refused["kind"]),
            (&json!("Undecodable"), &Value::Null, &Value::Null)
        );
        assert_eq!(plan.code, Some(1));
    }
}

#[test]
fn notes_go_to_standard_error() {
    let unknown = "---\napiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n";
    let elsewhere = pool("p", "192.0.2.0/24").replace("metallb-system", "other");
    let plan = Plan::of(&[unknown, &elsewhere].concat());
    assert_eq!(plan.json(), json!({"services": [], "pools": [], "refused": []}));
    assert!(plan.stderr.contains("Widget") && plan.stderr.contains("--namespace"), "{}", plan.stderr);
    assert_eq!(plan.code, Some(0));
    let plan = Plan::run(&["-f", "-", "--output", "json", "--namespace", "other"], &elsewhere);
    assert_eq!(plan.json()["pools"][0]["name"], "p");
    let plan = Plan::of(&pool("p", "192.0.2.0/24").replace(", namespace: metallb-system", ""));
    assert_eq!(plan.json()["pools"][0]["name"], "p", "without a namespace it is where it counts");
}

#[test]
fn people_get_a_table_with_the_reasons_and_how_full_the_pools_are() {
    let manifests = [
        pool("p", "192.0.2.1-192.0.2.1"),
        pool("bad", "192.0.2.9-192.0.2.2"),
        service("web", "creationTimestamp: '2026-01-01T00:00:00Z'"),
        service("late", "creationTimestamp: '2026-01-02T00:00:00Z'"),
    ]
    .concat();
    let plan = Plan::run(&["-f", "-"], &manifests);
    let expected = [
        "SERVICE       STATE     ADDRESSES  POOL\n",
        "default/web   assigned  192.0.2.1  p\n",
        "default/late  pending   -          -\n    PoolExhausted: ",
        "POOL  FAMILY                           USED  FREE\n",
        "bad   refused                          -     -\n",
        "p     IPv4     [####################]  1     0\n",
        "REFUSED\nstandard input:10  IPAddressPool bad\n    Invalid: spec.addresses[0]: ",
        "2 Services: 1 assigned, 1 pending; 1 refused\n",
    ];
    for part in expected {
        assert!(plan.stdout.contains(part), "no {part:?} in:\n{}", plan.stdout);
    }
    assert_eq!((plan.code, &*plan.stderr), (Some(1), ""));
}

#[test]
fn without_manifests_it_is_not_run() {
    let plan = Plan::run(&[], "");
    assert_eq!((plan.code, &*plan.stdout), (Some(2), ""));
}
