//! What needs more than one machine: a LAN in virtual time, with everything that can go wrong on it.

pub mod cluster;
pub mod lan;
pub mod random;
