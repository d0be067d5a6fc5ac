//! Two hosts on a cable, and waiting for what happens between them.

use std::{
    future::Future,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    time::{Duration, Instant},
};

use metal_core::view::{LinkIndex, Mac};
use metal_net::{
    Namespace, Network,
    tcp::{Connection, Dial, Drops, Listen, Listener, Options, Read, Ttl},
};
use metal_tests::wait::wait_for;

/// Whatever is waited for comes before this, or the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The name of both links.
pub(crate) const LINK: &str = "eth0";

/// Two hosts.
pub(crate) struct Cable {
    pub(crate) near: Host,
    pub(crate) far: Host,
}

/// One end of the cable.
pub(crate) struct Host {
    pub(crate) namespace: Namespace,
    pub(crate) network: Network,
    pub(crate) link: LinkIndex,
    pub(crate) mac: Mac,
    /// An IPv4, an IPv6 and the link-local address.
    addresses: [IpAddr; 3],
}

/// What the three addresses of a host are, in this order.
pub(crate) const KINDS: [Kind; 3] = [Kind::V4, Kind::V6, Kind::LinkLocal];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    V4,
    V6,
    LinkLocal,
}

impl Cable {
    pub(crate) fn new() -> Self {
        let namespace = || {
            let namespace = Namespace::new().expect("a network namespace: run these tests as root");
            for scope in ["all", "default"] {
                // Addresses are usable at once, and the kernel asks for no routers: only the tests do.
                for setting in ["accept_dad", "router_solicitations"] {
                    namespace.set_sysctl(&format!("ipv6/conf/{scope}/{setting}"), "0").expect("a setting");
                }
            }
            namespace
        };
        let (near, far) = (namespace(), namespace());
        let network = near.network().expect("a netlink socket");
        network.add_veth(LINK, &far, LINK).expect("a veth pair");
        let [near, far] = [(near, 1), (far, 2)].map(|(namespace, number)| Host::new(namespace, number));
        for host in [&near, &far] {
            host.network.set_up("lo").expect("up");
            host.network.set_up(LINK).expect("up");
        }
        for host in [&near, &far] {
            host.await_link_local(host.link);
        }
        Self { near, far }
    }

    /// A listener at the far end, on its address of a kind.
    pub(crate) fn listen(&self, kind: Kind) -> Listener {
        self.far.listen(&Listen { options: FAST, ..Listen::on(unspecified(kind)) })
    }

    /// Dials from the near end to such a listener.
    pub(crate) fn dial(&self, kind: Kind) -> Dial {
        Dial { options: FAST, ..Dial::to(self.near.toward(&self.far, kind)) }
    }

    /// A connection, its near and its far end.
    pub(crate) async fn connect(&self, dial: &Dial, listener: &Listener) -> (Connection, Connection) {
        let dialling = self.near.open(dial).connect();
        let both = async { tokio::join!(dialling, listener.accept()) };
        let (near, far) = in_time("a connection", both).await;
        (near.unwrap_or_else(|error| panic!("{error}")), far.expect("a connection"))
    }
}

/// What tests use: a failed attempt is over soon, and any number of hops.
pub(crate) const FAST: Options = Options {
    ttl: Ttl::Multihop(std::num::NonZeroU8::new(64).unwrap()),
    user_timeout: Some(Duration::from_secs(10)),
    unsent_limit: 16 << 10,
};

/// The port of BGP, on any address.
fn unspecified(kind: Kind) -> SocketAddr {
    match kind {
        Kind::V4 => Listen::v4().address,
        Kind::V6 | Kind::LinkLocal => Listen::v6().address,
    }
}

