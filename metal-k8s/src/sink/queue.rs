//! Work by key: the newest job of a key replaces the one that waits, and one key has one job under way.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use tokio::time::Instant;

/// The pause after the first failure of a key; it doubles up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Queue<K, J> {
    slots: HashMap<K, Slot<J>>,
    ready: VecDeque<K>,
    delayed: BTreeSet<(Instant, K)>,
}

#[derive(Debug)]
struct Slot<J> {
    waiting: Option<J>,
    running: bool,
    failures: u32,
}

impl<K, J> Default for Queue<K, J> {
    fn default() -> Self {
        Self { slots: HashMap::new(), ready: VecDeque::new(), delayed: BTreeSet::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord, J> Queue<K, J> {
    /// Takes a job. It replaces one of the same key that has not begun, and keeps that one's place.
    pub(super) fn push(&mut self, key: K, job: J) {
        match self.slots.get_mut(&key) {
            Some(slot) => slot.waiting = Some(job),
            None => {
                self.slots.insert(key.clone(), Slot { waiting: Some(job), running: false, failures: 0 });
                self.ready.push_back(key);
            }
        }
    }

    /// The next job to begin.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(K, J)> {
        while self.delayed.first().is_some_and(|(due, _)| *due <= now) {
            self.ready.extend(self.delayed.pop_first().map(|(_, key)| key));
        }
        let key = self.ready.pop_front()?;
        let slot = self.slots.get_mut(&key)?;
        slot.running = true;
        let job = slot.waiting.take()?;
        Some((key, job))
    }

    /// The job of `key` that was under way is done.
    pub(super) fn done(&mut self, key: &K) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.running = false;
        slot.failures = 0;
        if slot.waiting.is_some() {
            self.ready.push_back(key.clone());
        } else {
            self.slots.remove(key);
        }
    }

    /// The job of `key` that was under way has failed: it is tried again later, unless a newer one waits,
    /// which then is tried at that time.
    pub(super) fn failed(&mut self, key: K, job: J, now: Instant) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        slot.running = false;
        let pause = SHORTEST.saturating_mul(1 << slot.failures.min(16)).min(LONGEST);
        slot.failures += 1;
        slot.waiting.get_or_insert(job);
        self.delayed.insert((now + pause, key));
    }

    /// When a delayed job is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.first().map(|(due, _)| *due)
    }

    /// Nothing waits and nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_of_one_key_coalesce_and_never_overlap() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.push("a", 1);
        queue.push("b", 1);
        queue.push("a", 2);
        assert_eq!(queue.pop(now), Some(("a", 2)));
        queue.push("a", 3);
        assert_eq!(queue.pop(now), Some(("b", 1)));
        assert_eq!(queue.pop(now), None);
        queue.done(&"a");
        assert_eq!(queue.pop(now), Some(("a", 3)));
        queue.done(&"a");
        assert!(!queue.is_empty());
        queue.done(&"b");
        assert!(queue.is_empty());
    }

    #[tokio::test]
    async fn failures_pause_longer_and_longer_and_the_newest_job_is_tried() {
        let mut now = Instant::now();
        let mut queue = Queue::default();
        queue.push("a", 1);
        for pause in [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000] {
            let (key, job) = queue.pop(now).unwrap();
            queue.failed(key, job, now);
            assert_eq!(queue.next_due(), Some(now + Duration::from_millis(pause)));
            assert_eq!(queue.pop(now), None);
            now += Duration::from_millis(pause);
        }
        queue.push("a", 2);
        let (key, job) = queue.pop(now).unwrap();
        assert_eq!(job, 2);
        queue.push("a", 3);
        queue.failed(key, job, now);
        queue.push("b", 1);
        assert_eq!(queue.pop(now), Some(("b", 1)), "another key does not wait");
        assert_eq!(queue.pop(now + LONGEST), Some(("a", 3)));
        queue.done(&"a");
        queue.push("a", 4);
        let (key, job) = queue.pop(now).unwrap();
        queue.failed(key, job, now);
        assert_eq!(queue.next_due(), Some(now + SHORTEST), "a success forgets the failures");
    }
}
