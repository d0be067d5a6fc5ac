//! The BGP identifier of a node that is configured with none.

use core::net::{IpAddr, Ipv4Addr};

use sha2::{Digest, Sha256};

use crate::{name::NodeName, view::Node};

/// The BGP identifier of a node: its first IPv4 address, else one that its name always makes.
///
/// That of the name is the address of some host (in 1.0.0.0 to 223.255.255.255, and not in 127.0.0.0/8): FRR refuses
/// others. A `routerID` that is configured comes before both.
#[must_use]
pub fn router_id(name: &NodeName, node: Option<&Node>) -> Ipv4Addr {
    let addresses = node.into_iter().flat_map(|node| &node.addresses);
    let mut own = addresses.filter_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    });
    own.find(|address| is_of_a_host(*address)).unwrap_or_else(|| of_name(name))
}

fn of_name(name: &NodeName) -> Ipv4Addr {
    let [first, second, third, fourth, ..]: [u8; 32] = Sha256::digest(name.as_str().as_bytes()).into();
    // 222 networks are left without 0, 127 and those from 224 on.
    let network = match first % 222 + 1 {
        network @ 127.. => network + 1,
        network => network,
    };
    Ipv4Addr::new(network, second, third, fourth)
}

const fn is_of_a_host(address: Ipv4Addr) -> bool {
    matches!(address.octets()[0], 1..=126 | 128..=223)
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn id(name: &str, addresses: &[&str]) -> Ipv4Addr {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        router_id(&name.into(), Some(&Node { addresses, ..Node::default() }))
    }

    #[test]
    fn the_first_ipv4_address_of_the_node_is_its_router_id() {
        let address = Ipv4Addr::new(10, 0, 0, 7);
        assert_eq!(id("n1", &["2001:db8::1", "10.0.0.7", "192.0.2.7"]), address);
        assert_eq!(id("n1", &["0.0.0.0", "127.0.0.1", "224.0.0.5", "10.0.0.7"]), address);
    }

    #[test]
    fn without_one_the_name_makes_it_always_the_same() {
        let made = router_id(&"n1".into(), None);
        assert_eq!(made, Ipv4Addr::new(104, 107, 139, 184), "it may never change: routers know us by it");
        assert_eq!(id("n1", &["2001:db8::1"]), made);
        assert_ne!(router_id(&"n2".into(), None), made);
    }

    #[test]
    fn thousands_of_nodes_have_different_ones() {
        let mut ids: Vec<_> =
            (0..5000).map(|index| router_id(&format!("node-{index}").into(), None)).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 5000);
    }

    proptest! {
        #[test]
        fn it_is_always_the_address_of_a_host(name in ".*", addresses in prop::collection::vec(any::<IpAddr>(), 0..4)) {
            let node = Node { addresses, ..Node::default() };
            prop_assert!(is_of_a_host(router_id(&name.into(), Some(&node))));
        }
    }
}
