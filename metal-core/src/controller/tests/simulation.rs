//! Whatever happens: addresses stay, nobody has another one's, and counters are right.

use alloc::collections::BTreeSet;

use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestCaseResult},
};

use super::*;
use super::{
    cluster::Cluster,
    history::{Deed, cases, deed, may_share},
};
use crate::finding::Finding;

/// Something that happens to the cluster.
#[derive(Clone, Debug)]
enum Happening {
    Deed(Deed),
    /// Some news reaches the leader.
    Deliver(Vec<u8>),
    /// The leader decides.
    Decide,
    /// Some of its writes arrive.
    Land(Vec<u8>),
    /// The leader ends, or is paused, and another one takes over.
    Restart {
        pauses: bool,
        outdated: Vec<u8>,
    },
    /// The one that was paused wakes up.
    Wake,
    /// A speaker finds an address of a Service with a stranger.
    Find {
        service: u8,
        address: u8,
        announced: bool,
        replaceable: bool,
    },
    /// Time passes.
    Pass(u8),
    /// Everything comes to rest.
    Settle,
}

fn happening() -> impl Strategy<Value = Happening> {
    let some = || prop::collection::vec(any::<u8>(), 1..8);
    prop_oneof![
        12 => deed().prop_map(Happening::Deed),
        8 => some().prop_map(Happening::Deliver),
        8 => Just(Happening::Decide),
        8 => some().prop_map(Happening::Land),
        2 => (any::<bool>(), some()).prop_map(|(pauses, outdated)| Happening::Restart { pauses, outdated }),
        2 => Just(Happening::Wake),
        1 => (0_u8..10, 0_u8..9, any::<bool>(), any::<bool>()).prop_map(|(service, address, announced, replaceable)| {
            Happening::Find { service, address, announced, replaceable }
        }),
        1 => (0_u8..40).prop_map(Happening::Pass),
        1 => Just(Happening::Settle),
    ]
}

/// What the leader has given to a Service, and how that shared.
type Given = BTreeMap<ObjectKey, (Vec<(IpAddr, PoolName)>, Option<Sharing>)>;

fn given(cluster: &Cluster) -> Given {
    let services = cluster.leader.controller.services.iter();
    let given = services.map(|(key, record)| {
        let owns = record.owns.iter().map(|own| (own.address, own.pool.clone())).collect();
        (key.clone(), (owns, record.sharing.clone()))
    });
    given.collect()
}

/// What a list shows.
fn listed_in(cluster: &Cluster) -> Given {
    let services = cluster.services.iter().map(|(key, service)| {
        let owns = service
            .assigned
            .iter()
            .enumerate()
            .filter_map(|(index, address)| Some((*address, service.pool_of_assigned(index)?.clone())));
        (key.clone(), (owns.collect(), service.sharing.clone()))
    });
    services.collect()
}

/// The leader decides: what it takes from a Service has one of the causes that there are.
fn decide(cluster: &mut Cluster, before: &Given) -> Result<Vec<Output>, TestCaseError> {
    let outputs = cluster.decide();
    let controller = &cluster.leader.controller;
    for (key, (owns, shared)) in before {
        let Some(record) = controller.services.get(key) else { continue };
        let service = &record.service;
        if service.scope != Scope::Ours {
            continue;
        }
        for (address, from) in owns {
            if record.owns.iter().any(|own| own.address == *address) {
                continue;
            }
            let family = Family::of(*address);
            let pool = controller.ipam.pool_of(*address).filter(|_| controller.ipam.is_inside(*address));
            let home = pool.map_or(from, |pool| &pool.name);
            let asks_for_another = match &service.request {
                Ok(request) => {
                    let mut wanted = request.addresses.iter().filter(|wanted| wanted.family() == family);
                    wanted.any(|wanted| !controller.ipam.meets(*address, wanted))
                        || request.pool.as_ref().is_some_and(|pool| pool != home)
                }
                Err(_) => false,
            };
            let wants_both = service.family_policy == FamilyPolicy::RequireDualStack && owns.len() < 2;
            // What a pool said that is gone since cannot be asked any more.
            let may_move = controller.ipam.pool(from).is_none_or(|pool| pool.reassigns);
            let reassigns = pool.is_none() && (service.reassigns || may_move);
            // Only what was never announced is left to a stranger, and only by who does not insist on it.
            let insists = service
                .request
                .as_ref()
                .is_ok_and(|request| request.addresses.iter().any(|wanted| wanted.family() == family));
            let is_left = cluster.findings.iter().any(|finding| {
                (&finding.service, finding.address) == (key, *address)
                    && !finding.announced
                    && finding.replaceable
                    && !insists
            });
            let edits_sharing = *shared != service.sharing;
            let is_lost_to = |(other, record): (&ObjectKey, &Record)| {
                (record.service.created, other) < (service.created, key)
                    && record.owns.iter().any(|own| own.address == *address)
            };
            let conflicts = controller.services.iter().any(is_lost_to)
                && (cluster.tainted.contains(address) || !cluster.excused.is_empty());
            let has_cause = !service.families.contains(&family)
                || asks_for_another
                || wants_both
                || reassigns
                || is_left
                || edits_sharing
                || conflicts;
            prop_assert!(has_cause, "{key} loses {address} for no cause: {service:?}");
        }
    }
    Ok(outputs)
}

