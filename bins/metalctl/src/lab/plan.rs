//! Names and addresses of the LAN.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How long the prefix of the LAN is.
pub(crate) const PREFIX: u8 = 24;
/// The same of IPv6.
pub(crate) const PREFIX_V6: u8 = 64;
/// The client.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 42, 100);
/// The client by IPv6.
pub(crate) const CLIENT_V6: Ipv6Addr = v6(0x100);
/// The router, where there is one between the LAN and the client.
pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 42, 1);
/// The router on the client's side.
pub(crate) const ROUTER_OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 41, 1);
/// The client behind the router.
pub(crate) const CLIENT_OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 41, 100);
/// The addresses that Services get where a router routes them.
pub(crate) const POOL_ROUTED: &str = "198.51.100.1-198.51.100.50";
/// The AS of the nodes.
pub(crate) const NODE_AS: u32 = 64_512;
/// The AS of the router.
pub(crate) const ROUTER_AS: u32 = 64_513;
/// The hold time of BGP sessions in seconds: the shortest that there is.
pub(crate) const HOLD_TIME: u16 = 3;
/// The addresses that Services get.
pub(crate) const POOL: &str = "192.168.42.200-192.168.42.250";
/// The same of IPv6.
pub(crate) const POOL_V6: &str = "fd00:42::200-fd00:42::250";
/// The lab's own Services and their ports.
pub(crate) const SERVICES: [(&str, u16); 2] = [("web", 80), ("web-2", 8080)];
/// Where every responder echoes datagrams: the port of the Echo Protocol (RFC 862).
pub(crate) const ECHO_PORT: u16 = 7;

/// The name of a node, counted from 0.
pub(crate) fn node_name(index: usize) -> String {
    format!("node{}", index + 1)
}

/// The address of a node, counted from 0.
pub(crate) fn node_address(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 42, u8::try_from(index + 11).unwrap_or(u8::MAX))
}

/// The IPv6 address of a node, counted from 0. It ends with the same digits as the other.
pub(crate) fn node_address_v6(index: usize) -> Ipv6Addr {
    let last = node_address(index).octets()[3].to_string();
    v6(u16::from_str_radix(&last, 16).unwrap_or_default())
}

/// The addresses of a node in the families that the LAN has.
pub(crate) fn node_addresses(index: usize, ipv6: bool) -> Vec<IpAddr> {
    let v6 = ipv6.then(|| IpAddr::from(node_address_v6(index)));
    [IpAddr::from(node_address(index))].into_iter().chain(v6).collect()
}

const fn v6(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_count_from_one_and_eleven() {
        assert_eq!((node_name(0), node_address(0)), ("node1".to_owned(), Ipv4Addr::new(192, 168, 42, 11)));
        assert_eq!(node_address(63), Ipv4Addr::new(192, 168, 42, 74));
        assert_eq!(node_address_v6(0).to_string(), "fd00:42::11");
        assert_eq!(node_address_v6(63).to_string(), "fd00:42::74");
        assert_eq!((node_addresses(0, true).len(), node_addresses(0, false).len()), (2, 1));
    }
}
