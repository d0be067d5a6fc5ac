//! A link, what is ours there, and what has to be said about it.

mod say;

use alloc::collections::BTreeMap;
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use metal_core::{Instant, Timers};

use self::say::Update;
use super::{
    conflict::{Conflict, QUIET_WHILE_ANNOUNCED},
    duty::{Duty, MIN_PAUSE, PAUSES, Setup},
    probe::{LATER_PROBES, Probe, Verdict},
    requesters::Requesters,
    schedule::{Aside, Purpose, Schedule},
};
use crate::{
    counters::Counters,
    ethernet::{Frame, Mac},
    table::Table,
};

#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Its Ethernet address while frames can come and go.
    pub(super) mac: Option<Mac>,
    /// What is announced, and nothing else: what is in here is answered for.
    pub(super) v4: Table<Ipv4Addr, Owned>,
    pub(super) v6: Table<Ipv6Addr, Owned>,
    /// What is ours and is still asked for.
    pub(super) probing: BTreeMap<IpAddr, Probe>,
    pub(super) requesters_v4: Requesters<Ipv4Addr>,
    pub(super) requesters_v6: Requesters<Ipv6Addr>,
    /// Takeovers that the requesters are being told of.
    updates: BTreeMap<IpAddr, Update>,
    /// Only for addresses that are ours, and only while there is a MAC.
    schedule: Schedule,
    alarms: Timers<(Alarm, IpAddr)>,
}

/// An address that is announced.
#[derive(Clone, Debug, Default)]
pub(super) struct Owned {
    pub(super) counters: Counters,
    refresh: Option<Duration>,
    pub(super) conflict: Conflict,
    /// How many rounds of the announcement are complete.
    round: u8,
    /// The request of the present round is out, its reply is next. Never for IPv6, where a round is one frame.
    half: bool,
    /// No round begins before.
    round_from: Instant,
    /// The next of the later questions.
    later: u8,
}

/// What has come of polling a link.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Send(Frame),
    /// Nobody has it: from now on it is answered for. `over` ends a conflict that the driver knows of.
    Announced {
        address: IpAddr,
        over: bool,
    },
    /// A conflict that the driver knows of is over.
    Over(IpAddr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// A round of questions has had its time.
    Judge,
    /// A conflict may be over.
    Over,
}

