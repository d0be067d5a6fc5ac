//! Many prefixes with equal attributes to as few UPDATEs as hold them.

use alloc::{vec, vec::Vec};
use core::net::Ipv4Addr;

use super::{
    attributes::Attributes,
    contents::{close_mp, put_family, put_next_hop},
    emit::{acceptable, emit},
    prefix::{Encode, fill, is_host, is_reachable},
};
use crate::wire::{
    AttributeCode, EncodeError, Family, Safi, Session,
    attribute::NextHop,
    family::Afi,
    frame::{HEADER_LEN, MessageType},
    nlri::{PATH_ID, Prefix, Route},
    update::Seen,
    writer::Writer,
};

/// Announces or withdraws any number of prefixes in as few messages as hold them.
///
/// Each message carries one of Withdrawn Routes, NLRI, MP_REACH_NLRI and MP_UNREACH_NLRI, and is filled up to the
/// longest message of the session. What a strict receiver would not accept is refused before the first message.
///
/// ```
/// use metal_bgp::wire::{
///     Attributes, Packer, Safi, Session,
///     attribute::{Community, NextHop},
///     build::Originate,
/// };
///
/// let session = Session { four_octet_as: true, ..Session::default() };
/// let mut attributes = Attributes::originate(Originate::External { own_as: 64_512 });
/// attributes.communities.push(Community::NO_EXPORT);
/// let next_hop = NextHop::V4([192, 0, 2, 1].into());
///
/// let prefixes = ["198.51.100.1/32".parse()?, "198.51.100.2/32".parse::<ipnet::Ipv4Net>()?];
/// let mut packer = Packer::announce(&attributes, next_hop, Safi::UNICAST, prefixes, &session)?;
/// let mut buffer = [0; 4_096];
/// while let Some(len) = packer.write(&mut buffer)? {
///     let message = &buffer[..len]; // goes to the peer
///     assert_eq!(message.len(), 60);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Packer<I: Iterator<Item: Route>> {
    /// A message without its prefixes: what comes in front of them, and after them.
    head: Vec<u8>,
    tail: Vec<u8>,
    place: Place,
    longest: usize,
    add_path: bool,
    /// Always there, but while they are written.
    prefixes: Option<I>,
    /// The one that did not fit into the last message.
    first: Option<I::Item>,
}

impl<I: Iterator<Item: Route>> core::fmt::Debug for Packer<I> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { place, longest, add_path, first, .. } = self;
        f.debug_struct("Packer")
            .field("place", place)
            .field("longest", longest)
            .field("add_path", add_path)
            .field("first", &first.as_ref().map(|route| (route.path_id(), route.prefix())))
            .finish_non_exhaustive()
    }
}

/// Where the prefixes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Withdrawn,
    Nlri,
    MpReach,
    MpUnreach,
}

