//! A message as a tree: each field with its offset and its octets, as a protocol analyser shows it.

use std::{
    fmt::{self, Write as _},
    net::{Ipv4Addr, Ipv6Addr},
};

use metal_bgp::{
    validate::Finding,
    wire::{
        Attribute, AttributeCode, Capability, Error, Notification, Open, Update, Value,
        attribute::{AsPath, Community, ExtendedCommunity, MpNlri, NextHop},
        capability,
        frame::MessageType,
        notification::Communication,
        refresh::Subtype,
    },
};

use super::{
    input::Place,
    json::{origin_name, role_name, segment_name},
    read::Read,
};

/// A field: where it is, what it says, what it consists of.
#[derive(Debug)]
struct Field<'a> {
    offset: usize,
    bytes: &'a [u8],
    text: String,
    parts: Vec<Field<'a>>,
}

impl<'a> Field<'a> {
    fn new(offset: usize, bytes: &'a [u8], text: impl Into<String>) -> Self {
        Self { offset, bytes, text: text.into(), parts: vec![] }
    }

    fn with(mut self, parts: Vec<Self>) -> Self {
        self.parts = parts;
        self
    }

    fn print(&self, to: &mut String, lead: &str, branch: &str) {
        let shown = self.bytes.len().min(SHOWN);
        let mut octets = String::new();
        for byte in &self.bytes[..shown] {
            let _infallible = write!(octets, "{byte:02x} ");
        }
        if self.bytes.len() > shown {
            octets.push('…');
        }
        let _infallible =
            writeln!(to, "{:6}  {octets:width$}{branch}{}", self.offset, self.text, width = SHOWN * 3 + 2);
        let last = self.parts.len().saturating_sub(1);
        for (n, part) in self.parts.iter().enumerate() {
            let (turn, go_on) = if n == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            part.print(to, &format!("{lead}{go_on}"), &format!("{lead}{turn}"));
        }
    }
}

/// The text of what was read, several lines.
pub(crate) fn text(read: &Read<'_>, place: Place) -> String {
    let mut to = String::new();
    let _infallible = write!(to, "{place}: ");
    let mut fields = Vec::new();
    match read {
        Read::Incomplete { needed } => {
            let _infallible = writeln!(to, "incomplete, at least {needed} more octets are needed");
        }
        Read::Refused { error, kind, bytes } => {
            refused(&mut to, error, *kind);
            // What can be said about it at all.
            fields = header(bytes);
        }
        Read::Open { open, whole } => {
            let _infallible = writeln!(to, "OPEN, {} octets", whole.bytes.len());
            fields = header(whole.bytes);
            fields.extend(self::open(open, whole.bytes));
        }
        Read::Update { update, verdict, whole } => {
            let _infallible = write!(to, "UPDATE, {} octets", whole.bytes.len());
            if let Some(family) = update.end_of_rib() {
                let _infallible = write!(to, ", End-of-RIB of {family}");
            }
            to.push('\n');
            for finding in verdict.findings() {
                let _infallible = writeln!(to, "  ! {}", Judged(finding));
            }
            fields = header(whole.bytes);
            fields.extend(self::update(update, whole.bytes));
        }
        Read::Notification { notification, whole } => {
            let _infallible = writeln!(to, "NOTIFICATION, {} octets: {notification}", whole.bytes.len());
            fields = header(whole.bytes);
            fields.extend(self::notification(notification, whole.bytes));
        }
        Read::Keepalive { whole } => {
            let _infallible = writeln!(to, "KEEPALIVE, {} octets", whole.bytes.len());
            fields = header(whole.bytes);
        }
        Read::RouteRefresh { refresh, whole } => {
            let _infallible = writeln!(to, "ROUTE-REFRESH, {} octets: {}", whole.bytes.len(), refresh.family);
            fields = header(whole.bytes);
            let meaning = match refresh.subtype {
                Subtype::Request => "request",
                Subtype::Beginning => "Beginning of Route Refresh (BoRR)",
                Subtype::End => "End of Route Refresh (EoRR)",
                Subtype::Unknown(_) => "unknown, to be ignored",
            };
            fields.extend([
                Field::new(19, part(whole.bytes, 19, 2), format!("AFI: {}", refresh.family.afi.0)),
                Field::new(
                    21,
                    part(whole.bytes, 21, 1),
                    format!("Message Subtype: {} ({meaning})", refresh.subtype.code()),
                ),
                Field::new(22, part(whole.bytes, 22, 1), format!("SAFI: {}", refresh.family.safi.0)),
            ]);
        }
    }
    for field in &fields {
        field.print(&mut to, "", "");
    }
    if let Some(trailing) = read.trailing() {
        let _infallible =
            writeln!(to, "  ! {trailing} more octets behind the message; one line is one message");
    }
    // A line between messages.
    to.push('\n');
    to
}

