//! What a Service asks for: addresses or a pool.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    name::PoolName,
    net::{AddressRange, from_bits, to_bits},
    view::Family,
};

/// The addresses and the pool that a Service asks for. The default asks for nothing in particular.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// These addresses: none, one, or one of each family.
    pub addresses: Vec<Wanted>,
    /// Only from this pool.
    pub pool: Option<PoolName>,
}

/// An address that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Exactly this one.
    Address(IpAddr),
    /// One with this host part, in whichever range it fits: written `.10` or `.1.10` for IPv4, and as an
    /// address without network part, such as `::1`, for IPv6.
    Host(HostPart),
}

/// The last bits of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPart {
    /// Its family.
    pub family: Family,
    /// The bits.
    pub bits: u64,
    /// How many they are as written: 8 for each part of IPv4, 64 for IPv6.
    pub width: u8,
}

impl Wanted {
    /// Its family.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Address(address) => Family::of(*address),
            Self::Host(host) => host.family,
        }
    }
}

impl HostPart {
    /// Whether `address` ends so. For IPv6 it depends on the range that it lies in how much of it counts: what
    /// the range leaves open, at least 16 bits and at most 64. Outside every range that is what is written.
    #[must_use]
    pub fn is_of(&self, address: IpAddr, range: Option<AddressRange>) -> bool {
        self.family == Family::of(address)
            && self.mask(range).is_some_and(|mask| to_bits(address) & mask == u128::from(self.bits))
    }

    /// The addresses of `part`, a part of `range`, that end so, ascending.
    pub fn within(self, range: AddressRange, part: AddressRange) -> impl Iterator<Item = IpAddr> {
        let mask = self.mask(Some(range)).filter(|_| part.family() == self.family);
        let first = mask.and_then(|mask| {
            let (first, lowest) =
                (to_bits(part.first()), to_bits(part.first()) & !mask | u128::from(self.bits));
            if lowest < first { lowest.checked_add(mask + 1) } else { Some(lowest) }
        });
        let step = mask.map_or(0, |mask| mask + 1);
        let all = core::iter::successors(first, move |bits| bits.checked_add(step));
        let last = to_bits(part.last());
        all.take_while(move |bits| *bits <= last).map(move |bits| from_bits(self.family, bits))
    }

    /// The bits of an address of `range` that count, unless no address can end so.
    fn mask(&self, range: Option<AddressRange>) -> Option<u128> {
        let width = match (self.family, range) {
            (Family::V4, _) => u32::from(self.width),
            (Family::V6, Some(range)) => {
                let open = to_bits(range.first()) ^ to_bits(range.last());
                (u128::BITS - open.leading_zeros()).clamp(16, 64)
            }
            (Family::V6, None) => (u64::BITS - self.bits.leading_zeros()).max(16),
        };
        let mask = (1_u128 << width) - 1;
        (u128::from(self.bits) <= mask).then_some(mask)
    }
}

impl fmt::Display for HostPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family {
            Family::V4 => {
                let [.., high, low] = self.bits.to_be_bytes();
                if self.width > 8 { write!(f, ".{high}.{low}") } else { write!(f, ".{low}") }
            }
            Family::V6 => from_bits(Family::V6, self.bits.into()).fmt(f),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Host(host) => host.fmt(f),
        }
    }
}

impl From<IpAddr> for Wanted {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

/// Why a request cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Neither an IP address nor the end of one.
    #[error(
        "{field}: {text:?} is not an IP address: write one such as 192.0.2.10, or only its end, such as .10 or ::10"
    )]
    NotAnAddress {
        /// Where it stands.
        field: &'static str,
        /// What stands there.
        text: String,
    },
    /// An IPv4 address in the notation of IPv6.
    #[error("{field}: {mapped} is an IPv4 address written as IPv6: write {plain}")]
    Mapped {
        /// Where it stands.
        field: &'static str,
        /// As it is written.
        mapped: Ipv6Addr,
        /// As it should be.
        plain: Ipv4Addr,
    },
    /// More than one address of a family.
    #[error("{field}: at most one address of each family can be requested, {text:?} has more")]
    TooMany {
        /// Where it stands.
        field: &'static str,
        /// What stands there.
        text: String,
    },
    /// Both the annotation and the field are set.
    #[error(
        "the annotation metallb.io/loadBalancerIPs and spec.loadBalancerIP are both set: remove one of them"
    )]
    Twice,
}

