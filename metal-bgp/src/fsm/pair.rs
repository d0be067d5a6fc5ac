//! One peer: the connection that we dial and the one that we accept.

use core::net::Ipv4Addr;

use super::{Event, State, Transition, transition};

/// Which of the two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The one that we initiate.
    Dialled,
    /// The one that the peer initiates.
    Accepted,
}

/// Who is at one end, as far as a collision is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Speaker {
    /// The BGP Identifier.
    pub identifier: Ipv4Addr,
    /// The AS.
    pub asn: u32,
}

/// What to do with a connection that the peer has initiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Take it.
    Take,
    /// Take it after the older one has been given up: a peer that dials again has lost it.
    Replace(Slot),
    /// Refuse it: this peer does not listen, or is stopped.
    Reject,
    /// Refuse it: there is a session already.
    Collision,
}

/// What has to happen without an event from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chore {
    /// An event for a connection.
    Fire(Slot, Event),
    /// Start the pause before the next attempt to dial.
    Wait,
    /// Stop it: nothing is to be dialled.
    StopWaiting,
}

/// The states of the two connections with a peer, and how they depend on each other.
///
/// At most one of them is ever Established, and when both have exchanged OPENs, one is given up at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    dialled: State,
    accepted: State,
    running: bool,
    dials: bool,
    listens: bool,
}

impl Pair {
    /// The peer is to have a session, by dialling, by listening, or both. [`chore`](Self::chore) tells what to do.
    pub const fn run(&mut self, dials: bool, listens: bool) {
        (self.running, self.dials, self.listens) = (true, dials, listens);
    }

    /// The peer is to have no session. What is open has still to be closed with an event.
    pub const fn halt(&mut self) {
        self.running = false;
    }

    /// Whether the peer is to have a session.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.running
    }

    /// The state of a connection.
    #[must_use]
    pub const fn state(&self, slot: Slot) -> State {
        match slot {
            Slot::Dialled => self.dialled,
            Slot::Accepted => self.accepted,
        }
    }

    /// The state of the peer: that of the connection that is further.
    #[must_use]
    pub fn furthest(&self) -> State {
        self.dialled.max(self.accepted)
    }

    /// Which connection is Established.
    #[must_use]
    pub fn established(&self) -> Option<Slot> {
        Slot::BOTH.into_iter().find(|slot| self.state(*slot) == State::Established)
    }

    /// An event on a connection: the state changes, and what is returned has to be done.
    #[must_use = "the actions have to be performed"]
    pub const fn fire(&mut self, slot: Slot, event: Event) -> Transition {
        let transition = transition(self.state(slot), event);
        match slot {
            Slot::Dialled => self.dialled = transition.next,
            Slot::Accepted => self.accepted = transition.next,
        }
        transition
    }

    /// A good OPEN has arrived on `slot`: which of the connections has to be given up for it, if any (RFC 4271 6.8).
    ///
    /// Of two that have exchanged OPENs, that of the speaker with the higher BGP Identifier is kept; of the one
    /// with the larger AS where these are equal (RFC 6286 2.3). A session stays whatever comes.
    #[must_use]
    pub fn collision(&self, slot: Slot, ours: Speaker, theirs: Speaker) -> Option<Slot> {
        match self.state(slot.other()) {
            State::Established => Some(slot),
            State::OpenConfirm => {
                let rank = |speaker: Speaker| (u32::from(speaker.identifier), speaker.asn);
                let keep = if rank(ours) > rank(theirs) { Slot::Dialled } else { Slot::Accepted };
                Some(keep.other())
            }
            // The peer's identifier is not known yet: the OPEN on that connection decides.
            State::OpenSent => None,
            State::Idle | State::Connect | State::Active => None,
        }
    }

    /// The peer has initiated a connection. `restartable`: it has said in the present session that it may restart
    /// gracefully, so that a new connection means that it has (RFC 4724 4.2).
    #[must_use]
    pub fn admit(&self, restartable: bool) -> Admission {
        if !self.running || !self.listens {
            return Admission::Reject;
        }
        match (self.established(), self.accepted) {
            (Some(slot), _) if restartable => Admission::Replace(slot),
            (Some(_), _) => Admission::Collision,
            (None, State::OpenSent | State::OpenConfirm) => Admission::Replace(Slot::Accepted),
            // It starts to listen at once, so it is never seen in Idle.
            (None, State::Idle | State::Connect | State::Active | State::Established) => Admission::Take,
        }
    }

    /// What is to be done next, if anything; ask again after it has been done. `waiting`: the pause before the next
    /// attempt to dial runs.
    #[must_use]
    pub fn chore(&self, waiting: bool) -> Option<Chore> {
        let needs_dialling =
            self.running && self.dials && self.dialled == State::Idle && self.accepted != State::Established;
        if self.running && self.listens && self.accepted == State::Idle {
            Some(Chore::Fire(Slot::Accepted, Event::AutomaticStartPassive))
        } else if self.accepted == State::Established
            && matches!(self.dialled, State::Connect | State::Active)
        {
            Some(Chore::Fire(Slot::Dialled, Event::OpenCollisionDump))
        } else if needs_dialling && !waiting {
            Some(Chore::Wait)
        } else if waiting && !needs_dialling {
            Some(Chore::StopWaiting)
        } else {
            None
        }
    }
}

impl Slot {
    /// The two.
    pub const BOTH: [Self; 2] = [Self::Dialled, Self::Accepted];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Dialled => Self::Accepted,
            Self::Accepted => Self::Dialled,
        }
    }
}
