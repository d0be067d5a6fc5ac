//! All peers of a speaker.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use futures::future::join_all;
use ipnet::IpNet;
use metal_bgp::{
    peer::{Config, Mode, Stop},
    rib_out::{Audience, Input, Route},
};
use metal_core::view::LinkIndex;
use metal_net::{
    clock::Clock,
    tcp::{Dial, Listener},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    discovery::discover,
    doors::{Door, Expected, set_key},
    event::{Event, What},
    peer::{Order, Task},
    rib::{Name, Rib},
    view::View,
};

/// A peer as it is configured.
#[derive(Clone, Debug)]
pub struct Neighbor {
    /// How it is reached, and from where.
    pub dial: Dial,
    /// What is agreed on with it.
    pub config: Config,
    /// Next hops of a family that the connection itself is not of; over link-local addresses, the global one beside.
    pub next_hops: (Option<Ipv4Addr>, Option<Ipv6Addr>),
    /// The peer is whoever is at the other end of this link ("unnumbered"): it is found by Router Discovery, or comes by
    /// itself where it may. Of the address in `dial` only the port counts. Its password, if there is one, is for
    /// connections that are dialled.
    pub link: Option<LinkIndex>,
}

impl Neighbor {
    /// One that is told of addresses of the connection's own family.
    #[must_use]
    pub fn new(dial: Dial, config: Config) -> Self {
        Self { dial, config, next_hops: (None, None), link: None }
    }
}

/// Sessions with any number of peers, each in a task of its own. They end with the value, without a word; better is
/// [`stop`](Self::stop).
#[derive(Debug)]
pub struct Sessions {
    seed: u64,
    clock: Clock,
    rib: Arc<Rib>,
    expected: Arc<Expected>,
    /// With the tasks that take connections.
    listeners: Vec<Open>,
    events: mpsc::UnboundedSender<Event>,
    peers: BTreeMap<Name, Running>,
    /// Those that say goodbye.
    leaving: Vec<JoinHandle<()>>,
    /// Wakes the peers.
    pump: JoinHandle<()>,
}

type Open = (Arc<Listener>, JoinHandle<()>);

#[derive(Debug)]
struct Running {
    orders: mpsc::UnboundedSender<Order>,
    /// Gone when it says goodbye.
    task: Option<JoinHandle<()>>,
    neighbor: Neighbor,
    discovery: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(discovery) = &self.discovery {
            discovery.abort();
        }
    }
}

