//! What the peer announces: read, judged, counted, dropped.

use std::time::Duration;

use metal_bgp::{
    fsm::State,
    peer::{Findings, Input, Output, Settings},
    validate::Disposition,
    wire::{
        Capability, Family, RouteRefresh, build::encode_end_of_rib, frame::MessageType, refresh::Subtype,
    },
};

use crate::support::{
    Bench, dual, keepalive, message, open, refresh, secs, settings, their_open, theirs, updates,
};

pub(crate) const REQUEST: RouteRefresh =
    RouteRefresh { family: Family::IPV4_UNICAST, subtype: Subtype::Request };

#[test]
fn it_makes_no_difference_where_the_stream_is_cut() {
    let stream = [open(&theirs()), keepalive(), updates(900), refresh(REQUEST), keepalive()].concat();
    let whole = {
        let mut bench = Bench::connected(settings());
        bench.heard();
        let outputs = bench.say(&stream);
        assert_eq!(outputs.len(), 2, "{outputs:?}");
        (outputs, *bench.peer.counters(), bench.peer.poll_deadline())
    };
    for size in [1, 2, 18, 19, 20, 23, 100, 4_095, 4_096, 4_097] {
        let mut bench = Bench::connected(settings());
        bench.heard();
        let outputs: Vec<_> = stream.chunks(size).flat_map(|part| bench.say(part)).collect();
        assert_eq!((outputs, *bench.peer.counters(), bench.peer.poll_deadline()), whole, "by {size}");
    }
}

trait Deadline {
    fn poll_deadline(&self) -> Option<metal_core::Instant>;
}

impl Deadline for metal_bgp::peer::Peer {
    fn poll_deadline(&self) -> Option<metal_core::Instant> {
        metal_core::Machine::poll_timeout(self)
    }
}

#[test]
fn a_full_table_is_counted_and_dropped() {
    let mut bench = Bench::established(settings());
    let table = updates(100_000);
    for part in table.chunks(64 * 1_024) {
        assert_eq!(bench.say(part), []);
    }
    let counters = bench.peer.counters();
    assert_eq!(counters.prefixes_announced, 100_000);
    assert_eq!(counters.received.update, 124);
    assert_eq!(counters.findings, Findings::default());
    assert_eq!(bench.peer.state(), State::Established);
}

#[test]
fn routes_by_family_and_direction() {
    let families = vec![
        Capability::Multiprotocol(Family::IPV4_UNICAST),
        Capability::Multiprotocol(Family::IPV6_UNICAST),
        Capability::FourOctetAs(crate::support::THEIRS),
    ];
    let mut bench = Bench::connected(Settings { families: dual(), ..settings() });
    bench.establish(&their_open(families.clone()));
    // Two prefixes of IPv4 withdrawn, one of IPv6.
    let withdrawn = [&[0, 10][..], &[32, 10, 0, 0, 1, 32, 10, 0, 0, 2], &[0, 0]].concat();
    bench.say(&message(MessageType::Update, &withdrawn));
    let unreach = [0, 0, 0, 8, 0x80, 15, 5, 0, 2, 1, 8, 0x20];
    bench.say(&message(MessageType::Update, &unreach));
    let counters = *bench.peer.counters();
    assert_eq!((counters.prefixes_announced, counters.prefixes_withdrawn), (0, 3));

    // A family that is not in use is no reason to end the session.
    let mut bench = Bench::connected(settings());
    bench.establish(&their_open(families));
    assert_eq!(bench.say(&message(MessageType::Update, &unreach)), []);
    let counters = *bench.peer.counters();
    assert_eq!((counters.prefixes_withdrawn, counters.unwanted_updates), (0, 1));

    let mut room = [0; 64];
    for family in [Family::IPV4_UNICAST, Family::IPV6_UNICAST] {
        let len = encode_end_of_rib(family, &mut room).expect("room");
        assert_eq!(bench.say(&room[..len]), []);
    }
    assert_eq!(bench.peer.counters().ends_of_rib, 2);
}

/// ORIGIN 7, one prefix.
fn bad_origin() -> Vec<u8> {
    message(MessageType::Update, b"\x00\x00\x00\x04\x40\x01\x01\x07\x18\xc0\x00\x02")
}

