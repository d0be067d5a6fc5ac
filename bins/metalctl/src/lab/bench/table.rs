//! The result as a table for people.

use std::fmt::Write as _;

use owo_colors::OwoColorize;

use super::{
    STOLEN,
    report::{Measured, Report},
};

const COLUMNS: usize = 11;

/// Draws it: what was measured, what was not, and the goals.
pub(super) fn draw(report: &Report) -> String {
    let head = [
        "responder",
        "addresses",
        "inline us",
        "p50 us",
        "p99 us",
        "flood /s",
        "answered",
        "load p50",
        "load p99",
        "lost",
        "stolen",
    ]
    .map(str::to_owned);
    let rows: Vec<[String; COLUMNS]> =
        std::iter::once(head).chain(report.responders.iter().map(row)).collect();
    let mut text = String::from("\n");
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
            // Words to the left, numbers to the right.
            let _infallible = match column {
                0 => write!(line, "  {cell:<width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        let line = if number == 0 { line.bold().to_string() } else { line };
        let _infallible = writeln!(text, "{line}");
    }
    for skipped in &report.skipped {
        let line = format!("  {} was not measured: {}", skipped.responder, skipped.reason);
        let _infallible = writeln!(text, "{}", line.red());
    }
    let _infallible = writeln!(text);
    for goal in &report.goals {
        let limit = match (goal.at_least, goal.at_most) {
            (Some(least), _) => format!("at least {least}"),
            (None, Some(most)) => format!("at most {most}"),
            (None, None) => String::new(),
        };
        let (responder, addresses, what, value) = (goal.responder, goal.addresses, goal.what, goal.value);
        let line = format!("{responder}, {addresses}: {what}: {value:.3} ({limit})");
        let _infallible = match goal.reached {
            true => writeln!(text, "  {} {line}", "reached".green()),
            false => writeln!(text, "  {} {line}", "missed ".red().bold()),
        };
    }
    if !report.realtime_client {
        let _infallible = writeln!(
            text,
            "  {}",
            "The client may not go before other threads here: under load its own waits count as well."
                .yellow()
        );
    }
    if report.responders.iter().any(|measured| measured.stolen > STOLEN) {
        let _infallible = writeln!(
            text,
            "  {}",
            "Others had this machine's processors for part of the time (stolen): who sleeps was woken late."
                .yellow()
        );
    }
    text
}

fn row(measured: &Measured) -> [String; COLUMNS] {
    [
        measured.responder.to_owned(),
        measured.addresses.to_string(),
        format!("{:.1}", measured.inline_p50_us),
        format!("{:.1}", measured.p50_us),
        format!("{:.1}", measured.p99_us),
        format!("{:.0}", measured.flood_answers_per_second),
        format!("{:.2} %", measured.flood_answered * 100.0),
        format!("{:.1}", measured.loaded_p50_us),
        format!("{:.1}", measured.loaded_p99_us),
        measured.lost.to_string(),
        format!("{:.1} %", measured.stolen * 100.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::{super::report::Skipped, *};

    #[test]
    fn rows_what_is_missing_and_goals() {
        let mut report = super::super::report::tests::example();
        report.responders.remove(1);
        report.goals.retain(|goal| goal.what.starts_with("p50"));
        report.skipped.push(Skipped { responder: "fast path", reason: "no rights".into() });
        let plain = anstream::adapter::strip_str(&draw(&report)).to_string();
        let expected = [
            "",
            "  responder  addresses  inline us  p50 us  p99 us  flood /s  answered  load p50  load p99  lost  stolen",
            "  kernel             1       10.0    20.0    20.0    100000  100.00 %     200.0     200.0     9   5.0 %",
            "  fast path      10000       11.0    22.0    22.0    100000  100.00 %     220.0     220.0     9   5.0 %",
            "  fast path was not measured: no rights",
            "",
            "  reached packet socket, 1: p50, x kernel: 1.900 (at most 2)",
            "  missed  fast path, 10000: p50, x kernel: 1.100 (at most 1.05)",
            "  Others had this machine's processors for part of the time (stolen): who sleeps was woken late.",
        ];
        assert_eq!(plain.lines().collect::<Vec<_>>(), expected);
        report.realtime_client = false;
        assert!(draw(&report).contains("its own waits count"));
    }
}
