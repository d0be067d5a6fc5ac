//! Hundreds of random steps while two replicas of the controller are killed at random.
//!
//! `METAL_E2E_SEED` and `METAL_E2E_STEPS` choose other runs than the usual one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::control_plane::ADMIN;
use crate::daemons::CONTROLLER;
use crate::history::{self, History};
use crate::world::{SYSTEM, World};
use metal_tests::random::Random;
use metal_tests::wait::{ensure, wait_for};

/// Long enough for a takeover on a busy machine, and all that waited for it.
const SETTLED: Duration = Duration::from_secs(20);
const SERVICES: u64 = 24;
/// How many writes may change nothing: a new leader that takes a decision back before it was written cannot know
/// that what is there says the same already.
const VAIN_WRITES: usize = 2;
/// The pool at its largest has an address for each.
const WHOLE: &str = "192.168.1.130-192.168.1.153";
const RANGES: [&str; 4] =
    [WHOLE, "192.168.1.130-192.168.1.139", "192.168.1.140-192.168.1.153", "192.168.1.130-192.168.1.132"];

/// No address changes by itself, none is on two Services, and each change is one write.
pub(super) fn random_kills_of_the_controller(world: &mut World) {
    let number = |name: &str, otherwise: u64| {
        let set = std::env::var(name).ok();
        set.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number")))
    };
    let (seed, steps) = (number("METAL_E2E_SEED", 1), number("METAL_E2E_STEPS", 300));
    let written = writes_to_services(world);
    let history = History::record(&world.plane.kubeconfig(&ADMIN));
    world.create_pool("chaos", WHOLE);
    world.daemons.start_replica(&world.plane, 1);
    let mut run = Run { random: Random::new(seed), world, kills: 0, settled: 0 };
    for _ in 0..steps {
        run.step();
    }
    let Run { world, kills, settled, .. } = run;
    println!("  seed {seed}: {steps} steps, {kills} kills, all was served {settled} times on the way");

    set_pool(world, Some(WHOLE));
    let services = wait_for("an address for every Service", SETTLED, || {
        let services = load_balancers(world);
        let lacking: Vec<_> = services.iter().filter(|(_, state)| state.address.is_none()).collect();
        ensure(lacking.is_empty(), || format!("{lacking:?} have none"))?;
        Ok(services)
    });
    wait_for("exact counters of the pool", SETTLED, || {
        let status = &world.client.get("IPAddressPool", SYSTEM, "chaos").unwrap_or_default()["status"];
        let exact =
            status["assignedIPv4"] == services.len() && status["availableIPv4"] == 24 - services.len();
        ensure(exact, || format!("{status} with {} Services", services.len()))
    });
    world.daemons.stop_replica(1);
    // A write that was answered to nobody, because its controller was killed, is none in the audit log.
    wait_for("one write for each change", SETTLED, || {
        let (writes, changes) = (writes_to_services(world) - written, history::changes(&history.seen()));
        ensure(writes <= changes + VAIN_WRITES, || format!("{writes} writes made {changes} changes"))
    });
    history::check(&history.seen());
}

struct Run<'a> {
    random: Random,
    world: &'a mut World,
    kills: u32,
    settled: u32,
}

impl Run<'_> {
    fn step(&mut self) {
        let name = format!("chaos-{}", self.random.below(SERVICES));
        let exists = self.world.client.get("Service", "default", &name).is_some();
        match self.random.below(100) {
            0..50 if !exists => self.create(&name),
            0..30 => self.world.client.delete("Service", "default", &name),
            30..50 => {
                let kind = ["LoadBalancer", "ClusterIP"][self.random.index(2)];
                let patch = json!({"spec": {"type": kind}});
                self.change(&name, &patch);
            }
            50..60 if exists => {
                let patch = json!({"metadata": {"labels": {"step": self.random.next().to_string()}}});
                self.change(&name, &patch);
            }
            60..75 => {
                let range = RANGES[self.random.index(RANGES.len())];
                set_pool(self.world, Some(range));
            }
            75..78 => set_pool(self.world, None),
            78..84 => self.kill(),
            _ => self.settle(),
        }
    }

    fn create(&mut self, name: &str) {
        self.world.client.apply(&format!(
            "\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec:
  type: LoadBalancer
  ports: [{{port: 80}}]
"
        ));
    }

    fn change(&self, name: &str, patch: &Value) {
        self.world.client.merge("Service", "default", name, patch);
    }

    fn kill(&mut self) {
        let replica = self.random.index(2);
        self.world.daemons.replica(replica).kill();
        self.world.daemons.launch_replica(&self.world.plane, replica);
        self.kills += 1;
    }

    /// Waits until every Service has an address, or is told why it has none.
    fn settle(&mut self) {
        wait_for("an address or a reason for every Service", SETTLED, || {
            let services = load_balancers(self.world);
            let open: Vec<_> =
                services.iter().filter(|(_, state)| state.address.is_none() && !state.is_told).collect();
            ensure(open.is_empty(), || format!("{open:?}"))
        });
        self.settled += 1;
    }
}

#[derive(Debug)]
struct State {
    address: Option<String>,
    is_told: bool,
}

fn load_balancers(world: &World) -> BTreeMap<String, State> {
    let services = world.client.list("Service").into_iter().filter(|service| {
        service["spec"]["type"] == "LoadBalancer" && service["metadata"]["namespace"] == "default"
    });
    let state = |service: Value| {
        let address = service.pointer("/status/loadBalancer/ingress/0/ip").and_then(Value::as_str);
        let conditions = service["status"]["conditions"].as_array().into_iter().flatten();
        let is_told = conditions
            .filter(|condition| condition["type"] == "Assigned")
            .any(|condition| condition["status"] == "False");
        let name = service["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        (name, State { address: address.map(str::to_owned), is_told })
    };
    services.map(state).collect()
}

/// Gives the pool this range, or removes it.
fn set_pool(world: &mut World, range: Option<&str>) {
    match range {
        Some(range) => world.create_pool("chaos", range),
        None if world.client.get("IPAddressPool", SYSTEM, "chaos").is_some() => {
            world.client.delete("IPAddressPool", SYSTEM, "chaos");
        }
        None => {}
    }
}

fn writes_to_services(world: &World) -> usize {
    let writes = world.plane.writes(CONTROLLER.identity);
    writes.iter().filter(|write| write.what.contains(" services/")).count()
}
