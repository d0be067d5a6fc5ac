use alloc::{
    format,
    string::{String, ToString},
};
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::selector::{Labels, Selector};

fn reference(kind: &'static str, name: &str) -> ObjectRef {
    ObjectRef { kind, namespace: "metallb-system".into(), name: name.into() }
}

fn pool_ref(name: &str) -> ObjectRef {
    reference("IPAddressPool", name)
}

fn spec(addresses: &[&str]) -> PoolSpec {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    PoolSpec { addresses, auto_assign: true, ..PoolSpec::default() }
}

fn object(created: i64, spec: Spec) -> Object {
    Object { created: Some(created), labels: Labels::new(), spec, status: ObjectStatus::default() }
}

fn pool(created: i64, addresses: &[&str]) -> Object {
    object(created, Spec::Pool(spec(addresses)))
}

fn legacy(created: i64, pools: &[(&str, &str, &str)]) -> Object {
    let pools = pools.iter().map(|(name, protocol, addresses)| LegacyPool {
        name: (*name).into(),
        protocol: (*protocol).into(),
        spec: spec(&[addresses]),
        advertisements: Vec::new(),
    });
    object(created, Spec::Legacy(Legacy { pools: pools.collect(), bgp: bgp::Legacy::default() }))
}

fn config_map() -> ObjectRef {
    reference("ConfigMap", "config")
}

fn advertisement(pools: &[&str], selectors: Vec<Selector>) -> Object {
    let pools = pools.iter().map(ToString::to_string).collect();
    object(
        1,
        Spec::L2Advertisement(L2AdvertisementSpec {
            pools,
            pool_selectors: selectors,
            ..L2AdvertisementSpec::default()
        }),
    )
}

/// A configuration with these objects, synced.
fn configuration(objects: Vec<(ObjectRef, Object)>) -> Configuration {
    let mut configuration = Configuration::new();
    for (object, value) in objects {
        configuration.apply(object, Some(value));
    }
    configuration.synced();
    configuration
}

/// What is in force: each pool with its object and its ranges.
fn in_force(configuration: &Configuration) -> Vec<String> {
    let snapshot = configuration.snapshot();
    let pools = snapshot.pools();
    pools.map(|pool| format!("{}={:?}", snapshot.object_of(&pool.name).unwrap().name, pool.ranges)).collect()
}

/// The only refusal of the only object whose verdict has changed.
fn refused(configuration: &mut Configuration, object: &ObjectRef) -> Refusal {
    let changes = configuration.take_changes();
    let verdict = changes.verdicts.iter().find(|(changed, _)| changed == object).expect("a new verdict");
    assert_eq!(verdict.1.len(), 1, "{verdict:?}");
    verdict.1[0].clone()
}

fn accepted(configuration: &mut Configuration, object: &ObjectRef) -> bool {
    configuration.take_changes().verdicts.contains(&(object.clone(), Vec::new()))
}

#[test]
fn nothing_is_in_force_before_everything_is_listed() {
    let mut configuration = Configuration::new();
    configuration.apply(pool_ref("a"), Some(pool(1, &["192.0.2.0/28"])));
    assert_eq!(configuration.take_changes(), Changes::default());
    assert_eq!(configuration.snapshot().pools().count(), 0);
    configuration.synced();
    assert!(accepted(&mut configuration, &pool_ref("a")));
    assert_eq!(configuration.take_changes(), Changes::default());
    let inside = configuration.snapshot().pool_of("192.0.2.15".parse().unwrap());
    assert_eq!(inside.map(|pool| pool.name.as_str()), Some("a"));
    assert!(configuration.snapshot().pool_of("192.0.2.16".parse().unwrap()).is_none());
}

#[test]
fn a_bad_pool_is_refused_alone() {
    let mut configuration = configuration(vec![
        (pool_ref("good"), pool(1, &["192.0.2.0/28"])),
        (pool_ref("reversed"), pool(1, &["198.51.100.0/24", "192.0.2.9-192.0.2.1"])),
        (pool_ref("empty"), pool(1, &[])),
    ]);
    let verdicts = configuration.take_changes().verdicts;
    assert_eq!(in_force(&configuration), ["good=[192.0.2.0-192.0.2.15]"]);
    let told = |name: &str| verdicts.iter().find(|(object, _)| object == &pool_ref(name)).unwrap().1.clone();
    assert_eq!(told("good"), []);
    assert_eq!(told("reversed")[0].field, "spec.addresses[1]");
    assert!(told("reversed")[0].message.contains("is reversed"));
    assert_eq!(told("empty")[0].field, "spec.addresses");
}

