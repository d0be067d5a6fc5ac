//! Leader election over a Kubernetes Lease: of several replicas one leads.
//!
//! The holder renews its Lease each second; whoever else wants to lead watches the Lease and takes it over
//! once it has stood still for long enough. What makes this safe:
//!
//! - Every write carries the version that was read, so of two writers one is refused.
//! - No clocks are compared. A holder counts from when it *sent* the last renewal that went through, others
//!   count from when they *saw* the last change, which is later. They wait [`MARGIN`] longer than the holder
//!   leads: for writes that were sent in the last moment, and for clocks that do not run equally fast.
//! - Leading ends at an instant that is known beforehand, [`Output::Lead::until`]. Who compares it with the
//!   clock right before each write needs no thread to wake up in time: a process that was paused beyond it
//!   wakes up as nobody special, and may write again only once it holds the Lease again.
//!
//! What remains: a write that passed the comparison and then spends longer than [`MARGIN`] on its way.
//! Writes therefore carry the version of what they change, and a time-out of [`TIMEOUT`].
//!
//! The driver performs one request at a time and answers each [`Output::Read`] and [`Output::Write`] with
//! one input, [`Input::Failed`] after [`TIMEOUT`]. Its clock has to count the time that the machine sleeps
//! (`CLOCK_BOOTTIME`).

#[cfg(test)]
mod tests;

use alloc::{boxed::Box, collections::VecDeque};
use core::time::Duration;

use crate::{machine::Machine, time::Instant, view::Version};

/// How long a holder leads after a renewal (`spec.leaseDurationSeconds`).
pub const LEASE: Duration = Duration::from_secs(3);
/// How long others wait beyond that.
pub const MARGIN: Duration = Duration::from_secs(1);
/// How long a request may take.
pub const TIMEOUT: Duration = Duration::from_secs(1);
/// How often the holder renews.
const RENEWAL: Duration = Duration::from_secs(1);
/// How often the others look, and how soon a request that failed is repeated. Together with the above it
/// bounds a takeover: the last renewal is seen at most this much late.
const POLL: Duration = Duration::from_millis(250);
/// How long a replica that stops tries to give the Lease back.
const FAREWELL: Duration = Duration::from_secs(2);

/// A Lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `spec.holderIdentity`; `None` and empty mean that nobody holds it.
    pub holder: Option<Box<str>>,
    /// `spec.leaseDurationSeconds`: what its holder goes by, should that not be [`LEASE`].
    pub duration: Option<Duration>,
    /// `spec.leaseTransitions`.
    pub transitions: u32,
    /// `metadata.resourceVersion`. That it is another one is all that counts as a change.
    pub version: Version,
}

/// What an [`Elector`] is told. The first four are the answer to its request.
#[derive(Clone, Debug)]
pub enum Input {
    /// The read found this; `None`: there is no Lease.
    Found(Option<Record>),
    /// The write went through, and this is the version now.
    Written(Version),
    /// The write was refused: another version is there, or another object, or none (HTTP 409 and 404).
    Conflict,
    /// The request failed or took too long. A write may go through all the same, also later.
    Failed,
    /// End: give the Lease back, so that another replica need not wait. All that was written as a leader
    /// must have been answered; otherwise end without this, and let the others wait.
    Stop,
}

/// What an [`Elector`] wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Read the Lease, from a quorum.
    Read,
    /// Write the Lease: `leaseDurationSeconds` is [`LEASE`], `renewTime` now.
    Write(Write),
    /// This replica leads, or goes on to lead, as long as the time is before `until`. Having begun to lead,
    /// it lists everything before it decides anything.
    Lead {
        /// The first instant at which it may not write any more.
        until: Instant,
    },
    /// It leads no longer.
    Lost,
    /// After [`Input::Stop`]: nothing is left to do. The Lease is free unless the API server cannot be reached.
    Released,
}

/// A write of the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// `metadata.resourceVersion`, which the server compares; `None` creates the Lease.
    pub version: Option<Version>,
    /// `spec.holderIdentity`; `None` gives the Lease back.
    pub holder: Option<Box<str>>,
    /// `spec.leaseTransitions`.
    pub transitions: u32,
    /// Whether the holder is a new one: `spec.acquireTime` is now as well.
    pub acquires: bool,
}

/// One replica in the election.
#[derive(Debug)]
pub struct Elector {
    identity: Box<str>,
    seen: Seen,
    /// Whether a write of ours may have changed the Lease since it was seen.
    is_doubtful: bool,
    /// From when on this replica may take what somebody else has held.
    free_at: Instant,
    /// What has no answer yet. Nothing else happens meanwhile, except that leading ends.
    request: Option<Request>,
    /// When to do something next; `None` at the very end.
    next: Option<Instant>,
    /// Until when this replica leads.
    until: Option<Instant>,
    /// When it gives up giving the Lease back.
    stopping: Option<Instant>,
    outputs: VecDeque<Output>,
}

/// The Lease as it was seen last.
#[derive(Debug)]
enum Seen {
    Nothing,
    Absent,
    Lease(Record),
}

#[derive(Debug)]
enum Request {
    Read,
    Write { sent: Instant, holder: Option<Box<str>>, transitions: u32 },
}

impl Machine for Elector {
    type Input<'a> = Input;
    type Output = Output;

