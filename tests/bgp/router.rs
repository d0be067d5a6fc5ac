//! Real routers, each with its own words for the same things.

use std::{fs, path::PathBuf};

use metal_tests::{
    process::{Process, run},
    wait::{ensure, wait_for},
};

use crate::lab::{DEADLINE, Lab, ROUTER, ROUTER_AS, SPEAKER, SPEAKER_AS};

/// Which router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bird,
    Frr,
    Gobgp,
}

/// How it is configured.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The AS that the router believes the speaker to be in.
    pub(crate) speaker_as: u32,
    pub(crate) router_as: u32,
    pub(crate) password: Option<&'static str>,
    /// The routes that it takes before it ends the session.
    pub(crate) limit: Option<u32>,
    pub(crate) extended_next_hop: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            speaker_as: SPEAKER_AS,
            router_as: ROUTER_AS,
            password: None,
            limit: None,
            extended_next_hop: false,
        }
    }
}

/// A router that runs, and waits for the speaker on both of its addresses.
pub(crate) struct Router {
    kind: Kind,
    net: String,
    control: PathBuf,
    processes: Vec<Process>,
}

impl Router {
    pub(crate) fn start(lab: &Lab, kind: Kind, wanted: &Wanted) -> Self {
        let net = format!("--net={}", lab.router.path().display());
        let directory = &lab.directory().join("router");
        fs::create_dir_all(directory).expect("a directory");
        if kind == Kind::Frr {
            // Its daemons give up their rights, and make their sockets afterwards.
            let path = directory.to_str().expect("letters");
            run("chown", &["frr:frr", path]).unwrap_or_else(|error| panic!("{error}"));
        }
        let config = directory.join("router.conf");
        let control = match kind {
            Kind::Bird => directory.join("router.sock"),
            Kind::Frr | Kind::Gobgp => directory.clone(),
        };
        fs::write(&config, kind.config(wanted)).expect("written");
        let start = |name: &str, command: String| {
            let words: Vec<&str> = ["nsenter", &net].into_iter().chain(command.split(' ')).collect();
            Process::start(directory, name, None, &words)
        };
        let (conf, here) = (config.display(), directory.display());
        let processes = match kind {
            Kind::Bird => vec![start("bird", format!("bird -f -c {conf} -s {}", control.display()))],
            Kind::Gobgp => vec![start("gobgpd", format!("gobgpd -f {conf} --log-plain"))],
            Kind::Frr => {
                let daemon = |name: &str| {
                    let places = format!("-i {here}/{name}.pid -z {here}/zserv.api --vty_socket {here}");
                    start(name, format!("/usr/lib/frr/{name} -f {conf} --log stdout {places}"))
                };
                vec![daemon("zebra"), daemon("bgpd")]
            }
        };
        let mut router = Self { kind, net, control, processes };
        wait_for("the router to answer", DEADLINE, || {
            router.processes.iter_mut().try_for_each(Process::check)?;
            router.ask(kind.hello()).map(drop)
        });
        router
    }

    /// Asks the router by its own tool.
    pub(crate) fn ask(&self, question: &str) -> Result<String, String> {
        let control = self.control.display().to_string();
        let words = question.split(' ').collect::<Vec<_>>();
        let command = match self.kind {
            Kind::Bird => [&["birdc", "-r", "-s", &control], &*words].concat(),
            Kind::Frr => vec!["vtysh", "--vty_socket", &control, "-c", question],
            Kind::Gobgp => [&["gobgp"], &*words].concat(),
        };
        run("nsenter", &[&[self.net.as_str()], &*command].concat())
    }

