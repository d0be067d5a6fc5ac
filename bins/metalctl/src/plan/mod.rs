//! The plan: what the controller would do with these manifests, decided by the controller itself.

mod engine;
mod report;
mod sources;
mod text;

use std::{io::Write, process::ExitCode};

use anyhow::{Context, Result};
use metal_k8s::{Fault, Manifests, Options, Role};

use crate::args::{Output, PlanArgs};

/// Everything is served.
const SERVED: u8 = 0;
/// Something is pending or refused.
const LACKING: u8 = 1;
/// Something could not be read at all.
const UNREADABLE: u8 = 2;

/// Prints the plan and says how the program ends.
pub(crate) fn run(arguments: &PlanArgs) -> Result<ExitCode> {
    let mut options = Options::new(Role::Controller);
    options.namespace.clone_from(&arguments.namespace);
    options.class.clone_from(&arguments.lb_class);
    let mut manifests = Manifests::new(options);
    let errors = sources::read(&arguments.paths, &mut manifests);
    let report = engine::plan(&manifests);

    let mut complaints = anstream::stderr().lock();
    // There is nobody left to tell when standard error is gone.
    for error in &errors {
        let _gone = writeln!(complaints, "metalctl: {error}");
    }
    for note in manifests.notes() {
        let _gone = writeln!(complaints, "metalctl: {note}");
    }
    print(&report, arguments.output).context("cannot write the plan")?;

    let is_illegible = manifests.unusable().iter().any(|document| document.fault == Fault::Illegible);
    Ok(ExitCode::from(if is_illegible || !errors.is_empty() {
        UNREADABLE
    } else if report.is_served() {
        SERVED
    } else {
        LACKING
    }))
}

fn print(report: &report::Report, output: Output) -> std::io::Result<()> {
    match output {
        Output::Text => {
            let mut out = anstream::stdout().lock();
            write!(out, "{}", text::draw(report)).and_then(|()| out.flush())
        }
        Output::Json => {
            let mut out = std::io::stdout().lock();
            serde_json::to_writer(&mut out, report)?;
            writeln!(out).and_then(|()| out.flush())
        }
    }
}
