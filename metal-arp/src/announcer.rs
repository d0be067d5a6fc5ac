//! The machine that answers for our addresses and tells the neighbours when they move.

mod answering;
mod conflict;
mod duty;
mod groups;
mod link;
mod probe;
mod receive;
mod requesters;
mod schedule;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::net::{IpAddr, Ipv6Addr};

use metal_core::{Instant, Machine};

use self::{
    answering::{Answering, Place},
    groups::{Change, Groups},
    link::{Event, Jitter, Link},
    receive::Waiting,
};
pub use self::{
    conflict::{CONFLICT_PAUSE, DEFEND_PAUSE, QUIET_WHILE_ANNOUNCED},
    duty::{Duty, MIN_PAUSE, PAUSES, REFRESH, Setup},
    probe::{LATER_PROBES, PROBE_PAUSE, PROBE_WINDOW, PROBES, QUIET_WHILE_PROBING},
    requesters::{REMEMBERED, REQUESTERS},
};
use crate::{
    arp,
    counters::{Counters, Drops},
    ethernet::{Frame, Mac, is_station},
    ndp,
};

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
    /// Answer for an address on a link, or fall silent. Hearing a duty again announces again. The link
    /// may be named later; it may also come and go, ownership stays. An address that no station can have is never
    /// owned.
    Own {
        /// The link.
        link: u32,
        /// The address.
        address: IpAddr,
        /// How it is ours now; `None` when it is not.
        duty: Option<Duty>,
    },
    /// Say once more where an announced address is, against a stranger who claims it. Ignored when that was done
    /// within [`DEFEND_PAUSE`].
    Defend {
        /// The link.
        link: u32,
        /// The address.
        address: IpAddr,
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
    /// From now on an address is answered for: for whoever else can answer in our name, and for people.
    Answering {
        /// On which link.
        link: u32,
        /// The address.
        address: IpAddr,
        /// The Ethernet address that the answers name; `None` when there are none any more.
        mac: Option<Mac>,
    },
    /// Another station has an address that is ours, at most once per [`CONFLICT_PAUSE`].
    Conflict {
        /// Where it was heard.
        link: u32,
        /// The address.
        address: IpAddr,
        /// Who has it.
        mac: Mac,
        /// Whether we announce it. Else the station has objected while we asked, and nothing is announced before
        /// nobody objects.
        announced: bool,
    },
    /// Nobody has objected for [`QUIET_WHILE_PROBING`], so the address is announced; or nobody has claimed an announced
    /// one for [`QUIET_WHILE_ANNOUNCED`]; or it is not ours any more. Only after a [`Conflict`](Self::Conflict).
    ConflictOver {
        /// Where.
        link: u32,
        /// The address.
        address: IpAddr,
    },
}

/// Answers for the addresses it owns, on each link for its own.
///
/// A [`Machine`]: see there for the calling contract. What is answered for and memberships come out before answers,
/// answers before everything else; nothing is allocated per frame once the queue has grown to what the driver leaves
/// waiting. What is withdrawn, or whose link has gone, is silent from the same call on, also when an answer was already
/// waiting.
#[derive(Clone, Debug)]
pub struct Announcer {
    setup: Setup,
    links: BTreeMap<u32, Link>,
    groups: Groups,
    answering: Answering,
    waiting: VecDeque<Waiting>,
    /// Conflicts that the driver knows of and that have ended with the ownership.
    over: BTreeSet<Place>,
    /// Nothing is due before on any link; `None` when that has to be found out.
    quiet_until: Option<Option<Instant>>,
    drops: Drops,
    jitter: Jitter,
}

