//! Hold, keepalive, send hold, connecting, retrying.

use std::time::Duration;

use metal_bgp::{
    fsm::State,
    peer::{Cause, Input, Output, Phase, Settings, Stop, Transport},
    wire::Open,
};
use metal_core::Machine;

use crate::support::{Bench, Said, closed, keepalive, open, secs, settings, their_open, theirs, updates};

#[test]
fn the_hold_time_is_the_smaller_of_both() {
    for (ours, theirs, expected) in [(9, 90, 9), (90, 9, 9), (3, 3, 3), (0, 90, 0), (90, 0, 0)] {
        let mut bench = Bench::connected(Settings { hold_time: ours, ..settings() });
        let open = Open { hold_time: theirs, ..their_open(vec![]) };
        assert_eq!(bench.establish(&open).hold_time, secs(expected));
    }
}

#[test]
fn silence_ends_the_session_after_the_hold_time() {
    let mut bench = Bench::established(settings());
    let began = bench.now;
    let outputs = bench.until(|output| matches!(output, Output::Ended(_)));
    assert_eq!(bench.now.since(began), secs(9));
    let (said, ending) = closed(&outputs);
    // KEEPALIVEs that the socket has not taken come first.
    assert_eq!(said, [Said::Keepalive, Said::Notification(4, 0, vec![])]);
    assert_eq!(ending.cause, Cause::HoldTimer(secs(9)));
    assert_eq!(
        ending.to_string(),
        "the session ended after 9 s: nothing was heard from the peer for 9 s; \
         the peer was told: Hold Timer Expired"
    );
}

#[test]
fn keepalive_and_update_restart_the_hold_timer_and_nothing_else_does() {
    for (message, restarts) in
        [(keepalive(), true), (updates(1), true), (crate::support::refresh(crate::inbound::REQUEST), false)]
    {
        let mut bench = Bench::established(settings());
        bench.pass(secs(8));
        bench.say(&message);
        let ended = |outputs: Vec<Output>| outputs.iter().any(|output| matches!(output, Output::Ended(_)));
        assert_eq!(ended(bench.pass(secs(2))), !restarts);
        if restarts {
            assert!(!ended(bench.pass(Duration::from_millis(6_999))));
            assert!(ended(bench.pass(Duration::from_millis(1))));
        }
    }
}

#[test]
fn bytes_that_wait_are_heard_before_the_timer_fires() {
    let mut bench = Bench::established(settings());
    // The process was not scheduled for a minute; the KEEPALIVEs of the peer wait in the socket.
    bench.now += secs(60);
    assert_eq!(bench.say(&keepalive()), []);
    assert_eq!(bench.peer.state(), State::Established);
}

#[test]
fn keepalives_come_each_third_of_the_hold_time_or_earlier() {
    let mut bench = Bench::established(settings());
    let mut pauses = Vec::new();
    let mut last = bench.now;
    for _ in 0..200 {
        bench.say(&keepalive());
        bench.now = bench.peer.poll_timeout().expect("a timer");
        assert_eq!(metal_core::drain(&mut bench.peer, bench.now), []);
        if bench.heard() == [Said::Keepalive] {
            pauses.push(bench.now.since(last));
            last = bench.now;
        }
    }
    assert!(pauses.iter().all(|pause| *pause <= secs(3) && *pause >= secs(3) * 3 / 4), "{pauses:?}");
    pauses.sort();
    pauses.dedup();
    assert!(pauses.len() > 50, "no jitter");
}

#[test]
fn a_configured_keepalive_time_only_shortens() {
    for (configured, expected) in [(1, 1), (2, 2), (8, 3)] {
        let mut bench =
            Bench::connected(Settings { keepalive: Some(secs(configured)), hold_time: 9, ..settings() });
        assert_eq!(bench.establish(&theirs()).keepalive, secs(expected));
    }
}

#[test]
fn without_a_hold_time_there_is_no_timer() {
    let mut bench = Bench::established(Settings { hold_time: 0, ..settings() });
    assert_eq!(bench.peer.poll_timeout(), None);
    bench.say(&keepalive());
    bench.say(&updates(3));
    bench.tell(Input::Sent(bench.connection, 1));
    assert_eq!(bench.peer.poll_timeout(), None);
}

#[test]
fn an_open_may_take_four_minutes_and_a_keepalive_the_hold_time() {
    let mut bench = Bench::connected(settings());
    bench.heard();
    let began = bench.now;
    let (said, ending) = closed(&bench.until(|output| matches!(output, Output::Ended(_))));
    assert_eq!(bench.now.since(began), secs(240));
    assert_eq!(said, [Said::Notification(4, 0, vec![])]);
    assert_eq!(ending.state, State::OpenSent);

    bench.reconnect();
    bench.heard();
    bench.say(&open(&theirs()));
    bench.heard();
    let began = bench.now;
    let (_, ending) = closed(&bench.until(|output| matches!(output, Output::Ended(_))));
    assert_eq!((ending.state, bench.now.since(began)), (State::OpenConfirm, secs(9)));
}

#[test]
fn connecting_has_a_timeout_of_our_own() {
    let mut bench = Bench::new(settings());
    let [Output::Connect(connection)] = bench.tell(Input::Start)[..] else { panic!("it dials") };
    let began = bench.now;
    let outputs = bench.until(|output| matches!(output, Output::Ended(_)));
    assert_eq!(bench.now.since(began), secs(10));
    let (said, ending) = closed(&outputs);
    assert_eq!((said, ending.connection), (vec![], connection));
    assert_eq!(ending.to_string(), "no connection: the peer did not answer within 10 s");
    assert!(matches!(bench.peer.status().phase, Phase::Waiting { .. }));
    // Too late: the driver gave it up.
    assert_eq!(bench.tell(Input::Connected(connection)), []);
    assert_eq!(bench.peer.counters().stale_inputs, 1);
}

