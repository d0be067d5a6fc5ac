//! Who has asked lately is told of a takeover in person.

use super::*;

const ROUTER: Mac = [0x02, 0, 0, 0, 0, 0xfe];
const ROUTER_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

fn of_router(target_ip: Ipv4Addr) -> Packet {
    Packet { source: ROUTER, sender_mac: ROUTER, sender_ip: ROUTER_IP, target_ip, ..QUESTION }
}

/// What is sent to one station, with the times in milliseconds.
fn to(bed: &mut Bed, mac: Mac, end: u64) -> Vec<(u64, Packet)> {
    bed.play_until(end).into_iter().filter(|(_, packet)| packet.destination == mac).collect()
}

#[test]
fn whoever_has_asked_for_anything_is_told_once_after_everybody() {
    let mut bed = Bed::new();
    // For somebody else, before any address was ours.
    bed.frame(0, ETH0, of_router(VIP));
    assert!(bed.drain(0).is_empty());
    bed.own(100_000, ETH0, VIP, true);
    let sent: Vec<_> = packets(bed.drain(100_000)).into_iter().map(|(_, packet)| packet).collect();
    let [request, reply] = round(MAC, VIP);
    assert_eq!(sent, [request, reply, Packet::update(MAC, VIP, ROUTER, ROUTER_IP)]);
    assert!(to(&mut bed, ROUTER, 200_000).is_empty());
    assert_eq!(bed.0.counters()[&IpAddr::V4(VIP)].gratuitous, 13);
}

#[test]
fn ipv6_neighbours_are_told_by_an_advertisement_to_them_alone() {
    let vip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let vip2 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    let asker = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);
    let mut bed = Bed::new();
    bed.own(0, ETH0, vip, true);
    bed.outputs_until(at(10_000));
    let question = ndp::Packet::solicitation(CLIENT, asker, vip);
    bed.0.handle_input(at(10_000), Input::Frame { link: ETH0, frame: question.emit().as_bytes() });
    bed.drain(10_000);
    bed.own(20_000, ETH0, vip2, true);
    let last = bed.drain(20_000).pop();
    let expected =
        ndp::Packet { destination: CLIENT, destination_ip: asker, ..ndp::Packet::unsolicited(MAC, vip2) };
    assert_eq!(last, Some(Output::Send { link: ETH0, frame: expected.emit() }));
    // An address of the other family is none of theirs.
    bed.outputs_until(at(30_000));
    bed.own(30_000, ETH0, VIP, true);
    assert_eq!(bed.drain(30_000).len(), 2);
}

#[test]
fn a_new_mac_is_told_to_them_too_and_what_has_been_asked_long_ago_is_forgotten() {
    let mut bed = Bed::settled();
    bed.frame(10_000, ETH0, of_router(VIP));
    assert_eq!(bed.drain(10_000).len(), 1);
    bed.link(20_000, ETH0, Some(NEW_MAC));
    let told = to(&mut bed, ROUTER, 30_000);
    assert_eq!(told, [(20_000, Packet::update(NEW_MAC, VIP, ROUTER, ROUTER_IP))]);
    bed.own(310_001, ETH0, VIP2, true);
    assert!(to(&mut bed, ROUTER, 400_000).is_empty());
}

#[test]
fn probes_replies_and_frames_that_are_not_believed_are_not_remembered() {
    let mut bed = Bed::new();
    for packet in [
        Packet { sender_ip: Ipv4Addr::UNSPECIFIED, ..of_router(VIP) },
        Packet { operation: Operation::Reply, ..of_router(VIP) },
        Packet { destination: NEW_MAC, ..of_router(VIP) },
        Packet { sender_mac: BROADCAST, ..of_router(VIP) },
        Packet { source: MAC, ..of_router(VIP) },
    ] {
        bed.frame(0, ETH0, packet);
    }
    bed.own(1, ETH0, VIP, true);
    assert_eq!(bed.drain(1).len(), 2);
}

#[test]
fn an_address_that_was_asked_for_is_told_to_those_who_waited() {
    let mut bed = Bed::new();
    bed.probe(0, VIP);
    bed.drain(0);
    bed.frame(10, ETH0, of_router(VIP));
    let told = to(&mut bed, ROUTER, 60);
    assert_eq!(told, [(50, Packet::update(MAC, VIP, ROUTER, ROUTER_IP))]);
}

#[test]
fn a_withdrawal_stops_them_and_many_takeovers_stay_within_the_budget() {
    let mut bed = Bed::new();
    for n in 0..200 {
        bed.frame(0, ETH0, Packet { sender_ip: Ipv4Addr::from_bits(0x0a01_0000 + n), ..of_router(VIP) });
    }
    bed.own(1_000, ETH0, VIP, true);
    // A hundred frames fit at once: the announcement and most of the requesters.
    assert_eq!(bed.drain(1_000).len(), 100);
    bed.own(1_000, ETH0, VIP, false);
    assert!(bed.drain(2_000).is_empty());
    let vip = |n: u32| Ipv4Addr::from_bits(0x0a00_0000 + n);
    for n in 0..1_000 {
        bed.own(3_000, ETH0, vip(n), true);
    }
    let frames = bed.play_until(60_000);
    let everybody = frames.iter().filter(|(_, packet)| packet.destination == BROADCAST).count();
    assert_eq!(everybody, 12_000);
    // The first words to everybody go before all that is said to one.
    assert!(frames[..1_000].iter().all(|(_, packet)| packet.destination == BROADCAST));
    let last = frames.last().map(|(time, _)| *time);
    assert!(last <= Some(14_000), "{last:?}");
    for from in (3_000..14_000).step_by(1_000) {
        let within = frames.iter().filter(|(time, _)| (from..from + 1_000).contains(time)).count();
        assert!(within <= 10_101, "{within}");
    }
}
