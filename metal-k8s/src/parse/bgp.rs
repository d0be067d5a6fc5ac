//! The resources of BGP.

use metal_core::config::{
    Refusal, Spec,
    bgp::{AdvertisementSpec, BfdProfileSpec, CommunitySpec, FromNode, PeerSpec, Secret, SecretReference},
};
use serde_json::Value;

use super::{decode, or_empty, selectors};
use crate::crd;

/// The kind of a BGP peer.
pub(crate) const BGP_PEER: &str = "BGPPeer";
/// The kind of an advertisement by BGP.
pub(crate) const BGP_ADVERTISEMENT: &str = "BGPAdvertisement";
/// The kind of names for communities.
pub(crate) const COMMUNITY: &str = "Community";
/// The kind of a profile of BFD.
pub(crate) const BFD_PROFILE: &str = "BFDProfile";

/// Reads the `spec` of a `BGPPeer`, of either version: what v1beta1 has is the same in v1beta2.
pub(crate) fn bgp_peer_value(spec: Value) -> Spec {
    decode(spec, bgp_peer)
}

/// Reads the `spec` of a `BGPAdvertisement`.
pub(crate) fn bgp_advertisement_value(spec: Value) -> Spec {
    decode(or_empty(spec), bgp_advertisement)
}

/// Reads the `spec` of a `Community`.
pub(crate) fn community_value(spec: Value) -> Spec {
    decode(or_empty(spec), community)
}

/// Reads the `spec` of a `BFDProfile`.
pub(crate) fn bfd_profile_value(spec: Value) -> Spec {
    decode(or_empty(spec), bfd_profile)
}

/// `BGPPeer.spec` as it is judged.
pub(crate) fn bgp_peer(spec: crd::BGPPeerSpec) -> Spec {
    try_bgp_peer(spec).map_or_else(Spec::Unreadable, |spec| Spec::BgpPeer(Box::new(spec)))
}

fn try_bgp_peer(spec: crd::BGPPeerSpec) -> Result<PeerSpec, Refusal> {
    let secret = |secret: crd::SecretReference| SecretReference {
        name: secret.name.unwrap_or_default(),
        namespace: secret.namespace,
    };
    Ok(PeerSpec {
        my_asn: number("spec.myASN", spec.my_asn)?,
        peer_asn: spec.peer_asn.map(|asn| number("spec.peerASN", asn)).transpose()?,
        dynamic_asn: spec.dynamic_asn,
        local_asn: spec.local_asn.map(|asn| number("spec.localASN", asn)).transpose()?,
        peer_address: spec.peer_address,
        peer_address_from: spec.peer_address_from.map(|from| FromNode {
            node_label: from.node_label,
            node_annotation: from.node_annotation,
            default_gateway: from.default_gateway,
        }),
        peer_asn_from: spec.peer_asn_from.map(|from| FromNode {
            node_label: from.node_label,
            node_annotation: from.node_annotation,
            default_gateway: None,
        }),
        interface: spec.interface,
        source_address: spec.source_address,
        peer_port: spec.peer_port,
        hold_time: spec.hold_time,
        keepalive_time: spec.keepalive_time,
        connect_time: spec.connect_time,
        router_id: spec.router_id,
        node_selectors: selectors("spec.nodeSelectors", spec.node_selectors)?,
        password: spec.password.map(|crd::Password(password)| Secret::from(&*password)),
        password_secret: spec.password_secret.map(secret),
        bfd_profile: spec.bfd_profile,
        graceful_restart: spec.enable_graceful_restart,
        ebgp_multi_hop: spec.ebgp_multi_hop,
        vrf: spec.vrf,
        dual_stack: spec.dual_stack_address_family,
        connection_mode: spec.connection_mode,
        ttl_security: spec.ttl_security,
    })
}

/// `BGPAdvertisement.spec` as it is judged.
pub(crate) fn bgp_advertisement(spec: crd::BGPAdvertisementSpec) -> Spec {
    try_bgp_advertisement(spec).map_or_else(Spec::Unreadable, |spec| Spec::BgpAdvertisement(Box::new(spec)))
}

