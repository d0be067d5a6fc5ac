//! Who has lately asked for anything on a link.

use alloc::vec::Vec;
use core::time::Duration;

use metal_core::Instant;

use crate::{ethernet::Mac, table::Key};

/// So many requesters are remembered per link and family.
pub const REQUESTERS: usize = 256;

/// For so long.
pub const REMEMBERED: Duration = Duration::from_secs(300);

/// A table of fixed size in which new requesters take the places of those that have been silent for longest among the
/// few that share a place: remembering one costs the same whoever asks, and no memory.
#[derive(Clone, Debug)]
pub(super) struct Requesters<K> {
    /// Sets of [`WAYS`]; empty until the first one asks.
    entries: Vec<Option<Requester<K>>>,
}

/// Somebody who has asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Requester<K> {
    pub(super) ip: K,
    pub(super) mac: Mac,
    seen: Instant,
}

const WAYS: usize = 4;
const SET_BITS: u32 = (REQUESTERS / WAYS).trailing_zeros();

impl<K: Key> Requesters<K> {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Whether nobody has ever asked.
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Somebody asks.
    #[inline]
    pub(super) fn remember(&mut self, now: Instant, ip: K, mac: Mac) {
        if self.entries.is_empty() {
            self.entries.resize(REQUESTERS, None);
        }
        let set = (ip.tag() >> (u32::BITS - SET_BITS)) as usize * WAYS;
        let Some(set) = self.entries.get_mut(set..set + WAYS) else { return };
        if let Some(known) = set.iter_mut().flatten().find(|entry| entry.ip == ip) {
            (known.mac, known.seen) = (mac, now);
        } else if let Some(oldest) = set.iter_mut().min_by_key(|entry| entry.map(|entry| entry.seen)) {
            *oldest = Some(Requester { ip, mac, seen: now });
        }
    }

    /// The first one from a place on who has asked lately, and the place after it.
    pub(super) fn next(&self, now: Instant, from: usize) -> Option<(Requester<K>, usize)> {
        let entries = self.entries.iter().enumerate().skip(from);
        let mut known = entries.filter_map(|(place, entry)| Some(((*entry)?, place + 1)));
        known.find(|(requester, _)| now.since(requester.seen) <= REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 9];

    fn all(requesters: &Requesters<Ipv4Addr>, now: Instant) -> Vec<Requester<Ipv4Addr>> {
        let mut from = 0;
        core::iter::from_fn(|| {
            let (requester, after) = requesters.next(now, from)?;
            from = after;
            Some(requester)
        })
        .collect()
    }

    #[test]
    fn the_latest_are_remembered_for_a_while() {
        let mut requesters = Requesters::new();
        assert!(requesters.is_empty());
        let ip = |n: u32| Ipv4Addr::from_bits(0x0a00_0000 + n);
        requesters.remember(Instant::from_secs(1), ip(1), MAC);
        requesters.remember(Instant::from_secs(100), ip(2), MAC);
        // Moved to another card meanwhile.
        requesters.remember(Instant::from_secs(200), ip(2), [2, 0, 0, 0, 0, 8]);
        assert_eq!(all(&requesters, Instant::from_secs(301)).len(), 2);
        let left = all(&requesters, Instant::from_secs(302));
        assert_eq!(left, [Requester { ip: ip(2), mac: [2, 0, 0, 0, 0, 8], seen: Instant::from_secs(200) }]);
    }

    #[test]
    fn however_many_ask_the_table_keeps_its_size_and_the_newest() {
        let mut requesters = Requesters::new();
        for n in 0..10_000_u32 {
            requesters.remember(Instant::from_micros(n.into()), Ipv4Addr::from_bits(0x0a00_0000 + n), MAC);
        }
        let known = all(&requesters, Instant::from_millis(10));
        assert_eq!(known.len(), REQUESTERS);
        assert!(known.iter().any(|requester| requester.ip == Ipv4Addr::from_bits(0x0a00_0000 + 9_999)));
        // Neighbours fall into sets of their own, so most of the latest are there.
        let latest = known.iter().filter(|requester| requester.ip.to_bits() >= 0x0a00_0000 + 9_700).count();
        assert!(latest > REQUESTERS * 9 / 10, "{latest}");
    }
}
