//! A machine on the LAN: a network namespace, its links, and the real tools run in it.

use std::{
    fs,
    io::Write,
    net::{IpAddr, TcpListener, UdpSocket},
    path::Path,
    thread,
};

use ipnet::IpNet;
use metal_core::view::Mac;
use metal_net::{Namespace, Network};
use metal_tests::{
    process::{Process, run},
    wait::{ensure, wait_for},
};

use crate::lan::{DEADLINE, ECHO, VIPS};

/// A network namespace.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) namespace: Namespace,
    pub(crate) network: Network,
}

impl Host {
    /// One without any link. Addresses that it gets are usable at once.
    pub(crate) fn new(name: &str) -> Self {
        let namespace = Namespace::new().expect("a network namespace: run these tests as root");
        let network = namespace.network().expect("a netlink socket");
        let host = Self { name: name.to_owned(), namespace, network };
        for scope in ["all", "default"] {
            host.set(&format!("ipv6/conf/{scope}/accept_dad"), "0");
            host.set(&format!("ipv6/conf/{scope}/router_solicitations"), "0");
            // The kernel answers for what is on the asked link only; the rest is the speaker's.
            host.set(&format!("ipv4/conf/{scope}/arp_ignore"), "1");
            host.set(&format!("ipv4/conf/{scope}/arp_announce"), "2");
            host.set(&format!("ipv4/conf/{scope}/rp_filter"), "0");
        }
        host.network.set_up("lo").expect("up");
        host
    }

    /// Joins a link of this host to a port of the switch, which is named after both. The switch's end is up first, so
    /// that the link has its carrier as soon as it is up.
    pub(crate) fn plug_in(&self, switch: &Self, link: &str, mac: Mac) {
        let port = self.port(link);
        switch.network.add_veth(&port, &self.namespace, link).expect("a veth pair");
        switch.network.set_bridge(&port, Some("lan")).expect("plugged in");
        switch.network.set_up(&port).expect("up");
        self.network.set_mac(link, mac).expect("an Ethernet address");
        self.network.set_up(link).expect("up");
    }

    /// The name of the switch's port for a link.
    pub(crate) fn port(&self, link: &str) -> String {
        match link {
            "eth0" => self.name.clone(),
            _ => format!("{}-{link}", self.name),
        }
    }

    /// Adds its addresses in the LAN's subnets.
    pub(crate) fn number(&self, link: &str, number: u8) {
        let addresses = [format!("192.168.50.{number}/24"), format!("fd00:42::{number}/64")];
        for address in addresses {
            let address: IpNet = address.parse().expect("an address");
            self.network.add_address(link, address).expect("an address");
        }
    }

    /// Writes a setting below /proc/sys/net.
    pub(crate) fn set(&self, setting: &str, value: &str) {
        self.namespace.set_sysctl(setting, value).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Runs a program inside to its end and returns what it printed; its complaint, if it failed.
    pub(crate) fn try_run(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let net = self.enter();
        run("nsenter", &[&[net.as_str(), program], arguments].concat())
    }

    /// The same for a program that must not fail.
    #[track_caller]
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        self.try_run(program, arguments).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// `ip` with its arguments in one text.
    #[track_caller]
    pub(crate) fn ip(&self, arguments: &str) -> String {
        self.run("ip", &arguments.split_whitespace().collect::<Vec<_>>())
    }

    /// Starts a program inside.
    pub(crate) fn start(&self, directory: &Path, name: &str, command: &[&str]) -> Process {
        let net = self.enter();
        Process::start(directory, name, None, &[&["nsenter", net.as_str()], command].concat())
    }

    /// Frames on a link that a filter lets through, as `tcpdump` prints them.
    pub(crate) fn capture(&self, directory: &Path, link: &str, direction: &str, filter: &str) -> Capture {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("tcpdump-{number}");
        let command =
            ["tcpdump", "--immediate-mode", "-l", "-e", "-n", "-tt", "-Q", direction, "-i", link, filter];
        let capture = Capture(self.start(directory, &name, &command));
        wait_for("tcpdump to listen", DEADLINE, || {
            ensure(capture.0.log().contains("listening on"), || capture.0.log())
        });
        capture
    }

    fn enter(&self) -> String {
        format!("--net={}", self.namespace.path().display())
    }

    /// What kube-proxy and a Pod would do: the node takes the traffic of the addresses. A page says which node it is,
    /// a datagram is echoed.
    pub(crate) fn serve(&self, node: usize) {
        for vip in VIPS {
            self.network.add_address("lo", vip.into()).expect("an address");
            let inside = || (TcpListener::bind((vip, 80)), UdpSocket::bind((vip, ECHO)));
            let (listener, echo) = self.namespace.within(inside).expect("a thread");
            let (listener, echo) = (listener.expect("a port"), echo.expect("a port"));
            // Both end with the test.
            thread::spawn(move || {
                while let Ok((mut client, _)) = listener.accept() {
                    // A client that went away is none of the page's business.
                    let _gone = client.write_all(node.to_string().as_bytes());
                }
            });
            thread::spawn(move || {
                let mut datagram = [0; 64];
                while let Ok((length, client)) = echo.recv_from(&mut datagram) {
                    let _gone = echo.send_to(&datagram[..length], client);
                }
            });
        }
    }

    /// What the neighbour cache says about an address.
    pub(crate) fn neighbour(&self, address: IpAddr) -> String {
        self.ip(&format!("neighbour show {address} dev eth0"))
    }

    /// The Ethernet address that the neighbour cache has for an address.
    pub(crate) fn cached(&self, address: IpAddr) -> Option<String> {
        let entry = self.neighbour(address);
        let mac = entry.split_once("lladdr ")?.1;
        mac.split_whitespace().next().map(str::to_owned)
    }

    /// Empties the neighbour cache.
    pub(crate) fn forget(&self) {
        self.ip("neighbour flush dev eth0");
        self.ip("-6 neighbour flush dev eth0");
    }
}

/// A running `tcpdump`.
pub(crate) struct Capture(Process);

impl Capture {
    /// The frames so far that contain all of these words, one line each.
    pub(crate) fn frames(&self, words: &[&str]) -> Vec<String> {
        let log = self.0.log();
        let frames = log.lines().filter(|line| line.contains("ethertype") || line.contains("802.1"));
        frames.filter(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned).collect()
    }
}

/// An Ethernet address as everybody writes it.
pub(crate) fn mac_text(mac: Mac) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

/// Everything in a file of /proc.
pub(crate) fn proc(process: u32, file: &str) -> String {
    let path = format!("/proc/{process}/{file}");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// How many file descriptors a process has open.
pub(crate) fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("a running process").count()
}
