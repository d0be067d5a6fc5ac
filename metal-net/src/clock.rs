//! The clocks that machines are given: one of a process, and one that goes on while the machine sleeps.

use std::time;

use metal_core::Instant;

/// The time since the machine started (`CLOCK_BOOTTIME`). Unlike the monotonic clock it counts the time that the machine
/// was suspended: what is over by the clocks of others is over by this one, too.
///
/// # Panics
/// On a kernel without this clock; Linux has it since 2.6.39.
#[must_use]
pub fn boottime() -> Instant {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is that of a live `timespec`, which the call fills.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    assert_eq!(done, 0, "CLOCK_BOOTTIME: {}", std::io::Error::last_os_error());
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    Instant::from_micros(seconds.unwrap_or(0) * 1_000_000 + nanos.unwrap_or(0) / 1_000)
}

/// The clock of a daemon: monotonic, with its origin at the start of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clock(time::Instant);

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(time::Instant::now())
    }

    /// The time now, as the machines see it.
    #[must_use]
    pub fn now(self) -> Instant {
        Instant::from_micros(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The time at its origin, in microseconds since 1970.
    #[must_use]
    pub fn epoch(self) -> u64 {
        let now = time::SystemTime::now().duration_since(time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.saturating_sub(self.0.elapsed()).as_micros()).unwrap_or(u64::MAX)
    }

    /// Waits until `deadline`; for ever without one.
    pub async fn until(self, deadline: Option<Instant>) {
        match deadline {
            Some(deadline) => tokio::time::sleep(deadline.since(self.now())).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on() {
        let before = boottime();
        assert!(before > Instant::ZERO);
        while boottime() == before {}
        assert!(boottime() > before);
    }
}
