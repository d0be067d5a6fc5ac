//! Speakers read the passwords of BGP peers, and nothing else.

use crate::api::Client;
use crate::daemons::{CONTROLLER, SPEAKER};
use crate::world::{SOON, SYSTEM, World};
use metal_tests::wait::{ensure, wait_for};

const ROLE: &str = "metal-bgp-passwords";
const DENIED: u16 = 403;
const GRANTED: u16 = 200;

/// The Role names exactly the Secrets of the peers in force; the speakers' identity can read these, and the controller's
/// none of them.
pub(super) fn role_follows_the_secrets_in_use(world: &mut World) {
    let speaker = Client::connect(&world.plane.kubeconfig(&SPEAKER));
    let controller = Client::connect(&world.plane.kubeconfig(&CONTROLLER));
    await_role(world, &[]);
    for name in ["tor-a", "tor-b", "private"] {
        world.client.apply(&secret(name));
        assert_eq!(speaker.may_get("Secret", SYSTEM, name), DENIED, "{name} before anybody uses it");
    }

    world.client.apply(&peer("tor-a", "192.0.2.1"));
    await_role(world, &["tor-a"]);
    await_get(&speaker, "tor-a", GRANTED);
    world.client.apply(&peer("tor-b", "192.0.2.2"));
    await_role(world, &["tor-a", "tor-b"]);
    await_get(&speaker, "tor-b", GRANTED);
    // By name, which is how they are listed and watched too; nothing beyond.
    assert_eq!(speaker.may_list("Secret", SYSTEM, "metadata.name=tor-a"), GRANTED);
    assert_eq!(speaker.may_list("Secret", SYSTEM, "metadata.name=private"), DENIED);
    assert_eq!(speaker.may_list("Secret", SYSTEM, ""), DENIED);
    assert_eq!(speaker.may_get("Secret", SYSTEM, "private"), DENIED);
    assert_eq!(speaker.may_get("Secret", "default", "tor-a"), DENIED);

    // Who writes the Role reads none of them, and can write no other.
    for name in ["tor-a", "tor-b", "private"] {
        assert_eq!(controller.may_get("Secret", SYSTEM, name), DENIED, "the controller reads {name}");
    }
    assert_eq!(controller.may_list("Secret", SYSTEM, ""), DENIED);
    for yaml in [role("another", SYSTEM), role(ROLE, "default"), binding()] {
        let (code, message) = controller.is_refused(&yaml);
        assert_eq!(code, DENIED, "{message}");
    }

    // A Secret whose peer is gone, or is of no use any more, is out of reach at once.
    world.client.delete("BGPPeer", SYSTEM, "tor-a");
    await_role(world, &["tor-b"]);
    await_get(&speaker, "tor-a", DENIED);

    // The manifest, applied again, takes nothing away; a Role that somebody has removed is made again.
    let manifest = include_str!("../../../deploy/metal.yaml");
    world.client.apply_for_good(manifest);
    await_role(world, &["tor-b"]);
    assert_eq!(speaker.may_get("Secret", SYSTEM, "tor-b"), GRANTED);
    world.client.delete("Role", SYSTEM, ROLE);
    world.client.apply(&peer("tor-a", "192.0.2.1"));
    await_role(world, &["tor-a", "tor-b"]);
    await_get(&speaker, "tor-b", GRANTED);

    world.client.delete("BGPPeer", SYSTEM, "tor-a");
    world.client.delete("BGPPeer", SYSTEM, "tor-b");
    await_role(world, &[]);
    await_get(&speaker, "tor-b", DENIED);
    assert_eq!(speaker.may_list("Secret", SYSTEM, ""), DENIED, "no names are no rule, not all names");
}

/// A Secret with a password that nobody must see.
pub(super) fn secret(name: &str) -> String {
    format!(
        "\
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: {SYSTEM}}}
type: kubernetes.io/basic-auth
stringData: {{password: hunter2}}
"
    )
}

fn peer(name: &str, address: &str) -> String {
    format!(
        "\
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {{name: {name}, namespace: {SYSTEM}}}
spec: {{myASN: 64500, peerASN: 64501, peerAddress: {address}, passwordSecret: {{name: {name}}}}}
"
    )
}

fn role(name: &str, namespace: &str) -> String {
    format!(
        "\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {name}, namespace: {namespace}}}
rules:
- {{apiGroups: [''], resources: [secrets], verbs: [get]}}
"
    )
}

fn binding() -> String {
    format!(
        "\
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {ROLE}, namespace: {SYSTEM}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {ROLE}}}
subjects:
- {{kind: ServiceAccount, name: metal-controller, namespace: {SYSTEM}}}
"
    )
}

/// Waits until the Role names these Secrets and says nothing else.
#[track_caller]
pub(super) fn await_role(world: &World, names: &[&str]) {
    wait_for(&format!("the Role to name {names:?}"), SOON, || {
        let role = world.client.get("Role", SYSTEM, ROLE).unwrap_or_default();
        let rules = role["rules"].as_array().cloned().unwrap_or_default();
        let fits = match &rules[..] {
            [] => names.is_empty(),
            [rule] => {
                rule["resourceNames"] == serde_json::json!(names)
                    && rule["resources"] == serde_json::json!(["secrets"])
                    && rule["verbs"] == serde_json::json!(["get", "list", "watch"])
            }
            _ => false,
        };
        ensure(fits && !role.is_null(), || role.to_string())
    });
}

/// Waits until the API server answers so: it learns of a Role a moment after it is written.
#[track_caller]
fn await_get(client: &Client, name: &str, expected: u16) {
    wait_for(&format!("{expected} for Secret {name}"), SOON, || {
        let code = client.may_get("Secret", SYSTEM, name);
        ensure(code == expected, || code.to_string())
    });
}
