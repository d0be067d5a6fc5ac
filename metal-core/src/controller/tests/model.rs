//! Random histories against a model without cleverness.

use alloc::{collections::BTreeSet, vec};

use proptest::prelude::*;

use super::*;
use crate::net::AddressRange;

/// What happens to the world.
#[derive(Clone, Debug)]
enum Happening {
    /// A Service is created with an age, or changes: dual-stack, and what it asks for.
    Apply {
        name: u8,
        age: u8,
        dual: bool,
        request: Wish,
    },
    Delete(u8),
    Pool {
        name: u8,
        first: u8,
        more: u8,
        auto: bool,
        dual: bool,
    },
    RemovePool(u8),
    /// A Service becomes one of another type.
    Retire(u8),
    /// Some writes arrive, in any order.
    Land(Vec<usize>),
    Restart,
}

#[derive(Clone, Debug)]
enum Wish {
    Nothing,
    Address(u8),
    Pool(u8),
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![5 => Just(Wish::Nothing), 2 => (0_u8..24).prop_map(Wish::Address), 1 => (0_u8..3).prop_map(Wish::Pool)]
}

fn happening(dual: bool) -> impl Strategy<Value = Happening> {
    let two = move || any::<bool>().prop_map(move |both| both && dual);
    prop_oneof![
        6 => (0_u8..10, 0_u8..4, two(), wish())
            .prop_map(|(name, age, dual, request)| Happening::Apply { name, age, dual, request }),
        3 => (0_u8..10).prop_map(Happening::Delete),
        3 => (0_u8..3, 0_u8..20, 0_u8..8, prop::bool::weighted(0.8), two())
            .prop_map(|(name, first, more, auto, dual)| Happening::Pool { name, first, more, auto, dual }),
        1 => (0_u8..3).prop_map(Happening::RemovePool),
        1 => (0_u8..10).prop_map(Happening::Retire),
        3 => prop::collection::vec(0_usize..8, 1..4).prop_map(Happening::Land),
        1 => Just(Happening::Restart),
    ]
}

fn v4(number: u8) -> String {
    format!("192.0.2.{number}")
}

/// Lets it happen; the Service that somebody has touched, if any.
fn happen(world: &mut World, happening: Happening) -> Option<ObjectKey> {
    match happening {
        Happening::Apply { name, age, dual: both, request } => {
            let name = format!("s{name}");
            let known = world.services.get(&key(&name)).and_then(|service| service.created);
            let created = known.unwrap_or(age.into());
            let request = match request {
                Wish::Nothing => Request::default(),
                Wish::Address(number) => asking_for(0, &[&v4(number)], None).request.unwrap(),
                Wish::Pool(number) => asking_for(0, &[], Some(&format!("p{number}"))).request.unwrap(),
            };
            let policy = if both { FamilyPolicy::PreferDualStack } else { FamilyPolicy::SingleStack };
            let base = if both { dual(created, policy) } else { service(created) };
            world.apply(&name, Service { request: Ok(request), ..base });
            return Some(key(&name));
        }
        Happening::Delete(name) => world.delete(&format!("s{name}")),
        Happening::Pool { name, first, more, auto, dual } => {
            let (low, high) = (v4(first), v4(first + more));
            let mut addresses = vec![format!("{low}-{high}")];
            if dual {
                addresses.push(format!("2001:db8::{first:x}-2001:db8::{:x}", first + more));
            }
            let spec = PoolSpec { addresses, auto_assign: auto, ..PoolSpec::default() };
            world.set_pool(&format!("p{name}"), spec);
        }
        Happening::RemovePool(name) => world.remove_pool(&format!("p{name}")),
        Happening::Retire(name) => {
            let name = format!("s{name}");
            let service = world.services.get(&key(&name)).cloned();
            let service = service.map(|service| Service { scope: Scope::NotLoadBalancer, ..service });
            if let Some(service) = service {
                world.services.insert(key(&name), service);
                world.notify(&key(&name));
                return Some(key(&name));
            }
        }
        Happening::Land(choices) => choices.into_iter().for_each(|choice| world.land_any(choice)),
        Happening::Restart => world.restart(),
    }
    None
}

