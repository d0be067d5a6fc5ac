//! `routecore`: one validation, then lazy iterators over the octets. Its builders make messages of their own
//! choice of form, so there is no way to write back what was read.

use routecore::bgp::message::{Message, SessionConfig};

use crate::{Codec, Received};

/// The codec.
#[derive(Debug)]
pub struct Routecore(SessionConfig);

impl Codec for Routecore {
    type Message<'a> = Message<&'a [u8]>;

    const NAME: &'static str = "routecore";
    const ENCODES: bool = false;

    fn new() -> Self {
        Self(SessionConfig::modern())
    }

    fn decode<'a>(&mut self, received: &'a Received) -> Option<Message<&'a [u8]>> {
        Message::from_octets(&received.bytes[..], Some(&self.0)).ok()
    }

    fn encode(&mut self, _: &Message<&[u8]>, _: &mut [u8]) -> Option<usize> {
        None
    }
}

/// Validates, then reads every attribute and every prefix; gives how many there were.
pub fn walk(codec: &mut Routecore, received: &Received) -> Option<usize> {
    let Message::Update(update) = codec.decode(received)? else { return Some(0) };
    let mut seen = 0;
    for attribute in update.path_attributes().ok()? {
        std::hint::black_box(attribute.ok()?.to_owned().ok()?);
        seen += 1;
    }
    for prefix in update.announcements().ok()?.chain(update.withdrawals().ok()?) {
        std::hint::black_box(prefix.ok()?);
        seen += 1;
    }
    Some(seen)
}
