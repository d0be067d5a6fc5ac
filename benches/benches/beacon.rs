//! What a beacon costs: to seal, to open, and to receive with everything that follows.

use std::{cell::RefCell, hint::black_box, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use metal_core::{
    Instant, Machine,
    membership::{
        Identity, Input, Membership, Output, Port,
        beacon::{self, Claim, ClaimState, Header, Seal},
    },
};

const SECRET: [u8; 32] = [7; 32];
const LINK: u32 = 2;

fn membership(n: u8) -> Membership {
    let identity = Identity {
        node: format!("node-{n}").into(),
        salt: [n; 16],
        seed: n.into(),
        interval_ms: 100,
        multiplier: 3,
    };
    let mut membership = Membership::new(identity);
    let port = Port {
        name: "eth0".into(),
        mac: [2, 0, 0, 0, 0, n],
        prefixes: vec!["192.168.1.0/24".parse().expect("a prefix")],
    };
    let now = Instant::from_secs(1);
    membership.handle_input(now, Input::Key(SECRET));
    membership.handle_input(now, Input::Link(LINK, Some(port)));
    membership.handle_input(now, Input::Ready);
    membership
}

/// Polls everything; the last frame that was sent.
fn last_frame(membership: &mut Membership, now: Instant) -> Option<Vec<u8>> {
    let mut last = None;
    while let Some(output) = membership.poll_output(now) {
        if let Output::Send(_, frame) = output {
            last = Some(frame);
        }
    }
    last
}

fn deliver(from: &mut Membership, to: &mut Membership, now: Instant) {
    while let Some(output) = from.poll_output(now) {
        if let Output::Send(link, frame) = output {
            to.handle_input(now, Input::Frame(link, &frame));
        }
    }
}

/// Two that know each other; the second one claims some addresses.
fn pair(claims: u32) -> (Membership, Membership) {
    let (mut one, mut other) = (membership(1), membership(2));
    let mut now = Instant::from_secs(1);
    for n in 0..claims {
        let address = (0x0a00_0000 + n).to_be_bytes().into();
        other
            .handle_input(now, Input::Claim(LINK, address, Some(Claim { term: 1, state: ClaimState::Held })));
    }
    for _ in 0..5 {
        for _ in 0..2 {
            deliver(&mut one, &mut other, now);
            deliver(&mut other, &mut one, now);
        }
        now += Duration::from_millis(100);
    }
    (one, other)
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("beacon");
    for claims in [1, 10, 80] {
        let (_, mut other) = pair(claims);
        let now = Instant::from_secs(2);
        let frame = last_frame(&mut other, now).expect("a beacon");
        let seal = Seal::derive(&SECRET, &[2; 16], "node-2");
        let message = beacon::parse(&frame).expect("ours").open(&seal).expect("sealed");
        let mut sequence = 0;
        group.bench_function(BenchmarkId::new("seal and emit", claims), |bencher| {
            bencher.iter(|| {
                sequence += 1;
                let header = Header {
                    key_id: 1,
                    salt: [2; 16],
                    sequence,
                    ifindex: 2,
                    interface: "eth0",
                    node: "node-2",
                };
                beacon::emit([0xff; 6], [2; 6], &header, black_box(&message), &seal)
            });
        });
        group.bench_function(BenchmarkId::new("parse and open", claims), |bencher| {
            bencher.iter(|| beacon::parse(black_box(&frame)).expect("ours").open(&seal));
        });
        let mut forged = frame.clone();
        *forged.last_mut().expect("a tag") ^= 1;
        group.bench_function(BenchmarkId::new("refuse a forged one", claims), |bencher| {
            bencher.iter(|| beacon::parse(black_box(&forged)).expect("ours").open(&seal));
        });
        let foreign = [0; 342];
        group.bench_function(BenchmarkId::new("refuse a foreign one", claims), |bencher| {
            bencher.iter(|| beacon::parse(black_box(&foreign)).is_err());
        });
    }
}

/// A membership that hears the next beacon of a known member, one per interval.
fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("beacon/receive");
    for claims in [1, 10, 80] {
        group.bench_function(BenchmarkId::from_parameter(claims), |bencher| {
            let (one, mut other) = pair(claims);
            let one = RefCell::new(one);
            // Where `pair` has left off: a longer silence would end the member.
            let mut now = Instant::from_millis(1_400);
            bencher.iter_batched(
                || {
                    now += Duration::from_millis(100);
                    // Our own beacons have to go, but are not what is measured.
                    last_frame(&mut one.borrow_mut(), now);
                    (now, last_frame(&mut other, now).expect("a beacon"))
                },
                |(now, frame)| {
                    let mut one = one.borrow_mut();
                    one.handle_input(now, Input::Frame(LINK, &frame));
                    while let Some(output) = one.poll_output(now) {
                        black_box(output);
                    }
                },
                BatchSize::PerIteration,
            );
            let one = one.into_inner();
            let heard = one.peers(LINK).next().expect("still alive").1.claims().count();
            assert_eq!(heard, usize::try_from(claims).expect("small"));
        });
    }
}

criterion_group!(benches, frames, receive);
criterion_main!(benches);
