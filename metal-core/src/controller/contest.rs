//! When another manager keeps overwriting what we write.

use alloc::{collections::VecDeque, string::String, sync::Arc};
use core::time::Duration;

use crate::{reason::Reason, time::Instant};

/// Two overwritings within this time are a quarrel.
const SOON: Duration = Duration::from_secs(60);
/// How long nothing is written at first; it doubles.
const PAUSE: Duration = Duration::from_secs(2 * 60);
/// The longest pause, and how long it has to be quiet until all is forgotten.
const LONG: Duration = Duration::from_secs(10 * 60);
/// At most this many writes within [`LONG`].
const WRITES: usize = 5;

/// A Service whose status another manager has overwritten.
#[derive(Debug)]
pub(super) struct Contest {
    manager: Arc<str>,
    /// When it was overwritten, the last [`WRITES`] times.
    overwritten: VecDeque<Instant>,
    /// When we wrote it, the last [`WRITES`] times.
    written: VecDeque<Instant>,
    /// How often we have stopped.
    stops: u32,
    /// Nothing is written before.
    paused_until: Option<Instant>,
    /// When something happened last.
    since: Instant,
}

impl Contest {
    /// Somebody has overwritten what we wrote before `now`.
    pub(super) fn new(now: Instant, manager: Arc<str>) -> Self {
        Self {
            manager,
            overwritten: VecDeque::new(),
            written: VecDeque::from([now]),
            stops: 0,
            paused_until: None,
            since: now,
        }
    }

    /// It happened (again); says whether we stop writing because of it, having gone on before.
    pub(super) fn overwritten(&mut self, now: Instant, manager: Arc<str>) -> bool {
        self.manager = manager;
        self.since = now;
        let again = self.overwritten.back().is_some_and(|last| now.since(*last) <= SOON);
        push(&mut self.overwritten, now);
        let often = self.overwritten.len() == WRITES && now.since(self.overwritten[0]) <= LONG;
        if self.paused_until.is_some() || !(again || often || self.stops > 0) {
            return false;
        }
        let pause = LONG.min(PAUSE * 2_u32.saturating_pow(self.stops));
        let mut until = now + pause;
        if self.written.len() == WRITES {
            until = until.max(self.written[0] + LONG);
        }
        self.paused_until = Some(until);
        self.stops += 1;
        self.stops == 1
    }

    /// We write it.
    pub(super) fn wrote(&mut self, now: Instant) {
        self.since = now;
        push(&mut self.written, now);
    }

    /// The pause is over, if there is one.
    pub(super) fn resume(&mut self, now: Instant) {
        if self.paused_until.take_if(|until| *until <= now).is_some() {
            self.since = now;
        }
    }

    /// Whether nothing may be written now.
    pub(super) const fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// Whether it has been quiet long enough to forget it.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        !self.is_paused() && self.quiet_at() <= now
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Instant {
        self.paused_until.unwrap_or_else(|| self.quiet_at())
    }

    /// What to say about it: nothing as long as it may be an accident.
    pub(super) fn reason(&self) -> Option<Reason> {
        (self.stops > 0).then(|| Reason::ContestedBy { manager: String::from(&*self.manager) })
    }

    fn quiet_at(&self) -> Instant {
        self.since + LONG
    }
}

fn push(times: &mut VecDeque<Instant>, now: Instant) {
    if times.len() == WRITES {
        times.pop_front();
    }
    times.push_back(now);
}
