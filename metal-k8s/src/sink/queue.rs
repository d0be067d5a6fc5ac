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
/// One of this many jobs is a status, however many urgent ones wait.
const STATUS_SHARE: u32 = 16;
/// Jobs of the lowest class that may wait; then the oldest is dropped.
const LATER: usize = 8192;

/// How jobs of a key are scheduled.
pub(super) trait Schedule {
    /// What comes first.
    fn class(&self) -> Class;

    /// The pause after a write before the next one of the same key.
    fn pause(&self) -> Duration;
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// What traffic waits for.
    Urgent,
    /// What people and other controllers read. It gets a small share while urgent jobs wait.
    Status,
    /// What can wait, and of which the oldest is dropped when there is too much.
    Later,
}

#[derive(Debug)]
pub(super) struct Queue<K, J> {
    slots: HashMap<K, Slot<J>>,
    /// By class.
    ready: [VecDeque<K>; 3],
    delayed: BTreeSet<(Instant, K)>,
    /// When a key may be written again.
    rests: HashMap<K, Instant>,
    turn: u32,
}

#[derive(Debug)]
struct Slot<J> {
    waiting: Option<J>,
    running: bool,
    failures: u32,
}

impl<K, J> Default for Queue<K, J> {
    fn default() -> Self {
        Self {
            slots: HashMap::new(),
            ready: Default::default(),
            delayed: BTreeSet::new(),
            rests: HashMap::new(),
            turn: 0,
        }
    }
}

impl<K: Clone + Eq + Hash + Ord + Schedule, J> Queue<K, J> {
    /// Takes a job. It replaces one of the same key that has not begun, and keeps that one's place.
    pub(super) fn push(&mut self, key: K, job: J, now: Instant) {
        match self.slots.get_mut(&key) {
            Some(slot) => slot.waiting = Some(job),
            None => {
                self.slots.insert(key.clone(), Slot { waiting: Some(job), running: false, failures: 0 });
                self.line_up(key, now);
            }
        }
    }

