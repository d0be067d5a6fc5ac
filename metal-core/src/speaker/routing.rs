//! What this node says by BGP: the peers it has, and what they are told.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    sync::Arc,
    vec::Vec,
};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    BgpStatus, Output, Phase, Speaker,
    bgp::{self, Here, Obstacle, Session, Standing, Table, Target, Waiting},
};
use crate::{
    config::bgp::{Password, Peer, Router, Secret},
    event::{Event, Severity},
    name::{ObjectKey, PeerName},
    view::{Gateway, LinkIndex},
};

/// What has been decided, and what that depends on beside the configuration.
#[derive(Debug, Default)]
pub(super) struct Routing {
    table: Table,
    /// The gateways of this node's default routes.
    gateways: Vec<Gateway>,
    /// The passwords in Secrets; without a value those that are not there.
    passwords: BTreeMap<Arc<str>, Option<Secret>>,
    /// The Secrets that passwords are in, as it was told.
    wanted: BTreeSet<Arc<str>>,
    statuses: BTreeMap<ObjectKey, BgpStatus>,
    /// What is not announced here, as it was told.
    silent: BTreeMap<ObjectKey, Vec<(IpAddr, bgp::Reason)>>,
    /// Communities that Services do not get, as it was told.
    refused: BTreeMap<ObjectKey, Vec<bgp::RefusedCommunity>>,
    /// What local preferences do not agree, as it was told.
    conflicts: BTreeMap<ObjectKey, Vec<bgp::Conflict>>,
    /// Peers have been told that there is no more.
    complete: bool,
}

/// What of it has to be decided again.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    peers: bool,
    services: BTreeSet<ObjectKey>,
}

impl Dirty {
    pub(super) const fn peers(&mut self) {
        self.peers = true;
    }

    pub(super) fn service(&mut self, service: &ObjectKey) {
        self.services.insert(service.clone());
    }
}

impl Speaker {
    pub(super) fn set_password(&mut self, name: Arc<str>, password: Option<Secret>) {
        self.routing.passwords.insert(name, password);
        self.dirty.routing.peers();
    }

    pub(super) fn set_gateways(&mut self, gateways: Vec<Gateway>) {
        if self.routing.gateways != gateways {
            self.routing.gateways = gateways;
            self.dirty.routing.peers();
        }
    }

    /// Everything that is announced by BGP has to be looked at again.
    pub(super) fn all_routes_dirty(&mut self) {
        self.dirty.routing.peers();
        self.dirty.routing.services.extend(self.services.keys().cloned());
    }

    /// This node ends: it tells its peers, and what it announces is over.
    pub(super) fn end_routes(&mut self) {
        let ended = core::mem::take(&mut self.routing.statuses).into_keys();
        self.reports.extend(ended.map(|service| Output::BgpStatus { service, status: None }));
    }

    /// Does one piece of pending work; false when there is none.
    pub(super) fn route(&mut self) -> bool {
        // Who ends says goodbye to its peers, and they forget what they were told.
        if !self.synced || self.phase != Phase::Running {
            return false;
        }
        if core::mem::take(&mut self.dirty.routing.peers) {
            self.decide_peers();
        } else if let Some(service) = self.dirty.routing.services.pop_first() {
            self.decide_routes(&service);
        } else if self.routing.table.has_peers() && !core::mem::replace(&mut self.routing.complete, true) {
            self.outputs.push_back(Output::BgpComplete);
        } else {
            return false;
        }
        true
    }

    /// Whether advertisements by BGP are about an address.
    pub(super) fn is_routed(&self, address: IpAddr) -> bool {
        let snapshot = self.config.snapshot();
        let pool = snapshot.pool_of(address);
        pool.is_some_and(|pool| snapshot.bgp().advertisements_for(&pool.name).next().is_some())
    }

