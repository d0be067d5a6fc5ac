//! The allocator: any operations. No address is on two Services that may not share it, nobody gets what is kept for
//! others, the counters are exact, and what is granted can be had.

#![no_main]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use libfuzzer_sys::fuzz_target;
use metal_core::{
    config::{Allocation, ObjectRef, Pool, Reservation, SharingPolicy},
    ipam::{Demand, Grant, Ipam},
    name::ObjectKey,
    net::AddressRange,
    request::Request,
    selector::{Labels, Selector},
    sharing::{Backend, Port, Protocol, Sharing},
    view::{Family, FamilyPolicy},
};

fuzz_target!(|data: &[u8]| {
    let mut world = World { bytes: data, ipam: Ipam::new(), users: BTreeMap::new() };
    while let Some(operation) = world.next() {
        world.operate(operation);
        world.check();
    }
});

struct World<'a> {
    bytes: &'a [u8],
    ipam: Ipam,
    users: BTreeMap<IpAddr, BTreeMap<ObjectKey, Option<Sharing>>>,
}

const POOLS: [&str; 4] = ["p0", "p1", "p2", "p3"];

impl World<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }

    fn operate(&mut self, operation: u8) {
        match operation & 15 {
            0 | 1 => self.set_pool(),
            2 => {
                let pool = POOLS[usize::from(self.byte() & 3)];
                self.ipam.remove_pool(&pool.into());
            }
            3 => {
                let (address, owner, sharing) = (ip(self.byte()), owner(self.byte()), self.sharing());
                let may = may_join(self.users.get(&address), &owner, sharing.as_ref());
                assert_eq!(self.ipam.claim(address, &owner, sharing.as_ref()).is_ok(), may);
                if may {
                    self.users.entry(address).or_default().insert(owner, sharing);
                }
            }
            4 | 5 => {
                let (address, owner) = (ip(self.byte()), owner(self.byte()));
                self.release(address, &owner);
                if operation & 1 == 0 && !self.users.contains_key(&address) {
                    self.ipam.hold(address, &owner);
                }
            }
            6 => {
                let address = ip(self.byte());
                drop(self.ipam.drop_hold(address));
            }
            7 => self.reserve(),
            8 => {
                let object = object(self.byte());
                self.ipam.remove_reservation(&object);
            }
            9 => {
                let count = self.byte() & 7;
                let avoided = (0..count).map(|_| ip(self.byte())).collect();
                self.ipam.avoid(avoided);
            }
            _ => self.allocate(),
        }
    }

    fn ranges(&mut self) -> Vec<AddressRange> {
        let mut ranges: Vec<AddressRange> = Vec::new();
        for _ in 0..self.byte() & 3 {
            let (first, last) = (ip(self.byte()), ip(self.byte()));
            ranges.extend(AddressRange::new(first, last).ok());
        }
        AddressRange::merged(ranges)
    }

    fn sharing(&mut self) -> Option<Sharing> {
        let bits = self.byte();
        let key = ["", "k", "l", "k"][usize::from(bits & 3)];
        let backend = if bits & 4 == 0 { Backend::Anywhere } else { Backend::Local("app=x".into()) };
        let ports =
            [bits >> 3 & 3, bits >> 5].map(|number| Port { protocol: Protocol::Tcp, number: number.into() });
        Sharing::new(key, backend, ports)
    }

    fn set_pool(&mut self) {
        let (name, bits, more) = (self.byte(), self.byte(), self.byte());
        let allocation = Allocation {
            priority: i64::from(more & 3) - 1,
            namespaces: if more & 4 == 0 { BTreeSet::new() } else { BTreeSet::from(["even".into()]) },
            namespace_selectors: if more & 8 == 0 { vec![] } else { vec![Selector::label("name", "odd")] },
            service_selectors: if more & 16 == 0 { vec![] } else { vec![Selector::label("app", "1")] },
        };
        let pool = Pool {
            auto_assign: bits & 1 == 0,
            avoid_buggy_ips: bits & 2 != 0,
            allocation: (bits & 4 != 0).then_some(allocation),
            max_per_namespace: (bits & 8 != 0).then_some(u32::from(more >> 5)),
            sharing: [
                SharingPolicy::Key,
                SharingPolicy::Key,
                SharingPolicy::SameNamespace,
                SharingPolicy::Never,
            ][usize::from(bits >> 4 & 3)],
            exclude: if bits & 64 == 0 { vec![] } else { self.ranges() },
            ..Pool::new(POOLS[usize::from(name & 3)], self.ranges())
        };
        let _ = self.ipam.set_pool(pool.into());
    }

    fn reserve(&mut self) {
        let (name, bits) = (self.byte(), self.byte());
        let reservation = Reservation {
            object: object(name),
            ranges: self.ranges(),
            service: (bits & 1 == 0).then(|| owner(bits >> 4)),
            service_selectors: if bits & 2 == 0 { vec![] } else { vec![Selector::label("app", "1")] },
            namespaces: if bits & 4 == 0 { BTreeSet::new() } else { BTreeSet::from(["odd".into()]) },
        };
        let _ = self.ipam.set_reservation(reservation.into());
    }

    fn release(&mut self, address: IpAddr, owner: &ObjectKey) {
        let had = self.users.get_mut(&address).is_some_and(|users| users.remove(owner).is_some());
        self.users.retain(|_, users| !users.is_empty());
        assert_eq!(self.ipam.release(address, owner), had);
    }

    fn allocate(&mut self) {
        let (who, bits) = (self.byte(), self.byte());
        let (owner, sharing) = (owner(who), self.sharing());
        let namespace_labels = Labels::from([("name".into(), owner.namespace.to_string())]);
        let labels = Labels::from([("app".into(), (who % 3).to_string())]);
        let families: &[Family] =
            [&[Family::V4][..], &[Family::V6], &[Family::V4, Family::V6], &[Family::V6, Family::V4]]
                [usize::from(bits & 3)];
        let text = match bits >> 2 & 7 {
            0 => ip(self.byte()).to_string(),
            1 => format!(".{}", self.byte()),
            2 => format!("::{:x}", u16::from(self.byte()) + 1),
            3 => format!("{},{}", ip(self.byte() & 0x7f), ip(self.byte() | 0x80)),
            _ => String::new(),
        };
        let pool = (bits & 32 != 0).then(|| POOLS[usize::from(self.byte() & 3)]);
        let Ok(request) = Request::parse(Some(&text), None, pool) else { return };
        let policy =
            [FamilyPolicy::SingleStack, FamilyPolicy::PreferDualStack, FamilyPolicy::RequireDualStack]
                [usize::from(bits >> 6) % 3];
        let demand = Demand {
            owner: &owner,
            labels: &labels,
            namespace_labels: &namespace_labels,
            sharing: sharing.as_ref(),
            has: &[],
            families,
            policy,
            request: &request,
        };
        match self.ipam.find(&demand) {
            Ok(grant) => {
                self.judge(&demand, &grant);
                assert_eq!(self.ipam.allocate(&demand), Ok(grant.clone()));
                for address in grant.addresses {
                    self.users.entry(address).or_default().insert(owner.clone(), sharing.clone());
                }
            }
            Err(reason) => assert!(!reason.to_string().is_empty()),
        }
    }

    /// Whether the Service may have what it gets.
    fn judge(&self, demand: &Demand<'_>, grant: &Grant) {
        assert!(!grant.addresses.is_empty() && grant.addresses.len() == grant.pools.len());
        assert!(grant.missing.is_none() || demand.policy != FamilyPolicy::RequireDualStack);
        for (address, name) in grant.addresses.iter().zip(&grant.pools) {
            assert!(demand.families.contains(&Family::of(*address)));
            assert_eq!(self.ipam.pool_of(*address).map(|pool| &pool.name), Some(name));
            let users = self.users.get(address);
            assert!(may_join(users, demand.owner, demand.sharing), "{address}");
            if users.is_some_and(|users| users.contains_key(demand.owner)) {
                continue;
            }
            assert!(self.ipam.is_inside(*address));
            let reservation = self.ipam.reservation_of(*address);
            assert!(reservation.is_none_or(|found| found.is_for(demand.owner, demand.labels)));
            let former = self.ipam.held_by(*address);
            assert!(reservation.is_some() || former.is_none_or(|former| former == demand.owner));
            let limit = self.ipam.pool(name).and_then(|pool| pool.max_per_namespace);
            let namespace = &demand.owner.namespace;
            let of_namespace = |(address, users): (&IpAddr, &BTreeMap<ObjectKey, _>)| {
                self.ipam.pool_of(*address).is_some_and(|pool| pool.name == *name)
                    && users.keys().any(|user| user.namespace == *namespace)
            };
            let is_new = !users.is_some_and(|users| users.keys().any(|user| user.namespace == *namespace));
            let count = self.users.iter().filter(|entry| of_namespace(*entry)).count();
            assert!(!is_new || limit.is_none_or(|limit| count < limit as usize), "{address} is too much");
        }
    }

    fn check(&self) {
        for name in POOLS {
            let name = name.into();
            let Some(pool) = self.ipam.pool(&name) else { continue };
            for family in [Family::V4, Family::V6] {
                let ranges = || pool.ranges.iter().filter(|range| range.family() == family);
                let used =
                    self.users.keys().filter(|address| ranges().any(|range| range.contains(**address)));
                let usable = used.clone().filter(|address| self.ipam.is_inside(**address)).count() as u128;
                let count = self.ipam.count(&name, family).expect("a pool");
                assert_eq!(count.assigned, used.count() as u128);
                assert_eq!(count.available, count.capacity - usable);
            }
        }
        for range in ["0.0.0.0/0", "::/0"] {
            let range: AddressRange = range.parse().expect("a range");
            let users = self.users.iter().filter(|(address, _)| range.contains(**address));
            let users = users.flat_map(|(address, users)| users.keys().map(|user| (*address, user)));
            assert!(self.ipam.used_in(range).eq(users));
        }
    }
}

fn may_join(
    users: Option<&BTreeMap<ObjectKey, Option<Sharing>>>,
    owner: &ObjectKey,
    sharing: Option<&Sharing>,
) -> bool {
    users.into_iter().flatten().filter(|(user, _)| *user != owner).all(
        |(_, other)| matches!((sharing, other), (Some(one), Some(other)) if one.conflict(other).is_none()),
    )
}

/// A hundred and twenty-eight addresses of each family; the IPv4 ones around a border of /24.
fn ip(number: u8) -> IpAddr {
    if number < 128 {
        IpAddr::from((0xc000_02c0_u32 + u32::from(number)).to_be_bytes())
    } else {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number - 128)])
    }
}

fn owner(number: u8) -> ObjectKey {
    ObjectKey::new(if number.is_multiple_of(2) { "even" } else { "odd" }, &format!("s{}", number % 12))
}

fn object(number: u8) -> ObjectRef {
    ObjectRef { kind: "IPReservation", namespace: Arc::from("x"), name: format!("r{}", number % 3).into() }
}
