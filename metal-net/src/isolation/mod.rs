//! Leaving the host: the process moves into namespaces of its own, without root where the kernel permits.

mod advice;

use std::{
    cell::Cell,
    ffi::{CStr, CString},
    fmt, fs, io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    ptr,
};

use crate::{Namespace, Network, NetworkError, namespace::check};

/// Moves this process into a network namespace and a mount namespace of its own; without the right to do so, into a
/// user namespace first, where it is root. What happens inside is not seen outside, and ends with the process.
///
/// Call it first thing in `main`: the process must have no other thread yet.
///
/// # Errors
/// The step that failed, the kernel's reason and what to do about it. Some steps may have been made: end the process.
pub fn isolate() -> Result<Isolation, IsolationError> {
    use Step::{
        CountThreads, CreateNamespaces, CreateUserNamespace, DetachMounts, OpenPacketSocket, Threads,
        UseNetwork,
    };
    let mut isolation = Isolation { user_namespace: false, names: Cell::new(false) };
    let threads = fs::read_dir("/proc/self/task").map_err(isolation.at(CountThreads))?.count();
    if threads != 1 {
        return Err(isolation.at(Threads(threads))(io::Error::from_raw_os_error(libc::EINVAL)));
    }
    match unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            // SAFETY: take nothing, always succeed.
            let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
            unshare(libc::CLONE_NEWUSER).map_err(isolation.at(CreateUserNamespace))?;
            isolation.user_namespace = true;
            // In this order: the kernel takes the group only from who has given up setgroups(2).
            isolation.write("/proc/self/setgroups", "deny")?;
            isolation.write("/proc/self/gid_map", &format!("0 {group} 1"))?;
            isolation.write("/proc/self/uid_map", &format!("0 {user} 1"))?;
            unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS).map_err(isolation.at(CreateNamespaces))?;
        }
        done => done.map_err(isolation.at(CreateNamespaces))?,
    }
    mount(None, Path::new("/"), None, libc::MS_REC | libc::MS_PRIVATE).map_err(isolation.at(DetachMounts))?;
    // Some kernels let anybody create these namespaces, and then refuse what they are for.
    Network::open()
        .and_then(|network| network.set_up("lo").map_err(NetworkError::into_reason))
        .map_err(isolation.at(UseNetwork))?;
    socket2::Socket::new(socket2::Domain::PACKET, socket2::Type::RAW, None)
        .map_err(isolation.at(OpenPacketSocket))?;
    Ok(isolation)
}

/// That this process is in namespaces of its own.
#[derive(Debug)]
pub struct Isolation {
    user_namespace: bool,
    /// /run/netns is ours.
    names: Cell<bool>,
}

impl Isolation {
    /// Whether it took a user namespace: the process is root inside only. To look inside, others have to enter it as
    /// well: `nsenter --user --preserve-credentials --mount --net --target PID`.
    #[must_use]
    pub const fn is_user_namespace(&self) -> bool {
        self.user_namespace
    }

    /// Gives a namespace a name for `ip netns exec NAME` and `nsenter --net=PATH` inside; returns the path.
    ///
    /// # Errors
    /// When the name is taken, or /run cannot be written to or replaced.
    pub fn name(&self, namespace: &Namespace, name: &str) -> io::Result<PathBuf> {
        let directory = Path::new("/run/netns");
        let path = directory.join(name);
        let make = || {
            if !self.names.get() {
                mount_over(directory)?;
                self.names.set(true);
            }
            fs::File::create_new(&path)?;
            let source = PathBuf::from(format!("/proc/self/fd/{}", namespace.as_fd().as_raw_fd()));
            mount(Some(&source), &path, None, libc::MS_BIND)
        };
        match make() {
            Ok(()) => Ok(path),
            Err(error) => {
                Err(io::Error::new(error.kind(), format!("cannot make {}: {error}", path.display())))
            }
        }
    }

    fn at(&self, step: Step) -> impl FnOnce(io::Error) -> IsolationError + use<> {
        let user_namespace = self.user_namespace;
        move |source| IsolationError { step, user_namespace, source }
    }

    fn write(&self, path: &'static str, text: &str) -> Result<(), IsolationError> {
        fs::write(path, text).map_err(self.at(Step::MapIds(path)))
    }
}

/// Why [`isolate`] failed. The message has the step, the kernel's reason and what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step}: {source}. {}", advice::advice(*step, *user_namespace, source, &advice::sysctl))]
pub struct IsolationError {
    step: Step,
    /// Whether the user namespace had been made.
    user_namespace: bool,
    source: io::Error,
}

impl IsolationError {
    /// What failed.
    #[must_use]
    pub const fn step(&self) -> Step {
        self.step
    }

    /// The kernel's reason.
    #[must_use]
    pub const fn reason(&self) -> &io::Error {
        &self.source
    }
}

/// A step of [`isolate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reading /proc/self/task.
    CountThreads,
    /// The process has this many threads instead of one.
    Threads(usize),
    /// `unshare(CLONE_NEWUSER)`.
    CreateUserNamespace,
    /// Writing to this file.
    MapIds(&'static str),
    /// `unshare(CLONE_NEWNET | CLONE_NEWNS)`.
    CreateNamespaces,
    /// Keeping our mounts from the host.
    DetachMounts,
    /// Bringing up the loopback interface.
    UseNetwork,
    /// Opening a packet socket.
    OpenPacketSocket,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CountThreads => f.write_str("count the threads of this process in /proc/self/task"),
            Self::Threads(threads) => write!(f, "leave the host's namespaces with {threads} threads running"),
            Self::CreateUserNamespace => f.write_str("create a user namespace"),
            Self::MapIds(path) => write!(f, "become root in the new user namespace (write {path})"),
            Self::CreateNamespaces => f.write_str("create a network namespace and a mount namespace"),
            Self::DetachMounts => f.write_str("make the mounts private in the new mount namespace"),
            Self::UseNetwork => f.write_str("bring up the loopback interface of the new network namespace"),
            Self::OpenPacketSocket => f.write_str("open a packet socket in the new network namespace"),
        }
    }
}

/// Makes `directory` an empty one that only this process and its children see.
fn mount_over(directory: &Path) -> io::Result<()> {
    if fs::create_dir_all(directory).is_err() {
        // We may not write there: put an empty directory in its place.
        mount_tmpfs(directory.parent().unwrap_or(directory))?;
        fs::create_dir_all(directory)?;
    }
    mount_tmpfs(directory)
}

fn mount_tmpfs(target: &Path) -> io::Result<()> {
    mount(Some(Path::new("tmpfs")), target, Some(c"tmpfs"), libc::MS_NOSUID | libc::MS_NODEV)
}

fn mount(source: Option<&Path>, target: &Path, kind: Option<&CStr>, flags: libc::c_ulong) -> io::Result<()> {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from);
    let (source, target) = (source.map(text).transpose()?, text(target)?);
    let pointer = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: each pointer is null, where `mount` takes it, or a C string that outlives the call.
    check(unsafe {
        libc::mount(pointer(source.as_deref()), target.as_ptr(), pointer(kind), flags, ptr::null())
    })
}

fn unshare(namespaces: libc::c_int) -> io::Result<()> {
    // SAFETY: takes no pointers. The process has one thread, so all of it moves.
    check(unsafe { libc::unshare(namespaces) })
}
