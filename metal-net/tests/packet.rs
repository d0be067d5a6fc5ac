//! Which frames a packet socket receives, and how it tells that its link is gone.

mod lan;

use std::{
    io,
    time::{Duration, Instant},
};

use lan::{DEADLINE, Host, LEFT, RIGHT, hosts};
use metal_core::view::Mac;
use metal_net::{BlockingPacketSocket, Filter, PacketSocket, packet::is_gone};

const BROADCAST: Mac = [0xff; 6];
const BEACON: Filter = Filter::Beacon { udp_port: 7946 };

#[tokio::test]
async fn arp_passes_requests_and_replies_only() {
    let (left, right) = hosts().await;
    let socket = right.packets(Filter::Arp);
    let request = ethernet(BROADCAST, 0x0806, &arp(1, 1));
    let reply = ethernet(RIGHT, 0x0806, &arp(2, 2));
    let last = ethernet(BROADCAST, 0x0806, &arp(1, 9));
    let mut other_hardware = request.clone();
    other_hardware[15] = 6;
    let mut other_lengths = request.clone();
    other_lengths[18] = 8;
    let dropped = [
        ethernet(BROADCAST, 0x0806, &arp(3, 3)),
        ethernet([2, 0, 0, 0, 0, 9], 0x0806, &arp(1, 4)),
        ethernet(BROADCAST, 0x0800, &arp(1, 5)),
        ethernet(BROADCAST, 0x8100, &[&[0, 5, 0x08, 0x06], arp(1, 6).as_slice()].concat()),
        other_hardware,
        other_lengths,
        ethernet(BROADCAST, 0x0806, &[0, 1, 8]),
    ];
    let sender = left.packets(Filter::Arp);
    for frame in
        dropped.iter().chain([&request]).chain(&dropped).chain([&reply]).chain(&dropped).chain([&last])
    {
        sender.send(frame).await.expect("send");
    }
    assert_eq!(next(&socket).await, request);
    assert_eq!(next(&socket).await, reply);
    assert_eq!(next(&socket).await, last);
    assert!(is_empty(&socket));
}

#[tokio::test]
async fn ndp_passes_solicitations_and_advertisements_only() {
    let (left, right) = hosts().await;
    let socket = right.packets(Filter::Ndp);
    let group = [0x33, 0x33, 0xff, 0, 0, 1];
    let solicitation = ethernet(group, 0x86dd, &icmpv6(58, 135, 1));
    let advertisement = ethernet(RIGHT, 0x86dd, &icmpv6(58, 136, 2));
    let last = ethernet([0x33, 0x33, 0, 0, 0, 1], 0x86dd, &icmpv6(58, 136, 9));
    let dropped = [
        // Echo, router advertisement, redirect, a report of memberships.
        ethernet(RIGHT, 0x86dd, &icmpv6(58, 128, 3)),
        ethernet(group, 0x86dd, &icmpv6(58, 134, 3)),
        ethernet(RIGHT, 0x86dd, &icmpv6(58, 137, 3)),
        ethernet(group, 0x86dd, &icmpv6(58, 143, 3)),
        // UDP, and behind a fragment header.
        ethernet(RIGHT, 0x86dd, &icmpv6(17, 135, 4)),
        ethernet(RIGHT, 0x86dd, &icmpv6(44, 135, 4)),
        ethernet([2, 0, 0, 0, 0, 9], 0x86dd, &icmpv6(58, 135, 5)),
        ethernet(group, 0x0800, &icmpv6(58, 135, 6)),
        ethernet(group, 0x8100, &[&[0, 5, 0x86, 0xdd], icmpv6(58, 135, 7).as_slice()].concat()),
        ethernet(group, 0x86dd, &icmpv6(58, 135, 8)[..40]),
    ];
    let sender = left.packets(Filter::Ndp);
    for frame in dropped
        .iter()
        .chain([&solicitation])
        .chain(&dropped)
        .chain([&advertisement])
        .chain(&dropped)
        .chain([&last])
    {
        sender.send(frame).await.expect("send");
    }
    assert_eq!(next(&socket).await, solicitation);
    assert_eq!(next(&socket).await, advertisement);
    assert_eq!(next(&socket).await, last);
    assert!(is_empty(&socket));
}

#[tokio::test]
async fn beacon_passes_one_port_unfragmented() {
    let (left, right) = hosts().await;
    let socket = right.packets(BEACON);
    let sender = left.packets(BEACON);
    let plain = ethernet(BROADCAST, 0x0800, &udp(7946, 17, 0, &[]));
    let dont_fragment = ethernet(RIGHT, 0x0800, &udp(7946, 17, 0x4000, &[]));
    let with_options = ethernet(RIGHT, 0x0800, &udp(7946, 17, 0, &[1, 1, 1, 0]));
    let dropped = [
        ethernet(BROADCAST, 0x0800, &udp(7947, 17, 0, &[])),
        ethernet(BROADCAST, 0x0800, &udp(7946, 6, 0, &[])),
        ethernet(BROADCAST, 0x0800, &udp(7946, 17, 0x2000, &[])),
        ethernet(BROADCAST, 0x0800, &udp(7946, 17, 1, &[])),
        ethernet(BROADCAST, 0x0806, &udp(7946, 17, 0, &[])),
        ethernet(BROADCAST, 0x0800, &udp(7946, 17, 0, &[])[..22]),
    ];
    // More than would fit into the receive buffer.
    for _ in 0..20_000 {
        while let Err(error) = sender.try_send(&[dropped[0].as_slice(), &[0; 1000]].concat()) {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
        }
    }
    for frame in dropped.iter().chain([&plain, &dont_fragment, &with_options]) {
        sender.send(frame).await.expect("send");
    }
    assert_eq!(next(&socket).await, plain);
    assert_eq!(next(&socket).await, dont_fragment);
    assert_eq!(next(&socket).await, with_options);
    assert!(is_empty(&socket));
}

