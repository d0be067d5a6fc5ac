//! Attributes into a buffer: ascending, each in its shortest form.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use super::attributes::{Attributes, KEPT_FLAGS, RawAttribute};
use crate::wire::{
    AttributeCode, EncodeError, Flags, Peer, Session,
    attribute::{AS_TRANS, Aggregator, PathSegment, SegmentKind, width},
    list::Item,
    update::Seen,
    writer::Writer,
};

/// Writes all attributes but MP_REACH_NLRI and MP_UNREACH_NLRI. Attributes kept as bytes are not written where they
/// are in `skip`; `strict` leaves out what an external peer would discard.
pub(super) fn emit(
    writer: &mut Writer<'_>,
    attributes: &Attributes,
    next_hop: Option<Ipv4Addr>,
    session: &Session,
    skip: Seen,
    strict: bool,
) -> Result<(), EncodeError> {
    let next_other = next_other(attributes, &skip, 0);
    let internal = !strict || session.peer == Peer::Internal;
    let four_octet = session.four_octet_as;
    if next_other == NONE {
        Emit::<false> { attributes, next_hop, four_octet, internal, strict, writer, skip, next_other }.all()
    } else {
        Emit::<true> { attributes, next_hop, four_octet, internal, strict, writer, skip, next_other }.all()
    }
}

/// With or without attributes kept as bytes.
struct Emit<'e, 'o, const OTHERS: bool> {
    attributes: &'e Attributes,
    next_hop: Option<Ipv4Addr>,
    four_octet: bool,
    internal: bool,
    strict: bool,
    writer: &'e mut Writer<'o>,
    skip: Seen,
    /// The type of the next attribute kept as bytes.
    next_other: u16,
}

impl<const OTHERS: bool> Emit<'_, '_, OTHERS> {
    fn all(mut self) -> Result<(), EncodeError> {
        use AttributeCode as Code;
        let attributes = self.attributes;
        let (four_octet, internal) = (self.four_octet, self.internal);

        self.others(Code::ORIGIN)?;
        if let Some(origin) = attributes.origin {
            self.fixed(Code::ORIGIN, [origin.code()])?;
        }
        self.others(Code::AS_PATH)?;
        if let Some(path) = &attributes.as_path {
            self.path(Code::AS_PATH, path, four_octet)?;
        }
        self.others(Code::NEXT_HOP)?;
        if let Some(address) = self.next_hop {
            self.fixed(Code::NEXT_HOP, address.octets())?;
        }
        self.others(Code::MULTI_EXIT_DISC)?;
        if let Some(value) = attributes.multi_exit_disc {
            self.fixed(Code::MULTI_EXIT_DISC, value.to_be_bytes())?;
        }
        self.others(Code::LOCAL_PREF)?;
        if let Some(value) = attributes.local_pref.filter(|_| internal) {
            self.fixed(Code::LOCAL_PREF, value.to_be_bytes())?;
        }
        self.others(Code::ATOMIC_AGGREGATE)?;
        if attributes.atomic_aggregate {
            self.fixed(Code::ATOMIC_AGGREGATE, [])?;
        }
        self.others(Code::AGGREGATOR)?;
        if let Some(aggregator) = attributes.aggregator {
            self.aggregator(Code::AGGREGATOR, aggregator, four_octet)?;
        }
        self.others(Code::COMMUNITIES)?;
        self.sorted(Code::COMMUNITIES, &attributes.communities)?;
        self.others(Code::ORIGINATOR_ID)?;
        if let Some(id) = attributes.originator_id.filter(|_| internal) {
            self.fixed(Code::ORIGINATOR_ID, id.octets())?;
        }
        self.others(Code::CLUSTER_LIST)?;
        if internal {
            self.list(Code::CLUSTER_LIST, &attributes.cluster_list)?;
        }
        self.others(Code::EXTENDED_COMMUNITIES)?;
        self.sorted(Code::EXTENDED_COMMUNITIES, &attributes.extended_communities)?;
        self.others(Code::AS4_PATH)?;
        // A peer with four-octet AS numbers has to get neither; what is to be written as told is.
        let as4 = !four_octet || !self.strict;
        if as4 && (!four_octet || attributes.as4_path.is_some()) {
            self.as4_path()?;
        }
        self.others(Code::AS4_AGGREGATOR)?;
        let made = attributes.aggregator.filter(|it| !four_octet && u16::try_from(it.asn).is_err());
        if let Some(aggregator) = attributes.as4_aggregator.or(made).filter(|_| as4) {
            self.aggregator(Code::AS4_AGGREGATOR, aggregator, true)?;
        }
        self.others(Code::IPV6_EXTENDED_COMMUNITIES)?;
        self.sorted(Code::IPV6_EXTENDED_COMMUNITIES, &attributes.ipv6_extended_communities)?;
        self.others(Code::AIGP)?;
        if !attributes.aigp.is_empty() {
            self.bytes(Code::AIGP, &attributes.aigp)?;
        }
        self.others(Code::LARGE_COMMUNITIES)?;
        self.sorted(Code::LARGE_COMMUNITIES, &attributes.large_communities)?;
        self.others(Code::ONLY_TO_CUSTOMER)?;
        if let Some(asn) = attributes.only_to_customer {
            self.fixed(Code::ONLY_TO_CUSTOMER, asn.to_be_bytes())?;
        }
        self.others(Code::PREFIX_SID)?;
        if !attributes.prefix_sid.is_empty() {
            self.bytes(Code::PREFIX_SID, &attributes.prefix_sid)?;
        }
        if OTHERS { self.others_up_to(NONE) } else { Ok(()) }
    }

