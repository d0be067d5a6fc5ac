//! The way out of the rack: two routers on the LAN that speak BGP with every node, and somebody behind the first.
//!
//! ```text
//!  lan          bridge lan ── eth0 .97 of every prefix: frr   ── eth1 203.0.113.1 ── 203.0.113.2 eth0: outside
//!                         └── eth0 .98 of every prefix: bird
//! ```
//!
//! The nodes know the way back to `outside`, as those of a cluster do whose default route leads to such a router.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::rack::{NODES, attach_to_lan, detaching, ip, lan_address, node_of_lan, sysctl};
use metal_tests::process::{Process, run};
use metal_tests::wait::{ensure, wait_for};

/// The AS of the nodes.
pub(crate) const NODE_AS: u32 = 64_512;
/// The AS of both routers.
pub(crate) const ROUTER_AS: u32 = 64_513;
/// Where FRR and BIRD are.
pub(crate) const ROUTERS: [&str; 2] = ["192.168.1.97", "192.168.1.98"];
/// Where somebody outside is.
pub(crate) const OUTSIDE: &str = "203.0.113.2";

const FRR: &str = "frr";
const BIRD: &str = "bird";
const BEYOND: &str = "outside";
const DEADLINE: Duration = Duration::from_secs(20);

/// How the routers treat the nodes.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// In seconds.
    pub(crate) hold_time: u16,
    /// Whether there is a second router, BIRD.
    pub(crate) both: bool,
}

/// The routers, and the one behind the first. Gone with this value.
pub(crate) struct Edge {
    directory: PathBuf,
    /// They end with this value.
    processes: Vec<Process>,
}

/// A session as a router counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Of which router with which node.
    pub(crate) of: String,
    /// Whether there is one now.
    pub(crate) is_established: bool,
    /// What changes when it is reset: the router's counters of sessions that began and ended, or since when it stands.
    pub(crate) history: String,
}

/// What a router was told: for each prefix and next hop the communities.
pub(crate) type Rib = BTreeMap<(String, String), BTreeSet<String>>;