impl Announcer {
    /// Without links and addresses.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            links: BTreeMap::new(),
            groups: Groups::default(),
            answering: Answering::default(),
            waiting: VecDeque::new(),
            over: BTreeSet::new(),
            quiet_until: Some(None),
            drops: Drops::default(),
            jitter: Jitter(setup.seed),
        }
    }

    /// Whether `address` is ours on `link`, announced or still asked for.
    #[must_use]
    pub fn owns(&self, link: u32, address: IpAddr) -> bool {
        self.links.get(&link).is_some_and(|link| link.owns(address))
    }

    /// The Ethernet address with which `address` is answered for on `link`.
    #[must_use]
    pub fn answers(&self, link: u32, address: IpAddr) -> Option<Mac> {
        answers(&self.links, (link, address))
    }

    /// What was done for each address that is ours, summed over the links. Counting starts when an address
    /// becomes ours on a link.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<IpAddr, Counters> {
        let mut all = BTreeMap::<_, Counters>::new();
        for (address, counters) in self.links.values().flat_map(Link::counters) {
            *all.entry(address).or_default() += counters;
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
            link.announced().for_each(|address| self.answering.change((index, address)));
            self.groups.link_changed(index);
        }
        self.forget_if_unused(index);
    }

    fn on_own(&mut self, now: Instant, index: u32, address: IpAddr, duty: Option<Duty>) {
        if address.is_multicast() || address.is_unspecified() || address.is_loopback() {
            return;
        }
        let group = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(ndp::solicited_node(address)),
        };
        self.answering.change((index, address));
        if let Some(duty) = duty {
            let link = self.links.entry(index).or_insert_with(|| Link::new(&self.setup));
            if link.own(now, address, duty)
                && let Some(group) = group
            {
                self.groups.add(index, group);
            }
        } else if let Some(link) = self.links.get_mut(&index) {
            if let Some(over) = link.disown(address) {
                if over {
                    self.over.insert((index, address));
                }
                if let Some(group) = group {
                    self.groups.remove(index, group);
                }
            }
            self.forget_if_unused(index);
        }
    }

    fn forget_if_unused(&mut self, index: u32) {
        if self.links.get(&index).is_some_and(Link::is_unused) {
            self.links.remove(&index);
        }
    }

    /// What is said before anything that is due by time.
    #[inline]
    fn poll_waiting(&mut self) -> Option<Output> {
        if self.answering.is_changed() || self.groups.is_changed() {
            let output = self.poll_places();
            if output.is_some() {
                return output;
            }
        }
        while let Some(waiting) = self.waiting.pop_front() {
            if let Some(output) = self.perform(waiting) {
                return Some(output);
            }
        }
        self.over.pop_first().map(|(link, address)| Output::ConflictOver { link, address })
    }

    /// What has become of addresses and groups.
    fn poll_places(&mut self) -> Option<Output> {
        let links = &self.links;
        if let Some(((link, address), mac)) = self.answering.poll(|place| answers(links, place)) {
            return Some(Output::Answering { link, address, mac });
        }
        let up = |link| links.get(&link).is_some_and(|link| link.mac.is_some());
        Some(match self.groups.poll(up)? {
            Change::Join(link, group) => Output::Join { link, group },
            Change::Leave(link, group) => Output::Leave { link, group },
        })
    }

    /// What has waited, if it is still true.
    #[inline]
    fn perform(&mut self, waiting: Waiting) -> Option<Output> {
        match waiting {
            Waiting::Reply { link: index, address, place, asker_mac, asker_ip } => {
                let link = self.links.get_mut(&index)?;
                let mac = count_answer(link.mac, &mut link.v4.at_mut(place, address)?.counters)?;
                let frame = arp::Packet::reply(mac, address, asker_mac, asker_ip).emit();
                Some(Output::Send { link: index, frame })
            }
            Waiting::Advertise { link: index, address, place, asker_mac, asker_ip } => {
                let link = self.links.get_mut(&index)?;
                let mac = count_answer(link.mac, &mut link.v6.at_mut(place, address)?.counters)?;
                let frame = ndp::Packet::reply(mac, address, asker_mac, asker_ip).emit();
                Some(Output::Send { link: index, frame })
            }
            Waiting::Conflict { link, address, mac } => self.tell_conflict(link, address, mac),
        }
    }

    fn tell_conflict(&mut self, index: u32, address: IpAddr, mac: Mac) -> Option<Output> {
        if self.is_ours(mac) {
            return None;
        }
        let (conflict, announced) = self.links.get_mut(&index)?.conflict_mut(address)?;
        if !conflict.is_open() {
            return None;
        }
        conflict.told();
        // The end of an earlier one about the address waits no longer: this is later news.
        self.over.remove(&(index, address));
        Some(Output::Conflict { link: index, address, mac, announced })
    }

    /// The next thing that is due on any link.
    fn poll_links(&mut self, now: Instant) -> Option<(u32, Event)> {
        let jitter = &mut self.jitter;
        self.links.iter_mut().find_map(|(index, link)| Some((*index, link.poll(now, jitter)?)))
    }
}

/// The Ethernet address with which an address is answered for.
fn answers(links: &BTreeMap<u32, Link>, (link, address): Place) -> Option<Mac> {
    let link = links.get(&link)?;
    link.mac.filter(|_| link.announces(address))
}

/// Counts an answer for an address, which only goes out on a link that has a MAC.
#[inline]
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
            Input::Frame { link, frame } => {
                if let Err(reason) = self.on_frame(now, link, frame) {
                    self.drops.count(reason);
                }
                return;
            }
            Input::Link { link, mac } => self.on_link(now, link, mac),
            Input::Own { link, address, duty } => self.on_own(now, link, address, duty),
            Input::Defend { link, address } => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.defend(now, address);
                }
            }
        }
        self.quiet_until = None;
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        loop {
            if let Some(output) = self.poll_waiting() {
                return Some(output);
            }
            if self.quiet_until.is_some_and(|until| until.is_none_or(|until| now < until)) {
                return None;
            }
            self.quiet_until = None;
            match self.poll_links(now) {
                Some((link, Event::Send(frame))) => return Some(Output::Send { link, frame }),
                Some((link, Event::Over(address))) => return Some(Output::ConflictOver { link, address }),
                Some((link, Event::Announced { address, over })) => {
                    // It is said that it is answered for before it is announced.
                    self.answering.change((link, address));
                    if over {
                        self.over.insert((link, address));
                    }
                }
                None => self.quiet_until = Some(self.links.values().filter_map(Link::next).min()),
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let waits = !self.waiting.is_empty()
            || !self.over.is_empty()
            || self.groups.is_changed()
            || self.answering.is_changed();
        match self.quiet_until {
            Some(until) if !waits => until,
            _ => Some(Instant::ZERO),
        }
    }
}

#[cfg(test)]
mod tests;
