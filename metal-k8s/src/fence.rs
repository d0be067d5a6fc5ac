//! What keeps a controller that does not lead any more from writing.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use metal_core::Instant;

/// Until when writes may be sent, by a clock that counts the time that the machine sleeps. It is looked at right before
/// each of them: a process that was paused beyond that time writes nothing when it goes on.
///
/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Fence {
    until: Arc<AtomicU64>,
    clock: fn() -> Instant,
}

impl Fence {
    /// A fence that lets nothing through yet, on this clock.
    #[must_use]
    pub fn new(clock: fn() -> Instant) -> Self {
        Self { until: Arc::default(), clock }
    }

    /// Lets writes through as long as the time is before `until`.
    pub fn open(&self, until: Instant) {
        self.until.store(until.as_micros(), Ordering::Release);
    }

    /// Lets nothing through from now on.
    pub fn close(&self) {
        self.open(Instant::ZERO);
    }

    /// Whether a write may be sent now.
    pub(crate) fn is_open(&self) -> bool {
        (self.clock)().as_micros() < self.until.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fence").field("until", &self.until).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_open_until_its_time() {
        let fence = Fence::new(|| Instant::from_micros(5));
        assert!(!fence.is_open());
        fence.open(Instant::from_micros(6));
        assert!(fence.clone().is_open());
        fence.open(Instant::from_micros(5));
        assert!(!fence.is_open());
        fence.open(Instant::from_micros(9));
        fence.close();
        assert!(!fence.is_open());
    }
}
