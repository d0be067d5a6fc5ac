//! The multicast groups in which our IPv6 addresses are asked for.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::Ipv6Addr;

/// Memberships by link, counted: addresses may share a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    /// How many owned addresses are in each.
    wanted: BTreeMap<Key, usize>,
    /// What the driver has been told.
    joined: BTreeSet<Key>,
    /// What may have to be told.
    changed: BTreeSet<Key>,
}

type Key = (u32, Ipv6Addr);

/// What the driver has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Join(u32, Ipv6Addr),
    Leave(u32, Ipv6Addr),
}

impl Groups {
    /// One more address of a link is in a group.
    pub(super) fn add(&mut self, link: u32, group: Ipv6Addr) {
        *self.wanted.entry((link, group)).or_default() += 1;
        self.changed.insert((link, group));
    }

    /// One less.
    pub(super) fn remove(&mut self, link: u32, group: Ipv6Addr) {
        let key = (link, group);
        if let Some(count) = self.wanted.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.wanted.remove(&key);
            }
            self.changed.insert(key);
        }
    }

    /// A link has come or gone.
    pub(super) fn link_changed(&mut self, link: u32) {
        let all = (link, Ipv6Addr::UNSPECIFIED)..=(link, Ipv6Addr::from_bits(u128::MAX));
        self.changed.extend(self.wanted.range(all.clone()).map(|(key, _)| *key));
        self.changed.extend(self.joined.range(all));
    }

    /// Whether the driver may have to be told something.
    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The next thing to tell, where `up` says whether a link is there.
    pub(super) fn poll(&mut self, up: impl Fn(u32) -> bool) -> Option<Change> {
        while let Some(key @ (link, group)) = self.changed.pop_first() {
            let wanted = self.wanted.contains_key(&key) && up(link);
            if wanted && self.joined.insert(key) {
                return Some(Change::Join(link, group));
            }
            if !wanted && self.joined.remove(&key) {
                return Some(Change::Leave(link, group));
            }
        }
        None
    }
}
