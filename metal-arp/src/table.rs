//! A map from IPv4 address to anything, for the packet path.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// A hash table keyed by IPv4 address whose look-up costs the same with one address and with many thousands.
///
/// The keys are what the configuration gives us, never what a stranger sends, so the hash needs no secret:
/// a flood of requests can only look up. Neighbouring addresses fall far apart, and at most every second slot
/// is taken, so runs stay short whatever is asked for.
#[derive(Clone, Debug)]
pub struct Table<V> {
    /// Open addressing with linear probing; a power of two of them, or none.
    slots: Vec<Slot>,
    entries: Vec<(Ipv4Addr, V)>,
}

/// Where the entry of an address is. Small, so that a look-up touches one cache line.
#[derive(Clone, Copy, Debug)]
struct Slot {
    key: u32,
    /// Into `entries`, or [`FREE`].
    entry: u32,
}

const FREE: u32 = u32::MAX;
const EMPTY: Slot = Slot { key: 0, entry: FREE };
const FIRST_SLOTS: usize = 16;

impl<V> Table<V> {
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
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        self.find(address).is_some()
    }

    /// The value of `address`.
    #[must_use]
    pub fn get(&self, address: Ipv4Addr) -> Option<&V> {
        let (_, value) = self.entries.get(self.position(address)?)?;
        Some(value)
    }

    /// The value of `address`, to change.
    #[must_use]
    pub fn get_mut(&mut self, address: Ipv4Addr) -> Option<&mut V> {
        let position = self.position(address)?;
        let (_, value) = self.entries.get_mut(position)?;
        Some(value)
    }

    /// The value of `address`, made by `V::default` when it is new.
    pub fn get_or_default(&mut self, address: Ipv4Addr) -> &mut V
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
    pub fn remove(&mut self, address: Ipv4Addr) -> Option<V> {
        let slot = self.find(address)?;
        let entry = self.slots[slot].entry;
        self.vacate(slot);
        let (_, value) = self.entries.swap_remove(entry as usize);
        // The last entry has taken the place of the one that is gone.
        if let Some((moved, _)) = self.entries.get(entry as usize)
            && let Some(slot) = self.find(*moved)
        {
            self.slots[slot].entry = entry;
        }
        Some(value)
    }

    /// Every address with its value. The order is that of insertion until something is removed.
    pub fn iter(&self) -> impl Iterator<Item = (Ipv4Addr, &V)> {
        self.entries.iter().map(|(address, value)| (*address, value))
    }

    /// Like [`iter`](Self::iter), to change the values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Ipv4Addr, &mut V)> {
        self.entries.iter_mut().map(|(address, value)| (*address, value))
    }

    /// The place among the entries.
    fn position(&self, address: Ipv4Addr) -> Option<usize> {
        self.find(address).map(|slot| self.slots[slot].entry as usize)
    }

    /// The slot that `address` has taken.
    #[inline]
    fn find(&self, address: Ipv4Addr) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        let key = address.to_bits();
        let mut at = self.home(key);
        loop {
            let slot = self.slots[at];
            if slot.entry == FREE {
                return None;
            }
            if slot.key == key {
                return Some(at);
            }
            at = self.after(at);
        }
    }

    fn push(&mut self, address: Ipv4Addr, value: V) -> usize {
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
    fn occupy(&mut self, address: Ipv4Addr, entry: usize) {
        let key = address.to_bits();
        let mut at = self.home(key);
        while self.slots[at].entry != FREE {
            at = self.after(at);
        }
        let entry = u32::try_from(entry).expect("there are fewer than 2^32 other IPv4 addresses");
        self.slots[at] = Slot { key, entry };
    }

    /// Frees a slot and moves up what stands behind it only because it was taken.
    fn vacate(&mut self, slot: usize) {
        let mask = self.slots.len() - 1;
        let mut hole = slot;
        let mut at = self.after(slot);
        while self.slots[at].entry != FREE {
            let home = self.home(self.slots[at].key);
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.slots[hole] = EMPTY;
    }

    /// Where the search for `key` begins: Fibonacci hashing, the product's upper bits.
    fn home(&self, key: u32) -> usize {
        let bits = self.slots.len().trailing_zeros();
        (key.wrapping_mul(0x9e37_79b9) >> (u32::BITS - bits)) as usize
    }

    const fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_an_ordered_map(
            operations in proptest::collection::vec((any::<bool>(), 0..64_u32, any::<u8>()), 0..400),
            // Neighbours, one per /24, and addresses whose first choice of slot is the same.
            stride in prop_oneof![Just(1), Just(256), Just(0x1000_0000)],
        ) {
            let mut table = Table::<u8>::new();
            let mut map = BTreeMap::new();
            for (insert, n, value) in operations {
                let address = Ipv4Addr::from_bits(n.wrapping_mul(stride));
                if insert {
                    *table.get_or_default(address) = value;
                    map.insert(address, value);
                } else {
                    prop_assert_eq!(table.remove(address), map.remove(&address));
                }
                prop_assert_eq!(table.len(), map.len());
            }
            for n in 0..64_u32 {
                let address = Ipv4Addr::from_bits(n.wrapping_mul(stride));
                prop_assert_eq!(table.get(address), map.get(&address));
                prop_assert_eq!(table.contains(address), map.contains_key(&address));
            }
            let listed: BTreeMap<_, _> = table.iter().map(|(address, value)| (address, *value)).collect();
            prop_assert_eq!(listed, map);
        }
    }

    #[test]
    fn runs_stay_short_with_many_addresses() {
        for stride in [1, 2, 256, 257, 65_536] {
            let mut table = Table::<()>::new();
            for n in 0..10_000_u32 {
                table.get_or_default(Ipv4Addr::from_bits(0x0a00_0000_u32.wrapping_add(n * stride)));
            }
            let longest = table.slots.split(|slot| slot.entry == FREE).map(<[Slot]>::len).max();
            assert!(longest < Some(32), "stride {stride}: a run of {longest:?}");
        }
    }
}