/// The annotation that requests addresses, for messages.
const ANNOTATION: &str = "annotation metallb.io/loadBalancerIPs";
/// The field that requests an address, for messages.
const FIELD: &str = "spec.loadBalancerIP";

impl Request {
    /// Reads the value of the annotation `loadBalancerIPs`, of `spec.loadBalancerIP` and of the annotation
    /// `address-pool`. An empty text asks for nothing.
    ///
    /// # Errors
    /// When an address cannot be read, is one too many, or is requested in both places.
    pub fn parse(
        annotation: Option<&str>,
        load_balancer_ip: Option<&str>,
        pool: Option<&str>,
    ) -> Result<Self, RequestError> {
        let filled =
            |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(ToString::to_string);
        let addresses = match (filled(annotation), filled(load_balancer_ip)) {
            (Some(_), Some(_)) => return Err(RequestError::Twice),
            (Some(text), None) => addresses(ANNOTATION, &text)?,
            (None, Some(text)) => addresses(FIELD, &text)?,
            (None, None) => Vec::new(),
        };
        Ok(Self { addresses, pool: filled(pool).map(PoolName::from) })
    }
}

fn addresses(field: &'static str, text: &str) -> Result<Vec<Wanted>, RequestError> {
    let mut addresses: Vec<Wanted> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let address = wanted(field, part)?;
        if addresses.iter().any(|other| other.family() == address.family()) {
            return Err(RequestError::TooMany { field, text: text.into() });
        }
        addresses.push(address);
    }
    Ok(addresses)
}

fn wanted(field: &'static str, text: &str) -> Result<Wanted, RequestError> {
    let refuse = || RequestError::NotAnAddress { field, text: text.into() };
    if let Some(octets) = text.strip_prefix('.') {
        return host_v4(octets).map(Wanted::Host).ok_or_else(refuse);
    }
    let address: IpAddr = text.parse().map_err(|_| refuse())?;
    let IpAddr::V6(v6) = address else { return Ok(address.into()) };
    if let Some(plain) = v6.to_ipv4_mapped() {
        return Err(RequestError::Mapped { field, mapped: v6, plain });
    }
    match u64::try_from(v6.to_bits()) {
        Ok(0) => Err(refuse()),
        Ok(bits) => Ok(Wanted::Host(HostPart { family: Family::V6, bits, width: 64 })),
        Err(_) => Ok(address.into()),
    }
}

