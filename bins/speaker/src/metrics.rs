//! The speaker's metrics, with MetalLB's names where MetalLB has them.

mod bgp;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use metal_core::{
    config::ObjectRef,
    name::{NodeName, ObjectKey},
};
use metal_daemon::{ClientMetrics, register};
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

pub(crate) use self::bgp::BgpMetrics;
use crate::report::Counters;

/// What the speaker counts.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    pub(crate) client: ClientMetrics,
    pub(crate) bgp: BgpMetrics,
    announced: IntGaugeVec,
    requests: IntCounterVec,
    responses: IntCounterVec,
    gratuitous: IntCounterVec,
    members: IntGaugeVec,
    beacons: IntCounterVec,
    conflicts: IntCounterVec,
    findings: IntGaugeVec,
    ignored: IntCounterVec,
    node: NodeName,
    shown: Arc<Mutex<Shown>>,
}

/// Which series are there, so that they can be removed again.
#[derive(Default)]
struct Shown {
    announced: BTreeMap<(ObjectKey, &'static str), Vec<String>>,
    refused: BTreeSet<ObjectRef>,
    /// The counters of each address at the last look.
    arp: BTreeMap<IpAddr, [u64; 3]>,
}

impl Metrics {
    pub(crate) fn new(node: NodeName) -> Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
        };
        Ok(Self {
            client: ClientMetrics::new(&registry)?,
            bgp: BgpMetrics::new(&registry)?,
            announced: gauges(
                "metallb_speaker_announced",
                "1 for each address this node announces",
                &["service", "protocol", "node", "ip"],
            )?,
            requests: counters(
                "metallb_layer2_requests_received",
                "ARP requests and neighbour solicitations for owned addresses",
                &["ip"],
            )?,
            responses: counters(
                "metallb_layer2_responses_sent",
                "ARP replies and neighbour advertisements to who asked",
                &["ip"],
            )?,
            gratuitous: counters(
                "metallb_layer2_gratuitous_sent",
                "Gratuitous ARP frames and unsolicited neighbour advertisements",
                &["ip"],
            )?,
            members: gauges(
                "metal_speaker_members",
                "Speakers alive on a link, this one not counted",
                &["interface"],
            )?,
            beacons: counters(
                "metal_speaker_beacons_total",
                "Frames between speakers, by what became of them",
                &["result"],
            )?,
            conflicts: counters(
                "metal_speaker_conflicts_total",
                "Times that a host which is no node of this cluster had an address of this node, at most once a second \
                 for each address",
                &["interface"],
            )?,
            findings: gauges(
                "metal_speaker_findings",
                "Addresses of Services with something odd about them, by what it is",
                &["reason"],
            )?,
            ignored: counters(
                "metal_speaker_frames_ignored_total",
                "ARP and Neighbour Discovery frames that were not answered, by the reason",
                &["reason"],
            )?,
            node,
            shown: Arc::default(),
            registry,
        })
    }

    /// Shows what the node announces for a Service.
    pub(crate) fn announced(&self, service: &ObjectKey, protocol: &'static str, addresses: &[IpAddr]) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let name = service.to_string();
        let key = (service.clone(), protocol);
        let gone = shown.announced.remove(&key).unwrap_or_default();
        let labels = |ip| [name.as_str(), protocol, self.node.as_str(), ip];
        for ip in &gone {
            // The series was set when it was noted here.
            let _ = self.announced.remove_label_values(&labels(ip));
        }
        let ips: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        for ip in &ips {
            self.announced.with_label_values(&labels(ip)).set(1);
        }
        if !ips.is_empty() {
            shown.announced.insert(key, ips);
        }
    }

    /// Notes whether a configuration object is refused.
    pub(crate) fn refused(&self, object: ObjectRef, refused: bool) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if refused {
            shown.refused.insert(object);
        } else {
            shown.refused.remove(&object);
        }
        self.client.config_stale.set(i64::from(!shown.refused.is_empty()));
    }

    /// Takes over the counters of the LAN thread.
    pub(crate) fn count(&self, counters: &Counters) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for (address, now) in &counters.arp {
            let ip = address.to_string();
            let before = shown.arp.insert(*address, *now).unwrap_or_default();
            for (metric, (now, before)) in
                [&self.requests, &self.responses, &self.gratuitous].into_iter().zip(now.iter().zip(before))
            {
                metric.with_label_values(&[&ip]).inc_by(since(before, *now));
            }
        }
        self.members.reset();
        for (interface, members) in &counters.members {
            self.members.with_label_values(&[interface]).set(i64::try_from(*members).unwrap_or(i64::MAX));
        }
        let conflicts = counters.conflicts.iter().map(|(link, count)| (link.as_str(), *count));
        raise(&self.conflicts, conflicts);
        raise(&self.beacons, counters.beacons.iter().copied());
        raise(&self.ignored, counters.ignored.iter().copied());
        self.findings.reset();
        for (reason, count) in &counters.findings {
            self.findings.with_label_values(&[reason]).set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
    }
}

/// Brings counters with one label to where they stand now.
fn raise<'a>(metric: &IntCounterVec, counts: impl Iterator<Item = (&'a str, u64)>) {
    for (label, count) in counts {
        let metric = metric.with_label_values(&[label]);
        metric.inc_by(since(metric.get(), count));
    }
}

/// What has been counted since the last look. A counter that stands lower has begun anew: an address that was
/// given up and taken again counts from zero.
const fn since(before: u64, now: u64) -> u64 {
    if now < before { now } else { now - before }
}
