//! All peers of a speaker.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::IpNet;
use metal_bgp::{
    peer::{Config, Mode, Stop},
    rib_out::{Audience, Input, Route},
};
use metal_net::{clock::Clock, tcp::Dial};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    doors::{Door, Expected},
    event::Event,
    peer::{Order, Task},
    rib::{Name, Rib},
};

/// A peer as it is configured.
#[derive(Clone, Debug)]
pub struct Neighbor {
    /// How it is reached, and from where.
    pub dial: Dial,
    /// What is agreed on with it.
    pub config: Config,
    /// Next hops of a family that the connection itself is not of.
    pub next_hops: (Option<Ipv4Addr>, Option<Ipv6Addr>),
}

impl Neighbor {
    /// One that is told of addresses of the connection's own family.
    #[must_use]
    pub fn new(dial: Dial, config: Config) -> Self {
        Self { dial, config, next_hops: (None, None) }
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
    events: mpsc::UnboundedSender<Event>,
    peers: BTreeMap<Name, Running>,
    /// Those that say goodbye.
    leaving: Vec<JoinHandle<()>>,
    /// Listeners, and what wakes the peers.
    helpers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Running {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

impl Sessions {
    /// No peers yet. The seed is for jitter. To be called in a tokio runtime.
    #[must_use]
    pub fn start(seed: u64) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let clock = Clock::start();
        let rib = Arc::new(Rib::new(clock));
        let pump = rib.clone();
        let helpers = vec![tokio::spawn(async move { pump.run().await })];
        let (expected, peers, leaving) = (Arc::default(), BTreeMap::new(), Vec::new());
        (Self { seed, clock, rib, expected, events, peers, leaving, helpers }, receiver)
    }

    /// Takes connections that come in here, from peers whose configuration says that they may open them.
    pub fn listen(&mut self, door: &Door) {
        let (listener, expected) = (door.listener.clone(), self.expected.clone());
        self.helpers.push(tokio::spawn(async move { expected.receive(&listener).await }));
    }

    /// A peer as it is from now on. A session goes on if nothing has changed that it depends on; others are not touched.
    pub fn set_peer(&mut self, name: &str, neighbor: Neighbor) {
        let name: Name = name.into();
        let orders = match self.peers.get(&name) {
            Some(running) => {
                // It cannot have ended: nobody has told it to.
                let _ended = running.orders.send(Order::Configure(Box::new(neighbor.clone())));
                self.expected.remove(&name);
                running.orders.clone()
            }
            None => {
                let (orders, receiver) = mpsc::unbounded_channel();
                self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (seed, rib, events) = (self.seed, self.rib.clone(), self.events.clone());
                let task = Task::new(&name, neighbor.clone(), seed, self.clock, rib, events);
                let task = tokio::spawn(task.run(receiver));
                self.peers.insert(name.clone(), Running { orders: orders.clone(), task });
                orders
            }
        };
        if neighbor.config.settings().mode != Mode::Dial {
            self.expected.set(neighbor.dial.peer, &name, &orders);
        }
    }

    /// Ends the session with a peer, and forgets it.
    pub fn remove_peer(&mut self, name: &str, why: Stop) {
        let name: Name = name.into();
        self.expected.remove(&name);
        if let Some(Running { orders, task }) = self.peers.remove(&name) {
            let _ended = orders.send(Order::Stop(why));
            self.leaving.retain(|task| !task.is_finished());
            self.leaving.push(task);
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
        for task in self.helpers.iter().chain(self.peers.values().map(|running| &running.task)) {
            task.abort();
        }
    }
}
