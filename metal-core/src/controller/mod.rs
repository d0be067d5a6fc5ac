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
mod decide;
mod plan;
mod record;
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
    config::{Configuration, Held, Object, ObjectRef, Pool, Refusal, Snapshot},
    event::Event,
    ipam::Ipam,
    machine::Machine,
    name::{ObjectKey, PoolName},
    selector::Labels,
    time::Instant,
    view::{Condition, Network, Service, Version},
};
use agenda::{Agenda, Step};
use record::{Record, listed};

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
    /// allocation leaves the addresses of nodes and routers alone, and the first and last of IPv4 subnets.
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
}

/// The controller machine.
#[derive(Debug, Default)]
pub struct Controller {
    is_synced: bool,
    config: Configuration,
    is_config_changed: bool,
    ipam: Ipam,
    services: BTreeMap<ObjectKey, Record>,
    agenda: Agenda,
    /// Pools whose counters may have changed.
    recount: BTreeSet<PoolName>,
    counted: BTreeMap<PoolName, (ObjectRef, Usage)>,
    /// The number of the last write that was asked for.
    write: u64,
    outputs: VecDeque<Output>,
}

impl Machine for Controller {
    type Input<'a> = Input;
    type Output = Output;

    fn handle_input(&mut self, _now: Instant, input: Input) {
        match input {
            Input::Service(key, Some(service)) => self.update(key, service),
            Input::Service(key, None) => self.remove(&key),
            Input::Config(object, value) => {
                self.config.apply(object, value);
                self.is_config_changed = true;
            }
            Input::Synced => {
                self.config.synced();
                self.is_config_changed = true;
                self.is_synced = true;
            }
            Input::Namespace(..) | Input::Network(..) => {}
            Input::Written { service, write } => {
                if let Some(record) = self.services.get_mut(&service) {
                    record.confirm(write);
                    self.let_go(&service);
                }
            }
        }
    }

    fn poll_output(&mut self, _now: Instant) -> Option<Output> {
        while self.is_synced && self.outputs.is_empty() {
            if mem::take(&mut self.is_config_changed) {
                self.reconfigure();
            } else if let Some((step, key)) = self.next_due() {
                match step {
                    Step::Adopt => self.adopt(&key),
                    Step::Serve => self.serve(&key),
                }
            } else if let Some(pool) = self.recount.pop_first() {
                self.count(pool);
            } else {
                break;
            }
        }
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

impl Controller {
    /// A controller that has not been told anything yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The configuration in force.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        self.config.snapshot()
    }

    fn update(&mut self, key: ObjectKey, service: Service) {
        let record = match self.services.get_mut(&key) {
            Some(record) if record.service == service => return,
            Some(record) => {
                self.agenda.forget(&record.age(&key), record.reason.as_ref());
                record.observe(service);
                self.agenda.resume(&record.age(&key), record.reason.as_ref());
                record
            }
            None => self.services.entry(key.clone()).or_insert_with(|| Record::new(service)),
        };
        self.agenda.push(record.next_step(), record.age(&key));
        self.let_go(&key);
    }

    fn remove(&mut self, key: &ObjectKey) {
        let Some(record) = self.services.remove(key) else { return };
        self.agenda.forget(&record.age(key), record.reason.as_ref());
        if !record.held.is_empty() {
            self.outputs.push_back(Output::Note(format!("{key} is gone: {} is free", listed(&record.held))));
        }
        for address in record.held.into_iter().chain(record.leaving) {
            self.free(address, key);
        }
    }

    /// Puts changes of the configuration into effect.
    fn reconfigure(&mut self) {
        let changes = self.config.take_changes();
        for (object, refusals) in changes.verdicts {
            self.outputs.push_back(Output::Verdict { object, refusals });
        }
        if changes.pools.is_empty() {
            return;
        }
        // Pools may have swapped ranges, so all that give up some go first.
        let mut holders = BTreeSet::new();
        for name in &changes.pools {
            let now = self.config.snapshot().pool(name);
            let before = self.ipam.pool(name);
            let ranges = |pool: Option<&_>| pool.map(|pool: &alloc::sync::Arc<Pool>| pool.ranges.clone());
            let (now, before) = (ranges(now), ranges(before));
            if now == before {
                continue;
            }
            for range in now.iter().chain(&before).flatten() {
                holders.extend(self.ipam.used_in(*range).map(|(_, owner)| owner.clone()));
            }
            self.ipam.remove_pool(name);
        }
        for name in &changes.pools {
            if let Some(pool) = self.config.snapshot().pool(name) {
                let taken = self.ipam.set_pool(pool.clone());
                debug_assert_eq!(taken, Ok(()), "pools in force do not overlap");
            }
        }
        for key in holders {
            if let Some(record) = self.services.get(&key) {
                self.agenda.push(Step::Serve, record.age(&key));
            }
        }
        for age in self.agenda.waiting() {
            if let Some(record) = self.services.get(&age.1) {
                self.agenda.push(record.next_step(), age);
            }
        }
        self.recount.extend(changes.pools);
    }

    /// Says how full a pool is, if that is news.
    fn count(&mut self, name: PoolName) {
        let object = self.config.snapshot().object_of(&name).cloned();
        let now = object.zip(self.ipam.usage(&name));
        let before = self.counted.get(&name);
        if before == now.as_ref() {
            return;
        }
        let mut say = |object: &ObjectRef, usage| {
            let (pool, object) = (name.clone(), object.clone());
            self.outputs.push_back(Output::Usage { pool, object, usage, held: Vec::new() });
        };
        if let Some((object, _)) =
            before.filter(|(object, _)| now.as_ref().is_none_or(|now| now.0 != *object))
        {
            say(object, None);
        }
        match now {
            Some((object, usage)) => {
                say(&object, Some(usage));
                self.counted.insert(name, (object, usage));
            }
            None => drop(self.counted.remove(&name)),
        }
    }

    /// Frees an address and offers it to those who wait.
    fn free(&mut self, address: IpAddr, owner: &ObjectKey) {
        self.ipam.release(address, owner);
        let pool = self.ipam.pool_of(address).map(|pool| pool.name.clone());
        self.recount.extend(pool.clone());
        self.agenda.freed(address, pool);
    }
}
