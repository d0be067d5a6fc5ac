use alloc::{collections::BTreeSet, string::String, vec, vec::Vec};

use super::*;
use crate::{
    config::{Interfaces, ObjectRef, PreferredNode},
    selector::Selector,
};

fn advertisement() -> L2Advertisement {
    let object =
        ObjectRef { kind: "L2Advertisement", namespace: "metallb-system".into(), name: "first".into() };
    L2Advertisement {
        object,
        pools: BTreeSet::new(),
        pool_selectors: vec![],
        node_selectors: vec![],
        interfaces: Interfaces::default(),
        service_selectors: vec![],
        preferred_nodes: vec![],
        refresh: None,
        receive: None,
    }
}

fn serving(nodes: &[&str]) -> Serving {
    Serving { anywhere: true, nodes: nodes.iter().map(|node| NodeName::from(*node)).collect() }
}

fn labelled(key: &str) -> Node {
    Node { labels: Labels::from([(key.into(), String::new())]), ..Node::default() }
}

/// Three candidates on eth0.
struct Table {
    names: [NodeName; 3],
    interfaces: [&'static str; 3],
    prefixes: [Vec<IpNet>; 3],
    tiers: [u8; 3],
    nodes: BTreeMap<NodeName, Node>,
}

const SALT: Salt = [0; 16];

impl Table {
    fn new() -> Self {
        let names = ["node-a", "node-b", "node-c"].map(NodeName::from);
        let nodes = names.iter().map(|name| (name.clone(), Node::default())).collect();
        Self { names, interfaces: ["eth0"; 3], prefixes: [const { Vec::new() }; 3], tiers: [0; 3], nodes }
    }

    fn set(&mut self, index: usize, node: Node) {
        self.nodes.insert(self.names[index].clone(), node);
    }

