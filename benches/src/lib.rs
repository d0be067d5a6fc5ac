//! What benchmarks share: the traffic that they measure, and a clock.

pub mod bgp_traffic;
pub mod cpu_time;
pub mod memory;
