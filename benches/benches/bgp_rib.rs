//! What is announced to whom: one change among many routes, the first dump, and many peers that are told the same.

use std::{collections::BTreeSet, env, hint::black_box, net::IpAddr, sync::Arc, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group};
use ipnet::IpNet;
use metal_benches::{cpu_time::CpuTime, memory::resident};
use metal_bgp::{
    rib_out::{Audience, Export, Input, RibOut, Route, RouteSettings},
    wire::{Families, Family, Session, attribute::NextHop},
};
use metal_core::{Instant, Machine};

type Rib = RibOut<u32>;

const START: Instant = Instant::from_secs(1);
const SIZES: [u32; 2] = [100_000, 1_000_000];

/// 10.0.0.0/32 and those behind it.
fn host(number: u32) -> IpNet {
    IpAddr::from((0x0a00_0000 + number).to_be_bytes()).into()
}

fn with_med(med: u32) -> Route {
    RouteSettings { med: Some(med), ..RouteSettings::default() }.check().expect("a good route")
}

fn export() -> Export {
    let session = Session { four_octet_as: true, ..Session::default() };
    let families = Families::NONE.with(Family::IPV4_UNICAST).with(Family::IPV6_UNICAST);
    let next_hop = NextHop::V4([192, 0, 2, 1].into());
    Export::new(session, 64_512, families, Some(next_hop), None).expect("a good export")
}

fn up(rib: &mut Rib, peer: u32) {
    rib.handle_input(START, Input::Up { peer, export: export(), enhanced_refresh: false });
}

fn set(rib: &mut Rib, now: Instant, number: u32, route: Option<&Route>) {
    rib.handle_input(now, Input::Route { to: &Audience::All, prefix: host(number), route });
}

/// So many routes, with a few sets of attributes in turn.
fn filled(count: u32, routes: &[Route]) -> Rib {
    let mut rib = Rib::new();
    for (number, route) in (0..count).zip(routes.iter().cycle()) {
        set(&mut rib, START, number, Some(route));
    }
    rib
}

/// All that a peer is told now: octets.
fn take(rib: &mut Rib, now: Instant, peer: u32) -> usize {
    let mut octets = 0;
    while let Some(message) = rib.next_update(now, &peer) {
        octets += black_box(message).len();
    }
    octets
}

/// One route changes: until the message is there.
fn one_change(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("bgp_rib");
    for count in SIZES {
        let routes = [with_med(1), with_med(2)];
        let mut rib = filled(count, &routes[..1]);
        up(&mut rib, 0);
        take(&mut rib, START, 0);
        let (mut now, mut turn, mut number) = (START, 0, 0_u32);
        group.bench_function(BenchmarkId::new("one change to bytes", count), |bencher| {
            bencher.iter(|| {
                now += Duration::from_millis(20);
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                turn ^= usize::from(number & 1 << 20 != 0);
                let route = [Some(&routes[0]), Some(&routes[1]), None][turn + usize::from(number >> 30 == 0)];
                set(&mut rib, now, number % count, route);
                take(&mut rib, now, 0)
            });
        });
    }
    // All routes get other attributes.
    let routes = [with_med(1), with_med(2)];
    let mut rib = filled(100_000, &routes[..1]);
    up(&mut rib, 0);
    take(&mut rib, START, 0);
    let (mut now, mut turn) = (START, 0);
    group.sample_size(10);
    group.throughput(Throughput::Elements(100_000));
    group.bench_function("100,000 changes to bytes", |bencher| {
        bencher.iter(|| {
            now += Duration::from_millis(20);
            turn ^= 1;
            for number in 0..100_000 {
                set(&mut rib, now, number, Some(&routes[turn]));
            }
            take(&mut rib, now, 0)
        });
    });
    group.finish();
}