    /// The attributes kept as bytes whose types come before this one.
    #[inline]
    fn others(&mut self, end: AttributeCode) -> Result<(), EncodeError> {
        let end = u16::from(end.0);
        if OTHERS && self.next_other < end { self.others_up_to(end) } else { Ok(()) }
    }

    #[cold]
    fn others_up_to(&mut self, end: u16) -> Result<(), EncodeError> {
        while self.next_other < end {
            let code = self.next_other;
            if let Some(raw) = self.attributes.other.iter().find(|raw| u16::from(raw.code.0) == code) {
                put_raw(self.writer, raw)?;
            }
            self.next_other = next_other(self.attributes, &self.skip, code + 1);
        }
        Ok(())
    }

    #[inline]
    fn flags(&mut self, code: AttributeCode) -> Flags {
        // The same as bytes would be a duplicate.
        if OTHERS && self.next_other == u16::from(code.0) {
            self.next_other = next_other(self.attributes, &self.skip, self.next_other + 1);
        }
        let kind = code.flags().unwrap_or(Flags::OPTIONAL_TRANSITIVE).0;
        Flags(if self.attributes.partial.contains(code) { kind | Flags::PARTIAL.0 } else { kind })
    }

    #[inline]
    fn header(&mut self, code: AttributeCode, len: usize) -> Result<(), EncodeError> {
        let flags = self.flags(code);
        put_header(self.writer, flags, code, len)
    }

    #[inline]
    fn bytes(&mut self, code: AttributeCode, bytes: &[u8]) -> Result<(), EncodeError> {
        self.header(code, bytes.len())?;
        self.writer.put(bytes)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self, code: AttributeCode, value: [u8; N]) -> Result<(), EncodeError> {
        let flags = self.flags(code);
        let room = self.writer.take(3 + N)?;
        if let Some((header, room)) = room.split_first_chunk_mut()
            && let Some(room) = room.first_chunk_mut()
        {
            *header = [flags.0, code.0, u8::try_from(N).unwrap_or(u8::MAX)];
            *room = value;
        }
        Ok(())
    }

    /// Most lists of most routes are empty: that is seen without a call.
    #[inline]
    fn list<T: Item>(&mut self, code: AttributeCode, list: &[T]) -> Result<(), EncodeError> {
        if list.is_empty() { Ok(()) } else { self.items(code, list) }
    }

