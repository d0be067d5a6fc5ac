//! Ours: the view that copies nothing, the owned form, and the two ways to write.

use ipnet::{Ipv4Net, Ipv6Net};
use metal_bgp::{
    validate::validate,
    wire::{
        Attributes, Contents, Message, OwnedUpdate, Packer, Safi, Session, Value,
        attribute::{MpNlri, NextHop},
        build::Routes,
        encode_keepalive,
        frame::{Frame, MaxLength},
        open::Open,
    },
};

use crate::{Codec, Received};

/// The session that all codecs are measured with.
#[must_use]
pub fn session() -> Session {
    Session { four_octet_as: true, ..Session::default() }
}

/// Reads where the octets lie: one pass and RFC 7606's judgement, nothing allocated. Writes from values.
#[derive(Debug)]
pub struct View(Session);

impl Codec for View {
    type Message<'a> = Message<'a>;

    const NAME: &'static str = "metal-bgp, view";
    const ENCODES: bool = false;

    fn new() -> Self {
        Self(session())
    }

    #[inline]
    fn decode<'a>(&mut self, received: &'a Received) -> Option<Message<'a>> {
        let frame = Frame::parse(&received.bytes, MaxLength::Standard).ok()?;
        // Kind by kind, so that a message is not moved about in its largest form.
        match Message::parse(&frame, &self.0).ok()? {
            Message::Update(update) if validate(&update).disposition().is_some() => None,
            Message::Update(update) => Some(Message::Update(update)),
            Message::Keepalive => Some(Message::Keepalive),
            message => Some(message),
        }
    }

    fn encode(&mut self, _: &Message<'_>, _: &mut [u8]) -> Option<usize> {
        None
    }
}

/// Validates, then reads every attribute and every prefix; gives how many there were.
#[inline]
pub fn walk(view: &mut View, received: &Received) -> Option<usize> {
    use std::hint::black_box;
    let Message::Update(update) = view.decode(received)? else { return Some(0) };
    let mut seen = 0;
    for attribute in update.attributes() {
        match attribute.value().ok()? {
            Value::MpReach(reach) => seen += prefixes(&reach.nlri),
            Value::MpUnreach(unreach) => seen += prefixes(&unreach.nlri),
            Value::AsPath(path) => path.asns().for_each(|item| {
                black_box(item);
            }),
            Value::Communities(list) => list.iter().for_each(|item| {
                black_box(item);
            }),
            Value::LargeCommunities(list) => list.iter().for_each(|item| {
                black_box(item);
            }),
            Value::ExtendedCommunities(list) => list.iter().for_each(|item| {
                black_box(item);
            }),
            value => drop(black_box(value)),
        }
        seen += 1;
    }
    for nlri in update.withdrawn().chain(update.nlri()) {
        black_box(nlri);
        seen += 1;
    }
    Some(seen)
}

fn prefixes(nlri: &MpNlri<'_>) -> usize {
    match nlri {
        MpNlri::Ipv4(list) => list.clone().map(std::hint::black_box).count(),
        MpNlri::Ipv6(list) => list.clone().map(std::hint::black_box).count(),
        MpNlri::Other(_) => 0,
    }
}

/// Keeps the octets and what the pass found, in one allocation.
#[derive(Debug)]
pub struct Owned(View);

/// A message without a borrow.
#[derive(Debug)]
pub enum OwnedMessage {
    /// OPEN
    Open(Open<'static>),
    /// UPDATE
    Update(OwnedUpdate),
    /// KEEPALIVE
    Keepalive,
}

impl Codec for Owned {
    type Message<'a> = OwnedMessage;

    const NAME: &'static str = "metal-bgp, owned";
    const ENCODES: bool = false;

    fn new() -> Self {
        Self(View::new())
    }

    #[inline]
    fn decode(&mut self, received: &Received) -> Option<OwnedMessage> {
        Some(match self.0.decode(received)? {
            Message::Open(open) => OwnedMessage::Open(open.into_owned()),
            Message::Update(update) => OwnedMessage::Update(update.to_owned()),
            Message::Keepalive => OwnedMessage::Keepalive,
            Message::Notification(_) | Message::RouteRefresh(_) => return None,
        })
    }

