//! The machine that answers for our addresses and tells the neighbours when they move.

mod groups;
mod link;
mod schedule;

use alloc::collections::{BTreeMap, VecDeque};
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use metal_core::{Instant, Machine};

use self::{
    groups::{Change, Groups},
    link::{Jitter, Link},
};
use crate::{
    arp,
    counters::{Counters, Drops},
    ethernet::{Frame, Mac, is_ipv6, is_station},
    ndp,
    reply::{advertise, answer},
    silence::Silence,
};

/// The pauses between the rounds of an announcement that follow a takeover: gratuitous ARP as request and reply, or
/// one unsolicited advertisement.
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

/// How an announcer goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// For jitter.
    pub seed: u64,
    /// Frames a second that the announcements of takeovers may take on a link, at least one. When thousands of
    /// addresses move at once, each has its first frame before any has its second.
    pub takeover_rate: u32,
    /// The time between two frames that keep an address known once its announcement is over; `None` for none.
    pub refresh: Option<Duration>,
    /// Frames a second that refreshes may take on a link, at least one. With more addresses than this allows the time
    /// between two frames for one of them grows.
    pub refresh_rate: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self { seed: 0, takeover_rate: 10_000, refresh: Some(Duration::from_secs(60)), refresh_rate: 50 }
    }
}

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
    /// may be named later; it may also come and go, ownership stays. An address that no station can have is never
    /// owned.
    Own {
        /// The link.
        link: u32,
        /// The address.
        address: IpAddr,
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
    /// Be a member of a multicast group: solicitations for one of our addresses go there. Neither the card nor a
    /// switch that watches memberships would pass them otherwise.
    Join {
        /// On which link.
        link: u32,
        /// The group.
        group: Ipv6Addr,
    },
    /// Be a member no longer: no address of ours is asked for there, or the link is gone.
    Leave {
        /// On which link.
        link: u32,
        /// The group.
        group: Ipv6Addr,
    },
    /// Another station claims an address that is ours, at most once per [`CONFLICT_PAUSE`].
    Conflict {
        /// Where it was heard.
        link: u32,
        /// The address.
        address: IpAddr,
        /// Who claims it.
        mac: Mac,
    },
}

/// Answers for the addresses it owns, on each link for its own.
///
/// A [`Machine`]: see there for the calling contract. Memberships come out before answers, answers before
/// announcements; nothing is allocated per frame once the queue has grown to what the driver leaves waiting. What is withdrawn, or whose
/// link has gone, is silent from the same call on, also when an answer was already waiting.
#[derive(Clone, Debug)]
pub struct Announcer {
    setup: Setup,
    links: BTreeMap<u32, Link>,
    groups: Groups,
    waiting: VecDeque<Waiting>,
    drops: Drops,
    jitter: Jitter,
}

/// What a frame has caused.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    Reply { link: u32, address: Ipv4Addr, asker_mac: Mac, asker_ip: Ipv4Addr },
    Advertise { link: u32, address: Ipv6Addr, asker_mac: Mac, asker_ip: Ipv6Addr },
    Conflict { link: u32, address: IpAddr, mac: Mac },
}

