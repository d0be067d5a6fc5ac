use std::{net::IpAddr, time::Duration};

use metal_core::view::{Scope, Service};
use tempfile::TempDir;

use super::*;
use crate::{Backend, Changes, Sink};

const DEADLINE: Duration = Duration::from_secs(20);

struct Rig {
    root: TempDir,
    changes: Changes,
    sink: Sink,
}

impl Rig {
    /// A source of a directory with these files.
    fn start(role: Role, files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            put(root.path(), name, text);
        }
        Self::restart(role, root)
    }

    fn restart(role: Role, root: TempDir) -> Self {
        fs::create_dir_all(root.path().join("manifests")).unwrap();
        let (manifests, state) = (root.path().join("manifests"), root.path().join("state"));
        let backend = Backend::directory(Options::new(role), &manifests, &state, None).unwrap();
        let (changes, sink) = backend.start(None).unwrap();
        Self { root, changes, sink }
    }

    fn put(&self, name: &str, text: &str) {
        put(self.root.path(), name, text);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    async fn next(&mut self) -> Change {
        tokio::time::timeout(DEADLINE, self.changes.recv()).await.expect("a change").expect("an open source")
    }

    async fn until_synced(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        loop {
            match self.next().await {
                Change::Synced => return changes,
                change => changes.push(change),
            }
        }
    }

    async fn service(&mut self) -> (String, Option<Service>) {
        match self.next().await {
            Change::Service(key, service) => (key.to_string(), service),
            other => panic!("{other:?}"),
        }
    }

    async fn problem(&mut self) -> String {
        match self.next().await {
            Change::Problem(problem) => {
                problem.to_string().replace(&format!("{}/", self.root.path().display()), "")
            }
            other => panic!("{other:?}"),
        }
    }
}

fn put(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn service(name: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  type: LoadBalancer\n")
}

fn state(name: &str, ip: &str) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "Service",
            "metadata": {{"namespace": "default", "name": "{name}", "annotations": {{"metallb.io/ip-allocated-from-pool": "p"}}}},
            "status": {{"loadBalancer": {{"ingress": [{{"ip": "{ip}"}}]}}}}}}"#
    )
}

fn ips(service: Option<Service>) -> Vec<IpAddr> {
    service.unwrap().assigned
}

fn speaker() -> Role {
    Role::Speaker { node: "n1".into(), pod: None }
}

#[tokio::test]
async fn everything_is_told_before_synced_and_in_the_order_of_use() {
    let text = format!(
        "{}---\napiVersion: v1\nkind: Node\nmetadata: {{name: n1}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: web-1, labels: {{kubernetes.io/service-name: web}}}}\nendpoints: []\n---\n\
         apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n---\n\
         apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: p, namespace: metallb-system}}\nspec: {{addresses: [192.0.2.0/28]}}\n",
        service("web")
    );
    let files =
        [("manifests/deep/er/all.yml", &*text), ("manifests/notes.txt", "x"), ("manifests/.a.yaml", "x")];
    let mut rig = Rig::start(speaker(), &files);
    let kinds: Vec<_> = rig
        .until_synced()
        .await
        .iter()
        .map(|change| match change {
            Change::Config(object, Some(_)) => object.to_string(),
            Change::Node(name, Some(_)) => format!("Node {name}"),
            Change::Service(key, Some(_)) => format!("Service {key}"),
            Change::Endpoints(key, Some(_)) => format!("EndpointSlice {key}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        ["IPAddressPool metallb-system/p", "Node n1", "Service default/web", "EndpointSlice default/web-1"]
    );
    let mut rig = Rig::start(Role::Controller, &files[..1]);
    assert_eq!(rig.until_synced().await.len(), 4, "a controller needs no endpoints, but namespaces");
}

#[tokio::test]
async fn a_controller_is_told_of_namespaces_nodes_networks_and_reservations() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n---\n\
         apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {addresses: [{type: InternalIP, address: 192.0.2.7}]}\n---\n\
         apiVersion: metallb.io/v1beta1\nkind: ConfigurationState\nmetadata: {name: speaker-n1, namespace: metallb-system}\n\
         status: {networks: [{interface: eth0, gateways: [192.0.2.1]}]}\n---\n\
         apiVersion: metallb.io/v1beta1\nkind: IPReservation\nmetadata: {name: r, namespace: metallb-system}\nspec: {addresses: [192.0.2.9]}\n";
    let state = |gateway: &str| {
        format!(
            r#"{{"apiVersion": "metallb.io/v1beta1", "kind": "ConfigurationState",
                "metadata": {{"namespace": "metallb-system", "name": "speaker-n2"}},
                "status": {{"networks": [{{"interface": "eth0", "gateways": ["{gateway}"]}}]}}}}"#
        )
    };
    let file = "state/nodes/n2/objects/ConfigurationState/metallb-system/speaker-n2.json";
    let files = [("manifests/all.yaml", text), (file, &state("192.0.2.2"))];
    let mut rig = Rig::start(Role::Controller, &files);
    let mut told = rig.until_synced().await.into_iter();
    let gateway = |change: Option<Change>| match change {
        Some(Change::Network(object, network)) => {
            (object.name.to_string(), network.map(|network| network.gateways[0].to_string()))
        }
        other => panic!("{other:?}"),
    };
    assert!(matches!(told.next(), Some(Change::Config(object, Some(_))) if object.kind == "IPReservation"));
    let labels = [("team".to_string(), "a".to_string())].into();
    assert_eq!(told.next(), Some(Change::Namespace("shop".into(), Some(labels))));
    assert_eq!(gateway(told.next()), ("speaker-n1".into(), Some("192.0.2.1".into())));
    assert_eq!(gateway(told.next()), ("speaker-n2".into(), Some("192.0.2.2".into())));
    let Some(Change::Node(_, Some(node))) = told.next() else { panic!("a node") };
    assert_eq!(node.addresses, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    assert_eq!(told.next(), None);

    put(rig.root.path(), "state/nodes/n2/.next", &state("192.0.2.3"));
    fs::rename(rig.path("state/nodes/n2/.next"), rig.path(file)).unwrap();
    assert_eq!(gateway(Some(rig.next().await)), ("speaker-n2".into(), Some("192.0.2.3".into())));
    fs::remove_file(rig.path(file)).unwrap();
    assert_eq!(gateway(Some(rig.next().await)), ("speaker-n2".into(), None));

    let mut rig = Rig::start(speaker(), &files);
    let told = rig.until_synced().await;
    assert!(matches!(&told[..], [Change::Node(_, Some(_))]), "a speaker needs none of them: {told:?}");
}

