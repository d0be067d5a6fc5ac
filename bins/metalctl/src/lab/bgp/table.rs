//! The failures of the lab with a router as a table.

use std::fmt::Write as _;

use owo_colors::OwoColorize;

use super::{
    flows::FLOWS,
    report::{Report, Run},
};
use crate::{
    args::Fail,
    lab::{count, table},
};

/// Draws it, with what the numbers are; empty without runs.
pub(super) fn draw(report: &Report, cause: Fail) -> String {
    let Some(sums) = report.summary else { return String::new() };
    let head = ["run", "cause", "node", "table ms", "lost", "of", "flows hit", "gap ms", "restored ms"];
    let rows = (1..).zip(&report.runs).map(|(number, run)| row(number, run));
    let rows: Vec<[String; 9]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let good: Vec<bool> = report.runs.iter().map(Run::is_success).collect();
    let mut text = format!("\n{}\n", table::grid(&rows, 1..=2, &good));
    let runs = count(report.runs.len(), "run");
    if let Some(times) = sums.table {
        let numbers =
            format!("p50 {:.1} ms   p99 {:.1} ms   max {:.1} ms", times.p50_ms, times.p99_ms, times.max_ms);
        let _infallible = writeln!(text, "  until the route was gone, of {runs}:   {}", numbers.bold());
    }
    let lost = format!("p50 {}   p99 {}   max {}", sums.lost.p50, sums.lost.p99, sums.lost.max);
    let _infallible = writeln!(text, "  datagrams lost, of {runs}:   {}", lost.bold());
    let _infallible = write!(
        text,
        "\n  table: from the failure until the router's kernel had no route through the node, looked at every 2 ms\n  \
         lost: of {FLOWS} flows through the router, one datagram each millisecond in all\n  {}\n",
        explain(report, cause)
    );
    text
}

/// How the router comes to know of such a failure.
fn explain(report: &Report, cause: Fail) -> String {
    match cause {
        Fail::Kill => {
            "kill: the node's kernel closes the session at once, and the node goes on forwarding".to_owned()
        }
        Fail::Term => {
            "term: the speaker withdraws and says goodbye, and the node goes on forwarding".to_owned()
        }
        Fail::Link | Fail::Node => format!(
            "{}: nobody tells the router, which waits for the hold time of {} s from the last message on",
            cause.name(),
            report.hold_time_s
        ),
        Fail::None => String::new(),
    }
}

fn row(number: usize, run: &Run) -> [String; 9] {
    let time = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.1}"));
    [
        number.to_string(),
        run.cause.to_owned(),
        run.node.clone(),
        time(run.table_ms),
        run.lost.to_string(),
        run.sent.to_string(),
        run.flows_hit.to_string(),
        format!("{:.1}", run.longest_gap_ms),
        time(run.restored_ms),
    ]
}
