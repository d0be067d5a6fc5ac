//! The real controller on a directory of manifests: what it hands out, what it refuses, and how it says so.

mod directory;
mod plan;

use std::{fs, os::unix::fs::MetadataExt as _};

use directory::{Directory, pool, service};
use serde_json::json;

#[test]
fn services_get_the_lowest_addresses_oldest_first() {
    let lab = Directory::new();
    lab.write("pool.yaml", &pool("first", "192.0.2.1-192.0.2.9"));
    lab.write("b.yaml", &service("younger", "creationTimestamp: '2026-02-02T00:00:00Z'"));
    lab.write("a.yaml", &service("older", "creationTimestamp: '2026-01-01T00:00:00Z'"));
    let _controller = lab.start();
    lab.has_address("older", "192.0.2.1");
    lab.has_address("younger", "192.0.2.2");
}

#[test]
fn a_full_pool_is_named_and_a_freed_address_goes_to_who_waits() {
    let lab = Directory::new();
    lab.write("pool.yaml", &pool("small", "192.0.2.1-192.0.2.1"));
    lab.write("a.yaml", &service("one", ""));
    lab.write("b.yaml", &service("two", "creationTimestamp: '2026-01-01T00:00:00Z'"));
    let controller = lab.start();
    lab.has_address("one", "192.0.2.1");
    let full = "pool small has 0 of 1 IPv4 addresses free";
    lab.has_event("two", "AllocationFailed", full);
    controller.says(full);
    lab.remove("a.yaml");
    lab.has_address("two", "192.0.2.1");
}

#[test]
fn one_bad_pool_is_refused_alone_with_the_reason_on_it() {
    let lab = Directory::new();
    lab.write("good.yaml", &pool("good", "192.0.2.0/30"));
    lab.write("bad.yaml", &pool("nonsense", "192.0.2.x"));
    lab.write("reversed.yaml", &pool("reversed", "198.51.100.9-198.51.100.1"));
    lab.write("mixed.yaml", &pool("mixed", "198.51.100.9-2001:db8::1"));
    lab.write("web.yaml", &service("web", ""));
    let _controller = lab.start();
    lab.has_address("web", "192.0.2.0");
    lab.is_refused("nonsense", &["spec.addresses[0]", "192.0.2.x"]);
    lab.is_refused("reversed", &["spec.addresses[0]", "reversed", "198.51.100.1-198.51.100.9"]);
    lab.is_refused("mixed", &["spec.addresses[0]", "IPv4 and IPv6"]);
    lab.is_accepted("good");
}

