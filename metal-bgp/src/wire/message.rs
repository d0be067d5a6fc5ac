//! Any message.

use super::{
    EncodeError, Error, Notification, Open, RouteRefresh, Session, Update,
    frame::{Frame, HeaderError, MessageType},
    writer::Writer,
};

/// A message that has been read; its parts are looked at where they lie.
#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// OPEN.
    Open(Open<'a>),
    /// UPDATE.
    Update(Update<'a>),
    /// NOTIFICATION.
    Notification(Notification<'a>),
    /// KEEPALIVE.
    Keepalive,
    /// ROUTE-REFRESH.
    RouteRefresh(RouteRefresh),
}

impl<'a> Message<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// When the session has to end.
    #[inline]
    pub fn parse(frame: &Frame<'a>, session: &Session) -> Result<Self, Error> {
        let body = frame.body();
        match frame.kind() {
            MessageType::Open => Open::parse(body).map(Self::Open),
            MessageType::Update => Update::parse(body, session).map(Self::Update),
            MessageType::Notification => Notification::parse(body)
                .map(Self::Notification)
                .ok_or_else(|| HeaderError::BadMessageLength(frame.length_field()).into()),
            MessageType::Keepalive => Ok(Self::Keepalive),
            MessageType::RouteRefresh => RouteRefresh::parse(body).map(Self::RouteRefresh),
        }
    }

    /// What kind of message it is.
    #[must_use]
    pub const fn kind(&self) -> MessageType {
        match self {
            Self::Open(_) => MessageType::Open,
            Self::Update(_) => MessageType::Update,
            Self::Notification(_) => MessageType::Notification,
            Self::Keepalive => MessageType::Keepalive,
            Self::RouteRefresh(_) => MessageType::RouteRefresh,
        }
    }
}

/// Writes a KEEPALIVE and returns its length.
///
/// # Errors
/// When the buffer is too short for it.
pub fn encode_keepalive(out: &mut [u8]) -> Result<usize, EncodeError> {
    Writer::message(out, MessageType::Keepalive)?.finish()
}
