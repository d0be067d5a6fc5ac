//! The controller: Services and configuration in, addresses out.
//!
//! What it promises:
//!
//! - Nothing is given out before everything has been listed. Addresses that Services have already are
//!   claimed first, the older Service first where two claim the same; then come those that wait, oldest
//!   first, each with the lowest free address.
//! - An address never changes by itself: it stays when its pool shrinks, is deleted or is reserved for
//!   others. Only a change of what the Service asks for moves it, and only once the new address is there.
//! - An address is on one Service at any moment: what a Service gives up is free for others only once the
//!   Service is seen without it.
//! - A write is asked for once, and only when it changes what the Service shows or is about to show.
//! - Work is in proportion to what changed: a freed address is offered to those who wait, nobody else is
//!   looked at.

mod agenda;
mod contest;
mod decide;
mod effect;
mod findings;
mod held;
mod look;
mod plan;
mod record;
mod show;
#[cfg(test)]
mod tests;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    format,
    string::String,
    sync::Arc,
    vec::Vec,
};
use core::{mem, net::IpAddr};

pub use crate::ipam::Usage;
use crate::{
    config::{Configuration, Held, Object, ObjectRef, Refusal},
    event::Event,
    ipam::Ipam,
    machine::Machine,
    name::{ObjectKey, PoolName},
    selector::Labels,
    time::Instant,
    timer::Timers,
    view::{Condition, Network, Service, Version},
};
use agenda::{Agenda, Step};
use findings::Findings;
use held::Holds;
pub use look::ServiceState;
use record::{News, Record, listed};

/// What the controller is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A Service as it is now; `None` when it is gone.
    Service(ObjectKey, Option<Service>),
    /// A configuration object as it is now; `None` when it is gone.
    Config(ObjectRef, Option<Object>),
    /// Every kind has been listed completely once. Nothing is decided before.
    Synced,
    /// The labels of a namespace as they are now; `None` when it is gone.
    Namespace(Arc<str>, Option<Labels>),
    /// What an object says about the network of nodes as it is now; `None` when it is gone. Automatic
    /// allocation leaves the addresses of nodes and routers alone, the first and last of IPv4 subnets, and what
    /// speakers have found in the hands of strangers.
    Network(ObjectRef, Option<Network>),
    /// What the [`Output::Assign`] with this number asked for has been written, and nothing older will be.
    ///
    /// The Service itself shows that, too, unless the write changed nothing in the end. Addresses that it
    /// gives up go to others on whichever is known first.
    Written {
        /// The Service.
        service: ObjectKey,
        /// The number of the write.
        write: u64,
    },
}

/// What the controller wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this to the status and the annotations of a Service. It replaces what was asked for before.
    Assign {
        /// The Service.
        service: ObjectKey,
        /// The number of the write, for [`Input::Written`]; later writes have higher numbers.
        write: u64,
        /// The version of the Service that this was decided on. Of anything newer that we did not write
        /// ourselves it must not be written: that version is an input, which repeats the output if needed.
        version: Version,
        /// What to write.
        assignment: Assignment,
    },
    /// Tell the user about a Service.
    Event {
        /// The Service.
        service: ObjectKey,
        /// What happened.
        event: Event,
    },
    /// Whether a configuration object is in force: all of it when `refusals` is empty.
    Verdict {
        /// The object.
        object: ObjectRef,
        /// What is refused, and why.
        refusals: Vec<Refusal>,
    },
    /// How full a pool is; `None` when the pool is gone.
    Usage {
        /// The pool.
        pool: PoolName,
        /// The object that defines it.
        object: ObjectRef,
        /// Its counters.
        usage: Option<Usage>,
        /// The addresses that are kept for their former owners.
        held: Vec<Held>,
    },
    /// The names of the Secrets that peers in force have their passwords from: the speakers have to read these, and no
    /// other. Said once everything is listed, and whenever it changes.
    SecretsInUse(BTreeSet<Arc<str>>),
    /// Something to log that is neither an event nor a verdict.
    Note(String),
}

/// What a Service shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Its addresses, in the order of the Service's families; none clears list and annotation.
    pub addresses: Vec<IpAddr>,
    /// The pools they come from: none, one for all, or one for each.
    pub pools: Vec<PoolName>,
    /// The last known labels of the pool, once it is gone.
    pub pool_labels: Option<Labels>,
    /// The condition `Assigned`; `None` removes it.
    pub condition: Option<Condition>,
    /// The condition `Announced`; `None` removes it.
    pub announced: Option<Condition>,
}

