//! What to show people about a peer.

use core::{fmt, time::Duration};

use metal_core::Instant;

use super::{Ending, Notice};

/// Where a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No session is wanted.
    Stopped,
    /// Between two attempts.
    Waiting {
        /// When the next one begins.
        until: Instant,
    },
    /// A connection is being dialled.
    Connecting,
    /// The peer is expected to dial.
    Listening,
    /// There is a connection; the peer's OPEN is awaited.
    OpenSent,
    /// The OPENs are good; the peer's KEEPALIVE is awaited.
    OpenConfirm,
    /// There is a session.
    Established,
}

/// Where a peer stands, since when, and what went wrong last.
#[derive(Clone, Copy, Debug)]
pub struct Status<'a> {
    /// Where it stands.
    pub phase: Phase,
    /// Since when.
    pub since: Instant,
    /// Since when attempts to connect have had no answer at all.
    pub unanswered_since: Option<Instant>,
    /// How many attempts have failed in a row (the ConnectRetryCounter).
    pub failures: u32,
    /// What ended the last attempt or session, and when.
    pub last_ending: Option<&'a (Instant, Ending)>,
    /// The last NOTIFICATION that we sent.
    pub last_sent: Option<&'a (Instant, Notice)>,
    /// The last NOTIFICATION of the peer's.
    pub last_received: Option<&'a (Instant, Notice)>,
}

/// What a [`Status`] is made of.
#[derive(Debug, Default)]
pub(super) struct History {
    phase: Option<Phase>,
    since: Instant,
    pub(super) unanswered_since: Option<Instant>,
    last_ending: Option<(Instant, Ending)>,
    last_sent: Option<(Instant, Notice)>,
    last_received: Option<(Instant, Notice)>,
}

impl Status<'_> {
    /// The status as a sentence for people: `connecting, no answer for 12 s`.
    pub fn at(&self, now: Instant) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| {
            let here = span(now.since(self.since));
            match (self.phase, self.unanswered_since) {
                (Phase::Stopped, _) => f.write_str("stopped")?,
                (Phase::Waiting { until }, None) => write!(f, "next attempt in {}", span(until.since(now)))?,
                (Phase::Waiting { until }, Some(since)) => {
                    write!(f, "connecting, no answer for {}", span(now.since(since)))?;
                    write!(f, ", next attempt in {}", span(until.since(now)))?;
                }
                (Phase::Connecting, since) => {
                    let since = since.unwrap_or(self.since);
                    write!(f, "connecting, no answer for {}", span(now.since(since)))?;
                }
                (Phase::Listening, _) => write!(f, "listening for the peer for {here}")?,
                (Phase::OpenSent, _) => write!(f, "connected, waiting for the peer's OPEN for {here}")?,
                (Phase::OpenConfirm, _) => write!(f, "waiting for the peer's first KEEPALIVE for {here}")?,
                (Phase::Established, _) => return write!(f, "established for {here}"),
            }
            match self.last_ending {
                Some((at, ending)) => write!(f, "; {} ago: {ending}", span(now.since(*at))),
                None => Ok(()),
            }
        })
    }
}

impl History {
    pub(super) fn status(&self, failures: u32) -> Status<'_> {
        Status {
            phase: self.phase.unwrap_or(Phase::Stopped),
            since: self.since,
            unanswered_since: self.unanswered_since,
            failures,
            last_ending: self.last_ending.as_ref(),
            last_sent: self.last_sent.as_ref(),
            last_received: self.last_received.as_ref(),
        }
    }

    pub(super) fn enter(&mut self, now: Instant, phase: Phase) {
        let same = self
            .phase
            .is_some_and(|before| core::mem::discriminant(&before) == core::mem::discriminant(&phase));
        if !same {
            self.since = now;
        }
        self.phase = Some(phase);
    }

    pub(super) fn received(&mut self, now: Instant, notice: Notice) {
        self.last_received = Some((now, notice));
    }

    /// Keeps the words, not the bytes of the message.
    pub(super) fn ended(&mut self, now: Instant, ending: &Ending) {
        if let Some(notice) = &ending.sent {
            self.last_sent = Some((now, notice.clone()));
        }
        self.last_ending = Some((now, Ending { message: None, ..ending.clone() }));
    }
}

/// A length of time for people: two units at most.
pub(super) fn span(time: Duration) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let seconds = time.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
        match seconds {
            0 => write!(f, "{} ms", time.as_millis()),
            1..60 => write!(f, "{seconds} s"),
            60..3_600 => write!(f, "{minutes} min {} s", seconds % 60),
            3_600..86_400 => write!(f, "{hours} h {} min", minutes % 60),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    })
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn spans_of_time() {
        for (millis, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_999, "1 s"),
            (59_000, "59 s"),
            (60_000, "1 min 0 s"),
            (3_725_000, "1 h 2 min"),
            (93_600_000, "1 d 2 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)).to_string(), text);
        }
    }
}
