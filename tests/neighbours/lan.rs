//! A switch, some nodes, a client and a stranger, with the real daemons.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use metal_core::view::Mac;
use metal_tests::{
    process::{Process, binary},
    wait::{ensure, wait_for},
};

use crate::{
    host::{Host, mac_text},
    wire::Wire,
};

/// Whatever is waited for comes before this, or the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The IPv4 address of the Service.
pub(crate) const VIP_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 50, 200));
/// The IPv6 address of the Service.
pub(crate) const VIP_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0xaa, 0xc8));
/// Both.
pub(crate) const VIPS: [IpAddr; 2] = [VIP_V4, VIP_V6];

/// The port that echoes datagrams.
pub(crate) const ECHO: u16 = 7;

/// Where daemons serve their metrics.
const METRICS: &str = "127.0.0.1:7472";

/// The LAN. Dropping it ends the daemons.
pub(crate) struct Lan {
    speakers: Vec<Option<Process>>,
    controller: Option<Process>,
    pub(crate) nodes: Vec<Host>,
    pub(crate) client: Host,
    pub(crate) stranger: Host,
    pub(crate) switch: Host,
    directory: tempfile::TempDir,
}

impl Lan {
    /// Builds it; no daemon runs yet.
    pub(crate) fn build(nodes: usize) -> Self {
        let switch = Host::new("switch");
        switch.network.add_bridge("lan").expect("a bridge");
        let plug = |name: &str, mac, number| {
            let host = Host::new(name);
            host.plug_in(&switch, "eth0", mac);
            host.number("eth0", number);
            host
        };
        let client = plug("client", [2, 0, 0, 0, 0, 0x64], 100);
        let stranger = plug("stranger", [2, 0, 0, 0, 0, 0x63], 99);
        let nodes = (1..).take(nodes).map(|node| {
            let host = plug(&format!("node{node}"), node_mac(node), node.try_into().expect("few nodes"));
            host.serve(node);
            host
        });
        let nodes: Vec<_> = nodes.collect();
        let speakers = nodes.iter().map(|_| None).collect();
        let directory = tempfile::tempdir().expect("a directory");
        Self { speakers, controller: None, nodes, client, stranger, switch, directory }
    }

    /// Builds it, starts the daemons and waits until both addresses are answered for.
    pub(crate) fn start(nodes: usize) -> Self {
        let mut lan = Self::build(nodes);
        lan.start_daemons("");
        lan
    }

    /// Starts the daemons and waits until both addresses are answered for. `advertisement` are lines of the
    /// advertisement's `spec`, indented by two.
    pub(crate) fn start_daemons(&mut self, advertisement: &str) {
        self.launch_daemons(advertisement);
        VIPS.iter().for_each(|vip| _ = self.connect(*vip));
    }

    /// Starts the daemons.
    pub(crate) fn launch_daemons(&mut self, advertisement: &str) {
        let manifests = self.directory.path().join("manifests");
        fs::create_dir(&manifests).expect("a directory");
        fs::create_dir(self.directory.path().join("state")).expect("a directory");
        let text = include_str!("manifests.yaml").replace("  {}\n", advertisement);
        let text = text + &(1..=self.nodes.len()).map(node_yaml).collect::<String>();
        fs::write(manifests.join("all.yaml"), text).expect("a file");
        self.controller = Some(self.launch(&self.switch, "controller", "metal-controller", &[]));
        for node in 1..=self.nodes.len() {
            self.start_speaker(node);
        }
    }

    /// Starts the speaker of a node.
    pub(crate) fn start_speaker(&mut self, node: usize) {
        let host = &self.nodes[node - 1];
        let speaker = self.launch(host, &host.name, "metal-speaker", &["--node", &host.name]);
        self.speakers[node - 1] = Some(speaker);
    }

    fn launch(&self, host: &Host, name: &str, program: &str, arguments: &[&str]) -> Process {
        let in_directory = |name: &str| self.directory.path().join(name).display().to_string();
        let (manifests, state) = (in_directory("manifests"), in_directory("state"));
        let program = binary(program).display().to_string();
        let common = [&program, "--manifests", &manifests, "--state", &state, "--metrics-address", METRICS];
        host.start(self.directory.path(), name, &[&common, arguments].concat())
    }

