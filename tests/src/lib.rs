//! What needs more than one crate: a LAN in virtual time, with everything that can go wrong on it, and the
//! daemons as processes.

pub mod cluster;
pub mod lan;
pub mod process;
pub mod random;
pub mod wait;
