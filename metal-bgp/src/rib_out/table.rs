//! What is to be announced, and to whom: once for all peers.

use alloc::{
    borrow::Cow,
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use ipnet::IpNet;

use super::{
    export::family,
    prefix_map::{PrefixMap, Update},
    route::Route,
};
use crate::wire::{Families, Family};

/// To whom a route is announced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience<P> {
    /// To every peer, also those that come later.
    All,
    /// To these.
    Only(BTreeSet<P>),
}

impl<P: Ord> Audience<P> {
    /// Whether the peer is among them.
    pub fn contains(&self, peer: &P) -> bool {
        match self {
            Self::All => true,
            Self::Only(peers) => peers.contains(peer),
        }
    }

    /// Whether somebody is among both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::All, Self::Only(peers)) | (Self::Only(peers), Self::All) => !peers.is_empty(),
            (Self::Only(one), Self::Only(other)) => !one.is_disjoint(other),
        }
    }
}

/// An audience that has routes.
pub(super) type AudienceId = u32;

/// The audiences that a peer is among, in order.
pub(super) type View = Vec<AudienceId>;

/// The routes of one prefix, mostly of one audience.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    One(AudienceId, Arc<Route>),
    /// Boxed once more, since it is rare and every prefix would pay for it.
    #[expect(clippy::box_collection, reason = "keeps the common entry at two words")]
    Many(Box<Vec<(AudienceId, Arc<Route>)>>),
}

/// All routes by prefix.
#[derive(Clone, Debug)]
pub(super) struct Table<P> {
    entries: PrefixMap<Entry>,
    /// How many prefixes have each length; IPv4 and IPv6.
    lengths: [Box<[usize]>; 2],
    /// Which lengths some prefix has, a bit for each; the longest ones have nothing inside and do not count.
    has_length: [u128; 2],
    /// Each route once, however many prefixes have it.
    routes: BTreeSet<Arc<Route>>,
    /// So many routes are kept before those that nobody has any more are looked for.
    routes_limit: usize,
    audiences: BTreeMap<Audience<P>, Addressed>,
    next_audience: AudienceId,
}

#[derive(Clone, Debug)]
struct Addressed {
    id: AudienceId,
    prefixes: usize,
}

/// What a change of the table was.
pub(super) struct Changed {
    /// The routes of the prefix before.
    pub(super) before: Option<Entry>,
    /// Those that it has now.
    pub(super) after: Option<Entry>,
    /// This audience has no prefix any more.
    pub(super) without_prefix: Option<AudienceId>,
}

impl Entry {
    /// What peers with this view are to be told.
    pub(super) fn route(&self, view: &[AudienceId]) -> Option<Cow<'_, Arc<Route>>> {
        match self {
            Self::One(audience, route) => {
                view.binary_search(audience).is_ok().then_some(Cow::Borrowed(route))
            }
            Self::Many(routes) => routes
                .iter()
                .filter(|(audience, _)| view.binary_search(audience).is_ok())
                .map(|(_, route)| Cow::Borrowed(route))
                .reduce(
                    |one, other| if one == other { one } else { Cow::Owned(Arc::new(one.merge(&other))) },
                ),
        }
    }

    fn of(&self, audience: AudienceId) -> Option<&Arc<Route>> {
        match self {
            Self::One(of, route) => (*of == audience).then_some(route),
            Self::Many(routes) => routes.iter().find(|(of, _)| *of == audience).map(|(_, route)| route),
        }
    }

    /// With another route for the audience; `None` when nothing is left.
    fn with(self, audience: AudienceId, route: Option<Arc<Route>>) -> Option<Self> {
        let mut routes = match self {
            Self::One(of, _) if of == audience => return route.map(|route| Self::One(audience, route)),
            Self::One(of, other) => alloc::vec![(of, other)],
            Self::Many(routes) => *routes,
        };
        routes.retain(|(of, _)| *of != audience);
        routes.extend(route.map(|route| (audience, route)));
        routes.sort_unstable_by_key(|(of, _)| *of);
        match routes.len() {
            0 | 1 => routes.pop().map(|(of, route)| Self::One(of, route)),
            _ => Some(Self::Many(Box::new(routes))),
        }
    }
}

