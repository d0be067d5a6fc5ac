//! What the lab with a router found out, as one JSON document.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde::Serialize;

use crate::lab::{
    measure::{self, Tally},
    plan,
    report::{Node, Service, Summary, milliseconds},
};

/// The whole document.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// The router.
    pub(super) router: Router,
    /// The hold time of all sessions, in seconds.
    pub(super) hold_time_s: u16,
    /// The nodes of the LAN.
    pub(super) nodes: Vec<Node>,
    /// The Services and what they got.
    pub(super) services: Vec<Service>,
    /// The routes in the router's kernel, before anything fails.
    pub(super) routes: Vec<Route>,
    /// Where connections from the client arrive, before anything fails.
    pub(super) connections: Option<Connections>,
    /// The failures.
    pub(super) runs: Vec<Run>,
    /// All runs together; `None` without runs.
    pub(super) summary: Option<Sums>,
}

/// The router.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Router {
    /// What it calls itself, with its version.
    pub(super) name: String,
    /// Who writes its kernel's table.
    pub(super) table_by: Writer,
}

/// Who writes the kernel's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Writer {
    /// The router.
    Router,
    /// The lab, by what the router says.
    Lab,
}

/// A route of the router's kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Route {
    /// Where to.
    pub(super) prefix: String,
    /// Through which nodes.
    pub(super) next_hops: Vec<String>,
}

/// TCP connections from the client to a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Connections {
    /// All.
    pub(super) total: usize,
    /// Those without an answer.
    pub(super) failed: usize,
    /// How many each node has served.
    pub(super) by_node: BTreeMap<String, usize>,
}

/// One failure.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Run {
    /// What was done.
    pub(super) cause: &'static str,
    /// The node that has failed.
    pub(super) node: String,
    /// The address that was probed.
    pub(super) address: IpAddr,
    /// From the failure until the router's kernel had no route through the node any more; `None` when it still had.
    pub(super) table_ms: Option<f64>,
    /// Datagrams of all flows from the failure on.
    pub(super) sent: usize,
    /// Those among them without an answer.
    pub(super) lost: usize,
    /// How many flows have lost one.
    pub(super) flows_hit: usize,
    /// The longest time between two answered datagrams of a flow.
    pub(super) longest_gap_ms: f64,
    /// Connections that were opened afterwards.
    pub(super) connections: Connections,
    /// From its repair until all nodes were next hops again; `None` when it was not repaired.
    pub(super) restored_ms: Option<f64>,
}

/// All runs, by nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Sums {
    /// Of `table_ms`, of the runs that have one.
    pub(super) table: Option<Summary>,
    /// Of `lost`.
    pub(super) lost: Lost,
}

/// Datagrams that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Lost {
    /// Half of the runs lost no more.
    pub(super) p50: usize,
    /// 99 % of the runs lost no more.
    pub(super) p99: usize,
    /// No run lost more.
    pub(super) max: usize,
}

/// What was measured of a failure.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub(super) address: IpAddr,
    pub(super) table: Option<Duration>,
    pub(super) datagrams: Tally,
    pub(super) flows_hit: usize,
    pub(super) connections: Connections,
}

impl Report {
    pub(super) fn new(name: &str, own_table: bool) -> Self {
        let table_by = if own_table { Writer::Router } else { Writer::Lab };
        Self {
            router: Router { name: name.to_owned(), table_by },
            hold_time_s: plan::HOLD_TIME,
            nodes: Vec::new(),
            services: Vec::new(),
            routes: Vec::new(),
            connections: None,
            runs: Vec::new(),
            summary: None,
        }
    }

    /// Adds a run, and sums up anew.
    pub(super) fn push(&mut self, run: Run) {
        self.runs.push(run);
        let table: Vec<Duration> = self
            .runs
            .iter()
            .filter_map(|run| run.table_ms)
            .map(|ms| Duration::from_secs_f64(ms / 1e3))
            .collect();
        let mut lost: Vec<usize> = self.runs.iter().map(|run| run.lost).collect();
        lost.sort_unstable();
        let at = |percent| measure::percentile(&lost, percent);
        let lost = Lost { p50: at(50), p99: at(99), max: at(100) };
        self.summary = Some(Sums { table: Summary::of(&table), lost });
    }

