//! The LAN side of the speaker: the machine that decides, and the packet socket of the beacons per link.
//!
//! It has a thread of its own so that decoding a large list from the API server never delays a beacon. What it decides, the
//! [packet thread](crate::packet) carries out. On the thread everything shares one [`Lan`]; reader tasks hand it frames in
//! place, without a queue.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use metal_arp::announcer;
use metal_core::{
    Instant, Machine,
    speaker::{Duty, Input, Output, Setup, Speaker},
    view::{Link, LinkIndex},
};
use metal_daemon::Clock;
use metal_net::{
    Expiry, FastPath, Filter, GatewayMonitor, LinkEvent, LinkMonitor, PacketSocket,
    packet::{OpenError, is_full, is_gone},
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::{JoinHandle, LocalSet, spawn_local},
};
use tracing::{debug, error, warn};

use crate::{
    bgp,
    networks::Networks,
    packet::{self, News, Packets},
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

/// Where it tells what it has to tell.
pub(crate) struct Ways {
    pub(crate) reports: mpsc::UnboundedSender<Report>,
    pub(crate) bgp: mpsc::UnboundedSender<bgp::Order>,
}

/// Runs until the speaker has stopped. Returns early only when the kernel refuses something essential.
///
/// # Errors
/// When netlink cannot be read.
pub(crate) fn run(
    setup: Setup,
    clock: Clock,
    fast_path: bool,
    orders: mpsc::Receiver<Order>,
    ways: Ways,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime of the LAN thread")?;
    LocalSet::new().block_on(&runtime, serve(setup, clock, fast_path, orders, ways))
}

async fn serve(
    setup: Setup,
    clock: Clock,
    fast_path: bool,
    mut orders: mpsc::Receiver<Order>,
    ways: Ways,
) -> Result<()> {
    let links = LinkMonitor::open().context("cannot watch the network interfaces through netlink")?;
    let (their_news, mut news) = mpsc::unbounded_channel();
    let packets = Packets::start(setup.seed, clock, their_news)?;
    let lan = Rc::new(Lan::new(setup, clock, fast_path && may_have_fast_path(), packets, ways));
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
            news = news.recv() => match news {
                Some(news) => lan.news(news),
                None => return Err(lan.packets.borrow_mut().failure()),
            },
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
            let speaker = lan.speaker.borrow();
            speaker.links().map(|(link, name, _)| (link, name.to_owned())).collect()
        };
        sysctls::read(links.into_iter()).into_iter().for_each(|input| lan.input(input));
        lan.moved.notify_one();
        tokio::time::sleep(sysctls::PAUSE).await;
    }
}

/// Whether the kernel lets this process have a fast path; says so if not.
fn may_have_fast_path() -> bool {
    let probed = FastPath::probe();
    if let Err(error) = &probed {
        warn!("{error}; ARP requests are answered from here, as without --fast-path");
    }
    probed.is_ok()
}

/// The machine, the way to the packet thread, and the sockets of the beacons.
struct Lan {
    clock: Clock,
    speaker: RefCell<Speaker>,
    packets: RefCell<Packets>,
    /// How long the packet thread may go on after a beacon has been sent.
    patience: Duration,
    fast_path: bool,
    sockets: RefCell<BTreeMap<LinkIndex, Beacons>>,
    networks: RefCell<Networks>,
    ways: Ways,
    /// Wakes the main loop when a frame or a link has moved a deadline.
    moved: Notify,
    stopped: Cell<bool>,
}

/// The beacon socket of a link; its reader task ends with it.
struct Beacons {
    socket: Rc<PacketSocket>,
    /// Renewed with each beacon.
    expiry: Arc<Expiry>,
    reader: JoinHandle<()>,
}

