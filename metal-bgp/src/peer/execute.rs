//! What happens to the connections: events in, actions performed.

use alloc::{boxed::Box, vec, vec::Vec};
use core::time::Duration;

use metal_core::Instant;

use super::{Cause, Connection, ConnectionId, Ending, Notice, Output, Peer, Phase, Timer, settings::Extent};
use crate::{
    fsm::{Action, Chore, Event, Notify, Slot, State, Transition},
    wire::{
        encode_keepalive,
        frame::{HEADER_LEN, MaxLength},
        notification::{cease, code},
    },
};

impl Peer {
    pub(super) fn expire(&mut self, now: Instant, slot: Slot, timer: Timer) {
        match timer {
            Timer::IdleHold => self.fire(now, slot, Event::IdleHoldTimerExpires),
            Timer::ConnectRetry => self.fire(now, slot, Event::ConnectRetryTimerExpires),
            Timer::Connect => {
                let cause = Cause::NoAnswer(self.config.settings().connect_timeout);
                self.end(now, slot, Event::TcpConnectionFails, cause);
            }
            Timer::Hold => {
                let time =
                    if self.pair.state(slot) == State::OpenSent { OPEN_HOLD } else { self.hold_time(slot) };
                self.end(now, slot, Event::HoldTimerExpires, Cause::HoldTimer(time));
            }
            Timer::Keepalive => self.fire(now, slot, Event::KeepaliveTimerExpires),
            Timer::SendHold => {
                let cause = Cause::SendHoldTimer(self.send_hold_time(slot));
                self.end(now, slot, Event::SendHoldTimerExpires, cause);
            }
        }
    }

    /// Does what the pair of connections wants by itself, until it wants nothing.
    pub(super) fn settle(&mut self, now: Instant) {
        let idle_hold = (Slot::Dialled, Timer::IdleHold);
        while let Some(chore) = self.pair.chore(self.timers.get(&idle_hold).is_some()) {
            match chore {
                Chore::Fire(slot, event) => self.end(now, slot, event, Cause::Collision),
                Chore::Wait => {
                    let pause = self.pause();
                    self.timers.set(idle_hold, now + pause);
                }
                Chore::StopWaiting => {
                    self.timers.stop(&idle_hold);
                }
            }
        }
        let phase = self.phase();
        self.history.enter(now, phase);
    }

    /// An event that does not end anything, or about whose reason there is nothing to say.
    pub(super) fn fire(&mut self, now: Instant, slot: Slot, event: Event) {
        self.step(now, slot, event, None, None);
    }

    /// An event that ends something.
    pub(super) fn end(&mut self, now: Instant, slot: Slot, event: Event, cause: Cause) {
        self.step(now, slot, event, Some(cause), None);
    }

    /// An event that ends something because of a message.
    pub(super) fn end_for(&mut self, now: Instant, slot: Slot, event: Event, cause: Cause, message: &[u8]) {
        self.step(now, slot, event, Some(cause), Some(message));
    }

    fn step(&mut self, now: Instant, slot: Slot, event: Event, cause: Option<Cause>, message: Option<&[u8]>) {
        let from = self.pair.state(slot);
        let Transition { next, actions } = self.pair.fire(slot, event);
        let mut cause = cause.unwrap_or(Cause::Unexpected(event.message(), from));
        let mut sent = None;
        for action in actions {
            match action {
                Action::ResetCounter => self.count(slot, |_| 0),
                Action::Count => self.count(slot, |failures| failures.saturating_add(1)),
                Action::StartConnectRetry => self.start_connect_retry(now, slot, next),
                Action::StopConnectRetry => self.stop_timer(slot, Timer::ConnectRetry),
                Action::Dial => self.dial(now),
                Action::SendOpen => self.send_open(slot),
                Action::StartOpenHold => self.timers.set((slot, Timer::Hold), now + OPEN_HOLD),
                Action::StartHold => self.start_hold(now, slot),
                Action::StartKeepalive => self.start_keepalive(now, slot),
                Action::StartSendHold => self.start_send_hold(now, slot),
                Action::SendKeepalive => self.send_keepalive(slot),
                Action::Notify(Notify::FsmError) => {
                    cause = Cause::Unexpected(event.message(), from);
                    sent = Some(unexpected(event, from));
                }
                Action::Notify(notify) => sent = self.notice(slot, *notify, &cause),
                Action::Drop => {
                    let cause = core::mem::replace(&mut cause, Cause::Collision);
                    self.drop_connection(now, slot, from, cause, sent.take(), message);
                }
            }
        }
        if next == from {
            return;
        }
        if let Some(connection) = self.connection_mut(slot) {
            connection.since = now;
        }
        match next {
            State::Idle => TIMERS.into_iter().for_each(|timer| self.stop_timer(slot, timer)),
            State::Established => self.establish(slot),
            State::OpenSent => {
                self.stop_timer(slot, Timer::Connect);
                self.history.unanswered_since = None;
            }
            State::Connect | State::Active | State::OpenConfirm => {}
        }
    }

