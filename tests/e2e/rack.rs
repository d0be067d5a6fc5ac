//! The rack: a LAN with three nodes and a client, a management network, and two Pods.
//!
//! ```text
//!  sandbox      bridge mgmt 172.20.0.1 ── the API server
//!                 │       │       │
//!             mgmt0   mgmt0   mgmt0    172.20.0.11 .. 13
//!                n1      n2      n3    nodes; cali1 and cali2 lead to the Pods
//!              eth0    eth0    eth0    .11 .. .13 of every prefix of the LAN
//!                 │       │       │
//!  lan          bridge lan ── eth0 .1 of every prefix: client
//! ```
//!
//! All but the API server has IPv6 as well, with addresses that end in the same digits: fd00:20::/64 is the management
//! network, fd00:1::/64 the LAN.
//!
//! The management network is apart, so that a node's LAN link can fail alone; it also carries what
//! the nodes send to Pods of other nodes. All links look alike to the daemons: beacons run on both.

use std::path::Path;

use metal_tests::process::{Process, run};

/// The nodes, in the order of their addresses.
pub(crate) const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// The client's namespace.
pub(crate) const CLIENT: &str = "client";
/// Where the API server listens: the sandbox's own end of the management network. That network must
/// not lie in the range of cluster IPs: kube-proxy drops what goes to those that no Service has.
pub(crate) const MANAGEMENT: &str = "172.20.0.1";
/// The namespace of the LAN's bridge.
const SWITCH: &str = "lan";
/// What is on-link on the LAN: the client must reach every pool without a router.
const PREFIXES: [&str; 3] = ["192.168.1", "172.42.42", "10.244.244"];

/// The same for IPv6.
const PREFIX_V6: &str = "fd00:1";

/// A Pod: an nginx process in a namespace of its own.
pub(crate) struct Pod {
    /// Its name, which it also serves.
    pub(crate) name: &'static str,
    /// Its node.
    pub(crate) node: &'static str,
    /// Its address.
    pub(crate) address: &'static str,
    /// Its IPv6 address.
    pub(crate) address_v6: &'static str,
}

/// The Pods, on different nodes; n3 has none.
pub(crate) const PODS: [Pod; 2] = [
    Pod { name: "pod-1", node: "n1", address: "10.244.1.10", address_v6: "fd00:244:1::10" },
    Pod { name: "pod-2", node: "n2", address: "10.244.2.10", address_v6: "fd00:244:2::10" },
];

/// How a node's LAN link fails.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// The cable is pulled: the node sees no carrier.
    Carrier,
    /// The switch no longer forwards: the node's link looks healthy.
    Silent,
}

/// The namespaces and links, and the Pods running in them.
pub(crate) struct Rack {
    pods: Vec<Process>,
}

impl Rack {
    /// Builds it in the sandbox.
    pub(crate) fn build(directory: &Path) -> Self {
        for namespace in NODES.into_iter().chain([CLIENT, SWITCH]).chain(PODS.map(|pod| pod.name)) {
            ip(&format!("netns add {namespace}"));
            ip(&format!("-n {namespace} link set lo up"));
        }
        ip("link set lo up");
        bridge(None, "mgmt");
        ip(&format!("address add {MANAGEMENT}/24 dev mgmt"));
        bridge(Some(SWITCH), "lan");
        attach_to_lan(CLIENT, 1);
        for (number, node) in (11..).zip(NODES) {
            sysctl(node, "net.ipv4.ip_forward", 1);
            sysctl(node, "net.ipv6.conf.all.forwarding", 1);
            for setting in ["all", "default"] {
                // The kernel answers ARP only for addresses of the asked interface.
                sysctl(node, &format!("net.ipv4.conf.{setting}.arp_ignore"), 1);
                sysctl(node, &format!("net.ipv4.conf.{setting}.rp_filter"), 0);
            }
            attach_to_lan(node, number);
            ip(&format!("link add mgmt-{node} type veth peer name mgmt0 netns {node}"));
            ip(&format!("link set mgmt-{node} master mgmt up"));
            ip(&format!("-n {node} address add {}/24 dev mgmt0", management_address(node)));
            ip(&format!("-n {node} link set mgmt0 up"));
            ip(&format!("-n {node} address add {}/64 dev mgmt0 nodad", management_address_v6(node)));
        }
        let pods = PODS.iter().map(|pod| start_pod(directory, pod)).collect();
        Self { pods }
    }

    /// Fails if a Pod has ended.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        self.pods.iter_mut().try_for_each(Process::check)
    }

    /// Cuts a node off the LAN; the management network stays.
    pub(crate) fn cut(&self, node: &str, how: Cut) {
        match how {
            Cut::Carrier => ip(&format!("-n {SWITCH} link set {node} down")),
            Cut::Silent => ip(&format!("-n {SWITCH} link set {node} nomaster")),
        }
    }

    /// Repairs every LAN link.
    pub(crate) fn repair(&self) {
        for node in NODES {
            ip(&format!("-n {SWITCH} link set {node} master lan up"));
        }
    }
}

/// A node's address on the management network.
pub(crate) fn management_address(node: &str) -> String {
    format!("172.20.0.{}", 11 + index(node))
}

/// A node's address in the first prefix of the LAN, from which it dials routers there.
pub(crate) fn lan_address(node: &str) -> String {
    format!("{}.{}", PREFIXES[0], 11 + index(node))
}

/// The node that has such an address.
pub(crate) fn node_of_lan(address: &str) -> Option<&'static str> {
    NODES.into_iter().find(|node| lan_address(node) == address)
}

