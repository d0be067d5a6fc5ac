//! Why an attempt or a session is over, in words.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::{fmt, time::Duration};

use super::{ConnectionId, Refusal, SessionId, status::span};
use crate::{
    fsm::State,
    wire::{
        Error, Notification,
        frame::MessageType,
        notification::{Communication, cease, code, communicate},
    },
};

/// A NOTIFICATION that was sent or received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The error code.
    pub code: u8,
    /// The error subcode.
    pub subcode: u8,
    /// The data.
    pub data: Box<[u8]>,
}

/// Why this side ends a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The speaker goes, or the operator wants no session (Cease 2), with a text for the other operator (RFC 9003).
    Shutdown(String),
    /// The peer is no longer configured (Cease 3).
    Deconfigured,
    /// The operator wants a new session (Cease 4), with a text.
    Reset(String),
    /// The configuration of the session has changed (Cease 6).
    ConfigurationChange,
    /// There is no room for it (Cease 8).
    OutOfResources,
    /// This process restarts and another one goes on: nothing is said, so that a peer with graceful restart keeps
    /// the routes.
    ForRestart,
}

/// How a connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Nobody listens there.
    Refused,
    /// There is no way to the peer.
    Unreachable,
    /// The peer broke it off.
    Reset,
    /// The peer closed it, or its side of it.
    Closed,
    /// The kernel gave up.
    TimedOut,
    /// Anything else, in the words of the system.
    Other(String),
}

/// What ended an attempt or a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The peer sent a NOTIFICATION.
    Notified(Notice),
    /// The peer sent a NOTIFICATION that cannot be read.
    NotifiedUnreadably,
    /// This side wants it so.
    Stopped(Stop),
    /// Another connection with the peer is kept.
    Collision,
    /// The peer opened a new connection, and may restart gracefully: it has restarted.
    PeerRestarted,
    /// Nothing was heard for the hold time.
    HoldTimer(Duration),
    /// The peer took nothing for the send hold time.
    SendHoldTimer(Duration),
    /// BFD lost the peer.
    BfdDown,
    /// A message was malformed.
    Malformed(Error),
    /// The OPEN was not acceptable.
    Refused(Refusal),
    /// A message came that has no place in this state.
    Unexpected(Option<MessageType>, State),
    /// The connection failed.
    Transport(Transport),
    /// There was no answer for this long.
    NoAnswer(Duration),
}

/// The end of a connection, and of the session on it if there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The connection.
    pub connection: ConnectionId,
    /// The session, if it was Established.
    pub session: Option<SessionId>,
    /// The state in which it ended.
    pub state: State,
    /// For how long it had been in this state.
    pub lasted: Duration,
    /// Why.
    pub cause: Cause,
    /// The NOTIFICATION that the peer gets, if any.
    pub sent: Option<Notice>,
    /// The message that was malformed, up to 4,096 octets of it.
    pub message: Option<Box<[u8]>>,
}

impl Notice {
    pub(super) fn new(code: u8, subcode: u8, data: impl Into<Box<[u8]>>) -> Self {
        Self { code, subcode, data: data.into() }
    }

    pub(super) fn of(notification: &Notification<'_>) -> Self {
        Self::new(notification.code, notification.subcode, notification.data)
    }

    /// The message to look at, or to write.
    #[must_use]
    pub fn view(&self) -> Notification<'_> {
        Notification::new(self.code, self.subcode, &self.data)
    }

    pub(super) fn cease(subcode: u8) -> Self {
        Self::new(code::CEASE, subcode, [])
    }

    /// The same as a Hard Reset (RFC 8538 3.1): the routes shall not be kept.
    pub(super) fn into_hard_reset(self) -> Self {
        let mut data = Vec::from([self.code, self.subcode]);
        data.extend(self.data);
        Self::new(code::CEASE, cease::HARD_RESET, data)
    }
}

impl Stop {
    /// The NOTIFICATION; `None` where nothing may be said.
    pub(super) fn notice(&self) -> Option<Notice> {
        let with_text = |subcode, text: &str| {
            let mut room = [0; 256];
            let data = if text.is_empty() { &[] } else { communicate(text, &mut room) };
            Notice::new(code::CEASE, subcode, data)
        };
        Some(match self {
            Self::Shutdown(text) => with_text(cease::ADMINISTRATIVE_SHUTDOWN, text),
            Self::Deconfigured => Notice::cease(cease::PEER_DECONFIGURED),
            Self::Reset(text) => with_text(cease::ADMINISTRATIVE_RESET, text),
            Self::ConfigurationChange => Notice::cease(cease::CONFIGURATION_CHANGE),
            Self::OutOfResources => Notice::cease(cease::OUT_OF_RESOURCES),
            Self::ForRestart => return None,
        })
    }

