//! The metrics of BGP sessions, with MetalLB's names.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use metal_bgp::peer::Counters;
use metal_bgp_io::View;
use metal_core::name::PeerName;
use metal_daemon::register;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::since;
use crate::report::PeerState;

/// What is counted of BGP sessions. The series of a peer go with it.
#[derive(Clone)]
pub(crate) struct BgpMetrics {
    up: IntGaugeVec,
    announced: IntGaugeVec,
    pending: IntGaugeVec,
    counters: Vec<(IntCounterVec, Read)>,
    shown: Arc<Mutex<BTreeMap<PeerName, Shown>>>,
}

/// The series of a peer.
struct Shown {
    labels: [String; 2],
    counters: Counters,
}

const LABELS: &[&str] = &["peer", "vrf"];

impl BgpMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
        let gauge = |name: &str, help: &str| {
            register(registry, IntGaugeVec::new(Opts::new(format!("metallb_bgp_{name}"), help), LABELS)?)
        };
        let mut counters = Vec::new();
        for (name, help, read) in COUNTERS {
            let counter = IntCounterVec::new(Opts::new(format!("metallb_bgp_{name}"), *help), LABELS)?;
            counters.push((register(registry, counter)?, *read));
        }
        Ok(Self {
            up: gauge("session_up", "1 while the BGP session is established, else 0")?,
            announced: gauge("announced_prefixes_total", "Prefixes that are announced in the BGP session")?,
            pending: gauge(
                "pending_prefixes_total",
                "Prefixes that are to be announced in the BGP session when it is established",
            )?,
            counters,
            shown: Arc::default(),
        })
    }

    /// Takes how a session stands; `None` when its peer is gone.
    pub(crate) fn session(&self, peer: &PeerName, state: Option<&PeerState>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let labels = state
            .map(|state| [format!("{}:{}", state.router, state.port), state.vrf.clone().unwrap_or_default()]);
        let before = shown.get(peer).map(|shown| &shown.labels);
        if before != labels.as_ref()
            && let Some(gone) = shown.remove(peer)
        {
            self.remove(&gone.labels.each_ref().map(String::as_str));
        }
        if let (Some(state), Some(labels)) = (state, labels) {
            let up = self.up.with_label_values(&labels.each_ref().map(String::as_str));
            up.set(state.is_established().into());
            let counters = Counters::default();
            shown.entry(peer.clone()).or_insert(Shown { labels, counters });
        }
    }

    /// Takes over the counters of the sessions.
    pub(crate) fn count(&self, views: &[View]) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for view in views {
            let Some(Shown { labels, counters }) = shown.get_mut(&PeerName::from(&*view.peer)) else {
                continue;
            };
            let labels = labels.each_ref().map(String::as_str);
            let before = std::mem::replace(counters, view.counters);
            for (counter, read) in &self.counters {
                counter.with_label_values(&labels).inc_by(since(read(&before), read(&view.counters)));
            }
            let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            self.announced.with_label_values(&labels).set(gauge(view.announced));
            self.pending.with_label_values(&labels).set(gauge(view.meant));
        }
    }

    fn remove(&self, labels: &[&str; 2]) {
        // Those that have not been counted yet are not there.
        for gauge in [&self.up, &self.announced, &self.pending] {
            let _ = gauge.remove_label_values(labels);
        }
        for (counter, _) in &self.counters {
            let _ = counter.remove_label_values(labels);
        }
    }
}

type Read = fn(&Counters) -> u64;

const COUNTERS: &[(&str, &str, Read)] = &[
    ("updates_total", "BGP UPDATE messages sent", |counters| counters.sent.update),
    ("updates_total_received", "BGP UPDATE messages received", |counters| counters.received.update),
    ("opens_sent", "BGP OPEN messages sent", |counters| counters.sent.open),
    ("opens_received", "BGP OPEN messages received", |counters| counters.received.open),
    ("notifications_sent", "BGP NOTIFICATION messages sent", |counters| counters.sent.notification),
    ("notifications_received", "BGP NOTIFICATION messages received", |counters| {
        counters.received.notification
    }),
    ("keepalives_sent", "BGP KEEPALIVE messages sent", |counters| counters.sent.keepalive),
    ("keepalives_received", "BGP KEEPALIVE messages received", |counters| counters.received.keepalive),
    ("route_refresh_sent", "BGP ROUTE-REFRESH messages sent", |counters| counters.sent.route_refresh),
    ("route_refresh_received", "BGP ROUTE-REFRESH messages received", |counters| {
        counters.received.route_refresh
    }),
    ("total_sent", "BGP messages sent", |counters| total(counters.sent)),
    ("total_received", "BGP messages received", |counters| total(counters.received)),
    ("sessions_total", "Times that a BGP session was established", |counters| counters.sessions),
    (
        "malformed_updates_total",
        "UPDATE messages of the peer with an error that did not end the session",
        |counters| {
            let found = counters.findings;
            found.discard + found.withdraw + found.disable_family
        },
    ),
];

const fn total(messages: metal_bgp::peer::Messages) -> u64 {
    messages.open + messages.update + messages.notification + messages.keepalive + messages.route_refresh
}
