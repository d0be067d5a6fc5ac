//! A controller without any cleverness, and histories in which both do the same.

use alloc::{collections::BTreeSet, vec};

use proptest::{prelude::*, test_runner::TestCaseResult};

use super::{
    history::{Deed, cases, deed},
    *,
};
use crate::{
    ipam::tests::{Wish, naive::Naive},
    net::to_bits,
    request::Wanted,
};

/// A controller that looks at everybody whenever anything has happened.
#[derive(Default)]
struct Plain {
    now: Instant,
    book: Naive,
    services: BTreeMap<ObjectKey, Has>,
    /// What Services leave and still show, in the order in which the writes are made.
    leaving: VecDeque<(ObjectKey, Vec<IpAddr>)>,
    /// When addresses are not held any longer, in seconds.
    until: BTreeMap<IpAddr, u64>,
}

/// A Service with what it has.
#[derive(Clone, Debug)]
struct Has {
    service: Service,
    owns: Vec<(IpAddr, PoolName)>,
    sharing: Option<Sharing>,
    /// What the last pool of it that has gone said about moving.
    orphan: Option<bool>,
}

impl Plain {
    fn put(&mut self, key: ObjectKey, service: Option<Service>) {
        match (service, self.services.get_mut(&key)) {
            (Some(service), Some(has)) => has.service = service,
            (Some(service), None) => {
                let has = Has { service, owns: vec![], sharing: None, orphan: None };
                self.services.insert(key, has);
            }
            (None, _) => {
                let owns = self.services.remove(&key).map(|has| has.owns);
                let owns = owns.into_iter().flatten().map(|(address, _)| address).collect();
                self.free(&key, owns);
            }
        }
    }

    fn configure(&mut self, controller: &Controller) {
        let now = controller.snapshot().pools().map(|pool| (pool.name.clone(), (**pool).clone()));
        let before = core::mem::replace(&mut self.book.pools, now.collect());
        for (name, pool) in before {
            if self.book.pools.contains_key(&name) {
                continue;
            }
            for has in self.services.values_mut() {
                if has.owns.iter().any(|(_, from)| *from == name) {
                    has.orphan = Some(pool.reassigns);
                }
            }
        }
        let reservations = controller.snapshot().reservations();
        self.book.reservations = reservations.map(|one| (one.object.clone(), (**one).clone())).collect();
    }

    /// Forgets what is not held any longer; `former` says in which pool it was.
    fn review(&mut self, former: &BTreeMap<IpAddr, PoolName>) {
        let book = &self.book;
        let stays = |address: &IpAddr| {
            let pool = book.pool_of(*address);
            pool.is_some_and(|pool| !pool.reuse_delay.is_zero() && former.get(address) == Some(&pool.name))
        };
        let gone: Vec<_> = book.holds.keys().copied().filter(|address| !stays(address)).collect();
        gone.iter().for_each(|address| self.drop_hold(*address));
    }

    fn drop_hold(&mut self, address: IpAddr) {
        self.book.holds.remove(&address);
        self.until.remove(&address);
    }

    fn pools_of_holds(&self) -> BTreeMap<IpAddr, PoolName> {
        let holds = self.book.holds.keys();
        holds.filter_map(|address| Some((*address, self.book.pool_of(*address)?.name.clone()))).collect()
    }

