//! A frame in, a frame out: what one ARP request and one neighbour solicitation cost with one address owned and with
//! ten thousand.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use metal_arp::{Announcer, Duty, Frame, Input, Operation, Output, Packet, Table, ndp, reply};
use metal_core::{Instant, Machine};

const LINK: u32 = 2;
const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const CLIENT: [u8; 6] = [0x02, 0, 0, 0, 0, 0x99];

/// Every announcement is over by then.
const LATER: Instant = Instant::from_secs(60);

/// What is asked in turn, so that neither cache nor branch predictor sees the same address again and again.
const QUESTIONS: u32 = 4_096;

fn address(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 + n)
}

/// Requests for owned addresses, far from the order in which they were added.
fn questions(owned: u32) -> Vec<Frame> {
    (0..QUESTIONS)
        .map(|n| {
            Packet {
                destination: [0xff; 6],
                source: CLIENT,
                operation: Operation::Request,
                sender_mac: CLIENT,
                sender_ip: Ipv4Addr::new(192, 168, 1, 7),
                target_mac: [0; 6],
                target_ip: address(n.wrapping_mul(2_654_435_761) % owned),
            }
            .emit()
        })
        .collect()
}

fn address_v6(n: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits((0x2001_0db8 << 96) + u128::from(n))
}

/// Solicitations for owned addresses, in the order of [`questions`].
fn solicitations(owned: u32) -> Vec<Frame> {
    let asker = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7);
    let target = |n: u32| address_v6(n.wrapping_mul(2_654_435_761) % owned);
    (0..QUESTIONS).map(|n| ndp::Packet::solicitation(CLIENT, asker, target(n)).emit()).collect()
}

/// Everything is announced, and nothing is refreshed.
fn announcer(owned: impl Iterator<Item = IpAddr>) -> Announcer {
    let mut announcer = Announcer::default();
    let duty = Some(Duty { probe: false, refresh: None });
    for address in owned {
        announcer.handle_input(Instant::ZERO, Input::Own { link: LINK, address, duty });
    }
    announcer.handle_input(Instant::ZERO, Input::Link { link: LINK, mac: Some(MAC) });
    let mut now = Instant::ZERO;
    while let Some(deadline) = announcer.poll_timeout() {
        now = now.max(deadline);
        while announcer.poll_output(now).is_some() {}
    }
    announcer
}

/// The pure function, and the machine with its queue and its counters.
fn answers(
    criterion: &mut Criterion,
    name: &str,
    address: impl Fn(u32) -> IpAddr,
    questions: impl Fn(u32) -> Vec<Frame>,
    foreign: &Frame,
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    for owned in [1, 10_000] {
        let questions = questions(owned);
        let (mut v4, mut v6) = (Table::<Ipv4Addr, ()>::new(), Table::<Ipv6Addr, ()>::new());
        for n in 0..owned {
            match address(n) {
                IpAddr::V4(address) => v4.get_or_default(address),
                IpAddr::V6(address) => v6.get_or_default(address),
            };
        }
        let owns = |address| match address {
            IpAddr::V4(address) => v4.contains(address),
            IpAddr::V6(address) => v6.contains(address),
        };
        group.bench_function(BenchmarkId::new("function", owned), |bencher| {
            let mut next = questions.iter().cycle();
            bencher.iter(|| {
                let frame = next.next().expect("the questions repeat").as_bytes();
                reply(black_box(frame), MAC, owns).expect("an answer")
            });
        });

        let mut machine = announcer((0..owned).map(&address));
        group.bench_function(BenchmarkId::new("machine", owned), |bencher| {
            let mut next = questions.iter().cycle();
            bencher.iter(|| {
                let frame = next.next().expect("the questions repeat").as_bytes();
                machine.handle_input(LATER, Input::Frame { link: LINK, frame: black_box(frame) });
                match machine.poll_output(LATER) {
                    Some(Output::Send { frame, .. }) => frame,
                    other => panic!("an answer was expected, not {other:?}"),
                }
            });
        });
    }

    // What most questions on a LAN are: for somebody else.
    let mut machine = announcer((0..10_000).map(&address));
    group.bench_function(BenchmarkId::new("not_owned", 10_000), |bencher| {
        bencher.iter(|| {
            machine.handle_input(LATER, Input::Frame { link: LINK, frame: black_box(foreign.as_bytes()) });
            assert!(machine.poll_output(LATER).is_none(), "no answer was expected");
        });
    });
    group.finish();
}

fn arp_reply(criterion: &mut Criterion) {
    let foreign = Packet { target_ip: Ipv4Addr::new(192, 168, 1, 1), ..parsed(&questions(1)[0]) }.emit();
    answers(criterion, "arp_reply", |n| address(n).into(), questions, &foreign);
}

fn ndp_reply(criterion: &mut Criterion) {
    let stranger = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xffff);
    let asker = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7);
    let foreign = ndp::Packet::solicitation(CLIENT, asker, stranger).emit();
    answers(criterion, "ndp_reply", |n| address_v6(n).into(), solicitations, &foreign);
}

fn parsed(frame: &Frame) -> Packet {
    Packet::parse(frame.as_bytes()).expect("the bench's own frame")
}

criterion_group!(benches, arp_reply, ndp_reply);
criterion_main!(benches);