/// Why there is nothing to write for what was read, in a line.
pub(crate) fn summary(read: &Read<'_>, place: Place) -> String {
    match read {
        Read::Incomplete { needed } => {
            format!("{place}: incomplete, at least {needed} more octets are needed")
        }
        Read::Refused { error, .. } => {
            format!("{place}: the session would end: {error}; NOTIFICATION: {}", error.notification())
        }
        _ => format!("{place}: a message"),
    }
}

/// The octets from `offset` on, as far as they are there.
fn part(bytes: &[u8], offset: usize, length: usize) -> &[u8] {
    let end = offset.saturating_add(length).min(bytes.len());
    bytes.get(offset.min(end)..end).unwrap_or_default()
}

fn header(bytes: &[u8]) -> Vec<Field<'_>> {
    let mut fields = vec![Field::new(0, part(bytes, 0, 16), "Marker")];
    if let &[high, low] = part(bytes, 16, 2) {
        fields.push(Field::new(
            16,
            part(bytes, 16, 2),
            format!("Length: {}", u16::from_be_bytes([high, low])),
        ));
    }
    if let &[code] = part(bytes, 18, 1) {
        let name = type_name(code);
        fields.push(Field::new(18, part(bytes, 18, 1), format!("Type: {code} ({name})")));
    }
    fields
}

const fn type_name(code: u8) -> &'static str {
    match code {
        1 => "OPEN",
        2 => "UPDATE",
        3 => "NOTIFICATION",
        4 => "KEEPALIVE",
        5 => "ROUTE-REFRESH",
        _ => "unknown",
    }
}

fn refused(to: &mut String, error: &Error, kind: Option<MessageType>) {
    let kind = kind.map_or("no message", |kind| type_name(kind.code()));
    let Notification { code, subcode, data } = error.notification();
    let _infallible = writeln!(to, "{kind}: the session would end");
    let _infallible = writeln!(to, "  ! octet {}: {}", error.offset(), error.kind());
    let _infallible = write!(to, "  ! NOTIFICATION {code}/{subcode} ({})", error.notification());
    if !data.is_empty() {
        let _infallible = write!(to, ", data {}", super::input::hex(data));
    }
    to.push('\n');
}

fn open<'a>(open: &Open<'_>, bytes: &'a [u8]) -> Vec<Field<'a>> {
    let mut fields = vec![
        Field::new(19, part(bytes, 19, 1), "Version: 4"),
        Field::new(20, part(bytes, 20, 2), format!("My Autonomous System: {}", open.my_as)),
        Field::new(22, part(bytes, 22, 2), format!("Hold Time: {} s", open.hold_time)),
        Field::new(24, part(bytes, 24, 4), format!("BGP Identifier: {}", open.bgp_identifier)),
    ];
    // RFC 9072: type 255 in front of the parameters makes all lengths two octets long.
    let extended = matches!(part(bytes, 28, 2), [length, 255] if *length > 0);
    let (start, width) = if extended { (32, 2) } else { (29, 1) };
    fields.push(Field::new(
        28,
        part(bytes, 28, start - 28),
        format!("Optional Parameters: {} octets", bytes.len() - start),
    ));
    let mut capabilities = open.capabilities.iter();
    let mut at = start;
    while let Some(&kind) = bytes.get(at) {
        let length = big_endian(part(bytes, at + 1, width));
        let end = at + 1 + width + length;
        let mut inside = at + 1 + width;
        let mut parts = Vec::new();
        while inside < end.min(bytes.len()) {
            let Some(capability) = capabilities.next() else { break };
            let length = big_endian(part(bytes, inside + 1, 1));
            let text = capability_text(&capability);
            parts.push(Field::new(inside, part(bytes, inside, 2 + length), text));
            inside += 2 + length;
        }
        fields.push(
            Field::new(
                at,
                part(bytes, at, 1 + width),
                format!("Parameter {kind} (Capabilities), {length} octets"),
            )
            .with(parts),
        );
        at = end;
    }
    fields
}

