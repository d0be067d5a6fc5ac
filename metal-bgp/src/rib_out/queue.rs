//! What the peers of one group are yet to be told, and telling one of them the next message.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};

use ipnet::IpNet;
use metal_core::Instant;

use super::{
    export::family,
    log::{Cursor, Had, Log, Stream},
    member::{Before, Member, Reading},
    pages::{Pages, Run, Shared, Told},
    route::Route,
    wanted::Wanted,
};
use crate::wire::{Families, Family, RouteRefresh, build::encode_end_of_rib, refresh::Subtype};

/// What is to be told, in messages that are encoded once.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) log: Log,
    /// Everything, for those who begin or ask for it again.
    pub(super) dumps: BTreeMap<u64, Dump>,
    next_dump: u64,
}

/// All routes of some families, as they were at one moment.
#[derive(Clone, Debug)]
pub(super) struct Dump {
    pub(super) families: Families,
    /// Without those that have changed since.
    pub(super) pages: Pages,
    /// How many are being told it.
    pub(super) readers: usize,
}

/// What telling needs, beside the peer and the queue.
pub(super) struct Telling<'a, P> {
    pub(super) now: Instant,
    pub(super) wanted: Wanted<'a, P>,
    /// Whether End-of-RIB may be said.
    pub(super) synced: bool,
    pub(super) buffer: &'a mut [u8],
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { log: Log::new(), dumps: BTreeMap::new(), next_dump: 0 }
    }

    /// The next message for a member.
    ///
    /// Withdrawals come first, but after some in a row it is the turn of everything else: what is told from the
    /// beginning; what has changed again before it could be told; announcements; what was left for the end.
    pub(super) fn next<P: Ord + Clone>(
        &mut self,
        member: &mut Member,
        telling: &mut Telling<'_, P>,
    ) -> Option<Shared> {
        if member.cursors.is_none() {
            self.begin(member, telling);
        }
        if member.streak < WITHDRAWALS_IN_A_ROW
            && let Some(message) = self.next_of(Stream::Withdrawals, member, telling)
        {
            member.streak += 1;
            return Some(message);
        }
        let message = self.next_of_dump(member, telling);
        let message = message.or_else(|| self.next_owed(false, member, telling));
        let message = message.or_else(|| self.next_of(Stream::Announcements, member, telling));
        let message = message.or_else(|| {
            // Not before what is announced in their place, which may be about to be released.
            if self.is_at_end(member) && !self.log.has_changes() {
                self.next_owed(true, member, telling)
            } else {
                None
            }
        });
        if core::mem::take(&mut member.streak) >= WITHDRAWALS_IN_A_ROW && message.is_none() {
            // Nothing else waited for its turn.
            return self.next(member, telling);
        }
        message.or_else(|| self.next_marker(member, telling))
    }

    /// The member is gone.
    pub(super) fn leave(&mut self, member: &Member) {
        member.cursors.into_iter().flatten().for_each(|cursor| self.log.leave(cursor));
        if let Some(dump) = member.reading.and_then(|reading| self.dumps.get_mut(&reading.dump)) {
            dump.readers = dump.readers.saturating_sub(1);
        }
    }

    /// Counts anew who is where.
    pub(super) fn recount<'a>(&mut self, members: impl Iterator<Item = &'a Member> + Clone) {
        self.log.recount(members.clone().filter_map(|member| member.cursors).flatten());
        for (number, dump) in &mut self.dumps {
            let readers = members.clone().filter_map(|member| member.reading);
            dump.readers = readers.filter(|reading| reading.dump == *number).count();
        }
    }

    /// Whether nothing waits for anybody.
    pub(super) fn is_quiet(&self) -> bool {
        self.log.is_quiet() && self.dumps.values().all(|dump| dump.readers == 0)
    }

    /// The member is told everything, and after that what changes from now on.
    fn begin<P: Ord + Clone>(&mut self, member: &mut Member, telling: &Telling<'_, P>) {
        if self.log.has_changes() {
            self.close(telling);
        }
        member.cursors = Some([self.log.enter(), self.log.enter()]);
        let families = telling.wanted.scope.export.families();
        member.reading = Some(self.read(families, Before::Nothing, telling));
    }

    fn close<P: Ord + Clone>(&mut self, telling: &Telling<'_, P>) {
        self.log.close(telling.now, |prefix| telling.wanted.is_late(prefix));
    }

    /// The first page of everything.
    fn read<P: Ord + Clone>(&mut self, families: Families, has: Before, telling: &Telling<'_, P>) -> Reading {
        let known =
            self.dumps.iter_mut().find(|(_, dump)| dump.families == families && !dump.pages.is_stale());
        if let Some((number, dump)) = known {
            dump.readers += 1;
            return Reading { dump: *number, page: 0, has };
        }
        self.dumps.retain(|_, dump| dump.readers > 0);
        let number = self.next_dump;
        self.next_dump += 1;
        let all = telling.wanted.all(families).map(|(prefix, route)| (prefix, Some(route)));
        let pages = Pages::new(&telling.wanted.scope.export, all);
        self.dumps.insert(number, Dump { families, pages, readers: 1 });
        Reading { dump: number, page: 0, has }
    }

    fn next_of_dump<P: Ord + Clone>(
        &mut self,
        member: &mut Member,
        telling: &mut Telling<'_, P>,
    ) -> Option<Shared> {
        let reading = member.reading.as_mut()?;
        if let Some(dump) = self.dumps.get_mut(&reading.dump) {
            loop {
                match dump.pages.take(reading.page, &telling.wanted.scope.export, telling.buffer) {
                    Told::Message(message) => {
                        reading.page += 1;
                        return Some(message);
                    }
                    Told::Nothing => reading.page += 1,
                    Told::End => break,
                }
            }
            dump.readers = dump.readers.saturating_sub(1);
            if dump.readers == 0 && dump.pages.is_stale() {
                self.dumps.remove(&reading.dump);
            }
        }
        member.reading = None;
        None
    }

    /// The next message of the batches, as far as they are released.
    fn next_of<P: Ord + Clone>(
        &mut self,
        stream: Stream,
        member: &mut Member,
        telling: &mut Telling<'_, P>,
    ) -> Option<Shared> {
        let export = &telling.wanted.scope.export;
        loop {
            let cursor = member.cursors?[stream as usize];
            let batch = self.log.get(cursor.batch)?;
            // The open batch without changes has none.
            if batch.release.is_none_or(|release| release > telling.now) {
                return None;
            }
            if self.log.is_open(cursor.batch) {
                self.close(telling);
            }
            let pages = self.log.get(cursor.batch)?.pages(stream, export);
            let told = pages.take(cursor.page, export, telling.buffer);
            let told = match told {
                Told::End => {
                    let next = self.log.advance(cursor);
                    member.set_cursor(stream, next);
                    continue;
                }
                Told::Message(message) if !member.own.is_empty() => {
                    settle(pages, cursor.page, message, member, &telling.wanted, telling.buffer)
                }
                Told::Message(message) => Some(message),
                Told::Nothing => None,
            };
            member.set_cursor(stream, Cursor { page: cursor.page + 1, ..cursor });
            if told.is_some() {
                return told;
            }
        }
    }

    /// A message of what changed again before the member could be told.
    fn next_owed<P: Ord + Clone>(
        &mut self,
        late: bool,
        member: &mut Member,
        telling: &mut Telling<'_, P>,
    ) -> Option<Shared> {
        let wanted = &telling.wanted;
        let export = &wanted.scope.export;
        while !member.own.owed(late).is_empty() {
            let looked_at: Vec<IpNet> = member.own.owed(late).iter().take(LOOK_AHEAD).copied().collect();
            let mut first: Option<(Option<Arc<Route>>, Family)> = None;
            let mut together = Vec::new();
            for prefix in looked_at {
                let route = wanted.route(prefix);
                if member.own.get(&prefix).is_none_or(|had| had.is(route.as_ref(), prefix, export)) {
                    self.told(prefix, route, member);
                    continue;
                }
                if !late && route.is_none() && wanted.is_late(prefix) {
                    member.own.postpone(prefix);
                    continue;
                }
                let (with, of) = first.get_or_insert_with(|| (route.clone(), family(prefix)));
                let same = match (&route, with) {
                    (None, None) => true,
                    (Some(one), Some(other)) => export.says_same(one, other, *of),
                    (Some(_), None) | (None, Some(_)) => false,
                };
                if same && family(prefix) == *of {
                    together.push(prefix);
                }
            }
            let Some((route, _)) = first else { continue };
            let run = Run::new(route.clone(), together.iter().copied())?;
            let (message, end) = run.encode(0, together.len(), export, None, telling.buffer);
            for prefix in together.into_iter().take(end) {
                self.told(prefix, route.clone(), member);
            }
            if message.is_some() {
                return message;
            }
        }
        None
    }

    /// Whether the member has been told every closed batch.
    fn is_at_end(&self, member: &Member) -> bool {
        member.cursors.is_some_and(|cursors| cursors.iter().all(|at| self.log.is_open(at.batch)))
    }

    /// The member has this now, whether or not a batch in front of it says it as well.
    fn told(&self, prefix: IpNet, route: Option<Arc<Route>>, member: &mut Member) {
        if self.log.contains(&prefix) {
            member.own.told(prefix, Had::of(route.as_ref()));
        } else {
            member.own.clear(&prefix);
        }
    }

    /// What is said when everything is told: the ends of refreshes and of the first dump; and a refresh begins.
    fn next_marker<P: Ord + Clone>(
        &mut self,
        member: &mut Member,
        telling: &mut Telling<'_, P>,
    ) -> Option<Shared> {
        if let Some(family) = member.refreshing.take()
            && member.enhanced_refresh
        {
            return mark(family, Subtype::End, telling.buffer);
        }
        if !self.is_at_end(member) {
            // Changes that are about to be released.
            return None;
        }
        if telling.synced
            && let Some(family) = member.end_of_rib.iter().next()
        {
            member.end_of_rib = without(member.end_of_rib, family);
            let len = encode_end_of_rib(family, telling.buffer).ok()?;
            return telling.buffer.get(..len).map(Arc::from);
        }
        let family = member.refresh.iter().find(|family| {
            // The beginning of a refresh must not come before End-of-RIB (RFC 7313 4.1).
            !(member.enhanced_refresh && member.end_of_rib.contains(*family))
        })?;
        if self.log.has_changes() {
            // They are told first, so that nothing of the family is told twice.
            return None;
        }
        member.refresh = without(member.refresh, family);
        member.refreshing = Some(family);
        member.reading = Some(self.read(Families::NONE.with(family), Before::Again, telling));
        if member.enhanced_refresh {
            return mark(family, Subtype::Beginning, telling.buffer);
        }
        self.next(member, telling)
    }
}

