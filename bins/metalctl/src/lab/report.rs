//! What the lab found out, as one JSON document.

use std::{net::IpAddr, time::Duration};

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
    /// The address that was probed and whose owner has failed.
    pub(crate) address: IpAddr,
    /// The node that answered for it before.
    pub(crate) from: Option<String>,
    /// The node that answered for it afterwards; `None` when nobody took over.
    pub(crate) to: Option<String>,
    /// The worst of all probes, of both families.
    pub(crate) longest_gap_ms: f64,
    /// The worst of all probes, of both families.
    pub(crate) lost: usize,
    /// The UDP echo.
    pub(crate) udp: Counts,
    /// The ARP request; `None` when the address is an IPv6 one.
    pub(crate) arp: Option<Counts>,
    /// The most Ethernet addresses that answered one and the same question.
    pub(crate) max_macs: usize,
    /// What became of an IPv6 address meanwhile, if there is one.
    pub(crate) ipv6: Option<Ipv6>,
}

/// What became of an IPv6 address in a failure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ipv6 {
    /// The address that was probed.
    pub(crate) address: IpAddr,
    /// The node that answered for it before.
    pub(crate) from: Option<String>,
    /// The node that answered for it afterwards: the same one, unless that is the one that has failed.
    pub(crate) to: Option<String>,
    /// The worse of the two probes.
    pub(crate) longest_gap_ms: f64,
    /// The worse of the two probes.
    pub(crate) lost: usize,
    /// The UDP echo.
    pub(crate) udp: Counts,
    /// The neighbour solicitation.
    pub(crate) ndp: Counts,
    /// The most Ethernet addresses that answered one and the same solicitation.
    pub(crate) max_macs: usize,
}

/// What became of an address in a failure, as measured.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// The address.
    pub(crate) address: IpAddr,
    /// The node that answered for it before.
    pub(crate) from: Option<String>,
    /// The node that answered for it afterwards.
    pub(crate) to: Option<String>,
    /// The UDP echo.
    pub(crate) udp: Tally,
    /// The questions who has the address.
    pub(crate) questions: Tally,
    /// The most Ethernet addresses that answered one and the same question.
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

impl Course {
    /// The longest gap, the worse of both probes.
    pub(crate) fn gap(&self) -> Duration {
        self.udp.longest_gap.max(self.questions.longest_gap)
    }

    fn lost(&self) -> usize {
        self.udp.lost.max(self.questions.lost)
    }
}

impl Run {
    /// The report of a failure: what became of the address whose owner has failed, and of an IPv6 address besides.
    pub(crate) fn new(cause: &'static str, first: &Course, second: Option<&Course>) -> Self {
        let v6 = [Some(first), second].into_iter().flatten().find(|course| course.address.is_ipv6());
        let worst = |gap: fn(&Course) -> Duration| gap(first).max(second.map(gap).unwrap_or_default());
        Self {
            cause,
            address: first.address,
            from: first.from.clone(),
            to: first.to.clone(),
            longest_gap_ms: milliseconds(worst(Course::gap)),
            lost: first.lost().max(second.map(Course::lost).unwrap_or_default()),
            udp: first.udp.into(),
            arp: first.address.is_ipv4().then(|| first.questions.into()),
            max_macs: first.max_macs.max(second.map(|course| course.max_macs).unwrap_or_default()),
            ipv6: v6.map(Ipv6::from),
        }
    }

    /// Whether another node answers now, and somebody for the IPv6 address.
    pub(crate) fn is_taken_over(&self) -> bool {
        self.to.is_some() && self.ipv6.as_ref().is_none_or(|ipv6| ipv6.to.is_some())
    }
}

impl From<&Course> for Ipv6 {
    fn from(course: &Course) -> Self {
        Self {
            address: course.address,
            from: course.from.clone(),
            to: course.to.clone(),
            longest_gap_ms: milliseconds(course.gap()),
            lost: course.lost(),
            udp: course.udp.into(),
            ndp: course.questions.into(),
            max_macs: course.max_macs,
        }
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
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lost: usize, gap_us: u64) -> Tally {
        Tally { sent: 900, lost, longest_gap: Duration::from_micros(gap_us) }
    }

    fn course(address: &str, questions: Tally) -> Course {
        Course {
            address: address.parse().unwrap(),
            from: Some("node1".into()),
            to: Some("node3".into()),
            udp: tally(0, 1_100),
            questions,
            max_macs: 1,
        }
    }

    fn example() -> Report {
        let v4 = course("192.168.42.200", tally(301, 302_345));
        let run = Run::new("kill", &v4, Some(&course("fd00:42::200", tally(299, 300_001))));
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
                r#""arp":{"sent":900,"lost":301,"longest_gap_ms":302.345},"max_macs":1,"#,
                r#""ipv6":{"address":"fd00:42::200","from":"node1","to":"node3","longest_gap_ms":300.001,"#,
                r#""lost":299,"udp":{"sent":900,"lost":0,"longest_gap_ms":1.1},"#,
                r#""ndp":{"sent":900,"lost":299,"longest_gap_ms":300.001},"max_macs":1}}],"#,
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
    fn the_worse_family_counts() {
        let (mut v4, v6) = (course("192.0.2.1", tally(3, 2)), course("2001:db8::1", tally(4, 5_000)));
        v4.max_macs = 2;
        let run = Run::new("link", &v4, Some(&v6));
        assert_eq!((run.longest_gap_ms, run.lost, run.max_macs), (5.0, 4, 2));
        let alone = Run::new("link", &v6, None);
        assert!(alone.arp.is_none() && alone.address == v6.address);
        assert_eq!(alone.ipv6.map(|ipv6| ipv6.address), Some(v6.address));
        assert!(Run::new("link", &v4, None).ipv6.is_none());
    }

    #[test]
    fn success_needs_every_takeover_and_every_page() {
        assert!(example().is_success());
        let mut lonely = example();
        lonely.runs[0].to = None;
        assert!(!lonely.is_success());
        let mut half = example();
        half.runs[0].ipv6.as_mut().unwrap().to = None;
        assert!(!half.is_success());
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
