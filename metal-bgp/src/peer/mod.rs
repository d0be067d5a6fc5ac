//! One configured peer: bytes in, bytes out.
//!
//! [`Peer`] is a [`Machine`]. It says when to connect and when to close, speaks BGP on the connections that the driver
//! gives it, and tells when a session stands, when it is over and why. What the peer announces is read, judged,
//! counted and dropped. What is announced to it comes from the owner of the machine, in whole encoded messages.
//!
//! # Sending
//! There is no queue without a bound. While [`wants_updates`](Peer::wants_updates) says so, the owner hands over the
//! next messages, made at that moment; they may be shared between peers. [`transmit`](Peer::transmit) is what to write
//! now. OPEN, KEEPALIVE and NOTIFICATION go ahead of the updates, but never into the middle of a message, wherever
//! the socket stopped.
//!
//! # The driver's loop
//! 1. What was read from a connection: [`Input::Received`]; its end: [`Input::Failed`]. Always read, whatever else
//!    there is to do: a peer whose bytes nobody takes cannot send KEEPALIVEs either.
//! 2. [`poll_output`](Machine::poll_output) until nothing is left.
//! 3. Updates, while they are wanted.
//! 4. Write [`transmit`](Peer::transmit), and at once [`Input::Sent`] with what the socket took.
//! 5. Wait: for bytes, for room in the socket while `transmit` is not empty, for
//!    [`poll_timeout`](Machine::poll_timeout).
//!
//! ```
//! use std::sync::Arc;
//!
//! use metal_bgp::{
//!     peer::{ConnectionId, Input, Output, Peer, PeerAs, Settings},
//!     wire::{Capability, Open, encode_keepalive},
//! };
//! use metal_core::{Instant, Machine};
//!
//! let settings = Settings::new(64_512, PeerAs::Is(64_513), [10, 0, 0, 1].into());
//! let mut peer = Peer::new(settings.check()?, 1);
//! let now = Instant::ZERO;
//! peer.handle_input(now, Input::Start);
//! let Some(Output::Connect(connection)) = peer.poll_output(now) else { panic!("nothing to connect") };
//!
//! // The connection stands: our OPEN is to be written.
//! peer.handle_input(now, Input::Connected(connection));
//! let open = peer.transmit(connection).next().unwrap().len();
//! peer.handle_input(now, Input::Sent(connection, open));
//!
//! // What the peer says.
//! let mut bytes = [0; 4_096];
//! let len = Open::new(64_513, 9, [10, 0, 0, 2].into(), vec![]).encode(&mut bytes)?;
//! peer.handle_input(now, Input::Received(connection, &bytes[..len]));
//! assert_eq!(peer.wants_updates(), None);
//! let len = encode_keepalive(&mut bytes)?;
//! peer.handle_input(now, Input::Received(connection, &bytes[..len]));
//!
//! let Some(Output::Established(negotiated)) = peer.poll_output(now) else { panic!("no session") };
//! assert_eq!(negotiated.hold_time.as_secs(), 9);
//! let session = peer.wants_updates().unwrap();
//! # let update: &[u8] = b"";
//! peer.handle_input(now, Input::Updates(session, Arc::from(update)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod counters;
mod ending;
mod execute;
mod inputs;
mod negotiate;
mod outbox;
mod receive;
mod retry;
mod settings;
mod status;

use alloc::{boxed::Box, collections::VecDeque, sync::Arc, vec::Vec};
use core::time::Duration;

use metal_core::{Instant, Machine, Timers};

pub use self::{
    counters::{Counters, Findings, Messages},
    ending::{Cause, Ending, Notice, Stop, Transport},
    negotiate::{Negotiated, PeerRestart, Refusal},
    outbox::Shared,
    settings::{Config, Invalid, Mode, Offer, PeerAs, Restart, Settings},
    status::{Phase, Status},
};
use self::{outbox::Outbox, retry::Jitter, settings::Extent, status::History};
use crate::{
    fsm::{Event, Pair, Slot, State},
    validate::Disposition,
    wire::{Families, Family, Open, Session},
};

/// A TCP connection with the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionId {
    /// One that the machine asked for; it never uses a number twice.
    Dialled(u64),
    /// One that the peer opened, by the driver's number.
    Accepted(u64),
}

