//! Address families (RFC 4760 5) and the four that are understood.

use core::fmt;

/// An Address Family Identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Afi(pub u16);

/// A Subsequent Address Family Identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Safi(pub u8);

/// What kind of routes: AFI and SAFI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family {
    /// The Address Family Identifier.
    pub afi: Afi,
    /// The Subsequent Address Family Identifier.
    pub safi: Safi,
}

/// A set of the families whose prefixes are understood; all others are carried as bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Families(u8);

impl Afi {
    /// IP version 4.
    pub const IPV4: Self = Self(1);
    /// IP version 6.
    pub const IPV6: Self = Self(2);
}

impl Safi {
    /// Unicast forwarding.
    pub const UNICAST: Self = Self(1);
    /// Multicast forwarding.
    pub const MULTICAST: Self = Self(2);
}

impl Family {
    /// IPv4 unicast.
    pub const IPV4_UNICAST: Self = Self::new(Afi::IPV4, Safi::UNICAST);
    /// IPv4 multicast.
    pub const IPV4_MULTICAST: Self = Self::new(Afi::IPV4, Safi::MULTICAST);
    /// IPv6 unicast.
    pub const IPV6_UNICAST: Self = Self::new(Afi::IPV6, Safi::UNICAST);
    /// IPv6 multicast.
    pub const IPV6_MULTICAST: Self = Self::new(Afi::IPV6, Safi::MULTICAST);

    /// The family of the two identifiers.
    #[must_use]
    pub const fn new(afi: Afi, safi: Safi) -> Self {
        Self { afi, safi }
    }

    /// Whether its prefixes are understood, rather than carried as bytes.
    #[must_use]
    pub const fn is_understood(self) -> bool {
        self.bit() != 0
    }

    const fn bit(self) -> u8 {
        match (self.afi.0, self.safi.0) {
            (1, 1) => 1,
            (1, 2) => 2,
            (2, 1) => 4,
            (2, 2) => 8,
            _ => 0,
        }
    }
}

impl Families {
    /// No family.
    pub const NONE: Self = Self(0);
    /// IPv4 and IPv6, unicast and multicast.
    pub const ALL: Self = Self(15);

    /// Whether the family is in the set.
    #[must_use]
    pub const fn contains(self, family: Family) -> bool {
        self.0 & family.bit() != 0
    }

    /// The set with this family too; a family that is not understood changes nothing.
    #[must_use]
    pub const fn with(self, family: Family) -> Self {
        Self(self.0 | family.bit())
    }

    /// The families of the set.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        [Family::IPV4_UNICAST, Family::IPV4_MULTICAST, Family::IPV6_UNICAST, Family::IPV6_MULTICAST]
            .into_iter()
            .filter(move |family| self.contains(*family))
    }
}

impl FromIterator<Family> for Families {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        families.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IPV4_UNICAST => f.write_str("IPv4 unicast"),
            Self::IPV4_MULTICAST => f.write_str("IPv4 multicast"),
            Self::IPV6_UNICAST => f.write_str("IPv6 unicast"),
            Self::IPV6_MULTICAST => f.write_str("IPv6 multicast"),
            Self { afi, safi } => write!(f, "AFI {} SAFI {}", afi.0, safi.0),
        }
    }
}
