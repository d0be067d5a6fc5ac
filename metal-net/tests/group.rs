//! Memberships in IPv6 multicast groups: who hears of them, how many there can be, and what is left of them.

mod lan;

use std::{
    collections::BTreeSet,
    fs, io,
    net::Ipv6Addr,
    time::{Duration, Instant},
};

use lan::DEADLINE;
use metal_core::view::LinkIndex;
use metal_net::{Groups, Joined, Namespace, Network, packet::is_gone};
use socket2::{Domain, Protocol, Socket, Type};

/// A host with IPv6, as the kernel comes.
struct Host {
    namespace: Namespace,
    network: Network,
}

impl Host {
    fn new() -> Self {
        let namespace = Namespace::new().expect("a network namespace: run these tests as root");
        let network = namespace.network().expect("a netlink socket");
        Self { namespace, network }
    }

    fn index(&self) -> LinkIndex {
        self.network.link("eth0").expect("eth0").0
    }

    /// Groups are for threads inside.
    fn within<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        self.namespace.within(f).expect("a thread")
    }

    /// The solicited-node groups of which `eth0` is a member by the kernel's own list, without those of its own
    /// addresses.
    fn members(&self) -> BTreeSet<Ipv6Addr> {
        let list =
            self.within(|| fs::read_to_string("/proc/thread-self/net/igmp6")).expect("the kernel's list");
        let groups = list.lines().filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (name, group) = (words.next()?, u128::from_str_radix(words.next()?, 16).ok()?);
            (name == "eth0").then_some(Ipv6Addr::from_bits(group))
        });
        groups.filter(|group| (FIRST..FIRST + 0x1_0000).contains(&group.to_bits())).collect()
    }
}

/// ff02::1:ffaa:0, of which no interface here is a member by itself.
const FIRST: u128 = 0xff02_0000_0000_0000_0000_0001_ffaa_0000;

fn group(n: u16) -> Ipv6Addr {
    Ipv6Addr::from_bits(FIRST + u128::from(n))
}

fn cable() -> (Host, Host) {
    let (left, right) = (Host::new(), Host::new());
    left.network.add_veth("eth0", &right.namespace, "eth0").expect("a veth pair");
    for host in [&left, &right] {
        host.network.set_up("eth0").expect("up");
    }
    (left, right)
}

#[test]
fn the_lan_hears_of_a_membership_and_of_its_end() {
    let (left, right) = cable();
    let ear = right.within(|| {
        // Every IPv6 frame, from all interfaces.
        let protocol = Protocol::from(i32::from(0x86dd_u16.to_be()));
        Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).expect("a packet socket")
    });
    ear.set_read_timeout(Some(DEADLINE)).expect("a time-out");
    let mut groups = Groups::new(left.index());
    assert_eq!(left.within(|| groups.join(group(7))).expect("a member"), Joined::Reported);
    assert_eq!(left.members(), BTreeSet::from([group(7)]));
    // Being told twice changes nothing.
    assert_eq!(left.within(|| groups.join(group(7))).expect("a member"), Joined::Reported);
    // RFC 3810 5.2.12: CHANGE_TO_EXCLUDE or, in a state report, MODE_IS_EXCLUDE: everything from everybody.
    let joined = report(&ear, group(7));
    assert!([2, 4].contains(&joined), "a record of type {joined}");
    groups.leave(group(7));
    assert_eq!(left.members(), BTreeSet::new());
    while report(&ear, group(7)) != 3 {}
}

/// The type of the next record about a group in a report on the wire.
fn report(ear: &Socket, group: Ipv6Addr) -> u8 {
    let deadline = Instant::now() + DEADLINE;
    let mut ear = ear;
    loop {
        assert!(Instant::now() < deadline, "no report about {group}");
        let mut frame = [0; 2048];
        let length = io::Read::read(&mut ear, &mut frame).expect("a frame before the deadline");
        // Ethernet, IPv6, hop-by-hop options with the router alert, a report of MLDv2.
        let Some(report) = frame[..length].get(62..).filter(|report| frame[20] == 0 && report[0] == 143)
        else {
            continue;
        };
        for record in report.get(8..).unwrap_or_default().chunks_exact(20) {
            if record[4..20] == group.octets() {
                return record[0];
            }
        }
    }
}

#[test]
fn memberships_beyond_one_socket_are_held_by_more() {
    let (left, _right) = cable();
    let mut groups = Groups::new(left.index());
    let all: BTreeSet<Ipv6Addr> = (0..6_000).map(group).collect();
    left.within(|| {
        for group in &all {
            assert_eq!(groups.join(*group).expect("a member"), Joined::Reported);
        }
    });
    assert_eq!(left.members(), all);
    assert!(groups.sockets() > 1, "{} sockets", groups.sockets());
    for group in &all {
        groups.leave(*group);
    }
    assert_eq!((left.members(), groups.sockets()), (BTreeSet::new(), 0));
}

#[test]
fn dropping_leaves_all() {
    let (left, _right) = cable();
    let mut groups = Groups::new(left.index());
    left.within(|| (0..10).try_for_each(|n| groups.join(group(n)).map(drop))).expect("a member");
    assert_eq!(left.members().len(), 10);
    drop(groups);
    assert_eq!(left.members(), BTreeSet::new());
}

#[test]
fn it_works_without_an_address_and_while_the_link_is_down() {
    let (left, _right) = cable();
    // Where /proc/sys cannot be written the interface keeps its own address, and the rest holds as well.
    let _ = left.namespace.set_sysctl("ipv6/conf/eth0/disable_ipv6", "1");
    let mut groups = Groups::new(left.index());
    left.within(|| groups.join(group(1))).expect("a member");
    left.network.set_down("eth0").expect("down");
    left.within(|| groups.join(group(2))).expect("a member");
    left.network.set_up("eth0").expect("up");
    assert_eq!(left.members(), BTreeSet::from([group(1), group(2)]));
}

#[test]
fn a_link_that_comes_and_goes_leaves_nothing_behind() {
    let left = Host::new();
    let before = descriptors();
    for round in 0..100 {
        let right = Host::new();
        left.network.add_veth("eth0", &right.namespace, "eth0").expect("a veth pair");
        left.network.set_up("eth0").expect("up");
        let mut groups = Groups::new(left.index());
        left.within(|| (0..5).try_for_each(|n| groups.join(group(n)).map(drop))).expect("a member");
        assert_eq!(left.members().len(), 5, "round {round}");
        left.network.delete("eth0").expect("deleted");
        // The link is gone: joining says so, leaving has nothing to do.
        let error = left.within(|| groups.join(group(9))).expect_err("no such link");
        assert!(is_gone(&error), "{error}");
        groups.leave(group(0));
    }
    assert_eq!(left.members(), BTreeSet::new());
    let deadline = Instant::now() + Duration::from_secs(10);
    // Other tests of this file come and go meanwhile.
    while descriptors() > before + 50 {
        assert!(Instant::now() < deadline, "{before} descriptors before, {} now", descriptors());
        std::thread::yield_now();
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("own descriptors").count()
}
