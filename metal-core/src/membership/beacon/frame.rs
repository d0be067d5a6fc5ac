//! The envelope: Ethernet, IPv4, UDP and the clear header.

use alloc::vec::Vec;

use super::{
    Message, PORT, Refused,
    codec::{Reader, Write},
    seal::{Salt, Seal, TAG},
};
use crate::view::Mac;

/// What kind of message a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// I am here, and this is what I serve.
    Beacon,
    /// Are you still there?
    Probe,
    /// I am.
    Answer,
    /// I am gone.
    Farewell,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Beacon, Self::Probe, Self::Answer, Self::Farewell];

    const fn to_byte(self) -> u8 {
        match self {
            Self::Beacon => 1,
            Self::Probe => 2,
            Self::Answer => 3,
            Self::Farewell => 4,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Beacon),
            2 => Some(Self::Probe),
            3 => Some(Self::Answer),
            4 => Some(Self::Farewell),
            _ => None,
        }
    }
}

/// The clear header without what [`emit`] adds by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The secret that seals the frame.
    pub key_id: u32,
    /// The sender's incarnation.
    pub salt: Salt,
    /// The sender's counter: never the same twice.
    pub sequence: u64,
    /// The number of the sender's interface.
    pub ifindex: u32,
    /// The name of the sender's interface.
    pub interface: &'a str,
    /// The sender's node.
    pub node: &'a str,
}

/// A frame that is ours by its looks; nothing in it is proven before [`Envelope::open`].
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The Ethernet destination.
    pub destination: Mac,
    /// The Ethernet source.
    pub source: Mac,
    /// What is inside.
    pub kind: Kind,
    /// Who says so.
    pub header: Header<'a>,
    clear: &'a [u8],
    sealed: &'a [u8],
    tag: [u8; TAG],
}

/// Reads everything up to the seal. Allocates nothing.
///
/// # Errors
/// The reason why it is not ours or not whole.
pub fn parse(frame: &[u8]) -> Result<Envelope<'_>, Refused> {
    let (ethernet, rest) = frame.split_first_chunk::<ETHERNET>().ok_or(Refused::Incomplete)?;
    let mut fields = Reader::new(ethernet);
    let (destination, source) = (fields.array()?, fields.array()?);
    if fields.u16()? != ETHERTYPE_IPV4 {
        return Err(Refused::Foreign);
    }
    let payload = udp_payload(ip_payload(rest)?)?;

    if payload.len() < MAGIC.len() + 2 {
        return Err(Refused::Incomplete);
    }
    let mut fields = Reader::new(payload);
    if fields.array()? != MAGIC {
        return Err(Refused::Foreign);
    }
    if fields.u8()? != VERSION {
        return Err(Refused::Version);
    }
    let kind = Kind::from_byte(fields.u8()?).ok_or(Refused::Malformed)?;
    let header = Header {
        key_id: fields.u32()?,
        salt: fields.array()?,
        sequence: fields.u64()?,
        ifindex: fields.u32()?,
        interface: name(fields.text()?, INTERFACE_NAME)?,
        node: name(fields.text()?, NODE_NAME)?,
    };
    let length = CLEAR + header.interface.len() + header.node.len();
    let (clear, rest) = payload.split_at_checked(length).ok_or(Refused::Malformed)?;
    let (sealed, tag) = rest.split_last_chunk::<TAG>().ok_or(Refused::Malformed)?;
    if sealed.len() > MAX_PAYLOAD {
        return Err(Refused::Malformed);
    }
    Ok(Envelope { destination, source, kind, header, clear, sealed, tag: *tag })
}

impl Envelope<'_> {
    /// Checks the seal and reads what is inside.
    ///
    /// # Errors
    /// [`Refused::Seal`] when it is broken, [`Refused::Malformed`] when the contents make no sense.
    pub fn open(&self, seal: &Seal) -> Result<Message, Refused> {
        let mut buffer = [0; MAX_PAYLOAD];
        let body = buffer.get_mut(..self.sealed.len()).ok_or(Refused::Malformed)?;
        body.copy_from_slice(self.sealed);
        let (associated, length) = associated(self.source, self.clear);
        if !seal.open(self.header.sequence, &associated[..length], body, self.tag) {
            return Err(Refused::Seal);
        }
        Message::parse(self.kind, body)
    }
}

