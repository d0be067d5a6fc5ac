//! Strangers, host traps, and what else is odd about addresses.

use alloc::{format, string::String, vec, vec::Vec};

use super::*;
use crate::finding::Finding;

const STRANGER: Mac = [2, 0, 0, 0, 0, 0x99];
const VIP: &str = "10.0.0.1";

fn at(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn conflict(mac: Mac, announced: bool) -> Input<'static> {
    Input::Conflict { link: 2, address: at(VIP), mac, announced }
}

fn over() -> Input<'static> {
    Input::ConflictOver { link: 2, address: at(VIP) }
}

/// A speaker that serves an address which came after it had listed everything.
fn serving_a_new_address() -> Rig {
    let mut rig = Rig::serving();
    rig.tell([service(&[])]);
    rig.run(1_000);
    rig.take();
    rig.tell([service(&[VIP])]);
    rig.run(40);
    rig
}

/// The lists among what was said.
fn lists(rig: &mut Rig) -> Vec<Vec<Finding>> {
    let list = |output| match output {
        Output::Findings(found) => Some(found.into_iter().map(|found| found.finding).collect()),
        _ => None,
    };
    rig.take().into_iter().filter_map(list).collect()
}

/// The last list as people see it, `reason announced replaceable`.
fn last(rig: &mut Rig) -> Vec<String> {
    let list = lists(rig).pop().expect("a list");
    let show = |finding: &Finding| {
        format!("{} {} {}", finding.reason.code(), finding.announced, finding.replaceable)
    };
    list.iter().map(show).collect()
}

fn duties(rig: &mut Rig) -> Vec<Option<bool>> {
    let duty = |output| match output {
        Output::Own { duty, .. } => Some(duty.map(|duty| duty.probe)),
        _ => None,
    };
    rig.take().into_iter().filter_map(duty).collect()
}

fn defences(rig: &mut Rig) -> usize {
    rig.take().iter().filter(|output| matches!(output, Output::Defend { .. })).count()
}

#[test]
fn an_address_is_asked_for_once_and_then_announced_at_once() {
    let mut rig = Rig::serving();
    assert_eq!(duties(&mut rig), [Some(true)]);
    rig.tell([Input::Endpoints(web(), None)]);
    rig.run(1_000);
    rig.tell([endpoints()]);
    rig.run(1_000);
    assert_eq!(duties(&mut rig), [None, Some(false)], "it was served here before");
    // The controller says that it was not announced for a stranger.
    let announced =
        crate::view::Condition { status: false, reason: "AddressConflict".into(), message: String::new() };
    let objected = Service { assigned: vec![at(VIP)], announced: Some(announced), ..Service::default() };
    rig.tell([Input::Endpoints(web(), None), Input::Service(web(), Some(objected))]);
    rig.tell([endpoints()]);
    rig.run(1_000);
    assert_eq!(duties(&mut rig), [None, Some(true)]);
}

#[test]
fn who_objects_before_the_first_announcement_may_keep_the_address() {
    let mut rig = serving_a_new_address();
    rig.take();
    rig.tell([conflict(STRANGER, false)]);
    let silent = Output::Status { service: web(), status: None };
    assert!(rig.said.contains(&silent), "nothing is announced");
    let list = lists(&mut rig).pop().unwrap();
    assert_eq!(
        list,
        [Finding {
            service: web(),
            address: at(VIP),
            interface: "eth0".into(),
            reason: Reason::AddressConflict,
            announced: false,
            replaceable: true,
            message: "02:00:00:00:00:99, which is no node of this cluster, has the address 10.0.0.1, seen on eth0 of node \
                      n1: the address is not announced there while that is so"
                .into(),
        }]
    );
    // Others do the same, and the same one again: no news.
    rig.run(1_000);
    rig.tell([conflict(STRANGER, false), conflict([2, 0, 0, 0, 0, 0x98], false)]);
    rig.run(1_000);
    assert_eq!(rig.take(), []);
    assert_eq!(rig.speaker.conflicts().collect::<Vec<_>>(), [("eth0", 3)]);
    rig.tell([over()]);
    assert!(rig.said.iter().any(|output| matches!(output, Output::Status { status: Some(_), .. })));
    assert_eq!(lists(&mut rig), [vec![]]);
}

#[test]
fn what_has_been_announced_is_defended_and_not_replaced() {
    let mut rig = serving_a_new_address();
    rig.run(1_000);
    rig.take();
    rig.tell([conflict(STRANGER, true)]);
    assert_eq!(last(&mut rig), ["AddressConflict true false"]);
    for _ in 0..3 {
        rig.run(1_000);
        rig.tell([conflict(STRANGER, true)]);
    }
    assert_eq!(defences(&mut rig), 3, "how often that is said the announcer decides");
    // It is lost with the address.
    rig.tell([service(&[])]);
    rig.run(1_000);
    assert_eq!(last(&mut rig), [""; 0]);
    rig.tell([conflict(STRANGER, true)]);
    assert_eq!(rig.take(), [], "it is not ours any more");
}

#[test]
fn an_address_that_was_there_before_us_may_have_been_announced() {
    let mut rig = Rig::serving();
    rig.take();
    rig.tell([conflict(STRANGER, false)]);
    assert_eq!(last(&mut rig), ["AddressConflict false false"]);

    // Likewise one that we have claimed long ago, on a link that has come back with another number.
    let mut rig = serving_a_new_address();
    rig.run(20_000);
    rig.tell([Input::Link(2, None), Input::Link(3, Some(nic("eth0")))]);
    rig.run(1_000);
    assert_eq!(duties(&mut rig).last(), Some(&Some(true)), "nobody knows this link");
    rig.tell([Input::Conflict { link: 3, address: at(VIP), mac: STRANGER, announced: false }]);
    assert_eq!(last(&mut rig), ["AddressConflict false false"]);
}

