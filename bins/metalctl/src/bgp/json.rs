//! The JSON of a message: what `decode` prints and `encode` accepts.

use std::net::SocketAddr;

use metal_bgp::{
    validate::Verdict,
    wire::{
        Attribute, Capability, Error, Notification, Open, RouteRefresh, Update, Value,
        attribute::{AsPath, MpNlri, NextHop, Origin, SegmentKind},
        capability::Role,
        notification::Communication,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    input::{Place, hex},
    read::Read,
};

/// OPEN.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OpenJson {
    #[serde(default)]
    ok: bool,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    length: usize,
    #[serde(default = "four")]
    pub(crate) version: u8,
    pub(crate) my_autonomous_system: u16,
    pub(crate) hold_time: u16,
    pub(crate) bgp_identifier: std::net::Ipv4Addr,
    #[serde(default)]
    pub(crate) capabilities: Vec<CapabilityJson>,
}

/// A capability.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CapabilityJson {
    pub(crate) code: u8,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    pub(crate) value: Json,
    #[serde(default)]
    pub(crate) hex: String,
}

/// UPDATE.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UpdateJson {
    #[serde(default)]
    ok: bool,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    length: usize,
    #[serde(default)]
    pub(crate) withdrawn: Vec<RouteJson>,
    #[serde(default)]
    pub(crate) attributes: Vec<AttributeJson>,
    #[serde(default)]
    pub(crate) nlri: Vec<RouteJson>,
    #[serde(default)]
    findings: Vec<FindingJson>,
}

/// A prefix, and which path to it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RouteJson {
    pub(crate) prefix: String,
    #[serde(default)]
    pub(crate) path_id: Option<u32>,
}

/// A path attribute.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AttributeJson {
    #[serde(rename = "type")]
    pub(crate) code: u8,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    pub(crate) flags: Option<u8>,
    #[serde(default)]
    offset: usize,
    #[serde(default)]
    pub(crate) value: Json,
    #[serde(default)]
    pub(crate) hex: String,
}

/// What RFC 7606 says about an attribute.
#[derive(Debug, Serialize, Deserialize)]
struct FindingJson {
    attribute: u8,
    disposition: String,
    offset: usize,
    message: String,
}

/// NOTIFICATION.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NotificationJson {
    #[serde(default)]
    ok: bool,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    length: usize,
    pub(crate) error_code: u8,
    pub(crate) error_subcode: u8,
    #[serde(default)]
    name: String,
    #[serde(default)]
    pub(crate) data: String,
    #[serde(default)]
    pub(crate) shutdown_communication: Option<String>,
}

/// ROUTE-REFRESH.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RefreshJson {
    #[serde(default)]
    ok: bool,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    length: usize,
    pub(crate) afi: u16,
    #[serde(default)]
    pub(crate) subtype: u8,
    pub(crate) safi: u8,
}

const fn four() -> u8 {
    4
}

/// The object for what was read, as one line.
pub(crate) fn line(read: &Read<'_>, place: Place) -> serde_json::Result<String> {
    let length = read.length();
    match read {
        Read::Incomplete { needed } => with_place(IncompleteJson::new(*needed), read, place),
        Read::Refused { error, .. } => with_place(RefusedJson::new(error), read, place),
        Read::Open { open, .. } => with_place(open_json(open, length), read, place),
        Read::Update { update, verdict, .. } => with_place(update_json(update, verdict, length), read, place),
        Read::Notification { notification, .. } => {
            with_place(notification_json(notification, length), read, place)
        }
        Read::Keepalive { .. } => with_place(KeepaliveJson::new(length), read, place),
        Read::RouteRefresh { refresh, .. } => with_place(refresh_json(*refresh, length), read, place),
    }
}

/// What was read, and what only some inputs have to say besides.
#[derive(Serialize)]
struct Line<T> {
    #[serde(flatten)]
    message: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    trailing: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<SocketAddr>,
}

fn with_place(message: impl Serialize, read: &Read<'_>, place: Place) -> serde_json::Result<String> {
    let (connection, source, destination) = match place {
        Place::Connection { number, source, destination } => (Some(number), Some(source), Some(destination)),
        Place::Line(_) | Place::Octet(_) => (None, None, None),
    };
    serde_json::to_string(&Line { message, trailing: read.trailing(), connection, source, destination })
}

