//! JSON to the octets of a message: the way back from [`super::json`].

use std::{net::IpAddr, str::FromStr};

use anyhow::{Context, Result, anyhow, bail};
use ipnet::{Ipv4Net, Ipv6Net};
use metal_bgp::wire::{
    Afi, Attributes, Capability, Contents, EncodeError, Family, Flags, List, Nlri, Notification, Open,
    RouteRefresh, Safi, Session,
    attribute::{
        Aggregator, AttributeCode, ExtendedCommunity, Ipv6ExtendedCommunity, NextHop, Origin, PathSegment,
        SegmentKind,
    },
    build::{Partial, RawAttribute, Reach, Routes},
    capability::{AddPathFamily, GracefulRestart, LongLivedFamily, NextHopEncoding, RestartFamily, Role},
    encode_keepalive,
    notification::communicate,
    refresh::Subtype,
};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::{
    input::unhex,
    json::{
        AttributeJson, CapabilityJson, NotificationJson, OpenJson, RefreshJson, RouteJson, UpdateJson,
        origin_name, role_name, segment_name,
    },
};

/// The octets of the message that an object describes.
pub(crate) fn message(object: &Json, session: &Session) -> Result<Vec<u8>> {
    if object.get("ok") == Some(&Json::Bool(false)) {
        bail!("\"ok\" is false: there is no message in it that could be written");
    }
    let kind = object.get("type").and_then(Json::as_str).context(
        "there is no \"type\"; it is one of OPEN, UPDATE, NOTIFICATION, KEEPALIVE and ROUTE-REFRESH",
    )?;
    match kind {
        "OPEN" => open(&shape(object)?),
        "UPDATE" => {
            let contents = contents(&shape(object)?)?;
            written(|buffer| contents.encode(session, buffer))
        }
        "NOTIFICATION" => notification(&shape(object)?),
        "KEEPALIVE" => written(encode_keepalive),
        "ROUTE-REFRESH" => {
            let RefreshJson { afi, subtype, safi, .. } = shape(object)?;
            let family = Family::new(Afi(afi), Safi(safi));
            let refresh = RouteRefresh { family, subtype: Subtype::from_code(subtype) };
            written(|buffer| refresh.encode(buffer))
        }
        other => bail!(
            "the type \"{other}\" is unknown; it is one of OPEN, UPDATE, NOTIFICATION, KEEPALIVE and ROUTE-REFRESH"
        ),
    }
}

