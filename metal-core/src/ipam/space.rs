//! The free addresses of one range.

use alloc::collections::BTreeMap;
use core::net::IpAddr;

use crate::{
    net::{AddressRange, from_bits, to_bits},
    view::Family,
};

/// The free addresses of one range, as intervals.
///
/// The lowest interval never starts with an address that is avoided: such addresses are dropped for good
/// when they become the lowest. They may still stand inside of other intervals.
#[derive(Clone, Debug)]
pub(super) struct Space {
    family: Family,
    avoids: bool,
    free: BTreeMap<u128, u128>,
}

impl Space {
    /// The space of `range` with these addresses in use, ascending. `avoids` drops .0 and .255.
    pub(super) fn new(range: AddressRange, avoids: bool, used: impl Iterator<Item = IpAddr>) -> Self {
        let family = range.family();
        let mut space = Self { family, avoids: avoids && family == Family::V4, free: BTreeMap::new() };
        let (mut next, last) = (Some(to_bits(range.first())), to_bits(range.last()));
        for used in used.map(to_bits) {
            if let Some(start) = next.filter(|start| *start < used) {
                space.free.insert(start, used - 1);
            }
            next = used.checked_add(1);
        }
        if let Some(start) = next.filter(|start| *start <= last) {
            space.free.insert(start, last);
        }
        space.trim();
        space
    }

    /// How many addresses of `range` can be given out.
    pub(super) fn usable(range: AddressRange, avoids: bool) -> u128 {
        if !avoids || range.family() == Family::V6 {
            return range.count();
        }
        // How many avoided addresses lie below `end`.
        let below = |end: u128| end / 256 * 2 + (end % 256).min(1);
        range.count() - (below(to_bits(range.last()) + 1) - below(to_bits(range.first())))
    }

    /// The lowest free address.
    pub(super) fn lowest(&self) -> Option<IpAddr> {
        self.free.first_key_value().map(|(start, _)| from_bits(self.family, *start))
    }

    /// Whether `address`, which lies in the range, is left alone.
    pub(super) fn is_avoided(&self, address: IpAddr) -> bool {
        self.avoids && is_buggy(to_bits(address))
    }

    /// Takes an address of the range out of the free ones, if it is there.
    pub(super) fn take(&mut self, address: IpAddr) {
        let bits = to_bits(address);
        let Some((start, end)) = self.free.range(..=bits).next_back().map(|(start, end)| (*start, *end))
        else {
            return;
        };
        if end < bits {
            return;
        }
        if start == bits {
            self.free.remove(&start);
        } else {
            self.free.insert(start, bits - 1);
        }
        if bits < end {
            self.free.insert(bits + 1, end);
        }
        self.trim();
    }

    /// Puts an address of the range, which is not free, back.
    pub(super) fn give(&mut self, address: IpAddr) {
        let bits = to_bits(address);
        if self.avoids && is_buggy(bits) {
            return;
        }
        let end = match bits.checked_add(1).and_then(|next| self.free.remove(&next)) {
            Some(end) => end,
            None => bits,
        };
        let before = bits
            .checked_sub(1)
            .and_then(|before| self.free.range_mut(..=before).next_back().filter(|(_, end)| **end == before));
        match before {
            Some((_, before)) => *before = end,
            None => drop(self.free.insert(bits, end)),
        }
    }

    fn trim(&mut self) {
        if !self.avoids {
            return;
        }
        while let Some(entry) = self.free.first_entry()
            && is_buggy(*entry.key())
        {
            let (start, end) = entry.remove_entry();
            if start < end {
                self.free.insert(start + 1, end);
            }
        }
    }
}

/// Old equipment takes IPv4 addresses that end in .0 and .255 for network and broadcast addresses.
const fn is_buggy(bits: u128) -> bool {
    matches!(bits & 0xff, 0 | 0xff)
}