impl Host {
    fn new(namespace: Namespace, number: u8) -> Self {
        let network = namespace.network().expect("a netlink socket");
        let mac = [2, 0, 0, 0, 0, number];
        network.set_mac(LINK, mac).expect("an Ethernet address");
        for address in [format!("192.0.2.{number}/24"), format!("2001:db8::{number}/64")] {
            network.add_address(LINK, address.parse().expect("an address")).expect("added");
        }
        let addresses = [
            [192, 0, 2, number].into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()).into(),
            // By the Ethernet address (RFC 4291).
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, number.into()).into(),
        ];
        let link = network.link(LINK).expect("a link").0;
        Self { namespace, network, link, mac, addresses }
    }

    pub(crate) fn address(&self, kind: Kind) -> IpAddr {
        self.addresses[kind as usize]
    }

    pub(crate) fn link_local(&self) -> Ipv6Addr {
        match self.address(Kind::LinkLocal) {
            IpAddr::V6(address) => address,
            IpAddr::V4(_) => unreachable!("IPv4 has none in here"),
        }
    }

    /// Another host's address as seen from this one.
    pub(crate) fn toward(&self, other: &Self, kind: Kind) -> SocketAddr {
        match kind {
            Kind::V4 | Kind::V6 => (other.address(kind), Listen::PORT).into(),
            Kind::LinkLocal => SocketAddrV6::new(other.link_local(), Listen::PORT, 0, self.link).into(),
        }
    }

    pub(crate) fn listen(&self, listen: &Listen) -> Listener {
        let opened = self.namespace.within(|| Listener::open(listen)).expect("a thread");
        opened.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn open(&self, dial: &Dial) -> metal_net::tcp::Dialling {
        let opened = self.namespace.within(|| dial.open()).expect("a thread");
        opened.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn drops(&self) -> Drops {
        self.namespace.within(Drops::read).expect("a thread").expect("counters")
    }

    /// Waits until `counter` of the dropped segments is more than before, while `attempt` goes on in vain.
    pub(crate) async fn await_drop<T>(
        &self,
        before: Drops,
        counter: fn(Drops) -> u64,
        attempt: impl Future<Output = T>,
    ) {
        let dropped = async {
            while counter(self.drops().since(before)) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            biased;
            _ = attempt => panic!("connected, or failed, instead of waiting; dropped: {:?}", self.drops().since(before)),
            () = in_time("a dropped segment", dropped) => {}
        }
    }

    /// Waits until its link-local address is usable on a link.
    pub(crate) fn await_link_local(&self, link: LinkIndex) {
        let address = SocketAddrV6::new(self.link_local(), 0, 0, link);
        let bind = || UdpSocket::bind(address).map_err(|error| error.to_string());
        wait_for("a link-local address", DEADLINE, || self.namespace.within(bind).expect("a thread"));
    }
}

/// Waits for a future, not forever.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(DEADLINE, future).await;
    done.unwrap_or_else(|_| panic!("waited {DEADLINE:?} in vain for {what}"))
}

/// Writes all of it.
pub(crate) async fn write_all(connection: &Connection, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        in_time("room to write", connection.writable()).await.expect("a runtime");
        bytes = &bytes[connection.write([bytes]).expect("written")..];
    }
}

/// Reads so many bytes.
pub(crate) async fn read_exact(connection: &Connection, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        in_time("bytes", connection.readable()).await.expect("a runtime");
        match connection.read(&mut bytes[filled..]).expect("read") {
            Read::Bytes(more) => filled += more,
            Read::Nothing => {}
            Read::End => panic!("it ended after {filled} of {length} bytes"),
        }
    }
    bytes
}

/// Reads up to the end, or the error at the end.
pub(crate) async fn read_to_end(connection: &Connection) -> (Vec<u8>, std::io::Result<()>) {
    let (mut bytes, mut buf) = (Vec::new(), [0; 4096]);
    let deadline = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < deadline, "no end after {} bytes", bytes.len());
        in_time("bytes or the end", connection.readable()).await.expect("a runtime");
        match connection.read(&mut buf) {
            Ok(Read::Bytes(more)) => bytes.extend_from_slice(&buf[..more]),
            Ok(Read::Nothing) => {}
            Ok(Read::End) => return (bytes, Ok(())),
            Err(error) => return (bytes, Err(error)),
        }
    }
}
