//! One connection: what follows from each event in each state (RFC 4271 8.2.2).

use super::{Event, State};

/// Something to be done because of an event, in the order in which it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Set the ConnectRetryCounter to zero.
    ResetCounter,
    /// Increment the ConnectRetryCounter.
    Count,
    /// Start the ConnectRetryTimer from its beginning.
    StartConnectRetry,
    /// Stop the ConnectRetryTimer.
    StopConnectRetry,
    /// Initiate a TCP connection.
    Dial,
    /// Send our OPEN.
    SendOpen,
    /// Start the HoldTimer with the large value of 4 minutes.
    StartOpenHold,
    /// Start the HoldTimer with the negotiated value, unless that is zero.
    StartHold,
    /// Start the KeepaliveTimer, unless the negotiated hold time is zero.
    StartKeepalive,
    /// Start the SendHoldTimer, unless the negotiated hold time is zero.
    StartSendHold,
    /// Send a KEEPALIVE.
    SendKeepalive,
    /// Send a NOTIFICATION; a [`Drop`](Self::Drop) follows.
    Notify(Notify),
    /// Drop the TCP connection and everything that belongs to it: timers, what was negotiated, what was not sent.
    Drop,
}

/// Which NOTIFICATION.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Notify {
    /// Cease; the subcode says why.
    Cease,
    /// Hold Timer Expired.
    HoldTimer,
    /// Finite State Machine Error; the subcode says in which state.
    FsmError,
    /// The one that belongs to the error that was found in a message.
    Detected,
    /// Send Hold Timer Expired, if the peer takes it.
    SendHoldTimer,
}

/// What follows from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state from now on.
    pub next: State,
    /// What is to be done.
    pub actions: &'static [Action],
}

/// What follows from `event` in `state`.
#[must_use]
pub const fn transition(state: State, event: Event) -> Transition {
    match state {
        State::Idle => idle(event),
        State::Connect => connect(event),
        State::Active => active(event),
        State::OpenSent => open_sent(event),
        State::OpenConfirm => open_confirm(event),
        State::Established => established(event),
    }
}

const fn idle(event: Event) -> Transition {
    match event {
        Event::ManualStart | Event::AutomaticStart => {
            to(State::Connect, &[Action::ResetCounter, Action::StartConnectRetry, Action::Dial])
        }
        Event::ManualStartPassive | Event::AutomaticStartPassive => {
            to(State::Active, &[Action::ResetCounter, Action::StartConnectRetry])
        }
        // The way of damping is not prescribed: a start that does not forget how often it has failed.
        Event::IdleHoldTimerExpires => to(State::Connect, &[Action::StartConnectRetry, Action::Dial]),
        Event::ManualStop
        | Event::AutomaticStop
        | Event::ConnectRetryTimerExpires
        | Event::HoldTimerExpires
        | Event::KeepaliveTimerExpires
        | Event::TcpCrAcked
        | Event::TcpConnectionConfirmed
        | Event::TcpConnectionFails
        | Event::BgpOpen
        | Event::BgpHeaderErr
        | Event::BgpOpenMsgErr
        | Event::OpenCollisionDump
        | Event::NotifMsgVerErr
        | Event::NotifMsg
        | Event::KeepAliveMsg
        | Event::UpdateMsg
        | Event::UpdateMsgErr
        | Event::SendHoldTimerExpires
        | Event::RouteRefreshMsg
        | Event::RouteRefreshMsgErr
        | Event::BfdDown
        | Event::ReleaseForRestart => stay(State::Idle),
    }
}

const fn connect(event: Event) -> Transition {
    match event {
        Event::ManualStart
        | Event::AutomaticStart
        | Event::ManualStartPassive
        | Event::AutomaticStartPassive
        | Event::BfdDown => stay(State::Connect),
        Event::ManualStop => to(State::Idle, &[Action::Drop, Action::ResetCounter, Action::StopConnectRetry]),
        Event::ConnectRetryTimerExpires => {
            to(State::Connect, &[Action::Drop, Action::StartConnectRetry, Action::Dial])
        }
        Event::TcpCrAcked | Event::TcpConnectionConfirmed => OPENING,
        Event::TcpConnectionFails
        | Event::AutomaticStop
        | Event::HoldTimerExpires
        | Event::KeepaliveTimerExpires
        | Event::IdleHoldTimerExpires
        | Event::BgpOpen
        | Event::BgpHeaderErr
        | Event::BgpOpenMsgErr
        | Event::OpenCollisionDump
        | Event::NotifMsgVerErr
        | Event::NotifMsg
        | Event::KeepAliveMsg
        | Event::UpdateMsg
        | Event::UpdateMsgErr
        | Event::SendHoldTimerExpires
        | Event::RouteRefreshMsg
        | Event::RouteRefreshMsgErr => QUIET_END,
        Event::ReleaseForRestart => RELEASED,
    }
}

