//! One term as the leader: joins the controller machine to its backend. No decisions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Result, bail};
use metal_core::{
    Machine,
    config::{ObjectRef, Refusal},
    controller::{Controller, Input, Output},
    name::ObjectKey,
    view::{Network, Scope, Service},
};
use metal_daemon::{Clock, Readiness};
use metal_k8s::{Backend, Change, Changes, Fence, Sink};
use tracing::{debug, error, info, warn};

use crate::metrics::Metrics;

/// How long the last writes may take once the daemon has to end.
const FLUSH: Duration = Duration::from_secs(2);

/// The machine with its inputs and outputs. Dropping it ends the term at once.
pub(crate) struct Term {
    changes: Changes,
    clock: Clock,
    machine: Controller,
    sink: Sink,
    metrics: Metrics,
    readiness: Readiness,
    /// Configuration objects that are not wholly in force.
    refused: BTreeSet<ObjectRef>,
    /// Services without an address: the pool that they ask for, if any, and the reason.
    pending: BTreeMap<ObjectKey, (String, String)>,
}

impl Term {
    /// Begins to list everything.
    pub(crate) fn begin(
        backend: &Backend,
        fence: Option<&Fence>,
        metrics: Metrics,
        readiness: Readiness,
    ) -> Result<Self> {
        readiness.set(Some("the first complete list of Services and pools".to_owned()));
        let (changes, sink) = backend.start(fence)?;
        let clock = Clock::start();
        Ok(Self {
            changes,
            clock,
            machine: Controller::new(clock.epoch()),
            sink,
            metrics,
            readiness,
            refused: BTreeSet::new(),
            pending: BTreeMap::new(),
        })
    }

    /// Works until the source ends, which is an error. Safe to cancel.
    pub(crate) async fn run(&mut self) -> Result<()> {
        loop {
            tokio::select! {
                change = self.changes.recv() => match change {
                    Some(change) => self.take(change),
                    None => bail!("the source of Services and pools ended"),
                },
                () = self.clock.until(self.machine.poll_timeout()) => {}
            }
            while let Ok(change) = self.changes.try_recv() {
                self.take(change);
            }
            self.act();
        }
    }

    /// Makes the last writes. True when none is under way any more.
    pub(crate) async fn end(self) -> bool {
        self.sink.end(FLUSH).await
    }

    fn take(&mut self, change: Change) {
        self.metrics.client.updates.inc();
        let input = match change {
            Change::Service(key, service) => {
                self.look_at(&key, service.as_ref());
                Input::Service(key, service)
            }
            Change::Config(object, config) => Input::Config(object, config),
            Change::Namespace(name, labels) => Input::Namespace(name, labels),
            Change::Network(object, network) => Input::Network(object, network),
            Change::Node(name, node) => {
                let object = ObjectRef { kind: "Node", namespace: "".into(), name: name.as_str().into() };
                let network = |node: metal_core::view::Node| Network {
                    addresses: node.addresses,
                    ..Network::default()
                };
                Input::Network(object, node.map(network))
            }
            Change::Synced => {
                info!("everything has been listed");
                self.metrics.client.config_loaded.set(1);
                self.readiness.set(None);
                Input::Synced
            }
            Change::Written { service, write } => Input::Written { service, write },
            Change::Problem(problem) => return warn!("{problem}"),
            Change::Endpoints(..) | Change::Secret(..) => return,
        };
        self.machine.handle_input(self.clock.now(), input);
    }

    fn act(&mut self) {
        while let Some(output) = self.machine.poll_output(self.clock.now()) {
            match output {
                Output::Assign { service, write, version, assignment } => {
                    self.sink.assign(service, write, version, assignment);
                }
                Output::Event { service, event } => {
                    debug!("event {} about Service {service}: {}", event.reason, event.message);
                    self.sink.event(service, event);
                }
                Output::Verdict { object, refusals } => self.verdict(object, refusals),
                Output::Usage { pool, object, usage, held } => {
                    self.metrics.usage(&pool, usage, held.len());
                    self.sink.usage(object, usage, held);
                }
                Output::SecretsInUse(names) => {
                    debug!("{} Secrets hold passwords in use", names.len());
                    self.sink.secrets_in_use(names);
                }
                Output::Note(note) => info!("{note}"),
            }
        }
        self.metrics.client.errors_so_far(self.sink.errors());
    }

    /// Counts the Services that wait for an address: their condition says it.
    fn look_at(&mut self, key: &ObjectKey, service: Option<&Service>) {
        let waits = service.filter(|service| service.scope == Scope::Ours).and_then(|service| {
            let condition = service.condition.as_ref().filter(|condition| !condition.status)?;
            let pool = service.request.as_ref().ok().and_then(|request| request.pool.as_ref());
            Some((pool.map(ToString::to_string).unwrap_or_default(), condition.reason.clone()))
        });
        let before = self.pending.get(key);
        if before == waits.as_ref() {
            return;
        }
        self.metrics.pending(before, waits.as_ref());
        match waits {
            Some(waits) => drop(self.pending.insert(key.clone(), waits)),
            None => drop(self.pending.remove(key)),
        }
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
