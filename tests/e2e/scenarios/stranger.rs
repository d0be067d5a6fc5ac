//! A host that is no node has the address of a Service, or a node answers for it behind the speakers' backs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::probe;
use crate::rack::{NODES, node_of_mac};
use crate::world::{SOON, World};
use metal_tests::process::run;
use metal_tests::wait::{ensure, wait_for};

// Each scenario has addresses of its own: what a stranger had is left alone for a while.
const FIRST: &str = "172.42.42.230";
const SECOND: &str = "172.42.42.231";
const THIRD: &str = "172.42.42.232";
const REQUESTED: &str = "172.42.42.240";
const DEFENDED: &str = "172.42.42.241";
const TRAPPED: &str = "172.42.42.242";
const BESIDE: &str = "172.42.42.243";
const TAKEN_V6: &str = "fd00:1::230";
const NEXT_V6: &str = "fd00:1::231";
const PORT: u16 = 80;
/// How long it may take from the evidence to the condition and the event, here beside a whole control plane; what it
/// took is printed.
const TOLD: Duration = Duration::from_secs(3);
/// How long an address stays silent after the last objection, and a little more.
const QUIET: Duration = Duration::from_secs(30);

/// A new Service gets another address when a stranger has the one that is next, and nothing says that it was there.
pub(super) fn keeps_an_address_that_was_never_announced(world: &mut World) {
    let stranger = Stranger::with(FIRST);
    prepare(world, FIRST, THIRD);
    let created = Instant::now();
    world.create_service("whoami", PORT, &["pod-1", "pod-2"]);
    await_event(world, "whoami", "AddressConflict", &[MAC, FIRST, "eth0", SECOND]);
    println!("  told within {:?} of the creation", created.elapsed());
    world.await_address("whoami", SECOND);
    let served = world.await_answer(SECOND, PORT);
    assert!(conflicts() >= 1, "it is counted");
    let answering = probe::answering(FIRST);
    assert!(answering.iter().eq([MAC]), "only the stranger answers for its address: {answering:?}");
    assert_eq!(announced(world, "whoami"), None, "the new address is in order");
    // The next one does not get it either.
    world.create_service("next", PORT, &["pod-1"]);
    world.await_address("next", THIRD);
    drop(stranger);
    assert_eq!(world.await_answer(SECOND, PORT).node, served.node);
}

/// A Service that asks for the address of a stranger keeps it, says so, and is announced once the stranger is gone.
pub(super) fn keeps_an_address_that_is_asked_for(world: &mut World) {
    let stranger = Stranger::with(REQUESTED);
    prepare(world, REQUESTED, REQUESTED);
    let created = Instant::now();
    world.create_service("pinned", PORT, &["pod-1", "pod-2"]);
    world.client.merge(
        "Service",
        "default",
        "pinned",
        &json!({"metadata": {"annotations": {"metallb.io/loadBalancerIPs": REQUESTED}}}),
    );
    world.await_address("pinned", REQUESTED);
    await_announced(world, "pinned", "False", &["AddressConflict", MAC, REQUESTED, "asks for this address"]);
    println!("  told within {:?} of the creation", created.elapsed());
    await_event(world, "pinned", "AddressConflict", &[MAC, REQUESTED]);
    drop(stranger);
    wait_for("the address to be announced once the stranger is gone", QUIET, || {
        ensure(announced(world, "pinned").is_none(), || format!("{:?}", announced(world, "pinned")))
    });
    world.await_answer(REQUESTED, PORT);
}

/// A stranger that turns up later moves nothing: the address is defended.
pub(super) fn does_not_get_an_announced_address(world: &mut World) {
    prepare(world, DEFENDED, DEFENDED);
    world.create_service("whoami", PORT, &["pod-1", "pod-2"]);
    world.await_address("whoami", DEFENDED);
    let before = world.await_answer(DEFENDED, PORT);
    // Until the neighbours have seen the last of the takeover's announcements.
    wait_for("the takeover to be over", SOON, || {
        ensure(gratuitous(DEFENDED, before.node) >= 12, || "announcements are still to come".to_owned())
    });
    let told = gratuitous(DEFENDED, before.node);
    let stranger = Stranger::new();
    stranger.forge(DEFENDED);
    let forged = Instant::now();
    await_announced(world, "whoami", "True", &["AddressConflict", MAC, DEFENDED, "defends"]);
    println!("  told within {:?} of the forged frame", forged.elapsed());
    await_event(world, "whoami", "AddressConflict", &[MAC, DEFENDED]);
    wait_for("the client's neighbour entry to name the node", SOON, || {
        let node = probe::neighbour(DEFENDED)?;
        ensure(node == before.node, || format!("it is {node}"))
    });
    assert!(gratuitous(DEFENDED, before.node) > told, "it has been defended");
    assert_eq!(world.addresses("whoami"), [DEFENDED]);
    assert_eq!(world.await_answer(DEFENDED, PORT).node, before.node, "one forged frame moves nothing");
}

