//! Waiting for descriptors outside of a runtime.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
    time::Duration,
};

/// Waits for several descriptors at once. Nothing is allocated per call once it has seen as many.
#[derive(Default)]
pub struct Poll {
    entries: Vec<libc::pollfd>,
}

impl Poll {
    /// Waits until one of `fds` is readable or has an error, at most for `timeout` (`None`: for ever). It may come early,
    /// with nothing ready.
    ///
    /// # Errors
    /// Those of `ppoll(2)`, but not an interruption.
    pub fn wait<'a>(
        &mut self,
        fds: impl IntoIterator<Item = BorrowedFd<'a>>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let entry =
            |fd: BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        self.entries.clear();
        self.entries.extend(fds.into_iter().map(entry));
        ppoll(&mut self.entries, timeout).map(drop)
    }

    /// Whether the descriptor at this position of the latest [`wait`](Self::wait) is readable or has an error.
    #[must_use]
    pub fn is_ready(&self, position: usize) -> bool {
        self.entries.get(position).is_some_and(|entry| entry.revents != 0)
    }

    /// Whether it has an error.
    #[must_use]
    pub fn has_failed(&self, position: usize) -> bool {
        self.entries.get(position).is_some_and(|entry| entry.revents & !libc::POLLIN != 0)
    }
}

/// Ends the waiting of another thread: a descriptor that is readable from [`wake`](Self::wake) to [`clear`](Self::clear).
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    /// Not woken yet.
    ///
    /// # Errors
    /// Those of `eventfd(2)`.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else has.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Wakes whoever waits, or will wait next.
    pub fn wake(&self) {
        let one = 1_u64;
        // SAFETY: eight bytes of a live number. It fails only when it has been woken 2^64 - 2 times already.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }

    /// Has been heard.
    pub fn clear(&self) {
        let mut count = 0_u64;
        // SAFETY: eight bytes of a live number. It fails only when nobody has woken.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until `fd` is readable or has an error, at most for `timeout`. `false` means neither; it may come early.
pub(crate) fn readable(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let mut entry = [libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    ppoll(&mut entry, Some(timeout)).map(|ready| ready > 0)
}

/// How many entries are ready; none after an interruption.
fn ppoll(entries: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<libc::c_int> {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let count = libc::nfds_t::try_from(entries.len()).map_err(io::Error::other)?;
    // SAFETY: so many entries and the timeout, all alive during the call; a null timeout is none, and a null signal mask
    // changes none.
    let ready = unsafe { libc::ppoll(entries.as_mut_ptr(), count, timeout, ptr::null()) };
    match ready {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => {
                entries.iter_mut().for_each(|entry| entry.revents = 0);
                Ok(0)
            }
            error => Err(error),
        },
        count => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_woken_is_ready_until_it_has_heard() {
        let (one, other) = (Waker::new().expect("a descriptor"), Waker::new().expect("a descriptor"));
        let mut poll = Poll::default();
        let mut look = |timeout| {
            poll.wait([one.as_fd(), other.as_fd()], timeout).expect("polled");
            [poll.is_ready(0), poll.is_ready(1), poll.has_failed(0), poll.is_ready(2)]
        };
        assert_eq!(look(Some(Duration::ZERO)), [false; 4]);
        other.wake();
        other.wake();
        assert_eq!(look(None), [false, true, false, false]);
        other.clear();
        assert_eq!(look(Some(Duration::from_millis(1))), [false; 4]);
        other.clear();
    }
}
