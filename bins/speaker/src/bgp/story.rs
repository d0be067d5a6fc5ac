//! What is said of a peer: where the session stands, what went wrong last, and what is odd about the peer besides.
//!
//! A text changes when something has happened, and not because time passes: it is written to the cluster.

use std::{collections::BTreeMap, fmt, time::SystemTime};

use jiff::Timestamp;
use metal_bgp::{
    fsm::State,
    peer::{Cause, Ending, Transport},
};

/// The story of a peer since it was configured.
#[derive(Debug)]
pub(super) struct Story {
    waits: bool,
    has_password: bool,
    now: Now,
    /// What the peer has answered last, or what went wrong besides.
    last: Option<String>,
    oddities: BTreeMap<Oddity, String>,
}

#[derive(Debug)]
enum Now {
    /// Attempts have had no answer since then; whether one has been given up.
    Unanswered(SystemTime, bool),
    /// The last attempt was answered, or failed on this host.
    Answered,
    Established(String),
}

/// What can be odd about a peer beside its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Oddity {
    /// Segments are dropped for want of the right password.
    Password,
    /// Another program of this node has a session with the same router.
    Rival,
    /// Nobody can connect to this node.
    Door,
    /// The peer has the router ID of this node.
    RouterId,
}

impl Oddity {
    /// The reason of the event.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Password => "BGPPasswordMismatch",
            Self::Rival => "BGPPeerShared",
            Self::Door => "BGPPortUnavailable",
            Self::RouterId => "BGPRouterIDShared",
        }
    }
}

impl Story {
    /// Nothing has happened yet. `waits`: this side never dials.
    pub(super) const fn new(now: SystemTime, waits: bool, has_password: bool) -> Self {
        let now = Now::Unanswered(now, false);
        Self { waits, has_password, now, last: None, oddities: BTreeMap::new() }
    }

    /// There is a session.
    pub(super) fn established(&mut self, text: String) {
        self.now = Now::Established(text);
        self.last = None;
        self.oddities.clear();
    }

    /// Something else has happened, which is to be said until there is news.
    pub(super) fn note(&mut self, text: String) {
        match &mut self.now {
            Now::Established(before) => *before = text,
            Now::Unanswered(..) | Now::Answered => {
                self.last = Some(text);
                self.now = Now::Answered;
            }
        }
    }

    /// An attempt or the session is over.
    pub(super) fn ended(&mut self, now: SystemTime, ending: &Ending) {
        if let Cause::NoAnswer(_) | Cause::Transport(Transport::TimedOut) = ending.cause
            && let State::Connect | State::Active | State::Idle = ending.state
        {
            let since = match self.now {
                Now::Unanswered(since, _) => since,
                Now::Answered | Now::Established(_) => now.checked_sub(ending.lasted).unwrap_or(now),
            };
            self.now = Now::Unanswered(since, true);
            return;
        }
        if let Cause::Collision = ending.cause {
            return;
        }
        self.last = Some(ending.to_string());
        self.now = Now::Answered;
    }

    /// What is odd now. True if that is news.
    pub(super) fn set_oddity(&mut self, oddity: Oddity, text: Option<String>) -> bool {
        match text {
            Some(text) => self.oddities.insert(oddity, text.clone()) != Some(text),
            None => {
                self.oddities.remove(&oddity);
                false
            }
        }
    }

    /// What is odd in this way.
    pub(super) fn oddity(&self, oddity: Oddity) -> Option<&str> {
        self.oddities.get(&oddity).map(String::as_str)
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.now, &self.last) {
            (Now::Established(text), _) => f.write_str(text)?,
            (Now::Answered, Some(last)) => f.write_str(last)?,
            (Now::Answered, None) => f.write_str("connecting")?,
            (Now::Unanswered(since, given_up), last) => {
                let since = rfc3339(*since);
                match self.waits {
                    true => write!(f, "waiting for the router to connect since {since}")?,
                    false => write!(f, "connecting, no answer since {since}")?,
                }
                let explained = self.oddities.contains_key(&Oddity::Password);
                if *given_up && self.has_password && !explained && !self.waits {
                    f.write_str(
                        "; a router that has another password, or none, does not answer either: compare them",
                    )?;
                }
                if let Some(last) = last {
                    write!(f, "; before: {last}")?;
                }
            }
        }
        self.oddities.values().try_for_each(|oddity| write!(f, "; {oddity}"))
    }
}

/// `2026-11-23T11:30:00Z`.
fn rfc3339(time: SystemTime) -> impl fmt::Display {
    let time = Timestamp::try_from(time).unwrap_or_default();
    fmt::from_fn(move |f| write!(f, "{time:.0}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use metal_bgp::peer::{ConnectionId, Stop};

    use super::*;

    const NOON: Duration = Duration::from_secs(1_795_435_200);

    fn ending(state: State, cause: Cause) -> Ending {
        Ending {
            connection: ConnectionId::Accepted(1),
            session: None,
            state,
            lasted: Duration::from_secs(10),
            cause,
            sent: None,
            message: None,
        }
    }

    #[test]
    fn silence_is_told_with_its_beginning() {
        let noon = UNIX_EPOCH + NOON;
        let mut story = Story::new(noon, false, true);
        assert_eq!(story.to_string(), "connecting, no answer since 2026-11-23T12:00:00Z");
        for seconds in [10, 30] {
            let now = noon + Duration::from_secs(seconds);
            story.ended(now, &ending(State::Connect, Cause::NoAnswer(Duration::from_secs(10))));
            assert_eq!(
                story.to_string(),
                "connecting, no answer since 2026-11-23T12:00:00Z; a router that has another password, or none, does not \
                 answer either: compare them"
            );
        }
        assert!(story.set_oddity(Oddity::Password, Some("signed otherwise".to_owned())));
        assert!(!story.set_oddity(Oddity::Password, Some("signed otherwise".to_owned())), "no news");
        assert_eq!(story.to_string(), "connecting, no answer since 2026-11-23T12:00:00Z; signed otherwise");
        story.established("up".to_owned());
        assert_eq!(story.to_string(), "up");
        let lost = ending(State::Established, Cause::HoldTimer(Duration::from_secs(9)));
        story.ended(noon, &lost);
        assert_eq!(story.to_string(), lost.to_string());
        let now = noon + Duration::from_secs(70);
        story.ended(now, &ending(State::Connect, Cause::NoAnswer(Duration::from_secs(10))));
        assert!(
            story.to_string().starts_with("connecting, no answer since 2026-11-23T12:01:00Z; "),
            "{story}"
        );
        assert!(story.to_string().ends_with(&format!("; before: {lost}")), "{story}");
    }

    #[test]
    fn an_answer_is_told_and_a_collision_is_none() {
        let mut story = Story::new(UNIX_EPOCH, true, false);
        assert_eq!(story.to_string(), "waiting for the router to connect since 1970-01-01T00:00:00Z");
        let refused = ending(State::Connect, Cause::Transport(Transport::Refused));
        story.ended(UNIX_EPOCH, &refused);
        story.ended(UNIX_EPOCH, &ending(State::OpenSent, Cause::Collision));
        assert_eq!(story.to_string(), refused.to_string());
        story.ended(UNIX_EPOCH, &ending(State::OpenSent, Cause::Stopped(Stop::ConfigurationChange)));
        assert!(story.to_string().contains("configuration"), "{story}");
    }
}
