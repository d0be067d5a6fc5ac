//! Addresses to the prefixes that are announced for them.
//!
//! Many addresses can be announced by one prefix. It is there as long as one of them is, and what is said of it is what
//! [`Route::merge`] makes of all. Where they want different things of which only one can be said, that is a
//! [`Conflict`].

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::{fmt, net::IpAddr};

use ipnet::IpNet;

use super::{route::Route, table::Audience};

/// What somebody wants to be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution<P> {
    /// For which address.
    pub address: IpAddr,
    /// The length of the prefix; one that is too long for the family is as long as can be.
    pub length: u8,
    /// To whom.
    pub to: Audience<P>,
    /// What is said.
    pub route: Route,
}

/// A route that is wanted now, or none any more: as an [`Input::Route`](super::Input::Route).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<P> {
    /// To whom.
    pub to: Arc<Audience<P>>,
    /// Where to.
    pub prefix: IpNet,
    /// What is said of it.
    pub route: Option<Arc<Route>>,
}

/// Contributors to one prefix want different things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict<K> {
    /// What they differ in.
    pub attribute: Contested,
    /// Who wants what is said.
    pub heeded: Claim<K>,
    /// The others, one contributor for each value, in the order in which they would be heeded.
    pub overruled: Vec<Claim<K>>,
}

/// What can be said only once of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contested {
    /// LOCAL_PREF: the highest is said.
    LocalPref,
    /// MULTI_EXIT_DISC: the lowest is said.
    Med,
    /// How often our AS is repeated: the least.
    Prepend,
    /// The next hop: the lowest address.
    NextHop,
}

/// What a contributor wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim<K> {
    /// The value.
    pub value: Wish,
    /// The first of those who want it.
    pub by: K,
}

/// A value of what can be said only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wish {
    /// It is left to the session.
    Unset,
    /// A number.
    Number(u32),
    /// An address.
    Address(IpAddr),
}

/// Contributors by their keys, and the prefixes that come of them.
#[derive(Clone, Debug)]
pub struct Aggregates<K, P> {
    contributors: BTreeMap<K, Held<P>>,
    prefixes: BTreeMap<IpNet, Wishes<K, P>>,
}

/// Who wants what for a prefix. Contributors mostly want the same, so that there are few.
type Wishes<K, P> = BTreeMap<(Arc<Audience<P>>, Arc<Route>), BTreeSet<K>>;

#[derive(Clone, Debug)]
struct Held<P> {
    prefix: IpNet,
    to: Arc<Audience<P>>,
    route: Arc<Route>,
}

impl<K: Ord + Clone, P: Ord + Clone> Aggregates<K, P> {
    /// Nothing is announced.
    #[must_use]
    pub const fn new() -> Self {
        Self { contributors: BTreeMap::new(), prefixes: BTreeMap::new() }
    }

    /// Somebody wants something announced, or nothing any more. What changes, in the order in which it has to be told:
    /// a new prefix first, so that traffic always has a way.
    pub fn set(&mut self, key: &K, contribution: Option<Contribution<P>>) -> Vec<Change<P>> {
        let new = contribution.map(|wanted| self.hold(wanted));
        let old = match &new {
            Some(new) => self.contributors.insert(key.clone(), new.clone()),
            None => self.contributors.remove(key),
        };
        let is_same = |old: &Held<P>, new: &Held<P>| {
            (old.prefix, &old.to, &old.route) == (new.prefix, &new.to, &new.route)
        };
        if old.as_ref().zip(new.as_ref()).is_some_and(|(old, new)| is_same(old, new)) {
            return Vec::new();
        }
        // What is said now of the one or two that it touches, before and after.
        let mut touched: Vec<(IpNet, Arc<Audience<P>>)> = Vec::new();
        for held in [&new, &old].into_iter().flatten() {
            if !touched.iter().any(|(prefix, to)| *prefix == held.prefix && *to == held.to) {
                touched.push((held.prefix, Arc::clone(&held.to)));
            }
        }
        let before: Vec<_> = touched.iter().map(|(prefix, to)| self.said(prefix, to)).collect();
        if let Some(old) = old {
            self.remove(key, &old);
        }
        if let Some(new) = new {
            let wishes = self.prefixes.entry(new.prefix).or_default();
            wishes.entry((new.to, new.route)).or_default().insert(key.clone());
        }
        let changes = touched.into_iter().zip(before).filter_map(|((prefix, to), before)| {
            let route = self.said(&prefix, &to);
            (route != before).then_some(Change { to, prefix, route })
        });
        changes.collect()
    }

    /// The prefix that a contributor is announced by.
    #[must_use]
    pub fn prefix_of(&self, key: &K) -> Option<IpNet> {
        self.contributors.get(key).map(|held| held.prefix)
    }

