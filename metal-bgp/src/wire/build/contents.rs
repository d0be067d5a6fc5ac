//! One UPDATE as a value.

use alloc::{boxed::Box, vec::Vec};
use core::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};

use super::{
    attributes::{Attributes, RawAttribute},
    emit::{emit, put_header, put_raw},
    prefix::{Encode, fill},
};
use crate::wire::{
    AttributeCode, EncodeError, Family, Flags, Nlri, Safi, Session, Update, Value,
    attribute::{MpNlri, NextHop},
    family::Afi,
    frame::MessageType,
    update::Seen,
    writer::Writer,
};

/// All that one UPDATE says, to be changed, compared and written again as one message.
///
/// Nothing is lost: malformed attributes, and those that are not understood, are kept as bytes. What is written
/// is canonical: MP_REACH_NLRI first, attributes ascending, lengths in their shortest form, communities sorted,
/// bits beyond a prefix 0. It is written as told even where a receiver would object; [`Packer`](super::Packer)
/// is stricter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Contents {
    /// Withdrawn Routes.
    pub withdrawn: Vec<Nlri<Ipv4Net>>,
    /// The attributes, apart from the next three.
    pub attributes: Attributes,
    /// NEXT_HOP.
    pub next_hop: Option<Ipv4Addr>,
    /// MP_REACH_NLRI of a family that is understood.
    pub mp_reach: Option<Reach>,
    /// MP_UNREACH_NLRI of a family that is understood.
    pub mp_unreach: Option<Routes>,
    /// Network Layer Reachability Information.
    pub nlri: Vec<Nlri<Ipv4Net>>,
}

/// MP_REACH_NLRI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reach {
    /// Through whom.
    pub next_hop: NextHop,
    /// What is reachable.
    pub routes: Routes,
}

/// Routes of one family.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Routes {
    /// IPv4.
    Ipv4(Safi, Vec<Nlri<Ipv4Net>>),
    /// IPv6.
    Ipv6(Safi, Vec<Nlri<Ipv6Net>>),
}

impl Contents {
    /// What an UPDATE says.
    #[must_use]
    pub fn of(update: &Update<'_>) -> Self {
        let mut contents = Self {
            withdrawn: update.withdrawn().collect(),
            attributes: Attributes::of(update),
            nlri: update.nlri().collect(),
            ..Self::default()
        };
        let mut seen = Seen::default();
        for attribute in update.attributes().filter(|attribute| seen.insert(attribute.code)) {
            let kept = match attribute.value() {
                // With wrong flags it is among the attributes kept as bytes.
                _ if !attribute.has_right_flags() => true,
                Ok(Value::NextHop(address)) => {
                    contents.next_hop = Some(address);
                    true
                }
                Ok(Value::MpReach(reach)) => match (reach.next_hop, Routes::of(reach.family, &reach.nlri)) {
                    (Some(next_hop), Some(routes)) => {
                        contents.mp_reach = Some(Reach { next_hop, routes });
                        true
                    }
                    _ => false,
                },
                Ok(Value::MpUnreach(unreach)) => {
                    contents.mp_unreach = Routes::of(unreach.family, &unreach.nlri);
                    contents.mp_unreach.is_some()
                }
                // In its place among the attributes.
                _ => true,
            };
            if !kept {
                let value: Box<[u8]> = attribute.bytes.into();
                let raw = RawAttribute { code: attribute.code, flags: attribute.flags, value };
                contents.attributes.other.push(raw);
            }
        }
        contents.attributes.other.sort_unstable();
        contents
    }