impl<P: Ord + Clone> Table<P> {
    pub(super) fn new() -> Self {
        Self {
            entries: PrefixMap::new(),
            lengths: [alloc::vec![0; 33].into(), alloc::vec![0; 129].into()],
            has_length: [0; 2],
            routes: BTreeSet::new(),
            routes_limit: FEW_ROUTES,
            audiences: BTreeMap::new(),
            next_audience: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The audience's name in the table, and whether it is new.
    pub(super) fn audience(&mut self, audience: &Audience<P>) -> (AudienceId, bool) {
        if let Some(addressed) = self.audiences.get(audience) {
            return (addressed.id, false);
        }
        let id = self.next_audience;
        // Four billion edits of the advertisements.
        self.next_audience = id.wrapping_add(1);
        self.audiences.insert(audience.clone(), Addressed { id, prefixes: 0 });
        (id, true)
    }

    /// The audience's name in the table, if it has routes.
    pub(super) fn audience_id(&self, audience: &Audience<P>) -> Option<AudienceId> {
        self.audiences.get(audience).map(|addressed| addressed.id)
    }

    /// The audiences of a peer.
    pub(super) fn view(&self, peer: &P) -> View {
        let audiences = self.audiences.iter().filter(|(audience, _)| audience.contains(peer));
        let mut view: View = audiences.map(|(_, addressed)| addressed.id).collect();
        view.sort_unstable();
        view
    }

    /// Sets the route of a prefix for an audience; `None` when nothing changes.
    pub(super) fn set(
        &mut self,
        audience: &Audience<P>,
        prefix: IpNet,
        route: Option<&Route>,
    ) -> Option<Changed> {
        let id = self.audience_id(audience)?;
        let has = route.is_some();
        let route = route.map(|route| self.intern(route));
        let (mut after, mut is_same) = (None, false);
        let before = self.entries.update(prefix, |entry| {
            if entry.and_then(|entry| entry.of(id)) == route.as_ref() {
                is_same = true;
                return Update::Keep;
            }
            after = match entry {
                Some(entry) => entry.clone().with(id, route),
                None => route.map(|route| Entry::One(id, route)),
            };
            after.clone().map_or(Update::Remove, Update::Set)
        });
        if is_same {
            return None;
        }
        let had = before.as_ref().is_some_and(|entry| entry.of(id).is_some());
        self.count(prefix, before.is_some(), after.is_some());
        let mut without_prefix = None;
        if had != has
            && let Some(addressed) = self.audiences.get_mut(audience)
        {
            addressed.prefixes =
                if has { addressed.prefixes + 1 } else { addressed.prefixes.saturating_sub(1) };
            if addressed.prefixes == 0 {
                self.audiences.remove(audience);
                without_prefix = Some(id);
            }
        }
        Some(Changed { before, after, without_prefix })
    }

    /// The routes of a prefix.
    pub(super) fn get(&self, prefix: &IpNet) -> Option<&Entry> {
        self.entries.get(prefix)
    }

    /// All prefixes of these families in order, with their routes.
    pub(super) fn iter(&self, families: Families) -> impl Iterator<Item = (IpNet, &Entry)> {
        let v4 = families.contains(Family::IPV4_UNICAST).then(|| self.entries.iter_v4());
        let v6 = families.contains(Family::IPV6_UNICAST).then(|| self.entries.iter_v6());
        v4.into_iter().flatten().chain(v6.into_iter().flatten())
    }

    /// Whether another prefix that is inside this one, or that this one is inside of, has routes such as these.
    pub(super) fn overlaps(&self, prefix: IpNet, such: impl Fn(IpNet, &Entry) -> bool) -> bool {
        if self.entries.any_inside(prefix, &such) {
            return true;
        }
        let shorter = 1_u128.checked_shl(prefix.prefix_len().into()).map_or(u128::MAX, |bit| bit - 1);
        let mut lengths = self.has_length[usize::from(family(prefix) == Family::IPV6_UNICAST)] & shorter;
        while lengths != 0 {
            let around = shortened(prefix, u8::try_from(lengths.trailing_zeros()).unwrap_or_default());
            if self.get(&around).is_some_and(|entry| such(around, entry)) {
                return true;
            }
            lengths &= lengths - 1;
        }
        false
    }

    fn count(&mut self, prefix: IpNet, before: bool, after: bool) {
        let of = usize::from(family(prefix) == Family::IPV6_UNICAST);
        if let Some(count) = self.lengths[of].get_mut(usize::from(prefix.prefix_len())) {
            *count = (*count + usize::from(after)).saturating_sub(usize::from(before));
            let bit = 1_u128.checked_shl(prefix.prefix_len().into()).unwrap_or(0);
            if *count > 0 {
                self.has_length[of] |= bit;
            } else {
                self.has_length[of] &= !bit;
            }
        }
    }

    fn intern(&mut self, route: &Route) -> Arc<Route> {
        if let Some(known) = self.routes.get(route) {
            return Arc::clone(known);
        }
        if self.routes.len() >= self.routes_limit {
            self.routes.retain(|route| Arc::strong_count(route) > 1);
            self.routes_limit = (self.routes.len() * 2).max(FEW_ROUTES);
        }
        let route = Arc::new(route.clone());
        self.routes.insert(Arc::clone(&route));
        route
    }
}

/// The prefix of this length around this one.
fn shortened(prefix: IpNet, length: u8) -> IpNet {
    IpNet::new(prefix.addr(), length).map_or(prefix, |around| around.trunc())
}

/// So few routes need no looking after.
const FEW_ROUTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rib_out::RouteSettings;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn with_med(med: u32) -> Route {
        RouteSettings { med: Some(med), ..RouteSettings::default() }.check().unwrap()
    }

    #[test]
    fn an_entry_is_two_words() {
        assert_eq!(size_of::<Entry>(), 16);
    }

    #[test]
    fn prefixes_overlap_those_around_and_inside() {
        let mut table = Table::<u8>::new();
        table.audience(&Audience::All);
        for prefix in ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"] {
            assert!(table.set(&Audience::All, net(prefix), Some(&Route::default())).is_some());
        }
        let overlaps = |prefix| table.overlaps(net(prefix), |_, _| true);
        assert!(overlaps("10.1.2.3/32") && overlaps("192.0.0.0/16") && overlaps("2001:db8::1/128"));
        assert!(overlaps("0.0.0.0/0") && overlaps("::/0"));
        // Itself does not count, nor does what is beside it.
        assert!(!overlaps("10.0.0.0/8") && !overlaps("192.0.3.0/24") && !overlaps("2001:db9::/32"));
    }

