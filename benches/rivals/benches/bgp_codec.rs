//! The same bytes through every codec, in one run. `cargo run --example table` prints the result as tables.

use std::{hint::black_box, net::Ipv4Addr, time::Duration};

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use metal_benches::bgp_traffic::{STREAM_MESSAGES, STREAM_SEED, messages, updates};
use metal_bgp::wire::{Attributes, Packer, Safi, attribute::NextHop, build::Originate};
use metal_rivals::{
    Codec, Received, bgpkit::Bgpkit, metal, netgauze::NetGauze, routecore, rustbgpd::Rustbgpd,
    zettabgp::Zetta,
};

fn decode_with<C: Codec>(group: &mut BenchmarkGroup<'_, WallTime>, received: &Received) {
    let mut codec = C::new();
    if codec.decode(received).is_none() {
        return;
    }
    group.bench_function(C::NAME, |bencher| {
        bencher.iter(|| black_box(codec.decode(black_box(received))));
    });
}

fn encode_with<C: Codec>(group: &mut BenchmarkGroup<'_, WallTime>, received: &Received, buffer: &mut [u8]) {
    let mut codec = C::new();
    let Some(message) = codec.decode(received) else { return };
    assert!(C::ENCODES && codec.encode(&message, buffer).is_some());
    group.bench_function(C::NAME, |bencher| {
        bencher.iter(|| codec.encode(black_box(&message), black_box(buffer)));
    });
}

fn fixed(criterion: &mut Criterion) {
    let mut buffer = vec![0; 1 << 16];
    for sample in messages() {
        let received = Received::new(&sample.bytes);
        let throughput = Throughput::Bytes(sample.bytes.len() as u64);

        let mut group = criterion.benchmark_group(format!("decode/{}", sample.name));
        group.throughput(throughput.clone());
        decode_with::<metal::View>(&mut group, &received);
        decode_with::<metal::Owned>(&mut group, &received);
        decode_with::<metal::Values>(&mut group, &received);
        decode_with::<NetGauze>(&mut group, &received);
        decode_with::<Zetta>(&mut group, &received);
        decode_with::<routecore::Routecore>(&mut group, &received);
        decode_with::<Bgpkit>(&mut group, &received);
        decode_with::<Rustbgpd>(&mut group, &received);
        group.bench_function("memcpy", |bencher| {
            bencher.iter(|| buffer[..received.bytes.len()].copy_from_slice(black_box(&received.bytes)));
        });
        group.finish();

        if matches!(sample.name, "vip4" | "dfz4" | "full4" | "full6") {
            let mut group = criterion.benchmark_group(format!("walk/{}", sample.name));
            let mut view = metal::View::new();
            group.bench_function("metal-bgp, view", |bencher| {
                bencher.iter(|| metal::walk(&mut view, black_box(&received)));
            });
            let mut codec = routecore::Routecore::new();
            group.bench_function("routecore", |bencher| {
                bencher.iter(|| routecore::walk(&mut codec, black_box(&received)));
            });
            group.finish();
        }

        let mut group = criterion.benchmark_group(format!("encode/{}", sample.name));
        group.throughput(throughput);
        encode_with::<metal::Values>(&mut group, &received, &mut buffer);
        if let Some(announcement) = metal::Announcement::of(&received) {
            let session = metal::session();
            assert_eq!(announcement.encode(&session, &mut buffer), Some(received.bytes.len()));
            group.bench_function("metal-bgp, packer", |bencher| {
                bencher.iter(|| black_box(&announcement).encode(&session, black_box(&mut buffer)));
            });
        }
        encode_with::<NetGauze>(&mut group, &received, &mut buffer);
        encode_with::<Zetta>(&mut group, &received, &mut buffer);
        encode_with::<Bgpkit>(&mut group, &received, &mut buffer);
        encode_with::<Rustbgpd>(&mut group, &received, &mut buffer);
        group.finish();
    }
}

fn stream_decode<C: Codec>(group: &mut BenchmarkGroup<'_, WallTime>, stream: &[Received]) {
    let mut codec = C::new();
    group.bench_function(C::NAME, |bencher| {
        bencher.iter(|| {
            for received in stream {
                assert!(black_box(codec.decode(received)).is_some());
            }
        });
    });
}

fn stream_encode<C: Codec>(group: &mut BenchmarkGroup<'_, WallTime>, stream: &[Received], buffer: &mut [u8]) {
    let mut codec = C::new();
    let messages: Vec<_> = stream.iter().filter_map(|received| codec.decode(received)).collect();
    assert_eq!(messages.len(), stream.len());
    group.bench_function(C::NAME, |bencher| {
        bencher.iter(|| {
            for message in &messages {
                assert!(codec.encode(message, black_box(buffer)).is_some());
            }
        });
    });
}

