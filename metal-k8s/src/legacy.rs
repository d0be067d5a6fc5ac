//! The ConfigMap that configured MetalLB before 0.13.

use metal_core::config::{LegacyPool, PoolSpec, Refusal, Spec};
use serde::Deserialize;

/// The ConfigMaps that may hold it: the manifests' name and the Helm chart's.
pub(crate) const NAMES: [&str; 2] = ["config", "metallb-config"];
/// The key it is under.
const KEY: &str = "config";

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Config {
    #[serde(default)]
    address_pools: Option<Vec<Pool>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Pool {
    name: String,
    protocol: String,
    addresses: Vec<String>,
    auto_assign: Option<bool>,
    avoid_buggy_ips: Option<bool>,
}

/// Reads the pools from the data of such a ConfigMap. An absent or empty `config` has none.
pub(crate) fn spec(data: &std::collections::BTreeMap<String, String>) -> Spec {
    let text = data.get(KEY).map_or("", String::as_str);
    match serde_saphyr::from_str::<Option<Config>>(text) {
        _ if text.trim().is_empty() => Spec::Legacy(Vec::new()),
        Ok(config) => {
            let pools = config.unwrap_or_default().address_pools.unwrap_or_default();
            Spec::Legacy(pools.into_iter().map(pool).collect())
        }
        Err(error) => {
            let (line, reason) = crate::parse::yaml_error(&error);
            let message = line.map_or(reason.clone(), |line| format!("line {line}: {reason}"));
            Spec::Unreadable(Refusal { field: format!("data.{KEY}"), message })
        }
    }
}

fn pool(pool: Pool) -> LegacyPool {
    LegacyPool {
        name: pool.name,
        protocol: pool.protocol,
        spec: PoolSpec {
            addresses: pool.addresses,
            auto_assign: pool.auto_assign.unwrap_or(true),
            avoid_buggy_ips: pool.avoid_buggy_ips.unwrap_or(false),
            ..PoolSpec::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Spec {
        spec(&[(KEY.to_string(), text.to_string())].into())
    }

    #[test]
    fn pools_with_their_defaults() {
        let text = "address-pools:\n- name: default\n  protocol: layer2\n  addresses:\n  - 192.168.1.30-192.168.1.49\n\
                    - name: other\n  protocol: bgp\n  addresses: [198.51.100.0/24]\n  auto-assign: false\n  avoid-buggy-ips: true\n  \
                    bgp-advertisements:\n  - localpref: 100\npeers: []\n";
        let pools = |first: &str, protocol: &str, addresses: &str, auto_assign, avoid_buggy_ips| LegacyPool {
            name: first.into(),
            protocol: protocol.into(),
            spec: PoolSpec {
                addresses: vec![addresses.into()],
                auto_assign,
                avoid_buggy_ips,
                ..PoolSpec::default()
            },
        };
        assert_eq!(
            of(text),
            Spec::Legacy(vec![
                pools("default", "layer2", "192.168.1.30-192.168.1.49", true, false),
                pools("other", "bgp", "198.51.100.0/24", false, true),
            ])
        );
    }

    #[test]
    fn nothing_is_no_error() {
        assert_eq!(spec(&std::collections::BTreeMap::new()), Spec::Legacy(vec![]));
        for text in ["", " \n", "# later\n", "{}", "address-pools:\n", "address-pools: []\n", "peers: []\n"] {
            assert_eq!(of(text), Spec::Legacy(vec![]), "{text:?}");
        }
    }

    #[test]
    fn an_unreadable_one_says_where() {
        for (text, line) in [
            ("address-pools:\n- name: a\n  protocol: layer2\n  addresses: 192.0.2.0/24\n", "line 4: "),
            ("address-pools:\n- name: [\n", "line "),
            ("address-pools: 7\n", "line 1: "),
        ] {
            let Spec::Unreadable(refusal) = of(text) else { panic!("{text:?} was read") };
            assert_eq!(refusal.field, "data.config");
            assert!(refusal.message.starts_with(line), "{refusal}");
            assert!(!refusal.message.contains('\n'), "{refusal}");
        }
    }
}
