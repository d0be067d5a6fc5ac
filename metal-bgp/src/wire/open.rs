//! OPEN: who a speaker is and what it can do (RFC 4271 4.2, 5492, 9072).

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use nom::{
    IResult, Parser,
    error::{Error as NomError, ErrorKind as NomErrorKind},
    multi::length_data,
    number::complete::{be_u8, be_u16},
};

use super::{
    Capability, EncodeError, Error, ErrorKind, Families, Peer, Session,
    attribute::AS_TRANS,
    capability,
    frame::{HEADER_LEN, HeaderError, MaxLength, MessageType},
    writer::Writer,
};

/// An OPEN message. What is read borrows from the message; [`into_owned`](Self::into_owned) ends that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open<'a> {
    /// My Autonomous System, the field of two octets. [`asn`](Self::asn) is the AS that counts.
    pub my_as: u16,
    /// Hold Time in seconds: 0, or at least 3.
    pub hold_time: u16,
    /// BGP Identifier, never 0.
    pub bgp_identifier: Ipv4Addr,
    /// The capabilities.
    pub capabilities: Capabilities<'a>,
}

/// The capabilities of an OPEN, where they lie or as values. Two of them are equal when the capabilities are.
#[derive(Clone)]
pub struct Capabilities<'a>(Kept<'a>);

#[derive(Clone)]
enum Kept<'a> {
    /// Optional parameters that have been checked.
    Wire {
        parameters: &'a [u8],
        extended: bool,
    },
    Values(Vec<Capability<'static>>),
}

/// The two sessions, one per direction, that follow from both OPENs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// For what the peer sends.
    pub receive: Session,
    /// For what we send.
    pub send: Session,
}

impl Open<'static> {
    /// An OPEN to send. An AS that does not fit into two octets needs [`Capability::FourOctetAs`] as well.
    #[must_use]
    pub fn new(
        asn: u32,
        hold_time: u16,
        bgp_identifier: Ipv4Addr,
        capabilities: Vec<Capability<'static>>,
    ) -> Self {
        let my_as = u16::try_from(asn).unwrap_or(AS_TRANS);
        Self { my_as, hold_time, bgp_identifier, capabilities: capabilities.into() }
    }
}

impl<'a> Open<'a> {
    /// Reads the body of a message. Everything is checked here; afterwards nothing can fail.
    ///
    /// # Errors
    /// When the session has to end. Whether the AS is the expected one is for the caller to say.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let &[version, as1, as2, hold1, hold2, id1, id2, id3, id4, ref parameters @ ..] = body else {
            return Err(too_short(body));
        };
        if version != VERSION {
            // The data is the largest version that we support (RFC 4271 6.2).
            return Err(Error::new(ErrorKind::UnsupportedVersion(version), HEADER_LEN, &[0, VERSION]));
        }
        let my_as = u16::from_be_bytes([as1, as2]);
        if my_as == 0 {
            return Err(Error::new(ErrorKind::AsZero, HEADER_LEN + 1, &[]));
        }
        let hold_time = u16::from_be_bytes([hold1, hold2]);
        if matches!(hold_time, 1 | 2) {
            return Err(Error::new(ErrorKind::UnacceptableHoldTime(hold_time), HEADER_LEN + 3, &[]));
        }
        let bgp_identifier = Ipv4Addr::new(id1, id2, id3, id4);
        if bgp_identifier.is_unspecified() {
            return Err(Error::new(ErrorKind::BgpIdentifierZero, HEADER_LEN + 5, &[]));
        }
        if parameters.is_empty() {
            return Err(too_short(body));
        }
        let malformed = Error::new;
        let Ok((_, (extended, parameters))) = all_parameters(parameters) else {
            return Err(malformed(ErrorKind::OptionalParameters, PARAMETERS, &[]));
        };
        let start = HEADER_LEN + body.len() - parameters.len();
        check(parameters, extended, start)?;
        let capabilities = Capabilities(Kept::Wire { parameters, extended });
        Ok(Self { my_as, hold_time, bgp_identifier, capabilities })
    }

    /// Writes the message and returns its length. One parameter holds all capabilities; more than 255 octets of
    /// them take the extended form (RFC 9072).
    ///
    /// # Errors
    /// When the buffer is too short for it, it would be longer than 4,096 octets, or a peer would not accept it.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        if self.my_as == 0 || self.asn() == 0 {
            return Err(EncodeError::Unacceptable("AS 0 must not be used"));
        }
        if self.bgp_identifier.is_unspecified() {
            return Err(EncodeError::Unacceptable("the BGP Identifier is 0"));
        }
        if matches!(self.hold_time, 1 | 2) {
            return Err(EncodeError::Unacceptable("the hold time has to be 0 or at least 3 s"));
        }
        let longest = out.len().min(usize::from(MaxLength::Standard.bytes()));
        let mut writer = Writer::message(out.get_mut(..longest).unwrap_or_default(), MessageType::Open)?;
        let ([as1, as2], [hold1, hold2]) = (self.my_as.to_be_bytes(), self.hold_time.to_be_bytes());
        let [id1, id2, id3, id4] = self.bgp_identifier.octets();
        writer.put(&[VERSION, as1, as2, hold1, hold2, id1, id2, id3, id4])?;

        // Length of all parameters, type of the only one, its length.
        let short = writer.len();
        writer.put(&[0, CAPABILITIES, 0])?;
        let start = writer.len();
        self.capabilities.try_for_each(|capability| capability.write(&mut writer))?;
        let len = writer.len() - start;
        let header = match u8::try_from(len + 2) {
            Ok(2) => {
                writer.truncate(short + 1);
                writer.written(short).fill(0);
                return writer.finish();
            }
            Ok(all) => [all, CAPABILITIES, all - 2],
            Err(_) => {
                writer.take(EXTENDED_HEADER - 3)?;
                writer.written(start).copy_within(..len, EXTENDED_HEADER - 3);
                let [all1, all2] = field(len + 3)?;
                let [len1, len2] = field(len)?;
                let header = [EXTENDED, EXTENDED, all1, all2, CAPABILITIES, len1, len2];
                if let Some(room) = writer.written(short).first_chunk_mut() {
                    *room = header;
                }
                return writer.finish();
            }
        };
        if let Some(room) = writer.written(short).first_chunk_mut() {
            *room = header;
        }
        writer.finish()
    }

    /// The speaker's AS: the four-octet one if it says so (RFC 6793 4.1), whatever the field of two octets says.
    #[must_use]
    pub fn asn(&self) -> u32 {
        let found = self.capabilities.try_for_each(|capability| match capability {
            Capability::FourOctetAs(asn) => Err(*asn),
            _ => Ok(()),
        });
        found.err().unwrap_or(u32::from(self.my_as))
    }

    /// The same without a borrow.
    #[must_use]
    pub fn into_owned(self) -> Open<'static> {
        let Self { my_as, hold_time, bgp_identifier, capabilities } = self;
        Open { my_as, hold_time, bgp_identifier, capabilities: capabilities.to_vec().into() }
    }
}

