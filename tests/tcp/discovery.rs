//! Routers that find each other on a link.

use std::net::Ipv6Addr;

use metal_net::{
    BlockingPacketSocket, Filter, RouterDiscovery,
    router_discovery::Message,
    tcp::{Dial, Listen},
};

use crate::cable::{Cable, FAST, Host, in_time};

fn open(host: &Host) -> RouterDiscovery {
    let opened = host.namespace.within(|| RouterDiscovery::open(host.link)).expect("a thread");
    opened.unwrap_or_else(|error| panic!("{error}"))
}

async fn receive(discovery: &RouterDiscovery) -> (Ipv6Addr, Message) {
    in_time("a message", discovery.receive()).await.expect("received")
}

#[tokio::test]
async fn both_sides_learn_whom_to_connect_to() {
    let cable = Cable::new();
    // The kernel of a router ignores advertisements; this is about a node as well as about a router.
    cable.far.namespace.set_sysctl("ipv6/conf/all/forwarding", "1").expect("a setting");
    let (near, far) = (open(&cable.near), open(&cable.far));
    near.send(&Message::PRESENT).await.expect("sent");
    assert_eq!(receive(&far).await, (cable.near.link_local(), Message::PRESENT));
    far.send(&Message::PRESENT).await.expect("sent");
    let (router, message) = receive(&near).await;
    assert_eq!((router, message), (cable.far.link_local(), Message::PRESENT));

    let listener = cable.far.listen(&Listen { options: FAST, ..Listen::v6() });
    let peer = std::net::SocketAddrV6::new(router, Listen::PORT, 0, near.link());
    cable.connect(&Dial { options: FAST, ..Dial::to(peer.into()) }, &listener).await;
}

#[tokio::test]
async fn who_asks_is_heard_and_hears_nothing_of_himself() {
    let cable = Cable::new();
    let (near, far) = (open(&cable.near), open(&cable.far));
    let asks = Message::Solicitation { mac: Some(cable.near.mac) };
    near.send(&asks).await.expect("sent");
    near.send(&Message::PRESENT).await.expect("sent");
    assert_eq!(receive(&far).await, (cable.near.link_local(), asks));
    assert_eq!(receive(&far).await, (cable.near.link_local(), Message::PRESENT));
    let answer =
        Message::Advertisement { lifetime: std::time::Duration::from_secs(9), mac: Some(cable.far.mac) };
    far.send(&answer).await.expect("sent");
    // The first that it hears: it has not heard what it said.
    assert_eq!(receive(&near).await, (cable.far.link_local(), answer));
}

#[tokio::test]
async fn an_advertisement_makes_nobody_a_default_router() {
    let cable = Cable::new();
    let (near, far) = (open(&cable.near), open(&cable.far));
    near.send(&Message::PRESENT).await.expect("sent");
    receive(&far).await;
    let enter = format!("--net={}", cable.far.namespace.path().display());
    let routes = metal_tests::process::run("nsenter", &[&enter, "ip", "-6", "route", "show", "default"]);
    assert_eq!(routes.expect("ip").trim(), "");
}

#[tokio::test]
async fn what_has_passed_a_router_or_is_malformed_is_not_heard() {
    let cable = Cable::new();
    let discovery = open(&cable.near);
    let opened = cable.far.namespace.within(|| BlockingPacketSocket::open(cable.far.link, Filter::Ndp));
    let wire = opened.expect("a thread").expect("a packet socket");
    let source = |number| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number);
    let present = Message::PRESENT.emit();
    let mut with_code = present.clone();
    with_code[1] = 1;
    let mut neighbour = present.clone();
    neighbour[0] = 136;
    wire.send(&frame(&cable.far, source(1), 254, &present)).expect("sent");
    wire.send(&frame(&cable.far, source(2), 255, &with_code)).expect("sent");
    wire.send(&frame(&cable.far, source(3), 255, &neighbour)).expect("sent");
    let mut broken = frame(&cable.far, source(4), 255, &present);
    *broken.last_mut().expect("a frame") ^= 1;
    wire.send(&broken).expect("sent");
    wire.send(&frame(&cable.far, source(5), 255, &present)).expect("sent");
    assert_eq!(receive(&discovery).await, (source(5), Message::PRESENT));
}

#[tokio::test]
async fn an_interface_that_is_not_there_is_said() {
    let cable = Cable::new();
    let refusal = cable.near.namespace.within(|| RouterDiscovery::open(4711)).expect("a thread");
    let text = refusal.expect_err("no such interface").to_string();
    assert!(text.starts_with("cannot bind an ICMPv6 socket on interface 4711: "), "{text}");
    assert!(text.ends_with("(there is no such interface, or it has no IPv6)"), "{text}");
}

/// A frame to all nodes with an ICMPv6 message.
fn frame(from: &Host, source: Ipv6Addr, hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let length = u8::try_from(message.len()).expect("a short message");
    let ip = [&[0x60, 0, 0, 0, 0, length, 58, hop_limit][..], &source.octets(), &nodes.octets()].concat();
    // The checksum covers addresses, length and protocol besides.
    let covered = [&ip[8..], &[0, length, 0, 58], message].concat();
    let sum = covered.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded");
    let mut message = message.to_vec();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    [&[0x33, 0x33, 0, 0, 0, 1][..], &from.mac, &[0x86, 0xdd], &ip, &message].concat()
}
