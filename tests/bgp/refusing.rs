//! Sessions that do not come about, or end, and what is said of it.

use metal_bgp::{
    peer::{PeerAs, Settings},
    rib_out::Route,
};
use metal_net::tcp::Md5Key;

use crate::{
    lab::{Lab, Over, ROUTER_AS, SPEAKER_AS, many, net, v4},
    router::{Kind, Router, Wanted},
};

#[test]
fn a_wrong_as_is_said_in_words() {
    for kind in Kind::ALL {
        let lab = Lab::new();
        let _router = Router::start(&lab, kind, &Wanted { router_as: 64_999, ..Wanted::default() });
        let speaker = lab.speaker();
        speaker.peer(Over::V4, v4(), |_| {});
        let said = speaker.await_said("64999");
        assert!(said.contains("64513"), "what was expected: {said}");
    }
}

#[test]
fn a_password_opens() {
    let lab = Lab::new();
    let router = Router::start(&lab, Kind::Bird, &Wanted { password: Some("sesame"), ..Wanted::default() });
    let speaker = lab.speaker();
    speaker.announce([net("198.51.100.1/32")], &Route::default());
    speaker.peer(Over::V4, v4(), |neighbor| {
        neighbor.dial.key = Some(Md5Key::new(b"sesame").expect("a key"));
    });
    router.await_route("198.51.100.1/32", &["10.99.0.10"]);
}

/// The router takes so many and no more, and says so; the session is begun again.
#[test]
fn too_many_prefixes_are_refused_by_the_router() {
    for kind in Kind::ALL {
        let lab = Lab::new();
        let _router = Router::start(&lab, kind, &Wanted { limit: Some(10), ..Wanted::default() });
        let speaker = lab.speaker();
        speaker.announce(many(20), &Route::default());
        speaker.peer(Over::V4, v4(), |_| {});
        speaker.await_established();
        let said = speaker.await_said("Maximum Number of Prefixes Reached");
        println!("{kind:?}: {said}");
    }
}

/// What its operator says is heard.
#[test]
fn the_text_of_a_shutdown_arrives() {
    for kind in Kind::ALL {
        println!("{kind:?}");
        let lab = Lab::new();
        let router = Router::start(&lab, kind, &Wanted::default());
        let speaker = lab.speaker();
        speaker.peer(Over::V4, v4(), |_| {});
        speaker.await_established();
        router.shut_down("cables");
        let said = speaker.await_said("cables");
        assert!(said.contains("Administrative Shutdown"), "{said}");
    }
}

/// It neither closes nor says anything: only the hold time tells.
#[test]
fn a_silent_router_is_given_up_after_the_hold_time() {
    for kind in Kind::ALL {
        println!("{kind:?}");
        let lab = Lab::new();
        let mut router = Router::start(&lab, kind, &Wanted::default());
        let speaker = lab.speaker();
        let mut settings = Settings::new(SPEAKER_AS, PeerAs::Is(ROUTER_AS), [10, 99, 0, 10].into());
        settings.hold_time = 3;
        speaker.peer_with(Over::V4, settings, |_| {});
        speaker.await_established();
        router.freeze();
        let said = speaker.await_said("the session ended");
        assert!(said.to_lowercase().contains("hold time"), "{said}");
    }
}

/// The router knows why we have gone.
#[test]
fn our_last_words_arrive() {
    for kind in Kind::ALL {
        println!("{kind:?}");
        let lab = Lab::new();
        let router = Router::start(&lab, kind, &Wanted::default());
        let speaker = lab.speaker();
        speaker.announce(many(10), &Route::default());
        speaker.peer(Over::V4, v4(), |_| {});
        router.await_count(false, 10);
        drop(speaker);
        router.await_count(false, 0);
        router.await_farewell("the test is over");
    }
}