    fn establish(&mut self, slot: Slot) {
        self.counters.sessions += 1;
        self.fresh = false;
        if let Some(negotiated) = self.connection(slot).and_then(|connection| connection.negotiated.clone()) {
            self.outputs.push_back(Output::Established(negotiated));
        }
    }

    fn drop_connection(
        &mut self,
        now: Instant,
        slot: Slot,
        state: State,
        cause: Cause,
        sent: Option<Notice>,
        message: Option<&[u8]>,
    ) {
        for timer in [Timer::Connect, Timer::Hold, Timer::Keepalive, Timer::SendHold] {
            self.stop_timer(slot, timer);
        }
        let Some(connection) = self.connection_mut(slot).take() else { return };
        let lasted = now.since(connection.since);
        if state == State::Established && lasted >= STEADY {
            self.failures = 0;
        }
        if matches!(state, State::OpenSent | State::OpenConfirm | State::Established) {
            self.learn(state, &cause);
        }
        let Connection { id, outbox, negotiated, .. } = connection;
        let last_words = sent.as_ref().map_or_else(Vec::new, |notice| {
            self.counters.sent.notification += 1;
            let max =
                negotiated.as_ref().map_or(MaxLength::Standard, |negotiated| negotiated.send.max_length);
            outbox.last_words(&encode(notice, max))
        });
        self.outputs.push_back(Output::Close { connection: id, last_words });
        let session = negotiated.filter(|_| state == State::Established).map(|negotiated| negotiated.session);
        let message = message.map(|message| Box::from(capped(message)));
        let ending = Ending { connection: id, session, state, lasted, cause, sent, message };
        self.history.ended(now, &ending);
        self.outputs.push_back(Output::Ended(ending));
    }

    /// What the next OPEN leaves out (RFC 5492 3): what this one was refused for, or nothing.
    fn learn(&mut self, state: State, cause: &Cause) {
        let refused = match cause {
            Cause::Notified(notice) if state != State::Established => match (notice.code, notice.subcode) {
                (code::OPEN, 4) => Some(None),
                (code::OPEN, 7) => Some(capability_codes(&notice.data)),
                _ => None,
            },
            _ => None,
        };
        self.extent = match refused {
            Some(codes) => self.extent.without(codes),
            None => Extent::Full,
        };
    }

    fn notice(&self, slot: Slot, notify: Notify, cause: &Cause) -> Option<Notice> {
        match (notify, cause) {
            (Notify::HoldTimer, _) => Some(Notice::new(code::HOLD_TIMER, 0, [])),
            (Notify::SendHoldTimer, _) => Some(Notice::new(code::SEND_HOLD_TIMER, 0, [])),
            (_, Cause::Malformed(error)) => Some(Notice::of(&error.notification())),
            (_, Cause::Refused(refusal)) => {
                let (code, subcode, data) = refusal.notification();
                Some(Notice::new(code, subcode, data))
            }
            (_, Cause::Stopped(stop)) => {
                let notice = stop.notice()?;
                let negotiated = self.connection(slot).and_then(|connection| connection.negotiated.as_ref());
                let keeps = negotiated.and_then(|negotiated| negotiated.graceful_restart);
                let hard = stop.is_final() && keeps.is_some_and(|restart| restart.notification);
                Some(if hard { notice.into_hard_reset() } else { notice })
            }
            (_, Cause::BfdDown) => Some(Notice::cease(cease::BFD_DOWN)),
            (Notify::Cease | Notify::Detected | Notify::FsmError, _) => {
                Some(Notice::cease(cease::COLLISION_RESOLUTION))
            }
        }
    }

    /// The counter is about dialling; who only listens does not wait.
    fn count(&mut self, slot: Slot, change: impl FnOnce(u32) -> u32) {
        if slot == Slot::Dialled {
            self.failures = change(self.failures);
        }
    }

    fn dial(&mut self, now: Instant) {
        self.dials += 1;
        self.counters.dialled += 1;
        let id = ConnectionId::Dialled(self.dials);
        self.dialled = Some(Connection::new(id, now));
        self.history.unanswered_since.get_or_insert(now);
        self.timers.set((Slot::Dialled, Timer::Connect), now + self.config.settings().connect_timeout);
        self.outputs.push_back(Output::Connect(id));
    }

    /// An accepted connection waits for the peer, however long. A dialled one is not dialled again while it is being
    /// dialled: giving up is what the timeout does.
    fn start_connect_retry(&mut self, now: Instant, slot: Slot, next: State) {
        if slot == Slot::Dialled {
            let timeout =
                if next == State::Connect { self.config.settings().connect_timeout } else { Duration::ZERO };
            let pause = self.pause();
            self.timers.set((slot, Timer::ConnectRetry), now + timeout + pause);
        }
    }

    fn pause(&mut self) -> Duration {
        self.jitter.pause(self.failures, self.config.settings().retry_limit)
    }