    /// Time passes, and holds end.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + core::time::Duration::from_secs(seconds);
        while let Some((address, until)) =
            self.until.iter().min_by_key(|(address, until)| (**until, **address))
        {
            let (address, until) = (*address, Instant::from_secs(*until));
            if until > end {
                break;
            }
            self.now = until;
            self.drop_hold(address);
            // Those that end together end together.
            if self.until.values().all(|other| Instant::from_secs(*other) > until) {
                self.rest();
            }
        }
        self.now = end;
        self.rest();
    }

    /// Serves everybody, the oldest first, until nothing changes any more.
    fn rest(&mut self) {
        'again: loop {
            let mut ages: Vec<_> =
                self.services.iter().map(|(key, has)| (has.service.created, key.clone())).collect();
            ages.sort();
            for (_, key) in &ages {
                if self.services[key].service.scope != Scope::Ours {
                    self.retire(key);
                }
            }
            for (_, key) in &ages {
                if self.services[key].service.scope == Scope::Ours && self.serve(key) {
                    continue 'again;
                }
            }
            let Some((key, addresses)) = self.leaving.pop_front() else { return };
            self.free(&key, addresses);
        }
    }

    fn retire(&mut self, key: &ObjectKey) {
        let Some(has) = self.services.get_mut(key) else { return };
        let owns: Vec<_> = core::mem::take(&mut has.owns).into_iter().map(|(address, _)| address).collect();
        if !owns.is_empty() {
            self.leaving.push_back((key.clone(), owns));
        }
    }

    fn is_inside(&self, address: IpAddr) -> bool {
        self.book.pool_of(address).is_some_and(|pool| Naive::is_usable(pool, address))
    }

    /// Gives a Service what it asks for; says whether that changes anything.
    fn serve(&mut self, key: &ObjectKey) -> bool {
        let mut has = self.services[key].clone();
        let before: Vec<_> = has.owns.iter().map(|(address, _)| *address).collect();
        let service = has.service.clone();
        let mut changed = false;
        if has.sharing != service.sharing {
            has.sharing = service.sharing.clone();
            changed = true;
            has.owns.retain(|(address, _)| {
                let may = self.book.may_join(*address, key, service.sharing.as_ref());
                if may {
                    self.book.join(*address, key, service.sharing.as_ref());
                }
                may
            });
        }
        for (address, from) in &mut has.owns {
            if self.is_inside(*address) {
                *from = self.book.pool_of(*address).unwrap().name.clone();
            }
        }
        if has.owns.iter().all(|(_, from)| self.book.pools.contains_key(from)) {
            has.orphan = None;
        }
        if let Some(addresses) = self.plan(key, &has) {
            let old = core::mem::take(&mut has.owns);
            for address in addresses {
                let same = old.iter().find(|(other, _)| *other == address).cloned();
                has.owns.push(same.unwrap_or_else(|| {
                    self.book.join(address, key, service.sharing.as_ref());
                    self.until.remove(&address);
                    (address, self.book.pool_of(address).unwrap().name.clone())
                }));
            }
        }
        let now: Vec<_> = has.owns.iter().map(|(address, _)| *address).collect();
        let left: Vec<_> = before.iter().copied().filter(|address| !now.contains(address)).collect();
        if !left.is_empty() {
            self.leaving.push_back((key.clone(), left));
        }
        changed |= now != before;
        self.services.insert(key.clone(), has);
        changed
    }

    /// What a Service should have, if that can be had.
    fn plan(&self, key: &ObjectKey, has: &Has) -> Option<Vec<IpAddr>> {
        let service = &has.service;
        let request = service.request.as_ref().ok()?;
        let may_stay = |(address, from): &&(IpAddr, PoolName)| {
            let family = Family::of(*address);
            let meets = |wanted: &Wanted| match wanted {
                Wanted::Address(wanted) => wanted == address,
                Wanted::Host(host) => to_bits(*address) & 0xff == host.bits.into(),
            };
            service.families.contains(&family)
                && request.addresses.iter().all(|wanted| wanted.family() != family || meets(wanted))
                && request.pool.as_ref().is_none_or(|pool| pool == from)
        };
        let kept: Vec<_> = has.owns.iter().filter(may_stay).cloned().collect();
        let moves = |(address, from): &&(IpAddr, PoolName)| {
            let pool = self.book.pools.get(from).map(|pool| pool.reassigns);
            !self.is_inside(*address) && (service.reassigns || pool.unwrap_or(has.orphan == Some(true)))
        };
        let firm: Vec<_> = kept.iter().filter(|own| !moves(own)).map(|(address, _)| *address).collect();
        let kept: Vec<_> = kept.iter().map(|(address, _)| *address).collect();
        if firm.len() < kept.len()
            && let Some(found) = self.complete(key, has, &firm)
            && found.len() >= kept.len()
            && kept.iter().all(|address| firm.contains(address) == found.contains(address))
        {
            return Some(found);
        }
        self.complete(key, has, &kept)
    }

    /// Adds to what is kept what is missing.
    fn complete(&self, key: &ObjectKey, has: &Has, kept: &[IpAddr]) -> Option<Vec<IpAddr>> {
        use FamilyPolicy::{PreferDualStack, RequireDualStack, SingleStack};
        let service = &has.service;
        let (policy, request) = (service.family_policy, service.request.clone().ok()?);
        let whole = Wish {
            owner: key.clone(),
            labels: service.labels.clone(),
            namespace_labels: Labels::new(),
            sharing: service.sharing.clone(),
            has: has.owns.iter().map(|(address, _)| *address).collect(),
            families: service.families.clone(),
            policy,
            request: request.clone(),
        };
        let find = |wish: &Wish| self.book.find(wish).ok().map(|(addresses, _)| addresses);
        if kept.is_empty() || (policy == RequireDualStack && service.families.len() < 2) {
            return find(&whole);
        }
        let lacks = |family: &&Family| !kept.iter().any(|address| Family::of(*address) == **family);
        let lacking: Vec<_> = service.families.iter().filter(lacks).copied().collect();
        let mut found = kept.to_vec();
        if !lacking.is_empty() {
            let wanted = request.addresses.into_iter().filter(|wanted| lacking.contains(&wanted.family()));
            let request = Request { addresses: wanted.collect(), pool: request.pool };
            let is_free_choice = request.addresses.is_empty();
            let rest = Wish { families: lacking, policy: SingleStack, request, ..whole };
            match find(&rest) {
                Some(more) => found.extend(more),
                None if policy == PreferDualStack && is_free_choice => {}
                None if is_free_choice => return None,
                None => {
                    let (families, request) = (service.families.clone(), service.request.clone().ok()?);
                    return find(&Wish { families, policy, request, ..rest });
                }
            }
        }
        found.sort_by_key(|address| {
            service.families.iter().position(|family| *family == Family::of(*address))
        });
        Some(found)
    }

    /// A Service does not show these addresses any more.
    fn free(&mut self, key: &ObjectKey, addresses: Vec<IpAddr>) {
        for address in addresses {
            let users = self.book.users.entry(address).or_default();
            users.retain(|(user, _)| user != key);
            if !users.is_empty() {
                continue;
            }
            self.book.users.remove(&address);
            let delay = self.book.pool_of(address).map(|pool| pool.reuse_delay);
            if let Some(delay) = delay.filter(|delay| !delay.is_zero()) {
                let until = (self.now + delay).as_micros().div_ceil(1_000_000);
                self.book.holds.insert(address, key.clone());
                self.until.insert(address, until);
            }
        }
    }
}