/// Writes a whole frame.
///
/// Names longer than a header takes are cut. Claims beyond [`Header::room`] are left out and their page ends
/// before them.
#[must_use]
pub fn emit(destination: Mac, source: Mac, header: &Header<'_>, message: &Message, seal: &Seal) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ETHERNET + IP + UDP + MAX_PAYLOAD);
    frame.extend_from_slice(&destination);
    frame.extend_from_slice(&source);
    frame.extend_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
    frame.extend_from_slice(&IP_TEMPLATE);
    frame.extend_from_slice(&PORT.to_be_bytes());
    frame.extend_from_slice(&PORT.to_be_bytes());
    frame.extend_from_slice(&[0; 4]);

    let clear = frame.len();
    frame.extend_from_slice(&MAGIC);
    frame.push(VERSION);
    frame.push(message.kind().to_byte());
    frame.extend_from_slice(&header.key_id.to_be_bytes());
    frame.extend_from_slice(&header.salt);
    frame.extend_from_slice(&header.sequence.to_be_bytes());
    frame.extend_from_slice(&header.ifindex.to_be_bytes());
    frame.text(cut(header.interface, INTERFACE_NAME));
    frame.text(cut(header.node, NODE_NAME));
    let sealed = frame.len();
    let (associated, length) = associated(source, &frame[clear..]);
    message.emit(&mut frame, clear + MAX_PAYLOAD - TAG);
    seal.seal(header.sequence, &associated[..length], &mut frame, sealed);

    // The payload is at most MAX_PAYLOAD long, so the lengths fit.
    let payload = frame.len() - clear;
    put_u16(&mut frame, ETHERNET + IP + 4, UDP + payload);
    put_u16(&mut frame, ETHERNET + 2, IP + UDP + payload);
    let checksum = usize::from(checksum(&frame[ETHERNET..ETHERNET + IP]));
    put_u16(&mut frame, ETHERNET + 10, checksum);
    frame
}

impl Header<'_> {
    /// How many bytes a body may have in a frame with this header.
    #[must_use]
    pub fn room(&self) -> usize {
        let names = cut(self.interface, INTERFACE_NAME).len() + cut(self.node, NODE_NAME).len();
        MAX_PAYLOAD - TAG - CLEAR - names
    }
}

/// The first bytes of `name` that a field of `limit` bytes takes.
pub(super) fn cut(name: &str, limit: usize) -> &str {
    let mut end = name.len().min(limit);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

fn name(name: &str, limit: usize) -> Result<&str, Refused> {
    if name.is_empty() || name.len() > limit { Err(Refused::Malformed) } else { Ok(name) }
}

/// What the seal also covers: the Ethernet source, then the clear header.
fn associated(source: Mac, clear: &[u8]) -> ([u8; 6 + MAX_CLEAR], usize) {
    let mut bytes = [0; 6 + MAX_CLEAR];
    bytes[..6].copy_from_slice(&source);
    let length = clear.len().min(MAX_CLEAR);
    bytes[6..6 + length].copy_from_slice(&clear[..length]);
    (bytes, 6 + length)
}

/// The payload of a whole, unfragmented UDP packet over IPv4.
fn ip_payload(packet: &[u8]) -> Result<&[u8], Refused> {
    let (fixed, _) = packet.split_first_chunk::<IP>().ok_or(Refused::Incomplete)?;
    let header = usize::from(fixed[0] & 0x0f) * 4;
    if fixed[0] >> 4 != 4 || fixed[9] != UDP_PROTOCOL {
        return Err(Refused::Foreign);
    }
    let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if header < IP || total < header {
        return Err(Refused::Malformed);
    }
    // Frames may be padded at the end, never cut.
    let packet = packet.get(..total).ok_or(Refused::Incomplete)?;
    let (header, payload) = packet.split_at_checked(header).ok_or(Refused::Malformed)?;
    let fragmented = u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3fff != 0;
    if checksum(header) != 0 || fragmented {
        return Err(Refused::Malformed);
    }
    Ok(payload)
}

fn udp_payload(datagram: &[u8]) -> Result<&[u8], Refused> {
    let (header, _) = datagram.split_first_chunk::<UDP>().ok_or(Refused::Incomplete)?;
    if u16::from_be_bytes([header[2], header[3]]) != PORT {
        return Err(Refused::Foreign);
    }
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    datagram.get(UDP..length).ok_or(Refused::Malformed)
}

/// RFC 1071 over a header of even length; zero over one that carries its right checksum.
fn checksum(header: &[u8]) -> u16 {
    let sum =
        header.as_chunks::<2>().0.iter().fold(0, |sum, pair| sum + u32::from(u16::from_be_bytes(*pair)));
    let folded = (sum >> 16) + (sum & 0xffff);
    let [.., high, low] = (!((folded >> 16) + folded)).to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn put_u16(frame: &mut [u8], at: usize, value: usize) {
    let value = u16::try_from(value).unwrap_or(u16::MAX);
    frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

const ETHERNET: usize = 14;
const IP: usize = 20;
const UDP: usize = 8;
const ETHERTYPE_IPV4: u16 = 0x0800;
const UDP_PROTOCOL: u8 = 17;
const MAGIC: [u8; 4] = *b"mtlb";
const VERSION: u8 = 1;

/// Linux names interfaces with at most 15 bytes, Kubernetes nodes with at most 253.
const INTERFACE_NAME: usize = 15;
pub(super) const NODE_NAME: usize = 253;

/// The clear header without the two names.
const CLEAR: usize = 40;
const MAX_CLEAR: usize = CLEAR + INTERFACE_NAME + NODE_NAME;

/// What an Ethernet of 1500 bytes leaves for the payload of UDP.
const MAX_PAYLOAD: usize = 1500 - IP - UDP;

/// IPv4, DSCP CS6 (network control), do not fragment, TTL 1, from 0.0.0.0 to 255.255.255.255; length and
/// checksum come later.
const IP_TEMPLATE: [u8; IP] =
    [0x45, 0xc0, 0, 0, 0, 0, 0x40, 0, 1, UDP_PROTOCOL, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255];
