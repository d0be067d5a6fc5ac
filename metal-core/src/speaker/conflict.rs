//! When somebody else has an address that is ours.
//!
//! A member is dealt with by claims: who claims an address serves it. A stranger is told to people. While an
//! address has never been announced nobody relies on it, so it is left to the stranger; once it is announced it
//! is defended, for a single forged frame must not take a Service away.

use alloc::format;
use core::{fmt, net::IpAddr, time::Duration};

use super::{Duty, Output, Reason, Speaker, manner::REFRESH};
use crate::{
    membership::beacon::ClaimState,
    ownership::{Cause, Change, Place},
    time::Instant,
    view::{LinkIndex, Mac},
};

/// A stranger that has an address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stranger {
    /// The first one that was seen: who forges frames may use many.
    pub mac: Mac,
    /// We announce the address all the same.
    pub announced: bool,
    /// The address has never been announced.
    pub replaceable: bool,
}

/// A MAC address as people write it.
pub(super) struct Shown(pub Mac);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Speaker {
    /// How an address is answered for that has just become ours, or that another node had as well.
    pub(super) fn duty(&self, place: Place, change: &Change) -> Duty {
        // The first term: nobody has ever claimed it here.
        let is_first = self.ownership.claim(place).is_some_and(|claim| claim.term <= 1);
        let probe = match change {
            Change::Gained(Cause::Free) => is_first || self.was_objected(place.1),
            // Who had it before us may have been silent because of a stranger.
            Change::Gained(_) => self.was_objected(place.1),
            Change::Repeat | Change::Ended(_) | Change::Claim => false,
        };
        let refresh = self.standings.get(&place).map_or(Some(REFRESH), |standing| standing.refresh.value);
        Duty { probe, refresh }
    }

    /// A foreign MAC has an address of ours.
    pub(super) fn on_conflict(&mut self, now: Instant, place: Place, mac: Mac, announced: bool) {
        let (link, address) = place;
        if !self.ownership.owns(place) {
            return;
        }
        if self.is_ours(now, link, mac) {
            // Its claim may still be on the way, and if it comes first in the end nothing must be said now.
            if self.members_seen.get(&(place, announced)).is_none() {
                let beacon = self.membership.interval();
                self.members_seen.set((place, announced), now + beacon * 3 / 2);
            }
            return;
        }
        *self.conflicts.entry(link).or_default() += 1;
        if announced {
            self.outputs.push_back(Output::Defend { link, address });
        }
        if let Some(stranger) = self.strangers.get_mut(&place) {
            if stranger.announced != announced {
                stranger.announced = announced;
                stranger.replaceable &= !announced;
                self.stranger_changed(address);
            }
            return;
        }
        let replaceable = !announced && self.was_never_announced(now, place);
        self.strangers.insert(place, Stranger { mac, announced, replaceable });
        self.stranger_changed(address);
        let (name, mac) = (self.link_name(link), Shown(mac));
        self.note(if announced {
            format!("{address} on {name}: {mac} has it as well; this node goes on answering, and says so")
        } else {
            format!("{address} on {name}: {mac} has it; this node is silent as long as that is so")
        });
    }

    /// No stranger has had the address for a while.
    pub(super) fn on_conflict_over(&mut self, place: Place) {
        if self.strangers.remove(&place).is_some() {
            let (link, address) = place;
            self.stranger_changed(address);
            self.note(format!("{address} on {}: no stranger has it any more", self.link_name(link)));
        }
    }

    /// A member had an address of ours a moment ago: if it has not claimed it since, the neighbours are told who does.
    pub(super) fn insist(&mut self, now: Instant, place: Place, announced: bool) {
        let (link, address) = place;
        self.decide_owner(now, place);
        let held = self.ownership.claim(place).is_some_and(|claim| claim.state == ClaimState::Held);
        if !held || self.is_withheld(place) || self.rivals(place).iter().any(|rival| !rival.to_us) {
            return;
        }
        self.outputs.push_back(if announced {
            Output::Defend { link, address }
        } else {
            let duty = Duty { probe: false, ..self.duty(place, &Change::Repeat) };
            Output::Own { link, address, duty: Some(duty) }
        });
    }

    /// Whether the controller says that an address is not announced because a stranger has it.
    fn was_objected(&self, address: IpAddr) -> bool {
        let services = self.addresses.get(&address).into_iter().flat_map(|carried| &carried.services);
        let said = services.filter_map(|key| self.services.get(key)?.announced.as_ref());
        let mut objections = said.filter(|said| !said.status);
        objections.any(|said| said.reason == Reason::AddressConflict.code())
    }

    /// Whether an address that is ours is silent because a stranger has it.
    pub(super) fn is_withheld(&self, place: Place) -> bool {
        self.strangers.get(&place).is_some_and(|stranger| !stranger.announced)
    }

    fn stranger_changed(&mut self, address: IpAddr) {
        self.dirty.findings.insert(address);
        if let Some(carried) = self.addresses.get(&address) {
            self.dirty.services.extend(carried.services.iter().cloned());
        }
    }

    /// Whether a MAC address is that of a member, or of this host.
    fn is_ours(&self, now: Instant, link: LinkIndex, mac: Mac) -> bool {
        self.membership.is_member(now, link, mac) || self.nics.values().any(|nic| nic.link.mac == mac)
    }

    /// Whether nobody can rely on an address yet. What was there before us has been announced by those before us.
    fn was_never_announced(&self, now: Instant, place: Place) -> bool {
        let (_, address) = place;
        let mut others = self.nics.keys().filter_map(|link| self.strangers.get(&(*link, address)));
        let carried = self.addresses.get(&address);
        let lately = |carried: &super::Carried| {
            carried.is_new && carried.claimed.is_some_and(|claimed| now.since(claimed) < FRESH)
        };
        carried.is_some_and(lately) || others.any(|other| other.replaceable)
    }
}

/// An address that was claimed longer ago has been announced since, on one link or the other.
const FRESH: Duration = Duration::from_secs(10);
