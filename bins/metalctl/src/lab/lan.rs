//! The LAN: a switch, the nodes and a client, each in a network namespace of its own.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result};
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

/// The whole LAN. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Lan {
    /// The nodes.
    pub(crate) nodes: Vec<Node>,
    /// The client.
    pub(crate) client: Station,
    /// The switch.
    pub(crate) switch: Station,
    /// Prefixes, by their first three octets, in which the client has an address.
    prefixes: BTreeSet<[u8; 3]>,
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
    served: BTreeSet<Ipv4Addr>,
}

/// An Ethernet address for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MacText(pub(crate) Mac);

impl Lan {
    /// Builds it.
    pub(crate) fn build(names: &[String]) -> Result<Self> {
        let switch = Station::new()?;
        switch.network.add_bridge(BRIDGE)?;
        let client = Station::new()?;
        client.plug_in(&switch, "client", plan::CLIENT)?;
        let nodes = names.iter().enumerate().map(|(index, name)| Node::new(index, name, &switch));
        let nodes = nodes.collect::<Result<Vec<_>>>()?;
        Ok(Self { nodes, client, switch, prefixes: BTreeSet::from([first_three(plan::CLIENT)]) })
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
        let addresses: BTreeSet<Ipv4Addr> = targets.iter().map(|target| *target.address().ip()).collect();
        for address in &addresses {
            self.reach(*address, &addresses)?;
        }
        self.nodes.iter_mut().try_for_each(|node| node.serve(&addresses, targets))
    }

    /// Makes an address on-link for the client, also outside of the LAN's own prefix.
    fn reach(&mut self, address: Ipv4Addr, taken: &BTreeSet<Ipv4Addr>) -> Result<()> {
        let [a, b, c, _] = address.octets();
        if !self.prefixes.insert([a, b, c]) {
            return Ok(());
        }
        let mut hosts = [1, 254, 253, 252].into_iter().map(|host| Ipv4Addr::new(a, b, c, host));
        let own = hosts.find(|host| !taken.contains(host)).context("no free address for the client")?;
        Ok(self.client.network.add_address(LINK, network(own, plan::PREFIX))?)
    }

    /// The sockets of the probes.
    pub(crate) fn probe_sockets(&self) -> Result<Sockets> {
        let udp = self.client.namespace.within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))??;
        let (arp, mac) = self.client.listen(Filter::Arp)?;
        Ok(Sockets { udp, arp, mac })
    }
}

impl Station {
    fn new() -> Result<Self> {
        let namespace = Namespace::new().context("cannot create a network namespace")?;
        let network = namespace.network()?;
        // Without its own noise the LAN is easier to watch. Not all kernels have IPv6 at all.
        for scope in ["all", "default"] {
            let _absent = namespace.set_sysctl(&format!("ipv6/conf/{scope}/disable_ipv6"), "1");
        }
        network.set_up(LOOPBACK)?;
        Ok(Self { namespace: Arc::new(namespace), network })
    }

    /// Joins `eth0` to a port of the switch.
    fn plug_in(&self, switch: &Self, port: &str, address: Ipv4Addr) -> Result<Mac> {
        let mac = [0x02, 0, 0, 0, 0, address.octets()[3]];
        switch.network.add_veth(port, &self.namespace, LINK)?;
        switch.network.set_bridge(port, Some(BRIDGE))?;
        self.network.set_mac(LINK, mac)?;
        self.network.add_address(LINK, network(address, plan::PREFIX))?;
        switch.network.set_up(port)?;
        self.network.set_up(LINK)?;
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
    fn new(index: usize, name: &str, switch: &Station) -> Result<Self> {
        let station = Station::new()?;
        // The addresses of Services will be on the loopback interface; answering for them is the speaker's part.
        for (setting, value) in [("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "0")] {
            station.namespace.set_sysctl(&format!("ipv4/conf/all/{setting}"), value).context(
                "the nodes must not answer ARP by themselves; run the lab where /proc/sys is writable",
            )?;
        }
        let port = format!("port{}", index + 1);
        let mac = station.plug_in(switch, &port, plan::node_address(index))?;
        station.network.add_route(network(Ipv4Addr::UNSPECIFIED, 0), IpAddr::V4(plan::CLIENT))?;
        let (responder, run) = Responder::new(name.to_owned());
        let namespace = Arc::clone(&station.namespace);
        thread::Builder::new().name(format!("responder {name}")).spawn(move || namespace.within(run))?;
        Ok(Self { name: name.to_owned(), port, mac, station, responder, served: BTreeSet::new() })
    }

    fn serve(&mut self, addresses: &BTreeSet<Ipv4Addr>, targets: &[Target]) -> Result<()> {
        let network_of = |address: &Ipv4Addr| network(*address, 32);
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

fn network(address: Ipv4Addr, length: u8) -> ipnet::IpNet {
    ipnet::IpNet::new_assert(address.into(), length)
}

fn first_three(address: Ipv4Addr) -> [u8; 3] {
    let [a, b, c, _] = address.octets();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_addresses_as_everybody_writes_them() {
        assert_eq!(MacText([2, 0, 0, 0xab, 0, 11]).to_string(), "02:00:00:ab:00:0b");
    }
}