    /// Who is announced by a prefix.
    pub fn contributors_to(&self, prefix: &IpNet) -> impl Iterator<Item = &K> {
        self.prefixes.get(prefix).into_iter().flat_map(BTreeMap::values).flatten()
    }

    /// In what the contributors to a prefix differ whom some peer hears of both.
    #[must_use]
    pub fn conflicts(&self, prefix: &IpNet) -> Vec<Conflict<K>> {
        let Some(wishes) = self.prefixes.get(prefix).filter(|wishes| wishes.len() > 1) else {
            return Vec::new();
        };
        let meets_another = |to: &Arc<Audience<P>>, route: &Arc<Route>| {
            wishes.keys().any(|(other_to, other)| (to, route) != (other_to, other) && to.overlaps(other_to))
        };
        let meeting: Vec<_> = wishes
            .iter()
            .filter(|((to, route), _)| meets_another(to, route))
            .filter_map(|((_, route), keys)| Some((route, keys.first()?)))
            .collect();
        let contested = [Contested::LocalPref, Contested::Med, Contested::Prepend, Contested::NextHop];
        contested.into_iter().filter_map(|attribute| conflict(attribute, prefix, &meeting)).collect()
    }

    fn hold(&self, contribution: Contribution<P>) -> Held<P> {
        let Contribution { address, length, to, route } = contribution;
        let prefix = IpNet::new(address, length).unwrap_or(IpNet::from(address)).trunc();
        // Those that are there already are shared.
        let known = self.prefixes.get(&prefix).into_iter().flat_map(BTreeMap::keys);
        let known: Vec<_> = known.take(FEW).collect();
        let same_to = known.iter().find(|(other, _)| **other == to).map(|(to, _)| Arc::clone(to));
        let same_route = known.iter().find(|(_, other)| **other == route).map(|(_, route)| Arc::clone(route));
        Held {
            prefix,
            to: same_to.unwrap_or_else(|| Arc::new(to)),
            route: same_route.unwrap_or_else(|| Arc::new(route)),
        }
    }

    fn remove(&mut self, key: &K, held: &Held<P>) {
        let Some(wishes) = self.prefixes.get_mut(&held.prefix) else { return };
        let wish = (Arc::clone(&held.to), Arc::clone(&held.route));
        if let Some(keys) = wishes.get_mut(&wish) {
            keys.remove(key);
            if keys.is_empty() {
                wishes.remove(&wish);
            }
        }
        if wishes.is_empty() {
            self.prefixes.remove(&held.prefix);
        }
    }

    /// What is said of a prefix to an audience.
    fn said(&self, prefix: &IpNet, to: &Arc<Audience<P>>) -> Option<Arc<Route>> {
        let wishes = self.prefixes.get(prefix)?;
        let routes = wishes.keys().filter(|(other, _)| other == to).map(|(_, route)| route);
        routes.cloned().reduce(|one, other| Arc::new(one.merge(&other)))
    }
}

impl<K: Ord + Clone, P: Ord + Clone> Default for Aggregates<K, P> {
    fn default() -> Self {
        Self::new()
    }
}

/// What is wanted of a prefix in one thing, by its rank: the first is heeded.
fn conflict<K: Ord + Clone>(
    attribute: Contested,
    prefix: &IpNet,
    wishes: &[(&Arc<Route>, &K)],
) -> Option<Conflict<K>> {
    let mut claims: Vec<Claim<K>> = wishes
        .iter()
        .map(|(route, key)| Claim { value: attribute.of(route, prefix), by: (*key).clone() })
        .collect();
    claims.sort_unstable();
    claims.dedup_by(|one, other| one.value == other.value);
    if attribute == Contested::LocalPref {
        claims.reverse();
    } else if claims.first().is_some_and(|claim| claim.value == Wish::Unset) {
        // Something beats nothing.
        claims.rotate_left(1);
    }
    let mut claims = claims.into_iter();
    let heeded = claims.next()?;
    let overruled: Vec<_> = claims.collect();
    (!overruled.is_empty()).then_some(Conflict { attribute, heeded, overruled })
}

impl Contested {
    fn of(self, route: &Route, prefix: &IpNet) -> Wish {
        let number = |value: Option<u32>| value.map_or(Wish::Unset, Wish::Number);
        match self {
            Self::LocalPref => number(route.local_pref),
            Self::Med => number(route.med),
            Self::Prepend => Wish::Number(route.prepend.into()),
            Self::NextHop => {
                let address = match prefix {
                    IpNet::V4(_) => route.next_hop_v4.map(IpAddr::V4),
                    IpNet::V6(_) => route.next_hop_v6.map(IpAddr::V6),
                };
                address.map_or(Wish::Unset, Wish::Address)
            }
        }
    }
}

