//! A table of named timers.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::time::Instant;

/// Timers by name. Setting a timer that runs moves it.
#[derive(Clone, Debug)]
pub struct Timers<K> {
    by_key: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Clone> Timers<K> {
    /// No timer runs.
    #[must_use]
    pub const fn new() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// Lets `key` fire at `at`, wherever it stood before.
    pub fn set(&mut self, key: K, at: Instant) {
        self.stop(&key);
        self.by_key.insert(key.clone(), at);
        self.by_time.insert((at, key));
    }

    /// Stops `key`; says whether it ran.
    pub fn stop(&mut self, key: &K) -> bool {
        match self.by_key.remove(key) {
            Some(at) => self.by_time.remove(&(at, key.clone())),
            None => false,
        }
    }

    /// When `key` fires.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Instant> {
        self.by_key.get(key).copied()
    }

    /// When the next timer fires.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the first timer that is due at `now`, the earliest first, equal ones in the order of their keys.
    #[must_use = "the timer is gone from the table"]
    pub fn take_due(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

impl<K: Ord + Clone> Default for Timers<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_a_running_timer_moves_it() {
        let mut timers = Timers::new();
        timers.set("a", Instant::from_secs(1));
        timers.set("a", Instant::from_secs(2));
        assert_eq!(timers.next(), Some(Instant::from_secs(2)));
        assert_eq!(timers.take_due(Instant::from_secs(1)), None);
        assert_eq!(timers.take_due(Instant::from_secs(2)), Some("a"));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn due_timers_come_earliest_first() {
        let mut timers = Timers::new();
        timers.set("late", Instant::from_secs(3));
        timers.set("b", Instant::from_secs(1));
        timers.set("a", Instant::from_secs(1));
        assert!(timers.stop(&"late"));
        assert!(!timers.stop(&"late"));
        assert_eq!(timers.take_due(Instant::from_secs(9)), Some("a"));
        assert_eq!(timers.take_due(Instant::from_secs(9)), Some("b"));
        assert_eq!(timers.take_due(Instant::from_secs(9)), None);
    }
}
