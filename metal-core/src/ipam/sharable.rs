//! Which addresses can be shared, by key.

use alloc::{collections::BTreeSet, sync::Arc};
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use super::{Place, stock::StockId};
use crate::view::Family;

/// Addresses in pools that can be shared, by key, in the order of the pool. Two sets, so that IPv4 addresses take
/// no more room than they need.
#[derive(Clone, Debug, Default)]
pub(super) struct Sharable {
    v4: BTreeSet<Entry<Ipv4Addr>>,
    v6: BTreeSet<Entry<Ipv6Addr>>,
}

/// A key, and the place of an address that can be shared by it.
type Entry<A> = (Arc<str>, StockId, u32, A);

/// The entries of a key in a pool.
fn within<A>(key: &Arc<str>, id: StockId, first: A, last: A) -> RangeInclusive<Entry<A>> {
    (key.clone(), id, 0, first)..=(key.clone(), id, u32::MAX, last)
}

impl Sharable {
    pub(super) fn insert(&mut self, key: &Arc<str>, (id, index): Place, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.v4.insert((key.clone(), id, index, address)),
            IpAddr::V6(address) => self.v6.insert((key.clone(), id, index, address)),
        };
    }

    pub(super) fn remove(&mut self, key: &Arc<str>, (id, index): Place, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.v4.remove(&(key.clone(), id, index, address)),
            IpAddr::V6(address) => self.v6.remove(&(key.clone(), id, index, address)),
        };
    }

    /// The addresses of a family in a pool that can be shared by `key`, in their order.
    pub(super) fn within(
        &self,
        key: &Arc<str>,
        id: StockId,
        family: Family,
    ) -> impl Iterator<Item = IpAddr> + use<'_> {
        let v4 = (family == Family::V4)
            .then(|| self.v4.range(within(key, id, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST)));
        let v6 = (family == Family::V6)
            .then(|| self.v6.range(within(key, id, Ipv6Addr::UNSPECIFIED, Ipv6Addr::from([0xff; 16]))));
        let v4 = v4.into_iter().flatten().map(|(.., address)| IpAddr::V4(*address));
        v4.chain(v6.into_iter().flatten().map(|(.., address)| IpAddr::V6(*address)))
    }

    /// The first pool, from a number on, that has addresses that can be shared by `key`.
    pub(super) fn pool_from(&self, key: &Arc<str>, id: StockId) -> Option<StockId> {
        fn first<A: Ord>(entries: &BTreeSet<Entry<A>>, start: Entry<A>) -> Option<StockId> {
            let key = start.0.clone();
            let (found, id, ..) = entries.range(start..).next()?;
            (*found == key).then_some(*id)
        }
        let v4 = first(&self.v4, (key.clone(), id, 0, Ipv4Addr::UNSPECIFIED));
        let v6 = first(&self.v6, (key.clone(), id, 0, Ipv6Addr::UNSPECIFIED));
        v4.into_iter().chain(v6).min()
    }
}
