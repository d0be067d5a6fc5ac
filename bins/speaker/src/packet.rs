//! The packet thread: answers for the addresses that the LAN thread owns, and does nothing else.
//!
//! It has a thread of its own so that no beacon, no list from netlink and no decision delays an answer. It waits for its
//! sockets directly: a runtime in between would cost each answer more than the answer itself. Orders come in batches that
//! are swapped out of a mailbox; nothing is allocated per frame.
//!
//! What it sends, it sends only while the LAN thread lives: see [`Expiry`]. Nobody else takes over an address whose owner's
//! beacons are still heard, and nobody may answer for one whose owner says nothing any more.

mod link;

use std::{
    collections::{BTreeMap, BTreeSet},
    hint, mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use metal_arp::announcer::{Announcer, Duty, Input, Output, Setup};
use metal_core::{
    Machine,
    config::ReceiveMode,
    view::{LinkIndex, Mac},
};
use metal_daemon::Clock;
use metal_net::{Expiry, Poll, Waker, priority};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error};

use self::link::{Kind, Link};
use crate::report::Counters;

/// What the LAN thread wants.
pub(crate) enum Order {
    /// A link as it is now; see [`Input::Link`].
    Link { link: LinkIndex, mac: Option<Mac> },
    /// A link takes part: open its sockets. Nothing is sent there past the expiry.
    Open { link: LinkIndex, expiry: Arc<Expiry> },
    /// Have its card let in such frames.
    Receive { link: LinkIndex, mode: ReceiveMode },
    /// It no longer does.
    Close { link: LinkIndex },
    /// Answer for an address, or fall silent; see [`Input::Own`].
    Own { link: LinkIndex, address: IpAddr, duty: Option<Duty> },
    /// Tell everybody again; see [`Input::Defend`].
    Defend { link: LinkIndex, address: IpAddr },
    /// Add what has been done for each address to these counters, and send them.
    Count { counters: Counters, reply: oneshot::Sender<Counters> },
    /// End.
    Stop,
}

/// What the LAN thread has to know.
pub(crate) enum News {
    /// Another station has an address of ours; see [`Output::Conflict`].
    Conflict { link: LinkIndex, address: IpAddr, mac: Mac, announced: bool },
    /// It is heard no more; see [`Output::ConflictOver`].
    ConflictOver { link: LinkIndex, address: IpAddr },
}

/// The packet thread, as the LAN thread sees it. Dropping it ends the thread.
pub(crate) struct Packets {
    mailbox: Arc<Mailbox>,
    batch: Vec<Order>,
    thread: Option<JoinHandle<Result<()>>>,
}

struct Mailbox {
    orders: Mutex<Vec<Order>>,
    waker: Waker,
}

impl Packets {
    /// Starts the thread, in the network namespace of the calling one.
    pub(crate) fn start(seed: u64, clock: Clock, news: mpsc::UnboundedSender<News>) -> Result<Self> {
        let waker = Waker::new().context("cannot make the packet thread's mailbox")?;
        let mailbox = Arc::new(Mailbox { orders: Mutex::default(), waker });
        let theirs = Arc::clone(&mailbox);
        let thread = thread::Builder::new()
            .name("packet".to_owned())
            .spawn(move || Answerer::new(seed, clock, theirs, news).run())
            .context("cannot start the packet thread")?;
        Ok(Self { mailbox, batch: Vec::new(), thread: Some(thread) })
    }

    /// Adds an order to the next batch.
    pub(crate) fn order(&mut self, order: Order) {
        self.batch.push(order);
    }

    /// Hands the batch over.
    pub(crate) fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.mailbox.orders().append(&mut self.batch);
            self.mailbox.waker.wake();
        }
    }

    /// Why the thread has ended by itself.
    pub(crate) fn failure(&mut self) -> anyhow::Error {
        let ended = self.thread.take().map(JoinHandle::join);
        match ended {
            Some(Ok(Err(error))) => error,
            Some(Err(_)) => anyhow!("the packet thread panicked"),
            Some(Ok(Ok(()))) | None => anyhow!("the packet thread ended by itself"),
        }
    }
}

impl Drop for Packets {
    fn drop(&mut self) {
        self.order(Order::Stop);
        self.flush();
        if let Some(thread) = self.thread.take() {
            // It has said itself why it failed, if it did.
            let _ended = thread.join();
        }
    }
}