/// The controller machine.
#[derive(Debug, Default)]
pub struct Controller {
    /// The unix time of [`Instant::ZERO`], in microseconds.
    epoch: u64,
    is_synced: bool,
    config: Configuration,
    is_config_changed: bool,
    /// What has been said of them.
    secrets_in_use: Option<BTreeSet<Arc<str>>>,
    ipam: Ipam,
    services: BTreeMap<ObjectKey, Record>,
    agenda: Agenda,
    namespaces: BTreeMap<Arc<str>, Labels>,
    networks: BTreeMap<ObjectRef, Network>,
    findings: Findings,
    /// What automatic allocation leaves alone because of them.
    avoided: BTreeSet<IpAddr>,
    /// Services with an address that is outside of this pool, which it came from.
    outside: BTreeMap<PoolName, BTreeSet<ObjectKey>>,
    holds: Holds,
    /// What the status of pools said about held addresses before everything was listed.
    remembered: BTreeMap<ObjectRef, Vec<Held>>,
    timers: Timers<Timer>,
    /// Pools whose counters may have changed.
    recount: BTreeSet<PoolName>,
    counted: BTreeMap<PoolName, (ObjectRef, Usage, Vec<Held>)>,
    /// The number of the last write that was asked for.
    write: u64,
    outputs: VecDeque<Output>,
    /// How often a Service was looked at.
    #[cfg(test)]
    looks: usize,
}

/// What happens later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// An address is not kept for its former owner any longer.
    Held(IpAddr),
    /// The quarrel about a Service goes into its next round.
    Contest(ObjectKey),
    /// A Service does not wait for its namespace any longer.
    Namespace(ObjectKey),
    /// No stranger has been reported with an address for a while.
    Contested(IpAddr),
}

impl Machine for Controller {
    type Input<'a> = Input;
    type Output = Output;

    fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Service(key, Some(service)) => self.update(now, key, service),
            Input::Service(key, None) => self.remove(now, &key),
            Input::Config(object, value) => self.configure(object, value),
            Input::Synced => {
                self.config.synced();
                self.is_config_changed = true;
                self.is_synced = true;
            }
            Input::Namespace(namespace, labels) => self.relabel(&namespace, labels),
            Input::Network(object, network) => self.reconnect(now, object, network),
            Input::Written { service, write } => {
                if let Some(record) = self.services.get_mut(&service) {
                    record.confirm(write);
                    self.let_go(now, &service);
                }
            }
        }
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        while self.is_synced && self.outputs.is_empty() {
            if let Some(timer) = self.timers.take_due(now) {
                match timer {
                    Timer::Held(address) => self.unhold(address),
                    Timer::Contest(key) => self.contest_timer(now, &key),
                    Timer::Namespace(key) => self.namespace_timer(&key),
                    Timer::Contested(address) => self.forget_contested(address),
                }
            } else if mem::take(&mut self.is_config_changed) {
                self.reconfigure();
            } else if !self.remembered.is_empty() && !self.agenda.has_adoptions() {
                self.restore(now);
            } else if let Some((step, key)) = self.next_due() {
                self.look(now, step, &key);
            } else if let Some(pool) = self.recount.pop_first() {
                self.count(pool);
            } else {
                break;
            }
        }
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
}

impl Controller {
    /// A controller that has not been told anything yet. `epoch` is the time at [`Instant::ZERO`], in
    /// microseconds since 1970: pools' status says in such time how long addresses are held.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        Self { epoch, ..Self::default() }
    }

    fn configure(&mut self, object: ObjectRef, value: Option<Object>) {
        if !self.is_synced {
            let held = value.as_ref().map(|value| value.status.held.clone()).unwrap_or_default();
            if held.is_empty() {
                self.remembered.remove(&object);
            } else {
                self.remembered.insert(object.clone(), held);
            }
        }
        self.config.apply(object, value);
        self.is_config_changed = true;
    }

    fn update(&mut self, now: Instant, key: ObjectKey, service: Service) {
        match self.services.get_mut(&key) {
            Some(record) if record.service == service || record.is_outdated(&service) => return,
            Some(record) => {
                let before = record.age(&key);
                let news = record.observe(service);
                self.agenda.rename(&before, &record.age(&key));
                if news == News::Overwritten && self.is_synced {
                    self.contest(now, &key);
                }
            }
            None => drop(self.services.insert(key.clone(), Record::new(service))),
        }
        self.look_at(&key);
        self.let_go(now, &key);
    }

    fn remove(&mut self, now: Instant, key: &ObjectKey) {
        let Some(record) = self.services.get_mut(key) else { return };
        let age = record.age(key);
        let (owns, leaving) = (mem::take(&mut record.owns), mem::take(&mut record.leaving));
        self.agenda.forget(&age);
        self.timers.stop(&Timer::Contest(key.clone()));
        self.timers.stop(&Timer::Namespace(key.clone()));
        self.forget_outside(key, &owns);
        let held: Vec<_> = owns.into_iter().map(|own| own.address).collect();
        if !held.is_empty() {
            self.note(format!("{key} is gone: {} is free", listed(&held)));
        }
        for address in held.into_iter().chain(leaving) {
            self.free(now, address, key);
        }
        self.services.remove(key);
    }

    fn look(&mut self, now: Instant, step: Step, key: &ObjectKey) {
        #[cfg(test)]
        {
            self.looks += 1;
        }
        match step {
            Step::Adopt => self.adopt(now, key),
            Step::Serve => self.serve(now, key),
        }
    }
}