/// A node's IPv6 address on the management network.
fn management_address_v6(node: &str) -> String {
    format!("fd00:20::{}", 11 + index(node))
}

/// The MAC address of a node's LAN link.
pub(crate) fn mac(node: &str) -> String {
    format!("02:00:00:00:00:{}", 11 + index(node))
}

/// The node to which a MAC address on the LAN belongs.
pub(crate) fn node_of_mac(address: &str) -> Option<&'static str> {
    NODES.into_iter().find(|node| mac(node) == address)
}

/// The node from which a Pod sees a forwarded request come: kube-proxy masquerades it with the
/// forwarding node's address on the link that leads to the Pod.
pub(crate) fn node_of_source(address: &str) -> Option<&'static str> {
    let is_gateway = |pod: &&Pod| gateway(pod) == address || gateway_v6(pod) == address;
    let local = PODS.iter().find(is_gateway).map(|pod| pod.node);
    let is_own = |node: &&str| management_address(node) == address || management_address_v6(node) == address;
    local.or_else(|| NODES.into_iter().find(is_own))
}

fn index(node: &str) -> usize {
    NODES.iter().position(|known| *known == node).unwrap_or_else(|| panic!("there is no node {node}"))
}

fn gateway(pod: &Pod) -> String {
    let (prefix, _) = pod.address.rsplit_once('.').expect("an IPv4 address");
    format!("{prefix}.1")
}

fn gateway_v6(pod: &Pod) -> String {
    let (prefix, _) = pod.address_v6.rsplit_once(':').expect("an IPv6 address");
    format!("{prefix}:1")
}

fn start_pod(directory: &Path, pod: &Pod) -> Process {
    let Pod { name, node, address, address_v6 } = pod;
    let (gateway, gateway_v6) = (gateway(pod), gateway_v6(pod));
    // As Calico names it, so that the speaker leaves it alone.
    let link = name.replace("pod-", "cali");
    ip(&format!("-n {node} link add {link} type veth peer name eth0 netns {name}"));
    ip(&format!("-n {node} address add {gateway}/24 dev {link}"));
    ip(&format!("-n {node} link set {link} up"));
    ip(&format!("-n {name} address add {address}/24 dev eth0"));
    ip(&format!("-n {name} link set eth0 up"));
    ip(&format!("-n {name} route add default via {gateway}"));
    ip(&format!("-n {node} address add {gateway_v6}/64 dev {link} nodad"));
    ip(&format!("-n {name} address add {address_v6}/64 dev eth0 nodad"));
    ip(&format!("-n {name} route add default via {gateway_v6}"));
    for other in NODES.into_iter().filter(|other| other != node) {
        ip(&format!("-n {other} route add {address}/32 via {}", management_address(node)));
        ip(&format!("-n {other} route add {address_v6}/128 via {}", management_address_v6(node)));
    }
    let home = directory.join(name);
    std::fs::create_dir(&home).expect("a directory for a Pod");
    let configuration = home.join("nginx.conf");
    let text = format!(
        "daemon off; master_process off; user root; pid {home}/nginx.pid; error_log stderr;
         events {{ worker_connections 64; }}
         http {{
             access_log off;
             server {{
                 listen 80;
                 listen [::]:80;
                 location / {{
                     default_type text/plain;
                     return 200 \"pod={name} source=$remote_addr\\n\";
                 }}
             }}
         }}\n",
        home = home.display(),
    );
    std::fs::write(&configuration, text).expect("nginx's configuration");
    let configuration = configuration.to_str().expect("a path in UTF-8");
    Process::start(directory, name, Some(name), &["nginx", "-c", configuration])
}

/// Connects `eth0` of a namespace to the LAN, with the same last octet in every prefix.
pub(crate) fn attach_to_lan(namespace: &str, number: u8) {
    ip(&format!(
        "-n {SWITCH} link add {namespace} type veth peer name eth0 address 02:00:00:00:00:{number:02} netns {namespace}"
    ));
    ip(&format!("-n {SWITCH} link set {namespace} master lan up"));
    for prefix in PREFIXES {
        ip(&format!("-n {namespace} address add {prefix}.{number}/24 dev eth0"));
    }
    ip(&format!("-n {namespace} link set eth0 up"));
    ip(&format!("-n {namespace} address add {PREFIX_V6}::{number}/64 dev eth0 nodad"));
}

/// What `ip` is to be told to take a namespace's link off the LAN.
pub(crate) fn detaching(namespace: &str) -> String {
    format!("-n {SWITCH} link del {namespace}")
}

fn bridge(namespace: Option<&str>, name: &str) {
    let inside = namespace.map(|namespace| format!("-n {namespace} ")).unwrap_or_default();
    ip(&format!("{inside}link add {name} type bridge stp_state 0 forward_delay 0"));
    ip(&format!("{inside}link set {name} up"));
}

/// Sets what the kernel of every node does.
pub(crate) fn set_for_nodes(name: &str, value: u16) {
    NODES.iter().for_each(|node| sysctl(node, name, value));
}

/// Sets what the kernel does in a namespace.
pub(crate) fn sysctl(namespace: &str, name: &str, value: u16) {
    let file = format!("/proc/sys/{}", name.replace('.', "/"));
    let command = format!("echo {value} > {file}");
    run("ip", &["netns", "exec", namespace, "sh", "-c", &command]).unwrap_or_else(|error| panic!("{error}"));
}

/// Runs `ip`, which must succeed.
pub(crate) fn ip(arguments: &str) {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    run("ip", &words).unwrap_or_else(|error| panic!("{error}"));
}
