//! Child processes that end with us.

use std::{
    io,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{self, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus},
    time::{Duration, Instant},
};

use tokio::io::{Interest, unix::AsyncFd};

use crate::{
    Namespace,
    namespace::{check, enter},
    poll,
};

/// A child process. Dropping it kills it, and so does the end of this process, however that comes.
#[derive(Debug)]
pub struct Child {
    child: process::Child,
    /// Names this very process even after its number has been given to another.
    pidfd: OwnedFd,
}

/// What can be sent to a [`Child`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end cleanly.
    Terminate,
    /// SIGINT: as Ctrl-C does.
    Interrupt,
    /// SIGKILL: end at once.
    Kill,
    /// SIGSTOP: stand still.
    Stop,
    /// SIGCONT: go on.
    Continue,
}

impl Child {
    /// Starts a process.
    ///
    /// It is killed when the *thread* that started it ends: start children from the main thread, or from one that lives
    /// as long as they shall.
    ///
    /// # Errors
    /// Those of [`Command::spawn`].
    pub fn spawn(command: Command) -> io::Result<Self> {
        Self::start(command, || Ok(()))
    }

    /// Starts a process inside a network namespace; else like [`spawn`](Self::spawn).
    ///
    /// # Errors
    /// Those of [`Command::spawn`], and when the process cannot enter (CAP_SYS_ADMIN).
    pub fn spawn_in(namespace: &Namespace, command: Command) -> io::Result<Self> {
        let namespace = namespace.as_fd().try_clone_to_owned()?;
        Self::start(command, move || enter(namespace.as_fd()))
    }

    /// `prepare` runs between fork and exec: system calls only.
    fn start(
        mut command: Command,
        mut prepare: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let parent = process::id();
        let prepare = move || {
            prepare()?;
            // SAFETY: takes no pointers.
            check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
            // SAFETY: takes nothing, always succeeds.
            let still = unsafe { libc::getppid() };
            // The parent may have died before it was asked for its death.
            if still.cast_unsigned() == parent {
                Ok(())
            } else {
                Err(io::Error::from_raw_os_error(libc::ESRCH))
            }
        };
        // SAFETY: `prepare` makes system calls only; it neither allocates nor takes locks.
        unsafe { command.pre_exec(prepare) };
        let mut child = command.spawn()?;
        match open_pidfd(child.id()) {
            Ok(pidfd) => Ok(Self { child, pidfd }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Its process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input, once, when the command asked for a pipe.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its standard output, once, when the command asked for a pipe.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Its standard error, once, when the command asked for a pipe.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Sends a signal. To a process that has ended it does nothing.
    ///
    /// # Errors
    /// When the process has become another user's.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let number = match signal {
            Signal::Terminate => libc::SIGTERM,
            Signal::Interrupt => libc::SIGINT,
            Signal::Kill => libc::SIGKILL,
            Signal::Stop => libc::SIGSTOP,
            Signal::Continue => libc::SIGCONT,
        };
        let pidfd = self.pidfd.as_raw_fd();
        let no_info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is open; a null pointer stands for the usual information.
        match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, number, no_info, 0) } {
            -1 => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
                error => Err(error),
            },
            _ => Ok(()),
        }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// Those of `waitpid(2)`.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for its end, at most for `timeout`; `None` when it still runs then.
    ///
    /// # Errors
    /// Those of `waitpid(2)`.
    pub fn wait_timeout(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            if left == Duration::ZERO {
                return Ok(None);
            }
            poll::readable(self.pidfd.as_fd(), left)?;
        }
    }

    /// Waits for its end on a tokio runtime. Safe to cancel.
    ///
    /// # Errors
    /// Those of `waitpid(2)`.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            // SAFETY: the borrowed descriptor stays open and the same while `self` is borrowed, and so does this.
            let pidfd = unsafe { AsyncFd::register_with_interest(self.pidfd.as_fd(), Interest::READABLE) }?;
            let _ended = pidfd.readable().await?;
        }
    }

    /// Asks it to end, waits for `grace`, then kills it.
    ///
    /// # Errors
    /// Those of [`signal`](Self::signal) and [`wait_timeout`](Self::wait_timeout).
    pub fn stop(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::Terminate)?;
        if let Some(status) = self.wait_timeout(grace)? {
            return Ok(status);
        }
        self.signal(Signal::Kill)?;
        self.child.wait()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended long ago; then both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn open_pidfd(process: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
    let fd = i32::try_from(fd).unwrap_or(-1);
    check(fd)?;
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