    fn items<T: Item>(&mut self, code: AttributeCode, list: &[T]) -> Result<(), EncodeError> {
        let len = list.len().saturating_mul(T::LEN);
        if let Ok(short) = u8::try_from(len) {
            let flags = self.flags(code);
            let room = self.writer.take(3 + len)?;
            if let Some((head, room)) = room.split_first_chunk_mut() {
                *head = [flags.0, code.0, short];
                T::write_all(list, room);
            }
            return Ok(());
        }
        self.header(code, len)?;
        T::write_all(list, self.writer.take(len)?);
        Ok(())
    }

    /// Sorted and each only once, so that equal sets are equal bytes.
    #[inline]
    fn sorted<T: Item + Ord>(&mut self, code: AttributeCode, list: &[T]) -> Result<(), EncodeError> {
        if list.is_empty() { Ok(()) } else { self.sorted_items(code, list) }
    }

    fn sorted_items<T: Item + Ord>(&mut self, code: AttributeCode, list: &[T]) -> Result<(), EncodeError> {
        if list.is_sorted_by(|one, next| one < next) {
            return self.items(code, list);
        }
        let mut sorted = list.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        self.items(code, &sorted)
    }

    fn aggregator(
        &mut self,
        code: AttributeCode,
        aggregator: Aggregator,
        four_octet: bool,
    ) -> Result<(), EncodeError> {
        self.header(code, width(four_octet) + 4)?;
        self.asn(aggregator.asn, four_octet)?;
        self.writer.put(&aggregator.router.octets())
    }

    /// The path with all of its AS numbers, where AS_PATH cannot hold them (RFC 6793 4.2.2).
    fn as4_path(&mut self) -> Result<(), EncodeError> {
        let attributes = self.attributes;
        if let Some(path) = &attributes.as4_path {
            return self.path(AttributeCode::AS4_PATH, path, true);
        }
        let Some(path) = attributes.as_path.as_ref().filter(|_| !self.four_octet) else { return Ok(()) };
        if !path.iter().flat_map(|segment| &segment.asns).any(|asn| u16::try_from(*asn).is_err()) {
            return Ok(());
        }
        let whole: Vec<_> = path
            .iter()
            .filter(|segment| matches!(segment.kind, SegmentKind::Sequence | SegmentKind::Set))
            .cloned()
            .collect();
        if whole.is_empty() { Ok(()) } else { self.path(AttributeCode::AS4_PATH, &whole, true) }
    }

    #[inline]
    fn path(
        &mut self,
        code: AttributeCode,
        path: &[PathSegment],
        four_octet: bool,
    ) -> Result<(), EncodeError> {
        // Most paths have one segment, and fit behind a header with one octet of length.
        if let ([PathSegment { kind, asns }], true) = (path, four_octet)
            && let Ok(count @ 1..=SHORT) = u8::try_from(asns.len())
        {
            let flags = self.flags(code);
            let room = self.writer.take(5 + asns.len() * 4)?;
            if let Some((head, room)) = room.split_first_chunk_mut() {
                *head = [flags.0, code.0, 2 + count * 4, kind.code(), count];
                for (asn, room) in asns.iter().zip(room.as_chunks_mut::<4>().0) {
                    *room = asn.to_be_bytes();
                }
            }
            return Ok(());
        }
        self.long_path(code, path, four_octet)
    }

