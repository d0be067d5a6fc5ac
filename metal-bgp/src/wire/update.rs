//! UPDATE: routes that come and go (RFC 4271 4.3).

use alloc::boxed::Box;

use ipnet::Ipv4Net;

use super::{
    Attribute, AttributeCode, Error, ErrorKind, Family, Flags, Prefixes, Session,
    attribute::{AttributeIter, Context, MpReach, MpUnreach, Split, check, is_plainly_good, split},
    error::Field,
    frame::{HEADER_LEN, HeaderError},
    nlri::BadPrefix,
};

/// An UPDATE where it lies. Reading it is the one pass over its bytes that can fail; afterwards prefixes and
/// attributes are iterated without failing and without a copy.
///
/// Its attributes may still be malformed: [`validate`](crate::validate::validate()) says what follows from that.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    body: &'a [u8],
    layout: Layout,
}

/// An UPDATE of one's own: its bytes and what reading them found, in one allocation.
#[derive(Clone, Debug)]
pub struct OwnedUpdate {
    body: Box<[u8]>,
    layout: Layout,
}

/// What the pass over the bytes found.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Where the attributes begin and end. A body is never longer than its length field can say.
    attributes: u16,
    nlri: u16,
    session: Session,
    seen: Seen,
    /// No attribute is wrong.
    sound: bool,
    /// There is an MP_REACH_NLRI that has prefixes, or cannot be read.
    reaches: bool,
}

/// The attributes that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen([u64; 4]);

impl<'a> Update<'a> {
    /// Reads the body of a message.
    ///
    /// # Errors
    /// When it cannot be said where its parts begin and end, or a prefix in Withdrawn Routes or NLRI is
    /// malformed: the session has to end.
    pub fn parse(body: &'a [u8], session: &Session) -> Result<Self, Error> {
        let too_long = |len: usize| {
            HeaderError::BadMessageLength(u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()).into()
        };
        if u16::try_from(body.len()).is_err() {
            return Err(too_long(body.len()));
        }
        let Some((length, rest)) = body.split_first_chunk() else {
            return Err(too_long(HEADER_LEN + body.len()));
        };
        let length = u16::from_be_bytes(*length);
        // The length of the attributes has to fit as well.
        let room = rest.len().saturating_sub(2);
        let Some((withdrawn, rest)) =
            rest.split_at_checked(usize::from(length)).filter(|_| rest.len() >= usize::from(length) + 2)
        else {
            return Err(Error::new(ErrorKind::WithdrawnLength { length, room }, HEADER_LEN, &[]));
        };
        let Some((attributes_length, rest)) = rest.split_first_chunk() else {
            return Err(too_long(HEADER_LEN + body.len()));
        };
        let attributes_length = u16::from_be_bytes(*attributes_length);
        let start = 4 + withdrawn.len();
        let Some((attributes, nlri)) = rest.split_at_checked(usize::from(attributes_length)) else {
            let kind = ErrorKind::AttributesLength { length: attributes_length, room: rest.len() };
            return Err(Error::new(kind, HEADER_LEN + start - 2, &[]));
        };
        let end = start + attributes.len();
        let add_path = session.add_path.contains(Family::IPV4_UNICAST);
        if let Err(bad) = Prefixes::<Ipv4Net>::check(withdrawn, add_path) {
            return Err(network_field(bad, Field::Withdrawn, HEADER_LEN + 2));
        }
        if let Err(bad) = Prefixes::<Ipv4Net>::check(nlri, add_path) {
            return Err(network_field(bad, Field::Nlri, HEADER_LEN + end));
        }

        let mut layout = Layout {
            attributes: u16::try_from(start).unwrap_or(u16::MAX),
            nlri: u16::try_from(end).unwrap_or(u16::MAX),
            session: *session,
            seen: Seen::default(),
            sound: true,
            reaches: false,
        };
        layout.look_at(attributes, !nlri.is_empty());
        Ok(Self { body, layout })
    }

