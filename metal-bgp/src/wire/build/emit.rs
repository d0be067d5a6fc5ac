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

/// What belongs to an UPDATE besides its attributes proper.
pub(super) struct Emit<'e, 'o> {
    pub(super) attributes: &'e Attributes,
    pub(super) next_hop: Option<Ipv4Addr>,
    pub(super) session: &'e Session,
    /// Leave out what an external peer would discard.
    pub(super) strict: bool,
    pub(super) writer: &'e mut Writer<'o>,
    /// What has been written, or must not be.
    pub(super) done: Seen,
}

impl Emit<'_, '_> {
    /// Writes all attributes but MP_REACH_NLRI and MP_UNREACH_NLRI.
    pub(super) fn all(mut self) -> Result<(), EncodeError> {
        use AttributeCode as Code;
        let attributes = self.attributes;
        let four_octet = self.session.four_octet_as;
        let internal = !self.strict || self.session.peer == Peer::Internal;

        self.others(Code::ORIGIN)?;
        if let Some(origin) = attributes.origin {
            self.bytes(Code::ORIGIN, &[origin.code()])?;
        }
        self.others(Code::AS_PATH)?;
        if let Some(path) = &attributes.as_path {
            self.path(Code::AS_PATH, path, four_octet)?;
        }
        self.others(Code::NEXT_HOP)?;
        if let Some(address) = self.next_hop {
            self.bytes(Code::NEXT_HOP, &address.octets())?;
        }
        self.others(Code::MULTI_EXIT_DISC)?;
        if let Some(value) = attributes.multi_exit_disc {
            self.bytes(Code::MULTI_EXIT_DISC, &value.to_be_bytes())?;
        }
        self.others(Code::LOCAL_PREF)?;
        if let Some(value) = attributes.local_pref.filter(|_| internal) {
            self.bytes(Code::LOCAL_PREF, &value.to_be_bytes())?;
        }
        self.others(Code::ATOMIC_AGGREGATE)?;
        if attributes.atomic_aggregate {
            self.bytes(Code::ATOMIC_AGGREGATE, &[])?;
        }
        self.others(Code::AGGREGATOR)?;
        if let Some(aggregator) = attributes.aggregator {
            self.aggregator(Code::AGGREGATOR, aggregator, four_octet)?;
        }
        self.others(Code::COMMUNITIES)?;
        self.sorted(Code::COMMUNITIES, &attributes.communities)?;
        self.others(Code::ORIGINATOR_ID)?;
        if let Some(id) = attributes.originator_id.filter(|_| internal) {
            self.bytes(Code::ORIGINATOR_ID, &id.octets())?;
        }
        self.others(Code::CLUSTER_LIST)?;
        if internal {
            self.list(Code::CLUSTER_LIST, &attributes.cluster_list)?;
        }
        self.others(Code::EXTENDED_COMMUNITIES)?;
        self.sorted(Code::EXTENDED_COMMUNITIES, &attributes.extended_communities)?;
        self.others(Code::AS4_PATH)?;
        if !four_octet {
            self.as4_path()?;
        }
        self.others(Code::AS4_AGGREGATOR)?;
        if let Some(aggregator) = attributes
            .as4_aggregator
            .or(attributes.aggregator.filter(|aggregator| u16::try_from(aggregator.asn).is_err()))
            .filter(|_| !four_octet)
        {
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
            self.bytes(Code::ONLY_TO_CUSTOMER, &asn.to_be_bytes())?;
        }
        self.others(Code::PREFIX_SID)?;
        if !attributes.prefix_sid.is_empty() {
            self.bytes(Code::PREFIX_SID, &attributes.prefix_sid)?;
        }
        self.others_up_to(None)
    }

    /// The attributes kept as bytes whose types come before this one.
    #[inline]
    fn others(&mut self, end: AttributeCode) -> Result<(), EncodeError> {
        if self.attributes.other.is_empty() { Ok(()) } else { self.others_up_to(Some(end)) }
    }

    #[cold]
    fn others_up_to(&mut self, end: Option<AttributeCode>) -> Result<(), EncodeError> {
        loop {
            let next = self
                .attributes
                .other
                .iter()
                .filter(|raw| end.is_none_or(|end| raw.code < end) && !self.done.contains(raw.code))
                .min_by_key(|raw| raw.code);
            let Some(raw) = next else { return Ok(()) };
            self.raw(raw)?;
        }
    }

    /// An attribute kept as bytes.
    pub(super) fn raw(&mut self, raw: &RawAttribute) -> Result<(), EncodeError> {
        self.done.insert(raw.code);
        let flags = Flags(raw.flags.0 & KEPT_FLAGS);
        put_header(self.writer, flags, raw.code, raw.value.len())?;
        self.writer.put(&raw.value)
    }

    #[inline]
    fn header(&mut self, code: AttributeCode, len: usize) -> Result<(), EncodeError> {
        self.done.insert(code);
        let kind = code.flags().unwrap_or(Flags::OPTIONAL_TRANSITIVE).0;
        let partial = if self.attributes.partial.contains(code) { Flags::PARTIAL.0 } else { 0 };
        put_header(self.writer, Flags(kind | partial), code, len)
    }

    #[inline]
    fn bytes(&mut self, code: AttributeCode, bytes: &[u8]) -> Result<(), EncodeError> {
        self.header(code, bytes.len())?;
        self.writer.put(bytes)
    }

    fn list<T: Item>(&mut self, code: AttributeCode, list: &[T]) -> Result<(), EncodeError> {
        if list.is_empty() {
            return Ok(());
        }
        let len = list.len().saturating_mul(T::LEN);
        self.header(code, len)?;
        let room = self.writer.take(len)?;
        for (item, room) in list.iter().zip(room.chunks_exact_mut(T::LEN)) {
            item.write(room);
        }
        Ok(())
    }

    /// Sorted and each only once, so that equal sets are equal bytes.
    fn sorted<T: Item + Ord>(&mut self, code: AttributeCode, list: &[T]) -> Result<(), EncodeError> {
        if list.is_sorted_by(|one, next| one < next) {
            return self.list(code, list);
        }
        let mut sorted = list.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        self.list(code, &sorted)
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
        let Some(path) = &attributes.as_path else { return Ok(()) };
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

    fn path(
        &mut self,
        code: AttributeCode,
        path: &[PathSegment],
        four_octet: bool,
    ) -> Result<(), EncodeError> {
        let segments =
            || path.iter().flat_map(|PathSegment { kind, asns }| asns.chunks(255).map(|asns| (*kind, asns)));
        let len = segments().map(|(_, asns)| 2 + asns.len() * width(four_octet)).sum();
        self.header(code, len)?;
        for (kind, asns) in segments() {
            self.writer.put(&[kind.code(), u8::try_from(asns.len()).unwrap_or(u8::MAX)])?;
            for asn in asns {
                self.asn(*asn, four_octet)?;
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
