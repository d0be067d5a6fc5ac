//! What is said of a prefix, before it is known to whom.

use alloc::{boxed::Box, vec::Vec};
use core::{
    cmp::Reverse,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::wire::{
    EncodeError, Family,
    attribute::{Community, ExtendedCommunity, LargeCommunity, NextHop},
    build::usable,
};

/// What whoever originates a route may set. [`check`](Self::check) makes a [`Route`] of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteSettings {
    /// LOCAL_PREF, said to internal peers only. [`DEFAULT_LOCAL_PREF`] where it is not set.
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// How often our AS is in AS_PATH beyond the once that it has to be, towards external peers.
    pub prepend: u8,
    /// The next hop of IPv4 prefixes; without, the session's own.
    pub next_hop_v4: Option<Ipv4Addr>,
    /// The next hop of IPv6 prefixes; without, the session's own.
    pub next_hop_v6: Option<Ipv6Addr>,
    /// COMMUNITIES.
    pub communities: Vec<Community>,
    /// EXTENDED COMMUNITIES. External peers are told the transitive ones only (RFC 4360 6).
    pub extended_communities: Vec<ExtendedCommunity>,
    /// LARGE_COMMUNITY.
    pub large_communities: Vec<LargeCommunity>,
}

/// What is said of a prefix: communities sorted and unique, everything within bounds that any message has room for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    pub(super) local_pref: Option<u32>,
    pub(super) med: Option<u32>,
    pub(super) prepend: u8,
    pub(super) next_hop_v4: Option<Ipv4Addr>,
    pub(super) next_hop_v6: Option<Ipv6Addr>,
    pub(super) communities: Box<[Community]>,
    pub(super) transitive: Box<[ExtendedCommunity]>,
    pub(super) non_transitive: Box<[ExtendedCommunity]>,
    pub(super) large_communities: Box<[LargeCommunity]>,
}

/// Why a route cannot be announced to anybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoute {
    /// The communities would not leave room for the rest of the message.
    #[error(
        "the communities take {octets} octets; at most {MAX_COMMUNITIES} fit beside the rest of a message"
    )]
    TooManyCommunities {
        /// What all kinds of communities take.
        octets: usize,
    },
    /// The path would not fit.
    #[error("the AS is to be prepended {0} times; more than {MAX_PREPEND} is not supported")]
    PrependedTooOften(u8),
    /// Nobody could reach it.
    #[error("{0} cannot be a next hop: {1}")]
    NextHop(IpAddr, EncodeError),
}

impl RouteSettings {
    /// The route, if every peer can be told it.
    ///
    /// # Errors
    /// When a message has no room for it, or nobody can use the next hop.
    pub fn check(self) -> Result<Route, InvalidRoute> {
        if self.prepend > MAX_PREPEND {
            return Err(InvalidRoute::PrependedTooOften(self.prepend));
        }
        if let Some(address) = self.next_hop_v4 {
            usable(NextHop::V4(address), Family::IPV4_UNICAST)
                .map_err(|error| InvalidRoute::NextHop(address.into(), error))?;
        }
        if let Some(address) = self.next_hop_v6 {
            usable(NextHop::V6(address), Family::IPV6_UNICAST)
                .map_err(|error| InvalidRoute::NextHop(address.into(), error))?;
        }
        let (transitive, non_transitive): (Vec<_>, _) =
            self.extended_communities.into_iter().partition(|community| community.is_transitive());
        let route = Route {
            local_pref: self.local_pref,
            med: self.med,
            prepend: self.prepend,
            next_hop_v4: self.next_hop_v4,
            next_hop_v6: self.next_hop_v6,
            communities: set(self.communities),
            transitive: set(transitive),
            non_transitive: set(non_transitive),
            large_communities: set(self.large_communities),
        };
        match route.octets() {
            octets if octets > MAX_COMMUNITIES => Err(InvalidRoute::TooManyCommunities { octets }),
            _ => Ok(route),
        }
    }
}

impl Route {
    /// The same as it could have been set.
    #[must_use]
    pub fn settings(&self) -> RouteSettings {
        RouteSettings {
            local_pref: self.local_pref,
            med: self.med,
            prepend: self.prepend,
            next_hop_v4: self.next_hop_v4,
            next_hop_v6: self.next_hop_v6,
            communities: self.communities.to_vec(),
            extended_communities: [&*self.transitive, &*self.non_transitive].concat(),
            large_communities: self.large_communities.to_vec(),
        }
    }

