//! What routers without a kernel table of their own say that they have heard.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    net::IpAddr,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use ipnet::IpNet;
use serde_json::Value;

use super::fib::{Fib, Peer};

/// How often ExaBGP's process is looked at.
const GLANCE: Duration = Duration::from_millis(1);
/// The pause between two questions to GoBGP.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks GoBGP for its routes again and again, in the calling thread's network namespace.
pub(super) fn follow_gobgp(client: &Path, stop: &AtomicBool, mut fib: Fib) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let said = Command::new(client).args(["-j", "global", "rib"]).output()?;
        // It may not have begun to answer yet. That it has ended is found elsewhere.
        if said.status.success() {
            let table = serde_json::from_slice(&said.stdout).context("what GoBGP has answered")?;
            fib.replace(gobgp_routes(&table));
            fib.install()?;
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// `gobgp -j global rib`: by prefix, all paths to it.
fn gobgp_routes(table: &Value) -> BTreeMap<(Peer, IpNet), IpAddr> {
    let mut routes = BTreeMap::new();
    for (prefix, paths) in table.as_object().into_iter().flatten() {
        let Ok(prefix) = prefix.parse::<IpNet>() else { continue };
        for path in paths.as_array().into_iter().flatten() {
            let attributes = path["attrs"].as_array().into_iter().flatten();
            let next_hop = attributes.filter_map(|attribute| attribute["nexthop"].as_str()).next();
            if let Some(next_hop) = next_hop.and_then(|text| text.parse().ok()) {
                let peer = path["neighbor-ip"].as_str().unwrap_or_default().to_owned();
                routes.insert((peer, prefix), next_hop);
            }
        }
    }
    routes
}

/// Reads what ExaBGP hands to its process, which writes it to a file.
pub(super) fn follow_exabgp(heard: &Path, stop: &AtomicBool, mut fib: Fib) -> Result<()> {
    let mut file = File::open(heard)?;
    let mut text = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if file.read_to_end(&mut text)? == 0 {
            thread::sleep(GLANCE);
            continue;
        }
        // The last line may not be there to its end yet.
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        for line in text.drain(..end).collect::<Vec<u8>>().split(|byte| *byte == b'\n') {
            if let Ok(message) = serde_json::from_slice(line) {
                hear_exabgp(&mut fib, &message);
            }
        }
        fib.install()?;
    }
    Ok(())
}

/// A message of ExaBGP's JSON encoder.
fn hear_exabgp(fib: &mut Fib, message: &Value) {
    let neighbor = &message["neighbor"];
    let Some(peer) = neighbor["address"]["peer"].as_str() else { return };
    if neighbor["state"] == "down" {
        fib.forget(peer);
    }
    let update = &neighbor["message"]["update"];
    for prefix in exabgp_prefixes(&update["withdraw"]["ipv4 unicast"]) {
        fib.hear(peer, prefix, None);
    }
    for (next_hop, list) in update["announce"]["ipv4 unicast"].as_object().into_iter().flatten() {
        for prefix in exabgp_prefixes(list) {
            fib.hear(peer, prefix, next_hop.parse().ok());
        }
    }
}

fn exabgp_prefixes(list: &Value) -> impl Iterator<Item = IpNet> {
    list.as_array().into_iter().flatten().filter_map(|entry| entry["nlri"].as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_gobgp_counts() {
        let table = serde_json::json!({"198.51.100.1/32": [
            {"attrs": [{"type": 1, "value": 0}, {"type": 3, "nexthop": "192.168.42.11"}], "neighbor-ip": "192.168.42.11"},
            {"attrs": [{"type": 3, "nexthop": "192.168.42.12"}], "neighbor-ip": "192.168.42.12"},
        ], "nonsense": []});
        let prefix: IpNet = "198.51.100.1/32".parse().unwrap();
        let expected = ["192.168.42.11", "192.168.42.12"]
            .map(|address| ((address.to_owned(), prefix), address.parse::<IpAddr>().unwrap()));
        assert_eq!(gobgp_routes(&table), BTreeMap::from(expected));
    }

    #[test]
    fn prefixes_of_exabgp() {
        let list = serde_json::json!([{"nlri": "198.51.100.1/32"}, {"nlri": "x"}, {}]);
        let prefixes: Vec<String> = exabgp_prefixes(&list).map(|prefix| prefix.to_string()).collect();
        assert_eq!(prefixes, ["198.51.100.1/32"]);
    }
}
