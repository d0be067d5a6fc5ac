//! What ends a session, and what the peer is told.

use metal_bgp::{
    fsm::State,
    peer::{Cause, Input, Notice, Offer, Output, Restart, Settings, Stop, Transport},
    wire::{
        Capability, Family,
        capability::{GracefulRestart, RestartFamily},
        frame::MessageType,
    },
};

use crate::support::{
    Bench, Said, closed, keepalive, message, notification, open, settings, their_open, theirs, updates,
};

/// In OpenSent, OpenConfirm and Established, after everything was heard.
fn in_state(state: State) -> Bench {
    let mut bench = Bench::connected(settings());
    bench.heard();
    if state >= State::OpenConfirm {
        bench.say(&open(&theirs()));
        bench.heard();
    }
    if state == State::Established {
        bench.say(&keepalive());
    }
    assert_eq!(bench.peer.state(), state);
    bench
}

const OPEN_STATES: [State; 3] = [State::OpenSent, State::OpenConfirm, State::Established];

#[test]
fn a_malformed_header_in_any_state() {
    let mut bad_marker = keepalive();
    bad_marker[3] = 0;
    let mut bad_length = keepalive();
    bad_length[17] = 20;
    let mut bad_type = keepalive();
    bad_type[18] = 9;
    for state in OPEN_STATES {
        for (bytes, subcode, data) in
            [(&bad_marker, 1, vec![]), (&bad_length, 2, vec![0, 20]), (&bad_type, 3, vec![9])]
        {
            let (said, ending) = closed(&in_state(state).say(bytes));
            assert_eq!(said, [Said::Notification(1, subcode, data)], "{ending}");
            assert_eq!(ending.state, state);
        }
    }
}

/// RFC 6608: the subcode says the state, the data the message.
#[test]
fn messages_out_of_place() {
    let bad_update = message(MessageType::Update, &[0, 9, 0, 0]);
    let refresh = message(MessageType::RouteRefresh, &[0, 1, 0, 1]);
    let bad_refresh = message(MessageType::RouteRefresh, &[0, 1, 1, 1, 1]);
    for (state, bytes, subcode, kind) in [
        (State::OpenSent, keepalive(), 1, 4),
        (State::OpenSent, updates(1), 1, 2),
        (State::OpenSent, bad_update.clone(), 1, 2),
        (State::OpenSent, refresh.clone(), 1, 5),
        (State::OpenSent, bad_refresh, 1, 5),
        (State::OpenConfirm, updates(1), 2, 2),
        (State::OpenConfirm, bad_update, 2, 2),
        (State::OpenConfirm, open(&theirs()), 2, 1),
        (State::OpenConfirm, refresh, 2, 5),
        (State::Established, open(&theirs()), 3, 1),
    ] {
        let (said, ending) = closed(&in_state(state).say(&bytes));
        assert_eq!(said, [Said::Notification(5, subcode, vec![kind])], "{ending}");
        let kind = MessageType::from_code(kind).expect("a kind");
        assert_eq!(ending.cause, Cause::Unexpected(Some(kind), state));
    }
}

#[test]
fn updates_that_end_the_session() {
    let twice = [0x80, 15, 3, 0, 1, 1];
    let body = [&[0, 0, 0, 12][..], &twice, &twice].concat();
    for (body, expected) in [
        (&[0, 9, 0, 0][..], (3, 1, vec![])),
        (&[0, 0, 0, 9], (3, 1, vec![])),
        (&[0, 0, 0, 0, 33, 10, 0, 0, 0, 0], (3, 10, vec![])),
        (&body, (3, 1, vec![])),
        (&[0, 0, 0, 3, 0x40, 99, 0], (3, 2, vec![0x40, 99, 0])),
    ] {
        let bytes = message(MessageType::Update, body);
        let mut bench = in_state(State::Established);
        let session = bench.session();
        let (said, ending) = closed(&bench.say(&bytes));
        let (code, subcode, data) = expected;
        assert_eq!(said, [Said::Notification(code, subcode, data)], "{ending}");
        assert_eq!((ending.session, ending.message.as_deref()), (Some(session), Some(&bytes[..])));
    }
}

