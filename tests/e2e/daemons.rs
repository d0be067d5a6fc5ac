//! The daemons under test: the controller in the management network, a speaker on every node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::control_plane::{ControlPlane, User};
use crate::rack::NODES;
use metal_tests::process::{Process, binary, run};
use metal_tests::wait::wait_for;

/// The controller, with the rights that `deploy/metal.yaml` gives its service account.
pub(crate) const CONTROLLER: User = User {
    name: "metal-controller",
    identity: "system:serviceaccount:metallb-system:metal-controller",
    groups: SERVICE_ACCOUNTS,
};
/// The speakers, likewise.
pub(crate) const SPEAKER: User = User {
    name: "metal-speaker",
    identity: "system:serviceaccount:metallb-system:metal-speaker",
    groups: SERVICE_ACCOUNTS,
};
const SERVICE_ACCOUNTS: &str = "system:serviceaccounts,system:serviceaccounts:metallb-system";
/// Where every daemon serves its metrics; but for the second controller each has a network namespace of its own.
const METRICS: &str = "127.0.0.1:7472";
/// Where the second controller does.
const METRICS_OF_SECOND: &str = "127.0.0.1:7473";

/// The running daemons.
pub(crate) struct Daemons {
    directory: PathBuf,
    controllers: [Option<Process>; 2],
    speakers: Vec<(&'static str, Option<Process>)>,
}

impl Daemons {
    /// Finds the binaries; starts nothing yet.
    pub(crate) fn find(directory: &Path) -> Self {
        for name in ["metal-controller", "metal-speaker"] {
            let _found = binary(name);
        }
        let speakers = NODES.map(|node| (node, None)).into_iter().collect();
        Self { directory: directory.to_owned(), controllers: [None, None], speakers }
    }

    /// Starts those that do not run, and waits until all are ready.
    pub(crate) fn start(&mut self, plane: &ControlPlane) {
        self.start_controller(plane);
        for node in NODES {
            self.start_speaker(plane, node);
        }
    }

    /// Starts the controller unless it runs, and waits until it is ready.
    pub(crate) fn start_controller(&mut self, plane: &ControlPlane) {
        self.start_replica(plane, 0);
    }

    /// Starts one of the two replicas of the controller unless it runs, and waits until it is ready: until it
    /// leads and has listed everything, or stands by.
    pub(crate) fn start_replica(&mut self, plane: &ControlPlane, replica: usize) {
        self.launch_replica(plane, replica);
        let process = self.controllers[replica].as_mut().expect("a started controller");
        await_ready(process, None, metrics_of(replica));
    }

    /// The same without waiting.
    pub(crate) fn launch_replica(&mut self, plane: &ControlPlane, replica: usize) {
        if !runs(self.controllers[replica].as_mut()) {
            let program = program("metal-controller");
            let kubeconfig = plane.kubeconfig(&CONTROLLER).display().to_string();
            let command = [&program, "--kubeconfig", &kubeconfig, "--metrics-address", metrics_of(replica)];
            let command = [&confined("-all")[..], &command[..]].concat();
            let name = [CONTROLLER.name, "metal-controller-2"][replica];
            self.controllers[replica] = Some(Process::start(&self.directory, name, None, &command));
        }
    }

    /// Whether a replica of the controller is ready at this moment.
    pub(crate) fn is_ready(&mut self, replica: usize) -> Result<(), String> {
        let process = self.controllers[replica].as_mut().expect("a started controller");
        process.check()?;
        let url = format!("http://{}/readyz", metrics_of(replica));
        run("curl", &["-sS", "--fail-with-body", "--noproxy", "*", "--max-time", "2", &url]).map(drop)
    }