/// The octets that an encoder writes.
pub(crate) fn written(encode: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>) -> Result<Vec<u8>> {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let length = encode(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

fn shape<T: DeserializeOwned>(object: &Json) -> Result<T> {
    T::deserialize(object).map_err(|error| anyhow!("{error}"))
}

fn open(json: &OpenJson) -> Result<Vec<u8>> {
    if json.version != 4 {
        bail!("version {} cannot be written, only 4", json.version);
    }
    let capabilities: Vec<_> = json
        .capabilities
        .iter()
        .map(|capability| {
            self::capability(capability).with_context(|| format!("capability {}", capability.code))
        })
        .collect::<Result<_>>()?;
    let mut open =
        Open::new(u32::from(json.my_autonomous_system), json.hold_time, json.bgp_identifier, capabilities);
    open.my_as = json.my_autonomous_system;
    written(|buffer| open.encode(buffer))
}

fn capability(json: &CapabilityJson) -> Result<Capability<'static>> {
    let value = &json.value;
    Ok(match json.code {
        // Nothing to say, or nothing understood: as it stands in "hex".
        code if value.is_null() => Capability::Unknown { code, value: unhex(json.hex.as_bytes())?.into() },
        1 => Capability::Multiprotocol(family(value)?),
        5 => Capability::ExtendedNextHop(list(value, |item| {
            Ok(NextHopEncoding {
                afi: Afi(number(item, "nlri_afi")?),
                safi: number(item, "nlri_safi")?,
                next_hop: Afi(number(item, "next_hop_afi")?),
            })
        })?),
        9 => Capability::Role(role(value)?),
        64 => Capability::GracefulRestart(GracefulRestart {
            restarted: flag(value, "restart_state")?,
            notification: flag(value, "notification")?,
            restart_time: number(value, "restart_time")?,
            families: list(field(value, "families")?, |item| {
                Ok(RestartFamily { family: family(item)?, forwarding: flag(item, "forwarding_state")? })
            })?,
        }),
        65 => Capability::FourOctetAs(whole(value)?),
        69 => Capability::AddPath(list(value, |item| {
            Ok(AddPathFamily { family: family(item)?, send_receive: number(item, "send_receive")? })
        })?),
        71 => Capability::LongLivedGracefulRestart(list(value, |item| {
            Ok(LongLivedFamily {
                family: family(item)?,
                forwarding: flag(item, "forwarding_state")?,
                stale_time: number(item, "stale_time")?,
            })
        })?),
        73 => Capability::Fqdn {
            host: text(field(value, "host_name")?)?.as_bytes().to_vec().into(),
            domain: text(field(value, "domain_name")?)?.as_bytes().to_vec().into(),
        },
        _ => bail!("no value is defined for it: leave \"value\" out and give its octets as \"hex\""),
    })
}

fn role(value: &Json) -> Result<Role> {
    if let Some(code) = value.as_u64() {
        return Ok(Role::from_code(u8::try_from(code).context("a role is at most 255")?));
    }
    let name = text(value)?;
    (0..=u8::MAX)
        .map(Role::from_code)
        .find(|role| role_name(*role) == Some(name))
        .with_context(|| format!("the role \"{name}\" is unknown"))
}

fn contents(json: &UpdateJson) -> Result<Contents> {
    let mut contents = Contents {
        withdrawn: routes(&json.withdrawn, "withdrawn")?,
        nlri: routes(&json.nlri, "nlri")?,
        ..Contents::default()
    };
    for attribute in &json.attributes {
        let code = AttributeCode(attribute.code);
        add(&mut contents, attribute).with_context(|| code.to_string())?;
    }
    contents.attributes.other.sort_unstable();
    Ok(contents)
}

fn add(contents: &mut Contents, json: &AttributeJson) -> Result<()> {
    use AttributeCode as Code;
    let code = Code(json.code);
    let value = &json.value;
    let attributes = &mut contents.attributes;
    if code == Code::ATOMIC_AGGREGATE && value.is_null() && json.hex.is_empty() {
        attributes.atomic_aggregate = true;
    } else if code == Code::PREFIX_SID && value.is_null() && !json.hex.is_empty() {
        attributes.prefix_sid = unhex(json.hex.as_bytes())?.into();
    } else if value.is_null() {
        let flags =
            Flags(json.flags.or(code.flags().map(|flags| flags.0)).unwrap_or(Flags::OPTIONAL_TRANSITIVE.0));
        let value = unhex(json.hex.as_bytes())?.into();
        attributes.other.push(RawAttribute {
            code,
            flags: Flags(flags.0 & !Flags::EXTENDED_LENGTH.0),
            value,
        });
        return Ok(());
    } else {
        set(contents, code, json)?;
    }
    if json.flags.is_some_and(|flags| flags & Flags::PARTIAL.0 != 0) {
        let partial: Partial = contents.attributes.partial;
        contents.attributes.partial = partial.with(code);
    }
    Ok(())
}

fn set(contents: &mut Contents, code: AttributeCode, json: &AttributeJson) -> Result<()> {
    use AttributeCode as Code;
    let value = &json.value;
    let attributes: &mut Attributes = &mut contents.attributes;
    match code {
        Code::ORIGIN => attributes.origin = Some(origin(value)?),
        Code::AS_PATH => attributes.as_path = Some(segments(value)?),
        Code::NEXT_HOP => contents.next_hop = Some(parsed(value)?),
        Code::MULTI_EXIT_DISC => attributes.multi_exit_disc = Some(whole(value)?),
        Code::LOCAL_PREF => attributes.local_pref = Some(whole(value)?),
        Code::AGGREGATOR => attributes.aggregator = Some(aggregator(value)?),
        Code::COMMUNITIES => attributes.communities = all(value, parsed)?,
        Code::ORIGINATOR_ID => attributes.originator_id = Some(parsed(value)?),
        Code::CLUSTER_LIST => attributes.cluster_list = all(value, parsed)?,
        Code::MP_REACH_NLRI => match mp_reach(value)? {
            Some(reach) => contents.mp_reach = Some(reach),
            None => attributes.other.push(mp_as_octets(code, json)?),
        },
        Code::MP_UNREACH_NLRI => match mp_routes(value, "withdrawn")? {
            Some(routes) => contents.mp_unreach = Some(routes),
            None => attributes.other.push(mp_as_octets(code, json)?),
        },
        Code::EXTENDED_COMMUNITIES => {
            attributes.extended_communities = all(value, |item| octets(item).map(ExtendedCommunity))?;
        }
        Code::AS4_PATH => attributes.as4_path = Some(segments(value)?),
        Code::AS4_AGGREGATOR => attributes.as4_aggregator = Some(aggregator(value)?),
        Code::IPV6_EXTENDED_COMMUNITIES => {
            attributes.ipv6_extended_communities =
                all(value, |item| octets(item).map(Ipv6ExtendedCommunity))?;
        }
        // Other TLVs than the metric are only in the octets.
        Code::AIGP => {
            let metric = value.as_u64().context("a whole number is needed")?;
            let own = [[1, 0, 11].as_slice(), &metric.to_be_bytes()].concat();
            let given = unhex(json.hex.as_bytes())?;
            attributes.aigp = if given.starts_with(&own) { given } else { own }.into();
        }
        Code::LARGE_COMMUNITIES => attributes.large_communities = all(value, parsed)?,
        Code::ONLY_TO_CUSTOMER => attributes.only_to_customer = Some(whole(value)?),
        _ => bail!("no value is defined for it: leave \"value\" out and give its octets as \"hex\""),
    }
    Ok(())
}

fn origin(value: &Json) -> Result<Origin> {
    let name = text(value)?;
    [Origin::Igp, Origin::Egp, Origin::Incomplete]
        .into_iter()
        .find(|origin| origin_name(*origin) == name)
        .with_context(|| format!("\"{name}\" is none of IGP, EGP and INCOMPLETE"))
}

fn segments(value: &Json) -> Result<Vec<PathSegment>> {
    all(value, |item| {
        let name = text(field(item, "type")?)?;
        let kind = (1..=4)
            .filter_map(SegmentKind::from_code)
            .find(|kind| segment_name(*kind) == name)
            .with_context(|| {
                format!("the segment type \"{name}\" is none of AS_SET, AS_SEQUENCE, AS_CONFED_SEQUENCE and AS_CONFED_SET")
            })?;
        Ok(PathSegment { kind, asns: all(field(item, "asns")?, whole)? })
    })
}

fn aggregator(value: &Json) -> Result<Aggregator> {
    Ok(Aggregator { asn: number(value, "asn")?, router: parsed(field(value, "address")?)? })
}

/// `None` for a family that is not understood.
fn mp_reach(value: &Json) -> Result<Option<Reach>> {
    let Some(routes) = mp_routes(value, "nlri")? else { return Ok(None) };
    let hops: Vec<IpAddr> = all(field(value, "next_hop")?, parsed)?;
    let next_hop = match *hops {
        [IpAddr::V4(address)] => NextHop::V4(address),
        [IpAddr::V6(address)] => NextHop::V6(address),
        [IpAddr::V6(global), IpAddr::V6(link_local)] => NextHop::V6Pair { global, link_local },
        _ => bail!("\"next_hop\" is one address, or a global and a link-local IPv6 address"),
    };
    Ok(Some(Reach { next_hop, routes }))
}

fn mp_routes(value: &Json, name: &str) -> Result<Option<Routes>> {
    let family = family(value)?;
    if !family.is_understood() {
        return Ok(None);
    }
    let list: Vec<RouteJson> = shape(field(value, name)?)?;
    Ok(Some(match family.afi {
        Afi::IPV4 => Routes::Ipv4(family.safi, routes::<Ipv4Net>(&list, name)?),
        _ => Routes::Ipv6(family.safi, routes::<Ipv6Net>(&list, name)?),
    }))
}

/// A family that is not understood: its next hop and its prefixes are octets.
fn mp_as_octets(code: AttributeCode, json: &AttributeJson) -> Result<RawAttribute> {
    let family = family(&json.value)?;
    let mut value = family.afi.0.to_be_bytes().to_vec();
    value.push(family.safi.0);
    if code == AttributeCode::MP_REACH_NLRI {
        let next_hop = unhex(text(field(&json.value, "next_hop")?)?.as_bytes())?;
        value.push(u8::try_from(next_hop.len()).context("the next hop is too long")?);
        value.extend(next_hop);
        value.push(0);
        value.extend(unhex(text(field(&json.value, "nlri")?)?.as_bytes())?);
    } else {
        value.extend(unhex(text(field(&json.value, "withdrawn")?)?.as_bytes())?);
    }
    let partial = json.flags.unwrap_or(0) & Flags::PARTIAL.0;
    Ok(RawAttribute { code, flags: Flags(Flags::OPTIONAL.0 | partial), value: value.into() })
}

fn notification(json: &NotificationJson) -> Result<Vec<u8>> {
    let mut data = unhex(json.data.as_bytes()).context("\"data\" cannot be read")?;
    if let (true, Some(text)) = (data.is_empty(), &json.shutdown_communication) {
        data = communicate(text, &mut [0; 256]).to_vec();
    }
    let notification = Notification::new(json.error_code, json.error_subcode, &data);
    written(|buffer| notification.encode(buffer))
}

fn routes<P: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    list: &[RouteJson],
    name: &str,
) -> Result<Vec<Nlri<P>>> {
    list.iter()
        .map(|RouteJson { prefix, path_id }| {
            let parsed =
                prefix.parse().with_context(|| format!("{name}: \"{prefix}\" is not a prefix of the family"));
            Ok(Nlri { path_id: *path_id, prefix: parsed? })
        })
        .collect()
}