impl Sessions {
    /// No peers yet. The seed is for jitter. To be called in a tokio runtime.
    #[must_use]
    pub fn start(seed: u64) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let clock = Clock::start();
        let rib = Arc::new(Rib::new(clock));
        let pump = rib.clone();
        let pump = tokio::spawn(async move { pump.run().await });
        let (expected, listeners) = (Arc::default(), Vec::new());
        let (peers, leaving) = (BTreeMap::new(), Vec::new());
        (Self { seed, clock, rib, expected, listeners, events, peers, leaving, pump }, receiver)
    }

    /// Takes connections that come in here, from peers whose configuration says that they may open them, with their
    /// passwords.
    pub fn listen(&mut self, door: &Door) {
        let (listener, expected) = (door.listener.clone(), self.expected.clone());
        for (name, running) in &self.peers {
            self.lock_door(&listener, name, &running.neighbor);
        }
        let receiving = listener.clone();
        let task = tokio::spawn(async move { expected.receive(&receiving).await });
        self.listeners.push((listener, task));
    }

    /// Takes no more connections there. Those that there are go on.
    pub fn shut(&mut self, door: &Door) {
        self.listeners.retain(|(listener, task)| {
            let other = !Arc::ptr_eq(listener, &door.listener);
            if !other {
                task.abort();
            }
            other
        });
    }

    /// A peer as it is from now on. A session goes on if nothing has changed that it depends on; others are not touched.
    pub fn set_peer(&mut self, name: &str, neighbor: Neighbor) {
        let name: Name = name.into();
        self.expected.remove(&name);
        let orders = match self.peers.get_mut(&name) {
            Some(running) => {
                let moves = running.neighbor.link != neighbor.link;
                // Who is heard on the link of before does not matter any more.
                if moves && let Some(before) = running.discovery.take() {
                    before.abort();
                }
                // It cannot have ended: nobody has told it to.
                let _ended = running.orders.send(Order::Configure(Box::new(neighbor.clone())));
                if moves {
                    running.discovery = find_other_end(&neighbor, &running.orders);
                }
                let before = std::mem::replace(&mut running.neighbor, neighbor.clone());
                forget_key(&self.listeners, &before);
                running.orders.clone()
            }
            None => {
                let (orders, receiver) = mpsc::unbounded_channel();
                self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (seed, rib, events) = (self.seed, self.rib.clone(), self.events.clone());
                let task = Task::new(&name, neighbor.clone(), seed, self.clock, rib, events);
                let task = Some(tokio::spawn(task.run(receiver)));
                let discovery = find_other_end(&neighbor, &orders);
                let running = Running { orders: orders.clone(), task, neighbor: neighbor.clone(), discovery };
                self.peers.insert(name.clone(), running);
                orders
            }
        };
        if neighbor.config.settings().mode != Mode::Dial {
            self.expected.set(&neighbor, &name, &orders);
        }
        for (listener, _) in &self.listeners {
            self.lock_door(listener, &name, &neighbor);
        }
    }

    fn lock_door(&self, listener: &Listener, name: &Name, neighbor: &Neighbor) {
        if neighbor.config.settings().mode != Mode::Dial
            && let Err(why) = set_key(listener, neighbor)
        {
            // Nobody listens any more when the process ends.
            let event = Event { peer: name.clone(), what: What::Silent(why), phase: None };
            let _unheard = self.events.send(event);
        }
    }

    /// Ends the session with a peer, and forgets it.
    pub fn remove_peer(&mut self, name: &str, why: Stop) {
        let name: Name = name.into();
        self.expected.remove(&name);
        if let Some(mut running) = self.peers.remove(&name) {
            let _ended = running.orders.send(Order::Stop(why));
            forget_key(&self.listeners, &running.neighbor);
            self.leaving.retain(|task| !task.is_finished());
            self.leaving.extend(running.task.take());
        }
    }

    /// What is said of a prefix from now on, to whom; `None` is nothing.
    pub fn set_route(&self, to: &Audience<Name>, prefix: IpNet, route: Option<&Route>) {
        self.rib.input(Input::Route { to, prefix, route });
    }

    /// The same for many prefixes, which go out together. The iterator must not use this value.
    pub fn set_routes<'a>(
        &self,
        routes: impl IntoIterator<Item = (&'a Audience<Name>, IpNet, Option<&'a Route>)>,
    ) {
        let inputs = routes.into_iter().map(|(to, prefix, route)| Input::Route { to, prefix, route });
        self.rib.inputs(inputs);
    }

    /// All routes that there are have been said once: End-of-RIB is true from now on.
    pub fn synced(&self) {
        self.rib.input(Input::Synced);
    }

    /// How all peers stand; those that end meanwhile are left out.
    pub fn look(&self) -> impl Future<Output = Vec<View>> + Send + 'static {
        let asked = self.peers.values().filter_map(|running| {
            let (reply, answer) = oneshot::channel();
            running.orders.send(Order::Look(reply)).ok().map(|()| answer)
        });
        let asked: Vec<_> = asked.collect();
        async move { join_all(asked).await.into_iter().flatten().collect() }
    }

    /// Ends all sessions, and returns when all peers have heard it, or after a moment.
    pub async fn stop(mut self, why: Stop) {
        for name in self.peers.keys().cloned().collect::<Vec<_>>() {
            self.remove_peer(&name, why.clone());
        }
        for task in std::mem::take(&mut self.leaving) {
            // One that has panicked has been reported by the runtime.
            drop(task.await);
        }
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        let peers = self.peers.values().filter_map(|running| running.task.as_ref());
        let doors = self.listeners.iter().map(|(_, task)| task);
        for task in peers.chain(doors).chain([&self.pump]) {
            task.abort();
        }
    }
}

/// What comes from a peer's address needs no password any more.
fn forget_key(listeners: &[Open], neighbor: &Neighbor) {
    if neighbor.dial.key.is_some() {
        for (listener, _) in listeners {
            // There may have been none: it was refused, or the listener is of another family.
            let _none = listener.remove_key(neighbor.dial.peer.ip());
        }
    }
}

/// Looks for the peer, if it is a link.
fn find_other_end(neighbor: &Neighbor, orders: &mpsc::UnboundedSender<Order>) -> Option<JoinHandle<()>> {
    neighbor.link.map(|link| tokio::spawn(discover(link, orders.clone())))
}
