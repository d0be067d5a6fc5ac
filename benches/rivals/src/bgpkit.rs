//! `bgpkit-parser`: owned values over shared octets; always writes into a buffer of its own.

use bgpkit_parser::{
    models::{AsnLength, BgpMessage},
    parser::bgp::messages::parse_bgp_message,
};

use crate::{Codec, Received};

/// The codec.
#[derive(Debug)]
pub struct Bgpkit;

impl Codec for Bgpkit {
    type Message<'a> = BgpMessage;

    const NAME: &'static str = "bgpkit-parser";

    fn new() -> Self {
        Self
    }

    fn decode(&mut self, received: &Received) -> Option<BgpMessage> {
        parse_bgp_message(&mut received.bytes.clone(), false, &AsnLength::Bits32).ok()
    }

    fn encode(&mut self, message: &BgpMessage, _: &mut [u8]) -> Option<usize> {
        Some(std::hint::black_box(message.encode(AsnLength::Bits32).ok()?).len())
    }

    fn written(&mut self, message: &BgpMessage) -> Option<Vec<u8>> {
        message.encode(AsnLength::Bits32).ok().map(Into::into)
    }
}
