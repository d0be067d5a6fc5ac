//! The LAN with the daemons on it.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use metal_core::view::Mac;
use metal_net::{BlockingPacketSocket, Filter, Namespace};

use super::{
    console::{Console, Mark},
    daemons::{self, Daemon, METRICS, Starter},
    http,
    interrupt::Interrupt,
    lan::{LINK, Lan, MacText, Node},
    manifests::{self, Manifests},
    question,
    report::{self, Fetch},
    responder, state,
    wait::Waiter,
};

/// How long daemons may take to become ready.
const START: Duration = Duration::from_secs(30);
/// How long a Service may take to get an address, and an address to be answered for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often an address is asked for while nobody answers.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) lan: Lan,
    pub(crate) speakers: Vec<Daemon>,
    controller: Daemon,
    starter: Starter,
    interrupt: Interrupt,
    manifests: Manifests,
    services: Vec<Served>,
}

/// A Service and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Served {
    service: manifests::Service,
    addresses: Vec<IpAddr>,
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        match addresses.is_empty() {
            true => write!(f, "{} has none", self.service),
            false => write!(f, "{} has {}", self.service, addresses.join(" and ")),
        }
    }
}

impl Rig {
    /// Starts the daemons and waits until they are ready.
    pub(crate) fn start(lan: Lan, starter: Starter, interrupt: Interrupt) -> Result<Self> {
        let controller = starter.controller(&Namespace::current()?)?;
        let speakers = lan.nodes.iter().map(|node| starter.speaker(&node.station.namespace, &node.name));
        let speakers = speakers.collect::<Result<Vec<_>>>()?;
        let manifests = Manifests::new(&starter.places.manifests);
        let mut rig = Self { lan, speakers, controller, starter, interrupt, manifests, services: Vec::new() };
        let pids: Vec<String> =
            rig.nodes().iter().map(|node| format!("{} {}", node.name, node.pid)).collect();
        rig.console()
            .step("start", format_args!("controller {}, speakers {}", rig.controller.pid(), pids.join(", ")));
        rig.await_all()?;
        let speakers = match rig.speakers.len() {
            1 => "the controller and the speaker",
            _ => "the controller, and all speakers, which hear each other",
        };
        rig.console().step("ready", speakers);
        Ok(rig)
    }

    /// Where steps are told.
    pub(crate) fn console(&self) -> Arc<Console> {
        Arc::clone(&self.starter.console)
    }

    /// Waits for conditions, watching for Ctrl-C.
    pub(crate) fn wait<T>(&mut self, wait: impl FnOnce(&mut Self, Waiter<'_>) -> Result<T>) -> Result<T> {
        let (console, interrupt) = (self.console(), self.interrupt.clone());
        wait(self, Waiter { console: &console, interrupt: &interrupt })
    }

    /// The nodes, for the report.
    pub(crate) fn nodes(&self) -> Vec<report::Node> {
        let speakers = self.lan.nodes.iter().zip(&self.speakers);
        speakers
            .map(|(node, speaker)| report::Node {
                name: node.name.clone(),
                mac: MacText(node.mac).to_string(),
                pid: speaker.pid(),
            })
            .collect()
    }

    /// The Services, for the report.
    pub(crate) fn services(&self) -> Vec<report::Service> {
        let services = self.services.iter();
        services
            .map(|served| report::Service {
                namespace: served.service.namespace.clone(),
                name: served.service.name.clone(),
                addresses: served.addresses.iter().map(ToString::to_string).collect(),
            })
            .collect()
    }

    /// The addresses that are probed: the first one of the first Service, of either family, IPv4 first.
    pub(crate) fn probed(&self) -> Result<Vec<IpAddr>> {
        let addresses: Vec<IpAddr> = self.addresses().collect();
        let of = |family: fn(&IpAddr) -> bool| addresses.iter().copied().find(family);
        let probed: Vec<IpAddr> = [of(IpAddr::is_ipv4), of(IpAddr::is_ipv6)].into_iter().flatten().collect();
        anyhow::ensure!(!probed.is_empty(), "no Service has an address that this LAN can reach");
        Ok(probed)
    }

    /// The addresses of all Services that can be reached on this LAN.
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.services.iter().flat_map(|served| self.lan.reachable(&served.addresses))
    }

    /// Waits until the controller and every speaker are ready, and every speaker hears all others.
    pub(crate) fn await_all(&mut self) -> Result<()> {
        self.wait(|rig, waiter| {
            waiter.until(START, "the controller", || {
                rig.controller.check()?;
                Ok(http::ready(METRICS)?)
            })
        })?;
        (0..self.speakers.len()).try_for_each(|node| self.await_speaker(node))
    }