impl Drop for Beacons {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Frames taken from a socket before timers get their turn: enough for any burst, and bounded.
const BATCH: usize = 256;

/// The largest frame a link with the usual MTU carries, with room to spare.
const FRAME: usize = 2048;

impl Lan {
    fn new(setup: Setup, clock: Clock, fast_path: bool, packets: Packets, ways: Ways) -> Self {
        // The others miss us after a whole detection time; whoever answers must have stopped before that.
        let interval = Duration::from_millis(setup.interval_ms.into());
        Self {
            clock,
            patience: interval * u32::from(setup.multiplier.saturating_sub(1)).max(1),
            speaker: RefCell::new(Speaker::new(setup)),
            packets: RefCell::new(packets),
            fast_path,
            sockets: RefCell::default(),
            networks: RefCell::default(),
            ways,
            moved: Notify::new(),
            stopped: Cell::new(false),
        }
    }

    fn order(&self, order: Order) {
        match order {
            Order::Input(input) => self.input(*input),
            Order::Count(reply) => {
                let counters = Counters::read(&self.speaker.borrow());
                self.packets.borrow_mut().order(packet::Order::Count { counters, reply });
            }
        }
    }

    /// Tells the speaker what the announcer has noticed.
    fn news(&self, news: News) {
        self.input(match news {
            News::Conflict { link, address, mac, announced } => {
                Input::Conflict { link, address, mac, announced }
            }
            News::ConflictOver { link, address } => Input::ConflictOver { link, address },
        });
    }

    fn input(&self, input: Input<'_>) {
        self.speaker.borrow_mut().handle_input(self.clock.now(), input);
    }

    /// Takes news of the networks and passes them on.
    fn networks(&self, news: impl FnOnce(&mut Networks)) {
        let mut networks = self.networks.borrow_mut();
        news(&mut networks);
        if let Some(said) = networks.report() {
            self.report(Report::Networks(said));
        }
        if let Some(gateways) = networks.news_of_gateways() {
            self.input(Input::Gateways(gateways));
            self.moved.notify_one();
        }
    }

    fn link(&self, index: LinkIndex, link: Option<Link>) {
        self.networks(|networks| networks.link(index, link.as_ref()));
        let mac = link.as_ref().filter(|link| link.is_running()).map(|link| link.mac);
        self.packets.borrow_mut().order(packet::Order::Link { link: index, mac });
        self.input(Input::Link(index, link));
    }

    fn deadline(&self) -> Option<Instant> {
        self.speaker.borrow().poll_timeout()
    }

    /// Takes in what waits in the sockets, then lets the machine act.
    fn turn(self: &Rc<Self>) {
        self.receive();
        self.act();
    }

    /// Frames that wait in a socket count before a timer that is due: they may be what the timer waits for.
    fn receive(&self) {
        let mut buf = [0; FRAME];
        for (link, beacons) in &*self.sockets.borrow() {
            for _ in 0..BATCH {
                let Ok(length) = beacons.socket.try_recv(&mut buf) else { break };
                self.input(Input::Frame { link: *link, frame: &buf[..length] });
            }
        }
    }

    fn act(self: &Rc<Self>) {
        loop {
            let output = self.speaker.borrow_mut().poll_output(self.clock.now());
            match output {
                Some(output) => self.perform(output),
                None => break,
            }
        }
        self.packets.borrow_mut().flush();
    }

    fn perform(self: &Rc<Self>, output: Output) {
        match output {
            Output::Listen { link, active: true } => self.open(link),
            Output::Listen { link, active: false } => {
                self.packets.borrow_mut().order(packet::Order::Close { link });
                self.sockets.borrow_mut().remove(&link);
            }
            Output::Send { link, frame } => self.send(link, &frame),
            Output::Own { link, address, duty } => {
                let duty = duty.map(|Duty { probe, refresh }| announcer::Duty { probe, refresh });
                self.packets.borrow_mut().order(packet::Order::Own { link, address, duty });
            }
            Output::Defend { link, address } => {
                self.packets.borrow_mut().order(packet::Order::Defend { link, address });
            }
            Output::ReceiveMode { link, mode } => {
                self.packets.borrow_mut().order(packet::Order::Receive { link, mode });
            }
            Output::Bgp(upsert) => self.bgp(bgp::Order::Upsert(upsert)),
            Output::BgpComplete => self.bgp(bgp::Order::Complete),
            Output::BgpStatus { service, status } => self.report(Report::BgpStatus { service, status }),
            Output::Secrets(names) => self.report(Report::Secrets(names)),
            Output::Findings(found) => self.report(Report::Findings(found)),
            Output::NodeEvent(event) => self.report(Report::NodeEvent(event)),
            Output::Status { service, status } => self.report(Report::Status { service, status }),
            Output::Event { service, event } => self.report(Report::Event { service, event }),
            Output::Verdict { object, refusals } => self.report(Report::Verdict { object, refusals }),
            Output::Note(note) => self.report(Report::Note(note)),
            Output::Stopped => self.stopped.set(true),
        }
    }

