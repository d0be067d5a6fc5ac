//! What this node knows of the networks it is in.

use std::collections::BTreeMap;

use ipnet::IpNet;
use metal_core::{
    speaker::takes_part,
    view::{Gateway, Link, LinkIndex},
};
use metal_k8s::crd::NodeNetwork;
use metal_net::Gateways;

/// The interfaces that addresses may be announced on, and the routers behind them, as they were told last.
#[derive(Default)]
pub(crate) struct Networks {
    links: BTreeMap<LinkIndex, Link>,
    are_links_known: bool,
    gateways: Option<Gateways>,
    told_gateways: Vec<Gateway>,
    reported: Option<Vec<NodeNetwork>>,
}

impl Networks {
    /// An interface as it is now; `None` when it is gone.
    pub(crate) fn link(&mut self, index: LinkIndex, link: Option<&Link>) {
        match link {
            Some(link) => drop(self.links.insert(index, link.clone())),
            None => drop(self.links.remove(&index)),
        }
    }

    /// All interfaces have been told.
    pub(crate) fn links_known(&mut self) {
        self.are_links_known = true;
    }

    /// The gateways as they are now.
    pub(crate) fn gateways(&mut self, gateways: Gateways) {
        self.gateways = Some(gateways);
    }

    /// The gateways with the names of their interfaces, if those are known and not as they were told before.
    pub(crate) fn news_of_gateways(&mut self) -> Option<Vec<Gateway>> {
        let gateways = self.gateways.as_ref().filter(|_| self.are_links_known)?;
        let named = gateways.iter().filter_map(|(index, address)| {
            let interface = self.links.get(index)?.name.clone();
            Some(Gateway { address: *address, interface })
        });
        let named: Vec<_> = named.collect();
        if self.told_gateways == named {
            return None;
        }
        self.told_gateways.clone_from(&named);
        Some(named)
    }

    /// What is to be said, if all is known and it is something else than before.
    pub(crate) fn report(&mut self) -> Option<Vec<NodeNetwork>> {
        let gateways = self.gateways.as_ref().filter(|_| self.are_links_known)?;
        let mut networks: Vec<_> = self.links.iter().filter_map(|link| network(link, gateways)).collect();
        networks.sort_by(|one, other| one.interface.cmp(&other.interface));
        if self.reported.as_ref() == Some(&networks) {
            return None;
        }
        self.reported = Some(networks.clone());
        Some(networks)
    }
}

/// What one interface says, unless nothing is announced there. One that has lost its carrier for a while is in the same
/// network as before.
fn network((index, link): (&LinkIndex, &Link), gateways: &Gateways) -> Option<NodeNetwork> {
    let running = Link { carrier: true, ..link.clone() };
    if takes_part(&running).is_err() {
        return None;
    }
    // Link-local addresses are never those of Services, and a prefix of one address is no network.
    let prefixes = || link.prefixes.iter().filter(|prefix| !is_link_local(prefix));
    let mut subnets: Vec<String> = prefixes()
        .filter(|prefix| prefix.prefix_len() < prefix.max_prefix_len())
        .map(|prefix| prefix.trunc().to_string())
        .collect();
    subnets.dedup();
    let through = gateways.iter().filter(|(through, _)| through == index);
    let network = NodeNetwork {
        interface: link.name.clone(),
        addresses: prefixes().map(|prefix| prefix.addr().to_string()).collect(),
        subnets,
        gateways: through.map(|(_, gateway)| gateway.to_string()).collect(),
    };
    let is_empty = network.addresses.is_empty() && network.gateways.is_empty();
    (!is_empty).then_some(network)
}

fn is_link_local(prefix: &IpNet) -> bool {
    match prefix {
        IpNet::V4(prefix) => prefix.addr().is_link_local(),
        IpNet::V6(prefix) => prefix.addr().is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, prefixes: &[&str]) -> Link {
        Link {
            name: name.into(),
            mac: [2, 0, 0, 0, 0, 1],
            up: true,
            carrier: true,
            broadcast: true,
            arp: true,
            enslaved: false,
            prefixes: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn nothing_is_said_before_all_is_known_and_nothing_twice() {
        let mut networks = Networks::default();
        networks
            .link(2, Some(&link("eth0", &["192.0.2.7/24", "192.0.2.8/24", "198.51.100.1/32", "fe80::1/64"])));
        networks.link(3, Some(&link("br0", &[])));
        networks.link(4, Some(&Link { enslaved: true, ..link("eth1", &["203.0.113.1/24"]) }));
        assert_eq!(networks.report(), None);
        networks.links_known();
        assert_eq!(networks.report(), None);
        networks.gateways([(2, "192.0.2.1".parse().unwrap()), (9, "203.0.113.9".parse().unwrap())].into());
        let mut said = NodeNetwork {
            interface: "eth0".into(),
            addresses: vec!["192.0.2.7".into(), "192.0.2.8".into(), "198.51.100.1".into()],
            subnets: vec!["192.0.2.0/24".into()],
            gateways: vec!["192.0.2.1".into()],
        };
        assert_eq!(networks.report(), Some(vec![said.clone()]));
        networks.link(
            2,
            Some(&Link {
                carrier: false,
                ..link("eth0", &["192.0.2.7/24", "192.0.2.8/24", "198.51.100.1/32"])
            }),
        );
        assert_eq!(networks.report(), None, "the network is the same without carrier");
        networks.gateways(Gateways::new());
        said.gateways.clear();
        assert_eq!(networks.report(), Some(vec![said]));
        networks.link(2, None);
        assert_eq!(networks.report(), Some(vec![]));
    }
}
