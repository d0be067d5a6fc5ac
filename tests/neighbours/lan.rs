//! A switch, two nodes, a client and a stranger.

use std::{
    fs,
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use metal_net::{Namespace, Network};
use metal_tests::{
    process::{Process, binary, run},
    wait::{ensure, wait_for},
};

/// Whatever is waited for comes before this, or the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The only address of the pool.
pub(crate) const VIP: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0xaa, 0xc8);

const NODES: usize = 2;

/// A namespace with one interface, `eth0`, on the switch.
struct Host {
    namespace: Namespace,
    network: Network,
}

/// The LAN with the daemons on it. Dropping it ends them.
pub(crate) struct Lan {
    speakers: Vec<Option<Process>>,
    _controller: Process,
    _nodes: Vec<Host>,
    client: Host,
    stranger: Host,
    switch: Namespace,
    directory: tempfile::TempDir,
}

impl Lan {
    /// Builds it, starts the daemons and waits until the client reaches the address. `snooping` lets the switch
    /// pass multicast frames only to ports with members, as its own queries tell it.
    pub(crate) fn start(snooping: bool) -> Self {
        let switch = Namespace::new().expect("a network namespace: run these tests as root");
        let network = switch.network().expect("a netlink socket");
        network.add_bridge("lan").expect("a bridge");
        let plug = |port: &str, last: u8| {
            let namespace = Namespace::new().expect("a network namespace");
            network.add_veth(port, &namespace, "eth0").expect("a veth pair");
            network.set_bridge(port, Some("lan")).expect("plugged in");
            network.set_up(port).expect("up");
            let network = namespace.network().expect("a netlink socket");
            network.set_mac("eth0", [2, 0, 0, 0, 0, last]).expect("an Ethernet address");
            network.set_up("lo").expect("up");
            network.set_up("eth0").expect("up");
            Host { namespace, network }
        };
        let client = plug("client", 0x64);
        client.ip(&["-6", "address", "add", "fd00:42::100/64", "dev", "eth0", "nodad"]);
        let stranger = plug("stranger", 0x63);
        let nodes = (1..).take(NODES).map(|n| {
            let node = plug(&format!("node{n}"), n);
            // The way back to the client; the speaker needs no address.
            node.ip(&["-6", "address", "add", &format!("fd00:42::{n}/64"), "dev", "eth0", "nodad"]);
            node
        });
        let nodes: Vec<_> = nodes.collect();
        if snooping {
            let bridge =
                ["link", "set", "lan", "type", "bridge", "mcast_snooping", "1", "mcast_querier", "1"];
            // A query each second, answered within a tenth.
            let pace = ["mcast_query_interval", "100", "mcast_query_response_interval", "10"];
            ip(&switch, &[bridge.as_slice(), &pace].concat());
        }

        let directory = tempfile::tempdir().expect("a directory");
        let manifests = directory.path().join("manifests");
        fs::create_dir(&manifests).expect("a directory");
        fs::create_dir(directory.path().join("state")).expect("a directory");
        fs::write(manifests.join("all.yaml"), manifests_yaml()).expect("a file");
        let start = |namespace: &Namespace, name: &str, program: &str, arguments: &[&str]| {
            let enter = format!("--net={}", namespace.path().display());
            let program = binary(program);
            let in_directory = |name: &str| directory.path().join(name).display().to_string();
            let (manifests, state) = (in_directory("manifests"), in_directory("state"));
            let program = ["nsenter", &enter, path(&program), "--manifests", &manifests, "--state", &state];
            let command = [program.as_slice(), &["--metrics-address", "127.0.0.1:7472"], arguments].concat();
            Process::start(directory.path(), name, None, &command)
        };
        network.set_up("lo").expect("up");
        let controller = start(&switch, "controller", "metal-controller", &[]);
        let speakers = (1..).zip(&nodes).map(|(n, node)| {
            let name = format!("node{n}");
            node.serve(n);
            Some(start(&node.namespace, &name, "metal-speaker", &["--node", &name]))
        });
        let speakers = speakers.collect();
        let lan =
            Self { speakers, _controller: controller, _nodes: nodes, client, stranger, switch, directory };
        wait_for("an answer from the address", DEADLINE, || {
            lan.try_connect().map(drop).map_err(|error| {
                let logs = (1..=NODES).map(|n| lan.log(n)).collect::<Vec<_>>().join("\n");
                let controller = fs::read_to_string(lan.directory.path().join("controller.log"));
                format!("{error}; the daemons said:\n{}\n{logs}", controller.unwrap_or_default())
            })
        });
        lan
    }

    /// The node that answers the client.
    pub(crate) fn connect(&self) -> usize {
        wait_for("an answer from the address", DEADLINE, || self.try_connect())
    }

    /// The node that answers the client, and that its neighbour cache names.
    pub(crate) fn owner(&self) -> usize {
        let node = self.connect();
        wait_for("the node in the client's cache", DEADLINE, || {
            ensure(self.cached() == Some(node), || self.neighbour())
        });
        node
    }

