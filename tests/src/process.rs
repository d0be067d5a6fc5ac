//! Programs: run to the end, or kept running with a log.

use std::fs::{File, OpenOptions};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait::{ensure, wait_for};

/// Runs a program to its end and returns what it printed; its complaint, if it failed.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program} does not run: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}{}", arguments.join(" "), printed, complaint.trim()))
}

/// A running program; it ends when this is dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program, in a network namespace if one is named, with its output appended to a log.
    pub fn start(directory: &Path, name: &str, namespace: Option<&str>, command: &[&str]) -> Self {
        let log = directory.join(format!("{name}.log"));
        let output = OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        // `ip netns exec` replaces itself by the program, which keeps the process id.
        let inside: &[&str] = match namespace {
            Some(namespace) => &["ip", "netns", "exec", namespace],
            None => &[],
        };
        let words: Vec<&str> = inside.iter().chain(command).copied().collect();
        let child = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second handle of the log"))
            .stderr(output)
            // A group of its own, so that a program dies together with what it forked.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", words.join(" ")));
        Self { name: name.to_owned(), child, log }
    }

    /// Whether it still runs; otherwise how it ended.
    pub fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(match (status.code(), status.signal()) {
                (Some(code), _) => format!("{} has ended with exit code {code}", self.name),
                (None, signal) => format!("{} was ended by signal {}", self.name, signal.unwrap_or_default()),
            }),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }

    /// Kills the process and all of its group at once, as a crash would.
    pub fn kill(&mut self) {
        // What it forked is in its group; itself it is killed in any case.
        let _reported_by_wait = self.signal("KILL");
        self.child.kill().and_then(|()| self.child.wait()).expect("a killed process ends");
    }

    /// Asks it to end.
    pub fn terminate(&mut self) {
        self.signal("TERM").unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// The name of its log, which says what it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it as it is, or lets it go on. Returns when no thread of it runs any more: each stops when it next
    /// notices.
    pub fn freeze(&mut self, frozen: bool) {
        let signal = if frozen { "STOP" } else { "CONT" };
        self.signal(signal).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        if frozen {
            wait_for(&format!("{} to stand still", self.name), Duration::from_secs(10), || {
                ensure(self.stands_still(), || "a thread of it runs".to_owned())
            });
        }
    }

    fn stands_still(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let is_stopped = |thread: std::fs::DirEntry| {
            // A thread that is gone does not run either.
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
        };
        threads.into_iter().flatten().flatten().all(is_stopped)
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    fn signal(&mut self, signal: &str) -> Result<(), String> {
        if self.check().is_err() {
            return Ok(());
        }
        // The shell has `kill` built in; this form is the one that every shell understands.
        run("sh", &["-c", &format!("kill -s {signal} -- -{}", self.child.id())]).map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program of this project: in `METAL_BIN_DIR`, else where cargo puts those of the profile that this test
/// was built with.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let directory = std::env::var_os("METAL_BIN_DIR").map_or_else(built, PathBuf::from);
    let program = directory.join(name);
    assert!(
        program.is_file(),
        "there is no {}: run `cargo build --workspace --bins`, or name the directory in METAL_BIN_DIR",
        program.display()
    );
    program
}

fn built() -> PathBuf {
    let own = std::env::current_exe().expect("own path");
    own.ancestors().nth(2).expect("a test lies in target/PROFILE/deps").to_owned()
}

/// The last lines of a file.
pub fn tail(file: &Path, lines: usize) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> std::io::Result<String> {
        let mut file = File::open(file)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024)))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok(String::from_utf8_lossy(&end).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("cannot be read: {error}"));
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
