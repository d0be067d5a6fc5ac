use std::time::Duration;

use super::*;
use crate::{Namespace, Network};

const DEADLINE: Duration = Duration::from_secs(10);

fn prefix(text: &str) -> ipnet::IpNet {
    text.parse().expect("a prefix")
}

fn named(name: &str) -> Link {
    Link {
        name: name.into(),
        mac: [2, 0, 0, 0, 0, 1],
        up: true,
        carrier: true,
        broadcast: true,
        arp: true,
        enslaved: false,
        prefixes: Vec::new(),
    }
}

#[test]
fn what_a_round_does_not_confirm_is_gone() {
    let mut table = Table::default();
    table.begin_round();
    table.upsert_link(1, named("a"));
    table.upsert_link(2, named("b"));
    table.upsert_address(1, prefix("192.0.2.1/24"));
    table.end_round();
    assert_eq!(table.changes().len(), 2);

    table.begin_round();
    table.upsert_link(1, named("a"));
    table.end_round();
    assert_eq!(table.changes(), [LinkEvent::Upsert(1, named("a")), LinkEvent::Removed(2)]);
    assert_eq!(table.changes(), []);
}

#[test]
fn a_change_and_its_reverse_are_no_change() {
    let mut table = Table::default();
    table.upsert_link(1, named("a"));
    assert_eq!(table.changes(), [LinkEvent::Upsert(1, named("a"))]);
    table.upsert_address(1, prefix("192.0.2.1/24"));
    table.upsert_link(1, Link { up: false, ..named("a") });
    table.upsert_link(1, named("a"));
    table.remove_address(1, prefix("192.0.2.1/24"));
    table.upsert_link(3, named("c"));
    table.remove_link(3);
    assert_eq!(table.changes(), []);
}

#[test]
fn an_index_that_is_used_again_starts_without_addresses() {
    let mut table = Table::default();
    table.upsert_link(1, named("a"));
    table.upsert_address(1, prefix("192.0.2.1/24"));
    table.changes();
    table.remove_link(1);
    table.upsert_link(1, named("b"));
    assert_eq!(table.changes(), [LinkEvent::Upsert(1, named("b"))]);
}

/// A link message as this machine's kernel sends it, and every way of cutting or bending it.
#[test]
fn damaged_messages_are_harmless() {
    let mut datagram = message::request(Dump::Links, 7);
    datagram[4..6].copy_from_slice(&libc::RTM_NEWLINK.to_ne_bytes());
    datagram[6..8].fill(0);
    datagram[18..20].copy_from_slice(&libc::ARPHRD_ETHER.to_ne_bytes());
    datagram[20..24].copy_from_slice(&9_u32.to_ne_bytes());
    for (kind, value) in
        [(libc::IFLA_IFNAME, b"eth0\0".as_slice()), (libc::IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1])]
    {
        let length = u16::try_from(value.len() + 4).expect("short");
        datagram.extend(length.to_ne_bytes());
        datagram.extend(kind.to_ne_bytes());
        datagram.extend(value);
        datagram.resize(datagram.len().next_multiple_of(4), 0);
    }
    let length = u32::try_from(datagram.len()).expect("short");
    datagram[..4].copy_from_slice(&length.to_ne_bytes());

    let (header, whole) = message::messages(&datagram).next().expect("a message");
    assert_eq!(header.sequence, 7);
    let bare = Link { up: false, carrier: false, broadcast: false, ..named("eth0") };
    assert_eq!(whole, Message::Link(9, bare));
    for at in 0..datagram.len() {
        assert_eq!(message::messages(&datagram[..at]).count(), 0, "cut at {at}");
        for byte in [0, 1, 3, 0x7f, 0xff] {
            let mut bent = datagram.clone();
            bent[at] = byte;
            assert!(message::messages(&bent).count() <= bent.len());
        }
    }
}

/// The kernel drops notifications when the reader is slow. What it reads afterwards must still be the truth.
#[tokio::test]
async fn an_overrun_is_made_good() {
    let namespace = Namespace::new().unwrap_or_else(|error| panic!("run this test as root: {error}"));
    let mut links = namespace
        .within(|| LinkMonitor::with_receive_buffer(1))
        .expect("a thread")
        .expect("a monitor with the smallest buffer there is");
    let network = namespace.network().expect("a netlink socket");
    network.add_veth("stays", &namespace, "peer").expect("a veth pair");
    while next(&mut links).await != LinkEvent::Synced {}

    for round in 0_u8..40 {
        network.set_mac("stays", [2, 0, 0, 0, 1, round]).expect("set");
        network.add_veth("comes", &namespace, "goes").expect("a veth pair");
        network.delete("comes").expect("deleted");
    }
    network.rename("peer", "renamed").expect("renamed");
    network.add_address("lo", prefix("127.9.9.9/8")).expect("added");

    let expected = snapshot(&network, &["lo", "stays", "renamed"]);
    let mut overruns = 0;
    tokio::time::timeout(DEADLINE, async {
        loop {
            let error = links.socket.get().take_error().expect("the socket's error");
            if error.is_some_and(|error| error.raw_os_error() == Some(libc::ENOBUFS)) {
                overruns += 1;
                links.received(Err(io::Error::from_raw_os_error(libc::ENOBUFS))).expect("taken note of");
            }
            if links.table.reported() == expected {
                return;
            }
            links.next().await.expect("an event");
        }
    })
    .await
    .unwrap_or_else(|_| panic!("out of date: {:?} instead of {expected:?}", links.table.reported()));
    assert_ne!(overruns, 0, "nothing was lost: the test proves nothing");
}

async fn next(links: &mut LinkMonitor) -> LinkEvent {
    tokio::time::timeout(DEADLINE, links.next())
        .await
        .expect("no event before the deadline")
        .expect("an event")
}

/// The links by another way.
fn snapshot(network: &Network, names: &[&str]) -> Vec<(LinkIndex, Link)> {
    let mut links: Vec<_> = names.iter().map(|name| network.link(name).expect("it exists")).collect();
    for (_, link) in &mut links {
        if link.name == "lo" {
            link.prefixes.push(prefix("127.9.9.9/8"));
        }
    }
    links.sort_by_key(|(index, _)| *index);
    links
}