impl<const LONGEST: usize, I> Packer<I>
where
    I: Iterator<Item: Route<Prefix: Encode<Longest = [u8; LONGEST]>>>,
{
    /// Announces prefixes of IPv4 or IPv6. IPv4 unicast with an IPv4 next hop goes into NLRI, all else into
    /// MP_REACH_NLRI.
    ///
    /// # Errors
    /// When a strict receiver would not accept the routes, or the attributes leave no room for a prefix.
    pub fn announce(
        attributes: &Attributes,
        next_hop: NextHop,
        safi: Safi,
        prefixes: impl IntoIterator<IntoIter = I>,
        session: &Session,
    ) -> Result<Self, EncodeError> {
        acceptable(attributes, session)?;
        let family = Family::new(<I::Item as Route>::Prefix::AFI, safi);
        usable(next_hop, family)?;
        let plain = match next_hop {
            NextHop::V4(address) if family == Family::IPV4_UNICAST => Some(address),
            _ => None,
        };
        let block = encode_block(attributes, plain, session)?;
        let mut packer = Self::empty(prefixes, family, session);
        let mut head = vec![0; HEADER_LEN + FIXED + MP_HEADER + block.len()];
        let mut writer = Writer::message(&mut head, MessageType::Update)?;
        writer.put(&[0; FIXED])?;
        if plain.is_some() {
            writer.put(&block)?;
            packer.place = Place::Nlri;
        } else {
            writer.put(&[0; 4])?;
            put_family(&mut writer, family)?;
            put_next_hop(&mut writer, next_hop)?;
            packer.tail = block;
            packer.place = Place::MpReach;
        }
        let len = writer.len();
        head.truncate(len);
        packer.with_head(head)
    }

    /// Withdraws prefixes of IPv4 or IPv6. IPv4 unicast goes into Withdrawn Routes, all else into
    /// MP_UNREACH_NLRI.
    ///
    /// # Errors
    /// When the family is none that is understood.
    pub fn withdraw(
        safi: Safi,
        prefixes: impl IntoIterator<IntoIter = I>,
        session: &Session,
    ) -> Result<Self, EncodeError> {
        let family = understood(Family::new(<I::Item as Route>::Prefix::AFI, safi))?;
        let mut packer = Self::empty(prefixes, family, session);
        let mut head = [0; HEADER_LEN + FIXED + MP_HEADER];
        let mut writer = Writer::message(&mut head, MessageType::Update)?;
        writer.put(&[0, 0])?;
        if family == Family::IPV4_UNICAST {
            packer.tail = [0, 0].into();
        } else {
            writer.put(&[0, 0])?;
            writer.put(&[0; 4])?;
            put_family(&mut writer, family)?;
            packer.place = Place::MpUnreach;
        }
        let len = writer.len();
        packer.with_head(head.get(..len).unwrap_or_default().into())
    }

    /// Writes the next message and returns its length; `None` after the last one.
    ///
    /// # Errors
    /// When the buffer has no room for a message with one prefix. Nothing is lost: a larger buffer goes on.
    pub fn write(&mut self, out: &mut [u8]) -> Result<Option<usize>, EncodeError> {
        self.first = self.first.or_else(|| self.prefixes.as_mut()?.next());
        if self.first.is_none() {
            return Ok(None);
        }
        let limit = self.longest.min(out.len());
        let too_long = EncodeError::TooLong { limit };
        let out = out.get_mut(..limit).unwrap_or_default();
        let (head, rest) = out.split_at_mut_checked(self.head.len()).ok_or(too_long)?;
        head.copy_from_slice(&self.head);
        let room =
            rest.len().checked_sub(self.tail.len()).and_then(|len| rest.get_mut(..len)).ok_or(too_long)?;

        let Some(prefixes) = self.prefixes.take() else { return Ok(None) };
        let (len, left, prefixes) = fill(room, prefixes, self.first, self.add_path);
        (self.first, self.prefixes) = (left, Some(prefixes));
        if len == 0 {
            return Err(too_long);
        }
        let mut writer = Writer::resume(out, self.head.len() + len);
        match self.place {
            Place::Withdrawn => writer.patch_u16(HEADER_LEN)?,
            Place::Nlri => {}
            Place::MpReach => close_mp(&mut writer, AttributeCode::MP_REACH_NLRI, HEADER_LEN + FIXED)?,
            Place::MpUnreach => close_mp(&mut writer, AttributeCode::MP_UNREACH_NLRI, HEADER_LEN + FIXED)?,
        }
        writer.put(&self.tail)?;
        if matches!(self.place, Place::MpReach | Place::MpUnreach) {
            writer.patch_u16(HEADER_LEN + 2)?;
        }
        writer.finish().map(Some)
    }

    /// The route that the next message begins with, if the last one had no room for it.
    #[must_use]
    pub fn left_over(&self) -> Option<&I::Item> {
        self.first.as_ref()
    }

    /// Appends all messages that are left.
    ///
    /// # Errors
    /// As [`write`](Self::write); what was appended before is whole messages.
    pub fn append_to(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        loop {
            let start = out.len();
            out.resize(start + self.longest, 0);
            let written = self.write(out.get_mut(start..).unwrap_or_default());
            out.truncate(start + written.ok().flatten().unwrap_or_default());
            if written?.is_none() {
                return Ok(());
            }
        }
    }

    fn empty(prefixes: impl IntoIterator<IntoIter = I>, family: Family, session: &Session) -> Self {
        Self {
            head: Vec::new(),
            tail: Vec::new(),
            place: Place::Withdrawn,
            longest: usize::from(session.max_length.bytes()),
            add_path: session.add_path.contains(family),
            prefixes: Some(prefixes.into_iter()),
            first: None,
        }
    }

    /// The message without prefixes, if it leaves room for the longest one.
    fn with_head(mut self, mut head: Vec<u8>) -> Result<Self, EncodeError> {
        let ids = if self.add_path { PATH_ID } else { 0 };
        if head.len() + self.tail.len() + ids + LONGEST > self.longest {
            return Err(EncodeError::TooLong { limit: self.longest });
        }
        if self.place == Place::Nlri {
            // All but the header is in front of the prefixes; nothing else changes from message to message.
            let len = head.len();
            Writer::resume(&mut head, len).patch_u16(HEADER_LEN + 2)?;
        }
        self.head = head;
        Ok(self)
    }
}

