use std::time;

use metal_core::Instant;

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
