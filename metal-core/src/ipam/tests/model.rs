//! Random operations, compared with an allocator without cleverness.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
};

use proptest::prelude::*;

use super::{naive::Naive, *};
use crate::{
    config::{Allocation, SharingPolicy},
    net::from_bits,
    request::{HostPart, Wanted},
    selector::Selector,
    view::{
        Family::V6,
        FamilyPolicy::{PreferDualStack, RequireDualStack},
    },
};

/// A step against the allocator.
#[derive(Clone, Debug)]
enum Step {
    SetPool(Box<Pool>),
    RemovePool(u8),
    Allocate(Box<Want>),
    Claim(u8, u8, Option<Sharing>),
    Release(u8, u8),
    /// Releases everything of an owner and holds it.
    Delete(u8),
    DropHold(u8),
    Reserve(Box<Reservation>),
    Unreserve(u8),
    Avoid(BTreeSet<IpAddr>),
}

/// What somebody wants.
#[derive(Clone, Debug)]
struct Want {
    owner: u8,
    sharing: Option<Sharing>,
    families: Vec<Family>,
    policy: FamilyPolicy,
    request: Request,
    /// Whether what it has is told.
    knows: bool,
}

/// Eighty addresses of each family around a border of /24, so that .255 and .0 are met.
fn address(number: u8) -> IpAddr {
    let bits = u128::from(number % 80);
    if number < 176 {
        from_bits(V4, 0xc000_0200 + 220 + bits)
    } else {
        from_bits(V6, (0x2001_0db8 << 96) + bits)
    }
}

fn owner(number: u8) -> ObjectKey {
    ObjectKey::new(if number.is_multiple_of(2) { "even" } else { "odd" }, &format!("s{}", number % 10))
}

fn object(number: u8) -> ObjectRef {
    ObjectRef { kind: "IPReservation", namespace: "x".into(), name: format!("r{number}").into() }
}

/// Ranges that do not overlap.
fn any_ranges(most: usize) -> impl Strategy<Value = Vec<AddressRange>> {
    prop::collection::vec((any::<u8>(), 0_u8..10), 0..most).prop_map(|ranges| {
        let mut apart: Vec<AddressRange> = Vec::new();
        for (first, more) in ranges {
            let range = AddressRange::new(address(first), address(first.saturating_add(more)));
            apart.extend(range.ok().filter(|range| apart.iter().all(|other| other.overlap(range).is_none())));
        }
        apart
    })
}

fn any_pool() -> impl Strategy<Value = Pool> {
    let one = |selector: Selector| vec![selector];
    let of = |namespace: &str| BTreeSet::from([String::from(namespace)]);
    let allocations = vec![
        Allocation { priority: 1, ..Allocation::default() },
        Allocation { priority: -1, namespaces: of("even"), ..Allocation::default() },
        Allocation { namespace_selectors: one(Selector::label("name", "odd")), ..Allocation::default() },
        Allocation {
            priority: 1,
            service_selectors: one(Selector::label("app", "1")),
            ..Allocation::default()
        },
        Allocation {
            namespaces: of("odd"),
            namespace_selectors: one(Selector::label("name", "even")),
            service_selectors: one(Selector::default()),
            priority: 2,
        },
    ];
    let rules = (
        prop::bool::weighted(0.8),
        any::<bool>(),
        prop::option::weighted(0.4, prop::sample::select(allocations)),
        prop::option::weighted(0.3, 0_u32..4),
        prop::sample::select(vec![
            SharingPolicy::Key,
            SharingPolicy::Key,
            SharingPolicy::SameNamespace,
            SharingPolicy::Never,
        ]),
    );
    (0_u8..4, any_ranges(4), any_ranges(3), rules).prop_map(|(number, ranges, exclude, rules)| {
        let (auto_assign, avoid_buggy_ips, allocation, max_per_namespace, sharing) = rules;
        let pool = Pool::new(format!("p{number}"), ranges);
        let exclude = AddressRange::merged(exclude);
        Pool { auto_assign, avoid_buggy_ips, allocation, max_per_namespace, sharing, exclude, ..pool }
    })
}

fn any_reservation() -> impl Strategy<Value = Reservation> {
    (0_u8..3, any_ranges(3), prop::option::of(0_u8..10), any::<bool>(), any::<bool>()).prop_map(
        |(number, ranges, service, by_label, somewhere)| {
            let namespaces = if somewhere { BTreeSet::from(["even".into()]) } else { BTreeSet::new() };
            let service_selectors = if by_label { vec![Selector::label("app", "1")] } else { Vec::new() };
            let ranges = AddressRange::merged(ranges);
            Reservation {
                object: object(number),
                ranges,
                service: service.map(owner),
                service_selectors,
                namespaces,
            }
        },
    )
}