    fn try_connect(&self) -> Result<usize, String> {
        let connect = || -> std::io::Result<String> {
            let page = TcpStream::connect_timeout(&SocketAddr::from((VIP, 80)), Duration::from_secs(3))?;
            page.set_read_timeout(Some(Duration::from_secs(3)))?;
            std::io::read_to_string(page)
        };
        let page =
            self.client.namespace.within(connect).expect("a thread").map_err(|error| error.to_string())?;
        page.parse().map_err(|_| format!("the page {page:?}"))
    }

    /// The node that the client's neighbour cache names.
    pub(crate) fn cached(&self) -> Option<usize> {
        let entry = self.neighbour();
        let mac = entry.split_once("lladdr 02:00:00:00:00:0")?.1;
        mac.split_whitespace().next()?.parse().ok()
    }

    /// What the client's neighbour cache says about the address.
    pub(crate) fn neighbour(&self) -> String {
        self.client.ip(&["-6", "neigh", "show", &VIP.to_string(), "dev", "eth0"])
    }

    /// Empties the client's neighbour cache.
    pub(crate) fn forget(&self) {
        self.client.ip(&["-6", "neigh", "flush", "dev", "eth0"]);
    }

    /// Kills the speaker of a node.
    pub(crate) fn kill(&mut self, node: usize) {
        self.speakers[node - 1].take().expect("it runs").kill();
    }

    /// How many speakers run.
    pub(crate) fn running(&self) -> usize {
        self.speakers.iter().flatten().count()
    }

    /// Gives the address to a host that has nothing to do with the cluster.
    pub(crate) fn stranger_takes_the_address(&self) {
        self.stranger.ip(&["-6", "address", "add", &format!("{VIP}/64"), "dev", "eth0"]);
    }

    /// Takes it from there.
    pub(crate) fn stranger_gives_it_up(&self) {
        self.stranger.ip(&["-6", "address", "del", &format!("{VIP}/64"), "dev", "eth0"]);
    }

    /// The stranger's addresses.
    pub(crate) fn stranger_addresses(&self) -> String {
        self.stranger.ip(&["-6", "address", "show", "dev", "eth0"])
    }

    /// What the speaker of a node has said.
    pub(crate) fn log(&self, node: usize) -> String {
        fs::read_to_string(self.directory.path().join(format!("node{node}.log"))).expect("a log")
    }

    /// The memberships that the switch knows of.
    pub(crate) fn memberships(&self) -> String {
        enter(&self.switch, "bridge", &["mdb", "show"])
    }
}

impl Host {
    fn ip(&self, arguments: &[&str]) -> String {
        ip(&self.namespace, arguments)
    }

    /// What kube-proxy and a Pod would do: the node takes the address's traffic, and a page says which node it is.
    fn serve(&self, node: usize) {
        self.network.add_address("lo", ipnet(VIP)).expect("an address");
        let listener =
            self.namespace.within(|| TcpListener::bind((VIP, 80))).expect("a thread").expect("a port");
        // It ends with the test.
        thread::spawn(move || {
            while let Ok((mut client, _)) = listener.accept() {
                // A client that went away is none of the page's business.
                let _gone = std::io::Write::write_all(&mut client, node.to_string().as_bytes());
            }
        });
    }
}

fn ipnet(address: Ipv6Addr) -> ipnet::IpNet {
    ipnet::IpNet::new(address.into(), 128).expect("128 bits")
}

fn ip(namespace: &Namespace, arguments: &[&str]) -> String {
    enter(namespace, "ip", arguments)
}

/// Runs a program inside and returns what it printed.
fn enter(namespace: &Namespace, program: &str, arguments: &[&str]) -> String {
    let net = format!("--net={}", namespace.path().display());
    let command = [&[net.as_str(), program], arguments].concat();
    run("nsenter", &command).unwrap_or_else(|error| panic!("{error}"))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn manifests_yaml() -> String {
    let endpoints: String = (1..=NODES)
        .map(|n| {
            format!(
                "- addresses: [\"fd00:44::{n}\"]\n  nodeName: node{n}\n  conditions: {{ready: true, serving: true, \
                 terminating: false}}\n"
            )
        })
        .collect();
    let nodes: String = (1..=NODES)
        .map(|n| format!("---\napiVersion: v1\nkind: Node\nmetadata:\n  name: node{n}\n"))
        .collect();
    format!(
        "\
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  namespace: metallb-system
  name: six
spec:
  addresses:
  - {VIP}/128
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata:
  namespace: metallb-system
  name: six
---
apiVersion: v1
kind: Service
metadata:
  namespace: default
  name: web
spec:
  type: LoadBalancer
  ipFamilies: [IPv6]
  ipFamilyPolicy: SingleStack
  clusterIP: fd00:43::1
  clusterIPs: [\"fd00:43::1\"]
  ports:
  - name: http
    port: 80
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  namespace: default
  name: web-1
  labels:
    kubernetes.io/service-name: web
addressType: IPv6
ports:
- name: http
  port: 80
endpoints:
{endpoints}{nodes}"
    )
}
