//! One failure, measured: probe, break, wait for the successor, mend.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result};
use metal_core::view::Mac;

use super::{console::Mark, measure, probe::Prober, report::Run, rig::Rig, wait::Pending};
use crate::args::Fail;

/// How long a successor may take. A run without one ends then.
const TAKEOVER: Duration = Duration::from_secs(10);
/// How long one node has to answer alone before something is broken.
const CALM: Duration = Duration::from_secs(10);
/// So many requests in a row, all answered by one node, are calm.
const CALM_ANSWERS: usize = 100;
/// For how long both probes go on after the takeover, so that a second owner or a relapse shows.
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
    /// The longest gap, the worse of both probes.
    pub(crate) gap: Duration,
    /// The node that has failed.
    pub(crate) node: usize,
}

impl Failure {
    /// Fails whoever answers for the probed address now.
    pub(crate) fn run(self, rig: &mut Rig) -> Result<Outcome> {
        let console = rig.console();
        let address = rig.probed()?;
        let prober = Prober::start(rig.lan.probe_sockets()?, address)?;
        let what = format!("one node that answers for {address}");
        let owner = rig.wait(|rig, waiter| waiter.until(CALM, &what, || calm(&prober, rig)))?;
        let node = rig.lan.node_of(owner).context("it is not a node of the lab that answers")?;
        let name = rig.lan.nodes[node].name.clone();
        let deed = match self.cause {
            Fail::Kill => format!("SIGKILL to the speaker of {name}, pid {}", rig.speakers[node].pid()),
            Fail::Link => format!("the port of {name} on the switch goes down"),
            Fail::None => "nothing".to_owned(),
        };
        console.marked(Mark::Deed, "fail", format_args!("run {} of {}: {deed}", self.number, self.of));

        let at = prober.now();
        match self.cause {
            Fail::Kill => rig.speakers[node].kill()?,
            Fail::Link => rig.lan.set_port(node, false)?,
            Fail::None => {}
        }
        let what = format!("another node than {name} to answer for {address}");
        let successor = rig.wait(|_, waiter| {
            let other = || prober.arp.newest(CALM_ANSWERS).into_iter().filter_map(|answer| answer.mac);
            let successor = waiter.within(TAKEOVER, &what, || other().find(|mac| *mac != owner))?;
            if successor.is_some() {
                let mark = prober.udp.count();
                let echoed = || prober.udp.newest(1).first().filter(|answer| answer.number >= mark).map(drop);
                let left = (at + TAKEOVER).saturating_sub(prober.now());
                waiter.within(left, &format!("the echo from {address}"), echoed)?;
                waiter.rest(AFTERMATH)?;
            }
            Ok(successor)
        })?;

        let (udp, arp) = prober.finish();
        let (udp_tally, arp_tally) = (measure::tally(&udp.probes(), at), measure::tally(&arp.probes(), at));
        let last = arp.answers.last().and_then(|answer| answer.mac);
        let mut run = Run::new(self.cause.name(), address, udp_tally, arp_tally);
        run.from = Some(name.clone());
        run.to = successor.and(last).filter(|mac| *mac != owner).map(|mac| rig.lan.name_of(mac));
        run.max_macs = arp.max_macs();
        let gaps = format!(
            "longest gap {:.1} ms by ARP, {:.1} ms by UDP",
            run.arp.longest_gap_ms, run.udp.longest_gap_ms
        );
        match &run.to {
            Some(to) => console.step("takeover", format_args!("{to} answers for {address}; {gaps}")),
            None if successor.is_some() => {
                console.marked(
                    Mark::Bad,
                    "takeover",
                    format_args!("{name} answers for {address} again; {gaps}"),
                );
            }
            None => {
                let text = format!("nobody has taken over {address} within {} s; {gaps}", TAKEOVER.as_secs());
                console.marked(Mark::Bad, "takeover", text);
            }
        }
        if run.max_macs > 1 {
            let text = format!("{} nodes have answered one request", run.max_macs);
            console.marked(Mark::Bad, "takeover", text);
        }
        Ok(Outcome { run, gap: udp_tally.longest_gap.max(arp_tally.longest_gap), node })
    }

    /// Mends what has been broken, and waits until the node takes part again.
    pub(crate) fn repair(self, rig: &mut Rig, node: usize) -> Result<()> {
        match self.cause {
            Fail::Kill => {
                rig.speakers[node].reap()?;
                rig.restart_speaker(node)?;
            }
            Fail::Link => rig.lan.set_port(node, true)?,
            Fail::None => {}
        }
        rig.await_all()?;
        let (name, pid) = (rig.lan.nodes[node].name.clone(), rig.speakers[node].pid());
        let text = match self.cause {
            Fail::Kill => format!("the speaker of {name} runs again, pid {pid}; all hear each other"),
            Fail::Link | Fail::None => format!("{name} is back on the LAN; all hear each other"),
        };
        rig.console().step("repair", text);
        Ok(())
    }
}

/// Who answers, once both probes are answered steadily and by one node only.
fn calm(prober: &Prober, rig: &Rig) -> Result<Mac, Pending> {
    let answers = prober.arp.newest(CALM_ANSWERS);
    let macs: BTreeSet<Mac> = answers.iter().filter_map(|answer| answer.mac).collect();
    let echoes = prober.udp.newest(CALM_ANSWERS).len();
    match macs.first() {
        Some(mac) if macs.len() == 1 && answers.len() == CALM_ANSWERS && echoes == CALM_ANSWERS => Ok(*mac),
        _ => {
            let names: Vec<String> = macs.into_iter().map(|mac| rig.lan.name_of(mac)).collect();
            let who = if names.is_empty() { "nobody".to_owned() } else { names.join(" and ") };
            let sent = prober.arp.count();
            Err(format!("{sent} ARP requests sent, answered by {who}; {echoes} datagrams echoed").into())
        }
    }
}
