//! BGP sessions with real routers: what counts is what the router says.
//!
//! Each cell of a table of subjects and routers is a test of its own, with its own network. All of them run when no part
//! of a name is given, several at a time, and at the end the table is compared with the one in the documentation, if
//! that is about the same versions of the routers; `--write` writes it instead.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test program reports on its streams")]

mod announcing;
mod connecting;
mod going;
mod lab;
mod matrix;
mod router;

use std::{
    fs,
    path::Path,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use matrix::{Outcome, ROWS, Row, document, versions};
use router::Kind;

/// Cells at a time: they mostly wait.
const AT_A_TIME: usize = 6;

struct Cell {
    row: &'static Row,
    kind: Kind,
    name: String,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, words): (Vec<String>, Vec<String>) =
        arguments.into_iter().partition(|argument| argument.starts_with("--"));
    let all = ROWS
        .iter()
        .flat_map(|row| Kind::ALL.map(|kind| Cell { row, kind, name: format!("{kind}: {}", row.title) }));
    // Parts of names; "FRR MD5" is what has both.
    let cells: Vec<Cell> = all.filter(|cell| words.iter().all(|word| cell.name.contains(word))).collect();
    if flags.iter().any(|flag| flag == "--list") {
        cells.iter().for_each(|cell| println!("{}: test", cell.name));
        return ExitCode::SUCCESS;
    }
    if cells.is_empty() {
        eprintln!("no cell has all of these in its name: {}", words.join(" "));
        return ExitCode::from(2);
    }
    let Some(outcomes) = run(&cells) else { return ExitCode::FAILURE };
    if words.is_empty() {
        judge(&outcomes, flags.iter().any(|flag| flag == "--write"))
    } else {
        ExitCode::SUCCESS
    }
}

/// What came out, cell by cell; `None` when one has failed.
fn run(cells: &[Cell]) -> Option<Vec<Outcome>> {
    let started = Instant::now();
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = Instant::now();
            // A thread for each, which bears its name when it panics.
            let (run, kind) = (cell.row.run, cell.kind);
            let thread = thread::Builder::new().name(cell.name.clone()).spawn(move || run(kind));
            let outcome = thread.expect("a thread").join().ok();
            let said = outcome.as_ref().map_or_else(|| "FAILED".into(), ToString::to_string);
            println!("{} ... {said} ({:.1} s)", cell.name, started.elapsed().as_secs_f32());
            outcomes.lock().expect("no panic").push((cell.name.clone(), outcome));
        }
    };
    thread::scope(|scope| (0..AT_A_TIME).for_each(|_| drop(scope.spawn(work))));
    let mut outcomes = outcomes.into_inner().expect("no panic");
    let failed: Vec<&str> =
        outcomes.iter().filter(|(_, outcome)| outcome.is_none()).map(|(name, _)| name.as_str()).collect();
    let seconds = started.elapsed().as_secs_f32();
    println!("{} cells in {seconds:.1} s, {} of them failed", cells.len(), failed.len());
    failed.iter().for_each(|name| println!("FAILED: {name}"));
    let position = |name: &String| cells.iter().position(|cell| cell.name == *name);
    outcomes.sort_by_key(|(name, _)| position(name));
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Compares the table with the documentation, or writes it.
fn judge(outcomes: &[Outcome], write: bool) -> ExitCode {
    let rows: Vec<Vec<Outcome>> = outcomes.chunks(Kind::ALL.len()).map(<[Outcome]>::to_vec).collect();
    let (found, path) = (document(&rows), Path::new(DOCUMENT));
    if write {
        fs::write(path, found).expect("written");
        return ExitCode::SUCCESS;
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    if committed == found {
        return ExitCode::SUCCESS;
    }
    if !committed.lines().any(|line| line == versions()) {
        println!(
            "docs/bgp-interop.md is about other versions of the routers than these, and says nothing about them"
        );
        return ExitCode::SUCCESS;
    }
    for line in found.lines().filter(|line| !committed.lines().any(|other| other == *line)) {
        println!("not in docs/bgp-interop.md: {line}");
    }
    eprintln!("docs/bgp-interop.md is not what these routers do: `make interop` writes it again");
    ExitCode::FAILURE
}

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/bgp-interop.md");