#[tokio::test]
async fn files_come_change_move_and_go() {
    let mut rig = Rig::start(speaker(), &[]);
    assert_eq!(rig.until_synced().await, []);
    rig.put("manifests/new/a.yaml", &service("a"));
    assert_eq!(
        rig.service().await,
        ("default/a".into(), Some(Service { families: vec![], ..Service::default() }))
    );
    rig.put("manifests/new/a.yaml", &service("a").replace("LoadBalancer", "ClusterIP"));
    assert_eq!(rig.service().await.1.unwrap().scope, Scope::NotLoadBalancer);
    rig.put("manifests/.tmp", &service("b"));
    fs::rename(rig.path("manifests/.tmp"), rig.path("manifests/b.json.yaml")).unwrap();
    assert_eq!(rig.service().await.0, "default/b");
    fs::rename(rig.path("manifests/new"), rig.path("manifests/old")).unwrap();
    rig.put("manifests/old/c.yaml", &service("c"));
    assert_eq!(rig.service().await.0, "default/c", "moving a directory changes nothing in it");
    fs::remove_file(rig.path("manifests/b.json.yaml")).unwrap();
    assert_eq!(rig.service().await, ("default/b".into(), None));
    fs::remove_dir_all(rig.path("manifests/old")).unwrap();
    assert_eq!(rig.service().await, ("default/a".into(), None));
    assert_eq!(rig.service().await, ("default/c".into(), None));
}

#[tokio::test]
async fn a_file_that_is_still_written_is_not_read() {
    use std::io::Write;

    let mut rig = Rig::start(speaker(), &[]);
    rig.until_synced().await;
    let mut file = fs::File::create(rig.path("manifests/slow.yaml")).unwrap();
    file.write_all(b"apiVersion: v1\nkind: Service\nmetadata:\n").unwrap();
    rig.put("manifests/other.yaml", &service("other"));
    assert_eq!(rig.service().await.0, "default/other", "nothing of the unfinished file");
    file.write_all(b"  name: slow\n").unwrap();
    drop(file);
    assert_eq!(rig.service().await.0, "default/slow");
}

