//! Until when a link may be answered on.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use metal_core::Instant;

use crate::{
    clock::boottime,
    fast_path::{FastPathError, SharedCell},
};

/// A time past which nobody answers any more, in [boot time](boottime). Who decides renews it, who answers looks at it: so a
/// thread that decides nothing any more is not answered for by others. It begins in the past.
///
/// It is one number that threads share, and with [`shared_with_kernel`](Self::shared_with_kernel) also a
/// [`FastPath`](crate::FastPath).
#[derive(Debug)]
pub struct Expiry(Place);

/// Where the number is: nanoseconds since the machine started.
#[derive(Debug)]
enum Place {
    Process(AtomicU64),
    Kernel(SharedCell),
}

impl Expiry {
    /// For threads of this process.
    #[must_use]
    pub const fn new() -> Self {
        Self(Place::Process(AtomicU64::new(0)))
    }

    /// For a fast path as well.
    ///
    /// # Errors
    /// Without CAP_BPF, and on kernels that lack what it takes.
    pub fn shared_with_kernel() -> Result<Self, FastPathError> {
        SharedCell::new().map(|cell| Self(Place::Kernel(cell)))
    }

    /// Whether a fast path can look at it.
    #[must_use]
    pub const fn is_shared_with_kernel(&self) -> bool {
        matches!(self.0, Place::Kernel(_))
    }

    /// Answering is allowed for so long from now on.
    pub fn renew(&self, time: Duration) {
        let until = boottime() + time;
        self.number().store(until.as_micros().saturating_mul(1_000), Ordering::Release);
    }

    /// Whether nobody may answer at `now`, in boot time.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        now.as_micros().saturating_mul(1_000) >= self.number().load(Ordering::Acquire)
    }

    pub(crate) const fn cell(&self) -> Option<&SharedCell> {
        match &self.0 {
            Place::Process(_) => None,
            Place::Kernel(cell) => Some(cell),
        }
    }

    fn number(&self) -> &AtomicU64 {
        match &self.0 {
            Place::Process(number) => number,
            Place::Kernel(cell) => cell.number(),
        }
    }
}

impl Default for Expiry {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_in_the_past_and_ends() {
        let expiry = Expiry::new();
        assert!(expiry.is_over(boottime()));
        expiry.renew(Duration::from_secs(60));
        let now = boottime();
        assert!(!expiry.is_over(now));
        assert!(!expiry.is_over(now + Duration::from_secs(59)));
        assert!(expiry.is_over(now + Duration::from_secs(60)));
        expiry.renew(Duration::ZERO);
        assert!(expiry.is_over(boottime()));
    }
}
