//! How long to wait: jitter, and pauses that grow.

use core::time::Duration;

/// A small generator for jitter (SplitMix64): the same seed gives the same pauses.
#[derive(Clone, Debug)]
pub(super) struct Jitter(pub(super) u64);

impl Jitter {
    /// A part of `time`, between `from` and `to` percent of it.
    pub(super) fn percent(&mut self, time: Duration, from: u32, to: u32) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // In thousandths of a percent, so that many nodes rarely choose the same.
        let spread = u64::from(to.saturating_sub(from)) * 1_000 + 1;
        let part = u32::try_from(mixed % spread).unwrap_or_default().saturating_add(from * 1_000);
        time.saturating_mul(part) / 100_000
    }

    /// The pause after this many failures: 1, 2, 4 ... seconds and a quarter more or less, at most `limit`.
    pub(super) fn pause(&mut self, failures: u32, limit: Duration) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = FIRST_PAUSE.saturating_mul(doubled);
        if pause < limit { self.percent(pause, 75, 125).min(limit) } else { self.percent(limit, 75, 100) }
    }

    /// Until the next KEEPALIVE: three quarters of the time or more, and never less than a second (RFC 4271 4.4).
    pub(super) fn keepalive(&mut self, time: Duration) -> Duration {
        self.percent(time, 75, 100).max(Duration::from_secs(1))
    }
}

/// After the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let mut jitter = Jitter(7);
        let limit = Duration::from_secs(60);
        for (failures, middle) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32)] {
            let middle = Duration::from_secs(middle);
            for _ in 0..1_000 {
                let pause = jitter.pause(failures, limit);
                assert!(pause >= middle * 3 / 4 && pause <= middle * 5 / 4, "{failures}: {pause:?}");
            }
        }
        for failures in [7, 8, 31, 32, 33, u32::MAX] {
            let pause = jitter.pause(failures, limit);
            assert!(pause >= limit * 3 / 4 && pause <= limit, "{failures}: {pause:?}");
        }
        assert!(jitter.pause(1, Duration::from_millis(1_100)) <= Duration::from_millis(1_100));
    }

    #[test]
    fn keepalives_come_early_never_late() {
        let mut jitter = Jitter(7);
        for seconds in [1, 3, 30] {
            let time = Duration::from_secs(seconds);
            for _ in 0..1_000 {
                let until = jitter.keepalive(time);
                assert!(until <= time && until >= (time * 3 / 4).max(Duration::from_secs(1)), "{until:?}");
            }
        }
    }

    #[test]
    fn the_seed_decides() {
        let pauses = |seed: u64| {
            let mut jitter = Jitter(seed);
            (1..9).map(|failures| jitter.pause(failures, Duration::from_secs(60))).collect::<Vec<_>>()
        };
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(100));
    }
}
