//! Address ranges.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use crate::view::Family;

/// The addresses from `first` to `last`, both included and of one family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// Why a text is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// A part of it is not an IP address.
    #[error(
        "{part:?} is not an IP address: write a CIDR such as 192.0.2.0/24 or a range such as 192.0.2.10-192.0.2.20"
    )]
    NotAnAddress {
        /// The part.
        part: String,
    },
    /// One address without a prefix length.
    #[error("{address} has no prefix length: write {address}/{} for this one address", full_length(*.address))]
    BareAddress {
        /// The address.
        address: IpAddr,
    },
    /// What follows the slash is not a prefix length.
    #[error("{length:?} is not a prefix length of {address}: it is a number from 0 to {}", full_length(*.address))]
    PrefixLength {
        /// The address before the slash.
        address: IpAddr,
        /// What follows.
        length: String,
    },
    /// The last address comes before the first.
    #[error("the range {first}-{last} is reversed: write {last}-{first}")]
    Reversed {
        /// The first address as written.
        first: IpAddr,
        /// The last address as written.
        last: IpAddr,
    },
    /// The ends are of different families.
    #[error("the range {first}-{last} mixes IPv4 and IPv6: write one range for each family")]
    MixedFamilies {
        /// The first address.
        first: IpAddr,
        /// The last address.
        last: IpAddr,
    },
    /// An IPv4 address in the notation of IPv6.
    #[error("{mapped} is an IPv4 address written as IPv6: write {plain}")]
    Mapped {
        /// As it is written.
        mapped: Ipv6Addr,
        /// As it should be.
        plain: Ipv4Addr,
    },
}

impl AddressRange {
    /// The addresses from `first` to `last`.
    ///
    /// # Errors
    /// When the families differ or `last` comes before `first`.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, RangeError> {
        if Family::of(first) != Family::of(last) {
            return Err(RangeError::MixedFamilies { first, last });
        }
        if last < first {
            return Err(RangeError::Reversed { first, last });
        }
        Ok(Self { first, last })
    }

    /// The lowest address.
    #[must_use]
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// The highest address.
    #[must_use]
    pub const fn last(&self) -> IpAddr {
        self.last
    }

    /// The family of all its addresses.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.first)
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        // Ordering puts every IPv4 address before every IPv6 address, so families need no look.
        self.first <= address && address <= self.last
    }

    /// How many addresses it has, saturating (`::/0` has one more than fits).
    #[must_use]
    pub fn count(&self) -> u128 {
        (to_bits(self.last) - to_bits(self.first)).saturating_add(1)
    }

    /// The addresses that both have.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (self.family() == other.family() && first <= last).then_some(Self { first, last })
    }

    /// What is left of it without `holes`, which are sorted and do not overlap.
    pub fn without(&self, holes: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut left = Vec::new();
        let mut next = Some(self.first);
        for hole in holes.into_iter().filter_map(|hole| hole.overlap(self)) {
            if let Some(first) = next
                && let Some(last) = predecessor(hole.first)
                && first <= last
            {
                left.push(Self { first, last });
            }
            next = successor(hole.last);
        }
        let rest = next.filter(|first| self.contains(*first));
        left.extend(rest.map(|first| Self { first, last: self.last }));
        left
    }

    /// The same addresses in as few ranges as possible, sorted.
    #[must_use]
    pub fn merged(mut ranges: Vec<Self>) -> Vec<Self> {
        ranges.sort_unstable();
        let mut merged: Vec<Self> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last)
                    if last.family() == range.family()
                        && successor(last.last).is_none_or(|next| range.first <= next) =>
                {
                    last.last = last.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        merged
    }

    /// Reads what [`FromStr`] does, and a single address as well.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse_lenient(text: &str) -> Result<Self, RangeError> {
        match text.parse() {
            Err(RangeError::BareAddress { address }) => Ok(Self { first: address, last: address }),
            other => other,
        }
    }

    /// All its addresses, ascending.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let last = self.last;
        core::iter::successors(Some(self.first), move |address| {
            successor(*address).filter(|next| *next <= last)
        })
    }
}

impl FromStr for AddressRange {
    type Err = RangeError;