impl fmt::Display for Contested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalPref => "local preference",
            Self::Med => "MED",
            Self::Prepend => "AS path prepending",
            Self::NextHop => "next hop",
        })
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("unset"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl<K: fmt::Display> fmt::Display for Conflict<K> {
    /// "local preference 200 of web is used; 100 of api is not".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {} is used; ", self.attribute, self.heeded.value, self.heeded.by)?;
        for (index, claim) in self.overruled.iter().enumerate() {
            write!(f, "{}{} of {}", if index == 0 { "" } else { ", " }, claim.value, claim.by)?;
        }
        f.write_str(if self.overruled.len() == 1 { " is not" } else { " are not" })
    }
}

/// So many wishes for a prefix are looked through for equal ones.
const FEW: usize = 8;

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::rib_out::RouteSettings;

    fn with(local_pref: Option<u32>) -> Route {
        RouteSettings { local_pref, ..RouteSettings::default() }.check().unwrap()
    }

    fn wanted(address: &str, length: u8, local_pref: Option<u32>) -> Option<Contribution<u8>> {
        let route = with(local_pref);
        Some(Contribution { address: address.parse().unwrap(), length, to: Audience::All, route })
    }

    fn told(changes: &[Change<u8>]) -> Vec<(alloc::string::String, Option<Option<u32>>)> {
        let of = |route: &Arc<Route>| route.local_pref;
        changes.iter().map(|it| (it.prefix.to_string(), it.route.as_ref().map(of))).collect()
    }

    #[test]
    fn a_prefix_is_there_as_long_as_one_contributor_is() {
        let mut aggregates = Aggregates::new();
        let added = aggregates.set(&"web", wanted("192.0.2.1", 24, None));
        assert_eq!(told(&added), [("192.0.2.0/24".to_string(), Some(None))]);
        assert_eq!(aggregates.set(&"api", wanted("192.0.2.200", 24, None)), []);
        assert_eq!(aggregates.set(&"web", None), []);
        assert!(aggregates.contributors_to(&"192.0.2.0/24".parse().unwrap()).eq([&"api"]));
        assert_eq!(told(&aggregates.set(&"api", None)), [("192.0.2.0/24".to_string(), None)]);
        assert_eq!(aggregates.set(&"api", None), []);
        assert!(aggregates.prefixes.is_empty());
    }

    #[test]
    fn the_new_prefix_comes_before_the_old_goes() {
        let mut aggregates = Aggregates::new();
        aggregates.set(&"web", wanted("2001:db8::1", 64, None));
        let moved = aggregates.set(&"web", wanted("2001:db8::1", 128, None));
        let expected = [("2001:db8::1/128".to_string(), Some(None)), ("2001:db8::/64".to_string(), None)];
        assert_eq!(told(&moved), expected);
        assert_eq!(aggregates.prefix_of(&"web"), "2001:db8::1/128".parse().ok());
    }

    #[test]
    fn contradictions_are_resolved_in_any_order_and_told() {
        let prefix = "192.0.2.0/24".parse().unwrap();
        let mut orders = Vec::new();
        for names in [["api", "web", "www"], ["www", "web", "api"]] {
            let mut aggregates = Aggregates::new();
            let mut last = None;
            for name in names {
                let local_pref = match name {
                    "api" => Some(100),
                    "web" => Some(200),
                    _ => None,
                };
                last = aggregates.set(&name, wanted("192.0.2.1", 24, local_pref)).pop().or(last);
            }
            orders.push(last.unwrap().route.unwrap().local_pref);
            let conflicts = aggregates.conflicts(&prefix);
            let words: Vec<_> = conflicts.iter().map(ToString::to_string).collect();
            assert_eq!(words, ["local preference 200 of web is used; 100 of api, unset of www are not"]);
            aggregates.set(&"web", None);
            aggregates.set(&"www", None);
            assert_eq!(aggregates.conflicts(&prefix), []);
        }
        assert_eq!(orders, [Some(200), Some(200)]);
    }

    #[test]
    fn who_speaks_to_others_contradicts_nobody() {
        let mut aggregates = Aggregates::new();
        for (peer, local_pref) in [(1, 100), (2, 200)] {
            let to = Audience::Only([peer].into());
            let route = with(Some(local_pref));
            let address = "192.0.2.1".parse().unwrap();
            let changes =
                aggregates.set(&peer, Some(Contribution { address, length: 32, to: to.clone(), route }));
            assert_eq!(*changes[0].to, to);
        }
        assert_eq!(aggregates.conflicts(&"192.0.2.1/32".parse().unwrap()), []);
        aggregates.set(&3, wanted("192.0.2.1", 32, Some(50)));
        let conflicts = aggregates.conflicts(&"192.0.2.1/32".parse().unwrap());
        assert_eq!(conflicts[0].to_string(), "local preference 200 of 2 is used; 100 of 1, 50 of 3 are not");
    }
}