/// Reads one or two octets.
fn host_v4(text: &str) -> Option<HostPart> {
    let octet = |text: &str| {
        // `u8::from_str` would take "+1" as well.
        let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<u8>().ok()
    };
    let (bits, width) = match text.split_once('.') {
        None => (u64::from(octet(text)?), 8),
        Some((high, low)) => (u64::from(u16::from_be_bytes([octet(high)?, octet(low)?])), 16),
    };
    Some(HostPart { family: Family::V4, bits, width })
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec};

    use super::*;

    fn parse(annotation: &str) -> Result<Vec<Wanted>, RequestError> {
        Request::parse(Some(annotation), None, None).map(|request| request.addresses)
    }

    fn host(text: &str) -> HostPart {
        let Wanted::Host(host) = parse(text).unwrap()[0] else { panic!("{text} is not an end") };
        host
    }

    #[test]
    fn one_or_two_addresses_and_a_pool() {
        let request = Request::parse(Some(" 192.0.2.1 , 2001:db8::1"), None, Some("first")).unwrap();
        let wanted = |text: &str| Wanted::Address(text.parse().unwrap());
        assert_eq!(request.addresses, vec![wanted("192.0.2.1"), wanted("2001:db8::1")]);
        assert_eq!(request.pool, Some("first".into()));
        let request = Request::parse(Some(""), Some("192.0.2.7"), Some("")).unwrap();
        assert_eq!(request.addresses, vec![wanted("192.0.2.7")]);
        assert_eq!(request.pool, None);
        assert_eq!(Request::parse(None, None, None), Ok(Request::default()));
    }

    #[test]
    fn ends_of_addresses_in_both_places() {
        for text in [".10", ".0", ".1.10", "::1", "::a:0:0:1", ".10,::10"] {
            let request = Request::parse(Some(text), None, None).unwrap();
            let written: Vec<_> = request.addresses.iter().map(|wanted| format!("{wanted}")).collect();
            assert_eq!(written.join(","), text);
            assert_eq!(Request::parse(None, Some(text), None), Ok(request));
        }
        assert_eq!(host(".1.10"), HostPart { family: Family::V4, bits: 0x10a, width: 16 });
        assert_eq!(parse("0:0:0:1::1").unwrap(), [Wanted::Address("0:0:0:1::1".parse().unwrap())]);
    }

    #[test]
    fn as_many_octets_as_overflow_a_width_are_no_address() {
        for octets in [3, 31, 32, 33, 34, 64] {
            let text = ".1".repeat(octets);
            assert!(matches!(parse(&text), Err(RequestError::NotAnAddress { .. })), "{octets} octets");
        }
    }

    #[test]
    fn mistakes_name_the_place_and_the_text() {
        let message = |annotation, field| Request::parse(annotation, field, None).unwrap_err().to_string();
        assert_eq!(
            message(Some("192.0.2.1,x"), None),
            "annotation metallb.io/loadBalancerIPs: \"x\" is not an IP address: write one such as 192.0.2.10, \
             or only its end, such as .10 or ::10"
        );
        assert!(
            message(None, Some("192.0.2.300")).starts_with("spec.loadBalancerIP: \"192.0.2.300\" is not")
        );
        assert!(message(Some("192.0.2.1,192.0.2.2"), None).contains("at most one address of each family"));
        assert!(message(Some("192.0.2.1,.2"), None).contains("at most one address of each family"));
        assert!(message(Some("192.0.2.1"), Some("192.0.2.1")).contains("both set"));
        assert!(message(Some("::ffff:192.0.2.1"), None).ends_with("written as IPv6: write 192.0.2.1"));
        for text in
            [".", "..1", ".1.", ".256", ".1.2.3", ".+1", ".1 .2", "::", "1", "10.1", ",", "192.0.2.1,"]
        {
            assert!(matches!(parse(text), Err(RequestError::NotAnAddress { .. })), "{text}");
        }
    }

    #[test]
    fn an_end_fits_where_the_range_leaves_it_open() {
        let within = |end: &str, range: &str| {
            let range = range.parse::<AddressRange>().unwrap();
            let found: Vec<_> =
                host(end).within(range, range).take(3).map(|found| format!("{found}")).collect();
            for address in range.addresses().take(5000) {
                let is_listed = host(end).within(range, range).take(40).any(|found| found == address);
                assert!(!host(end).is_of(address, Some(range)) || is_listed, "{end} {address}");
            }
            found.join(" ")
        };
        assert_eq!(within(".10", "192.0.2.0/28"), "192.0.2.10");
        assert_eq!(within(".10", "192.0.2.11-192.0.4.9"), "192.0.3.10");
        assert_eq!(within(".10", "192.0.2.11-192.0.3.9"), "");
        assert_eq!(within(".10", "2001:db8::/64"), "");
        assert_eq!(within(".3.10", "10.0.0.0/14"), "10.0.3.10 10.1.3.10 10.2.3.10");
        assert_eq!(within(".10", "255.255.255.0/24"), "255.255.255.10");
        assert_eq!(within("::5", "2001:db8::/120"), "2001:db8::5");
        assert_eq!(within("::5", "2001:db8::1:0/112"), "2001:db8::1:5");
        assert_eq!(within("::5", "2001:db8::7:100/120"), "", "16 bits count at least");
        assert_eq!(within("::105", "2001:db8::7:100/120"), "2001:db8::7:105");
        assert_eq!(within("::1:5", "2001:db8::/112"), "", "more is written than the range leaves open");
        assert_eq!(within("::1:5", "2001:db8::/96"), "2001:db8::1:5");
        assert_eq!(within("::5", "2001:db8::/62"), "2001:db8::5 2001:db8:0:1::5 2001:db8:0:2::5");
        assert_eq!(within("::5", "ffff:ffff:ffff:ffff::/64"), "ffff:ffff:ffff:ffff::5");
        assert_eq!(within("::5", "::/0"), "::5 ::1:0:0:0:5 ::2:0:0:0:5");
    }
}
