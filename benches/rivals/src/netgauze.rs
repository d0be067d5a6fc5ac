//! `netgauze-bgp-pkt`: owned values, a reader without copies.

use std::collections::HashMap;

use netgauze_bgp_pkt::{BgpMessage, wire::deserializer::BgpParsingContext};
use netgauze_parse_utils::{WritablePdu, reader::SliceReader, traits::ParseFromWithOneInput};

use crate::{Codec, Received};

/// The codec.
#[derive(Debug)]
pub struct NetGauze(BgpParsingContext);

impl Codec for NetGauze {
    type Message<'a> = BgpMessage;

    const NAME: &'static str = "netgauze-bgp-pkt";

    fn new() -> Self {
        Self(BgpParsingContext::new(true, HashMap::new(), HashMap::new(), true, true, true, true))
    }

    fn decode(&mut self, received: &Received) -> Option<BgpMessage> {
        BgpMessage::parse(&mut SliceReader::new(&received.bytes), &mut self.0).ok()
    }

    fn encode(&mut self, message: &BgpMessage, buffer: &mut [u8]) -> Option<usize> {
        let space = buffer.len();
        let mut rest = buffer;
        message.write(&mut rest).ok()?;
        Some(space - rest.len())
    }
}
