//! A speaker and a router on a cable.

use std::{
    net::{IpAddr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket},
    num::NonZeroU8,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use ipnet::IpNet;
use metal_bgp::{
    peer::{PeerAs, Settings, Stop},
    rib_out::{Audience, Route},
    wire::{Families, Family},
};
use metal_bgp_io::{Door, Neighbor, Sessions};
use metal_net::{
    Namespace,
    tcp::{Dial, Drops, Listen, Options, Ttl},
};
use metal_tests::{
    process::run,
    wait::{ensure, wait_for},
};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

/// Whatever is waited for comes before this, or the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const SPEAKER_AS: u32 = 64_512;
pub(crate) const ROUTER_AS: u32 = 64_513;

/// The addresses of the speaker and of the router.
pub(crate) const SPEAKER: [&str; 2] = ["10.99.0.10", "2001:db8:99::10"];
pub(crate) const ROUTER: [&str; 2] = ["10.99.0.1", "2001:db8:99::1"];

/// Two hosts on a cable.
pub(crate) struct Lab {
    speaker: Arc<Namespace>,
    pub(crate) router: Namespace,
    /// The router between the two, if there is one.
    _between: Option<Namespace>,
    directory: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let (speaker, router) = (namespace(), namespace());
        let (near, far) = (speaker.network().expect("netlink"), router.network().expect("netlink"));
        near.add_veth("eth0", &router, "eth0").expect("a veth pair");
        for (network, [v4, v6]) in [(near, SPEAKER), (far, ROUTER)] {
            network.set_up("lo").expect("up");
            network.set_up("eth0").expect("up");
            for address in [format!("{v4}/24"), format!("{v6}/64")] {
                network.add_address("eth0", address.parse().expect("an address")).expect("added");
            }
        }
        Self {
            speaker: speaker.into(),
            router,
            _between: None,
            directory: TempDir::with_prefix("metal-bgp-").expect("a directory"),
        }
    }

    /// Two hosts with the same addresses as ever, and a router between them.
    pub(crate) fn with_a_router_between() -> Self {
        let (speaker, between, router) = (namespace(), namespace(), namespace());
        let network = |namespace: &Namespace| namespace.network().expect("netlink");
        let middle = network(&between);
        network(&speaker).add_veth("eth0", &between, "near").expect("a veth pair");
        network(&router).add_veth("eth0", &between, "far").expect("a veth pair");
        // Each end's address, that of the router between on its link, and what is beyond it.
        for (namespace, name, addresses) in [
            (
                &speaker,
                "near",
                [
                    ["10.99.0.10/29", "10.99.0.9/29", "10.99.0.0/29"],
                    ["2001:db8:99::10/124", "2001:db8:99::11/124", "2001:db8:99::/124"],
                ],
            ),
            (
                &router,
                "far",
                [
                    ["10.99.0.1/29", "10.99.0.2/29", "10.99.0.8/29"],
                    ["2001:db8:99::1/124", "2001:db8:99::2/124", "2001:db8:99::10/124"],
                ],
            ),
        ] {
            let end = network(namespace);
            end.set_up("lo").expect("up");
            end.set_up("eth0").expect("up");
            middle.set_up(name).expect("up");
            for [own, gateway, beyond] in addresses.map(|texts| texts.map(net)) {
                end.add_address("eth0", own).expect("added");
                middle.add_address(name, gateway).expect("added");
                end.add_route(beyond, gateway.addr()).expect("a route");
            }
        }
        for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            between.set_sysctl(setting, "1").expect("a setting");
        }
        Self {
            speaker: speaker.into(),
            router,
            _between: Some(between),
            directory: TempDir::with_prefix("metal-bgp-").expect("a directory"),
        }
    }

    /// Waits until a connection from the router to an address behind the speaker opens: packets go there, and come back.
    #[track_caller]
    pub(crate) fn await_way(&self, address: &str) {
        let behind: IpAddr = address.parse().expect("an address");
        self.speaker
            .network()
            .and_then(|network| Ok(network.add_address("lo", behind.into())?))
            .expect("added");
        let bind = || TcpListener::bind((behind, 0));
        let listener = self.speaker.within(bind).expect("a thread").expect("a listener");
        let to = listener.local_addr().expect("an address");
        wait_for(&format!("a way to {to}"), DEADLINE, || {
            let connect = || TcpStream::connect_timeout(&to, Duration::from_secs(1));
            self.router.within(connect).expect("a thread").map(drop).map_err(|error| error.to_string())
        });
    }

    /// What the router's kernel says of an address that it has not been told of.
    pub(crate) fn no_way(&self, address: &str) -> String {
        let to = (address.parse::<IpAddr>().expect("an address"), 179).into();
        let connect = || TcpStream::connect_timeout(&to, Duration::from_secs(1));
        let error = self.router.within(connect).expect("a thread").expect_err("there is a way");
        format!("it leaves the kernel alone, which says \"{error}\"")
    }

    /// What the kernel below the speaker has dropped.
    pub(crate) fn drops(&self) -> Drops {
        self.speaker.within(Drops::read).expect("a thread").expect("counters")
    }

    /// The number of the speaker's link.
    pub(crate) fn link(&self) -> u32 {
        self.speaker.network().and_then(|network| Ok(network.link("eth0")?)).expect("a link").0
    }

    /// The router's kernel gets to know the speaker's link-local address: there are routers that look for it once, when
    /// they start.
    pub(crate) fn introduce(&self) {
        let ip = |host: &Namespace, words: &[&str]| {
            let net = format!("--net={}", host.path().display());
            run("nsenter", &[&[net.as_str(), "ip", "-6"], words].concat())
        };
        let link = self.router.network().and_then(|network| Ok(network.link("eth0")?)).expect("a link").0;
        wait_for("the router's kernel to know the speaker", DEADLINE, || {
            let own = ip(&self.speaker, &["-o", "address", "show", "dev", "eth0", "scope", "link"])?;
            let local = own.split_whitespace().find_map(|word| word.split_once('/')?.0.parse().ok());
            let to = SocketAddrV6::new(local.ok_or(own)?, 9, 0, link);
            let send = move || UdpSocket::bind("[::]:0").and_then(|socket| socket.send_to(&[0], to));
            self.router
                .within(send)
                .expect("a thread in the namespace")
                .map_err(|error| error.to_string())?;
            let known = ip(&self.router, &["neighbor", "show", "dev", "eth0"])?;
            ensure(known.contains(&to.ip().to_string()) && known.contains("lladdr"), || known)
        });
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A speaker without peers.
    pub(crate) fn speaker(&self) -> Speaker {
        let (commands, mut receiver) = mpsc::unbounded_channel::<Command>();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (ended, end) = oneshot::channel();
        let heard = said.clone();
        let run = move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (mut sessions, mut events) = Sessions::start(1);
                loop {
                    tokio::select! {
                        command = receiver.recv() => match command {
                            Some(command) => command(&mut sessions),
                            None => break,
                        },
                        Some(event) = events.recv() => {
                            heard.lock().expect("no panic").push(event.what.to_string());
                        }
                    }
                }
                sessions.stop(Stop::Shutdown("the test is over".into())).await;
            });
            let _nobody_waits = ended.send(());
        };
        // A thread of its own stays in the namespace for as long as the speaker lives.
        let namespace = self.speaker.clone();
        thread::spawn(move || namespace.within(run).expect("a thread in the namespace"));
        Speaker { commands: Some(commands), said, end: Some(end) }
    }
}

