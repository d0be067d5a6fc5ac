//! Each rule of giving out addresses by its name.

mod kept;
mod model;
pub(crate) mod naive;
mod pools;
mod reasons;
mod requests;
mod sharing;

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use super::*;
use crate::{
    config::{Pool, Reservation},
    reason::Reason,
    request::Request,
    selector::Labels,
    sharing::{Backend, Port, Protocol, Sharing},
    view::{
        Family::V4,
        FamilyPolicy::{self, SingleStack},
    },
};

fn range(text: &str) -> AddressRange {
    AddressRange::parse_lenient(text).unwrap()
}

fn pool(name: &str, ranges: &[&str]) -> Pool {
    Pool::new(name, ranges.iter().map(|text| range(text)).collect())
}

fn ipam(pools: impl IntoIterator<Item = Pool>) -> Ipam {
    let mut ipam = Ipam::new();
    for pool in pools {
        ipam.set_pool(pool.into()).unwrap();
    }
    ipam
}

fn at(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

fn labels(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

fn tcp(number: u16) -> Port {
    Port { protocol: Protocol::Tcp, number }
}

/// Shares by `key`, with policy Cluster.
fn shares(key: &str, ports: &[u16]) -> Option<Sharing> {
    Sharing::new(key, Backend::Anywhere, ports.iter().map(|number| tcp(*number)))
}

fn count(ipam: &Ipam, pool: &str) -> (u128, u128) {
    let count = ipam.count(&pool.into(), V4).unwrap();
    (count.assigned, count.available)
}

/// A Service that wants addresses.
pub(crate) struct Wish {
    pub(crate) owner: ObjectKey,
    pub(crate) labels: Labels,
    pub(crate) namespace_labels: Labels,
    pub(crate) sharing: Option<Sharing>,
    pub(crate) has: Vec<IpAddr>,
    pub(crate) families: Vec<Family>,
    pub(crate) policy: FamilyPolicy,
    pub(crate) request: Request,
}

fn wish(name: &str) -> Wish {
    Wish {
        owner: key(name),
        labels: Labels::new(),
        namespace_labels: Labels::new(),
        sharing: None,
        has: Vec::new(),
        families: vec![V4],
        policy: SingleStack,
        request: Request::default(),
    }
}

impl Wish {
    fn of(mut self, namespace: &str) -> Self {
        self.owner.namespace = namespace.into();
        self
    }

    fn labelled(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    fn families(mut self, families: &[Family], policy: FamilyPolicy) -> Self {
        (self.families, self.policy) = (families.to_vec(), policy);
        self
    }

    fn in_pool(mut self, pool: &str) -> Self {
        self.request.pool = Some(pool.into());
        self
    }

    /// Asks for addresses, or for ends of addresses.
    fn addresses(mut self, addresses: &str) -> Self {
        self.request.addresses = Request::parse(Some(addresses), None, None).unwrap().addresses;
        self
    }

    fn sharing(mut self, key: &str, ports: &[u16]) -> Self {
        self.sharing = shares(key, ports);
        self
    }

    fn has(mut self, addresses: &[&str]) -> Self {
        self.has = addresses.iter().map(|address| at(address)).collect();
        self
    }

    fn demand(&self) -> Demand<'_> {
        Demand {
            owner: &self.owner,
            labels: &self.labels,
            namespace_labels: &self.namespace_labels,
            sharing: self.sharing.as_ref(),
            has: &self.has,
            families: &self.families,
            policy: self.policy,
            request: &self.request,
        }
    }

    /// Allocates; each address and its pool as text, or the reason's code.
    fn get(&self, ipam: &mut Ipam) -> String {
        match ipam.allocate(&self.demand()) {
            Ok(grant) => {
                let both = grant.addresses.iter().zip(&grant.pools);
                let parts: Vec<_> = both.map(|(address, pool)| format!("{address} from {pool}")).collect();
                parts.join(", ")
            }
            Err(reason) => reason.code().into(),
        }
    }

    fn refused(&self, ipam: &Ipam) -> Reason {
        ipam.find(&self.demand()).unwrap_err()
    }

    /// Why it gets nothing, as users read it.
    fn complaint(&self, ipam: &Ipam) -> String {
        self.refused(ipam).to_string()
    }
}

/// Allocates for so many Services in turn.
fn take(ipam: &mut Ipam, services: usize) -> Vec<String> {
    (0..services).map(|number| wish(&format!("s{number}")).get(ipam)).collect()
}
