//! End to end: the real controller and speakers, a real etcd, kube-apiserver and kube-proxy, Pods
//! that are real nginx processes, and `curl` on a LAN, all in namespaces of their own.
//!
//! `scripts/e2e [PART-OF-A-NAME ...]` builds what is needed and runs all scenarios, or those named.
//! The scenarios share one rack and one control plane and run one after the other; each removes what
//! it made. Everything lives in a [sandbox] that disappears with this process, however it ends.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test program reports on its streams")]

mod api;
mod control_plane;
mod daemons;
mod ear;
mod edge;
mod history;
mod probe;
mod rack;
mod sandbox;
mod scenarios;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use scenarios::{SCENARIOS, Scenario};
use world::World;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let selected: Vec<&Scenario> = SCENARIOS.iter().filter(|scenario| wanted(scenario, &arguments)).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for scenario in &selected {
            println!("{}: test", scenario.name);
        }
        return ExitCode::SUCCESS;
    }
    if selected.is_empty() {
        eprintln!("e2e: no scenario has one of these in its name: {}", arguments.join(" "));
        return ExitCode::from(2);
    }
    match sandbox::enter() {
        Ok(tools) => run(&selected, &tools),
        Err(reason) => {
            eprintln!("e2e: {reason}");
            ExitCode::from(2)
        }
    }
}

/// A scenario runs when no name is given, or part of its name is. Flags belong to the usual harness.
fn wanted(scenario: &Scenario, arguments: &[String]) -> bool {
    let mut names = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    names.peek().is_none() || names.any(|name| scenario.name.contains(name.as_str()))
}

fn run(selected: &[&Scenario], tools: &std::path::Path) -> ExitCode {
    let logs = tempfile::Builder::new().prefix("metal-e2e-").tempdir().expect("a directory for the logs");
    sandbox::remove_when_interrupted(logs.path());
    let started = Instant::now();
    let built = catch_unwind(AssertUnwindSafe(|| World::start(logs.path(), tools)));
    let Ok(mut world) = built else {
        return fail(logs, &["starting the rack"]);
    };
    println!("rack and control plane are up after {:.1} s\n", started.elapsed().as_secs_f32());

    let mut failed = Vec::new();
    for scenario in selected {
        println!("scenario {}", scenario.name);
        let started = Instant::now();
        if attempt(&mut world, |world| world.begin()).is_err() {
            failed.push("starting the daemons");
            break;
        }
        let result = attempt(&mut world, scenario.run);
        let verdict = if result.is_ok() { "ok" } else { "FAILED" };
        println!("scenario {} ... {verdict} ({:.1} s)\n", scenario.name, started.elapsed().as_secs_f32());
        if result.is_err() {
            failed.push(scenario.name);
        }
        if attempt(&mut world, |world| world.end()).is_err() {
            failed.push("removing what a scenario made");
            break;
        }
    }
    drop(world);
    if failed.is_empty() {
        println!("{} scenarios passed in {:.1} s", selected.len(), started.elapsed().as_secs_f32());
        return ExitCode::SUCCESS;
    }
    fail(logs, &failed)
}

/// Goes on after a panic; whose cause is in the logs that it prints.
fn attempt(world: &mut World, step: impl FnOnce(&mut World)) -> Result<(), ()> {
    catch_unwind(AssertUnwindSafe(|| step(world))).map_err(|_| world.print_logs())
}

/// Names what failed and keeps the logs.
fn fail(logs: tempfile::TempDir, failed: &[&str]) -> ExitCode {
    let directory = logs.keep();
    eprintln!("e2e: failed: {}\ne2e: complete logs: {}", failed.join(", "), directory.display());
    ExitCode::FAILURE
}
