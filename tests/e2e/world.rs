//! Everything that the scenarios share, and what they say with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::api::Client;
use crate::control_plane::{ADMIN, ControlPlane};
use crate::daemons::{CONTROLLER, Daemons, SPEAKER};
use crate::probe::{self, Served};
use crate::rack::{NODES, PODS, Pod, Rack, management_address};
use metal_tests::process::tail;
use metal_tests::wait::{ensure, wait_for};

/// The namespace of the daemons and their configuration.
pub(crate) const SYSTEM: &str = "metallb-system";
/// How long a change may take to show in the API, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Everything that runs. It ends in this order, so that the last lines of the daemons' logs are not
/// about the end of the control plane.
pub(crate) struct World {
    pub(crate) daemons: Daemons,
    pub(crate) plane: ControlPlane,
    pub(crate) client: Client,
    pub(crate) rack: Rack,
    logs: PathBuf,
}

impl World {
    /// Builds the rack and starts everything.
    pub(crate) fn start(logs: &Path, tools: &Path) -> Self {
        let daemons = Daemons::find(logs);
        let rack = Rack::build(logs);
        let mut plane = ControlPlane::start(logs, tools, [CONTROLLER, SPEAKER]);
        let client = Client::connect(&plane.kubeconfig(&ADMIN));
        install(&client);
        for node in NODES {
            client.apply_for_good(&node_object(node));
        }
        plane.start_proxies(tools);
        Self { daemons, plane, client, rack, logs: logs.to_owned() }
    }

    /// Before a scenario: every daemon runs and is ready.
    pub(crate) fn begin(&mut self) {
        self.daemons.start(&self.plane);
    }

