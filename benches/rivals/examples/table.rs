//! Prints the last measurement of `bgp_codec` as Markdown tables: medians, the best of the others in bold.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::Value as Json;

fn main() -> io::Result<()> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let mut medians: BTreeMap<(String, String), BTreeMap<String, f64>> = BTreeMap::new();
    collect(&target.join("criterion"), &mut medians)?;
    let mut out = io::stdout().lock();
    for step in ["decode", "walk", "encode", "floor"] {
        let rows: Vec<_> = medians.iter().filter(|((of, _), _)| of == step).collect();
        let mut codecs: Vec<_> = rows.iter().flat_map(|(_, row)| row.keys()).collect();
        codecs.sort_by_key(|name| (!name.starts_with("metal"), name.as_str()));
        codecs.dedup();
        write!(out, "\n| {step} |")?;
        codecs.iter().try_for_each(|name| write!(out, " {name} |"))?;
        write!(out, "\n| --- |{}\n", " --- |".repeat(codecs.len()))?;
        for ((_, name), row) in rows {
            write!(out, "| {name} |")?;
            let others = row.iter().filter(|(codec, _)| !codec.starts_with("metal") && *codec != "memcpy");
            let best = others.map(|(_, median)| *median).fold(f64::INFINITY, f64::min);
            for codec in &codecs {
                match row.get(*codec) {
                    Some(median) if *median == best => write!(out, " **{}** |", time(*median))?,
                    Some(median) => write!(out, " {} |", time(*median))?,
                    None => write!(out, " |")?,
                }
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// Every `new/estimates.json` below, by the names in the `benchmark.json` beside it.
fn collect(
    directory: &Path,
    medians: &mut BTreeMap<(String, String), BTreeMap<String, f64>>,
) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        let read =
            |name: &str| -> Option<Json> { serde_json::from_slice(&fs::read(path.join(name)).ok()?).ok() };
        let (Some(benchmark), Some(estimates)) = (read("benchmark.json"), read("estimates.json")) else {
            collect(&path, medians)?;
            continue;
        };
        if !path.ends_with("new") {
            continue;
        }
        let text = |name: &str| benchmark[name].as_str().unwrap_or_default().to_owned();
        if let (Some((step, row)), Some(median)) =
            (text("group_id").split_once('/'), estimates["median"]["point_estimate"].as_f64())
        {
            medians.entry((step.into(), row.into())).or_default().insert(text("function_id"), median);
        }
    }
    Ok(())
}

/// Three digits.
fn time(nanoseconds: f64) -> String {
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
