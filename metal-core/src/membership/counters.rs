//! What came in and what was refused, for metrics.

use super::beacon::{Kind, Refused};

/// Counters of all links together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    received: [u64; 4],
    sent: [u64; 4],
    refused: [u64; Refused::ALL.len()],
    /// Times a member was missed and probed.
    pub suspected: u64,
    /// Times a probed member answered.
    pub cleared: u64,
    /// Times this process was itself too late to judge others.
    pub starved: u64,
}

impl Counters {
    /// Frames of a kind that were believed.
    #[must_use]
    pub const fn received(&self, kind: Kind) -> u64 {
        self.received[index(kind)]
    }

    /// Frames of a kind that were sent.
    #[must_use]
    pub const fn sent(&self, kind: Kind) -> u64 {
        self.sent[index(kind)]
    }

    /// Frames that were not believed, by reason.
    pub fn refused(&self) -> impl Iterator<Item = (Refused, u64)> {
        Refused::ALL.into_iter().zip(self.refused)
    }

    pub(super) const fn count_received(&mut self, kind: Kind) {
        self.received[index(kind)] += 1;
    }

    pub(super) const fn count_sent(&mut self, kind: Kind) {
        self.sent[index(kind)] += 1;
    }

    pub(super) fn count_refused(&mut self, reason: Refused) {
        for (known, count) in Refused::ALL.into_iter().zip(&mut self.refused) {
            *count += u64::from(known == reason);
        }
    }
}

const fn index(kind: Kind) -> usize {
    match kind {
        Kind::Beacon => 0,
        Kind::Probe => 1,
        Kind::Answer => 2,
        Kind::Farewell => 3,
    }
}