/// Something that happens while everything else rests.
#[derive(Clone, Debug)]
enum Happening {
    Deed(Deed),
    Pass(u8),
    Restart,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        16 => deed().prop_map(Happening::Deed),
        1 => (0_u8..40).prop_map(Happening::Pass),
        1 => Just(Happening::Restart),
    ]
}

fn happen(world: &mut World, plain: &mut Plain, happening: &Happening) {
    match happening {
        Happening::Deed(deed) => {
            if let Some((key, service)) = deed.service(&world.services) {
                plain.put(key.clone(), service.clone());
                world.replace(key, service);
            }
            match deed.object() {
                Some((reference, Some(spec))) => world.set_object(reference, spec),
                Some((reference, None)) => world.remove(&reference),
                None => {}
            }
            world.run();
        }
        Happening::Pass(seconds) => {
            world.pass((*seconds).into());
            return plain.pass((*seconds).into());
        }
        Happening::Restart => {
            world.restart();
            world.run();
        }
    }
    let former = plain.pools_of_holds();
    plain.configure(&world.controller);
    if matches!(happening, Happening::Restart) {
        plain.services.values_mut().for_each(|has| has.orphan = None);
    }
    plain.review(&former);
    plain.rest();
}

fn compare(world: &World, plain: &Plain) -> TestCaseResult {
    for (key, service) in &world.services {
        let expected: Vec<_> = plain.services[key].owns.iter().map(|(address, _)| *address).collect();
        prop_assert_eq!(&service.assigned, &expected, "{}", key);
    }
    let held: BTreeSet<_> =
        plain.book.holds.iter().map(|(address, owner)| (*address, owner.clone())).collect();
    let pools = world.controller.snapshot().pools();
    let said = pools.flat_map(|pool| world.controller.holds.of_pool(&pool.name));
    let said: BTreeSet<_> = said.map(|held| (held.address, held.service)).collect();
    prop_assert_eq!(said, held);
    Ok(())
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn it_does_what_a_controller_without_cleverness_does(history in prop::collection::vec(happening(), 1..40)) {
        let (mut world, mut plain) = (World::new(&[]), Plain::default());
        for happening in &history {
            happen(&mut world, &mut plain, happening);
            compare(&world, &plain)?;
        }
    }
}
