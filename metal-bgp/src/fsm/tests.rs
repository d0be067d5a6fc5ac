//! The table beside the text of RFC 4271 8.2.2, and what two connections do to each other.

use alloc::{collections::BTreeSet, vec::Vec};

use super::{
    Action::{
        Count, Dial, Drop, Notify as Say, ResetCounter, SendKeepalive, SendOpen, StartConnectRetry,
        StartHold, StartKeepalive, StartOpenHold, StartSendHold, StopConnectRetry,
    },
    State::{Active, Connect, Established, Idle, OpenConfirm, OpenSent},
    *,
};

/// Events by number, the state that follows, and what is done.
type Row<E> = (&'static [E], State, &'static [Action]);

/// The end with a NOTIFICATION, in the order of the text.
const CEASE: &[Action] = &[Say(Notify::Cease), StopConnectRetry, Drop, Count];
const FSM_ERROR: &[Action] = &[Say(Notify::FsmError), StopConnectRetry, Drop, Count];
const HOLD_EXPIRED: &[Action] = &[Say(Notify::HoldTimer), StopConnectRetry, Drop, Count];
const ERROR_FOUND: &[Action] = &[Say(Notify::Detected), StopConnectRetry, Drop, Count];
const CEASE_BY_HAND: &[Action] = &[Say(Notify::Cease), StopConnectRetry, Drop, ResetCounter];
/// "stops the ConnectRetryTimer, releases all BGP resources, drops the TCP connection, increments the
/// ConnectRetryCounter by 1".
const RELEASE: &[Action] = &[StopConnectRetry, Drop, Count];

/// RFC 4271 8.2.2, one row for each paragraph. Initialising resources, listening, deleting routes and damping need no
/// action of their own; timers and events of options that are not supported are left out (see the front page).
fn rfc_4271(state: State) -> &'static [Row<u8>] {
    match state {
        Idle => &[
            // "In this state, BGP FSM refuses all incoming BGP connections"; "ignored in the Idle state".
            (&[2, 8], Idle, &[]),
            (&[1, 3], Connect, &[ResetCounter, StartConnectRetry, Dial]),
            (&[4, 5], Active, &[ResetCounter, StartConnectRetry]),
            // "Any other event (Events 9-12, 15-28) received in the Idle state does not cause change".
            (&[9, 10, 11, 16, 17, 18, 19, 21, 22, 23, 24, 25, 26, 27, 28], Idle, &[]),
            // "The method of preventing persistent peer oscillation is outside the scope of this document."
            (&[13], Idle, &[]),
        ],
        Connect => &[
            (&[1, 3, 4, 5], Connect, &[]),
            (&[2], Idle, &[Drop, ResetCounter, StopConnectRetry]),
            (&[9], Connect, &[Drop, StartConnectRetry, Dial]),
            (&[16, 17], OpenSent, &[StopConnectRetry, SendOpen, StartOpenHold]),
            (&[18], Idle, &[StopConnectRetry, Drop]),
            (&[21, 22], Idle, RELEASE),
            (&[24], Idle, RELEASE),
            // "In response to any other events (Events 8, 10-11, 13, 19, 23, 25-28)".
            (&[8, 10, 11, 13, 19, 23, 25, 26, 27, 28], Idle, RELEASE),
        ],
        Active => &[
            (&[1, 3, 4, 5], Active, &[]),
            (&[2], Idle, &[Drop, ResetCounter, StopConnectRetry]),
            (&[9], Connect, &[StartConnectRetry, Dial]),
            (&[16, 17], OpenSent, &[StopConnectRetry, SendOpen, StartOpenHold]),
            (&[18], Idle, &[StartConnectRetry, Drop, Count]),
            (&[21, 22], Idle, RELEASE),
            (&[24], Idle, RELEASE),
            // "In response to any other event (Events 8, 10-11, 13, 19, 23, 25-28)".
            (&[8, 10, 11, 13, 19, 23, 25, 26, 27, 28], Idle, RELEASE),
        ],
        OpenSent => &[
            (&[1, 3, 4, 5], OpenSent, &[]),
            (&[2], Idle, CEASE_BY_HAND),
            (&[8], Idle, CEASE),
            (&[10], Idle, HOLD_EXPIRED),
            // "a second TCP connection may be in progress. This second TCP connection is tracked".
            (&[16, 17], OpenSent, &[]),
            // "closes the BGP connection, restarts the ConnectRetryTimer, continues to listen".
            (&[18], Active, &[Drop, StartConnectRetry]),
            (&[19], OpenConfirm, &[StopConnectRetry, SendKeepalive, StartKeepalive, StartHold]),
            (&[21, 22], Idle, ERROR_FOUND),
            (&[23], Idle, CEASE),
            (&[24], Idle, &[StopConnectRetry, Drop]),
            // "In response to any other event (Events 9, 11-13, 20, 25-28)".
            (&[9, 11, 13, 25, 26, 27, 28], Idle, FSM_ERROR),
        ],
        OpenConfirm => &[
            (&[1, 3, 4, 5], OpenConfirm, &[]),
            (&[2], Idle, CEASE_BY_HAND),
            (&[8], Idle, CEASE),
            (&[10], Idle, HOLD_EXPIRED),
            (&[11], OpenConfirm, &[SendKeepalive, StartKeepalive]),
            (&[16, 17], OpenConfirm, &[]),
            (&[18, 25], Idle, RELEASE),
            (&[24], Idle, &[StopConnectRetry, Drop]),
            // "If this connection is to be dropped due to connection collision".
            (&[19], Idle, CEASE),
            (&[21, 22], Idle, ERROR_FOUND),
            (&[23], Idle, CEASE),
            // With what RFC 9687 4.3 adds.
            (&[26], Established, &[StartHold, StartSendHold]),
            // "In response to any other event (Events 9, 12-13, 20, 27-28)".
            (&[9, 13, 27, 28], Idle, FSM_ERROR),
        ],
        Established => &[
            (&[1, 3, 4, 5], Established, &[]),
            (&[2], Idle, CEASE_BY_HAND),
            (&[8], Idle, CEASE),
            (&[10], Idle, HOLD_EXPIRED),
            (&[11], Established, &[SendKeepalive, StartKeepalive]),
            (&[16, 17], Established, &[]),
            // Only with CollisionDetectEstablishedState something happens.
            (&[19], Established, &[]),
            (&[23], Idle, CEASE),
            (&[18, 24, 25], Idle, RELEASE),
            (&[26, 27], Established, &[StartHold]),
            (&[28], Idle, ERROR_FOUND),
            // "In response to any other event (Events 9, 12-13, 20-22)".
            (&[9, 13, 21, 22], Idle, FSM_ERROR),
        ],
    }
}

