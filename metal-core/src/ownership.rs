//! Who answers for an address on a link: claims, their terms, and what ends them.
//!
//! There is no vote. Whoever may serve an address and hears nobody who does claims it, by saying so in its
//! beacons, with a *term* one higher than any heard before. Those in line wait a short step per place, so the
//! first one is usually alone. Two that hear each other settle it by term, then by MetalLB's order; a claimant
//! yields to a rival that cannot hear it, because that one cannot be told. Who serves goes on until there is a
//! [`Cause`] to stop.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{fmt, net::IpAddr, time::Duration};

use crate::{
    membership::beacon::{Claim, ClaimState, Page},
    name::NodeName,
    time::Instant,
    timer::Timers,
    view::LinkIndex,
};

/// An address on a link.
pub type Place = (LinkIndex, IpAddr);

/// Times that everybody in a cluster should share.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long each place in line waits after the end of an owner.
    pub step: Duration,
    /// How long each place in line waits for an address that was never served: those before it may only now
    /// be learning of it.
    pub fresh_step: Duration,
    /// How long an owner that has to go waits for its successor.
    pub patience: Duration,
}

/// What one decision depends on.
#[derive(Clone, Debug, Default)]
pub struct Situation {
    /// Claims may be made on this link.
    pub may_claim: bool,
    /// This speaker is ending.
    pub leaving: bool,
    /// Our place in line, the first being 0; `None` when we are not in it.
    pub place: Option<usize>,
    /// The first in line who is not us and could serve now.
    pub heir: Option<u32>,
    /// What others claim.
    pub rivals: Vec<Rival>,
}

/// Somebody else's claim on the same address.
#[derive(Clone, Debug)]
pub struct Rival {
    /// Where it runs.
    pub node: NodeName,
    /// What it claims.
    pub claim: Claim,
    /// Whether it hears us.
    pub hears_us: bool,
    /// Whether it comes before us in MetalLB's order.
    pub precedes: bool,
    /// Whether it hands over to us.
    pub to_us: bool,
}

/// What has changed for an address on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Answer from now on.
    Gained(Cause),
    /// Somebody else answered as well: say again that we do.
    Repeat,
    /// Fall silent.
    Ended(Cause),
    /// Our claim reads differently, nothing else.
    Claim,
}

/// Why an address moves. There is no other cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody serves it.
    Free,
    /// Who served it does no longer.
    Orphaned(NodeName),
    /// The owner has handed it to us.
    HandedBy(NodeName),
    /// We have handed it to another.
    HandedTo(NodeName),
    /// Another has the better claim.
    Yielded(NodeName),
    /// Another claims it too and cannot hear us.
    Unheard(NodeName),
    /// We may no longer serve it, and nobody else could.
    NotInLine,
    /// We had to go and the successor did not answer in time.
    NoSuccessor,
    /// Nothing may be claimed on the link now.
    LinkLost,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("nobody serves it"),
            Self::Orphaned(node) => write!(f, "{node} serves it no longer"),
            Self::HandedBy(node) => write!(f, "{node} has handed it over"),
            Self::HandedTo(node) => write!(f, "{node} has taken it over"),
            Self::Yielded(node) => write!(f, "{node} has the better claim"),
            Self::Unheard(node) => write!(f, "{node} serves it too and does not hear this node"),
            Self::NotInLine => f.write_str("this node may not serve it, and no other node can"),
            Self::NoSuccessor => f.write_str("the successor did not take over in time"),
            Self::LinkLost => f.write_str("the link is lost or has to be listened to first"),
        }
    }
}

/// Our part in one address on one link.
#[derive(Clone, Debug, Default)]
struct Holding {
    state: State,
    /// The highest term ever heard, ours included.
    highest: u32,
    /// Who served it last, if it was not us.
    former: Option<NodeName>,
    /// Others answered while we did.
    contested: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Not ours, and not to become ours now.
    #[default]
    Idle,
    /// Ours unless somebody before us claims it.
    Waiting { since: Instant, until: Instant },
    /// Ours.
    Held { term: u32 },
    /// Ours until `heir` answers.
    HandingOver { term: u32, heir: u32, until: Instant },
}

impl Holding {
    fn claim(&self) -> Option<Claim> {
        match self.state {
            State::Idle | State::Waiting { .. } => None,
            State::Held { term } => Some(Claim { term, state: ClaimState::Held }),
            State::HandingOver { term, heir, .. } => {
                Some(Claim { term, state: ClaimState::HandingOver(heir) })
            }
        }
    }

