//! What strangers say about one address of ours on one link.

use core::time::Duration;

use metal_core::Instant;

/// A conflict about one address on one link is reported at most this often.
pub const CONFLICT_PAUSE: Duration = Duration::from_secs(1);

/// One address is defended at most this often (RFC 5227 2.4c).
pub const DEFEND_PAUSE: Duration = Duration::from_secs(10);

/// A conflict about an announced address is over when nobody has claimed it for so long.
pub const QUIET_WHILE_ANNOUNCED: Duration = Duration::from_secs(60);

/// Whether there is a conflict, and what was done about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Conflict {
    /// When a stranger spoke last; `None` without a conflict.
    last: Option<Instant>,
    /// No report before.
    report_from: Instant,
    /// No defence before.
    defend_from: Instant,
    /// The driver knows of it.
    told: bool,
}

impl Conflict {
    /// A stranger claims the address.
    pub(super) const fn hear(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// When a stranger spoke last.
    pub(super) const fn last(&self) -> Option<Instant> {
        self.last
    }

    pub(super) const fn is_open(&self) -> bool {
        self.last.is_some()
    }

    /// Whether it may be reported now.
    pub(super) fn is_news(&self, now: Instant) -> bool {
        now >= self.report_from
    }

    /// A report waits for the driver.
    pub(super) fn reported(&mut self, now: Instant) {
        self.report_from = now + CONFLICT_PAUSE;
    }

    /// The driver has the report.
    pub(super) const fn told(&mut self) {
        self.told = true;
    }

    /// It is over. Whether the driver has to be told.
    pub(super) const fn end(&mut self) -> bool {
        self.last = None;
        core::mem::replace(&mut self.told, false)
    }

    /// Whether the address may be defended now; then not for a while.
    pub(super) fn defend(&mut self, now: Instant) -> bool {
        let may = now >= self.defend_from;
        if may {
            self.defend_from = now + DEFEND_PAUSE;
        }
        may
    }
}