/// Where the text is not followed, each with its reason on the front page of the module.
const DEVIATIONS: [(State, Event, State, &[Action]); 11] = [
    // Damping is a start that keeps the counter.
    (Idle, Event::IdleHoldTimerExpires, Connect, &[StartConnectRetry, Dial]),
    // What failed counts.
    (Connect, Event::TcpConnectionFails, Idle, RELEASE),
    (OpenSent, Event::TcpConnectionFails, Active, &[Drop, Count, StartConnectRetry]),
    (OpenSent, Event::NotifMsgVerErr, Idle, RELEASE),
    (OpenConfirm, Event::NotifMsgVerErr, Idle, RELEASE),
    // A NOTIFICATION is not answered.
    (OpenSent, Event::NotifMsg, Idle, RELEASE),
    // A second OPEN on one connection.
    (OpenConfirm, Event::BgpOpen, Idle, FSM_ERROR),
    (Established, Event::BgpOpen, Idle, FSM_ERROR),
    // Errors have a code of their own.
    (Established, Event::BgpHeaderErr, Idle, ERROR_FOUND),
    (Established, Event::BgpOpenMsgErr, Idle, ERROR_FOUND),
    // An established session ends with Cease (RFC 9384 3); others do not depend on BFD.
    (Established, Event::BfdDown, Idle, CEASE),
];

/// The events of later RFCs. Where they have no place they are "any other event".
fn later(state: State) -> [Row<Event>; 5] {
    use Event::{BfdDown, ReleaseForRestart, RouteRefreshMsg, RouteRefreshMsgErr, SendHoldTimerExpires};
    let other = match state {
        Idle => (Idle, &[][..]),
        Connect | Active => (Idle, RELEASE),
        OpenSent | OpenConfirm | Established => (Idle, FSM_ERROR),
    };
    let here = |established: Row<Event>| match state {
        Established => established,
        Idle | Connect | Active | OpenSent | OpenConfirm => (established.0, other.0, other.1),
    };
    let send_hold_expired: &[Action] = &[Say(Notify::SendHoldTimer), StopConnectRetry, Drop, Count];
    [
        here((&[SendHoldTimerExpires], Idle, send_hold_expired)),
        here((&[RouteRefreshMsg], Established, &[])),
        here((&[RouteRefreshMsgErr], Idle, ERROR_FOUND)),
        (&[BfdDown], state, &[]),
        (&[ReleaseForRestart], Idle, if state == Idle { &[] } else { &[StopConnectRetry, Drop] }),
    ]
}

fn set(actions: &[Action]) -> BTreeSet<Action> {
    let set: BTreeSet<_> = actions.iter().copied().collect();
    assert_eq!(set.len(), actions.len(), "an action twice");
    set
}

