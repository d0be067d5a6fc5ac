//! From the start of the process to its end: terms as the leader, and the time between them.

use anyhow::Result;
use metal_daemon::{Readiness, serve, terminated};
use metal_k8s::Role;
use tracing::info;

use crate::{Args, election::Election, metrics::Metrics, term::Term};

pub(crate) async fn run(args: Args) -> Result<()> {
    let Args { common, leader_elect } = args;
    let terminated = terminated()?;
    tokio::pin!(terminated);
    let backend = common.backend(Role::Controller, None).await?;
    let metrics = Metrics::new()?;
    let readiness = Readiness::waiting("the first look at the Lease");
    serve(
        common.metrics_address,
        common.manifests.is_some(),
        metrics.registry.clone(),
        readiness.clone(),
        async || (),
    )
    .await?;
    {
        let backend = backend.clone();
        // Speakers wait for the key, and the controller for nothing.
        tokio::spawn(async move { backend.beacon_key().await });
    }
    let elects = leader_elect.unwrap_or(common.manifests.is_none());
    let mut election = match backend.lease().filter(|_| elects) {
        Some(lease) => Election::start(lease)?,
        None => Election::unopposed(),
    };
    loop {
        metrics.leader.set(0);
        tokio::select! {
            signal = &mut terminated => {
                info!("{signal} received, ending");
                election.resign().await;
                return Ok(());
            }
            () = election.elected(&readiness) => {}
        }
        metrics.leader.set(1);
        // Whatever was known before may have changed in the hands of others: everything is listed anew.
        let mut term = Term::begin(&backend, election.fence(), metrics.clone(), readiness.clone())?;
        tokio::select! {
            signal = &mut terminated => {
                info!("{signal} received, ending");
                // While a write may still be under way nobody else must lead.
                if term.end().await {
                    election.resign().await;
                }
                return Ok(());
            }
            () = election.lost() => {}
            ended = term.run() => return ended,
        }
        drop(term);
        metrics.forget();
    }
}
