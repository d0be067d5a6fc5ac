//! The lab: metal on a LAN of network namespaces, with a failure that is measured.
//!
//! It has no opinion about addresses or owners. The real daemons decide; the lab builds the LAN, stands in for
//! the Pods, watches the wire as a client sees it, and breaks things.

mod bench;
mod bgp;
mod console;
mod daemons;
mod deed;
mod failure;
mod ground;
mod http;
mod interrupt;
mod lan;
mod manifests;
mod measure;
mod picture;
mod plan;
mod probe;
mod question;
mod report;
mod responder;
mod rig;
mod scratch;
mod state;
mod table;
mod wait;

use std::{io::Write, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use serde::Serialize;

use self::{
    daemons::{Places, Programs, Starter},
    failure::{Failure, Outcome},
    ground::Ground,
    interrupt::Interrupt,
    lan::Lan,
    manifests::Manifests,
    report::{Report, Summary},
    rig::Rig,
    scratch::Scratch,
};
use crate::args::{Bench, Fail, LabArgs, Output};

/// Why the lab ends without a result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// The user wants it to end.
    #[error("interrupted")]
    Interrupted,
    /// It cannot run like this: wrong arguments, or a kernel that refuses.
    #[error("{0}")]
    Refused(String),
}

impl Stop {
    /// The exit code of the program.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted => interrupt::EXIT_CODE,
            Self::Refused(_) => 2,
        }
    }
}

/// Runs the lab and says whether everything came out well. The process must have no second thread yet.
pub(crate) fn run(arguments: &LabArgs) -> Result<bool> {
    if let Some(Bench::Arp) = arguments.bench {
        return bench::run(arguments);
    }
    if let Some(router) = arguments.bgp {
        return bgp::run(arguments, router);
    }
    if let Some(directory) = arguments.manifests.as_deref().filter(|directory| !directory.is_dir()) {
        let text = format!("-f {}: there is no such directory", directory.display());
        return Err(Stop::Refused(text).into());
    }
    let Ground { programs, isolation, interrupt, console, scratch } = Ground::prepare(arguments)?;
    let ipv6 = !arguments.ipv4_only && lan::has_ipv6();
    let (names, places) = prepare(arguments, &scratch, ipv6)?;
    console.lines(format_args!("{}\n", picture::draw(&names, ipv6)));
    if !ipv6 && !arguments.ipv4_only {
        console.step("ipv4", "this kernel has no IPv6: the lab goes on with IPv4 alone");
    }

    let mut report = Report::default();
    let starter = Starter { programs, places, console: Arc::clone(&console) };
    let outcome = build(&names, ipv6, &starter, &interrupt)
        .and_then(|rig| tell(rig, arguments, &mut report, isolation.is_user_namespace()));
    if let Err(error) = &outcome {
        console.failure(error);
    }
    if arguments.output == Output::Json && !report.printed {
        print(&report)?;
    }
    conclude(outcome, report.is_success())
}

/// Whether all came out well; an error that has been told is none any more.
fn conclude(outcome: Result<()>, success: bool) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(success),
        Err(error) if error.downcast_ref::<Stop>().is_none() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The names of the nodes, and the directories of the daemons with the lab's manifests in them.
fn prepare(arguments: &LabArgs, scratch: &Scratch, ipv6: bool) -> Result<(Vec<String>, Places)> {
    let given = arguments
        .manifests
        .as_deref()
        .map(|directory| Manifests::new(directory).read().nodes)
        .unwrap_or_default();
    let own = (0..).map(plan::node_name).filter(|name| !given.contains(name));
    let names: Vec<String> = given.iter().cloned().chain(own).take(arguments.nodes.into()).collect();
    let manifests = match &arguments.manifests {
        Some(directory) => std::path::absolute(directory)?,
        None => {
            let directory = scratch.subdirectory("manifests")?;
            manifests::write(&directory, &names, ipv6).context("cannot write the lab's manifests")?;
            directory
        }
    };
    let (state, logs) = (scratch.subdirectory("state")?, scratch.subdirectory("logs")?);
    Ok((names, Places { manifests, state, logs }))
}

fn build(names: &[String], ipv6: bool, starter: &Starter, interrupt: &Interrupt) -> Result<Rig> {
    let begin = std::time::Instant::now();
    let lan = Lan::build(names, ipv6)?;
    let (console, took) = (&starter.console, begin.elapsed().as_millis());
    let families = if ipv6 { "IPv4 and IPv6" } else { "IPv4" };
    console.step(
        "lan",
        format_args!("{}, a client and a switch, {families}, built in {took} ms", count(names.len(), "node")),
    );
    Rig::start(lan, starter.clone(), interrupt.clone())
}

/// The story, from the first address to the last failure.
fn tell(mut rig: Rig, arguments: &LabArgs, report: &mut Report, user_namespace: bool) -> Result<()> {
    report.nodes = rig.nodes();
    rig.await_addresses(arguments.manifests.is_some())?;
    report.services = rig.services();
    rig.await_announcements()?;
    report.http = rig.fetch_all()?;
    let mut gaps: Vec<Duration> = Vec::new();
    if arguments.fail != Fail::None {
        for number in 1..=arguments.runs {
            let failure = Failure { cause: arguments.fail, number, of: arguments.runs };
            let Outcome { run, gap, node } = failure.run(&mut rig)?;
            gaps.push(gap);
            let taken_over = run.is_taken_over();
            report.runs.push(run);
            report.summary = Summary::of(&gaps);
            if taken_over {
                // Only a page that does not come is news: the document has the others.
                report.http.extend(rig.fetch_all()?.into_iter().filter(|fetch| fetch.status != Some(200)));
            }
            if number < arguments.runs || arguments.keep {
                rig.mend(arguments.fail, node)?;
            }
        }
    }
    report.nodes = rig.nodes();
    if !report.runs.is_empty() {
        rig.console().lines(table::draw(report));
    }
    if arguments.keep {
        if arguments.output == Output::Json {
            print(report)?;
            report.printed = true;
        }
        rig.keep(user_namespace)?;
    }
    rig.stop();
    Ok(())
}

/// A number of things in words.
fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Prints the document.
fn print(report: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, report).map_err(std::io::Error::from)?;
    writeln!(out).and_then(|()| out.flush()).context("cannot write the report")
}
