//! Allocating and releasing addresses of pools of which many are in use, and what that takes in memory.

use std::{collections::HashMap, env, hint::black_box, net::IpAddr};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group};
use metal_benches::{cpu_time::CpuTime, memory::resident};
use metal_core::{
    config::Pool,
    ipam::{Demand, Ipam},
    name::ObjectKey,
    net::AddressRange,
    request::Request,
    selector::Labels,
    sharing::{Backend, Port, Protocol, Sharing},
    view::{Family, FamilyPolicy},
};

/// How many addresses are in use.
const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
/// Ten thousand pools of a hundred addresses each.
const POOLS: u32 = 10_000;
/// The first address of all pools.
const BASE: u32 = 0x0a00_0000;

fn address(offset: u32) -> IpAddr {
    IpAddr::from((BASE + offset).to_be_bytes())
}

fn range(first: u32, last: u32) -> AddressRange {
    AddressRange::new(address(first), address(last)).expect("a valid range")
}

/// Those who have the addresses. Somebody else keeps their names in memory, too.
fn owners(count: u32) -> Vec<ObjectKey> {
    (0..count).map(|index| ObjectKey::new("default", &format!("service-{index}"))).collect()
}

/// An arbitrary sequence, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(((self.0 >> 32) * u64::from(end)) >> 32).expect("below end")
    }
}

/// So many different offsets in random order, out of twice as many.
fn scattered(count: u32) -> Vec<u32> {
    let mut random = Random(7);
    let mut offsets: Vec<u32> = (0..2 * count).collect();
    for place in 0..count {
        let other = place + random.below(2 * count - place);
        offsets.swap(place as usize, other as usize);
    }
    offsets.truncate(count as usize);
    offsets
}

/// One large pool.
fn one_pool() -> Ipam {
    let mut ipam = Ipam::new();
    ipam.set_pool(Pool::new("pool", vec![range(0, 0x00ff_ffff)]).into()).expect("the only pool");
    ipam
}

/// One large pool of which these addresses are in use.
fn filled(owners: &[ObjectKey], offsets: impl IntoIterator<Item = u32>) -> Ipam {
    let mut ipam = one_pool();
    for (owner, offset) in owners.iter().zip(offsets) {
        ipam.claim(address(offset), owner, None).expect("a free address");
    }
    ipam
}

struct Asking {
    owner: ObjectKey,
    labels: Labels,
    request: Request,
}

impl Asking {
    fn new() -> Self {
        let owner = ObjectKey::new("default", "web");
        Self { owner, labels: Labels::new(), request: Request::default() }
    }

    fn demand<'a>(&'a self, owner: &'a ObjectKey, sharing: Option<&'a Sharing>) -> Demand<'a> {
        Demand {
            owner,
            labels: &self.labels,
            namespace_labels: &self.labels,
            sharing,
            has: &[],
            families: &[Family::V4],
            policy: FamilyPolicy::SingleStack,
            request: &self.request,
        }
    }
}

/// A random Service goes and comes back, with the lowest free address.
///
/// The Services lie in random order and take their turns one after the other: what is measured is the allocator, not
/// how long it takes to find a Service.
struct Churn {
    ipam: Ipam,
    services: Vec<Assigned>,
    next: usize,
    asking: Asking,
}

struct Assigned {
    owner: ObjectKey,
    has: IpAddr,
    sharing: Option<Sharing>,
}

impl Churn {
    /// The owners, what they have, and how they share.
    fn new(ipam: Ipam, services: impl Iterator<Item = (ObjectKey, u32, Option<Sharing>)>) -> Self {
        let mut services: Vec<_> = services
            .map(|(owner, offset, sharing)| Assigned { owner, has: address(offset), sharing })
            .collect();
        let mut random = Random(1);
        for place in (1..services.len()).rev() {
            let other = random.below(u32::try_from(place).expect("few enough") + 1);
            services.swap(place, other as usize);
        }
        Self { ipam, services, next: 0, asking: Asking::new() }
    }

    fn turn(&mut self) {
        let place = self.next;
        self.next = (place + 1) % self.services.len();
        let Assigned { owner, has, sharing } = &mut self.services[place];
        assert!(self.ipam.release(*has, owner), "it has it");
        let grant = self.ipam.allocate(black_box(&self.asking.demand(owner, sharing.as_ref())));
        *has = grant.expect("a free address").addresses[0];
    }
}

/// Those that do not share.
fn alone<'a>(
    owners: &'a [ObjectKey],
    offsets: impl IntoIterator<Item = u32, IntoIter: 'a>,
) -> impl Iterator<Item = (ObjectKey, u32, Option<Sharing>)> + 'a {
    owners.iter().cloned().zip(offsets).map(|(owner, offset)| (owner, offset, None))
}

/// What the same Services take in a map that knows nothing but who has which address: how much of the growth is
/// memory that does not fit into caches.
fn map_alone(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("ipam");
    for used in SIZES {
        let services = Churn::new(Ipam::new(), alone(&owners(used), 0..used)).services;
        let mut users: HashMap<_, _> =
            services.iter().map(|service| (service.has, service.owner.clone())).collect();
        let mut place = 0;
        group.bench_function(BenchmarkId::new("a map alone: remove+insert", used), |bencher| {
            bencher.iter(|| {
                let Assigned { owner, has, .. } = &services[place];
                place = (place + 1) % services.len();
                users.remove(black_box(has));
                users.insert(*has, owner.clone());
            });
        });
    }
    group.finish();
}

