//! The node that answers for an address fails; another one takes over and clients go on.

use std::time::{Duration, Instant};

use crate::probe::{self, Served};
use crate::rack::Cut;
use crate::world::World;
use metal_tests::wait::{ensure, wait_for};

const ADDRESS: &str = "10.244.244.100";
const ADDRESS_V6: &str = "fd00:1::100";
const PORT: u16 = 80;
/// How long a takeover may take here, beside a whole control plane; the lab measures how long it does take.
const TAKEOVER: Duration = Duration::from_secs(3);

/// The announcing speaker is killed; its node still forwards, so a client that knows its address
/// notices nothing, and one that asks anew finds the successor.
pub(super) fn when_the_speaker_is_killed(world: &mut World) {
    let before = serve_whoami(world);
    move_by_killing(world, ADDRESS, &before);
}

/// The same with the IPv6 address of a dual-stack Service.
pub(super) fn of_ipv6_when_the_speaker_is_killed(world: &mut World) {
    let before = serve_dual_stack(world);
    move_by_killing(world, ADDRESS_V6, &before);
}

/// The node's cable is pulled.
pub(super) fn when_the_link_loses_carrier(world: &mut World) {
    let before = serve_whoami(world);
    move_by_cutting(world, ADDRESS, &before, Cut::Carrier);
}

/// The same with the IPv6 address of a dual-stack Service.
pub(super) fn of_ipv6_when_the_link_loses_carrier(world: &mut World) {
    let before = serve_dual_stack(world);
    move_by_cutting(world, ADDRESS_V6, &before, Cut::Carrier);
}

/// The switch stops forwarding for the node, whose link still looks healthy.
pub(super) fn when_the_link_falls_silent(world: &mut World) {
    let before = serve_whoami(world);
    move_by_cutting(world, ADDRESS, &before, Cut::Silent);
}

fn move_by_killing(world: &mut World, address: &str, before: &Served) {
    let killed = Instant::now();
    world.daemons.kill_speaker(before.node);
    if let Err(error) = probe::get(address, PORT) {
        panic!("a client that knows the address noticed the death: {error}");
    }
    let after = await_move(address, before, || {
        probe::forget(address);
        probe::fetch(address, PORT)
    });
    println!("  {} -> {} within {:?}", before.node, after.node, killed.elapsed());
    assert_eq!(world.await_answer(address, PORT).node, after.node, "the successor stays");
    world.daemons.start_speaker(&world.plane, before.node);
    await_single_owner(address);
}

/// The client's neighbour entry is left alone: the successor's announcement must replace it.
fn move_by_cutting(world: &mut World, address: &str, before: &Served, how: Cut) {
    let cut = Instant::now();
    world.rack.cut(before.node, how);
    let after = await_move(address, before, || {
        let node = probe::neighbour(address)?;
        ensure(node != before.node, || format!("the client still sends to {node}"))?;
        probe::fetch(address, PORT)
    });
    println!("  {} -> {} within {:?}", before.node, after.node, cut.elapsed());
    world.await_reported_owner("whoami", after.node);
    world.rack.repair();
    await_single_owner(address);
    world.daemons.check().unwrap_or_else(|error| panic!("{error}"));
}

/// Serves `whoami` from both Pods, with current custom resources, and returns who serves it.
fn serve_whoami(world: &mut World) -> Served {
    world.create_pool("first-pool", "10.244.244.100-10.244.244.200");
    world.advertise("first-pool");
    world.create_service("whoami", PORT, &["pod-1", "pod-2"]);
    world.await_address("whoami", ADDRESS);
    await_served(world, ADDRESS)
}

/// The same with an address of each family; returns who serves the IPv6 one.
fn serve_dual_stack(world: &mut World) -> Served {
    world.create_pool_of("first-pool", &["10.244.244.100-10.244.244.200", "fd00:1::100-fd00:1::200"]);
    world.advertise("first-pool");
    world.create_dual_stack_service("whoami", PORT, &["pod-1", "pod-2"]);
    world.await_addresses("whoami", &[ADDRESS, ADDRESS_V6]);
    world.await_served(ADDRESS, PORT);
    await_served(world, ADDRESS_V6)
}

fn await_served(world: &World, address: &str) -> Served {
    let served = world.await_answer(address, PORT);
    world.await_reported_owner("whoami", served.node);
    served
}

/// Waits until another node serves.
#[track_caller]
fn await_move(address: &str, before: &Served, mut fetch: impl FnMut() -> Result<Served, String>) -> Served {
    wait_for(&format!("another node than {} to serve {address}", before.node), TAKEOVER, || {
        let served = fetch()?;
        ensure(served.node != before.node, || format!("{served:?}"))?;
        Ok(served)
    })
}

/// Once the failed node is back, one node answers, whichever it is, and serves.
fn await_single_owner(address: &str) {
    wait_for("a single node to answer for the address", Duration::from_secs(10), || {
        let answering = probe::answering(address);
        ensure(answering.len() == 1, || format!("{answering:?}"))
    });
    wait_for("HTTP from that node", TAKEOVER, || probe::fetch(address, PORT));
}
