//! What is in force of BGP.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    sync::Arc,
    vec::Vec,
};
use core::net::IpAddr;

use super::{Advertisement, Community, PeerTemplate, Source};
use crate::{
    config::{ObjectRef, Pool, Refusal, snapshot::Snapshot as Pools},
    name::{PeerName, PoolName},
    selector::Labels,
};

/// Peers and advertisements in force.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    peers: BTreeMap<PeerName, Arc<PeerTemplate>>,
    communities: BTreeMap<String, Community>,
    advertisements: Advertisements,
    by_pool: BTreeMap<PoolName, Advertisements>,
}

type Advertisements = BTreeMap<Source, Arc<Advertisement>>;

impl Snapshot {
    /// The peer of this name.
    #[must_use]
    pub fn peer(&self, name: &PeerName) -> Option<&Arc<PeerTemplate>> {
        self.peers.get(name)
    }

    /// All peers, by name.
    pub fn peers(&self) -> impl Iterator<Item = &Arc<PeerTemplate>> {
        self.peers.values()
    }

    /// All advertisements, by where they were written.
    pub fn advertisements(&self) -> impl Iterator<Item = &Arc<Advertisement>> {
        self.advertisements.values()
    }

    /// The advertisements that are applied to a pool.
    pub fn advertisements_for<'a>(
        &'a self,
        pool: &PoolName,
    ) -> impl Iterator<Item = &'a Arc<Advertisement>> + use<'a> {
        self.by_pool.get(pool).into_iter().flat_map(BTreeMap::values)
    }

    /// The advertisements that have an address announced where Services have it as an external IP.
    pub fn advertisements_of_external(&self, address: IpAddr) -> impl Iterator<Item = &Arc<Advertisement>> {
        self.advertisements.values().filter(move |entry| entry.has_external(address))
    }

    /// The community of this name: one that is defined, or a well-known one.
    #[must_use]
    pub fn community(&self, name: &str) -> Option<Community> {
        self.communities.get(name).copied().or_else(|| Community::well_known(name))
    }

    /// The advertisements of a pool that is gone: those that are about it by name, by its last known labels, or about
    /// every pool.
    ///
    /// For addresses in use that lie outside every pool now.
    pub fn advertisements_of_former<'a>(
        &'a self,
        name: &'a PoolName,
        labels: Option<&'a Labels>,
    ) -> impl Iterator<Item = &'a Arc<Advertisement>> {
        self.advertisements.values().filter(move |entry| {
            entry.selects_every_pool()
                || entry.pools.contains(name)
                || labels.is_some_and(|labels| entry.selects_pool(name, labels))
        })
    }

    /// Applies advertisements to the pools in force. Also says what of them has no effect, and why.
    pub(super) fn new(
        peers: impl Iterator<Item = Arc<PeerTemplate>>,
        advertisements: Advertisements,
        communities: BTreeMap<String, Community>,
        pools: &Pools,
    ) -> (Self, Vec<(ObjectRef, Refusal)>) {
        let mut remarks = Vec::new();
        let mut by_pool = BTreeMap::new();
        for pool in pools.pools().filter(|_| !advertisements.is_empty()) {
            let mut applied = Advertisements::new();
            for (source, advertisement) in &advertisements {
                if !is_about(advertisement, pool, pools) {
                    continue;
                }
                match advertisement.fits(pool) {
                    Ok(()) => drop(applied.insert(source.clone(), advertisement.clone())),
                    Err(misfit) => {
                        remarks.push((source.object.clone(), misfit));
                        // Its last version that fits stays.
                        let mut before = pools.bgp().advertisements_for(&pool.name);
                        let before = before.find(|before| before.source == *source);
                        if let Some(before) = before.filter(|before| before.fits(pool).is_ok()) {
                            applied.insert(source.clone(), before.clone());
                        }
                    }
                }
            }
            for (source, one) in &applied {
                let mut others = applied.iter().filter(|(other, _)| *other != source);
                let conflict = others.find_map(|(_, other)| one.yields(other, pool));
                remarks.extend(conflict.map(|conflict| (source.object.clone(), conflict)));
            }
            if !applied.is_empty() {
                by_pool.insert(pool.name.clone(), applied);
            }
        }
        let peers = peers.map(|peer| (peer.name.clone(), peer)).collect();
        (Self { peers, communities, advertisements, by_pool }, remarks)
    }

    /// The peers, and the pools whose advertisements, are not the same as before.
    pub(super) fn difference(&self, before: &Self) -> (BTreeSet<PeerName>, BTreeSet<PoolName>) {
        (differing(&self.peers, &before.peers), differing(&self.by_pool, &before.by_pool))
    }

    /// Whether something else may come of external IPs, or of communities that Services name.
    pub(super) fn grants_differ(&self, before: &Self) -> bool {
        let external = |snapshot: &Self| -> Vec<_> {
            let advertisements = snapshot.advertisements.values();
            advertisements.filter(|entry| !entry.external_ips.is_empty()).cloned().collect()
        };
        self.communities != before.communities || external(self) != external(before)
    }
}

/// Whether an advertisement is about a pool. What a ConfigMap says of its pools is about no other object's.
fn is_about(advertisement: &Advertisement, pool: &Pool, pools: &Pools) -> bool {
    let source = &advertisement.source;
    advertisement.selects_pool(&pool.name, &pool.labels)
        && (!source.is_part() || pools.object_of(&pool.name) == Some(&source.object))
}

fn differing<K: Ord + Clone, V: PartialEq>(one: &BTreeMap<K, V>, other: &BTreeMap<K, V>) -> BTreeSet<K> {
    let keys = one.keys().chain(other.keys());
    keys.filter(|key| one.get(*key) != other.get(*key)).cloned().collect()
}
