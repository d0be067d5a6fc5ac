//! The ConfigMap that configured MetalLB before 0.13.

use std::collections::BTreeMap;

use metal_core::{
    config::{
        Legacy, LegacyPool, PoolSpec, Refusal, Spec,
        bgp::{self, AdvertisementSpec, BfdProfileSpec, CommunitySpec, PeerSpec, Secret},
    },
    selector::{Operator, Requirement, Selector},
};
use serde::Deserialize;

use crate::crd::Password;

/// The ConfigMaps that may hold it: the manifests' name and the Helm chart's.
pub(crate) const NAMES: [&str; 2] = ["config", "metallb-config"];
/// The key it is under.
const KEY: &str = "config";

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Config {
    address_pools: Option<Vec<Pool>>,
    peers: Option<Vec<Peer>>,
    bgp_communities: Option<BTreeMap<String, String>>,
    bfd_profiles: Option<Vec<BfdProfile>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Pool {
    name: String,
    protocol: String,
    addresses: Vec<String>,
    auto_assign: Option<bool>,
    avoid_buggy_ips: Option<bool>,
    bgp_advertisements: Option<Vec<Advertisement>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Advertisement {
    aggregation_length: Option<i64>,
    aggregation_length_v6: Option<i64>,
    localpref: Option<u32>,
    communities: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Peer {
    #[serde(default)]
    my_asn: u32,
    peer_asn: Option<u32>,
    peer_address: Option<String>,
    source_address: Option<String>,
    peer_port: Option<i64>,
    hold_time: Option<String>,
    keepalive_time: Option<String>,
    router_id: Option<String>,
    node_selectors: Option<Vec<NodeSelector>>,
    password: Option<Password>,
    bfd_profile: Option<String>,
    ebgp_multihop: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct NodeSelector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Expression>>,
}

#[derive(Deserialize)]
struct Expression {
    key: String,
    operator: ExpressionOperator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
enum ExpressionOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BfdProfile {
    name: String,
    receive_interval: Option<i64>,
    transmit_interval: Option<i64>,
    echo_interval: Option<i64>,
    detect_multiplier: Option<i64>,
    minimum_ttl: Option<i64>,
    echo_mode: Option<bool>,
    passive_mode: Option<bool>,
}

/// Reads what is in the data of such a ConfigMap. An absent or empty `config` has nothing.
pub(crate) fn spec(data: &BTreeMap<String, String>) -> Spec {
    let text = data.get(KEY).map_or("", String::as_str);
    match serde_saphyr::from_str::<Option<Config>>(text) {
        _ if text.trim().is_empty() => Spec::Legacy(Legacy::default()),
        Ok(config) => Spec::Legacy(legacy(config.unwrap_or_default())),
        Err(error) => {
            let (line, reason) = crate::parse::yaml_error(&error);
            let message = line.map_or(reason.clone(), |line| format!("line {line}: {reason}"));
            Spec::Unreadable(Refusal { field: format!("data.{KEY}"), message })
        }
    }
}

fn legacy(config: Config) -> Legacy {
    let pools = config.address_pools.unwrap_or_default().into_iter();
    let peers = config.peers.unwrap_or_default().into_iter();
    let aliases = config.bgp_communities.unwrap_or_default().into_iter();
    let profiles = config.bfd_profiles.unwrap_or_default().into_iter();
    Legacy {
        pools: pools.map(pool).collect(),
        bgp: bgp::Legacy {
            peers: peers.map(peer).collect(),
            communities: CommunitySpec { aliases: aliases.collect() },
            bfd_profiles: profiles.map(bfd_profile).collect(),
        },
    }
}

fn pool(pool: Pool) -> LegacyPool {
    let advertisements = pool.bgp_advertisements.unwrap_or_default().into_iter();
    LegacyPool {
        name: pool.name,
        protocol: pool.protocol,
        spec: PoolSpec {
            addresses: pool.addresses,
            auto_assign: pool.auto_assign.unwrap_or(true),
            avoid_buggy_ips: pool.avoid_buggy_ips.unwrap_or(false),
            ..PoolSpec::default()
        },
        advertisements: advertisements.map(advertisement).collect(),
    }
}

fn advertisement(advertisement: Advertisement) -> AdvertisementSpec {
    AdvertisementSpec {
        aggregation_length: advertisement.aggregation_length,
        aggregation_length_v6: advertisement.aggregation_length_v6,
        local_pref: advertisement.localpref,
        communities: advertisement.communities.unwrap_or_default(),
        ..AdvertisementSpec::default()
    }
}

fn peer(peer: Peer) -> PeerSpec {
    PeerSpec {
        my_asn: peer.my_asn,
        peer_asn: peer.peer_asn,
        peer_address: peer.peer_address,
        source_address: peer.source_address,
        peer_port: peer.peer_port,
        hold_time: peer.hold_time,
        keepalive_time: peer.keepalive_time,
        router_id: peer.router_id,
        node_selectors: peer.node_selectors.unwrap_or_default().into_iter().map(node_selector).collect(),
        password: peer.password.map(|Password(password)| Secret::from(&*password)),
        bfd_profile: peer.bfd_profile,
        ebgp_multi_hop: peer.ebgp_multihop.unwrap_or(false),
        ..PeerSpec::default()
    }
}

fn node_selector(selector: NodeSelector) -> Selector {
    let labels = selector.match_labels.unwrap_or_default().into_iter();
    let labels = labels.map(|(key, value)| Requirement { key, operator: Operator::In(vec![value]) });
    let expressions = selector.match_expressions.unwrap_or_default().into_iter();
    let expressions = expressions.map(|Expression { key, operator, values }| {
        let operator = match operator {
            ExpressionOperator::In => Operator::In(values),
            ExpressionOperator::NotIn => Operator::NotIn(values),
            ExpressionOperator::Exists => Operator::Exists,
            ExpressionOperator::DoesNotExist => Operator::DoesNotExist,
        };
        Requirement { key, operator }
    });
    Selector { requirements: labels.chain(expressions).collect() }
}

fn bfd_profile(profile: BfdProfile) -> (String, BfdProfileSpec) {
    let spec = BfdProfileSpec {
        receive_interval: profile.receive_interval,
        transmit_interval: profile.transmit_interval,
        echo_interval: profile.echo_interval,
        detect_multiplier: profile.detect_multiplier,
        minimum_ttl: profile.minimum_ttl,
        echo_mode: profile.echo_mode.unwrap_or(false),
        passive_mode: profile.passive_mode.unwrap_or(false),
    };
    (profile.name, spec)
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
            advertisements: Vec::new(),
        };
        let mut other = pools("other", "bgp", "198.51.100.0/24", false, true);
        other.advertisements =
            vec![AdvertisementSpec { local_pref: Some(100), ..AdvertisementSpec::default() }];
        let pools = vec![pools("default", "layer2", "192.168.1.30-192.168.1.49", true, false), other];
        assert_eq!(of(text), Spec::Legacy(Legacy { pools, ..Legacy::default() }));
    }

    #[test]
    fn all_that_is_about_bgp() {
        let text = "\
peers:
- my-asn: 64512
  peer-asn: 64513
  peer-address: 10.0.0.1
  peer-port: 1179
  source-address: 10.0.0.2
  hold-time: 90s
  keepalive-time: 30s
  router-id: 192.0.2.1
  password: hunter2
  bfd-profile: fast
  ebgp-multihop: true
  node-selectors:
  - match-labels: {rack: '1'}
    match-expressions:
    - {key: zone, operator: In, values: [a, b]}
    - {key: old, operator: DoesNotExist}
bgp-communities:
  blue: 64512:7
bfd-profiles:
- name: fast
  receive-interval: 50
  detect-multiplier: 5
  echo-mode: true
address-pools:
- name: p
  protocol: bgp
  addresses: [192.0.2.0/24]
  bgp-advertisements:
  - aggregation-length: 24
    aggregation-length-v6: 64
    communities: [blue]
";
        let spec = of(text);
        assert!(!format!("{spec:?}").contains("hunter2"));
        let Spec::Legacy(Legacy { pools, bgp }) = spec else { panic!("{spec:?}") };
        let of = |key: &str, operator| Requirement { key: key.into(), operator };
        let requirements = vec![
            of("rack", Operator::In(vec!["1".into()])),
            of("zone", Operator::In(vec!["a".into(), "b".into()])),
            of("old", Operator::DoesNotExist),
        ];
        let expected = PeerSpec {
            my_asn: 64512,
            peer_asn: Some(64513),
            peer_address: Some("10.0.0.1".into()),
            peer_port: Some(1179),
            source_address: Some("10.0.0.2".into()),
            hold_time: Some("90s".into()),
            keepalive_time: Some("30s".into()),
            router_id: Some("192.0.2.1".into()),
            node_selectors: vec![Selector { requirements }],
            password: Some(Secret::from("hunter2")),
            bfd_profile: Some("fast".into()),
            ebgp_multi_hop: true,
            ..PeerSpec::default()
        };
        assert_eq!(bgp.peers, [expected]);
        assert_eq!(bgp.communities.aliases, [("blue".into(), "64512:7".into())]);
        let fast = BfdProfileSpec {
            receive_interval: Some(50),
            detect_multiplier: Some(5),
            echo_mode: true,
            ..BfdProfileSpec::default()
        };
        assert_eq!(bgp.bfd_profiles, [("fast".into(), fast)]);
        let advertisement = AdvertisementSpec {
            aggregation_length: Some(24),
            aggregation_length_v6: Some(64),
            communities: vec!["blue".into()],
            ..AdvertisementSpec::default()
        };
        assert_eq!(pools[0].advertisements, [advertisement]);
    }

    #[test]
    fn nothing_is_no_error() {
        assert_eq!(spec(&BTreeMap::new()), Spec::Legacy(Legacy::default()));
        for text in ["", " \n", "# later\n", "{}", "address-pools:\n", "address-pools: []\n", "peers: []\n"] {
            assert_eq!(of(text), Spec::Legacy(Legacy::default()), "{text:?}");
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
