//! The machine: routes and sessions in, who has something to be told out, and messages on demand.

use alloc::{collections::BTreeMap, vec::Vec};

use ipnet::IpNet;
use metal_core::{Instant, Machine};

use super::{
    export::Export,
    group::Group,
    pages::Shared,
    route::Route,
    table::{Audience, AudienceId, Table},
    wanted::{Scope, Wanted},
};
use crate::wire::{Families, Family, frame::MaxLength};

/// What happened.
#[derive(Clone, Debug)]
pub enum Input<'a, P> {
    /// A route is wanted for a prefix, or none any more. Each audience has its own; a peer among several of them is
    /// told what [`Route::merge`] makes of theirs. Bits beyond the length of the prefix do not count.
    Route {
        /// To whom.
        to: &'a Audience<P>,
        /// Where to.
        prefix: IpNet,
        /// What is said of it.
        route: Option<&'a Route>,
    },
    /// A session is Established. The peer has nothing, whatever it had before.
    Up {
        /// Whose.
        peer: P,
        /// How routes are put on it.
        export: Export,
        /// Whether enhanced route refresh was negotiated (RFC 7313).
        enhanced_refresh: bool,
    },
    /// A session has ended.
    Down {
        /// Whose.
        peer: &'a P,
    },
    /// A request for a route refresh has arrived (RFC 2918).
    Refresh {
        /// From whom.
        peer: &'a P,
        /// What is to be told again.
        family: Family,
    },
    /// All routes that there are have been said, so that End-of-RIB is true. Once is enough, for all sessions.
    Synced,
}

/// What is announced, to all peers of a speaker. `P` is how the owner calls them.
///
/// The outputs are peers that have something to be told. For each of them [`next_update`](Self::next_update) is called
/// whenever the socket takes something, until there is nothing left; then the peer is output again when there is.
#[derive(Clone, Debug)]
pub struct RibOut<P> {
    table: Table<P>,
    groups: BTreeMap<u64, Group<P>>,
    next_group: u64,
    group_of: BTreeMap<P, u64>,
    /// Groups that are told the same since an audience has gone; they become one when nothing waits in them.
    twins: Vec<(u64, u64)>,
    synced: bool,
    buffer: Vec<u8>,
}

