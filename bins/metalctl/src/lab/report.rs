//! What the lab found out, as one JSON document.

use std::{net::Ipv4Addr, time::Duration};

use serde::Serialize;

use super::measure::{self, Tally};

/// The whole document.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    /// The nodes of the LAN.
    pub(crate) nodes: Vec<Node>,
    /// The Services and what they got.
    pub(crate) services: Vec<Service>,
    /// What the client fetched.
    pub(crate) http: Vec<Fetch>,
    /// The failures.
    pub(crate) runs: Vec<Run>,
    /// The longest gaps of all runs; `None` without runs.
    pub(crate) summary: Option<Summary>,
    /// It is on standard output already.
    #[serde(skip)]
    pub(crate) printed: bool,
}

/// A node.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    /// The Ethernet address of its link.
    pub(crate) mac: String,
    /// The process of its speaker.
    pub(crate) pid: u32,
}

/// A Service.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Service {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Its addresses.
    pub(crate) addresses: Vec<String>,
}

/// One page that was asked for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Fetch {
    /// Where it was asked for.
    pub(crate) url: String,
    /// The HTTP status; `None` when there was no answer.
    pub(crate) status: Option<u16>,
    /// The node whose responder answered.
    pub(crate) served_by: Option<String>,
}

/// One failure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    /// What was done.
    pub(crate) cause: &'static str,
    /// The address that was probed.
    pub(crate) address: Ipv4Addr,
    /// The node that answered for it before.
    pub(crate) from: Option<String>,
    /// The node that answered for it afterwards; `None` when nobody took over.
    pub(crate) to: Option<String>,
    /// The worse of the two probes.
    pub(crate) longest_gap_ms: f64,
    /// The worse of the two probes.
    pub(crate) lost: usize,
    /// The UDP echo.
    pub(crate) udp: Counts,
    /// The ARP request.
    pub(crate) arp: Counts,
    /// The most Ethernet addresses that answered one and the same ARP request.
    pub(crate) max_macs: usize,
}

/// The numbers of one probe.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Counts {
    /// Probes sent from the failure on.
    pub(crate) sent: usize,
    /// Probes without an answer.
    pub(crate) lost: usize,
    /// The longest time between two answered ones.
    pub(crate) longest_gap_ms: f64,
}

/// The longest gaps of all runs, by nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Half of the runs had no longer gap.
    pub(crate) p50_ms: f64,
    /// 99 % of the runs had no longer gap.
    pub(crate) p99_ms: f64,
    /// No run had a longer gap.
    pub(crate) max_ms: f64,
}

impl Run {
    /// The report of a failure that `udp` and `arp` have measured.
    pub(crate) fn new(cause: &'static str, address: Ipv4Addr, udp: Tally, arp: Tally) -> Self {
        Self {
            cause,
            address,
            from: None,
            to: None,
            longest_gap_ms: milliseconds(udp.longest_gap.max(arp.longest_gap)),
            lost: udp.lost.max(arp.lost),
            udp: udp.into(),
            arp: arp.into(),
            max_macs: 0,
        }
    }

    /// Whether another node answers now.
    pub(crate) const fn is_taken_over(&self) -> bool {
        self.to.is_some()
    }
}

impl From<Tally> for Counts {
    fn from(tally: Tally) -> Self {
        Self { sent: tally.sent, lost: tally.lost, longest_gap_ms: milliseconds(tally.longest_gap) }
    }
}

impl Summary {
    /// Sums up the longest gaps of some runs.
    pub(crate) fn of(gaps: &[Duration]) -> Option<Self> {
        let mut sorted = gaps.to_vec();
        sorted.sort_unstable();
        let at = |percent| milliseconds(measure::percentile(&sorted, percent));
        (!sorted.is_empty()).then(|| Self { p50_ms: at(50), p99_ms: at(99), max_ms: at(100) })
    }
}

impl Report {
    /// Whether everything that was tried came out well.
    pub(crate) fn is_success(&self) -> bool {
        self.runs.iter().all(Run::is_taken_over) && self.http.iter().all(|fetch| fetch.status == Some(200))
    }
}

/// A duration in milliseconds with three digits.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lost: usize, gap_us: u64) -> Tally {
        Tally { sent: 900, lost, longest_gap: Duration::from_micros(gap_us) }
    }

    fn example() -> Report {
        let run = Run::new("kill", Ipv4Addr::new(192, 168, 42, 200), tally(0, 1_100), tally(301, 302_345));
        let run = Run { from: Some("node1".into()), to: Some("node3".into()), max_macs: 1, ..run };
        Report {
            nodes: vec![Node { name: "node1".into(), mac: "02:00:00:00:00:01".into(), pid: 4711 }],
            services: vec![Service {
                namespace: "default".into(),
                name: "web".into(),
                addresses: vec!["192.168.42.200".into()],
            }],
            http: vec![Fetch {
                url: "http://192.168.42.200/".into(),
                status: Some(200),
                served_by: Some("node1".into()),
            }],
            runs: vec![run],
            summary: Summary::of(&[Duration::from_micros(302_345)]),
            printed: false,
        }
    }

    #[test]
    fn the_document_has_its_published_shape() {
        let document = serde_json::to_string(&example()).unwrap();
        assert_eq!(
            document,
            concat!(
                r#"{"nodes":[{"name":"node1","mac":"02:00:00:00:00:01","pid":4711}],"#,
                r#""services":[{"namespace":"default","name":"web","addresses":["192.168.42.200"]}],"#,
                r#""http":[{"url":"http://192.168.42.200/","status":200,"served_by":"node1"}],"#,
                r#""runs":[{"cause":"kill","address":"192.168.42.200","from":"node1","to":"node3","#,
                r#""longest_gap_ms":302.345,"lost":301,"#,
                r#""udp":{"sent":900,"lost":0,"longest_gap_ms":1.1},"#,
                r#""arp":{"sent":900,"lost":301,"longest_gap_ms":302.345},"max_macs":1}],"#,
                r#""summary":{"p50_ms":302.345,"p99_ms":302.345,"max_ms":302.345}}"#
            )
        );
    }

    #[test]
    fn without_runs_the_summary_is_null() {
        let document = serde_json::to_value(Report::default()).unwrap();
        assert_eq!(
            document,
            serde_json::json!({"nodes": [], "services": [], "http": [], "runs": [], "summary": null})
        );
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn success_needs_every_takeover_and_every_page() {
        assert!(example().is_success());
        let mut lonely = example();
        lonely.runs[0].to = None;
        assert!(!lonely.is_success());
        for status in [Some(503), None] {
            let mut unserved = example();
            unserved.http[0].status = status;
            assert!(!unserved.is_success());
        }
    }

    #[test]
    fn the_summary_is_of_all_runs() {
        let gaps: Vec<Duration> = (1..=20).rev().map(Duration::from_millis).collect();
        assert_eq!(Summary::of(&gaps), Some(Summary { p50_ms: 10.0, p99_ms: 20.0, max_ms: 20.0 }));
    }
}
