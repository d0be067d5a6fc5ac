//! The lab with a router between the LAN and the client: every node is a next hop of every Service, until it fails.

mod fib;
mod flows;
mod heard;
mod receiver;
mod report;
mod router;
mod table;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use ipnet::IpNet;
use metal_net::Network;

use self::{
    flows::{FLOWS, Flows},
    report::{Connections, Course, Report, Route, Run},
    router::{Found, Router},
};
use super::{
    conclude,
    console::{Console, Mark},
    count,
    daemons::{Places, Starter},
    ground::Ground,
    http,
    interrupt::Interrupt,
    lan::{Lan, Station},
    manifests, picture, plan, print,
    rig::Rig,
    wait::Waiter,
};
use crate::args::{self, Fail, LabArgs, Output};

/// How long a router may take to listen.
const START: Duration = Duration::from_secs(30);
/// How long all nodes may take to be next hops: longer than a speaker waits between two attempts to connect.
const ROUTED: Duration = Duration::from_secs(90);
/// How long the router may take to notice a failure; a few hold times.
const NOTICED: Duration = Duration::from_secs(15);
/// How long the flows may take to be answered all.
const CALM: Duration = Duration::from_secs(10);
/// For how long flows go on after the failure, so that a relapse shows.
const AFTERMATH: Duration = Duration::from_millis(500);
/// So many connections show where they go.
const CONNECTIONS: usize = 60;
/// After so many that fail there are no more.
const FAILED: usize = 3;

/// Runs it and says whether everything came out well. The process must have no second thread yet.
pub(super) fn run(arguments: &LabArgs, router: args::Router) -> Result<bool> {
    let found = Found::find(router)?;
    let Ground { programs, isolation, interrupt, console, scratch } = Ground::prepare(arguments)?;
    let names: Vec<String> = (0..usize::from(arguments.nodes)).map(plan::node_name).collect();
    console.lines(format_args!("{}\n", picture::draw_routed(&names, found.label())));
    let directory = scratch.subdirectory("manifests")?;
    manifests::write_routed(&directory, &names).context("cannot write the lab's manifests")?;
    let (state, logs) = (scratch.subdirectory("state")?, scratch.subdirectory("logs")?);
    let place = scratch.subdirectory("router")?;
    let places = Places { manifests: directory, state, logs };
    let starter = Starter { programs, places, console: console.clone() };

    let mut report = Report::new(&found.name, found.own_table);
    let outcome = Lab::build(&names, &found, &place, starter, &interrupt)
        .and_then(|lab| lab.tell(arguments, &mut report, isolation.is_user_namespace()));
    if let Err(error) = &outcome {
        console.failure(error);
    }
    if arguments.output == Output::Json {
        print(&report)?;
    }
    conclude(outcome, report.is_success())
}

/// Everything that runs.
struct Lab {
    rig: Rig,
    router: Router,
    /// The router's kernel.
    network: Network,
}

impl Lab {
    fn build(
        names: &[String],
        found: &Found,
        place: &std::path::Path,
        starter: Starter,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let console = starter.console.clone();
        let lan = Lan::build_routed(names)?;
        console.step(
            "lan",
            format_args!("{}, a router, and a client behind it, IPv4", count(names.len(), "node")),
        );
        let station = lan.router.as_ref().context("there is no router")?;
        let network = station.namespace.network()?;
        let mut router = Router::start(found, &lan, station, place)?;
        await_router(&mut router, station, &console, interrupt)?;
        let table = match found.own_table {
            true => "writes its kernel's table itself",
            false => "has no table of its own: the lab writes the kernel's by what it says",
        };
        console.step("router", format_args!("{} listens; it {table}", found.name));
        let rig = Rig::start(lan, starter, interrupt.clone())?;
        Ok(Self { rig, router, network })
    }

    /// The story, from the first route to the last failure.
    fn tell(mut self, arguments: &LabArgs, report: &mut Report, user_namespace: bool) -> Result<()> {
        report.nodes = self.rig.nodes();
        self.rig.await_addresses(false)?;
        report.services = self.rig.services();
        for prefix in self.prefixes()? {
            report.routes.push(self.await_route(prefix)?);
        }
        let connections = self.connect()?;
        self.tell_connections(&connections, None);
        report.connections = Some(connections);
        let causes = if arguments.fail == Fail::None { 0 } else { arguments.runs };
        for number in 1..=causes {
            let node = (number as usize - 1) % report.nodes.len();
            let text = self.rig.deed(arguments.fail, node);
            let text = format!("run {number} of {causes}: {text}");
            self.rig.console().marked(Mark::Deed, "fail", text);
            let mut run = self.fail(arguments.fail, node)?;
            if number < causes || arguments.keep {
                let begin = Instant::now();
                self.rig.mend(arguments.fail, node)?;
                for prefix in self.prefixes()? {
                    self.await_route(prefix)?;
                }
                run.restored_ms = Some(super::report::milliseconds(begin.elapsed()));
            }
            report.push(run);
        }
        report.nodes = self.rig.nodes();
        self.rig.console().lines(table::draw(report, arguments.fail));
        if arguments.keep {
            self.rig.keep(user_namespace)?;
        }
        self.rig.stop();
        Ok(())
    }

    /// Those of all addresses.
    fn prefixes(&self) -> Result<BTreeSet<IpNet>> {
        let addresses = self.rig.services().into_iter().flat_map(|service| service.addresses);
        addresses.map(|address| Ok(address.parse::<IpAddr>()?.into())).collect()
    }

