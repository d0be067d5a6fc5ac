//! Which Secrets the speakers have to read.

use alloc::{boxed::Box, vec};

use super::*;
use crate::config::bgp::{PeerSpec, SecretReference};

fn peer_ref(name: &str) -> ObjectRef {
    ObjectRef { kind: "BGPPeer", ..pool_ref(name) }
}

/// A peer, with the Secret that its password is in.
fn peer(address: &str, secret: &str) -> Spec {
    let password_secret =
        (!secret.is_empty()).then(|| SecretReference { name: secret.into(), namespace: None });
    let spec = PeerSpec {
        my_asn: 64500,
        peer_asn: Some(64501),
        peer_address: Some(address.into()),
        password_secret,
        ..PeerSpec::default()
    };
    Spec::BgpPeer(Box::new(spec))
}

fn in_use(outputs: &[Output]) -> Vec<Vec<String>> {
    let names = |output: &Output| match output {
        Output::SecretsInUse(names) => Some(names.iter().map(ToString::to_string).collect()),
        _ => None,
    };
    outputs.iter().filter_map(names).collect()
}

#[test]
fn secrets_in_use_are_said_at_the_start_also_when_there_are_none() {
    let mut world = World::new(&[]);
    world.restart();
    assert_eq!(in_use(&world.poll()), [Vec::<String>::new()]);
    world.pool("a", &["192.0.2.0/30"]);
    assert!(in_use(&world.poll()).is_empty());
}

#[test]
fn secrets_in_use_follow_the_peers_in_force() {
    let mut world = World::new(&[]);
    let said = |world: &mut World, name: &str, address: &str, secret: &str| {
        world.set_object(peer_ref(name), peer(address, secret));
        in_use(&world.poll())
    };
    assert_eq!(said(&mut world, "a", "192.0.2.1", "one"), [["one"]]);
    assert_eq!(said(&mut world, "b", "192.0.2.2", "two"), [["one", "two"]]);
    let none: [Vec<String>; 0] = [];
    assert_eq!(said(&mut world, "c", "192.0.2.3", "two"), none, "the same again");
    assert_eq!(said(&mut world, "d", "192.0.2.4", ""), none);
    assert_eq!(said(&mut world, "e", "nonsense", "three"), none, "it is refused");
    assert_eq!(said(&mut world, "a", "nonsense", "four"), none, "its last version stays in force");
    world.remove(&peer_ref("c"));
    assert_eq!(in_use(&world.poll()), none);
    world.remove(&peer_ref("b"));
    assert_eq!(in_use(&world.poll()), [["one"]]);
    world.remove(&peer_ref("a"));
    assert_eq!(in_use(&world.poll()), vec![Vec::<String>::new()]);
}
