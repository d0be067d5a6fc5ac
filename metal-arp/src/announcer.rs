//! The machine that answers for our addresses and tells the neighbours when they move.

use alloc::collections::{BTreeMap, VecDeque};
use core::{net::Ipv4Addr, time::Duration};

use metal_core::{Instant, Machine, Timers};

use crate::{
    arp::{Operation, Packet},
    counters::{Counters, Drops},
    ethernet::{Frame, Mac, is_station},
    reply::{Silence, answer},
    table::Table,
};

/// The pauses between the rounds of gratuitous ARP that follow a takeover.
///
/// Rounds are at 0, 0.1, 1.1, 2.2, 3.3 and 4.4 s: those of MetalLB and an early repeat, because when the first
/// frame is lost the clients would go on sending to the old owner for more than a second.
pub const PAUSES: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(1_000),
    Duration::from_millis(1_100),
    Duration::from_millis(1_100),
    Duration::from_millis(1_100),
];

/// Two rounds for one address are at least this far apart, however often its ownership is repeated.
pub const MIN_PAUSE: Duration = Duration::from_millis(100);

/// A conflict about one address on one link is reported at most this often.
pub const CONFLICT_PAUSE: Duration = Duration::from_secs(1);

/// How many answers and reports wait for the driver before frames are dropped.
pub const BACKLOG: usize = 1_024;

/// What the announcer is told.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A link as it is now. Whatever is owned there is announced at once when it appears or its address
    /// changes; hearing the same again changes nothing.
    Link {
        /// Its index.
        link: u32,
        /// Its Ethernet address; `None` when frames cannot come and go: it is gone, down or without carrier.
        mac: Option<Mac>,
    },
    /// Answer for an address on a link, or fall silent. Hearing `owned: true` again announces again. The link
    /// may be named later; it may also come and go, ownership stays.
    Own {
        /// The link.
        link: u32,
        /// The address.
        address: Ipv4Addr,
        /// Whether it is ours now.
        owned: bool,
    },
    /// A whole Ethernet frame came in.
    Frame {
        /// Where.
        link: u32,
        /// The frame, Ethernet header included.
        frame: &'a [u8],
    },
}

/// What the announcer wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a frame as it is.
    Send {
        /// On which link.
        link: u32,
        /// The frame, Ethernet header included.
        frame: Frame,
    },
    /// Another station claims an address that is ours, at most once per [`CONFLICT_PAUSE`].
    Conflict {
        /// Where it was heard.
        link: u32,
        /// The address.
        address: Ipv4Addr,
        /// Who claims it.
        mac: Mac,
    },
}

/// Answers for the addresses it owns, on each link for its own.
///
/// A [`Machine`]: see there for the calling contract. Answers come out before announcements; nothing is
/// allocated per frame once the queue has grown to what the driver leaves waiting. What is withdrawn, or whose
/// link has gone, is silent from the same call on, also when an answer was already waiting.
#[derive(Clone, Debug, Default)]
pub struct Announcer {
    links: BTreeMap<u32, Link>,
    /// The next frame of each announcement that is under way. Only for owned addresses on links that are up.
    rounds: Timers<(u32, Ipv4Addr)>,
    waiting: VecDeque<Waiting>,
    drops: Drops,
}

#[derive(Clone, Debug, Default)]
struct Link {
    mac: Option<Mac>,
    owned: Table<Owned>,
}

/// An address that is ours on a link.
#[derive(Clone, Debug, Default)]
struct Owned {
    counters: Counters,
    /// How many rounds of the announcement are complete.
    round: u8,
    /// The request of the present round is out, its reply is next.
    half: bool,
    /// No round begins before.
    round_from: Instant,
    /// No conflict is reported before.
    report_from: Instant,
}

/// What a frame has caused.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Answer { link: u32, address: Ipv4Addr, asker_mac: Mac, asker_ip: Ipv4Addr },
    Conflict { link: u32, address: Ipv4Addr, mac: Mac },
}

impl Announcer {
    /// Without links and addresses.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether `address` is ours on `link`.
    #[must_use]
    pub fn owns(&self, link: u32, address: Ipv4Addr) -> bool {
        self.links.get(&link).is_some_and(|link| link.owned.contains(address))
    }