/// Refused at once, each time: the pauses between the attempts.
fn pauses(bench: &mut Bench, count: usize) -> Vec<Duration> {
    let fail = |bench: &mut Bench| {
        if let Some(connection) = bench.peer.connections().next() {
            bench.tell(Input::Failed(connection, Transport::Refused));
        }
    };
    fail(bench);
    let pause = |_| {
        let pause = bench.redialled().0;
        fail(bench);
        pause
    };
    (0..count).map(pause).collect()
}

#[test]
fn pauses_grow_to_a_minute() {
    let mut bench = Bench::new(settings());
    bench.tell(Input::Start);
    let pauses = pauses(&mut bench, 9);
    for (pause, middle) in pauses.iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
        assert!(*pause >= secs(middle) * 3 / 4 && *pause <= secs(60).min(secs(middle) * 5 / 4), "{pauses:?}");
    }
}

#[test]
fn a_new_configuration_is_tried_at_once() {
    let mut bench = Bench::new(settings());
    bench.tell(Input::Start);
    pauses(&mut bench, 6);
    for input in [
        Input::Configure(settings().check().expect("good")),
        Input::Configure(Settings { hold_time: 30, ..settings() }.check().expect("good")),
        Input::Start,
        Input::Restart(Stop::ConfigurationChange),
    ] {
        let outputs = bench.tell(input);
        assert!(matches!(outputs[..], [Output::Connect(_)]), "{outputs:?}");
        assert!(pauses(&mut bench, 1)[0] <= secs(2));
        pauses(&mut bench, 3);
    }
}

#[test]
fn only_a_session_that_lasted_makes_pauses_short_again() {
    let mut bench = Bench::new(settings());
    bench.tell(Input::Start);
    pauses(&mut bench, 5);
    // One that ends at once counts as one more failure.
    bench.reconnect();
    bench.establish(&theirs());
    bench.tell(Input::Failed(bench.connection, Transport::Reset));
    assert!(bench.redialled().0 > secs(30));
    let connection = bench.peer.connections().next().expect("it dials");
    bench.connect(connection);
    bench.establish(&theirs());
    for _ in 0..4 {
        bench.pass(secs(3));
        bench.say(&keepalive());
    }
    bench.tell(Input::Failed(bench.connection, Transport::Reset));
    assert!(bench.redialled().0 < secs(2));
}

#[test]
fn nodes_do_not_retry_in_step() {
    let pause = |seed| {
        let mut peer = metal_bgp::peer::Peer::new(settings().check().expect("good"), seed);
        let mut now = metal_core::Instant::ZERO;
        peer.handle_input(now, Input::Start);
        loop {
            for output in metal_core::drain(&mut peer, now) {
                match output {
                    Output::Connect(connection) if now.as_micros() > 0 => return (now, connection),
                    Output::Connect(connection) => {
                        peer.handle_input(now, Input::Failed(connection, Transport::Refused));
                    }
                    _ => {}
                }
            }
            now = peer.poll_timeout().expect("it tries again");
        }
    };
    let mut times: Vec<_> = (0..100).map(|seed| pause(seed).0).collect();
    times.sort();
    times.dedup();
    assert!(times.len() > 95);
}

/// The peer sends KEEPALIVEs and takes nothing, until something is done about it.
fn while_nothing_is_taken(bench: &mut Bench) -> Vec<Output> {
    loop {
        bench.say(&keepalive());
        let outputs = bench.pass(secs(1));
        if !outputs.is_empty() {
            return outputs;
        }
    }
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    let send_hold_time = Some(secs(20));
    let mut bench = Bench::established(Settings { send_hold_time, ..settings() });
    let began = bench.now;
    // It is alive, but its window is closed.
    let outputs = while_nothing_is_taken(&mut bench);
    assert_eq!(bench.now.since(began), secs(20));
    let (said, ending) = closed(&outputs);
    assert_eq!(said, [Said::Keepalive, Said::Notification(8, 0, vec![])]);
    assert_eq!(ending.cause, Cause::SendHoldTimer(secs(20)));

    // One octet is enough.
    let mut bench = Bench::established(Settings { send_hold_time, ..settings() });
    for _ in 0..60 {
        bench.say(&keepalive());
        assert_eq!(bench.pass(secs(1)), []);
        bench.tell(Input::Sent(bench.connection, 1));
    }
}

#[test]
fn the_send_hold_time_is_eight_minutes_or_twice_the_hold_time() {
    for (hold_time, expected) in [(9, 480), (300, 600)] {
        let mut bench = Bench::connected(Settings { hold_time, ..settings() });
        bench.establish(&Open { hold_time, ..theirs() });
        let began = bench.now;
        let outputs = while_nothing_is_taken(&mut bench);
        assert_eq!(closed(&outputs).1.cause, Cause::SendHoldTimer(secs(expected)));
        assert_eq!(bench.now.since(began), secs(expected));
    }
}

#[test]
fn no_timer_outlives_its_connection() {
    for stop in [Stop::Shutdown(String::new()), Stop::Deconfigured, Stop::ForRestart] {
        let mut bench = Bench::established(settings());
        bench.tell(Input::Stop(stop.clone()));
        assert_eq!(bench.peer.poll_timeout(), None);
        let mut bench = Bench::connected(settings());
        bench.tell(Input::Stop(stop.clone()));
        assert_eq!(bench.peer.poll_timeout(), None);
        let mut bench = Bench::new(settings());
        bench.tell(Input::Start);
        bench.tell(Input::Stop(stop));
        assert_eq!(bench.peer.poll_timeout(), None);
        assert_eq!(bench.peer.connections().count(), 0);
    }
}
