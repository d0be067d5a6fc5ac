//! What other speakers got wrong: one test each, here or where the rest of its subject is.
//!
//! | | what | test |
//! | --- | --- | --- |
//! | 3 | a full socket; priority at a boundary of messages only | `sending` |
//! | 4 | send hold time | `timers::a_peer_that_takes_nothing_is_given_up` |
//! | 4 | `TCP_USER_TIMEOUT` | `tests/tcp`: `connecting` |
//! | 5 | connect timeout; pauses with jitter and a limit | `timers` |
//! | 6 | last words arrive although something was not read | `tests/tcp`: `closing`; below |
//! | 7 | passwords: of listeners, mapped addresses, another one at run time | `tests/tcp`: `passwords`; `bins/bgp/tests/sessions.rs` |
//! | 8 | `fe80::1` on two links | `tests/tcp`: `connecting`, `passwords`; `metal_bgp_io::doors` |
//! | 9 | source address; next hops | `tests/tcp`: `connecting`; `metal_bgp_io::next_hops` |
//! | 10 | TTL, multihop and GTSM | `tests/tcp`: `ttl`; `tests/bgp`: `gtsm`, `multihop` |
//! | 11 | AS 0, AS_TRANS, AS of four octets, local AS, dynamic AS | `open` |
//! | 12 | hold time 0; keepalives of the negotiated hold time | `timers` |
//! | 13 | refused capabilities are left out once | `open` |
//! | 14 | nothing of a collision's loser is left; late inputs | `collision`, `inbound::what_is_over_is_ignored` |
//! | 15 | End-of-RIB without routes | `rib_out`: behaviour; below |
//! | 16 | subcodes of Finite State Machine Error | `errors::messages_out_of_place` |
//! | 25 | withdraw, disable, reset; a family that is not in use | `inbound`, `errors` |
//! | 28 | graceful restart keeps the routes at the router | `tests/bgp`: `graceful_restart`; below |
//! | 31 | a deleted peer, an edited peer, another password | `errors::why_this_side_ends_it`, `configuration`, `bins/bgp/tests/sessions.rs` |
//! | 38 | not every malformed message is told, and not all of it | `inbound`, below |
//! | 39 | connections that nobody wants | `collision::who_is_refused_is_told_and_costs_nothing` |

use std::sync::Arc;

use metal_bgp::{
    fsm::State,
    peer::{Input, Output, Settings, Stop},
    wire::frame::MessageType,
};

use crate::support::{
    Bench, Said, closed, keepalive, message, notification, open, secs, settings, theirs, updates,
};

/// 1: the octet that is wrong ends it, not the hold timer.
#[test]
fn a_header_that_is_wrong_is_not_waited_for() {
    let mut bench = Bench::connected(settings());
    bench.establish(&crate::support::their_open(vec![]));
    let header = [&[255; 16][..], &[255, 255]].concat();
    assert_eq!(bench.say(&header[..17]), []);
    let (said, _) = closed(&bench.say(&header[17..]));
    assert_eq!(said, [Said::Notification(1, 2, vec![255, 255])]);

    // With extended messages the same length is good.
    let mut bench = Bench::established(settings());
    assert_eq!(bench.say(&header), []);
    assert_eq!(bench.say(&[2]), []);
}

/// 2: what the peer says is read whatever our socket does, and its KEEPALIVEs with it.
#[test]
fn a_full_table_while_the_socket_is_full() {
    let mut bench = Bench::established(settings());
    let bytes = Arc::from(updates(20_000));
    while let Some(session) = bench.peer.wants_updates() {
        bench.tell(Input::Updates(session, Arc::clone(&bytes)));
    }
    let table = updates(50_000);
    for part in table.chunks(5_000) {
        assert_eq!(bench.say(part), []);
        assert_eq!(bench.pass(secs(2)), []);
    }
    assert_eq!(bench.peer.counters().prefixes_announced, 50_000);
    assert_eq!(bench.peer.state(), State::Established);
}

/// 6: the NOTIFICATION is part of the end of the connection, so that it cannot be forgotten; there is none in answer
/// to one.
#[test]
fn last_words_come_with_the_end() {
    let mut bench = Bench::established(settings());
    let outputs = bench.tell(Input::Stop(Stop::Deconfigured));
    let Output::Close { last_words, .. } = &outputs[0] else { panic!("{outputs:?}") };
    assert_eq!(last_words.len(), 21);
    let mut bench = Bench::established(settings());
    let outputs = bench.say(&notification(6, 4, &[]));
    let Output::Close { last_words, .. } = &outputs[0] else { panic!("{outputs:?}") };
    assert_eq!(last_words.len(), 0);
}

/// 15: an UPDATE before the peer's KEEPALIVE is out of place, so it is not even taken.
#[test]
fn no_update_before_the_keepalive_of_the_peer() {
    let mut bench = Bench::connected(settings());
    bench.heard();
    bench.say(&open(&theirs()));
    bench.heard();
    assert_eq!(bench.peer.state(), State::OpenConfirm);
    assert_eq!(bench.peer.wants_updates(), None);
    assert!(bench.peer.negotiated().is_none());
}

/// 17: a session under another identifier is another session.
#[test]
fn a_new_router_id_resets_the_session() {
    let mut bench = Bench::established(settings());
    let changed = Settings { router_id: [10, 9, 9, 9].into(), ..settings() }.check().expect("good");
    let (said, _) = closed(&bench.tell(Input::Configure(changed)));
    assert_eq!(said, [Said::Notification(6, 6, vec![])]);
}

/// 27: memory by what has arrived, not by what is announced to come.
#[test]
fn announced_lengths_cost_nothing() {
    let mut bench = Bench::established(settings());
    let header = [&[255; 16][..], &[255, 255, 2]].concat();
    bench.say(&header);
    // 65,535 octets that come one by one are a message in the end.
    let mut body = vec![0; 65_516];
    // All of it withdrawn routes of no length, which is the default route each time.
    body[..2].copy_from_slice(&65_512_u16.to_be_bytes());
    for octet in &body[..body.len() - 1] {
        assert_eq!(bench.say(std::slice::from_ref(octet)), []);
    }
    bench.say(&[0]);
    assert_eq!(bench.peer.counters().prefixes_withdrawn, 65_512);
    assert_eq!(bench.peer.state(), State::Established);
}

/// 28: a drained node says so, a restart says nothing, and both leave nothing behind.
#[test]
fn three_ways_to_go() {
    let mut bench = Bench::established(settings());
    let (said, _) = closed(&bench.tell(Input::Stop(Stop::Shutdown("node drained".into()))));
    assert_eq!(said, [Said::Notification(6, 2, [&[12][..], b"node drained"].concat())]);
    let mut bench = Bench::established(settings());
    bench.tell(Input::Updates(bench.session(), Arc::from(updates(2_000))));
    bench.tell(Input::Sent(bench.connection, 100));
    let outputs = bench.tell(Input::Stop(Stop::ForRestart));
    let [Output::Close { last_words, .. }, Output::Ended(_)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(last_words.len(), 0);
}

/// 38: a message of 65,535 octets is not kept to be looked at.
#[test]
fn what_is_kept_of_a_message_has_a_limit() {
    let mut body = vec![0, 0, 0, 4, 0x40, 1, 1, 7];
    body.resize(60_000, 0);
    let mut bench = Bench::established(settings());
    let outputs = bench.say(&message(MessageType::Update, &body));
    let [Output::Malformed(told)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(told.message.len(), 4_096);
    // That one counted as a KEEPALIVE too.
    assert_eq!(bench.say(&keepalive()), []);
}