#[test]
fn a_malformed_route_refresh() {
    let bytes = message(MessageType::RouteRefresh, &[0, 1, 1, 1, 1]);
    let (said, _) = closed(&in_state(State::Established).say(&bytes));
    assert_eq!(said, [Said::Notification(7, 1, bytes)]);
    // A request of the wrong length is a wrong length.
    let bytes = message(MessageType::RouteRefresh, &[0, 1, 0, 1, 1]);
    let (said, _) = closed(&in_state(State::Established).say(&bytes));
    assert_eq!(said, [Said::Notification(1, 2, vec![0, 24])]);
}

#[test]
fn a_notification_is_not_answered() {
    for state in OPEN_STATES {
        for (code, subcode) in [(2, 1), (6, 2), (6, 7), (4, 0), (99, 99)] {
            let mut bench = in_state(state);
            let (said, ending) = closed(&bench.say(&notification(code, subcode, &[])));
            assert_eq!((said, &ending.sent), (vec![], &None));
            let received = bench.peer.status().last_received.expect("it is kept");
            assert_eq!((received.1.code, received.1.subcode), (code, subcode));
        }
        // Nor is one that cannot be read.
        let mut short = keepalive();
        short[18] = 3;
        let (said, ending) = closed(&in_state(state).say(&short));
        assert_eq!((said, ending.cause), (vec![], Cause::NotifiedUnreadably));
    }
}

#[test]
fn what_the_peer_said_in_words() {
    let text = |bytes: &[u8]| closed(&in_state(State::Established).say(bytes)).1.cause.to_string();
    let shutdown = [&[11][..], b"maintenance"].concat();
    assert_eq!(
        text(&notification(6, 2, &shutdown)),
        "the peer says: Cease: Administrative Shutdown: \"maintenance\""
    );
    assert_eq!(
        text(&notification(6, 2, &[200, 255, 254])),
        "the peer says: Cease: Administrative Shutdown: c8fffe"
    );
    let hard = [&[6, 4, 3][..], b"bye"].concat();
    assert_eq!(
        text(&notification(6, 9, &hard)),
        "the peer says: Hard Reset: Cease: Administrative Reset: \"bye\""
    );
    assert_eq!(
        text(&notification(3, 5, &[0x40, 1, 2, 0, 0])),
        "the peer says: UPDATE Message Error: Attribute Length Error (4001020000)"
    );
    assert_eq!(text(&notification(4, 0, &[])), "the peer says: Hold Timer Expired");
    assert_eq!(text(&notification(77, 3, &[])), "the peer says: error code 77: subcode 3");
}

#[test]
fn why_this_side_ends_it() {
    let with_text = [&[5][..], b"drain"].concat();
    for (stop, expected) in [
        (Stop::Shutdown("drain".into()), Some((2, with_text.clone()))),
        (Stop::Shutdown(String::new()), Some((2, vec![]))),
        (Stop::Deconfigured, Some((3, vec![]))),
        (Stop::Reset("drain".into()), Some((4, with_text))),
        (Stop::ConfigurationChange, Some((6, vec![]))),
        (Stop::OutOfResources, Some((8, vec![]))),
        (Stop::ForRestart, None),
    ] {
        for state in OPEN_STATES {
            for restart in [false, true] {
                let mut bench = in_state(state);
                let input = if restart { Input::Restart(stop.clone()) } else { Input::Stop(stop.clone()) };
                let outputs = bench.tell(input);
                let (said, ending) = closed(&outputs);
                let expected = expected.clone().map(|(subcode, data)| Said::Notification(6, subcode, data));
                assert_eq!(said, Vec::from_iter(expected));
                assert_eq!(ending.cause, Cause::Stopped(stop.clone()));
                assert_eq!(matches!(outputs[2..], [Output::Connect(_)]), restart, "{outputs:?}");
                if let Some(notice) = ending.sent {
                    assert_eq!(bench.peer.status().last_sent.expect("it is kept").1, notice);
                }
            }
        }
    }
}

