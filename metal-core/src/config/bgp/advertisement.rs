//! Advertisements: which addresses are announced to which peers, and how.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::{AdvertisementSpec, Community, CommunityError, CommunityPattern, Source, source::Path};
use crate::{
    config::{
        Pool, Refusal,
        check::{self, refusal},
    },
    name::{PeerName, PoolName},
    net::{AddressRange, to_bits},
    selector::{Labels, Selector, any_or_empty},
    view::Family,
};

/// Announces addresses of pools by BGP (`BGPAdvertisement`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// Where it was written.
    pub source: Source,
    /// Pools by name. Without names and selectors it is about every pool.
    pub pools: BTreeSet<PoolName>,
    /// Pools by label, in addition.
    pub pool_selectors: Vec<Selector>,
    /// Only from these nodes; empty means all.
    pub node_selectors: Vec<Selector>,
    /// Only these Services; empty means all.
    pub service_selectors: Vec<Selector>,
    /// Only to these peers; empty means all.
    pub peers: BTreeSet<PeerName>,
    /// The length of the prefixes that are announced for IPv4 addresses.
    pub aggregation_v4: u8,
    /// The length of the prefixes that are announced for IPv6 addresses.
    pub aggregation_v6: u8,
    /// What is said of the prefixes.
    pub attributes: Attributes,
    /// Addresses stay announced while no endpoint takes traffic.
    pub keeps_without_endpoints: bool,
    /// Addresses that are announced as well where Services have them as external IPs.
    pub external_ips: Vec<AddressRange>,
    /// The communities that Services may have added to theirs.
    pub allowed_service_communities: BTreeSet<CommunityPattern>,
}

/// What is said of a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// LOCAL_PREF, for peers of our AS.
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// How often our AS number stands in AS_PATH in addition.
    pub prepend: u8,
    /// The next hop of IPv4 prefixes, when it is not ourselves.
    pub next_hop_v4: Option<Ipv4Addr>,
    /// The next hop of IPv6 prefixes, when it is not ourselves.
    pub next_hop_v6: Option<Ipv6Addr>,
    /// The communities of all kinds.
    pub communities: BTreeSet<Community>,
}

impl Advertisement {
    /// Whether it is about the pool `name`, which has `labels`.
    #[must_use]
    pub fn selects_pool(&self, name: &PoolName, labels: &Labels) -> bool {
        self.selects_every_pool()
            || self.pools.contains(name)
            || self.pool_selectors.iter().any(|selector| selector.matches(labels))
    }

    /// Whether it is about every pool: it names none and selects none by label.
    #[must_use]
    pub fn selects_every_pool(&self) -> bool {
        self.pools.is_empty() && self.pool_selectors.is_empty()
    }

    /// Whether nodes with these labels announce.
    #[must_use]
    pub fn admits_node(&self, labels: &Labels) -> bool {
        any_or_empty(&self.node_selectors, labels)
    }

    /// Whether Services with these labels are announced.
    #[must_use]
    pub fn admits_service(&self, labels: &Labels) -> bool {
        any_or_empty(&self.service_selectors, labels)
    }

    /// The length of the prefix that is announced for an address of `family`.
    #[must_use]
    pub const fn length(&self, family: Family) -> u8 {
        match family {
            Family::V4 => self.aggregation_v4,
            Family::V6 => self.aggregation_v6,
        }
    }

    /// Whether some peer hears of both.
    #[must_use]
    pub fn shares_peers(&self, other: &Self) -> bool {
        self.peers.is_empty() || other.peers.is_empty() || !self.peers.is_disjoint(&other.peers)
    }

    /// Whether it has `address` announced where Services have it as an external IP.
    #[must_use]
    pub fn has_external(&self, address: IpAddr) -> bool {
        self.external_ips.iter().any(|range| range.contains(address))
    }

