//! The LAN: a switch, the nodes and a client, perhaps behind a router, each in a network namespace of its own.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result};
use ipnet::IpNet;
use metal_core::view::{LinkIndex, Mac};
use metal_net::{BlockingPacketSocket, Filter, Namespace, Network};

use super::{
    plan,
    probe::Sockets,
    responder::{Responder, Target},
};

/// The bridge in the switch.
const BRIDGE: &str = "lan";
/// The link of every node and of the client.
pub(crate) const LINK: &str = "eth0";
const LOOPBACK: &str = "lo";
/// The router's link to the client.
const OUTSIDE: &str = "eth1";
const WRITABLE: &str = "the stations need settings of their own; run the lab where /proc/sys is writable";

/// The whole LAN. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Lan {
    /// The nodes.
    pub(crate) nodes: Vec<Node>,
    /// The client.
    pub(crate) client: Station,
    /// The switch.
    pub(crate) switch: Station,
    /// What is between the LAN and the client; without it the client is on the LAN.
    pub(crate) router: Option<Station>,
    /// Whether it has IPv6 besides IPv4.
    pub(crate) ipv6: bool,
    /// Prefixes in which the client has an address.
    prefixes: BTreeSet<IpNet>,
}

/// A network namespace.
#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) namespace: Arc<Namespace>,
    network: Network,
}

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    /// Its port on the switch.
    port: String,
    /// The Ethernet address of its link.
    pub(crate) mac: Mac,
    pub(crate) station: Station,
    responder: Responder,
    /// The addresses on its loopback interface.
    served: BTreeSet<IpAddr>,
}

/// An Ethernet address for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MacText(pub(crate) Mac);

/// Whether the kernel has IPv6.
pub(crate) fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

impl Lan {
    /// Builds it, with IPv6 or without.
    pub(crate) fn build(names: &[String], ipv6: bool) -> Result<Self> {
        let switch = Station::switch()?;
        let client = Station::new(ipv6)?;
        let v6 = ipv6.then_some(IpAddr::V6(plan::CLIENT_V6));
        let addresses: Vec<IpAddr> = [IpAddr::V4(plan::CLIENT)].into_iter().chain(v6).collect();
        client.plug_in(&switch, "client", plan::CLIENT, &addresses)?;
        let nodes = Node::all(names, &switch, &addresses)?;
        let prefixes = addresses.into_iter().map(on_link).collect();
        Ok(Self { nodes, client, switch, router: None, ipv6, prefixes })
    }

    /// Builds it with a router between it and the client, for IPv4.
    pub(crate) fn build_routed(names: &[String]) -> Result<Self> {
        let (switch, client, router) = (Station::switch()?, Station::new(false)?, Station::new(false)?);
        let gateway = IpAddr::V4(plan::ROUTER);
        router.plug_in(&switch, "router", plan::ROUTER, &[gateway])?;
        router.network.add_veth(OUTSIDE, &client.namespace, LINK)?;
        for (station, link, address) in
            [(&router, OUTSIDE, plan::ROUTER_OUTSIDE), (&client, LINK, plan::CLIENT_OUTSIDE)]
        {
            station.network.set_up(link)?;
            station.network.add_address(link, IpNet::new_assert(address.into(), plan::PREFIX))?;
        }
        client.network.add_route(everywhere(gateway), plan::ROUTER_OUTSIDE.into())?;
        // Connections are spread, not clients.
        for (setting, value) in
            [("ip_forward", "1"), ("fib_multipath_hash_policy", "1"), ("conf/all/send_redirects", "0")]
        {
            router.namespace.set_sysctl(&format!("ipv4/{setting}"), value).context(WRITABLE)?;
        }
        let nodes = Node::all(names, &switch, &[gateway])?;
        Ok(Self { nodes, client, switch, router: Some(router), ipv6: false, prefixes: BTreeSet::new() })
    }

    /// Those of some addresses that can be reached here.
    pub(crate) fn reachable(&self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        addresses.iter().filter(|address| address.is_ipv4() || self.ipv6).copied().collect()
    }

