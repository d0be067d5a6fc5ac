//! A link, what is ours there, and its announcements.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use metal_core::Instant;

use super::{
    MIN_PAUSE, PAUSES, Setup,
    schedule::{Purpose, Schedule},
};
use crate::{
    arp::{self, Operation},
    counters::Counters,
    ethernet::{Frame, Mac},
    ndp,
    table::Table,
};

#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Its Ethernet address while frames can come and go.
    pub(super) mac: Option<Mac>,
    pub(super) v4: Table<Ipv4Addr, Owned>,
    pub(super) v6: Table<Ipv6Addr, Owned>,
    /// Only for owned addresses, and only while there is a MAC.
    pub(super) schedule: Schedule,
}

/// An address that is ours on a link.
#[derive(Clone, Debug, Default)]
pub(super) struct Owned {
    pub(super) counters: Counters,
    /// How many rounds of the announcement are complete.
    round: u8,
    /// The request of the present round is out, its reply is next. Never for IPv6, where a round is one frame.
    half: bool,
    /// No round begins before.
    round_from: Instant,
    /// No conflict is reported before.
    pub(super) report_from: Instant,
}

impl Link {
    pub(super) fn new(setup: &Setup) -> Self {
        Self { mac: None, v4: Table::new(), v6: Table::new(), schedule: Schedule::new(setup) }
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_unused(&self) -> bool {
        self.mac.is_none() && self.v4.is_empty() && self.v6.is_empty()
    }

    pub(super) fn owns(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address),
            IpAddr::V6(address) => self.v6.contains(address),
        }
    }

    pub(super) fn get_mut(&mut self, address: IpAddr) -> Option<&mut Owned> {
        match address {
            IpAddr::V4(address) => self.v4.get_mut(address),
            IpAddr::V6(address) => self.v6.get_mut(address),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (IpAddr, &Owned)> {
        let v4 = self.v4.iter().map(|(address, owned)| (IpAddr::V4(address), owned));
        v4.chain(self.v6.iter().map(|(address, owned)| (IpAddr::V6(address), owned)))
    }

    /// Its Ethernet address has changed, or it has come or gone.
    pub(super) fn set_mac(&mut self, now: Instant, mac: Option<Mac>) {
        self.mac = mac;
        let v4 = self.v4.iter_mut().map(|(address, owned)| (IpAddr::V4(address), owned));
        let all = v4.chain(self.v6.iter_mut().map(|(address, owned)| (IpAddr::V6(address), owned)));
        for (address, owned) in all {
            // The neighbours know the old address: no pause since its last round.
            owned.round_from = now;
            if mac.is_some() {
                self.schedule.begin(address, owned.restart(now));
            } else {
                self.schedule.stop(address);
            }
        }
    }

    /// An address is ours, or ours again. Whether it was not before.
    pub(super) fn own(&mut self, now: Instant, address: IpAddr) -> bool {
        let new = !self.owns(address);
        let owned = match address {
            IpAddr::V4(address) => self.v4.get_or_default(address),
            IpAddr::V6(address) => self.v6.get_or_default(address),
        };
        let at = owned.restart(now);
        if self.mac.is_some() {
            self.schedule.begin(address, at);
        }
        new
    }

    /// An address is not ours any more. Whether it was.
    pub(super) fn disown(&mut self, address: IpAddr) -> bool {
        self.schedule.stop(address);
        match address {
            IpAddr::V4(address) => self.v4.remove(address).is_some(),
            IpAddr::V6(address) => self.v6.remove(address).is_some(),
        }
    }

    /// The next frame to everybody that is due.
    pub(super) fn announce(&mut self, now: Instant, setup: &Setup, jitter: &mut Jitter) -> Option<Frame> {
        loop {
            let (purpose, address) = self.schedule.take_due(now)?;
            let Some(mac) = self.mac else { continue };
            let Some(owned) = self.get_mut(address) else { continue };
            owned.counters.gratuitous += 1;
            let frame = match address {
                IpAddr::V4(address) => {
                    let operation = if owned.half { Operation::Reply } else { Operation::Request };
                    arp::Packet::gratuitous(operation, mac, address).emit()
                }
                IpAddr::V6(address) => ndp::Packet::unsolicited(mac, address).emit(),
            };
            let next = match purpose {
                Purpose::First | Purpose::More => owned.advance(now, address.is_ipv4()),
                Purpose::Refresh => None,
            };
            if let Some(at) = next {
                self.schedule.set(Purpose::More, address, at);
            } else if let Some(interval) = setup.refresh {
                // What moved together is spread out first, and then does not fall into step.
                let (from, to) = if purpose == Purpose::Refresh { (90, 110) } else { (50, 100) };
                let at = now + interval * jitter.percent(from, to) / 100;
                self.schedule.set(Purpose::Refresh, address, at);
            }
            return Some(frame);
        }
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

/// A small generator for jitter (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Jitter(pub(super) u64);

impl Jitter {
    /// Between `from` and `to`, that excluded.
    fn percent(&mut self, from: u32, to: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        from + u32::try_from((mixed ^ (mixed >> 31)) % u64::from(to - from)).unwrap_or_default()
    }
}
