//! What attributes and capabilities say, as JSON.

use metal_bgp::wire::{
    Capability, Value,
    attribute::{AsPath, MpNlri, NextHop, Origin, SegmentKind},
    capability::Role,
};
use serde_json::{Value as Json, json};

use crate::bgp::input::hex;

/// What a capability says; null where there is nothing to say, or nobody knows what.
pub(super) fn capability_value(capability: &Capability<'_>) -> Json {
    match capability {
        Capability::Multiprotocol(family) => json!({"afi": family.afi.0, "safi": family.safi.0}),
        Capability::ExtendedNextHop(list) => list
            .iter()
            .map(|item| json!({"nlri_afi": item.afi.0, "nlri_safi": item.safi, "next_hop_afi": item.next_hop.0}))
            .collect(),
        Capability::Role(role) => role_name(*role).map_or_else(|| role.code().into(), Into::into),
        Capability::GracefulRestart(restart) => json!({
            "restart_state": restart.restarted,
            "notification": restart.notification,
            "restart_time": restart.restart_time,
            "families": restart.families.iter().map(|item| json!({
                "afi": item.family.afi.0, "safi": item.family.safi.0, "forwarding_state": item.forwarding,
            })).collect::<Json>(),
        }),
        Capability::FourOctetAs(asn) => (*asn).into(),
        Capability::AddPath(list) => list
            .iter()
            .map(|item| {
                json!({"afi": item.family.afi.0, "safi": item.family.safi.0, "send_receive": item.send_receive})
            })
            .collect(),
        Capability::LongLivedGracefulRestart(list) => list
            .iter()
            .map(|item| {
                json!({
                    "afi": item.family.afi.0,
                    "safi": item.family.safi.0,
                    "forwarding_state": item.forwarding,
                    "stale_time": item.stale_time,
                })
            })
            .collect(),
        Capability::Fqdn { host, domain } => match (std::str::from_utf8(host), std::str::from_utf8(domain)) {
            (Ok(host), Ok(domain)) => json!({"host_name": host, "domain_name": domain}),
            _ => Json::Null,
        },
        Capability::RouteRefresh
        | Capability::RouteRefreshCisco
        | Capability::ExtendedMessage
        | Capability::EnhancedRouteRefresh
        | Capability::BfdStrict
        | Capability::LinkLocalNextHop
        | Capability::Unknown { .. } => Json::Null,
    }
}

/// The names of roles (RFC 9234 4.1).
pub(crate) const fn role_name(role: Role) -> Option<&'static str> {
    Some(match role {
        Role::Provider => "provider",
        Role::RouteServer => "route_server",
        Role::RouteServerClient => "route_server_client",
        Role::Customer => "customer",
        Role::Peer => "peer",
        Role::Unknown(_) => return None,
    })
}

/// What an attribute says; null where there is nothing to say, or nobody knows what.
pub(super) fn attribute_value(value: &Value<'_>) -> Json {
    match value {
        Value::Origin(origin) => origin_name(*origin).into(),
        Value::AsPath(path) | Value::As4Path(path) => as_path(path),
        Value::NextHop(address) | Value::OriginatorId(address) => address.to_string().into(),
        Value::MultiExitDisc(number) | Value::LocalPref(number) | Value::OnlyToCustomer(number) => {
            (*number).into()
        }
        Value::Aggregator(aggregator) | Value::As4Aggregator(aggregator) => {
            json!({"asn": aggregator.asn, "address": aggregator.router.to_string()})
        }
        Value::Communities(list) => list.iter().map(|community| community.to_string()).collect(),
        Value::LargeCommunities(list) => list.iter().map(|community| community.to_string()).collect(),
        Value::ExtendedCommunities(list) => list.iter().map(|community| hex(&community.0)).collect(),
        Value::Ipv6ExtendedCommunities(list) => list.iter().map(|community| hex(&community.0)).collect(),
        Value::ClusterList(list) => list.iter().map(|id| id.to_string()).collect(),
        Value::Aigp(aigp) => aigp.metric().map_or(Json::Null, Into::into),
        Value::MpReach(reach) => {
            let mut value = family(reach.family.afi.0, reach.family.safi.0);
            value["next_hop"] = match reach.next_hop {
                Some(NextHop::V4(address)) => json!([address.to_string()]),
                Some(NextHop::V6(address)) => json!([address.to_string()]),
                Some(NextHop::V6Pair { global, link_local }) => {
                    json!([global.to_string(), link_local.to_string()])
                }
                None => hex(reach.next_hop_bytes).into(),
            };
            value["nlri"] = mp_nlri(&reach.nlri);
            value
        }
        Value::MpUnreach(unreach) => {
            let mut value = family(unreach.family.afi.0, unreach.family.safi.0);
            value["withdrawn"] = mp_nlri(&unreach.nlri);
            value
        }
        Value::AtomicAggregate | Value::PrefixSid(_) | Value::Unknown(_) => Json::Null,
    }
}

fn family(afi: u16, safi: u8) -> Json {
    json!({"afi": afi, "safi": safi})
}

fn route_value(prefix: impl ToString, path_id: Option<u32>) -> Json {
    json!({"prefix": prefix.to_string(), "path_id": path_id})
}

/// Prefixes of the families that are understood, octets of the others.
fn mp_nlri(nlri: &MpNlri<'_>) -> Json {
    match nlri {
        MpNlri::Ipv4(list) => list.clone().map(|nlri| route_value(nlri.prefix, nlri.path_id)).collect(),
        MpNlri::Ipv6(list) => list.clone().map(|nlri| route_value(nlri.prefix, nlri.path_id)).collect(),
        MpNlri::Other(bytes) => hex(bytes).into(),
    }
}

fn as_path(path: &AsPath<'_>) -> Json {
    path.segments()
        .map(|segment| json!({"type": segment_name(segment.kind), "asns": segment.asns.iter().collect::<Vec<_>>()}))
        .collect()
}

/// The name of an origin (RFC 4271 5.1.1).
pub(crate) const fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Igp => "IGP",
        Origin::Egp => "EGP",
        Origin::Incomplete => "INCOMPLETE",
    }
}

/// The name of a segment type (RFC 4271 4.3, 5065 3).
pub(crate) const fn segment_name(kind: SegmentKind) -> &'static str {
    match kind {
        SegmentKind::Set => "AS_SET",
        SegmentKind::Sequence => "AS_SEQUENCE",
        SegmentKind::ConfedSequence => "AS_CONFED_SEQUENCE",
        SegmentKind::ConfedSet => "AS_CONFED_SET",
    }
}
