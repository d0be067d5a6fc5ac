//! The BGP side of the speaker: sessions with the peers that the speaker machine names, and what they are told.
//!
//! It has a thread of its own: neither the API server's lists nor the LAN delay a KEEPALIVE.

mod doors;
mod neighbor;
mod peers;
mod route;
mod story;
mod watch;

use std::{path::PathBuf, thread};

use anyhow::{Context, Result, anyhow};
use metal_bgp::rib_out::aggregate::Aggregates;
use metal_bgp_io::View;
use metal_core::speaker::bgp::Upsert;
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
        let (mut peers, mut events) = Peers::start(seed, marker, reports);
        let (mut aggregates, mut watch) = (Aggregates::new(), Watch::default());
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Upsert(Upsert::Peer(name, standing))) => {
                        peers.set(&name, standing.as_deref());
                        watch.aim(peers.aim());
                    }
                    Some(Order::Upsert(Upsert::Route(key, announcement))) => {
                        let contribution = announcement.and_then(|announcement| {
                            let made = route::contribution(&announcement);
                            made.inspect_err(|why| error!("{}: {}: {why}", key.service, announcement.prefix)).ok()
                        });
                        for change in aggregates.set(&key, contribution) {
                            peers.sessions().set_route(&change.to, change.prefix, change.route.as_deref());
                        }
                    }
                    Some(Order::Complete) => peers.sessions().synced(),
                    Some(Order::Look(reply)) => {
                        let looking = peers.sessions().look();
                        tokio::spawn(async move { drop(reply.send(looking.await)) });
                    }
                    Some(Order::Stop) | None => break,
                },
                Some(event) = events.recv() => {
                    peers.on_event(&event);
                    watch.aim(peers.aim());
                }
                seen = watch.next() => peers.on_seen(&seen),
                () = peers.door_due() => peers.open_doors(),
            }
        }
        peers.stop().await;
        Ok(())
    })
}