    /// Whether Services may have `community` added.
    #[must_use]
    pub fn allows(&self, community: Community) -> bool {
        self.attributes.communities.contains(&community)
            || self.allowed_service_communities.iter().any(|pattern| pattern.matches(community))
    }

    /// Whether a pool has only addresses that may be announced by prefixes of these lengths: a prefix may not be
    /// shorter than the largest block of each entry of the pool.
    pub(super) fn fits(&self, pool: &Pool) -> Result<(), Refusal> {
        for range in &pool.ranges {
            let family = range.family();
            let (length, least) = (self.length(family), shortest_prefix(range));
            if length < least {
                let field = match family {
                    Family::V4 => "aggregationLength",
                    Family::V6 => "aggregationLengthV6",
                };
                let message = format!(
                    "{length} would announce more than pool {} has in {range}: write {least} or more, or leave the pool \
                     out; it is not applied to this pool",
                    pool.name
                );
                return Err(refusal(self.path().of(field), message));
            }
        }
        Ok(())
    }

    /// Why its local preference does not count for a pool beside that of another one.
    pub(super) fn yields(&self, other: &Self, pool: &Pool) -> Option<Refusal> {
        let (ours, theirs) = (self.attributes.local_pref, other.attributes.local_pref);
        // Rather more: the highest is what is announced.
        let yields = ours < theirs;
        // On which Services and nodes the two meet shows there.
        let everywhere = self.service_selectors.is_empty()
            && other.service_selectors.is_empty()
            && (self.node_selectors.is_empty()
                || other.node_selectors.is_empty()
                || check::same_selectors(&self.node_selectors, &other.node_selectors));
        let mut families = pool.ranges.iter().map(AddressRange::family);
        let meet = families.any(|family| self.length(family) == other.length(family));
        (yields && everywhere && meet && self.shares_peers(other)).then(|| {
            let value = |value: Option<u32>| value.map_or_else(|| "none".into(), |value| format!("{value}"));
            let message = format!(
                "{} yields to {} of {} for pool {}: of two for the same prefixes, nodes and peers the higher one \
                 counts; write the same in both, or keep their lengths, nodes or peers apart",
                value(ours),
                value(theirs),
                other.source,
                pool.name
            );
            refusal(self.path().of("localPref"), message)
        })
    }

    pub(super) fn path(&self) -> Path {
        if self.source.is_part() { Path::legacy("bgp-advertisements") } else { Path::spec() }
    }
}

/// An advertisement that is valid by itself; what the names of communities stand for remains to be seen.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    advertisement: Advertisement,
    /// Names of communities, and where they are written.
    names: Vec<(String, String)>,
    /// Names of communities that Services may have, likewise.
    allowed_names: Vec<(String, String)>,
}

impl Draft {
    /// The advertisement with its communities.
    pub(super) fn resolve(&self, aliases: &BTreeMap<&str, Community>) -> Result<Advertisement, Vec<Refusal>> {
        let mut advertisement = self.advertisement.clone();
        let mut refusals = Vec::new();
        let mut value = |field: &str, name: &str| {
            let value = aliases.get(name).copied().or_else(|| Community::well_known(name));
            if value.is_none() {
                let message = format!(
                    "{name:?} is neither a community such as 64512:100 nor the name of one: define it in a Community"
                );
                refusals.push(refusal(field, message));
            }
            value
        };
        for (field, name) in &self.names {
            advertisement.attributes.communities.extend(value(field, name));
        }
        for (field, name) in &self.allowed_names {
            let pattern = value(field, name).map(CommunityPattern::from);
            advertisement.allowed_service_communities.extend(pattern);
        }
        if refusals.is_empty() { Ok(advertisement) } else { Err(refusals) }
    }
}

