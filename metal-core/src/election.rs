//! MetalLB's order: which node answers for an address when several can.

use alloc::string::ToString;
use core::{cmp::Ordering, net::IpAddr};

use sha2::{Digest, Sha256};

/// Where a node stands in line for an address: lower is earlier.
///
/// The higher score goes first, equal scores by ascending SHA-256 of `node#address`. That is how MetalLB
/// chooses, so the same nodes and addresses have the same owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// The sum of the weights of all `preferredNodeSelectors` that match the node.
    pub score: u64,
    /// SHA-256 of `node#address`.
    pub hash: [u8; 32],
}

impl Rank {
    /// The rank of `node` for `address`.
    #[must_use]
    pub fn new(node: &str, address: IpAddr, score: u64) -> Self {
        Self { score, hash: hash(node, address) }
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.cmp(&self.score).then_with(|| self.hash.cmp(&other.hash))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// SHA-256 of `node#address`, the address in its canonical text.
#[must_use]
pub fn hash(node: &str, address: IpAddr) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(node.as_bytes());
    hash.update(b"#");
    hash.update(address.to_string().as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn line(nodes: &[&'static str], address: &str, score: impl Fn(&str) -> u64) -> Vec<&'static str> {
        let address = address.parse().unwrap();
        let mut nodes = nodes.to_vec();
        nodes.sort_by_key(|node| Rank::new(node, address, score(node)));
        nodes
    }

    #[test]
    fn the_same_order_as_metallb() {
        let table: &[(&[&str], &str, &[&str])] = &[
            (&["iris1", "iris2"], "10.20.30.1", &["iris2", "iris1"]),
            (&["iris1", "iris2"], "10.20.30.2", &["iris1", "iris2"]),
            (&["node-a", "node-b", "node-c"], "192.168.1.240", &["node-a", "node-c", "node-b"]),
            (&["node-a", "node-b", "node-c"], "192.168.1.241", &["node-c", "node-a", "node-b"]),
            (&["node-a", "node-b", "node-c"], "2001:db8::1", &["node-b", "node-a", "node-c"]),
            (&["edge-a", "edge-b", "worker-a"], "10.20.30.1", &["edge-b", "worker-a", "edge-a"]),
            (&["worker-a", "worker-b"], "10.20.30.1", &["worker-a", "worker-b"]),
            (&["node-a", "node-b", "node-c"], "10.0.0.1", &["node-b", "node-a", "node-c"]),
            (&["node-a", "node-b", "node-c"], "10.0.0.2", &["node-b", "node-c", "node-a"]),
            (&["node-a", "node-b"], "10.20.30.1", &["node-b", "node-a"]),
        ];
        for (nodes, address, expected) in table {
            assert_eq!(line(nodes, address, |_| 0), *expected, "{address}");
        }
    }

    #[test]
    fn the_higher_score_goes_first() {
        let nodes = ["node-a", "node-b", "node-c"];
        assert_eq!(
            line(&nodes, "10.0.0.1", |node| if node == "node-c" { 100 } else { 0 }),
            ["node-c", "node-b", "node-a"]
        );
    }
}
