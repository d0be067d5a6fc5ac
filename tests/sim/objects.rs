//! What Kubernetes objects change.

use std::time::Duration;

use metal_core::{
    speaker::{Output, Reason, l2::EXCLUDE_LABEL},
    view::{Node, TrafficPolicy},
};
use metal_tests::{
    cluster::{Cluster, endpoints_input, node_input, service_input},
    lan::Lan,
};

use crate::{NODES, calm, gapless, ip, millis, web};

#[test]
fn a_deleted_service_is_silent_at_once() {
    let mut lan = Lan::settled(1, web());
    lan.tell_all(|| service_input("web", None));
    assert_eq!(lan.owners(ip(1)), []);
    calm(&mut lan, Duration::from_secs(2));
}

#[test]
fn a_service_without_endpoints_is_silent_until_it_has_some() {
    let mut lan = Lan::settled(1, web());
    lan.tell_all(|| endpoints_input("web", &[]));
    assert_eq!(lan.owners(ip(1)), []);
    for id in 0..3 {
        let reasons: Vec<_> = lan.speaker(id).unwrap().reasons().collect();
        assert_eq!(reasons, [(ip(1), Reason::NoReadyEndpoints)]);
    }
    lan.tell_all(|| endpoints_input("web", &["n2".into()]));
    lan.run(millis(200));
    lan.owner(ip(1));
}

#[test]
fn a_service_that_moves_its_only_local_endpoint_is_handed_over() {
    let mut cluster = web();
    cluster.services.get_mut("web").unwrap().traffic_policy = TrafficPolicy::Local;
    cluster.endpoints.insert("web".into(), vec!["n2".into()]);
    let mut lan = Lan::settled(1, cluster);
    assert_eq!(lan.owner(ip(1)), 1);
    lan.tell_all(|| endpoints_input("web", &["n3".into()]));
    gapless(&mut lan, ip(1), millis(100));
    assert_eq!(lan.owner(ip(1)), 2);
}

#[test]
fn an_excluded_node_hands_over_and_the_last_one_serves_all_the_same() {
    let excluded = Node { labels: [(EXCLUDE_LABEL.into(), String::new())].into(), ..Node::default() };
    let mut lan = Lan::settled(1, web());
    for round in 0..3 {
        let owner = lan.owner(ip(1));
        let name = lan.station(owner).name.clone();
        lan.tell_all(|| node_input(&name, Some(&excluded)));
        gapless(&mut lan, ip(1), millis(100));
        let moved = lan.owner(ip(1)) != owner;
        assert_eq!(moved, round < 2);
    }
    let reasons: Vec<_> = lan.speaker(0).unwrap().reasons().collect();
    assert_eq!(reasons, [(ip(1), Reason::AllNodesExcluded)]);
}

#[test]
fn one_event_and_one_status_per_beginning() {
    let mut lan = Lan::settled(1, web());
    let owner = lan.owner(ip(1));
    // What changes nothing is told to nobody.
    let service = lan.cluster.services["web"].clone();
    lan.tell_all(|| service_input("web", Some(&service)));
    lan.tell_all(|| endpoints_input("web", &NODES.map(String::from)));
    lan.run(Duration::from_secs(1));
    for id in 0..3 {
        let said = &lan.station(id).said;
        let statuses = said.iter().filter(|(_, output)| matches!(output, Output::Status { .. })).count();
        let events: Vec<_> = said
            .iter()
            .filter_map(|(_, output)| match output {
                Output::Event { event, .. } => Some(event),
                _ => None,
            })
            .collect();
        assert_eq!((statuses, events.len()), if id == owner { (1, 1) } else { (0, 0) });
        for event in events {
            let node = &lan.station(owner).name;
            assert_eq!(event.reason, "nodeAssigned");
            assert_eq!(event.message, format!("announcing from node \"{node}\" with protocol \"layer2\""));
        }
    }
}

#[test]
fn services_that_share_an_address_have_one_owner() {
    let mut cluster = Cluster::new(&NODES);
    cluster.serve("tcp", ip(1), &["n1"]);
    cluster.serve("udp", ip(1), &["n2"]);
    let mut lan = Lan::settled(1, cluster);
    let owner = lan.owner(ip(1));
    let services =
        lan.station(owner).said.iter().filter(|(_, output)| matches!(output, Output::Status { .. })).count();
    assert_eq!(services, 2);
    lan.tell_all(|| service_input("tcp", None));
    calm(&mut lan, Duration::from_secs(1));
    lan.tell_all(|| service_input("udp", None));
    assert_eq!(lan.owners(ip(1)), []);
}
