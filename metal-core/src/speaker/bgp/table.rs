//! What was decided, as keyed upserts: only what is not as before is told.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::net::IpAddr;

use super::{Announcement, Audience, Standing};
use crate::{
    config::bgp::Source,
    name::{ObjectKey, PeerName},
};

/// What this node announces by BGP, and the peers that it has.
#[derive(Clone, Debug, Default)]
pub struct Table {
    peers: BTreeMap<PeerName, Arc<Standing>>,
    routes: BTreeMap<ObjectKey, BTreeMap<(IpAddr, Source), Announcement>>,
}

/// What one announcement is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    /// The Service.
    pub service: ObjectKey,
    /// Its address.
    pub address: IpAddr,
    /// The advertisement.
    pub source: Source,
}

/// Something that is not as it was; `None` when it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upsert {
    /// A peer of this node.
    Peer(PeerName, Option<Arc<Standing>>),
    /// An announcement.
    Route(RouteKey, Option<Box<Announcement>>),
}

impl Table {
    /// Whether this node has any.
    #[must_use]
    pub fn has_peers(&self) -> bool {
        !self.peers.is_empty()
    }

    /// The Services that something is announced for.
    pub fn services(&self) -> impl Iterator<Item = &ObjectKey> {
        self.routes.keys()
    }

    /// The addresses that are announced for a Service, and the peers that are told of one of them.
    #[must_use]
    pub fn announced(&self, service: &ObjectKey) -> (BTreeSet<IpAddr>, BTreeSet<PeerName>) {
        let sessions = self.peers.iter().filter(|(_, standing)| standing.session().is_some());
        let sessions: Vec<_> = sessions.map(|(name, _)| name).collect();
        let (mut addresses, mut peers) = (BTreeSet::new(), BTreeSet::new());
        for announcement in self.routes.get(service).into_iter().flat_map(BTreeMap::values) {
            let is_told = |name: &PeerName| match &announcement.to {
                Audience::All => true,
                Audience::Only(names) => names.contains(name),
            };
            for name in sessions.iter().copied().filter(|name| is_told(name)) {
                addresses.insert(announcement.address);
                peers.insert(name.clone());
            }
        }
        (addresses, peers)
    }

    /// Takes what was decided for a Service. What is new comes first, so that traffic always has a way.
    #[must_use]
    pub fn set_service(&mut self, service: &ObjectKey, announcements: Vec<Announcement>) -> Vec<Upsert> {
        let before = self.routes.remove(service).unwrap_or_default();
        let key = |announcement: &Announcement| (announcement.address, announcement.source.clone());
        let after: BTreeMap<_, _> = announcements.into_iter().map(|entry| (key(&entry), entry)).collect();
        let upsert = |(address, source): &(IpAddr, Source), route: Option<&Announcement>| {
            let key = RouteKey { service: service.clone(), address: *address, source: source.clone() };
            Upsert::Route(key, route.cloned().map(Box::new))
        };
        let new = after.iter().filter(|(key, entry)| before.get(*key) != Some(*entry));
        let gone = before.keys().filter(|key| !after.contains_key(*key));
        let upserts =
            new.map(|(key, entry)| upsert(key, Some(entry))).chain(gone.map(|key| upsert(key, None)));
        let upserts = upserts.collect();
        if !after.is_empty() {
            self.routes.insert(service.clone(), after);
        }
        upserts
    }

    /// Takes the peers of this node as they are now. Those that are gone come first: another one may have the same router.
    #[must_use]
    pub fn set_peers(&mut self, peers: BTreeMap<PeerName, Standing>) -> Vec<Upsert> {
        let after = peers.into_iter().map(|(name, standing)| {
            let same = self.peers.get(&name).filter(|before| ***before == standing).cloned();
            (name, same.unwrap_or_else(|| standing.into()))
        });
        let after = after.collect();
        let before = core::mem::replace(&mut self.peers, after);
        let gone = before.keys().filter(|name| !self.peers.contains_key(*name));
        let gone = gone.map(|name| Upsert::Peer(name.clone(), None));
        let is_new = |name: &PeerName, standing: &Arc<Standing>| before.get(name) != Some(standing);
        let new = self.peers.iter().filter(|(name, standing)| is_new(name, standing));
        // Who waits comes before who takes its place.
        let (waiting, others): (Vec<_>, Vec<_>) = new.partition(|(_, standing)| standing.session().is_none());
        let new = waiting.into_iter().chain(others);
        gone.chain(new.map(|(name, standing)| Upsert::Peer(name.clone(), Some(standing.clone())))).collect()
    }
}