#[test]
fn of_two_overlapping_pools_the_older_then_the_one_in_force_stays() {
    let lab = Directory::new();
    let aged = |name: &str, range: &str, age: &str| {
        pool(name, range).replace("metadata: {", &format!("metadata: {{creationTimestamp: '{age}', "))
    };
    lab.write("a.yaml", &aged("younger", "192.0.2.0/24", "2026-02-02T00:00:00Z"));
    lab.write("b.yaml", &aged("older", "192.0.2.8-192.0.2.9", "2026-01-01T00:00:00Z"));
    let _controller = lab.start();
    lab.is_accepted("older");
    lab.is_refused("younger", &["overlaps", "older", "192.0.2.8-192.0.2.9"]);
    // Still older, but the other one is in force by now.
    lab.write("c.yaml", &aged("oldest", "192.0.2.9-192.0.2.20", "2025-01-01T00:00:00Z"));
    lab.is_refused("oldest", &["overlaps", "older", "in force"]);
    // Where the winner goes, the next one comes into force.
    lab.remove("b.yaml");
    lab.is_accepted("oldest");
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_keeps_what_it_said() {
    let lab = Directory::new();
    lab.write("pool.yaml", &pool("first", "192.0.2.1-192.0.2.9"));
    lab.write("web.yaml", &service("web", ""));
    let controller = lab.start();
    lab.has_address("web", "192.0.2.1");
    lab.write("pool.yaml", "spec: [unclosed\n  more: x\n");
    controller.says("pool.yaml:");
    // The pool is still in force: the next Service gets an address from it.
    lab.write("next.yaml", &service("next", ""));
    lab.has_address("next", "192.0.2.2");
    lab.has_address("web", "192.0.2.1");
}

#[test]
fn an_unknown_kind_is_named_with_its_line_and_the_rest_of_the_file_counts() {
    let lab = Directory::new();
    let unknown = "---\napiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n";
    lab.write("all.yaml", &format!("{}{unknown}{}", pool("p", "192.0.2.1/32"), service("web", "")));
    let controller = lab.start();
    lab.has_address("web", "192.0.2.1");
    controller.says("Widget");
    controller.says("all.yaml:");
}

#[test]
fn an_invalid_pool_edit_leaves_the_last_valid_version_in_force() {
    let lab = Directory::new();
    lab.write("pool.yaml", &pool("first", "192.0.2.1-192.0.2.9"));
    let _controller = lab.start();
    lab.is_accepted("first");
    lab.write("pool.yaml", &pool("first", "192.0.2.9-192.0.2.1"));
    lab.is_refused("first", &["reversed"]);
    lab.write("web.yaml", &service("web", ""));
    lab.has_address("web", "192.0.2.1");
}

#[test]
fn the_old_config_map_counts_and_a_custom_resource_wins_the_name() {
    let lab = Directory::new();
    let old = "
apiVersion: v1
kind: ConfigMap
metadata: {name: config, namespace: metallb-system}
data:
  config: |
    address-pools:
    - {name: default, protocol: layer2, addresses: [172.42.42.201-172.42.42.250]}
    - {name: first, protocol: layer2, addresses: [198.51.100.1-198.51.100.9]}
";
    lab.write("old.yaml", old);
    lab.write(
        "empty.yaml",
        &old.replace("name: config,", "name: metallb-config,").replace("    - {", "    # - {"),
    );
    lab.write("new.yaml", &pool("first", "192.0.2.1-192.0.2.9"));
    lab.write("web.yaml", &service("web", "annotations: {metallb.universe.tf/address-pool: default}"));
    lab.write("two.yaml", &service("two", "annotations: {metallb.io/address-pool: first}"));
    let controller = lab.start();
    lab.has_address("web", "172.42.42.201");
    lab.has_address("two", "192.0.2.1");
    controller.says("ConfigMap metallb-system/config refused");
}

#[test]
fn passwords_of_peers_are_nowhere_but_in_their_manifests() {
    let lab = Directory::new();
    let secret = |password: &str| {
        format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: tor, namespace: metallb-system}}\n\
             type: kubernetes.io/basic-auth\nstringData: {{password: {password}}}\n"
        )
    };
    let peer = |name: &str, more: &str| {
        format!(
            "---\napiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {{name: {name}, namespace: metallb-system}}\n\
             spec: {{myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1, {more}}}\n"
        )
    };
    lab.write("pool.yaml", &pool("first", "192.0.2.1-192.0.2.9"));
    lab.write("secret.yaml", &secret("hunter2"));
    lab.write("peer.yaml", &peer("tor", "passwordSecret: {name: tor}"));
    lab.write("bad.yaml", &peer("bad", "password: hunter2, passwordSecret: {name: tor}"));
    let controller = lab.start();
    lab.is_accepted("first");
    controller.says("BGPPeer metallb-system/bad refused: spec.passwordSecret");
    // What looks like YAML's own signs is read as such, and said without quoting it.
    lab.write("secret.yaml", &secret("*hunter2"));
    controller.says("cannot be read; it has a Secret");
    controller.never_said("hunter2");
    for file in lab.written().keys() {
        let text = fs::read_to_string(file).unwrap_or_default();
        assert!(!text.contains("hunter2"), "{}", file.display());
    }
}

