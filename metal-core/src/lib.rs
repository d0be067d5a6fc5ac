//! What a bare-metal load balancer announces, decided without knowing Kubernetes or packets.
//!
//! Two shapes of code:
//! - What has no time is a value or a function: the configuration ([`config::Configuration`]), the allocator
//!   ([`ipam::Ipam`]), the order in which nodes are preferred ([`election`]), the beacon's bytes
//!   ([`membership::beacon`]).
//! - What has time or order is a [`Machine`]: the [`controller::Controller`] hands out addresses, the
//!   [`speaker::Speaker`] of each node agrees with the others on the LAN who answers for them, and the
//!   [`lease::Elector`] sees to it that of several controllers one leads.
//!
//! Not in here: clocks, sockets, threads, randomness. A driver hands inputs over, performs outputs, and wakes
//! the machine at its deadline.
//!
//! ```
//! use metal_core::{
//!     Instant, Machine,
//!     config::{Object, ObjectRef, PoolSpec, Spec},
//!     controller::{Controller, Input, Output},
//!     name::ObjectKey,
//!     view::Service,
//! };
//!
//! let mut controller = Controller::new(1_800_000_000_000_000); // what the wall clock says at the origin
//! let now = Instant::ZERO; // microseconds, by whatever clock the driver has
//!
//! // What a watch tells: a pool and a Service without an address.
//! let pool = PoolSpec { addresses: vec!["192.0.2.1-192.0.2.9".into()], auto_assign: true, ..PoolSpec::default() };
//! let (labels, status) = Default::default();
//! let object = Object { created: None, labels, spec: Spec::Pool(pool), status };
//! let name = ObjectRef { kind: "IPAddressPool", namespace: "metallb-system".into(), name: "first".into() };
//! controller.handle_input(now, Input::Config(name, Some(object)));
//! let web = ObjectKey::new("default", "web");
//! controller.handle_input(now, Input::Service(web.clone(), Some(Service::default())));
//!
//! // Nothing is handed out before everything has been listed.
//! assert_eq!(controller.poll_output(now), None);
//! controller.handle_input(now, Input::Synced);
//!
//! let mut assigned = None;
//! while let Some(output) = controller.poll_output(now) {
//!     if let Output::Assign { service, assignment, .. } = output {
//!         assigned = Some((service, assignment.addresses));
//!     }
//! }
//! assert_eq!(assigned, Some((web, vec!["192.0.2.1".parse().unwrap()])));
//! ```

#![no_std]
extern crate alloc;

pub mod config;
pub mod controller;
pub mod election;
pub mod event;
pub mod finding;
pub mod ipam;
pub mod lease;
pub mod machine;
pub mod membership;
pub mod name;
pub mod net;
pub mod ownership;
pub mod reason;
pub mod request;
pub mod selector;
pub mod sharing;
pub mod speaker;
pub mod time;
pub mod timer;
pub mod view;

pub use machine::{Machine, drain};
pub use time::Instant;
pub use timer::Timers;
