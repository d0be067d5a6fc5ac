//! Who has which address: a library of its own, without Kubernetes and without time.
//!
//! ```
//! use metal_core::{config::Pool, ipam::{Demand, Ipam}, name::ObjectKey, request::Request};
//! use metal_core::{selector::Labels, view::{Family, FamilyPolicy}};
//!
//! let mut ipam = Ipam::new();
//! let range = "192.0.2.1-192.0.2.2".parse().unwrap();
//! ipam.set_pool(Pool::new("first", vec![range]).into()).unwrap();
//!
//! let owner = ObjectKey::new("default", "web");
//! let web = Demand {
//!     owner: &owner,
//!     labels: &Labels::new(),
//!     namespace_labels: &Labels::new(),
//!     sharing: None,
//!     has: &[],
//!     families: &[Family::V4],
//!     policy: FamilyPolicy::SingleStack,
//!     request: &Request::default(),
//! };
//! let grant = ipam.allocate(&web).unwrap();
//! assert_eq!(grant.addresses[0].to_string(), "192.0.2.1");
//! assert_eq!(grant.pools[0].as_str(), "first");
//!
//! // Services with the same key and different ports share an address.
//! use metal_core::sharing::{Backend, Port, Protocol, Sharing};
//! let port = |number| [Port { protocol: Protocol::Udp, number }];
//! let sharing = Sharing::new("dns", Backend::Anywhere, port(53)).unwrap();
//! let grant = ipam.allocate(&Demand { sharing: Some(&sharing), ..web }).unwrap();
//! assert_eq!(grant.addresses[0].to_string(), "192.0.2.2");
//! let other = ObjectKey::new("default", "other");
//! let sharing = Sharing::new("dns", Backend::Anywhere, port(853)).unwrap();
//! let beside = Demand { owner: &other, sharing: Some(&sharing), ..web };
//! assert_eq!(ipam.allocate(&beside).unwrap(), grant);
//! assert_eq!(ipam.owners(grant.addresses[0]).count(), 2);
//!
//! // Who gets nothing is told why.
//! let alone = Demand { owner: &other, ..web };
//! let reason = ipam.find(&alone).unwrap_err();
//! assert_eq!(reason.code(), "PoolExhausted");
//! assert_eq!(reason.to_string(), "no address is free: pool first has 0 of 2 IPv4 addresses free");
//!
//! // What a Service had can be held for it.
//! let first = "192.0.2.1".parse().unwrap();
//! ipam.release(first, &owner);
//! ipam.hold(first, &owner);
//! let request = Request::parse(Some("192.0.2.1"), None, None).unwrap();
//! let reason = ipam.find(&Demand { request: &request, ..alone }).unwrap_err();
//! assert_eq!(reason.to_string(), "the address 192.0.2.1 is kept for default/web, which had it (reuseDelay)");
//! assert_eq!(ipam.allocate(&web).unwrap().addresses, [first]);
//! ```
//!
//! What keeps an address from whom:
//!
//! | | given out by itself | given on request | counts as available |
//! | --- | --- | --- | --- |
//! | in use | to those that share it | to those that share it | no |
//! | excluded, or left alone because of how it ends | no | no | it is no part of the pool |
//! | [reserved](Ipam::set_reservation) | to those that it is for | to those that it is for | yes |
//! | [held](Ipam::hold) for its former owner | to that one | to that one | yes |
//! | [kept by the network](Ipam::avoid) | no, not even to share | yes | yes |
//!
//! What a Service has is never taken from it: pools, reservations and limits only decide about what is given
//! out next.
//!
//! Every operation takes logarithmic time in the number of addresses, ranges and pools. Exceptions: changing
//! the ranges of a pool takes time in proportion to its addresses in use, and saying why nothing is free in
//! proportion to the number of pools; an end of an address, such as `.10`, is looked for among the addresses
//! that end so, and an address to share among those with the same key.

mod bits;
mod claims;
mod explain;
mod keep;
mod permit;
mod pools;
mod search;
mod sharable;
mod shelf;
mod stock;
#[cfg(test)]
pub(crate) mod tests;
mod tier;
mod trigger;
mod users;