    /// After a scenario: nothing of it is left, and nothing has ended that should run.
    pub(crate) fn end(&mut self) {
        self.rack.repair();
        self.client.remove_created();
        let checked = self.rack.check().and_then(|()| self.plane.check());
        checked.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Where the logs are, and files that are of no use after this run.
    pub(crate) fn directory(&self) -> &Path {
        &self.logs
    }

    /// Prints the end of every log.
    pub(crate) fn print_logs(&self) {
        let entries = std::fs::read_dir(&self.logs).expect("the directory of the logs");
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
        files.sort();
        for file in files {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            let lines = if name.starts_with("metal") { 40 } else { 8 };
            eprintln!("---- {name} (last {lines} lines)\n{}", tail(&file, lines));
        }
    }

    /// Creates a Service of type LoadBalancer for some Pods, and the EndpointSlice that a cluster's
    /// controller would make for it.
    #[track_caller]
    pub(crate) fn create_service(&mut self, name: &str, port: u16, pods: &[&str]) {
        self.client.apply(&service(name, "", port));
        self.client.apply(&slice(name, name, "IPv4", pods, |pod| pod.address));
    }

    /// The same for a Service that needs an address of each family.
    #[track_caller]
    pub(crate) fn create_dual_stack_service(&mut self, name: &str, port: u16, pods: &[&str]) {
        self.client.apply(&service(name, "ipFamilyPolicy: RequireDualStack", port));
        self.client.apply(&slice(name, name, "IPv4", pods, |pod| pod.address));
        self.client.apply(&slice(&format!("{name}-v6"), name, "IPv6", pods, |pod| pod.address_v6));
    }

    /// Deletes a Service and its EndpointSlice.
    pub(crate) fn delete_service(&self, name: &str) {
        self.client.delete("Service", "default", name);
        self.client.delete("EndpointSlice", "default", name);
    }

    /// The addresses of a Service, as `kubectl get service` shows them.
    #[track_caller]
    pub(crate) fn addresses(&self, name: &str) -> Vec<String> {
        let service = self.client.get("Service", "default", name);
        let service = service.unwrap_or_else(|| panic!("Service {name} does not exist"));
        let ingress = service.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
        let address = |entry: &Value| entry["ip"].as_str().unwrap_or("an ingress without address").to_owned();
        ingress.map(|entries| entries.iter().map(address).collect()).unwrap_or_default()
    }

    /// Waits until a Service has exactly this address.
    #[track_caller]
    pub(crate) fn await_address(&self, name: &str, address: &str) {
        self.await_addresses(name, &[address]);
    }

    /// Waits until a Service has exactly these addresses.
    #[track_caller]
    pub(crate) fn await_addresses(&self, name: &str, expected: &[&str]) {
        wait_for(&format!("Service {name} to get {}", expected.join(" and ")), SOON, || {
            let addresses = self.addresses(name);
            ensure(addresses == expected, || format!("its addresses are {addresses:?}"))
        });
    }

    /// Waits until a Service answers on the LAN while one node alone answers for its address, and returns who
    /// served.
    #[track_caller]
    pub(crate) fn await_answer(&self, address: &str, port: u16) -> Served {
        wait_for(&format!("HTTP from {address} port {port} by its only owner"), SOON, || {
            let served = probe::fetch(address, port)?;
            let answering = probe::answering(address);
            ensure(answering.iter().eq([served.node]), || {
                format!("{answering:?} answer for it, {served:?}")
            })?;
            Ok(served)
        })
    }

    /// Waits until a Service answers on the LAN, whoever answers for its address.
    #[track_caller]
    pub(crate) fn await_served(&self, address: &str, port: u16) {
        wait_for(&format!("HTTP from {address}:{port}"), SOON, || probe::get(address, port).map(drop));
    }

    /// Waits until an event about an object has a message that contains all of the parts.
    #[track_caller]
    pub(crate) fn await_event(&self, kind: &str, name: &str, parts: &[&str]) {
        wait_for(&format!("an event of {kind} {name} that says {parts:?}"), SOON, || {
            let events = self.client.list("Event");
            let about = |event: &&Value| {
                event["involvedObject"]["kind"] == kind && event["involvedObject"]["name"] == name
            };
            let messages: Vec<String> = events
                .iter()
                .filter(about)
                .map(|event| event["message"].as_str().unwrap_or("").to_owned())
                .collect();
            let said = messages.iter().any(|message| parts.iter().all(|part| message.contains(part)));
            ensure(said, || format!("{messages:?}"))
        });
    }

    /// Waits until a node reports that it announces a Service.
    #[track_caller]
    pub(crate) fn await_reported_owner(&self, name: &str, node: &str) {
        wait_for(&format!("a ServiceL2Status of {node} for {name}"), SOON, || {
            let statuses = self.client.list("ServiceL2Status");
            let of_service = |object: &&Value| object["status"]["serviceName"] == name;
            let nodes: Vec<&Value> =
                statuses.iter().filter(of_service).map(|object| &object["status"]["node"]).collect();
            ensure(nodes.iter().any(|reported| *reported == node), || format!("{nodes:?} report it"))
        });
    }

    /// Waits until a condition of an object has this status; returns its reason and message.
    #[track_caller]
    pub(crate) fn await_condition(
        &self,
        kind: &str,
        name: &str,
        condition: &str,
        status: &str,
    ) -> (String, String) {
        wait_for(&format!("{condition}={status} on {kind} {name}"), SOON, || {
            let object = self.client.get(kind, SYSTEM, name).unwrap_or_default();
            let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
            let mut conditions = conditions.into_iter().flatten();
            let found = conditions.find(|found| found["type"] == condition && found["status"] == status);
            let found = found.ok_or_else(|| format!("its status is {}", object["status"]))?;
            let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
            Ok((text("reason"), text("message")))
        })
    }

    /// Gives the daemons the old ConfigMap with one pool.
    #[track_caller]
    pub(crate) fn apply_old_config_map(&mut self, range: &str) {
        self.client.apply(&format!(
            "\
apiVersion: v1
kind: ConfigMap
metadata: {{name: config, namespace: {SYSTEM}}}
data:
  config: |
    address-pools:
    - name: default
      protocol: layer2
      addresses:
      - {range}
"
        ));
    }

    /// Creates an IPAddressPool of one range.
    #[track_caller]
    pub(crate) fn create_pool(&mut self, name: &str, range: &str) {
        self.create_pool_of(name, &[range]);
    }

    /// Creates an IPAddressPool of several ranges.
    #[track_caller]
    pub(crate) fn create_pool_of(&mut self, name: &str, ranges: &[&str]) {
        self.client.apply(&format!(
            "\
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {{name: {name}, namespace: {SYSTEM}}}
spec:
  addresses: {ranges:?}
"
        ));
    }

    /// Creates an L2Advertisement of one pool.
    #[track_caller]
    pub(crate) fn advertise(&mut self, pool: &str) {
        self.client.apply(&format!(
            "\
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {{name: {pool}, namespace: {SYSTEM}}}
spec:
  ipAddressPools: [{pool}]
"
        ));
    }
}

fn service(name: &str, families: &str, port: u16) -> String {
    format!(
        "\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec:
  type: LoadBalancer
  ports: [{{name: http, port: {port}, targetPort: 80}}]
  {families}
"
    )
}

/// An EndpointSlice of a Service.
fn slice(
    name: &str,
    service: &str,
    family: &str,
    pods: &[&str],
    address: fn(&Pod) -> &'static str,
) -> String {
    let known = PODS.iter().filter(|pod| pods.contains(&pod.name));
    let endpoints: String = known
        .map(|pod| {
            let Pod { node, .. } = pod;
            format!("- {{addresses: ['{}'], nodeName: {node}, conditions: {{ready: true}}}}\n", address(pod))
        })
        .collect();
    format!(
        "\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, namespace: default, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: {family}
ports: [{{name: http, port: 80}}]
endpoints:
{endpoints}"
    )
}

fn node_object(node: &str) -> String {
    format!(
        "\
apiVersion: v1
kind: Node
metadata: {{name: {node}, labels: {{kubernetes.io/hostname: {node}, kubernetes.io/os: linux}}}}
status:
  addresses:
  - {{type: InternalIP, address: {address}}}
  - {{type: Hostname, address: {node}}}
  conditions:
  - type: Ready
    status: 'True'
    reason: KubeletReady
    message: the rack is up
    lastHeartbeatTime: '2026-01-01T00:00:00Z'
    lastTransitionTime: '2026-01-01T00:00:00Z'
",
        address = management_address(node)
    )
}

/// Does what the README tells users to do: applies the CustomResourceDefinitions and the manifest of
/// namespace, rights and workloads. Nothing here makes Pods of the workloads; the daemons run as processes.
fn install(client: &Client) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let read = |file: &Path| {
        std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let definitions = directory.join("crds");
    let entries =
        std::fs::read_dir(&definitions).unwrap_or_else(|error| panic!("{}: {error}", definitions.display()));
    let files = entries.map(|entry| entry.expect("a directory entry").path());
    let files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|extension| extension == "yaml")).collect();
    assert!(!files.is_empty(), "{} holds no CustomResourceDefinition", definitions.display());
    let names: Vec<_> = files.iter().flat_map(|file| client.apply_for_good(&read(file))).collect();
    client.apply_for_good(&read(&directory.join("metal.yaml")));
    for name in names {
        wait_for(&format!("{} to be served", name.name()), SOON, || {
            let definition = client.get("CustomResourceDefinition", "", name.name()).unwrap_or_default();
            let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
            let established =
                |condition: &Value| condition["type"] == "Established" && condition["status"] == "True";
            ensure(conditions.is_some_and(|all| all.iter().any(established)), || {
                definition["status"].to_string()
            })
        });
    }
}