/// Judges an advertisement by itself.
pub(super) fn judge(source: Source, spec: AdvertisementSpec, path: &Path) -> Result<Draft, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let aggregation_v4 = length(&path.of("aggregationLength"), spec.aggregation_length, 1, 32, &mut refusals);
    let aggregation_v6 =
        length(&path.of("aggregationLengthV6"), spec.aggregation_length_v6, 0, 128, &mut refusals);
    if !spec.service_selectors.is_empty() && (aggregation_v4, aggregation_v6) != (32, 128) {
        let message = "selects single Services, but their addresses are announced by prefixes that others share: \
                       remove it, or the aggregation lengths";
        refusals.push(refusal(path.of("serviceSelectors"), message));
    }
    check::duplicates(&path.of("communities"), &spec.communities, &mut refusals);
    check::duplicates(&path.of("ipAddressPools"), &spec.pools, &mut refusals);
    check::duplicates(&path.of("peers"), &spec.peers, &mut refusals);
    check::selectors(&path.of("ipAddressPoolSelectors"), &spec.pool_selectors, &mut refusals);
    check::selectors(&path.of("nodeSelectors"), &spec.node_selectors, &mut refusals);
    check::selectors(&path.of("serviceSelectors"), &spec.service_selectors, &mut refusals);
    let (communities, names) = self::communities(&path.of("communities"), &spec.communities, &mut refusals);
    let field = path.of("allowedServiceCommunities");
    check::duplicates(&field, &spec.allowed_service_communities, &mut refusals);
    if !spec.allowed_service_communities.is_empty() && (aggregation_v4, aggregation_v6) != (32, 128) {
        let message = "is about single Services, but their addresses are announced by prefixes that others share: remove \
                       it, or the aggregation lengths";
        refusals.push(refusal(field.clone(), message));
    }
    let (allowed_service_communities, allowed_names) =
        self::communities(&field, &spec.allowed_service_communities, &mut refusals);
    let external_ips = external(
        &path.of("externalIPs"),
        &spec.external_ips,
        [aggregation_v4, aggregation_v6],
        &mut refusals,
    );
    let prepend = spec.as_path_prepend.unwrap_or(0);
    let prepend = u8::try_from(prepend).ok().filter(|times| *times <= MAX_PREPEND).unwrap_or_else(|| {
        let message = format!("{prepend} is not between 0 and {MAX_PREPEND}");
        refusals.push(refusal(path.of("asPathPrepend"), message));
        0
    });
    let next_hop_v4 =
        next_hop::<Ipv4Addr>(&path.of("nextHop.ipv4"), spec.next_hop_v4.as_ref(), &mut refusals);
    let next_hop_v6 =
        next_hop::<Ipv6Addr>(&path.of("nextHop.ipv6"), spec.next_hop_v6.as_ref(), &mut refusals);
    let keeps_without_endpoints = match spec.without_endpoints.as_deref() {
        None | Some("" | "Withdraw") => false,
        Some("Keep") => true,
        Some(other) => {
            let message = format!("{other:?} is neither Withdraw nor Keep");
            refusals.push(refusal(path.of("withoutEndpoints"), message));
            false
        }
    };
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let advertisement = Advertisement {
        source,
        pools: spec.pools.into_iter().map(PoolName::from).collect(),
        pool_selectors: spec.pool_selectors,
        node_selectors: spec.node_selectors,
        service_selectors: spec.service_selectors,
        peers: spec.peers.into_iter().map(PeerName::from).collect(),
        aggregation_v4,
        aggregation_v6,
        attributes: Attributes {
            // MetalLB takes 0 for absent.
            local_pref: spec.local_pref.filter(|value| *value != 0),
            med: spec.med,
            prepend,
            next_hop_v4,
            next_hop_v6,
            communities,
        },
        keeps_without_endpoints,
        external_ips,
        allowed_service_communities,
    };
    Ok(Draft { advertisement, names, allowed_names })
}

fn length(field: &str, length: Option<i64>, least: i64, full: u8, refusals: &mut Vec<Refusal>) -> u8 {
    let length = length.unwrap_or_else(|| full.into());
    if !(least..=full.into()).contains(&length) {
        refusals.push(refusal(field, format!("{length} is not between {least} and {full}")));
    }
    u8::try_from(length).unwrap_or(full)
}

