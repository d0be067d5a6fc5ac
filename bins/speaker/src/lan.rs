//! The LAN side of the speaker: one thread, two machines, three packet sockets and the multicast groups per link.
//!
//! It has a thread of its own so that decoding a large list from the API server never delays a beacon.
//! On the thread everything shares one [`Lan`]; reader tasks hand it frames in place, without a queue.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::Ipv6Addr,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context, Result};
use metal_arp::announcer::{self, Announcer};
use metal_core::{
    Instant, Machine,
    speaker::{Duty, Input, Output, Setup, Speaker},
    view::{Link, LinkIndex},
};
use metal_daemon::Clock;
use metal_net::{
    Filter, GatewayMonitor, Groups, Joined, LinkEvent, LinkMonitor, PacketSocket,
    packet::{OpenError, is_full, is_gone},
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::{JoinHandle, LocalSet, spawn_local},
};
use tracing::{debug, error, warn};

use crate::{
    networks::Networks,
    report::{Counters, Report},
    sysctls,
};

/// What the rest of the process tells the LAN thread.
pub(crate) enum Order {
    /// An input of the speaker machine.
    Input(Box<Input<'static>>),
    /// Send the counters.
    Count(oneshot::Sender<Counters>),
}

/// Runs until the speaker has stopped. Returns early only when the kernel refuses something essential.
///
/// # Errors
/// When netlink cannot be read.
pub(crate) fn run(
    setup: Setup,
    clock: Clock,
    orders: mpsc::Receiver<Order>,
    reports: mpsc::UnboundedSender<Report>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime of the LAN thread")?;
    LocalSet::new().block_on(&runtime, serve(setup, clock, orders, reports))
}

async fn serve(
    setup: Setup,
    clock: Clock,
    mut orders: mpsc::Receiver<Order>,
    reports: mpsc::UnboundedSender<Report>,
) -> Result<()> {
    let links = LinkMonitor::open().context("cannot watch the network interfaces through netlink")?;
    let lan = Rc::new(Lan::new(setup, clock, reports));
    spawn_local(watch_links(Rc::clone(&lan), links));
    let gateways = GatewayMonitor::open().context("cannot watch the routes through netlink")?;
    spawn_local(watch_gateways(Rc::clone(&lan), gateways));
    spawn_local(watch_sysctls(Rc::clone(&lan)));
    loop {
        lan.turn();
        if lan.stopped.get() {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = lan.moved.notified() => {}
            order = orders.recv() => match order {
                Some(order) => lan.order(order),
                // The rest of the process is gone without having said stop.
                None => lan.input(Input::Stop),
            },
            () = clock.until(lan.deadline()) => {}
        }
        // Whatever else has arrived counts before the timers do.
        while let Ok(order) = orders.try_recv() {
            lan.order(order);
        }
    }
}

async fn watch_links(lan: Rc<Lan>, mut links: LinkMonitor) {
    loop {
        match links.next().await {
            Ok(LinkEvent::Upsert(index, link)) => lan.link(index, Some(link)),
            Ok(LinkEvent::Removed(index)) => lan.link(index, None),
            Ok(LinkEvent::Synced) => {
                debug!("all network interfaces are known");
                lan.networks(Networks::links_known);
            }
            Err(error) => {
                warn!("cannot list the network interfaces: {error}; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        lan.moved.notify_one();
    }
}

async fn watch_gateways(lan: Rc<Lan>, mut gateways: GatewayMonitor) {
    loop {
        match gateways.next().await {
            Ok(gateways) => lan.networks(|networks| networks.gateways(gateways)),
            Err(error) => {
                warn!("cannot list the default routes: {error}; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn watch_sysctls(lan: Rc<Lan>) {
    loop {
        let links: Vec<_> = {
            let machines = lan.machines.borrow();
            machines.speaker.links().map(|(link, name, _)| (link, name.to_owned())).collect()
        };
        sysctls::read(links.into_iter()).into_iter().for_each(|input| lan.input(input));
        lan.moved.notify_one();
        tokio::time::sleep(sysctls::PAUSE).await;
    }
}

/// Both machines and the sockets.
struct Lan {
    clock: Clock,
    machines: RefCell<Machines>,
    sockets: RefCell<BTreeMap<LinkIndex, Sockets>>,
    networks: RefCell<Networks>,
    /// The multicast groups that the announcer wants, whether or not the link has sockets at the moment.
    groups: RefCell<BTreeSet<(LinkIndex, Ipv6Addr)>>,
    reports: mpsc::UnboundedSender<Report>,
    /// Wakes the main loop when a frame or a link has moved a deadline.
    moved: Notify,
    stopped: Cell<bool>,
}

struct Machines {
    speaker: Speaker,
    announcer: Announcer,
}

/// The sockets of one link; its reader tasks end with it.
struct Sockets {
    beacons: Rc<PacketSocket>,
    arp: Rc<PacketSocket>,
    ndp: Rc<PacketSocket>,
    groups: Groups,
    readers: [JoinHandle<()>; 3],
}

impl Sockets {
    fn by_kind(&self) -> [(&PacketSocket, Kind); 3] {
        [(&self.beacons, Kind::Beacon), (&self.arp, Kind::Arp), (&self.ndp, Kind::Ndp)]
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
    }
}

/// Which machine a frame is for.
#[derive(Clone, Copy)]
enum Kind {
    Beacon,
    Arp,
    Ndp,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Beacon => "beacon",
            Self::Arp => "ARP",
            Self::Ndp => "Neighbour Discovery",
        })
    }
}

/// Frames taken from a socket before timers get their turn: enough for any burst, and bounded.
const BATCH: usize = 256;

/// The largest frame a link with the usual MTU carries, with room to spare.
const FRAME: usize = 2048;

impl Lan {
    fn new(setup: Setup, clock: Clock, reports: mpsc::UnboundedSender<Report>) -> Self {
        Self {
            clock,
            machines: RefCell::new(Machines {
                announcer: Announcer::new(announcer::Setup {
                    seed: setup.seed,
                    ..announcer::Setup::default()
                }),
                speaker: Speaker::new(setup),
            }),
            sockets: RefCell::default(),
            networks: RefCell::default(),
            groups: RefCell::default(),
            reports,
            moved: Notify::new(),
            stopped: Cell::new(false),
        }
    }

    fn order(&self, order: Order) {
        match order {
            Order::Input(input) => self.input(*input),
            Order::Count(reply) => {
                let machines = self.machines.borrow();
                // A scrape that went away needs no answer.
                let _ = reply.send(Counters::read(&machines.speaker, &machines.announcer));
            }
        }
    }

    fn input(&self, input: Input<'_>) {
        self.machines.borrow_mut().speaker.handle_input(self.clock.now(), input);
    }

    /// Tells the speaker what the announcer has noticed; it has something to say to that.
    fn tell(&self, input: Input<'_>) {
        self.input(input);
        self.moved.notify_one();
    }

    fn announcer(&self, input: announcer::Input<'_>) {
        self.machines.borrow_mut().announcer.handle_input(self.clock.now(), input);
    }

    /// Takes news of the networks and passes them on.
    fn networks(&self, news: impl FnOnce(&mut Networks)) {
        let mut networks = self.networks.borrow_mut();
        news(&mut networks);
        if let Some(said) = networks.report() {
            self.report(Report::Networks(said));
        }
    }

    fn link(&self, index: LinkIndex, link: Option<Link>) {
        self.networks(|networks| networks.link(index, link.as_ref()));
        let mac = link.as_ref().filter(|link| link.is_running()).map(|link| link.mac);
        let now = self.clock.now();
        let mut machines = self.machines.borrow_mut();
        machines.announcer.handle_input(now, announcer::Input::Link { link: index, mac });
        machines.speaker.handle_input(now, Input::Link(index, link));
    }

    fn deadline(&self) -> Option<Instant> {
        let machines = self.machines.borrow();
        [machines.speaker.poll_timeout(), machines.announcer.poll_timeout()].into_iter().flatten().min()
    }

    /// Takes in what waits in the sockets, then lets both machines act.
    fn turn(self: &Rc<Self>) {
        self.receive();
        self.act();
    }

    /// Frames that wait in a socket count before a timer that is due: they may be what the timer waits for.
    fn receive(&self) {
        let mut buf = [0; FRAME];
        let sockets = self.sockets.borrow();
        let mut machines = self.machines.borrow_mut();
        for (link, sockets) in &*sockets {
            for (socket, kind) in sockets.by_kind() {
                for _ in 0..BATCH {
                    let Ok(length) = socket.try_recv(&mut buf) else { break };
                    machines.frame(self.clock.now(), *link, kind, &buf[..length]);
                }
            }
        }
    }

    fn act(self: &Rc<Self>) {
        loop {
            let output = self.machines.borrow_mut().speaker.poll_output(self.clock.now());
            match output {
                Some(output) => self.perform(output),
                None => break,
            }
        }
        loop {
            let output = self.machines.borrow_mut().announcer.poll_output(self.clock.now());
            match output {
                Some(announcer::Output::Send { link, frame }) => {
                    let kind = if frame.is_ipv6() { Kind::Ndp } else { Kind::Arp };
                    self.send(link, kind, frame.as_bytes());
                }
                Some(announcer::Output::Join { link, group }) => self.join(link, group),
                Some(announcer::Output::Leave { link, group }) => self.leave(link, group),
                Some(announcer::Output::Conflict { link, address, mac, announced }) => {
                    self.tell(Input::Conflict { link, address, mac, announced });
                }
                Some(announcer::Output::ConflictOver { link, address }) => {
                    self.tell(Input::ConflictOver { link, address });
                }
                Some(announcer::Output::Answering { .. }) => {}
                None => break,
            }
        }
    }

    fn perform(self: &Rc<Self>, output: Output) {
        match output {
            Output::Listen { link, active: true } => self.open(link),
            Output::Listen { link, active: false } => drop(self.sockets.borrow_mut().remove(&link)),
            Output::Send { link, frame } => self.send(link, Kind::Beacon, &frame),
            Output::Own { link, address, duty } => {
                let duty = duty.map(|Duty { probe, refresh }| announcer::Duty { probe, refresh });
                self.announcer(announcer::Input::Own { link, address, duty });
            }
            Output::Defend { link, address } => self.announcer(announcer::Input::Defend { link, address }),
            Output::Findings(found) => self.report(Report::Findings(found)),
            Output::NodeEvent(event) => self.report(Report::NodeEvent(event)),
            Output::Status { service, status } => self.report(Report::Status { service, status }),
            Output::Event { service, event } => self.report(Report::Event { service, event }),
            Output::Verdict { object, refusals } => self.report(Report::Verdict { object, refusals }),
            Output::Note(note) => self.report(Report::Note(note)),
            Output::Stopped => self.stopped.set(true),
        }
    }

    fn report(&self, report: Report) {
        // The receiver ends after this thread, so this fails only while the process is being torn down.
        let _ = self.reports.send(report);
    }

    fn open(self: &Rc<Self>, link: LinkIndex) {
        match self.sockets(link) {
            Ok(sockets) => {
                self.sockets.borrow_mut().insert(link, sockets);
                let wanted = (link, Ipv6Addr::UNSPECIFIED)..=(link, Ipv6Addr::from_bits(u128::MAX));
                let groups: Vec<_> = self.groups.borrow().range(wanted).copied().collect();
                groups.into_iter().for_each(|(link, group)| self.join(link, group));
            }
            // The link went away since; netlink will say so.
            Err(error) if error.is_gone() => debug!("{error}"),
            Err(error) => error!("{error}: nothing can be announced there"),
        }
    }

    fn sockets(self: &Rc<Self>, link: LinkIndex) -> Result<Sockets, OpenError> {
        let open = |filter| PacketSocket::open(link, filter).map(Rc::new);
        let beacons = open(Filter::Beacon { udp_port: metal_core::membership::beacon::PORT })?;
        let (arp, ndp) = (open(Filter::Arp)?, open(Filter::Ndp)?);
        let readers = [
            self.reader(link, Kind::Beacon, beacons.clone()),
            self.reader(link, Kind::Arp, arp.clone()),
            self.reader(link, Kind::Ndp, ndp.clone()),
        ];
        Ok(Sockets { beacons, arp, ndp, groups: Groups::new(link), readers })
    }

    /// Wants solicitations to a group; at once, or as soon as the link has sockets.
    fn join(&self, link: LinkIndex, group: Ipv6Addr) {
        self.groups.borrow_mut().insert((link, group));
        let mut sockets = self.sockets.borrow_mut();
        let Some(sockets) = sockets.get_mut(&link) else { return };
        match sockets.groups.join(group) {
            Ok(Joined::Reported) => {}
            Ok(Joined::Unreported) => warn!(
                "the kernel takes no membership in {group} on interface {link}: every multicast frame is let in \
                 instead, but a switch that watches memberships (MLD snooping) may withhold neighbour solicitations; \
                 enable IPv6 in the kernel, or raise net.core.optmem_max"
            ),
            Err(error) if is_gone(&error) => debug!("cannot join {group} on interface {link}: {error}"),
            Err(error) => warn!(
                "cannot join {group} on interface {link}: {error}; neighbour solicitations may not arrive there"
            ),
        }
    }

    fn leave(&self, link: LinkIndex, group: Ipv6Addr) {
        self.groups.borrow_mut().remove(&(link, group));
        if let Some(sockets) = self.sockets.borrow_mut().get_mut(&link) {
            sockets.groups.leave(group);
        }
    }

    fn reader(self: &Rc<Self>, link: LinkIndex, kind: Kind, socket: Rc<PacketSocket>) -> JoinHandle<()> {
        let lan = Rc::clone(self);
        spawn_local(async move {
            let mut buf = [0; FRAME];
            loop {
                match socket.recv(&mut buf).await {
                    Ok(length) => lan.frame(link, kind, &buf[..length]),
                    // Shown once; the socket works again when the link does.
                    Err(error) if is_gone(&error) => debug!("interface {link}: {error}"),
                    Err(error) => {
                        warn!("cannot read {kind} frames on interface {link}: {error}; trying again");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        })
    }

    /// One frame, answered at once: the main loop is only woken when it has to wait for something else now.
    fn frame(self: &Rc<Self>, link: LinkIndex, kind: Kind, frame: &[u8]) {
        let before = self.deadline();
        self.machines.borrow_mut().frame(self.clock.now(), link, kind, frame);
        if before.is_some_and(|deadline| deadline <= self.clock.now()) {
            self.receive();
        }
        self.act();
        if self.deadline() != before || self.stopped.get() {
            self.moved.notify_one();
        }
    }

    fn send(&self, link: LinkIndex, kind: Kind, frame: &[u8]) {
        let sockets = self.sockets.borrow();
        let Some(sockets) = sockets.get(&link) else { return };
        let socket = match kind {
            Kind::Beacon => &sockets.beacons,
            Kind::Arp => &sockets.arp,
            Kind::Ndp => &sockets.ndp,
        };
        match socket.try_send(frame) {
            Ok(()) => {}
            Err(error) if is_gone(&error) || is_full(&error) => {
                debug!("{kind} frame on interface {link} not sent: {error}");
            }
            Err(error) => warn!("{kind} frame on interface {link} not sent: {error}"),
        }
    }
}

impl Machines {
    fn frame(&mut self, now: Instant, link: LinkIndex, kind: Kind, frame: &[u8]) {
        match kind {
            Kind::Beacon => self.speaker.handle_input(now, Input::Frame { link, frame }),
            Kind::Arp | Kind::Ndp => {
                self.announcer.handle_input(now, announcer::Input::Frame { link, frame })
            }
        }
    }
}
