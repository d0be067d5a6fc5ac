//! A node with a speaker, and a client on a cable.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use metal_net::{BlockingPacketSocket, Filter, Namespace};
use metal_tests::{
    process::{Process, binary},
    wait::{ensure, wait_for},
};

/// Whatever is waited for comes before this, or the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The only address.
const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);
pub(crate) const VIP_TEXT: &str = "192.0.2.200";
const METRICS: &str = "127.0.0.1:7472";
const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 0x64];

/// The cable. Dropping it ends the speaker.
pub(crate) struct Lan {
    pub(crate) speaker: Process,
    client: BlockingPacketSocket,
    node: Namespace,
    _client: Namespace,
    _directory: tempfile::TempDir,
}

impl Lan {
    /// Builds it, starts the speaker with these flags behind a prefix, and waits until it answers.
    pub(crate) fn start(flags: &[&str], prefix: &[&str]) -> Self {
        let namespace = || Namespace::new().expect("a network namespace: run these tests as root");
        let (node, client) = (namespace(), namespace());
        let (here, there) = (node.network().expect("netlink"), client.network().expect("netlink"));
        here.add_veth("eth0", &client, "eth0").expect("a veth pair");
        there.set_mac("eth0", CLIENT).expect("an Ethernet address");
        here.set_up("lo").expect("up");
        for network in [&here, &there] {
            network.set_up("eth0").expect("up");
        }
        let index = there.link("eth0").expect("eth0").0;
        let socket = client.within(|| BlockingPacketSocket::open(index, Filter::Arp)).expect("a thread");

        let directory = tempfile::tempdir().expect("a directory");
        let in_directory = |name: &str| {
            let path = directory.path().join(name);
            fs::create_dir(&path).expect("a directory");
            path.display().to_string()
        };
        let (manifests, state) = (in_directory("manifests"), in_directory("state"));
        fs::write(format!("{manifests}/all.yaml"), MANIFESTS).expect("a file");
        // What the controller would make.
        fs::write(format!("{state}/beacon.key"), [7; 32]).expect("a file");
        let enter = format!("--net={}", node.path().display());
        let program = binary("metal-speaker").display().to_string();
        let speaker = [&program, "--manifests", &manifests, "--state", &state, "--node", "node1"];
        let enter = ["nsenter", &enter];
        let command = [&enter, prefix, &speaker, &["--metrics-address", METRICS], flags].concat();
        let speaker = Process::start(directory.path(), "speaker", None, &command);
        let lan =
            Self { speaker, client: socket.expect("a socket"), node, _client: client, _directory: directory };
        lan.await_answer();
        lan
    }

    /// Waits until the address is answered for.
    pub(crate) fn await_answer(&self) {
        let patience = Duration::from_millis(100);
        wait_for("an answer", DEADLINE, || ensure(self.is_answered(patience), || self.speaker.log()));
    }

    /// Whether a request is answered in this time.
    pub(crate) fn is_answered(&self, patience: Duration) -> bool {
        // What comes late is no answer to this one.
        while self.receive(Instant::now()).is_some() {}
        self.client.send(&request([192, 0, 2, 9])).expect("sent");
        let deadline = Instant::now() + patience;
        while let Some(frame) = self.receive(deadline) {
            if frame[..6] == CLIENT && frame[20..22] == [0, 2] && frame[28..32] == VIP.octets() {
                return true;
            }
        }
        false
    }

    /// Asks as somebody who has the address.
    pub(crate) fn claim(&self) {
        self.client.send(&request(VIP.octets())).expect("sent");
    }

    fn receive(&self, deadline: Instant) -> Option<[u8; 64]> {
        let mut frame = [0; 64];
        self.client.recv_until(&mut frame, deadline).expect("no error").map(|_| frame)
    }

    /// How many answers the metrics have.
    pub(crate) fn responses(&self) -> u64 {
        let page = self.node.within(|| -> std::io::Result<String> {
            let mut stream = TcpStream::connect(METRICS.parse::<SocketAddr>().expect("an address"))?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
            let mut page = String::new();
            stream.read_to_string(&mut page)?;
            Ok(page)
        });
        let page = page.expect("a thread").expect("a page");
        let name = format!("metallb_layer2_responses_sent{{ip=\"{VIP}\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
    }
}

/// Who has the address?
fn request(sender: [u8; 4]) -> Vec<u8> {
    let fixed = [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
    [&[0xff; 6], &CLIENT, fixed.as_slice(), &CLIENT, &sender, &[0; 6], &VIP.octets(), &[0; 18]].concat()
}

const MANIFESTS: &str = "\
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {namespace: metallb-system, name: one}
spec: {addresses: [192.0.2.200/32]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {namespace: metallb-system, name: one}
---
apiVersion: v1
kind: Node
metadata: {name: node1}
---
apiVersion: v1
kind: Service
metadata: {namespace: default, name: web}
spec: {type: LoadBalancer, ports: [{name: http, port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.200}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 80}]
endpoints: [{addresses: [10.244.0.10], nodeName: node1, conditions: {ready: true}}]
";