impl Link {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            mac: None,
            v4: Table::new(),
            v6: Table::new(),
            probing: BTreeMap::new(),
            requesters_v4: Requesters::new(),
            requesters_v6: Requesters::new(),
            updates: BTreeMap::new(),
            schedule: Schedule::new(setup),
            alarms: Timers::new(),
        }
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_unused(&self) -> bool {
        self.mac.is_none() && self.v4.is_empty() && self.v6.is_empty() && self.probing.is_empty()
    }

    /// Whether an address is answered for when somebody asks.
    pub(super) fn announces(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address),
            IpAddr::V6(address) => self.v6.contains(address),
        }
    }

    pub(super) fn owns(&self, address: IpAddr) -> bool {
        self.announces(address) || self.probing.contains_key(&address)
    }

    fn get_mut(&mut self, address: IpAddr) -> Option<&mut Owned> {
        match address {
            IpAddr::V4(address) => self.v4.get_mut(address),
            IpAddr::V6(address) => self.v6.get_mut(address),
        }
    }

    /// What strangers say about an address of ours, and whether it is announced.
    pub(super) fn conflict_mut(&mut self, address: IpAddr) -> Option<(&mut Conflict, bool)> {
        // Not with `get_mut`, which would borrow all of it.
        let owned = match address {
            IpAddr::V4(address) => self.v4.get_mut(address),
            IpAddr::V6(address) => self.v6.get_mut(address),
        };
        match owned {
            Some(owned) => Some((&mut owned.conflict, true)),
            None => self.probing.get_mut(&address).map(|probe| (&mut probe.conflict, false)),
        }
    }

    pub(super) fn counters(&self) -> impl Iterator<Item = (IpAddr, Counters)> {
        let v4 = self.v4.iter().map(|(address, owned)| (IpAddr::V4(address), owned.counters));
        let v6 = self.v6.iter().map(|(address, owned)| (IpAddr::V6(address), owned.counters));
        let probing = self.probing.iter().map(|(address, probe)| (*address, probe.counters));
        v4.chain(v6).chain(probing)
    }

    pub(super) fn announced(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.v4.iter().map(|(address, _)| IpAddr::V4(address));
        v4.chain(self.v6.iter().map(|(address, _)| IpAddr::V6(address)))
    }

    /// Its Ethernet address has changed, or it has come or gone.
    pub(super) fn set_mac(&mut self, now: Instant, mac: Option<Mac>) {
        self.mac = mac;
        self.updates.clear();
        self.schedule.clear();
        let v4 = self.v4.iter_mut().map(|(address, owned)| (IpAddr::V4(address), owned));
        let all = v4.chain(self.v6.iter_mut().map(|(address, owned)| (IpAddr::V6(address), owned)));
        for (address, owned) in all {
            // The neighbours know the old address: no pause since its last round.
            owned.round_from = now;
            if mac.is_some() {
                self.schedule.begin(address, owned.restart(now));
                if let Some(pause) = LATER_PROBES.get(usize::from(owned.later)) {
                    self.schedule.set_aside(Aside::Probe, address, now + *pause);
                }
            }
        }
        for (address, probe) in &mut self.probing {
            probe.restart();
            self.alarms.stop(&(Alarm::Judge, *address));
            if mac.is_some() {
                self.schedule.begin(*address, now);
            }
        }
    }

    /// An address is ours, or ours again. Whether it was not before.
    pub(super) fn own(&mut self, now: Instant, address: IpAddr, duty: Duty) -> bool {
        let new = !self.owns(address);
        if duty.probe && !self.announces(address) {
            self.probing.entry(address).or_insert_with(|| Probe::new(duty)).duty = duty;
            if new && self.mac.is_some() {
                self.schedule.begin(address, now);
            }
            return new;
        }
        // Somebody who may say so has decided that there is nothing to ask.
        let asked = self.probing.remove(&address);
        if asked.is_some() {
            self.schedule.stop(address);
            self.alarms.stop(&(Alarm::Judge, address));
        }
        let owned = self.insert(address);
        owned.refresh = duty.refresh;
        if new || asked.is_some() {
            owned.later = NO_LATER_PROBES;
        }
        if let Some(probe) = asked {
            (owned.counters, owned.conflict) = (probe.counters, probe.conflict);
            if let Some(last) = owned.conflict.last() {
                self.alarms.set((Alarm::Over, address), last + QUIET_WHILE_ANNOUNCED);
            }
        }
        self.begin(now, address);
        new
    }

    fn insert(&mut self, address: IpAddr) -> &mut Owned {
        match address {
            IpAddr::V4(address) => self.v4.get_or_default(address),
            IpAddr::V6(address) => self.v6.get_or_default(address),
        }
    }

    /// Begins to announce what is answered for.
    fn begin(&mut self, now: Instant, address: IpAddr) {
        if let Some(at) = self.get_mut(address).map(|owned| owned.restart(now))
            && self.mac.is_some()
        {
            self.schedule.begin(address, at);
        }
    }

    /// An address is not ours any more. `None` if it was not; else whether that ends a conflict that the driver knows
    /// of.
    pub(super) fn disown(&mut self, address: IpAddr) -> Option<bool> {
        let over = self.conflict_mut(address)?.0.end();
        self.schedule.stop(address);
        self.alarms.stop(&(Alarm::Judge, address));
        self.alarms.stop(&(Alarm::Over, address));
        self.updates.remove(&address);
        self.probing.remove(&address);
        match address {
            IpAddr::V4(address) => drop(self.v4.remove(address)),
            IpAddr::V6(address) => drop(self.v6.remove(address)),
        }
        Some(over)
    }

    /// Says once more against a stranger who has an announced address, unless that was done lately.
    pub(super) fn defend(&mut self, now: Instant, address: IpAddr) {
        if self.mac.is_some() && self.get_mut(address).is_some_and(|owned| owned.conflict.defend(now)) {
            self.schedule.set_aside(Aside::Defend, address, now);
        }
    }

    /// A stranger has an address of ours, or is about to. Whether that is to be reported now.
    pub(super) fn hear(&mut self, now: Instant, address: IpAddr, jitter: &mut Jitter) -> bool {
        if let Some(probe) = self.probing.get_mut(&address) {
            if let Some(at) = probe.object(now, jitter) {
                self.alarms.stop(&(Alarm::Judge, address));
                self.schedule.set(Purpose::First, address, at);
            }
            return probe.conflict.is_news(now);
        }
        let Some(owned) = self.get_mut(address) else { return false };
        owned.counters.conflicts += 1;
        let opens = !owned.conflict.is_open();
        owned.conflict.hear(now);
        let news = owned.conflict.is_news(now);
        if opens {
            self.alarms.set((Alarm::Over, address), now + QUIET_WHILE_ANNOUNCED);
        }
        news
    }

    /// The next thing that is due.
    pub(super) fn poll(&mut self, now: Instant, jitter: &mut Jitter) -> Option<Event> {
        loop {
            // What is still to be asked goes before what is made of the answers.
            if let Some(frame) = self.speak(now, jitter) {
                return Some(Event::Send(frame));
            }
            let (alarm, address) = self.alarms.take_due(now)?;
            let event = match alarm {
                Alarm::Judge => self.judge(now, address),
                Alarm::Over => self.end_conflict(now, address),
            };
            if event.is_some() {
                return event;
            }
        }
    }

    /// When to poll again.
    pub(super) fn next(&self) -> Option<Instant> {
        let update = (!self.updates.is_empty()).then(|| self.schedule.next_takeover());
        [self.schedule.next(), self.alarms.next(), update].into_iter().flatten().min()
    }

    /// A round of questions has had its time.
    fn judge(&mut self, now: Instant, address: IpAddr) -> Option<Event> {
        if let Verdict::Again(at) = self.probing.get_mut(&address)?.judge(now) {
            self.schedule.set(Purpose::First, address, at);
            return None;
        }
        let mut probe = self.probing.remove(&address)?;
        let over = probe.conflict.end();
        self.schedule.stop(address);
        let owned = self.insert(address);
        (owned.counters, owned.refresh, owned.conflict) =
            (probe.counters, probe.duty.refresh, probe.conflict);
        self.begin(now, address);
        self.schedule.set_aside(Aside::Probe, address, now + LATER_PROBES[0]);
        Some(Event::Announced { address, over })
    }

    fn end_conflict(&mut self, now: Instant, address: IpAddr) -> Option<Event> {
        let conflict = &mut self.get_mut(address)?.conflict;
        let over = conflict.last()? + QUIET_WHILE_ANNOUNCED;
        if over > now {
            self.alarms.set((Alarm::Over, address), over);
            return None;
        }
        conflict.end().then_some(Event::Over(address))
    }
}