/// A page of the log is told to a member that has something against the rule: without what it has already. From here on
/// the rule holds.
fn settle<P: Ord + Clone>(
    pages: &Pages,
    page: usize,
    message: Shared,
    member: &mut Member,
    wanted: &Wanted<'_, P>,
    buffer: &mut [u8],
) -> Option<Shared> {
    let export = &wanted.scope.export;
    let Some((route, prefixes)) = pages.prefixes(page) else { return Some(message) };
    let noted: Vec<IpNet> = prefixes.filter(|prefix| member.own.get(prefix).is_some()).collect();
    if noted.is_empty() {
        return Some(message);
    }
    let has = |prefix: IpNet| member.own.get(&prefix).is_some_and(|had| had.is(route, prefix, export));
    let told = if noted.iter().any(|prefix| has(*prefix)) {
        pages.take_without(page, export, &has, buffer)
    } else {
        Some(message)
    };
    noted.iter().for_each(|prefix| member.own.clear(prefix));
    told
}

fn mark(family: Family, subtype: Subtype, buffer: &mut [u8]) -> Option<Shared> {
    let len = RouteRefresh { family, subtype }.encode(buffer).ok()?;
    buffer.get(..len).map(Arc::from)
}

fn without(families: Families, family: Family) -> Families {
    families.iter().filter(|other| *other != family).collect()
}

/// So many messages of withdrawals may come in a row while announcements wait.
const WITHDRAWALS_IN_A_ROW: usize = 16;
/// So many of the prefixes that changed again are looked at to find those that go into one message.
const LOOK_AHEAD: usize = 4_096;