#[test]
fn every_state_and_event_is_as_the_rfc_says() {
    for state in State::ALL {
        for event in Event::ALL {
            let numbered: Vec<_> = rfc_4271(state)
                .iter()
                .filter(|(events, ..)| event.number().is_some_and(|number| events.contains(&number)))
                .map(|(_, next, actions)| (*next, set(actions)))
                .collect();
            let later: Vec<_> = later(state)
                .iter()
                .filter(|(events, ..)| events.contains(&event))
                .map(|(_, next, actions)| (*next, set(actions)))
                .collect();
            let told = [numbered, later].concat();
            assert_eq!(told.len(), 1, "{state} and {event:?} are told exactly once");
            let deviation = DEVIATIONS.iter().find(|(at, what, ..)| (*at, *what) == (state, event));
            let deviation = deviation.map(|(.., next, actions)| (*next, set(actions)));
            assert_ne!(deviation.as_ref(), told.first(), "{state}, {event:?}: this is no deviation");
            let expected = deviation.as_ref().or(told.first());

            let Transition { next, actions } = transition(state, event);
            assert_eq!(Some(&(next, set(actions))), expected, "{state}, {event:?}");
        }
    }
}

#[test]
fn actions_come_in_an_order_that_can_be_performed() {
    for (state, event) in State::ALL.iter().flat_map(|state| Event::ALL.map(|event| (*state, event))) {
        let Transition { next, actions } = transition(state, event);
        let place = |wanted: Action| actions.iter().position(|action| *action == wanted);
        let says = actions.iter().position(|action| matches!(action, Say(_)));
        if let Some(says) = says {
            assert!(
                place(Drop).is_some_and(|drops| drops > says),
                "{state}, {event:?}: first say, then drop"
            );
            assert!(state >= OpenSent, "{state}, {event:?}: nobody to say it to");
        }
        if let (Some(drops), Some(dials)) = (place(Drop), place(Dial)) {
            assert!(drops < dials);
        }
        if let (Some(counts), Some(starts)) = (place(Count), place(StartConnectRetry)) {
            assert!(counts < starts, "{state}, {event:?}: the pause depends on the counter");
        }
        // A connection that ends is dropped, and only such a one.
        let ends = state >= OpenSent && next < OpenSent;
        assert!(!ends || place(Drop).is_some(), "{state}, {event:?}");
        assert!(state < OpenSent || ends || place(Drop).is_none(), "{state}, {event:?}");
        // Nobody is Established who has not gone through all of it.
        assert!(next != Established || matches!(state, OpenConfirm | Established));
        assert!(next != OpenConfirm || matches!(state, OpenSent | OpenConfirm));
    }
}

#[test]
fn a_notification_is_never_answered() {
    for state in State::ALL {
        for event in [Event::NotifMsg, Event::NotifMsgVerErr] {
            let actions = transition(state, event).actions;
            assert!(!actions.iter().any(|action| matches!(action, Say(_))), "{state}, {event:?}");
        }
    }
}

#[test]
fn stale_timers_cannot_start_anything() {
    let timers = [Event::ConnectRetryTimerExpires, Event::HoldTimerExpires, Event::KeepaliveTimerExpires];
    for event in timers.into_iter().chain([Event::SendHoldTimerExpires]) {
        assert_eq!(transition(Idle, event), Transition { next: Idle, actions: &[] });
    }
}

fn speaker(identifier: [u8; 4], asn: u32) -> Speaker {
    Speaker { identifier: identifier.into(), asn }
}

/// Both connections, in these states.
fn pair(dialled: &[Event], accepted: &[Event]) -> Pair {
    let mut pair = Pair::default();
    pair.run(true, true);
    for (slot, events) in [(Slot::Dialled, dialled), (Slot::Accepted, accepted)] {
        for event in events {
            let _ = pair.fire(slot, *event);
        }
    }
    pair
}

const TO_OPEN_SENT: &[Event] = &[Event::ManualStartPassive, Event::TcpConnectionConfirmed];
const TO_OPEN_CONFIRM: &[Event] = &[Event::ManualStartPassive, Event::TcpConnectionConfirmed, Event::BgpOpen];
const TO_ESTABLISHED: &[Event] =
    &[Event::ManualStartPassive, Event::TcpConnectionConfirmed, Event::BgpOpen, Event::KeepAliveMsg];

