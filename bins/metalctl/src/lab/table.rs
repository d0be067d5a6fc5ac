//! The result of all runs as a table.

use std::fmt::Write as _;

use owo_colors::OwoColorize;

use super::{
    count,
    report::{Report, Run},
};

/// Draws it; empty without runs.
pub(crate) fn draw(report: &Report) -> String {
    let mut text = String::new();
    if report.runs.is_empty() {
        return text;
    }
    let head = [
        "run", "cause", "address", "from", "to", "gap ms", "lost", "udp ms", "lost", "arp ms", "lost", "macs",
    ];
    let rows: Vec<[String; COLUMNS]> =
        std::iter::once(head.map(str::to_owned)).chain((1..).zip(&report.runs).map(row)).collect();
    let widths: Vec<usize> = (0..COLUMNS)
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or_default())
        .collect();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Words to the left, numbers to the right.
            let _infallible = match column {
                1..=4 => write!(line, "  {cell:<width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        let line = match number.checked_sub(1).map(|run| report.runs[run].is_taken_over()) {
            None => line.bold().to_string(),
            Some(true) => line,
            Some(false) => line.red().to_string(),
        };
        let _infallible = writeln!(text, "{line}");
    }
    if let Some(summary) = report.summary {
        let runs = count(report.runs.len(), "run");
        let numbers = format!(
            "p50 {:.1} ms   p99 {:.1} ms   max {:.1} ms",
            summary.p50_ms, summary.p99_ms, summary.max_ms
        );
        let _infallible =
            write!(text, "\n  longest gap of {runs}, the worse of both probes:   {}", numbers.bold());
    }
    format!("\n{text}\n")
}

const COLUMNS: usize = 12;

fn row((number, run): (usize, &Run)) -> [String; COLUMNS] {
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "nobody".to_owned());
    [
        number.to_string(),
        run.cause.to_owned(),
        run.address.to_string(),
        name(&run.from),
        name(&run.to),
        format!("{:.1}", run.longest_gap_ms),
        run.lost.to_string(),
        format!("{:.1}", run.udp.longest_gap_ms),
        run.udp.lost.to_string(),
        format!("{:.1}", run.arp.longest_gap_ms),
        run.arp.lost.to_string(),
        run.max_macs.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use super::*;
    use crate::lab::{measure::Tally, report::Summary};

    #[test]
    fn one_row_a_run_and_the_summary() {
        let tally = |lost, gap| Tally { sent: 500, lost, longest_gap: Duration::from_millis(gap) };
        let address = Ipv4Addr::new(192, 168, 42, 200);
        let mut good = Run::new("kill", address, tally(0, 1), tally(301, 302));
        (good.from, good.to, good.max_macs) = (Some("node1".into()), Some("node3".into()), 1);
        let bad = Run {
            from: Some("node3".into()),
            ..Run::new("kill", address, tally(0, 1), tally(9_999, 10_000))
        };
        let summary = Summary::of(&[Duration::from_millis(302), Duration::from_secs(10)]);
        let report = Report { runs: vec![good, bad], summary, ..Report::default() };
        let plain = anstream::adapter::strip_str(&draw(&report)).to_string();
        let expected = [
            "",
            "  run  cause  address         from   to       gap ms  lost  udp ms  lost   arp ms  lost  macs",
            "    1  kill   192.168.42.200  node1  node3     302.0   301     1.0     0    302.0   301     1",
            "    2  kill   192.168.42.200  node3  nobody  10000.0  9999     1.0     0  10000.0  9999     0",
            "",
            "  longest gap of 2 runs, the worse of both probes:   p50 302.0 ms   p99 10000.0 ms   max 10000.0 ms",
        ];
        assert_eq!(plain.lines().collect::<Vec<_>>(), expected);
        assert_eq!(draw(&Report::default()), "");
    }
}
