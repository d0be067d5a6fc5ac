//! One peer of a group: how far it has come, and what it has against the rule.

use alloc::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::log::{Cursor, Had, Stream};
use crate::wire::{Families, Family};

/// A peer with a session.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// None until it is told the first route.
    pub(super) cursors: Option<[Cursor; 2]>,
    /// The dump that it is being told.
    pub(super) reading: Option<Reading>,
    pub(super) own: Own,
    /// Withdrawals in a row.
    pub(super) streak: usize,
    /// The families whose End-of-RIB marker is still to be sent.
    pub(super) end_of_rib: Families,
    /// The families that it wants to be told again.
    pub(super) refresh: Families,
    /// The one that it is being told again.
    pub(super) refreshing: Option<Family>,
    /// Whether beginning and end of a refresh are marked.
    pub(super) enhanced_refresh: bool,
}

/// The place in a dump.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) dump: u64,
    pub(super) page: usize,
    /// What it has of the prefixes that are still to come.
    pub(super) has: Before,
}

/// What a peer has before it is told a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing: the session is new.
    Nothing,
    /// All of it, but it asked for it.
    Again,
}

impl Before {
    pub(super) const fn had(self) -> Had {
        match self {
            Self::Nothing => Had::Nothing,
            Self::Again => Had::Again,
        }
    }
}

/// Prefixes of which a peer has something else than its place in the log says, since they changed again before they
/// could be told.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    has: BTreeMap<IpNet, Had>,
    /// Those that may have to be told.
    owed: BTreeSet<IpNet>,
    /// Those of them that are withdrawn when everything else is told.
    late: BTreeSet<IpNet>,
}

impl Own {
    pub(super) fn is_empty(&self) -> bool {
        self.has.is_empty()
    }

    /// What the peer has of a prefix, if it is against the rule.
    pub(super) fn get(&self, prefix: &IpNet) -> Option<&Had> {
        self.has.get(prefix)
    }

    /// Notes what the peer has, if nothing is noted, and that it may want to be told.
    pub(super) fn note(&mut self, prefix: IpNet, has: impl FnOnce() -> Had) {
        self.has.entry(prefix).or_insert_with(has);
        self.owe(prefix);
    }

    /// The prefix has changed: if it is noted, which is the answer, the peer may want to be told.
    pub(super) fn touch(&mut self, prefix: IpNet) -> bool {
        let noted = self.has.contains_key(&prefix);
        if noted {
            self.owe(prefix);
        }
        noted
    }

    fn owe(&mut self, prefix: IpNet) {
        self.owed.insert(prefix);
        self.late.remove(&prefix);
    }

    /// It is told after everything else.
    pub(super) fn postpone(&mut self, prefix: IpNet) {
        self.owed.remove(&prefix);
        self.late.insert(prefix);
    }

    /// The rule holds again.
    pub(super) fn clear(&mut self, prefix: &IpNet) {
        self.has.remove(prefix);
        self.owed.remove(prefix);
        self.late.remove(prefix);
    }

    /// The peer has been told this, which a batch in front of it still says as well.
    pub(super) fn told(&mut self, prefix: IpNet, has: Had) {
        self.clear(&prefix);
        self.has.insert(prefix, has);
    }

    /// What may have to be told now, or at last.
    pub(super) fn owed(&self, late: bool) -> &BTreeSet<IpNet> {
        if late { &self.late } else { &self.owed }
    }
}

impl Member {
    /// A peer that has just come.
    pub(super) fn new(families: Families, enhanced_refresh: bool) -> Self {
        Self {
            cursors: None,
            reading: None,
            own: Own::default(),
            streak: 0,
            end_of_rib: families,
            refresh: Families::NONE,
            refreshing: None,
            enhanced_refresh,
        }
    }

    pub(super) fn set_cursor(&mut self, stream: Stream, cursor: Cursor) {
        if let Some(cursors) = &mut self.cursors {
            cursors[stream as usize] = cursor;
        }
    }

    /// Whether all before this place has been told. Who is told everything from the beginning has passed whatever is
    /// in the log.
    pub(super) fn has_passed(&self, stream: Stream, place: Cursor) -> bool {
        self.cursors.is_none_or(|cursors| cursors[stream as usize] > place)
    }
}