impl Owned {
    /// Begins the announcement anew; says when its first frame is due.
    fn restart(&mut self, now: Instant) -> Instant {
        self.round = 0;
        self.half = false;
        self.round_from.max(now)
    }

    /// Counts the frame that goes out now; says when the next one is due. Pauses count from now, so that a
    /// driver that was held up does not send the rounds it has missed in a bunch.
    fn advance(&mut self, now: Instant, two_forms: bool) -> Option<Instant> {
        if !self.half {
            self.round_from = now + MIN_PAUSE;
        }
        self.half = two_forms && !self.half;
        if self.half {
            return Some(now);
        }
        let pause: Duration = *PAUSES.get(usize::from(self.round))?;
        self.round += 1;
        Some(now + pause)
    }
}

/// All later questions have been asked, or none are needed.
#[expect(clippy::cast_possible_truncation, reason = "there are a few")]
const NO_LATER_PROBES: u8 = LATER_PROBES.len() as u8;

/// A small generator for jitter (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Jitter(pub(super) u64);

impl Jitter {
    /// Between `from` and `to`, that excluded.
    pub(super) fn percent(&mut self, from: u32, to: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        from + u32::try_from((mixed ^ (mixed >> 31)) % u64::from(to - from)).unwrap_or_default()
    }
}