    /// Waits until what the router says of a prefix contains all of these.
    #[track_caller]
    pub(crate) fn await_route(&self, prefix: &str, parts: &[&str]) {
        let question = match (self.kind, prefix.contains(':')) {
            (Kind::Bird, _) => format!("show route {prefix} all"),
            (Kind::Frr, false) => format!("show bgp ipv4 unicast {prefix} json"),
            (Kind::Frr, true) => format!("show bgp ipv6 unicast {prefix} json"),
            (Kind::Gobgp, false) => format!("global rib {prefix} -a ipv4"),
            (Kind::Gobgp, true) => format!("global rib {prefix} -a ipv6"),
        };
        wait_for(&format!("{prefix} with {parts:?}"), DEADLINE, || {
            let said = self.ask(&question)?;
            ensure(parts.iter().all(|part| said.contains(part)), || said.clone())
        });
    }

    /// Waits until the router has so many routes of a family.
    #[track_caller]
    pub(crate) fn await_count(&self, ipv6: bool, count: usize) {
        wait_for(&format!("{count} routes"), DEADLINE, || {
            let found = self.count(ipv6)?;
            ensure(found == count, || format!("{found} routes"))
        });
    }

    /// Ends the session with the speaker for good, with this text.
    pub(crate) fn shut_down(&self, why: &str) {
        let peer = SPEAKER[0];
        let done = match self.kind {
            Kind::Bird => self.ask_as_operator(&["disable", "over4", &format!("\"{why}\"")]),
            Kind::Frr => {
                let enter = format!("router bgp {ROUTER_AS}");
                let shut = format!("neighbor {peer} shutdown message {why}");
                self.ask_as_operator(&["configure terminal", &enter, &shut])
            }
            Kind::Gobgp => self.ask_as_operator(&["neighbor", peer, "shutdown", "--reason", why]),
        };
        done.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Waits until the router shows the text with which the speaker has ended the session.
    #[track_caller]
    pub(crate) fn await_farewell(&self, text: &str) {
        let shown = || match self.kind {
            Kind::Bird => self.ask("show protocols all over4"),
            Kind::Frr => self.ask(&format!("show bgp neighbors {} json", SPEAKER[0])),
            // Its log alone has it.
            Kind::Gobgp => Ok(self.processes.iter().map(Process::log).collect()),
        };
        wait_for(&format!("the farewell {text:?}"), DEADLINE, || {
            let shown = shown()?;
            ensure(shown.contains(text), || shown.clone())
        });
    }

    /// Stops it: its sockets stay open, and nobody reads them.
    pub(crate) fn freeze(&mut self) {
        self.processes.iter_mut().for_each(|process| process.freeze(true));
    }

    fn ask_as_operator(&self, words: &[&str]) -> Result<String, String> {
        let control = self.control.display().to_string();
        let command = match self.kind {
            Kind::Bird => [&["birdc", "-s", &control], words].concat(),
            Kind::Frr => {
                let orders = words.iter().flat_map(|word| ["-c", word]);
                ["vtysh", "--vty_socket", &control].into_iter().chain(orders).collect()
            }
            Kind::Gobgp => [&["gobgp"], words].concat(),
        };
        run("nsenter", &[&[self.net.as_str()], &*command].concat())
    }

    fn count(&self, ipv6: bool) -> Result<usize, String> {
        let number = |text: &str| text.parse::<usize>().map_err(|error| format!("{text:?}: {error}"));
        match self.kind {
            Kind::Bird => {
                // "3 of 3 routes for 3 networks in table master4"
                let said = self.ask(&format!("show route count table master{}", if ipv6 { 6 } else { 4 }))?;
                let line = said.lines().find(|line| line.contains("routes for")).ok_or(said.clone())?;
                number(line.split_whitespace().next().unwrap_or_default())
            }
            Kind::Frr => {
                let family = if ipv6 { "ipv6" } else { "ipv4" };
                let said = self.ask(&format!("show bgp {family} unicast summary json"))?;
                let json: serde_json::Value =
                    serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))?;
                let peers = json["peers"].as_object().into_iter().flatten();
                let received = peers.filter_map(|(_, peer)| peer["pfxRcd"].as_u64()).sum::<u64>();
                number(&received.to_string())
            }
            Kind::Gobgp => {
                // "Destination: 3, Path: 3"
                let said =
                    self.ask(&format!("global rib summary -a {}", if ipv6 { "ipv6" } else { "ipv4" }))?;
                let found = said.split("Destination: ").nth(1).and_then(|rest| rest.split(',').next());
                number(found.ok_or(said.clone())?)
            }
        }
    }
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Bird, Self::Frr, Self::Gobgp];

    fn hello(self) -> &'static str {
        match self {
            Self::Bird => "show status",
            Self::Frr => "show bgp summary json",
            Self::Gobgp => "global",
        }
    }

    fn config(self, wanted: &Wanted) -> String {
        let Wanted { speaker_as, router_as, password, limit, extended_next_hop } = *wanted;
        match self {
            Self::Bird => {
                let password = password.map(|word| format!("password \"{word}\";")).unwrap_or_default();
                let limit =
                    limit.map(|limit| format!("import limit {limit} action disable;")).unwrap_or_default();
                let extended = if extended_next_hop { "extended next hop on;" } else { "" };
                let session = |name: &str, index: usize| {
                    format!(
                        "protocol bgp {name} {{
                            local {} as {router_as}; neighbor {} as {speaker_as}; passive on; hold time 9;
                            error wait time 1,1; error forget time 1; {password}
                            ipv4 {{ import all; export none; {limit} {extended} }};
                            ipv6 {{ import all; export none; {limit} }};
                        }}\n",
                        ROUTER[index], SPEAKER[index]
                    )
                };
                format!(
                    "router id 10.99.0.1;\nprotocol device {{}}\n{}{}",
                    session("over4", 0),
                    session("over6", 1)
                )
            }
            Self::Frr => {
                let each = |line: &dyn Fn(&str) -> String| SPEAKER.map(line).concat();
                let peers = each(&|peer| {
                    let password = password
                        .map(|word| format!(" neighbor {peer} password {word}\n"))
                        .unwrap_or_default();
                    let extended = if extended_next_hop {
                        format!(" neighbor {peer} capability extended-nexthop\n")
                    } else {
                        String::new()
                    };
                    format!(
                        " neighbor {peer} remote-as {speaker_as}\n neighbor {peer} passive\n \
                         neighbor {peer} timers 3 9\n{password}{extended}"
                    )
                });
                let family = |name: &str| {
                    let active = each(&|peer| {
                        let limit = limit.map(|limit| format!("  neighbor {peer} maximum-prefix {limit}\n"));
                        format!("  neighbor {peer} activate\n{}", limit.unwrap_or_default())
                    });
                    format!(" address-family {name} unicast\n{active} exit-address-family\n")
                };
                format!(
                    "router bgp {router_as}\n bgp router-id 10.99.0.1\n no bgp ebgp-requires-policy\n \
                     no bgp default ipv4-unicast\n{peers}{}{}",
                    family("ipv4"),
                    family("ipv6")
                )
            }
            Self::Gobgp => {
                let password = password.map(|word| format!("auth-password = \"{word}\"")).unwrap_or_default();
                let families = ["ipv4-unicast", "ipv6-unicast"].map(|family| {
                    let limit = limit.map(|limit| {
                        format!("[neighbors.afi-safis.prefix-limit.config]\nmax-prefixes = {limit}\n")
                    });
                    format!(
                        "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{family}\"\n{}",
                        limit.unwrap_or_default()
                    )
                });
                let sessions = SPEAKER.map(|speaker| {
                    format!(
                        "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{speaker}\"\npeer-as = {speaker_as}\n\
                         {password}\n[neighbors.transport.config]\npassive-mode = true\n[neighbors.timers.config]\n\
                         hold-time = 9\n{}",
                        families.concat()
                    )
                });
                format!("[global.config]\nas = {router_as}\nrouter-id = \"10.99.0.1\"\n{}", sessions.concat())
            }
        }
    }
}