#[test]
fn another_link_of_this_host_is_no_stranger() {
    let mut rig = serving_a_new_address();
    rig.run(1_000);
    let other = Link { mac: STRANGER, carrier: false, ..nic("eth1") };
    rig.tell([Input::Link(3, Some(other))]);
    rig.run(1_000);
    rig.take();
    rig.tell([conflict(STRANGER, true), conflict(STRANGER, true)]);
    assert_eq!(rig.take(), []);
    rig.run(1_000);
    assert_eq!(rig.take(), [Output::Defend { link: 2, address: at(VIP) }], "once, and nobody is told");
    rig.tell([conflict(STRANGER, false)]);
    rig.run(1_000);
    assert_eq!(duties(&mut rig), [Some(false)], "it is announced although somebody of ours answers for it");
    assert_eq!(rig.speaker.conflicts().count(), 0);
}

#[test]
fn a_host_that_answers_by_itself_is_told_with_the_fix() {
    let mut rig = Rig::serving();
    rig.take();
    let ipvs = |addresses: &[&str]| {
        let prefixes = addresses.iter().map(|address| format!("{address}/32").parse().unwrap()).collect();
        Input::Link(7, Some(Link { arp: false, broadcast: false, prefixes, ..nic("kube-ipvs0") }))
    };
    rig.tell([ipvs(&[VIP, "10.0.0.2"]), Input::ArpIgnore(2, 1)]);
    assert_eq!(rig.take(), []);
    rig.tell([Input::ArpIgnore(2, 0)]);
    let said = rig.take();
    let events: Vec<_> = said
        .iter()
        .filter_map(|output| if let Output::NodeEvent(event) = output { Some(event) } else { None })
        .collect();
    assert_eq!((events.len(), events[0].reason), (1, "HostAnswers"));
    assert!(events[0].message.contains("strictARP"), "{}", events[0].message);
    rig.said = said;
    assert_eq!(last(&mut rig), ["HostAnswers true false"]);
    // More of the same is no news for the node.
    rig.run(1_000);
    rig.tell([service(&[VIP, "10.0.0.2"])]);
    rig.run(1_000);
    let said = rig.take();
    assert!(!said.iter().any(|output| matches!(output, Output::NodeEvent(_))));
    rig.said = said;
    assert_eq!(last(&mut rig).len(), 2);
    rig.run(1_000);
    rig.tell([ipvs(&["10.0.0.2"])]);
    assert_eq!(last(&mut rig).len(), 1);
    rig.run(1_000);
    rig.tell([Input::ArpIgnore(2, 1)]);
    assert_eq!(last(&mut rig), [""; 0]);
}

#[test]
fn interfaces_that_are_missing_and_subnets_that_do_not_fit_are_told() {
    let mut rig = Rig::serving();
    rig.take();
    let with = |prefixes: &[&str]| {
        let prefixes = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
        Input::Link(2, Some(Link { prefixes, ..nic("eth0") }))
    };
    rig.tell([with(&["fe80::1/64", "2001:db8::1/64", "169.254.0.1/16", "192.0.2.1/32"])]);
    rig.run(1_000);
    assert_eq!(lists(&mut rig), [[]; 0], "nobody knows the subnet");
    rig.tell([with(&["192.0.2.1/24"])]);
    rig.run(1_000);
    assert_eq!(last(&mut rig), ["AddressOutsideSubnets true false"]);
    rig.tell([with(&["192.0.2.1/24", "10.0.0.200/24"])]);
    rig.run(1_000);
    assert_eq!(last(&mut rig), [""; 0]);
    rig.tell([advertisement(&["eth9"])]);
    rig.run(1_000);
    let list = lists(&mut rig).pop().unwrap();
    assert_eq!((list[0].reason, list[0].announced), (Reason::InterfaceMissing, false));
    assert!(list[0].message.ends_with("(L2Advertisement metallb-system/first: eth9)"), "{}", list[0].message);
    rig.tell([advertisement(&[])]);
    rig.run(1_000);
    assert_eq!(last(&mut rig), [""; 0]);
}

#[test]
fn the_worst_is_told_first_and_no_more_than_the_limit() {
    let mut rig = Rig::serving();
    let addresses: Vec<String> =
        (0..300).map(|number: u32| format!("10.0.{}.{}", number / 250, number % 250 + 1)).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    rig.tell([pool("10.0.0.0/23"), service(&addresses)]);
    rig.run(1_000);
    let prefixes = vec!["192.0.2.1/24".parse().unwrap()];
    rig.tell([Input::Link(2, Some(Link { prefixes, ..nic("eth0") }))]);
    rig.run(1_000);
    assert_eq!(last(&mut rig).len(), MAX_FINDINGS);
    assert_eq!(rig.speaker.findings()[&Reason::AddressOutsideSubnets], 300);
    let address = at("10.0.1.40");
    rig.tell([Input::Conflict { link: 2, address, mac: STRANGER, announced: true }]);
    let list = lists(&mut rig).pop().unwrap();
    assert_eq!(
        (list.len(), list[0].address, list[0].reason),
        (MAX_FINDINGS, address, Reason::AddressConflict)
    );
    // Whoever forges frames does not make us write without end.
    for address in &addresses {
        rig.tell([Input::Conflict { link: 2, address: at(address), mac: STRANGER, announced: true }]);
    }
    assert_eq!(lists(&mut rig).len(), 0);
    rig.run(100);
    assert_eq!(lists(&mut rig).len(), 1);
    rig.tell([Input::Stop]);
    let said = rig.take();
    assert!(said.contains(&Output::Findings(vec![])), "who is gone finds nothing");
}
