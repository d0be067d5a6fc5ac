//! Patterns of communities, for what Services may ask for.

use alloc::{format, string::String};
use core::str::FromStr;

use super::{Community, CommunityError};

/// A community, or all that begin alike: `64512:*`, `large:64512:*`, `large:64512:1:*`, `extended:rt:64512:*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommunityPattern {
    community: Community,
    /// The bits that count.
    mask: u128,
}

impl CommunityPattern {
    /// Whether `community` is it, or one of those.
    #[must_use]
    pub fn matches(&self, community: Community) -> bool {
        let (kind, value) = bits(self.community);
        let (other, other_value) = bits(community);
        kind == other && (value ^ other_value) & self.mask == 0
    }
}

impl From<Community> for CommunityPattern {
    fn from(community: Community) -> Self {
        Self { community, mask: u128::MAX }
    }
}

impl FromStr for CommunityPattern {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        let Some(start) = text.strip_suffix(":*") else { return Community::from_str(text).map(Into::into) };
        let missing = if start.starts_with("large:") && start.matches(':').count() == 1 { 2 } else { 1 };
        let zeros: String = core::iter::repeat_n(":0", missing).collect();
        // What is wrong is said of the pattern, not of what stands for it.
        let community = format!("{start}{zeros}").parse().map_err(|_| CommunityError::of(text))?;
        let wild = match community {
            Community::Standard(_) => 16,
            Community::Large(_) => 32 * missing,
            // Its administrator has two octets or four.
            Community::Extended(value) if value >> 56 == 0 => 32,
            Community::Extended(_) => 16,
        };
        Ok(Self { community, mask: u128::MAX << wild })
    }
}

fn bits(community: Community) -> (u8, u128) {
    match community {
        Community::Standard(value) => (0, value.into()),
        Community::Large([a, b, c]) => (1, (u128::from(a) << 64) | (u128::from(b) << 32) | u128::from(c)),
        Community::Extended(value) => (2, value.into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn matches(pattern: &str, community: &str) -> bool {
        pattern.parse::<CommunityPattern>().unwrap().matches(community.parse().unwrap())
    }

    #[test]
    fn a_pattern_has_what_begins_alike() {
        for (pattern, inside, outside) in [
            ("64512:*", "64512:7", "64513:7"),
            ("64512:7", "64512:7", "64512:8"),
            ("0:*", "0:7", "large:0:0:7"),
            ("large:64512:*", "large:64512:1:2", "large:64513:1:2"),
            ("large:64512:1:*", "large:64512:1:2", "large:64512:2:2"),
            ("extended:rt:64512:*", "extended:rt:64512:70000", "extended:soo:64512:1"),
            ("extended:rt:64512:*", "extended:rt:64512:1", "extended:rt:64513:1"),
            ("extended:soo:192.0.2.1:*", "extended:soo:192.0.2.1:9", "extended:soo:192.0.2.2:9"),
            ("extended:rt:4200000000:*", "extended:rt:4200000000:9", "extended:rt:4200000001:9"),
        ] {
            assert!(matches(pattern, inside), "{pattern} {inside}");
            assert!(!matches(pattern, outside), "{pattern} {outside}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in
            ["*", "*:*", "*:1", "64512:1*", "64512:1:*", "large:*", "large:1:2:3:*", "extended:*", "blue:*"]
        {
            assert!(text.parse::<CommunityPattern>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_exact_one_has_only_itself(one: u32, other: u32) {
            let pattern = CommunityPattern::from(Community::Standard(one));
            prop_assert!(pattern.matches(Community::Standard(one)));
            prop_assert_eq!(pattern.matches(Community::Standard(other)), one == other);
            prop_assert!(!pattern.matches(Community::Extended(one.into())));
        }
    }
}
