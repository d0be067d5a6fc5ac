//! The lab's own configuration, and the Services that a directory of manifests asks for.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::plan;

/// A Service of type LoadBalancer, as far as somebody who serves it must know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Service {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Its TCP ports.
    pub(crate) tcp: Vec<u16>,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Writes a pool, its advertisement and two Services with an endpoint on every node, of both families or of IPv4
/// alone.
pub(crate) fn write(directory: &Path, nodes: &[String], ipv6: bool) -> io::Result<()> {
    write_with(&pool(nodes, ipv6), directory, nodes, ipv6)
}

/// The same of IPv4, announced by BGP from every node to the router.
pub(crate) fn write_routed(directory: &Path, nodes: &[String]) -> io::Result<()> {
    write_with(&pool_routed(), directory, nodes, false)
}

fn write_with(pool: &str, directory: &Path, nodes: &[String], ipv6: bool) -> io::Result<()> {
    fs::write(directory.join("pool.yaml"), pool)?;
    fs::write(directory.join("nodes.yaml"), nodes_yaml(nodes, ipv6))?;
    for (name, port) in plan::SERVICES {
        fs::write(directory.join(format!("{name}.yaml")), service_yaml(name, port, nodes, ipv6))?;
    }
    Ok(())
}

fn pool_routed() -> String {
    format!(
        "\
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  namespace: metallb-system
  name: lab
spec:
  addresses:
  - {}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata:
  namespace: metallb-system
  name: lab
spec:
  ipAddressPools:
  - lab
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata:
  namespace: metallb-system
  name: router
spec:
  myASN: {}
  peerASN: {}
  peerAddress: {}
  holdTime: {}s
  keepaliveTime: 1s
",
        plan::POOL_ROUTED,
        plan::NODE_AS,
        plan::ROUTER_AS,
        plan::ROUTER,
        plan::HOLD_TIME
    )
}

/// The advertisement prefers the nodes in their order, so that both addresses of a Service are at one node and move
/// together: one failure shows both families.
fn pool(nodes: &[String], ipv6: bool) -> String {
    let second = if ipv6 { format!("\n  - {}", plan::POOL_V6) } else { String::new() };
    let preferences = (0..100).zip(nodes).fold(String::new(), |mut yaml, (place, node)| {
        let _infallible = write!(
            yaml,
            "  - weight: {}\n    preference: {{matchLabels: {{kubernetes.io/hostname: {node}}}}}\n",
            100 - place
        );
        yaml
    });
    format!(
        "\
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  namespace: metallb-system
  name: lab
spec:
  addresses:
  - {}{second}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata:
  namespace: metallb-system
  name: lab
spec:
  ipAddressPools:
  - lab
  preferredNodeSelectors:
{preferences}",
        plan::POOL
    )
}

fn nodes_yaml(nodes: &[String], ipv6: bool) -> String {
    nodes.iter().enumerate().fold(String::new(), |mut yaml, (index, node)| {
        let addresses = plan::node_addresses(index, ipv6);
        let addresses =
            addresses.iter().map(|address| format!("  - {{type: InternalIP, address: \"{address}\"}}\n"));
        let _infallible = write!(
            yaml,
            "\
---
apiVersion: v1
kind: Node
metadata:
  name: {node}
  labels:
    kubernetes.io/hostname: {node}
status:
  addresses:
{}  conditions:
  - type: Ready
    status: \"True\"
",
            addresses.collect::<String>()
        );
        yaml
    })
}

fn service_yaml(name: &str, port: u16, nodes: &[String], ipv6: bool) -> String {
    let families = match ipv6 {
        true => "\n  ipFamilyPolicy: RequireDualStack\n  ipFamilies: [IPv4, IPv6]",
        false => "",
    };
    let service = format!(
        "\
apiVersion: v1
kind: Service
metadata:
  namespace: default
  name: {name}
spec:
  type: LoadBalancer{families}
  selector:
    app: {name}
  ports:
  - name: http
    port: {port}
    targetPort: 80
"
    );
    // A slice holds addresses of one family.
    let second = ipv6.then(|| slice_yaml(name, nodes, "IPv6", |node| format!("\"fd00:244:{node}::10\"")));
    service
        + &slice_yaml(name, nodes, "IPv4", |node| format!("10.244.{node}.10"))
        + &second.unwrap_or_default()
}

fn slice_yaml(name: &str, nodes: &[String], family: &str, address: impl Fn(usize) -> String) -> String {
    let mut yaml = format!(
        "\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  namespace: default
  name: {name}-lab-{}
  labels:
    kubernetes.io/service-name: {name}
addressType: {family}
ports:
- name: http
  port: 80
endpoints:
",
        family.to_lowercase()
    );
    for (number, node) in (1..).zip(nodes) {
        let _infallible = write!(
            yaml,
            "- addresses: [{}]\n  nodeName: {node}\n  conditions: {{ready: true, serving: true, terminating: false}}\n",
            address(number)
        );
    }
    yaml
}

/// A directory of manifests, read again and again.
#[derive(Clone, Debug)]
pub(crate) struct Manifests {
    directory: PathBuf,
    files: BTreeMap<PathBuf, Wanted>,
}

/// What manifests ask for, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The Services of type LoadBalancer.
    pub(crate) services: Vec<Service>,
    /// The names of the Nodes.
    pub(crate) nodes: Vec<String>,
}