#[test]
fn an_object_that_becomes_bad_stays_in_its_last_good_version() {
    let mut configuration = configuration(vec![(pool_ref("a"), pool(1, &["192.0.2.0/28"]))]);
    assert!(accepted(&mut configuration, &pool_ref("a")));
    configuration.apply(pool_ref("a"), Some(pool(1, &["nonsense"])));
    let refusal = refused(&mut configuration, &pool_ref("a"));
    assert_eq!(refusal.field, "spec.addresses[0]");
    assert!(refusal.message.ends_with("its last valid version stays in force"), "{refusal}");
    assert_eq!(in_force(&configuration), ["a=[192.0.2.0-192.0.2.15]"]);

    let unreadable = Spec::Unreadable(Refusal { field: "spec".into(), message: "no map".into() });
    configuration.apply(pool_ref("a"), Some(object(1, unreadable)));
    assert_eq!(in_force(&configuration), ["a=[192.0.2.0-192.0.2.15]"]);
    configuration.apply(pool_ref("a"), None);
    assert_eq!(in_force(&configuration), [""; 0]);
}

#[test]
fn of_two_new_pools_that_overlap_the_older_wins_and_then_the_name() {
    let old = || (pool_ref("z"), pool(1, &["192.0.2.0/28"]));
    let young = || (pool_ref("a"), pool(2, &["192.0.2.8-192.0.2.40"]));
    let same_age = || (pool_ref("y"), pool(1, &["192.0.2.15/32"]));
    for objects in [vec![old(), young(), same_age()], vec![same_age(), young(), old()]] {
        let mut configuration = configuration(objects);
        assert_eq!(in_force(&configuration), ["y=[192.0.2.15]"]);
        assert_eq!(
            refused(&mut configuration, &pool_ref("z")).to_string(),
            "spec.addresses[0]: overlaps with pool y (IPAddressPool metallb-system/y), which is in force, \
             in 192.0.2.15: remove these addresses from one of them"
        );
    }
}

#[test]
fn the_pool_in_force_stays_and_the_other_follows_when_it_goes() {
    let mut configuration = configuration(vec![(pool_ref("young"), pool(9, &["192.0.2.0/28"]))]);
    configuration.apply(pool_ref("old"), Some(pool(1, &["192.0.2.0/24"])));
    assert_eq!(in_force(&configuration), ["young=[192.0.2.0-192.0.2.15]"]);
    assert!(refused(&mut configuration, &pool_ref("old")).message.contains("192.0.2.0-192.0.2.15"));
    configuration.apply(pool_ref("young"), None);
    assert_eq!(in_force(&configuration), ["old=[192.0.2.0-192.0.2.255]"]);
    let changes = configuration.take_changes();
    assert_eq!(changes.verdicts, [(pool_ref("old"), vec![])]);
    assert_eq!(changes.pools, BTreeSet::from(["old".into(), "young".into()]));
}

#[test]
fn an_edit_that_overlaps_is_refused_and_the_former_version_stays() {
    let mut configuration = configuration(vec![
        (pool_ref("a"), pool(1, &["192.0.2.0/28"])),
        (pool_ref("b"), pool(2, &["192.0.2.16/28"])),
    ]);
    configuration.apply(pool_ref("a"), Some(pool(1, &["192.0.2.0/24"])));
    configuration.take_changes();
    assert_eq!(in_force(&configuration), ["a=[192.0.2.0-192.0.2.15]", "b=[192.0.2.16-192.0.2.31]"]);
    configuration.apply(pool_ref("b"), None);
    assert!(accepted(&mut configuration, &pool_ref("a")));
    assert_eq!(in_force(&configuration), ["a=[192.0.2.0-192.0.2.255]"]);
}

