//! What was measured, for people and for programs.

use serde_json::{Value, json};

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    /// Ours, in milliseconds.
    pub(crate) samples: Vec<f64>,
    pub(crate) against: Against,
}

/// What that is compared with.
#[derive(Clone, Debug)]
pub(crate) enum Against {
    /// The raw sender in the same run: at most so many times its time.
    Raw { samples: Vec<f64>, goal: f64 },
    /// At most so many milliseconds in 99 of 100 cases.
    P99(f64),
    /// Never more than so many milliseconds.
    Max(f64),
}

impl Row {
    /// The number that the goal is about.
    fn value(&self) -> f64 {
        match &self.against {
            Against::Raw { samples, .. } => median(&self.samples) / median(samples),
            Against::P99(_) => quantile(&self.samples, 0.99),
            Against::Max(_) => quantile(&self.samples, 1.0),
        }
    }

    const fn goal(&self) -> f64 {
        match self.against {
            Against::Raw { goal, .. } | Against::P99(goal) | Against::Max(goal) => goal,
        }
    }
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| what | fastest | median | slowest | raw sender: fastest, median, slowest | the goal's number | goal |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let three = |samples: &[f64]| [0.0, 0.5, 1.0].map(|q| time(quantile(samples, q)));
        let [fastest, middle, slowest] = three(&row.samples);
        let (raw, value, goal) = match &row.against {
            Against::Raw { samples, goal } => {
                let value = format!("{:.3} times, fastest {:.3}", row.value(), best(&row.samples, samples));
                (three(samples).join(", "), value, format!("{goal} times"))
            }
            Against::P99(goal) => (String::new(), format!("p99 {}", time(row.value())), time(*goal)),
            Against::Max(goal) => (String::new(), format!("at most {}", time(row.value())), time(*goal)),
        };
        let missed = if row.value() > row.goal() { " (missed)" } else { "" };
        table += &format!(
            "| {} | {fastest} | {middle} | {slowest} | {raw} | {value}{missed} | {goal} |\n",
            row.what
        );
    }
    table
}

pub(crate) fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let kind = match row.against {
            Against::Raw { .. } => "median_ratio_to_raw_sender",
            Against::P99(_) => "p99_ms",
            Against::Max(_) => "max_ms",
        };
        let raw = match &row.against {
            Against::Raw { samples, .. } => json!(rounded(samples)),
            Against::P99(_) | Against::Max(_) => Value::Null,
        };
        json!({
            "what": row.what,
            "ms": { "fastest": quantile(&row.samples, 0.0), "p50": median(&row.samples), "p99": quantile(&row.samples, 0.99),
                "slowest": quantile(&row.samples, 1.0), "count": row.samples.len() },
            "raw_sender_ms": raw,
            "goal": { "of": kind, "value": row.value(), "limit": row.goal(), "reached": row.value() <= row.goal() },
        })
    };
    rows.iter().map(row).collect()
}

/// Ratio of the fastest ones: least disturbed by others on the machine.
fn best(ours: &[f64], raw: &[f64]) -> f64 {
    quantile(ours, 0.0) / quantile(raw, 0.0)
}

fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a short list")]
#[expect(clippy::cast_precision_loss, reason = "a short list")]
fn quantile(samples: &[f64], part: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = (sorted.len().saturating_sub(1)) as f64 * part;
    sorted.get(place.ceil() as usize).copied().unwrap_or(f64::NAN)
}

fn rounded(samples: &[f64]) -> Vec<f64> {
    samples.iter().map(|sample| (sample * 1_000.0).round() / 1_000.0).collect()
}

fn time(ms: f64) -> String {
    if ms >= 1_000.0 {
        format!("{:.2} s", ms / 1_000.0)
    } else if ms >= 10.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{ms:.2} ms")
    }
}
