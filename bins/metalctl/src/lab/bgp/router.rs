//! The router: which programs, with which configuration, and who fills its kernel's table.

use std::{
    fs::{self, File},
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};
use metal_net::{Child, Namespace};

use super::{fib::Fib, heard, receiver};
use crate::{
    args,
    lab::{
        Stop,
        lan::{Lan, Station},
        plan,
    },
};

/// What is known of a kind of router.
struct Kind {
    /// As people call it.
    name: &'static str,
    /// Its programs; the first one tells its version.
    programs: &'static [&'static str],
    /// In which packages of distributions it is.
    package: &'static str,
    /// The word before its version.
    version: &'static str,
}

impl Kind {
    fn of(router: args::Router) -> Option<Self> {
        let (name, programs, package, version): (_, &'static [&'static str], _, _) = match router {
            args::Router::Metal => return None,
            args::Router::Frr => ("FRR", &["bgpd", "zebra"], "frr", "version"),
            args::Router::Bird => ("BIRD", &["bird"], "bird2", "version"),
            args::Router::Gobgp => ("GoBGP", &["gobgpd", "gobgp"], "gobgpd", "version"),
            args::Router::Exabgp => ("ExaBGP", &["exabgp"], "exabgp", "ExaBGP :"),
        };
        Some(Self { name, programs, package, version })
    }
}

/// A router that is installed.
#[derive(Clone, Debug)]
pub(super) struct Found {
    router: args::Router,
    /// What it calls itself, with its version.
    pub(super) name: String,
    /// Whether it writes the kernel's table itself; else the lab does.
    pub(super) own_table: bool,
    programs: Vec<PathBuf>,
}

impl Found {
    /// Its name where there is little room.
    pub(super) fn label(&self) -> &str {
        if self.router == args::Router::Metal { "metal's receiver" } else { &self.name }
    }

    /// Looks for its programs.
    pub(super) fn find(router: args::Router) -> Result<Self, Stop> {
        let own_table = matches!(router, args::Router::Frr | args::Router::Bird);
        let Some(kind) = Kind::of(router) else {
            let name = format!("{METAL} {}", env!("CARGO_PKG_VERSION"));
            return Ok(Self { router, name, own_table, programs: Vec::new() });
        };
        let find = |program: &&str| program_path(program).ok_or_else(|| missing(&kind, program));
        let programs = kind.programs.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let said = programs.first().and_then(|program| Command::new(program).arg("--version").output().ok());
        // BIRD prints it where errors go.
        let said = said.map(|said| [said.stdout, said.stderr].concat()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let number = said.split_once(kind.version).map(|(_, rest)| rest.split_whitespace().next());
        let name = format!("{} {}", kind.name, number.flatten().unwrap_or("of an unknown version"));
        Ok(Self { router, name, own_table, programs })
    }
}

/// What our own is called, so that nobody takes it for a router.
const METAL: &str = "metal's passive receiver";

fn missing(kind: &Kind, program: &str) -> Stop {
    Stop::Refused(format!(
        "--bgp: {program} is not on this machine: install {} (`apt-get install {}`), or use --bgp alone for metal's \
         own passive receiver",
        kind.name, kind.package
    ))
}

/// Also where programs of the administrator are, and those that nobody starts by hand.
fn program_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/lib/frr"].map(PathBuf::from));
    places.map(|place| place.join(name)).find(|path| path.is_file())
}

/// A router that runs. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Router {
    name: String,
    directory: PathBuf,
    processes: Vec<Child>,
    /// What fills the kernel's table for it.
    feed: Option<JoinHandle<Result<()>>>,
    stop: Arc<AtomicBool>,
}