    fn bgp(&self, order: bgp::Order) {
        // It ends as soon as this process is told to, and is told nothing any more.
        let _ = self.ways.bgp.send(order);
    }

    fn report(&self, report: Report) {
        // The receiver ends after this thread, so this fails only while the process is being torn down.
        let _ = self.ways.reports.send(report);
    }

    fn open(self: &Rc<Self>, link: LinkIndex) {
        match self.beacons(link) {
            Ok(beacons) => {
                let expiry = Arc::clone(&beacons.expiry);
                self.packets.borrow_mut().order(packet::Order::Open { link, expiry });
                self.sockets.borrow_mut().insert(link, beacons);
            }
            // The link went away since; netlink will say so.
            Err(error) if error.is_gone() => debug!("{error}"),
            Err(error) => error!("{error}: nothing can be announced there"),
        }
    }

    fn beacons(self: &Rc<Self>, link: LinkIndex) -> Result<Beacons, OpenError> {
        let filter = Filter::Beacon { udp_port: metal_core::membership::beacon::PORT };
        let socket = Rc::new(PacketSocket::open(link, filter)?);
        let expiry = match self.fast_path.then(Expiry::shared_with_kernel) {
            Some(Ok(shared)) => shared,
            Some(Err(error)) => {
                warn!("{error}; requests on interface {link} are answered from here, as without --fast-path");
                Expiry::new()
            }
            None => Expiry::new(),
        };
        let reader = self.reader(link, Rc::clone(&socket));
        Ok(Beacons { socket, expiry: Arc::new(expiry), reader })
    }

    fn reader(self: &Rc<Self>, link: LinkIndex, socket: Rc<PacketSocket>) -> JoinHandle<()> {
        let lan = Rc::clone(self);
        spawn_local(async move {
            let mut buf = [0; FRAME];
            loop {
                match socket.recv(&mut buf).await {
                    Ok(length) => lan.frame(link, &buf[..length]),
                    // Shown once; the socket works again when the link does.
                    Err(error) if is_gone(&error) => debug!("interface {link}: {error}"),
                    Err(error) => {
                        warn!("cannot read beacons on interface {link}: {error}; trying again");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        })
    }

    /// One frame, acted on at once: the main loop is only woken when it has to wait for something else now.
    fn frame(self: &Rc<Self>, link: LinkIndex, frame: &[u8]) {
        let before = self.deadline();
        self.input(Input::Frame { link, frame });
        if before.is_some_and(|deadline| deadline <= self.clock.now()) {
            self.receive();
        }
        self.act();
        if self.deadline() != before || self.stopped.get() {
            self.moved.notify_one();
        }
    }

    /// Sends a beacon. While the others hear us the packet thread may answer.
    fn send(&self, link: LinkIndex, frame: &[u8]) {
        let sockets = self.sockets.borrow();
        let Some(beacons) = sockets.get(&link) else { return };
        match beacons.socket.try_send(frame) {
            Ok(()) => beacons.expiry.renew(self.patience),
            Err(error) if is_gone(&error) || is_full(&error) => {
                debug!("beacon on interface {link} not sent: {error}");
            }
            Err(error) => warn!("beacon on interface {link} not sent: {error}"),
        }
    }
}
