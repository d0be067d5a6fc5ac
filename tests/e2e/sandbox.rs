//! Namespaces around the whole run: when this process ends, however it ends, the kernel ends every
//! process in it and removes every link, namespace and mount that it made.
//!
//! No root is needed where the kernel lets users create user namespaces.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Set inside the sandbox to the directory of the control plane's programs.
const INSIDE: &str = "METAL_E2E_TOOLS";

static LOGS: OnceLock<PathBuf> = OnceLock::new();

/// The programs that the rack is made of; `scripts/setup` installs them.
const PROGRAMS: [&str; 13] = [
    "arping", "bird", "birdc", "curl", "ip", "mount", "ndisc6", "nft", "nginx", "openssl", "setpriv",
    "unshare", "vtysh",
];

/// Re-executes the process in a sandbox; there, returns the directory with etcd and its companions.
pub(crate) fn enter() -> Result<PathBuf, String> {
    if let Some(tools) = std::env::var_os(INSIDE) {
        furnish()?;
        return Ok(tools.into());
    }
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| !is_installed(program)).collect();
    if !missing.is_empty() {
        return Err(format!("not installed: {}; run scripts/setup", missing.join(", ")));
    }
    // Before the sandbox, which has no way out to fetch modules.
    let tools = build_tools()?;
    let root = std::fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let user: &[&str] = if root.unwrap_or(false) { &[] } else { &["--user", "--map-root-user"] };
    let namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let granted = Command::new("unshare").args(user).args(namespaces).arg("true").output();
    match granted {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            return Err(format!(
                "the kernel refuses namespaces to this user: {}. Either run as root, or allow user namespaces \
                 (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, \
                 user.max_user_namespaces above 0)",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        Err(error) => return Err(format!("unshare does not run: {error}")),
    }
    let program = std::env::current_exe().map_err(|error| format!("own path is unknown: {error}"))?;
    let error = Command::new("unshare")
        .args(user)
        .args(namespaces)
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, tools)
        .env("PATH", search_path())
        .exec();
    Err(format!("unshare does not run: {error}"))
}

/// Names the directory that is to vanish when the run is interrupted.
pub(crate) fn remove_when_interrupted(directory: &Path) {
    LOGS.get_or_init(|| directory.to_owned());
}

/// Gives the sandbox its own places for what programs write outside of their directories.
fn furnish() -> Result<(), String> {
    // The first process of a PID namespace ignores signals that it has no handler for.
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime for signals").block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let mut terminate = signal(SignalKind::terminate()).expect("a handler for SIGTERM");
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        });
        if let Some(logs) = LOGS.get() {
            // Its writers still run; what they add in this moment stays.
            let _best_effort = std::fs::remove_dir_all(logs);
        }
        std::process::exit(130);
    });
    for directory in ["/run", "/var/lib/nginx", "/var/log/nginx"] {
        if Path::new(directory).is_dir() {
            metal_tests::process::run("mount", &["-t", "tmpfs", "tmpfs", directory])?;
        }
    }
    std::fs::create_dir("/run/netns").map_err(|error| format!("/run/netns: {error}"))?;
    let groups = std::fs::read_to_string("/etc/group").map_err(|error| format!("/etc/group: {error}"))?;
    std::fs::write("/run/group", let_root_join(&groups)).map_err(|error| format!("/run/group: {error}"))?;
    metal_tests::process::run("mount", &["--bind", "/run/group", "/etc/group"]).map(drop)
}

/// FRR runs only as somebody who is in its group, and root may be the only user there is.
fn let_root_join(groups: &str) -> String {
    let joined = groups.lines().map(|line| match line.strip_prefix("frrvty:") {
        Some(_) => format!("{},root\n", line.trim_end_matches(',')),
        None => format!("{line}\n"),
    });
    joined.collect()
}

/// `tests/tools/build` builds the control plane, unless it is there, and prints where it is.
fn build_tools() -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/build");
    let output = Command::new(&script)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{} does not run: {error}", script.display()))?;
    if !output.status.success() {
        return Err(format!("{} failed, see above", script.display()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().into())
}

fn is_installed(program: &str) -> bool {
    std::env::split_paths(&search_path()).any(|directory| directory.join(program).is_file())
}

/// The caller's path and the administrator's, where Debian keeps `nginx` and `nft`.
fn search_path() -> String {
    let own = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    format!("{own}:/usr/sbin:/sbin")
}
