//! A frame in, a frame out: what one ARP request costs with one address owned and with ten thousand.

use std::{hint::black_box, net::Ipv4Addr};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use metal_arp::{Announcer, Frame, Input, Operation, Output, Packet, Table, reply};
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

fn announcer(owned: u32) -> Announcer {
    let mut announcer = Announcer::new();
    for n in 0..owned {
        announcer.handle_input(Instant::ZERO, Input::Own { link: LINK, address: address(n), owned: true });
    }
    announcer.handle_input(Instant::ZERO, Input::Link { link: LINK, mac: Some(MAC) });
    let mut now = Instant::ZERO;
    while let Some(deadline) = announcer.poll_timeout() {
        now = now.max(deadline);
        while announcer.poll_output(now).is_some() {}
    }
    announcer
}

fn arp_reply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("arp_reply");
    group.throughput(Throughput::Elements(1));
    for owned in [1, 10_000] {
        let questions = questions(owned);
        let mut table = Table::<()>::new();
        for n in 0..owned {
            table.get_or_default(address(n));
        }
        group.bench_function(BenchmarkId::new("function", owned), |bencher| {
            let mut next = questions.iter().cycle();
            bencher.iter(|| {
                let frame = next.next().expect("the questions repeat").as_bytes();
                reply(black_box(frame), MAC, |address| table.contains(address)).expect("an answer")
            });
        });

        let mut machine = announcer(owned);
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

    // What most requests on a LAN are: for somebody else.
    let mut machine = announcer(10_000);
    let stranger = Packet { target_ip: Ipv4Addr::new(192, 168, 1, 1), ..parsed(&questions(1)[0]) }.emit();
    group.bench_function(BenchmarkId::new("not_owned", 10_000), |bencher| {
        bencher.iter(|| {
            machine.handle_input(LATER, Input::Frame { link: LINK, frame: black_box(stranger.as_bytes()) });
            assert!(machine.poll_output(LATER).is_none(), "no answer was expected");
        });
    });
    group.finish();
}

fn parsed(frame: &Frame) -> Packet {
    Packet::parse(frame.as_bytes()).expect("the bench's own frame")
}

criterion_group!(benches, arp_reply);
criterion_main!(benches);