    /// Reads `192.0.2.0/24` (bits behind the prefix do not matter) or `192.0.2.1 - 192.0.2.9`.
    fn from_str(text: &str) -> Result<Self, RangeError> {
        if let Some((first, last)) = text.split_once('-') {
            return Self::new(address(first)?, address(last)?);
        }
        let Some((base, length)) = text.split_once('/') else {
            return Err(RangeError::BareAddress { address: address(text)? });
        };
        let address = address(base)?;
        let length = length.trim();
        // `u8::from_str` would take "+24" as well.
        let host_bits = Some(length)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse::<u8>().ok())
            .and_then(|length| full_length(address).checked_sub(length))
            .ok_or_else(|| RangeError::PrefixLength { address, length: length.to_string() })?;
        let hosts = 1_u128.checked_shl(host_bits.into()).map_or(u128::MAX, |size| size - 1);
        let (family, bits) = (Family::of(address), to_bits(address));
        Ok(Self { first: from_bits(family, bits & !hosts), last: from_bits(family, bits | hosts) })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        Ok(())
    }
}

impl fmt::Debug for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The address as a number.
#[must_use]
pub const fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits() as u128,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address of `family` with this number; of IPv4 the lower 32 bits count.
#[must_use]
pub const fn from_bits(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::V4 => {
            let [.., a, b, c, d] = bits.to_be_bytes();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

/// The address after this one, if its family has one.
#[must_use]
pub fn successor(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

/// The address before this one, if its family has one.
#[must_use]
pub fn predecessor(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_sub(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_sub(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

const fn full_length(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn address(text: &str) -> Result<IpAddr, RangeError> {
    let part = text.trim();
    let address: IpAddr = part.parse().map_err(|_| RangeError::NotAnAddress { part: part.to_string() })?;
    if let IpAddr::V6(mapped) = address
        && let Some(plain) = mapped.to_ipv4_mapped()
    {
        return Err(RangeError::Mapped { mapped, plain });
    }
    Ok(address)
}

/// Disjoint ranges, each with a value; look-ups take logarithmic time.
#[derive(Clone, Debug)]
pub struct RangeMap<V> {
    by_first: BTreeMap<IpAddr, (IpAddr, V)>,
}

impl<V> RangeMap<V> {
    /// No ranges.
    #[must_use]
    pub const fn new() -> Self {
        Self { by_first: BTreeMap::new() }
    }

    /// The range that contains `address`.
    #[must_use]
    pub fn get(&self, address: IpAddr) -> Option<(AddressRange, &V)> {
        let (first, (last, value)) = self.by_first.range(..=address).next_back()?;
        (address <= *last).then_some((AddressRange { first: *first, last: *last }, value))
    }

    /// The ranges that have an address of `range`, ascending.
    pub fn overlapping(&self, range: AddressRange) -> impl Iterator<Item = (AddressRange, &V)> {
        let start = self.get(range.first).map_or(range.first, |(found, _)| found.first);
        self.by_first
            .range(start..=range.last)
            .map(|(first, (last, value))| (AddressRange { first: *first, last: *last }, value))
    }

    /// Adds a range that overlaps with none that is there.
    pub fn insert(&mut self, range: AddressRange, value: V) {
        debug_assert!(self.overlapping(range).next().is_none(), "{range} overlaps");
        self.by_first.insert(range.first, (range.last, value));
    }

    /// Removes the range that starts with the same address.
    pub fn remove(&mut self, range: AddressRange) -> Option<V> {
        self.by_first.remove(&range.first).map(|(_, value)| value)
    }
}

impl<V> Default for RangeMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec, vec::Vec};

    use super::*;

    fn range(text: &str) -> AddressRange {
        text.parse().unwrap()
    }

    fn refusal(text: &str) -> String {
        text.parse::<AddressRange>().unwrap_err().to_string()
    }

    #[test]
    fn a_prefix_masks_the_host_bits() {
        assert_eq!(range("198.51.100.10/24"), range("198.51.100.0-198.51.100.255"));
        assert_eq!(range("192.0.2.7/32"), range("192.0.2.7 - 192.0.2.7"));
        assert_eq!(range(" 2001:db8::1/64 ").to_string(), "2001:db8::-2001:db8::ffff:ffff:ffff:ffff");
        assert_eq!(range("0.0.0.0/0").count(), 1 << 32);
        assert_eq!(range("::/0").count(), u128::MAX);
    }

    #[test]
    fn refusals_say_what_to_write_instead() {
        assert_eq!(
            refusal("192.0.2.1"),
            "192.0.2.1 has no prefix length: write 192.0.2.1/32 for this one address"
        );
        assert_eq!(
            refusal("192.0.2.9-192.0.2.1"),
            "the range 192.0.2.9-192.0.2.1 is reversed: write 192.0.2.1-192.0.2.9"
        );
        assert!(refusal("192.0.2.1-2001:db8::1").contains("mixes IPv4 and IPv6"));
        assert!(refusal("192.0.2.0/33").contains("a number from 0 to 32"));
        assert!(refusal("192.0.2.0/+24").contains("\"+24\" is not a prefix length"));
        assert!(refusal("::/x").contains("a number from 0 to 128"));
        assert!(refusal("").contains("\"\" is not an IP address"));
        assert!(refusal("192.0.2.1-9").contains("\"9\" is not an IP address"));
        assert!(refusal("::ffff:192.0.2.1/128").contains("write 192.0.2.1"));
    }

    #[test]
    fn iteration_ends_at_the_last_address_of_the_family() {
        let addresses: Vec<_> = range("255.255.255.254-255.255.255.255").addresses().collect();
        assert_eq!(addresses, vec![IpAddr::from([255, 255, 255, 254]), IpAddr::from([255; 4])]);
        assert_eq!(range("2001:db8::fffe-2001:db8::1:1").addresses().count(), 4);
    }

    #[test]
    fn overlap_is_what_both_have() {
        let range = range("192.0.2.10-192.0.2.20");
        assert_eq!(range.overlap(&self::range("192.0.2.0/28")), Some(self::range("192.0.2.10-192.0.2.15")));
        assert_eq!(range.overlap(&self::range("192.0.2.20/32")), Some(self::range("192.0.2.20/32")));
        assert_eq!(range.overlap(&self::range("192.0.2.21/32")), None);
        assert_eq!(range.overlap(&self::range("::/0")), None);
    }

    #[test]
    fn a_range_map_finds_by_address_and_by_overlap() {
        let mut map = RangeMap::new();
        map.insert(range("192.0.2.0/28"), 'a');
        map.insert(range("192.0.2.64/28"), 'b');
        map.insert(range("2001:db8::/64"), 'c');
        let at = |address: &str| map.get(address.parse().unwrap()).map(|(_, value)| *value);
        assert_eq!(at("192.0.2.15"), Some('a'));
        assert_eq!(at("192.0.2.16"), None);
        assert_eq!(at("2001:db8::5"), Some('c'));
        assert_eq!(at("::1"), None);
        let over = |text: &str| map.overlapping(range(text)).map(|(_, value)| *value).collect::<String>();
        assert_eq!(over("192.0.2.8-192.0.2.70"), "ab");
        assert_eq!(over("192.0.2.16-192.0.2.63"), "");
        assert_eq!(over("::/0"), "c");
    }

    #[test]
    fn without_holes_the_rest_is_left() {
        let rest = |text: &str, holes: &[&str]| {
            let holes = holes.iter().map(|hole| range(hole));
            let rest = range(text).without(holes).into_iter().map(|left| left.to_string());
            rest.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(rest("192.0.2.0/28", &[]), "192.0.2.0-192.0.2.15");
        assert_eq!(
            rest("192.0.2.0/28", &["192.0.2.0/30", "192.0.2.6/31"]),
            "192.0.2.4-192.0.2.5 192.0.2.8-192.0.2.15"
        );
        assert_eq!(
            rest("192.0.2.0/28", &["192.0.2.0/31", "192.0.2.2/31", "192.0.2.14-192.0.2.99"]),
            "192.0.2.4-192.0.2.13"
        );
        assert_eq!(rest("192.0.2.0/28", &["192.0.0.0/16", "::/0"]), "");
        assert_eq!(rest("0.0.0.0/31", &["0.0.0.0/32", "::/0"]), "0.0.0.1");
        assert_eq!(rest("255.255.255.254/31", &["255.255.255.255/32"]), "255.255.255.254");
        assert_eq!(rest("::/127", &["0.0.0.0/0", "::1/128"]), "::");
    }

    #[test]
    fn merged_ranges_are_as_few_as_possible() {
        let merged = |texts: &[&str]| {
            let merged = AddressRange::merged(texts.iter().map(|text| range(text)).collect());
            merged.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            merged(&["192.0.2.8/32", "192.0.2.0/29", "192.0.2.10/32"]),
            "192.0.2.0-192.0.2.8 192.0.2.10"
        );
        assert_eq!(merged(&["255.255.255.255/32", "::/128"]), "255.255.255.255 ::");
        assert_eq!(merged(&["192.0.2.0/24", "192.0.2.4/32"]), "192.0.2.0-192.0.2.255");
        assert_eq!(merged(&["::/0", "ffff::/16"]), "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    }

    #[test]
    fn a_single_address_is_a_range_where_that_is_clear() {
        assert_eq!(AddressRange::parse_lenient(" 192.0.2.1 "), Ok(range("192.0.2.1/32")));
        assert_eq!(AddressRange::parse_lenient("2001:db8::/64"), Ok(range("2001:db8::/64")));
        assert!(AddressRange::parse_lenient("x").is_err());
    }
}