/// A stranger of IPv6 keeps what nobody has announced, and does not get what is announced. The IPv4 address of the
/// same Service stays.
pub(super) fn of_ipv6(world: &mut World) {
    let stranger = Stranger::new();
    stranger.configure(TAKEN_V6, 64);
    world.create_pool_of("first-pool", &[&format!("{BESIDE}/32"), &format!("{TAKEN_V6}-{NEXT_V6}")]);
    world.advertise("first-pool");
    let created = Instant::now();
    world.create_dual_stack_service("dual", PORT, &["pod-1", "pod-2"]);
    await_event(world, "dual", "AddressConflict", &[MAC, TAKEN_V6, "eth0", NEXT_V6]);
    println!("  told within {:?} of the creation", created.elapsed());
    world.await_addresses("dual", &[BESIDE, NEXT_V6]);
    let before = world.await_answer(NEXT_V6, PORT);
    world.await_answer(BESIDE, PORT);
    let answering = probe::answering(TAKEN_V6);
    assert!(answering.iter().eq([MAC]), "only the stranger answers for its address: {answering:?}");
    wait_for("the new address to be in order", SOON, || {
        ensure(announced(world, "dual").is_none(), || format!("{:?}", announced(world, "dual")))
    });

    stranger.forge_v6(NEXT_V6);
    let forged = Instant::now();
    await_announced(world, "dual", "True", &["AddressConflict", MAC, NEXT_V6, "defends"]);
    println!("  told within {:?} of the forged frame", forged.elapsed());
    await_event(world, "dual", "AddressConflict", &[MAC, NEXT_V6]);
    wait_for("the client's neighbour entry to name the node", SOON, || {
        let node = probe::neighbour(NEXT_V6)?;
        ensure(node == before.node, || format!("it is {node}"))
    });
    assert_eq!(world.addresses("dual"), [BESIDE, NEXT_V6]);
    assert_eq!(world.await_answer(NEXT_V6, PORT).node, before.node, "one forged frame moves nothing");
}

/// A node that has the address on a device and does not ignore requests for it answers beside the speakers: the
/// Service and the Node say so, with the fix.
pub(super) fn a_node_that_answers_by_itself_is_told(world: &mut World) {
    prepare(world, TRAPPED, TRAPPED);
    world.create_service("whoami", PORT, &["pod-1", "pod-2"]);
    world.await_address("whoami", TRAPPED);
    world.await_answer(TRAPPED, PORT);
    let node = NODES[2];
    let trap = Trap::set(node, TRAPPED);
    await_announced(world, "whoami", "True", &["HostAnswers", node, "kube-ipvs0", "strictARP: true"]);
    await_event(world, "whoami", "HostAnswers", &[node]);
    world.await_event("Node", node, &["kube-ipvs0", "strictARP: true"]);
    trap.ignore(1);
    wait_for("the condition to be gone once the trap is", SOON, || {
        ensure(announced(world, "whoami").is_none(), || format!("{:?}", announced(world, "whoami")))
    });
    drop(trap);
    world.await_answer(TRAPPED, PORT);
}

fn prepare(world: &mut World, first: &str, last: &str) {
    world.create_pool("first-pool", &format!("{first}-{last}"));
    world.advertise("first-pool");
}

/// The condition `Announced` of a Service: status, reason and message.
fn announced(world: &World, name: &str) -> Option<(String, String)> {
    let service = world.client.get("Service", "default", name).unwrap_or_default();
    let conditions = service.pointer("/status/conditions").and_then(Value::as_array);
    let found = conditions.into_iter().flatten().find(|found| found["type"] == "Announced")?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), format!("{}: {}", text("reason"), text("message"))))
}

#[track_caller]
fn await_announced(world: &World, name: &str, status: &str, parts: &[&str]) {
    wait_for(&format!("Announced={status} on Service {name} with {parts:?}"), TOLD, || {
        let now = announced(world, name).ok_or("there is no such condition")?;
        ensure(now.0 == status && parts.iter().all(|part| now.1.contains(part)), || format!("{now:?}"))
    });
}

