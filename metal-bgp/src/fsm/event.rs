//! The states of a connection and what can happen to it.

use core::fmt;

use crate::wire::frame::MessageType;

/// The state of a connection (RFC 4271 8.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// There is none, and none is accepted.
    #[default]
    Idle,
    /// It is being dialled.
    Connect,
    /// One is awaited from the peer, or dialled again when the ConnectRetryTimer expires.
    Active,
    /// It stands; our OPEN is on its way, the peer's is awaited.
    OpenSent,
    /// Both OPENs are good; the peer's first KEEPALIVE is awaited.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

/// What happens to a connection: the events of RFC 4271 8.1 by their names there, and those of later RFCs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// 1: the operator starts the peer.
    ManualStart,
    /// 2: the operator stops the peer.
    ManualStop,
    /// 3: the local system starts the peer.
    AutomaticStart,
    /// 4: the operator starts the peer, and only listens.
    ManualStartPassive,
    /// 5: the local system starts the peer, and only listens.
    AutomaticStartPassive,
    /// 8: the local system stops the peer.
    AutomaticStop,
    /// 9: time to dial again.
    ConnectRetryTimerExpires,
    /// 10: the peer has been silent for too long.
    HoldTimerExpires,
    /// 11: time for a KEEPALIVE.
    KeepaliveTimerExpires,
    /// 13: the pause after a failed attempt is over.
    IdleHoldTimerExpires,
    /// 16: the connection that we dialled stands.
    TcpCrAcked,
    /// 17: the connection that the peer dialled stands.
    TcpConnectionConfirmed,
    /// 18: the connection was refused, reset, closed, or never came about.
    TcpConnectionFails,
    /// 19: a valid OPEN.
    BgpOpen,
    /// 21: a malformed message header.
    BgpHeaderErr,
    /// 22: an OPEN that is malformed or not acceptable.
    BgpOpenMsgErr,
    /// 23: another connection with the peer is kept instead of this one.
    OpenCollisionDump,
    /// 24: a NOTIFICATION that says that the version is not supported.
    NotifMsgVerErr,
    /// 25: any other NOTIFICATION.
    NotifMsg,
    /// 26: a KEEPALIVE.
    KeepAliveMsg,
    /// 27: a valid UPDATE.
    UpdateMsg,
    /// 28: an UPDATE that ends the session.
    UpdateMsgErr,
    /// 29: the peer has not taken anything for too long (RFC 9687).
    SendHoldTimerExpires,
    /// A ROUTE-REFRESH (RFC 2918).
    RouteRefreshMsg,
    /// A malformed ROUTE-REFRESH (RFC 7313 5).
    RouteRefreshMsgErr,
    /// BFD has lost the peer (RFC 9384).
    BfdDown,
    /// This speaker restarts, and the peer shall keep its routes (RFC 4724 4.1): nothing may be said.
    ReleaseForRestart,
}

impl State {
    /// All of them, in the order of their names above.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Connect, Self::Active, Self::OpenSent, Self::OpenConfirm, Self::Established];
}

impl Event {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 27] = [
        Self::ManualStart,
        Self::ManualStop,
        Self::AutomaticStart,
        Self::ManualStartPassive,
        Self::AutomaticStartPassive,
        Self::AutomaticStop,
        Self::ConnectRetryTimerExpires,
        Self::HoldTimerExpires,
        Self::KeepaliveTimerExpires,
        Self::IdleHoldTimerExpires,
        Self::TcpCrAcked,
        Self::TcpConnectionConfirmed,
        Self::TcpConnectionFails,
        Self::BgpOpen,
        Self::BgpHeaderErr,
        Self::BgpOpenMsgErr,
        Self::OpenCollisionDump,
        Self::NotifMsgVerErr,
        Self::NotifMsg,
        Self::KeepAliveMsg,
        Self::UpdateMsg,
        Self::UpdateMsgErr,
        Self::SendHoldTimerExpires,
        Self::RouteRefreshMsg,
        Self::RouteRefreshMsgErr,
        Self::BfdDown,
        Self::ReleaseForRestart,
    ];

    /// The number that RFC 4271 8.1, or RFC 9687 4.2, gives it.
    #[must_use]
    pub const fn number(self) -> Option<u8> {
        Some(match self {
            Self::ManualStart => 1,
            Self::ManualStop => 2,
            Self::AutomaticStart => 3,
            Self::ManualStartPassive => 4,
            Self::AutomaticStartPassive => 5,
            Self::AutomaticStop => 8,
            Self::ConnectRetryTimerExpires => 9,
            Self::HoldTimerExpires => 10,
            Self::KeepaliveTimerExpires => 11,
            Self::IdleHoldTimerExpires => 13,
            Self::TcpCrAcked => 16,
            Self::TcpConnectionConfirmed => 17,
            Self::TcpConnectionFails => 18,
            Self::BgpOpen => 19,
            Self::BgpHeaderErr => 21,
            Self::BgpOpenMsgErr => 22,
            Self::OpenCollisionDump => 23,
            Self::NotifMsgVerErr => 24,
            Self::NotifMsg => 25,
            Self::KeepAliveMsg => 26,
            Self::UpdateMsg => 27,
            Self::UpdateMsgErr => 28,
            Self::SendHoldTimerExpires => 29,
            Self::RouteRefreshMsg | Self::RouteRefreshMsgErr | Self::BfdDown | Self::ReleaseForRestart => {
                return None;
            }
        })
    }

    /// The message that it is about, where it is about one whose kind is known.
    #[must_use]
    pub const fn message(self) -> Option<MessageType> {
        match self {
            Self::BgpOpen | Self::BgpOpenMsgErr => Some(MessageType::Open),
            Self::NotifMsg | Self::NotifMsgVerErr => Some(MessageType::Notification),
            Self::KeepAliveMsg => Some(MessageType::Keepalive),
            Self::UpdateMsg | Self::UpdateMsgErr => Some(MessageType::Update),
            Self::RouteRefreshMsg | Self::RouteRefreshMsgErr => Some(MessageType::RouteRefresh),
            Self::ManualStart
            | Self::ManualStop
            | Self::AutomaticStart
            | Self::ManualStartPassive
            | Self::AutomaticStartPassive
            | Self::AutomaticStop
            | Self::ConnectRetryTimerExpires
            | Self::HoldTimerExpires
            | Self::KeepaliveTimerExpires
            | Self::IdleHoldTimerExpires
            | Self::TcpCrAcked
            | Self::TcpConnectionConfirmed
            | Self::TcpConnectionFails
            | Self::BgpHeaderErr
            | Self::OpenCollisionDump
            | Self::SendHoldTimerExpires
            | Self::BfdDown
            | Self::ReleaseForRestart => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