impl Router {
    /// Starts it between the LAN and the client, for sessions with all nodes.
    pub(super) fn start(found: &Found, lan: &Lan, station: &Station, directory: &Path) -> Result<Self> {
        let nodes: Vec<IpAddr> = (0..lan.nodes.len()).map(|index| plan::node_address(index).into()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let mut router = Self {
            name: found.name.clone(),
            directory: directory.to_owned(),
            processes: Vec::new(),
            feed: None,
            stop: Arc::clone(&stop),
        };
        let namespace = &station.namespace;
        let here = directory.display().to_string();
        let config = directory.join("router.conf");
        let program = |index: usize| -> &Path { &found.programs[index] };
        let feed = |feed: Box<dyn FnOnce(Fib) -> Result<()> + Send>| -> Result<_> {
            let fib = Fib::new(namespace.network()?);
            let namespace = Arc::clone(namespace);
            Ok(Some(thread::spawn(move || namespace.within(|| feed(fib))?)))
        };
        match found.router {
            args::Router::Metal => router.feed = feed(Box::new(receiver::run))?,
            args::Router::Bird => {
                fs::write(&config, bird(&nodes))?;
                let control = format!("{here}/router.sock");
                let words = ["-f", "-c", &format!("{here}/router.conf"), "-s", &control];
                router.spawn(namespace, program(0), &words)?;
            }
            args::Router::Frr => {
                fs::write(&config, frr(&nodes))?;
                hand_over(directory)?;
                for (index, name) in [(1, "zebra"), (0, "bgpd")] {
                    let (pid, zebra) = (format!("{here}/{name}.pid"), format!("{here}/zserv.api"));
                    let config = format!("{here}/router.conf");
                    let words = ["-f", &config, "-i", &pid, "-z", &zebra, "--vty_socket", &here];
                    router.spawn(namespace, program(index), &[&words[..], &["--log", "stdout"]].concat())?;
                }
            }
            args::Router::Gobgp => {
                fs::write(&config, gobgp(&nodes))?;
                router.spawn(
                    namespace,
                    program(0),
                    &["-f", &format!("{here}/router.conf"), "--log-plain"],
                )?;
                let client = program(1).to_owned();
                router.feed = feed(Box::new(move |fib| heard::follow_gobgp(&client, &stop, fib)))?;
            }
            args::Router::Exabgp => {
                let heard = directory.join("heard");
                fs::write(&heard, "")?;
                // It takes a closed standard output for the end of its process.
                fs::write(directory.join("heard.sh"), format!("exec 3>&1 cat >'{}'\n", heard.display()))?;
                fs::write(&config, exabgp(&here, &nodes))?;
                let settings =
                    "daemon.user=root daemon.drop=false api.cli=false api.ack=false log.destination=stdout";
                let mut words: Vec<String> =
                    settings.split(' ').map(|setting| format!("exabgp.{setting}")).collect();
                words.push(format!("exabgp.tcp.bind={}", plan::ROUTER));
                words.extend([program(0).display().to_string(), format!("{here}/router.conf")]);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                router.spawn(namespace, Path::new("env"), &words)?;
                router.feed = feed(Box::new(move |fib| heard::follow_exabgp(&heard, &stop, fib)))?;
            }
        }
        Ok(router)
    }

    fn spawn(&mut self, namespace: &Namespace, program: &Path, words: &[&str]) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.directory.join("router.log"))?;
        let mut command = Command::new(program);
        command.args(words).current_dir(&self.directory);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child =
            namespace.spawn(command).with_context(|| format!("cannot start {}", program.display()))?;
        self.processes.push(child);
        Ok(())
    }

    /// Fails when it has ended by itself.
    pub(super) fn check(&mut self) -> Result<()> {
        for process in &mut self.processes {
            if let Some(status) = process.try_wait()? {
                let log = fs::read_to_string(self.directory.join("router.log")).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
                anyhow::bail!("{} has ended ({status}); its last lines:\n{last}", self.name);
            }
        }
        if let Some(feed) = self.feed.take_if(|feed| feed.is_finished()) {
            let ended = feed.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a panic")));
            ended.with_context(|| format!("nobody installs what {} says any more", self.name))?;
        }
        Ok(())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// FRR's daemons become a user of their own, and make their sockets afterwards.
fn hand_over(directory: &Path) -> Result<()> {
    if let Some(scratch) = directory.parent() {
        fs::set_permissions(scratch, fs::Permissions::from_mode(0o711))?;
    }
    let done = Command::new("chown").arg("frr:frr").arg(directory).stderr(Stdio::null()).status()?;
    let rights =
        "--bgp frr: cannot hand a directory to the user frr, whom FRR's daemons become: run the lab as root";
    anyhow::ensure!(done.success(), Stop::Refused(rights.to_owned()));
    Ok(())
}

/// How many of its last lines are shown when it ends by itself.
const LAST_LINES: usize = 12;

/// Whether somebody in the calling thread's network namespace waits for BGP connections.
pub(super) fn is_listening() -> bool {
    let sockets = fs::read_to_string("/proc/thread-self/net/tcp").unwrap_or_default();
    // "0: 00000000:00B3 00000000:0000 0A ...": port 179, LISTEN.
    let is_bgp = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(1).is_some_and(|local| local.ends_with(":00B3")) && words.get(3) == Some(&"0A")
    };
    sockets.lines().any(is_bgp)
}

