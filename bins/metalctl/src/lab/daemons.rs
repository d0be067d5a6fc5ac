//! The real controller and one real speaker per node, as processes.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use metal_net::{Child, Namespace, Signal};

use super::{Stop, console::Console};

/// Where every daemon serves its metrics and health: each has a network namespace of its own.
pub(crate) const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7472);
/// How long a daemon may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many of a daemon's last lines are shown when it ends by itself.
const LAST_LINES: usize = 12;

/// The executables.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    controller: PathBuf,
    speaker: PathBuf,
}

impl Programs {
    /// Looks for them in `directory`, or beside this executable.
    pub(crate) fn find(directory: Option<&Path>) -> Result<Self> {
        let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.parent().map(Path::to_owned));
        let directory = match directory {
            Some(directory) => directory.to_owned(),
            None => beside().context("where metalctl is")?.unwrap_or_default(),
        };
        let program = |name: &str| {
            let path = directory.join(name);
            let missing = || {
                Stop::Refused(format!(
                    "{} is missing: build it with `cargo build -p metal-controller -p metal-speaker`, or say \
                     where it is with --bin-dir",
                    path.display()
                ))
            };
            std::path::absolute(&path).ok().filter(|path| path.is_file()).ok_or_else(missing)
        };
        Ok(Self { controller: program("metal-controller")?, speaker: program("metal-speaker")? })
    }
}

/// The directories that the daemons share.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) manifests: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) logs: PathBuf,
}

/// Starts daemons.
#[derive(Clone, Debug)]
pub(crate) struct Starter {
    pub(crate) programs: Programs,
    pub(crate) places: Places,
    pub(crate) console: Arc<Console>,
}

impl Starter {
    /// Starts the controller.
    pub(crate) fn controller(&self, namespace: &Namespace) -> Result<Daemon> {
        self.start(namespace, "controller", &self.programs.controller, &[])
    }

    /// Starts the speaker of a node.
    pub(crate) fn speaker(&self, namespace: &Namespace, node: &str) -> Result<Daemon> {
        self.speaker_with(namespace, node, &[])
    }

    /// Starts the speaker of a node with further flags.
    pub(crate) fn speaker_with(&self, namespace: &Namespace, node: &str, flags: &[&str]) -> Result<Daemon> {
        let arguments = [&["--node", node], flags].concat();
        self.start(namespace, node, &self.programs.speaker, &arguments)
    }

    fn start(&self, namespace: &Namespace, name: &str, program: &Path, arguments: &[&str]) -> Result<Daemon> {
        let mut command = Command::new(program);
        command
            .arg("--manifests")
            .arg(&self.places.manifests)
            .arg("--state")
            .arg(&self.places.state)
            .args(["--metrics-address", &METRICS.to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is for the lab, which then stops the daemons in order.
            .process_group(0);
        let mut child =
            namespace.spawn(command).with_context(|| format!("cannot start {}", program.display()))?;
        let log = self.places.logs.join(format!("{name}.log"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| log.display().to_string())?;
        let last_lines = Arc::<Mutex<VecDeque<String>>>::default();
        let relay = child.take_stderr().map(|stderr| {
            let relay = Relay {
                source: name.to_owned(),
                console: Arc::clone(&self.console),
                log,
                last_lines: Arc::clone(&last_lines),
            };
            thread::spawn(move || relay.run(BufReader::new(stderr)))
        });
        Ok(Daemon { name: name.to_owned(), child, last_lines, relay })
    }
}

/// A running daemon. Dropping it kills it, and so does the end of the lab.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: String,
    child: Child,
    last_lines: Arc<Mutex<VecDeque<String>>>,
    relay: Option<JoinHandle<()>>,
}

impl Daemon {
    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        self.drain();
        let lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        anyhow::bail!("{} {}; its last lines:\n{}", self.name, ending(status), lines.join("\n"))
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.signal(Signal::Kill).with_context(|| format!("cannot kill {}", self.name))
    }

    /// Asks it to end.
    pub(crate) fn terminate(&mut self) -> Result<()> {
        self.child.signal(Signal::Terminate).with_context(|| format!("cannot ask {} to end", self.name))
    }

    /// Waits for its end after [`kill`](Self::kill) or [`terminate`](Self::terminate).
    pub(crate) fn reap(&mut self) -> Result<()> {
        self.child
            .wait_timeout(PATIENCE)
            .map(drop)
            .with_context(|| format!("cannot wait for {}", self.name))?;
        self.drain();
        Ok(())
    }

    /// Waits until all that it logged has been passed on.
    fn drain(&mut self) {
        if let Some(relay) = self.relay.take() {
            let _ended = relay.join();
        }
    }
}

/// Asks daemons to end and waits until they have; kills those that do not. Returns the names of the latter.
pub(crate) fn stop(daemons: Vec<Daemon>) -> Vec<String> {
    let mut running = daemons;
    for daemon in &running {
        // It fails only when the daemon has ended already.
        let _ended = daemon.child.signal(Signal::Terminate);
    }
    let deadline = Instant::now() + PATIENCE;
    running.retain_mut(|daemon| {
        let left = deadline.saturating_duration_since(Instant::now());
        let ended = matches!(daemon.child.wait_timeout(left), Ok(Some(_)));
        if ended {
            daemon.drain();
        }
        !ended
    });
    running.iter().map(|daemon| daemon.name.clone()).collect()
}

/// Passes on what a daemon logs.
struct Relay {
    source: String,
    console: Arc<Console>,
    log: File,
    last_lines: Arc<Mutex<VecDeque<String>>>,
}

impl Relay {
    fn run(mut self, lines: impl BufRead) {
        for line in lines.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            self.console.log(&self.source, &line);
            // A full disk must not stop a daemon at its log.
            let _unwritten = writeln!(self.log, "{line}");
            let mut last = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
    }
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("has ended with exit code {code}"),
        (None, signal) => format!("was ended by signal {}", signal.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_programs_are_named() {
        let error = Programs::find(Some(Path::new("/nonexistent"))).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Stop::Refused(_))));
        assert!(error.to_string().contains("/nonexistent/metal-controller is missing"), "{error}");
    }

    #[test]
    fn endings_in_words() {
        assert_eq!(ending(ExitStatus::from_raw(2 << 8)), "has ended with exit code 2");
        assert_eq!(ending(ExitStatus::from_raw(9)), "was ended by signal 9");
    }
}