impl<P: Ord + Clone> RibOut<P> {
    /// No routes, no peers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Table::new(),
            groups: BTreeMap::new(),
            next_group: 0,
            group_of: BTreeMap::new(),
            twins: Vec::new(),
            synced: false,
            buffer: alloc::vec![0; usize::from(MaxLength::Standard.bytes())],
        }
    }

    /// The next message to a peer: an UPDATE, an End-of-RIB marker, or the beginning or end of a route refresh. The
    /// peer counts as having been told. `None` when there is nothing to be told now, or the peer has no session.
    #[must_use = "the message has to be sent"]
    pub fn next_update(&mut self, now: Instant, peer: &P) -> Option<Shared> {
        let group = self.groups.get_mut(self.group_of.get(peer)?)?;
        group.next(now, peer, &self.table, self.synced, &mut self.buffer)
    }

    /// How many prefixes somebody is to be told.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nobody is to be told anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The peers that have a session.
    pub fn peers(&self) -> impl Iterator<Item = &P> {
        self.group_of.keys()
    }

    /// What a peer is to be told of a prefix; `None` also when the peer has no session, does not want the family, or
    /// there is no next hop for it.
    #[must_use]
    pub fn wanted(&self, peer: &P, prefix: IpNet) -> Option<Route> {
        let group = self.groups.get(self.group_of.get(peer)?)?;
        let wanted = Wanted { table: &self.table, scope: group.scope() };
        wanted.route(prefix.trunc()).map(|route| (*route).clone())
    }

    /// How many prefixes a peer with a session is told, or will be as soon as it takes them. Looks at every prefix.
    #[must_use]
    pub fn announced(&self, peer: &P) -> usize {
        let group = self.group_of.get(peer).and_then(|number| self.groups.get(number));
        group.map_or(0, |group| {
            let scope = group.scope();
            Wanted { table: &self.table, scope }.all(scope.export.families()).count()
        })
    }

    /// How many prefixes there are for a peer, whether it has a session or not. Looks at every prefix.
    #[must_use]
    pub fn meant_for(&self, peer: &P) -> usize {
        let view = self.table.view(peer);
        let every = self.table.iter(Families::NONE.with(Family::IPV4_UNICAST).with(Family::IPV6_UNICAST));
        every.filter(|(_, entry)| entry.route(&view).is_some()).count()
    }

    fn set_route(&mut self, now: Instant, to: &Audience<P>, prefix: IpNet, route: Option<&Route>) {
        let prefix = prefix.trunc();
        if route.is_some() {
            let (audience, is_new) = self.table.audience(to);
            if is_new {
                self.split(audience, to);
            }
        }
        let Some(changed) = self.table.set(to, prefix, route) else { return };
        for group in self.groups.values_mut() {
            group.change(now, prefix, changed.before.as_ref(), changed.after.as_ref());
        }
        if let Some(audience) = changed.without_prefix {
            self.unsplit(audience);
        }
    }

    fn up(&mut self, peer: P, export: Export, enhanced_refresh: bool) {
        self.down(&peer);
        let longest = usize::from(export.longest());
        if self.buffer.len() < longest {
            self.buffer.resize(longest, 0);
        }
        let scope = Scope { export, view: self.table.view(&peer) };
        let known = self.groups.iter().find(|(_, group)| *group.scope() == scope).map(|(number, _)| *number);
        let number = known.unwrap_or(self.next_group);
        if known.is_none() {
            self.next_group += 1;
        }
        let group = self.groups.entry(number).or_insert_with(|| Group::new(scope));
        group.join(peer.clone(), enhanced_refresh);
        self.group_of.insert(peer, number);
    }

    fn down(&mut self, peer: &P) {
        let Some(number) = self.group_of.remove(peer) else { return };
        if let Some(group) = self.groups.get_mut(&number) {
            group.leave(peer);
            if group.is_empty() {
                self.groups.remove(&number);
            }
        }
    }

    /// A new audience: groups that have some of it and some others become two.
    fn split(&mut self, audience: AudienceId, to: &Audience<P>) {
        let new: Vec<_> = self
            .groups
            .values_mut()
            .filter_map(|group| group.split(audience, |peer| to.contains(peer)))
            .collect();
        for group in new {
            for peer in group.peers() {
                self.group_of.insert(peer.clone(), self.next_group);
            }
            self.groups.insert(self.next_group, group);
            self.next_group += 1;
        }
    }

    /// An audience that has no routes any more: groups that differed in it become one.
    fn unsplit(&mut self, audience: AudienceId) {
        for group in self.groups.values_mut() {
            group.unsee(audience);
        }
        self.twins.clear();
        let mut rest = self.groups.iter();
        while let Some((number, group)) = rest.next() {
            let twin = rest.clone().find(|(_, other)| other.scope() == group.scope());
            self.twins.extend(twin.map(|(other, _)| (*number, *other)));
        }
        self.join_twins();
    }

    fn join_twins(&mut self) {
        let twins = core::mem::take(&mut self.twins);
        // From the end, so that of several each takes the one behind it.
        for (number, other) in twins.into_iter().rev() {
            let Some(mut taken) = self.groups.remove(&other) else { continue };
            let joined = self.groups.get_mut(&number).map(|group| group.absorb(&mut taken));
            match joined {
                Some(true) => {
                    for peer in self.group_of.values_mut().filter(|of| **of == other) {
                        *peer = number;
                    }
                }
                Some(false) => {
                    // Another audience may have parted them meanwhile.
                    if self.groups.get(&number).is_some_and(|group| group.scope() == taken.scope()) {
                        self.twins.push((number, other));
                    }
                    self.groups.insert(other, taken);
                }
                None => drop(self.groups.insert(other, taken)),
            }
        }
        self.twins.reverse();
    }
}

impl<P: Ord + Clone + 'static> Machine for RibOut<P> {
    type Input<'a> = Input<'a, P>;
    /// A peer that has something to be told.
    type Output = P;

    fn handle_input(&mut self, now: Instant, input: Input<'_, P>) {
        match input {
            Input::Route { to, prefix, route } => self.set_route(now, to, prefix, route),
            Input::Up { peer, export, enhanced_refresh } => self.up(peer, export, enhanced_refresh),
            Input::Down { peer } => self.down(peer),
            Input::Refresh { peer, family } => {
                let group = self.group_of.get(peer).and_then(|number| self.groups.get_mut(number));
                if let Some(group) = group {
                    group.refresh(peer, family);
                }
            }
            Input::Synced => {
                if !core::mem::replace(&mut self.synced, true) {
                    self.groups.values_mut().for_each(|group| group.synced(now));
                }
            }
        }
    }

    fn poll_output(&mut self, now: Instant) -> Option<P> {
        if !self.twins.is_empty() {
            self.join_twins();
        }
        self.groups.values_mut().find_map(|group| group.next_ready(now))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.groups.values().filter_map(Group::next_wake).min()
    }
}

impl<P: Ord + Clone> Default for RibOut<P> {
    fn default() -> Self {
        Self::new()
    }
}