impl<'a> Capabilities<'a> {
    /// The capabilities in their order, duplicates included.
    pub fn iter(&self) -> impl Iterator<Item = Capability<'_>> {
        let (wire, values) = match &self.0 {
            Kept::Wire { parameters, extended } => (Some((*parameters, *extended)), [].as_slice()),
            Kept::Values(values) => (None, values.as_slice()),
        };
        let wire =
            wire.into_iter().flat_map(|(parameters, extended)| Wire { parameters, extended, rest: &[] });
        wire.chain(values.iter().cloned())
    }

    /// Shows each capability without a copy, until one makes an end of it.
    fn try_for_each<E>(&self, mut each: impl FnMut(&Capability<'_>) -> Result<(), E>) -> Result<(), E> {
        match &self.0 {
            Kept::Wire { parameters, extended } => Wire { parameters, extended: *extended, rest: &[] }
                .try_for_each(|capability| each(&capability)),
            Kept::Values(values) => values.iter().try_for_each(each),
        }
    }

    /// The capabilities as values of one's own.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Capability<'static>> {
        self.iter().map(Capability::into_owned).collect()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Whether the capability is among them.
    #[must_use]
    pub fn contains(&self, capability: &Capability<'_>) -> bool {
        self.iter().any(|ours| ours == *capability)
    }

    /// The optional parameters as they were received; `None` for values of one's own.
    #[must_use]
    pub const fn as_bytes(&self) -> Option<&'a [u8]> {
        match self.0 {
            Kept::Wire { parameters, .. } => Some(parameters),
            Kept::Values(_) => None,
        }
    }
}

/// What both OPENs together say about bytes. Each capability counts only if both sides have it, and add-path
/// only in the direction in which one can send and the other receive (RFC 7911 4).
#[must_use]
pub fn negotiate(ours: &Open<'_>, theirs: &Open<'_>) -> Negotiated {
    let has =
        |open: &Open<'_>, code: u8| open.capabilities.iter().any(|capability| capability.code() == code);
    let both = |code| has(ours, code) && has(theirs, code);
    let peer = if ours.asn() == theirs.asn() { Peer::Internal } else { Peer::External };
    let max_length = if both(6) { MaxLength::Extended } else { MaxLength::Standard };
    let session = |add_path| Session { peer, four_octet_as: both(65), add_path, max_length };
    let add_path = |sender: &Open<'_>, receiver: &Open<'_>| {
        let can = |open: &Open<'_>, which: fn(capability::AddPathFamily) -> bool| -> Families {
            let mut families = Families::NONE;
            for capability in open.capabilities.iter() {
                if let Capability::AddPath(list) = capability {
                    families = list
                        .iter()
                        .filter(|entry| which(*entry))
                        .fold(families, |all, entry| all.with(entry.family));
                }
            }
            families
        };
        let receives = can(receiver, capability::AddPathFamily::can_receive);
        can(sender, capability::AddPathFamily::can_send)
            .iter()
            .filter(|family| receives.contains(*family))
            .collect()
    };
    Negotiated { receive: session(add_path(theirs, ours)), send: session(add_path(ours, theirs)) }
}