/// What all Services should show in the end, from what they show now: the plain way.
fn settle(services: &BTreeMap<ObjectKey, Service>, snapshot: &Snapshot) -> BTreeMap<ObjectKey, Vec<IpAddr>> {
    let mut taken: BTreeSet<IpAddr> =
        services.values().flat_map(|service| service.assigned.clone()).collect();
    let mut by_age: Vec<_> = services.iter().filter(|(_, service)| service.scope == Scope::Ours).collect();
    by_age.sort_by_key(|(key, service)| (service.created, *key));
    let retired = services.values().filter(|service| service.scope != Scope::Ours);
    // Addresses that are given up, free one after the other as the writes arrive.
    let mut leaving: VecDeque<IpAddr> = retired.flat_map(|service| service.assigned.clone()).collect();
    let mut shown: BTreeMap<_, Vec<_>> = services.keys().map(|key| (key.clone(), Vec::new())).collect();
    for (key, service) in &by_age {
        shown.insert((*key).clone(), service.assigned.clone());
    }
    loop {
        for (key, service) in &by_age {
            let request = service.request.as_ref().unwrap();
            let has = shown[*key].first().copied();
            let name = |address| snapshot.pool_of(address).map(|pool| pool.name.clone());
            let is_met = has.is_some_and(|has| {
                let home = name(has).or(service.assigned_from.clone());
                request.addresses.iter().all(|wanted| *wanted == has)
                    && request.pool.as_ref().is_none_or(|wanted| home.as_ref() == Some(wanted))
            });
            if is_met {
                continue;
            }
            let free = |address: &IpAddr| !taken.contains(address);
            let mut pools = snapshot.pools().filter(|pool| match &request.pool {
                Some(wanted) => pool.name == *wanted,
                None => pool.auto_assign,
            });
            let got = match request.addresses.first() {
                Some(wanted) => Some(*wanted).filter(|wanted| name(*wanted).is_some()).filter(free),
                None => {
                    pools.find_map(|pool| pool.ranges.iter().flat_map(AddressRange::addresses).find(free))
                }
            };
            if let Some(got) = got {
                taken.insert(got);
                leaving.extend(has);
                shown.insert((*key).clone(), vec![got]);
            }
        }
        match leaving.pop_front() {
            Some(address) => taken.remove(&address),
            None => return shown,
        };
    }
}

fn no_address_twice(world: &World) -> Result<(), TestCaseError> {
    let mut seen = BTreeSet::new();
    for (key, service) in &world.services {
        for address in &service.assigned {
            prop_assert!(seen.insert(*address), "{key} is not alone with {address}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// With one family the model says exactly who gets what.
    #[test]
    fn it_gives_out_what_the_plain_way_would(history in prop::collection::vec(happening(false), 1..60)) {
        let mut world = World::new(&[]);
        for happening in history {
            happen(&mut world, happening);
            let before = world.services.clone();
            let outputs = world.run();
            let expected = settle(&before, world.controller.snapshot());
            for (key, service) in &world.services {
                prop_assert_eq!(&service.assigned, &expected[key], "{} {:?}", key, outputs);
            }
            no_address_twice(&world)?;
        }
    }

    /// With writes that take their time, and both families: nobody loses or shares an address.
    #[test]
    fn no_address_changes_by_itself(
        history in prop::collection::vec(happening(true), 1..60),
        coalesces in any::<bool>(),
    ) {
        let mut world = World { coalesces, ..World::new(&[]) };
        let mut touched = BTreeSet::new();
        for happening in history {
            let before = world.services.clone();
            // A request that could not be met may be met any time later.
            touched.extend(happen(&mut world, happening));
            let outputs = world.poll();
            let writes = assigned(&outputs);
            prop_assert_eq!(writes.iter().collect::<BTreeSet<_>>().len(), writes.len(), "{:?}", writes);
            no_address_twice(&world)?;
            for (key, service) in &world.services {
                let Some(old) = before.get(key).filter(|_| !touched.contains(key)) else { continue };
                let kept = old.assigned.iter().all(|address| service.assigned.contains(address));
                prop_assert!(kept, "{key} had {:?} and has {:?}", old.assigned, service.assigned);
            }
            touched.retain(|key| world.services.get(key).is_some_and(|service| {
                let mut assigned = service.assigned.iter();
                let is_met = service.request == Ok(Request::default())
                    && assigned.all(|address| service.families.contains(&Family::of(*address)));
                !is_met || !world.writes.is_empty()
            }));
        }
        world.run();
        no_address_twice(&world)?;
        let shown: BTreeSet<_> = world.services.values().flat_map(|service| service.assigned.clone()).collect();
        for pool in world.controller.snapshot().pools() {
            for range in &pool.ranges {
                let used = world.controller.ipam.used_in(*range);
                let leaked: Vec<_> = used.filter(|(address, _)| !shown.contains(address)).collect();
                prop_assert!(leaked.is_empty(), "{leaked:?}");
            }
        }
        let before = world.services.clone();
        let in_force: Vec<_> = world.controller.snapshot().pools().cloned().collect();
        world.restart();
        let outputs = world.run();
        // Of two pools that overlap, the other one may win at a new start.
        if world.controller.snapshot().pools().eq(&in_force) {
            prop_assert_eq!(assigned(&outputs), [""; 0]);
        }
        for (key, old) in before {
            let now = &world.services[&key].assigned;
            let may_change = touched.contains(&key) || old.assigned.iter().all(|address| now.contains(address));
            prop_assert!(may_change, "{key} had {:?} and has {now:?}", old.assigned);
        }
    }
}