/// A session begins: until all is encoded, and until the first message is.
fn dump(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("bgp_rib");
    group.sample_size(10);
    for count in SIZES {
        let mut rib = filled(count, &[with_med(1)]);
        let mut other = 0;
        // With its last peer a group goes, and what is known of its dump.
        let fresh = |rib: &mut Rib, other: &mut u32| {
            rib.handle_input(START, Input::Down { peer: other });
            *other += 1;
            up(rib, *other);
        };
        group.throughput(Throughput::Elements(count.into()));
        group.bench_function(BenchmarkId::new("first dump", count), |bencher| {
            bencher.iter_batched(
                || (),
                |()| {
                    fresh(&mut rib, &mut other);
                    take(&mut rib, START, other)
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::new("first message of a dump", count), |bencher| {
            bencher.iter_batched(
                || (),
                |()| {
                    fresh(&mut rib, &mut other);
                    rib.next_update(START, &other)
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::new("the same dump to the next peer", count), |bencher| {
            bencher.iter_batched(
                || (),
                |()| {
                    other += 1;
                    up(&mut rib, other);
                    take(&mut rib, START, other)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// A thousand peers, a thousand prefixes with four sets of attributes.
fn many_peers(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("bgp_rib");
    let routes = [1, 2, 3, 4].map(with_med);
    let mut rib = filled(1_000, &routes);
    for peer in 0..1_000 {
        up(&mut rib, peer);
        take(&mut rib, START, peer);
    }
    let (mut now, mut turn) = (START, 0);
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("one change to 1,000 peers", |bencher| {
        bencher.iter(|| {
            now += Duration::from_millis(20);
            turn ^= 1;
            set(&mut rib, now, 0, Some(&routes[turn]));
            let mut octets = 0;
            while let Some(peer) = rib.poll_output(now) {
                octets += take(&mut rib, now, peer);
            }
            octets
        });
    });
    group.finish();
}

/// What routes and peers take, by how much of the process is resident, and how often a message is encoded.
#[expect(clippy::print_stdout, reason = "criterion measures time only")]
fn memory() {
    let routes = [1, 2, 3, 4].map(with_med);
    // A hundred of them, so that what a process takes once does not count.
    let told = || {
        let mut rib = filled(1_000, &routes);
        up(&mut rib, 0);
        take(&mut rib, START, 0);
        rib
    };
    drop(told());
    let before = resident();
    let ribs: Vec<Rib> = (0..100).map(|_| told()).collect();
    let prefixes = resident().saturating_sub(before) / 100_000;
    // They stay: what they leave behind would be used again, and not be counted below.
    let ribs = black_box(ribs);

    let mut rib = told();
    let shared = resident();
    for peer in 1..1_000 {
        up(&mut rib, peer);
    }
    // In turns, so that all are told at the same time.
    let (mut messages, mut told) = (BTreeSet::new(), 0);
    loop {
        let round: Vec<Arc<[u8]>> = (1..1_000).filter_map(|peer| rib.next_update(START, &peer)).collect();
        if round.is_empty() {
            break;
        }
        told += round.len();
        messages.extend(round.iter().map(|message| Arc::as_ptr(message).addr()));
    }
    let peers = resident().saturating_sub(shared) / 999;
    println!(
        "bgp_rib/memory: 1,000 prefixes: {prefixes} bytes for each, shared by all peers and with their messages"
    );
    println!("bgp_rib/memory: 1,000 peers: {peers} bytes for each");
    println!("bgp_rib/memory: {told} messages told to 999 peers, {} of them different", messages.len());
    drop(rib);

    let before = resident();
    let mut rib = filled(1_000_000, &routes);
    let each = resident().saturating_sub(before) / 1_000_000;
    println!("bgp_rib/memory: 1,000,000 prefixes: {each} bytes for each");
    up(&mut rib, 0);
    take(&mut rib, START, 0);
    let each = resident().saturating_sub(before) / 1_000_000;
    println!("bgp_rib/memory: the same after a peer has been told them, with the messages: {each} bytes");
    drop(black_box((rib, ribs)));
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = one_change, dump, many_peers
}

fn main() {
    if env::args().skip(1).all(|argument| argument == "--bench") {
        memory();
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