fn big_endian(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |value, byte| value << 8 | usize::from(*byte))
}

fn capability_text(capability: &Capability<'_>) -> String {
    let code = capability.code();
    let mut text = match capability::name(code) {
        Some(name) => format!("{name} ({code})"),
        None => format!("Capability {code}"),
    };
    let said = match capability {
        Capability::Multiprotocol(family) => family.to_string(),
        Capability::ExtendedNextHop(list) => joined(
            list.iter()
                .map(|item| format!("AFI {} SAFI {} over AFI {}", item.afi.0, item.safi, item.next_hop.0)),
        ),
        Capability::Role(role) => role_name(*role).map_or_else(|| role.code().to_string(), Into::into),
        Capability::GracefulRestart(restart) => {
            let mut said = format!("{} s", restart.restart_time);
            for (set, name) in [(restart.restarted, "R"), (restart.notification, "N")] {
                if set {
                    said.push_str(", ");
                    said.push_str(name);
                }
            }
            for item in restart.families.iter() {
                let _infallible =
                    write!(said, ", {}{}", item.family, if item.forwarding { " F" } else { "" });
            }
            said
        }
        Capability::FourOctetAs(asn) => asn.to_string(),
        Capability::AddPath(list) => joined(list.iter().map(|item| {
            let can = match item.send_receive {
                1 => "receive",
                2 => "send",
                3 => "send and receive",
                _ => "nothing that is defined",
            };
            format!("{}: {can}", item.family)
        })),
        Capability::LongLivedGracefulRestart(list) => joined(list.iter().map(|item| {
            format!("{} {} s{}", item.family, item.stale_time, if item.forwarding { " F" } else { "" })
        })),
        Capability::Fqdn { host, domain } => {
            format!(
                "host \"{}\", domain \"{}\"",
                String::from_utf8_lossy(host),
                String::from_utf8_lossy(domain)
            )
        }
        Capability::Unknown { value, .. } => format!("{} octets", value.len()),
        Capability::RouteRefresh
        | Capability::RouteRefreshCisco
        | Capability::ExtendedMessage
        | Capability::EnhancedRouteRefresh
        | Capability::BfdStrict
        | Capability::LinkLocalNextHop => return text,
    };
    let _infallible = write!(text, ": {said}");
    text
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn update<'a>(update: &Update<'a>, bytes: &'a [u8]) -> Vec<Field<'a>> {
    let attributes_at = update.attributes_offset();
    let nlri_at = update.nlri_offset();
    let withdrawn = prefixes(
        update.withdrawn().map(|nlri| (nlri.path_id, nlri.prefix.to_string(), nlri.prefix.prefix_len())),
        21,
        bytes,
    );
    let attributes = update.attributes().map(|attribute| self::attribute(update, &attribute)).collect();
    let nlri = prefixes(
        update.nlri().map(|nlri| (nlri.path_id, nlri.prefix.to_string(), nlri.prefix.prefix_len())),
        nlri_at,
        bytes,
    );
    let lengths = (attributes_at - 2 - 21, nlri_at - attributes_at);
    let mut fields = vec![
        Field::new(19, part(bytes, 19, 2), format!("Withdrawn Routes Length: {}", lengths.0)).with(withdrawn),
        Field::new(
            attributes_at - 2,
            part(bytes, attributes_at - 2, 2),
            format!("Total Path Attribute Length: {}", lengths.1),
        )
        .with(attributes),
    ];
    if !nlri.is_empty() {
        let text = format!("Network Layer Reachability Information: {} octets", bytes.len() - nlri_at);
        fields.push(Field::new(nlri_at, &[], text).with(nlri));
    }
    fields
}

/// Prefixes that lie one after the other.
fn prefixes<'a>(
    list: impl Iterator<Item = (Option<u32>, String, u8)>,
    mut at: usize,
    bytes: &'a [u8],
) -> Vec<Field<'a>> {
    list.map(|(path_id, prefix, length)| {
        let octets = if path_id.is_some() { 4 } else { 0 } + 1 + usize::from(length).div_ceil(8);
        let field = Field::new(at, part(bytes, at, octets), Path(path_id, &prefix).to_string());
        at += octets;
        field
    })
    .collect()
}

