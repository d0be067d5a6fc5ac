//! Random histories: what users do to Services, pools and reservations.

use alloc::vec;

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;
use crate::{config::ServiceAllocationSpec, selector::Selector};

/// How many histories are played: `PROPTEST_CASES`, if that is set. They are the same ones each time, unless
/// `PROPTEST_RNG_SEED` says otherwise.
pub(super) fn cases(standard: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    // Without the variable proptest would play 256.
    let cases = if config.cases == 256 { standard } else { config.cases };
    let rng_seed = if config.rng_seed == RngSeed::Random { RngSeed::Fixed(1) } else { config.rng_seed };
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..config }
}

/// Something that a user does.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// Creates a Service, or changes it.
    Apply(u8, Wish),
    /// Changes something about a Service that does not matter.
    Touch(u8),
    Delete(u8),
    /// Gives a Service another type, or its former one.
    Retype(u8),
    Pool(u8, PoolWish),
    RemovePool(u8),
    Reserve(u8, u8, u8, Option<u8>),
    Unreserve(u8),
}

/// What a Service wants.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    age: u8,
    stack: u8,
    request: Ask,
    sharing: Option<(bool, u8)>,
    reassigns: bool,
}

#[derive(Clone, Debug)]
enum Ask {
    Nothing,
    Address(u8),
    Ending(u8),
    Pool(u8),
}

/// What a pool has.
#[derive(Clone, Debug)]
pub(super) struct PoolWish {
    first: u8,
    more: u8,
    families: u8,
    auto: bool,
    namespace: Option<bool>,
    priority: u8,
    exclude: Option<u8>,
    delay: bool,
    quota: Option<u8>,
    sharing: u8,
    immediate: bool,
}

pub(super) fn deed() -> impl Strategy<Value = Deed> {
    let ask = prop_oneof![
        6 => Just(Ask::Nothing),
        4 => (0_u8..24).prop_map(Ask::Address),
        1 => (0_u8..8).prop_map(Ask::Ending),
        1 => (0_u8..3).prop_map(Ask::Pool),
    ];
    let wish = (
        0_u8..4,
        0_u8..7,
        ask,
        prop::option::weighted(0.4, (any::<bool>(), 0_u8..3)),
        prop::bool::weighted(0.1),
    );
    let wish = wish.prop_map(|(age, stack, request, sharing, reassigns)| Wish {
        age,
        stack,
        request,
        sharing,
        reassigns,
    });
    let space = (0_u8..20, 0_u8..8, 0_u8..5, prop::option::weighted(0.2, 0_u8..24));
    let rules = (
        prop::bool::weighted(0.85),
        prop::option::weighted(0.2, any::<bool>()),
        0_u8..3,
        prop::bool::weighted(0.3),
        prop::option::weighted(0.2, 1_u8..3),
        0_u8..6,
        prop::bool::weighted(0.2),
    );
    let pool = (space, rules).prop_map(|((first, more, families, exclude), rules)| {
        let (auto, namespace, priority, delay, quota, sharing, immediate) = rules;
        PoolWish {
            first,
            more,
            families,
            auto,
            namespace,
            priority,
            exclude,
            delay,
            quota,
            sharing,
            immediate,
        }
    });
    prop_oneof![
        8 => (0_u8..10, wish).prop_map(|(name, wish)| Deed::Apply(name, wish)),
        1 => (0_u8..10).prop_map(Deed::Touch),
        4 => (0_u8..10).prop_map(Deed::Delete),
        3 => (0_u8..10).prop_map(Deed::Retype),
        3 => (0_u8..3, pool).prop_map(|(name, pool)| Deed::Pool(name, pool)),
        1 => (0_u8..3).prop_map(Deed::RemovePool),
        1 => (0_u8..2, 0_u8..20, 0_u8..3, prop::option::weighted(0.8, 0_u8..12))
            .prop_map(|(name, first, more, whom)| Deed::Reserve(name, first, more, whom)),
        1 => (0_u8..2).prop_map(Deed::Unreserve),
    ]
}

/// The Service of this number; half of them are in another namespace.
pub(super) fn name(number: u8) -> ObjectKey {
    ObjectKey::new(if number.is_multiple_of(2) { "even" } else { "odd" }, &format!("s{number}"))
}

pub(super) fn pool_name(number: u8) -> ObjectRef {
    pool_ref(&format!("p{number}"))
}

pub(super) fn reservation_name(number: u8) -> ObjectRef {
    reservation_ref(&format!("r{number}"))
}