fn stream(criterion: &mut Criterion) {
    let stream: Vec<_> =
        updates(STREAM_SEED, STREAM_MESSAGES).iter().map(|bytes| Received::new(bytes)).collect();
    let mut buffer = vec![0; 1 << 16];
    let octets: usize = stream.iter().map(|received| received.bytes.len()).sum();

    let mut group = criterion.benchmark_group("decode/stream");
    group.throughput(Throughput::Bytes(octets as u64));
    stream_decode::<metal::View>(&mut group, &stream);
    stream_decode::<metal::Owned>(&mut group, &stream);
    stream_decode::<metal::Values>(&mut group, &stream);
    stream_decode::<NetGauze>(&mut group, &stream);
    stream_decode::<Zetta>(&mut group, &stream);
    stream_decode::<routecore::Routecore>(&mut group, &stream);
    stream_decode::<Bgpkit>(&mut group, &stream);
    stream_decode::<Rustbgpd>(&mut group, &stream);
    group.finish();

    let mut group = criterion.benchmark_group("walk/stream");
    let mut view = metal::View::new();
    group.bench_function("metal-bgp, view", |bencher| {
        bencher
            .iter(|| stream.iter().map(|received| metal::walk(&mut view, received)).sum::<Option<usize>>());
    });
    let mut codec = routecore::Routecore::new();
    group.bench_function("routecore", |bencher| {
        bencher.iter(|| {
            stream.iter().map(|received| routecore::walk(&mut codec, received)).sum::<Option<usize>>()
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("encode/stream");
    group.throughput(Throughput::Bytes(octets as u64));
    stream_encode::<metal::Values>(&mut group, &stream, &mut buffer);
    stream_encode::<NetGauze>(&mut group, &stream, &mut buffer);
    stream_encode::<Zetta>(&mut group, &stream, &mut buffer);
    stream_encode::<Bgpkit>(&mut group, &stream, &mut buffer);
    stream_encode::<Rustbgpd>(&mut group, &stream, &mut buffer);
    group.finish();
}

/// What nothing that reads or writes one prefix after the other can be faster than.
fn floor(criterion: &mut Criterion) {
    let full4 = messages().swap_remove(3).bytes;
    let nlri = &full4[full4.len() - 808 * 5..];

    let mut group = criterion.benchmark_group("floor/full4");
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let mut prefixes = Vec::with_capacity(black_box(nlri).len() / 5);
            let mut rest = nlri;
            while let [length, a, b, c, d, after @ ..] = rest {
                prefixes.push((Ipv4Addr::new(*a, *b, *c, *d), *length));
                rest = after;
            }
            prefixes
        });
    });
    let prefixes: Vec<_> = (0..808_u32).map(|n| (0x0a00_0000 + n, 32_u8)).collect();
    let mut buffer = vec![0; 4096];
    group.bench_function("encode", |bencher| {
        bencher.iter(|| copy(black_box(&prefixes), black_box(&mut buffer)));
    });
    group.finish();

    let addresses: Vec<_> = (0..1_000_000_u32).map(|n| (0x0a00_0000 + n, 32_u8)).collect();
    let nets: Vec<_> = addresses
        .iter()
        .map(|(address, length)| ipnet::Ipv4Net::new(Ipv4Addr::from_bits(*address), *length))
        .collect::<Result<_, _>>()
        .expect("32 is a prefix length");
    let mut attributes = Attributes::originate(Originate::External { own_as: 65_001 });
    attributes.communities =
        [(65_001 << 16) | 100, (65_001 << 16) | 200].map(metal_bgp::wire::attribute::Community).into();
    let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
    let session = metal::session();
    // One buffer of a message, as in front of a socket.
    let mut group = criterion.benchmark_group("encode/million");
    group.throughput(Throughput::Elements(1_000_000));
    group.bench_function("metal-bgp, packer", |bencher| {
        bencher.iter(|| {
            let list = black_box(&nets).iter();
            let mut packer =
                Packer::announce(&attributes, next_hop, Safi::UNICAST, list, &session).expect("sound");
            let mut octets = 0;
            while let Some(length) = packer.write(black_box(&mut buffer)).expect("fits") {
                octets += length;
            }
            octets
        });
    });
    let head = &messages().swap_remove(3).bytes[..54];
    group.bench_function("hand-written copy", |bencher| {
        bencher.iter(|| {
            let mut octets = 0;
            for chunk in black_box(&addresses).chunks(808) {
                let buffer = black_box(&mut buffer);
                buffer[..54].copy_from_slice(head);
                let length = 54 + copy(chunk, &mut buffer[54..]);
                buffer[16..18].copy_from_slice(&(length as u16).to_be_bytes());
                octets += length;
            }
            octets
        });
    });
    group.bench_function("hand-written copy of ipnet", |bencher| {
        bencher.iter(|| {
            let mut octets = 0;
            for chunk in black_box(&nets).chunks(808) {
                let buffer = black_box(&mut buffer);
                buffer[..54].copy_from_slice(head);
                let mut at = 54;
                for net in chunk {
                    let [a, b, c, d] = net.addr().octets();
                    buffer[at..at + 5].copy_from_slice(&[net.prefix_len(), a, b, c, d]);
                    at += 5;
                }
                buffer[16..18].copy_from_slice(&(at as u16).to_be_bytes());
                octets += at;
            }
            octets
        });
    });
    group.finish();
}

/// A prefix after the other, without a look at anything.
fn copy(prefixes: &[(u32, u8)], to: &mut [u8]) -> usize {
    let mut at = 0;
    for (address, length) in prefixes {
        let [a, b, c, d] = address.to_be_bytes();
        to[at..at + 5].copy_from_slice(&[*length, a, b, c, d]);
        at += 5;
    }
    at
}

fn settings() -> Criterion {
    Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500))
        .sample_size(50)
}

criterion_group! {
    name = benches;
    config = settings();
    targets = fixed, stream, floor
}
criterion_main!(benches);