fn attribute<'a>(update: &Update<'a>, attribute: &Attribute<'a>) -> Field<'a> {
    let Attribute { code, flags, offset, bytes, raw, .. } = *attribute;
    let header = raw.len() - bytes.len();
    let value = attribute.value();
    let said = match &value {
        Ok(value) => said(value),
        Err(fault) => Some(format!("malformed: {fault}")),
    };
    let name = code.name().map_or_else(|| format!("attribute {}", code.0), Into::into);
    let text = match said {
        Some(said) => format!("{name}: {said}"),
        None => name,
    };
    let mut names = Vec::new();
    for (set, name) in [
        (flags.optional(), "optional"),
        (!flags.optional(), "well-known"),
        (flags.transitive(), "transitive"),
        (!flags.transitive(), "non-transitive"),
        (flags.partial(), "partial"),
        (flags.extended_length(), "extended length"),
    ] {
        if set {
            names.push(name);
        }
    }
    let mut parts = vec![
        Field::new(offset, &raw[..1], format!("Flags: {}", names.join(", "))),
        Field::new(offset + 1, &raw[1..2], format!("Type: {}", code.0)),
        Field::new(offset + 2, &raw[2..header], format!("Length: {}", bytes.len())),
    ];
    let value_at = offset + header;
    match value {
        Ok(value) => parts.extend(value_parts(&value, bytes, value_at, update.session().four_octet_as)),
        Err(_) if bytes.is_empty() => {}
        Err(_) => parts.push(Field::new(value_at, bytes, "Value")),
    }
    Field::new(offset, raw, text).with(parts)
}

/// What fits on the attribute's own line.
fn said(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Origin(origin) => origin_name(*origin).into(),
        Value::AsPath(path) | Value::As4Path(path) => path_text(path),
        Value::NextHop(address) | Value::OriginatorId(address) => address.to_string(),
        Value::MultiExitDisc(number) | Value::LocalPref(number) | Value::OnlyToCustomer(number) => {
            number.to_string()
        }
        Value::Aggregator(aggregator) | Value::As4Aggregator(aggregator) => {
            format!("AS {}, {}", aggregator.asn, aggregator.router)
        }
        Value::Communities(list) => listed(list.len(), list.iter().map(|item| item.to_string())),
        Value::LargeCommunities(list) => listed(list.len(), list.iter().map(|item| item.to_string())),
        Value::ExtendedCommunities(list) => counted(list.len(), "community", "communities"),
        Value::Ipv6ExtendedCommunities(list) => counted(list.len(), "community", "communities"),
        Value::ClusterList(list) => listed(list.len(), list.iter().map(|item| item.to_string())),
        Value::MpReach(reach) => reach.family.to_string(),
        Value::MpUnreach(unreach) => unreach.family.to_string(),
        Value::Aigp(aigp) => aigp.metric()?.to_string(),
        Value::PrefixSid(bytes) | Value::Unknown(bytes) => counted(bytes.len(), "octet", "octets"),
        Value::AtomicAggregate => return None,
    })
}