fn namespace() -> Namespace {
    let namespace = Namespace::new().expect("a network namespace: run these tests as root");
    for scope in ["all", "default"] {
        // Addresses are usable at once.
        namespace.set_sysctl(&format!("ipv6/conf/{scope}/accept_dad"), "0").expect("a setting");
    }
    namespace
}

type Command = Box<dyn FnOnce(&mut Sessions) + Send>;

/// A speaker that runs. It says goodbye when it is dropped.
pub(crate) struct Speaker {
    commands: Option<mpsc::UnboundedSender<Command>>,
    said: Arc<Mutex<Vec<String>>>,
    end: Option<oneshot::Receiver<()>>,
}

impl Speaker {
    pub(crate) fn tell(&self, command: impl FnOnce(&mut Sessions) + Send + 'static) {
        let commands = self.commands.as_ref().expect("it runs");
        assert!(commands.send(Box::new(command)).is_ok(), "the speaker has ended");
    }

    /// Takes the router's connections, over both families.
    pub(crate) fn listen(&self) {
        self.tell(|sessions| {
            for mut listen in [Listen::v4(), Listen::v6()] {
                // Good enough for whoever checks it.
                listen.options.ttl = Ttl::Multihop(NonZeroU8::MAX);
                sessions.listen(&Door::open(&listen).unwrap_or_else(|error| panic!("{error}")));
            }
        });
    }