#[test]
fn when_space_appears_the_oldest_of_those_waiting_gets_it() {
    let mut configuration = configuration(vec![
        (pool_ref("b"), pool(1, &["192.0.2.0/28"])),
        (pool_ref("young"), pool(3, &["192.0.2.8/32"])),
        (pool_ref("old"), pool(2, &["192.0.2.9/32", "192.0.2.8/32"])),
    ]);
    assert_eq!(in_force(&configuration), ["b=[192.0.2.0-192.0.2.15]"]);
    configuration.apply(pool_ref("b"), Some(pool(9, &["192.0.2.0/32"])));
    assert_eq!(in_force(&configuration), ["b=[192.0.2.0]", "old=[192.0.2.9, 192.0.2.8]"]);
}

#[test]
fn ranges_of_one_pool_must_not_overlap() {
    let mut configuration =
        configuration(vec![(pool_ref("a"), pool(1, &["192.0.2.16/28", "192.0.2.0/28", "192.0.2.20/32"]))]);
    let refusal = refused(&mut configuration, &pool_ref("a"));
    assert_eq!(refusal.field, "spec.addresses[2]");
    assert!(refusal.message.starts_with("overlaps with spec.addresses[0] in 192.0.2.20:"), "{refusal}");
}

#[test]
fn two_objects_cannot_define_one_pool_name() {
    let other = ObjectRef { namespace: "elsewhere".into(), ..pool_ref("a") };
    let mut configuration = configuration(vec![
        (pool_ref("a"), pool(1, &["192.0.2.0/28"])),
        (other.clone(), pool(2, &["198.51.100.0/28"])),
    ]);
    let refusal = refused(&mut configuration, &other);
    assert_eq!(refusal.field, "metadata.name");
    assert!(
        refusal.message.contains("IPAddressPool metallb-system/a defines the pool a already"),
        "{refusal}"
    );
}

#[test]
fn service_allocation_is_judged_field_by_field() {
    let allocation = ServiceAllocationSpec {
        priority: 5,
        namespaces: vec!["one".into(), "one".into()],
        namespace_selectors: vec![Selector::default(), Selector::default()],
        service_selectors: vec![Selector::label("app", "a"), Selector::label("app", "a")],
    };
    let spec = PoolSpec { service_allocation: Some(allocation), ..spec(&["192.0.2.0/28"]) };
    let mut configuration = configuration(vec![(pool_ref("a"), object(1, Spec::Pool(spec)))]);
    let fields: Vec<_> =
        configuration.take_changes().verdicts[0].1.iter().map(|refusal| refusal.field.clone()).collect();
    assert_eq!(
        fields,
        [
            "spec.serviceAllocation.namespaces[1]",
            "spec.serviceAllocation.serviceSelectors[1]",
            "spec.serviceAllocation.namespaceSelectors[1]"
        ]
    );
}

#[test]
fn a_config_map_defines_pools_and_their_advertisements_each_judged_by_itself() {
    let pools = [
        ("a", "layer2", "192.168.1.30-192.168.1.49"),
        ("b", "rip", "192.0.2.0/28"),
        ("c", "layer2", "x"),
        ("a", "layer2", "198.51.100.0/28"),
    ];
    let mut configuration = configuration(vec![(config_map(), legacy(1, &pools))]);
    assert_eq!(in_force(&configuration), ["config=[192.168.1.30-192.168.1.49]"]);
    let pool = configuration.snapshot().pool(&"a".into()).unwrap();
    let advertisement = configuration.snapshot().advertisements_for(pool).next().unwrap();
    assert_eq!((&advertisement.object, advertisement.pools.len()), (&config_map(), 1));
    let fields: Vec<_> =
        configuration.take_changes().verdicts[0].1.iter().map(|refusal| refusal.field.clone()).collect();
    assert_eq!(
        fields,
        ["address-pools[3].name", "address-pools[1].protocol", "address-pools[2].addresses[0]"]
    );

    configuration.apply(config_map(), Some(legacy(1, &[])));
    assert!(accepted(&mut configuration, &config_map()), "an empty list is no error");
    assert_eq!(in_force(&configuration), [""; 0]);
    assert_eq!(configuration.snapshot().advertisements().count(), 0);
}