/// The first few, and how many more.
fn listed(length: usize, items: impl Iterator<Item = String>) -> String {
    let mut text = joined(items.take(LISTED));
    if length > LISTED {
        let _infallible = write!(text, " and {} more", length - LISTED);
    }
    text
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn path_text(path: &AsPath<'_>) -> String {
    if path.is_empty() {
        return "empty".into();
    }
    joined(path.segments().map(|segment| {
        let asns = segment.asns.iter().map(|asn| asn.to_string()).collect::<Vec<_>>().join(" ");
        format!("{} {asns}", segment_name(segment.kind))
    }))
}

/// The parts of a value that have a place of their own.
fn value_parts<'a>(value: &Value<'a>, bytes: &'a [u8], at: usize, four_octet: bool) -> Vec<Field<'a>> {
    match value {
        Value::AsPath(path) => segments(path, bytes, at, if four_octet { 4 } else { 2 }),
        Value::As4Path(path) => segments(path, bytes, at, 4),
        Value::Communities(list) => items(bytes, at, 4, list.iter().map(community)),
        Value::LargeCommunities(list) => items(bytes, at, 12, list.iter().map(|item| item.to_string())),
        Value::ExtendedCommunities(list) => items(bytes, at, 8, list.iter().map(extended_community)),
        Value::Ipv6ExtendedCommunities(list) => {
            items(bytes, at, 20, list.iter().map(|item| super::input::hex(&item.0)))
        }
        Value::ClusterList(list) => items(bytes, at, 4, list.iter().map(|item| item.to_string())),
        Value::MpReach(reach) => {
            let hop = reach.next_hop_bytes;
            let nlri_at = at + 5 + hop.len();
            let mut fields = family(reach.family.afi.0, reach.family.safi.0, bytes, at);
            fields.push(Field::new(at + 3, part(bytes, 3, 1), format!("Length of Next Hop: {}", hop.len())));
            fields.push(Field::new(at + 4, hop, format!("Next Hop: {}", next_hop(reach.next_hop, hop))));
            fields.push(Field::new(nlri_at - 1, part(bytes, 4 + hop.len(), 1), "Reserved"));
            fields.extend(mp_nlri(&reach.nlri, bytes, at, nlri_at - at));
            fields
        }
        Value::MpUnreach(unreach) => {
            let mut fields = family(unreach.family.afi.0, unreach.family.safi.0, bytes, at);
            fields.extend(mp_nlri(&unreach.nlri, bytes, at, 3));
            fields
        }
        _ if bytes.is_empty() => vec![],
        _ => vec![Field::new(at, bytes, "Value")],
    }
}

fn segments<'a>(path: &AsPath<'_>, bytes: &'a [u8], mut at: usize, width: usize) -> Vec<Field<'a>> {
    let start = at;
    path.segments()
        .map(|segment| {
            let length = 2 + segment.asns.len() * width;
            let asns = segment.asns.iter().map(|asn| asn.to_string()).collect::<Vec<_>>().join(" ");
            let count = counted(segment.asns.len(), "AS number", "AS numbers");
            let text = format!("{}, {count}: {asns}", segment_name(segment.kind));
            let field = Field::new(at, part(bytes, at - start, length), text);
            at += length;
            field
        })
        .collect()
}

/// Items of one size.
fn items<'a>(bytes: &'a [u8], at: usize, size: usize, texts: impl Iterator<Item = String>) -> Vec<Field<'a>> {
    bytes
        .chunks(size)
        .zip(texts)
        .enumerate()
        .map(|(n, (item, text))| Field::new(at + n * size, item, text))
        .collect()
}

fn community(community: Community) -> String {
    match community.name() {
        Some(name) => format!("{community} ({name})"),
        None => community.to_string(),
    }
}

/// The kinds that bare metal meets; the others are shown by their octets.
fn extended_community(community: ExtendedCommunity) -> String {
    if let Some(bandwidth) = community.as_link_bandwidth() {
        let reach = if bandwidth.transitive { "transitive" } else { "non-transitive" };
        return format!(
            "link bandwidth: AS {}, {} octets/s, {reach}",
            bandwidth.asn, bandwidth.bytes_per_second
        );
    }
    let [kind, subtype, a, b, c, d, e, f] = community.0;
    let what = match subtype {
        2 => "route target",
        3 => "route origin",
        _ => return format!("type {kind:#04x}, subtype {subtype:#04x}"),
    };
    match kind & 0x3f {
        0 => format!("{what}: {}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])),
        1 => format!("{what}: {}:{}", Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, f])),
        2 => format!("{what}: {}:{}", u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f])),
        _ => format!("type {kind:#04x}, subtype {subtype:#04x}"),
    }
}