/// Writes the End-of-RIB marker of a family (RFC 4724 2) and returns its length.
///
/// # Errors
/// When the buffer is too short for it.
pub fn encode_end_of_rib(family: Family, out: &mut [u8]) -> Result<usize, EncodeError> {
    let mut writer = Writer::message(out, MessageType::Update)?;
    if family == Family::IPV4_UNICAST {
        writer.put(&[0; FIXED])?;
    } else {
        writer.put(&[0, 0, 0, 6, 0x80, AttributeCode::MP_UNREACH_NLRI.0, 3])?;
        put_family(&mut writer, family)?;
    }
    writer.finish()
}

/// The attributes as bytes.
fn encode_block(
    attributes: &Attributes,
    next_hop: Option<Ipv4Addr>,
    session: &Session,
) -> Result<Vec<u8>, EncodeError> {
    let mut scratch = [0; 256];
    let mut skip = Seen::default();
    for code in [AttributeCode::NEXT_HOP, AttributeCode::MP_REACH_NLRI, AttributeCode::MP_UNREACH_NLRI] {
        skip.insert(code);
    }
    let write = |out: &mut [u8]| {
        let mut writer = Writer::part(out);
        emit(&mut writer, attributes, next_hop, session, skip, true)?;
        Ok(writer.len())
    };
    if let Ok(len) = write(&mut scratch) {
        return Ok(scratch.get(..len).unwrap_or_default().into());
    }
    let mut block = vec![0; usize::from(session.max_length.bytes())];
    let len = write(&mut block)?;
    block.truncate(len);
    Ok(block)
}

fn understood(family: Family) -> Result<Family, EncodeError> {
    if family.is_understood() {
        Ok(family)
    } else {
        Err(EncodeError::Unacceptable("only unicast and multicast prefixes can be written"))
    }
}

pub(crate) fn usable(next_hop: NextHop, family: Family) -> Result<(), EncodeError> {
    understood(family)?;
    match next_hop {
        NextHop::V4(_) if family.afi == Afi::IPV6 => {
            Err(EncodeError::Unacceptable("IPv6 prefixes need an IPv6 next hop"))
        }
        NextHop::V4(address) if !is_host(address) => {
            Err(EncodeError::Unacceptable("the next hop is not the address of a host"))
        }
        NextHop::V6(address) | NextHop::V6Pair { global: address, .. } if !is_reachable(address) => {
            Err(EncodeError::Unacceptable("the next hop is not the IPv6 address of a host"))
        }
        NextHop::V6Pair { link_local, .. } if !link_local.is_unicast_link_local() => {
            Err(EncodeError::Unacceptable("the second next hop is not a link-local address"))
        }
        NextHop::V4(_) | NextHop::V6(_) | NextHop::V6Pair { .. } => Ok(()),
    }
}

/// The two length fields of an UPDATE.
const FIXED: usize = 4;
/// The longest that can be in front of the prefixes of MP_REACH_NLRI.
const MP_HEADER: usize = 4 + 3 + 1 + 32 + 1;