impl Manifests {
    /// The manifests below `directory`.
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), files: BTreeMap::new() }
    }

    /// Reads them. A file that cannot be read counts as it was before; the daemons do the same, and say what
    /// is wrong with it.
    pub(crate) fn read(&mut self) -> Wanted {
        let files = files(&self.directory).into_iter().filter_map(|file| {
            let text = fs::read_to_string(&file).ok();
            let wanted = text.and_then(|text| Wanted::parse(&text)).or_else(|| self.files.remove(&file))?;
            Some((file, wanted))
        });
        self.files = files.collect();
        let mut all = Wanted::default();
        for wanted in self.files.values() {
            all.services.extend_from_slice(&wanted.services);
            all.nodes.extend_from_slice(&wanted.nodes);
        }
        all.services.sort();
        all.services.dedup_by(|one, other| (&one.namespace, &one.name) == (&other.namespace, &other.name));
        all.nodes.sort();
        all.nodes.dedup();
        all
    }
}

impl Wanted {
    fn parse(text: &str) -> Option<Self> {
        let mut wanted = Self::default();
        for document in serde_saphyr::from_multiple::<serde_json::Value>(text).ok()? {
            let items = document.get("items").and_then(|items| items.as_array()).cloned();
            items.unwrap_or_else(|| vec![document]).into_iter().for_each(|item| wanted.add(item));
        }
        Some(wanted)
    }

    fn add(&mut self, document: serde_json::Value) {
        let Ok(Manifest { kind, metadata, spec }) = serde_json::from_value(document) else { return };
        let is_tcp = |port: &Port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
        match kind.as_str() {
            "Node" => self.nodes.push(metadata.name),
            "Service" if spec.kind.as_deref() == Some("LoadBalancer") => self.services.push(Service {
                namespace: metadata.namespace.unwrap_or_else(|| "default".to_owned()),
                name: metadata.name,
                tcp: spec.ports.iter().filter(|port| is_tcp(port)).map(|port| port.port).collect(),
            }),
            _ => {}
        }
    }
}

/// The manifests below a directory, as the daemons find them: nothing that is hidden, no linked directories.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&path));
        } else if path
            .extension()
            .is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known))
        {
            found.push(path);
        }
    }
    found
}

#[derive(Deserialize)]
struct Manifest {
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: Option<String>,
}

#[derive(Default, Deserialize)]
struct Spec {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Deserialize)]
struct Port {
    port: u16,
    protocol: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scratch::Scratch;

    #[test]
    fn what_is_written_can_be_read() {
        let scratch = Scratch::create().unwrap();
        let nodes: Vec<String> = (0..3).map(plan::node_name).collect();
        for ipv6 in [true, false] {
            write(scratch.path(), &nodes, ipv6).unwrap();
            let expected = |name: &str, port| Service {
                namespace: "default".into(),
                name: name.into(),
                tcp: vec![port],
            };
            let services = vec![expected("web", 80), expected("web-2", 8080)];
            assert_eq!(Manifests::new(scratch.path()).read(), Wanted { services, nodes: nodes.clone() });
            let mut slices = 0;
            for file in files(scratch.path()) {
                let text = fs::read_to_string(&file).unwrap();
                let documents = serde_saphyr::from_multiple::<serde_json::Value>(&text).unwrap();
                assert!(documents.iter().all(|document| document["kind"].is_string()), "{}", file.display());
                slices += documents.iter().filter(|document| document["kind"] == "EndpointSlice").count();
                assert_eq!(text.contains("fd00:"), ipv6, "{}", file.display());
            }
            assert_eq!(slices, if ipv6 { 4 } else { 2 });
        }
    }

    #[test]
    fn other_kinds_types_and_broken_files_are_left_out() {
        let scratch = Scratch::create().unwrap();
        let put = |name: &str, text: &str| {
            let path = scratch.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("broken.yaml", "a: [b\n");
        put("notes.txt", "kind: Service\n");
        put(".hidden.yaml", "kind: Node\nmetadata: {name: hidden}\n");
        put("pool.yml", "kind: IPAddressPool\nmetadata: {name: a}\nspec: {addresses: [192.0.2.0/24]}\n");
        put(
            "internal.yaml",
            "kind: Service\nmetadata: {name: internal}\nspec: {type: ClusterIP, ports: [{port: 80}]}\n",
        );
        put(
            "deeper/dns.json",
            r#"{"kind":"List","items":[{"kind":"Service","metadata":{"name":"dns","namespace":"kube-system"},
                "spec":{"type":"LoadBalancer","ports":[{"port":53,"protocol":"UDP"},{"port":5353}]}}]}"#,
        );
        put("node.yaml", "kind: Node\nmetadata: {name: n9}\nspec: {podCIDR: 10.244.9.0/24}\n");
        let dns = Service { namespace: "kube-system".into(), name: "dns".into(), tcp: vec![5353] };
        assert_eq!(
            Manifests::new(scratch.path()).read(),
            Wanted { services: vec![dns], nodes: vec!["n9".into()] }
        );
    }

    #[test]
    fn a_file_that_breaks_counts_as_it_was() {
        let scratch = Scratch::create().unwrap();
        let file = scratch.path().join("node.yaml");
        let mut manifests = Manifests::new(scratch.path());
        fs::write(&file, "kind: Node\nmetadata: {name: n1}\n").unwrap();
        assert_eq!(manifests.read().nodes, ["n1"]);
        fs::write(&file, "kind: [\n").unwrap();
        assert_eq!(manifests.read().nodes, ["n1"]);
        fs::remove_file(&file).unwrap();
        assert_eq!(manifests.read(), Wanted::default());
    }
}