impl Wish {
    /// The Service of this number that wants this; `old` is what it is now.
    pub(super) fn service(&self, number: u8, old: Option<&Service>) -> Service {
        use FamilyPolicy::{PreferDualStack, RequireDualStack, SingleStack};
        let (families, family_policy) = match self.stack {
            0..=2 => (vec![Family::V4], SingleStack),
            3 => (vec![Family::V6], PreferDualStack),
            4 => (vec![Family::V4, Family::V6], PreferDualStack),
            5 => (vec![Family::V6, Family::V4], PreferDualStack),
            _ => (vec![Family::V4, Family::V6], RequireDualStack),
        };
        let (address, pool) = match self.request {
            Ask::Nothing => (String::new(), String::new()),
            Ask::Address(last) if families[0] == Family::V6 => (format!("2001:db8::{last:x}"), String::new()),
            Ask::Address(last) => (format!("192.0.2.{last}"), String::new()),
            Ask::Ending(last) => (format!(".{last}"), String::new()),
            Ask::Pool(pool) => (String::new(), format!("p{pool}")),
        };
        let sharing =
            self.sharing.and_then(|(one, port)| shares(if one { "one" } else { "two" }, port.into()));
        let labels = Labels::from([("n".into(), format!("{}", number % 3))]);
        let created = old.map_or(Some(self.age.into()), |old| old.created);
        let mut service = Service {
            created,
            labels,
            families,
            family_policy,
            request: request(&address, &pool),
            sharing,
            reassigns: self.reassigns,
            ..Service::default()
        };
        if let Some(old) = old {
            show(&mut service, &record::shown(old));
            service.written_by = old.written_by.clone();
        }
        service
    }
}

impl PoolWish {
    pub(super) fn spec(&self) -> PoolSpec {
        let last = self.first + self.more;
        let mut addresses = Vec::new();
        if self.families != 3 {
            addresses.push(format!("192.0.2.{}-192.0.2.{last}", self.first));
        }
        if self.families >= 2 {
            addresses.push(format!("2001:db8::{:x}-2001:db8::{last:x}", self.first));
        }
        let allocation = self.namespace.map(|even| ServiceAllocationSpec {
            priority: self.priority.into(),
            namespaces: vec![if even { "even".into() } else { "odd".into() }],
            ..ServiceAllocationSpec::default()
        });
        PoolSpec {
            addresses,
            auto_assign: self.auto,
            avoid_buggy_ips: false,
            service_allocation: allocation,
            exclude: self.exclude.iter().map(|last| format!("192.0.2.{last}")).collect(),
            reuse_delay: self.delay.then(|| "30s".into()),
            max_addresses_per_namespace: self.quota.map(Into::into),
            sharing: match self.sharing {
                0 => Some("Never".into()),
                1 => Some("SameNamespace".into()),
                _ => None,
            },
            reassign_policy: self.immediate.then(|| "Immediate".into()),
        }
    }
}

/// A reservation of some addresses for a Service, or for those with a label, or for nobody.
pub(super) fn reservation(first: u8, more: u8, whom: Option<u8>) -> ReservationSpec {
    let last = first + more;
    let addresses =
        vec![format!("192.0.2.{first}-192.0.2.{last}"), format!("2001:db8::{first:x}-2001:db8::{last:x}")];
    let (service, service_selectors) = match whom {
        Some(number) if number < 10 => (Some(name(number)), vec![]),
        Some(_) => (None, vec![Selector::label("n", "1")]),
        None => (None, vec![]),
    };
    ReservationSpec { addresses, service, service_selectors, namespaces: vec![] }
}

impl Deed {
    /// What it does to a Service: which one, and what becomes of it.
    pub(super) fn service(
        &self,
        services: &BTreeMap<ObjectKey, Service>,
    ) -> Option<(ObjectKey, Option<Service>)> {
        match self {
            Self::Apply(number, wish) => {
                let key = name(*number);
                let service = wish.service(*number, services.get(&key));
                Some((key, Some(service)))
            }
            Self::Touch(number) => {
                let mut service = services.get(&name(*number))?.clone();
                let count = service.labels.get("touched").map_or(0, String::len);
                service.labels.insert("touched".into(), "x".repeat(count + 1));
                Some((name(*number), Some(service)))
            }
            Self::Retype(number) => {
                let mut service = services.get(&name(*number))?.clone();
                service.scope =
                    if service.scope == Scope::Ours { Scope::NotLoadBalancer } else { Scope::Ours };
                Some((name(*number), Some(service)))
            }
            Self::Delete(number) => {
                services.get(&name(*number))?;
                Some((name(*number), None))
            }
            _ => None,
        }
    }

    /// What it does to a configuration object: which one, and what becomes of it.
    pub(super) fn object(&self) -> Option<(ObjectRef, Option<Spec>)> {
        match self {
            Self::Pool(number, pool) => Some((pool_name(*number), Some(Spec::Pool(pool.spec())))),
            Self::RemovePool(number) => Some((pool_name(*number), None)),
            Self::Reserve(number, first, more, whom) => {
                Some((reservation_name(*number), Some(Spec::Reservation(reservation(*first, *more, *whom)))))
            }
            Self::Unreserve(number) => Some((reservation_name(*number), None)),
            _ => None,
        }
    }
}

/// Whether two Services may be on one address.
pub(super) fn may_share(one: &Service, other: &Service) -> bool {
    match (&one.sharing, &other.sharing) {
        (Some(one), Some(other)) => one.conflict(other).is_none(),
        _ => false,
    }
}