    fn send_open(&mut self, slot: Slot) {
        let open = self.config.open(&self.extent, self.fresh);
        let mut room = [0; MaxLength::Standard.bytes() as usize];
        // That it can be written, the check of the settings has shown.
        let len = open.encode(&mut room).unwrap_or_default();
        if let Some(connection) = self.connection_mut(slot) {
            connection.outbox.push_control(room.get(..len).unwrap_or_default());
            connection.open = Some(open);
        }
    }

    fn send_keepalive(&mut self, slot: Slot) {
        let mut message = [0; HEADER_LEN];
        if let (Some(connection), Ok(_)) = (self.connection_mut(slot), encode_keepalive(&mut message)) {
            connection.outbox.push_keepalive(&message);
        }
    }

    fn hold_time(&self, slot: Slot) -> Duration {
        let negotiated = self.connection(slot).and_then(|connection| connection.negotiated.as_ref());
        negotiated.map_or(Duration::ZERO, |negotiated| negotiated.hold_time)
    }

    fn send_hold_time(&self, slot: Slot) -> Duration {
        let default = LEAST_SEND_HOLD.max(self.hold_time(slot) * 2);
        self.config.settings().send_hold_time.unwrap_or(default)
    }

    fn start_hold(&mut self, now: Instant, slot: Slot) {
        let time = self.hold_time(slot);
        if time.is_zero() {
            self.stop_timer(slot, Timer::Hold);
        } else if self.timers.get(&(slot, Timer::Hold)) != Some(now + time) {
            self.timers.set((slot, Timer::Hold), now + time);
        }
    }

    fn start_keepalive(&mut self, now: Instant, slot: Slot) {
        let negotiated = self.connection(slot).and_then(|connection| connection.negotiated.as_ref());
        let time = negotiated.map_or(Duration::ZERO, |negotiated| negotiated.keepalive);
        if !time.is_zero() {
            let until = self.jitter.keepalive(time);
            self.timers.set((slot, Timer::Keepalive), now + until);
        }
    }

    pub(super) fn start_send_hold(&mut self, now: Instant, slot: Slot) {
        if !self.hold_time(slot).is_zero() {
            let time = self.send_hold_time(slot);
            self.timers.set((slot, Timer::SendHold), now + time);
        }
    }

    fn stop_timer(&mut self, slot: Slot, timer: Timer) {
        self.timers.stop(&(slot, timer));
    }

    fn phase(&self) -> Phase {
        let until = |timer| self.timers.get(&(Slot::Dialled, timer));
        match self.pair.furthest() {
            State::Established => Phase::Established,
            State::OpenConfirm => Phase::OpenConfirm,
            State::OpenSent => Phase::OpenSent,
            State::Idle | State::Connect | State::Active => match self.pair.state(Slot::Dialled) {
                State::Connect => Phase::Connecting,
                _ => match until(Timer::IdleHold).or_else(|| until(Timer::ConnectRetry)) {
                    Some(until) => Phase::Waiting { until },
                    None if self.pair.is_running() => Phase::Listening,
                    None => Phase::Stopped,
                },
            },
        }
    }
}

/// The NOTIFICATION about a message that has no place in this state (RFC 6608).
fn unexpected(event: Event, state: State) -> Notice {
    let subcode = match state {
        State::OpenSent => 1,
        State::OpenConfirm => 2,
        State::Established => 3,
        State::Idle | State::Connect | State::Active => 0,
    };
    let kind = event.message().map(|message| message.code());
    Notice::new(code::FSM, subcode, kind.as_slice())
}

/// The message. Data that is too long for one is cut off.
pub(super) fn encode(notice: &Notice, max: MaxLength) -> Vec<u8> {
    let room = usize::from(max.bytes());
    let kept = notice.data.len().min(room - HEADER_LEN - 2);
    let mut notification = notice.view();
    notification.data = notice.data.get(..kept).unwrap_or_default();
    let mut message = vec![0; HEADER_LEN + 2 + kept];
    let len = notification.encode(&mut message).unwrap_or_default();
    message.truncate(len);
    message
}

/// The capabilities that a NOTIFICATION lists; `None` when it lists none.
fn capability_codes(mut data: &[u8]) -> Option<Vec<u8>> {
    let mut codes = Vec::new();
    while let [code, len, rest @ ..] = data {
        codes.push(*code);
        data = rest.get(usize::from(*len)..).unwrap_or_default();
    }
    Some(codes).filter(|codes| !codes.is_empty())
}

/// As much of a message as is worth keeping.
pub(super) fn capped(message: &[u8]) -> &[u8] {
    message.get(..usize::from(MaxLength::Standard.bytes())).unwrap_or(message)
}

/// All but the pause in Idle.
const TIMERS: [Timer; 5] =
    [Timer::ConnectRetry, Timer::Connect, Timer::Hold, Timer::Keepalive, Timer::SendHold];

/// The hold time until the peer's OPEN has arrived (RFC 4271 8.2.2).
const OPEN_HOLD: Duration = Duration::from_secs(4 * 60);

/// RFC 9687 6.
const LEAST_SEND_HOLD: Duration = Duration::from_secs(8 * 60);

/// A session that lasted so long was not the failure that the pauses grow for.
const STEADY: Duration = Duration::from_secs(10);
