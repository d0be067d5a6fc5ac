//! Addresses that are outside their pool go on to be served.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_json::json;

use crate::probe;
use crate::rack::NODES;
use crate::world::{SOON, SYSTEM, World};
use metal_tests::wait::{ensure, wait_for};

const BY_NAME: &str = "192.168.1.190";
const BY_LABEL: &str = "192.168.1.200";

/// A pool shrinks and is deleted under `curl`, and all daemons are restarted: `curl` goes on.
pub(super) fn shrunk_and_deleted_pools_are_served(world: &mut World) {
    world.create_pool("by-name", "192.168.1.190-192.168.1.199");
    world.advertise("by-name");
    world.client.apply(&labelled_pool("192.168.1.200-192.168.1.209"));
    world.client.apply(&format!(
        "\
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {{name: by-label, namespace: {SYSTEM}}}
spec:
  ipAddressPoolSelectors: [{{matchLabels: {{tier: web}}}}]
"
    ));
    for (name, pool, address) in [("named", "by-name", BY_NAME), ("labelled", "by-label", BY_LABEL)] {
        world.create_service(name, 80, &["pod-1"]);
        let wish = json!({"metadata": {"annotations": {"metallb.io/address-pool": pool}}});
        world.client.merge("Service", "default", name, &wish);
        world.await_address(name, address);
        world.await_answer(address, 80);
    }
    let clients = [Curl::start(BY_NAME), Curl::start(BY_LABEL)];

    world.create_pool("by-name", "192.168.1.195-192.168.1.199");
    world.client.apply(&labelled_pool("192.168.1.205-192.168.1.209"));
    for name in ["named", "labelled"] {
        await_outside(world, name);
    }
    clients.iter().for_each(|client| client.goes_on(1));

    world.client.delete("IPAddressPool", SYSTEM, "by-name");
    world.client.delete("IPAddressPool", SYSTEM, "by-label");
    wait_for("the labels of the pool that is gone", SOON, || {
        let service = world.client.get("Service", "default", "labelled").unwrap_or_default();
        let labels = &service["metadata"]["annotations"]["metallb.io/pool-labels"];
        ensure(labels.as_str().is_some_and(|labels| labels.contains("tier")), || labels.to_string())
    });
    clients.iter().for_each(|client| client.goes_on(1));

    world.daemons.kill_controller();
    world.daemons.start_controller(&world.plane);
    for (name, address) in [("named", BY_NAME), ("labelled", BY_LABEL)] {
        await_outside(world, name);
        assert_eq!(world.addresses(name), [address]);
    }
    clients.iter().for_each(|client| client.goes_on(1));

    for node in NODES {
        world.daemons.stop_speaker(node);
        world.daemons.start_speaker(&world.plane, node);
        // With it back the others may stop as well.
        for address in [BY_NAME, BY_LABEL] {
            world.await_answer(address, 80);
        }
    }
    // A connection that is open while its address moves to another node is reset; the next one is not.
    clients.iter().for_each(|client| client.goes_on(2));
    for (name, address) in [("named", BY_NAME), ("labelled", BY_LABEL)] {
        await_outside(world, name);
        assert_eq!(world.addresses(name), [address]);
        probe::forget(address);
        world.await_answer(address, 80);
    }
    let pages: Vec<usize> = clients.into_iter().map(Curl::stop).collect();
    println!("  {pages:?} pages");
}

fn labelled_pool(range: &str) -> String {
    format!(
        "\
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {{name: by-label, namespace: {SYSTEM}, labels: {{tier: web}}}}
spec: {{addresses: ['{range}']}}
"
    )
}

fn await_outside(world: &World, name: &str) {
    wait_for(&format!("condition AddressOutsidePool on Service {name}"), SOON, || {
        let service = world.client.get("Service", "default", name).unwrap_or_default();
        let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let fits = conditions.iter().any(|condition| {
            condition["type"] == "Assigned"
                && condition["status"] == "True"
                && condition["reason"] == "AddressOutsidePool"
        });
        ensure(fits, || service["status"].to_string())
    });
}

/// A client that fetches a page again and again.
struct Curl {
    pages: Arc<AtomicUsize>,
    /// What has failed, and how often in a row by then.
    failures: Arc<Mutex<Vec<(String, usize)>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Curl {
    fn start(address: &'static str) -> Self {
        let pages: Arc<AtomicUsize> = Arc::default();
        let failures: Arc<Mutex<Vec<(String, usize)>>> = Arc::default();
        let stop: Arc<AtomicBool> = Arc::default();
        let own = (Arc::clone(&pages), Arc::clone(&failures), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let (pages, failures, stop) = own;
            let mut in_a_row = 0;
            while !stop.load(Ordering::Relaxed) {
                match probe::get(address, 80) {
                    Ok(_) => {
                        in_a_row = 0;
                        pages.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(failure) => {
                        in_a_row += 1;
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push((failure, in_a_row));
                    }
                }
            }
        });
        Self { pages, failures, stop, thread }
    }

    /// More pages come, and never have so many in a row failed to.
    #[track_caller]
    fn goes_on(&self, failures_in_a_row: usize) {
        let before = self.pages.load(Ordering::Relaxed);
        wait_for("more pages", SOON, || {
            let pages = self.pages.load(Ordering::Relaxed) - before;
            ensure(pages > 2, || format!("{pages} pages"))
        });
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = failures.iter().map(|(_, in_a_row)| *in_a_row).max().unwrap_or_default();
        assert!(longest < failures_in_a_row, "curl did not go on: {failures:?}");
    }

    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the client's thread");
        self.pages.load(Ordering::Relaxed)
    }
}
