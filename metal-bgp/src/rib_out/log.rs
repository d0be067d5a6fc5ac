//! What has changed for the peers of a group, in the batches that they are told it in.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::time::Duration;

use ipnet::IpNet;
use metal_core::Instant;

use super::{
    export::{Export, family},
    pages::Pages,
    prefix_map::{PrefixMap, Update},
    route::Route,
};

/// What a peer has for a prefix.
#[derive(Clone, Debug)]
pub(super) enum Had {
    /// No route.
    Nothing,
    /// This one.
    Route(Arc<Route>),
    /// Some route, but it wants to be told again.
    Again,
}

impl Had {
    pub(super) fn of(route: Option<&Arc<Route>>) -> Self {
        route.map_or(Self::Nothing, |route| Self::Route(Arc::clone(route)))
    }

    /// Whether there is nothing to tell.
    pub(super) fn is(&self, route: Option<&Arc<Route>>, prefix: IpNet, export: &Export) -> bool {
        match (self, route) {
            (Self::Nothing, None) => true,
            (Self::Route(had), Some(route)) => export.says_same(had, route, family(prefix)),
            (Self::Nothing, Some(_)) | (Self::Route(_), None) | (Self::Again, _) => false,
        }
    }
}

/// The two orders in which a peer goes through the batches, each at its own pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Withdrawals that nothing else has to come before.
    Withdrawals,
    /// Announcements, and in each batch after them the withdrawals of prefixes that overlap something announced.
    Announcements,
}

/// How far a peer has come in a stream: all before is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cursor {
    pub(super) batch: u64,
    pub(super) page: usize,
}

/// A change that is told to those before it.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// What those before it have.
    pub(super) before: Had,
    /// What is to be told; it is also what is wanted now.
    pub(super) after: Option<Arc<Route>>,
    /// A withdrawal that comes after the announcements.
    pub(super) late: bool,
}

/// Changes that are told together.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    changes: PrefixMap<Change>,
    /// From when on they are told; none while there is nothing to tell.
    pub(super) release: Option<Instant>,
    /// Made when the first peer needs them.
    pages: Option<[Pages; 2]>,
    /// How many peers stand here, in either stream.
    cursors: usize,
    /// How many of the changes are withdrawals.
    withdrawals: usize,
    /// How many of them were left for the end when it was closed.
    late: usize,
}

