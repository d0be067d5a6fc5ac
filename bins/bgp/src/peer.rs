//! The task of one peer: its machine, its connections, its share of what is announced.

use std::{
    collections::BTreeMap,
    net::{Ipv6Addr, SocketAddr, SocketAddrV6},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, future::select_all};
use metal_bgp::{
    peer::{ConnectionId, DRAIN_TIME, Input, Negotiated, Output, Peer, Stop},
    rib_out::{self, Export},
};
use metal_core::Machine;
use metal_net::{
    clock::Clock,
    tcp::{Connection, Dial},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::{
    event::{Event, What},
    link::{Happened, Link, Taken, transport},
    next_hops::next_hops,
    rib::{Name, Rib, Seat},
    sessions::Neighbor,
    view::View,
};

/// What the task is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// The peer is to be reached in another way, or is configured otherwise.
    Configure(Box<Neighbor>),
    /// The peer has opened a connection.
    Accepted(Connection),
    /// How does it stand?
    Look(oneshot::Sender<View>),
    /// Whoever is at the other end of an unnumbered link.
    Heard(Ipv6Addr),
    /// Nobody is there, for this reason.
    Unheard(String),
    /// The session ends for this reason, and so does the task.
    Stop(Stop),
}

pub(crate) struct Task {
    seat: Seat,
    pub(crate) neighbor: Neighbor,
    pub(crate) peer: Peer,
    pub(crate) clock: Clock,
    pub(crate) rib: Arc<Rib>,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    links: BTreeMap<ConnectionId, Link>,
    /// The other end of an unnumbered link, or why it is not known.
    other_end: Result<Ipv6Addr, String>,
    accepted: u64,
    /// Connections that say goodbye.
    closing: JoinSet<()>,
}

impl Task {
    pub(crate) fn new(
        name: &Name,
        neighbor: Neighbor,
        seed: u64,
        clock: Clock,
        rib: Arc<Rib>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let peer = Peer::new(neighbor.config.clone(), seed);
        let seat = rib.take_seat(name);
        let (links, closing) = (BTreeMap::new(), JoinSet::new());
        let other_end = Err(UNHEARD.to_owned());
        Self { seat, neighbor, peer, clock, rib, events, links, other_end, accepted: 0, closing }
    }

