//! The BGP side of the speaker: sessions with the peers that the speaker machine names, and what they are told.
//!
//! It has a thread of its own: neither the API server's lists nor the LAN delay a KEEPALIVE.

mod doors;
mod neighbor;
mod peers;
mod route;
mod story;
mod watch;

use std::{ops::ControlFlow, path::PathBuf, sync::Arc, thread};

use anyhow::{Context, Result, anyhow};
use metal_bgp::rib_out::aggregate::{Aggregates, Change};
use metal_bgp_io::View;
use metal_core::speaker::bgp::{RouteKey, Upsert};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use self::{peers::Peers, watch::Watch};
use crate::report::Report;

/// What the thread is told.
pub(crate) enum Order {
    /// A peer or an announcement.
    Upsert(Upsert),
    /// Everything that there is has been told.
    Complete,
    /// How do the peers stand?
    Look(oneshot::Sender<Vec<View>>),
    /// Say goodbye to all peers, and end.
    Stop,
}

/// The thread.
pub(crate) struct Bgp {
    orders: mpsc::UnboundedSender<Order>,
    ended: oneshot::Receiver<Result<()>>,
}

impl Bgp {
    /// Starts it. `marker` is a file that tells whether a process of this node has announced before, in this boot.
    pub(crate) fn start(
        seed: u64,
        marker: Option<PathBuf>,
        reports: mpsc::UnboundedSender<Report>,
    ) -> Result<Self> {
        let (orders, receiver) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        thread::Builder::new()
            .name("bgp".to_owned())
            // The receiver is gone only when the process is about to end anyway.
            .spawn(move || drop(end.send(run(seed, marker, receiver, reports))))
            .context("cannot start the BGP thread")?;
        Ok(Self { orders, ended })
    }

    /// Where its orders go.
    pub(crate) fn orders(&self) -> mpsc::UnboundedSender<Order> {
        self.orders.clone()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// What made it end by itself.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        (&mut self.ended).await.map_err(|_| anyhow!("the BGP thread panicked"))?
    }
}

fn run(
    seed: u64,
    marker: Option<PathBuf>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    reports: mpsc::UnboundedSender<Report>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime of the BGP thread")?;
    runtime.block_on(async {
        let (peers, mut events) = Peers::start(seed, marker, reports);
        let mut bgp =
            Running { peers, aggregates: Aggregates::new(), watch: Watch::default(), changes: Vec::new() };
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                count = orders.recv_many(&mut batch, BATCH) => {
                    let end = batch.drain(..).try_for_each(|order| bgp.perform(order));
                    bgp.announce();
                    if count == 0 || end.is_break() {
                        break;
                    }
                }
                Some(event) = events.recv() => {
                    bgp.peers.on_event(&event);
                    bgp.watch.aim(bgp.peers.aim());
                }
                seen = bgp.watch.next() => bgp.peers.on_seen(&seen),
                () = bgp.peers.door_due() => bgp.peers.set_doors(),
            }
        }
        bgp.peers.stop().await;
        Ok(())
    })
}

/// So many orders are taken together: what they announce goes out together, and KEEPALIVEs wait for no more.
const BATCH: usize = 1024;

/// What the thread works with.
struct Running {
    peers: Peers,
    aggregates: Aggregates<RouteKey, Arc<str>>,
    watch: Watch,
    /// What the sessions have to be told.
    changes: Vec<Change<Arc<str>>>,
}

impl Running {
    fn perform(&mut self, order: Order) -> ControlFlow<()> {
        match order {
            Order::Upsert(Upsert::Route(key, announcement)) => {
                let contribution = announcement.and_then(|announcement| {
                    let made = route::contribution(&announcement);
                    made.inspect_err(|why| error!("{}: {}: {why}", key.service, announcement.prefix)).ok()
                });
                self.changes.extend(self.aggregates.set(&key, contribution));
                return ControlFlow::Continue(());
            }
            Order::Upsert(Upsert::Peer(name, standing)) => {
                self.announce();
                self.peers.set(&name, standing.as_deref());
                self.watch.aim(self.peers.aim());
            }
            Order::Complete => {
                self.announce();
                self.peers.sessions().synced();
            }
            Order::Look(reply) => {
                let looking = self.peers.sessions().look();
                tokio::spawn(async move { drop(reply.send(looking.await)) });
            }
            Order::Stop => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    /// Tells the sessions what has changed so far.
    fn announce(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        let routes = changes.iter().map(|change| (&*change.to, change.prefix, change.route.as_deref()));
        self.peers.sessions().set_routes(routes);
    }
}