    /// Where logs and captures go.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Waits until all announcements of the latest takeover are over. What follows is a refresh, a minute later.
    #[track_caller]
    pub(crate) fn settle(&self) {
        let sent =
            || (1..=self.nodes.len()).map(|node| self.metric(node, "metallb_layer2_gratuitous_sent", &[]));
        let (mut before, mut since) = (0.0, Instant::now());
        wait_for("the end of the announcements", DEADLINE, || {
            let now: f64 = sent().sum();
            if now > before {
                (before, since) = (now, Instant::now());
            }
            // Between two rounds there are 1.1 seconds at most.
            ensure(now > 0.0 && since.elapsed() > Duration::from_millis(1_500), || format!("{now} so far"))
        });
    }

    /// A node.
    pub(crate) fn node(&self, node: usize) -> &Host {
        &self.nodes[node - 1]
    }

    /// Pulls a link of a node out of the switch: the node loses the carrier.
    pub(crate) fn set_port(&self, node: usize, up: bool) {
        let port = self.node(node).port("eth0");
        let network = &self.switch.network;
        if up { network.set_up(&port) } else { network.set_down(&port) }.expect("a port");
    }

    /// The client's link.
    pub(crate) fn wire(&self) -> Wire {
        Wire::open(&self.client, "eth0")
    }

    /// The node that answers the client's request for a page.
    #[track_caller]
    pub(crate) fn connect(&self, vip: IpAddr) -> usize {
        wait_for(&format!("a page from {vip}"), DEADLINE, || {
            self.try_connect(vip).map_err(|error| {
                let logs: Vec<String> = self.speakers.iter().flatten().map(Process::log).collect();
                let controller = self.controller.as_ref().map(Process::log).unwrap_or_default();
                format!("{error}; the daemons said:\n{controller}\n{}", logs.join("\n"))
            })
        })
    }

    /// The node that answers the client, and that its neighbour cache names.
    #[track_caller]
    pub(crate) fn owner(&self, vip: IpAddr) -> usize {
        let node = self.connect(vip);
        wait_for("the node in the client's cache", DEADLINE, || {
            let expected = Some(mac_text(node_mac(node)));
            ensure(self.client.cached(vip) == expected, || self.client.neighbour(vip))
        });
        node
    }

    fn try_connect(&self, vip: IpAddr) -> Result<usize, String> {
        let connect = || -> std::io::Result<String> {
            let page = TcpStream::connect_timeout(&SocketAddr::from((vip, 80)), Duration::from_secs(3))?;
            page.set_read_timeout(Some(Duration::from_secs(3)))?;
            std::io::read_to_string(page)
        };
        let page =
            self.client.namespace.within(connect).expect("a thread").map_err(|error| error.to_string())?;
        page.parse().map_err(|_| format!("the page {page:?}"))
    }

    /// The node that the client's neighbour cache names.
    pub(crate) fn cached(&self, vip: IpAddr) -> Option<usize> {
        let mac = self.client.cached(vip)?;
        (1..=self.nodes.len()).find(|node| mac_text(node_mac(*node)) == mac)
    }

    /// Kills the speaker of a node.
    pub(crate) fn kill(&mut self, node: usize) {
        self.speakers[node - 1].take().expect("it runs").kill();
    }

    /// The process of a node's speaker.
    pub(crate) fn speaker(&self, node: usize) -> &Process {
        self.speakers[node - 1].as_ref().expect("it runs")
    }

    /// What the speaker of a node has said.
    pub(crate) fn log(&self, node: usize) -> String {
        self.speaker(node).log()
    }

    /// The sum of a metric of a node's speaker over the series with these words.
    pub(crate) fn metric(&self, node: usize, name: &str, words: &[&str]) -> f64 {
        let url = format!("http://{METRICS}/metrics");
        let text = self.node(node).run("curl", &["-sS", "--noproxy", "*", "--max-time", "5", &url]);
        let of_name = text.lines().filter(|line| line.starts_with(name));
        let series = of_name.filter(|line| words.iter().all(|word| line.contains(word)));
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// The Ethernet address of a node's first link.
pub(crate) fn node_mac(node: usize) -> Mac {
    [2, 0, 0, 0, 0, node.try_into().expect("few nodes")]
}

fn node_yaml(node: usize) -> String {
    format!(
        "---\napiVersion: v1\nkind: Node\nmetadata:\n  name: node{node}\n  labels: {{kubernetes.io/hostname: node{node}}}\n"
    )
}
