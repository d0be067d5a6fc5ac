//! Allocating and releasing one address in a pool of which many are in use.

use std::{hint::black_box, net::IpAddr};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use metal_core::{
    config::Pool,
    ipam::{Demand, Ipam},
    name::ObjectKey,
    net::AddressRange,
    request::Request,
    selector::Labels,
    view::{Family, FamilyPolicy},
};

/// How many addresses are in use.
const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];

/// A pool with `used` addresses in use, without gaps or with one after each; and those who have them, whose
/// names somebody else keeps in memory, too.
fn filled(used: u32, fragmented: bool) -> (Ipam, Vec<ObjectKey>) {
    let mut ipam = Ipam::new();
    let range: AddressRange = "10.0.0.0/8".parse().expect("a valid range");
    ipam.set_pool(Pool::new("pool", vec![range]).into()).expect("the only pool");
    let step = if fragmented { 2 } else { 1 };
    let owners: Vec<_> =
        (0..used).map(|index| ObjectKey::new("default", &format!("service-{index}"))).collect();
    for (index, owner) in (0..used).zip(&owners) {
        let address = IpAddr::from((0x0a00_0000 + index * step).to_be_bytes());
        ipam.claim(address, owner).expect("a free address");
    }
    (ipam, owners)
}

fn allocate_and_release(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ipam");
    let (labels, request) = (Labels::new(), Request::default());
    let owner = ObjectKey::new("default", "web");
    let demand = Demand {
        owner: &owner,
        labels: &labels,
        families: &[Family::V4],
        policy: FamilyPolicy::SingleStack,
        request: &request,
    };
    for used in SIZES {
        let (mut ipam, _owners) = filled(used, false);
        group.bench_function(BenchmarkId::new("allocate+release lowest", used), |bencher| {
            bencher.iter(|| {
                let grant = ipam.allocate(black_box(&demand)).expect("a free address");
                ipam.release(grant.addresses[0])
            });
        });
        // Everywhere in a pool full of holes: a random one goes, the lowest free one comes.
        let (mut ipam, _owners) = filled(used, true);
        let mut state = 1_u32;
        group.bench_function(BenchmarkId::new("release random+allocate", used), |bencher| {
            bencher.iter(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let index = u32::try_from((u64::from(state) * u64::from(used)) >> 32).expect("below used");
                let released = ipam.release(IpAddr::from((0x0a00_0000 + index * 2).to_be_bytes()));
                let grant = ipam.allocate(black_box(&demand)).expect("a free address");
                (released, grant)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, allocate_and_release);
criterion_main!(benches);