/// A text is cut at a character, never in the middle of one.
#[test]
fn a_text_has_255_octets() {
    let mut bench = in_state(State::Established);
    let (said, _) = closed(&bench.tell(Input::Stop(Stop::Shutdown("é".repeat(200)))));
    let [Said::Notification(6, 2, data)] = &said[..] else { panic!("{said:?}") };
    assert_eq!((data[0], data.len()), (254, 255));
    assert!(std::str::from_utf8(&data[1..]).is_ok());
}

/// RFC 8538: once both sides keep routes over a NOTIFICATION, what is meant to be final has to say so.
#[test]
fn a_hard_reset_where_a_notification_keeps_routes() {
    for (ours, theirs, hard) in [(true, true, true), (true, false, false), (false, true, false)] {
        let restart = Restart { time: 120, restarted: false, forwarding: true, notification: ours };
        let offer = Offer { graceful_restart: Some(restart), ..Offer::default() };
        let mut bench = Bench::connected(Settings { offer, ..settings() });
        let capability = GracefulRestart {
            restarted: false,
            notification: theirs,
            restart_time: 120,
            families: vec![RestartFamily { family: Family::IPV4_UNICAST, forwarding: true }].into(),
        };
        bench.establish(&their_open(vec![Capability::GracefulRestart(capability)]));
        let (said, ending) = closed(&bench.tell(Input::Stop(Stop::Shutdown("bye".into()))));
        let expected = if hard {
            Said::Notification(6, 9, vec![6, 2, 3, b'b', b'y', b'e'])
        } else {
            Said::Notification(6, 2, vec![3, b'b', b'y', b'e'])
        };
        assert_eq!(said, [expected]);
        assert!(!ending.to_string().contains("Hard Reset"), "the cause is enough");
    }
}

#[test]
fn bfd_ends_a_session_and_nothing_else() {
    for state in [State::OpenSent, State::OpenConfirm] {
        assert_eq!(in_state(state).tell(Input::BfdDown), []);
    }
    let (said, ending) = closed(&in_state(State::Established).tell(Input::BfdDown));
    assert_eq!(said, [Said::Notification(6, 10, vec![])]);
    assert_eq!(ending.cause, Cause::BfdDown);
}

#[test]
fn a_connection_that_fails() {
    for state in OPEN_STATES {
        for transport in [Transport::Reset, Transport::Closed, Transport::Other("no buffer".into())] {
            let mut bench = in_state(state);
            let (said, ending) = closed(&bench.tell(Input::Failed(bench.connection, transport.clone())));
            assert_eq!(said, []);
            assert_eq!(ending.cause, Cause::Transport(transport));
            assert_eq!(ending.session.is_some(), state == State::Established);
            bench.reconnect();
            bench.establish(&theirs());
        }
    }
    let (_, ending) = closed(
        &in_state(State::OpenSent)
            .tell(Input::Failed(metal_bgp::peer::ConnectionId::Dialled(1), Transport::Closed)),
    );
    assert!(ending.to_string().contains("may not know this node as a neighbor"), "{ending}");
}

#[test]
fn data_that_is_too_long_for_a_notification_is_cut_off() {
    // An attribute that nobody may send, as long as a message can be.
    let mut body = vec![0, 0, 0x0f, 0xe9, 0x50, 99, 0x0f, 0xe5];
    body.resize(4 + 0x0fe9, 7);
    let bytes = message(MessageType::Update, &body);
    assert_eq!(bytes.len(), 4_096);
    let mut bench = Bench::connected(settings());
    bench.establish(&their_open(vec![]));
    let (said, ending) = closed(&bench.say(&bytes));
    let [Said::Notification(3, 2, data)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(data.len(), 4_073);
    assert_eq!(ending.sent, Some(Notice { code: 3, subcode: 2, data: data.clone().into() }));
}