    /// Withdrawn Routes: IPv4 unicast prefixes that are no longer reachable.
    #[must_use]
    pub fn withdrawn(&self) -> Prefixes<'a, Ipv4Net> {
        let end = usize::from(self.layout.attributes).saturating_sub(2);
        Prefixes::checked(self.body.get(2..end).unwrap_or_default(), self.has_path_ids())
    }

    /// Network Layer Reachability Information: IPv4 unicast prefixes that are reachable.
    #[must_use]
    pub fn nlri(&self) -> Prefixes<'a, Ipv4Net> {
        let bytes = self.body.get(usize::from(self.layout.nlri)..).unwrap_or_default();
        Prefixes::checked(bytes, self.has_path_ids())
    }

    /// The path attributes in their order. Ends at one that is cut off.
    #[must_use]
    pub fn attributes(&self) -> AttributeIter<'a> {
        let (start, end) = (usize::from(self.layout.attributes), usize::from(self.layout.nlri));
        let rest = self.body.get(start..end).unwrap_or_default();
        AttributeIter {
            rest,
            offset: HEADER_LEN + start,
            session: self.layout.session,
            sound: self.layout.sound,
        }
    }

    /// The first attribute of this type, which is the one that counts.
    #[must_use]
    pub fn attribute(&self, code: AttributeCode) -> Option<Attribute<'a>> {
        if !self.layout.seen.contains(code) {
            return None;
        }
        self.attributes().find(|attribute| attribute.code == code)
    }

    /// MP_REACH_NLRI, if it can be read. Its flags are not looked at: what is to be treated as withdrawn has to
    /// be known.
    #[must_use]
    pub fn mp_reach(&self) -> Option<MpReach<'a>> {
        let attribute = self.attribute(AttributeCode::MP_REACH_NLRI)?;
        MpReach::read(attribute.bytes, self.layout.session.add_path, self.layout.sound).ok()
    }

    /// MP_UNREACH_NLRI, if it can be read.
    #[must_use]
    pub fn mp_unreach(&self) -> Option<MpUnreach<'a>> {
        let attribute = self.attribute(AttributeCode::MP_UNREACH_NLRI)?;
        MpUnreach::read(attribute.bytes, self.layout.session.add_path, self.layout.sound).ok()
    }

    /// The family of which this is the End-of-RIB marker (RFC 4724 2).
    #[must_use]
    pub fn end_of_rib(&self) -> Option<Family> {
        if self.body.len() == 4 {
            return Some(Family::IPV4_UNICAST);
        }
        if usize::from(self.layout.nlri) != self.body.len() || self.layout.attributes != 4 {
            return None;
        }
        let mut attributes = self.attributes();
        let only = attributes.next()?;
        if only.code != AttributeCode::MP_UNREACH_NLRI || !attributes.rest.is_empty() {
            return None;
        }
        self.mp_unreach().filter(|unreach| unreach.nlri.is_empty()).map(|unreach| unreach.family)
    }

    /// How the bytes were read.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.layout.session
    }

    /// The body of the message.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.body
    }

    /// The octet of the message at which the path attributes begin.
    #[must_use]
    pub fn attributes_offset(&self) -> usize {
        HEADER_LEN + usize::from(self.layout.attributes)
    }

    /// The octet of the message at which the NLRI begins.
    #[must_use]
    pub fn nlri_offset(&self) -> usize {
        HEADER_LEN + usize::from(self.layout.nlri)
    }

    /// The same with bytes of its own: one allocation, and nothing is checked again.
    #[must_use]
    pub fn to_owned(&self) -> OwnedUpdate {
        OwnedUpdate { body: self.body.into(), layout: self.layout }
    }

    fn has_path_ids(&self) -> bool {
        self.layout.session.add_path.contains(Family::IPV4_UNICAST)
    }

    /// Whether no attribute is wrong by itself.
    pub(crate) const fn is_sound(&self) -> bool {
        self.layout.sound
    }

    /// Whether something becomes reachable, or might for all that can be read.
    pub(crate) fn reaches(&self) -> bool {
        self.layout.reaches || usize::from(self.layout.nlri) < self.body.len()
    }

    pub(crate) const fn seen(&self) -> Seen {
        self.layout.seen
    }
}

impl OwnedUpdate {
    /// Reads the body of a message and keeps it.
    ///
    /// # Errors
    /// As [`Update::parse`].
    pub fn parse(body: &[u8], session: &Session) -> Result<Self, Error> {
        Update::parse(body, session).map(|update| update.to_owned())
    }

    /// The UPDATE to look at.
    #[must_use]
    pub fn view(&self) -> Update<'_> {
        Update { body: &self.body, layout: self.layout }
    }
}

impl Layout {
    #[inline]
    fn look_at(&mut self, attributes: &[u8], has_nlri: bool) {
        let context = Context::new(&self.session).with_nlri(has_nlri);
        let mut list = attributes;
        while let Some(Split { flags, code, bytes, rest, .. }) = split(list) {
            list = rest;
            self.sound &= self.seen.insert(code);
            if code == AttributeCode::MP_REACH_NLRI {
                let reach = MpReach::read(bytes, self.session.add_path, false);
                self.sound &= reach.is_ok() && flags.kind() == Flags::OPTIONAL.0;
                self.reaches |= reach.map_or(true, |reach| !reach.nlri.is_empty());
            } else {
                let plain = is_plainly_good(code, flags, bytes, context);
                debug_assert!(!plain || check(code, flags, bytes, context).is_none(), "{code}: {bytes:?}");
                self.sound &= plain || check(code, flags, bytes, context).is_none();
            }
        }
        self.sound &= list.is_empty();
    }
}

impl Seen {
    /// Adds the attribute; whether it was not there yet.
    #[inline]
    pub(crate) fn insert(&mut self, AttributeCode(code): AttributeCode) -> bool {
        let Some(word) = self.0.get_mut(usize::from(code >> 6)) else { return false };
        let bit = 1 << (code & 63);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    #[inline]
    pub(crate) fn contains(self, AttributeCode(code): AttributeCode) -> bool {
        self.0.get(usize::from(code >> 6)).is_some_and(|word| word & 1 << (code & 63) != 0)
    }

    /// Those of these types up to 63 that are not there, as one bit each.
    pub(crate) const fn without(self, wanted: u64) -> u64 {
        wanted & !self.0[0]
    }

    /// Whether there is none but this one, if even that.
    pub(crate) fn only(mut self, code: AttributeCode) -> bool {
        self.insert(code);
        let mut only = Self::default();
        only.insert(code);
        self == only
    }
}

#[cold]
fn network_field(bad: BadPrefix, field: Field, start: usize) -> Error {
    match bad {
        BadPrefix::TooLong { at, length } => {
            Error::new(ErrorKind::PrefixLength { field, length }, start + at, &[])
        }
        BadPrefix::CutOff { at } => Error::new(ErrorKind::PrefixCutOff(field), start + at, &[]),
    }
}