/// No address is on two Services that may not share it.
fn no_conflicts(cluster: &Cluster) -> TestCaseResult {
    let mut users: BTreeMap<IpAddr, Vec<(&ObjectKey, &Service)>> = BTreeMap::new();
    for (key, service) in &cluster.services {
        for address in &service.assigned {
            users.entry(*address).or_default().push((key, service));
        }
    }
    for (address, users) in users {
        for (index, (key, service)) in users.iter().enumerate() {
            for (other, shares) in &users[..index] {
                let is_excused = cluster.tainted.contains(&address)
                    || cluster.excused.contains(*key)
                    || cluster.excused.contains(*other);
                prop_assert!(is_excused || may_share(service, shares), "{key} and {other} have {address}");
            }
        }
    }
    Ok(())
}

/// What holds when everything has come to rest.
fn all_is_well(cluster: &Cluster) -> TestCaseResult {
    no_conflicts(cluster)?;
    let controller = &cluster.leader.controller;
    let mut shown: BTreeSet<(IpAddr, &ObjectKey)> = BTreeSet::new();
    for (key, service) in &cluster.services {
        let record = &controller.services[key];
        prop_assert_eq!(&record.addresses(), &service.assigned, "{}", key);
        prop_assert!(record.leaving.is_empty(), "{key} still leaves {:?}", record.leaving);
        prop_assert_eq!(service.condition.is_some(), service.scope == Scope::Ours, "{}", key);
        let condition = service.condition.as_ref();
        prop_assert!(condition.is_none_or(|said| said.status != service.assigned.is_empty()), "{key}");
        prop_assert_eq!(service.assigned_from.is_empty(), service.assigned.is_empty());
        let found = |finding: &&Finding| {
            finding.service == *key
                && service.assigned.contains(&finding.address)
                && service.scope == Scope::Ours
        };
        let is_announced = cluster.findings.iter().filter(found).map(|finding| finding.announced).min();
        prop_assert_eq!(service.announced.as_ref().map(|said| said.status), is_announced, "{}", key);
        let mut families: Vec<_> = service.assigned.iter().map(|address| Family::of(*address)).collect();
        families.dedup();
        prop_assert_eq!(families.len(), service.assigned.len(), "one address of each family");
        shown.extend(service.assigned.iter().map(|address| (*address, key)));
    }
    for pool in controller.snapshot().pools() {
        let has = |address: &IpAddr| pool.ranges.iter().any(|range| range.contains(*address));
        let is_excluded = |address: &IpAddr| pool.exclude.iter().any(|range| range.contains(*address));
        let addresses: BTreeSet<_> = shown.iter().map(|(address, _)| *address).filter(has).collect();
        let space: Vec<_> = pool.ranges.iter().flat_map(|range| range.addresses()).collect();
        let count = |family, of: &mut dyn Iterator<Item = IpAddr>| {
            of.filter(|address| Family::of(*address) == family).count() as u64
        };
        let free =
            || space.iter().copied().filter(|address| !is_excluded(address) && !addresses.contains(address));
        let expected = Usage {
            assigned_v4: count(Family::V4, &mut addresses.iter().copied()),
            assigned_v6: count(Family::V6, &mut addresses.iter().copied()),
            available_v4: count(Family::V4, &mut free()),
            available_v6: count(Family::V6, &mut free()),
        };
        prop_assert_eq!(cluster.usage.get(&pool.name), Some(&expected), "pool {}", pool.name);
        for range in &pool.ranges {
            for (address, owner) in controller.ipam.used_in(*range) {
                prop_assert!(shown.contains(&(address, owner)), "{owner} does not show {address}");
            }
        }
    }
    prop_assert_eq!(cluster.usage.len(), controller.snapshot().pools().count());
    Ok(())
}