    /// The next job to begin.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(K, J)> {
        while self.delayed.first().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, key)) = self.delayed.pop_first() {
                self.line(key.class()).push_back(key);
            }
        }
        self.turn = self.turn.wrapping_add(1);
        let mut order = [Class::Urgent, Class::Status, Class::Later];
        if self.turn.is_multiple_of(STATUS_SHARE) {
            order.swap(0, 1);
        }
        let key = order.into_iter().find_map(|class| self.line(class).pop_front())?;
        let slot = self.slots.get_mut(&key)?;
        slot.running = true;
        let job = slot.waiting.take()?;
        Some((key, job))
    }

    /// The job of `key` that was under way is done; `wrote` says whether it changed anything.
    pub(super) fn done(&mut self, key: &K, wrote: bool, now: Instant) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.running = false;
        slot.failures = 0;
        if wrote && key.pause() > Duration::ZERO {
            self.rests.retain(|_, until| *until > now);
            self.rests.insert(key.clone(), now + key.pause());
        }
        if slot.waiting.is_some() {
            self.line_up(key.clone(), now);
        } else {
            self.slots.remove(key);
        }
    }

    /// The job of `key` that was under way has failed: it is tried again later, unless a newer one waits,
    /// which then is tried at that time.
    pub(super) fn failed(&mut self, key: K, job: J, now: Instant) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        if key.class() == Class::Later && self.delayed.len() >= LATER {
            self.slots.remove(&key);
            return;
        }
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

    /// Lets `key`, which has a job, wait for its turn.
    fn line_up(&mut self, key: K, now: Instant) {
        match self.rests.get(&key) {
            Some(until) if *until > now => drop(self.delayed.insert((*until, key))),
            _ => {
                let class = key.class();
                self.line(class).push_back(key);
                if class == Class::Later
                    && self.line(class).len() > LATER
                    && let Some(oldest) = self.line(class).pop_front()
                {
                    self.slots.remove(&oldest);
                }
            }
        }
    }

    const fn line(&mut self, class: Class) -> &mut VecDeque<K> {
        &mut self.ready[class as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Schedule for &'static str {
        fn class(&self) -> Class {
            match self.as_bytes()[0] {
                b's' => Class::Status,
                b'e' => Class::Later,
                _ => Class::Urgent,
            }
        }

        fn pause(&self) -> Duration {
            Duration::from_secs(u64::from(self.class() == Class::Status))
        }
    }

    impl Schedule for usize {
        fn class(&self) -> Class {
            if *self < 100 { Class::Urgent } else { Class::Later }
        }

        fn pause(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[tokio::test]
    async fn jobs_of_one_key_coalesce_and_never_overlap() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.push("a", 1, now);
        queue.push("b", 1, now);
        queue.push("a", 2, now);
        assert_eq!(queue.pop(now), Some(("a", 2)));
        queue.push("a", 3, now);
        assert_eq!(queue.pop(now), Some(("b", 1)));
        assert_eq!(queue.pop(now), None);
        queue.done(&"a", true, now);
        assert_eq!(queue.pop(now), Some(("a", 3)));
        queue.done(&"a", true, now);
        assert!(!queue.is_empty());
        queue.done(&"b", true, now);
        assert!(queue.is_empty());
    }

    #[tokio::test]
    async fn failures_pause_longer_and_longer_and_the_newest_job_is_tried() {
        let mut now = Instant::now();
        let mut queue = Queue::default();
        queue.push("a", 1, now);
        for pause in [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000] {
            let (key, job) = queue.pop(now).unwrap();
            queue.failed(key, job, now);
            assert_eq!(queue.next_due(), Some(now + Duration::from_millis(pause)));
            assert_eq!(queue.pop(now), None);
            now += Duration::from_millis(pause);
        }
        queue.push("a", 2, now);
        let (key, job) = queue.pop(now).unwrap();
        assert_eq!(job, 2);
        queue.push("a", 3, now);
        queue.failed(key, job, now);
        queue.push("b", 1, now);
        assert_eq!(queue.pop(now), Some(("b", 1)), "another key does not wait");
        assert_eq!(queue.pop(now + LONGEST), Some(("a", 3)));
        queue.done(&"a", true, now);
        queue.push("a", 4, now);
        let (key, job) = queue.pop(now).unwrap();
        queue.failed(key, job, now);
        assert_eq!(queue.next_due(), Some(now + SHORTEST), "a success forgets the failures");
    }

    #[tokio::test]
    async fn a_status_is_written_at_once_and_then_once_a_second() {
        let second = Duration::from_secs(1);
        let mut now = Instant::now();
        let mut queue = Queue::default();
        queue.push("status", 1, now);
        assert_eq!(queue.pop(now), Some(("status", 1)), "the first change");
        queue.push("status", 2, now);
        now += second / 4;
        queue.done(&"status", true, now);
        queue.push("status", 3, now);
        assert_eq!((queue.pop(now), queue.next_due()), (None, Some(now + second)));
        now += second;
        assert_eq!(queue.pop(now), Some(("status", 3)));
        queue.done(&"status", true, now);
        queue.push("status", 4, now + second / 2);
        assert_eq!(queue.next_due(), Some(now + second));
        now += second;
        assert_eq!(queue.pop(now), Some(("status", 4)));
        queue.done(&"status", false, now);
        queue.push("status", 5, now);
        assert_eq!(queue.pop(now), Some(("status", 5)), "what wrote nothing needs no rest");
    }

    #[tokio::test]
    async fn urgent_jobs_come_first_and_a_status_still_gets_its_share() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.push("event", 0, now);
        queue.push("status", 0, now);
        for key in ["a", "b", "c", "d"] {
            queue.push(key, 0, now);
        }
        queue.turn = STATUS_SHARE - 3;
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(now)).map(|(key, _)| key).collect();
        assert_eq!(order, ["a", "b", "status", "c", "d", "event"]);
    }

    #[tokio::test]
    async fn what_can_wait_is_bounded() {
        let now = Instant::now();
        let mut queue = Queue::default();
        for key in 100..100 + LATER + 5 {
            queue.push(key, (), now);
        }
        assert_eq!(queue.slots.len(), LATER);
        assert_eq!(queue.pop(now), Some((105, ())), "the oldest are gone");
        queue.push(1, (), now);
        assert_eq!(queue.pop(now), Some((1, ())));
    }
}
