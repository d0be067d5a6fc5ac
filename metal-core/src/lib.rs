//! What a bare-metal load balancer announces, decided without knowing Kubernetes or packets.

#![no_std]
extern crate alloc;

pub mod config;
pub mod controller;
pub mod election;
pub mod event;
pub mod ipam;
pub mod machine;
pub mod membership;
pub mod name;
pub mod net;
pub mod ownership;
pub mod reason;
pub mod request;
pub mod selector;
pub mod speaker;
pub mod time;
pub mod timer;
pub mod view;

pub use machine::{Machine, drain};
pub use time::Instant;
pub use timer::Timers;