#[test]
fn a_restart_changes_nothing_and_writes_nothing() {
    let lab = Directory::new();
    lab.write("pool.yaml", &pool("first", "192.0.2.1-192.0.2.9"));
    lab.write("reversed.yaml", &pool("reversed", "192.0.2.9-192.0.2.1"));
    for name in ["a", "b", "c"] {
        lab.write(&format!("{name}.yaml"), &service(name, ""));
    }
    let controller = lab.start();
    for (name, address) in [("a", "192.0.2.1"), ("b", "192.0.2.2"), ("c", "192.0.2.3")] {
        lab.has_address(name, address);
    }
    lab.is_refused("reversed", &["reversed"]);
    lab.has_counters("first", 3, 6);
    controller.stop();
    let before = lab.written();
    let controller = lab.start();
    controller.says("everything has been listed");
    // All that it had to write would be written before it ends.
    controller.stop();
    assert_eq!(lab.written(), before, "a restart wrote something");
}

#[test]
fn the_beacon_key_is_made_once_and_for_nobody_else() {
    let lab = Directory::new();
    let controller = lab.start();
    controller.says("everything has been listed");
    controller.stop();
    let key = lab.state().join("beacon.key");
    let metadata = fs::metadata(&key).expect("the key is there");
    assert_eq!(metadata.mode() & 0o777, 0o600);
    let first = fs::read(&key).expect("a readable key");
    lab.start().stop();
    assert_eq!(fs::read(&key).expect("a readable key"), first);
}

#[test]
fn a_directory_that_does_not_exist_ends_with_an_error() {
    let lab = Directory::new();
    fs::remove_dir_all(lab.manifests()).expect("a directory to remove");
    let (code, text) = lab.run_to_its_end();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("cannot read the manifests in"), "{text}");
}

#[test]
fn what_a_speaker_finds_out_moves_or_marks_a_service() {
    let lab = Directory::new();
    lab.write("pool.yaml", &pool("first", "192.0.2.1-192.0.2.9"));
    lab.write("web.yaml", &service("web", ""));
    lab.write("pinned.yaml", &service("pinned", "annotations: {metallb.io/loadBalancerIPs: 192.0.2.5}"));
    let controller = lab.start();
    lab.has_address("web", "192.0.2.1");
    lab.has_address("pinned", "192.0.2.5");
    let found = |name: &str, address: &str| {
        json!({"namespace": "default", "name": name, "address": address, "interface": "eth0",
            "reason": "AddressConflict", "announced": false, "replaceable": true,
            "message": format!("02:00:00:00:00:99 has {address} on eth0 of node n1"), "since": "2026-01-01T00:00:00Z"})
    };
    lab.speaker_finds("n1", &json!([found("web", "192.0.2.1"), found("pinned", "192.0.2.5")]));
    lab.has_address("web", "192.0.2.2");
    lab.has_event(
        "web",
        "AddressConflict",
        "02:00:00:00:00:99 has 192.0.2.1 on eth0 of node n1; the Service gets 192.0.2.2",
    );
    lab.is_announced("web", "");
    lab.has_address("pinned", "192.0.2.5");
    lab.is_announced("pinned", "False AddressConflict");
    lab.has_event("pinned", "AddressConflict", "asks for this address and keeps it");
    // A restart writes nothing about it.
    controller.stop();
    let before = lab.written();
    let controller = lab.start();
    controller.says("everything has been listed");
    lab.write("next.yaml", &service("next", ""));
    lab.has_address("next", "192.0.2.3");
    let next = lab.state().join("services/default/next.json");
    let mut after = lab.written();
    after.retain(|file, _| *file != next && !file.ends_with("events.jsonl") && !file.ends_with("first.json"));
    assert!(after.iter().all(|(file, time)| before.get(file) == Some(time)), "{after:?}");
    // It is over: what was contested is left alone for a while all the same.
    lab.speaker_finds("n1", &json!([]));
    lab.is_announced("pinned", "");
}