#[tokio::test]
async fn own_frames_are_not_received() {
    let (left, right) = hosts().await;
    let (socket, second) = (left.packets(Filter::Arp), left.packets(Filter::Arp));
    let (mine, theirs) = (ethernet(BROADCAST, 0x0806, &arp(1, 1)), ethernet(BROADCAST, 0x0806, &arp(1, 2)));
    socket.send(&mine).await.expect("send");
    second.send(&mine).await.expect("send");
    right.packets(Filter::Arp).send(&theirs).await.expect("send");
    assert_eq!(next(&socket).await, theirs);
    assert_eq!(next(&second).await, theirs);
}

#[tokio::test]
async fn longer_frames_are_cut() {
    let (left, right) = hosts().await;
    let socket = right.packets(Filter::Arp);
    let frame = ethernet(BROADCAST, 0x0806, &arp(1, 1));
    left.packets(Filter::Arp).send(&frame).await.expect("send");
    let mut buf = [0; 30];
    assert_eq!(socket.recv(&mut buf).await.expect("a frame"), 30);
    assert_eq!(buf, frame[..30]);
}

#[tokio::test]
async fn a_link_that_goes_down_is_told_and_comes_back() {
    let (left, right) = hosts().await;
    let socket = right.packets(Filter::Arp);
    let mut buf = [0; 64];
    right.network.set_down("eth0").expect("down");
    let error =
        tokio::time::timeout(DEADLINE, socket.recv(&mut buf)).await.expect("told").expect_err("no frame");
    assert!(is_gone(&error), "{error}");
    let frame = ethernet(BROADCAST, 0x0806, &arp(1, 1));
    assert!(is_gone(&socket.try_send(&frame).expect_err("down")));

    right.network.set_up("eth0").expect("up");
    right.running().await;
    left.running().await;
    left.packets(Filter::Arp).send(&frame).await.expect("send");
    assert_eq!(next(&socket).await, frame);
}

#[tokio::test]
async fn a_link_that_is_deleted_is_told() {
    let (left, right) = hosts().await;
    let socket = right.packets(Filter::Arp);
    let mut buf = [0; 64];
    left.network.delete("eth0").expect("delete");
    let error =
        tokio::time::timeout(DEADLINE, socket.recv(&mut buf)).await.expect("told").expect_err("no frame");
    assert!(is_gone(&error), "{error}");
    assert!(is_gone(&socket.try_send(&buf).expect_err("deleted")));

    let error = right.namespace.within(|| PacketSocket::open(right.eth0, BEACON)).expect("a thread");
    let error = error.expect_err("no such interface");
    assert!(error.is_gone() && error.to_string().contains(&format!("interface {}", right.eth0)), "{error}");
    assert!(is_gone(&io::Error::from(error)));
}

#[tokio::test]
async fn blocking_sockets_wait_until_a_deadline() {
    let (left, right) = hosts().await;
    let open = |host: &Host| {
        let socket = host.namespace.within(|| BlockingPacketSocket::open(host.eth0, Filter::Arp));
        socket.expect("a thread").expect("a packet socket")
    };
    let (sender, socket) = (open(&left), open(&right));
    let mut buf = [0; 64];
    let wait = Duration::from_millis(5);
    let start = Instant::now();
    assert_eq!(socket.recv_until(&mut buf, start + wait).expect("silence"), None);
    assert!(start.elapsed() >= wait);
    let frame = ethernet(BROADCAST, 0x0806, &arp(1, 1));
    sender.send(&frame).expect("send");
    let length = socket.recv_until(&mut buf, Instant::now() + DEADLINE).expect("no error").expect("a frame");
    assert_eq!(buf[..length], frame);
}

async fn next(socket: &PacketSocket) -> Vec<u8> {
    let mut buf = vec![0; 2048];
    let length =
        tokio::time::timeout(DEADLINE, socket.recv(&mut buf)).await.expect("no frame before the deadline");
    buf.truncate(length.expect("a frame"));
    buf
}

fn is_empty(socket: &PacketSocket) -> bool {
    socket.try_recv(&mut [0; 64]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn ethernet(destination: Mac, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [destination.as_slice(), &LEFT, &ether_type.to_be_bytes(), payload].concat()
}

/// An ARP packet, told from others by its last byte.
fn arp(operation: u8, last: u8) -> Vec<u8> {
    let fixed = [0, 1, 8, 0, 6, 4, 0, operation];
    [fixed.as_slice(), &LEFT, &[192, 0, 2, 1], &[0; 6], &[192, 0, 2, last]].concat()
}

/// An IPv6 packet with a message of this type, told from others by its last byte.
fn icmpv6(next_header: u8, kind: u8, last: u8) -> Vec<u8> {
    let header = [0x60, 0, 0, 0, 0, 24, next_header, 255];
    let message = [kind, 0, 0, 0, 0, 0, 0, 0];
    [header.as_slice(), &[0xfe; 16], &[0xfe; 16], &message, &[0xfd; 15], &[last]].concat()
}

fn udp(port: u16, protocol: u8, fragment: u16, options: &[u8]) -> Vec<u8> {
    let words = 5 + u8::try_from(options.len() / 4).expect("few options");
    let length = u8::try_from(20 + options.len() + 12).expect("short");
    let [high, low] = fragment.to_be_bytes();
    let ip = [0x40 | words, 0, 0, length, 0, 0, high, low, 1, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 255];
    let [high, low] = port.to_be_bytes();
    [ip.as_slice(), options, &[0x1f, 0x0a, high, low, 0, 12, 0, 0], b"beep"].concat()
}
