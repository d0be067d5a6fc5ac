//! Deciding: who is in line for an address, and whether it is ours.

use alloc::{format, string::String, vec::Vec};
use core::net::IpAddr;

use super::{
    Output, Phase, Reason, Speaker, Standing,
    l2::{self, Candidate, Carrier},
};
use crate::{
    config::L2Advertisement,
    election,
    machine::Machine,
    membership::{
        self,
        beacon::{ClaimState, Flags},
    },
    name::PoolName,
    ownership::{Change, Place, Rival, Situation},
    time::Instant,
    view::{LinkIndex, Service},
};

impl Speaker {
    /// Where we stand for an address on each link.
    pub(super) fn decide_line(&mut self, address: IpAddr) {
        self.dirty.findings.insert(address);
        // Before everything is listed nobody can say who is in line.
        let carried = self.addresses.get(&address).is_some_and(|carried| !carried.services.is_empty());
        if !carried {
            self.dirty.owners.extend(self.nics.keys().map(|link| (*link, address)));
            self.forget_address(address);
        }
        let links = self.nics.iter().filter(|(_, nic)| nic.active);
        let links: Vec<LinkIndex> = links.map(|(index, _)| *index).collect();
        let mut reason = None;
        let mut announced = !self.synced || !carried || links.is_empty();
        let mut pool = None;
        for link in &links {
            let standing = if carried && self.synced {
                let (standing, why, found) = self.stand(*link, address);
                announced |= why.is_none();
                reason = reason.max(why);
                pool = found;
                standing
            } else {
                Standing::default()
            };
            self.standings.insert((*link, address), standing);
            self.dirty.owners.insert((*link, address));
        }
        if let Some(carried) = self.addresses.get_mut(&address) {
            carried.pool = pool;
        }
        // Whoever wants BGP needs nothing of layer 2.
        announced |= reason == Some(Reason::NoAdvertisement) && self.is_routed(address);
        self.report_reason(address, reason.filter(|_| !announced));
    }

    /// Our place for an address on one link, why nobody is in line there, and the address's pool.
    fn stand(&self, link: LinkIndex, address: IpAddr) -> (Standing, Option<Reason>, Option<PoolName>) {
        let pool = self.config.snapshot().pool_of(address);
        let name = pool.map(|pool| pool.name.clone());
        let (members, candidates) = self.candidates(link);
        let carriers = self.carriers(address);
        let refresh = self.refresh(link, &carriers);
        match l2::line(address, &carriers, &candidates, &self.nodes) {
            Ok(line) => {
                let member = |index: &usize| members[*index];
                let standing = Standing {
                    place: line.order.iter().position(|index| member(index) == Member::Us),
                    heir: line.order.iter().find_map(|index| match member(index) {
                        Member::Peer { hash, could_serve: true } => Some(hash),
                        Member::Peer { .. } | Member::Us => None,
                    }),
                    refresh,
                };
                (standing, line.all_excluded.then_some(Reason::AllNodesExcluded), name)
            }
            Err(reason) => (Standing::default(), Some(reason), name),
        }
    }

    /// Everybody who is alive on a link and may serve, ourselves included.
    fn candidates(&self, link: LinkIndex) -> (Vec<Member>, Vec<Candidate<'_>>) {
        let us = self.nics.get(&link).map(|nic| {
            let candidate = Candidate {
                node: &self.setup.node,
                salt: &self.setup.incarnation,
                interface: &nic.link.name,
                prefixes: &nic.link.prefixes,
                tier: 0,
            };
            (Member::Us, candidate)
        });
        let peers =
            self.membership.peers(link).filter(|(_, peer)| peer.stands_in_line()).map(|(id, peer)| {
                let candidate = Candidate {
                    node: &peer.node,
                    salt: &id.salt,
                    interface: &peer.interface,
                    prefixes: &peer.prefixes,
                    tier: peer.tier,
                };
                let could_serve = !peer.flags.contains(Flags::LISTENING);
                (Member::Peer { hash: peer.hash, could_serve }, candidate)
            });
        us.into_iter().chain(peers).unzip()
    }

