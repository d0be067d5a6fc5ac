//! How connections come about, or do not.

use std::{num::NonZeroU8, time::Duration};

use metal_bgp::{
    peer::{Mode, Settings},
    rib_out::Route,
};
use metal_net::tcp::{Md5Key, Ttl};
use metal_tests::wait::{ensure, wait_for};

use crate::{
    lab::{DEADLINE, Lab, Over, both, net, settings, v4, v6},
    matrix::Outcome,
    router::{Kind, Reach, Router, Wanted},
};

const PASSWORD: &str = "sesame";

fn key(password: &str) -> Option<Md5Key> {
    Some(Md5Key::new(password.as_bytes()).expect("a key"))
}

fn listening() -> Settings {
    Settings { mode: Mode::Listen, ..settings() }
}

/// The router opens the connection.
pub(crate) fn the_router_dials(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let speaker = lab.speaker();
    speaker.listen();
    speaker.announce([net("198.51.100.1/32")], &Route::default());
    speaker.peer_with(Over::V4, listening(), |_| {});
    let router = Router::start(&lab, kind, &Wanted { dials: true, ..Wanted::default() });
    router.await_route("198.51.100.1/32", &["10.99.0.10"]);
    Outcome::Yes
}

pub(crate) fn a_password_opens(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted { password: Some(PASSWORD), ..Wanted::default() });
    let speaker = lab.speaker();
    speaker.announce([net("198.51.100.1/32"), net("2001:db8:1::1/128")], &Route::default());
    speaker.peer(Over::V4, v4(), |neighbor| neighbor.dial.key = key(PASSWORD));
    router.await_route("198.51.100.1/32", &["10.99.0.10"]);
    speaker.peer(Over::V6, v6(), |neighbor| neighbor.dial.key = key(PASSWORD));
    router.await_route("2001:db8:1::1/128", &["2001:db8:99::10"]);
    Outcome::Yes
}

/// Both when it is the router that dials.
pub(crate) fn passwords_of_a_router_that_dials(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let speaker = lab.speaker();
    speaker.listen();
    speaker.announce([net("198.51.100.1/32")], &Route::default());
    speaker.peer_with(Over::V4, listening(), |neighbor| neighbor.dial.key = key("another"));
    let router =
        Router::start(&lab, kind, &Wanted { password: Some(PASSWORD), dials: true, ..Wanted::default() });
    wait_for("our kernel to see another password", DEADLINE, || {
        let drops = lab.drops();
        ensure(drops.md5_wrong > 0, || format!("{drops:?}"))
    });
    // The right one.
    speaker.peer_with(Over::V4, listening(), |neighbor| neighbor.dial.key = key(PASSWORD));
    router.await_route("198.51.100.1/32", &["10.99.0.10"]);
    Outcome::Yes
}

/// Neither side hears the other: the router's kernel drops what is signed otherwise, and counts it.
pub(crate) fn another_password(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted { password: Some(PASSWORD), ..Wanted::default() });
    let speaker = lab.speaker();
    let settings = Settings { connect_timeout: Duration::from_secs(1), ..settings() };
    speaker.peer_with(Over::V4, settings, |neighbor| neighbor.dial.key = key("another"));
    router.await_drop(&lab, |drops| drops.md5_wrong);
    let said = speaker.await_said("the peer did not answer");
    assert!(said.contains("within 1 s"), "{said}");
    Outcome::But(format!("it says \"{}\", we say \"the peer did not answer\"", router.await_state(false)))
}

/// RFC 5082: who is not on the link cannot even open a connection.
pub(crate) fn gtsm(kind: Kind) -> Outcome {
    // It answers with TTL 64 before it knows who it is, and it is us who do not take that.
    let dials = kind == Kind::Gobgp;
    let wanted = Wanted { reach: Reach::Gtsm, dials, ..Wanted::default() };
    let settings = || if dials { listening() } else { settings() };
    {
        // From farther away, as far as the router can see.
        let lab = Lab::new();
        let router = Router::start(&lab, kind, &wanted);
        let speaker = lab.speaker();
        speaker.listen();
        speaker.announce([net("198.51.100.1/32")], &Route::default());
        let ttl = Ttl::Multihop(NonZeroU8::new(254).expect("not 0"));
        speaker.peer_with(Over::V4, settings(), |neighbor| neighbor.dial.options.ttl = ttl);
        match kind {
            // Python has no name for IP_MINTTL, so it does without.
            Kind::Exabgp => drop(router.await_route("198.51.100.1/32", &["10.99.0.10"])),
            _ => router.await_drop(&lab, |drops| drops.too_far),
        }
    }
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &wanted);
    let speaker = lab.speaker();
    speaker.listen();
    speaker.announce([net("198.51.100.1/32")], &Route::default());
    speaker.peer_with(Over::V4, settings(), |neighbor| neighbor.dial.options.ttl = Ttl::Gtsm(NonZeroU8::MIN));
    router.await_route("198.51.100.1/32", &["10.99.0.10"]);
    match kind {
        Kind::Frr | Kind::Bird => Outcome::Yes,
        Kind::Gobgp => Outcome::But("where it opens the connection: it answers with TTL 64".into()),
        Kind::Exabgp => Outcome::But("it sends TTL 255, but takes 254 as well".into()),
    }
}

/// With another router between.
pub(crate) fn multihop(kind: Kind) -> Outcome {
    let lab = Lab::with_a_router_between();
    let router = Router::start(&lab, kind, &Wanted { reach: Reach::Multihop, ..Wanted::default() });
    let speaker = lab.speaker();
    speaker.announce([net("198.51.100.1/32")], &Route::default());
    speaker.peer(Over::V4, v4(), |neighbor| {
        neighbor.dial.options.ttl = Ttl::Multihop(NonZeroU8::new(2).expect("not 0"));
    });
    router.await_route("198.51.100.1/32", &["10.99.0.10"]);
    if kind == Kind::Bird {
        // It asks its own table for the way to the next hop, which the kernel has told.
        router.await_route("198.51.100.1/32", &["via 10.99.0.2 on eth0"]);
    }
    Outcome::Yes
}

/// The peer is a link; both sides find each other by router advertisements.
pub(crate) fn unnumbered(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let wanted =
        Wanted { reach: Reach::Unnumbered, extended_next_hop: true, dials: true, ..Wanted::default() };
    if kind == Kind::Exabgp {
        return Outcome::No(kind.refusal(&lab, &wanted));
    }
    let speaker = lab.speaker();
    speaker.listen();
    speaker.announce([net("198.51.100.1/32"), net("2001:db8:1::1/128")], &Route::default());
    let mut settings = Settings { families: both(), mode: Mode::Both, ..settings() };
    settings.offer.extended_next_hop = true;
    let link = lab.link();
    speaker.peer_with(Over::V6, settings, |neighbor| {
        neighbor.link = Some(link);
        neighbor.next_hops = (None, None);
    });
    lab.introduce();
    let router = Router::start(&lab, kind, &wanted);
    router.await_route("198.51.100.1/32", &["fe80::"]);
    router.await_route("2001:db8:1::1/128", &["fe80::"]);
    if kind.forwards() {
        lab.await_way("198.51.100.1");
        lab.await_way("2001:db8:1::1");
    }
    Outcome::Yes
}

pub(crate) fn a_wrong_as(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let _router = Router::start(&lab, kind, &Wanted { router_as: 64_999, ..Wanted::default() });
    let speaker = lab.speaker();
    speaker.peer(Over::V4, v4(), |_| {});
    let said = speaker.await_said("64999");
    assert!(said.contains("64513"), "what was expected: {said}");
    Outcome::Yes
}
