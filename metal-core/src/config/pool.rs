//! Address pools, valid by construction.

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};
use core::time::Duration;

use super::{
    PoolSpec, Refusal, ServiceAllocationSpec,
    check::{self, refusal},
    duration::parse_duration,
};
use crate::{
    name::PoolName,
    net::AddressRange,
    selector::{Labels, Selector, any_or_empty},
};

/// A pool of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// Its labels, by which advertisements select it.
    pub labels: Labels,
    /// Its addresses, in the order in which they are given out; no two of them overlap.
    pub ranges: Vec<AddressRange>,
    /// Whether it may be chosen without being asked for.
    pub auto_assign: bool,
    /// Whether IPv4 addresses that end in .0 and .255 are left alone.
    pub avoid_buggy_ips: bool,
    /// Who may use it; `None` means everybody.
    pub allocation: Option<Allocation>,
    /// What is not given out at all, sorted; no two of them overlap.
    pub exclude: Vec<AddressRange>,
    /// How long a freed address is kept for the Service that had it.
    pub reuse_delay: Duration,
    /// How many addresses the Services of one namespace may have.
    pub max_per_namespace: Option<u32>,
    /// Which Services may share an address.
    pub sharing: SharingPolicy,
    /// Whether a Service leaves an address at once that the pool does not have any more.
    pub reassigns: bool,
}

/// Which Services may share an address of a pool (`sharing`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SharingPolicy {
    /// None.
    Never,
    /// Those of one namespace with the same key.
    SameNamespace,
    /// All with the same key.
    #[default]
    Key,
}

/// Who may use a pool, and how it ranks among the pools of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// Lower is tried first, 0 last.
    pub priority: i64,
    /// The namespaces that may use it, by name. Without names and selectors all may.
    pub namespaces: BTreeSet<String>,
    /// The namespaces that may use it, by label.
    pub namespace_selectors: Vec<Selector>,
    /// The Services that may use it; empty means all.
    pub service_selectors: Vec<Selector>,
}

impl Pool {
    /// A pool of `ranges` for everybody.
    #[must_use]
    pub fn new(name: impl Into<PoolName>, ranges: Vec<AddressRange>) -> Self {
        Self {
            name: name.into(),
            labels: Labels::new(),
            ranges,
            auto_assign: true,
            avoid_buggy_ips: false,
            allocation: None,
            exclude: Vec::new(),
            reuse_delay: Duration::ZERO,
            max_per_namespace: None,
            sharing: SharingPolicy::Key,
            reassigns: false,
        }
    }
}

impl Allocation {
    /// Orders by priority: lower first, 0 last.
    #[must_use]
    pub const fn rank(&self) -> (bool, i64) {
        (self.priority == 0, self.priority)
    }

    /// Whether Services of the namespace of this name and with these labels may use the pool.
    #[must_use]
    pub fn admits_namespace(&self, name: &str, labels: &Labels) -> bool {
        (self.namespaces.is_empty() && self.namespace_selectors.is_empty())
            || self.namespaces.contains(name)
            || self.namespace_selectors.iter().any(|selector| selector.matches(labels))
    }

    /// Whether Services with these labels may use the pool.
    #[must_use]
    pub fn admits_labels(&self, labels: &Labels) -> bool {
        any_or_empty(&self.service_selectors, labels)
    }
}

/// Judges a pool by itself. `path` leads to its fields, such as `spec.`.
pub(super) fn judge(
    name: PoolName,
    labels: Labels,
    spec: &PoolSpec,
    path: &str,
) -> Result<Pool, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let ranges = ranges(&spec.addresses, path, &mut refusals);
    let allocation =
        spec.service_allocation.as_ref().map(|allocation| judge_allocation(allocation, path, &mut refusals));
    let exclude = lenient_ranges(&format!("{path}exclude"), &spec.exclude, &mut refusals);
    let reuse_delay = judge_delay(spec.reuse_delay.as_deref(), path, &mut refusals);
    let max_per_namespace = judge_limit(spec.max_addresses_per_namespace, path, &mut refusals);
    let sharing = judge_word(
        spec.sharing.as_deref(),
        &[
            ("Never", SharingPolicy::Never),
            ("SameNamespace", SharingPolicy::SameNamespace),
            ("Key", SharingPolicy::Key),
        ],
        &format!("{path}sharing"),
        &mut refusals,
    );
    let reassigns = judge_word(
        spec.reassign_policy.as_deref(),
        &[("Never", false), ("Immediate", true)],
        &format!("{path}reassignPolicy"),
        &mut refusals,
    );
    if !refusals.is_empty() {
        return Err(refusals);
    }
    Ok(Pool {
        name,
        labels,
        ranges,
        auto_assign: spec.auto_assign,
        avoid_buggy_ips: spec.avoid_buggy_ips,
        allocation,
        exclude,
        reuse_delay,
        max_per_namespace,
        sharing,
        reassigns,
    })
}

