//! Two hosts on a cable, for the tests of this directory.
#![allow(dead_code, reason = "each test uses its part")]

use std::time::Duration;

use metal_core::view::{Link, LinkIndex, Mac};
use metal_net::{Filter, LinkEvent, LinkMonitor, Namespace, Network, PacketSocket};

/// Whatever is waited for comes before this, or the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) const LEFT: Mac = [2, 0, 0, 0, 0, 1];
pub(crate) const RIGHT: Mac = [2, 0, 0, 0, 0, 2];

/// A new namespace without IPv6, so that nothing is on the wire but what the test sends.
pub(crate) fn namespace() -> Namespace {
    let namespace = Namespace::new().unwrap_or_else(|error| {
        panic!("cannot create a network namespace: {error}. These tests build networks: run them as root")
    });
    // Where the setting is missing or read-only, the tests go on in a little noise.
    let _ = namespace.set_sysctl("ipv6/conf/default/disable_ipv6", "1");
    namespace
}

/// A host: its namespace with one interface, `eth0`.
pub(crate) struct Host {
    pub(crate) namespace: Namespace,
    pub(crate) network: Network,
    pub(crate) eth0: LinkIndex,
}

impl Host {
    fn new(namespace: Namespace, mac: Mac) -> Self {
        let network = namespace.network().expect("a netlink socket");
        network.set_mac("eth0", mac).expect("an Ethernet address");
        network.set_up("eth0").expect("up");
        let (eth0, _) = network.link("eth0").expect("eth0");
        Self { namespace, network, eth0 }
    }

    pub(crate) fn monitor(&self) -> LinkMonitor {
        self.namespace.within(LinkMonitor::open).expect("a thread").expect("a link monitor")
    }

    pub(crate) fn packets(&self, filter: Filter) -> PacketSocket {
        self.namespace
            .within(|| PacketSocket::open(self.eth0, filter))
            .expect("a thread")
            .expect("a packet socket")
    }

    /// Waits until frames can come and go.
    pub(crate) async fn running(&self) {
        let mut links = self.monitor();
        link(&mut links, |link| link.name == "eth0" && link.is_running()).await;
    }
}

/// Two hosts, joined and up.
pub(crate) async fn hosts() -> (Host, Host) {
    let (left, right) = (namespace(), namespace());
    let network = left.network().expect("a netlink socket");
    network.add_veth("eth0", &right, "eth0").expect("a veth pair");
    let (left, right) = (Host::new(left, LEFT), Host::new(right, RIGHT));
    left.running().await;
    right.running().await;
    (left, right)
}

/// The next event, before the deadline.
pub(crate) async fn event(links: &mut LinkMonitor) -> LinkEvent {
    tokio::time::timeout(DEADLINE, links.next())
        .await
        .expect("no event before the deadline")
        .expect("an event")
}

/// Waits for a link as `wanted`.
pub(crate) async fn link(links: &mut LinkMonitor, wanted: impl Fn(&Link) -> bool) -> Link {
    loop {
        if let LinkEvent::Upsert(_, link) = event(links).await
            && wanted(&link)
        {
            return link;
        }
    }
}
