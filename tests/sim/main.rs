//! Whole clusters in virtual time.

mod failover;