#[test]
fn a_custom_resource_displaces_a_config_maps_pool_of_the_same_name() {
    let mut configuration =
        configuration(vec![(config_map(), legacy(1, &[("a", "layer2", "192.0.2.0/28")]))]);
    assert!(accepted(&mut configuration, &config_map()));
    configuration.apply(pool_ref("a"), Some(pool(5, &["192.0.2.0/24"])));
    assert_eq!(in_force(&configuration), ["a=[192.0.2.0-192.0.2.255]"]);
    assert_eq!(configuration.snapshot().advertisements().count(), 0, "the ConfigMap's one is gone, too");
    let refusal = refused(&mut configuration, &config_map());
    assert_eq!(refusal.field, "address-pools[0].name");
    configuration.apply(pool_ref("a"), None);
    assert!(accepted(&mut configuration, &config_map()));
    assert_eq!(in_force(&configuration), ["config=[192.0.2.0-192.0.2.15]"]);
}

#[test]
fn an_advertisement_selects_pools_by_name_by_label_or_all() {
    let mut labelled = pool(1, &["198.51.100.0/28"]);
    labelled.labels.insert("zone".into(), "a".into());
    let mut configuration = configuration(vec![
        (pool_ref("plain"), pool(1, &["192.0.2.0/28"])),
        (pool_ref("labelled"), labelled),
        (reference("L2Advertisement", "all"), advertisement(&[], vec![])),
        (reference("L2Advertisement", "named"), advertisement(&["plain", "unknown"], vec![])),
        (reference("L2Advertisement", "label"), advertisement(&[], vec![Selector::label("zone", "a")])),
        (
            reference("L2Advertisement", "both"),
            advertisement(&["labelled"], vec![Selector::label("zone", "a")]),
        ),
    ]);
    let names = |configuration: &Configuration, pool: &str| {
        let pool = configuration.snapshot().pool(&pool.into()).unwrap().clone();
        let names =
            configuration.snapshot().advertisements_for(&pool).map(|found| found.object.name.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&configuration, "plain"), ["all", "named"]);
    assert_eq!(names(&configuration, "labelled"), ["all", "both", "label"]);
    configuration.take_changes();

    configuration.apply(reference("L2Advertisement", "named"), Some(advertisement(&["labelled"], vec![])));
    let changes = configuration.take_changes();
    assert_eq!(changes.advertised, BTreeSet::from(["labelled".into(), "plain".into()]));
    assert!(changes.pools.is_empty() && changes.verdicts.is_empty(), "{changes:?}");
    assert_eq!(names(&configuration, "plain"), ["all"]);

    configuration.apply(pool_ref("labelled"), None);
    let gone = PoolName::from("labelled");
    let former = |labels: Option<&Labels>| -> Vec<String> {
        let former = configuration.snapshot().advertisements_of_former(&gone, labels);
        former.map(|found| found.object.name.to_string()).collect()
    };
    assert_eq!(former(None), ["all", "both", "named"]);
    let last_known = Labels::from([("zone".into(), "a".into())]);
    assert_eq!(former(Some(&last_known)), ["all", "both", "label", "named"]);
}

#[test]
fn a_bad_advertisement_is_refused_and_its_last_good_version_stays() {
    let object_ref = reference("L2Advertisement", "a");
    let mut configuration = configuration(vec![(object_ref.clone(), advertisement(&["p"], vec![]))]);
    assert!(accepted(&mut configuration, &object_ref));
    let bad = L2AdvertisementSpec {
        preferred_nodes: vec![PreferredNode { weight: 101, preference: Selector::default() }],
        ..L2AdvertisementSpec::default()
    };
    configuration.apply(object_ref.clone(), Some(object(1, Spec::L2Advertisement(bad))));
    let refusal = refused(&mut configuration, &object_ref);
    assert_eq!(refusal.field, "spec.preferredNodeSelectors[0].weight");
    assert!(refusal.message.contains("from 1 to 100") && refusal.message.contains("stays in force"));
    assert_eq!(configuration.snapshot().advertisements().count(), 1);
    configuration.apply(object_ref.clone(), Some(advertisement(&["p", "p"], vec![])));
    assert_eq!(refused(&mut configuration, &object_ref).field, "spec.ipAddressPools[1]");
}

