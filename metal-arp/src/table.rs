//! A map from IP address to anything, for the packet path.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

/// A hash table keyed by IP address whose look-up costs the same with one address and with many thousands.
///
/// The keys are what the configuration gives us, never what a stranger sends, so the hash needs no secret:
/// a flood of requests can only look up. Neighbouring addresses fall far apart, and at most every second slot
/// is taken, so runs stay short whatever is asked for.
#[derive(Clone, Debug)]
pub struct Table<K, V> {
    /// Open addressing with linear probing; a power of two of them, or none.
    slots: Vec<Slot>,
    entries: Vec<(K, V)>,
}

/// An address as the key of a [`Table`].
pub trait Key: Copy + Eq {
    /// Whether different addresses always have different tags.
    const EXACT: bool;

    /// The address in 32 bits, well spread in the upper ones.
    fn tag(self) -> u32;
}

impl Key for Ipv4Addr {
    const EXACT: bool = true;

    /// Fibonacci hashing; the factor is odd, so no two addresses collide.
    #[inline]
    fn tag(self) -> u32 {
        self.to_bits().wrapping_mul(0x9e37_79b9)
    }
}

impl Key for Ipv6Addr {
    const EXACT: bool = false;

    #[inline]
    fn tag(self) -> u32 {
        let bits = self.to_bits();
        let low = u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
        let high = u64::try_from(bits >> 64).unwrap_or_default();
        let mixed = high.wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(32) ^ low;
        u32::try_from(mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).unwrap_or_default()
    }
}

/// Where the entry of an address is. Small, so that a look-up touches one cache line, for IPv6 two.
#[derive(Clone, Copy, Debug)]
struct Slot {
    tag: u32,
    /// Into `entries`, or [`FREE`].
    entry: u32,
}

const FREE: u32 = u32::MAX;
const EMPTY: Slot = Slot { tag: 0, entry: FREE };
const FIRST_SLOTS: usize = 16;

impl<K: Key, V> Table<K, V> {
    /// Without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: Vec::new(), entries: Vec::new() }
    }

    /// How many addresses are in it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no address is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether `address` is in it.
    #[must_use]
    #[inline]
    pub fn contains(&self, address: K) -> bool {
        self.find(address).is_some()
    }

    /// The value of `address`.
    #[must_use]
    pub fn get(&self, address: K) -> Option<&V> {
        let (_, value) = self.entries.get(self.position(address)?)?;
        Some(value)
    }

    /// The value of `address`, to change.
    #[must_use]
    pub fn get_mut(&mut self, address: K) -> Option<&mut V> {
        let position = self.position(address)?;
        let (_, value) = self.entries.get_mut(position)?;
        Some(value)
    }

    /// The value of `address`, which was found at `position`: much quicker than finding it again, and right even when
    /// it has moved meanwhile.
    #[inline]
    pub(crate) fn at_mut(&mut self, position: usize, address: K) -> Option<&mut V> {
        let still = self.entries.get(position).is_some_and(|(key, _)| *key == address);
        let position = if still { position } else { self.position(address)? };
        self.entries.get_mut(position).map(|(_, value)| value)
    }

    /// The value of `address`, made by `V::default` when it is new.
    pub fn get_or_default(&mut self, address: K) -> &mut V
    where
        V: Default,
    {
        let position = match self.position(address) {
            Some(position) => position,
            None => self.push(address, V::default()),
        };
        &mut self.entries[position].1
    }

    /// Takes `address` out.
    pub fn remove(&mut self, address: K) -> Option<V> {
        let slot = self.find(address)?;
        let entry = self.slots[slot].entry;
        self.vacate(slot);
        // The last entry takes the place of the one that goes.
        if let Some((last, _)) = self.entries.last()
            && let Some(slot) = self.find(*last)
        {
            self.slots[slot].entry = entry;
        }
        let (_, value) = self.entries.swap_remove(entry as usize);
        Some(value)
    }

    /// Every address with its value. The order is that of insertion until something is removed.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.entries.iter().map(|(address, value)| (*address, value))
    }

    /// Like [`iter`](Self::iter), to change the values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        self.entries.iter_mut().map(|(address, value)| (*address, value))
    }

    /// The place among the entries.
    #[inline]
    pub(crate) fn position(&self, address: K) -> Option<usize> {
        self.find(address).map(|slot| self.slots[slot].entry as usize)
    }

    /// The slot that `address` has taken.
    #[inline]
    fn find(&self, address: K) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        let tag = address.tag();
        let mut at = self.home(tag);
        loop {
            let slot = self.slots[at];
            if slot.entry == FREE {
                return None;
            }
            if slot.tag == tag && (K::EXACT || self.entries[slot.entry as usize].0 == address) {
                return Some(at);
            }
            at = self.after(at);
        }
    }

    fn push(&mut self, address: K, value: V) -> usize {
        let entry = self.entries.len();
        self.entries.push((address, value));
        if self.entries.len() * 2 > self.slots.len() {
            self.grow();
        } else {
            self.occupy(address, entry);
        }
        entry
    }

    /// Twice the slots, every entry placed anew.
    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(FIRST_SLOTS);
        self.slots.clear();
        self.slots.resize(slots, EMPTY);
        for entry in 0..self.entries.len() {
            self.occupy(self.entries[entry].0, entry);
        }
    }

    /// Takes the first free slot for an address that has none.
    fn occupy(&mut self, address: K, entry: usize) {
        let tag = address.tag();
        let mut at = self.home(tag);
        while self.slots[at].entry != FREE {
            at = self.after(at);
        }
        let entry = u32::try_from(entry).expect("there are fewer than 2^32 addresses in memory");
        self.slots[at] = Slot { tag, entry };
    }

    /// Frees a slot and moves up what stands behind it only because it was taken.
    fn vacate(&mut self, slot: usize) {
        let mask = self.slots.len() - 1;
        let mut hole = slot;
        let mut at = self.after(slot);
        while self.slots[at].entry != FREE {
            let home = self.home(self.slots[at].tag);
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.slots[hole] = EMPTY;
    }

    /// Where the search for a tag begins.
    #[inline]
    fn home(&self, tag: u32) -> usize {
        let bits = self.slots.len().trailing_zeros();
        (tag >> (u32::BITS - bits)) as usize
    }

    const fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}

