//! What a link says by itself.

use core::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use metal_core::Instant;

use super::{
    super::{
        probe::LATER_PROBES,
        schedule::{Aside, Due, Purpose},
    },
    Alarm, Jitter, Link,
};
use crate::{
    arp::{self, Operation},
    ethernet::{Frame, Mac},
    ndp,
};

/// A takeover that the requesters are being told of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Update {
    /// The next requester.
    from: usize,
    /// Too late afterwards.
    until: Instant,
}

/// For so long after a takeover requesters are told in person: about as long as everybody is told.
const UPDATE_TIME: Duration = Duration::from_secs(10);

impl Link {
    /// The next frame that may go out now.
    pub(super) fn speak(&mut self, now: Instant, jitter: &mut Jitter) -> Option<Frame> {
        while let Some(due) = self.schedule.take_due(now) {
            let frame = match due {
                Due::Frame(purpose, address) => self.say(now, purpose, address, jitter),
                Due::Aside(what, address) => self.say_aside(now, what, address),
            };
            if frame.is_some() {
                return frame;
            }
        }
        self.update(now)
    }

    /// The next question, or the next frame to everybody.
    fn say(&mut self, now: Instant, purpose: Purpose, address: IpAddr, jitter: &mut Jitter) -> Option<Frame> {
        let mac = self.mac?;
        if let Some(probe) = self.probing.get_mut(&address) {
            let (next, judged) = probe.ask(now);
            self.alarms.set((Alarm::Judge, address), judged);
            if let Some(at) = next {
                self.schedule.set(Purpose::More, address, at);
            }
            return Some(probe_frame(mac, address));
        }
        let owned = self.get_mut(address)?;
        owned.counters.gratuitous += 1;
        let frame = announcement(mac, address, owned.half);
        let next = match purpose {
            Purpose::First | Purpose::More => owned.advance(now, address.is_ipv4()),
            Purpose::Refresh => None,
        };
        let refresh = owned.refresh;
        if let Some(at) = next {
            self.schedule.set(Purpose::More, address, at);
        } else if let Some(interval) = refresh {
            // What moved together is spread out first, and then does not fall into step.
            let (from, to) = if purpose == Purpose::Refresh { (90, 110) } else { (50, 100) };
            let at = now + interval.saturating_mul(jitter.percent(from, to)) / 100;
            self.schedule.set(Purpose::Refresh, address, at);
        }
        if purpose == Purpose::First && self.has_requesters(address) {
            self.updates.insert(address, Update { from: 0, until: now + UPDATE_TIME });
        }
        Some(frame)
    }

    fn say_aside(&mut self, now: Instant, what: Aside, address: IpAddr) -> Option<Frame> {
        let mac = self.mac?;
        let owned = self.get_mut(address)?;
        match what {
            Aside::Defend | Aside::DefendAgain => {
                owned.counters.gratuitous += 1;
                let again = what == Aside::DefendAgain;
                if !again && address.is_ipv4() {
                    self.schedule.set_aside(Aside::DefendAgain, address, now);
                }
                Some(announcement(mac, address, again))
            }
            Aside::Probe => {
                owned.counters.probes += 1;
                owned.later = owned.later.saturating_add(1);
                if let Some(pause) = LATER_PROBES.get(usize::from(owned.later)) {
                    self.schedule.set_aside(Aside::Probe, address, now + *pause);
                }
                Some(probe_frame(mac, address))
            }
        }
    }

    fn has_requesters(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => !self.requesters_v4.is_empty(),
            IpAddr::V6(_) => !self.requesters_v6.is_empty(),
        }
    }

    /// Tells the next one who has lately asked for anything where an address is: some routers ignore what is said to
    /// everybody.
    fn update(&mut self, now: Instant) -> Option<Frame> {
        let mac = self.mac?;
        loop {
            let (&address, &Update { from, until }) = self.updates.first_key_value()?;
            let next = match address {
                _ if now > until => None,
                IpAddr::V4(address) => self
                    .requesters_v4
                    .next(now, from)
                    .map(|(to, after)| (arp::Packet::update(mac, address, to.mac, to.ip).emit(), after)),
                IpAddr::V6(address) => self.requesters_v6.next(now, from).map(|(to, after)| {
                    (ndp::Packet::unsolicited_to(mac, address, to.mac, to.ip).emit(), after)
                }),
            };
            let Some((frame, after)) = next else {
                self.updates.remove(&address);
                continue;
            };
            if !self.schedule.may_take_over(now) {
                return None;
            }
            self.schedule.spend(now);
            self.updates.insert(address, Update { from: after, until });
            if let Some(owned) = self.get_mut(address) {
                owned.counters.gratuitous += 1;
            }
            return Some(frame);
        }
    }
}

/// Tells everybody where an address is; for IPv4 in one of two forms.
fn announcement(mac: Mac, address: IpAddr, second_form: bool) -> Frame {
    match address {
        IpAddr::V4(address) => {
            let operation = if second_form { Operation::Reply } else { Operation::Request };
            arp::Packet::gratuitous(operation, mac, address).emit()
        }
        IpAddr::V6(address) => ndp::Packet::unsolicited(mac, address).emit(),
    }
}

/// Asks whether anybody has an address.
fn probe_frame(mac: Mac, address: IpAddr) -> Frame {
    match address {
        IpAddr::V4(address) => arp::Packet::probe(mac, address).emit(),
        IpAddr::V6(address) => ndp::Packet::solicitation(mac, Ipv6Addr::UNSPECIFIED, address).emit(),
    }
}
