//! What the driver knows of the addresses that are answered for.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;

use crate::ethernet::Mac;

/// The addresses that are answered for, each with its MAC, and what has to be told.
#[derive(Clone, Debug, Default)]
pub(super) struct Answering {
    told: BTreeMap<Place, Mac>,
    /// What may have to be told.
    changed: BTreeSet<Place>,
}

/// An address on a link.
pub(super) type Place = (u32, IpAddr);

impl Answering {
    /// Something about an address may be different now.
    pub(super) fn change(&mut self, place: Place) {
        self.changed.insert(place);
    }

    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The next thing to tell, where `now` says with which MAC an address is answered for.
    pub(super) fn poll(&mut self, now: impl Fn(Place) -> Option<Mac>) -> Option<(Place, Option<Mac>)> {
        while let Some(place) = self.changed.pop_first() {
            let mac = now(place);
            let before = match mac {
                Some(mac) => self.told.insert(place, mac),
                None => self.told.remove(&place),
            };
            if before != mac {
                return Some((place, mac));
            }
        }
        None
    }
}
