//! What makes sense, and what a change does to a session.

use std::time::Duration;

use metal_bgp::{
    fsm::State,
    peer::{Config, Input, Invalid, Mode, Offer, Output, PeerAs, Restart, Settings},
    wire::Families,
};

use crate::support::{Bench, OURS, Said, THEIRS, closed, dual, secs, settings, theirs};

fn good(settings: Settings) -> Config {
    settings.check().expect("good settings")
}

#[test]
fn what_makes_no_sense_is_said() {
    let of = settings;
    let local_as = Some(65_000);
    for (settings, expected) in [
        (Settings { my_as: 0, ..of() }, Invalid::AsZero),
        (Settings { local_as: Some(0), ..of() }, Invalid::AsZero),
        (Settings { peer_as: PeerAs::Is(0), ..of() }, Invalid::AsZero),
        (Settings { local_as, peer_as: PeerAs::Internal, ..of() }, Invalid::LocalAsInternal(OURS)),
        (Settings { local_as, peer_as: PeerAs::Is(OURS), ..of() }, Invalid::LocalAsInternal(OURS)),
        (Settings { local_as: Some(THEIRS), ..of() }, Invalid::LocalAsOfPeer(THEIRS)),
        (Settings { router_id: [0; 4].into(), ..of() }, Invalid::RouterIdZero),
        (Settings { hold_time: 2, ..of() }, Invalid::HoldTime(2)),
        (
            Settings { keepalive: Some(secs(10)), ..of() },
            Invalid::Keepalive { keepalive: secs(10), hold_time: 9 },
        ),
        (
            Settings { keepalive: Some(secs(0)), ..of() },
            Invalid::Keepalive { keepalive: secs(0), hold_time: 9 },
        ),
        (Settings { families: Families::NONE, ..of() }, Invalid::NoFamily),
        (Settings { connect_timeout: secs(11), ..of() }, Invalid::ConnectTimeout(secs(11))),
        (Settings { connect_timeout: secs(0), ..of() }, Invalid::ConnectTimeout(secs(0))),
        (Settings { retry_limit: Duration::ZERO, ..of() }, Invalid::RetryLimit),
        (Settings { send_hold_time: Some(secs(9)), ..of() }, Invalid::SendHoldTime(secs(9))),
    ] {
        assert_eq!(settings.check(), Err(expected), "{expected}");
    }
    let restart = Restart { time: 4_096, restarted: false, forwarding: true, notification: false };
    let offer = Offer { graceful_restart: Some(restart), ..Offer::default() };
    assert!(matches!(Settings { offer, ..of() }.check(), Err(Invalid::Open(_))));
    good(Settings { hold_time: 0, keepalive: Some(secs(0)), ..of() });
    good(Settings { local_as: Some(OURS), peer_as: PeerAs::Internal, ..of() });
    good(Settings { local_as, peer_as: PeerAs::External, ..of() });
}

#[test]
fn what_a_session_depends_on_makes_a_new_one() {
    for changed in [
        Settings { hold_time: 30, ..settings() },
        Settings { keepalive: Some(secs(1)), ..settings() },
        Settings { router_id: [10, 0, 0, 9].into(), ..settings() },
        Settings { families: dual(), ..settings() },
        Settings { mode: Mode::Both, ..settings() },
        Settings { local_as: Some(65_000), ..settings() },
        Settings { offer: Offer { route_refresh: false, ..Offer::default() }, ..settings() },
    ] {
        let mut bench = Bench::established(settings());
        let outputs = bench.tell(Input::Configure(good(changed)));
        let (said, _) = closed(&outputs);
        assert_eq!(said, [Said::Notification(6, 6, vec![])]);
        let [Output::Connect(connection)] = outputs[2..] else { panic!("{outputs:?}") };
        bench.connect(connection);
        bench.establish(&theirs());
    }
}

#[test]
fn what_it_does_not_depend_on_leaves_it_alone() {
    let restart = |restarted| Offer {
        graceful_restart: Some(Restart { time: 120, restarted, forwarding: true, notification: false }),
        ..Offer::default()
    };
    let before = Settings { offer: restart(true), ..settings() };
    for changed in [
        before.clone(),
        Settings { connect_timeout: secs(3), ..before.clone() },
        Settings { retry_limit: secs(5), ..before.clone() },
        Settings { send_hold_time: Some(secs(60)), ..before.clone() },
        Settings { offer: restart(false), ..before.clone() },
    ] {
        let mut bench = Bench::established(before.clone());
        assert_eq!(bench.tell(Input::Configure(good(changed.clone()))), []);
        assert_eq!(bench.peer.state(), State::Established);
        assert_eq!(*bench.peer.config().settings(), changed);
    }
}

#[test]
fn a_stopped_peer_stays_stopped() {
    let mut bench = Bench::new(settings());
    let changed = good(Settings { hold_time: 30, ..settings() });
    assert_eq!(bench.tell(Input::Configure(changed)), []);
    assert_eq!(bench.tell(Input::Restart(metal_bgp::peer::Stop::ConfigurationChange)), []);
    assert!(matches!(bench.tell(Input::Start)[..], [Output::Connect(_)]));
    bench.tell(Input::Stop(metal_bgp::peer::Stop::Deconfigured));
    assert_eq!(bench.pass(secs(600)), []);
    assert!(matches!(bench.tell(Input::Start)[..], [Output::Connect(_)]));
}

#[test]
fn from_dialling_to_listening_and_back() {
    let mut bench = Bench::new(settings());
    bench.tell(Input::Start);
    let outputs = bench.tell(Input::Configure(good(Settings { mode: Mode::Listen, ..settings() })));
    assert_eq!(closed(&outputs).0, []);
    assert_eq!(outputs.len(), 2);
    assert_eq!(bench.pass(secs(600)), []);
    let outputs = bench.tell(Input::Configure(good(settings())));
    assert!(matches!(outputs[..], [Output::Connect(_)]), "{outputs:?}");
}
