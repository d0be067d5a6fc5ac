//! One failure, measured: probe, break, wait for the successor, mend.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use metal_core::view::Mac;

use super::{
    console::{Console, Mark},
    measure::{self, Tally},
    probe::Prober,
    question,
    report::{Course, Run},
    rig::Rig,
    wait::Pending,
};
use crate::args::Fail;

/// How long a successor may take. A run without one ends then.
const TAKEOVER: Duration = Duration::from_secs(10);
/// How long one node has to answer alone before something is broken.
const CALM: Duration = Duration::from_secs(10);
/// So many questions in a row, all answered by one node, are calm.
const CALM_ANSWERS: usize = 100;
/// For how long all probes go on after the takeover, so that a second owner or a relapse shows.
const AFTERMATH: Duration = Duration::from_millis(500);

/// A failure to be caused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    /// How.
    pub(crate) cause: Fail,
    /// Its number, from 1.
    pub(crate) number: u32,
    /// Of how many.
    pub(crate) of: u32,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// For the report.
    pub(crate) run: Run,
    /// The longest gap, the worst of all probes.
    pub(crate) gap: Duration,
    /// The node that has failed.
    pub(crate) node: usize,
}

impl Failure {
    /// Fails whoever answers for the probed address now. An IPv6 address is probed as well: as a rule the same node
    /// answers for it, and if not, its probes must not notice.
    pub(crate) fn run(self, rig: &mut Rig) -> Result<Outcome> {
        let console = rig.console();
        let origin = Instant::now();
        let start = |address| anyhow::Ok(Prober::start(origin, rig.lan.probe_sockets(address)?, address)?);
        let probers = rig.probed()?.into_iter().map(start).collect::<Result<Vec<_>>>()?;
        let addresses = in_words(&probers);
        let what = format!("one node that answers for {addresses}");
        let owners = rig.wait(|rig, waiter| {
            let owners = || probers.iter().map(|prober| calm(prober, rig)).collect::<Result<Vec<_>, _>>();
            waiter.until(CALM, &what, owners)
        })?;
        let owner = *owners.first().context("nothing is probed")?;
        let node = rig.lan.node_of(owner).context("it is not a node of the lab that answers")?;
        let name = rig.lan.nodes[node].name.clone();
        let deed = rig.deed(self.cause, node);
        console.marked(Mark::Deed, "fail", format_args!("run {} of {}: {deed}", self.number, self.of));

        let at = origin.elapsed();
        rig.fail(self.cause, node)?;
        let orphans: Vec<&Prober> =
            probers.iter().zip(&owners).filter(|(_, mac)| **mac == owner).map(|(prober, _)| prober).collect();
        let what = format!("another node than {name} to answer for {addresses}");
        rig.wait(|_, waiter| {
            let moved = |prober: &&Prober| {
                let answers = prober.questions.newest(CALM_ANSWERS);
                answers.into_iter().filter_map(|answer| answer.mac).any(|mac| mac != owner)
            };
            let all = || orphans.iter().all(moved).then_some(());
            if waiter.within(TAKEOVER, &what, all)?.is_some() {
                let marks: Vec<u32> = probers.iter().map(|prober| prober.udp.count()).collect();
                let is_echoed = |(prober, mark): (&Prober, &u32)| {
                    prober.udp.newest(1).first().is_some_and(|answer| answer.number >= *mark)
                };
                let echoed = || probers.iter().zip(&marks).all(is_echoed).then_some(());
                let left = (at + TAKEOVER).saturating_sub(origin.elapsed());
                waiter.within(left, &format!("the echo from {addresses}"), echoed)?;
                waiter.rest(AFTERMATH)?;
            }
            Ok(())
        })?;

        probers.iter().for_each(Prober::stop);
        let courses: Vec<Course> = probers
            .into_iter()
            .zip(owners)
            .map(|(prober, before)| course(prober, at, before, owner, rig))
            .collect();
        courses.iter().for_each(|course| self.tell(course, &name, &console));
        let first = courses.first().context("nothing is probed")?;
        let gap = courses.iter().map(Course::gap).max().unwrap_or_default();
        Ok(Outcome { run: Run::new(self.cause.name(), first, courses.get(1)), gap, node })
    }

    /// Says what became of an address.
    fn tell(self, course: &Course, failed: &str, console: &Console) {
        let Course { address, from, to, udp, questions, max_macs } = course;
        let milliseconds = |tally: &Tally| tally.longest_gap.as_secs_f64() * 1e3;
        let gaps = format!(
            "longest gap {:.1} ms by {}, {:.1} ms by UDP",
            milliseconds(questions),
            question::name(*address),
            milliseconds(udp)
        );
        match to {
            Some(to) if Some(to) == from.as_ref() => {
                console.step("takeover", format_args!("{address} stays at {to}; {gaps}"));
            }
            Some(to) => console.step("takeover", format_args!("{to} answers for {address}; {gaps}")),
            None => {
                let text = format!(
                    "nobody but {failed} has answered for {address} within {} s; {gaps}",
                    TAKEOVER.as_secs()
                );
                console.marked(Mark::Bad, "takeover", text);
            }
        }
        if *max_macs > 1 {
            let text = format!("{max_macs} nodes have answered one question for {address}");
            console.marked(Mark::Bad, "takeover", text);
        }
    }
}

/// What became of an address that `before` answered for, when `failed` has failed.
fn course(prober: Prober, at: Duration, before: Mac, failed: Mac, rig: &Rig) -> Course {
    let address = prober.address;
    let (udp, questions) = prober.finish();
    let last = questions.answers.last().and_then(|answer| answer.mac);
    Course {
        address,
        from: Some(rig.lan.name_of(before)),
        to: last.filter(|mac| *mac != failed).map(|mac| rig.lan.name_of(mac)),
        udp: measure::tally(&udp.probes(), at),
        questions: measure::tally(&questions.probes(), at),
        max_macs: questions.max_macs(),
    }
}

/// The addresses that are probed.
fn in_words(probers: &[Prober]) -> String {
    let addresses: Vec<String> = probers.iter().map(|prober| prober.address.to_string()).collect();
    addresses.join(" and ")
}

/// Who answers, once both probes are answered steadily and by one node only.
fn calm(prober: &Prober, rig: &Rig) -> Result<Mac, Pending> {
    let answers = prober.questions.newest(CALM_ANSWERS);
    let macs: BTreeSet<Mac> = answers.iter().filter_map(|answer| answer.mac).collect();
    let echoes = prober.udp.newest(CALM_ANSWERS).len();
    match macs.first() {
        Some(mac) if macs.len() == 1 && answers.len() == CALM_ANSWERS && echoes == CALM_ANSWERS => Ok(*mac),
        _ => {
            let names: Vec<String> = macs.into_iter().map(|mac| rig.lan.name_of(mac)).collect();
            let who = if names.is_empty() { "nobody".to_owned() } else { names.join(" and ") };
            let (sent, kind) = (prober.questions.count(), question::name(prober.address));
            let address = prober.address;
            Err(format!(
                "{address}: {sent} {kind} questions sent, answered by {who}; {echoes} datagrams echoed"
            )
            .into())
        }
    }
}