#[test]
fn the_higher_identifier_keeps_its_connection() {
    let (low, high) = (speaker([10, 0, 0, 9], 64_512), speaker([10, 0, 1, 0], 64_000));
    // The identifier is a number of four octets, and the AS does not matter.
    let first_dialled = pair(TO_OPEN_CONFIRM, TO_OPEN_SENT);
    assert_eq!(first_dialled.collision(Slot::Accepted, high, low), Some(Slot::Accepted));
    assert_eq!(first_dialled.collision(Slot::Accepted, low, high), Some(Slot::Dialled));
    let first_accepted = pair(TO_OPEN_SENT, TO_OPEN_CONFIRM);
    assert_eq!(first_accepted.collision(Slot::Dialled, high, low), Some(Slot::Accepted));
    assert_eq!(first_accepted.collision(Slot::Dialled, low, high), Some(Slot::Dialled));
    // Both sides keep the same one: what one has dialled, the other has accepted.
    for (ours, theirs) in [(low, high), (high, low)] {
        let here = first_dialled.collision(Slot::Accepted, ours, theirs);
        let there = first_accepted.collision(Slot::Dialled, theirs, ours);
        assert_eq!(here.map(Slot::other), there);
    }
}

#[test]
fn of_equal_identifiers_the_larger_as_keeps_its_connection() {
    let (low, high) = (speaker([10, 0, 0, 1], 64_512), speaker([10, 0, 0, 1], 4_200_000_000));
    let pair = pair(TO_OPEN_CONFIRM, TO_OPEN_SENT);
    assert_eq!(pair.collision(Slot::Accepted, high, low), Some(Slot::Accepted));
    assert_eq!(pair.collision(Slot::Accepted, low, high), Some(Slot::Dialled));
}

#[test]
fn a_session_wins_and_a_lone_connection_has_no_collision() {
    let (low, high) = (speaker([10, 0, 0, 1], 64_512), speaker([10, 0, 0, 2], 64_513));
    for (ours, theirs) in [(low, high), (high, low)] {
        assert_eq!(
            pair(TO_ESTABLISHED, TO_OPEN_SENT).collision(Slot::Accepted, ours, theirs),
            Some(Slot::Accepted)
        );
        assert_eq!(
            pair(TO_OPEN_SENT, TO_ESTABLISHED).collision(Slot::Dialled, ours, theirs),
            Some(Slot::Dialled)
        );
        assert_eq!(pair(TO_OPEN_SENT, TO_OPEN_SENT).collision(Slot::Dialled, ours, theirs), None);
        assert_eq!(pair(TO_OPEN_SENT, &[]).collision(Slot::Dialled, ours, theirs), None);
    }
}

#[test]
fn who_may_come_in() {
    let mut stopped = Pair::default();
    assert_eq!(stopped.admit(false), Admission::Reject);
    stopped.run(true, false);
    assert_eq!(stopped.admit(false), Admission::Reject, "it does not listen");
    assert_eq!(pair(&[], &[Event::ManualStartPassive]).admit(false), Admission::Take);
    assert_eq!(pair(TO_OPEN_CONFIRM, &[Event::ManualStartPassive]).admit(false), Admission::Take);
    assert_eq!(pair(&[], TO_OPEN_SENT).admit(false), Admission::Replace(Slot::Accepted));
    assert_eq!(pair(TO_ESTABLISHED, &[]).admit(false), Admission::Collision);
    // RFC 4724 4.2: the peer has restarted.
    assert_eq!(pair(TO_ESTABLISHED, &[]).admit(true), Admission::Replace(Slot::Dialled));
    assert_eq!(pair(&[], TO_ESTABLISHED).admit(true), Admission::Replace(Slot::Accepted));
}

#[test]
fn chores_end_from_wherever_they_begin() {
    let ways: [&[Event]; 6] = [
        &[],
        &[Event::ManualStart],
        &[Event::ManualStartPassive],
        TO_OPEN_SENT,
        TO_OPEN_CONFIRM,
        TO_ESTABLISHED,
    ];
    let all = ways.iter().flat_map(|dialled| ways.map(|accepted| (*dialled, accepted)));
    // What is accepted is never dialled.
    for (dialled, accepted) in all.filter(|(_, accepted)| *accepted != [Event::ManualStart]) {
        for flags in 0..16 {
            let flag = |n: u8| flags >> n & 1 == 1;
            let mut pair = pair(dialled, accepted);
            pair.run(flag(0), flag(1));
            if flag(2) {
                pair.halt();
            }
            let mut waiting = flag(3);
            let mut steps = 0;
            while let Some(chore) = pair.chore(waiting) {
                match chore {
                    Chore::Fire(slot, event) => drop(pair.fire(slot, event)),
                    Chore::Wait => waiting = true,
                    Chore::StopWaiting => waiting = false,
                }
                steps += 1;
                assert!(steps < 5, "{dialled:?} {accepted:?} {flags:04b}");
            }
            assert!(!waiting || pair.is_running());
            // Somebody always does something about a peer that is wanted.
            let busy = waiting || pair.state(Slot::Dialled) != Idle || pair.state(Slot::Accepted) != Idle;
            assert!(busy || !pair.is_running() || !(flag(0) || flag(1)));
        }
    }
}
