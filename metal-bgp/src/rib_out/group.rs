//! Peers that are told the same in the same bytes.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ipnet::IpNet;
use metal_core::Instant;

use super::{
    export::family,
    log::{Cursor, Had, Log, Stream},
    member::Member,
    pages::Shared,
    queue::{Queue, Telling},
    route::Route,
    table::{AudienceId, Entry, Table},
    wanted::{Scope, Wanted},
};
use crate::wire::Family;

/// Peers with equal export that are among the same audiences.
#[derive(Clone, Debug)]
pub(super) struct Group<P> {
    scope: Scope,
    members: BTreeMap<P, Member>,
    queue: Queue,
    /// Members that have something against the rule.
    strays: BTreeSet<P>,
    /// Members that have been told all that there was to tell.
    idle: BTreeSet<P>,
    /// Members that were idle and have something to be told now.
    ready: BTreeSet<P>,
    /// Idle members know of everything that was released until then.
    woken: Option<Instant>,
}

impl<P: Ord + Clone> Group<P> {
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            scope,
            members: BTreeMap::new(),
            queue: Queue::new(),
            strays: BTreeSet::new(),
            idle: BTreeSet::new(),
            ready: BTreeSet::new(),
            woken: None,
        }
    }

    pub(super) const fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A peer has come.
    pub(super) fn join(&mut self, peer: P, enhanced_refresh: bool) {
        self.ready.insert(peer.clone());
        self.members.insert(peer, Member::new(self.scope.export.families(), enhanced_refresh));
    }

    /// A peer has gone.
    pub(super) fn leave(&mut self, peer: &P) {
        self.strays.remove(peer);
        self.idle.remove(peer);
        self.ready.remove(peer);
        if let Some(member) = self.members.remove(peer) {
            self.queue.leave(&member);
        }
        if !self.has_begun() {
            self.queue.log = Log::new();
        }
    }

    /// Whether somebody has been told something.
    fn has_begun(&self) -> bool {
        self.members.values().any(|member| member.cursors.is_some())
    }

    /// Who they are.
    pub(super) fn peers(&self) -> impl Iterator<Item = &P> {
        self.members.keys()
    }

    /// A peer wants to be told a family again.
    pub(super) fn refresh(&mut self, peer: &P, family: Family) {
        if let Some(member) = self.members.get_mut(peer)
            && self.scope.export.families().contains(family)
        {
            member.refresh = member.refresh.with(family);
            self.wake(peer);
        }
    }

    /// End-of-RIB may be said, after what has changed until now.
    pub(super) fn synced(&mut self, now: Instant) {
        self.queue.log.hurry(now);
        self.wake_all();
    }

    /// The routes of a prefix have changed in the table.
    pub(super) fn change(&mut self, now: Instant, prefix: IpNet, old: Option<&Entry>, new: Option<&Entry>) {
        let route = |entry| self.scope.route(prefix, entry);
        let (old, new) = (old.and_then(route), new.and_then(route));
        let (old, new) = (old.as_deref(), new.as_deref());
        let is_same = match (old, new) {
            (None, None) => true,
            (Some(old), Some(new)) => self.scope.export.says_same(old, new, family(prefix)),
            (Some(_), None) | (None, Some(_)) => false,
        };
        if is_same {
            return;
        }
        if !self.has_begun() {
            self.queue.dumps.clear();
            return;
        }
        self.touch_strays(prefix);
        self.change_dumps(prefix, old);
        let overtaken = match self.queue.log.find_closed(prefix, &self.scope.export) {
            None => None,
            Some((stream, place)) => self.overtake(prefix, stream, place),
        };
        let before = overtaken.unwrap_or_else(|| Had::of(old));
        let release = self.queue.log.put(now, prefix, before, new.cloned(), &self.scope.export);
        if release.is_some_and(|release| release <= now) {
            self.wake_all();
        }
    }

    fn touch_strays(&mut self, prefix: IpNet) {
        for peer in &self.strays {
            if let Some(member) = self.members.get_mut(peer)
                && member.own.touch(prefix)
                && self.idle.remove(peer)
            {
                self.ready.insert(peer.clone());
            }
        }
    }

    /// Those who have not been told of the prefix in a dump are not told by it any more.
    fn change_dumps(&mut self, prefix: IpNet, old: Option<&Arc<Route>>) {
        self.queue.dumps.retain(|_, dump| dump.readers > 0);
        for (number, dump) in &mut self.queue.dumps {
            if !dump.families.contains(family(prefix)) {
                continue;
            }
            let page = old.and_then(|old| dump.pages.page_of(prefix, Some(old), &self.scope.export));
            if !dump.pages.remove(prefix, page) {
                continue;
            }
            let Some(page) = page else { continue };
            for (peer, member) in &mut self.members {
                if let Some(reading) = member.reading.filter(|at| at.dump == *number && at.page <= page) {
                    member.own.note(prefix, || reading.has.had());
                    self.strays.insert(peer.clone());
                }
            }
        }
    }

    /// Takes a change out of a batch that some may have been told and some have not. What those have who have not, if
    /// nobody has.
    fn overtake(&mut self, prefix: IpNet, stream: Stream, place: Cursor) -> Option<Had> {
        // In a later batch it would come behind the withdrawals that wait for it.
        let stays = self.queue.log.get(place.batch).is_some_and(|batch| batch.has_late());
        let change = self.queue.log.remove(prefix, stream, place)?;
        if !stays && !self.members.values().any(|member| member.has_passed(stream, place)) {
            return Some(change.before);
        }
        for (peer, member) in &mut self.members {
            if !member.has_passed(stream, place) {
                member.own.note(prefix, || change.before.clone());
                self.strays.insert(peer.clone());
                if self.idle.remove(peer) {
                    self.ready.insert(peer.clone());
                }
            }
        }
        None
    }

    /// The next message for a peer.
    pub(super) fn next(
        &mut self,
        now: Instant,
        peer: &P,
        table: &Table<P>,
        synced: bool,
        buffer: &mut [u8],
    ) -> Option<Shared> {
        let member = self.members.get_mut(peer)?;
        let wanted = Wanted { table, scope: &self.scope };
        let message = self.queue.next(member, &mut Telling { now, wanted, synced, buffer });
        if member.own.is_empty() {
            self.strays.remove(peer);
        }
        if message.is_some() {
            self.idle.remove(peer);
        } else {
            // From now on it is told when something is released.
            self.release(now);
            self.ready.remove(peer);
            self.idle.insert(peer.clone());
        }
        message
    }

    /// The next peer that has been told everything and has something to be told now.
    pub(super) fn next_ready(&mut self, now: Instant) -> Option<P> {
        self.queue.log.forget_told();
        self.release(now);
        self.ready.pop_first()
    }

    fn release(&mut self, now: Instant) {
        if self.queue.log.next_release(self.woken).is_some_and(|release| release <= now) {
            self.wake_all();
        }
        self.woken = Some(now);
    }

    /// When somebody has something to be told.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        if !self.ready.is_empty() {
            Some(Instant::ZERO)
        } else if self.idle.is_empty() {
            None
        } else {
            self.queue.log.next_release(self.woken)
        }
    }

    fn wake(&mut self, peer: &P) {
        if self.idle.remove(peer) {
            self.ready.insert(peer.clone());
        }
    }

    fn wake_all(&mut self) {
        self.ready.append(&mut self.idle);
    }

    /// An audience has come into being: those of the members that are among it get a group of their own, unless all
    /// are.
    pub(super) fn split(&mut self, audience: AudienceId, is_among: impl Fn(&P) -> bool) -> Option<Self> {
        let among = self.members.keys().filter(|peer| is_among(peer)).count();
        if among == 0 {
            return None;
        }
        if among == self.members.len() {
            self.scope.see(audience);
            return None;
        }
        let mut other = self.clone();
        other.scope.see(audience);
        other.keep(&is_among);
        self.keep(|peer| !is_among(peer));
        Some(other)
    }

    fn keep(&mut self, keeps: impl Fn(&P) -> bool) {
        self.members.retain(|peer, _| keeps(peer));
        self.strays.retain(&keeps);
        self.idle.retain(&keeps);
        self.ready.retain(&keeps);
        self.queue.recount(self.members.values());
    }

    /// An audience has no routes any more.
    pub(super) fn unsee(&mut self, audience: AudienceId) {
        self.scope.view.retain(|seen| *seen != audience);
    }

    /// Takes the members of a group that are told the same, if nothing waits for anybody in either; whether it has.
    pub(super) fn absorb(&mut self, other: &mut Self) -> bool {
        let quiet = |group: &Self| group.queue.is_quiet() && group.strays.is_empty();
        if self.scope != other.scope || !quiet(self) || !quiet(other) {
            return false;
        }
        for (peer, mut member) in core::mem::take(&mut other.members) {
            if member.cursors.is_some() {
                member.cursors = Some([self.queue.log.enter(), self.queue.log.enter()]);
            }
            self.members.insert(peer, member);
        }
        self.idle.append(&mut other.idle);
        self.ready.append(&mut other.ready);
        true
    }
}