    /// Waits until every node is a next hop of a prefix.
    fn await_route(&mut self, prefix: IpNet) -> Result<Route> {
        let Self { rig, router, network } = self;
        let nodes = rig.lan.nodes.len();
        let next_hops = rig.wait(|rig, waiter| {
            waiter.until(ROUTED, &format!("every node as a next hop of {prefix}"), || {
                router.check()?;
                let found = network.gateways(prefix).map_err(anyhow::Error::from)?;
                let names: Vec<String> = found.iter().map(|address| rig.lan.name_at(*address)).collect();
                match names.len() == nodes {
                    true => Ok(names),
                    false => Err(format!("it has {}", names.join(", ")).into()),
                }
            })
        })?;
        rig.console().step("route", format_args!("{prefix} through {}", next_hops.join(", ")));
        Ok(Route { prefix: prefix.to_string(), next_hops })
    }

    /// The first address of all, with its port.
    fn target(&self) -> Result<SocketAddr> {
        let address = self.rig.probed()?.first().copied().context("no Service has an address")?;
        Ok(SocketAddr::new(address, plan::SERVICES[0].1))
    }

    /// Opens connections from the client, each of its own, and asks for a page.
    fn connect(&self) -> Result<Connections> {
        let target = self.target()?;
        let mut connections = Connections::default();
        let mut add = || {
            let page = http::fetch(target);
            connections.total += 1;
            match page.served_by.filter(|_| page.status == Some(200)) {
                Some(node) => *connections.by_node.entry(node).or_default() += 1,
                None => connections.failed += 1,
            }
            // Each of these may take seconds, and one is bad enough.
            connections.failed < FAILED
        };
        self.rig.lan.client.namespace.within(|| (0..CONNECTIONS).all(|_| add()))?;
        Ok(connections)
    }

    fn tell_connections(&self, connections: &Connections, without: Option<&str>) {
        let Connections { total, failed, by_node } = connections;
        let shares: Vec<String> = by_node.iter().map(|(node, number)| format!("{node} {number}")).collect();
        let nodes = self.rig.lan.nodes.len() - usize::from(without.is_some());
        let good = *failed == 0
            && by_node.len() == nodes
            && without.is_none_or(|without| !by_node.contains_key(without));
        let mark = if good { Mark::Good } else { Mark::Bad };
        let text = format!("{total} connections: {}; {failed} failed", shares.join(", "));
        self.rig.console().marked(mark, "connect", text);
    }

    /// Fails a node, and measures what comes of it.
    fn fail(&mut self, cause: Fail, node: usize) -> Result<Run> {
        let target = self.target()?;
        let prefix = IpNet::from(target.ip());
        let name = self.rig.lan.nodes[node].name.clone();
        let gone = IpAddr::from(plan::node_address(node));
        let origin = Instant::now();
        let flows = Flows::start(origin, &self.rig.lan, target.ip())?;
        let Self { rig, router, network } = self;
        await_calm(rig, &flows, 0)?;

        let at = origin.elapsed();
        rig.fail(cause, node)?;
        let table = rig.wait(|_, waiter| {
            let noticed = waiter.within(NOTICED, &format!("the router to drop {name}"), || {
                let looked = router.check().and_then(|()| Ok(network.gateways(prefix)?));
                match looked {
                    Ok(next_hops) if next_hops.contains(&gone) => None,
                    Ok(_) => Some(Ok(origin.elapsed() - at)),
                    Err(error) => Some(Err(error)),
                }
            })?;
            noticed.transpose()
        })?;
        if table.is_some() && self.rig.lan.nodes.len() > 1 {
            await_calm(&mut self.rig, &flows, flows.sent())?;
        }
        self.rig.wait(|_, waiter| waiter.rest(AFTERMATH))?;
        let (datagrams, flows_hit) = flows.finish(at);
        let connections = self.connect()?;

        let console = self.rig.console();
        let lost = format!(
            "{} of {} datagrams lost, {flows_hit} of {FLOWS} flows hit, longest gap {:.1} ms",
            datagrams.lost,
            datagrams.sent,
            datagrams.longest_gap.as_secs_f64() * 1e3
        );
        match table {
            Some(table) => {
                let after = table.as_secs_f64() * 1e3;
                console.step("gone", format_args!("{name} is no next hop after {after:.1} ms; {lost}"));
            }
            None => {
                let text = format!("{name} is still a next hop after {} s; {lost}", NOTICED.as_secs());
                console.marked(Mark::Bad, "gone", text);
            }
        }
        self.tell_connections(&connections, Some(&name));
        let course = Course { address: target.ip(), table, datagrams, flows_hit, connections };
        Ok(Run::new(cause.name(), &name, course))
    }
}

/// Waits until somebody listens for BGP.
fn await_router(
    router: &mut Router,
    station: &Station,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<()> {
    Waiter { console, interrupt }.until(START, "the router to listen", || {
        router.check()?;
        match station.namespace.within(router::is_listening).map_err(anyhow::Error::from)? {
            true => Ok(()),
            false => Err("nobody listens on port 179".to_owned().into()),
        }
    })
}

/// Waits until all flows are answered that were asked since `number` was sent.
fn await_calm(rig: &mut Rig, flows: &Flows, number: u32) -> Result<()> {
    rig.wait(|_, waiter| {
        waiter.until(CALM, "answers to every flow", || match flows.answered_since(number) {
            answered if answered == FLOWS as usize => Ok(()),
            answered => Err(format!("{answered} of {FLOWS} are answered").into()),
        })
    })
}