    fn handle_input(&mut self, now: Instant, input: Input) {
        let request = if matches!(input, Input::Stop) { None } else { self.request.take() };
        match (input, request) {
            (Input::Stop, _) => self.stop(now),
            (Input::Found(found), Some(Request::Read)) => self.found(now, found),
            (Input::Written(version), Some(Request::Write { sent, holder, transitions })) => {
                self.written(now, sent, Record { holder, duration: Some(LEASE), transitions, version });
            }
            (Input::Conflict, Some(Request::Write { .. })) => {
                self.is_doubtful = true;
                // Who leads has no time to lose, who does not has lost against somebody.
                self.next = Some(if self.leads(now) || self.stopping.is_some() { now } else { now + POLL });
            }
            (_, Some(request)) => {
                self.is_doubtful |= matches!(request, Request::Write { .. });
                self.next = Some(now + POLL);
            }
            // An answer to nothing.
            (_, None) => {}
        }
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        if self.outputs.is_empty() && self.until.is_some_and(|until| until <= now) {
            self.lose();
        }
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if self.request.is_some() || self.next.is_none_or(|next| next > now) {
            return None;
        }
        if self.stopping.is_some() { self.give_back(now) } else { Some(self.ask(now)) }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let next = self.next.filter(|_| self.request.is_none());
        [next, self.until].into_iter().flatten().min()
    }
}

impl Elector {
    /// A replica that wants to lead, at once if nobody else does. No other process may have this identity,
    /// not even one that ended before: it takes a Lease with this holder for its own.
    #[must_use]
    pub fn new(identity: &str) -> Self {
        Self {
            identity: identity.into(),
            seen: Seen::Nothing,
            is_doubtful: false,
            free_at: Instant::ZERO,
            request: None,
            next: Some(Instant::ZERO),
            until: None,
            stopping: None,
            outputs: VecDeque::new(),
        }
    }

    /// Whether this replica leads. To be asked, or [`Output::Lead::until`] compared, right before each write.
    #[must_use]
    pub fn leads(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Who holds the Lease, as far as is known.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        match &self.seen {
            Seen::Lease(record) => record.holder(),
            Seen::Nothing | Seen::Absent => None,
        }
    }

    fn is_ours(&self) -> bool {
        self.holder() == Some(&*self.identity)
    }

    fn found(&mut self, now: Instant, found: Option<Record>) {
        self.is_doubtful = false;
        let wait = |record: &Record| record.duration.unwrap_or(LEASE).max(LEASE) + MARGIN;
        let wait = match (&self.seen, &found) {
            (Seen::Lease(before), Some(record)) if before.version == record.version => None,
            (_, Some(record)) => Some(record.holder().map_or(Duration::ZERO, |_| wait(record))),
            // Deleted by somebody; its holder may not know yet.
            (Seen::Lease(before), None) if before.holder().is_some() && !self.is_ours() => Some(wait(before)),
            (Seen::Lease(_) | Seen::Nothing, None) => Some(Duration::ZERO),
            (Seen::Absent, None) => None,
        };
        if let Some(wait) = wait {
            self.free_at = now + wait;
        }
        let is_there = found.is_some();
        self.seen = found.map_or(Seen::Absent, Seen::Lease);
        if is_there && !self.is_ours() && self.until.is_some() {
            self.lose();
        }
        let waits = self.stopping.is_none() && !self.is_ours();
        self.next = Some(if waits { self.free_at.clamp(now, now + POLL) } else { now });
    }

    fn written(&mut self, now: Instant, sent: Instant, record: Record) {
        self.seen = Seen::Lease(record);
        self.is_doubtful = false;
        self.next = Some(if self.stopping.is_some() { now } else { sent + RENEWAL });
        let until = sent + LEASE;
        // An answer after that is too late: others may lead by now.
        if self.stopping.is_none() && now < until {
            self.until = Some(until);
            self.outputs.push_back(Output::Lead { until });
        }
    }

    fn stop(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(now + FAREWELL);
        self.next = Some(now);
        if self.until.is_some() {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.until = None;
        self.outputs.push_back(Output::Lost);
    }

    /// The next request of a replica that leads or wants to.
    fn ask(&mut self, now: Instant) -> Output {
        let is_known = !self.is_doubtful && !matches!(self.seen, Seen::Nothing);
        if !is_known || !(self.is_ours() || now >= self.free_at) {
            self.request = Some(Request::Read);
            return Output::Read;
        }
        self.write(now, Some(self.identity.clone()))
    }

    /// The next request of a replica that stops.
    fn give_back(&mut self, now: Instant) -> Option<Output> {
        if self.stopping.is_some_and(|end| now < end) {
            if self.is_doubtful {
                self.request = Some(Request::Read);
                return Some(Output::Read);
            }
            if self.is_ours() {
                return Some(self.write(now, None));
            }
        }
        self.next = None;
        Some(Output::Released)
    }

    fn write(&mut self, now: Instant, holder: Option<Box<str>>) -> Output {
        let (version, before) = match &self.seen {
            Seen::Lease(record) => (Some(record.version), record.transitions),
            Seen::Nothing | Seen::Absent => (None, 0),
        };
        let acquires = holder.is_some() && !self.is_ours();
        let transitions = before.saturating_add(u32::from(acquires && version.is_some()));
        self.request = Some(Request::Write { sent: now, holder: holder.clone(), transitions });
        Output::Write(Write { version, holder, transitions, acquires })
    }
}

impl Record {
    fn holder(&self) -> Option<&str> {
        self.holder.as_deref().filter(|holder| !holder.is_empty())
    }
}