    fn encode(&mut self, _: &OwnedMessage, _: &mut [u8]) -> Option<usize> {
        None
    }
}

/// Values of one's own, every prefix and every attribute: what is written from, and the counterpart of what the
/// other codecs decode to.
#[derive(Debug)]
pub struct Values(View);

/// A message as values.
#[derive(Debug)]
pub enum ValueMessage {
    /// OPEN
    Open(Open<'static>),
    /// UPDATE
    Update(Box<Contents>),
    /// KEEPALIVE
    Keepalive,
}

impl Codec for Values {
    type Message<'a> = ValueMessage;

    const NAME: &'static str = "metal-bgp, values";

    fn new() -> Self {
        Self(View::new())
    }

    fn decode(&mut self, received: &Received) -> Option<ValueMessage> {
        Some(match self.0.decode(received)? {
            Message::Open(open) => ValueMessage::Open(open.into_owned()),
            Message::Update(update) => ValueMessage::Update(Box::new(Contents::of(&update))),
            Message::Keepalive => ValueMessage::Keepalive,
            Message::Notification(_) | Message::RouteRefresh(_) => return None,
        })
    }

    #[inline]
    fn encode(&mut self, message: &ValueMessage, buffer: &mut [u8]) -> Option<usize> {
        match message {
            ValueMessage::Open(open) => open.encode(buffer).ok(),
            ValueMessage::Update(contents) => contents.encode(&self.0.0, buffer).ok(),
            ValueMessage::Keepalive => encode_keepalive(buffer).ok(),
        }
    }
}

/// The way a speaker announces: attributes and prefixes in, packed messages out, all checks of what a strict
/// receiver accepts included.
#[derive(Clone, Debug)]
pub struct Announcement {
    attributes: Attributes,
    next_hop: NextHop,
    prefixes: Prefixes,
}

#[derive(Clone, Debug)]
enum Prefixes {
    V4(Vec<Ipv4Net>),
    V6(Vec<Ipv6Net>),
}

impl Announcement {
    /// What an UPDATE announces; `None` if it announces nothing.
    #[must_use]
    pub fn of(received: &Received) -> Option<Self> {
        let Message::Update(update) = View::new().decode(received)? else { return None };
        let Contents { attributes, next_hop, mp_reach, nlri, .. } = Contents::of(&update);
        let (next_hop, prefixes) = match mp_reach {
            Some(reach) => match reach.routes {
                Routes::Ipv4(_, list) => {
                    (reach.next_hop, Prefixes::V4(list.iter().map(|nlri| nlri.prefix).collect()))
                }
                Routes::Ipv6(_, list) => {
                    (reach.next_hop, Prefixes::V6(list.iter().map(|nlri| nlri.prefix).collect()))
                }
            },
            None => (NextHop::V4(next_hop?), Prefixes::V4(nlri.iter().map(|nlri| nlri.prefix).collect())),
        };
        Some(Self { attributes, next_hop, prefixes })
    }

    /// Writes the messages one after the other into the buffer and gives the length of all.
    #[inline]
    pub fn encode(&self, session: &Session, buffer: &mut [u8]) -> Option<usize> {
        match &self.prefixes {
            Prefixes::V4(list) => self.pack(list.iter(), session, buffer),
            Prefixes::V6(list) => {
                let packer =
                    Packer::announce(&self.attributes, self.next_hop, Safi::UNICAST, list.iter(), session);
                let mut packer = packer.ok()?;
                let mut all = 0;
                while let Some(length) = packer.write(&mut buffer[all..]).ok()? {
                    all += length;
                }
                Some(all)
            }
        }
    }

    fn pack<'a>(
        &self,
        list: impl Iterator<Item = &'a Ipv4Net>,
        session: &Session,
        buffer: &mut [u8],
    ) -> Option<usize> {
        let mut packer =
            Packer::announce(&self.attributes, self.next_hop, Safi::UNICAST, list, session).ok()?;
        let mut all = 0;
        while let Some(length) = packer.write(&mut buffer[all..]).ok()? {
            all += length;
        }
        Some(all)
    }
}