    /// The name of the node with an address, or the address itself.
    pub(crate) fn name_at(&self, address: IpAddr) -> String {
        let index = (0..self.nodes.len()).find(|index| IpAddr::V4(plan::node_address(*index)) == address);
        index.map_or_else(|| address.to_string(), |index| self.nodes[index].name.clone())
    }

    /// The node with an Ethernet address.
    pub(crate) fn node_of(&self, mac: Mac) -> Option<usize> {
        self.nodes.iter().position(|node| node.mac == mac)
    }

    /// The name of the node with an Ethernet address, or the address itself.
    pub(crate) fn name_of(&self, mac: Mac) -> String {
        self.node_of(mac).map_or_else(|| MacText(mac).to_string(), |node| self.nodes[node].name.clone())
    }

    /// Takes a node's port on the switch down or up. While it is down the node has no carrier.
    pub(crate) fn set_port(&self, node: usize, up: bool) -> Result<()> {
        let (network, port) = (&self.switch.network, &self.nodes[node].port);
        Ok(if up { network.set_up(port) } else { network.set_down(port) }?)
    }

    /// What kube-proxy and the Pods would do: every node takes the traffic of these addresses, and answers it.
    pub(crate) fn serve(&mut self, targets: &[Target]) -> Result<()> {
        let addresses: BTreeSet<IpAddr> = targets.iter().map(|target| target.address().ip()).collect();
        for address in &addresses {
            self.reach(*address, &addresses)?;
        }
        self.nodes.iter_mut().try_for_each(|node| node.serve(&addresses, targets))
    }

    /// Makes an address on-link for the client, also outside of the LAN's own prefix.
    fn reach(&mut self, address: IpAddr, taken: &BTreeSet<IpAddr>) -> Result<()> {
        let prefix = on_link(address);
        if self.router.is_some() || !self.prefixes.insert(prefix) {
            return Ok(());
        }
        let host = |host: u8| match prefix.network() {
            IpAddr::V4(network) => IpAddr::from(Ipv4Addr::from_bits(network.to_bits() | u32::from(host))),
            IpAddr::V6(network) => IpAddr::from(Ipv6Addr::from_bits(network.to_bits() | u128::from(host))),
        };
        let mut hosts = [1, 254, 253, 252].into_iter().map(host);
        let own = hosts.find(|host| !taken.contains(host)).context("no free address for the client")?;
        Ok(self.client.network.add_address(LINK, IpNet::new_assert(own, prefix.prefix_len()))?)
    }

    /// The sockets of the probes of an address.
    pub(crate) fn probe_sockets(&self, address: IpAddr) -> Result<Sockets> {
        let (any, filter) = match address {
            IpAddr::V4(_) => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), Filter::Arp),
            IpAddr::V6(_) => (IpAddr::V6(Ipv6Addr::UNSPECIFIED), Filter::Ndp),
        };
        let udp = self.client.namespace.within(|| UdpSocket::bind((any, 0)))??;
        let (packets, mac) = self.client.listen(filter)?;
        Ok(Sockets { udp, packets, mac })
    }
}

impl Station {
    fn switch() -> Result<Self> {
        // Without its own noise the LAN is easier to watch.
        let switch = Self::new(false)?;
        switch.network.add_bridge(BRIDGE)?;
        Ok(switch)
    }

    fn new(ipv6: bool) -> Result<Self> {
        let namespace = Namespace::new().context("cannot create a network namespace")?;
        let network = namespace.network()?;
        for scope in ["all", "default"] {
            let set =
                |setting: &str, value| namespace.set_sysctl(&format!("ipv6/conf/{scope}/{setting}"), value);
            if ipv6 {
                set("disable_ipv6", "0").context(WRITABLE)?;
                // Addresses are usable at once: neither is their uniqueness checked, nor is a router looked for.
                set("accept_dad", "0").context(WRITABLE)?;
                set("accept_ra", "0").context(WRITABLE)?;
            } else {
                // Not all kernels have IPv6 at all.
                let _absent = set("disable_ipv6", "1");
            }
        }
        network.set_up(LOOPBACK)?;
        Ok(Self { namespace: Arc::new(namespace), network })
    }