impl Announcer {
    /// Without links and addresses.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            links: BTreeMap::new(),
            groups: Groups::default(),
            waiting: VecDeque::new(),
            drops: Drops::default(),
            jitter: Jitter(setup.seed),
        }
    }

    /// Whether `address` is ours on `link`.
    #[must_use]
    pub fn owns(&self, link: u32, address: IpAddr) -> bool {
        self.links.get(&link).is_some_and(|link| link.owns(address))
    }

    /// What was done for each address that is ours, summed over the links. Counting starts when an address
    /// becomes ours on a link.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<IpAddr, Counters> {
        let mut all = BTreeMap::<_, Counters>::new();
        for (address, owned) in self.links.values().flat_map(Link::iter) {
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
        let link = self.links.entry(index).or_insert_with(|| Link::new(&self.setup));
        if link.mac != mac {
            link.set_mac(now, mac);
            self.groups.link_changed(index);
        }
        self.forget_if_unused(index);
    }

    fn on_own(&mut self, now: Instant, index: u32, address: IpAddr, owned: bool) {
        if address.is_multicast() || address.is_unspecified() || address.is_loopback() {
            return;
        }
        let group = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(ndp::solicited_node(address)),
        };
        if owned {
            let link = self.links.entry(index).or_insert_with(|| Link::new(&self.setup));
            if link.own(now, address)
                && let Some(group) = group
            {
                self.groups.add(index, group);
            }
        } else if let Some(link) = self.links.get_mut(&index) {
            if link.disown(address)
                && let Some(group) = group
            {
                self.groups.remove(index, group);
            }
            self.forget_if_unused(index);
        }
    }

    fn forget_if_unused(&mut self, index: u32) {
        if self.links.get(&index).is_some_and(Link::is_unused) {
            self.links.remove(&index);
        }
    }

    fn on_frame(&mut self, now: Instant, index: u32, frame: &[u8]) -> Result<(), Silence> {
        let link = self.links.get(&index).ok_or(Silence::NoLink)?;
        let mac = link.mac.ok_or(Silence::NoLink)?;
        if is_ipv6(frame) {
            let question = ndp::Packet::parse(frame)?;
            let answer = advertise(&question, mac, |address| link.v6.contains(address));
            return self.on_ndp(now, index, &question, answer);
        }
        let question = arp::Packet::parse(frame)?;
        match answer(&question, mac, |address| link.v4.contains(address)) {
            Ok(packet) => self.enqueue(Waiting::Reply {
                link: index,
                address: packet.sender_ip,
                asker_mac: packet.target_mac,
                asker_ip: packet.target_ip,
            }),
            Err(Silence::SenderClaimsAddress) => {
                self.on_conflict(now, index, question.sender_ip.into(), question.sender_mac)?;
                Err(Silence::SenderClaimsAddress)
            }
            Err(reason) => Err(reason),
        }
    }

    fn on_ndp(
        &mut self,
        now: Instant,
        index: u32,
        question: &ndp::Packet,
        answer: Result<ndp::Packet, Silence>,
    ) -> Result<(), Silence> {
        let (asker_mac, asker_ip) = (question.sender_mac(), question.source_ip);
        match answer {
            Ok(packet) => {
                if question.is_probe() {
                    // Somebody is about to use the address: it is told that it is taken, and so are people.
                    self.on_conflict(now, index, packet.target.into(), asker_mac)?;
                }
                self.enqueue(Waiting::Advertise { link: index, address: packet.target, asker_mac, asker_ip })
            }
            Err(Silence::SenderClaimsAddress) => {
                let claimed = question.claims().find(|address| self.owns(index, (*address).into()));
                if let Some(address) = claimed {
                    self.on_conflict(now, index, address.into(), asker_mac)?;
                }
                Err(Silence::SenderClaimsAddress)
            }
            Err(reason) => Err(reason),
        }
    }

    fn on_conflict(&mut self, now: Instant, index: u32, address: IpAddr, mac: Mac) -> Result<(), Silence> {
        // Two links of ours in one LAN hear each other.
        if self.is_ours(mac) {
            return Err(Silence::SpoofedSender);
        }
        let Some(owned) = self.links.get_mut(&index).and_then(|link| link.get_mut(address)) else {
            return Ok(());
        };
        owned.counters.conflicts += 1;
        if now < owned.report_from || self.waiting.len() >= BACKLOG {
            return Ok(());
        }
        owned.report_from = now + CONFLICT_PAUSE;
        self.enqueue(Waiting::Conflict { link: index, address, mac })
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
            Waiting::Reply { link: index, address, asker_mac, asker_ip } => {
                let link = self.links.get_mut(&index)?;
                let mac = count_answer(link.mac, &mut link.v4.get_mut(address)?.counters)?;
                let frame = arp::Packet::reply(mac, address, asker_mac, asker_ip).emit();
                Some(Output::Send { link: index, frame })
            }
            Waiting::Advertise { link: index, address, asker_mac, asker_ip } => {
                let link = self.links.get_mut(&index)?;
                let mac = count_answer(link.mac, &mut link.v6.get_mut(address)?.counters)?;
                let frame = ndp::Packet::reply(mac, address, asker_mac, asker_ip).emit();
                Some(Output::Send { link: index, frame })
            }
            Waiting::Conflict { link, address, mac } => {
                let still = self.owns(link, address) && !self.is_ours(mac);
                still.then_some(Output::Conflict { link, address, mac })
            }
        }
    }
}

/// Counts an answer for an address, which only goes out on a link that has a MAC.
fn count_answer(mac: Option<Mac>, counters: &mut Counters) -> Option<Mac> {
    counters.requests += 1;
    counters.responses += u64::from(mac.is_some());
    mac
}

impl Default for Announcer {
    fn default() -> Self {
        Self::new(Setup::default())
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
        let links = &self.links;
        let up = |link| links.get(&link).is_some_and(|link| link.mac.is_some());
        match self.groups.poll(up) {
            Some(Change::Join(link, group)) => return Some(Output::Join { link, group }),
            Some(Change::Leave(link, group)) => return Some(Output::Leave { link, group }),
            None => {}
        }
        while let Some(waiting) = self.waiting.pop_front() {
            if let Some(output) = self.perform(waiting) {
                return Some(output);
            }
        }
        self.links.iter_mut().find_map(|(index, link)| {
            let frame = link.announce(now, &self.setup, &mut self.jitter)?;
            Some(Output::Send { link: *index, frame })
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if !self.waiting.is_empty() || self.groups.is_changed() {
            return Some(Instant::ZERO);
        }
        self.links.values().filter_map(|link| link.schedule.next()).min()
    }
}

#[cfg(test)]
mod tests;
