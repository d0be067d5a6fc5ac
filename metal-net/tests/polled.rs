//! Packet sockets for a thread of its own: the ring of ARP frames, and what waits in it.

mod lan;

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use lan::{DEADLINE, Host, LEFT, RIGHT, hosts};
use metal_core::view::Mac;
use metal_net::{Filter, Poll, PolledPacketSocket, packet::is_gone};

const BROADCAST: Mac = [0xff; 6];

fn polled(host: &Host, filter: Filter) -> PolledPacketSocket {
    let socket = host.namespace.within(|| PolledPacketSocket::open(host.eth0, filter));
    let socket = socket.expect("a thread").expect("a packet socket");
    assert!(socket.why_no_ring().is_none(), "{:?}", socket.why_no_ring());
    socket
}

/// Waits until the socket is ready, and says whether that is for an error.
fn wait(socket: &PolledPacketSocket) -> bool {
    let deadline = Instant::now() + DEADLINE;
    let mut poll = Poll::default();
    loop {
        assert!(Instant::now() < deadline, "nothing before the deadline");
        poll.wait([socket.as_fd()], Some(Duration::from_millis(100))).expect("polled");
        if poll.is_ready(0) {
            return poll.has_failed(0);
        }
    }
}

/// The next frames, so many.
fn next(socket: &mut PolledPacketSocket, count: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while frames.len() < count {
        assert!(!wait(socket), "an error");
        socket.receive(count - frames.len(), |frame| frames.push(frame.to_vec())).expect("no error");
    }
    frames
}

#[tokio::test]
async fn frames_come_in_order_and_whole_through_ring_and_buffer() {
    let (left, right) = hosts().await;
    let (mut arp_socket, mut ndp_socket) = (polled(&right, Filter::Arp), polled(&right, Filter::Ndp));
    let sender = polled(&left, Filter::Arp);
    let requests: Vec<_> = (0..40_u16).map(|n| arp(n, usize::from(n))).collect();
    let solicitation =
        [&[0x33, 0x33, 0xff, 0, 0, 1], LEFT.as_slice(), &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255]]
            .concat()
            .into_iter()
            .chain([0xfe; 32])
            .chain([135; 24])
            .collect::<Vec<u8>>();
    for frame in requests.iter().chain([&solicitation]) {
        sender.send(frame).expect("sent");
    }
    assert_eq!(next(&mut arp_socket, requests.len()), requests);
    assert_eq!(next(&mut ndp_socket, 1), [solicitation]);
    assert_eq!(arp_socket.receive(9, |_| panic!("no frame")).expect("no error"), 0);
    assert_eq!(ndp_socket.receive(9, |_| panic!("no frame")).expect("no error"), 0);
}

#[tokio::test]
async fn the_length_of_a_long_frame_is_told() {
    let (left, right) = hosts().await;
    let mut socket = polled(&right, Filter::Arp);
    let long = arp(7, 1_000);
    polled(&left, Filter::Arp).send(&long).expect("sent");
    let frames = next(&mut socket, 1);
    assert_eq!((frames[0].len(), &frames[0][..60]), (long.len(), &long[..60]));
}

#[tokio::test]
async fn a_burst_waits_in_the_ring_whatever_rmem_max_says() {
    let (left, right) = hosts().await;
    let mut socket = polled(&right, Filter::Arp);
    let sender = polled(&left, Filter::Arp);
    // More than twice around the ring.
    let mut seen = 0_u16;
    for round in 0..4_u16 {
        for n in 0..10_000 {
            sender.send(&arp(round * 10_000 + n, 18)).expect("sent");
        }
        for frame in next(&mut socket, 10_000) {
            assert_eq!(frame[40..42], seen.to_be_bytes(), "frame {seen}");
            seen += 1;
        }
    }
}

#[tokio::test]
async fn more_than_fits_is_lost_and_what_follows_is_not() {
    let (left, right) = hosts().await;
    let mut socket = polled(&right, Filter::Arp);
    let sender = polled(&left, Filter::Arp);
    for n in 0..20_000 {
        sender.send(&arp(n, 18)).expect("sent");
    }
    let mut kept = 0;
    while socket.receive(1_000, |_| kept += 1).expect("no error") > 0 {}
    assert_eq!(kept, 16_384);
    sender.send(&arp(1, 18)).expect("sent");
    assert_eq!(next(&mut socket, 1), [arp(1, 18)]);
}

#[tokio::test]
async fn a_link_that_goes_down_is_told_once_and_comes_back() {
    let (left, right) = hosts().await;
    for filter in [Filter::Arp, Filter::Ndp] {
        let mut socket = polled(&right, filter);
        right.network.set_down("eth0").expect("down");
        assert!(wait(&socket));
        let error = socket.take_error().expect("asked").expect("an error");
        assert!(is_gone(&error), "{error}");
        let mut poll = Poll::default();
        poll.wait([socket.as_fd()], Some(Duration::ZERO)).expect("polled");
        assert!(!poll.is_ready(0));
        assert!(is_gone(&socket.send(&arp(1, 18)).expect_err("down")));
        right.network.set_up("eth0").expect("up");
        right.running().await;
        left.running().await;
        if filter == Filter::Arp {
            polled(&left, filter).send(&arp(2, 18)).expect("sent");
            assert_eq!(next(&mut socket, 1), [arp(2, 18)]);
        }
    }
}

#[tokio::test]
async fn frames_for_others_and_vlans_stay_out_of_the_ring() {
    let (left, right) = hosts().await;
    let mut socket = polled(&right, Filter::Arp);
    let sender = polled(&left, Filter::Arp);
    let to = |destination: Mac, frame: &[u8]| [&destination, &frame[6..]].concat();
    let tagged = [&BROADCAST, &LEFT, [0x81, 0, 0, 5].as_slice(), &arp(1, 18)[12..]].concat();
    for frame in [to([2, 0, 0, 0, 0, 9], &arp(1, 18)), tagged, to(RIGHT, &arp(2, 18))] {
        sender.send(&frame).expect("sent");
    }
    assert_eq!(next(&mut socket, 1), [to(RIGHT, &arp(2, 18))]);
    assert_eq!(socket.receive(9, |_| panic!("no frame")).expect("no error"), 0);
}

/// A broadcast ARP request that ends with a number and padding.
fn arp(last: u16, padding: usize) -> Vec<u8> {
    let fixed = [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
    let [high, low] = last.to_be_bytes();
    let frame = [&BROADCAST, &LEFT, fixed.as_slice(), &LEFT, &[192, 0, 2, 1], &[0; 6], &[192, 0, high, low]];
    [frame.concat(), vec![0; padding]].concat()
}
