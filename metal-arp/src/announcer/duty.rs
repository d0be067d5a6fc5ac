//! How an address is held, and the paces that go with it.

use core::time::Duration;

/// How an address is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Ask first whether somebody has it: nobody of ours served it until now. What is announced already is never
    /// asked for again.
    pub probe: bool,
    /// The time between two refreshes; `None` for none.
    pub refresh: Option<Duration>,
}

impl Default for Duty {
    /// Announced at once, refreshed every [`REFRESH`].
    fn default() -> Self {
        Self { probe: false, refresh: Some(REFRESH) }
    }
}

/// How an announcer goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// For jitter.
    pub seed: u64,
    /// Frames a second that probes, announcements, defences and what follows them may take on a link, at least one.
    /// When thousands of addresses move at once, each has its first frame before any has its second.
    pub takeover_rate: u32,
    /// Frames a second that refreshes may take on a link, at least one. With more addresses than this allows the time
    /// between two frames for one of them grows.
    pub refresh_rate: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self { seed: 0, takeover_rate: 10_000, refresh_rate: 50 }
    }
}

/// The usual time between two refreshes: well below the five minutes for which most switches remember an address.
pub const REFRESH: Duration = Duration::from_secs(60);

/// The pauses between the rounds of an announcement that follow a takeover: gratuitous ARP as request and reply, or
/// one unsolicited advertisement.
///
/// Rounds are at 0, 0.1, 1.1, 2.2, 3.3 and 4.4 s: those of MetalLB and an early repeat, because when the first
/// frame is lost the clients would go on sending to the old owner for more than a second.
pub const PAUSES: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(1_000),
    Duration::from_millis(1_100),
    Duration::from_millis(1_100),
    Duration::from_millis(1_100),
];

/// Two rounds for one address are at least this far apart, however often its ownership is repeated.
pub const MIN_PAUSE: Duration = Duration::from_millis(100);
