//! What the router knows after we have told it.

use metal_bgp::{
    peer::{PeerAs, Settings},
    rib_out::{Route, RouteSettings},
    wire::attribute::{Community, ExtendedCommunity, LargeCommunity},
};
use metal_tests::wait::{ensure, wait_for};

use crate::{
    lab::{DEADLINE, Lab, Over, ROUTER_AS, SPEAKER_AS, both, many, net, settings, v4, v6},
    matrix::Outcome,
    router::{Kind, Router, Wanted},
};

pub(crate) fn ipv4_over_ipv4(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted::default());
    let speaker = lab.speaker();
    speaker.announce([net("198.51.100.1/32")], &Route::default());
    speaker.tell(|sessions| sessions.synced());
    speaker.peer(Over::V4, v4(), |_| {});
    speaker.await_established();
    router.await_route("198.51.100.1/32", &["10.99.0.10", "64512"]);
    speaker.announce([net("198.51.100.2/32")], &Route::default());
    router.await_route("198.51.100.2/32", &["10.99.0.10"]);
    speaker.withdraw([net("198.51.100.1/32")]);
    router.await_count(false, 1);
    Outcome::Yes
}

pub(crate) fn ipv6_over_ipv6(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted::default());
    let speaker = lab.speaker();
    speaker.announce([net("2001:db8:1::1/128")], &Route::default());
    speaker.peer(Over::V6, v6(), |_| {});
    speaker.await_established();
    router.await_route("2001:db8:1::1/128", &["2001:db8:99::10", "64512"]);
    speaker.withdraw([net("2001:db8:1::1/128")]);
    router.await_count(true, 0);
    Outcome::Yes
}

pub(crate) fn both_families_on_one_session(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted::default());
    let speaker = lab.speaker();
    speaker.announce([net("198.51.100.1/32"), net("2001:db8:1::1/128")], &Route::default());
    speaker.peer(Over::V4, both(), |_| {});
    router.await_route("198.51.100.1/32", &["10.99.0.10"]);
    router.await_route("2001:db8:1::1/128", &["2001:db8:99::10"]);
    Outcome::Yes
}

/// RFC 8950: the session is over IPv6, and so is the way to IPv4 addresses.
pub(crate) fn ipv4_with_ipv6_next_hops(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted { extended_next_hop: true, ..Wanted::default() });
    let speaker = lab.speaker();
    speaker.announce([net("198.51.100.1/32")], &Route::default());
    let mut settings = Settings { families: both(), ..settings() };
    settings.offer.extended_next_hop = true;
    speaker.peer_with(Over::V6, settings, |_| {});
    router.await_route("198.51.100.1/32", &["2001:db8:99::10"]);
    if kind.forwards() {
        lab.await_way("198.51.100.1");
    }
    Outcome::Yes
}

/// A connection from the router's host to an address behind the speaker opens.
pub(crate) fn packets_take_the_routes(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted::default());
    let speaker = lab.speaker();
    speaker.announce([net("198.51.100.1/32"), net("2001:db8:1::1/128")], &Route::default());
    speaker.peer(Over::V4, both(), |_| {});
    router.await_route("198.51.100.1/32", &["10.99.0.10"]);
    router.await_route("2001:db8:1::1/128", &["2001:db8:99::10"]);
    if !kind.forwards() {
        return Outcome::No(lab.no_way("198.51.100.1"));
    }
    lab.await_way("198.51.100.1");
    lab.await_way("2001:db8:1::1");
    Outcome::Yes
}

pub(crate) fn an_internal_peer(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted { router_as: SPEAKER_AS, ..Wanted::default() });
    let speaker = lab.speaker();
    let route = RouteSettings { local_pref: Some(321), ..RouteSettings::default() };
    speaker.announce([net("198.51.100.1/32")], &route.check().expect("a route"));
    speaker.peer_with(Over::V4, Settings { peer_as: PeerAs::Internal, ..settings() }, |_| {});
    router.await_route("198.51.100.1/32", &["10.99.0.10", "321"]);
    Outcome::Yes
}