    #[test]
    fn routes_that_nobody_has_are_forgotten() {
        let mut table = Table::<u8>::new();
        table.audience(&Audience::All);
        for med in 0..10_000 {
            table.set(&Audience::All, net("192.0.2.1/32"), Some(&with_med(med)));
        }
        assert!(table.routes.len() <= FEW_ROUTES);
    }

    #[test]
    fn an_audience_goes_with_its_last_prefix() {
        let mut table = Table::<u8>::new();
        let only = Audience::Only([1].into());
        let (all, _) = table.audience(&Audience::All);
        let (one, _) = table.audience(&only);
        table.set(&Audience::All, net("192.0.2.1/32"), Some(&with_med(7)));
        table.set(&only, net("192.0.2.1/32"), Some(&with_med(5)));
        let entry = table.get(&net("192.0.2.1/32")).unwrap();
        assert_eq!(entry.route(&table.view(&1)).unwrap().med, Some(5));
        assert_eq!(entry.route(&table.view(&2)).unwrap().med, Some(7));
        assert_eq!(table.view(&1), [all, one]);
        let changed = table.set(&only, net("192.0.2.1/32"), None).unwrap();
        assert_eq!(changed.without_prefix, Some(one));
        assert_eq!(table.view(&1), [all]);
        assert!(matches!(table.get(&net("192.0.2.1/32")), Some(Entry::One(..))));
    }
}
