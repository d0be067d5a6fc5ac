//! How quick answers to ARP requests are: the real speaker beside the kernel that answers for its own address.
//!
//! Each responder has a LAN of its own (a client, a switch, a node), so that nobody hears what is meant for another one.
//! All are up at once and take turns, round by round: what disturbs the machine for a while disturbs all alike, and
//! medians over the rounds are compared.

mod client;
mod load;
mod report;
mod site;
mod stolen;
mod table;

use std::time::Duration;

use anyhow::Result;
use metal_net::{FastPath, Namespace};

use self::{
    client::Client,
    report::{Report, Round, Skipped},
    site::{Responder, Site},
    stolen::Processors,
};
use super::{
    Stop,
    console::{Console, Mark},
    ground::Ground,
    interrupt::Interrupt,
};
use crate::args::{LabArgs, Output};

/// Runs it and says whether all was measured and every goal was reached.
pub(super) fn run(arguments: &LabArgs) -> Result<bool> {
    let Ground { programs, isolation: _isolation, interrupt, console, scratch } = Ground::prepare(arguments)?;
    let mut report = Report::new(arguments.rounds, arguments.requests, arguments.addresses);

    let fast_path = Namespace::new()?.within(FastPath::probe)?;
    if let Err(error) = &fast_path {
        console.marked(Mark::Bad, "skipped", format_args!("fast path: {error}"));
        report.skipped.push(Skipped { responder: Responder::FastPath.name(), reason: error.to_string() });
    }
    let kinds = Responder::ALL.into_iter().filter(|kind| *kind != Responder::FastPath || fast_path.is_ok());
    let mut sites = Vec::new();
    for kind in kinds {
        for addresses in kind.sizes(arguments.addresses) {
            let directory = scratch.subdirectory(&format!("site{}", sites.len()))?;
            let site = Site::build(kind, addresses, &directory, &programs, &console)?;
            console.step("lan", format_args!("{}, addresses: {addresses}", kind.name()));
            sites.push(site);
        }
    }
    for site in &mut sites {
        site.await_calm(&console, &interrupt)?;
    }
    console.step("ready", "every responder answers, and the LANs are quiet");
    measure(arguments, &mut sites, &mut report, &console, &interrupt)?;
    for site in sites {
        site.stop();
    }
    report.judge();
    console.lines(table::draw(&report));
    if arguments.output == Output::Json {
        super::print(&report)?;
    }
    Ok(report.is_success())
}

fn measure(
    arguments: &LabArgs,
    sites: &mut [Site],
    report: &mut Report,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<()> {
    for round in 1..=arguments.rounds {
        for site in sites.iter_mut() {
            let mut best = turn(arguments, site, report)?;
            for _ in 0..REPEATS {
                if interrupt.is_raised() {
                    return Err(Stop::Interrupted.into());
                }
                if best.stolen <= STOLEN {
                    break;
                }
                let again = turn(arguments, site, report)?;
                if again.stolen < best.stolen {
                    best = again;
                }
            }
            site.rounds.push(best);
        }
        console.step("measure", format_args!("round {round} of {}", arguments.rounds));
    }
    report.responders = sites.iter().map(Site::result).collect();
    Ok(())
}

/// One turn of a responder.
fn turn(arguments: &LabArgs, site: &mut Site, report: &mut Report) -> Result<Round> {
    site.check()?;
    let requests = arguments.requests as usize;
    let before = Processors::now()?;
    let mut client = Client::new(site)?;
    // The first ones find cold caches on both sides.
    client.trips((requests / 10).max(10));
    let inline = client.trips(requests);
    let quiet = client.waits(requests)?;
    let flood = client.flood(requests * FLOOD)?;
    let loaded = load::with(site, |site| Client::urgent(site)?.waits(requests))?;
    report.realtime_client = loaded.realtime;
    Ok(Round::new(&inline, &quiet, flood, &loaded, Processors::now()?.stolen_since(before)))
}

/// A turn is taken again, so often at most, when others had more of the processors' time meanwhile.
const REPEATS: usize = 5;
const STOLEN: f64 = 0.02;

/// A flood has so many times the requests that are sent one after the other.
const FLOOD: usize = 25;

/// A request without an answer for so long is lost.
const LOST: Duration = Duration::from_millis(200);
