//! The plan for people.

use std::fmt::Write as _;

use owo_colors::OwoColorize;

use super::report::{Count, Pool, Refused, Report, Service, State};

/// How wide the bar of a pool is.
const BAR: u32 = 20;

/// Draws all of it.
pub(crate) fn draw(report: &Report) -> String {
    let mut text = String::new();
    services(&mut text, &report.services);
    pools(&mut text, &report.pools);
    refused(&mut text, &report.refused);
    let _infallible = writeln!(text, "{}", summary(report));
    text
}

fn services(text: &mut String, services: &[Service]) {
    if services.is_empty() {
        return;
    }
    let mut rows = vec![["SERVICE", "STATE", "ADDRESSES", "POOL"].map(str::to_owned)];
    for service in services {
        let mut pools = service.pools.clone();
        pools.dedup();
        rows.push([
            format!("{}/{}", service.namespace, service.name),
            word(service.state).to_owned(),
            or_dash(service.addresses.iter().map(ToString::to_string).collect()),
            or_dash(pools),
        ]);
    }
    let mut lines = table(&rows).into_iter();
    let _infallible = writeln!(text, "{}", lines.next().unwrap_or_default().bold());
    for (line, service) in lines.zip(services) {
        let line = match (service.state, &service.reason) {
            (State::Pending, _) => line.red().to_string(),
            (State::NotOurs, _) => line.dimmed().to_string(),
            (_, Some(_)) => line.yellow().to_string(),
            (_, None) => line,
        };
        let _infallible = writeln!(text, "{line}");
        if let Some(reason) = &service.reason {
            let _infallible = writeln!(text, "    {}: {}", reason.code.bold(), reason.message);
        }
    }
    text.push('\n');
}

fn pools(text: &mut String, pools: &[Pool]) {
    if pools.is_empty() {
        return;
    }
    let mut rows = vec![["POOL", "FAMILY", "", "USED", "FREE"].map(str::to_owned)];
    for pool in pools {
        if !pool.accepted {
            rows.push([&pool.name, "refused", "", "-", "-"].map(str::to_owned));
            continue;
        }
        let families =
            [("IPv4", pool.assigned_v4, pool.available_v4), ("IPv6", pool.assigned_v6, pool.available_v6)];
        let has = |(_, used, free): &(&str, Count, Count)| used.0 > 0 || free.0 > 0;
        let shown: Vec<_> = families.into_iter().filter(has).collect();
        // A pool whose addresses are all excluded has neither.
        let shown = if shown.is_empty() { families[..1].to_vec() } else { shown };
        for (index, (family, used, free)) in shown.into_iter().enumerate() {
            let name = if index == 0 { &*pool.name } else { "" };
            rows.push([
                name.into(),
                family.into(),
                bar(used.0, free.0),
                used.0.to_string(),
                free.0.to_string(),
            ]);
        }
    }
    let mut lines = table(&rows).into_iter();
    let _infallible = writeln!(text, "{}", lines.next().unwrap_or_default().bold());
    for (line, row) in lines.zip(&rows[1..]) {
        let line = if row[1] == "refused" { line.red().to_string() } else { line };
        let _infallible = writeln!(text, "{line}");
    }
    text.push('\n');
}

fn refused(text: &mut String, refused: &[Refused]) {
    if refused.is_empty() {
        return;
    }
    let _infallible = writeln!(text, "{}", "REFUSED".bold());
    for entry in refused {
        let file = entry.file.as_ref().map_or("standard input".into(), |file| file.display().to_string());
        let place = entry.line.map_or(file.clone(), |line| format!("{file}:{line}"));
        let what: Vec<&str> = [&entry.kind, &entry.name].into_iter().flatten().map(String::as_str).collect();
        let what = if what.is_empty() { "document".to_owned() } else { what.join(" ") };
        let _infallible = writeln!(text, "{place}  {}", what.red());
        let _infallible = writeln!(text, "    {}: {}", entry.code.bold(), entry.message);
    }
    text.push('\n');
}

/// The whole in one line.
fn summary(report: &Report) -> String {
    let number = |state| report.services.iter().filter(|service| service.state == state).count();
    let states = [State::Assigned, State::Kept, State::Pending, State::NotOurs];
    let parts = states.map(|state| (number(state), word(state)));
    let parts: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    let services = report.services.len();
    let mut line = match services {
        0 => "no Services of type LoadBalancer".to_owned(),
        _ => format!("{services} Service{}: {}", if services == 1 { "" } else { "s" }, parts.join(", ")),
    };
    if !report.refused.is_empty() {
        let _infallible = write!(line, "; {} refused", report.refused.len());
    }
    if report.is_served() { line.green().to_string() } else { line.red().to_string() }
}

const fn word(state: State) -> &'static str {
    match state {
        State::Assigned => "assigned",
        State::Kept => "kept",
        State::Pending => "pending",
        State::NotOurs => "not ours",
    }
}

fn or_dash(words: Vec<String>) -> String {
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// How full a pool is. One address of many shows, and so does the last one that is free.
fn bar(used: u128, free: u128) -> String {
    let width = u128::from(BAR);
    let full = match (used, free) {
        (0, _) => 0,
        (_, 0) => width,
        _ => {
            // Beyond 2^100 the last digits do not matter.
            let shift = 128 - used.max(free).leading_zeros().min(128);
            let shift = shift.saturating_sub(100);
            let (used, free) = (used >> shift, free >> shift);
            (used * width / (used + free).max(1)).clamp(1, width - 1)
        }
    };
    let full = usize::try_from(full).unwrap_or_default();
    let rest = usize::try_from(width).unwrap_or_default() - full;
    format!("[{}{}]", "#".repeat(full), ".".repeat(rest))
}

/// Lines of columns.
fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_the_first_and_the_last_address() {
        assert_eq!(bar(0, 10), "[....................]");
        assert_eq!(bar(1, 1_000), "[#...................]");
        assert_eq!(bar(5, 5), "[##########..........]");
        assert_eq!(bar(1_000, 1), "[###################.]");
        assert_eq!(bar(10, 0), "[####################]");
        assert_eq!(bar(u128::MAX / 2, u128::MAX / 2), "[##########..........]");
        assert_eq!(bar(1, u128::MAX), "[#...................]");
    }

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let rows = [["A", "B"], ["long", "x"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), ["A     B", "long  x"]);
    }
}