    /// Whether every node was used, and no failure was in the way of a connection afterwards.
    pub(super) fn is_success(&self) -> bool {
        let spread = |connections: &Connections| {
            connections.failed == 0 && connections.by_node.len() == self.nodes.len()
        };
        self.connections.as_ref().is_some_and(spread) && self.runs.iter().all(Run::is_success)
    }
}

impl Run {
    pub(super) fn new(cause: &'static str, node: &str, course: Course) -> Self {
        Self {
            cause,
            node: node.to_owned(),
            address: course.address,
            table_ms: course.table.map(milliseconds),
            sent: course.datagrams.sent,
            lost: course.datagrams.lost,
            flows_hit: course.flows_hit,
            longest_gap_ms: milliseconds(course.datagrams.longest_gap),
            connections: course.connections,
            restored_ms: None,
        }
    }

    /// Whether the router has noticed, and sends nothing there any more.
    pub(super) fn is_success(&self) -> bool {
        let connections = &self.connections;
        self.table_ms.is_some() && connections.failed == 0 && !connections.by_node.contains_key(&self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(nodes: &[&str]) -> Connections {
        let by_node: BTreeMap<_, _> = nodes.iter().map(|node| ((*node).to_owned(), 30)).collect();
        Connections { total: 30 * nodes.len(), failed: 0, by_node }
    }

    fn run(table: Option<u64>, lost: usize) -> Run {
        let course = Course {
            address: "198.51.100.1".parse().unwrap(),
            table: table.map(Duration::from_micros),
            datagrams: Tally { sent: 700, lost, longest_gap: Duration::from_millis(33) },
            flows_hit: 0,
            connections: connections(&["node2"]),
        };
        Run::new("kill", "node1", course)
    }

    fn example() -> Report {
        let mut report = Report::new("BIRD 2.0.12", true);
        let node = |name: &str| Node { name: name.into(), mac: "02:00:00:00:00:0b".into(), pid: 4711 };
        report.nodes = vec![node("node1"), node("node2")];
        report.routes =
            vec![Route { prefix: "198.51.100.1/32".into(), next_hops: vec!["node1".into(), "node2".into()] }];
        report.connections = Some(connections(&["node1", "node2"]));
        report.push(run(Some(2_500), 0));
        report
    }

    #[test]
    fn the_document_has_its_published_shape() {
        let document = serde_json::to_string(&example()).unwrap();
        assert_eq!(
            document,
            concat!(
                r#"{"router":{"name":"BIRD 2.0.12","table_by":"router"},"hold_time_s":3,"#,
                r#""nodes":[{"name":"node1","mac":"02:00:00:00:00:0b","pid":4711},"#,
                r#"{"name":"node2","mac":"02:00:00:00:00:0b","pid":4711}],"services":[],"#,
                r#""routes":[{"prefix":"198.51.100.1/32","next_hops":["node1","node2"]}],"#,
                r#""connections":{"total":60,"failed":0,"by_node":{"node1":30,"node2":30}},"#,
                r#""runs":[{"cause":"kill","node":"node1","address":"198.51.100.1","table_ms":2.5,"sent":700,"#,
                r#""lost":0,"flows_hit":0,"longest_gap_ms":33.0,"#,
                r#""connections":{"total":30,"failed":0,"by_node":{"node2":30}},"restored_ms":null}],"#,
                r#""summary":{"table":{"p50_ms":2.5,"p99_ms":2.5,"max_ms":2.5},"lost":{"p50":0,"p99":0,"max":0}}}"#
            )
        );
    }

    #[test]
    fn success_needs_every_node_before_and_the_others_afterwards() {
        assert!(example().is_success());
        let mut one_path = example();
        one_path.connections = Some(connections(&["node1"]));
        assert!(!one_path.is_success());
        let mut unnoticed = example();
        unnoticed.push(run(None, 9));
        assert!(!unnoticed.is_success());
        let mut still = example();
        still.runs[0].connections = connections(&["node1", "node2"]);
        assert!(!still.is_success());
    }

    #[test]
    fn a_run_without_an_end_counts_in_what_was_lost() {
        let mut report = example();
        report.push(run(None, 9));
        let sums = report.summary.unwrap();
        assert_eq!(sums.lost, Lost { p50: 0, p99: 9, max: 9 });
        assert_eq!(sums.table.map(|table| table.max_ms), Some(2.5));
    }
}
