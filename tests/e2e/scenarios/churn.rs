//! Thousands of random changes of Services and endpoints, and a hundred of pools, advertisements and communities: no
//! session ends, and what the routers know at the end is what the objects say.
//!
//! `METAL_E2E_CHANGES` and `METAL_E2E_SEED` choose another run than the usual one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::routed::bgp;
use crate::edge::{Edge, NODE_AS, ROUTER_AS, ROUTERS, Rib, Terms};
use crate::rack::{NODES, lan_address};
use crate::world::{SYSTEM, World};
use metal_tests::random::Random;
use metal_tests::wait::{ensure, wait_for};

const USUAL: usize = 1_500;
const SERVICES: usize = 120;
/// How many changes go on at the same time, each of another object.
const AT_A_TIME: usize = 16;
/// Edits of pools, advertisements and communities, spread over the run.
const EDITS: usize = 100;
/// For all that waits at the end, on a busy machine.
const SETTLED: Duration = Duration::from_secs(40);
/// The pool at its smallest has no room for all.
const RANGES: [&[&str]; 3] =
    [&["198.51.100.0/24"], &["198.51.100.0/25"], &["198.51.100.0-198.51.100.63", "198.51.100.128/26"]];

/// What a change is about.
#[derive(Clone, Debug, Default)]
struct Wish {
    exists: bool,
    is_local: bool,
    is_load_balancer: bool,
    /// The nodes with endpoints, and whether these are ready.
    endpoints: BTreeMap<&'static str, bool>,
}

pub(super) fn changes_reset_no_session(world: &mut World) {
    let number = |name: &str, otherwise: usize| {
        let set = std::env::var(name).ok();
        set.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number")))
    };
    let (changes, seed) = (number("METAL_E2E_CHANGES", USUAL), number("METAL_E2E_SEED", 1));
    let edge = Edge::build(world.directory(), Terms { hold_time: 90, both: true });
    for (name, router) in ["frr", "bird"].into_iter().zip(ROUTERS) {
        let spec = format!("{{myASN: {NODE_AS}, peerASN: {ROUTER_AS}, peerAddress: {router}}}");
        world.client.apply(&bgp("BGPPeer", "v1beta2", name, &spec));
    }
    let mut run = Run::new(world, u64::try_from(seed).expect("a small number"));
    for part in ["pool", "advertisement", "community"] {
        run.edit(part);
    }
    let before = edge.await_sessions(NODES.len() * ROUTERS.len());

    let started = Instant::now();
    let (mut done, mut edits) = (0, 0);
    while done < changes {
        done += run.change_some();
        while edits < EDITS * done.min(changes) / changes {
            let part = ["pool", "advertisement", "community"][run.random.index(3)];
            run.edit(part);
            edits += 1;
        }
    }
    let took = started.elapsed().as_secs_f64();
    let world = run.world;
    wait_for("the routers to know what the objects say", SETTLED, || {
        let expected = expected(world)?;
        for (name, found) in [("FRR", edge.rib_of_frr()?), ("BIRD", edge.rib_of_bird()?)] {
            let is_strange =
                |(key, value): &(&(String, String), &BTreeSet<String>)| expected.get(key) != Some(value);
            let strange: Vec<_> = found.iter().filter(is_strange).take(3).collect();
            let missing: Vec<_> = expected.keys().filter(|key| !found.contains_key(*key)).take(3).collect();
            ensure(strange.is_empty() && missing.is_empty(), || {
                format!(
                    "{name} has {} of {}: {strange:?} strange, {missing:?} missing",
                    found.len(),
                    expected.len()
                )
            })?;
        }
        println!(
            "  seed {seed}: {done} changes and {edits} edits in {took:.1} s, {} routes of {} sessions at the end",
            expected.len(),
            before.len()
        );
        Ok(())
    });
    assert_eq!(edge.sessions().expect("the routers answer"), before, "no session was reset");
    world.client.delete_labelled("Service", "default", LABEL);
    world.client.delete_labelled("EndpointSlice", "default", LABEL);
    wait_for("no routes at all", SETTLED, || {
        let left = edge.rib_of_frr()?.len() + edge.rib_of_bird()?.len();
        ensure(left == 0, || format!("{left} are left"))
    });
    assert_eq!(edge.sessions().expect("the routers answer"), before, "no session was reset");
}

const LABEL: &str = "e2e=churn";

struct Run<'a> {
    world: &'a mut World,
    random: Random,
    wishes: Vec<Wish>,
}

impl<'a> Run<'a> {
    fn new(world: &'a mut World, seed: u64) -> Self {
        Self { world, random: Random::new(seed), wishes: vec![Wish::default(); SERVICES] }
    }

    /// Changes some Services or their endpoints at the same time; returns how many.
    fn change_some(&mut self) -> usize {
        let mut chosen = BTreeSet::new();
        while chosen.len() < AT_A_TIME {
            chosen.insert(self.random.index(SERVICES));
        }
        let (mut objects, mut deletions) = (Vec::new(), Vec::new());
        for number in chosen {
            let random = &mut self.random;
            let wish = &mut self.wishes[number];
            match random.below(10) {
                0..4 => {
                    wish.endpoints = BTreeMap::new();
                    for node in NODES {
                        if random.chance(600) {
                            wish.endpoints.insert(node, random.chance(800));
                        }
                    }
                    objects.push(slice(number, wish));
                }
                4..7 if wish.exists => {
                    wish.is_local = random.chance(500);
                    wish.is_load_balancer = random.chance(900);
                    objects.push(service(number, wish));
                }
                7 if wish.exists => {
                    wish.exists = false;
                    deletions.push(name(number));
                }
                _ => {
                    wish.exists = true;
                    wish.is_local = random.chance(500);
                    wish.is_load_balancer = true;
                    objects.push(service(number, wish));
                }
            }
        }
        self.world.client.apply_at_once(&objects);
        self.world.client.delete_at_once("Service", "default", &deletions);
        AT_A_TIME
    }