const fn active(event: Event) -> Transition {
    match event {
        Event::ManualStart
        | Event::AutomaticStart
        | Event::ManualStartPassive
        | Event::AutomaticStartPassive
        | Event::BfdDown => stay(State::Active),
        Event::ManualStop => to(State::Idle, &[Action::Drop, Action::ResetCounter, Action::StopConnectRetry]),
        Event::ConnectRetryTimerExpires => to(State::Connect, &[Action::StartConnectRetry, Action::Dial]),
        Event::TcpCrAcked | Event::TcpConnectionConfirmed => OPENING,
        Event::TcpConnectionFails => {
            to(State::Idle, &[Action::Drop, Action::Count, Action::StartConnectRetry])
        }
        Event::AutomaticStop
        | Event::HoldTimerExpires
        | Event::KeepaliveTimerExpires
        | Event::IdleHoldTimerExpires
        | Event::BgpOpen
        | Event::BgpHeaderErr
        | Event::BgpOpenMsgErr
        | Event::OpenCollisionDump
        | Event::NotifMsgVerErr
        | Event::NotifMsg
        | Event::KeepAliveMsg
        | Event::UpdateMsg
        | Event::UpdateMsgErr
        | Event::SendHoldTimerExpires
        | Event::RouteRefreshMsg
        | Event::RouteRefreshMsgErr => QUIET_END,
        Event::ReleaseForRestart => RELEASED,
    }
}

const fn open_sent(event: Event) -> Transition {
    match event {
        Event::ManualStart
        | Event::AutomaticStart
        | Event::ManualStartPassive
        | Event::AutomaticStartPassive
        // Another connection of the peer's is tracked on its own; the pair resolves the collision.
        | Event::TcpCrAcked
        | Event::TcpConnectionConfirmed
        | Event::BfdDown => stay(State::OpenSent),
        Event::ManualStop => MANUAL_END,
        Event::AutomaticStop | Event::OpenCollisionDump => end(Notify::Cease),
        Event::HoldTimerExpires => end(Notify::HoldTimer),
        Event::TcpConnectionFails => {
            to(State::Active, &[Action::Drop, Action::Count, Action::StartConnectRetry])
        }
        Event::BgpOpen => to(
            State::OpenConfirm,
            &[Action::StopConnectRetry, Action::SendKeepalive, Action::StartKeepalive, Action::StartHold],
        ),
        Event::BgpHeaderErr | Event::BgpOpenMsgErr => end(Notify::Detected),
        // Never answer a NOTIFICATION with one (6.4).
        Event::NotifMsgVerErr | Event::NotifMsg => QUIET_END,
        Event::ConnectRetryTimerExpires
        | Event::KeepaliveTimerExpires
        | Event::IdleHoldTimerExpires
        | Event::KeepAliveMsg
        | Event::UpdateMsg
        | Event::UpdateMsgErr
        | Event::SendHoldTimerExpires
        | Event::RouteRefreshMsg
        | Event::RouteRefreshMsgErr => end(Notify::FsmError),
        Event::ReleaseForRestart => RELEASED,
    }
}

