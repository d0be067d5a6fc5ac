//! Network namespaces: networks of their own on one host, for the lab and for tests.
//!
//! ```no_run
//! use std::process::Command;
//! use metal_net::{Namespace, isolate};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Without root: first thing in `main`, before any thread.
//! isolate()?;
//! let (switch, host) = (Namespace::new()?, Namespace::new()?);
//! let network = switch.network()?;
//! network.add_bridge("br0")?;
//! network.add_veth("port1", &host, "eth0")?;
//! network.set_bridge("port1", Some("br0"))?;
//! network.set_up("port1")?;
//! host.network()?.add_address("eth0", "192.0.2.1/24".parse()?)?;
//! host.network()?.set_up("eth0")?;
//! let mut child = host.spawn(Command::new("true"))?;
//! # Ok(())
//! # }
//! ```

use std::{
    fs::{self, File},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    panic,
    path::PathBuf,
    process::{self, Command},
    thread,
};

use tokio::runtime::Handle;

use crate::{Child, Network};

/// A network namespace. It has no name and no file: it lives as long as this value, the sockets and the processes in
/// it.
///
/// Making one takes CAP_SYS_ADMIN: root, or a process that has called [`isolate`](crate::isolate).
#[derive(Debug)]
pub struct Namespace(OwnedFd);

impl Namespace {
    /// A new, empty namespace. Its loopback interface is down.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN, or at the limit `user.max_net_namespaces`.
    pub fn new() -> io::Result<Self> {
        // On a thread of its own, which ends with it: no other code runs in a namespace it does not expect.
        run_thread(|| {
            // SAFETY: takes no pointers; only this thread's view changes.
            check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
            Self::current()
        })?
    }

    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn current() -> io::Result<Self> {
        Ok(Self(File::open("/proc/thread-self/ns/net")?.into()))
    }

    /// Runs `f` on a new thread inside and waits for it. A panic of `f` goes on in the caller.
    ///
    /// Sockets that `f` opens stay inside for good: hand them out and use them on any thread. Those of tokio belong to
    /// the caller's runtime, if it has one.
    ///
    /// # Errors
    /// When the thread cannot be started or cannot enter (CAP_SYS_ADMIN).
    pub fn within<T: Send>(&self, f: impl FnOnce() -> T + Send) -> io::Result<T> {
        let runtime = Handle::try_current().ok();
        run_thread(|| {
            let _guard = runtime.as_ref().map(Handle::enter);
            enter(self.0.as_fd())?;
            Ok(f())
        })?
    }

    /// Starts a process inside; see [`Child::spawn_in`].
    ///
    /// # Errors
    /// Those of [`Command::spawn`], and when the process cannot enter (CAP_SYS_ADMIN).
    pub fn spawn(&self, command: Command) -> io::Result<Child> {
        Child::spawn_in(self, command)
    }

    /// Its links, addresses and routes, to be changed.
    ///
    /// # Errors
    /// As [`within`](Self::within).
    pub fn network(&self) -> io::Result<Network> {
        self.within(Network::open)?
    }

    /// Writes a setting below /proc/sys/net, such as `ipv4/conf/eth0/arp_ignore`.
    ///
    /// # Errors
    /// When the setting does not exist here, or /proc/sys is read-only, as in many containers: treat as optional what
    /// can be.
    pub fn set_sysctl(&self, setting: &str, value: &str) -> io::Result<()> {
        // The thread that opens the file decides whose setting it is.
        let path = format!("/proc/sys/net/{setting}");
        self.within(|| fs::write(&path, value))?
            .map_err(|error| io::Error::new(error.kind(), format!("cannot write {value} to {path}: {error}")))
    }

    /// A path to it for other processes, as in `nsenter --net=PATH`. Valid as long as this value is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", process::id(), self.0.as_raw_fd()))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Moves the calling thread into a network namespace. Makes no allocation: it also runs between fork and exec.
pub(crate) fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes no pointers; the descriptor is open while it is borrowed.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })
}

/// The outcome of a system call that returns -1 and sets errno.
pub(crate) fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn run_thread<T: Send>(f: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("namespace".into()).spawn_scoped(scope, f)?;
        Ok(thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
    })
}
