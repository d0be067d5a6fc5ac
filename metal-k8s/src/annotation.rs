//! Annotations on Services, under the current prefix and the one before it.

use std::collections::BTreeMap;

/// The names of the pools that a Service's addresses come from; written by the controller.
pub(crate) const ALLOCATED_FROM: &str = "metallb.io/ip-allocated-from-pool";
/// The last known labels of a pool that is gone, as a JSON object; written by the controller.
pub(crate) const POOL_LABELS: &str = "metallb.io/pool-labels";
/// What happens to a Service whose address its pool does not have any more.
pub(crate) const REASSIGN_POLICY: &str = "metallb.io/reassignPolicy";
/// The communities that the addresses of a Service are to be announced with, separated by commas.
pub(crate) const BGP_COMMUNITIES: &str = "metallb.io/bgp-communities";

const CURRENT: &str = "metallb.io/";
const LEGACY: &str = "metallb.universe.tf/";

/// Whether any decision can depend on the annotation `key`; the others are dropped on arrival.
pub(crate) fn is_relevant(key: &str) -> bool {
    key.starts_with(CURRENT) || key.starts_with(LEGACY)
}

/// The value of the annotation `name` without its prefix. The current key, when present, wins over the
/// legacy one even if it is empty.
pub(crate) fn get<'a>(annotations: Option<&'a BTreeMap<String, String>>, name: &str) -> Option<&'a str> {
    let annotations = annotations?;
    [CURRENT, LEGACY]
        .iter()
        .find_map(|prefix| annotations.get(&format!("{prefix}{name}")))
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_key_wins_even_when_empty() {
        let annotations = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect::<BTreeMap<_, _>>()
        };
        let both =
            annotations(&[("metallb.io/address-pool", ""), ("metallb.universe.tf/address-pool", "old")]);
        assert_eq!(get(Some(&both), "address-pool"), Some(""));
        let old = annotations(&[("metallb.universe.tf/address-pool", "old")]);
        assert_eq!(get(Some(&old), "address-pool"), Some("old"));
        assert_eq!(get(Some(&old), "loadBalancerIPs"), None);
        assert_eq!(get(None, "address-pool"), None);
    }
}
