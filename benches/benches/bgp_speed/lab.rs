//! A speaker and a router on a cable, each in a network namespace of its own.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    num::NonZeroU8,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ipnet::IpNet;
use metal_bgp::{
    peer::{PeerAs, Settings, Stop},
    rib_out::{Audience, Route, RouteSettings},
};
use metal_bgp_io::{Neighbor, Sessions, What};
use metal_net::{
    Namespace,
    tcp::{Dial, Options, Ttl},
};
use tokio::sync::mpsc as commands;

/// Whatever is waited for comes before this, or something is wrong.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) const SPEAKER_AS: u32 = 64_512;
pub(crate) const ROUTER_AS: u32 = 64_513;
pub(crate) const SPEAKER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const PORT: u16 = 179;

/// Two hosts on a cable.
pub(crate) struct Lab {
    pub(crate) speaker: Arc<Namespace>,
    pub(crate) router: Namespace,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let namespace = || Namespace::new().expect("a network namespace: this takes root");
        let (speaker, router) = (namespace(), namespace());
        let (near, far) = (speaker.network().expect("netlink"), router.network().expect("netlink"));
        near.add_veth("eth0", &router, "eth0").expect("a veth pair");
        for (network, address) in [(near, SPEAKER), (far, ROUTER)] {
            network.set_up("lo").expect("up");
            network.set_up("eth0").expect("up");
            network.add_address("eth0", format!("{address}/24").parse().expect("one")).expect("added");
        }
        Self { speaker: speaker.into(), router }
    }

    /// A receiver of ours in the router's place.
    pub(crate) fn listen(&self, port: u16) -> TcpListener {
        let open = || TcpListener::bind((ROUTER, port)).expect("a listener");
        self.router.within(open).expect("a thread in the namespace")
    }

    /// Runs something where the speaker is.
    pub(crate) fn at_speaker<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        self.speaker.within(run).expect("a thread in the namespace")
    }
}

type Command = Box<dyn FnOnce(&mut Sessions) + Send>;

/// metal's sessions on a thread of their own.
pub(crate) struct Speaker {
    commands: Option<commands::UnboundedSender<Command>>,
    events: mpsc::Receiver<(Instant, What)>,
    thread: Option<JoinHandle<()>>,
}

impl Speaker {
    pub(crate) fn start(lab: &Lab) -> Self {
        let (commands, mut receiver) = commands::unbounded_channel::<Command>();
        let (said, events) = mpsc::channel();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let (mut sessions, mut events) = Sessions::start(1);
                // Elsewhere, so that the time is that of the event, not of the next time this thread is free.
                let listener = thread::spawn(move || {
                    while let Some(event) = events.blocking_recv() {
                        if said.send((Instant::now(), event.what)).is_err() {
                            break;
                        }
                    }
                });
                while let Some(command) = receiver.recv().await {
                    command(&mut sessions);
                }
                sessions.stop(Stop::Shutdown(String::new())).await;
                drop(listener);
            });
        };
        let namespace = lab.speaker.clone();
        let thread = thread::spawn(move || namespace.within(run).expect("a thread in the namespace"));
        Self { commands: Some(commands), events, thread: Some(thread) }
    }

    pub(crate) fn tell(&self, command: impl FnOnce(&mut Sessions) + Send + 'static) {
        let commands = self.commands.as_ref().expect("it runs");
        assert!(commands.send(Box::new(command)).is_ok(), "the speaker has ended");
    }

    /// Says these routes at once; when that began.
    pub(crate) fn announce(&self, prefixes: impl Iterator<Item = u32> + Send + 'static, med: u32) -> Instant {
        self.say(prefixes, Some(with_med(med)))
    }

    pub(crate) fn withdraw(&self, prefixes: impl Iterator<Item = u32> + Send + 'static) -> Instant {
        self.say(prefixes, None)
    }

    fn say(&self, prefixes: impl Iterator<Item = u32> + Send + 'static, route: Option<Route>) -> Instant {
        let (sender, began) = mpsc::channel();
        self.tell(move |sessions| {
            sender.send(Instant::now()).expect("somebody waits");
            sessions.set_routes(prefixes.map(|prefix| (&Audience::All, host(prefix), route.as_ref())));
        });
        began.recv_timeout(DEADLINE).expect("the speaker does what it is told")
    }

    /// A session with whoever is at this port in the router's place.
    pub(crate) fn peer(&self, name: &str, port: u16, my_as: u32, hold_time: u16) {
        let settings = Settings {
            hold_time,
            retry_limit: Duration::from_secs(1),
            ..Settings::new(my_as, PeerAs::Is(ROUTER_AS), SPEAKER)
        };
        let mut dial = Dial::to(SocketAddr::new(IpAddr::V4(ROUTER), port));
        dial.options = Options { ttl: Ttl::Multihop(NonZeroU8::MIN), ..Options::default() };
        let neighbor = Neighbor::new(dial, settings.check().expect("good settings"));
        let name = name.to_owned();
        self.tell(move |sessions| sessions.set_peer(&name, neighbor));
    }

    /// When the next session was established.
    pub(crate) fn established(&self) -> Instant {
        loop {
            let event = self.events.recv_timeout(DEADLINE);
            match event.unwrap_or_else(|error| panic!("no session within {DEADLINE:?}: {error}")) {
                (at, What::Established { .. }) => return at,
                // The router may still be busy with the last session.
                (_, What::Ended(_) | What::Malformed(_) | What::Silent(_)) => {}
            }
        }
    }

    /// The sessions that have ended since it was asked last, in words.
    pub(crate) fn ended(&self) -> Vec<String> {
        let ended = |(_, what)| match what {
            What::Ended(ending) => Some(ending.to_string()),
            _ => None,
        };
        self.events.try_iter().filter_map(ended).collect()
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed.
            drop(thread.join());
        }
    }
}

/// 10.0.0.0/32 and those behind it.
fn host(number: u32) -> IpNet {
    IpAddr::from((0x0a00_0000 + number).to_be_bytes()).into()
}

fn with_med(med: u32) -> Route {
    RouteSettings { med: Some(med), ..RouteSettings::default() }.check().expect("a good route")
}