impl Mailbox {
    fn orders(&self) -> std::sync::MutexGuard<'_, Vec<Order>> {
        // Nothing that holds it can panic in the midst of a change.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frames taken from a socket before their answers go out: enough for any burst, and bounded.
const BATCH: usize = 64;

/// How long this thread stays awake for the next frame, and for how many of them before it looks at all else.
const ALERT: Duration = Duration::from_micros(15);
const FOLLOWED: usize = 1_024;

/// The pause after the kernel has refused to wait, which it never should.
const RETRY: Duration = Duration::from_millis(100);

/// What runs on the thread.
struct Answerer {
    clock: Clock,
    announcer: Announcer,
    links: BTreeMap<LinkIndex, Link>,
    /// The multicast groups that the machine wants, whether or not the link has sockets at the moment.
    groups: BTreeSet<(LinkIndex, Ipv6Addr)>,
    /// What the machine answers for over IPv4, likewise.
    answering: BTreeMap<(LinkIndex, Ipv4Addr), Mac>,
    mailbox: Arc<Mailbox>,
    /// Swapped with the mailbox.
    inbox: Vec<Order>,
    news: mpsc::UnboundedSender<News>,
}

impl Answerer {
    fn new(seed: u64, clock: Clock, mailbox: Arc<Mailbox>, news: mpsc::UnboundedSender<News>) -> Self {
        Self {
            clock,
            announcer: Announcer::new(Setup { seed, ..Setup::default() }),
            links: BTreeMap::new(),
            groups: BTreeSet::new(),
            answering: BTreeMap::new(),
            mailbox,
            inbox: Vec::new(),
            news,
        }
    }

    fn run(mut self) -> Result<()> {
        if let Err(error) = priority::short_turns() {
            debug!("the packet thread gets turns of the usual length: {error}");
        }
        let mut poll = Poll::default();
        loop {
            self.wait(&mut poll);
            self.receive(&poll);
            if poll.is_ready(0) {
                self.mailbox.waker.clear();
                if self.take_orders() {
                    return Ok(());
                }
            }
            self.act();
            self.follow();
        }
    }

    /// Waits for a frame, an order or a deadline.
    fn wait(&self, poll: &mut Poll) {
        let timeout = self.announcer.poll_timeout().map(|deadline| deadline.since(self.clock.now()));
        let sockets = self.links.values().flat_map(Link::descriptors);
        if let Err(error) = poll.wait([self.mailbox.waker.as_fd()].into_iter().chain(sockets), timeout) {
            error!("cannot wait for frames: {error}; trying again");
            thread::sleep(RETRY);
        }
    }

    /// In a flood, where the next request comes before this thread would have fallen asleep, stays awake for it: to be
    /// woken costs both sides more than the answer. A request that comes alone costs a few microseconds of looking.
    fn follow(&mut self) {
        let mut answered = 0;
        let mut since = self.clock.now();
        while answered < FOLLOWED {
            if self.links.values().any(Link::has_frame) {
                answered += self.receive_arp();
                self.act();
                since = self.clock.now();
            } else if self.clock.now().since(since) > ALERT {
                return;
            } else {
                hint::spin_loop();
            }
        }
    }

    /// Takes ARP frames in from all rings; says how many.
    fn receive_arp(&mut self) -> usize {
        let now = self.clock.now();
        let announcer = &mut self.announcer;
        let mut count = 0;
        for (index, link) in self.links.iter_mut().filter(|(_, link)| link.has_frame()) {
            link.receive(*index, Kind::Arp, BATCH, false, |frame: &[u8]| {
                count += 1;
                announcer.handle_input(now, Input::Frame { link: *index, frame });
            });
        }
        count
    }

    /// Takes frames in from the sockets that have some.
    fn receive(&mut self, poll: &Poll) {
        let now = self.clock.now();
        let announcer = &mut self.announcer;
        // The first one is the mailbox.
        let mut position = 1;
        for (index, link) in &mut self.links {
            for kind in Kind::ALL {
                if poll.is_ready(position) {
                    let frame = |frame: &[u8]| {
                        announcer.handle_input(now, Input::Frame { link: *index, frame });
                    };
                    link.receive(*index, kind, BATCH, poll.has_failed(position), frame);
                }
                position += 1;
            }
        }
    }

