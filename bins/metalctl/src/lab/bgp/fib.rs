//! The routes that the lab itself puts into the router's kernel, for who has no way of his own.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use metal_net::{Network, NetworkError};

/// Who has announced which prefixes through which next hop, and what the kernel was told of it.
#[derive(Debug)]
pub(super) struct Fib {
    network: Network,
    heard: BTreeMap<(Peer, IpNet), IpAddr>,
    installed: BTreeMap<IpNet, BTreeSet<IpAddr>>,
}

/// A session, by a name or number of whoever has it.
pub(super) type Peer = String;

impl Fib {
    /// Of the network namespace that `network` is of.
    pub(super) fn new(network: Network) -> Self {
        Self { network, heard: BTreeMap::new(), installed: BTreeMap::new() }
    }

    /// A peer has announced a prefix through a next hop, or (`None`) withdrawn it.
    pub(super) fn hear(&mut self, peer: &str, prefix: IpNet, next_hop: Option<IpAddr>) {
        let key = (peer.to_owned(), prefix);
        match next_hop {
            Some(next_hop) => self.heard.insert(key, next_hop),
            None => self.heard.remove(&key),
        };
    }

    /// The session with a peer is over: what it has announced is gone.
    pub(super) fn forget(&mut self, peer: &str) {
        self.heard.retain(|(other, _), _| other != peer);
    }

    /// These are all that there are.
    pub(super) fn replace(&mut self, all: BTreeMap<(Peer, IpNet), IpAddr>) {
        self.heard = all;
    }

    /// Tells the kernel what has changed: every route is through all of its next hops.
    pub(super) fn install(&mut self) -> Result<(), NetworkError> {
        let wanted = wanted(&self.heard);
        let none = BTreeSet::new();
        let prefixes: BTreeSet<IpNet> = wanted.keys().chain(self.installed.keys()).copied().collect();
        for prefix in prefixes {
            let next_hops = wanted.get(&prefix).unwrap_or(&none);
            if self.installed.get(&prefix).unwrap_or(&none) != next_hops {
                self.network.set_route(prefix, next_hops)?;
            }
        }
        self.installed = wanted;
        Ok(())
    }
}

fn wanted(heard: &BTreeMap<(Peer, IpNet), IpAddr>) -> BTreeMap<IpNet, BTreeSet<IpAddr>> {
    let mut wanted = BTreeMap::<IpNet, BTreeSet<IpAddr>>::new();
    for ((_, prefix), next_hop) in heard {
        wanted.entry(*prefix).or_default().insert(*next_hop);
    }
    wanted
}
