//! Everything at once, as a seed decides.
//!
//! `METAL_SIM_SEEDS=FIRST..LAST` runs other seeds than the usual ones; a failing seed prints how to run it alone.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use metal_core::{
    Instant,
    speaker::{Input, l2::EXCLUDE_LABEL},
    view::TrafficPolicy,
};
use metal_tests::{
    cluster::{Cluster, endpoints_input, node_input, service_input},
    lan::{Id, Lan, Weather},
    random::Random,
};

use crate::{calm, ip as ip4, ip6, millis};

const NODES: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];
const ADDRESSES: u8 = 6;

/// The address of a number: every other one of each family.
fn ip(n: u8) -> IpAddr {
    if n.is_multiple_of(2) { ip6(n) } else { ip4(n) }
}

/// How long two owners that hear each other may both answer.
const BOUND: Duration = Duration::from_millis(600);

/// How long the network may need to come to rest after the last disturbance.
const SETTLING: Duration = Duration::from_secs(4);

#[test]
fn random_runs_keep_the_invariants() {
    each_seed("random_runs", run);
}

#[test]
fn random_trifles_move_nothing() {
    each_seed("random_trifles", trifles);
}

/// Runs a test with each seed of the range.
pub(crate) fn each_seed(test: &str, run: impl Fn(u64)) {
    let (first, last) = seeds();
    for seed in first..last {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!(
                "seed {seed} fails; to repeat it:\n  METAL_SIM_SEEDS={seed}..{} cargo test -p metal-tests --test \
                 sim {test} -- --nocapture",
                seed + 1
            );
            resume_unwind(panic);
        }
    }
}

fn seeds() -> (u64, u64) {
    let Ok(range) = std::env::var("METAL_SIM_SEEDS") else { return (0, 300) };
    let bounds =
        range.split_once("..").and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    bounds.unwrap_or_else(|| panic!("METAL_SIM_SEEDS={range:?} is not FIRST..LAST"))
}

fn run(seed: u64) {
    let mut random = Random::new(seed);
    let nodes = 2 + random.index(NODES.len() - 1);
    let mut cluster = Cluster::new(&NODES[..nodes]);
    for n in 1..=ADDRESSES {
        cluster.serve(&format!("s{n}"), ip(n), &NODES[..nodes]);
    }
    let mut lan = Lan::new(seed, cluster);
    for id in 0..nodes {
        lan.start(id);
        lan.run(random.between(Duration::ZERO, millis(400)));
    }
    let mut together = BTreeMap::new();
    for _ in 0..3 {
        if random.chance(700) {
            lan.weather = Weather {
                loss: random.below(60),
                duplication: random.below(50),
                delay: random.between(Duration::ZERO, millis(5)),
            };
        }
        for _ in 0..1 + random.below(6) {
            disturb(&mut lan, &mut random);
            watch(&mut lan, random.between(Duration::ZERO, millis(900)), &mut together);
        }
        settle(&mut lan);
        watch(&mut lan, SETTLING, &mut together);
        for n in 1..=ADDRESSES {
            let served = lan.cluster.services.contains_key(&format!("s{n}"));
            assert_eq!(lan.owners(ip(n)).len(), usize::from(served), "{} at {}", ip(n), lan.now());
        }
        calm(&mut lan, Duration::from_secs(1));
    }
}

/// Weather or short stalls, other Services, nodes that serve nothing coming and going: no cause to move.
fn trifles(seed: u64) {
    let mut random = Random::new(seed);
    let nodes = 3 + random.index(NODES.len() - 2);
    let mut cluster = Cluster::new(&NODES[..nodes]);
    for n in 1..=2 {
        cluster.serve(&format!("s{n}"), ip(n), &NODES[..nodes]);
    }
    let mut lan = Lan::settled(seed, cluster);
    let owners = [lan.owner(ip(1)), lan.owner(ip(2))];
    // A stall and a loss together may be as long as a death.
    let stalls = random.chance(500);
    lan.weather = Weather {
        loss: if stalls { 0 } else { random.below(50) },
        duplication: random.below(50),
        delay: random.between(Duration::ZERO, millis(5)),
    };
    let watched = [ip(1), ip(2)];
    let before = lan.history.iter().filter(|moment| watched.contains(&moment.address)).count();
    for _ in 0..20 {
        let id = random.index(lan.len());
        match random.below(5) {
            0 | 1 if !owners.contains(&id) && lan.owners(ip(6)) != [id] => lan.start(id),
            2 if stalls => {
                lan.pause(id);
                lan.run(random.between(Duration::ZERO, millis(150)));
                lan.resume(id);
            }
            3 => toggle(&mut lan, "s6"),
            _ => lan.run(random.between(Duration::ZERO, millis(400))),
        }
        lan.run(random.between(millis(100), millis(500)));
    }
    let moments: Vec<_> =
        lan.history.iter().filter(|moment| watched.contains(&moment.address)).skip(before).collect();
    assert!(moments.is_empty(), "{moments:?}");
}