const fn open_confirm(event: Event) -> Transition {
    match event {
        Event::ManualStart
        | Event::AutomaticStart
        | Event::ManualStartPassive
        | Event::AutomaticStartPassive
        | Event::TcpCrAcked
        | Event::TcpConnectionConfirmed
        | Event::BfdDown => stay(State::OpenConfirm),
        Event::ManualStop => MANUAL_END,
        Event::AutomaticStop | Event::OpenCollisionDump => end(Notify::Cease),
        Event::HoldTimerExpires => end(Notify::HoldTimer),
        Event::KeepaliveTimerExpires => {
            to(State::OpenConfirm, &[Action::SendKeepalive, Action::StartKeepalive])
        }
        Event::TcpConnectionFails | Event::NotifMsg | Event::NotifMsgVerErr => QUIET_END,
        Event::BgpHeaderErr | Event::BgpOpenMsgErr => end(Notify::Detected),
        Event::KeepAliveMsg => to(State::Established, &[Action::StartHold, Action::StartSendHold]),
        // A valid OPEN of this very connection; one of another connection is OpenCollisionDump for the loser.
        Event::BgpOpen
        | Event::ConnectRetryTimerExpires
        | Event::IdleHoldTimerExpires
        | Event::UpdateMsg
        | Event::UpdateMsgErr
        | Event::SendHoldTimerExpires
        | Event::RouteRefreshMsg
        | Event::RouteRefreshMsgErr => end(Notify::FsmError),
        Event::ReleaseForRestart => RELEASED,
    }
}

const fn established(event: Event) -> Transition {
    match event {
        Event::ManualStart
        | Event::AutomaticStart
        | Event::ManualStartPassive
        | Event::AutomaticStartPassive
        | Event::TcpCrAcked
        | Event::TcpConnectionConfirmed
        | Event::RouteRefreshMsg => stay(State::Established),
        Event::ManualStop => MANUAL_END,
        Event::AutomaticStop | Event::OpenCollisionDump | Event::BfdDown => end(Notify::Cease),
        Event::HoldTimerExpires => end(Notify::HoldTimer),
        Event::KeepaliveTimerExpires => {
            to(State::Established, &[Action::SendKeepalive, Action::StartKeepalive])
        }
        Event::TcpConnectionFails | Event::NotifMsg | Event::NotifMsgVerErr => QUIET_END,
        Event::KeepAliveMsg | Event::UpdateMsg => to(State::Established, &[Action::StartHold]),
        Event::BgpHeaderErr | Event::BgpOpenMsgErr | Event::UpdateMsgErr | Event::RouteRefreshMsgErr => {
            end(Notify::Detected)
        }
        Event::SendHoldTimerExpires => end(Notify::SendHoldTimer),
        Event::BgpOpen | Event::ConnectRetryTimerExpires | Event::IdleHoldTimerExpires => {
            end(Notify::FsmError)
        }
        Event::ReleaseForRestart => RELEASED,
    }
}

const fn to(next: State, actions: &'static [Action]) -> Transition {
    Transition { next, actions }
}

const fn stay(state: State) -> Transition {
    to(state, &[])
}

/// There is a connection.
const OPENING: Transition =
    to(State::OpenSent, &[Action::StopConnectRetry, Action::SendOpen, Action::StartOpenHold]);

/// There is nothing to be said, or nobody to say it to.
const QUIET_END: Transition = to(State::Idle, &[Action::StopConnectRetry, Action::Drop, Action::Count]);

/// Nothing may be said.
const RELEASED: Transition = to(State::Idle, &[Action::StopConnectRetry, Action::Drop]);

const MANUAL_END: Transition = to(
    State::Idle,
    &[Action::Notify(Notify::Cease), Action::StopConnectRetry, Action::Drop, Action::ResetCounter],
);

/// The end with a NOTIFICATION.
const fn end(notify: Notify) -> Transition {
    const CEASE: &[Action] = &notifying(Notify::Cease);
    const HOLD_TIMER: &[Action] = &notifying(Notify::HoldTimer);
    const FSM_ERROR: &[Action] = &notifying(Notify::FsmError);
    const DETECTED: &[Action] = &notifying(Notify::Detected);
    const SEND_HOLD_TIMER: &[Action] = &notifying(Notify::SendHoldTimer);
    let actions = match notify {
        Notify::Cease => CEASE,
        Notify::HoldTimer => HOLD_TIMER,
        Notify::FsmError => FSM_ERROR,
        Notify::Detected => DETECTED,
        Notify::SendHoldTimer => SEND_HOLD_TIMER,
    };
    to(State::Idle, actions)
}

const fn notifying(notify: Notify) -> [Action; 4] {
    [Action::Notify(notify), Action::StopConnectRetry, Action::Drop, Action::Count]
}
