//! The lab as its user runs it: real daemons, a LAN of namespaces, a failure, a takeover.

#![allow(clippy::print_stdout, reason = "the numbers of a run, for its record")]

mod bgp;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
};

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
fn a_speaker_that_says_goodbye_is_replaced_without_a_loss() {
    let output = lab(&["--fail", "term", "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = report(&output);
    assert_eq!(report["runs"][0]["lost"], 0, "{report}");
}

#[test]
fn a_dead_node_is_replaced() {
    let output = lab(&["--fail", "node", "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report = report(&output);
    assert!(report["runs"][0]["lost"].as_u64() > Some(0), "{report}");
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
fn the_bench_measures_every_responder() {
    let short =
        ["--bench", "arp", "--rounds", "1", "--requests", "50", "--addresses", "150", "--output", "json"];
    let output = lab(&short);
    // Whether the goals are reached is for a quiet machine to say.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", said(&output));
    let report = report(&output);
    assert_eq!(report["skipped"].as_array().map(Vec::len), Some(0), "run these tests as root: {report}");
    let measured: Vec<_> = report["responders"].as_array().expect("responders").iter().collect();
    let names: Vec<_> =
        measured.iter().map(|one| (one["responder"].as_str(), one["addresses"].as_u64())).collect();
    let expected =
        [("kernel", 1), ("packet socket", 1), ("packet socket", 150), ("fast path", 1), ("fast path", 150)];
    assert_eq!(names, expected.map(|(name, addresses)| (Some(name), Some(addresses))));
    for one in measured {
        for number in ["p50_us", "p99_us", "flood_answers_per_second", "loaded_p99_us", "noise_per_second"] {
            assert!(one[number].as_f64().is_some_and(|number| number > 0.0), "{number}: {one}");
        }
        assert_eq!(one["lost"], 0, "{one}");
    }
    assert_eq!(report["goals"].as_array().map(Vec::len), Some(16), "{report}");
}

#[test]
fn a_bench_without_rights_says_what_it_could_not_measure() {
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let short =
        ["--bench", "arp", "--rounds", "1", "--requests", "20", "--addresses", "2", "--output", "json"];
    let (program, directory) = reachable();
    let mut command = Command::new(user[0]);
    command.args(&user[1..]).arg(program).arg("lab").args(short).arg("--bin-dir").arg(directory.path());
    let output = command.output().expect("setpriv runs");
    assert_eq!(output.status.code(), Some(1), "never a success: {}", said(&output));
    let report = report(&output);
    assert_eq!(report["skipped"][0]["responder"], "fast path", "{report}");
    assert!(report["skipped"][0]["reason"].as_str().is_some_and(|why| why.contains("CAP_BPF")), "{report}");
    assert_eq!(report["responders"].as_array().map(Vec::len), Some(3), "{report}");
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

/// `metalctl` in a directory with the daemons that any user may enter; dropping it removes them.
fn reachable() -> (PathBuf, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let open = |path: &std::path::Path| fs::set_permissions(path, Permissions::from_mode(0o755));
    open(directory.path()).expect("a directory for everybody");
    for name in ["metalctl", "metal-controller", "metal-speaker"] {
        let copy = directory.path().join(name);
        fs::copy(binary(name), &copy).and_then(|_| open(&copy)).expect("a copy");
    }
    (directory.path().join("metalctl"), directory)
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("stdout is not one JSON document: {error}\n{}", said(output)))
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
