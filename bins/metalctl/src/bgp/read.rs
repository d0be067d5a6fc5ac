//! The octets of one message to what they say.

use metal_bgp::{
    validate::{Verdict, validate},
    wire::{
        Capability, Error, Message, Notification, Open, RouteRefresh, Session, Update,
        frame::{Frame, MessageType, Unframed},
    },
};

/// What the octets of one message say.
#[derive(Debug)]
pub(crate) enum Read<'a> {
    /// Not all of it is there.
    Incomplete {
        /// How many more octets it takes at least.
        needed: usize,
    },
    /// The session would end.
    Refused {
        /// Why.
        error: Error,
        /// The message, as far as it could be told; its type if that is known.
        kind: Option<MessageType>,
        /// The octets.
        bytes: &'a [u8],
    },
    /// OPEN.
    Open {
        /// What it says.
        open: Open<'a>,
        /// The message.
        whole: Whole<'a>,
    },
    /// UPDATE.
    Update {
        /// What it says.
        update: Update<'a>,
        /// What is wrong with its attributes.
        verdict: Verdict<'a>,
        /// The message.
        whole: Whole<'a>,
    },
    /// NOTIFICATION.
    Notification {
        /// What it says.
        notification: Notification<'a>,
        /// The message.
        whole: Whole<'a>,
    },
    /// KEEPALIVE.
    Keepalive {
        /// The message.
        whole: Whole<'a>,
    },
    /// ROUTE-REFRESH.
    RouteRefresh {
        /// What it says.
        refresh: RouteRefresh,
        /// The message.
        whole: Whole<'a>,
    },
}

/// A whole message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole<'a> {
    /// Its octets, header included.
    pub(crate) bytes: &'a [u8],
    /// How many more there were.
    pub(crate) trailing: usize,
}

/// Reads the first message of the octets.
pub(crate) fn read<'a>(bytes: &'a [u8], session: &Session) -> Read<'a> {
    let frame = match Frame::parse(bytes, session.max_length) {
        Ok(frame) => frame,
        Err(Unframed::Incomplete { needed }) => return Read::Incomplete { needed: needed.get() },
        Err(Unframed::Malformed(error)) => return Read::Refused { error: error.into(), kind: None, bytes },
    };
    let (own, rest) = bytes.split_at(frame.len());
    let whole = Whole { bytes: own, trailing: rest.len() };
    let refused = |error| Read::Refused { error, kind: Some(frame.kind()), bytes: own };
    match Message::parse(&frame, session) {
        Err(error) => refused(error),
        Ok(Message::Open(open)) => Read::Open { open, whole },
        Ok(Message::Update(update)) => {
            let verdict = validate(&update);
            match verdict.reset() {
                Some(error) => refused(error),
                None => Read::Update { update, verdict, whole },
            }
        }
        Ok(Message::Notification(notification)) => Read::Notification { notification, whole },
        Ok(Message::Keepalive) => Read::Keepalive { whole },
        Ok(Message::RouteRefresh(refresh)) => Read::RouteRefresh { refresh, whole },
    }
}

impl Read<'_> {
    /// Whether the message is whole and the session goes on.
    pub(crate) const fn is_ok(&self) -> bool {
        !matches!(self, Self::Incomplete { .. } | Self::Refused { .. })
    }

    /// The octets of the message.
    pub(crate) const fn length(&self) -> usize {
        match self.whole() {
            Some(whole) => whole.bytes.len(),
            None => 0,
        }
    }

    /// How many octets were behind the message, if any.
    pub(crate) const fn trailing(&self) -> Option<usize> {
        match self.whole() {
            Some(Whole { trailing: 1.., .. }) => {
                let Some(whole) = self.whole() else { return None };
                Some(whole.trailing)
            }
            _ => None,
        }
    }

    const fn whole(&self) -> Option<&Whole<'_>> {
        match self {
            Self::Incomplete { .. } | Self::Refused { .. } => None,
            Self::Open { whole, .. }
            | Self::Update { whole, .. }
            | Self::Notification { whole, .. }
            | Self::Keepalive { whole }
            | Self::RouteRefresh { whole, .. } => Some(whole),
        }
    }
}

/// The value of a capability as it goes over the wire: what an OPEN with nothing else has at its end.
pub(crate) fn capability_bytes(capability: &Capability<'_>) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let open = Open::new(1, 0, std::net::Ipv4Addr::LOCALHOST, vec![capability.clone().into_owned()]);
    match open.encode(&mut buffer) {
        Ok(length) => buffer[CAPABILITY_VALUE.min(length)..length].to_vec(),
        Err(_) => vec![],
    }
}

/// Header, fixed fields, lengths and types in front of the value of the first capability.
const CAPABILITY_VALUE: usize = 19 + 10 + 2 + 2;