    /// What is said when both are wanted for one prefix. The order of the two makes no difference.
    ///
    /// Communities are united. Of what can be said only once, something beats nothing, and then the highest
    /// LOCAL_PREF, the lowest MULTI_EXIT_DISC and the lowest next hop count; AS_PATH gets the smaller number of
    /// repetitions. Communities that together would be too many are those of the first in [`Ord`].
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        fn union<T: Copy + Ord>(one: &[T], other: &[T]) -> Box<[T]> {
            set([one, other].concat())
        }
        let merged = Self {
            local_pref: self.local_pref.max(other.local_pref),
            med: lowest(self.med, other.med),
            prepend: self.prepend.min(other.prepend),
            next_hop_v4: lowest(self.next_hop_v4, other.next_hop_v4),
            next_hop_v6: lowest(self.next_hop_v6, other.next_hop_v6),
            communities: union(&self.communities, &other.communities),
            transitive: union(&self.transitive, &other.transitive),
            non_transitive: union(&self.non_transitive, &other.non_transitive),
            large_communities: union(&self.large_communities, &other.large_communities),
        };
        if merged.octets() <= MAX_COMMUNITIES {
            return merged;
        }
        let Self { communities, transitive, non_transitive, large_communities, .. } = self.min(other).clone();
        Self { communities, transitive, non_transitive, large_communities, ..merged }
    }

    /// What the communities take in a message to an internal peer.
    fn octets(&self) -> usize {
        self.communities.len() * 4
            + (self.transitive.len() + self.non_transitive.len()) * 8
            + self.large_communities.len() * 12
    }
}

/// Something beats nothing, then the lowest wins.
fn lowest<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.map(Reverse).max(other.map(Reverse)).map(|Reverse(lowest)| lowest)
}

fn set<T: Ord>(mut list: Vec<T>) -> Box<[T]> {
    list.sort_unstable();
    list.dedup();
    list.into()
}

/// LOCAL_PREF towards internal peers where none is set (RFC 4271 9.1.1 leaves it to policy; this is what routers use).
pub const DEFAULT_LOCAL_PREF: u32 = 100;
/// The most octets of communities of all kinds together. All other attributes at their longest, with a header and a
/// prefix, take less than the rest of 4,096.
pub const MAX_COMMUNITIES: usize = 3_600;
/// The most repetitions of our AS in AS_PATH.
pub const MAX_PREPEND: u8 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_routes_are_equal_whatever_the_order_of_their_communities() {
        let route = |numbers: &[u32]| {
            let communities = numbers.iter().copied().map(Community).collect();
            RouteSettings { communities, ..RouteSettings::default() }.check()
        };
        assert_eq!(route(&[3, 1, 2, 3]), route(&[1, 2, 3]));
    }

    #[test]
    fn merging_is_the_same_in_any_order() {
        let route = |local_pref, med, prepend, community| {
            let settings = RouteSettings {
                local_pref,
                med,
                prepend,
                communities: alloc::vec![Community(community)],
                ..RouteSettings::default()
            };
            settings.check().unwrap()
        };
        let [a, b, c] =
            [route(None, Some(5), 2, 7), route(Some(200), None, 0, 1), route(Some(50), Some(3), 1, 7)];
        let merged = a.merge(&b).merge(&c);
        assert_eq!(merged, c.merge(&a.merge(&b)));
        assert_eq!(merged, b.merge(&c).merge(&a));
        assert_eq!(merged.merge(&a), merged);
        let expected = RouteSettings {
            local_pref: Some(200),
            med: Some(3),
            prepend: 0,
            communities: alloc::vec![Community(1), Community(7)],
            ..RouteSettings::default()
        };
        assert_eq!(merged.settings(), expected);
    }

    #[test]
    fn what_nobody_could_be_told_is_refused() {
        let too_many = RouteSettings { communities: (0..901).map(Community).collect(), ..Default::default() };
        assert_eq!(too_many.check(), Err(InvalidRoute::TooManyCommunities { octets: 3_604 }));
        let too_often = RouteSettings { prepend: 33, ..Default::default() };
        assert_eq!(too_often.check(), Err(InvalidRoute::PrependedTooOften(33)));
        let mapped = RouteSettings { next_hop_v6: "::ffff:192.0.2.1".parse().ok(), ..Default::default() };
        assert!(matches!(mapped.check(), Err(InvalidRoute::NextHop(..))));
    }
}
