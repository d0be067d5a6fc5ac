//! How sessions end, what is said of it, and how they come back.

use metal_bgp::{
    peer::{Restart, Settings, Stop},
    rib_out::Route,
};
use metal_tests::wait::{ensure, wait_for};

use crate::{
    lab::{DEADLINE, Lab, Over, Speaker, both, many, settings, v4},
    matrix::Outcome,
    router::{Kind, Router, Wanted},
};

pub(crate) fn a_router_that_starts_again_is_told_again(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted::default());
    let speaker = lab.speaker();
    speaker.announce(many(100), &Route::default());
    speaker.peer(Over::V4, v4(), |_| {});
    router.await_count(false, 100);
    drop(router);
    speaker.await_said("the session ended");
    speaker.withdraw(many(40));
    let router = Router::start(&lab, kind, &Wanted::default());
    router.await_count(false, 60);
    Outcome::Yes
}

/// The first session's goodbye must not be the second one's.
pub(crate) fn a_peer_that_is_removed_and_comes_back_is_told_again(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted::default());
    let speaker = lab.speaker();
    speaker.announce(many(100), &Route::default());
    speaker.peer(Over::V4, v4(), |_| {});
    router.await_count(false, 100);
    speaker.tell(|sessions| sessions.remove_peer("router", Stop::Deconfigured));
    speaker.announce(many(101), &Route::default());
    speaker.peer(Over::V4, v4(), |_| {});
    router.await_count(false, 101);
    Outcome::Yes
}

/// The router takes so many and no more, and says so; the session is begun again.
pub(crate) fn too_many_prefixes(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let wanted = Wanted { limit: Some(10), ..Wanted::default() };
    if kind == Kind::Exabgp {
        return Outcome::No(kind.refusal(&lab, &wanted));
    }
    let _router = Router::start(&lab, kind, &wanted);
    let speaker = lab.speaker();
    speaker.announce(many(20), &Route::default());
    speaker.peer(Over::V4, v4(), |_| {});
    speaker.await_established();
    speaker.await_said("Maximum Number of Prefixes Reached");
    Outcome::Yes
}

/// What its operator says is heard.
pub(crate) fn the_text_of_its_shutdown(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted::default());
    let speaker = lab.speaker();
    speaker.peer(Over::V4, v4(), |_| {});
    speaker.await_established();
    router.await_state(true);
    router.shut_down("cables");
    let text = if kind == Kind::Exabgp { "\"Administrative Shutdown\"" } else { "cables" };
    let said = speaker.await_said(text);
    assert!(said.contains("Administrative Shutdown"), "{said}");
    if kind == Kind::Exabgp {
        return Outcome::But("always its own \"Administrative Shutdown\"".into());
    }
    Outcome::Yes
}

/// The router knows why we have gone.
pub(crate) fn our_last_words(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted::default());
    let speaker = lab.speaker();
    speaker.announce(many(10), &Route::default());
    speaker.peer(Over::V4, v4(), |_| {});
    router.await_count(false, 10);
    drop(speaker);
    router.await_count(false, 0);
    if kind == Kind::Exabgp {
        // With a text of any length, and without it takes the NOTIFICATION.
        let why = "can not decode update message of type";
        router.await_farewell(why);
        return Outcome::No(format!("\"{why} 3\""));
    }
    router.await_farewell("the test is over");
    Outcome::Yes
}

/// It neither closes nor says anything: only the hold time tells.
pub(crate) fn a_silent_router(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let mut router = Router::start(&lab, kind, &Wanted::default());
    let speaker = lab.speaker();
    speaker.peer_with(Over::V4, Settings { hold_time: 3, ..settings() }, |_| {});
    speaker.await_established();
    router.freeze();
    let said = speaker.await_said("the session ended");
    assert!(said.to_lowercase().contains("hold time"), "{said}");
    Outcome::Yes
}

/// Routes stay while the speaker is replaced; what the new one does not announce goes when it has said everything.
pub(crate) fn graceful_restart(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted::default());
    let start = |restarted, count| -> Speaker {
        let speaker = lab.speaker();
        speaker.announce(many(count), &Route::default());
        speaker.tell(|sessions| sessions.synced());
        // GoBGP waits for the end of each family that it has itself.
        let mut settings = Settings { families: both(), ..settings() };
        settings.offer.graceful_restart =
            Some(Restart { time: 60, restarted, forwarding: true, notification: false });
        speaker.peer_with(Over::V4, settings, |_| {});
        speaker
    };
    let old = start(false, 100);
    router.await_count(false, 100);
    old.tell(|sessions| sessions.remove_peer("router", Stop::ForRestart));
    drop(old);
    router.await_state(false);
    let kept = router.count().expect("a number");
    if kind == Kind::Exabgp {
        assert_eq!(kept, 0);
        return Outcome::No("it has no table: what it hands on ends with the session".into());
    }
    assert_eq!(kept, 100, "routes that stay");
    let _new = start(true, 60);
    wait_for("the 60 routes of the new speaker", DEADLINE, || {
        let count = router.count()?;
        assert!((60..=100).contains(&count), "{count} routes in between");
        ensure(count == 60, || format!("{count} routes"))
    });
    Outcome::Yes
}
