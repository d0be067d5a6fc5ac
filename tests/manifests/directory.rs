//! A directory of manifests with a state directory beside it, and the controller on it.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use metal_tests::{
    process::{Process, binary},
    wait::{ensure, wait_for},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Far more than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A pool with one range.
pub(crate) fn pool(name: &str, range: &str) -> String {
    format!(
        "---\napiVersion: metallb.io/v1beta1\nkind: IPAddressPool\n\
         metadata: {{name: {name}, namespace: metallb-system}}\nspec: {{addresses: ['{range}']}}\n"
    )
}

/// A Service, with more metadata where the test needs it.
pub(crate) fn service(name: &str, metadata: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, {metadata}}}\n\
         spec: {{type: LoadBalancer, ports: [{{port: 80}}]}}\n"
    )
}

/// The directory, and how often the controller was started on it.
pub(crate) struct Directory(TempDir, Cell<u32>);

/// The running controller; it ends with the value.
pub(crate) struct Controller(Process);

impl Directory {
    pub(crate) fn new() -> Self {
        let directory = Self(tempfile::tempdir().expect("a temporary directory"), Cell::new(0));
        fs::create_dir(directory.manifests()).expect("a directory for manifests");
        directory
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.0.path().join("manifests")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.manifests().join(file), text).expect("a writable manifest");
    }

    pub(crate) fn remove(&self, file: &str) {
        fs::remove_file(self.manifests().join(file)).expect("a manifest to remove");
    }

    pub(crate) fn start(&self) -> Controller {
        let command = self.command();
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        // A log of its own, so that nobody waits for what an earlier one has said.
        let log = format!("metal-controller-{}", self.1.replace(self.1.get() + 1));
        let controller = Controller(Process::start(self.0.path(), &log, None, &words));
        controller.says("metrics and health on");
        controller
    }

    /// Runs the controller where it is expected to end by itself: exit code and what it said.
    pub(crate) fn run_to_its_end(&self) -> (Option<i32>, String) {
        let command = self.command();
        let output = Command::new(&command[0]).args(&command[1..]).output().expect("a program that runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn command(&self) -> Vec<String> {
        let path = |path: PathBuf| path.display().to_string();
        let own = [path(binary("metal-controller")), "--manifests".into(), path(self.manifests())];
        let state = ["--state".into(), path(self.state()), "--metrics-address".into(), "127.0.0.1:0".into()];
        own.into_iter().chain(state).collect()
    }

    #[track_caller]
    pub(crate) fn has_address(&self, service: &str, address: &str) {
        let file = self.state().join(format!("services/default/{service}.json"));
        wait_for(&format!("{service} to have {address}"), PATIENCE, || {
            let ingress = &read(&file)?["status"]["loadBalancer"]["ingress"];
            ensure(ingress[0]["ip"] == address && ingress[1].is_null(), || ingress.to_string())
        });
    }

    /// What the speaker of a node says of addresses there, in place of what it said before.
    pub(crate) fn speaker_finds(&self, node: &str, findings: &Value) {
        let directory = self.state().join(format!("nodes/{node}/objects/ConfigurationState/metallb-system"));
        fs::create_dir_all(&directory).expect("a directory for a node's state");
        let state = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "ConfigurationState",
            "metadata": {"name": format!("speaker-{node}"), "namespace": "metallb-system"},
            "status": {"networks": [], "findings": findings},
        });
        // By rename, as the speaker does it.
        let temporary = directory.join(".new");
        fs::write(&temporary, state.to_string()).expect("a writable state");
        fs::rename(&temporary, directory.join(format!("speaker-{node}.json"))).expect("a rename");
    }

    /// Waits for the condition `Announced` of a Service, `False AddressConflict`; for none if that is empty.
    #[track_caller]
    pub(crate) fn is_announced(&self, service: &str, expected: &str) {
        let file = self.state().join(format!("services/default/{service}.json"));
        wait_for(&format!("{service} to be announced as {expected:?}"), PATIENCE, || {
            let object = read(&file)?;
            let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let found = conditions.iter().find(|condition| condition["type"] == "Announced");
            let text = |field: &str| found.and_then(|found| found[field].as_str()).unwrap_or_default();
            let now = format!("{} {}", text("status"), text("reason"));
            ensure(now.trim() == expected, || object["status"].to_string())
        });
    }

    #[track_caller]
    pub(crate) fn has_event(&self, service: &str, reason: &str, part: &str) {
        let file = self.state().join("events.jsonl");
        wait_for(&format!("event {reason} about {service}"), PATIENCE, || {
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            let found =
                text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|event| {
                    event["involvedObject"]["name"] == service
                        && event["reason"] == reason
                        && event["message"].as_str().is_some_and(|message| message.contains(part))
                });
            ensure(found, || text)
        });
    }

    #[track_caller]
    pub(crate) fn is_refused(&self, pool: &str, parts: &[&str]) {
        wait_for(&format!("pool {pool} to be refused"), PATIENCE, || {
            let condition = self.accepted(pool)?;
            let message = condition["message"].as_str().unwrap_or_default();
            let fits = condition["status"] == "False" && parts.iter().all(|part| message.contains(part));
            ensure(fits, || condition.to_string())
        });
    }

    #[track_caller]
    pub(crate) fn is_accepted(&self, pool: &str) {
        wait_for(&format!("pool {pool} to be accepted"), PATIENCE, || {
            let condition = self.accepted(pool)?;
            ensure(condition["status"] == "True", || condition.to_string())
        });
    }

    #[track_caller]
    pub(crate) fn has_counters(&self, pool: &str, assigned: u64, available: u64) {
        wait_for(&format!("the counters of {pool}"), PATIENCE, || {
            let status = &read(&self.pool_file(pool))?["status"];
            let fits = status["assignedIPv4"] == assigned && status["availableIPv4"] == available;
            ensure(fits, || status.to_string())
        });
    }

    fn accepted(&self, pool: &str) -> Result<Value, String> {
        let object = read(&self.pool_file(pool))?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions
            .into_iter()
            .find(|condition| condition["type"] == "Accepted")
            .ok_or_else(|| object.to_string())
    }

    fn pool_file(&self, pool: &str) -> PathBuf {
        self.state().join(format!("objects/IPAddressPool/metallb-system/{pool}.json"))
    }

    /// Every file in the state directory with the time of its last write.
    pub(crate) fn written(&self) -> BTreeMap<PathBuf, SystemTime> {
        let mut files = BTreeMap::new();
        let mut directories = vec![self.state()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).expect("a readable state directory") {
                let entry = entry.expect("an entry");
                let metadata = entry.metadata().expect("its metadata");
                if metadata.is_dir() {
                    directories.push(entry.path());
                } else {
                    files.insert(entry.path(), metadata.modified().expect("a time of writing"));
                }
            }
        }
        files
    }
}

impl Controller {
    #[track_caller]
    pub(crate) fn says(&self, part: &str) {
        wait_for(&format!("a log line with {part:?}"), PATIENCE, || {
            let log = self.0.log();
            ensure(log.contains(part), || log)
        });
    }

    /// That nothing of the kind is in the log so far.
    #[track_caller]
    pub(crate) fn never_said(&self, part: &str) {
        let log = self.0.log();
        assert!(!log.contains(part), "{log}");
    }

    /// Ends it with SIGTERM, which must be clean.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.0.terminate();
        wait_for("the controller's end after SIGTERM", PATIENCE, || match self.0.check() {
            Err(end) if end.ends_with("with exit code 0") => Ok(()),
            Err(end) => Err(end),
            Ok(()) => Err("it still runs".to_owned()),
        });
    }
}

fn read(file: &Path) -> Result<Value, String> {
    let text = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.display()))
}
