//! The tree of an UPDATE.

use std::{
    fmt::{self, Write as _},
    net::Ipv4Addr,
};

use metal_bgp::wire::{
    Attribute, Update, Value,
    attribute::{AsPath, Community, ExtendedCommunity, MpNlri, NextHop},
};

use super::{Field, joined, part};
use crate::bgp::{
    input::hex,
    json::{origin_name, segment_name},
};

/// The fields behind the header.
pub(super) fn fields<'a>(update: &Update<'a>, bytes: &'a [u8]) -> Vec<Field<'a>> {
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
        Value::Ipv6ExtendedCommunities(list) => items(bytes, at, 20, list.iter().map(|item| hex(&item.0))),
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
    match next_hop {
        Some(NextHop::V4(address)) => address.to_string(),
        Some(NextHop::V6(address)) => address.to_string(),
        Some(NextHop::V6Pair { global, link_local }) => format!("{global}, link-local {link_local}"),
        None => hex(bytes),
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

/// How many items of a list fit on the attribute's line.
const LISTED: usize = 4;
