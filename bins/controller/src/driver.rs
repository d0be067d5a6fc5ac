//! Joins the controller machine to its backend. No decisions.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, bail};
use metal_core::{
    Machine,
    config::{ObjectRef, Refusal},
    controller::{Controller, Input, Output},
};
use metal_daemon::{Clock, Common, Readiness, serve, terminated};
use metal_k8s::{Change, Role, Sink};
use tracing::{debug, error, info, warn};

use crate::metrics::Metrics;

/// How long the last writes may take once the daemon has to end.
const FLUSH: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: Common) -> Result<()> {
    let terminated = terminated()?;
    tokio::pin!(terminated);
    let backend = args.backend(Role::Controller, None).await?;
    let metrics = Metrics::new()?;
    let readiness = Readiness::waiting("the first complete list of Services and pools");
    serve(
        args.metrics_address,
        args.manifests.is_some(),
        metrics.registry.clone(),
        readiness.clone(),
        async || (),
    )
    .await?;
    let (mut changes, sink) = backend.start()?;
    let mut driver = Driver {
        clock: Clock::start(),
        machine: Controller::new(),
        sink,
        metrics,
        readiness,
        refused: BTreeSet::new(),
    };
    // Speakers wait for the key, and the controller for nothing.
    tokio::spawn(async move { backend.beacon_key().await });
    loop {
        tokio::select! {
            signal = &mut terminated => {
                info!("{signal} received, ending");
                driver.sink.flush(FLUSH).await;
                return Ok(());
            }
            change = changes.recv() => match change {
                Some(change) => driver.take(change),
                None => bail!("the source of Services and pools ended"),
            },
            () = driver.clock.until(driver.machine.poll_timeout()) => {}
        }
        while let Ok(change) = changes.try_recv() {
            driver.take(change);
        }
        driver.act();
    }
}

struct Driver {
    clock: Clock,
    machine: Controller,
    sink: Sink,
    metrics: Metrics,
    readiness: Readiness,
    /// Configuration objects that are not wholly in force.
    refused: BTreeSet<ObjectRef>,
}

impl Driver {
    fn take(&mut self, change: Change) {
        self.metrics.client.updates.inc();
        let input = match change {
            Change::Service(key, service) => Input::Service(key, service),
            Change::Config(object, config) => Input::Config(object, config),
            Change::Synced => {
                info!("everything has been listed");
                self.metrics.client.config_loaded.set(1);
                self.readiness.set(None);
                Input::Synced
            }
            Change::Written { service, addresses, pool } => Input::Written { service, addresses, pool },
            Change::Problem(problem) => return warn!("{problem}"),
            Change::Endpoints(..) | Change::Node(..) => return,
        };
        self.machine.handle_input(self.clock.now(), input);
    }

    fn act(&mut self) {
        while let Some(output) = self.machine.poll_output(self.clock.now()) {
            match output {
                Output::Assign { service, addresses, pool } => self.sink.assign(service, addresses, pool),
                Output::Event { service, event } => {
                    debug!("event {} about Service {service}: {}", event.reason, event.message);
                    self.sink.event(service, event);
                }
                Output::Verdict { object, refusals } => self.verdict(object, refusals),
                Output::Usage { pool, object, usage } => {
                    self.metrics.usage(&pool, usage);
                    self.sink.usage(object, usage);
                }
                Output::Note(note) => info!("{note}"),
            }
        }
        self.metrics.client.errors_so_far(self.sink.errors());
    }

    fn verdict(&mut self, object: ObjectRef, refusals: Vec<Refusal>) {
        for refusal in &refusals {
            error!("{object} refused: {refusal}");
        }
        if refusals.is_empty() {
            if self.refused.remove(&object) {
                info!("{object} accepted");
            }
        } else {
            self.refused.insert(object.clone());
        }
        self.metrics.client.config_stale.set(i64::from(!self.refused.is_empty()));
        self.sink.verdict(object, refusals);
    }
}