#[tokio::test]
async fn an_unreadable_file_keeps_its_objects_and_is_reported_once() {
    let mut rig =
        Rig::start(speaker(), &[("manifests/a.yaml", &service("a")), ("manifests/bad.yaml", "kind: [\n")]);
    let first = rig.until_synced().await;
    assert!(matches!(&first[0], Change::Problem(problem)
        if problem.line.is_some() && problem.message.ends_with("nothing in this file counts until it is repaired")));
    assert!(matches!(&first[1], Change::Service(_, Some(_))));
    assert_eq!(first.len(), 2);
    rig.put("manifests/a.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  type: {}\n");
    let problem = rig.problem().await;
    assert!(problem.starts_with("manifests/a.yaml:6: "), "{problem}");
    assert!(problem.ends_with("; what this file said before stays in force"), "{problem}");
    rig.put("manifests/a.yaml", "- kind\n");
    assert!(rig.problem().await.starts_with("manifests/a.yaml:1: "));
    fs::write(rig.path("manifests/a.yaml"), [0xff, 0xfe, 0]).unwrap();
    assert!(rig.problem().await.starts_with("manifests/a.yaml: "));
    rig.put("manifests/a.yaml", &service("a").replace("LoadBalancer", "ClusterIP"));
    assert_eq!(rig.service().await.1.unwrap().scope, Scope::NotLoadBalancer);
}

#[tokio::test]
async fn of_two_files_with_the_same_object_the_first_by_name_wins() {
    let other = service("a").replace("LoadBalancer", "ClusterIP");
    let mut rig = Rig::start(speaker(), &[("manifests/1.yaml", &service("a")), ("manifests/2.yaml", &other)]);
    let problem = rig.problem().await;
    let first = rig.path("manifests/1.yaml");
    let expected = format!(
        "manifests/2.yaml:1: Service default/a is already in {}:1; this one is ignored",
        first.display()
    );
    assert_eq!(problem, expected.replacen(&format!("{}/", rig.root.path().display()), "", 1).as_str());
    assert_eq!(rig.service().await.1.unwrap().scope, Scope::Ours);
    assert_eq!(rig.next().await, Change::Synced);
    fs::remove_file(first).unwrap();
    assert_eq!(rig.service().await.1.unwrap().scope, Scope::NotLoadBalancer);
}

#[tokio::test]
async fn a_state_outweighs_the_status_in_a_manifest() {
    let own = service("a") + "status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}\n";
    let mut rig = Rig::start(speaker(), &[("manifests/a.yaml", &own)]);
    assert_eq!(ips(rig.service().await.1), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(rig.next().await, Change::Synced);
    rig.put("state/services/default/.a", &state("a", "192.0.2.7"));
    fs::rename(rig.path("state/services/default/.a"), rig.path("state/services/default/a.json")).unwrap();
    let (_, service) = rig.service().await;
    let service = service.unwrap();
    assert_eq!(service.assigned, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    assert_eq!(service.assigned_from, ["p".into()]);
    rig.put("state/services/default/.a", r#"{"metadata": {}, "status": {"loadBalancer": {}}}"#);
    fs::rename(rig.path("state/services/default/.a"), rig.path("state/services/default/a.json")).unwrap();
    assert!(ips(rig.service().await.1).is_empty(), "a state without addresses is a state");
    fs::remove_file(rig.path("state/services/default/a.json")).unwrap();
    assert_eq!(ips(rig.service().await.1).len(), 1);
}

#[tokio::test]
async fn the_state_of_a_service_goes_with_it() {
    let files = [
        ("manifests/a.yaml", &*service("a")),
        ("state/services/default/a.json", &state("a", "192.0.2.1")),
        ("state/services/default/gone.json", &state("gone", "192.0.2.2")),
    ];
    let mut rig = Rig::start(Role::Controller, &files);
    rig.until_synced().await;
    wait_for(|| !rig.path("state/services/default/gone.json").exists()).await;
    fs::remove_file(rig.path("manifests/a.yaml")).unwrap();
    assert_eq!(rig.service().await, ("default/a".into(), None));
    assert!(!rig.path("state/services/default/a.json").exists());
}

#[tokio::test]
async fn states_stay_while_a_manifest_is_unreadable_at_the_start() {
    let files = [
        ("manifests/a.yaml", "kind: ["),
        ("manifests/b.yaml", &*service("b")),
        ("state/services/default/a.json", &state("a", "192.0.2.1")),
    ];
    let mut rig = Rig::start(Role::Controller, &files);
    rig.until_synced().await;
    fs::remove_file(rig.path("manifests/b.yaml")).unwrap();
    assert_eq!(rig.service().await.0, "default/b");
    assert!(rig.path("state/services/default/a.json").exists());
}

#[tokio::test]
async fn a_mounted_config_map_changes_by_turning_a_link() {
    use std::os::unix::fs::symlink;

    let root = tempfile::tempdir().unwrap();
    put(root.path(), "manifests/..1/a.yaml", &service("a"));
    put(root.path(), "manifests/..2/a.yaml", &service("b"));
    symlink("..1", root.path().join("manifests/..data")).unwrap();
    symlink("..data/a.yaml", root.path().join("manifests/a.yaml")).unwrap();
    let mut rig = Rig::restart(speaker(), root);
    assert_eq!(rig.until_synced().await.len(), 1);
    symlink("..2", rig.path("manifests/..tmp")).unwrap();
    fs::rename(rig.path("manifests/..tmp"), rig.path("manifests/..data")).unwrap();
    assert_eq!(rig.service().await, ("default/a".into(), None));
    assert_eq!(rig.service().await.0, "default/b");
}

#[tokio::test]
async fn a_directory_that_vanishes_changes_nothing_until_it_is_back() {
    let mut rig = Rig::start(speaker(), &[("manifests/a.yaml", &service("a"))]);
    rig.until_synced().await;
    fs::rename(rig.path("manifests"), rig.path("elsewhere")).unwrap();
    assert!(rig.problem().await.ends_with("the directory is gone; what was read from it stays in force"));
    put(&rig.path("elsewhere"), "b.yaml", &service("b"));
    fs::rename(rig.path("elsewhere"), rig.path("manifests")).unwrap();
    assert_eq!(rig.service().await.0, "default/b");
}

#[test]
fn a_missing_directory_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("nowhere");
    let error = Backend::directory(Options::new(speaker()), &missing, root.path(), None).err().unwrap();
    let expected = format!("cannot read the manifests in {}: No such file", missing.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
}

async fn wait_for(condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, reached).await.expect("the condition in time");
}

fn secret(name: &str, type_: &str, password: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: metallb-system}}\n\
         type: {type_}\nstringData: {{password: {password}}}\n"
    )
}