    fn await_speaker(&mut self, node: usize) -> Result<()> {
        let others = self.speakers.len() - 1;
        self.wait(|rig, waiter| {
            let Node { name, station, .. } = &rig.lan.nodes[node];
            let inside = |ask: fn() -> Result<usize, String>| station.namespace.within(ask);
            waiter.until(START, &format!("the speaker of {name}"), || {
                rig.controller.check()?;
                rig.speakers[node].check()?;
                let members = || http::ready(METRICS).and_then(|()| http::members(METRICS, LINK));
                match inside(members).map_err(anyhow::Error::from)?? {
                    members if members == others => Ok(()),
                    members => Err(format!("it hears {members} of {others} other speakers").into()),
                }
            })
        })
    }

    /// Starts a node's speaker again after its end.
    pub(crate) fn restart_speaker(&mut self, node: usize) -> Result<()> {
        let Node { name, station, .. } = &self.lan.nodes[node];
        self.speakers[node] = self.starter.speaker(&station.namespace, name)?;
        Ok(())
    }

    /// Waits until every Service has an address; with `some`, of foreign manifests, until one has and time is up.
    pub(crate) fn await_addresses(&mut self, some: bool) -> Result<()> {
        let manifests = self.starter.places.manifests.clone();
        let pending = self.wait(|rig, waiter| {
            let done = waiter.within(PATIENCE, "addresses", || {
                rig.services = rig.read_services();
                let complete = !rig.services.is_empty() && rig.pending().is_empty();
                let broken = rig.check().err();
                (complete || broken.is_some()).then(|| broken.map_or(Ok(()), Err))
            })?;
            done.unwrap_or(Ok(()))?;
            Ok(rig.pending())
        })?;
        anyhow::ensure!(
            !self.services.is_empty(),
            "no Service of type LoadBalancer is in {}",
            manifests.display()
        );
        let served = self.services.iter().filter(|served| !served.addresses.is_empty());
        served.for_each(|served| self.console().step("address", served));
        for service in &pending {
            let text = format!("{service} has no address after {} s", PATIENCE.as_secs());
            self.console().marked(Mark::Bad, "address", text);
        }
        let none = pending.len() == self.services.len();
        anyhow::ensure!(
            pending.is_empty() || (some && !none),
            "the controller has not given every Service an address"
        );
        self.serve()?;
        self.console().step(
            "serve",
            "a responder on every node stands in for the Pods; arp_ignore=1 and the addresses on lo for kube-proxy",
        );
        Ok(())
    }

    fn read_services(&mut self) -> Vec<Served> {
        let places = &self.starter.places;
        let services = self.manifests.read().services.into_iter();
        services
            .map(|service| Served {
                addresses: state::addresses(&places.state, &service.namespace, &service.name),
                service,
            })
            .collect()
    }

    fn pending(&self) -> Vec<String> {
        let pending = self.services.iter().filter(|served| served.addresses.is_empty());
        pending.map(|served| served.service.to_string()).collect()
    }

    /// Fails when a daemon has ended by itself.
    fn check(&mut self) -> Result<()> {
        self.controller.check()?;
        self.speakers.iter_mut().try_for_each(Daemon::check)
    }

    /// Makes every node serve every address.
    fn serve(&mut self) -> Result<()> {
        let of_service = |served: &Served| {
            let ports = served.service.tcp.clone();
            let addresses = self.lan.reachable(&served.addresses).into_iter();
            addresses.flat_map(move |address| responder::targets(address, &ports).collect::<Vec<_>>())
        };
        let targets: Vec<_> = self.services.iter().flat_map(of_service).collect();
        self.lan.serve(&targets)
    }

    /// Waits until somebody answers for every address, ARP or Neighbour Discovery.
    pub(crate) fn await_announcements(&mut self) -> Result<()> {
        let addresses: Vec<IpAddr> = self.addresses().collect();
        let (arp, mac) = self.lan.client.listen(Filter::Arp)?;
        let (ndp, _) = self.lan.client.listen(Filter::Ndp)?;
        let mut owners: BTreeMap<IpAddr, Mac> = BTreeMap::new();
        self.wait(|rig, waiter| {
            let done = waiter.within(PATIENCE, "answers to the question who has the addresses", || {
                for address in addresses
                    .iter()
                    .filter(|address| !owners.contains_key(address))
                    .copied()
                    .collect::<Vec<_>>()
                {
                    let socket = if address.is_ipv4() { &arp } else { &ndp };
                    if let Some(owner) = ask(socket, mac, address) {
                        owners.insert(address, owner);
                    }
                }
                let broken = rig.check().err();
                (owners.len() == addresses.len() || broken.is_some()).then(|| broken.map_or(Ok(()), Err))
            })?;
            done.unwrap_or(Ok(()))
        })?;
        for address in &addresses {
            match owners.get(address) {
                Some(owner) => {
                    let (mac, node) = (MacText(*owner), self.lan.name_of(*owner));
                    self.console().step("announce", format_args!("{address} is at {mac}, {node}"));
                }
                None => {
                    let text = format!("nobody answers for {address} after {} s", PATIENCE.as_secs());
                    self.console().marked(Mark::Bad, "announce", text);
                }
            }
        }
        Ok(())
    }