#[test]
fn an_advertisement_says_where_how_often_and_what_to_let_in() {
    let judge = |spec: L2AdvertisementSpec| {
        let object_ref = reference("L2Advertisement", "a");
        let mut configuration =
            configuration(vec![(object_ref.clone(), object(1, Spec::L2Advertisement(spec)))]);
        let verdicts = configuration.take_changes().verdicts;
        let refusals = verdicts.into_iter().find(|(object, _)| *object == object_ref).unwrap().1;
        let found = configuration.snapshot().advertisements().next().cloned();
        found.ok_or_else(|| refusals.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let spec = |interfaces: &[&str], refresh: Option<&str>, receive: Option<&str>| L2AdvertisementSpec {
        interfaces: interfaces.iter().map(ToString::to_string).collect(),
        refresh_interval: refresh.map(Into::into),
        receive_mode: receive.map(Into::into),
        ..L2AdvertisementSpec::default()
    };
    let plain = judge(spec(&[], None, None)).unwrap();
    assert_eq!((plain.refresh, plain.receive), (None, None));
    assert!(plain.interfaces.is_all());
    let full = judge(spec(&["eth*", "!eth1"], Some("1m30s"), Some("AllMulti"))).unwrap();
    assert_eq!((full.refresh, full.receive), (Some(Duration::from_secs(90)), Some(ReceiveMode::AllMulti)));
    assert!(
        full.admits_interface("eth0") && !full.admits_interface("eth1") && !full.admits_interface("ens3")
    );
    assert_eq!(judge(spec(&[], Some("0s"), Some("Promisc"))).unwrap().refresh, Some(Duration::ZERO));
    assert_eq!(
        judge(spec(&["eth0", "eth[0"], Some("10ms"), Some("promisc"))).unwrap_err(),
        [
            "spec.interfaces[1]: \"eth[0\" has a [ without its ]",
            "spec.refreshInterval: 10ms is too often: write 1s or more, or 0s for never",
            "spec.receiveMode: \"promisc\" is none of Auto, AllMulti and Promisc",
        ]
    );
    let refused = judge(spec(&[], Some("often"), None)).unwrap_err();
    assert!(refused[0].starts_with("spec.refreshInterval: \"often\" is not a duration"), "{refused:?}");
}

fn reservation_ref(name: &str) -> ObjectRef {
    reference("IPReservation", name)
}

fn reservation(created: i64, addresses: &[&str]) -> Object {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    object(created, Spec::Reservation(ReservationSpec { addresses, ..ReservationSpec::default() }))
}

fn reserved(configuration: &Configuration) -> Vec<String> {
    let reservations = configuration.snapshot().reservations();
    reservations.map(|found| format!("{}={:?}", found.object.name, found.ranges)).collect()
}

/// The same object, which was in force before a restart.
fn was_accepted(mut object: Object) -> Object {
    object.status.accepted = true;
    object
}

#[test]
fn the_rules_of_a_pool_are_read() {
    let spec = PoolSpec {
        exclude: vec!["192.0.2.3".into(), "192.0.2.4/31".into(), "198.51.100.7-198.51.100.9".into()],
        reuse_delay: Some("1h30m".into()),
        max_addresses_per_namespace: Some(5),
        sharing: Some("SameNamespace".into()),
        reassign_policy: Some("Immediate".into()),
        ..spec(&["192.0.2.0/28"])
    };
    let configuration = configuration(vec![(pool_ref("a"), object(1, Spec::Pool(spec)))]);
    let pool = configuration.snapshot().pool(&"a".into()).unwrap();
    assert_eq!(format!("{:?}", pool.exclude), "[192.0.2.3-192.0.2.5, 198.51.100.7-198.51.100.9]");
    assert_eq!(pool.reuse_delay, core::time::Duration::from_secs(5400));
    assert_eq!((pool.max_per_namespace, pool.sharing), (Some(5), SharingPolicy::SameNamespace));
    assert!(pool.reassigns);
}

#[test]
fn the_rules_of_a_pool_are_judged_field_by_field() {
    let spec = PoolSpec {
        exclude: vec!["192.0.2.3".into(), "x".into()],
        reuse_delay: Some("-1m".into()),
        max_addresses_per_namespace: Some(0),
        sharing: Some("Always".into()),
        reassign_policy: Some("immediate".into()),
        ..spec(&["192.0.2.0/28"])
    };
    let mut configuration = configuration(vec![(pool_ref("a"), object(1, Spec::Pool(spec)))]);
    let refusals = configuration.take_changes().verdicts.remove(0).1;
    let fields: Vec<_> = refusals.iter().map(|refusal| refusal.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "spec.exclude[1]",
            "spec.reuseDelay",
            "spec.maxAddressesPerNamespace",
            "spec.sharing",
            "spec.reassignPolicy"
        ]
    );
    assert_eq!(refusals[3].message, "\"Always\" is not one of Never, SameNamespace, Key");
    assert_eq!(in_force(&configuration), [""; 0]);
}

#[test]
fn a_reservation_takes_ranges_and_single_addresses() {
    let mut configuration = configuration(vec![(
        reservation_ref("r"),
        reservation(1, &["192.0.2.9", "192.0.2.0/30", "192.0.2.4"]),
    )]);
    assert!(accepted(&mut configuration, &reservation_ref("r")));
    assert_eq!(reserved(&configuration), ["r=[192.0.2.0-192.0.2.4, 192.0.2.9]"]);
    configuration.apply(reservation_ref("r"), None);
    assert_eq!(configuration.take_changes().reservations, BTreeSet::from([reservation_ref("r")]));
    assert_eq!(reserved(&configuration), [""; 0]);
}

#[test]
fn a_bad_reservation_is_refused_alone_and_stays_in_its_last_good_version() {
    let spec = ReservationSpec {
        addresses: vec!["192.0.2.9-192.0.2.1".into()],
        namespaces: vec!["a".into(), "a".into()],
        ..ReservationSpec::default()
    };
    let bad = || object(1, Spec::Reservation(spec.clone()));
    let mut configuration = configuration(vec![
        (reservation_ref("bad"), bad()),
        (reservation_ref("empty"), reservation(1, &[])),
        (reservation_ref("good"), reservation(1, &["192.0.2.1"])),
    ]);
    assert_eq!(reserved(&configuration), ["good=[192.0.2.1]"]);
    let verdicts = configuration.take_changes().verdicts;
    let fields: Vec<_> =
        verdicts.iter().flat_map(|(_, refusals)| refusals).map(|refusal| &*refusal.field).collect();
    assert_eq!(fields, ["spec.addresses[0]", "spec.namespaces[1]", "spec.namespaces", "spec.addresses"]);

    configuration.apply(reservation_ref("good"), Some(reservation(1, &["x"])));
    let refusal = refused(&mut configuration, &reservation_ref("good"));
    assert!(refusal.message.ends_with("its last valid version stays in force"), "{refusal}");
    let unreadable = Spec::Unreadable(Refusal { field: "spec".into(), message: "no map".into() });
    configuration.apply(reservation_ref("good"), Some(object(1, unreadable)));
    assert_eq!(reserved(&configuration), ["good=[192.0.2.1]"]);
}

#[test]
fn of_two_reservations_that_overlap_the_one_in_force_stays_else_the_older_then_the_name() {
    let mut configuration = configuration(vec![
        (reservation_ref("young"), reservation(2, &["192.0.2.0/28"])),
        (reservation_ref("b"), reservation(1, &["192.0.2.8/29"])),
        (reservation_ref("a"), reservation(1, &["192.0.2.15"])),
    ]);
    assert_eq!(reserved(&configuration), ["a=[192.0.2.15]"]);
    assert_eq!(
        refused(&mut configuration, &reservation_ref("young")).to_string(),
        "spec.addresses: 192.0.2.15 is reserved by IPReservation metallb-system/a already, which is in force: \
         remove these addresses from one of them"
    );
    configuration.apply(reservation_ref("a"), None);
    assert_eq!(reserved(&configuration), ["b=[192.0.2.8-192.0.2.15]"], "the oldest of those waiting follows");
    configuration.apply(reservation_ref("ancient"), Some(reservation(0, &["192.0.2.9"])));
    assert_eq!(reserved(&configuration), ["b=[192.0.2.8-192.0.2.15]"]);
    configuration.apply(reservation_ref("b"), Some(reservation(1, &["192.0.2.8"])));
    assert_eq!(reserved(&configuration), ["ancient=[192.0.2.9]", "b=[192.0.2.8]"]);
}

#[test]
fn after_a_restart_what_was_accepted_comes_before_what_is_older() {
    let pools = |accepted: bool| {
        let young = pool(9, &["192.0.2.0/28"]);
        let young = if accepted { was_accepted(young) } else { young };
        configuration(vec![(pool_ref("old"), pool(1, &["192.0.2.8-192.0.2.40"])), (pool_ref("young"), young)])
    };
    assert_eq!(in_force(&pools(true)), ["young=[192.0.2.0-192.0.2.15]"]);
    assert_eq!(in_force(&pools(false)), ["old=[192.0.2.8-192.0.2.40]"]);
    let mut pools = pools(true);
    assert!(refused(&mut pools, &pool_ref("old")).message.contains("overlaps with pool young"));

    let reservations = configuration(vec![
        (reservation_ref("old"), reservation(1, &["192.0.2.8"])),
        (reservation_ref("young"), was_accepted(reservation(9, &["192.0.2.8"]))),
    ]);
    assert_eq!(reserved(&reservations), ["young=[192.0.2.8]"]);
}

/// Small objects that often clash.
fn any_object() -> impl Strategy<Value = (ObjectRef, Object)> {
    let range =
        (0_u8..12, 0_u8..4).prop_map(|(first, more)| format!("192.0.2.{first}-192.0.2.{}", first + more));
    let pool_object = (0_i64..3, "[a-d]", prop::collection::vec(range.clone(), 1..3)).prop_map(
        |(created, name, addresses)| {
            let spec = PoolSpec { addresses, auto_assign: true, ..PoolSpec::default() };
            (pool_ref(&name), object(created, Spec::Pool(spec)))
        },
    );
    let config_map =
        (0_i64..3, prop::collection::vec(("[a-d]", range), 0..4)).prop_map(|(created, pools)| {
            let pools: Vec<_> =
                pools.iter().map(|(name, range)| (name.as_str(), "layer2", range.as_str())).collect();
            (config_map(), legacy(created, &pools))
        });
    prop_oneof![3 => pool_object, 1 => config_map]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_order_of_the_initial_list_does_not_matter(
        objects in prop::collection::btree_map(any::<u8>(), any_object(), 0..8),
    ) {
        let unique: BTreeMap<ObjectRef, Object> = objects.values().cloned().collect();
        let sorted = configuration(unique.clone().into_iter().collect());
        let shuffled = objects.into_values().map(|(object, _)| (object.clone(), unique[&object].clone()));
        let mut shuffled = configuration(shuffled.collect());
        prop_assert_eq!(in_force(&sorted), in_force(&shuffled));
        let mut sorted = sorted;
        prop_assert_eq!(sorted.take_changes(), shuffled.take_changes());
    }

    #[test]
    fn edits_keep_pools_apart_and_leave_nothing_waiting_without_an_obstacle(
        edits in prop::collection::vec((any_object(), any::<bool>()), 0..24),
        synced_after in 0_usize..8,
    ) {
        let mut configuration = Configuration::new();
        for (index, ((object, value), present)) in edits.into_iter().enumerate() {
            if index == synced_after {
                configuration.synced();
            }
            configuration.apply(object, present.then_some(value));
        }
        configuration.synced();
        let pools: Vec<_> = configuration.snapshot().pools().cloned().collect();
        for (index, one) in pools.iter().enumerate() {
            for other in &pools[..index] {
                let apart = |a: &_| other.ranges.iter().all(|b| b.overlap(a).is_none());
                prop_assert!(one.ranges.iter().all(apart), "{one:?} {other:?}");
            }
        }
        for ((name, object), candidate) in &configuration.candidates {
            prop_assert_eq!(candidate.in_force.is_some(), configuration.snapshot.object_of(name) == Some(object));
            prop_assert_eq!(candidate.obstacle.is_some(), candidate.wanted != candidate.in_force);
        }
    }
}