fn settle(cluster: &mut Cluster) -> TestCaseResult {
    cluster.settle(|cluster| {
        no_conflicts(cluster)?;
        let before = given(cluster);
        decide(cluster, &before)
    })?;
    all_is_well(cluster)
}

fn happen(cluster: &mut Cluster, happening: Happening) -> TestCaseResult {
    match happening {
        Happening::Deed(deed) => {
            if let Some((key, service)) = deed.service(&cluster.services) {
                cluster.put(key, service);
            }
            if let Some((reference, spec)) = deed.object() {
                cluster.configure(reference, spec);
            }
        }
        Happening::Deliver(choices) => cluster.deliver(&choices),
        Happening::Decide => {
            let before = given(cluster);
            decide(cluster, &before)?;
        }
        Happening::Land(choices) => {
            for choice in choices {
                cluster.land(choice);
                no_conflicts(cluster)?;
            }
        }
        Happening::Restart { pauses, outdated } => {
            cluster.restart(pauses, &outdated);
            let before = listed_in(cluster);
            decide(cluster, &before)?;
        }
        Happening::Wake => cluster.wake(),
        Happening::Find { service, address, announced, replaceable } => {
            let address = match address {
                0..=5 => IpAddr::from([192, 0, 2, address]),
                _ => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(address - 6)]),
            };
            cluster.find(Finding {
                service: history::name(service),
                address,
                interface: "eth0".into(),
                reason: crate::speaker::Reason::AddressConflict,
                announced,
                replaceable: replaceable && !announced,
                message: format!("somebody has {address}"),
            });
        }
        Happening::Pass(seconds) => cluster.now += core::time::Duration::from_secs(seconds.into()),
        Happening::Settle => settle(cluster)?,
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn addresses_stay_and_are_never_given_twice(history in prop::collection::vec(happening(), 1..60)) {
        let mut cluster = Cluster::new();
        let addresses = ["192.0.2.0-192.0.2.5", "2001:db8::-2001:db8::2"];
        cluster.configure(pool_ref("p0"), Some(Spec::Pool(pool_of(&addresses))));
        for happening in history {
            happen(&mut cluster, happening)?;
        }
        settle(&mut cluster)?;
        // A restart writes nothing, unless others have changed why a Service does not get what it wants since
        // that was said.
        let in_force = |cluster: &Cluster| {
            let snapshot = cluster.leader.controller.snapshot();
            let (pools, reservations) = (snapshot.pools(), snapshot.reservations());
            (pools.cloned().collect::<Vec<_>>(), reservations.cloned().collect::<Vec<_>>())
        };
        let former = in_force(&cluster);
        cluster.restart(false, &[1]);
        let before = listed_in(&cluster);
        let outputs = decide(&mut cluster, &before)?;
        if in_force(&cluster) == former {
            for output in &outputs {
                if let Output::Assign { service, assignment, .. } = output {
                    let before = &cluster.services[service];
                    prop_assert_eq!(&assignment.addresses, &before.assigned, "{}", service);
                    let said = before.condition.as_ref().map(|said| said.reason.as_str());
                    prop_assert_ne!(said, Some("Assigned"), "{} {:?}", service, assignment);
                    prop_assert_ne!(&assignment.condition, &before.condition, "{}", service);
                }
            }
        }
        settle(&mut cluster)?;
        cluster.restart(false, &[1]);
        let before = listed_in(&cluster);
        let outputs = decide(&mut cluster, &before)?;
        prop_assert_eq!((assigned(&outputs), events(&outputs)), (Vec::new(), Vec::new()));
    }
}