    fn line(&self, carriers: &[Carrier<'_>]) -> Result<Vec<&str>, Reason> {
        let candidates: Vec<_> = (0..3)
            .map(|index| Candidate {
                node: &self.names[index],
                salt: &SALT,
                interface: self.interfaces[index],
                prefixes: &self.prefixes[index],
                tier: self.tiers[index],
            })
            .collect();
        let line = line("10.20.30.1".parse().unwrap(), carriers, &candidates, &self.nodes)?;
        if line.all_excluded {
            assert!(self.nodes.values().all(|node| node.labels.contains_key(EXCLUDE_LABEL)));
        }
        Ok(line.order.into_iter().map(|index| self.names[index].as_str()).collect())
    }
}

fn cluster<'a>(advertisements: Vec<&'a L2Advertisement>, serving: Option<&'a Serving>) -> Carrier<'a> {
    Carrier { advertisements, traffic_policy: TrafficPolicy::Cluster, serving }
}

fn local<'a>(advertisement: &'a L2Advertisement, serving: &'a Serving) -> Carrier<'a> {
    let traffic_policy = TrafficPolicy::Local;
    Carrier { advertisements: vec![advertisement], traffic_policy, serving: Some(serving) }
}

#[test]
fn everybody_is_in_line_in_metallbs_order() {
    let (advertisement, somewhere) = (advertisement(), serving(&["elsewhere"]));
    let carrier = cluster(vec![&advertisement], Some(&somewhere));
    let mut table = Table::new();
    let order: Vec<_> = table.line(core::slice::from_ref(&carrier)).unwrap();
    let mut expected = ["node-a", "node-b", "node-c"];
    expected.sort_by_key(|name| crate::election::hash(name, "10.20.30.1".parse().unwrap()));
    assert_eq!(order, expected);
    // Nodes without an object count as well.
    table.nodes.clear();
    assert_eq!(table.line(&[carrier]).unwrap(), expected);
}

#[test]
fn without_advertisement_or_endpoint_nobody_is() {
    let (advertisement, somewhere, nowhere) = (advertisement(), serving(&[]), Serving::default());
    let table = Table::new();
    assert_eq!(table.line(&[]), Err(Reason::NoAdvertisement));
    assert_eq!(table.line(&[cluster(vec![], Some(&somewhere))]), Err(Reason::NoAdvertisement));
    for serving in [None, Some(&nowhere)] {
        let carrier = cluster(vec![&advertisement], serving);
        assert_eq!(table.line(&[carrier]), Err(Reason::NoReadyEndpoints));
    }
    // A Service that shares the address and cannot be announced does not keep the other one away.
    let carriers = [cluster(vec![], None), cluster(vec![&advertisement], Some(&somewhere))];
    assert_eq!(table.line(&carriers).unwrap().len(), 3);
}

#[test]
fn node_selectors_and_interfaces_of_one_advertisement_belong_together() {
    let somewhere = serving(&[]);
    let of = |label: &str, interface: &str| L2Advertisement {
        node_selectors: vec![Selector::label(label, "")],
        interfaces: Interfaces::parse(&[interface]).unwrap(),
        ..advertisement()
    };
    let (one, two) = (of("one", "eth0"), of("two", "eth1"));
    let mut table = Table::new();
    table.set(0, labelled("one"));
    table.set(1, labelled("two"));
    let line = |table: &Table, of: &[&L2Advertisement]| {
        let carrier = cluster(of.to_vec(), Some(&somewhere));
        table.line(&[carrier]).map(|line| line.iter().map(|name| String::from(*name)).collect::<Vec<_>>())
    };
    assert_eq!(line(&table, &[&one, &two]).unwrap(), ["node-a"]);
    assert_eq!(line(&table, &[&two]), Err(Reason::InterfaceMissing));
    table.interfaces[1] = "eth1";
    assert_eq!(line(&table, &[&two]).unwrap(), ["node-b"]);
    assert_eq!(line(&table, &[&of("three", "eth0")]), Err(Reason::NoEligibleNode));
}

#[test]
fn local_policy_wants_an_endpoint_on_the_node() {
    let advertisement = advertisement();
    let (on_a, on_c, elsewhere) = (serving(&["node-a"]), serving(&["node-c"]), serving(&["elsewhere"]));
    let table = Table::new();
    assert_eq!(table.line(&[local(&advertisement, &on_a)]).unwrap(), ["node-a"]);
    assert_eq!(table.line(&[local(&advertisement, &elsewhere)]), Err(Reason::NoLocalEndpoints));
    let shared = [local(&advertisement, &on_a), local(&advertisement, &on_c)];
    assert_eq!(table.line(&shared), Err(Reason::NoCommonNode));
    let shared = [local(&advertisement, &on_a), cluster(vec![&advertisement], Some(&on_c))];
    assert_eq!(table.line(&shared).unwrap(), ["node-a"]);
}

#[test]
fn unavailable_networks_and_excluded_nodes_stay_out() {
    let (advertisement, somewhere) = (advertisement(), serving(&[]));
    let carrier = [cluster(vec![&advertisement], Some(&somewhere))];
    let mut table = Table::new();
    table.set(0, labelled(EXCLUDE_LABEL));
    table.set(1, Node { network_unavailable: true, ..Node::default() });
    assert_eq!(table.line(&carrier).unwrap(), ["node-c"]);
    (0..3).for_each(|index| table.set(index, Node { network_unavailable: true, ..Node::default() }));
    assert_eq!(table.line(&carrier), Err(Reason::NetworkUnavailable));
    // When only excluded nodes are left they serve all the same.
    (0..3).for_each(|index| table.set(index, labelled(EXCLUDE_LABEL)));
    assert_eq!(table.line(&carrier).unwrap().len(), 3);
}

#[test]
fn tier_goes_before_preference_before_subnet_before_order() {
    let prefer = |label: &str, weight| PreferredNode { weight, preference: Selector::label(label, "") };
    let mut one = advertisement();
    one.preferred_nodes = vec![prefer("x", 10), prefer("y", 15)];
    let two = L2Advertisement { preferred_nodes: vec![prefer("x", 10)], ..advertisement() };
    let somewhere = serving(&[]);
    let mut table = Table::new();
    let first = |table: &Table, advertisements: &[&L2Advertisement]| {
        let line = table.line(&[cluster(advertisements.to_vec(), Some(&somewhere))]).unwrap();
        (String::from(line[0]), String::from(line[2]))
    };
    let by_order = first(&table, &[&two]);
    let index = |name: &str| ["node-a", "node-b", "node-c"].iter().position(|node| *node == name).unwrap();
    let (best, last) = (index(&by_order.0), index(&by_order.1));
    let name = |index: usize| String::from(["node-a", "node-b", "node-c"][index]);

    table.prefixes[last] = vec!["10.20.30.0/24".parse().unwrap()];
    assert_eq!(first(&table, &[&one]).0, name(last));
    table.set(best, labelled("y"));
    assert_eq!(first(&table, &[&one]).0, name(best));
    // Weights add up over advertisements.
    table.set(last, labelled("x"));
    assert_eq!(first(&table, &[&one, &two]).0, name(last));
    table.tiers[last] = 1;
    assert_eq!(first(&table, &[&one, &two]), (name(best), name(last)));
}