    /// A session with the router, for these families, over this one.
    pub(crate) fn peer(&self, over: Over, families: Families, edit: impl FnOnce(&mut Neighbor)) {
        self.peer_with(over, Settings { families, ..settings() }, edit);
    }

    pub(crate) fn peer_with(&self, over: Over, settings: Settings, edit: impl FnOnce(&mut Neighbor)) {
        let router: IpAddr = ROUTER[over as usize].parse().expect("an address");
        let mut dial = Dial::to(SocketAddr::new(router, 179));
        dial.options = Options { ttl: Ttl::Multihop(NonZeroU8::MIN), ..Options::default() };
        let mut neighbor = Neighbor::new(dial, settings.check().unwrap_or_else(|error| panic!("{error}")));
        neighbor.next_hops =
            (Some(SPEAKER[0].parse().expect("an address")), Some(SPEAKER[1].parse().expect("an address")));
        edit(&mut neighbor);
        self.tell(move |sessions| sessions.set_peer("router", neighbor));
    }

    pub(crate) fn announce(&self, prefixes: impl IntoIterator<Item = IpNet>, route: &Route) {
        let (prefixes, route): (Vec<_>, _) = (prefixes.into_iter().collect(), route.clone());
        self.tell(move |sessions| {
            for prefix in prefixes {
                sessions.set_route(&Audience::All, prefix, Some(&route));
            }
        });
    }

    pub(crate) fn withdraw(&self, prefixes: impl IntoIterator<Item = IpNet>) {
        let prefixes: Vec<_> = prefixes.into_iter().collect();
        self.tell(move |sessions| {
            for prefix in prefixes {
                sessions.set_route(&Audience::All, prefix, None);
            }
        });
    }

    /// What has been said of the sessions so far.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().expect("no panic").clone()
    }

    #[track_caller]
    pub(crate) fn await_said(&self, part: &str) -> String {
        wait_for(&format!("the speaker to say {part:?}"), DEADLINE, || {
            let said = self.said();
            let found = said.iter().find(|line| line.contains(part)).cloned();
            found.ok_or_else(|| format!("{said:#?}"))
        })
    }

    #[track_caller]
    pub(crate) fn await_established(&self) {
        self.await_said("session established");
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the speaker said:\n{}", self.said().join("\n"));
        }
        drop(self.commands.take());
        let Some(mut end) = self.end.take() else { return };
        if !thread::panicking() {
            wait_for("the speaker to end", DEADLINE, || {
                ensure(end.try_recv().is_ok(), || "it still runs".to_owned())
            });
        }
    }
}

/// An external session for IPv4 that is tried again soon.
pub(crate) fn settings() -> Settings {
    Settings {
        hold_time: 9,
        retry_limit: Duration::from_secs(1),
        ..Settings::new(SPEAKER_AS, PeerAs::Is(ROUTER_AS), [10, 99, 0, 10].into())
    }
}

/// Over which family the connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    V4 = 0,
    V6 = 1,
}

/// One or both of the families.
pub(crate) fn v4() -> Families {
    Families::NONE.with(Family::IPV4_UNICAST)
}

pub(crate) fn v6() -> Families {
    Families::NONE.with(Family::IPV6_UNICAST)
}

pub(crate) fn both() -> Families {
    v4().with(Family::IPV6_UNICAST)
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

/// So many host routes.
pub(crate) fn many(count: u32) -> impl Iterator<Item = IpNet> {
    (0..count).map(|number| {
        let address = std::net::Ipv4Addr::from_bits(0xc612_0000 + number);
        IpNet::new(address.into(), 32).expect("a prefix")
    })
}