    /// What was done for each address that is ours, summed over the links. Counting starts when an address
    /// becomes ours on a link.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<Ipv4Addr, Counters> {
        let mut all = BTreeMap::<_, Counters>::new();
        for (address, owned) in self.links.values().flat_map(|link| link.owned.iter()) {
            *all.entry(address).or_default() += owned.counters;
        }
        all
    }

    /// How many frames got no answer, by reason.
    #[must_use]
    pub const fn drops(&self) -> &Drops {
        &self.drops
    }

    fn on_link(&mut self, now: Instant, index: u32, mac: Option<Mac>) {
        // Nobody can be told that an address is at a group's address.
        let mac = mac.filter(|mac| is_station(*mac));
        let link = self.links.entry(index).or_default();
        if link.mac != mac {
            link.mac = mac;
            for (address, owned) in link.owned.iter_mut() {
                // The neighbours know the old address: no pause since its last round.
                owned.round_from = now;
                if mac.is_some() {
                    self.rounds.set((index, address), owned.restart(now));
                } else {
                    self.rounds.stop(&(index, address));
                }
            }
        }
        self.forget_if_unused(index);
    }

    fn on_own(&mut self, now: Instant, index: u32, address: Ipv4Addr, owned: bool) {
        if owned {
            let link = self.links.entry(index).or_default();
            let at = link.owned.get_or_default(address).restart(now);
            if link.mac.is_some() {
                self.rounds.set((index, address), at);
            }
        } else if let Some(link) = self.links.get_mut(&index) {
            link.owned.remove(address);
            self.rounds.stop(&(index, address));
            self.forget_if_unused(index);
        }
    }

    fn forget_if_unused(&mut self, index: u32) {
        if self.links.get(&index).is_some_and(|link| link.mac.is_none() && link.owned.is_empty()) {
            self.links.remove(&index);
        }
    }

    fn on_frame(&mut self, now: Instant, index: u32, frame: &[u8]) -> Result<(), Silence> {
        let link = self.links.get(&index).ok_or(Silence::NoLink)?;
        let mac = link.mac.ok_or(Silence::NoLink)?;
        let question = Packet::parse(frame)?;
        match answer(&question, mac, |address| link.owned.contains(address)) {
            Ok(packet) => self.enqueue(Waiting::Answer {
                link: index,
                address: packet.sender_ip,
                asker_mac: packet.target_mac,
                asker_ip: packet.target_ip,
            }),
            Err(Silence::SenderClaimsAddress) => {
                self.on_conflict(now, index, &question)?;
                Err(Silence::SenderClaimsAddress)
            }
            Err(reason) => Err(reason),
        }
    }

    fn on_conflict(&mut self, now: Instant, index: u32, claim: &Packet) -> Result<(), Silence> {
        // Two links of ours in one LAN hear each other.
        if self.is_ours(claim.sender_mac) {
            return Err(Silence::SpoofedSender);
        }
        let address = claim.sender_ip;
        let Some(owned) = self.links.get_mut(&index).and_then(|link| link.owned.get_mut(address)) else {
            return Ok(());
        };
        owned.counters.conflicts += 1;
        if now < owned.report_from || self.waiting.len() >= BACKLOG {
            return Ok(());
        }
        owned.report_from = now + CONFLICT_PAUSE;
        self.enqueue(Waiting::Conflict { link: index, address, mac: claim.sender_mac })
    }

    /// Whether a link of ours has this address.
    fn is_ours(&self, mac: Mac) -> bool {
        self.links.values().any(|link| link.mac == Some(mac))
    }

    fn enqueue(&mut self, waiting: Waiting) -> Result<(), Silence> {
        if self.waiting.len() >= BACKLOG {
            return Err(Silence::Backlog);
        }
        self.waiting.push_back(waiting);
        Ok(())
    }

    /// What has waited, if it is still true.
    fn perform(&mut self, waiting: Waiting) -> Option<Output> {
        match waiting {
            Waiting::Answer { link: index, address, asker_mac, asker_ip } => {
                let link = self.links.get_mut(&index)?;
                let counters = &mut link.owned.get_mut(address)?.counters;
                counters.requests += 1;
                let mac = link.mac?;
                counters.responses += 1;
                Some(Output::Send {
                    link: index,
                    frame: Packet::reply(mac, address, asker_mac, asker_ip).emit(),
                })
            }
            Waiting::Conflict { link, address, mac } => {
                let still = self.owns(link, address) && !self.is_ours(mac);
                still.then_some(Output::Conflict { link, address, mac })
            }
        }
    }

    /// The next frame of an announcement: each round is a request and a reply.
    fn announce(&mut self, now: Instant, index: u32, address: Ipv4Addr) -> Option<Output> {
        let link = self.links.get_mut(&index)?;
        let mac = link.mac?;
        let owned = link.owned.get_mut(address)?;
        let operation = if owned.half { Operation::Reply } else { Operation::Request };
        if let Some(next) = owned.advance(now) {
            self.rounds.set((index, address), next);
        }
        owned.counters.gratuitous += 1;
        Some(Output::Send { link: index, frame: Packet::gratuitous(operation, mac, address).emit() })
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
    fn advance(&mut self, now: Instant) -> Option<Instant> {
        self.half = !self.half;
        if self.half {
            self.round_from = now + MIN_PAUSE;
            return Some(now);
        }
        let pause = PAUSES.get(usize::from(self.round))?;
        self.round += 1;
        Some(now + *pause)
    }
}

impl Machine for Announcer {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Link { link, mac } => self.on_link(now, link, mac),
            Input::Own { link, address, owned } => self.on_own(now, link, address, owned),
            Input::Frame { link, frame } => {
                if let Err(reason) = self.on_frame(now, link, frame) {
                    self.drops.count(reason);
                }
            }
        }
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        while let Some(waiting) = self.waiting.pop_front() {
            if let Some(output) = self.perform(waiting) {
                return Some(output);
            }
        }
        while let Some((link, address)) = self.rounds.take_due(now) {
            if let Some(output) = self.announce(now, link, address) {
                return Some(output);
            }
        }
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.waiting.is_empty() { self.rounds.next() } else { Some(Instant::ZERO) }
    }
}

#[cfg(test)]
mod tests;
