//! Joins the LAN thread to its backend. No decisions.

use std::{thread, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use metal_core::{
    Instant,
    name::NodeName,
    speaker::{Found, Input, Setup},
};
use metal_daemon::{Clock, Readiness, serve, terminated};
use metal_k8s::{Change, Pod, Role, Sink};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info, warn};

use crate::{
    Args,
    bgp::{self, Bgp},
    lan::{self, Order, Ways},
    metrics::Metrics,
    report::{PeerState, Report},
};

/// Inputs that may wait for the LAN thread before the source waits for it.
const BACKLOG: usize = 1024;

/// Beacons every 100 ms, and three missed and unanswered mean gone.
const INTERVAL_MS: u16 = 100;
const MULTIPLIER: u8 = 3;

/// In the node's state directory: a process of this node has spoken BGP in this boot.
const MARKER: &str = "bgp-restarting";

/// How long the last writes may take once the daemon has to end.
const FLUSH: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: Args) -> Result<()> {
    let terminated = terminated()?;
    tokio::pin!(terminated);
    let node = NodeName::from(args.node.as_str());
    let pod = args.pod_name.zip(args.pod_uid).map(|(name, uid)| Pod { name, uid });
    let role = Role::Speaker { node: node.clone(), pod };
    let backend = args.common.backend(role, args.node_state.as_deref()).await?;
    let clock = Clock::start();
    let (orders, lan_orders) = mpsc::channel(BACKLOG);
    let (lan_reports, mut reports) = mpsc::unbounded_channel();
    let setup = setup(node.clone())?;
    let marker = args.node_state.as_ref().map(|directory| directory.join(MARKER));
    let mut bgp = Bgp::start(setup.seed, marker, lan_reports.clone())?;
    let metrics = Metrics::new(node.clone())?;
    let readiness = Readiness::waiting("the first complete list of Services, and the beacon key");
    {
        let (metrics, orders, routers) = (metrics.clone(), orders.clone(), bgp.orders());
        serve(
            args.common.metrics_address,
            args.common.manifests.is_some(),
            metrics.registry.clone(),
            readiness.clone(),
            move || count(metrics.clone(), orders.clone(), routers.clone()),
        )
        .await?;
    }
    let ways = Ways { reports: lan_reports, bgp: bgp.orders() };
    let mut lan = spawn(setup, clock, args.fast_path, lan_orders, ways)?;
    let (mut changes, sink) = backend.start(None)?;
    let mut key = tokio::spawn(async move { backend.beacon_key().await });
    let mut missing = Missing { list: true, key: true };
    let mut outbox = Outbox { sink, metrics, node, epoch: clock.epoch() };
    let mut stopping = false;
    loop {
        tokio::select! {
            signal = &mut terminated, if !stopping => {
                info!("{signal} received, handing over");
                stopping = true;
                // Who has ended already is noticed below.
                let _ = bgp.orders().send(bgp::Order::Stop);
                order(&orders, Input::Stop).await?;
            }
            Some(report) = reports.recv() => outbox.perform(report),
            ended = &mut lan => {
                ended.map_err(|_| anyhow!("the LAN thread panicked"))??;
                if stopping {
                    bgp.ended().await?;
                }
                while let Ok(report) = reports.try_recv() {
                    outbox.perform(report);
                }
                outbox.sink.flush(FLUSH).await;
                return if stopping { Ok(()) } else { bail!("the LAN thread ended by itself") };
            }
            ended = bgp.ended(), if !stopping => {
                ended?;
                bail!("the BGP thread ended by itself");
            }
            key = &mut key, if missing.key => {
                missing.key = false;
                readiness.set(missing.reason());
                order(&orders, Input::Key(key.context("the task that fetches the beacon key ended")?)).await?;
            }
            change = changes.recv(), if !stopping => {
                let Some(change) = change else { bail!("the source of Services and configuration ended") };
                outbox.metrics.client.updates.inc();
                if change == Change::Synced {
                    info!("everything has been listed");
                    outbox.metrics.client.config_loaded.set(1);
                    missing.list = false;
                    readiness.set(missing.reason());
                }
                if let Some(input) = input(change) {
                    order(&orders, input).await?;
                }
            }
        }
    }
}

/// What the speaker cannot work without.
struct Missing {
    list: bool,
    key: bool,
}

impl Missing {
    fn reason(&self) -> Option<String> {
        match (self.list, self.key) {
            (true, _) => Some("the first complete list of Services and configuration".to_owned()),
            (false, true) => Some("NoBeaconKey: the controller has not made the beacon key yet".to_owned()),
            (false, false) => None,
        }
    }
}

