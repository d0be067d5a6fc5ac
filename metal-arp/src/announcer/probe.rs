//! Asking whether somebody has an address before it is announced (RFC 5227 2.1, RFC 4862 5.4), with the waits shortened.

use core::time::Duration;

use metal_core::Instant;

use super::{conflict::Conflict, duty::Duty, link::Jitter};
use crate::counters::Counters;

/// How often it is asked before an address is announced.
pub const PROBES: u8 = 3;

/// The time between two of these questions.
pub const PROBE_PAUSE: Duration = Duration::from_millis(16);

/// An address is announced so long after the first question when nobody has objected.
pub const PROBE_WINDOW: Duration = Duration::from_millis(50);

/// After an objection an address is not announced before nobody has objected for so long.
pub const QUIET_WHILE_PROBING: Duration = Duration::from_secs(10);

/// The pauses between the questions that follow when an address has been announced. A port of a switch that has just
/// come up may have kept back the first ones for half a minute.
pub const LATER_PROBES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10), Duration::from_secs(25)];

/// The pause after an objection; it doubles with each round of questions that is objected to.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// An address that is asked for before it is announced.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) duty: Duty,
    pub(super) counters: Counters,
    /// Who has objected.
    pub(super) conflict: Conflict,
    /// Questions of this round that are out.
    sent: u8,
    /// When the first of them went out.
    began: Instant,
    /// The next pause after an objection.
    retry: Duration,
}

/// What to do when a round of questions has had its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody has it.
    Free,
    /// Somebody had it lately: ask again at this time.
    Again(Instant),
}

impl Probe {
    pub(super) fn new(duty: Duty) -> Self {
        Self {
            duty,
            counters: Counters::default(),
            conflict: Conflict::default(),
            sent: 0,
            began: Instant::ZERO,
            retry: FIRST_RETRY,
        }
    }

    /// A new round of questions begins: the link is another, or it is time.
    pub(super) const fn restart(&mut self) {
        self.sent = 0;
    }

    /// A question goes out now. When the next one is due, and when the round is judged if no other follows: after its
    /// time, and not at once after a question that was held up.
    pub(super) fn ask(&mut self, now: Instant) -> (Option<Instant>, Instant) {
        if self.sent == 0 {
            self.began = now;
        }
        self.sent = self.sent.saturating_add(1);
        self.counters.probes += 1;
        let next = (self.sent < PROBES).then(|| now + PROBE_PAUSE);
        (next, (self.began + PROBE_WINDOW).max(now + PROBE_PAUSE))
    }

    /// The round has had its time.
    pub(super) fn judge(&mut self, now: Instant) -> Verdict {
        self.restart();
        match self.conflict.last() {
            Some(last) if now < last + QUIET_WHILE_PROBING => {
                Verdict::Again((now + FIRST_RETRY).min(last + QUIET_WHILE_PROBING))
            }
            _ => Verdict::Free,
        }
    }

    /// Somebody has it, or asks for it likewise. When to ask again, if this round is over with it.
    pub(super) fn object(&mut self, now: Instant, jitter: &mut Jitter) -> Option<Instant> {
        self.counters.conflicts += 1;
        let first = !self.conflict.is_open();
        self.conflict.hear(now);
        if self.sent == 0 && !first {
            return None;
        }
        self.restart();
        let pause = self.retry;
        self.retry = (pause * 2).min(LAST_RETRY);
        // Two stations that ask for the same address must not go on in step.
        Some(now + pause * jitter.percent(75, 126) / 100)
    }
}
