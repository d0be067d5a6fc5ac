//! The JSON of a message: what `decode` prints and `encode` accepts.

mod value;

use std::net::SocketAddr;

use metal_bgp::{
    validate::Verdict,
    wire::{
        Attribute, Capability, Error, Notification, Open, RouteRefresh, Update, notification::Communication,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use self::value::{attribute_value, capability_value};
pub(crate) use self::value::{origin_name, role_name, segment_name};
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
