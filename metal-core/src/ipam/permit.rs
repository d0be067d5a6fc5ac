//! What a Service may have: what it can share, what is kept for it, and how much its namespace may have.

use core::net::IpAddr;

use super::{
    explain::forbids,
    search::{Demand, Pick, Picks, Search},
    stock::{Stock, StockId},
};
use crate::{
    config::SharingPolicy, name::ObjectKey, net::AddressRange, reason::Claim, request::HostPart,
    sharing::SharingProblem, view::Family,
};

impl<'a> Search<'a> {
    /// What is reserved or held for the Service, for each family that is lacking.
    pub(super) fn pick_kept(&mut self) {
        if self.ipam.reservations.is_empty() && self.ipam.holds.is_empty() {
            return;
        }
        for family in self.lacking() {
            if let Some(pick) = self.kept(family, None) {
                self.picks.push(pick);
            }
        }
    }

    /// The first address that is reserved for the Service, else the first that is held for it; with a certain
    /// end, if it asks for one.
    pub(super) fn kept(&self, family: Family, host: Option<HostPart>) -> Option<Pick> {
        let reserved = self.ipam.reservations.of(self.demand.owner, self.asking());
        let ranges = reserved.iter().flat_map(|reservation| &reservation.ranges);
        for range in ranges.filter(|range| range.family() == family) {
            for (own, (id, _)) in self.ipam.ranges.overlapping(*range) {
                if let Some(stock) = self.serving(*id)
                    && let Some(part) = own.overlap(range)
                    && let Some(address) = self.reserved_in(*id, stock, own, part, host)
                {
                    return Some((address, *id));
                }
            }
        }
        self.ipam.holds.of(self.demand.owner).find_map(|address| {
            let (range, (id, _)) = self.ipam.ranges.get(address)?;
            let stock = self.serving(*id)?;
            let suits = Family::of(address) == family
                && (stock.pool.auto_assign || self.wanted.is_some())
                && stock.is_inside(address)
                && self.ipam.reservations.at(address).is_none()
                && self.suits(address, range, host)
                && !self.exceeds_quota(*id, stock, address);
            suits.then_some((address, *id))
        })
    }

    /// Whether an address of `range` ends as it is asked for; if nothing is, the network must not keep it.
    fn suits(&self, address: IpAddr, range: AddressRange, host: Option<HostPart>) -> bool {
        host.map_or_else(|| !self.ipam.avoided.contains(&address), |host| host.is_of(address, Some(range)))
    }

    /// An address of `part`, a part of `range` that is reserved for the Service: what is held for it, what it
    /// can share, or the lowest free one.
    fn reserved_in(
        &self,
        id: StockId,
        stock: &'a Stock,
        range: AddressRange,
        part: AddressRange,
        host: Option<HostPart>,
    ) -> Option<IpAddr> {
        let suits = |address: &IpAddr| part.contains(*address) && self.suits(*address, range, host);
        let held =
            self.ipam.holds.of(self.demand.owner).find(|address| stock.is_inside(*address) && suits(address));
        let shared = || self.sharable_in(id, stock, part.family()).find(suits);
        let free = || match host {
            Some(host) => host.within(range, part).find(|address| self.is_free(stock, *address)),
            None => {
                let shelf = stock.shelf(part.family());
                let open = part.without(stock.pool.exclude.iter().copied());
                open.into_iter().find_map(|open| shelf.free_in(open))
            }
        };
        held.or_else(shared).or_else(free).filter(|address| !self.exceeds_quota(id, stock, *address))
    }

    /// The addresses of a pool that the Service can share and that are for everybody, in their order.
    pub(super) fn shared_in(
        &self,
        id: StockId,
        stock: &'a Stock,
        family: Family,
    ) -> impl Iterator<Item = IpAddr> {
        let everybody = |address: &IpAddr| self.ipam.reservations.at(*address).is_none();
        self.sharable_in(id, stock, family).filter(everybody)
    }

