//! The lab as its user runs it: real daemons, a LAN of namespaces, a failure, a takeover.

#![allow(clippy::print_stdout, reason = "the numbers of a run, for its record")]

use std::process::{Command, Output};

use metal_tests::process::binary;
use serde_json::Value;

/// Failures of each kind.
const RUNS: usize = 20;
/// How long an address may be without an answer, in milliseconds. A bound for a busy machine, no measurement:
/// those are in docs/benchmarks.md.
const LONGEST_GAP: f64 = 1000.0;

#[test]
fn a_killed_speaker_is_replaced() {
    failover("kill");
}

#[test]
fn a_lost_link_is_replaced() {
    failover("link");
}

#[test]
fn nobody_takes_over_where_there_is_one_node() {
    let output = lab(&["--nodes", "1", "--fail", "kill", "--output", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let report = report(&output);
    assert!(report["runs"][0]["to"].is_null(), "{report}");
    assert_eq!(report["http"][0]["status"], 200, "{report}");
}

#[test]
fn without_a_failure_there_is_no_summary() {
    let output = lab(&["--fail", "none", "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = report(&output);
    assert!(report["summary"].is_null(), "{report}");
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(0), "{report}");
    assert_eq!(report["services"].as_array().map(Vec::len), Some(2), "{report}");
}

#[test]
fn ipv4_alone_is_enough() {
    let output = lab(&["--ipv4-only", "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = report(&output);
    assert!(report["runs"][0]["ipv6"].is_null(), "{report}");
    assert_eq!(report["services"][0]["addresses"].as_array().map(Vec::len), Some(1), "{report}");
}

#[test]
fn a_wrong_flag_is_a_usage_error() {
    let output = lab(&["--fail", "everything"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("kill"), "the message names what is possible: {}", said(&output));
}

fn failover(cause: &str) {
    let output = lab(&["--fail", cause, "--runs", &RUNS.to_string(), "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = report(&output);
    assert_eq!(report["nodes"].as_array().map(Vec::len), Some(3), "{report}");
    for fetched in report["http"].as_array().expect("fetches") {
        assert_eq!(fetched["status"], 200, "{report}");
    }
    for service in report["services"].as_array().expect("Services") {
        assert_eq!(service["addresses"].as_array().map(Vec::len), Some(2), "one of each family: {report}");
    }
    let runs = report["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), RUNS, "{report}");
    for (number, run) in runs.iter().enumerate() {
        let ipv6 = &run["ipv6"];
        assert!(ipv6["to"].is_string(), "nobody has the IPv6 address: {run}");
        // Both addresses want the same nodes, so from the first failure on they are together.
        if number > 0 {
            assert_eq!((&ipv6["from"], &ipv6["to"]), (&run["from"], &run["to"]), "{run}");
        }
        assert_eq!(run["cause"], cause, "{run}");
        assert!(run["to"].is_string() && run["to"] != run["from"], "no takeover: {run}");
        assert_eq!(run["max_macs"], 1, "two nodes answered one request: {run}");
        let gap = run["longest_gap_ms"].as_f64().expect("a number");
        assert!(gap <= LONGEST_GAP, "nobody answered for {gap} ms: {run}");
    }
    // Kept for the record of a run: `cargo test -- --nocapture` shows it.
    println!("{cause}: {}", report["summary"]);
}

fn lab(arguments: &[&str]) -> Output {
    let program = binary("metalctl");
    Command::new(&program).arg("lab").args(arguments).output().expect("metalctl runs")
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("stdout is not one JSON document: {error}\n{}", said(output)))
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
