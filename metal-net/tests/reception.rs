//! What an interface's card is asked to let in, and that a filter is as strict as before when everything comes in.

mod lan;

use std::process::Command;

use lan::{Host, LEFT, RIGHT, hosts};
use metal_core::config::ReceiveMode;
use metal_core::view::Mac;
use metal_net::{Filter, Reception, packet::is_gone};

/// How many wish for every frame, and for every multicast, by the kernel's count.
fn wishes(host: &Host) -> (u32, u32) {
    let show = || Command::new("ip").args(["-d", "link", "show", "dev", "eth0"]).output();
    let output = host.namespace.within(show).expect("a thread").expect("ip(8) is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = |word: &str| {
        let mut words = text.split_whitespace().skip_while(|other| *other != word).skip(1);
        words.next().and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no {word} in: {text}"))
    };
    (count("promiscuity"), count("allmulti"))
}

#[tokio::test]
async fn a_mode_holds_until_it_is_changed_or_dropped() {
    let (_left, right) = hosts().await;
    let mut reception = Reception::new(right.eth0);
    let mut set = |mode| right.namespace.within(|| reception.set(mode)).expect("a thread").expect("set");
    let steps = [
        (ReceiveMode::Auto, (0, 0)),
        (ReceiveMode::AllMulti, (0, 1)),
        (ReceiveMode::AllMulti, (0, 1)),
        (ReceiveMode::Promisc, (1, 0)),
        (ReceiveMode::Auto, (0, 0)),
        (ReceiveMode::Promisc, (1, 0)),
    ];
    for (mode, expected) in steps {
        set(mode);
        assert_eq!(wishes(&right), expected, "{mode:?}");
    }
    drop(reception);
    assert_eq!(wishes(&right), (0, 0));
    let mut gone = Reception::new(9_999);
    let error = right.namespace.within(|| gone.set(ReceiveMode::Promisc)).expect("a thread");
    let error = error.expect_err("no such interface");
    assert!(is_gone(&error), "{error}");
}

#[tokio::test]
async fn a_promiscuous_card_brings_no_frames_for_others() {
    let (left, right) = hosts().await;
    let mut reception = Reception::new(right.eth0);
    right.namespace.within(|| reception.set(ReceiveMode::Promisc)).expect("a thread").expect("set");
    let (arp_socket, ndp_socket) = (right.packets(Filter::Arp), right.packets(Filter::Ndp));
    let sender = left.packets(Filter::Arp);
    let other: Mac = [2, 0, 0, 0, 0, 9];
    let group: Mac = [0x33, 0x33, 0xff, 0, 0, 1];
    let others = [request(other, 1), solicitation(other, 1)];
    let ours = [request([0xff; 6], 2), request(RIGHT, 3), request([1, 0, 0x5e, 0, 0, 1], 4)];
    let ours_6 = [solicitation(group, 2), solicitation(RIGHT, 3)];
    for frame in others.iter().chain(&ours).chain(&others).chain(&ours_6) {
        sender.send(frame).await.expect("sent");
    }
    for frame in &ours {
        assert_eq!(next(&arp_socket).await, *frame);
    }
    for frame in &ours_6 {
        assert_eq!(next(&ndp_socket).await, *frame);
    }
    for socket in [arp_socket, ndp_socket] {
        socket.try_recv(&mut [0; 64]).expect_err("nothing else");
    }
}

async fn next(socket: &metal_net::PacketSocket) -> Vec<u8> {
    let mut buf = vec![0; 2048];
    let length = tokio::time::timeout(lan::DEADLINE, socket.recv(&mut buf)).await.expect("a frame in time");
    buf.truncate(length.expect("a frame"));
    buf
}

fn request(destination: Mac, last: u8) -> Vec<u8> {
    let fixed = [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
    [&destination, &LEFT, fixed.as_slice(), &LEFT, &[192, 0, 2, 1], &[0; 6], &[192, 0, 2, last]].concat()
}

fn solicitation(destination: Mac, last: u8) -> Vec<u8> {
    let header = [0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255];
    let message = [135, 0, 0, 0, 0, 0, 0, 0];
    [&destination, &LEFT, header.as_slice(), &[0xfe; 32], &message, &[0xfd; 15], &[last]].concat()
}
