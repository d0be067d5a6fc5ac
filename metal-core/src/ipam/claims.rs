//! Addresses in use, and those that were.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Conflict, Demand, Grant, Ipam, Place, search};
use crate::{
    name::{ObjectKey, PoolName},
    net::AddressRange,
    reason::Reason,
    sharing::Sharing,
    view::Family,
};

/// How many addresses of a pool can be held for their former owners.
pub const MAX_HELD: usize = 256;

/// Addresses in use, and those that were.
impl Ipam {
    /// Looks for addresses; nothing changes.
    ///
    /// # Errors
    /// Why there are none.
    pub fn find(&self, demand: &Demand<'_>) -> Result<Grant, Reason> {
        search::find(self, demand)
    }

    /// Looks for addresses and claims them.
    ///
    /// # Errors
    /// Why there are none; nothing has changed then.
    pub fn allocate(&mut self, demand: &Demand<'_>) -> Result<Grant, Reason> {
        let grant = self.find(demand)?;
        for address in &grant.addresses {
            let claimed = self.claim(*address, demand.owner, demand.sharing);
            debug_assert_eq!(claimed, Ok(()), "what is granted can be had");
        }
        Ok(grant)
    }

    /// Gives `address` to `owner`, whether or not it lies in a pool and whoever it is kept for. Repeating it
    /// changes nothing but how the owner shares.
    ///
    /// Only the Services that have the address matter here, not the pool's rules: what Services have already
    /// is not taken from them because rules have changed.
    ///
    /// # Errors
    /// With whom the owner cannot share it; nothing has changed then.
    pub fn claim(
        &mut self,
        address: IpAddr,
        owner: &ObjectKey,
        sharing: Option<&Sharing>,
    ) -> Result<(), Conflict> {
        let place = self.ranges.get(address).map(|(_, place)| *place);
        let joined = self.users.join(address, owner, sharing, self.is_limited(place))?;
        self.drop_hold(address);
        let Some((id, index)) = place else {
            self.outside.insert(address);
            return Ok(());
        };
        let key = sharing.map(|sharing| &sharing.key);
        if key != joined.former_key.as_ref() {
            if let Some(key) = &joined.former_key {
                self.sharable.remove(key, (id, index), address);
            }
            if let Some(key) = key {
                self.sharable.insert(key, (id, index), address);
            }
        }
        if joined.is_first || joined.is_first_of_namespace {
            self.with_stock(id, |stock| {
                stock.joined(address, &owner.namespace, &joined);
                if joined.is_first {
                    stock.shelf_mut(Family::of(address)).mark(index, address, true);
                }
            });
        }
        Ok(())
    }

    /// Takes `address` from `owner`; says whether it had it.
    pub fn release(&mut self, address: IpAddr, owner: &ObjectKey) -> bool {
        let place = self.ranges.get(address).map(|(_, place)| *place);
        let Some(left) = self.users.leave(address, owner, self.is_limited(place)) else { return false };
        let Some((id, index)) = place else {
            if left.is_last {
                self.outside.remove(&address);
            }
            return true;
        };
        if let Some(key) = &left.former_key {
            self.sharable.remove(key, (id, index), address);
        }
        let busy = !left.is_last || self.avoided.contains(&address);
        self.with_stock(id, |stock| {
            stock.left(address, &owner.namespace, &left);
            if !busy {
                stock.shelf_mut(Family::of(address)).mark(index, address, false);
            }
        });
        true
    }

    /// Whether the pool there limits how much a namespace may have.
    fn is_limited(&self, place: Option<Place>) -> bool {
        let stock = place.and_then(|(id, _)| self.stocks.get(id));
        stock.is_some_and(|stock| stock.pool.max_per_namespace.is_some())
    }

    /// Who has `address`, by name; several when it is shared.
    pub fn owners(&self, address: IpAddr) -> impl Iterator<Item = &ObjectKey> {
        self.users.owners(address)
    }

    /// The addresses in use in a range and who has them, ascending.
    pub fn used_in(&self, range: AddressRange) -> impl Iterator<Item = (IpAddr, &ObjectKey)> {
        let inside = self.ranges.overlapping(range).filter_map(move |(own, (id, _))| {
            let part = own.overlap(&range)?;
            Some(self.stocks.get(*id)?.shelf(part.family()).busy_in(part))
        });
        let mut addresses: Vec<_> = inside.flatten().collect();
        addresses.extend(self.outside.range(range.first()..=range.last()));
        addresses.sort_unstable();
        addresses
            .into_iter()
            .flat_map(|address| self.users.owners(address).map(move |owner| (address, owner)))
    }

    /// Holds an address that nobody has for `owner`, who had it: only it may get it. Of more than
    /// [`MAX_HELD`] in a pool the oldest goes, which is the answer then. An address outside every pool is not
    /// held.
    pub fn hold(&mut self, address: IpAddr, owner: &ObjectKey) -> Option<IpAddr> {
        if self.users.is_used(address) {
            return None;
        }
        let (_, (id, _)) = self.ranges.get(address)?;
        let id = *id;
        self.drop_hold(address);
        let number = self.holds.insert(address, owner);
        let held = self.with_stock(id, |stock| {
            stock.held.insert(number, address);
            stock.held.len()
        });
        self.refresh(address);
        if held? <= MAX_HELD {
            return None;
        }
        let (_, oldest) = self.stocks.get(id)?.held.first_key_value()?;
        let oldest = *oldest;
        self.drop_hold(oldest);
        Some(oldest)
    }

    /// Holds an address no longer; says for whom it was.
    pub fn drop_hold(&mut self, address: IpAddr) -> Option<ObjectKey> {
        if self.holds.is_empty() {
            return None;
        }
        let (number, owner) = self.holds.remove(address)?;
        if let Some((_, (id, _))) = self.ranges.get(address) {
            let id = *id;
            self.with_stock(id, |stock| stock.held.remove(&number));
        }
        self.refresh(address);
        Some(owner)
    }

    /// For whom `address` is held.
    #[must_use]
    pub fn held_by(&self, address: IpAddr) -> Option<&ObjectKey> {
        self.holds.owner(address)
    }

    /// What is held of a pool and for whom, the oldest first.
    pub fn held(&self, pool: &PoolName) -> impl Iterator<Item = (IpAddr, &ObjectKey)> {
        let held = self.stocks.named(pool).into_iter().flat_map(|stock| stock.held.values());
        held.filter_map(|address| Some((*address, self.holds.owner(*address)?)))
    }
}
