//! The clock that goes on while the machine sleeps.

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