impl Edge {
    /// Builds it, and starts the routers.
    pub(crate) fn build(logs: &Path, terms: Terms) -> Self {
        let directory = logs.join("edge");
        // Those of an earlier scenario are of no use any more.
        let _none = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).expect("a directory for the routers");
        let routers = if terms.both { &[FRR, BIRD][..] } else { &[FRR][..] };
        for (number, router) in (97..).zip(routers) {
            ip(&format!("netns add {router}"));
            ip(&format!("-n {router} link set lo up"));
            sysctl(router, "net.ipv4.ip_forward", 1);
            sysctl(router, "net.ipv4.conf.all.rp_filter", 0);
            sysctl(router, "net.ipv4.conf.default.rp_filter", 0);
            // Connections of one client are spread by their ports.
            sysctl(router, "net.ipv4.fib_multipath_hash_policy", 1);
            attach_to_lan(router, number);
        }
        ip(&format!("netns add {BEYOND}"));
        ip(&format!("-n {FRR} link add eth1 type veth peer name eth0 netns {BEYOND}"));
        ip(&format!("-n {FRR} address add 203.0.113.1/24 dev eth1"));
        ip(&format!("-n {FRR} link set eth1 up"));
        ip(&format!("-n {BEYOND} address add {OUTSIDE}/24 dev eth0"));
        ip(&format!("-n {BEYOND} link set lo up"));
        ip(&format!("-n {BEYOND} link set eth0 up"));
        ip(&format!("-n {BEYOND} route add default via 203.0.113.1"));
        for node in NODES {
            ip(&format!("-n {node} route add 203.0.113.0/24 via {}", ROUTERS[0]));
        }
        let mut edge = Self { directory, processes: Vec::new() };
        edge.start_frr(logs, terms);
        if terms.both {
            edge.start_bird(logs, terms);
        }
        edge
    }

    /// Configures FRR, as its operator does: what follows `configure terminal` and `router bgp`.
    pub(crate) fn configure(&self, words: &[&str]) {
        let enter = format!("router bgp {ROUTER_AS}");
        let orders = ["configure terminal", &enter].into_iter().chain(words.iter().copied());
        let orders: Vec<&str> = orders.flat_map(|order| ["-c", order]).collect();
        self.vtysh(&orders).unwrap_or_else(|error| panic!("{error}"));
    }

    /// The nodes to which FRR's kernel sends what goes to an address.
    pub(crate) fn next_hops(&self, address: &str) -> Result<BTreeSet<&'static str>, String> {
        let routes = run("ip", &["-n", FRR, "route", "show", address])?;
        let hops = routes.split("via ").skip(1).filter_map(|rest| rest.split_whitespace().next());
        hops.map(|hop| node_of_lan(hop).ok_or_else(|| format!("{hop} is no node: {routes}"))).collect()
    }

    /// Waits until FRR's kernel sends what goes to an address to these nodes and nowhere else.
    #[track_caller]
    pub(crate) fn await_next_hops(&self, address: &str, nodes: &[&str]) {
        wait_for(&format!("the way to {address} by {nodes:?}"), DEADLINE, || {
            let hops = self.next_hops(address)?;
            ensure(hops.iter().eq(nodes), || format!("{hops:?}"))
        });
    }

    /// All sessions as the routers count them.
    pub(crate) fn sessions(&self) -> Result<Vec<Session>, String> {
        let said = self.ask("show bgp neighbors json")?;
        let neighbors = said.as_object().into_iter().flatten();
        let mut sessions: Vec<Session> = neighbors
            .map(|(address, neighbor)| Session {
                of: format!("FRR with {address}"),
                is_established: neighbor["bgpState"] == "Established",
                history: format!(
                    "{} began, {} ended",
                    neighbor["connectionsEstablished"], neighbor["connectionsDropped"]
                ),
            })
            .collect();
        if self.has_bird() {
            let said = self.birdc("show protocols")?;
            let lines = said.lines().filter(|line| line.starts_with("node"));
            sessions.extend(lines.map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let history = words[3..words.len() - 1].join(" ");
                let is_established = line.trim_end().ends_with("Established");
                Session { of: format!("BIRD with {}", words[0]), is_established, history }
            }));
        }
        Ok(sessions)
    }

    /// Waits until every session stands, and returns them.
    #[track_caller]
    pub(crate) fn await_sessions(&self, count: usize) -> Vec<Session> {
        wait_for(&format!("{count} sessions"), DEADLINE, || {
            let sessions = self.sessions()?;
            let up = sessions.iter().filter(|session| session.is_established).count();
            ensure(up == count, || format!("{sessions:?}"))?;
            Ok(sessions)
        })
    }

    /// Waits until so many sessions of a router stand.
    #[track_caller]
    pub(crate) fn await_established(&self, router: &str, count: usize) {
        wait_for(&format!("{count} sessions of {router}"), DEADLINE, || {
            let sessions = self.sessions()?;
            let up =
                sessions.iter().filter(|session| session.of.starts_with(router) && session.is_established);
            ensure(up.count() == count, || format!("{sessions:?}"))
        });
    }

    /// Another BGP speaker on a node, which has a session with FRR.
    pub(crate) fn start_rival(&self, logs: &Path, node: &str) -> Process {
        let directory = self.directory.join("rival");
        fs::create_dir(&directory).expect("a directory for the rival");
        let config = format!(
            "router bgp {NODE_AS}\n bgp router-id {1}\n no bgp ebgp-requires-policy\n neighbor {0} remote-as \
             {ROUTER_AS}\n neighbor {0} timers connect 1\n",
            ROUTERS[0],
            lan_address(node)
        );
        let here = directory.display();
        fs::write(directory.join("bgpd.conf"), config).expect("the rival's configuration");
        let command = format!(
            "/usr/lib/frr/bgpd -Z -u root -g root -f {here}/bgpd.conf --log stdout -i {here}/bgpd.pid --vty_socket {here}"
        );
        let words: Vec<&str> = command.split_whitespace().collect();
        let rival = Process::start(logs, "rival", Some(node), &words);
        self.await_established(&format!("FRR with {}", lan_address(node)), 1);
        rival
    }

    /// What FRR was told.
    pub(crate) fn rib_of_frr(&self) -> Result<Rib, String> {
        let said = self.ask("show bgp ipv4 unicast json detail")?;
        let mut rib = Rib::new();
        for (prefix, route) in said["routes"].as_object().into_iter().flatten() {
            let paths = route.as_array().or_else(|| route["paths"].as_array());
            for path in paths.into_iter().flatten() {
                // The first entry is the prefix itself.
                let Some(hop) = path["nexthops"][0]["ip"].as_str() else { continue };
                let communities = path["community"]["list"].as_array().into_iter().flatten();
                let communities = communities.filter_map(Value::as_str).map(str::to_owned).collect();
                rib.insert((prefix.clone(), hop.to_owned()), communities);
            }
        }
        Ok(rib)
    }

    /// What BIRD was told.
    pub(crate) fn rib_of_bird(&self) -> Result<Rib, String> {
        let said = self.birdc("show route all")?;
        let (mut rib, mut prefix, mut hop) = (Rib::new(), String::new(), String::new());
        for line in said.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if line.contains(" unicast ")
                && let Some(found) = words.first().filter(|word| word.contains('/'))
            {
                (*found).clone_into(&mut prefix);
            }
            if let Some(next_hop) = line.trim().strip_prefix("BGP.next_hop: ") {
                next_hop.clone_into(&mut hop);
                rib.insert((prefix.clone(), hop.clone()), BTreeSet::new());
            }
            if let Some(list) = line.trim().strip_prefix("BGP.community: ") {
                let list = list.split_whitespace().map(|one| one.trim_matches(['(', ')']).replace(',', ":"));
                rib.insert((prefix.clone(), hop.clone()), list.collect());
            }
        }
        Ok(rib)
    }

    fn start_frr(&mut self, logs: &Path, terms: Terms) {
        let mut config = format!(
            "router bgp {ROUTER_AS}\n bgp router-id {}\n no bgp ebgp-requires-policy\n timers bgp {} {}\n",
            ROUTERS[0],
            terms.hold_time / 3,
            terms.hold_time
        );
        for node in NODES {
            let address = lan_address(node);
            config += &format!(" neighbor {address} remote-as {NODE_AS}\n neighbor {address} passive\n");
        }
        config += " address-family ipv4 unicast\n  maximum-paths 16\n exit-address-family\n";
        let here = self.here();
        fs::write(self.directory.join("bgpd.conf"), config).expect("bgpd's configuration");
        for file in ["zebra.conf", "vtysh.conf"] {
            fs::write(self.directory.join(file), "").expect("an empty configuration");
        }
        for name in ["zebra", "bgpd"] {
            // As who they are: a sandbox without root knows no other user.
            let command = format!(
                "/usr/lib/frr/{name} -u root -g root -f {here}/{name}.conf --log stdout -i {here}/{name}.pid \
                 -z {here}/zserv.api --vty_socket {here}"
            );
            let words: Vec<&str> = command.split_whitespace().collect();
            self.processes.push(Process::start(logs, name, Some(FRR), &words));
        }
        wait_for("FRR to answer", DEADLINE, || self.ask("show bgp neighbors json"));
    }

    fn start_bird(&mut self, logs: &Path, terms: Terms) {
        let mut config = format!(
            "router id {};\ntimeformat protocol iso long ms;\nprotocol device {{ }}\n\
             protocol kernel {{ ipv4 {{ export none; import none; }}; }}\n",
            ROUTERS[1]
        );
        for node in NODES {
            config += &format!(
                "protocol bgp node_{node} {{ local {} as {ROUTER_AS}; neighbor {} as {NODE_AS}; passive on; \
                 hold time {}; error wait time 1, 2; ipv4 {{ import all; export none; }}; }}\n",
                ROUTERS[1],
                lan_address(node),
                terms.hold_time
            );
        }
        let (here, file) = (self.here(), self.directory.join("bird.conf"));
        fs::write(&file, config).expect("BIRD's configuration");
        let command = format!("bird -f -c {} -s {here}/bird.ctl", file.display());
        let words: Vec<&str> = command.split_whitespace().collect();
        self.processes.push(Process::start(logs, "bird", Some(BIRD), &words));
        wait_for("BIRD to answer", DEADLINE, || self.birdc("show status"));
    }

    fn has_bird(&self) -> bool {
        self.directory.join("bird.conf").exists()
    }

    fn ask(&self, question: &str) -> Result<Value, String> {
        let said = self.vtysh(&["-c", question])?;
        serde_json::from_str(&said).map_err(|error| format!("{question}: {error}: {said}"))
    }

    fn vtysh(&self, words: &[&str]) -> Result<String, String> {
        let here = self.here();
        run("vtysh", &[&["--config_dir", &here, "--vty_socket", &here], words].concat())
    }

    fn birdc(&self, question: &str) -> Result<String, String> {
        run("birdc", &["-s", &format!("{}/bird.ctl", self.here()), question])
    }

    fn here(&self) -> String {
        self.directory.display().to_string()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // What is not there need not go, and the rest goes with the sandbox.
        let remove = |words: String| drop(run("ip", &words.split(' ').collect::<Vec<_>>()));
        for node in NODES {
            remove(format!("-n {node} route del 203.0.113.0/24"));
        }
        for router in [FRR, BIRD] {
            remove(detaching(router));
            remove(format!("netns del {router}"));
        }
        remove(format!("netns del {BEYOND}"));
    }
}

/// Fetches a page from outside; who served it, and from where the Pod saw the request come.
pub(crate) fn fetch(address: &str) -> Result<(String, String), String> {
    let url = format!("http://{address}/");
    // Longer than the kernel waits before it asks for a connection once more.
    let options = ["-sS", "--noproxy", "*", "--connect-timeout", "4", "--max-time", "5", &url];
    let page = run("ip", &[&["netns", "exec", BEYOND, "curl"], &options[..]].concat())?;
    let field = |name: &str| {
        let found = page.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned).ok_or_else(|| format!("{url} answered {page:?}"))
    };
    Ok((field("pod")?, field("source")?))
}
