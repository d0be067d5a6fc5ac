//! The result of all runs as a table.

use std::{fmt::Write as _, net::IpAddr, ops::RangeInclusive};

use owo_colors::OwoColorize;

use super::{
    count,
    report::{Counts, Report, Run},
};

/// Draws it; empty without runs.
pub(crate) fn draw(report: &Report) -> String {
    let mut text = String::new();
    if report.runs.is_empty() {
        return text;
    }
    let head = [
        "run", "cause", "address", "from", "to", "gap ms", "lost", "udp ms", "lost", "ask ms", "lost", "macs",
    ];
    let good = report.runs.iter().flat_map(|run| rows(0, run).map(move |_| run.is_taken_over()));
    let good: Vec<bool> = good.collect();
    let runs = (1..).zip(&report.runs).flat_map(|(number, run)| rows(number, run));
    let rows: Vec<[String; COLUMNS]> = std::iter::once(head.map(str::to_owned)).chain(runs).collect();
    text.push_str(&grid(&rows, 1..=4, &good));
    if let Some(summary) = report.summary {
        let runs = count(report.runs.len(), "run");
        let numbers = format!(
            "p50 {:.1} ms   p99 {:.1} ms   max {:.1} ms",
            summary.p50_ms, summary.p99_ms, summary.max_ms
        );
        let _infallible =
            write!(text, "\n  longest gap of {runs}, the worst of its probes:   {}", numbers.bold());
    }
    format!("\n{text}\n")
}

/// Lines up the cells of a head and of rows below it, of which those that are not good are red. The columns in `words`
/// begin at the left, all others end at the right.
pub(crate) fn grid<const COLUMNS: usize>(
    rows: &[[String; COLUMNS]],
    words: RangeInclusive<usize>,
    good: &[bool],
) -> String {
    let mut text = String::new();
    let widths: Vec<usize> = (0..COLUMNS)
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or_default())
        .collect();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _infallible = match words.contains(&column) {
                true => write!(line, "  {cell:<width$}"),
                false => write!(line, "  {cell:>width$}"),
            };
        }
        let line = match number.checked_sub(1).map(|row| good[row]) {
            None => line.bold().to_string(),
            Some(true) => line,
            Some(false) => line.red().to_string(),
        };
        let _infallible = writeln!(text, "{line}");
    }
    text
}

const COLUMNS: usize = 12;

/// One row for the address whose owner failed, and one for an IPv6 address besides it.
fn rows(number: usize, run: &Run) -> impl Iterator<Item = [String; COLUMNS]> {
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "nobody".to_owned());
    let row = |head: [String; 5], udp: Counts, questions: Counts, max_macs: usize| {
        let numbers = [
            format!("{:.1}", udp.longest_gap_ms.max(questions.longest_gap_ms)),
            udp.lost.max(questions.lost).to_string(),
            format!("{:.1}", udp.longest_gap_ms),
            udp.lost.to_string(),
            format!("{:.1}", questions.longest_gap_ms),
            questions.lost.to_string(),
            max_macs.to_string(),
        ];
        let mut cells = head.into_iter().chain(numbers);
        std::array::from_fn(|_| cells.next().unwrap_or_default())
    };
    let head = |address: IpAddr, from, to| {
        [number.to_string(), run.cause.to_owned(), address.to_string(), name(from), name(to)]
    };
    let first = run.arp.map(|arp| row(head(run.address, &run.from, &run.to), run.udp, arp, run.max_macs));
    let second = run
        .ipv6
        .as_ref()
        .map(|ipv6| row(head(ipv6.address, &ipv6.from, &ipv6.to), ipv6.udp, ipv6.ndp, ipv6.max_macs));
    first.into_iter().chain(second)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lab::{
        measure::Tally,
        report::{Course, Summary},
    };

    #[test]
    fn one_row_an_address_and_the_summary() {
        let tally = |lost, gap| Tally { sent: 500, lost, longest_gap: Duration::from_millis(gap) };
        let course = |address: &str, to: Option<&str>, max_macs, questions| Course {
            address: address.parse().unwrap(),
            from: Some("node1".into()),
            to: to.map(str::to_owned),
            udp: tally(0, 1),
            questions,
            max_macs,
        };
        let v4 = course("192.168.42.200", Some("node3"), 1, tally(301, 302));
        let v6 = course("fd00:42::200", Some("node3"), 1, tally(299, 300));
        let good = Run::new("kill", &v4, Some(&v6));
        let bad = Run::new("kill", &course("192.168.42.200", None, 0, tally(9_999, 10_000)), None);
        let summary = Summary::of(&[Duration::from_millis(302), Duration::from_secs(10)]);
        let report = Report { runs: vec![good, bad], summary, ..Report::default() };
        let plain = anstream::adapter::strip_str(&draw(&report)).to_string();
        let expected = [
            "",
            "  run  cause  address         from   to       gap ms  lost  udp ms  lost   ask ms  lost  macs",
            "    1  kill   192.168.42.200  node1  node3     302.0   301     1.0     0    302.0   301     1",
            "    1  kill   fd00:42::200    node1  node3     300.0   299     1.0     0    300.0   299     1",
            "    2  kill   192.168.42.200  node1  nobody  10000.0  9999     1.0     0  10000.0  9999     0",
            "",
            "  longest gap of 2 runs, the worst of its probes:   p50 302.0 ms   p99 10000.0 ms   max 10000.0 ms",
        ];
        assert_eq!(plain.lines().collect::<Vec<_>>(), expected);
        assert_eq!(draw(&Report::default()), "");
    }
}