    /// Whether the routes shall be gone even where a NOTIFICATION keeps them (RFC 8538 5).
    pub(super) const fn is_final(&self) -> bool {
        match self {
            Self::Shutdown(_) | Self::Deconfigured => true,
            Self::Reset(_) | Self::ConfigurationChange | Self::OutOfResources | Self::ForRestart => false,
        }
    }
}

impl fmt::Display for Notice {
    /// `Cease: Administrative Shutdown: "maintenance"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notification = self.view();
        let (inner, outer) = match notification.hard_reset() {
            Some(inner) => (inner, "Hard Reset: "),
            None => (notification, ""),
        };
        write!(f, "{outer}{inner}")?;
        match inner.communication() {
            Some(Communication::Text(text)) => write!(f, ": {text:?}"),
            Some(Communication::Unreadable(bytes)) => write!(f, ": {}", hex(bytes)),
            None if inner.data.is_empty() || inner.code == code::CEASE => Ok(()),
            None => write!(f, " ({})", hex(inner.data)),
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shutdown(text) if text.is_empty() => f.write_str("shut down by this side"),
            Self::Shutdown(text) => write!(f, "shut down by this side: {text:?}"),
            Self::Deconfigured => f.write_str("the peer is no longer configured"),
            Self::Reset(text) if text.is_empty() => f.write_str("reset by this side"),
            Self::Reset(text) => write!(f, "reset by this side: {text:?}"),
            Self::ConfigurationChange => f.write_str("the configuration of the peer has changed"),
            Self::OutOfResources => f.write_str("this side is out of resources"),
            Self::ForRestart => f.write_str("this side restarts"),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused: nobody listens at the peer's address and port"),
            Self::Unreachable => f.write_str("the peer is unreachable: there is no route to it"),
            Self::Reset => f.write_str("the peer reset the connection"),
            Self::Closed => f.write_str("the peer closed the connection"),
            Self::TimedOut => f.write_str("the connection timed out"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notified(notice) => write!(f, "the peer says: {notice}"),
            Self::NotifiedUnreadably => f.write_str("the peer sent a NOTIFICATION that cannot be read"),
            Self::Stopped(stop) => stop.fmt(f),
            Self::Collision => f.write_str("another connection with the peer is kept"),
            Self::PeerRestarted => f.write_str("the peer has restarted: it opened a new connection"),
            Self::HoldTimer(time) => write!(f, "nothing was heard from the peer for {}", span(*time)),
            Self::SendHoldTimer(time) => write!(f, "the peer has taken nothing for {}", span(*time)),
            Self::BfdDown => f.write_str("BFD has lost the peer"),
            Self::Malformed(error) => write!(f, "the peer sent a malformed message: {error}"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Unexpected(Some(kind), state) => write!(f, "the peer sent {} in {state}", article(*kind)),
            Self::Unexpected(None, state) => write!(f, "an event that has no place in {state}"),
            Self::Transport(transport) => transport.fmt(f),
            Self::NoAnswer(time) => write!(f, "the peer did not answer within {}", span(*time)),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            State::Established => write!(f, "the session ended after {}: ", span(self.lasted))?,
            State::OpenSent | State::OpenConfirm => f.write_str("no session: ")?,
            State::Idle | State::Connect | State::Active => f.write_str("no connection: ")?,
        }
        self.cause.fmt(f)?;
        match (&self.cause, self.state) {
            (Cause::Transport(Transport::Closed | Transport::Reset), State::OpenSent) => f.write_str(
                " before it said anything: it may not know this node as a neighbor, or not with this address",
            )?,
            (Cause::Notified(notice), State::OpenSent | State::OpenConfirm)
                if (notice.code, notice.subcode) == (code::OPEN, 2) =>
            {
                f.write_str(": it expects this side in another AS")?;
            }
            _ => {}
        }
        match (&self.cause, &self.sent) {
            (_, None) | (Cause::Stopped(_), Some(_)) => Ok(()),
            (_, Some(notice)) => write!(f, "; the peer was told: {notice}"),
        }
    }
}

impl core::error::Error for Ending {}

fn article(kind: MessageType) -> impl fmt::Display {
    fmt::from_fn(move |f| match kind {
        MessageType::Open | MessageType::Update => write!(f, "an {kind}"),
        MessageType::Notification | MessageType::Keepalive | MessageType::RouteRefresh => {
            write!(f, "a {kind}")
        }
    })
}

/// The first octets in hexadecimal.
fn hex(bytes: &[u8]) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        for byte in bytes.iter().take(SHOWN) {
            write!(f, "{byte:02x}")?;
        }
        if bytes.len() > SHOWN { f.write_str("…") } else { Ok(()) }
    })
}

/// Octets of a NOTIFICATION's data that are worth reading.
const SHOWN: usize = 32;