#[test]
fn what_is_wrong_is_told_now_and_then() {
    let mut bench = Bench::established(settings());
    let outputs = bench.say(&bad_origin());
    let [Output::Malformed(told)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(told.disposition, Disposition::Withdraw);
    assert_eq!(told.what, "ORIGIN has the undefined value 7");
    assert_eq!((&told.message[..], told.untold), (&bad_origin()[..], 0));
    for _ in 0..5 {
        assert_eq!(bench.say(&bad_origin()), []);
    }
    bench.pass(secs(8));
    bench.say(&keepalive());
    bench.pass(secs(2));
    let outputs = bench.say(&bad_origin());
    let [Output::Malformed(told)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(told.untold, 5);
    let counters = bench.peer.counters();
    // ORIGIN is wrong; AS_PATH and NEXT_HOP are missing.
    assert_eq!(counters.findings, Findings { withdraw: 7 * 3, ..Findings::default() });
    assert_eq!((counters.prefixes_announced, counters.prefixes_withdrawn), (0, 7));
    assert_eq!(bench.peer.state(), State::Established);
}

#[test]
fn a_disabled_family_is_ignored_from_then_on() {
    let mut bench = Bench::connected(Settings { families: dual(), ..settings() });
    bench.establish(&their_open(vec![
        Capability::Multiprotocol(Family::IPV4_UNICAST),
        Capability::Multiprotocol(Family::IPV6_UNICAST),
        Capability::FourOctetAs(crate::support::THEIRS),
    ]));
    // A next hop of five octets: where its prefixes begin nobody knows.
    let reach = [0x80, 14, 11, 0, 2, 1, 5, 1, 2, 3, 4, 5, 0, 0];
    let body = [&[0, 0, 0, 14][..], &reach].concat();
    let outputs = bench.say(&message(MessageType::Update, &body));
    let [Output::Malformed(told)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(told.disposition, Disposition::DisableFamily);
    let unreach = [0, 0, 0, 8, 0x80, 15, 5, 0, 2, 1, 8, 0x20];
    bench.say(&message(MessageType::Update, &unreach));
    bench.say(&updates(2));
    let counters = bench.peer.counters();
    assert_eq!(counters.findings.disable_family, 1);
    assert_eq!((counters.unwanted_updates, counters.prefixes_withdrawn), (1, 0));
    assert_eq!(bench.peer.state(), State::Established);
}

#[test]
fn who_asks_for_everything_again_is_heard_once() {
    let mut bench = Bench::established(settings());
    let session = bench.session();
    let asked = Output::RouteRefresh { session, family: Family::IPV4_UNICAST };
    assert_eq!(bench.say(&refresh(REQUEST).repeat(100)), [asked]);
    // What is not a request, or about another family, is only counted.
    for subtype in [Subtype::Beginning, Subtype::End, Subtype::Unknown(9)] {
        assert_eq!(bench.say(&refresh(RouteRefresh { subtype, ..REQUEST })), []);
    }
    assert_eq!(bench.say(&refresh(RouteRefresh { family: Family::IPV6_UNICAST, ..REQUEST })), []);
    assert_eq!(bench.peer.counters().received.route_refresh, 104);
    // Nobody was told that it could be asked for.
    let mut bench = Bench::connected(settings());
    bench.establish(&their_open(vec![]));
    assert_eq!(bench.say(&refresh(REQUEST)), []);
    assert_eq!(bench.peer.state(), State::Established);
}

#[test]
fn what_is_over_is_ignored() {
    let mut bench = Bench::established(settings());
    let former = bench.connection;
    bench.tell(Input::Failed(former, metal_bgp::peer::Transport::Reset));
    for input in [
        Input::Received(former, &updates(1)),
        Input::Sent(former, 5),
        Input::Connected(former),
        Input::Failed(former, metal_bgp::peer::Transport::Closed),
    ] {
        assert_eq!(bench.tell(input), []);
    }
    assert_eq!(bench.peer.counters().stale_inputs, 4);
    // Bytes on a connection that does not stand yet.
    let (pause, connection) = bench.redialled();
    assert!(pause > Duration::ZERO);
    assert_eq!(bench.tell(Input::Received(connection, &keepalive())), []);
    assert_eq!(bench.peer.counters().stale_inputs, 5);
}
