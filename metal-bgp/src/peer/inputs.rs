//! What the driver tells: wishes, and what happens to connections.

use alloc::vec::Vec;

use metal_core::Instant;

use super::{
    Cause, Config, Connection, ConnectionId, Mode, Notice, Output, Peer, SessionId, Shared, Stop, Timer,
    Transport,
    execute::encode,
    outbox::Outbox,
    settings::{Extent, Settings},
};
use crate::{
    fsm::{Admission, Event, Slot, State},
    wire::{Families, Session, frame::MaxLength, notification::cease},
};

impl Peer {
    pub(super) fn start(&mut self, now: Instant) {
        if self.pair.is_running() {
            return self.hurry(now);
        }
        let Settings { mode, .. } = *self.config.settings();
        self.pair.run(mode.dials(), mode.listens());
        if mode.dials() {
            self.fire(now, Slot::Dialled, Event::ManualStart);
        }
        if mode.listens() {
            self.fire(now, Slot::Accepted, Event::ManualStartPassive);
        }
    }

    pub(super) fn stop(&mut self, now: Instant, stop: Stop) {
        self.pair.halt();
        self.end_both(now, Event::ManualStop, stop);
        self.history.unanswered_since = None;
    }

    pub(super) fn restart(&mut self, now: Instant, stop: Stop) {
        if !self.pair.is_running() {
            return;
        }
        self.end_both(now, Event::AutomaticStop, stop);
        self.extent = Extent::Full;
        self.history.unanswered_since = None;
        let Settings { mode, .. } = *self.config.settings();
        self.pair.run(mode.dials(), mode.listens());
        self.hurry(now);
    }

    pub(super) fn configure(&mut self, now: Instant, config: Config) {
        let keeps = self.config.keeps_session(&config);
        self.config = config;
        if keeps {
            self.hurry(now);
        } else {
            self.restart(now, Stop::ConfigurationChange);
        }
    }

    pub(super) fn on_connected(&mut self, now: Instant, id: ConnectionId) {
        match self.find(id) {
            Some(slot) if self.pair.state(slot) == State::Connect => self.fire(now, slot, Event::TcpCrAcked),
            _ => self.counters.stale_inputs += 1,
        }
    }

    pub(super) fn on_accepted(&mut self, now: Instant, number: u64) {
        let id = ConnectionId::Accepted(number);
        if self.find(id).is_some() {
            self.counters.stale_inputs += 1;
            return;
        }
        let restarts = self.negotiated().and_then(|negotiated| negotiated.graceful_restart);
        let restartable = restarts.is_some_and(|restart| restart.families != Families::NONE);
        // A session may be in the way, and behind it a connection that the peer opened before.
        loop {
            match self.pair.admit(restartable) {
                Admission::Take => break,
                Admission::Replace(slot) => {
                    if self.pair.state(slot) == State::Established {
                        self.end(now, slot, Event::TcpConnectionFails, Cause::PeerRestarted);
                    } else {
                        self.end(now, slot, Event::OpenCollisionDump, Cause::Collision);
                    }
                    // The slot listens again.
                    self.settle(now);
                }
                Admission::Reject => return self.reject(id, cease::CONNECTION_REJECTED),
                Admission::Collision => return self.reject(id, cease::COLLISION_RESOLUTION),
            }
        }
        self.counters.accepted += 1;
        self.history.unanswered_since = None;
        self.accepted = Some(Connection::new(id, now));
        self.fire(now, Slot::Accepted, Event::TcpConnectionConfirmed);
    }

    pub(super) fn on_failed(&mut self, now: Instant, id: ConnectionId, transport: Transport) {
        let Some(slot) = self.find(id) else {
            self.counters.stale_inputs += 1;
            return;
        };
        if transport.is_an_answer() {
            self.history.unanswered_since = None;
        }
        self.end(now, slot, Event::TcpConnectionFails, Cause::Transport(transport));
    }

    pub(super) fn on_sent(&mut self, now: Instant, id: ConnectionId, len: usize) {
        let Some(slot) = self.find_open(id) else { return };
        let Some(mut connection) = self.connection_mut(slot).take() else { return };
        connection.outbox.advance(len, &mut self.counters);
        *self.connection_mut(slot) = Some(connection);
        self.counters.bytes_sent =
            self.counters.bytes_sent.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        if len > 0 && self.timers.get(&(slot, Timer::SendHold)).is_some() {
            self.start_send_hold(now, slot);
        }
    }

    pub(super) fn on_updates(&mut self, session: SessionId, updates: Shared) {
        let slot =
            self.pair.established().filter(|_| self.negotiated().is_some_and(|now| now.session == session));
        match slot.and_then(|slot| self.connection_mut(slot).as_mut()) {
            Some(connection) => connection.outbox.push_updates(updates),
            None => self.counters.stale_inputs += 1,
        }
    }

    fn reject(&mut self, connection: ConnectionId, subcode: u8) {
        self.counters.rejected += 1;
        self.counters.sent.notification += 1;
        let last_words = encode(&Notice::cease(subcode), MaxLength::Standard);
        self.outputs.push_back(Output::Close { connection, last_words });
    }

    fn end_both(&mut self, now: Instant, event: Event, stop: Stop) {
        let event = if stop == Stop::ForRestart { Event::ReleaseForRestart } else { event };
        for slot in Slot::BOTH {
            self.end(now, slot, event, Cause::Stopped(stop.clone()));
        }
    }

    /// Dials now if there is a pause, and forgets how often that has failed.
    fn hurry(&mut self, now: Instant) {
        if self.pair.established().is_some() || !self.pair.is_running() {
            return;
        }
        self.failures = 0;
        match self.pair.state(Slot::Dialled) {
            State::Idle if self.config.settings().mode.dials() => {
                self.fire(now, Slot::Dialled, Event::AutomaticStart);
            }
            State::Active => self.fire(now, Slot::Dialled, Event::ConnectRetryTimerExpires),
            State::Idle | State::Connect | State::OpenSent | State::OpenConfirm | State::Established => {}
        }
    }
}

impl Connection {
    pub(super) fn new(id: ConnectionId, now: Instant) -> Self {
        Self {
            id,
            since: now,
            inbox: Vec::new(),
            outbox: Outbox::default(),
            open: None,
            receive: Session::default(),
            negotiated: None,
            disabled: Families::NONE,
            refresh: Families::NONE,
        }
    }
}

impl Mode {
    const fn dials(self) -> bool {
        match self {
            Self::Dial | Self::Both => true,
            Self::Listen => false,
        }
    }

    const fn listens(self) -> bool {
        match self {
            Self::Listen | Self::Both => true,
            Self::Dial => false,
        }
    }
}

impl Transport {
    /// Whether somebody is there.
    const fn is_an_answer(&self) -> bool {
        match self {
            Self::Refused | Self::Reset | Self::Closed => true,
            Self::Unreachable | Self::TimedOut | Self::Other(_) => false,
        }
    }
}