#[derive(Serialize)]
struct IncompleteJson {
    ok: bool,
    incomplete: bool,
    need: usize,
}

impl IncompleteJson {
    const fn new(need: usize) -> Self {
        Self { ok: false, incomplete: true, need }
    }
}

#[derive(Serialize)]
struct RefusedJson {
    ok: bool,
    notification: AnswerJson,
    offset: usize,
    message: String,
}

/// The NOTIFICATION that the peer gets.
#[derive(Serialize)]
struct AnswerJson {
    code: u8,
    subcode: u8,
    data: String,
}

impl RefusedJson {
    fn new(error: &Error) -> Self {
        let Notification { code, subcode, data } = error.notification();
        let notification = AnswerJson { code, subcode, data: hex(data) };
        Self { ok: false, notification, offset: error.offset(), message: error.kind().to_string() }
    }
}

#[derive(Serialize)]
struct KeepaliveJson {
    ok: bool,
    #[serde(rename = "type")]
    kind: &'static str,
    length: usize,
}

impl KeepaliveJson {
    const fn new(length: usize) -> Self {
        Self { ok: true, kind: "KEEPALIVE", length }
    }
}

fn open_json(open: &Open<'_>, length: usize) -> OpenJson {
    OpenJson {
        ok: true,
        kind: "OPEN".into(),
        length,
        version: 4,
        my_autonomous_system: open.my_as,
        hold_time: open.hold_time,
        bgp_identifier: open.bgp_identifier,
        capabilities: open.capabilities.iter().map(|capability| capability_json(&capability)).collect(),
    }
}

fn capability_json(capability: &Capability<'_>) -> CapabilityJson {
    CapabilityJson {
        code: capability.code(),
        name: capability.name().map(Into::into),
        value: capability_value(capability),
        hex: hex(&super::read::capability_bytes(capability)),
    }
}

/// What a capability says; null where there is nothing to say, or nobody knows what.
pub(crate) fn capability_value(capability: &Capability<'_>) -> Json {
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

fn update_json(update: &Update<'_>, verdict: &Verdict<'_>, length: usize) -> UpdateJson {
    UpdateJson {
        ok: true,
        kind: "UPDATE".into(),
        length,
        withdrawn: update.withdrawn().map(|nlri| route(nlri.prefix, nlri.path_id)).collect(),
        attributes: update.attributes().map(|attribute| attribute_json(&attribute)).collect(),
        nlri: update.nlri().map(|nlri| route(nlri.prefix, nlri.path_id)).collect(),
        findings: verdict
            .findings()
            .map(|finding| FindingJson {
                attribute: finding.code.0,
                disposition: finding.disposition.to_string(),
                offset: finding.offset,
                message: finding.fault.to_string(),
            })
            .collect(),
    }
}

fn route(prefix: impl ToString, path_id: Option<u32>) -> RouteJson {
    RouteJson { prefix: prefix.to_string(), path_id }
}

fn attribute_json(attribute: &Attribute<'_>) -> AttributeJson {
    AttributeJson {
        code: attribute.code.0,
        name: attribute.code.name().map(Into::into),
        flags: Some(attribute.flags.0),
        offset: attribute.offset,
        value: attribute.value().map_or(Json::Null, |value| attribute_value(&value)),
        hex: hex(attribute.bytes),
    }
}

/// What an attribute says; null where there is nothing to say, or nobody knows what.
fn attribute_value(value: &Value<'_>) -> Json {
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

fn notification_json(notification: &Notification<'_>, length: usize) -> NotificationJson {
    NotificationJson {
        ok: true,
        kind: "NOTIFICATION".into(),
        length,
        error_code: notification.code,
        error_subcode: notification.subcode,
        name: notification.to_string(),
        data: hex(notification.data),
        shutdown_communication: match notification.communication() {
            Some(Communication::Text(text)) => Some(text.into()),
            Some(Communication::Unreadable(_)) | None => None,
        },
    }
}

fn refresh_json(refresh: RouteRefresh, length: usize) -> RefreshJson {
    RefreshJson {
        ok: true,
        kind: "ROUTE-REFRESH".into(),
        length,
        afi: refresh.family.afi.0,
        subtype: refresh.subtype.code(),
        safi: refresh.family.safi.0,
    }
}
