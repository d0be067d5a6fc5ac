//! Real routers that take routes, and how many they have.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::lab::{DEADLINE, Lab, ROUTER, ROUTER_AS, SPEAKER, SPEAKER_AS};

/// Which router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bird,
    Frr,
    Gobgp,
}

/// A router that runs and waits for the speaker.
pub(crate) struct Router<'a> {
    kind: Kind,
    lab: &'a Lab,
    net: String,
    directory: TempDir,
    processes: Vec<Child>,
    /// Routes that the kernel has without us.
    own: usize,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bird => "BIRD",
            Self::Frr => "FRR",
            Self::Gobgp => "GoBGP",
        }
    }

    /// Where routes are counted.
    pub(crate) const fn place(self) -> &'static str {
        match self {
            Self::Bird | Self::Frr => "kernel",
            Self::Gobgp => "RIB",
        }
    }

    fn config(self) -> String {
        match self {
            Self::Bird => format!(
                "router id {ROUTER};
                 protocol device {{}}
                 protocol kernel {{ ipv4 {{ import none; export all; }}; }}
                 protocol bgp speaker {{
                     local {ROUTER} as {ROUTER_AS}; neighbor {SPEAKER} as {SPEAKER_AS}; passive on; hold time 90;
                     error wait time 1,1; error forget time 1;
                     ipv4 {{ import all; export none; }};
                 }}\n"
            ),
            Self::Frr => format!(
                "router bgp {ROUTER_AS}\n bgp router-id {ROUTER}\n no bgp ebgp-requires-policy\n \
                 neighbor {SPEAKER} remote-as {SPEAKER_AS}\n neighbor {SPEAKER} passive\n \
                 neighbor {SPEAKER} timers 30 90\n"
            ),
            Self::Gobgp => format!(
                "[global.config]\nas = {ROUTER_AS}\nrouter-id = \"{ROUTER}\"\n\
                 [[neighbors]]\n[neighbors.config]\nneighbor-address = \"{SPEAKER}\"\npeer-as = {SPEAKER_AS}\n\
                 [neighbors.transport.config]\npassive-mode = true\n\
                 [neighbors.timers.config]\nhold-time = 90\n"
            ),
        }
    }

    fn hello(self) -> &'static str {
        match self {
            Self::Bird => "show status",
            Self::Frr => "show bgp summary json",
            Self::Gobgp => "global",
        }
    }

    /// Between two looks. Those at GoBGP start a program each.
    const fn period(self) -> Duration {
        match self {
            Self::Bird | Self::Frr => Duration::from_millis(5),
            Self::Gobgp => Duration::from_millis(20),
        }
    }
}

impl<'a> Router<'a> {
    pub(crate) fn start(lab: &'a Lab, kind: Kind) -> Self {
        let net = format!("--net={}", lab.router.path().display());
        let directory = TempDir::with_prefix("metal-bgp-speed-").expect("a directory");
        let here = directory.path();
        if kind == Kind::Frr {
            // Its daemons give up their rights, and make their sockets afterwards.
            run("chown", &["frr:frr", here.to_str().expect("letters")]).unwrap_or_else(|why| panic!("{why}"));
        }
        let config = here.join("router.conf");
        fs::write(&config, kind.config()).expect("written");
        let (conf, place) = (config.display(), here.display());
        let commands = match kind {
            Kind::Bird => vec![format!("bird -f -c {conf} -s {place}/control")],
            Kind::Gobgp => vec![format!("gobgpd -f {conf} --log-plain")],
            Kind::Frr => ["zebra", "bgpd"]
                .map(|name| {
                    let places = format!("-i {place}/{name}.pid -z {place}/zserv.api --vty_socket {place}");
                    format!("/usr/lib/frr/{name} -f {conf} --log stdout {places}")
                })
                .to_vec(),
        };
        let processes = commands.iter().map(|command| spawn(here, &net, command)).collect();
        let mut router = Self { kind, lab, net, directory, processes, own: 0 };
        router.await_hello();
        if kind != Kind::Gobgp {
            router.own = router.in_kernel();
        }
        router
    }

    fn await_hello(&mut self) {
        let began = Instant::now();
        while let Err(why) = self.ask(self.kind.hello()) {
            let dead = self.processes.iter_mut().any(|it| it.try_wait().is_ok_and(|end| end.is_some()));
            if dead || began.elapsed() > DEADLINE {
                let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
                panic!("{} does not answer: {why}\n{log}", self.kind.name());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn ask(&self, question: &str) -> Result<String, String> {
        let place = self.directory.path();
        let (control, vty) = (place.join("control").display().to_string(), place.display().to_string());
        let words = question.split(' ').collect::<Vec<_>>();
        let command = match self.kind {
            Kind::Bird => [&["birdc", "-r", "-s", &control], &*words].concat(),
            Kind::Frr => vec!["vtysh", "--vty_socket", &vty, "-c", question],
            Kind::Gobgp => [&["gobgp"], &*words].concat(),
        };
        run("nsenter", &[&[self.net.as_str()], &*command].concat())
    }

    /// Looks until there are so many routes of ours; when that was.
    pub(crate) fn await_routes(&self, count: usize) -> Instant {
        // On one thread in the namespace, which decides what a look at the kernel's table shows.
        let watch = || {
            let began = Instant::now();
            loop {
                let found = match self.kind {
                    Kind::Bird | Kind::Frr => fib_size().saturating_sub(self.own),
                    Kind::Gobgp => self.in_rib().unwrap_or_else(|why| panic!("{why}")),
                };
                let now = Instant::now();
                if found == count {
                    return now;
                }
                let name = self.kind.name();
                assert!(began.elapsed() < DEADLINE, "{name} has {found} routes, not {count}");
                thread::sleep(self.kind.period());
            }
        };
        self.lab.router.within(watch).expect("a thread in the namespace")
    }

    fn in_kernel(&self) -> usize {
        self.lab.router.within(fib_size).expect("a thread in the namespace")
    }

    fn in_rib(&self) -> Result<usize, String> {
        // "Destination: 3, Path: 3"
        let said = self.ask("global rib summary -a ipv4")?;
        let found = said.split("Destination: ").nth(1).and_then(|rest| rest.split(',').next());
        found.and_then(|number| number.parse().ok()).ok_or(said)
    }
}

impl Drop for Router<'_> {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // Whatever has ended already needs no end.
            let _ended = process.kill();
            let _ended = process.wait();
        }
    }
}

/// The IPv4 routes of the calling thread's namespace, counted by the kernel: nothing is copied, unlike in a dump.
fn fib_size() -> usize {
    let path = "/proc/thread-self/net/fib_triestat";
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let main = text.split("Main:").nth(1).and_then(|main| main.split("Prefixes:").nth(1));
    let count = main.and_then(|rest| rest.split_whitespace().next());
    count
        .and_then(|count| count.parse().ok())
        .unwrap_or_else(|| panic!("{path} has no number of prefixes: {text}"))
}

fn spawn(directory: &Path, net: &str, command: &str) -> Child {
    let log: PathBuf = directory.join("log");
    let log = File::options().create(true).append(true).open(log).expect("a log");
    Command::new("nsenter")
        .arg(net)
        .args(command.split(' '))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{command} does not start: {error}"))
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program} does not run: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {printed}{}", arguments.join(" "), complaint.trim()))
}