use alloc::{collections::BTreeSet, vec::Vec};
use core::net::IpAddr;

pub use claims::MAX_HELD;
pub use search::{Demand, Grant};

use crate::{
    config::ObjectRef,
    name::{ObjectKey, PoolName},
    net::{AddressRange, RangeMap},
    sharing::SharingProblem,
    view::Family,
};
use keep::{Holds, Reservations};
use sharable::Sharable;
use stock::{Stock, StockId, Stocks};
use tier::Tiers;
use users::Users;

/// The addresses in use, and the pools that free ones come from.
#[derive(Clone, Debug, Default)]
pub struct Ipam {
    stocks: Stocks,
    /// Each range of each pool, with its place in the pool.
    ranges: RangeMap<Place>,
    tiers: Tiers,
    users: Users,
    /// Addresses in use outside every pool.
    outside: BTreeSet<IpAddr>,
    sharable: Sharable,
    reservations: Reservations,
    holds: Holds,
    /// What the network uses itself.
    avoided: BTreeSet<IpAddr>,
}

/// A pool, and the place of a range in it.
type Place = (StockId, u32);

/// The counters of a pool, saturating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// IPv4 addresses in use.
    pub assigned_v4: u64,
    /// IPv6 addresses in use.
    pub assigned_v6: u64,
    /// IPv4 addresses that are free.
    pub available_v4: u64,
    /// IPv6 addresses that are free.
    pub available_v6: u64,
}

/// The counters of a pool for one family, exact (but for `::/0`, which has one address more than fits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many addresses it can give out at all: without those that are excluded, or left alone because of
    /// how they end.
    pub capacity: u128,
    /// How many addresses in its ranges are in use; one that is shared counts once.
    pub assigned: u128,
    /// How many of its capacity nobody uses, also those that are reserved, held, or kept by the network.
    pub available: u128,
}

/// An address cannot be claimed because another Service has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// That Service.
    pub by: ObjectKey,
    /// What keeps the two from sharing it.
    pub problem: SharingProblem,
}

/// A pool cannot be taken because another one has some of its addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{range} belongs to pool {pool} already")]
pub struct Overlap {
    /// The addresses that both have.
    pub range: AddressRange,
    /// The pool that has them.
    pub pool: PoolName,
}

/// A reservation cannot be taken because another one has some of its addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{range} is reserved by {object} already")]
pub struct ReservedTwice {
    /// The addresses that both have.
    pub range: AddressRange,
    /// The reservation that has them.
    pub object: ObjectRef,
}

impl Ipam {
    /// No pools, nothing in use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where `address` lies.
    fn place(&self, address: IpAddr) -> Option<(u32, &Stock)> {
        let (_, (id, index)) = self.ranges.get(address)?;
        Some((*index, self.stocks.get(*id)?))
    }

    /// Changes the stocks that have addresses of `range`: in which of their ranges, and which part.
    fn with_stocks(&mut self, range: AddressRange, mut change: impl FnMut(&mut Stock, u32, AddressRange)) {
        let places: Vec<_> = self
            .ranges
            .overlapping(range)
            .filter_map(|(own, place)| Some((own.overlap(&range)?, *place)))
            .collect();
        for (part, (id, index)) in places {
            self.with_stock(id, |stock| change(stock, index, part));
        }
    }

    /// Changes a stock, and with it the order in which pools are tried.
    fn with_stock<T>(&mut self, id: StockId, change: impl FnOnce(&mut Stock) -> T) -> Option<T> {
        let stock = self.stocks.get_mut(id)?;
        let before = stock.offers();
        let result = change(stock);
        self.tiers.update(&stock.pool, id, before, stock.offers());
        Some(result)
    }

    /// Looks again whether `address` is kept away from automatic allocation.
    fn refresh(&mut self, address: IpAddr) {
        let Some((_, (id, index))) = self.ranges.get(address) else { return };
        let (id, index) = (*id, *index);
        let busy = self.users.is_used(address)
            || self.holds.owner(address).is_some()
            || self.avoided.contains(&address);
        self.with_stock(id, |stock| stock.shelf_mut(Family::of(address)).mark(index, address, busy));
    }
}