fn family(afi: u16, safi: u8, bytes: &[u8], at: usize) -> Vec<Field<'_>> {
    vec![
        Field::new(at, part(bytes, 0, 2), format!("AFI: {afi}")),
        Field::new(at + 2, part(bytes, 2, 1), format!("SAFI: {safi}")),
    ]
}

fn next_hop(next_hop: Option<NextHop>, bytes: &[u8]) -> String {
    let with_scope = |address: Ipv6Addr| address.to_string();
    match next_hop {
        Some(NextHop::V4(address)) => address.to_string(),
        Some(NextHop::V6(address)) => with_scope(address),
        Some(NextHop::V6Pair { global, link_local }) => format!("{global}, link-local {link_local}"),
        None => super::input::hex(bytes),
    }
}

fn mp_nlri<'a>(nlri: &MpNlri<'a>, bytes: &'a [u8], at: usize, start: usize) -> Vec<Field<'a>> {
    let inside = |list: Vec<(Option<u32>, String, u8)>| {
        let mut fields = prefixes(list.into_iter(), start, bytes);
        for field in &mut fields {
            field.offset += at;
        }
        fields
    };
    match nlri {
        MpNlri::Ipv4(list) => inside(
            list.clone()
                .map(|nlri| (nlri.path_id, nlri.prefix.to_string(), nlri.prefix.prefix_len()))
                .collect(),
        ),
        MpNlri::Ipv6(list) => inside(
            list.clone()
                .map(|nlri| (nlri.path_id, nlri.prefix.to_string(), nlri.prefix.prefix_len()))
                .collect(),
        ),
        MpNlri::Other([]) => vec![],
        MpNlri::Other(nlri) => vec![Field::new(
            at + start,
            nlri,
            format!("NLRI of a family that is not understood: {} octets", nlri.len()),
        )],
    }
}

fn notification<'a>(notification: &Notification<'_>, bytes: &'a [u8]) -> Vec<Field<'a>> {
    let named = |name: Option<&str>| name.map_or(String::new(), |name| format!(" ({name})"));
    let mut fields = vec![
        Field::new(
            19,
            part(bytes, 19, 1),
            format!("Error code: {}{}", notification.code, named(notification.code_name())),
        ),
        Field::new(
            20,
            part(bytes, 20, 1),
            format!("Error subcode: {}{}", notification.subcode, named(notification.subcode_name())),
        ),
    ];
    let data = part(bytes, 21, bytes.len());
    if data.is_empty() {
        return fields;
    }
    let mut field = Field::new(21, data, format!("Data: {} octets", data.len()));
    match notification.communication() {
        Some(Communication::Text(text)) => {
            field.parts = vec![
                Field::new(21, part(bytes, 21, 1), format!("Length: {}", text.len())),
                Field::new(22, part(bytes, 22, text.len()), format!("Shutdown Communication: {text:?}")),
            ];
        }
        Some(Communication::Unreadable(_)) => {
            field.text.push_str(", a Shutdown Communication that cannot be read")
        }
        None => {
            if let Some(inside) = notification.hard_reset() {
                field.parts = vec![Field::new(21, part(bytes, 21, 2), format!("really: {inside}"))];
            }
        }
    }
    fields.push(field);
    fields
}

/// A prefix with its path identifier.
struct Path<'a>(Option<u32>, &'a str);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Some(id), prefix) => write!(f, "{prefix}, path {id}"),
            Self(None, prefix) => f.write_str(prefix),
        }
    }
}

/// A finding in a line.
struct Judged<'a>(Finding<'a>);

impl fmt::Display for Judged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { code: AttributeCode(code), disposition, offset, fault, .. } = self.0;
        write!(f, "octet {offset}, attribute {code}: {fault}: {disposition}")
    }
}

/// How many octets of a field are shown.
const SHOWN: usize = 8;
/// How many items of a list fit on the attribute's line.
const LISTED: usize = 4;