    /// Joins `eth0` to a port of the switch; `number` is where its Ethernet address ends as well.
    fn plug_in(&self, switch: &Self, port: &str, number: Ipv4Addr, addresses: &[IpAddr]) -> Result<Mac> {
        let mac = [0x02, 0, 0, 0, 0, number.octets()[3]];
        switch.network.add_veth(port, &self.namespace, LINK)?;
        switch.network.set_bridge(port, Some(BRIDGE))?;
        self.network.set_mac(LINK, mac)?;
        switch.network.set_up(port)?;
        self.network.set_up(LINK)?;
        for address in addresses {
            let length = on_link(*address).prefix_len();
            self.network.add_address(LINK, IpNet::new_assert(*address, length))?;
        }
        Ok(mac)
    }

    /// The number and the Ethernet address of its link.
    pub(crate) fn link(&self) -> Result<(LinkIndex, Mac)> {
        let (index, link) = self.network.link(LINK)?;
        Ok((index, link.mac))
    }

    /// A packet socket on its link, and the link's Ethernet address.
    pub(crate) fn listen(&self, filter: Filter) -> Result<(BlockingPacketSocket, Mac)> {
        let (index, mac) = self.link()?;
        Ok((self.namespace.within(|| BlockingPacketSocket::open(index, filter))??, mac))
    }
}

impl Node {
    fn all(names: &[String], switch: &Station, gateways: &[IpAddr]) -> Result<Vec<Self>> {
        names.iter().enumerate().map(|(index, name)| Self::new(index, name, switch, gateways)).collect()
    }

    /// With one gateway of each family that it has.
    fn new(index: usize, name: &str, switch: &Station, gateways: &[IpAddr]) -> Result<Self> {
        let ipv6 = gateways.iter().any(IpAddr::is_ipv6);
        let station = Station::new(ipv6)?;
        // The addresses of Services will be on the loopback interface; answering for them is the speaker's part.
        for (setting, value) in [("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "0")] {
            // IPv6 needs none: a host answers only for addresses of the link that it is asked on.
            station.namespace.set_sysctl(&format!("ipv4/conf/all/{setting}"), value).context(WRITABLE)?;
        }
        let port = format!("port{}", index + 1);
        let addresses = plan::node_addresses(index, ipv6);
        let mac = station.plug_in(switch, &port, plan::node_address(index), &addresses)?;
        for gateway in gateways {
            station.network.add_route(everywhere(*gateway), *gateway)?;
        }
        let (responder, run) = Responder::new(name.to_owned());
        let namespace = Arc::clone(&station.namespace);
        thread::Builder::new().name(format!("responder {name}")).spawn(move || namespace.within(run))?;
        Ok(Self { name: name.to_owned(), port, mac, station, responder, served: BTreeSet::new() })
    }

    fn serve(&mut self, addresses: &BTreeSet<IpAddr>, targets: &[Target]) -> Result<()> {
        let network_of = |address: &IpAddr| IpNet::from(*address);
        for address in addresses.difference(&self.served) {
            self.station.network.add_address(LOOPBACK, network_of(address))?;
        }
        self.responder.serve(targets.to_vec()).with_context(|| format!("the responder of {}", self.name))?;
        for address in self.served.difference(addresses) {
            self.station.network.delete_address(LOOPBACK, network_of(address))?;
        }
        self.served.clone_from(addresses);
        Ok(())
    }
}

impl fmt::Display for MacText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The destination of a default route in the family of its gateway.
fn everywhere(gateway: IpAddr) -> IpNet {
    IpNet::new_assert(gateway, 0).trunc()
}

/// The prefix of an address that the client takes for its own network.
fn on_link(address: IpAddr) -> IpNet {
    let length = if address.is_ipv4() { plan::PREFIX } else { plan::PREFIX_V6 };
    IpNet::new_assert(address, length).trunc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_link() {
        let on_link = |text: &str| on_link(text.parse().unwrap()).to_string();
        assert_eq!(on_link("192.168.42.200"), "192.168.42.0/24");
        assert_eq!(on_link("fd00:42::200"), "fd00:42::/64");
    }

    #[test]
    fn ethernet_addresses_as_everybody_writes_them() {
        assert_eq!(MacText([2, 0, 0, 0xab, 0, 11]).to_string(), "02:00:00:ab:00:0b");
    }
}
