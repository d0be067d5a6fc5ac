//! What an announcer counts.

use core::ops::AddAssign;

use crate::silence::Silence;

/// What was done for one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests or solicitations for it that deserved an answer, counted when its turn to be sent has come.
    pub requests: u64,
    /// Answers handed to the driver.
    pub responses: u64,
    /// Frames that say unasked where it is, handed to the driver: gratuitous ARP, of which a round is two, and
    /// unsolicited advertisements, of announcements, defences and refreshes, to everybody or to a late requester.
    pub gratuitous: u64,
    /// Questions whether somebody has it, handed to the driver.
    pub probes: u64,
    /// Frames in which another station claimed it, or asked for it in order to use it.
    pub conflicts: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, rhs: Self) {
        self.requests += rhs.requests;
        self.responses += rhs.responses;
        self.gratuitous += rhs.gratuitous;
        self.probes += rhs.probes;
        self.conflicts += rhs.conflicts;
    }
}

/// Frames without an answer, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops([u64; Silence::ALL.len()]);

impl Drops {
    /// How many frames were dropped for `reason`.
    #[must_use]
    pub const fn get(&self, reason: Silence) -> u64 {
        self.0[reason.index()]
    }

    /// Every reason with its count, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (Silence, u64)> + '_ {
        Silence::ALL.into_iter().zip(self.0.iter().copied())
    }

    pub(crate) const fn count(&mut self, reason: Silence) {
        self.0[reason.index()] += 1;
    }
}
