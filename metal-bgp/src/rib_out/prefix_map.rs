//! Values by prefix.

use alloc::collections::{BTreeMap, btree_map::Entry};
use core::ops::Bound;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Values by prefix, in the order that prefixes have. Each family has a map of its own with numbers as keys: most of
/// what a change costs is searching, and those are small and quick to compare.
#[derive(Clone, Debug)]
pub(super) struct PrefixMap<V> {
    /// By address and length.
    v4: BTreeMap<u64, V>,
    /// By the halves of the address, and length.
    v6: BTreeMap<KeyV6, V>,
}

type KeyV6 = (u64, u64, u8);

/// What becomes of a value.
pub(super) enum Update<V> {
    /// Nothing changes.
    Keep,
    /// It is this one from now on.
    Set(V),
    /// There is none any more.
    Remove,
}

impl<V> PrefixMap<V> {
    pub(super) const fn new() -> Self {
        Self { v4: BTreeMap::new(), v6: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    pub(super) fn get(&self, prefix: &IpNet) -> Option<&V> {
        match *prefix {
            IpNet::V4(prefix) => self.v4.get(&key_v4(prefix)),
            IpNet::V6(prefix) => self.v6.get(&key_v6(prefix)),
        }
    }

    pub(super) fn contains(&self, prefix: &IpNet) -> bool {
        self.get(prefix).is_some()
    }

    pub(super) fn remove(&mut self, prefix: &IpNet) -> Option<V> {
        match *prefix {
            IpNet::V4(prefix) => self.v4.remove(&key_v4(prefix)),
            IpNet::V6(prefix) => self.v6.remove(&key_v6(prefix)),
        }
    }

    /// Looks at the value of a prefix and decides what becomes of it, with one search. What was there before, unless it
    /// is kept.
    pub(super) fn update(
        &mut self,
        prefix: IpNet,
        decide: impl FnOnce(Option<&V>) -> Update<V>,
    ) -> Option<V> {
        match prefix {
            IpNet::V4(prefix) => update(&mut self.v4, key_v4(prefix), decide),
            IpNet::V6(prefix) => update(&mut self.v6, key_v6(prefix), decide),
        }
    }

    /// Everything, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, &V)> {
        self.iter_v4().chain(self.iter_v6())
    }

    pub(super) fn iter_v4(&self) -> impl Iterator<Item = (IpNet, &V)> {
        self.v4.iter().map(|(key, value)| (prefix_v4(*key), value))
    }

    pub(super) fn iter_v6(&self) -> impl Iterator<Item = (IpNet, &V)> {
        self.v6.iter().map(|(key, value)| (prefix_v6(*key), value))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (IpNet, &mut V)> {
        let v4 = self.v4.iter_mut().map(|(key, value)| (prefix_v4(*key), value));
        v4.chain(self.v6.iter_mut().map(|(key, value)| (prefix_v6(*key), value)))
    }

    /// Whether such a value belongs to another prefix inside this one.
    pub(super) fn any_inside(&self, prefix: IpNet, such: impl Fn(IpNet, &V) -> bool) -> bool {
        match prefix {
            IpNet::V4(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => false,
            IpNet::V6(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => false,
            IpNet::V4(prefix) => {
                let last = key_v4(prefix.broadcast().into());
                let inside = (Bound::Excluded(key_v4(prefix)), Bound::Included(last));
                self.v4.range(inside).any(|(key, value)| such(prefix_v4(*key), value))
            }
            IpNet::V6(prefix) => {
                let last = key_v6(prefix.broadcast().into());
                let inside = (Bound::Excluded(key_v6(prefix)), Bound::Included(last));
                self.v6.range(inside).any(|(key, value)| such(prefix_v6(*key), value))
            }
        }
    }

    /// Takes what another map has.
    pub(super) fn extend(&mut self, other: Self) {
        self.v4.extend(other.v4);
        self.v6.extend(other.v6);
    }
}

impl<V> Default for PrefixMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

fn update<K: Ord, V>(
    map: &mut BTreeMap<K, V>,
    key: K,
    decide: impl FnOnce(Option<&V>) -> Update<V>,
) -> Option<V> {
    match map.entry(key) {
        Entry::Occupied(mut place) => match decide(Some(place.get())) {
            Update::Keep => None,
            Update::Set(value) => Some(place.insert(value)),
            Update::Remove => Some(place.remove()),
        },
        Entry::Vacant(place) => {
            if let Update::Set(value) = decide(None) {
                place.insert(value);
            }
            None
        }
    }
}

fn key_v4(prefix: Ipv4Net) -> u64 {
    u64::from(prefix.addr().to_bits()) << 8 | u64::from(prefix.prefix_len())
}

fn prefix_v4(key: u64) -> IpNet {
    let [.., a, b, c, d, length] = key.to_be_bytes();
    Ipv4Net::new([a, b, c, d].into(), length).unwrap_or_default().into()
}

fn key_v6(prefix: Ipv6Net) -> KeyV6 {
    let [high, low] = halves(prefix.addr().to_bits());
    (high, low, prefix.prefix_len())
}

fn prefix_v6((high, low, length): KeyV6) -> IpNet {
    let address = u128::from(high) << 64 | u128::from(low);
    Ipv6Net::new(address.into(), length).unwrap_or_default().into()
}

#[expect(clippy::cast_possible_truncation, reason = "the low half")]
const fn halves(address: u128) -> [u64; 2] {
    [(address >> 64) as u64, address as u64]
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// In order.
    const TEXTS: &str = "0.0.0.0/0 0.0.0.0/8 10.0.0.0/8 10.0.0.0/32 10.0.0.1/32 10.1.0.0/16 192.0.2.0/24 \
                         255.255.255.255/32 ::/0 ::/128 ::1/128 2001:db8::/32 2001:db8::/48 2001:db8:1::/48 \
                         2001:db8:1::ffff:0:0:1/128 ffff::/16";

    fn prefixes() -> Vec<IpNet> {
        TEXTS.split_whitespace().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_order_is_that_of_prefixes() {
        let mut map = PrefixMap::new();
        for (number, prefix) in prefixes().into_iter().enumerate().rev() {
            assert_eq!(map.update(prefix, |_| Update::Set(number)), None);
        }
        let (there, values): (Vec<_>, Vec<_>) = map.iter().unzip();
        assert_eq!(there, prefixes());
        assert!(there.is_sorted() && values.into_iter().copied().eq(0..there.len()));
        assert_eq!(map.len(), there.len());
        for (number, prefix) in there.iter().enumerate() {
            assert_eq!(map.get(prefix), Some(&number));
        }
        for prefix in prefixes() {
            assert!(map.remove(&prefix).is_some() && !map.contains(&prefix));
        }
        assert!(map.is_empty());
    }

    #[test]
    fn an_update_keeps_sets_or_removes() {
        let mut map = PrefixMap::new();
        let prefix = prefixes()[0];
        assert_eq!(map.update(prefix, |_| Update::Remove), None);
        assert_eq!(map.update(prefix, |_| Update::Set(1)), None);
        assert_eq!(
            map.update(prefix, |value| {
                assert_eq!(value, Some(&1));
                Update::Keep
            }),
            None
        );
        assert_eq!(map.update(prefix, |_| Update::Set(2)), Some(1));
        assert_eq!(map.update(prefix, |_| Update::Remove), Some(2));
        assert!(map.is_empty());
    }

    #[test]
    fn those_inside_are_those_that_a_prefix_contains() {
        let mut map = PrefixMap::new();
        for prefix in prefixes() {
            map.update(prefix, |_| Update::Set(()));
        }
        for around in prefixes() {
            for inside in prefixes() {
                let found = map.any_inside(around, |prefix, ()| prefix == inside);
                assert_eq!(found, around != inside && around.contains(&inside), "{inside} inside {around}");
            }
        }
    }
}
