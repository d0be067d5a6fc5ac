//! What benchmarks share: the traffic that they measure.

pub mod bgp_traffic;
