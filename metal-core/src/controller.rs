//! The controller: Services and configuration in, addresses out.

use alloc::{string::String, vec::Vec};
use core::net::IpAddr;

use crate::{
    config::{Object, ObjectRef, Refusal},
    event::Event,
    machine::Machine,
    name::{ObjectKey, PoolName},
    time::Instant,
    view::Service,
};

/// What the controller is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A Service as it is now; `None` when it is gone.
    Service(ObjectKey, Option<Service>),
    /// A configuration object as it is now; `None` when it is gone.
    Config(ObjectRef, Option<Object>),
    /// Every kind has been listed completely once. Nothing is decided before.
    Synced,
}

/// What the controller wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write the addresses of a Service to its status and annotation; no addresses clear both.
    Assign {
        /// The Service.
        service: ObjectKey,
        /// Its addresses, in the order of the Service's families.
        addresses: Vec<IpAddr>,
        /// The pool they come from.
        pool: Option<PoolName>,
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
    },
    /// Something to log that is neither an event nor a verdict.
    Note(String),
}

/// The counters of a pool, saturating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// IPv4 addresses in use.
    pub assigned_v4: u64,
    /// IPv6 addresses in use.
    pub assigned_v6: u64,
    /// IPv4 addresses that are free.
    pub available_v4: u64,
    /// IPv6 addresses that are free.
    pub available_v6: u64,
}

/// The controller machine.
#[derive(Debug, Default)]
pub struct Controller {}

impl Machine for Controller {
    type Input<'a> = Input;
    type Output = Output;

    fn handle_input(&mut self, _now: Instant, _input: Input) {}

    fn poll_output(&mut self, _now: Instant) -> Option<Output> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