    /// Changes a pool, an advertisement, or a community.
    fn edit(&mut self, part: &str) {
        let random = &mut self.random;
        let object = match part {
            "pool" => {
                let ranges = RANGES[random.index(RANGES.len())];
                let spec = format!("{{addresses: {ranges:?}}}");
                bgp("IPAddressPool", "v1beta1", "churn", &spec)
            }
            "community" => {
                let value = random.below(4);
                let spec = format!("{{communities: [{{name: shade, value: '{NODE_AS}:{value}'}}]}}");
                bgp("Community", "v1beta1", "churn", &spec)
            }
            _ => {
                let nodes: Vec<&str> = NODES.into_iter().filter(|_| random.chance(800)).collect();
                let selectors: Vec<String> = nodes
                    .iter()
                    .map(|node| format!("{{matchLabels: {{kubernetes.io/hostname: {node}}}}}"))
                    .collect();
                // Nobody in particular is everybody.
                let communities = ["", "shade", "shade, '64512:99'"][random.index(3)];
                let med = random.below(3);
                let spec = format!(
                    "{{ipAddressPools: [churn], med: {med}, communities: [{communities}], nodeSelectors: [{}]}}",
                    selectors.join(", ")
                );
                bgp("BGPAdvertisement", "v1beta1", "churn", &spec)
            }
        };
        self.world.client.apply(&object);
    }
}

/// What the routers are to know, by the objects that the API server has: prefix, next hop, communities.
fn expected(world: &World) -> Result<Rib, String> {
    let object = |kind: &str| world.client.get(kind, SYSTEM, "churn").ok_or_else(|| format!("no {kind}"));
    let (advertisement, community) = (object("BGPAdvertisement")?, object("Community")?);
    let shade = community["spec"]["communities"][0]["value"].as_str().unwrap_or_default().to_owned();
    let communities = advertisement["spec"]["communities"].as_array().into_iter().flatten();
    let communities = communities.filter_map(Value::as_str);
    let communities: BTreeSet<String> =
        communities.map(|one| if one == "shade" { shade.clone() } else { one.to_owned() }).collect();
    let selectors = advertisement["spec"]["nodeSelectors"].as_array().cloned().unwrap_or_default();
    let hostname = |selector: &Value| selector["matchLabels"]["kubernetes.io/hostname"].clone();
    let selected = NODES
        .into_iter()
        .filter(|node| selectors.is_empty() || selectors.iter().any(|selector| hostname(selector) == *node));
    let selected: Vec<&str> = selected.collect();

    let mut ready = BTreeMap::<String, BTreeSet<String>>::new();
    for slice in labelled(world, "EndpointSlice") {
        let endpoints = slice["endpoints"].as_array().into_iter().flatten();
        let serving = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
        let nodes = serving.filter_map(|endpoint| endpoint["nodeName"].as_str().map(str::to_owned));
        ready.insert(slice["metadata"]["name"].as_str().unwrap_or_default().to_owned(), nodes.collect());
    }
    let mut rib = Rib::new();
    for service in labelled(world, "Service") {
        let Some(address) = service.pointer("/status/loadBalancer/ingress/0/ip").and_then(Value::as_str)
        else {
            continue;
        };
        let nodes = ready.get(service["metadata"]["name"].as_str().unwrap_or_default());
        let is_local = service["spec"]["externalTrafficPolicy"] == "Local";
        for node in &selected {
            let takes = nodes.is_some_and(|nodes| !nodes.is_empty() && (!is_local || nodes.contains(*node)));
            if takes {
                rib.insert((format!("{address}/32"), lan_address(node)), communities.clone());
            }
        }
    }
    Ok(rib)
}

fn labelled(world: &World, kind: &str) -> impl Iterator<Item = Value> {
    world.client.list(kind).into_iter().filter(|object| object["metadata"]["labels"]["e2e"] == "churn")
}

fn name(number: usize) -> String {
    format!("churn-{number}")
}

/// kube-proxy leaves those alone that have another proxy.
fn metadata(number: usize) -> Value {
    json!({"name": name(number), "namespace": "default", "labels": {
        "e2e": "churn", "kubernetes.io/service-name": name(number),
        "service.kubernetes.io/service-proxy-name": "none",
    }})
}

fn service(number: usize, wish: &Wish) -> Value {
    let mut spec = json!({"type": "ClusterIP", "ports": [{"port": 80}]});
    if wish.is_load_balancer {
        spec = json!({
            "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [{"port": 80}],
            "externalTrafficPolicy": if wish.is_local { "Local" } else { "Cluster" },
        });
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(number), "spec": spec})
}

fn slice(number: usize, wish: &Wish) -> Value {
    let endpoint = |(node, ready): (&&str, &bool)| json!({"addresses": ["10.244.9.9"], "nodeName": node, "conditions": {"ready": ready}});
    let endpoints: Vec<Value> = wish.endpoints.iter().map(endpoint).collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata(number),
        "addressType": "IPv4", "ports": [{"port": 80}], "endpoints": endpoints,
    })
}
