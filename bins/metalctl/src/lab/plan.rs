//! Names and addresses of the LAN.

use std::net::Ipv4Addr;

/// How long the prefix of the LAN is.
pub(crate) const PREFIX: u8 = 24;
/// The client.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 42, 100);
/// The addresses that Services get.
pub(crate) const POOL: &str = "192.168.42.200-192.168.42.250";
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_count_from_one_and_eleven() {
        assert_eq!((node_name(0), node_address(0)), ("node1".to_owned(), Ipv4Addr::new(192, 168, 42, 11)));
        assert_eq!(node_address(63), Ipv4Addr::new(192, 168, 42, 74));
    }
}