    fn here(&self) -> Here<'_> {
        let node = self.nodes.get(&self.setup.node);
        Here { name: &self.setup.node, node, gateways: &self.routing.gateways }
    }

    fn decide_peers(&mut self) {
        let peers = bgp::peers(self.config.snapshot(), self.here());
        let mut wanted = BTreeSet::new();
        let mut standings: BTreeMap<PeerName, Standing> = BTreeMap::new();
        for (name, peer) in &peers.active {
            if let Some(Password::FromSecret(secret)) = &peer.password {
                wanted.insert(Arc::from(secret.as_str()));
            }
            let standing = match self.session(peer) {
                Ok(session) => Standing::Session(session.into()),
                Err(obstacle) => Standing::Waits(Waiting {
                    router: format!("{}", peer.router),
                    port: peer.port,
                    vrf: peer.vrf.clone(),
                    obstacle,
                }),
            };
            standings.insert(name.clone(), standing);
        }
        let duplicates = peers.duplicates.iter();
        let duplicates = duplicates.map(|(name, holder)| (name, Obstacle::Duplicate((*holder).clone())));
        let unresolved = peers.unresolved.iter().map(|(name, why)| (name, Obstacle::Unresolved(why.clone())));
        for (name, obstacle) in duplicates.chain(unresolved) {
            let Some(peer) = self.config.snapshot().bgp().peer(name) else { continue };
            let (router, port, vrf) = (format!("{}", peer.router), peer.port, peer.vrf.clone());
            standings.insert(name.clone(), Standing::Waits(Waiting { router, port, vrf, obstacle }));
        }
        let upserts = self.routing.table.set_peers(standings);
        if upserts.is_empty() && wanted == self.routing.wanted {
            return;
        }
        self.outputs.extend(upserts.into_iter().map(Output::Bgp));
        if wanted != self.routing.wanted {
            self.routing.passwords.retain(|name, _| wanted.contains(name));
            self.routing.wanted.clone_from(&wanted);
            self.reports.push_back(Output::Secrets(wanted));
        }
        // Who is told of a Service shows in its status.
        self.dirty.routing.services.extend(self.routing.table.services().cloned());
    }

    fn session(&self, peer: &Arc<Peer>) -> Result<Session, Obstacle> {
        let link = |name: &str| self.link_named(name).ok_or_else(|| Obstacle::NoInterface(name.into()));
        let target = match &peer.router {
            Router::Address(address) => Target::Address(*address),
            Router::LinkLocal(address, interface) => Target::LinkLocal(*address, link(interface)?),
            Router::Interface(interface) => Target::Link(link(interface)?),
        };
        let password = match &peer.password {
            None => None,
            Some(Password::Plain(password)) => Some(password.clone()),
            Some(Password::FromSecret(name)) => {
                let password = self.routing.passwords.get(name.as_str()).cloned().flatten();
                Some(password.ok_or_else(|| Obstacle::NoPassword(name.as_str().into()))?)
            }
        };
        let Here { name, node, .. } = self.here();
        let router_id = peer.router_id.unwrap_or_else(|| bgp::router_id(name, node));
        Ok(Session { peer: peer.clone(), target, router_id, password, next_hops: self.own_addresses() })
    }

    fn link_named(&self, name: &str) -> Option<LinkIndex> {
        self.nics.iter().find_map(|(index, nic)| (nic.link.name == name).then_some(*index))
    }

    /// The first address of each family that this node is known by.
    fn own_addresses(&self) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
        let addresses = || self.nodes.get(&self.setup.node).into_iter().flat_map(|node| &node.addresses);
        let v4 = addresses().find_map(|address| match address {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        });
        let v6 = addresses().find_map(|address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(*v6),
        });
        (v4, v6)
    }

    fn decide_routes(&mut self, key: &ObjectKey) {
        let decision = self.services.get(key).map(|service| {
            bgp::decide(self.config.snapshot(), service, self.endpoints.serving(key), self.here())
        });
        let decision = decision.unwrap_or_default();
        let upserts = self.routing.table.set_service(key, decision.announcements);
        self.outputs.extend(upserts.into_iter().map(Output::Bgp));
        self.report_silence(key, decision.silent);
        self.report_conflicts(key, decision.conflicts);
        self.report_refused(key, decision.refused);
        self.report_routes(key);
    }

    /// Tells to whom a Service is announced, if that has changed.
    fn report_routes(&mut self, key: &ObjectKey) {
        let (addresses, peers) = self.routing.table.announced(key);
        let addresses: Vec<_> = addresses.into_iter().collect();
        let status = (!peers.is_empty()).then(|| BgpStatus { addresses, peers: peers.into_iter().collect() });
        let before = match status.clone() {
            Some(status) => self.routing.statuses.insert(key.clone(), status),
            None => self.routing.statuses.remove(key),
        };
        if before == status {
            return;
        }
        self.reports.push_back(Output::BgpStatus { service: key.clone(), status });
        if before.is_none() {
            let message = format!("announcing from node \"{}\" with protocol \"bgp\"", self.setup.node);
            let event = Event { severity: Severity::Normal, reason: "nodeAssigned", message };
            self.reports.push_back(Output::Event { service: key.clone(), event });
        }
    }

    /// Tells when there is a new reason why this node does not announce an address.
    fn report_silence(&mut self, key: &ObjectKey, mut silent: Vec<(IpAddr, bgp::Reason)>) {
        // Whoever wants BGP has an advertisement; without any, layer 2 says so.
        silent.retain(|(_, reason)| *reason != bgp::Reason::NoAdvertisement);
        let before = replace(&mut self.routing.silent, key, silent.clone());
        for (address, reason) in silent.into_iter().filter(|entry| !before.contains(entry)) {
            self.note(format!("{key}: {address} is not announced by BGP from here: {reason}"));
        }
    }

    fn report_conflicts(&mut self, key: &ObjectKey, conflicts: Vec<bgp::Conflict>) {
        let before = replace(&mut self.routing.conflicts, key, conflicts.clone());
        for conflict in conflicts.into_iter().filter(|conflict| !before.contains(conflict)) {
            let bgp::Conflict { address, heeded, overruled } = conflict;
            let message = format!(
                "{address}: {heeded} and {overruled} want different local preferences for the same prefix and peers: \
                 the higher one of {heeded} is announced"
            );
            self.warn_of(key, "LocalPreferenceConflict", message);
        }
    }

    fn report_refused(&mut self, key: &ObjectKey, refused: Vec<bgp::RefusedCommunity>) {
        let before = replace(&mut self.routing.refused, key, refused.clone());
        for refusal in refused.into_iter().filter(|refusal| !before.contains(refusal)) {
            let bgp::RefusedCommunity { community, reason } = refusal;
            let message = format!("announced without the community {community}: {reason}");
            self.warn_of(key, "CommunityRefused", message);
        }
    }

    fn warn_of(&mut self, key: &ObjectKey, reason: &'static str, message: String) {
        let event = Event { severity: Severity::Warning, reason, message };
        self.reports.push_back(Output::Event { service: key.clone(), event });
    }
}

/// Takes what was told of a Service, and gives what was told before.
fn replace<T>(told: &mut BTreeMap<ObjectKey, Vec<T>>, key: &ObjectKey, now: Vec<T>) -> Vec<T> {
    let before = if now.is_empty() { told.remove(key) } else { told.insert(key.clone(), now) };
    before.unwrap_or_default()
}