    /// Until the order to stop, or until nobody is left to give one.
    pub(crate) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        self.peer.handle_input(self.clock.now(), Input::Start);
        loop {
            let is_unfinished = self.act();
            if is_unfinished {
                // The clock and the other peers first: theirs may be a KEEPALIVE that is due.
                tokio::task::yield_now().await;
            }
            let deadline = self.peer.poll_timeout();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Configure(neighbor)) => self.configure(*neighbor),
                    Some(Order::Accepted(connection)) => self.accept(connection),
                    // Who has asked may be gone.
                    Some(Order::Look(reply)) => drop(reply.send(self.view())),
                    Some(Order::Heard(other)) => self.on_heard(other),
                    Some(Order::Unheard(why)) => {
                        // Who has been heard may still be there.
                        if self.other_end.is_err() {
                            self.other_end = Err(why);
                        }
                    }
                    Some(Order::Stop(stop)) => {
                        self.peer.handle_input(self.clock.now(), Input::Stop(stop));
                        break;
                    }
                    None => {
                        self.peer.handle_input(self.clock.now(), Input::Stop(Stop::Shutdown(String::new())));
                        break;
                    }
                },
                () = self.seat.woken() => {}
                (id, happened) = wait(&mut self.links, &self.peer) => self.on_link(id, happened),
                Some(_closed) = self.closing.join_next() => {}
                () = self.clock.until(deadline) => {}
                () = std::future::ready(()), if is_unfinished => {}
            }
        }
        while self.act() {
            tokio::task::yield_now().await;
        }
        self.rib.leave_seat(&self.seat);
        while self.closing.join_next().await.is_some() {}
    }

    fn configure(&mut self, neighbor: Neighbor) {
        let now = self.clock.now();
        // What the machine does not know: where the peer is, and the password.
        let moved = self.neighbor.dial != neighbor.dial
            || self.neighbor.next_hops != neighbor.next_hops
            || self.neighbor.link != neighbor.link;
        if self.neighbor.link != neighbor.link {
            self.other_end = Err(UNHEARD.to_owned());
        }
        let config = neighbor.config.clone();
        self.neighbor = neighbor;
        self.peer.handle_input(now, Input::Configure(config));
        if moved {
            self.peer.handle_input(now, Input::Restart(Stop::ConfigurationChange));
        }
    }

    fn view(&self) -> View {
        let (status, name) = (self.peer.status(), self.seat.name());
        let (announced, meant) = self.rib.count(name);
        let counters = *self.peer.counters();
        View {
            peer: name.clone(),
            phase: status.phase,
            message: status.at(self.clock.now()).to_string(),
            announced,
            meant,
            counters,
        }
    }

    fn accept(&mut self, connection: Connection) {
        if let Err(error) = connection.set_options(&self.neighbor.dial.options) {
            self.tell(What::Silent(format!("a connection from the peer takes no options: {error}")));
            return;
        }
        if self.neighbor.link.is_some()
            && let SocketAddr::V6(remote) = connection.remote()
        {
            self.other_end = Ok(*remote.ip());
        }
        self.accepted += 1;
        self.links.insert(ConnectionId::Accepted(self.accepted), Link::Open(connection));
        self.peer.handle_input(self.clock.now(), Input::Accepted(self.accepted));
    }

    fn on_heard(&mut self, other: Ipv6Addr) {
        if self.other_end != Ok(other) {
            self.other_end = Ok(other);
            // There may be a session already, which stays.
            self.peer.handle_input(self.clock.now(), Input::Start);
        }
    }

    /// Begins to dial.
    fn dial(&self) -> Link {
        let Some(link) = self.neighbor.link else { return Link::dial(&self.neighbor.dial) };
        match &self.other_end {
            Ok(other) => {
                let peer = SocketAddrV6::new(*other, self.neighbor.dial.peer.port(), 0, link).into();
                Link::dial(&Dial { peer, ..self.neighbor.dial.clone() })
            }
            Err(why) => Link::Nowhere(why.clone()),
        }
    }

    fn on_link(&mut self, id: ConnectionId, happened: Happened) {
        let now = self.clock.now();
        match happened {
            Happened::Dialled(connection) => {
                self.links.insert(id, Link::Open(connection));
                self.peer.handle_input(now, Input::Connected(id));
            }
            Happened::Failed(why) => self.peer.handle_input(now, Input::Failed(id, why)),
            Happened::Ready => {
                let Some(Link::Open(connection)) = self.links.get(&id) else { return };
                let peer = &mut self.peer;
                let taken =
                    Link::read(connection, |bytes| peer.handle_input(now, Input::Received(id, bytes)));
                match taken {
                    Taken::Bytes | Taken::Nothing => {}
                    Taken::Failed(why) => self.peer.handle_input(now, Input::Failed(id, why)),
                }
            }
        }
    }

    /// Performs what the machine wants, and writes until the sockets are full or nothing is left, but not for long at a
    /// time; whether there is more to do at once.
    fn act(&mut self) -> bool {
        let until = self.clock.now() + TURN;
        loop {
            while let Some(output) = self.peer.poll_output(self.clock.now()) {
                self.perform(output);
            }
            while let Some(session) = self.peer.wants_updates()
                && let Some(update) = self.rib.next_update(&self.seat)
            {
                self.peer.handle_input(self.clock.now(), Input::Updates(session, update));
            }
            if !self.write() {
                return false;
            }
            if self.clock.now() > until {
                return true;
            }
        }
    }

    /// Writes once to each connection; whether that has changed anything.
    fn write(&mut self) -> bool {
        let mut changed = false;
        for (id, link) in &self.links {
            let Link::Open(connection) = link else { continue };
            let now = self.clock.now();
            match connection.write(self.peer.transmit(*id)) {
                Ok(0) => continue,
                Ok(length) => self.peer.handle_input(now, Input::Sent(*id, length)),
                Err(error) => {
                    let why = transport(error.kind(), &error);
                    self.peer.handle_input(now, Input::Failed(*id, why));
                }
            }
            changed = true;
        }
        changed
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Connect(id) => {
                self.links.insert(id, self.dial());
            }
            Output::Close { connection, last_words } => {
                if let Some(Link::Open(link)) = self.links.remove(&connection)
                    && !last_words.is_empty()
                {
                    // Whether the peer has heard it is nobody's concern any more.
                    self.closing.spawn(async move { drop(link.close(&last_words, DRAIN_TIME).await) });
                }
            }
            Output::Established(negotiated) => self.establish(negotiated),
            Output::RouteRefresh { family, .. } => {
                let peer = self.seat.name();
                self.rib.input_from(&self.seat, rib_out::Input::Refresh { peer, family });
            }
            Output::Ended(ending) => {
                if ending.session.is_some() {
                    let peer = self.seat.name();
                    self.rib.input_from(&self.seat, rib_out::Input::Down { peer });
                }
                self.tell(What::Ended(ending));
            }
            Output::Malformed(malformed) => self.tell(What::Malformed(malformed)),
        }
    }

    fn establish(&mut self, negotiated: Arc<Negotiated>) {
        let Some(Link::Open(connection)) = self.links.get(&negotiated.connection) else { return };
        let (local, remote) = (connection.local(), connection.remote());
        let (v4, v6) = next_hops(local.ip(), negotiated.extended_next_hop, self.neighbor.next_hops);
        let export = Export::new(negotiated.send, negotiated.local_as, negotiated.families, v4, v6);
        let enhanced_refresh = negotiated.enhanced_route_refresh;
        self.tell(What::Established { negotiated, local, remote });
        match export {
            Ok(export) => {
                let peer = self.seat.name().clone();
                self.rib.input_from(&self.seat, rib_out::Input::Up { peer, export, enhanced_refresh });
            }
            Err(why) => self.tell(What::Silent(why.to_string())),
        }
    }

    fn tell(&self, what: What) {
        // Nobody listens any more when the process ends.
        let _unheard = self.events.send(Event {
            peer: self.seat.name().clone(),
            what,
            phase: Some(self.peer.status().phase),
        });
    }
}

/// Until discovery says more.
const UNHEARD: &str = "nobody has been heard on the link yet";

/// For how long a peer may keep the thread busy before it is the turn of others.
const TURN: Duration = Duration::from_millis(2);

/// The next thing that happens to one of the links; never, when there is none.
async fn wait(links: &mut BTreeMap<ConnectionId, Link>, peer: &Peer) -> (ConnectionId, Happened) {
    if links.is_empty() {
        return std::future::pending().await;
    }
    let waits = links.iter_mut().map(|(id, link)| {
        let (id, unsent) = (*id, peer.transmit(*id).next().is_some());
        async move { (id, link.wait(unsent).await) }.boxed()
    });
    select_all(waits).await.0
}
