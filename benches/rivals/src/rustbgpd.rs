//! `rustbgpd-wire`: shared octets first, owned values with RFC 7606 dispositions second; writes into buffers of
//! its own.

use bytes::BytesMut;
use rustbgpd_wire::{
    Ipv4UnicastMode, Message as Wire, ParsedUpdate, UpdateMessage, decode_message, encode_message,
};

use crate::{Codec, Received};

/// The codec.
#[derive(Debug)]
pub struct Rustbgpd;

/// A decoded message.
#[derive(Debug)]
pub enum Message {
    /// UPDATE, read in full
    Update(ParsedUpdate),
    /// Any other
    Other(Wire),
}

impl Codec for Rustbgpd {
    type Message<'a> = Message;

    const NAME: &'static str = "rustbgpd-wire";

    fn new() -> Self {
        Self
    }

    fn decode(&mut self, received: &Received) -> Option<Message> {
        let update = match decode_message(&mut received.bytes.clone(), 4096).ok()? {
            Wire::Update(update) => update,
            other => return Some(Message::Other(other)),
        };
        let revised = update.parse_revised(true, false, false, &[]).ok()?;
        revised.malformed.is_empty().then_some(Message::Update(revised.update))
    }

    fn encode(&mut self, message: &Message, _: &mut [u8]) -> Option<usize> {
        Some(std::hint::black_box(encode(message)?).len())
    }

    fn written(&mut self, message: &Message) -> Option<Vec<u8>> {
        encode(message).map(Into::into)
    }
}

fn encode(message: &Message) -> Option<BytesMut> {
    let update = match message {
        Message::Other(wire) => return encode_message(wire).ok(),
        Message::Update(update) => update,
    };
    let (announced, withdrawn, attributes) = (&update.announced, &update.withdrawn, &update.attributes);
    let update =
        UpdateMessage::try_build(announced, withdrawn, attributes, true, false, Ipv4UnicastMode::Body)
            .ok()?;
    encode_message(&Wire::Update(update)).ok()
}
