//! Traffic that comes by routers: they learn by BGP which nodes take it, and spread it over them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::edge::{Edge, NODE_AS, OUTSIDE, ROUTER_AS, ROUTERS, Terms, fetch};
use crate::rack::{Cut, NODES, PODS, node_of_source};
use crate::world::{SOON, SYSTEM, World};
use metal_tests::wait::{ensure, wait_for};

/// Reached through every node.
const CLUSTER: &str = "198.51.100.1";
/// Reached through nodes with endpoints only.
const LOCAL: &str = "198.51.100.2";
const HOLD_TIME: u16 = 6;

/// An endpoint as an EndpointSlice has it: its Pod, and whether that is about to end.
type Endpoint = (&'static str, bool);
const UP: bool = false;
const ENDING: bool = true;

/// `curl` from behind a router goes on while endpoints move and nodes leave.
pub(super) fn traffic_follows_endpoints_and_nodes(world: &mut World) {
    let edge = Edge::build(world.directory(), Terms { hold_time: HOLD_TIME, both: false });
    world.create_pool("routed", "198.51.100.1-198.51.100.9");
    world.client.apply(&bgp("BGPAdvertisement", "v1beta1", "routed", "{ipAddressPools: [routed]}"));
    let peer = format!(
        "{{myASN: {NODE_AS}, peerASN: {ROUTER_AS}, peerAddress: {}, holdTime: {HOLD_TIME}s}}",
        ROUTERS[0]
    );
    world.client.apply(&bgp("BGPPeer", "v1beta2", "frr", &peer));
    serve(world, "everywhere", "Cluster", &[("pod-1", UP), ("pod-2", UP)]);
    world.await_address("everywhere", CLUSTER);
    serve(world, "near", "Local", &[("pod-1", UP)]);
    world.await_address("near", LOCAL);
    edge.await_sessions(NODES.len());
    edge.await_next_hops(CLUSTER, &NODES);
    edge.await_next_hops(LOCAL, &["n1"]);
    await_announcers(world, "near", &["n1"]);
    await_spread();
    let near = || wait_for("a page", SOON, || fetch(LOCAL));
    assert_eq!(near(), ("pod-1".to_owned(), OUTSIDE.to_owned()), "the client keeps its address");

    let traffic = [Traffic::start(CLUSTER), Traffic::start(LOCAL)];
    // A rolling update: the new Pod is ready before the old one is asked to end.
    timed("a node joins with an endpoint", || {
        apply_slice(world, "near", &[("pod-1", UP), ("pod-2", UP)]);
        edge.await_next_hops(LOCAL, &["n1", "n2"]);
    });
    // It serves until it ends, and so does its node.
    apply_slice(world, "near", &[("pod-1", ENDING), ("pod-2", UP)]);
    wait_for("pages of the new Pod", SOON, || ensure(fetch(LOCAL)?.0 == "pod-2", || "the old one".into()));
    edge.await_next_hops(LOCAL, &["n1", "n2"]);
    timed("a node leaves with its endpoint", || {
        apply_slice(world, "near", &[("pod-2", UP)]);
        edge.await_next_hops(LOCAL, &["n2"]);
    });
    await_announcers(world, "near", &["n2"]);

    timed("a speaker ends on SIGTERM", || {
        world.daemons.stop_speaker("n3");
        edge.await_next_hops(CLUSTER, &["n1", "n2"]);
    });
    world.daemons.start_speaker(&world.plane, "n3");
    edge.await_next_hops(CLUSTER, &NODES);
    timed("a speaker is killed", || {
        world.daemons.kill_speaker("n3");
        edge.await_next_hops(CLUSTER, &["n1", "n2"]);
    });
    world.daemons.start_speaker(&world.plane, "n3");
    edge.await_next_hops(CLUSTER, &NODES);
    // How often the router spreads anew.
    for (traffic, changes) in traffic.into_iter().zip([4, 2]) {
        traffic.finish().judge(changes);
    }

    // Nobody says that the node is gone: the router finds out.
    let traffic = Traffic::start(CLUSTER);
    timed("a node falls silent", || {
        world.rack.cut("n3", Cut::Silent);
        edge.await_next_hops(CLUSTER, &["n1", "n2"]);
    });
    wait_for("steady pages", SOON, || (0..20).try_for_each(|_| fetch(CLUSTER).map(drop)));
    let run = traffic.finish();
    println!("  meanwhile: {}", run.summary());
    world.rack.repair();
    world.client.delete("BGPPeer", SYSTEM, "frr");
    edge.await_next_hops(CLUSTER, &[]);
}

/// Every node has forwarded, and both Pods have served.
fn await_spread() {
    let (mut nodes, mut pods) = (BTreeSet::new(), BTreeSet::new());
    wait_for("every node to forward to every Pod", SOON, || {
        let (pod, source) = fetch(CLUSTER)?;
        nodes.insert(node_of_source(&source).ok_or_else(|| format!("{source} is no node"))?);
        pods.insert(pod);
        ensure(nodes.len() == NODES.len() && pods.len() == PODS.len(), || format!("{nodes:?} {pods:?}"))
    });
}

fn timed(what: &str, step: impl FnOnce()) {
    let started = Instant::now();
    step();
    println!("  {what}: the router's kernel follows within {:?}", started.elapsed());
}

/// Requests one after the other, from outside, until they are told to end.
struct Traffic {
    address: &'static str,
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(Duration, Result<(), String>)>>,
}

/// What came of them.
struct Run {
    address: &'static str,
    requests: Vec<(Duration, Result<(), String>)>,
}

impl Traffic {
    fn start(address: &'static str) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let told = ends.clone();
        let thread = thread::spawn(move || {
            let mut requests = Vec::new();
            while !told.load(Ordering::Relaxed) {
                let started = Instant::now();
                let result = fetch(address).map(drop);
                requests.push((started.elapsed(), result));
            }
            requests
        });
        Self { address, ends, thread }
    }

    fn finish(self) -> Run {
        self.ends.store(true, Ordering::Relaxed);
        Run { address: self.address, requests: self.thread.join().expect("no panic") }
    }
}

impl Run {
    fn failures(&self) -> Vec<&str> {
        self.requests.iter().filter_map(|(_, result)| result.as_ref().err().map(String::as_str)).collect()
    }

    fn summary(&self) -> String {
        let longest = self.requests.iter().map(|(time, _)| *time).max().unwrap_or_default();
        let (count, failed) = (self.requests.len(), self.failures().len());
        format!("{count} requests to {}, {failed} failed, the longest took {longest:?}", self.address)
    }

    /// A router that spreads anew may send the rest of a connection to a node that does not know it, and a new one to the
    /// node that has just lost its last endpoint: each is at most the one request that was under way, and refused at
    /// once. None may be left without an answer.
    #[track_caller]
    fn judge(&self, changes: usize) {
        println!("  {}", self.summary());
        let failures = self.failures();
        let refusals = ["reset by peer", "Couldn't connect"];
        let is_refused = |failure: &&str| refusals.iter().any(|refusal| failure.contains(refusal));
        assert!(failures.iter().all(is_refused), "{failures:#?}");
        assert!(failures.len() <= changes, "{failures:#?}");
    }
}

/// Waits until a Service's nodes say that they announce it.
#[track_caller]
fn await_announcers(world: &World, service: &str, nodes: &[&str]) {
    wait_for(&format!("ServiceBGPStatuses of {nodes:?}"), SOON, || {
        let all = world.client.list("ServiceBGPStatus");
        let of_service = all.iter().filter(|object| object["status"]["serviceName"] == service);
        let told: BTreeSet<&str> =
            of_service.filter_map(|object| object["status"]["node"].as_str()).collect();
        ensure(told.iter().eq(nodes), || format!("{told:?}"))
    });
}

pub(super) fn bgp(kind: &str, version: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: metallb.io/{version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {SYSTEM}}}\nspec: {spec}\n"
    )
}

fn serve(world: &mut World, name: &str, policy: &str, endpoints: &[Endpoint]) {
    world.client.apply(&format!(
        "\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec:
  type: LoadBalancer
  externalTrafficPolicy: {policy}
  ports: [{{name: http, port: 80, targetPort: 80}}]
"
    ));
    apply_slice(world, name, endpoints);
}

/// The endpoints as Kubernetes tells of them: one that ends still serves what comes to it, but is not ready.
fn apply_slice(world: &mut World, service: &str, endpoints: &[Endpoint]) {
    let endpoints: Vec<String> = endpoints
        .iter()
        .map(|(name, ending)| {
            let pod = PODS.iter().find(|pod| pod.name == *name).expect("a known Pod");
            let (address, node, ready) = (pod.address, pod.node, !ending);
            format!(
                "{{addresses: [{address}], nodeName: {node}, \
                 conditions: {{ready: {ready}, serving: true, terminating: {ending}}}}}"
            )
        })
        .collect();
    world.client.apply(&format!(
        "\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {service}, namespace: default, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: IPv4
ports: [{{name: http, port: 80}}]
endpoints: [{}]
",
        endpoints.join(", ")
    ));
}