/// Waits until an event about a Service has this reason and these parts in its message.
#[track_caller]
fn await_event(world: &World, name: &str, reason: &str, parts: &[&str]) {
    wait_for(&format!("an event {reason} of Service {name} with {parts:?}"), TOLD, || {
        let events = world.client.list("Event");
        let about = |event: &&Value| event["involvedObject"]["name"] == name && event["reason"] == reason;
        let messages: Vec<&str> =
            events.iter().filter(about).filter_map(|event| event["message"].as_str()).collect();
        let said = messages.iter().any(|message| parts.iter().all(|part| message.contains(part)));
        ensure(said, || format!("{messages:?}"))
    });
}

/// How often the speakers have met strangers.
fn conflicts() -> u64 {
    NODES.into_iter().map(|node| metric(node, "metal_speaker_conflicts_total{")).sum()
}

/// How often a node has said unasked where an address is.
fn gratuitous(address: &str, node: &str) -> u64 {
    metric(node, &format!("metallb_layer2_gratuitous_sent{{ip=\"{address}\"}}"))
}

/// The sum of a speaker's series that begin like this.
fn metric(node: &str, start: &str) -> u64 {
    let url = "http://127.0.0.1:7472/metrics";
    let options = ["netns", "exec", node, "curl", "-sS", "--noproxy", "*", "--max-time", "2", url];
    let text = run("ip", &options).unwrap_or_else(|error| panic!("{error}"));
    let lines = text.lines().filter(|line| line.starts_with(start));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// The MAC address of the stranger.
const MAC: &str = "02:00:00:00:00:99";

/// A host on the LAN that knows nothing of the cluster. It goes with the value.
struct Stranger;

impl Stranger {
    const NAME: &str = "stranger";

    fn new() -> Self {
        assert_eq!(node_of_mac(MAC), None);
        let name = Self::NAME;
        ip(&format!("netns add {name}"));
        ip(&format!("-n lan link add {name} type veth peer name eth0 address {MAC} netns {name}"));
        ip(&format!("-n lan link set {name} master lan up"));
        ip(&format!("-n {name} link set eth0 up"));
        Self
    }

    /// One that has an address, as its kernel has it: it answers whoever asks.
    fn with(address: &str) -> Self {
        let stranger = Self::new();
        stranger.configure(address, 24);
        stranger
    }

    /// Gives it an address, without asking whether somebody has it.
    fn configure(&self, address: &str, length: u8) {
        ip(&format!("-n {} address add {address}/{length} dev eth0 nodad", Self::NAME));
    }

    /// Says once that it has an address, and no more.
    fn forge(&self, address: &str) {
        let name = Self::NAME;
        ip(&format!("-n {name} address add {address}/32 dev eth0"));
        ip(&format!("netns exec {name} arping -U -c 1 -w 1 -I eth0 -s {address} {address}"));
        ip(&format!("-n {name} address del {address}/32 dev eth0"));
    }

    /// The same for IPv6: it asks for a neighbour, and where the question comes from is a claim.
    fn forge_v6(&self, address: &str) {
        let name = Self::NAME;
        self.configure(address, 128);
        // Nobody has what it asks for, and the program says so by failing.
        let _nobody = run(
            "ip",
            &[
                "netns",
                "exec",
                name,
                "ndisc6",
                "-1",
                "-r",
                "1",
                "-w",
                "200",
                "-s",
                address,
                "fd00:1::fff",
                "eth0",
            ],
        );
        ip(&format!("-n {name} address del {address}/128 dev eth0"));
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        ip("-n lan link del stranger");
        ip("netns del stranger");
    }
}

/// A node that answers for an address by itself, as kube-proxy in IPVS mode makes it. It ends with the value.
struct Trap(&'static str);

impl Trap {
    fn set(node: &'static str, address: &str) -> Self {
        let trap = Self(node);
        trap.ignore(0);
        // Any device does; not every kernel has dummies.
        ip(&format!("-n {node} link add kube-ipvs0 type bridge"));
        ip(&format!("-n {node} address add {address}/32 dev kube-ipvs0"));
        ip(&format!("-n {node} link set kube-ipvs0 up"));
        trap
    }

    fn ignore(&self, value: u8) {
        for interface in ["all", "eth0"] {
            let file = format!("/proc/sys/net/ipv4/conf/{interface}/arp_ignore");
            let command = format!("echo {value} > {file}");
            run("ip", &["netns", "exec", self.0, "sh", "-c", &command])
                .unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.ignore(1);
        ip(&format!("-n {} link del kube-ipvs0", self.0));
    }
}

fn ip(arguments: &str) {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    run("ip", &words).unwrap_or_else(|error| panic!("{error}"));
}
