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
    /// Exactly these addresses: none, one, or one of each family.
    pub addresses: Vec<IpAddr>,
    /// Only from this pool.
    pub pool: Option<PoolName>,
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

fn addresses(field: &'static str, text: &str) -> Result<Vec<IpAddr>, RequestError> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let address =
            part.parse::<IpAddr>().map_err(|_| RequestError::NotAnAddress { field, text: part.into() })?;
        if addresses.iter().any(|other| Family::of(*other) == Family::of(address)) {
            return Err(RequestError::TooMany { field, text: text.into() });
        }
        addresses.push(address);
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