#[tokio::test]
async fn wanted_secrets_are_told_with_their_passwords_and_no_others() {
    const BASIC: &str = "kubernetes.io/basic-auth";
    let all =
        [secret("a", BASIC, "hunter2"), secret("b", "Opaque", "hunter2"), secret("d", BASIC, "hunter2")];
    let elsewhere = secret("c", BASIC, "hunter2").replace("metallb-system", "default");
    let text = all.concat() + &elsewhere;
    let mut rig = Rig::start(speaker(), &[("manifests/all.yaml", &text)]);
    assert_eq!(rig.until_synced().await, [], "nobody wants any");
    rig.sink.want_secrets(["a", "b", "c"].map(Into::into).into());
    let mut problems = [rig.problem().await, rig.problem().await];
    problems.sort();
    assert!(problems[0].starts_with("Secret c: in no manifest"), "{problems:?}");
    assert!(problems[1].starts_with("manifests/all.yaml:") && problems[1].contains("Opaque"), "{problems:?}");
    for (name, value) in [("a", Some("hunter2")), ("b", None), ("c", None)] {
        assert_eq!(rig.next().await, Change::Secret(name.into(), value.map(Into::into)));
    }
    // Another password at once, and the former name is not told of any more.
    rig.sink.want_secrets(["a".into()].into());
    rig.put("manifests/all.yaml", &secret("a", BASIC, "'correct horse'"));
    assert_eq!(rig.next().await, Change::Secret("a".into(), Some("correct horse".into())));
    // What cannot be read changes nothing, and is not quoted.
    rig.put("manifests/all.yaml", &secret("a", BASIC, "*hunter3"));
    let problem = rig.problem().await;
    assert!(problem.contains("cannot be read; it has a Secret") && !problem.contains("hunter"), "{problem}");
    rig.put("manifests/all.yaml", &secret("a", BASIC, "''"));
    assert!(rig.problem().await.contains("its password is empty"));
    assert_eq!(rig.next().await, Change::Secret("a".into(), None));
    fs::remove_file(rig.path("manifests/all.yaml")).unwrap();
    assert!(rig.problem().await.starts_with("Secret a: in no manifest"));
    rig.put("manifests/new.yaml", &secret("a", BASIC, "hunter4"));
    assert_eq!(
        rig.next().await,
        Change::Secret("a".into(), Some("hunter4".into())),
        "told once while it was gone"
    );
    assert!(!format!("{:?}", Change::Secret("a".into(), Some("hunter4".into()))).contains("hunter"));
}