    /// Starts a node's speaker unless it runs, and waits until it is ready.
    pub(crate) fn start_speaker(&mut self, plane: &ControlPlane, node: &str) {
        let program = program("metal-speaker");
        let directory = self.directory.clone();
        let slot = self.slot(node);
        if !runs(slot.as_mut()) {
            let name = format!("{}-{node}", SPEAKER.name);
            let kubeconfig = plane.kubeconfig(&SPEAKER).display().to_string();
            let state = directory.join(format!("state-{node}")).display().to_string();
            let cluster = [&program, "--kubeconfig", &kubeconfig, "--metrics-address", METRICS];
            let own = ["--node", node, "--node-state", &state];
            let command = [&confined("-all,+net_raw")[..], &cluster[..], &own[..]].concat();
            *slot = Some(Process::start(&directory, &name, Some(node), &command));
        }
        await_ready(slot.as_mut().expect("a started speaker"), Some(node), METRICS);
    }

    /// The running controller.
    pub(crate) fn controller(&mut self) -> &mut Process {
        self.replica(0)
    }

    /// One of the two replicas of the controller.
    pub(crate) fn replica(&mut self, replica: usize) -> &mut Process {
        self.controllers[replica].as_mut().expect("the controller was started")
    }

    /// Kills the controller at once.
    pub(crate) fn kill_controller(&mut self) {
        self.controller().kill();
    }

    /// Asks the controller to end and waits until it has, which must be a success.
    pub(crate) fn stop_controller(&mut self) {
        self.stop_replica(0);
    }

    /// Asks a replica of the controller to end, if it runs, and waits until it has, which must be a success.
    pub(crate) fn stop_replica(&mut self, replica: usize) {
        if let Some(controller) = &mut self.controllers[replica].take_if(|process| process.check().is_ok()) {
            end(controller);
        }
    }

    /// Asks a node's speaker to end, if it runs, and waits until it has, which must be a success.
    pub(crate) fn stop_speaker(&mut self, node: &str) {
        if let Some(speaker) = &mut self.slot(node).take_if(|process| process.check().is_ok()) {
            end(speaker);
        }
    }

    /// Kills a node's speaker at once, with all that it forked.
    pub(crate) fn kill_speaker(&mut self, node: &str) {
        self.slot(node).as_mut().expect("the speaker was started").kill();
    }

    /// Fails if a daemon has ended.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        self.controllers.iter_mut().flatten().try_for_each(Process::check)?;
        self.speakers.iter_mut().filter_map(|(_, process)| process.as_mut()).try_for_each(Process::check)
    }

    fn slot(&mut self, node: &str) -> &mut Option<Process> {
        let found = self.speakers.iter_mut().find(|(name, _)| *name == node);
        &mut found.unwrap_or_else(|| panic!("there is no node {node}")).1
    }
}

/// A command's prefix that leaves it only some capabilities, as the containers of `deploy/metal.yaml` have.
fn confined(capabilities: &str) -> [&str; 6] {
    ["setpriv", "--no-new-privs", "--bounding-set", capabilities, "--inh-caps", capabilities]
}

fn runs(process: Option<&mut Process>) -> bool {
    process.is_some_and(|process| process.check().is_ok())
}

const fn metrics_of(replica: usize) -> &'static str {
    [METRICS, METRICS_OF_SECOND][replica]
}

/// Asks a process to end and waits until it has, which must be a success.
fn end(process: &mut Process) {
    process.terminate();
    let what = format!("the end of {} after SIGTERM", process.name());
    wait_for(&what, Duration::from_secs(5), || match process.check() {
        Err(end) if end.ends_with("with exit code 0") => Ok(()),
        Err(end) => Err(end),
        Ok(()) => Err("it still runs".to_owned()),
    });
}

fn await_ready(process: &mut Process, namespace: Option<&str>, metrics: &str) {
    let url = format!("http://{metrics}/readyz");
    let options = ["-sS", "--fail-with-body", "--noproxy", "*", "--max-time", "2", &url];
    let inside: Vec<&str> = namespace.map(|node| vec!["netns", "exec", node, "curl"]).unwrap_or_default();
    wait_for(&format!("{url} of {}", process.name()), Duration::from_secs(20), || {
        process.check()?;
        match namespace {
            Some(_) => run("ip", &[&inside[..], &options[..]].concat()),
            None => run("curl", &options),
        }
    });
}

fn program(name: &str) -> String {
    binary(name).display().to_string()
}