fn setup(node: NodeName) -> Result<Setup> {
    let (mut incarnation, mut seed) = ([0; 16], [0; 8]);
    getrandom::fill(&mut incarnation)
        .and_then(|()| getrandom::fill(&mut seed))
        .context("the kernel gives no random bytes")?;
    Ok(Setup {
        node,
        incarnation,
        seed: u64::from_ne_bytes(seed),
        interval_ms: INTERVAL_MS,
        multiplier: MULTIPLIER,
    })
}

fn spawn(
    setup: Setup,
    clock: Clock,
    fast_path: bool,
    orders: mpsc::Receiver<Order>,
    ways: Ways,
) -> Result<oneshot::Receiver<Result<()>>> {
    let (ended, end) = oneshot::channel();
    thread::Builder::new()
        .name("lan".to_owned())
        // The receiver is gone only when the process is about to end anyway.
        .spawn(move || drop(ended.send(lan::run(setup, clock, fast_path, orders, ways))))
        .context("cannot start the LAN thread")?;
    Ok(end)
}

async fn order(orders: &mpsc::Sender<Order>, input: Input<'static>) -> Result<()> {
    orders.send(Order::Input(Box::new(input))).await.map_err(|_| anyhow!("the LAN thread has ended"))
}

fn input(change: Change) -> Option<Input<'static>> {
    Some(match change {
        Change::Service(key, service) => Input::Service(key, service),
        Change::Endpoints(key, slice) => Input::Endpoints(key, slice),
        Change::Node(name, node) => Input::Node(name, node),
        Change::Config(object, config) => Input::Config(object, config),
        Change::Secret(name, password) => Input::Password(name, password),
        Change::Synced => Input::Synced,
        Change::Problem(problem) => {
            warn!("{problem}");
            return None;
        }
        // For the controller.
        Change::Written { .. } | Change::Namespace(..) | Change::Network(..) => return None,
    })
}

/// Brings the counters of the other threads into the metrics; what cannot be had in a second stays as it was.
async fn count(metrics: Metrics, orders: mpsc::Sender<Order>, routers: mpsc::UnboundedSender<bgp::Order>) {
    let within = Duration::from_secs(1);
    let (reply, counters) = oneshot::channel();
    let (bgp_reply, views) = oneshot::channel();
    let asked = orders.try_send(Order::Count(reply)).is_ok();
    let bgp_asked = routers.send(bgp::Order::Look(bgp_reply)).is_ok();
    if asked && let Ok(Ok(counters)) = tokio::time::timeout(within, counters).await {
        metrics.count(&counters);
    }
    if bgp_asked && let Ok(Ok(views)) = tokio::time::timeout(within, views).await {
        metrics.bgp.count(&views);
    }
}

/// Where the LAN thread's reports go.
struct Outbox {
    sink: Sink,
    metrics: Metrics,
    node: NodeName,
    /// The wall clock at the origin of the machine's, in microseconds since 1970.
    epoch: u64,
}

impl Outbox {
    fn perform(&mut self, report: Report) {
        match report {
            Report::Status { service, status } => {
                let addresses = status.as_ref().map_or(&[][..], |status| &status.addresses);
                self.metrics.announced(&service, "layer2", addresses);
                self.sink.l2_status(service, status);
            }
            Report::Event { service, event } => {
                debug!("event {} about Service {service}: {}", event.reason, event.message);
                self.sink.event(service, event);
            }
            // The controller writes the verdict to the object; here it is only for the log.
            Report::Verdict { object, refusals } => {
                for refusal in &refusals {
                    error!("{object} refused: {refusal}");
                }
                self.metrics.refused(object, !refusals.is_empty());
            }
            Report::Findings(found) => {
                let since = |at: Instant| self.epoch.saturating_add(at.as_micros()) / 1_000_000;
                let told =
                    |found: Found| (i64::try_from(since(found.since)).unwrap_or(i64::MAX), found.finding);
                self.sink.findings(found.into_iter().map(told).collect());
            }
            Report::NodeEvent(event) => {
                debug!("event {} about node {}: {}", event.reason, self.node, event.message);
                self.sink.node_event(&self.node, event);
            }
            Report::BgpStatus { service, status } => {
                let addresses = status.as_ref().map_or(&[][..], |status| &status.addresses);
                self.metrics.announced(&service, "bgp", addresses);
                self.sink.bgp_status(service, status.map(|status| status.peers));
            }
            Report::Secrets(names) => self.sink.want_secrets(names),
            Report::Session { peer, state } => {
                self.metrics.bgp.session(&peer, state.as_ref());
                self.sink.session_state(peer, state.map(PeerState::into_status));
            }
            Report::Networks(networks) => self.sink.networks(networks),
            Report::Note(note) => info!("{note}"),
        }
        self.metrics.client.errors_so_far(self.sink.errors());
    }
}