/// A session, from Established to its end. No two of a machine are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

/// What the driver tells the machine. What is about a connection or a session that is over is ignored.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Have a session with the peer. When that is wanted already: try now, not later.
    Start,
    /// Have none.
    Stop(Stop),
    /// End the session, and begin another one at once. For what the machine does not know: another password, another
    /// address.
    Restart(Stop),
    /// The configuration from now on. A session that depends on what has changed begins anew; where there is none,
    /// the next attempt begins now.
    Configure(Config),
    /// A connection that the machine asked for stands.
    Connected(ConnectionId),
    /// The peer has opened a connection. The number must never have been used before.
    Accepted(u64),
    /// A connection was refused, reset, closed by the peer, or never came about. [`Output::Close`] follows all the
    /// same.
    Failed(ConnectionId, Transport),
    /// Bytes of a connection, cut anywhere. They are worked off at once: 64 KiB at a time are a good measure.
    Received(ConnectionId, &'a [u8]),
    /// The socket took this much of [`Peer::transmit`]; to be told before anything else.
    Sent(ConnectionId, usize),
    /// Whole messages for this session, encoded as [`Negotiated::send`] says; only while
    /// [`Peer::wants_updates`] says so.
    Updates(SessionId, Shared),
    /// BFD has lost the peer.
    BfdDown,
}

/// What the driver has to do, and what it may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Output {
    /// Open a TCP connection to the peer. It is the machine that gives up if that takes too long.
    Connect(ConnectionId),
    /// Close a connection, or give up opening it. Each connection gets this once, and nothing more is to be told
    /// about it.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Where this is not empty: write it as far as the socket takes it, shut the sending side down, read until
        /// the peer closes or [`DRAIN_TIME`] is over, and only then close. A close with unread bytes in the socket
        /// makes Linux reset the connection, and the peer never sees the NOTIFICATION.
        last_words: Vec<u8>,
    },
    /// There is a session.
    Established(Arc<Negotiated>),
    /// The peer wants all routes of a family again.
    RouteRefresh {
        /// In which session.
        session: SessionId,
        /// Of which family.
        family: Family,
    },
    /// An attempt failed, or a session is over.
    Ended(Ending),
    /// An UPDATE was wrong, but not so that the session had to end. At most one in ten seconds is told.
    Malformed(Malformed),
}

/// An UPDATE with something wrong in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What followed.
    pub disposition: Disposition,
    /// What was wrong first, in words.
    pub what: alloc::string::String,
    /// The UPDATE, up to 4,096 octets of it.
    pub message: Box<[u8]>,
    /// How many more there were since the last one that was told.
    pub untold: u64,
}

/// For how long to wait for the peer to take our last words and close.
pub const DRAIN_TIME: Duration = Duration::from_secs(2);

/// The machine of one peer.
#[derive(Debug)]
pub struct Peer {
    config: Config,
    pair: Pair,
    dialled: Option<Connection>,
    accepted: Option<Connection>,
    timers: Timers<(Slot, Timer)>,
    outputs: VecDeque<Output>,
    jitter: Jitter,
    /// The ConnectRetryCounter of the dialled connection.
    failures: u32,
    /// What our OPENs leave out.
    extent: Extent,
    /// No session has stood yet.
    fresh: bool,
    dials: u64,
    sessions: u64,
    history: History,
    counters: Counters,
    /// When the next malformed UPDATE may be told, and how many were not.
    tell_after: Instant,
    untold: u64,
}

/// What belongs to one connection.
#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    /// When its state began.
    since: Instant,
    /// The beginning of a message that is not there yet.
    inbox: Vec<u8>,
    outbox: Outbox,
    /// Our OPEN.
    open: Option<Open<'static>>,
    /// How what arrives is read.
    receive: Session,
    negotiated: Option<Arc<Negotiated>>,
    /// Families of which nothing is read any more.
    disabled: Families,
    /// Families that the peer wants again.
    refresh: Families,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    IdleHold,
    ConnectRetry,
    /// The connection should stand by then.
    Connect,
    Hold,
    Keepalive,
    SendHold,
}

