//! What a Service asks for: addresses or a pool.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::net::IpAddr;

use crate::{name::PoolName, view::Family};

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

impl From<IpAddr> for Wanted {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

/// Why a request cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not an IP address.
    #[error("{field}: {text:?} is not an IP address")]
    NotAnAddress {
        /// Where it stands.
        field: &'static str,
        /// What stands there.
        text: String,
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
        let address =
            part.parse::<IpAddr>().map_err(|_| RequestError::NotAnAddress { field, text: part.into() })?;
        if addresses.iter().any(|other| other.family() == Family::of(address)) {
            return Err(RequestError::TooMany { field, text: text.into() });
        }
        addresses.push(address.into());
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn one_or_two_addresses_and_a_pool() {
        let request = Request::parse(Some(" 192.0.2.1 , 2001:db8::1"), None, Some("first")).unwrap();
        assert_eq!(
            request.addresses,
            vec!["192.0.2.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]
        );
        assert_eq!(request.pool, Some("first".into()));
        let request = Request::parse(Some(""), Some("192.0.2.7"), Some("")).unwrap();
        assert_eq!(request.addresses, vec!["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(request.pool, None);
        assert_eq!(Request::parse(None, None, None), Ok(Request::default()));
    }

    #[test]
    fn mistakes_name_the_place_and_the_text() {
        let message = |annotation, field| Request::parse(annotation, field, None).unwrap_err().to_string();
        assert_eq!(
            message(Some("192.0.2.1,x"), None),
            "annotation metallb.io/loadBalancerIPs: \"x\" is not an IP address"
        );
        assert_eq!(
            message(None, Some("192.0.2.300")),
            "spec.loadBalancerIP: \"192.0.2.300\" is not an IP address"
        );
        assert!(message(Some("192.0.2.1,192.0.2.2"), None).contains("at most one address of each family"));
        assert!(message(Some("192.0.2.1"), Some("192.0.2.1")).contains("both set"));
    }
}
