use super::*;
use crate::backend::Role;

fn of(text: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let options = Options::new(Role::Controller);
    let manifest = read(Path::new("m.yaml"), text, &options).map_err(|problem| problem.to_string())?;
    let entries = manifest.entries.iter().map(|entry| format!("{} {}", entry.line, entry.id)).collect();
    Ok((entries, manifest.problems.iter().map(ToString::to_string).collect()))
}

fn problems(text: &str) -> Vec<String> {
    of(text).unwrap().1
}

#[test]
fn unknown_unused_and_unsupported_kinds() {
    assert_eq!(
        problems("apiVersion: v1\nkind: Serivce\nmetadata: {name: a}\n"),
        ["m.yaml:2: unknown kind \"Serivce\" (v1); ignored"]
    );
    assert!(problems("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n").is_empty());
    assert_eq!(
        problems("apiVersion: metallb.io/v1beta1\nkind: AddressPool\nmetadata: {name: a}\n"),
        ["m.yaml:2: AddressPool is not supported; write IPAddressPool and an advertisement; ignored"]
    );
    assert_eq!(
        problems("apiVersion: metallb.io/v1\nkind: BGPPeer\nmetadata: {name: a}\n"),
        ["m.yaml:2: BGPPeer has apiVersion \"metallb.io/v1\" instead of \"metallb.io/v1beta2\"; ignored"]
    );
    assert_eq!(
        problems("apiVersion: v2\nkind: Service\nmetadata: {name: a}\n"),
        ["m.yaml:2: Service has apiVersion \"v2\" instead of \"v1\"; ignored"]
    );
    assert_eq!(of("a: b\n").unwrap_err(), "m.yaml:1: not a Kubernetes object: it has no kind");
}

#[test]
fn names_cannot_leave_the_state_directory() {
    for name in ["../x", "A", "", "a_b", "-a", "a..b", "a/b"] {
        let error =
            of(&format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name:?}}}\n")).unwrap_err();
        assert_eq!(error, format!("m.yaml:1: metadata.name: {name:?} is not a valid name"));
    }
    let error = of("apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: ../..}\n").unwrap_err();
    assert!(error.contains("metadata.namespace"), "{error}");
    assert!(of("apiVersion: v1\nkind: Service\nmetadata: {name: a-1.b}\n").is_ok());
}

#[test]
fn lists_hold_objects() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a, namespace: shop}\n\
                - apiVersion: v1\n  kind: Secret\n  metadata: {name: s}\n---\napiVersion: v1\nkind: ServiceList\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: b}}\n";
    assert_eq!(of(text).unwrap().0, ["4 Service shop/a", "14 Service default/b"]);
}

#[test]
fn configuration_counts_only_in_its_namespace() {
    let pool = |namespace: &str| {
        format!(
            "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: p{namespace}}}\nspec: {{addresses: [192.0.2.0/28]}}\n"
        )
    };
    let (entries, problems) = of(&pool(", namespace: metallb-system")).unwrap();
    assert_eq!((entries, problems), (vec!["1 IPAddressPool metallb-system/p".into()], vec![]));
    let (entries, problems) = of(&pool("")).unwrap();
    assert!(entries.is_empty());
    assert_eq!(
        problems,
        [
            "m.yaml:2: IPAddressPool default/p: ignored, it counts only in namespace metallb-system (see --namespace)"
        ]
    );
}

#[test]
fn old_configuration_is_found_by_name() {
    let map = |name: &str, namespace: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata: {{config: \"\"}}\n"
        )
    };
    assert_eq!(of(&map("config", "metallb-system")).unwrap().0.len(), 1);
    assert_eq!(of(&map("metallb-config", "metallb-system")).unwrap().0.len(), 1);
    assert_eq!(of(&map("config", "default")).unwrap(), (vec![], vec![]));
    assert_eq!(of(&map("other", "metallb-system")).unwrap(), (vec![], vec![]));
}

#[test]
fn a_bad_resource_is_refused_alone_with_its_line() {
    let text = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata:\n  name: p\n  namespace: metallb-system\nspec:\n  addresses: {}\n\
                ---\napiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: a, namespace: metallb-system}\n";
    let manifest = read(Path::new("m.yaml"), text, &Options::new(Role::Controller)).unwrap();
    let spec = |index: usize| match &manifest.entries[index].value {
        Value::Config(object) => &object.spec,
        other => panic!("{other:?}"),
    };
    let Spec::Unreadable(refusal) = spec(0) else { panic!("{:?}", spec(0)) };
    assert!(refusal.to_string().starts_with("m.yaml:7: "), "{refusal}");
    assert_eq!(spec(1), &Spec::L2Advertisement(Default::default()));
}

#[test]
fn the_resources_of_bgp_are_read_in_each_version() {
    let text = "\
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: new, namespace: metallb-system}
spec: {myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.1}
---
apiVersion: metallb.io/v1beta1
kind: BGPPeer
metadata: {name: old, namespace: metallb-system}
spec: {myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.2}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: all, namespace: metallb-system}
---
apiVersion: metallb.io/v1beta1
kind: Community
metadata: {name: names, namespace: metallb-system}
spec: {communities: [{name: blue, value: '64512:7'}]}
---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: {name: fast, namespace: metallb-system}
spec: {receiveInterval: 50}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: bad, namespace: metallb-system}
spec:
  myASN: 64512
  peerPort: many
";
    let manifest = read(Path::new("m.yaml"), text, &Options::new(Role::Controller)).unwrap();
    assert!(manifest.problems.is_empty(), "{:?}", manifest.problems);
    let spec = |entry: &'_ Entry| match &entry.value {
        Value::Config(object) => object.spec.clone(),
        other => panic!("{other:?}"),
    };
    let specs: Vec<_> = manifest.entries.iter().map(spec).collect();
    let [new, old, all, names, fast, bad] = &specs[..] else { panic!("{specs:?}") };
    let Spec::BgpPeer(new) = new else { panic!("{new:?}") };
    assert_eq!(
        (new.peer_address.as_deref(), new.peer_port, &new.hold_time),
        (Some("10.0.0.1"), Some(179), &None)
    );
    let Spec::BgpPeer(old) = old else { panic!("{old:?}") };
    assert_eq!((old.peer_address.as_deref(), &old.hold_time), (Some("10.0.0.2"), &None));
    assert!(matches!(all, Spec::BgpAdvertisement(_)), "{all:?}");
    assert!(matches!(names, Spec::Community(names) if names.aliases.len() == 1), "{names:?}");
    assert!(matches!(fast, Spec::BfdProfile(fast) if fast.receive_interval == Some(50)), "{fast:?}");
    let Spec::Unreadable(refusal) = bad else { panic!("{bad:?}") };
    assert!(refusal.to_string().starts_with("m.yaml:30: "), "{refusal}");
}

#[test]
fn json_is_read_as_json() {
    let text =
        "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Service\",\n\t\"metadata\": {\"name\": \"a\"}\n}\n";
    let manifest = read(Path::new("m.json"), text, &Options::new(Role::Controller)).unwrap();
    assert_eq!(manifest.entries.len(), 1);
    let problem = read(Path::new("m.json"), "{\n\"kind\": 7}", &Options::new(Role::Controller)).unwrap_err();
    assert_eq!(problem.line, Some(2));
}