fn any_sharing() -> impl Strategy<Value = Option<Sharing>> {
    let local = Backend::local(&labels(&[("app", "x")]));
    let backend = prop::sample::select(vec![Backend::Anywhere, Backend::Anywhere, local]);
    let ports = prop::collection::vec(1_u16..6, 0..3);
    let some = ("[kl]", backend, ports)
        .prop_map(|(key, backend, ports)| Sharing::new(&key, backend, ports.into_iter().map(tcp)));
    prop_oneof![1 => Just(None), 2 => some]
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        3 => any::<u8>().prop_map(|number| Wanted::Address(address(number))),
        1 => any::<u8>().prop_map(|bits| Wanted::Host(HostPart { family: V4, bits: bits.into(), width: 8 })),
        1 => (1_u64..80).prop_map(|bits| Wanted::Host(HostPart { family: V6, bits, width: 64 })),
    ]
}

fn any_want() -> impl Strategy<Value = Want> {
    let families =
        prop::sample::select(vec![vec![V4], vec![V6], vec![V4, V6], vec![V6, V4], vec![V4, V4], vec![]]);
    let policy = prop::sample::select(vec![SingleStack, PreferDualStack, RequireDualStack]);
    let wanted = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(any_wanted(), 1..3)];
    let request = (wanted, prop::option::weighted(0.2, 0_u8..4)).prop_map(|(mut addresses, pool)| {
        addresses.dedup_by_key(|wanted| wanted.family());
        Request { addresses, pool: pool.map(|number| format!("p{number}").into()) }
    });
    (0_u8..10, any_sharing(), families, policy, request, any::<bool>()).prop_map(
        |(owner, sharing, families, policy, request, knows)| Want {
            owner,
            sharing,
            families,
            policy,
            request,
            knows,
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    let avoided = prop::collection::btree_set(any::<u8>().prop_map(address), 0..12);
    prop_oneof![
        3 => any_pool().prop_map(|pool| Step::SetPool(pool.into())),
        1 => (0_u8..4).prop_map(Step::RemovePool),
        12 => any_want().prop_map(|want| Step::Allocate(want.into())),
        2 => (any::<u8>(), 0_u8..10, any_sharing()).prop_map(|(number, owner, sharing)| Step::Claim(number, owner, sharing)),
        3 => (any::<u8>(), 0_u8..10).prop_map(|(number, owner)| Step::Release(number, owner)),
        4 => (0_u8..10).prop_map(Step::Delete),
        1 => any::<u8>().prop_map(Step::DropHold),
        2 => any_reservation().prop_map(|reservation| Step::Reserve(reservation.into())),
        1 => (0_u8..3).prop_map(Step::Unreserve),
        1 => avoided.prop_map(Step::Avoid),
    ]
}

fn apply(ipam: &mut Ipam, naive: &mut Naive, step: Step) -> Result<(), TestCaseError> {
    match step {
        Step::SetPool(pool) => {
            let others = naive.pools.values().filter(|other| other.name != pool.name);
            let mut taken = others.flat_map(|other| &other.ranges);
            let clashes = taken.any(|taken| pool.ranges.iter().any(|range| range.overlap(taken).is_some()));
            prop_assert_eq!(ipam.set_pool((*pool).clone().into()).is_err(), clashes);
            if !clashes {
                naive.pools.insert(pool.name.clone(), *pool);
            }
        }
        Step::RemovePool(number) => {
            let name = PoolName::from(format!("p{number}"));
            prop_assert_eq!(ipam.remove_pool(&name).is_some(), naive.pools.remove(&name).is_some());
        }
        Step::Allocate(want) => allocate(ipam, naive, *want)?,
        Step::Claim(number, who, sharing) => {
            let (address, owner) = (address(number), owner(who));
            let may = naive.may_join(address, &owner, sharing.as_ref());
            prop_assert_eq!(ipam.claim(address, &owner, sharing.as_ref()).is_ok(), may);
            if may {
                naive.join(address, &owner, sharing.as_ref());
            }
        }
        Step::Release(number, who) => release(ipam, naive, address(number), &owner(who))?,
        Step::Delete(who) => {
            let owner = owner(who);
            for number in 0..=u8::MAX {
                let address = address(number);
                let has = ipam.owners(address).any(|user| *user == owner);
                release(ipam, naive, address, &owner)?;
                if has && !naive.users.contains_key(&address) && naive.pool_of(address).is_some() {
                    prop_assert_eq!(ipam.hold(address, &owner), None);
                    naive.holds.insert(address, owner.clone());
                }
            }
        }
        Step::DropHold(number) => {
            prop_assert_eq!(ipam.drop_hold(address(number)), naive.holds.remove(&address(number)));
        }
        Step::Reserve(reservation) => {
            let others = naive.reservations.values().filter(|other| other.object != reservation.object);
            let mut taken = others.flat_map(|other| &other.ranges);
            let clashes =
                taken.any(|taken| reservation.ranges.iter().any(|range| range.overlap(taken).is_some()));
            prop_assert_eq!(ipam.set_reservation((*reservation).clone().into()).is_err(), clashes);
            if !clashes {
                naive.reservations.insert(reservation.object.clone(), *reservation);
            }
        }
        Step::Unreserve(number) => {
            let object = object(number);
            prop_assert_eq!(
                ipam.remove_reservation(&object).is_some(),
                naive.reservations.remove(&object).is_some()
            );
        }
        Step::Avoid(addresses) => {
            ipam.avoid(addresses.clone());
            naive.avoided = addresses;
        }
    }
    Ok(())
}

fn allocate(ipam: &mut Ipam, naive: &mut Naive, want: Want) -> Result<(), TestCaseError> {
    let Want { owner: who, sharing, families, policy, request, knows } = want;
    let owner = owner(who);
    let namespace_labels = labels(&[("name", &owner.namespace)]);
    let labels = labels(&[("app", &(who % 3).to_string())]);
    let has_it = |users: &Vec<(ObjectKey, _)>| users.iter().any(|(user, _)| *user == owner);
    let has = naive.users.iter().filter(|(_, users)| knows && has_it(users)).map(|(address, _)| *address);
    let has = has.collect();
    let wish = Wish { owner, labels, namespace_labels, sharing, has, families, policy, request };
    let expected = naive.find(&wish);
    let got = ipam.allocate(&wish.demand());
    let codes = match &got {
        Ok(grant) => Ok((grant.addresses.clone(), grant.missing.as_ref().map(Reason::code))),
        Err(reason) => Err(reason.code()),
    };
    prop_assert_eq!(codes, expected.clone(), "{:?} {:?}", wish.request, got);
    if let Ok(grant) = got {
        let homes =
            grant.addresses.iter().map(|address| naive.pool_of(*address).map(|pool| pool.name.clone()));
        prop_assert_eq!(homes.collect::<Vec<_>>(), grant.pools.into_iter().map(Some).collect::<Vec<_>>());
        for address in &grant.addresses {
            naive.join(*address, &wish.owner, wish.sharing.as_ref());
        }
    }
    Ok(())
}

fn release(
    ipam: &mut Ipam,
    naive: &mut Naive,
    address: IpAddr,
    owner: &ObjectKey,
) -> Result<(), TestCaseError> {
    let users = naive.users.entry(address).or_default();
    let before = users.len();
    users.retain(|(user, _)| user != owner);
    let had = users.len() < before;
    if users.is_empty() {
        naive.users.remove(&address);
    }
    prop_assert_eq!(ipam.release(address, owner), had);
    Ok(())
}

/// Whether both see the same.
fn compare(ipam: &Ipam, naive: &Naive) -> Result<(), TestCaseError> {
    for pool in naive.pools.values() {
        for family in [V4, V6] {
            let all = || Naive::addresses(pool, family);
            let is_used = |address: &IpAddr| naive.users.contains_key(address);
            let usable = |address: &IpAddr| Naive::is_usable(pool, *address);
            let expected = Count {
                capacity: all().filter(usable).count() as u128,
                assigned: all().filter(is_used).count() as u128,
                available: all().filter(|address| usable(address) && !is_used(address)).count() as u128,
            };
            prop_assert_eq!(ipam.count(&pool.name, family), Some(expected));
        }
        let room = [V4, V6]
            .iter()
            .any(|family| Naive::addresses(pool, *family).any(|address| naive.is_free(pool, address)));
        prop_assert_eq!(ipam.has_room(&pool.name), room);
        let held: BTreeMap<_, _> =
            ipam.held(&pool.name).map(|(address, owner)| (address, owner.clone())).collect();
        let inside = |address: &IpAddr| pool.ranges.iter().any(|range| range.contains(*address));
        let expected = naive.holds.iter().filter(|(address, _)| inside(address));
        prop_assert_eq!(held, expected.map(|(address, owner)| (*address, owner.clone())).collect());
    }
    for family in ["0.0.0.0/0", "::/0"] {
        let used: Vec<_> =
            ipam.used_in(range(family)).map(|(address, owner)| (address, owner.clone())).collect();
        let users = naive.users.iter().filter(|(address, _)| range(family).contains(**address));
        let users = users.flat_map(|(address, users)| users.iter().map(|(user, _)| (*address, user.clone())));
        prop_assert_eq!(used, users.collect::<Vec<_>>());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn it_does_what_a_plain_list_would_do(
        pools in prop::collection::vec(any_pool(), 1..4),
        steps in prop::collection::vec(any_step(), 1..80),
    ) {
        let (mut ipam, mut naive) = (Ipam::new(), Naive::default());
        let pools = pools.into_iter().map(|pool| Step::SetPool(pool.into()));
        for step in pools.chain(steps) {
            apply(&mut ipam, &mut naive, step)?;
            compare(&ipam, &naive)?;
        }
    }
}