/// Reads ranges and single addresses; where they overlap they are merged.
pub(super) fn lenient_ranges(
    field: &str,
    addresses: &[String],
    refusals: &mut Vec<Refusal>,
) -> Vec<AddressRange> {
    let mut ranges = Vec::new();
    for (index, text) in addresses.iter().enumerate() {
        match AddressRange::parse_lenient(text) {
            Ok(range) => ranges.push(range),
            Err(error) => refusals.push(refusal(format!("{field}[{index}]"), format!("{error}"))),
        }
    }
    AddressRange::merged(ranges)
}

fn judge_delay(text: Option<&str>, path: &str, refusals: &mut Vec<Refusal>) -> Duration {
    let delay = text.map_or(Ok(Duration::ZERO), parse_duration);
    delay.unwrap_or_else(|error| {
        refusals.push(refusal(format!("{path}reuseDelay"), format!("{error}")));
        Duration::ZERO
    })
}

fn judge_limit(limit: Option<i64>, path: &str, refusals: &mut Vec<Refusal>) -> Option<u32> {
    let limit = limit?;
    if limit < 1 {
        let message = format!(
            "{limit} is not a limit: it is at least 1 (serviceAllocation says which namespaces may use the pool)"
        );
        refusals.push(refusal(format!("{path}maxAddressesPerNamespace"), message));
    }
    Some(u32::try_from(limit).unwrap_or(u32::MAX))
}

/// Reads one of a few words; without one it is the default.
fn judge_word<T: Copy + Default>(
    text: Option<&str>,
    words: &[(&str, T)],
    field: &str,
    refusals: &mut Vec<Refusal>,
) -> T {
    let Some(text) = text else { return T::default() };
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return *value;
    }
    let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    refusals.push(refusal(field, format!("{text:?} is not one of {}", words.join(", "))));
    T::default()
}

fn ranges(addresses: &[String], path: &str, refusals: &mut Vec<Refusal>) -> Vec<AddressRange> {
    if addresses.is_empty() {
        refusals.push(refusal(format!("{path}addresses"), "is empty: a pool needs at least one address"));
    }
    let mut ranges: Vec<(AddressRange, usize)> = Vec::new();
    for (index, text) in addresses.iter().enumerate() {
        match text.parse::<AddressRange>() {
            Ok(range) => ranges.push((range, index)),
            Err(error) => refusals.push(refusal(format!("{path}addresses[{index}]"), format!("{error}"))),
        }
    }
    let mut sorted = ranges.clone();
    sorted.sort();
    for pair in sorted.windows(2) {
        if let Some(overlap) = pair[0].0.overlap(&pair[1].0) {
            let (one, other) = (pair[0].1.min(pair[1].1), pair[0].1.max(pair[1].1));
            refusals.push(refusal(
                format!("{path}addresses[{other}]"),
                format!("overlaps with {path}addresses[{one}] in {overlap}: remove these from one of them"),
            ));
        }
    }
    ranges.into_iter().map(|(range, _)| range).collect()
}

fn judge_allocation(spec: &ServiceAllocationSpec, path: &str, refusals: &mut Vec<Refusal>) -> Allocation {
    let path = format!("{path}serviceAllocation");
    check::duplicates(&format!("{path}.namespaces"), &spec.namespaces, refusals);
    check::selectors(&format!("{path}.serviceSelectors"), &spec.service_selectors, refusals);
    check::selectors(&format!("{path}.namespaceSelectors"), &spec.namespace_selectors, refusals);
    Allocation {
        priority: spec.priority,
        namespaces: spec.namespaces.iter().cloned().collect(),
        namespace_selectors: spec.namespace_selectors.clone(),
        service_selectors: spec.service_selectors.clone(),
    }
}
