//! Communities: values, and names for them.

use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::{fmt, net::Ipv4Addr, str::FromStr};

use super::{CommunitySpec, Source};
use crate::config::{Refusal, check::refusal};

/// A community of a route.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Community {
    /// RFC 1997: `64512:100`.
    Standard(u32),
    /// RFC 8092: `large:64512:1:2`.
    Large([u32; 3]),
    /// RFC 4360, its eight octets: `extended:rt:64512:100`.
    Extended(u64),
}

/// A text is no community.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no community: write two numbers up to 65535 (64512:100), large: and three numbers up to 4294967295 \
     (large:64512:1:2), extended:rt: or extended:soo: and two numbers (extended:rt:64512:100), or extended:0x and 16 \
     hexadecimal digits"
)]
pub struct CommunityError {
    text: String,
}

impl CommunityError {
    pub(super) fn of(text: &str) -> Self {
        Self { text: text.into() }
    }
}

impl Community {
    /// The well-known community of this name (IANA's registry), such as `no-export`.
    #[must_use]
    pub fn well_known(name: &str) -> Option<Self> {
        let value = match name {
            "graceful-shutdown" => 0x0000,
            "accept-own" => 0x0001,
            "blackhole" => 0x029a,
            "no-export" => 0xff01,
            "no-advertise" => 0xff02,
            "no-export-subconfed" => 0xff03,
            "no-peer" => 0xff04,
            _ => return None,
        };
        Some(Self::Standard(0xffff_0000 | value))
    }
}

impl FromStr for Community {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        let community = match text.split(':').collect::<Vec<_>>()[..] {
            ["large", a, b, c] => large(a, b, c),
            ["extended", raw] => raw.strip_prefix("0x").and_then(hexadecimal).map(Self::Extended),
            ["extended", "rt", administrator, value] => extended(ROUTE_TARGET, administrator, value),
            ["extended", "soo", administrator, value] => extended(SITE_OF_ORIGIN, administrator, value),
            [high, low] => standard(high, low),
            _ => None,
        };
        community.ok_or_else(|| CommunityError::of(text))
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(value) => write!(f, "{}:{}", value >> 16, value & 0xffff),
            Self::Large([a, b, c]) => write!(f, "large:{a}:{b}:{c}"),
            Self::Extended(value) => write!(f, "extended:{value:#018x}"),
        }
    }
}

impl fmt::Debug for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const ROUTE_TARGET: u8 = 2;
const SITE_OF_ORIGIN: u8 = 3;

fn standard(high: &str, low: &str) -> Option<Community> {
    let (high, low): (u16, u16) = (number(high)?, number(low)?);
    Some(Community::Standard((u32::from(high) << 16) | u32::from(low)))
}

fn large(a: &str, b: &str, c: &str) -> Option<Community> {
    Some(Community::Large([number(a)?, number(b)?, number(c)?]))
}

/// RFC 4360 section 3 and RFC 5668: the administrator is an AS number of two octets, an IPv4 address, or an AS number of
/// four octets.
fn extended(sub_type: u8, administrator: &str, value: &str) -> Option<Community> {
    let (kind, body) = if let Ok(address) = administrator.parse::<Ipv4Addr>() {
        (1_u8, (u64::from(address.to_bits()) << 16) | u64::from(number::<u16>(value)?))
    } else {
        let asn: u32 = number(administrator)?;
        if asn <= u32::from(u16::MAX) {
            (0, (u64::from(asn) << 32) | u64::from(number::<u32>(value)?))
        } else {
            (2, (u64::from(asn) << 16) | u64::from(number::<u16>(value)?))
        }
    };
    Some(Community::Extended((u64::from(kind) << 56) | (u64::from(sub_type) << 48) | body))
}

fn hexadecimal(digits: &str) -> Option<u64> {
    let valid = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Digits only: `parse` would take a sign as well.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Names for communities (`Community`, `bgp-communities`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Aliases {
    by_name: BTreeMap<String, Community>,
}

impl Aliases {
    /// The value of each name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Community)> {
        self.by_name.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Whether another object, which is in force, has one of the names.
    pub(super) fn clash(&self, source: &Source, other: &Self) -> Option<Refusal> {
        let name = self.by_name.keys().find(|name| other.by_name.contains_key(*name))?;
        let message = format!("{source} defines {name:?} already, which is in force: rename one of them");
        Some(refusal("spec.communities", message))
    }
}

/// Judges the names of an object by themselves; `field` says where the one of this index and name is written.
pub(super) fn judge(
    spec: &CommunitySpec,
    field: impl Fn(usize, &str) -> (String, String),
) -> Result<Aliases, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut by_name = BTreeMap::new();
    for (index, (name, value)) in spec.aliases.iter().enumerate() {
        let (name_field, value_field) = field(index, name);
        if name.is_empty() || name.contains(':') {
            let message = format!("{name:?} is no name: it needs a character, and none of them is a colon");
            refusals.push(refusal(name_field, message));
            continue;
        }
        match value.parse() {
            Ok(value) => {
                if by_name.insert(name.clone(), value).is_some() {
                    let message = format!("{name:?} is defined twice: remove one");
                    refusals.push(refusal(name_field, message));
                }
            }
            Err(error) => refusals.push(refusal(value_field, format!("{error}"))),
        }
    }
    if refusals.is_empty() { Ok(Aliases { by_name }) } else { Err(refusals) }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn the_three_kinds_are_read_and_written() {
        for (text, community) in [
            ("64512:100", Community::Standard(0xfc00_0064)),
            ("0:0", Community::Standard(0)),
            ("large:4200000000:1:2", Community::Large([4_200_000_000, 1, 2])),
            ("extended:0x0002fc0000000064", Community::Extended(0x0002_fc00_0000_0064)),
        ] {
            assert_eq!(text.parse(), Ok(community));
            assert_eq!(community.to_string(), text);
        }
        for (text, value) in [
            ("extended:rt:64512:100", 0x0002_fc00_0000_0064),
            ("extended:rt:192.0.2.1:7", 0x0102_c000_0201_0007),
            ("extended:soo:4200000000:7", 0x0203_fa56_ea00_0007),
        ] {
            assert_eq!(text.parse(), Ok(Community::Extended(value)), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_the_forms() {
        for text in [
            "",
            "64512",
            "65536:1",
            "1:65536",
            "+1:2",
            "1:2:3",
            "1:2:3:4",
            "Large:1:2:3",
            "large:1:2",
            "large:4294967296:1:2",
            "extended:rt:64512:4294967296",
            "extended:rt:65536:65536",
            "extended:xx:1:2",
            "extended:0x12",
            ":",
        ] {
            let error = text.parse::<Community>().unwrap_err().to_string();
            assert!(error.contains("is no community: write two numbers up to 65535"), "{error}");
        }
    }

    #[test]
    fn well_known_names_have_their_registered_values() {
        let value = |name: &str| Community::well_known(name).map(|community| community.to_string());
        assert_eq!(value("no-export").as_deref(), Some("65535:65281"));
        assert_eq!(value("no-advertise").as_deref(), Some("65535:65282"));
        assert_eq!(value("blackhole").as_deref(), Some("65535:666"));
        assert_eq!(value("graceful-shutdown").as_deref(), Some("65535:0"));
        assert_eq!(value("other"), None);
    }
}
