//! Two connections with one peer (RFC 4271 6.8).

use metal_bgp::{
    fsm::State,
    peer::{Cause, ConnectionId, Input, Mode, Offer, Output, Restart, Settings},
    wire::{
        Capability, Family, Open,
        capability::{GracefulRestart, RestartFamily},
    },
};
use metal_core::Machine;

use crate::support::{Bench, Said, closed, keepalive, open, secs, settings, their_open, theirs};

/// Dials and listens; both connections stand and have heard our OPEN.
fn both() -> (Bench, ConnectionId, ConnectionId) {
    let mut bench = Bench::connected(Settings { mode: Mode::Both, ..settings() });
    bench.heard();
    assert_eq!(bench.tell(Input::Accepted(7)), []);
    let (dialled, accepted) = (bench.connection, ConnectionId::Accepted(7));
    bench.connection = accepted;
    bench.heard();
    (bench, dialled, accepted)
}

fn their_id(last: u8) -> Open<'static> {
    Open { bgp_identifier: [10, 0, 0, last].into(), ..theirs() }
}

/// 10.0.0.1 is ours: with 10.0.0.2 the peer's connection is kept, with 10.0.0.0 ours.
#[test]
fn the_connection_of_the_higher_identifier_is_kept() {
    for (their_last, first_dialled) in [(2, true), (2, false), (0, true), (0, false)] {
        let (mut bench, dialled, accepted) = both();
        let (first, second) = if first_dialled { (dialled, accepted) } else { (accepted, dialled) };
        assert_eq!(bench.tell(Input::Received(first, &open(&their_id(their_last)))), []);
        let (said, ending) = closed(&bench.tell(Input::Received(second, &open(&their_id(their_last)))));
        let (kept, lost) = if their_last == 2 { (accepted, dialled) } else { (dialled, accepted) };
        assert_eq!((ending.connection, ending.cause), (lost, Cause::Collision));
        assert_eq!(said.last(), Some(&Said::Notification(6, 7, vec![])));
        bench.connection = kept;
        bench.heard();
        let outputs = bench.say(&keepalive());
        assert!(matches!(outputs[..], [Output::Established(_)]), "{outputs:?}");
        assert_eq!(bench.peer.connections().collect::<Vec<_>>(), [kept]);
    }
}

#[test]
fn with_equal_identifiers_the_larger_as_decides() {
    let (mut bench, dialled, accepted) = both();
    bench.tell(Input::Received(dialled, &open(&their_id(1))));
    let (_, ending) = closed(&bench.tell(Input::Received(accepted, &open(&their_id(1)))));
    // 64513 is more than our 64512: its connection is kept.
    assert_eq!(ending.connection, dialled);
}

#[test]
fn nothing_of_the_loser_is_left() {
    let (mut bench, dialled, accepted) = both();
    bench.tell(Input::Received(dialled, &open(&their_id(2))));
    bench.tell(Input::Received(accepted, &open(&their_id(2))));
    bench.tell(Input::Received(accepted, &keepalive()));
    bench.connection = accepted;
    bench.heard();
    assert_eq!(bench.peer.transmit(dialled).count(), 0);
    // The loser's hold timer was at 9 s, and its keepalive timer before: the session lives on.
    for _ in 0..100 {
        bench.pass(secs(2));
        bench.say(&keepalive());
        bench.heard();
    }
    assert_eq!(bench.peer.state(), State::Established);
    assert_eq!(bench.tell(Input::Received(dialled, &keepalive())), []);
    assert_eq!(bench.tell(Input::Failed(dialled, metal_bgp::peer::Transport::Reset)), []);
    assert_eq!(bench.peer.state(), State::Established);
    assert_eq!(bench.peer.counters().dialled, 1);
}

#[test]
fn a_session_wins() {
    let (mut bench, dialled, accepted) = both();
    bench.tell(Input::Received(accepted, &open(&theirs())));
    bench.tell(Input::Received(accepted, &keepalive()));
    // The other one is tracked until its OPEN comes.
    assert_eq!(bench.peer.connections().count(), 2);
    let (said, ending) = closed(&bench.tell(Input::Received(dialled, &open(&their_id(0)))));
    assert_eq!((said, ending.connection), (vec![Said::Notification(6, 7, vec![])], dialled));
    assert_eq!(bench.peer.negotiated().expect("a session").connection, accepted);
}

