//! Of two controllers one leads, and the other one takes over.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::daemons::{CONTROLLER, SPEAKER};
use crate::world::{SYSTEM, World};
use metal_tests::wait::{ensure, wait_for};

/// What a killed leader may cost, until the next one has given an address.
const TAKEOVER: Duration = Duration::from_secs(5);
/// What a leader may cost that stops in order.
const HANDOVER: Duration = Duration::from_secs(2);

/// The standby takes over from a leader that is killed in less than five seconds, and at once from one that stops.
pub(super) fn takes_over_from_a_dead_one(world: &mut World) {
    world.create_pool("elected", "192.168.1.210-192.168.1.219");
    let first = await_leader(world, None);
    world.daemons.start_replica(&world.plane, 1);
    assert_eq!(holder(world), Some(first.clone()), "the second one stands by");
    world.create_service("led-by-first", 80, &["pod-1"]);
    world.await_address("led-by-first", "192.168.1.210");

    let killed = Instant::now();
    world.daemons.kill_controller();
    world.create_service("led-by-second", 80, &["pod-1"]);
    wait_for("the standby to give an address", TAKEOVER, || {
        let addresses = world.addresses("led-by-second");
        ensure(addresses == ["192.168.1.211"], || format!("{addresses:?}"))
    });
    println!("  killed: an address from the other one after {:?}", killed.elapsed());
    let second = await_leader(world, Some(&first));

    world.daemons.start_controller(&world.plane);
    assert_eq!(holder(world), Some(second.clone()), "the one that came back stands by");
    let stopped = Instant::now();
    world.daemons.stop_replica(1);
    world.create_service("led-by-third", 80, &["pod-1"]);
    wait_for("the standby to give an address", HANDOVER, || {
        let addresses = world.addresses("led-by-third");
        ensure(addresses == ["192.168.1.212"], || format!("{addresses:?}"))
    });
    println!("  stopped: an address from the other one after {:?}", stopped.elapsed());
    await_leader(world, Some(&second));
    world.daemons.check().unwrap_or_else(|error| panic!("{error}"));
}

/// The API server does not answer for a while, and then it is another process. The watches go on where they were, if
/// it lets them.
pub(super) fn watches_go_on_after_an_outage(world: &mut World) {
    world.create_pool("outage", "192.168.1.220-192.168.1.229");
    world.advertise("outage");
    world.create_service("before-outage", 80, &["pod-1"]);
    world.await_address("before-outage", "192.168.1.220");
    world.await_answer("192.168.1.220", 80);
    let lists = [CONTROLLER.identity, SPEAKER.identity].map(|daemon| lists(world, daemon));

    // Shorter than the Lease.
    world.plane.api_server().freeze(true);
    let frozen = Instant::now();
    while frozen.elapsed() < Duration::from_millis(1_500) {
        world.await_served("192.168.1.220", 80);
    }
    world.plane.api_server().freeze(false);
    world.create_service("after-freeze", 80, &["pod-1"]);
    world.await_address("after-freeze", "192.168.1.221");
    world.await_answer("192.168.1.221", 80);
    let now = [CONTROLLER.identity, SPEAKER.identity].map(|daemon| self::lists(world, daemon));
    assert_eq!(lists, now, "somebody listed everything again after a pause");

    let before = world.plane.requests(SPEAKER.identity).len();
    world.plane.api_server().kill();
    world.await_served("192.168.1.220", 80);
    world.plane.start_api_server();
    world.create_service("after-restart", 80, &["pod-1"]);
    world.await_address("after-restart", "192.168.1.222");
    world.await_answer("192.168.1.222", 80);
    // A new API server does not know what was before it, so it may send them back to the list; but it is asked.
    let asked = &world.plane.requests(SPEAKER.identity)[before..];
    for (index, list) in asked.iter().enumerate().filter(|(_, request)| request.verb == "list") {
        let watch = list.what.replace("list", "watch");
        let is_asked = asked[..index].iter().any(|request| request.what == watch);
        assert!(is_asked, "a speaker did {} without asking for what is new", list.what);
    }
}

/// How often a daemon has listed objects of any kind.
fn lists(world: &World, identity: &str) -> usize {
    world.plane.requests(identity).iter().filter(|request| request.verb == "list").count()
}

/// Who holds the Lease.
fn holder(world: &World) -> Option<String> {
    let lease = world.client.get("Lease", SYSTEM, "metal-controller")?;
    let holder = lease.pointer("/spec/holderIdentity").and_then(Value::as_str)?;
    Some(holder.to_owned()).filter(|holder| !holder.is_empty())
}

/// Waits until somebody else holds the Lease.
fn await_leader(world: &World, before: Option<&str>) -> String {
    wait_for("a leader", TAKEOVER, || {
        let holder = holder(world).ok_or("nobody holds the Lease")?;
        ensure(before != Some(&*holder), || format!("{holder} still does"))?;
        Ok(holder)
    })
}