fn disturb(lan: &mut Lan, random: &mut Random) {
    let id = random.index(lan.len());
    let service = format!("s{}", 1 + random.below(ADDRESSES.into()));
    match random.below(13) {
        0 => lan.kill(id),
        1 | 2 => lan.start(id),
        3 => lan.pause(id),
        4 => lan.resume(id),
        5 => lan.set_carrier(id, false),
        6 => lan.set_carrier(id, true),
        7 => {
            let sides = random.next();
            lan.partition(|id| sides >> id & 1);
        }
        8 => {
            let other = random.index(lan.len());
            if id != other {
                lan.set_path(id, other, false);
            }
        }
        9 => lan.tell(id, Input::Stop),
        10 => exclude(lan, id),
        11 => localize(lan, random, &service),
        _ => toggle(lan, &service),
    }
}

/// Puts the label on a node that keeps it from announcing, or takes it off.
fn exclude(lan: &mut Lan, id: Id) {
    let name = lan.station(id).name.clone();
    if let Some(node) = lan.cluster.nodes.get_mut(&name) {
        if node.labels.remove(EXCLUDE_LABEL).is_none() {
            node.labels.insert(EXCLUDE_LABEL.into(), String::new());
        }
        let node = node.clone();
        lan.tell_all(|| node_input(&name, Some(&node)));
    }
}

/// Changes the traffic policy of a Service and moves its endpoints.
fn localize(lan: &mut Lan, random: &mut Random, name: &str) {
    let nodes: Vec<String> = lan.cluster.nodes.keys().filter(|_| random.chance(500)).cloned().collect();
    let Some(service) = lan.cluster.services.get_mut(name).filter(|_| !nodes.is_empty()) else { return };
    service.traffic_policy = if random.chance(700) { TrafficPolicy::Local } else { TrafficPolicy::Cluster };
    let service = service.clone();
    lan.cluster.endpoints.insert(name.into(), nodes.clone());
    lan.tell_all(|| service_input(name, Some(&service)));
    lan.tell_all(|| endpoints_input(name, &nodes));
}

/// Deletes a Service or brings it back.
fn toggle(lan: &mut Lan, name: &str) {
    let nodes: Vec<String> = lan.cluster.nodes.keys().cloned().collect();
    if lan.cluster.services.remove(name).is_some() {
        lan.tell_all(|| service_input(name, None));
        return;
    }
    let address = ip(name[1..].parse().unwrap());
    let names: Vec<&str> = nodes.iter().map(String::as_str).collect();
    lan.cluster.serve(name, address, &names);
    let service = lan.cluster.services[name].clone();
    lan.tell_all(|| service_input(name, Some(&service)));
    lan.tell_all(|| endpoints_input(name, &nodes));
}

/// Ends all disturbances.
fn settle(lan: &mut Lan) {
    lan.weather = Weather::default();
    lan.partition(|_| 0);
    for id in 0..lan.len() {
        lan.set_carrier(id, true);
        lan.resume(id);
        if lan.speaker(id).is_none() {
            lan.start(id);
        }
    }
}

/// Runs, and insists that no two owners that hear each other answer for longer than the bound.
fn watch(lan: &mut Lan, time: Duration, together: &mut BTreeMap<(IpAddr, Id, Id), Instant>) {
    lan.run_while(time, |lan| {
        for address in (1..=ADDRESSES).map(ip) {
            let owners = lan.owners(address);
            for one in 0..lan.len() {
                for other in one + 1..lan.len() {
                    let both = owners.contains(&one) && owners.contains(&other) && lan.connected(one, other);
                    if !both {
                        together.remove(&(address, one, other));
                        continue;
                    }
                    let since = *together.entry((address, one, other)).or_insert(lan.now());
                    let time = lan.now().since(since);
                    assert!(
                        time <= BOUND,
                        "{address} has the owners {owners:?} for {time:?} at {}",
                        lan.now()
                    );
                }
            }
        }
        true
    });
}
