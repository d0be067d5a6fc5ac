//! Taking inputs: what came is kept, and what it touches is marked.

use alloc::{collections::BTreeSet, format, vec::Vec};
use core::net::IpAddr;

use super::{Carried, Input, Output, Phase, Reason, Speaker, bgp, takes_part};
use crate::{
    config::{Object, ObjectRef},
    machine::Machine,
    membership::{self, Port},
    name::{NodeName, ObjectKey},
    selector::Labels,
    time::Instant,
    view::{EndpointSlice, Link, LinkIndex, Node, Scope, Service},
};

/// A network interface of this host.
#[derive(Debug)]
pub(super) struct Nic {
    pub link: Link,
    pub active: bool,
}

impl Speaker {
    pub(super) fn take(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Service(key, service) => self.set_service(key, service),
            Input::Endpoints(key, slice) => self.set_endpoints(key, slice),
            Input::Node(name, node) => self.set_node(name, node),
            Input::Config(object, value) => self.set_config(object, value),
            Input::Synced => self.set_synced(now),
            Input::Link(index, link) => self.set_link(now, index, link),
            Input::ArpIgnore(link, value) => {
                if self.traps.set_arp_ignore(link, value) {
                    self.dirty.findings.extend(self.addresses.keys());
                }
            }
            Input::Conflict { link, address, mac, announced } => {
                return self.on_conflict(now, (link, address), mac, announced);
            }
            Input::ConflictOver { link, address } => return self.on_conflict_over((link, address)),
            Input::Key(secret) => {
                self.membership.handle_input(now, membership::Input::Key(secret));
                self.all_dirty();
            }
            Input::Frame { link, frame } => {
                return self.membership.handle_input(now, membership::Input::Frame(link, frame));
            }
            Input::Gateways(gateways) => self.set_gateways(gateways),
            Input::Password(name, password) => self.set_password(name, password),
            Input::Stop => {
                if self.phase == Phase::Running {
                    self.phase = Phase::Stopping;
                    self.membership.handle_input(now, membership::Input::Leaving);
                    self.all_dirty();
                    self.end_routes();
                    let count = self.ownership.owned().count();
                    self.note(format!("stopping: {count} addresses to hand over"));
                }
            }
        }
        self.report_obstacle();
    }

    pub(super) fn all_dirty(&mut self) {
        self.dirty.lines.extend(self.addresses.keys());
    }

    fn set_service(&mut self, key: ObjectKey, service: Option<Service>) {
        let service = service.filter(bgp::concerns);
        let before = match &service {
            Some(service) => self.services.insert(key.clone(), service.clone()),
            None => self.services.remove(&key),
        };
        if before == service {
            return;
        }
        let addresses = |service: &Option<Service>| -> BTreeSet<IpAddr> {
            let ours = service.iter().filter(|service| service.scope == Scope::Ours);
            ours.flat_map(|service| &service.assigned).copied().collect()
        };
        let (before, after) = (addresses(&before), addresses(&service));
        for address in before.difference(&after) {
            if let Some(carried) = self.addresses.get_mut(address) {
                carried.services.remove(&key);
            }
        }
        for address in &after {
            let is_new = self.synced;
            let fresh = || Carried { is_new, ..Carried::default() };
            self.addresses.entry(*address).or_insert_with(fresh).services.insert(key.clone());
        }
        self.dirty.routing.service(&key);
        self.dirty.findings.extend(before.union(&after));
        self.dirty.lines.extend(before.union(&after));
        self.dirty.services.insert(key);
    }

    fn set_endpoints(&mut self, key: ObjectKey, slice: Option<EndpointSlice>) {
        for service in self.endpoints.set(key, slice) {
            self.dirty.routing.service(&service);
            if let Some(service) = self.services.get(&service) {
                self.dirty.lines.extend(&service.assigned);
            }
        }
    }

    fn set_node(&mut self, name: NodeName, node: Option<Node>) {
        let is_own = name == self.setup.node;
        let before = match node.clone() {
            Some(node) => self.nodes.insert(name, node),
            None => self.nodes.remove(&name),
        };
        if before != node {
            // What other nodes are like is nothing to BGP: each announces for itself.
            if is_own {
                self.all_routes_dirty();
            }
            if before.as_ref().map(of_layer_2) != node.as_ref().map(of_layer_2) {
                self.dirty.receive = true;
                self.all_dirty();
            }
        }
    }

    fn set_config(&mut self, object: ObjectRef, value: Option<Object>) {
        self.config.apply(object, value);
        self.settle_config();
    }

    fn settle_config(&mut self) {
        let changes = self.config.take_changes();
        for (object, refusals) in changes.verdicts {
            let refused = !refusals.is_empty();
            let was_refused =
                if refused { !self.refused.insert(object.clone()) } else { self.refused.remove(&object) };
            if refused || was_refused {
                self.reports.push_back(Output::Verdict { object, refusals });
            }
        }
        if !self.synced {
            return;
        }
        self.dirty.receive = true;
        if !changes.peers.is_empty() {
            self.dirty.routing.peers();
        }
        if changes.bgp_wishes {
            self.all_routes_dirty();
        }
        let touched = |pool| changes.pools.contains(pool) || changes.advertised.contains(pool);
        let snapshot = self.config.snapshot();
        for (address, carried) in &self.addresses {
            // Outside every pool any advertisement may be the one that counts.
            let now = snapshot.pool_of(*address).map(|pool| &pool.name);
            let moved = now.is_none() || now != carried.pool.as_ref();
            let routed = now.is_some_and(|pool| changes.advertised_by_bgp.contains(pool));
            if moved || routed || now.is_some_and(touched) {
                self.dirty.lines.insert(*address);
                carried.services.iter().for_each(|service| self.dirty.routing.service(service));
            }
        }
    }

    fn set_synced(&mut self, now: Instant) {
        if self.synced {
            return;
        }
        self.synced = true;
        self.config.synced();
        self.settle_config();
        self.all_routes_dirty();
        self.membership.handle_input(now, membership::Input::Ready);
        self.all_dirty();
    }

    fn set_link(&mut self, now: Instant, index: LinkIndex, link: Option<Link>) {
        // A peer may be configured by the name of its link.
        self.dirty.routing.peers();
        let changed = self.traps.set_link(index, link.as_ref());
        self.dirty
            .findings
            .extend(changed.into_iter().filter(|address| self.addresses.contains_key(address)));
        let Some(link) = link else {
            self.deactivate(now, index, Reason::LinkDown);
            self.nics.remove(&index);
            self.conflicts.remove(&index);
            self.ownership.forget_link(index);
            return;
        };
        let verdict = takes_part(&link);
        let nic = self.nics.entry(index).or_insert_with(|| Nic { link: link.clone(), active: false });
        let (was_active, same) = (nic.active, nic.link == link);
        let name = link.name.clone();
        nic.link = link;
        match verdict {
            Ok(()) => {
                self.flaps.stop(&index);
                if !was_active || !same {
                    self.activate(now, index);
                }
            }
            // Nobody can have given us up yet, and the link may come back before anybody does.
            Err(reason @ (Reason::LinkDown | Reason::LinkNoCarrier)) if was_active => {
                if self.flaps.get(&index).is_none() {
                    let missed = u32::from(self.setup.multiplier.saturating_sub(1));
                    let unnoticed = self.membership.interval() * missed;
                    match self.membership.last_sent(index).map(|last| last + unnoticed) {
                        Some(until) if until > now => {
                            self.flaps.set(index, until);
                            self.note(format!(
                                "{name}: {reason}; it keeps its addresses in case it is back at once"
                            ));
                        }
                        _ => self.deactivate(now, index, reason),
                    }
                }
            }
            Err(reason) => self.deactivate(now, index, reason),
        }
    }

    /// Lets a link take part, or tells how it is now.
    fn activate(&mut self, now: Instant, index: LinkIndex) {
        let Some(nic) = self.nics.get_mut(&index) else { return };
        let port =
            Port { name: nic.link.name.clone(), mac: nic.link.mac, prefixes: nic.link.prefixes.clone() };
        if !nic.active {
            nic.active = true;
            self.outputs.push_back(Output::Listen { link: index, active: true });
            let note = format!("{} takes part", port.name);
            self.note(note);
        }
        self.dirty.receive = true;
        self.membership.handle_input(now, membership::Input::Link(index, Some(port)));
        self.all_dirty();
    }

    /// A link takes part no longer: everything there ends at once.
    pub(super) fn deactivate(&mut self, now: Instant, index: LinkIndex, reason: Reason) {
        self.flaps.stop(&index);
        let Some(nic) = self.nics.get_mut(&index).filter(|nic| nic.active) else { return };
        nic.active = false;
        let note = format!("{} takes part no longer: {reason}", nic.link.name);
        self.note(note);
        self.membership.handle_input(now, membership::Input::Link(index, None));
        let places: Vec<_> = self.addresses.keys().map(|address| (index, *address)).collect();
        for place in places {
            self.standings.remove(&place);
            self.decide_owner(now, place);
        }
        self.receive_modes.remove(&index);
        self.outputs.push_back(Output::Listen { link: index, active: false });
        self.all_dirty();
    }

    /// Says once what keeps this node from serving, as soon as it has been told everything else.
    fn report_obstacle(&mut self) {
        if !self.synced {
            return;
        }
        let unknown = !self.nodes.contains_key(&self.setup.node);
        let obstacle = self.not_ready().or_else(|| unknown.then_some(Reason::NodeUnknown));
        if self.obstacle == obstacle {
            return;
        }
        self.obstacle = obstacle;
        let node = &self.setup.node;
        let note = match obstacle {
            None => format!("node {node} is ready to announce"),
            Some(Reason::NodeUnknown) => format!("node {node}: {}", Reason::NodeUnknown),
            Some(reason) => format!("node {node} announces nothing: {reason}"),
        };
        self.note(note);
    }
}

/// What matters to layer 2: all but the annotations, where BGP may find a router.
fn of_layer_2(node: &Node) -> (&Labels, bool, &[IpAddr]) {
    let Node { labels, network_unavailable, addresses, annotations: _ } = node;
    (labels, *network_unavailable, addresses)
}
