//! `zettabgp`: owned values, writes into the caller's buffer.

use std::net::Ipv4Addr;

use zettabgp::prelude::*;

use crate::{Codec, Received};

const HEADER: usize = 19;

/// The codec.
#[derive(Debug)]
pub struct Zetta(BgpSessionParams);

/// A decoded message.
#[derive(Debug)]
pub enum Message {
    /// OPEN
    Open(BgpOpenMessage),
    /// UPDATE
    Update(BgpUpdateMessage),
    /// NOTIFICATION
    Notification(BgpNotificationMessage),
    /// KEEPALIVE
    Keepalive(BgpKeepaliveMessage),
}

impl Message {
    fn parts(&self) -> (BgpMessageType, &dyn BgpMessage) {
        match self {
            Self::Open(message) => (BgpMessageType::Open, message),
            Self::Update(message) => (BgpMessageType::Update, message),
            Self::Notification(message) => (BgpMessageType::Notification, message),
            Self::Keepalive(message) => (BgpMessageType::Keepalive, message),
        }
    }
}

impl Codec for Zetta {
    type Message<'a> = Message;

    const NAME: &'static str = "zettabgp";

    fn new() -> Self {
        let router = Ipv4Addr::new(192, 0, 2, 9);
        let capabilities =
            vec![BgpCapability::SafiIPv4u, BgpCapability::SafiIPv6u, BgpCapability::CapASN32(65_009)];
        let mut session = BgpSessionParams::new(65_009, 90, BgpTransportMode::IPv4, router, capabilities);
        session.check_caps();
        // Guessing at path identifiers is for collectors; here it is known that there are none.
        session.fuzzy_pathid = false;
        Self(session)
    }

    fn decode(&mut self, received: &Received) -> Option<Message> {
        let (kind, length) = self.0.decode_message_head(&received.bytes).ok()?;
        let body = received.bytes.get(HEADER..HEADER + length)?;
        Some(match kind {
            BgpMessageType::Open => {
                let mut message = BgpOpenMessage::new();
                message.decode_from(&self.0, body).ok()?;
                Message::Open(message)
            }
            BgpMessageType::Update => {
                let mut message = BgpUpdateMessage::new();
                message.decode_from(&self.0, body).ok()?;
                Message::Update(message)
            }
            BgpMessageType::Notification => {
                let mut message = BgpNotificationMessage::new();
                message.decode_from(&self.0, body).ok()?;
                Message::Notification(message)
            }
            BgpMessageType::Keepalive => {
                let mut message = BgpKeepaliveMessage {};
                message.decode_from(&self.0, body).ok()?;
                Message::Keepalive(message)
            }
            _ => return None,
        })
    }

    fn encode(&mut self, message: &Message, buffer: &mut [u8]) -> Option<usize> {
        let (kind, message) = message.parts();
        let length = message.encode_to(&self.0, &mut buffer[HEADER..]).ok()?;
        self.0.prepare_message_buf(buffer, kind, length).ok()
    }
}
