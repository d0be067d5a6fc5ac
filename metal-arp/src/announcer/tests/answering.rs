//! What the driver is told about answering.

use super::*;

fn answering(link: u32, address: impl Into<IpAddr>, mac: Option<Mac>) -> Output {
    Output::Answering { link, address: address.into(), mac }
}

/// Only what is said about answering.
fn said(bed: &mut Bed, now: u64) -> Vec<Output> {
    let mut outputs = bed.drain_all(now);
    outputs.retain(|output| matches!(output, Output::Answering { .. }));
    outputs
}

#[test]
fn it_is_said_first_with_the_mac_and_once() {
    let mut bed = Bed::new();
    bed.own(0, ETH0, VIP, true);
    assert_eq!(bed.drain_all(0)[0], answering(ETH0, VIP, Some(MAC)));
    assert_eq!(bed.0.answers(ETH0, VIP.into()), Some(MAC));
    bed.own(1, ETH0, VIP, true);
    assert!(said(&mut bed, 1).is_empty());
    bed.link(2, ETH0, Some(NEW_MAC));
    assert_eq!(said(&mut bed, 2), [answering(ETH0, VIP, Some(NEW_MAC))]);
    bed.own(3, ETH0, VIP, false);
    assert_eq!(said(&mut bed, 3), [answering(ETH0, VIP, None)]);
    bed.own(4, ETH0, VIP, false);
    bed.own(4, ETH0, VIP2, true);
    bed.own(4, ETH0, VIP2, false);
    assert!(said(&mut bed, 4).is_empty());
}

#[test]
fn a_link_that_is_down_or_gone_answers_for_nothing() {
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let mut bed = Bed::new();
    bed.own(0, ETH0, VIP, true);
    bed.own(0, ETH0, v6, true);
    bed.own(0, ETH1, VIP, true);
    assert_eq!(said(&mut bed, 0), [answering(ETH0, VIP, Some(MAC)), answering(ETH0, v6, Some(MAC))]);
    bed.link(1, ETH0, None);
    assert_eq!(said(&mut bed, 1), [answering(ETH0, VIP, None), answering(ETH0, v6, None)]);
    bed.link(2, ETH0, Some(MAC));
    assert_eq!(said(&mut bed, 2).len(), 2);
    bed.link(3, ETH1, Some(NEW_MAC));
    assert_eq!(said(&mut bed, 3), [answering(ETH1, VIP, Some(NEW_MAC))]);
}

#[test]
fn what_is_still_asked_for_is_not_answered() {
    let mut bed = Bed::new();
    bed.probe(0, VIP);
    assert!(said(&mut bed, 0).is_empty());
    assert!(said(&mut bed, 16).is_empty());
    assert!(said(&mut bed, 32).is_empty());
    assert_eq!(bed.0.answers(ETH0, VIP.into()), None);
    assert!(bed.0.owns(ETH0, VIP.into()));
    assert_eq!(bed.drain_all(50)[0], answering(ETH0, VIP, Some(MAC)));
}