    /// Does what the LAN thread wants; true when that is to end.
    fn take_orders(&mut self) -> bool {
        let mut orders = mem::take(&mut self.inbox);
        mem::swap(&mut *self.mailbox.orders(), &mut orders);
        let mut stop = false;
        for order in orders.drain(..) {
            match order {
                Order::Link { link, mac } => self.tell_machine(Input::Link { link, mac }),
                Order::Open { link, expiry } => self.open(link, expiry),
                Order::Receive { link: index, mode } => {
                    if let Some(link) = self.links.get_mut(&index) {
                        link.set_mode(index, mode);
                    }
                }
                Order::Close { link } => drop(self.links.remove(&link)),
                Order::Own { link, address, duty } => self.tell_machine(Input::Own { link, address, duty }),
                Order::Defend { link, address } => self.tell_machine(Input::Defend { link, address }),
                Order::Count { counters, reply } => self.count(counters, reply),
                Order::Stop => stop = true,
            }
        }
        // Its memory serves for the next batch.
        self.inbox = orders;
        stop
    }

    fn tell_machine(&mut self, input: Input<'_>) {
        self.announcer.handle_input(self.clock.now(), input);
    }

    /// Performs what the machine wants.
    fn act(&mut self) {
        while let Some(output) = self.announcer.poll_output(self.clock.now()) {
            match output {
                Output::Send { link: index, frame } => {
                    if let Some(link) = self.links.get(&index) {
                        link.send(
                            index,
                            if frame.is_ipv6() { Kind::Ndp } else { Kind::Arp },
                            frame.as_bytes(),
                        );
                    }
                }
                Output::Join { link: index, group } => {
                    self.groups.insert((index, group));
                    if let Some(link) = self.links.get_mut(&index) {
                        link.join(index, group);
                    }
                }
                Output::Leave { link: index, group } => {
                    self.groups.remove(&(index, group));
                    if let Some(link) = self.links.get_mut(&index) {
                        link.leave(group);
                    }
                }
                Output::Answering { link, address, mac } => self.answering(link, address, mac),
                Output::Conflict { link, address, mac, announced } => {
                    self.tell(News::Conflict { link, address, mac, announced });
                }
                Output::ConflictOver { link, address } => self.tell(News::ConflictOver { link, address }),
            }
        }
    }

    /// The kernel may answer for an address from now on, or (`None`) no longer.
    fn answering(&mut self, index: LinkIndex, address: IpAddr, mac: Option<Mac>) {
        let IpAddr::V4(address) = address else { return };
        match mac {
            Some(mac) => drop(self.answering.insert((index, address), mac)),
            None => drop(self.answering.remove(&(index, address))),
        }
        if let Some(link) = self.links.get(&index) {
            link.answer(index, address, mac);
        }
    }

    fn open(&mut self, index: LinkIndex, expiry: Arc<Expiry>) {
        let mut link = match Link::open(index, expiry) {
            Ok(link) => link,
            // The link went away since; netlink will say so.
            Err(error) if error.is_gone() => return debug!("{error}"),
            Err(error) => return error!("{error}: nothing can be announced there"),
        };
        let groups = (index, Ipv6Addr::UNSPECIFIED)..=(index, Ipv6Addr::from_bits(u128::MAX));
        self.groups.range(groups).for_each(|(_, group)| link.join(index, *group));
        let addresses = (index, Ipv4Addr::UNSPECIFIED)..=(index, Ipv4Addr::BROADCAST);
        let answering = self.answering.range(addresses);
        answering.for_each(|((_, address), mac)| link.answer(index, *address, Some(*mac)));
        self.links.insert(index, link);
    }

    fn count(&self, mut counters: Counters, reply: oneshot::Sender<Counters>) {
        counters.add_announcer(&self.announcer);
        for (index, link) in &self.links {
            counters.add_kernel(link.answered_by_kernel(*index));
        }
        // A scrape that went away needs no answer.
        let _ = reply.send(counters);
    }

    fn tell(&self, news: News) {
        // The LAN thread ends after this one.
        let _ = self.news.send(news);
    }
}

#[cfg(test)]
mod tests;
