//! How routes are put to the peers of one kind.

use alloc::{sync::Arc, vec::Vec};

use ipnet::IpNet;

use super::route::{DEFAULT_LOCAL_PREF, Route};
use crate::wire::{
    Attributes, EncodeError, Families, Family, Peer, Session,
    attribute::{Community, ExtendedCommunity, LargeCommunity, NextHop, Origin, PathSegment},
    build::usable,
};

/// What the bytes to a peer depend on, beside the routes. Peers for which it is equal share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    session: Session,
    local_as: u32,
    families: Families,
    next_hop_v4: Option<NextHop>,
    next_hop_v6: Option<NextHop>,
}

/// Why nothing can be announced that way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExport {
    /// RFC 7607.
    #[error("the local AS is 0, which nobody may use")]
    AsZero,
    /// One path for a prefix is all that there is.
    #[error("path identifiers were agreed on for what is sent, which is not supported")]
    AddPath,
    /// Nobody could reach it.
    #[error("{0:?} cannot be a next hop of {1}: {2}")]
    NextHop(NextHop, Family, EncodeError),
}

impl Export {
    /// How routes are put on a session: `session` is what was negotiated for sending, the next hops are the local
    /// addresses of the connection. An IPv6 next hop for IPv4 needs extended next hop (RFC 8950). A family without a
    /// next hop is announced where the route has one of its own. Families other than IPv4 and IPv6 unicast are left out.
    ///
    /// # Errors
    /// When no peer would take what comes out.
    pub fn new(
        session: Session,
        local_as: u32,
        families: Families,
        next_hop_v4: Option<NextHop>,
        next_hop_v6: Option<NextHop>,
    ) -> Result<Self, InvalidExport> {
        if local_as == 0 {
            return Err(InvalidExport::AsZero);
        }
        let families = UNICAST.into_iter().filter(|family| families.contains(*family)).collect::<Families>();
        if families.iter().any(|family| session.add_path.contains(family)) {
            return Err(InvalidExport::AddPath);
        }
        for (family, next_hop) in UNICAST.into_iter().zip([next_hop_v4, next_hop_v6]) {
            if let Some(next_hop) = next_hop {
                usable(next_hop, family).map_err(|error| InvalidExport::NextHop(next_hop, family, error))?;
            }
        }
        Ok(Self { session, local_as, families, next_hop_v4, next_hop_v6 })
    }

    /// The longest message in octets.
    pub(super) const fn longest(&self) -> u16 {
        self.session.max_length.bytes()
    }

    /// The families that are announced.
    #[must_use]
    pub const fn families(&self) -> Families {
        self.families
    }

    /// How messages are encoded.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Whether the prefix can be announced at all.
    pub(super) fn takes(&self, prefix: IpNet) -> bool {
        self.families.contains(family(prefix))
    }

    /// What peers are told; `None` when there is no next hop for the family.
    pub(super) fn said<'a>(&self, route: &'a Route, family: Family) -> Option<Said<'a>> {
        let next_hop = if family == Family::IPV4_UNICAST {
            route.next_hop_v4.map(NextHop::V4).or(self.next_hop_v4)?
        } else {
            route.next_hop_v6.map(NextHop::V6).or(self.next_hop_v6)?
        };
        let internal = self.session.peer == Peer::Internal;
        Some(Said {
            next_hop,
            local_pref: internal.then(|| route.local_pref.unwrap_or(DEFAULT_LOCAL_PREF)),
            med: route.med,
            prepend: if internal { 0 } else { route.prepend },
            communities: &route.communities,
            transitive: &route.transitive,
            non_transitive: if internal { &route.non_transitive } else { &[] },
            large_communities: &route.large_communities,
        })
    }

    /// Whether peers are told the same.
    pub(super) fn says_same(&self, one: &Arc<Route>, other: &Arc<Route>, family: Family) -> bool {
        Arc::ptr_eq(one, other) || self.said(one, family) == self.said(other, family)
    }

    /// The attributes of a route, apart from the next hop.
    pub(super) fn attributes(&self, said: &Said<'_>) -> Attributes {
        let path = match self.session.peer {
            Peer::Internal => Vec::new(),
            Peer::External => {
                let times = 1 + usize::from(said.prepend);
                alloc::vec![PathSegment::sequence(core::iter::repeat_n(self.local_as, times))]
            }
        };
        Attributes {
            origin: Some(Origin::Igp),
            as_path: Some(path),
            multi_exit_disc: said.med,
            local_pref: said.local_pref,
            communities: said.communities.to_vec(),
            extended_communities: [said.transitive, said.non_transitive].concat(),
            large_communities: said.large_communities.to_vec(),
            ..Attributes::default()
        }
    }
}

/// What one kind of peers is told of a route. Routes that differ in something that these peers are not told are the
/// same to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Said<'a> {
    pub(super) next_hop: NextHop,
    local_pref: Option<u32>,
    med: Option<u32>,
    prepend: u8,
    communities: &'a [Community],
    transitive: &'a [ExtendedCommunity],
    non_transitive: &'a [ExtendedCommunity],
    large_communities: &'a [LargeCommunity],
}

/// The family of a prefix.
pub(super) const fn family(prefix: IpNet) -> Family {
    match prefix {
        IpNet::V4(_) => Family::IPV4_UNICAST,
        IpNet::V6(_) => Family::IPV6_UNICAST,
    }
}

/// The families that are announced.
pub(super) const UNICAST: [Family; 2] = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];