    /// The addresses of a pool that the Service can share, in their order.
    pub(super) fn sharable_in(
        &self,
        id: StockId,
        stock: &'a Stock,
        family: Family,
    ) -> impl Iterator<Item = IpAddr> {
        let Demand { owner, sharing, .. } = self.demand;
        let key = sharing.map(|sharing| &sharing.key).filter(|_| stock.pool.sharing != SharingPolicy::Never);
        let addresses = key.into_iter().flat_map(move |key| self.ipam.sharable.within(key, id, family));
        addresses.filter(move |address| {
            stock.is_inside(*address)
                && self.ipam.users.conflict(*address, owner, sharing).is_none()
                && self.unshared(stock, *address).is_none()
        })
    }

    /// Which user of `address` the pool does not let share it with the Service.
    pub(super) fn unshared(&self, stock: &Stock, address: IpAddr) -> Option<(ObjectKey, SharingProblem)> {
        let owner = self.demand.owner;
        let mut others = self.ipam.users.owners(address).filter(|user| *user != owner);
        let policy = stock.pool.sharing;
        let other = match policy {
            SharingPolicy::Key => None,
            SharingPolicy::Never => others.next(),
            SharingPolicy::SameNamespace => others.find(|other| other.namespace != owner.namespace),
        }?;
        Some((other.clone(), SharingProblem::Pool { pool: stock.pool.name.clone(), policy }))
    }

    /// A pool that may serve the Service.
    pub(super) fn admitting(&self, id: StockId) -> Option<&'a Stock> {
        self.ipam.stocks.get(id).filter(|stock| forbids(stock, self.asking()).is_none())
    }

    /// A pool that may serve the Service and is not another one than it asks for.
    pub(super) fn serving(&self, id: StockId) -> Option<&'a Stock> {
        self.admitting(id).filter(|_| self.wanted.is_none_or(|(wanted, _)| wanted == id))
    }

    pub(super) fn reserved_for_others(&self, address: IpAddr) -> Option<Claim> {
        let reservation = self.ipam.reservations.at(address)?;
        let is_ours = reservation.is_for(self.demand.owner, self.demand.labels);
        (!is_ours).then(|| Claim::Reservation(reservation.object.name.as_ref().into()))
    }

    /// For whom `address` is held, if it is not reserved for the Service.
    pub(super) fn held_for_others(&self, address: IpAddr) -> Option<&'a ObjectKey> {
        let held = self.ipam.holds.owner(address).filter(|owner| *owner != self.demand.owner)?;
        self.ipam.reservations.at(address).is_none().then_some(held)
    }

    pub(super) fn exceeds_quota(&self, id: StockId, stock: &Stock, address: IpAddr) -> bool {
        self.exceeds(id, stock, address, &Picks::default())
    }

    /// Whether the namespace would have more of a pool than it may with `address`, what was found, and `others`.
    pub(super) fn exceeds(&self, id: StockId, stock: &Stock, address: IpAddr, others: &Picks) -> bool {
        let Some(limit) = stock.pool.max_per_namespace else { return false };
        let (owner, users) = (self.demand.owner, &self.ipam.users);
        let is_new = |address: IpAddr| !users.has_namespace(address, &owner.namespace);
        if !is_new(address) {
            return false;
        }
        let both = || self.picks.iter().chain(others.iter());
        let picks = || both().filter(|(_, pool)| *pool == id).map(|(address, _)| address);
        let more = picks().filter(|address| is_new(*address)).count() + 1;
        let given_up = self.demand.has.iter().filter(|address| {
            let mut of_namespace = users.owners(**address).filter(|user| user.namespace == owner.namespace);
            self.demand.families.contains(&Family::of(**address))
                && self.ipam.ranges.get(**address).is_some_and(|(_, (pool, _))| *pool == id)
                && of_namespace.next() == Some(owner)
                && of_namespace.next().is_none()
                && !picks().any(|pick| pick == **address)
        });
        let total = stock.used_by(&owner.namespace) as usize + more;
        total > given_up.count() + limit as usize
    }

    /// Why a pool has no address of a family for the Service although it may serve it.
    pub(super) fn is_over_quota(&self, id: StockId, stock: &Stock, family: Family) -> bool {
        let exceeds = |address| self.exceeds_quota(id, stock, address);
        let is_avoided = |address: &IpAddr| self.ipam.avoided.contains(address);
        stock.shelf(family).next_free().is_some_and(exceeds)
            || self.shared_in(id, stock, family).filter(|address| !is_avoided(address)).any(exceeds)
    }
}