fn try_bgp_advertisement(spec: crd::BGPAdvertisementSpec) -> Result<AdvertisementSpec, Refusal> {
    let next_hop = spec.next_hop.unwrap_or_default();
    Ok(AdvertisementSpec {
        aggregation_length: spec.aggregation_length,
        aggregation_length_v6: spec.aggregation_length_v6,
        local_pref: spec.local_pref.map(|value| number("spec.localPref", value)).transpose()?,
        communities: spec.communities.unwrap_or_default(),
        pools: spec.ip_address_pools.unwrap_or_default(),
        pool_selectors: selectors("spec.ipAddressPoolSelectors", spec.ip_address_pool_selectors)?,
        node_selectors: selectors("spec.nodeSelectors", spec.node_selectors)?,
        peers: spec.peers.unwrap_or_default(),
        service_selectors: selectors("spec.serviceSelectors", spec.service_selectors)?,
        med: spec.med.map(|value| number("spec.med", value)).transpose()?,
        as_path_prepend: spec.as_path_prepend,
        next_hop_v4: next_hop.ipv4,
        next_hop_v6: next_hop.ipv6,
        without_endpoints: spec.without_endpoints,
        external_ips: spec.external_ips.unwrap_or_default(),
        allowed_service_communities: spec.allowed_service_communities.unwrap_or_default(),
    })
}

/// `Community.spec` as it is judged.
pub(crate) fn community(spec: crd::CommunitySpec) -> Spec {
    let aliases = spec.communities.unwrap_or_default().into_iter();
    Spec::Community(CommunitySpec { aliases: aliases.map(|alias| (alias.name, alias.value)).collect() })
}

/// `BFDProfile.spec` as it is judged.
pub(crate) fn bfd_profile(spec: crd::BFDProfileSpec) -> Spec {
    Spec::BfdProfile(BfdProfileSpec {
        receive_interval: spec.receive_interval,
        transmit_interval: spec.transmit_interval,
        echo_interval: spec.echo_interval,
        detect_multiplier: spec.detect_multiplier,
        minimum_ttl: spec.minimum_ttl,
        echo_mode: spec.echo_mode,
        passive_mode: spec.passive_mode,
    })
}

