//! When the frames that nobody has asked for are due on one link, and how many of them it takes.

use core::{net::IpAddr, time::Duration};

use metal_core::{Instant, Timers};

use super::duty::Setup;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// The first word of a takeover, or the first question before it.
    First,
    /// What follows it.
    More,
    /// So that switches and neighbours do not forget.
    Refresh,
}

/// What may be due beside that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Aside {
    /// A word against a stranger.
    Defend,
    /// Its other form.
    DefendAgain,
    /// Another question about what is announced already.
    Probe,
}

/// What is due now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Frame(Purpose, IpAddr),
    Aside(Aside, IpAddr),
}

/// At most one frame of each address and purpose, and the budgets of the link.
///
/// When many addresses move at once, each has its first frame before any has its second.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    first: Timers<IpAddr>,
    more: Timers<IpAddr>,
    refresh: Timers<IpAddr>,
    aside: Timers<(Aside, IpAddr)>,
    takeovers: Budget,
    refreshes: Budget,
}

impl Schedule {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            first: Timers::new(),
            more: Timers::new(),
            refresh: Timers::new(),
            aside: Timers::new(),
            takeovers: Budget::new(setup.takeover_rate, TAKEOVER_BURST),
            refreshes: Budget::new(setup.refresh_rate, 1),
        }
    }

    /// Begins to announce an address, or to ask for it. One that has not had its first frame yet keeps its place.
    pub(super) fn begin(&mut self, address: IpAddr, at: Instant) {
        if self.first.get(&address).is_none_or(|due| due > at) {
            self.set(Purpose::First, address, at);
        }
    }

    /// The next frame of an address, in place of whatever was to come.
    pub(super) fn set(&mut self, purpose: Purpose, address: IpAddr, at: Instant) {
        self.stop_frames(address);
        let timers = match purpose {
            Purpose::First => &mut self.first,
            Purpose::More => &mut self.more,
            Purpose::Refresh => &mut self.refresh,
        };
        timers.set(address, at);
    }

    /// A frame beside these.
    pub(super) fn set_aside(&mut self, what: Aside, address: IpAddr, at: Instant) {
        self.aside.set((what, address), at);
    }

    /// Nothing more about an address.
    pub(super) fn stop(&mut self, address: IpAddr) {
        self.stop_frames(address);
        for what in [Aside::Defend, Aside::DefendAgain, Aside::Probe] {
            self.aside.stop(&(what, address));
        }
    }

    /// Nothing more about any.
    pub(super) fn clear(&mut self) {
        (self.first, self.more, self.refresh) = (Timers::new(), Timers::new(), Timers::new());
        self.aside = Timers::new();
    }

    fn stop_frames(&mut self, address: IpAddr) {
        let _ = self.first.stop(&address) || self.more.stop(&address) || self.refresh.stop(&address);
    }

    /// The next frame that may go out now.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Due> {
        if self.may_take_over(now) {
            let first = self.first.take_due(now).map(|address| Due::Frame(Purpose::First, address));
            let due = first
                .or_else(|| self.aside.take_due(now).map(|(what, address)| Due::Aside(what, address)))
                .or_else(|| self.more.take_due(now).map(|address| Due::Frame(Purpose::More, address)));
            if due.is_some() {
                self.spend(now);
                return due;
            }
        }
        if self.refreshes.next() <= now
            && let Some(address) = self.refresh.take_due(now)
        {
            self.refreshes.spend(now);
            return Some(Due::Frame(Purpose::Refresh, address));
        }
        None
    }

    /// Whether another frame of a takeover may go out now.
    pub(super) fn may_take_over(&self, now: Instant) -> bool {
        self.takeovers.next() <= now
    }

    /// Since when another one may.
    pub(super) fn next_takeover(&self) -> Instant {
        self.takeovers.next()
    }

    /// One goes out now.
    pub(super) fn spend(&mut self, now: Instant) {
        self.takeovers.spend(now);
    }

    /// When the next one may.
    pub(super) fn next(&self) -> Option<Instant> {
        let takeover = [self.first.next(), self.more.next(), self.aside.next()].into_iter().flatten().min();
        let takeover = takeover.map(|due| due.max(self.takeovers.next()));
        let refresh = self.refresh.next().map(|due| due.max(self.refreshes.next()));
        [takeover, refresh].into_iter().flatten().min()
    }
}

/// Frames in a row: no more than a socket's send buffer takes.
const TAKEOVER_BURST: u32 = 100;

/// So many frames a second, and a few in a row after a rest.
#[derive(Clone, Debug)]
struct Budget {
    /// Between two frames.
    pause: Duration,
    /// How far ahead of the pauses the frames may be.
    advance: Duration,
    /// When all frames so far have had their pause.
    paid: Instant,
}

impl Budget {
    fn new(rate: u32, burst: u32) -> Self {
        let pause = Duration::from_micros(1_000_000_u64.div_ceil(rate.max(1).into()));
        Self { pause, advance: pause * (burst - 1), paid: Instant::ZERO }
    }

    /// The next frame may go out from then on.
    fn next(&self) -> Instant {
        Instant::ZERO + self.paid.since(Instant::ZERO).saturating_sub(self.advance)
    }

    fn spend(&mut self, now: Instant) {
        self.paid = self.paid.max(now) + self.pause;
    }
}