    /// The Services on an address, with the advertisements that apply to them.
    pub(super) fn carriers(&self, address: IpAddr) -> Vec<Carrier<'_>> {
        let snapshot = self.config.snapshot();
        let services = self.addresses.get(&address).into_iter().flat_map(|carried| &carried.services);
        let carrier = |key| {
            let service = self.services.get(key)?;
            let applies = |advertisement: &&L2Advertisement| advertisement.admits_service(&service.labels);
            let advertisements = match snapshot.pool_of(address) {
                Some(pool) => snapshot.advertisements_for(pool).map(AsRef::as_ref).filter(applies).collect(),
                // The pool has shrunk or is gone: the address is served until the controller replaces it.
                None => match former_pool(service, address) {
                    Some(pool) => {
                        // The labels are those of the first pool.
                        let is_first = service.assigned_from.first() == Some(pool);
                        let labels = service.pool_labels.as_ref().filter(|_| is_first);
                        let former = snapshot.advertisements_of_former(pool, labels);
                        former.map(AsRef::as_ref).filter(applies).collect()
                    }
                    None => Vec::new(),
                },
            };
            Some(Carrier {
                advertisements,
                traffic_policy: service.traffic_policy,
                serving: self.endpoints.serving(key),
            })
        };
        services.filter_map(carrier).collect()
    }

    /// Whether an address on a link is ours now.
    pub(super) fn decide_owner(&mut self, now: Instant, place: Place) {
        let (link, address) = place;
        let standing = self.standings.get(&place).copied().unwrap_or_default();
        let situation = Situation {
            may_claim: self.synced && self.membership.may_claim(link),
            leaving: self.phase != Phase::Running,
            place: standing.place,
            heir: standing.heir,
            rivals: self.rivals(place),
        };
        let change = self.ownership.decide(now, place, &situation);
        if let Some(change) = change {
            let claim = self.ownership.claim(place);
            self.membership.handle_input(now, membership::Input::Claim(link, address, claim));
            self.act(now, place, change);
        }
        self.tell_refresh(place);
        let carried = self.addresses.get(&address).is_some_and(|carried| !carried.services.is_empty());
        if !carried && !self.ownership.owns(place) {
            self.ownership.forget(place);
            self.standings.remove(&place);
            self.forget_address(address);
        }
    }

    /// Drops an address that no Service has any more, once no link needs it.
    fn forget_address(&mut self, address: IpAddr) {
        let mut links = self.nics.keys();
        if !links.any(|link| self.ownership.owns((*link, address))) {
            self.addresses.remove(&address);
        }
    }

    fn act(&mut self, now: Instant, place: Place, change: Change) {
        let (link, address) = place;
        let own = |duty| Output::Own { link, address, duty };
        let name = String::from(self.link_name(link));
        let duty = self.duty(place, &change);
        self.dirty.findings.insert(address);
        match change {
            Change::Gained(cause) => {
                if let Some(carried) = self.addresses.get_mut(&address) {
                    carried.claimed.get_or_insert(now);
                }
                self.refreshes.insert(place, duty.refresh);
                self.outputs.push_back(own(Some(duty)));
                self.note(format!("{address} on {name}: this node answers now, {cause}"));
            }
            Change::Repeat => {
                self.refreshes.insert(place, duty.refresh);
                self.outputs.push_back(own(Some(duty)));
                self.note(format!("{address} on {name}: another node answered as well, announced again"));
            }
            Change::Ended(cause) => {
                self.strangers.remove(&place);
                self.refreshes.remove(&place);
                self.outputs.push_back(own(None));
                self.note(format!("{address} on {name}: this node is silent now, {cause}"));
            }
            Change::Claim => {}
        }
        if let Some(carried) = self.addresses.get(&address) {
            self.dirty.services.extend(carried.services.iter().cloned());
        }
    }

    pub(super) fn rivals(&self, place: Place) -> Vec<Rival> {
        let (link, address) = place;
        let (us, ours) = (self.membership.hash(), self.ownership.claim(place));
        // Who is deaf can neither serve nor be told; it yields when it hears again.
        let peers = self.membership.peers(link).filter(|(_, peer)| !peer.deaf);
        let rivals = peers.filter_map(|(id, peer)| {
            let claim = *peer.claim(address)?;
            // Only for equal terms the order matters; the salt tells two incarnations of one node apart.
            let precedes = ours.is_some_and(|ours| ours.term == claim.term)
                && (election::hash(peer.node.as_str(), address), &id.salt)
                    < (election::hash(self.setup.node.as_str(), address), &self.setup.incarnation);
            Some(Rival {
                node: peer.node.clone(),
                claim,
                hears_us: peer.hears_us,
                precedes,
                to_us: claim.state == ClaimState::HandingOver(us),
            })
        });
        rivals.collect()
    }

    /// What membership has found out, and what it wants sent.
    pub(super) fn on_member(&mut self, output: membership::Output) {
        match output {
            membership::Output::Send(link, frame) => {
                // While a link flaps there is nobody to hear us.
                if self.flaps.get(&link).is_none() {
                    self.outputs.push_back(Output::Send { link, frame });
                }
            }
            membership::Output::Joined(link, id) => {
                if let Some(peer) = self.membership.peer(link, &id) {
                    let note = format!("{} is there on {}", peer.node, self.link_name(link));
                    self.note(note);
                }
                self.all_dirty();
            }
            membership::Output::Lost { link, node, cause } => {
                let how = match cause {
                    membership::Loss::Silent => "is silent",
                    membership::Loss::Farewell => "said farewell",
                };
                self.note(format!("{node} on {} {how}", self.link_name(link)));
                self.all_dirty();
            }
            membership::Output::Claims(link, addresses) => {
                let known = addresses.into_iter().filter(|address| self.addresses.contains_key(address));
                self.dirty.owners.extend(known.map(|address| (link, address)));
            }
            membership::Output::Changed(..) | membership::Output::Listened(_) => self.all_dirty(),
            membership::Output::Standby(link, standby) => {
                let name = self.link_name(link);
                self.note(if standby {
                    format!("{name} stands by: another link of this node serves the same LAN")
                } else {
                    format!("{name} serves again: no other link of this node serves the same LAN")
                });
                self.all_dirty();
            }
            membership::Output::Starved(late) => {
                let late = late.as_millis();
                self.note(format!(
                    "this process was {late} ms late: it blames nobody and listens before it serves again"
                ));
                self.all_dirty();
            }
        }
    }

    pub(super) fn link_name(&self, link: LinkIndex) -> &str {
        self.nics.get(&link).map_or("a lost link", |nic| nic.link.name.as_str())
    }
}

/// The pool that an address of a Service came from.
fn former_pool(service: &Service, address: IpAddr) -> Option<&PoolName> {
    let index = service.assigned.iter().position(|assigned| *assigned == address)?;
    service.pool_of_assigned(index)
}

/// Whose candidacy it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Us,
    Peer {
        hash: u32,
        /// It has listened and knows what it may claim.
        could_serve: bool,
    },
}