impl Peer {
    /// A peer without a session; [`Input::Start`] begins. The seed decides about jitter alone.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            pair: Pair::default(),
            dialled: None,
            accepted: None,
            timers: Timers::new(),
            outputs: VecDeque::new(),
            jitter: Jitter(seed),
            failures: 0,
            extent: Extent::Full,
            fresh: true,
            dials: 0,
            sessions: 0,
            history: History::default(),
            counters: Counters::default(),
            tell_after: Instant::ZERO,
            untold: 0,
        }
    }

    /// What to write to a connection now, in order, as much of it as the socket takes. Nothing: do not wait for room.
    pub fn transmit(&self, connection: ConnectionId) -> impl Iterator<Item = &[u8]> {
        let connection = self.find(connection).and_then(|slot| self.connection(slot));
        connection.into_iter().flat_map(|connection| connection.outbox.slices())
    }

    /// The session that can take more updates now, if there is one. To be asked when nothing is left to poll.
    #[must_use]
    pub fn wants_updates(&self) -> Option<SessionId> {
        let connection = self.connection(self.pair.established()?)?;
        let negotiated = connection.negotiated.as_ref()?;
        (connection.outbox.queued() < ENOUGH_UPDATES).then_some(negotiated.session)
    }

    /// The connections that are open or being dialled.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> + use<> {
        Slot::BOTH.map(|slot| self.connection(slot).map(|connection| connection.id)).into_iter().flatten()
    }

    /// What was agreed on with the peer; `None` without a session.
    #[must_use]
    pub fn negotiated(&self) -> Option<&Arc<Negotiated>> {
        self.connection(self.pair.established()?)?.negotiated.as_ref()
    }

    /// How the peer is configured.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The state of the connection that is furthest.
    #[must_use]
    pub fn state(&self) -> State {
        match self.pair.furthest() {
            // What is dialled says more than what is listened for.
            State::Active if self.pair.state(Slot::Dialled) == State::Connect => State::Connect,
            state => state,
        }
    }

    /// Where the peer stands, for people.
    #[must_use]
    pub fn status(&self) -> Status<'_> {
        self.history.status(self.failures)
    }

    /// What has been counted.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn connection(&self, slot: Slot) -> Option<&Connection> {
        match slot {
            Slot::Dialled => self.dialled.as_ref(),
            Slot::Accepted => self.accepted.as_ref(),
        }
    }

    fn connection_mut(&mut self, slot: Slot) -> &mut Option<Connection> {
        match slot {
            Slot::Dialled => &mut self.dialled,
            Slot::Accepted => &mut self.accepted,
        }
    }

    fn find(&self, id: ConnectionId) -> Option<Slot> {
        Slot::BOTH.into_iter().find(|slot| self.connection(*slot).is_some_and(|open| open.id == id))
    }

    /// The slot of a connection on which messages can come and go.
    fn find_open(&mut self, id: ConnectionId) -> Option<Slot> {
        let slot = self.find(id).filter(|slot| self.pair.state(*slot) >= State::OpenSent);
        if slot.is_none() {
            self.counters.stale_inputs += 1;
        }
        slot
    }
}

impl Machine for Peer {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Start => self.start(now),
            Input::Stop(stop) => self.stop(now, stop),
            Input::Restart(stop) => self.restart(now, stop),
            Input::Configure(config) => self.configure(now, config),
            Input::Connected(id) => self.on_connected(now, id),
            Input::Accepted(number) => self.on_accepted(now, number),
            Input::Failed(id, transport) => self.on_failed(now, id, transport),
            Input::Received(id, bytes) => {
                if let Some(slot) = self.find_open(id) {
                    self.receive(now, slot, id, bytes);
                }
            }
            Input::Sent(id, len) => self.on_sent(now, id, len),
            Input::Updates(session, updates) => self.on_updates(session, updates),
            Input::BfdDown => {
                if let Some(slot) = self.pair.established() {
                    self.end(now, slot, Event::BfdDown, Cause::BfdDown);
                }
            }
        }
        self.settle(now);
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front().or_else(|| self.take_refresh()) {
                return Some(output);
            }
            let (slot, timer) = self.timers.take_due(now)?;
            self.expire(now, slot, timer);
            self.settle(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
}

/// Octets of updates that wait for the socket before more are wanted.
const ENOUGH_UPDATES: usize = 64 * 1_024;
