//! The lab with a router between the LAN and the client.

use std::process::Command;

use metal_tests::process::binary;
use serde_json::Value;

use super::{lab, report, said};

#[test]
fn metals_own_receiver_notices_a_killed_speaker() {
    let report = routed("metal", "kill", "metal's passive receiver", "lab");
    assert!(table_ms(&report) < AT_ONCE, "{report}");
}

#[test]
fn bird_waits_for_a_dead_node() {
    let report = routed("bird", "node", "BIRD", "router");
    // Nobody tells it: it takes the hold time of 3 s, from the last message on.
    assert!(table_ms(&report) > AT_ONCE, "{report}");
    assert!(report["runs"][0]["lost"].as_u64() > Some(0), "{report}");
}

#[test]
fn frr_notices_a_killed_speaker() {
    let report = routed("frr", "kill", "FRR", "router");
    assert!(table_ms(&report) < AT_ONCE, "{report}");
}

#[test]
fn gobgp_hears_goodbye() {
    says_goodbye("gobgp", "GoBGP", "lab");
}

#[test]
fn exabgp_hears_goodbye() {
    says_goodbye("exabgp", "ExaBGP", "lab");
}

#[test]
fn bird_hears_goodbye() {
    says_goodbye("bird", "BIRD", "router");
}

#[test]
fn a_router_that_is_not_installed_is_named() {
    let mut command = Command::new(binary("metalctl"));
    // Debian's place for FRR is looked at whatever the path is.
    command.args(["lab", "--bgp", "gobgp"]).env("PATH", "/nonexistent");
    let output = command.output().expect("metalctl runs");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let message = said(&output);
    assert!(message.contains("apt-get install gobgpd") && message.contains("--bgp alone"), "{message}");
}

/// A router that is told has noticed within this many milliseconds, also on a busy machine; one that is not told has
/// not.
const AT_ONCE: f64 = 1_500.0;

fn says_goodbye(router: &str, name: &str, table_by: &str) {
    let report = routed(router, "term", name, table_by);
    assert!(table_ms(&report) < AT_ONCE, "{report}");
    assert_eq!(report["summary"]["lost"]["max"], 0, "{report}");
}

/// One failure behind a router.
fn routed(router: &str, cause: &str, name: &str, table_by: &str) -> Value {
    let output = lab(&["--bgp", router, "--fail", cause, "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = report(&output);
    assert!(report["router"]["name"].as_str().is_some_and(|it| it.starts_with(name)), "{report}");
    assert_eq!(report["router"]["table_by"], table_by, "{report}");
    let nodes = serde_json::json!(["node1", "node2", "node3"]);
    for route in report["routes"].as_array().expect("routes") {
        assert_eq!(route["next_hops"], nodes, "{report}");
    }
    let served = |connections: &Value| {
        assert_eq!(connections["failed"], 0, "{report}");
        let by_node = connections["by_node"].as_object().expect("connections by node");
        by_node.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(served(&report["connections"]), ["node1", "node2", "node3"], "{report}");
    let run = &report["runs"][0];
    assert_eq!((&run["cause"], &run["node"]), (&cause.into(), &"node1".into()), "{report}");
    assert_eq!(served(&run["connections"]), ["node2", "node3"], "{report}");
    println!("{router}, {cause}: {run}");
    report
}

fn table_ms(report: &Value) -> f64 {
    report["summary"]["table"]["max_ms"].as_f64().unwrap_or_else(|| panic!("not noticed: {report}"))
}