/// Which AS_PATH and OPEN hold differently.
pub(crate) fn a_four_octet_as(kind: Kind) -> Outcome {
    const LARGE: u32 = 4_200_000_001;
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted { speaker_as: LARGE, ..Wanted::default() });
    let speaker = lab.speaker();
    speaker.announce([net("198.51.100.1/32")], &Route::default());
    speaker.peer_with(
        Over::V4,
        Settings { my_as: LARGE, peer_as: PeerAs::Is(ROUTER_AS), ..settings() },
        |_| {},
    );
    router.await_route("198.51.100.1/32", &["10.99.0.10", "4200000001"]);
    Outcome::Yes
}

pub(crate) fn communities_and_med(kind: Kind) -> Outcome {
    let communities: [Community; 2] = ["64512:100", "64512:200"].map(|text| text.parse().expect("one"));
    let large: LargeCommunity = "64512:1:2".parse().expect("one");
    let route = RouteSettings {
        med: Some(77),
        communities: communities.to_vec(),
        large_communities: vec![large],
        ..RouteSettings::default()
    };
    let parts: &[&str] = match kind {
        Kind::Bird => &["(64512,100) (64512,200)", "(64512, 1, 2)", "BGP.med: 77"],
        Kind::Frr => &["64512:100 64512:200", "64512:1:2", "\"metric\":77"],
        Kind::Gobgp => &["64512:100, 64512:200", "64512:1:2", "{Med: 77}"],
        Kind::Exabgp => &["[[64512,100],[64512,200]]", "[[64512,1,2]]", "\"med\":77"],
    };
    told(kind, route, parts)
}

/// A route target, and a link bandwidth of 1 Gbit/s.
pub(crate) fn extended_communities(kind: Kind) -> Outcome {
    let target = ExtendedCommunity([0, 2, 0xfc, 0, 0, 0, 0, 100]);
    let bandwidth = ExtendedCommunity::link_bandwidth(SPEAKER_AS, 125e6, true).expect("a bandwidth");
    let route = RouteSettings { extended_communities: vec![target, bandwidth], ..RouteSettings::default() };
    let parts: &[&str] = match kind {
        Kind::Bird => &["(rt, 64512, 100)", "(unknown 0x4, 64512, 1290693416)"],
        Kind::Frr => &["RT:64512:100", "LB:64512:125000000"],
        Kind::Gobgp => &["[64512:100]", "[64512:125000000]"],
        Kind::Exabgp => &["target:64512:100", "\"value\":1402978127735592"],
    };
    told(kind, route, parts)
}

fn told(kind: Kind, route: RouteSettings, parts: &[&str]) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted::default());
    let speaker = lab.speaker();
    speaker.announce([net("198.51.100.1/32")], &route.check().expect("a route"));
    speaker.peer(Over::V4, v4(), |_| {});
    router.await_route("198.51.100.1/32", parts);
    Outcome::Yes
}

pub(crate) fn ten_thousand_prefixes(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted::default());
    let speaker = lab.speaker();
    speaker.announce(many(10_000), &Route::default());
    speaker.peer(Over::V4, v4(), |_| {});
    router.await_count(false, 10_000);
    speaker.withdraw(many(10_000).step_by(2));
    router.await_count(false, 5_000);
    Outcome::Yes
}

/// Its operator has it ask for everything again; where that begins and ends is said (RFC 7313).
pub(crate) fn route_refresh(kind: Kind) -> Outcome {
    let lab = Lab::new();
    let router = Router::start(&lab, kind, &Wanted::default());
    let speaker = lab.speaker();
    speaker.announce(many(100), &Route::default());
    speaker.tell(|sessions| sessions.synced());
    speaker.peer(Over::V4, v4(), |_| {});
    router.await_count(false, 100);
    let (before, _) = router.received().expect("numbers");
    router.ask_again();
    if kind == Kind::Gobgp {
        // What comes next is what was announced next.
        speaker.announce(many(101), &Route::default());
        router.await_count(false, 101);
        let (_, asked) = router.received().expect("numbers");
        assert_eq!(asked, 0, "requests");
        return Outcome::No("`softresetin` reads its own table again and asks nobody".into());
    }
    wait_for("all routes again, between two marks", DEADLINE, || {
        let (after, marks) = router.received()?;
        ensure(after > before && marks == 2, || format!("{before}, then {after} and {marks} marks"))
    });
    router.await_count(false, 100);
    Outcome::But("with its beginning and end (RFC 7313)".into())
}