    /// Fetches a page of every Service from the client, from its first address of either family.
    pub(crate) fn fetch_all(&self) -> Result<Vec<Fetch>> {
        let mut fetched = Vec::new();
        for served in &self.services {
            let addresses = self.lan.reachable(&served.addresses);
            let of = |family: fn(&IpAddr) -> bool| addresses.iter().copied().find(family);
            for address in [of(IpAddr::is_ipv4), of(IpAddr::is_ipv6)].into_iter().flatten() {
                let Some(port) = served.service.tcp.first().copied() else { continue };
                fetched.push(self.fetch(SocketAddr::new(address, port))?);
            }
        }
        Ok(fetched)
    }

    fn fetch(&self, address: SocketAddr) -> Result<Fetch> {
        let fetch = self.lan.client.namespace.within(|| http::fetch(address))?;
        let (mark, mut text) = match fetch.status {
            Some(200) => (Mark::Good, format!("{} 200", fetch.url)),
            Some(status) => (Mark::Bad, format!("{} {status}", fetch.url)),
            None => (Mark::Bad, format!("{} does not answer", fetch.url)),
        };
        if let Some(node) = &fetch.served_by {
            let _infallible = write!(text, ", served by {node}");
        }
        self.console().marked(mark, "fetch", text);
        Ok(fetch)
    }

    /// Stays up until Ctrl-C, following changes of the manifests.
    pub(crate) fn keep(&mut self, user_namespace: bool) -> Result<()> {
        let places = self.starter.places.clone();
        let console = self.console();
        console.step("keep", "everything stays up until Ctrl-C; to enter a namespace:");
        let nodes = self.lan.nodes.iter().map(|node| (node.name.as_str(), &node.station));
        let router = self.lan.router.as_ref().map(|router| ("router", router));
        for (name, station) in [("client", &self.lan.client), ("switch", &self.lan.switch)]
            .into_iter()
            .chain(router)
            .chain(nodes)
        {
            let user = match user_namespace {
                true => format!(" --user --preserve-credentials --target {}", std::process::id()),
                false => String::new(),
            };
            console.lines(format_args!(
                "{name:>22}  nsenter{user} --net={}",
                station.namespace.path().display()
            ));
        }
        console.lines(format_args!("{:>22}  {}", "manifests", places.manifests.display()));
        console.lines(format_args!("{:>22}  {}", "state", places.state.display()));
        console.lines(format_args!("{:>22}  {}", "logs", places.logs.display()));
        while !self.interrupt.is_raised() {
            let services = self.read_services();
            if services != self.services {
                let before = std::mem::replace(&mut self.services, services);
                self.serve()?;
                let changed = self.services.iter().filter(|served| !before.contains(served));
                changed.for_each(|served| console.step("address", served));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Ends the daemons in order.
    pub(crate) fn stop(self) {
        let console = self.console();
        let daemons = self.speakers.into_iter().chain([self.controller]).collect();
        let late = daemons::stop(daemons);
        if late.is_empty() {
            console.step("end", "all daemons have ended on SIGTERM");
        } else {
            console.marked(
                Mark::Bad,
                "end",
                format_args!("had to be killed after SIGTERM: {}", late.join(", ")),
            );
        }
    }
}

/// Asks once who has an address.
fn ask(socket: &BlockingPacketSocket, source: Mac, address: IpAddr) -> Option<Mac> {
    // What fails now is asked again.
    socket.send(question::ask(0, source, address).as_bytes()).ok()?;
    let deadline = Instant::now() + ASK_AGAIN;
    let mut frame = [0; question::LONGEST];
    while let Ok(Some(length)) = socket.recv_until(&mut frame, deadline) {
        if let Some((_, owner)) = question::answer(&frame[..length], source, address) {
            return Some(owner);
        }
    }
    None
}