/// The batches that some peer has not been told yet. The last one is open: it takes what changes.
///
/// A prefix is in one batch at most, since what has changed again need not be told any more. So a late peer hears of
/// each prefix once, however often it has changed.
#[derive(Clone, Debug)]
pub(super) struct Log {
    batches: BTreeMap<u64, Batch>,
    open: u64,
    /// Those that everybody has been told. To forget a large one takes as long as to encode it, and can wait until the
    /// last message of it is on its way.
    told: Vec<Batch>,
    /// When the last batch was told, or will be.
    left: Option<Instant>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { batches: [(0, Batch::default())].into(), open: 0, told: Vec::new(), left: None }
    }

    /// The batch that takes changes.
    pub(super) fn open(&mut self) -> &mut Batch {
        self.batches.entry(self.open).or_default()
    }

    pub(super) fn has_changes(&self) -> bool {
        self.batches.get(&self.open).is_some_and(|open| !open.changes.is_empty())
    }

    pub(super) fn get(&mut self, batch: u64) -> Option<&mut Batch> {
        self.batches.get_mut(&batch)
    }

    pub(super) const fn is_open(&self, batch: u64) -> bool {
        batch == self.open
    }

    /// Where new peers begin, once they have been told everything.
    pub(super) const fn end(&self) -> Cursor {
        Cursor { batch: self.open, page: 0 }
    }

    /// Whether some batch still has the prefix.
    pub(super) fn contains(&self, prefix: &IpNet) -> bool {
        self.batches.values().any(|batch| batch.changes.contains(prefix))
    }

    /// On which page of which stream a prefix is, if it is in a closed batch.
    pub(super) fn find_closed(&self, prefix: IpNet, export: &Export) -> Option<(Stream, Cursor)> {
        let mut closed = self.batches.range(..self.open);
        let (number, batch, change) =
            closed.find_map(|(number, batch)| Some((*number, batch, batch.changes.get(&prefix)?)))?;
        let stream = change.stream();
        let page = match &batch.pages {
            Some(pages) => pages[stream as usize].page_of(prefix, change.after.as_ref(), export),
            None => None,
        };
        Some((stream, Cursor { batch: number, page: page.unwrap_or_default() }))
    }

    /// Takes a change out of a closed batch.
    pub(super) fn remove(&mut self, prefix: IpNet, stream: Stream, place: Cursor) -> Option<Change> {
        let batch = self.batches.get_mut(&place.batch)?;
        if let Some(pages) = &mut batch.pages {
            pages[stream as usize].remove(prefix, Some(place.page));
        }
        batch.changes.remove(&prefix)
    }

    /// Puts a change into the open batch, or takes it out when those before it have what is wanted already: the first
    /// after a quiet time is told at once, others join. `before` counts unless the prefix is in there. When the batch
    /// is to be told, if the change is in it.
    pub(super) fn put(
        &mut self,
        now: Instant,
        prefix: IpNet,
        before: Had,
        after: Option<Arc<Route>>,
        export: &Export,
    ) -> Option<Instant> {
        let due = self.left.map_or(now, |left| now.max(left + COALESCE));
        let open = self.open();
        let (mut is_in, is_withdrawal) = (false, after.is_none());
        let replaced = open.changes.update(prefix, |change| {
            let before = change.map_or(before, |change| change.before.clone());
            if before.is(after.as_ref(), prefix, export) {
                return Update::Remove;
            }
            is_in = true;
            Update::Set(Change { before, after, late: false })
        });
        if replaced.is_some_and(|change| change.after.is_none()) {
            open.withdrawals = open.withdrawals.saturating_sub(1);
        }
        if is_in {
            open.withdrawals += usize::from(is_withdrawal);
            return Some(*open.release.get_or_insert(due));
        }
        if open.changes.is_empty() {
            open.release = None;
        }
        None
    }

    /// Closes the open batch, so that it can be told. `late` says which withdrawals come after the announcements.
    pub(super) fn close(&mut self, now: Instant, late: impl Fn(IpNet) -> bool) {
        self.forget_told();
        let mut lates = 0;
        let open = self.open();
        if open.withdrawals > 0 {
            for (prefix, change) in open.changes.iter_mut().filter(|(_, change)| change.after.is_none()) {
                change.late = late(prefix);
                lates += usize::from(change.late);
            }
        }
        open.late = lates;
        let left = open.release.map_or(now, |release| release.max(now));
        self.left = Some(left);
        self.open += 1;
        self.batches.insert(self.open, Batch::default());
    }

    /// The open batch is told without waiting for more.
    pub(super) fn hurry(&mut self, now: Instant) {
        let open = self.open();
        open.release = open.release.map(|release| release.min(now));
    }

    /// When the next batch is released after this instant.
    pub(super) fn next_release(&self, after: Option<Instant>) -> Option<Instant> {
        self.batches
            .values()
            .rev()
            .map_while(|batch| match batch.release {
                Some(release) if after.is_some_and(|after| release <= after) => None,
                release => Some(release),
            })
            .flatten()
            .min()
    }

    /// A cursor comes to the end of the log.
    pub(super) fn enter(&mut self) -> Cursor {
        self.open().cursors += 1;
        self.end()
    }

    /// A cursor is gone.
    pub(super) fn leave(&mut self, cursor: Cursor) {
        if let Some(batch) = self.batches.get_mut(&cursor.batch) {
            batch.cursors = batch.cursors.saturating_sub(1);
        }
        self.tidy(cursor.batch);
    }

    /// The cursor goes on to the batch behind its own.
    pub(super) fn advance(&mut self, cursor: Cursor) -> Cursor {
        let Some((&next, batch)) = self.batches.range_mut(cursor.batch + 1..).next() else { return cursor };
        batch.cursors += 1;
        self.leave(cursor);
        Cursor { batch: next, page: 0 }
    }

    /// Counts anew who stands where.
    pub(super) fn recount(&mut self, cursors: impl Iterator<Item = Cursor>) {
        for batch in self.batches.values_mut() {
            batch.cursors = 0;
        }
        for cursor in cursors {
            if let Some(batch) = self.batches.get_mut(&cursor.batch) {
                batch.cursors += 1;
            }
        }
        let numbers: alloc::vec::Vec<u64> = self.batches.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.tidy(number));
    }

    /// Lets go of what nobody needs any more.
    pub(super) fn forget_told(&mut self) {
        self.told.clear();
    }

    /// Whether nothing waits for anybody.
    pub(super) fn is_quiet(&self) -> bool {
        self.batches.len() == 1 && !self.has_changes()
    }

    /// Forgets batches that everybody has been told, and makes one of neighbours that nobody stands in: whoever is
    /// late gets them together.
    fn tidy(&mut self, number: u64) {
        while let Some(first) = self.batches.first_entry()
            && *first.key() != self.open
            && first.get().cursors == 0
        {
            self.told.push(first.remove());
        }
        let before = self.batches.range(..number).next_back().map(|(number, _)| *number);
        let behind = self.batches.range(number + 1..).next().map(|(number, _)| *number);
        if let Some(behind) = behind {
            self.join(number, behind);
        }
        if let Some(before) = before {
            self.join(before, number);
        }
    }

    fn join(&mut self, one: u64, next: u64) {
        let idle = |number| number != self.open && self.batches.get(&number).is_some_and(|b| b.cursors == 0);
        if !idle(one) || !idle(next) {
            return;
        }
        let Some(mut taken) = self.batches.remove(&next) else { return };
        if let Some(batch) = self.batches.get_mut(&one) {
            if batch.changes.len() < taken.changes.len() {
                core::mem::swap(&mut batch.changes, &mut taken.changes);
            }
            batch.changes.extend(taken.changes);
            batch.release = batch.release.max(taken.release);
            batch.withdrawals += taken.withdrawals;
            batch.late += taken.late;
            batch.pages = None;
        }
    }
}

impl Change {
    const fn stream(&self) -> Stream {
        if self.after.is_none() && !self.late { Stream::Withdrawals } else { Stream::Announcements }
    }
}

impl Batch {
    /// Whether some withdrawal waits for announcements.
    pub(super) const fn has_late(&self) -> bool {
        self.late > 0
    }

    /// The messages of a closed batch.
    pub(super) fn pages(&mut self, stream: Stream, export: &Export) -> &mut Pages {
        let changes = &self.changes;
        let pages = self.pages.get_or_insert_with(|| {
            let all = changes.iter();
            let all = all.map(|(prefix, change)| (change.stream() as usize, prefix, change.after.as_ref()));
            Pages::sort(export, all)
        });
        &mut pages[stream as usize]
    }
}

/// How long changes wait for others after the last ones were told.
pub const COALESCE: Duration = Duration::from_millis(10);