/// The values, and the names with where they are written.
fn communities<C: FromStr<Err = CommunityError> + Ord>(
    field: &str,
    texts: &[String],
    refusals: &mut Vec<Refusal>,
) -> (BTreeSet<C>, Vec<(String, String)>) {
    let (mut values, mut names) = (BTreeSet::new(), Vec::new());
    for (index, text) in texts.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if !text.contains(':') {
            names.push((field, text.clone()));
            continue;
        }
        match C::from_str(text) {
            Ok(value) => drop(values.insert(value)),
            Err(error) => refusals.push(refusal(field, format!("{error}"))),
        }
    }
    (values, names)
}

/// The ranges; a prefix of these lengths may not reach beyond any of them.
fn external(
    field: &str,
    texts: &[String],
    [aggregation_v4, aggregation_v6]: [u8; 2],
    refusals: &mut Vec<Refusal>,
) -> Vec<AddressRange> {
    check::duplicates(field, texts, refusals);
    let mut ranges = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let message = match AddressRange::parse_lenient(text) {
            Err(error) => format!("{error}"),
            Ok(range) => {
                let (length, name) = match range.family() {
                    Family::V4 => (aggregation_v4, "aggregationLength"),
                    Family::V6 => (aggregation_v6, "aggregationLengthV6"),
                };
                let least = shortest_prefix(&range);
                if length >= least {
                    ranges.push(range);
                    continue;
                }
                format!("{name} {length} would announce more than {range}: write {least} or more there")
            }
        };
        refusals.push(refusal(format!("{field}[{index}]"), message));
    }
    ranges
}

fn next_hop<A: FromStr + Into<IpAddr> + Copy>(
    field: &str,
    text: Option<&String>,
    refusals: &mut Vec<Refusal>,
) -> Option<A> {
    let text = text.filter(|text| !text.is_empty())?;
    let address = text.parse::<A>().ok().filter(|address| can_be_next_hop((*address).into()));
    if address.is_none() {
        let family = if field.ends_with('4') { "IPv4" } else { "IPv6" };
        let message = format!("{text:?} is no {family} address that packets can be sent to");
        refusals.push(refusal(field, message));
    }
    address
}

fn can_be_next_hop(address: IpAddr) -> bool {
    let of_one_link = match address {
        IpAddr::V4(address) => address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.to_ipv4_mapped().is_some(),
    };
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || of_one_link)
}

/// The length of the shortest prefix of which all addresses are in `range`.
fn shortest_prefix(range: &AddressRange) -> u8 {
    let full = if range.family() == Family::V4 { 32_u8 } else { 128 };
    let (first, last) = (to_bits(range.first()), to_bits(range.last()));
    let has_block = |length: &u8| {
        let hosts = 1_u128.checked_shl((full - length).into()).map_or(u128::MAX, |size| size - 1);
        let start = first.checked_add(hosts).map(|start| start & !hosts);
        start.and_then(|start| start.checked_add(hosts)).is_some_and(|end| end <= last)
    };
    (0..full).find(has_block).unwrap_or(full)
}

/// Longer paths are refused by many networks.
const MAX_PREPEND: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_prefix_is_that_of_the_largest_block() {
        for (range, length) in [
            ("192.0.2.0/24", 24),
            ("192.0.2.7/32", 32),
            ("3.3.3.2-3.3.3.254", 26),
            ("192.0.2.1-192.0.2.2", 32),
            ("192.0.2.1-192.0.2.3", 31),
            ("0.0.0.0/0", 0),
            ("255.255.255.255/32", 32),
            ("2001:db8::/64", 64),
            ("::/0", 0),
            ("2001:db8::1-2001:db8::ffff", 113),
        ] {
            assert_eq!(shortest_prefix(&range.parse().unwrap()), length, "{range}");
        }
    }
}
