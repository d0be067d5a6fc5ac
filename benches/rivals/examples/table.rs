//! Prints the measurements of `bgp_codec` (the last one, and baselines called `run...`) as Markdown tables, the best of
//! the others in bold. Each number is the fastest of all samples of all runs: whatever else a machine does makes samples
//! slower, never faster, and rarely all runs of a row.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::Value as Json;

fn main() -> io::Result<()> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let mut fastest: BTreeMap<(String, String), BTreeMap<String, f64>> = BTreeMap::new();
    collect(&target.join("criterion"), &mut fastest)?;
    let mut out = io::stdout().lock();
    for step in ["decode", "walk", "encode", "floor"] {
        let rows: Vec<_> = fastest.iter().filter(|((of, _), _)| of == step).collect();
        let mut codecs: Vec<_> = rows.iter().flat_map(|(_, row)| row.keys()).collect();
        codecs.sort_by_key(|name| (!name.starts_with("metal"), name.as_str()));
        codecs.dedup();
        write!(out, "\n| {step} |")?;
        codecs.iter().try_for_each(|name| write!(out, " {name} |"))?;
        write!(out, "\n| --- |{}\n", " --- |".repeat(codecs.len()))?;
        for ((_, name), row) in rows {
            write!(out, "| {name} |")?;
            let others = row.iter().filter(|(codec, _)| !codec.starts_with("metal") && *codec != "memcpy");
            let best = others.map(|(_, time)| *time).fold(f64::INFINITY, f64::min);
            for codec in &codecs {
                match row.get(*codec) {
                    Some(time) if *time == best => write!(out, " **{}** |", shown(*time))?,
                    Some(time) => write!(out, " {} |", shown(*time))?,
                    None => write!(out, " |")?,
                }
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// Every `sample.json` below in a directory of a run, by the names in the `benchmark.json` beside it.
fn collect(
    directory: &Path,
    fastest: &mut BTreeMap<(String, String), BTreeMap<String, f64>>,
) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        let read =
            |name: &str| -> Option<Json> { serde_json::from_slice(&fs::read(path.join(name)).ok()?).ok() };
        let (Some(benchmark), Some(sample)) = (read("benchmark.json"), read("sample.json")) else {
            collect(&path, fastest)?;
            continue;
        };
        let run = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if run != "new" && !run.starts_with("run") {
            continue;
        }
        let text = |name: &str| benchmark[name].as_str().unwrap_or_default().to_owned();
        let numbers = |name: &str| sample[name].as_array().into_iter().flatten().filter_map(Json::as_f64);
        let per_call = numbers("times").zip(numbers("iters")).map(|(time, calls)| time / calls);
        if let Some((step, row)) = text("group_id").split_once('/') {
            let row = fastest.entry((step.into(), row.into())).or_default();
            let best = row.entry(text("function_id")).or_insert(f64::INFINITY);
            *best = per_call.fold(*best, f64::min);
        }
    }
    Ok(())
}

/// Three digits.
fn shown(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ..1e3 => (nanoseconds, "ns"),
        1e3..1e6 => (nanoseconds / 1e3, "µs"),
        _ => (nanoseconds / 1e6, "ms"),
    };
    let digits = if value < 9.95 {
        2
    } else if value < 99.5 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}
