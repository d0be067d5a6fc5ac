//! One thin adaptor per codec, so that all are called alike: a whole message in, and the same message out.
//!
//! `decode` does whatever a user has to call until the library has said that the message is good, including
//! its check of the attributes where it has one. `encode` starts from what `decode` gave and writes a whole
//! message.

use bytes::Bytes;

pub mod bgpkit;
pub mod metal;
pub mod netgauze;
pub mod routecore;
pub mod rustbgpd;
pub mod zettabgp;

/// A received message, in the forms that the codecs ask for; making them is not measured.
#[derive(Clone, Debug)]
pub struct Received {
    /// The octets.
    pub bytes: Bytes,
}

impl Received {
    /// From the octets of a whole message.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self { bytes: Bytes::copy_from_slice(bytes) }
    }
}

/// A codec as the comparison calls it. Sessions are eBGP with four-octet AS numbers and without add-path.
pub trait Codec {
    /// What decoding gives.
    type Message<'a>;

    /// Its name in tables.
    const NAME: &'static str;

    /// Whether it can write a message that it has read; if not, [`Codec::encode`] is never called.
    const ENCODES: bool = true;

    /// Ready to be used; what a session sets up once is not measured.
    fn new() -> Self;

    /// Decodes one message; `None` when the codec refuses it or does not know its type.
    fn decode<'a>(&mut self, received: &'a Received) -> Option<Self::Message<'a>>;

    /// Encodes one message into `buffer` (or its own, where it knows no other way) and gives its length.
    fn encode(&mut self, message: &Self::Message<'_>, buffer: &mut [u8]) -> Option<usize>;

    /// The octets that [`Codec::encode`] writes, wherever it writes them.
    fn written(&mut self, message: &Self::Message<'_>) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 1 << 16];
        let length = self.encode(message, &mut buffer)?;
        buffer.truncate(length);
        Some(buffer)
    }
}