#[test]
fn dialling_ends_when_the_peer_was_faster() {
    let mut bench = Bench::new(Settings { mode: Mode::Both, ..settings() });
    let outputs = bench.tell(Input::Start);
    let [Output::Connect(dialled)] = outputs[..] else { panic!("{outputs:?}") };
    bench.tell(Input::Accepted(1));
    bench.connection = ConnectionId::Accepted(1);
    bench.heard();
    bench.say(&open(&theirs()));
    bench.heard();
    let outputs = bench.say(&keepalive());
    let [Output::Established(_), Output::Close { connection, last_words }, Output::Ended(_)] = &outputs[..]
    else {
        panic!("{outputs:?}")
    };
    assert_eq!((*connection, &last_words[..]), (dialled, &[][..]));
    assert_eq!(bench.tell(Input::Connected(dialled)), []);
    assert_eq!(bench.peer.connections().count(), 1);
}

#[test]
fn who_is_refused_is_told_and_costs_nothing() {
    let refused = |bench: &mut Bench, subcode| {
        let before = bench.peer.connections().count();
        let outputs = bench.tell(Input::Accepted(99));
        let [Output::Close { connection: ConnectionId::Accepted(99), last_words }] = &outputs[..] else {
            panic!("{outputs:?}")
        };
        assert_eq!(last_words[16..], [0, 21, 3, 6, subcode]);
        assert_eq!(bench.peer.connections().count(), before);
        assert_eq!(bench.peer.counters().rejected, 1);
    };
    // Stopped; dialling alone; a session.
    refused(&mut Bench::new(Settings { mode: Mode::Both, ..settings() }), 5);
    refused(&mut Bench::established(settings()), 5);
    refused(&mut Bench::established(Settings { mode: Mode::Both, ..settings() }), 7);
}

#[test]
fn a_peer_that_dials_again_has_lost_the_first() {
    let mut bench = Bench::new(Settings { mode: Mode::Listen, ..settings() });
    bench.tell(Input::Start);
    bench.tell(Input::Accepted(1));
    let (_, ending) = closed(&bench.tell(Input::Accepted(2)));
    assert_eq!((ending.connection, ending.cause), (ConnectionId::Accepted(1), Cause::Collision));
    bench.connection = ConnectionId::Accepted(2);
    bench.establish(&theirs());
    // The same number twice is nobody's connection.
    assert_eq!(bench.tell(Input::Accepted(2)), []);
    assert_eq!(bench.peer.counters().stale_inputs, 1);
}

/// RFC 4724 4.2: with graceful restart a new connection means that the peer has restarted.
#[test]
fn a_restarted_peer_replaces_its_session() {
    let restart = Restart { time: 120, restarted: false, forwarding: true, notification: false };
    let offer = Offer { graceful_restart: Some(restart), ..Offer::default() };
    let capability = GracefulRestart {
        restarted: true,
        notification: false,
        restart_time: 120,
        families: vec![RestartFamily { family: Family::IPV4_UNICAST, forwarding: true }].into(),
    };
    let theirs = their_open(vec![Capability::GracefulRestart(capability)]);
    let mut bench = Bench::connected(Settings { mode: Mode::Both, offer, ..settings() });
    let former = bench.establish(&theirs).session;
    let outputs = bench.tell(Input::Accepted(1));
    let (said, ending) = closed(&outputs);
    assert_eq!((said, ending.cause, ending.session), (vec![], Cause::PeerRestarted, Some(former)));
    bench.connection = ConnectionId::Accepted(1);
    assert_ne!(bench.establish(&theirs).session, former);
    // And once more, on the connection that was accepted.
    let outputs = bench.tell(Input::Accepted(2));
    assert_eq!(closed(&outputs).1.cause, Cause::PeerRestarted);
    bench.connection = ConnectionId::Accepted(2);
    bench.establish(&theirs);
}

#[test]
fn the_pause_goes_on_beside_an_accepted_connection() {
    let mut bench = Bench::connected(Settings { mode: Mode::Both, ..settings() });
    bench.tell(Input::Failed(bench.connection, metal_bgp::peer::Transport::Reset));
    bench.tell(Input::Accepted(1));
    let (pause, connection) = bench.redialled();
    assert!(pause <= secs(2));
    // Both go on; the one that is first to be Established ends the other.
    bench.connect(connection);
    bench.establish(&theirs());
    assert!(bench.peer.poll_timeout().is_some());
}
