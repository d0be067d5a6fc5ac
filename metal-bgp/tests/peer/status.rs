//! What people are shown.

use metal_bgp::peer::{Input, Mode, Phase, Settings, Stop, Transport};

use crate::support::{Bench, notification, open, secs, settings, theirs};

fn words(bench: &Bench) -> String {
    bench.peer.status().at(bench.now).to_string()
}

#[test]
fn a_peer_that_does_not_answer() {
    let mut bench = Bench::new(settings());
    assert_eq!(words(&bench), "stopped");
    bench.tell(Input::Start);
    let began = bench.now;
    bench.now += secs(4);
    assert_eq!(words(&bench), "connecting, no answer for 4 s");
    // It goes on counting over the attempts.
    bench.pass(secs(96));
    assert_eq!(bench.peer.status().unanswered_since, Some(began));
    assert!(words(&bench).starts_with("connecting, no answer for 1 min 40 s"), "{}", words(&bench));
    assert!(bench.peer.status().failures >= 4);
    // Until there is an answer, if only a refusal.
    let connection = loop {
        if let Some(connection) = bench.peer.connections().next() {
            break connection;
        }
        bench.redialled();
    };
    bench.tell(Input::Failed(connection, Transport::Refused));
    let text = words(&bench);
    assert!(text.starts_with("next attempt in "), "{text}");
    assert!(text.ends_with("connection refused: nobody listens at the peer's address and port"), "{text}");
}

#[test]
fn the_way_to_a_session() {
    let mut bench = Bench::connected(settings());
    bench.now += secs(2);
    assert_eq!(words(&bench), "connected, waiting for the peer's OPEN for 2 s");
    bench.heard();
    bench.say(&open(&theirs()));
    assert_eq!(words(&bench), "waiting for the peer's first KEEPALIVE for 0 ms");
    bench.say(&crate::support::keepalive());
    bench.now += secs(3);
    assert_eq!(words(&bench), "established for 3 s");
    assert_eq!(bench.peer.status().phase, Phase::Established);
    bench.tell(Input::Stop(Stop::Shutdown("upgrade".into())));
    bench.now += secs(7);
    assert_eq!(
        words(&bench),
        "stopped; 7 s ago: the session ended after 3 s: shut down by this side: \"upgrade\""
    );
}

#[test]
fn a_peer_that_is_listened_for() {
    let mut bench = Bench::new(Settings { mode: Mode::Listen, ..settings() });
    bench.tell(Input::Start);
    bench.now += secs(61);
    assert_eq!(words(&bench), "listening for the peer for 1 min 1 s");
}

#[test]
fn both_directions_of_notifications_are_kept() {
    let mut bench = Bench::connected(settings());
    bench.say(&notification(2, 2, &[]));
    let text = words(&bench);
    let expected =
        "no session: the peer says: OPEN Message Error: Bad Peer AS: it expects this side in another AS";
    assert!(text.ends_with(expected), "{text}");
    bench.reconnect();
    bench.tell(Input::Stop(Stop::Deconfigured));
    let status = bench.peer.status();
    assert_eq!(status.last_received.expect("received").1.to_string(), "OPEN Message Error: Bad Peer AS");
    assert_eq!(status.last_sent.expect("sent").1.to_string(), "Cease: Peer De-configured");
    assert_eq!(status.last_sent.expect("sent").0, bench.now);
}
