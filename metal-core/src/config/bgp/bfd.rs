//! Profiles of BFD, valid by construction.

use alloc::{format, string::String, vec::Vec};
use core::{ops::RangeInclusive, time::Duration};

use super::{BfdProfileSpec, Source, source::Path};
use crate::config::{Refusal, check::refusal};

/// How a peer is watched by BFD (`BFDProfile`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdProfile {
    /// Its name.
    pub name: String,
    /// The shortest time between two packets that is received.
    pub receive_interval: Duration,
    /// The shortest time between two packets that are sent.
    pub transmit_interval: Duration,
    /// The shortest time between two echo packets.
    pub echo_interval: Duration,
    /// How many packets in a row may be missing.
    pub detect_multiplier: u8,
    /// The least TTL of packets, where the peer is several hops away.
    pub minimum_ttl: u8,
    /// Packets are echoed by the peer's forwarding.
    pub echo_mode: bool,
    /// The peer speaks first.
    pub passive_mode: bool,
}

impl BfdProfile {
    /// Whether another object, which is in force, has the same name.
    pub(super) fn clash(&self, source: &Source, other: &Self) -> Option<Refusal> {
        (self.name == other.name).then(|| {
            let message = format!(
                "{source} defines the profile {} already, which is in force: rename one of them",
                self.name
            );
            refusal("metadata.name", message)
        })
    }
}

/// Judges a profile by itself. What it does not say is as FRR has it.
pub(super) fn judge(name: &str, spec: &BfdProfileSpec, path: &Path) -> Result<BfdProfile, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut number = |field: &str, value: Option<i64>, range: RangeInclusive<i64>, default: u32| {
        let value = value.unwrap_or_else(|| default.into());
        if !range.contains(&value) {
            let message = format!("{value} is not between {} and {}", range.start(), range.end());
            refusals.push(refusal(path.of(field), message));
        }
        value
    };
    let mut interval = |field: &str, value: Option<i64>, default: u32| {
        let millis = number(field, value, 10..=60_000, default);
        Duration::from_millis(u64::try_from(millis).unwrap_or_default())
    };
    let receive_interval = interval("receiveInterval", spec.receive_interval, 300);
    let transmit_interval = interval("transmitInterval", spec.transmit_interval, 300);
    let echo_interval = interval("echoInterval", spec.echo_interval, 50);
    let detect_multiplier = number("detectMultiplier", spec.detect_multiplier, 2..=255, 3);
    let minimum_ttl = number("minimumTtl", spec.minimum_ttl, 1..=254, 254);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    Ok(BfdProfile {
        name: name.into(),
        receive_interval,
        transmit_interval,
        echo_interval,
        detect_multiplier: u8::try_from(detect_multiplier).unwrap_or(u8::MAX),
        minimum_ttl: u8::try_from(minimum_ttl).unwrap_or(u8::MAX),
        echo_mode: spec.echo_mode,
        passive_mode: spec.passive_mode,
    })
}
