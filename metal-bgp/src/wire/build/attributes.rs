//! The path attributes of routes of one's own.

use alloc::{boxed::Box, vec::Vec};
use core::net::Ipv4Addr;

use crate::wire::{
    AttributeCode, Flags, List, Update, Value,
    attribute::{
        Aggregator, Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity, Origin, PathSegment,
    },
    list::Item,
};

/// What is said about routes, apart from what is reachable and through whom.
///
/// Attributes are written in the order of their types, whatever the order of what is in here; communities are
/// sorted, and each is written once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attributes {
    /// ORIGIN. Routes cannot be announced without.
    pub origin: Option<Origin>,
    /// AS_PATH. Routes cannot be announced without; towards internal peers it is empty.
    pub as_path: Option<Vec<PathSegment>>,
    /// MULTI_EXIT_DISC.
    pub multi_exit_disc: Option<u32>,
    /// LOCAL_PREF: needed by internal peers, never sent to external ones.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR.
    pub aggregator: Option<Aggregator>,
    /// COMMUNITIES.
    pub communities: Vec<Community>,
    /// ORIGINATOR_ID: never sent to external peers.
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST: never sent to external peers.
    pub cluster_list: Vec<Ipv4Addr>,
    /// EXTENDED COMMUNITIES.
    pub extended_communities: Vec<ExtendedCommunity>,
    /// AS4_PATH. Left empty, it is made where a peer with two-octet AS numbers needs it.
    pub as4_path: Option<Vec<PathSegment>>,
    /// AS4_AGGREGATOR. Left empty, it is made where a peer with two-octet AS numbers needs it.
    pub as4_aggregator: Option<Aggregator>,
    /// IPv6 Address Specific Extended Community.
    pub ipv6_extended_communities: Vec<Ipv6ExtendedCommunity>,
    /// AIGP: all of its TLVs, as bytes.
    pub aigp: Box<[u8]>,
    /// LARGE_COMMUNITY.
    pub large_communities: Vec<LargeCommunity>,
    /// Only to Customer.
    pub only_to_customer: Option<u32>,
    /// BGP Prefix-SID, as bytes.
    pub prefix_sid: Box<[u8]>,
    /// Attributes that are not understood, and those that are malformed or have wrong flags.
    pub other: Vec<RawAttribute>,
    /// Which of the attributes above somebody on the way did not know.
    pub partial: Partial,
}

/// An attribute as bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawAttribute {
    /// The type.
    pub code: AttributeCode,
    /// The flags; whether the length takes two octets is seen to.
    pub flags: Flags,
    /// The value.
    pub value: Box<[u8]>,
}

/// A set of attributes that have the Partial flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partial(u64);

impl Attributes {
    /// Attributes to announce routes with: origin IGP, and a path of our AS towards external peers or an empty
    /// one with a LOCAL_PREF towards internal peers.
    #[must_use]
    pub fn originate(peer: Originate) -> Self {
        let (as_path, local_pref) = match peer {
            Originate::External { own_as } => (alloc::vec![PathSegment::sequence([own_as])], None),
            Originate::Internal { local_pref } => (Vec::new(), Some(local_pref)),
        };
        Self { origin: Some(Origin::Igp), as_path: Some(as_path), local_pref, ..Self::default() }
    }

    /// What an UPDATE says. Of attributes that are there twice the first counts; NEXT_HOP, MP_REACH_NLRI and
    /// MP_UNREACH_NLRI are left out.
    #[must_use]
    pub fn of(update: &Update<'_>) -> Self {
        let mut attributes = Self::default();
        let mut seen = crate::wire::update::Seen::default();
        for attribute in update.attributes().filter(|attribute| seen.insert(attribute.code)) {
            match attribute.value() {
                Ok(value) if attribute.has_right_flags() && attributes.take(&value) => {
                    if attribute.flags.partial() {
                        attributes.partial = attributes.partial.with(attribute.code);
                    }
                }
                Ok(Value::NextHop(_) | Value::MpReach(_) | Value::MpUnreach(_))
                    if attribute.has_right_flags() => {}
                Ok(_) | Err(_) => attributes.other.push(RawAttribute {
                    code: attribute.code,
                    flags: Flags(attribute.flags.0 & KEPT_FLAGS),
                    value: attribute.bytes.into(),
                }),
            }
        }
        attributes.other.sort_unstable();
        attributes
    }

    /// Whether the value has a place of its own.
    fn take(&mut self, value: &Value<'_>) -> bool {
        fn all<T: Item>(list: &List<'_, T>) -> Vec<T> {
            list.iter().collect()
        }
        match value {
            Value::Origin(origin) => self.origin = Some(*origin),
            Value::AsPath(path) => self.as_path = Some(path.to_segments()),
            Value::MultiExitDisc(value) => self.multi_exit_disc = Some(*value),
            Value::LocalPref(value) => self.local_pref = Some(*value),
            Value::AtomicAggregate => self.atomic_aggregate = true,
            Value::Aggregator(aggregator) => self.aggregator = Some(*aggregator),
            Value::Communities(list) => self.communities = all(list),
            Value::OriginatorId(id) => self.originator_id = Some(*id),
            Value::ClusterList(list) => self.cluster_list = all(list),
            Value::ExtendedCommunities(list) => self.extended_communities = all(list),
            Value::As4Path(path) => self.as4_path = Some(path.to_segments()),
            Value::As4Aggregator(aggregator) => self.as4_aggregator = Some(*aggregator),
            Value::Ipv6ExtendedCommunities(list) => self.ipv6_extended_communities = all(list),
            Value::Aigp(aigp) => self.aigp = aigp.as_bytes().into(),
            Value::LargeCommunities(list) => self.large_communities = all(list),
            Value::OnlyToCustomer(asn) => self.only_to_customer = Some(*asn),
            Value::PrefixSid(bytes) => self.prefix_sid = (*bytes).into(),
            Value::NextHop(_) | Value::MpReach(_) | Value::MpUnreach(_) | Value::Unknown(_) => return false,
        }
        true
    }
}

/// To whom routes of one's own are announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Originate {
    /// To peers in other ASes.
    External {
        /// Our AS.
        own_as: u32,
    },
    /// To peers in our AS.
    Internal {
        /// LOCAL_PREF.
        local_pref: u32,
    },
}

impl Partial {
    /// The set with this attribute too. Only types that are understood can be in it.
    #[must_use]
    pub const fn with(self, AttributeCode(code): AttributeCode) -> Self {
        if code < 64 { Self(self.0 | 1 << code) } else { self }
    }

    /// Whether the attribute is in the set.
    #[must_use]
    pub const fn contains(self, AttributeCode(code): AttributeCode) -> bool {
        code < 64 && self.0 & 1 << code != 0
    }
}

/// Optional, transitive, partial. The length decides the fourth, and the others have to be 0.
pub(super) const KEPT_FLAGS: u8 = 0xe0;