impl<K: Key, V> Default for Table<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use core::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    /// Puts in and takes out as told, beside an ordered map.
    fn compare<K: Key + Ord + Debug>(operations: &[(bool, u32, u8)], key: impl Fn(u32) -> K) {
        let mut table = Table::<K, u8>::new();
        let mut map = BTreeMap::new();
        for &(insert, n, value) in operations {
            if insert {
                *table.get_or_default(key(n)) = value;
                map.insert(key(n), value);
            } else {
                assert_eq!(table.remove(key(n)), map.remove(&key(n)));
            }
            assert_eq!(table.len(), map.len());
        }
        for n in 0..64 {
            for position in [0, table.position(key(n)).unwrap_or(3), 63] {
                assert_eq!(table.at_mut(position, key(n)).copied(), map.get(&key(n)).copied());
            }
        }
        for n in 0..64 {
            assert_eq!(table.get(key(n)), map.get(&key(n)));
            assert_eq!(table.contains(key(n)), map.contains_key(&key(n)));
        }
        let listed: BTreeMap<_, _> = table.iter().map(|(address, value)| (address, *value)).collect();
        assert_eq!(listed, map);
    }

    /// 2001:db8:: plus `low`, which may reach the upper half.
    fn v6(low: u128) -> Ipv6Addr {
        Ipv6Addr::from_bits((0x2001_0db8 << 96) + low)
    }

    /// Two addresses with the same tag, found by trying.
    fn twins() -> (Ipv6Addr, Ipv6Addr) {
        let mut seen = BTreeMap::new();
        (0..)
            .find_map(|n| Some((seen.insert(v6(n << 64 | n).tag(), n)?, n)))
            .map(|(a, b)| (v6(a << 64 | a), v6(b << 64 | b)))
            .expect("32 bits are few")
    }

    proptest! {
        #[test]
        fn behaves_like_an_ordered_map(
            operations in proptest::collection::vec((any::<bool>(), 0..64_u32, any::<u8>()), 0..400),
            // Neighbours, one per /24, and addresses whose first choice of slot is the same.
            stride in prop_oneof![Just(1), Just(256), Just(0x1000_0000_u32)],
            // Neighbours, and one per /64.
            shift in prop_oneof![Just(0), Just(64)],
        ) {
            compare(&operations, |n| Ipv4Addr::from_bits(n.wrapping_mul(stride)));
            compare(&operations, |n| v6(u128::from(n) << shift));
        }
    }

    #[test]
    fn addresses_with_the_same_tag_are_told_apart() {
        let (one, other) = twins();
        assert_eq!(one.tag(), other.tag());
        let mut table = Table::new();
        *table.get_or_default(one) = 1;
        assert!(!table.contains(other));
        *table.get_or_default(other) = 2;
        assert_eq!((table.get(one), table.get(other)), (Some(&1), Some(&2)));
        assert_eq!(table.remove(one), Some(1));
        assert_eq!((table.get(one), table.get(other)), (None, Some(&2)));
    }

    #[test]
    fn runs_stay_short_with_many_addresses() {
        fn longest<K: Key>(key: impl Fn(u32) -> K) -> Option<usize> {
            let mut table = Table::<K, ()>::new();
            for n in 0..10_000 {
                table.get_or_default(key(n));
            }
            table.slots.split(|slot| slot.entry == FREE).map(<[Slot]>::len).max()
        }
        for stride in [1, 2, 256, 257, 65_536] {
            let run = longest(|n| Ipv4Addr::from_bits(0x0a00_0000_u32.wrapping_add(n * stride)));
            assert!(run < Some(32), "stride {stride}: a run of {run:?}");
        }
        for shift in [0, 1, 8, 16, 48, 64, 72] {
            let run = longest(|n| v6(u128::from(n) << shift));
            assert!(run < Some(32), "shift {shift}: a run of {run:?}");
        }
    }
}