/// Capabilities of checked parameters.
struct Wire<'a> {
    parameters: &'a [u8],
    extended: bool,
    /// Of the parameter that is being read.
    rest: &'a [u8],
}

impl<'a> Iterator for Wire<'a> {
    type Item = Capability<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rest.is_empty() {
            let (parameters, (_, value)) = parameter(self.extended)(self.parameters).ok()?;
            self.parameters = parameters;
            self.rest = value;
        }
        let (rest, (code, value)) = capability::header(self.rest).ok()?;
        self.rest = rest;
        Capability::read(code, value)
    }
}

/// Whether every parameter is one of capabilities, and every capability is well-formed.
fn check(parameters: &[u8], extended: bool, start: usize) -> Result<(), Error> {
    let place = |rest: &[u8]| start + parameters.len() - rest.len();
    let mut rest = parameters;
    while !rest.is_empty() {
        let Ok((after, (kind, value))) = parameter(extended)(rest) else {
            return Err(Error::new(ErrorKind::OptionalParameters, place(rest), &[]));
        };
        if kind != CAPABILITIES {
            return Err(Error::new(ErrorKind::UnsupportedOptionalParameter(kind), place(rest), &[]));
        }
        let mut capabilities = value;
        while let [code, ..] = *capabilities {
            let at = place(after) - capabilities.len();
            let malformed = |data| Error::new(ErrorKind::MalformedCapability(code), at, data);
            let Ok((behind, (_, value))) = capability::header(capabilities) else {
                return Err(malformed(&[]));
            };
            match Capability::read(code, value) {
                None => return Err(malformed(&[])),
                // RFC 6793 4.1, 7607 2.
                Some(Capability::FourOctetAs(0)) => return Err(Error::new(ErrorKind::AsZero, at + 2, &[])),
                Some(_) => capabilities = behind,
            }
        }
        rest = after;
    }
    Ok(())
}

/// The length of all parameters and the parameters, which have to be the rest of the message.
fn all_parameters(input: &[u8]) -> IResult<&[u8], (bool, &[u8])> {
    let (rest, parameters) = match input {
        // The length in front of the extended form should be 255, and is not looked at (RFC 9072 2), unless it
        // is 0: then there is nothing.
        [1..=u8::MAX, EXTENDED, extended @ ..] => {
            length_data(be_u16).map(|bytes| (true, bytes)).parse(extended)
        }
        _ => length_data(be_u8).map(|bytes| (false, bytes)).parse(input),
    }?;
    if rest.is_empty() {
        Ok((rest, parameters))
    } else {
        Err(nom::Err::Error(NomError::new(rest, NomErrorKind::Eof)))
    }
}

/// Type and value of the first parameter.
fn parameter<'a>(extended: bool) -> impl Fn(&'a [u8]) -> IResult<&'a [u8], (u8, &'a [u8])> {
    move |input| {
        if extended {
            (be_u8, length_data(be_u16)).parse(input)
        } else {
            (be_u8, length_data(be_u8)).parse(input)
        }
    }
}

fn field(len: usize) -> Result<[u8; 2], EncodeError> {
    u16::try_from(len)
        .map(u16::to_be_bytes)
        .map_err(|_| EncodeError::FieldTooLong("the list of capabilities"))
}

/// No frame is that short, but anybody may call.
#[cold]
fn too_short(body: &[u8]) -> Error {
    let len = u16::try_from(HEADER_LEN + body.len()).unwrap_or(u16::MAX);
    HeaderError::BadMessageLength(len.to_be_bytes()).into()
}

impl From<Vec<Capability<'static>>> for Capabilities<'static> {
    fn from(capabilities: Vec<Capability<'static>>) -> Self {
        Self(Kept::Values(capabilities))
    }
}

impl PartialEq for Capabilities<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Capabilities<'_> {}

impl core::fmt::Debug for Capabilities<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Of BGP.
const VERSION: u8 = 4;
/// The parameter with capabilities (RFC 5492).
const CAPABILITIES: u8 = 2;
/// What stands for the extended form (RFC 9072).
const EXTENDED: u8 = 255;
/// Lengths and types in front of the capabilities of the extended form.
const EXTENDED_HEADER: usize = 7;
/// Where the length of the parameters is in a message.
const PARAMETERS: usize = HEADER_LEN + 9;