    #[cold]
    fn long_path(
        &mut self,
        code: AttributeCode,
        path: &[PathSegment],
        four_octet: bool,
    ) -> Result<(), EncodeError> {
        let width = width(four_octet);
        let octets = |asns: &[u32]| asns.len() * width + asns.len().div_ceil(LONGEST) * 2;
        let len = match path {
            [PathSegment { asns, .. }] => octets(asns),
            path => path.iter().map(|segment| octets(&segment.asns)).sum(),
        };
        self.header(code, len)?;
        for PathSegment { kind, asns } in path {
            for asns in asns.chunks(LONGEST) {
                let room = self.writer.take(2 + asns.len() * width)?;
                let Some((head, room)) = room.split_first_chunk_mut() else { continue };
                *head = [kind.code(), u8::try_from(asns.len()).unwrap_or(u8::MAX)];
                if four_octet {
                    for (asn, room) in asns.iter().zip(room.as_chunks_mut::<4>().0) {
                        *room = asn.to_be_bytes();
                    }
                } else {
                    for (asn, room) in asns.iter().zip(room.as_chunks_mut::<2>().0) {
                        *room = u16::try_from(*asn).unwrap_or(AS_TRANS).to_be_bytes();
                    }
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn asn(&mut self, asn: u32, four_octet: bool) -> Result<(), EncodeError> {
        if four_octet {
            self.writer.put(&asn.to_be_bytes())
        } else {
            self.writer.put(&u16::try_from(asn).unwrap_or(AS_TRANS).to_be_bytes())
        }
    }
}

/// The lowest type, from this one on, that is kept as bytes and to be written.
#[inline]
fn next_other(attributes: &Attributes, skip: &Seen, from: u16) -> u16 {
    let codes = attributes.other.iter().map(|raw| raw.code).filter(|code| !skip.contains(*code));
    codes.map(|code| u16::from(code.0)).filter(|code| *code >= from).min().unwrap_or(NONE)
}

/// Flags, type and a length of one octet, or of two where it takes them.
#[inline]
pub(super) fn put_header(
    writer: &mut Writer<'_>,
    flags: Flags,
    AttributeCode(code): AttributeCode,
    len: usize,
) -> Result<(), EncodeError> {
    if let Ok(len) = u8::try_from(len) {
        return writer.put(&[flags.0, code, len]);
    }
    let len = u16::try_from(len).map_err(|_| EncodeError::FieldTooLong("an attribute"))?;
    let [high, low] = len.to_be_bytes();
    writer.put(&[flags.0 | Flags::EXTENDED_LENGTH.0, code, high, low])
}

/// An attribute kept as bytes.
pub(super) fn put_raw(writer: &mut Writer<'_>, raw: &RawAttribute) -> Result<(), EncodeError> {
    put_header(writer, Flags(raw.flags.0 & KEPT_FLAGS), raw.code, raw.value.len())?;
    writer.put(&raw.value)
}

/// Whether a strict receiver would take routes with these attributes; why not, if it would not.
pub(super) fn acceptable(attributes: &Attributes, session: &Session) -> Result<(), EncodeError> {
    if attributes.origin.is_none() {
        return Err(EncodeError::Missing("ORIGIN"));
    }
    let Some(path) = &attributes.as_path else { return Err(EncodeError::Missing("AS_PATH")) };
    let asns = || path.iter().flat_map(|segment| &segment.asns);
    match session.peer {
        Peer::External if asns().next().is_none() => {
            return Err(EncodeError::Unacceptable("an external peer expects our AS in AS_PATH"));
        }
        Peer::External if path.iter().any(|segment| is_confederation(segment.kind)) => {
            return Err(EncodeError::Unacceptable("a confederation segment towards an external peer"));
        }
        Peer::Internal if attributes.local_pref.is_none() => return Err(EncodeError::Missing("LOCAL_PREF")),
        Peer::External | Peer::Internal => {}
    }
    let as4_path = attributes.as4_path.iter().flatten();
    if path
        .iter()
        .chain(as4_path.clone())
        .any(|segment| matches!(segment.kind, SegmentKind::Set | SegmentKind::ConfedSet))
    {
        return Err(EncodeError::Unacceptable("AS_SET must not be announced"));
    }
    let aggregators = [attributes.aggregator, attributes.as4_aggregator];
    let zero = asns().chain(as4_path.flat_map(|segment| &segment.asns)).any(|asn| *asn == 0)
        || aggregators.iter().flatten().any(|aggregator| aggregator.asn == 0);
    if zero { Err(EncodeError::Unacceptable("AS 0 must not be used")) } else { Ok(()) }
}

const fn is_confederation(kind: SegmentKind) -> bool {
    matches!(kind, SegmentKind::ConfedSequence | SegmentKind::ConfedSet)
}

/// Beyond all types.
const NONE: u16 = 256;
/// The most AS numbers of four octets of which one octet can say the length, with their segment.
const SHORT: u8 = 63;
/// The most AS numbers of a segment.
const LONGEST: usize = 255;