    const fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Idle | State::Held { .. } => None,
            State::Waiting { until, .. } | State::HandingOver { until, .. } => Some(until),
        }
    }

    fn decide(&mut self, now: Instant, situation: &Situation, pace: &Pace) -> Option<Change> {
        for rival in &situation.rivals {
            self.highest = self.highest.max(rival.claim.term);
        }
        let change = match self.state {
            State::Idle => self.stand_by(now, now, situation, pace),
            State::Waiting { since, .. } => self.stand_by(now, since, situation, pace),
            State::Held { term } => self.hold(now, term, None, situation, pace),
            State::HandingOver { term, heir, until } => {
                self.hold(now, term, Some((heir, until)), situation, pace)
            }
        };
        if let Some(rival) = situation.rivals.iter().max_by_key(|rival| rival.claim.term) {
            self.former = Some(rival.node.clone());
        }
        change
    }

    /// Not ours: is it time to claim it?
    fn stand_by(
        &mut self,
        now: Instant,
        since: Instant,
        situation: &Situation,
        pace: &Pace,
    ) -> Option<Change> {
        self.state = State::Idle;
        let place = situation.place.filter(|_| situation.may_claim && !situation.leaving)?;
        let cause = match situation.rivals.as_slice() {
            [] => {
                let step = if self.highest == 0 { pace.fresh_step } else { pace.step };
                let places = u32::try_from(place.min(LAST_PLACE)).unwrap_or(0);
                let until = since + step * places;
                if now < until {
                    self.state = State::Waiting { since, until };
                    return None;
                }
                self.former.take().map_or(Cause::Free, Cause::Orphaned)
            }
            [rival] if rival.to_us => Cause::HandedBy(rival.node.clone()),
            _ => return None,
        };
        self.highest = self.highest.saturating_add(1);
        self.state = State::Held { term: self.highest };
        self.contested = false;
        Some(Change::Gained(cause))
    }

    /// Ours: is there a cause to give it up?
    fn hold(
        &mut self,
        now: Instant,
        term: u32,
        handing_over: Option<(u32, Instant)>,
        situation: &Situation,
        pace: &Pace,
    ) -> Option<Change> {
        if !situation.may_claim {
            return Some(self.end(Cause::LinkLost));
        }
        for rival in &situation.rivals {
            let node = rival.node.clone();
            if !rival.hears_us {
                return Some(self.end(Cause::Unheard(node)));
            }
            if (rival.claim.term, rival.precedes) > (term, false) {
                let planned = handing_over.is_some();
                return Some(self.end(if planned { Cause::HandedTo(node) } else { Cause::Yielded(node) }));
            }
        }
        if situation.leaving || situation.place.is_none() {
            return self.hand_over(now, term, handing_over, situation.heir, pace);
        }

        self.state = State::Held { term };
        // Who hands over to us falls silent by itself.
        let contested = situation.rivals.iter().any(|rival| !rival.to_us);
        if contested != self.contested {
            self.contested = contested;
            return Some(Change::Repeat);
        }
        handing_over.map(|_| Change::Claim)
    }

    /// Ours, but we have to go: answer until the successor does.
    fn hand_over(
        &mut self,
        now: Instant,
        term: u32,
        handing_over: Option<(u32, Instant)>,
        heir: Option<u32>,
        pace: &Pace,
    ) -> Option<Change> {
        let Some(heir) = heir else { return Some(self.end(Cause::NotInLine)) };
        let until = handing_over.map_or(now + pace.patience, |(_, until)| until);
        if now >= until {
            return Some(self.end(Cause::NoSuccessor));
        }
        let before = self.state;
        self.state = State::HandingOver { term, heir, until };
        (before != self.state).then_some(Change::Claim)
    }

    fn end(&mut self, cause: Cause) -> Change {
        self.state = State::Idle;
        self.contested = false;
        Change::Ended(cause)
    }
}

/// Our part in all addresses on all links.
#[derive(Clone, Debug)]
pub struct Ownership {
    pace: Pace,
    holdings: BTreeMap<Place, Holding>,
    timers: Timers<Place>,
}

impl Ownership {
    /// Nothing is ours.
    #[must_use]
    pub const fn new(pace: Pace) -> Self {
        Self { pace, holdings: BTreeMap::new(), timers: Timers::new() }
    }

    /// Decides about one address on one link again. To be called when its situation has changed, and when
    /// [`take_due`](Self::take_due) names it.
    pub fn decide(&mut self, now: Instant, place: Place, situation: &Situation) -> Option<Change> {
        let holding = self.holdings.entry(place).or_default();
        let change = holding.decide(now, situation, &self.pace);
        match holding.deadline() {
            Some(at) => self.timers.set(place, at),
            None => drop(self.timers.stop(&place)),
        }
        change
    }

    /// Forgets an address that nobody asks for any more, its terms included. It must not be ours.
    pub fn forget(&mut self, place: Place) {
        if !self.owns(place) {
            self.holdings.remove(&place);
            self.timers.stop(&place);
        }
    }

    /// Forgets a link that is gone. Nothing on it may be ours.
    pub fn forget_link(&mut self, link: LinkIndex) {
        let first = (link, Page::FIRST);
        let last = (link, Page::LAST);
        let places: Vec<_> = self.holdings.range(first..=last).map(|(place, _)| *place).collect();
        places.into_iter().for_each(|place| self.forget(place));
    }

    /// What our beacons have to say about an address.
    #[must_use]
    pub fn claim(&self, place: Place) -> Option<Claim> {
        self.holdings.get(&place)?.claim()
    }

    /// Whether we answer for an address.
    #[must_use]
    pub fn owns(&self, place: Place) -> bool {
        self.claim(place).is_some()
    }

    /// Everything that we answer for.
    pub fn owned(&self) -> impl Iterator<Item = Place> {
        self.holdings.iter().filter(|(_, holding)| holding.claim().is_some()).map(|(place, _)| *place)
    }

    /// An address whose time to decide has come.
    pub fn take_due(&mut self, now: Instant) -> Option<Place> {
        self.timers.take_due(now)
    }

    /// When the next decision is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
}

/// Later places in line all wait as long as this one.
const LAST_PLACE: usize = 16;

#[cfg(test)]
mod tests;
