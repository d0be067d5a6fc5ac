//! The pools of a ConfigMap as MetalLB before 0.13 had it, and how they are announced.

use alloc::{collections::BTreeSet, format, sync::Arc, vec, vec::Vec};

use super::{Configuration, Legacy, ObjectRef, Slot, advertisement, check::refusal, pool};
use crate::{name::PoolName, selector::Labels, view::Created};

/// How a pool of a ConfigMap is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Layer2,
    Bgp,
}

impl Configuration {
    /// Judges a ConfigMap, pool by pool.
    pub(super) fn judge_legacy(&mut self, object: &ObjectRef, created: Created, legacy: Legacy) {
        let mut names = BTreeSet::new();
        let mut refusals = Vec::new();
        let mut advertised = Vec::new();
        for (index, entry) in legacy.pools.into_iter().enumerate() {
            let path = format!("address-pools[{index}].");
            let name = PoolName::from(entry.name);
            if name.as_str().is_empty() {
                refusals.push(refusal(format!("{path}name"), "is empty: a pool needs a name"));
                continue;
            }
            if !names.insert(name.clone()) {
                let message = format!("there are two pools {name} in this ConfigMap: rename one");
                refusals.push(refusal(format!("{path}name"), message));
                continue;
            }
            let judge = || pool::judge(name.clone(), Labels::new(), &entry.spec, &path);
            let (protocol, pool) = match entry.protocol.as_str() {
                "layer2" => (Protocol::Layer2, judge()),
                "bgp" => {
                    advertised.push((index, name.clone(), entry.advertisements));
                    (Protocol::Bgp, judge())
                }
                other => {
                    let message = format!("{other:?} is neither layer2 nor bgp");
                    let before = self.candidates.get(&(name.clone(), object.clone()));
                    let before = before.and_then(|candidate| candidate.legacy).unwrap_or(Protocol::Layer2);
                    (before, Err(vec![refusal(format!("{path}protocol"), message)]))
                }
            };
            self.stand((name, object.clone()), created, Some(protocol), path, pool);
        }
        self.keep_only(object, &names);
        self.bgp.judge_legacy(object, created, legacy.bgp, advertised);
        if let Some(judged) = self.objects.get_mut(object) {
            judged.refusals = refusals;
        }
    }

    /// Has a pool of a ConfigMap announced, or no longer.
    pub(super) fn advertise_legacy(&mut self, slot: &Slot, protocol: Option<Protocol>) {
        let layer2 = (protocol == Some(Protocol::Layer2))
            .then(|| Arc::new(advertisement::of_pool(slot.1.clone(), slot.0.clone())));
        self.advertise(&(slot.1.clone(), Some(slot.0.clone())), layer2);
    }
}