fn family(value: &Json) -> Result<Family> {
    Ok(Family::new(Afi(number(value, "afi")?), Safi(number(value, "safi")?)))
}

fn field<'a>(value: &'a Json, name: &str) -> Result<&'a Json> {
    value.get(name).with_context(|| format!("\"{name}\" is missing"))
}

fn flag(value: &Json, name: &str) -> Result<bool> {
    field(value, name)?.as_bool().with_context(|| format!("\"{name}\" is neither true nor false"))
}

fn number<T: TryFrom<u64>>(value: &Json, name: &str) -> Result<T> {
    let given = field(value, name)?;
    given
        .as_u64()
        .and_then(|number| T::try_from(number).ok())
        .with_context(|| format!("\"{name}\" is {given}, which is not a number that fits its field"))
}

fn whole(value: &Json) -> Result<u32> {
    value
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .with_context(|| format!("{value} is not a number of four octets"))
}

fn text(value: &Json) -> Result<&str> {
    value.as_str().with_context(|| format!("{value} is not a text"))
}

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(value: &Json) -> Result<T> {
    let text = text(value)?;
    text.parse().with_context(|| format!("\"{text}\""))
}

fn octets<const N: usize>(value: &Json) -> Result<[u8; N]> {
    let bytes = unhex(text(value)?.as_bytes())?;
    bytes.try_into().map_err(|bytes: Vec<u8>| anyhow!("{N} octets are needed, {} are given", bytes.len()))
}

fn all<T>(value: &Json, each: impl FnMut(&Json) -> Result<T>) -> Result<Vec<T>> {
    value.as_array().with_context(|| format!("{value} is not a list"))?.iter().map(each).collect()
}

fn list<T>(value: &Json, each: impl FnMut(&Json) -> Result<T>) -> Result<List<'static, T>> {
    all(value, each).map(Into::into)
}