fn each(nodes: &[IpAddr], text: impl Fn(IpAddr) -> String) -> String {
    nodes.iter().copied().map(text).collect()
}

fn bird(nodes: &[IpAddr]) -> String {
    let (router, own, other, hold) = (plan::ROUTER, plan::ROUTER_AS, plan::NODE_AS, plan::HOLD_TIME);
    let sessions = nodes.iter().enumerate().map(|(index, node)| {
        format!(
            "protocol bgp node{index} {{ local {router} as {own}; neighbor {node} as {other}; passive on; \
             hold time {hold}; error wait time 1,1; error forget time 1; ipv4 {{ import all; export none; }}; }}\n"
        )
    });
    format!(
        "router id {router};\nlog stderr all;\nprotocol device {{}}\n\
         protocol kernel {{ merge paths on limit 64; ipv4 {{ import none; export all; }}; }}\n{}",
        sessions.collect::<String>()
    )
}

fn frr(nodes: &[IpAddr]) -> String {
    let (router, own, other, hold) = (plan::ROUTER, plan::ROUTER_AS, plan::NODE_AS, plan::HOLD_TIME);
    let sessions = each(nodes, |node| {
        format!(
            " neighbor {node} remote-as {other}\n neighbor {node} timers 1 {hold}\n neighbor {node} passive\n"
        )
    });
    format!(
        "router bgp {own}\n bgp router-id {router}\n no bgp ebgp-requires-policy\n{sessions} \
         address-family ipv4 unicast\n  maximum-paths 64\n exit-address-family\n"
    )
}

fn gobgp(nodes: &[IpAddr]) -> String {
    let sessions = each(nodes, |node| {
        format!(
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{node}\"\npeer-as = {}\n\
             [neighbors.transport.config]\npassive-mode = true\n\
             [neighbors.timers.config]\nhold-time = {}\nkeepalive-interval = 1\nidle-hold-time-after-reset = 1\n",
            plan::NODE_AS,
            plan::HOLD_TIME
        )
    });
    format!("[global.config]\nas = {}\nrouter-id = \"{}\"\n{sessions}", plan::ROUTER_AS, plan::ROUTER)
}

fn exabgp(here: &str, nodes: &[IpAddr]) -> String {
    let (router, own, other, hold) = (plan::ROUTER, plan::ROUTER_AS, plan::NODE_AS, plan::HOLD_TIME);
    let sessions = each(nodes, |node| {
        format!(
            "neighbor {node} {{ router-id {router}; local-address {router}; local-as {own}; peer-as {other};\n\
             hold-time {hold}; passive true; capability {{ asn4 enable; }} family {{ ipv4 unicast; }}\n\
             api {{ processes [ heard ]; neighbor-changes; receive {{ parsed; update; }} }} }}\n"
        )
    });
    format!("process heard {{ run /bin/sh {here}/heard.sh; encoder json; }}\n{sessions}")
}