    /// Writes the message and returns its length.
    ///
    /// # Errors
    /// When it does not fit into the buffer or into the longest message of the session.
    pub fn encode(&self, session: &Session, out: &mut [u8]) -> Result<usize, EncodeError> {
        let longest = out.len().min(usize::from(session.max_length.bytes()));
        let mut writer = Writer::message(out.get_mut(..longest).unwrap_or_default(), MessageType::Update)?;
        let add_path = session.add_path.contains(Family::IPV4_UNICAST);

        let withdrawn = writer.len();
        writer.put(&[0, 0])?;
        put(&mut writer, &self.withdrawn, add_path)?;
        writer.patch_u16(withdrawn)?;

        let attributes = writer.len();
        writer.put(&[0, 0])?;
        // Multiprotocol attributes come first, also those that are kept as bytes.
        let raw = |code| self.attributes.other.iter().find(move |raw| raw.code == code);
        if let Some(Reach { next_hop, routes }) = &self.mp_reach {
            put_mp(&mut writer, AttributeCode::MP_REACH_NLRI, Some(*next_hop), routes, session)?;
        } else if let Some(raw) = raw(AttributeCode::MP_REACH_NLRI) {
            put_raw(&mut writer, raw)?;
        }
        if let Some(routes) = &self.mp_unreach {
            put_mp(&mut writer, AttributeCode::MP_UNREACH_NLRI, None, routes, session)?;
        } else if let Some(raw) = raw(AttributeCode::MP_UNREACH_NLRI) {
            put_raw(&mut writer, raw)?;
        }
        let mut skip = Seen::default();
        skip.insert(AttributeCode::MP_REACH_NLRI);
        skip.insert(AttributeCode::MP_UNREACH_NLRI);
        emit(&mut writer, &self.attributes, self.next_hop, session, skip, false)?;
        writer.patch_u16(attributes)?;

        put(&mut writer, &self.nlri, add_path)?;
        writer.finish()
    }
}

impl Routes {
    fn of(family: Family, nlri: &MpNlri<'_>) -> Option<Self> {
        match nlri {
            MpNlri::Ipv4(prefixes) => Some(Self::Ipv4(family.safi, prefixes.clone().collect())),
            MpNlri::Ipv6(prefixes) => Some(Self::Ipv6(family.safi, prefixes.clone().collect())),
            MpNlri::Other(_) => None,
        }
    }

    /// The family.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Ipv4(safi, _) => Family::new(Afi::IPV4, *safi),
            Self::Ipv6(safi, _) => Family::new(Afi::IPV6, *safi),
        }
    }
}

fn put_mp(
    writer: &mut Writer<'_>,
    code: AttributeCode,
    next_hop: Option<NextHop>,
    routes: &Routes,
    session: &Session,
) -> Result<(), EncodeError> {
    let start = writer.len();
    let family = routes.family();
    let add_path = session.add_path.contains(family);
    // The long form of the header, until it is known that the short one does.
    writer.put(&[0; 4])?;
    put_family(writer, family)?;
    if let Some(next_hop) = next_hop {
        put_next_hop(writer, next_hop)?;
    }
    match routes {
        Routes::Ipv4(_, routes) => put(writer, routes, add_path)?,
        Routes::Ipv6(_, routes) => put(writer, routes, add_path)?,
    }
    close_mp(writer, code, start)
}

pub(super) fn put_family(writer: &mut Writer<'_>, family: Family) -> Result<(), EncodeError> {
    let [afi1, afi2] = family.afi.0.to_be_bytes();
    writer.put(&[afi1, afi2, family.safi.0])
}

/// Length, address, and the reserved octet after it.
pub(super) fn put_next_hop(writer: &mut Writer<'_>, next_hop: NextHop) -> Result<(), EncodeError> {
    match next_hop {
        NextHop::V4(address) => {
            writer.put(&[4])?;
            writer.put(&address.octets())?;
        }
        NextHop::V6(address) => {
            writer.put(&[16])?;
            writer.put(&address.octets())?;
        }
        NextHop::V6Pair { global, link_local } => {
            writer.put(&[32])?;
            writer.put(&global.octets())?;
            writer.put(&link_local.octets())?;
        }
    }
    writer.put(&[0])
}

/// Writes the header of the attribute at `start`, for which four octets were left, now that its length is known.
pub(super) fn close_mp(
    writer: &mut Writer<'_>,
    code: AttributeCode,
    start: usize,
) -> Result<(), EncodeError> {
    let len = writer.len().saturating_sub(start).saturating_sub(4);
    let end = writer.len();
    writer.truncate(start);
    put_header(writer, Flags::OPTIONAL, code, len)?;
    if writer.len() == start + 3 {
        writer.take(len + 1)?.copy_within(1.., 0);
        writer.truncate(end - 1);
    } else {
        writer.take(len)?;
    }
    Ok(())
}

#[inline]
fn put<const LONGEST: usize, P>(
    writer: &mut Writer<'_>,
    routes: &[Nlri<P>],
    add_path: bool,
) -> Result<(), EncodeError>
where
    P: Encode<Longest = [u8; LONGEST]>,
{
    if routes.is_empty() {
        return Ok(());
    }
    let (len, left) = fill(writer.room(), &mut routes.iter(), None, add_path);
    if left.is_some() {
        return Err(EncodeError::TooLong { limit: writer.limit() });
    }
    writer.advance(len);
    Ok(())
}
