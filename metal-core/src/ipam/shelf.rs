//! What a pool has of one family, and what of it is free.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::net::IpAddr;

use super::bits::Bits;
use crate::{
    net::{AddressRange, from_bits, to_bits},
    view::Family,
};

/// What a pool has of one family.
///
/// Addresses are kept away from automatic allocation in two ways: one by one in `busy` (in use, held, kept by
/// the network), and as whole ranges by cutting them out of the segments (excluded, reserved).
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    family: Family,
    /// IPv4 addresses that end in .0 and .255 are left alone.
    skips_buggy: bool,
    busy: Bits,
    /// What everybody may get, by range of the pool and first address; up to the last address.
    segments: BTreeMap<Start, u128>,
    /// The segments with a free address.
    open: BTreeSet<Start>,
    /// How many addresses can be given out at all.
    pub(super) capacity: u128,
    /// How many of these are in use.
    pub(super) used: u128,
    /// How many addresses are in use that the pool does not give out (excluded, or left alone).
    pub(super) used_beyond: u128,
}

/// The place of a range in its pool, and the first address of a segment in it.
type Start = (u32, u128);

impl Shelf {
    pub(super) fn new(family: Family, skips_buggy: bool) -> Self {
        Self {
            family,
            skips_buggy: skips_buggy && family == Family::V4,
            busy: Bits::default(),
            segments: BTreeMap::new(),
            open: BTreeSet::new(),
            capacity: 0,
            used: 0,
            used_beyond: 0,
        }
    }

    /// Whether the pool leaves `address` alone because of how it ends.
    pub(super) fn is_buggy(&self, address: IpAddr) -> bool {
        self.skips_buggy && ends_badly(to_bits(address))
    }

    /// How many addresses of `range` the pool does not leave alone because of how they end.
    pub(super) fn usable(&self, range: AddressRange) -> u128 {
        if !self.skips_buggy {
            return range.count();
        }
        // How many that end badly lie below `end`.
        let below = |end: u128| end / 256 * 2 + (end % 256).min(1);
        range.count() - (below(to_bits(range.last()) + 1) - below(to_bits(range.first())))
    }

    /// Whether there is a free address for everybody.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The free address for everybody that is next in turn: first range first, lowest first.
    pub(super) fn next_free(&self) -> Option<IpAddr> {
        let start = self.open.first()?;
        let free = self.free_from(start.1, *self.segments.get(start)?)?;
        Some(from_bits(self.family, free))
    }

    /// The lowest address of `range` that is not busy, whether or not it is for everybody.
    pub(super) fn free_in(&self, range: AddressRange) -> Option<IpAddr> {
        let free = self.free_from(to_bits(range.first()), to_bits(range.last()))?;
        Some(from_bits(self.family, free))
    }

    /// The addresses of `range` that are busy, ascending.
    pub(super) fn busy_in(&self, range: AddressRange) -> impl Iterator<Item = IpAddr> {
        let busy = self.busy.range(to_bits(range.first()), to_bits(range.last()));
        busy.map(|bits| from_bits(self.family, bits))
    }

    /// Keeps `address` of the range `index` away from automatic allocation, or not any more.
    pub(super) fn mark(&mut self, index: u32, address: IpAddr, busy: bool) {
        let bits = to_bits(address);
        if busy {
            self.busy.insert(bits);
            self.close_word(bits);
            if let Some((start, last)) = self.segment_of(index, bits)
                // Mostly the next one is free.
                && self.free_from(bits, last).is_none()
                && self.free_from(start.1, last).is_none()
            {
                self.open.remove(&start);
            }
        } else if !(self.skips_buggy && ends_badly(bits)) {
            self.busy.remove(bits);
            if let Some((start, _)) = self.segment_of(index, bits) {
                self.open.insert(start);
            }
        }
    }

    /// Opens `range`, a part of the range `index` that no segment has, to everybody.
    pub(super) fn restore(&mut self, index: u32, range: AddressRange) {
        let (mut first, mut last) = (to_bits(range.first()), to_bits(range.last()));
        let before = first.checked_sub(1).and_then(|before| self.segment_of(index, before));
        if let Some((start, _)) = before {
            self.remove(start);
            first = start.1;
        }
        let behind = last.checked_add(1).and_then(|behind| self.segment_of(index, behind));
        if let Some((start, end)) = behind {
            self.remove(start);
            last = end;
        }
        self.insert((index, first), last);
    }

    /// Closes `range`, a part of the range `index`, to everybody.
    pub(super) fn cut(&mut self, index: u32, range: AddressRange) {
        let (first, last) = (to_bits(range.first()), to_bits(range.last()));
        let start = self.segment_of(index, first).map_or((index, first), |(start, _)| start);
        let segments = self.segments.range(start..=(index, last));
        let segments: Vec<_> = segments.map(|(start, end)| (*start, *end)).collect();
        for (start, end) in segments {
            self.remove(start);
            if start.1 < first {
                self.insert(start, first - 1);
            }
            if last < end {
                self.insert((index, last + 1), end);
            }
        }
    }

    fn insert(&mut self, start: Start, last: u128) {
        self.segments.insert(start, last);
        if self.free_from(start.1, last).is_some() {
            self.open.insert(start);
        }
    }

    fn remove(&mut self, start: Start) {
        self.segments.remove(&start);
        self.open.remove(&start);
    }

    /// The segment of the range `index` that has this address.
    fn segment_of(&self, index: u32, bits: u128) -> Option<(Start, u128)> {
        let (start, last) = self.segments.range((index, 0)..=(index, bits)).next_back()?;
        (bits <= *last).then_some((*start, *last))
    }

    fn free_from(&self, first: u128, last: u128) -> Option<u128> {
        let mut next = first;
        loop {
            let free = self.busy.first_absent(next).filter(|free| *free <= last)?;
            if !(self.skips_buggy && ends_badly(free)) {
                return Some(free);
            }
            // At most two in a row: a word with a busy address has those that end badly marked as well.
            next = free + 1;
        }
    }

    /// Marks the addresses that end badly beside a busy one, so that its word can become full.
    fn close_word(&mut self, bits: u128) {
        if !self.skips_buggy {
            return;
        }
        match bits & 0xff {
            0..=0x3f => self.busy.insert(bits & !0xff),
            0xc0..=0xff => self.busy.insert(bits | 0xff),
            _ => {}
        }
    }
}

/// Old equipment takes IPv4 addresses that end in .0 and .255 for network and broadcast addresses.
const fn ends_badly(bits: u128) -> bool {
    matches!(bits & 0xff, 0 | 0xff)
}