/// A number of 32 bits.
fn number(field: &str, value: i64) -> Result<u32, Refusal> {
    u32::try_from(value).map_err(|_| Refusal {
        field: field.into(),
        message: format!("{value} is not between 0 and {}", u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use metal_core::selector::Selector;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_peer_with_everything() {
        let spec = bgp_peer_value(json!({
            "myASN": 64512, "peerASN": 4_200_000_000_u32, "dynamicASN": "external", "localASN": 65000,
            "peerAddressFrom": {"nodeLabel": "a", "nodeAnnotation": "b", "defaultGateway": "IPv4"},
            "peerASNFrom": {"nodeLabel": "c", "nodeAnnotation": "d"},
            "peerAddress": "10.0.0.1", "interface": "eth0", "sourceAddress": "10.0.0.2", "peerPort": 1179,
            "holdTime": "90s", "keepaliveTime": "30s", "connectTime": "5s", "routerID": "192.0.2.1",
            "nodeSelectors": [{"matchLabels": {"rack": "1"}}], "password": "hunter2",
            "passwordSecret": {"name": "bgp", "namespace": "metallb-system"}, "bfdProfile": "fast",
            "enableGracefulRestart": true, "ebgpMultiHop": true, "vrf": "red", "disableMP": true,
            "dualStackAddressFamily": true, "connectionMode": "Both", "ttlSecurity": true,
        }));
        assert!(!format!("{spec:?}").contains("hunter2"));
        let expected = PeerSpec {
            my_asn: 64512,
            peer_asn: Some(4_200_000_000),
            dynamic_asn: Some("external".into()),
            local_asn: Some(65000),
            peer_address: Some("10.0.0.1".into()),
            peer_address_from: Some(FromNode {
                node_label: Some("a".into()),
                node_annotation: Some("b".into()),
                default_gateway: Some("IPv4".into()),
            }),
            peer_asn_from: Some(FromNode {
                node_label: Some("c".into()),
                node_annotation: Some("d".into()),
                default_gateway: None,
            }),
            interface: Some("eth0".into()),
            source_address: Some("10.0.0.2".into()),
            peer_port: Some(1179),
            hold_time: Some("90s".into()),
            keepalive_time: Some("30s".into()),
            connect_time: Some("5s".into()),
            router_id: Some("192.0.2.1".into()),
            node_selectors: vec![Selector::label("rack", "1")],
            password: Some(Secret::from("hunter2")),
            password_secret: Some(SecretReference {
                name: "bgp".into(),
                namespace: Some("metallb-system".into()),
            }),
            bfd_profile: Some("fast".into()),
            graceful_restart: true,
            ebgp_multi_hop: true,
            vrf: Some("red".into()),
            dual_stack: true,
            connection_mode: Some("Both".into()),
            ttl_security: true,
        };
        assert_eq!(spec, Spec::BgpPeer(Box::new(expected)));
    }

    #[test]
    fn a_peer_of_v1beta1_without_timers_has_the_defaults() {
        let spec = bgp_peer_value(json!({
            "myASN": 64512, "peerASN": 64513, "peerAddress": "10.0.0.1",
            "nodeSelectors": [{"matchExpressions": [{"key": "rack", "operator": "In", "values": ["1"]}]}],
        }));
        let expected = PeerSpec {
            my_asn: 64512,
            peer_asn: Some(64513),
            peer_address: Some("10.0.0.1".into()),
            peer_port: Some(179),
            node_selectors: vec![Selector::label("rack", "1")],
            ..PeerSpec::default()
        };
        assert_eq!(spec, Spec::BgpPeer(Box::new(expected)));
    }

    #[test]
    fn an_advertisement_with_nothing_or_everything() {
        let nothing = AdvertisementSpec {
            aggregation_length: Some(32),
            aggregation_length_v6: Some(128),
            ..AdvertisementSpec::default()
        };
        assert_eq!(bgp_advertisement_value(Value::Null), Spec::BgpAdvertisement(Box::new(nothing)));
        let spec = bgp_advertisement_value(json!({
            "aggregationLength": 24, "aggregationLengthV6": 64, "localPref": 100, "communities": ["64512:1"],
            "ipAddressPools": ["p"], "ipAddressPoolSelectors": [{}], "nodeSelectors": [{}], "peers": ["r"],
            "serviceSelectors": [{}], "med": 7, "asPathPrepend": 2,
            "nextHop": {"ipv4": "192.0.2.1", "ipv6": "2001:db8::1"}, "withoutEndpoints": "Keep",
            "externalIPs": ["203.0.113.0/24"], "allowedServiceCommunities": ["64512:*"],
        }));
        let everything = AdvertisementSpec {
            aggregation_length: Some(24),
            aggregation_length_v6: Some(64),
            local_pref: Some(100),
            communities: vec!["64512:1".into()],
            pools: vec!["p".into()],
            pool_selectors: vec![Selector::default()],
            node_selectors: vec![Selector::default()],
            peers: vec!["r".into()],
            service_selectors: vec![Selector::default()],
            med: Some(7),
            as_path_prepend: Some(2),
            next_hop_v4: Some("192.0.2.1".into()),
            next_hop_v6: Some("2001:db8::1".into()),
            without_endpoints: Some("Keep".into()),
            external_ips: vec!["203.0.113.0/24".into()],
            allowed_service_communities: vec!["64512:*".into()],
        };
        assert_eq!(spec, Spec::BgpAdvertisement(Box::new(everything)));
    }

    #[test]
    fn communities_and_profiles() {
        let spec = community_value(json!({"communities": [{"name": "blue", "value": "64512:7"}]}));
        assert_eq!(spec, Spec::Community(CommunitySpec { aliases: vec![("blue".into(), "64512:7".into())] }));
        assert_eq!(community_value(Value::Null), Spec::Community(CommunitySpec::default()));
        let spec = bfd_profile_value(json!({"receiveInterval": 50, "echoMode": true, "minimumTtl": 250}));
        let expected = BfdProfileSpec {
            receive_interval: Some(50),
            echo_mode: true,
            minimum_ttl: Some(250),
            ..BfdProfileSpec::default()
        };
        assert_eq!(spec, Spec::BfdProfile(expected));
    }

    #[test]
    fn what_cannot_be_read_says_which_field() {
        let refusal = |spec| match spec {
            Spec::Unreadable(refusal) => refusal.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(refusal(bgp_peer_value(json!({"peerASN": 1}))).starts_with("spec: missing field `myASN`"));
        assert_eq!(
            refusal(bgp_peer_value(json!({"myASN": 4_294_967_296_i64}))),
            "spec.myASN: 4294967296 is not between 0 and 4294967295"
        );
        assert_eq!(
            refusal(bgp_advertisement_value(json!({"localPref": -1}))),
            "spec.localPref: -1 is not between 0 and 4294967295"
        );
        // What is wrong with a password is said without it.
        for wrong in [json!(271_828), json!(true), json!(["271828"]), json!({"a": 271_828})] {
            let wrong = refusal(bgp_peer_value(json!({"myASN": 1, "password": wrong})));
            assert_eq!(wrong, "spec: the password is no text: put it in quotes");
        }
    }
}
