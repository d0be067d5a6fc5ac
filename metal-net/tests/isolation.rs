//! Leaving the host's namespaces: as root, as a user without any right, and where the kernel refuses.
//!
//! A process can leave only before it starts a thread, so each case is this program run again.

mod lan;

use std::{
    env, fs,
    io::{self, Read, Write},
    net::{IpAddr, UdpSocket},
    os::unix::fs::MetadataExt,
    process::{Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
};

use lan::DEADLINE;
use metal_net::{Child, Namespace, isolate};

/// Names the case to a process that has been started for it.
const CASE: &str = "METAL_NET_ISOLATION_CASE";
/// The user without any right.
const NOBODY: libc::uid_t = 65534;

/// The cases: their names, and what they do.
const CASES: [(&str, fn()); 7] = [
    ("root gets a network of its own", as_root),
    ("nobody gets a network of its own", as_nobody),
    ("a refused user namespace is told", refused),
    ("denied capabilities are told", denied),
    ("a process with threads is told", with_threads),
    ("children die with their parent", parent_of_a_child),
    ("networks end with the process", nothing_remains),
];

fn main() -> ExitCode {
    if let Ok(case) = env::var(CASE) {
        let (_, run) = CASES.iter().find(|(name, _)| *name == case).expect("a known case");
        run();
        return ExitCode::SUCCESS;
    }
    // SAFETY: takes nothing, always succeeds.
    if unsafe { libc::geteuid() } != 0 {
        say("These tests become several users and build networks: run them as root");
        return ExitCode::FAILURE;
    }
    let mut failed = 0;
    for (name, _) in CASES {
        let outcome = rerun(name);
        say(&format!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" }));
        if let Err(why) = outcome {
            failed += 1;
            say(&why);
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one case in a process of its own, and reads its output until nobody holds it open any more.
fn rerun(case: &str) -> Result<(), String> {
    let (mut output, writer) = io::pipe().map_err(|error| error.to_string())?;
    let again = writer.try_clone().map_err(|error| error.to_string())?;
    let mut command = Command::new(env::current_exe().map_err(|error| error.to_string())?);
    command.env(CASE, case).stdin(Stdio::null()).stdout(writer).stderr(again);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    drop(command);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = output.read_to_string(&mut text);
        let _ = sender.send(read.map(|_| text));
    });
    let text = receiver.recv_timeout(DEADLINE);
    if text.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    match text {
        Err(_) => Err("it, or a child of its, still holds its output".into()),
        Ok(Err(error)) => Err(error.to_string()),
        // Aborting is how the parent of a child dies.
        Ok(Ok(_)) if status.success() || status.code().is_none() && case.contains("parent") => Ok(()),
        Ok(Ok(text)) => Err(format!("{status}\n{text}")),
    }
}

fn as_root() {
    let isolation = isolate().expect("isolated");
    assert!(!isolation.is_user_namespace());
    build_a_lan(&isolation);
}

fn as_nobody() {
    become_nobody();
    let isolation = isolate().expect("isolated");
    assert!(isolation.is_user_namespace());
    build_a_lan(&isolation);
}

/// A bridge, two hosts on it, a datagram from one to the other, names, settings and a process.
fn build_a_lan(isolation: &metal_net::Isolation) {
    let switch = Namespace::new().expect("a namespace");
    let network = switch.network().expect("a netlink socket");
    network.add_bridge("br0").expect("a bridge");
    let hosts = ["a", "b"].map(|name| {
        let host = Namespace::new().expect("a namespace");
        network.add_veth(name, &host, "eth0").expect("a veth pair");
        network.set_bridge(name, Some("br0")).expect("a port");
        network.set_up(name).expect("up");
        let port = host.network().expect("a netlink socket");
        let last = name.as_bytes()[0];
        port.set_mac("eth0", [2, 0, 0, 0, 0, last]).expect("an Ethernet address");
        let address = ipnet::IpNet::new(IpAddr::from([192, 0, 2, last]), 24).expect("a prefix");
        port.add_address("eth0", address).expect("an address");
        port.set_up("eth0").expect("up");
        host.set_sysctl("ipv4/conf/eth0/arp_ignore", "1").expect("a setting");
        let path = isolation.name(&host, name).expect("a name");
        let inode = host.within(|| fs::metadata("/proc/thread-self/ns/net").map(|found| found.ino()));
        assert_eq!(fs::metadata(path).expect("its file").ino(), inode.expect("a thread").expect("its inode"));
        host
    });
    let [a, b] = &hosts;
    let bind = |host: &Namespace| {
        let socket = host.within(|| UdpSocket::bind("0.0.0.0:9")).expect("a thread").expect("a socket");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        socket
    };
    let (here, there) = (bind(a), bind(b));
    here.send_to(b"hello", (IpAddr::from([192, 0, 2, b'b']), 9)).expect("sent");
    there.recv_from(&mut [0; 8]).expect("received");
    let mut command = Command::new("true");
    command.stdin(Stdio::null());
    let status = a.spawn(command).expect("a process").wait_timeout(DEADLINE).expect("waited");
    assert!(status.expect("it ends").success());
}

fn refused() {
    become_nobody();
    refuse_unshare(libc::CLONE_NEWUSER);
    let message = isolate().expect_err("refused").to_string();
    assert!(message.starts_with("cannot create a user namespace: Operation not permitted"), "{message}");
    assert!(message.contains("run as root"), "{message}");
}

fn denied() {
    become_nobody();
    refuse_unshare(libc::CLONE_NEWNET);
    let message = isolate().expect_err("denied").to_string();
    assert!(message.starts_with("cannot create a network namespace and a mount namespace"), "{message}");
    assert!(message.contains("capabilities inside it are denied"), "{message}");
    assert!(message.contains("kernel.apparmor_restrict_unprivileged_userns"), "{message}");
}

fn with_threads() {
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = thread::spawn(move || stopped.recv());
    let message = isolate().expect_err("refused").to_string();
    assert!(message.contains("with 2 threads running"), "{message}");
    drop(stop);
    let _ = thread.join();
}

/// The child inherits this process's output; who reads it sees the end only when both are gone.
fn parent_of_a_child() {
    let mut command = Command::new("sleep");
    command.arg("1000");
    let _child = std::mem::ManuallyDrop::new(Child::spawn(command).expect("a process"));
    std::process::abort();
}

/// Names are files in a directory that the host does not see.
fn nothing_remains() {
    let list = || fs::read_dir("/run/netns").map_or(0, Iterator::count);
    let before = list();
    rerun_as("root gets a network of its own");
    assert_eq!(list(), before);
}

fn rerun_as(case: &str) {
    if let Err(why) = rerun(case) {
        panic!("{why}");
    }
}

fn become_nobody() {
    // SAFETY: take no pointers but an unused one with a length of zero; there is one thread only.
    let done = unsafe {
        [
            libc::setgroups(0, std::ptr::null()),
            libc::setgid(NOBODY),
            libc::setuid(NOBODY),
            // Else /proc/self belongs to root after a change of user.
            libc::prctl(libc::PR_SET_DUMPABLE, 1),
        ]
    };
    assert_eq!(done, [0; 4], "{}", io::Error::last_os_error());
}

/// From now on `unshare` with this flag fails with EPERM, as where a security module or a container forbids it.
fn refuse_unshare(flag: libc::c_int) {
    let load = |at: usize| libc::sock_filter {
        code: 0x20, // BPF_LD | BPF_W | BPF_ABS
        jt: 0,
        jf: 0,
        k: u32::try_from(at).expect("an offset"),
    };
    let jump = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let argument =
        std::mem::offset_of!(libc::seccomp_data, args) + if cfg!(target_endian = "big") { 4 } else { 0 };
    let mut program = [
        load(std::mem::offset_of!(libc::seccomp_data, nr)),
        jump(0x15, u32::try_from(libc::SYS_unshare).expect("a number"), 0, 3), // BPF_JMP | BPF_JEQ | BPF_K
        load(argument),
        jump(0x45, flag.cast_unsigned(), 0, 1), // BPF_JMP | BPF_JSET | BPF_K
        jump(0x06, libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned(), 0, 0), // BPF_RET
        jump(0x06, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: 6, filter: program.as_mut_ptr() };
    // SAFETY: the program outlives the call, which copies it.
    let done = unsafe {
        [
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program),
        ]
    };
    assert_eq!(done, [0; 2], "{}", io::Error::last_os_error());
}

fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