fn allocate_and_release(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("ipam");
    for used in SIZES {
        let owners = owners(used);
        let mut ipam = filled(&owners, 0..used);
        let asking = Asking::new();
        let demand = asking.demand(&asking.owner, None);
        group.bench_function(BenchmarkId::new("lowest: allocate+release", used), |bencher| {
            bencher.iter(|| {
                let grant = ipam.allocate(black_box(&demand)).expect("a free address");
                ipam.release(grant.addresses[0], &asking.owner)
            });
        });
        let mut churn = Churn::new(ipam, alone(&owners, 0..used));
        group.bench_function(BenchmarkId::new("random: release+allocate", used), |bencher| {
            bencher.iter(|| churn.turn());
        });
        let offsets = scattered(used);
        let ipam = filled(&owners, offsets.iter().copied());
        let mut churn = Churn::new(ipam, alone(&owners, offsets));
        group.bench_function(BenchmarkId::new("fragmented: release+allocate", used), |bencher| {
            bencher.iter(|| churn.turn());
        });
    }
    group.finish();
}

/// Ten thousand pools, all full but for the last: each release opens one, each allocation fills it.
fn many_pools(criterion: &mut Criterion<CpuTime>) {
    let mut ipam = Ipam::new();
    for pool in 0..POOLS {
        let range = range(pool * 100, pool * 100 + 99);
        ipam.set_pool(Pool::new(format!("pool-{pool:05}"), vec![range]).into()).expect("pools of their own");
    }
    let used = POOLS * 100 - 50;
    let owners = owners(used);
    for (owner, offset) in owners.iter().zip(0..) {
        ipam.claim(address(offset), owner, None).expect("a free address");
    }
    let mut churn = Churn::new(ipam, alone(&owners, 0..used));
    criterion.bench_function("ipam/10,000 pools: release+allocate", |bencher| {
        bencher.iter(|| churn.turn());
    });
}

/// A hundred Services with different ports on each address.
fn shared_addresses(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("ipam");
    for used in [1_000, 100_000] {
        let owners = owners(used);
        let sharing: Vec<_> = (0..used).map(|index| on_address(index, 100)).collect();
        let mut ipam = one_pool();
        for ((owner, sharing), index) in owners.iter().zip(&sharing).zip(0..) {
            ipam.claim(address(index / 100), owner, Some(sharing)).expect("they share");
        }
        let services = owners.into_iter().zip(sharing).zip(0..);
        let services = services.map(|((owner, sharing), index)| (owner, index / 100, Some(sharing)));
        let mut churn = Churn::new(ipam, services);
        group.bench_function(BenchmarkId::new("shared: release+allocate", used), |bencher| {
            bencher.iter(|| churn.turn());
        });
    }
    group.finish();
}

/// How a Service shares its address with so many others.
fn on_address(index: u32, on_each: u32) -> Sharing {
    let number = u16::try_from(index % on_each).expect("a port") + 1;
    let ports = [Port { protocol: Protocol::Tcp, number }];
    Sharing::new(&format!("key-{}", index / on_each), Backend::Anywhere, ports).expect("a key")
}

/// What a start takes: claiming what all Services have already; and what the largest edit takes.
fn build(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("ipam");
    group.sample_size(10);
    let owners = owners(100_000);
    let offsets = scattered(100_000);
    group.bench_function("build from 100,000 assigned", |bencher| {
        bencher.iter_batched(|| (), |()| filled(&owners, offsets.iter().copied()), BatchSize::PerIteration);
    });
    let mut ipam = filled(&owners, offsets.iter().copied());
    let edits = [0x00ff_ffff, 0x00ff_fffe].map(|last| Pool::new("pool", vec![range(0, last)]));
    let mut turn = 0;
    group.bench_function("change the ranges of a pool with 100,000 in use", |bencher| {
        bencher.iter(|| {
            turn ^= 1;
            ipam.set_pool(edits[turn].clone().into()).expect("the only pool");
        });
    });
    group.finish();
}

/// What a Service takes in the allocator, by how much of the process is resident.
#[expect(clippy::print_stdout, reason = "criterion measures time only")]
fn memory() {
    let count = 1_000_000;
    let owners = owners(count);
    let report = |what: &str, ipam: Ipam, before: u64| {
        let bytes = resident().saturating_sub(before) / u64::from(count);
        println!("ipam/memory: {bytes} bytes per Service, {what}");
        drop(black_box(ipam));
    };
    let before = resident();
    let ipam = filled(&owners, 0..count);
    report("1,000,000 in a row", ipam, before);
    let offsets = scattered(count);
    let before = resident();
    let ipam = filled(&owners, offsets);
    report("1,000,000 scattered", ipam, before);
    for (on_each, what) in
        [(100, "1,000,000 that share addresses by hundreds"), (1, "1,000,000 that could share, but do not")]
    {
        let sharing: Vec<_> = (0..count).map(|index| on_address(index, on_each)).collect();
        let before = resident();
        let mut ipam = one_pool();
        for ((owner, sharing), index) in owners.iter().zip(&sharing).zip(0..) {
            ipam.claim(address(index / on_each), owner, Some(sharing)).expect("they share");
        }
        report(what, ipam, before);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = allocate_and_release, map_alone, many_pools, shared_addresses, build
}

fn main() {
    if env::args().skip(1).all(|argument| argument == "--bench") {
        memory();
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
