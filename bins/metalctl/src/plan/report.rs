//! What a plan says: the document of `--output json`, which is a contract, and what the text is drawn from.

use std::{net::IpAddr, path::PathBuf};

use serde::{Serialize, Serializer};

/// The whole plan.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Services of type LoadBalancer, by age and then by name.
    pub(crate) services: Vec<Service>,
    /// Pools, by name; those that are refused among them.
    pub(crate) pools: Vec<Pool>,
    /// Configuration objects that are not wholly in force, and documents that cannot be used.
    pub(crate) refused: Vec<Refused>,
}

/// A Service.
#[derive(Debug, Serialize)]
pub(crate) struct Service {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// In the order of its families.
    pub(crate) addresses: Vec<IpAddr>,
    /// The first of `pools`.
    pub(crate) pool: Option<String>,
    /// The pool that each address is or was in.
    pub(crate) pools: Vec<String>,
    pub(crate) state: State,
    pub(crate) reason: Option<Reason>,
}

/// How a Service fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// It gets addresses that it did not have.
    Assigned,
    /// It keeps those that its status shows.
    Kept,
    /// It gets none.
    Pending,
    /// It is of another load balancer class.
    NotOurs,
}

/// Why something is not as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    /// For programs.
    pub(crate) code: String,
    /// The full sentence.
    pub(crate) message: String,
}

/// A pool.
#[derive(Debug, Serialize)]
pub(crate) struct Pool {
    pub(crate) name: String,
    pub(crate) accepted: bool,
    pub(crate) reason: Option<Reason>,
    #[serde(rename = "assignedIPv4")]
    pub(crate) assigned_v4: Count,
    #[serde(rename = "assignedIPv6")]
    pub(crate) assigned_v6: Count,
    #[serde(rename = "availableIPv4")]
    pub(crate) available_v4: Count,
    #[serde(rename = "availableIPv6")]
    pub(crate) available_v6: Count,
}

/// An exact number of addresses: a number in JSON as far as every program reads those exactly (RFC 7493,
/// section 2.2), a string of decimal digits beyond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u128);

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match u64::try_from(self.0) {
            Ok(number) if number < 1 << 53 => serializer.serialize_u64(number),
            _ => serializer.collect_str(&self.0),
        }
    }
}

/// Something that does not count, or not wholly.
#[derive(Debug, Serialize)]
pub(crate) struct Refused {
    /// As far as it can be read.
    pub(crate) kind: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) code: String,
    pub(crate) message: String,
    /// `None` for standard input.
    pub(crate) file: Option<PathBuf>,
    /// Of the field, else of the document; from 1.
    pub(crate) line: Option<u64>,
}

impl Report {
    /// Nothing is pending and nothing refused.
    pub(crate) fn is_served(&self) -> bool {
        self.refused.is_empty() && self.services.iter().all(|service| service.state != State::Pending)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_document_has_exactly_these_fields() {
        let reason = Reason { code: "PoolExhausted".into(), message: "full".into() };
        let report = Report {
            services: vec![Service {
                namespace: "default".into(),
                name: "web".into(),
                addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
                pool: Some("p".into()),
                pools: vec!["p".into(), "q".into()],
                state: State::NotOurs,
                reason: Some(reason),
            }],
            pools: vec![Pool {
                name: "p".into(),
                accepted: true,
                reason: None,
                assigned_v4: Count(1),
                assigned_v6: Count(0),
                available_v4: Count((1 << 53) - 1),
                available_v6: Count(1 << 64),
            }],
            refused: vec![Refused {
                kind: Some("IPAddressPool".into()),
                name: Some("bad".into()),
                code: "Invalid".into(),
                message: "reversed".into(),
                file: None,
                line: Some(3),
            }],
        };
        let expected = json!({
            "services": [{
                "namespace": "default", "name": "web", "addresses": ["192.0.2.1", "2001:db8::1"], "pool": "p",
                "pools": ["p", "q"], "state": "not-ours", "reason": {"code": "PoolExhausted", "message": "full"},
            }],
            "pools": [{
                "name": "p", "accepted": true, "reason": null, "assignedIPv4": 1, "assignedIPv6": 0,
                "availableIPv4": 9_007_199_254_740_991_u64, "availableIPv6": "18446744073709551616",
            }],
            "refused": [{
                "kind": "IPAddressPool", "name": "bad", "code": "Invalid", "message": "reversed", "file": null,
                "line": 3,
            }],
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), expected);
    }
}
