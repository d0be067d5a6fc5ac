//! What was decided, as keyed upserts: only what is not as before is told.

use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};
use core::net::IpAddr;

use super::{Announcement, Peers};
use crate::{
    config::bgp::{Peer, Source},
    name::{ObjectKey, PeerName},
};

/// What this node announces by BGP, and the peers that it has.
#[derive(Clone, Debug, Default)]
pub struct Table {
    peers: BTreeMap<PeerName, Arc<Peer>>,
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
    Peer(PeerName, Option<Arc<Peer>>),
    /// An announcement.
    Route(RouteKey, Option<Box<Announcement>>),
}

impl Table {
    /// The peers of this node.
    pub fn peers(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.peers.values()
    }

    /// What is announced for a Service.
    pub fn announcements(&self, service: &ObjectKey) -> impl Iterator<Item = &Announcement> {
        self.routes.get(service).into_iter().flat_map(BTreeMap::values)
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
    pub fn set_peers(&mut self, peers: &Peers<'_>) -> Vec<Upsert> {
        let after: BTreeMap<_, _> =
            peers.active.iter().map(|(name, peer)| (name.clone(), peer.clone())).collect();
        let before = core::mem::replace(&mut self.peers, after);
        let gone = before.keys().filter(|name| !self.peers.contains_key(*name));
        let gone = gone.map(|name| Upsert::Peer(name.clone(), None));
        let new = self.peers.iter().filter(|(name, peer)| before.get(*name) != Some(*peer));
        gone.chain(new.map(|(name, peer)| Upsert::Peer(name.clone(), Some(peer.clone())))).collect()
    }
}
