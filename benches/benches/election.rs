//! Who is in line for an address, among few nodes and many.

use std::{collections::BTreeMap, hint::black_box, net::IpAddr};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use metal_core::{
    config::{Interfaces, L2Advertisement, ObjectRef},
    name::NodeName,
    speaker::{
        Serving,
        l2::{Candidate, Carrier, line},
    },
    view::TrafficPolicy,
};

fn advertisement() -> L2Advertisement {
    let object =
        ObjectRef { kind: "L2Advertisement", namespace: "metallb-system".into(), name: "all".into() };
    L2Advertisement {
        object,
        pools: [].into(),
        pool_selectors: vec![],
        node_selectors: vec![],
        interfaces: Interfaces::default(),
        service_selectors: vec![],
        preferred_nodes: vec![],
        refresh: None,
        receive: None,
    }
}

fn lines(criterion: &mut Criterion) {
    let advertisement = advertisement();
    let serving = Serving { anywhere: true, nodes: [].into() };
    let address: IpAddr = [192, 168, 1, 240].into();
    let known = BTreeMap::new();
    let mut group = criterion.benchmark_group("election/line");
    for count in [3, 50, 1_000] {
        let nodes: Vec<NodeName> = (0..count).map(|n| format!("node-{n}").into()).collect();
        let candidate = |node| Candidate { node, salt: &[0; 16], interface: "eth0", prefixes: &[], tier: 0 };
        let candidates: Vec<_> = nodes.iter().map(candidate).collect();
        let carriers = [Carrier {
            advertisements: vec![&advertisement],
            traffic_policy: TrafficPolicy::Cluster,
            serving: Some(&serving),
        }];
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| line(black_box(address), &carriers, &candidates, &known));
        });
    }
}

criterion_group!(benches, lines);
criterion_main!(benches);
