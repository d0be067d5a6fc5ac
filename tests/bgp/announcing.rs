//! What the router knows after we have told it.

use metal_bgp::{
    peer::{PeerAs, Settings, Stop},
    rib_out::{Route, RouteSettings},
    wire::attribute::{Community, LargeCommunity},
};

use crate::{
    lab::{Lab, Over, ROUTER_AS, SPEAKER_AS, both, many, net, v4, v6},
    router::{Kind, Router, Wanted},
};

/// For each router: a lab with it, and a speaker.
fn with_each(test: impl Fn(Kind, &Lab, &Router)) {
    for kind in Kind::ALL {
        println!("{kind:?}");
        let lab = Lab::new();
        let router = Router::start(&lab, kind, &Wanted::default());
        test(kind, &lab, &router);
    }
}

#[test]
fn ipv4_over_ipv4() {
    with_each(|_, lab, router| {
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
    });
}

#[test]
fn ipv6_over_ipv6() {
    with_each(|_, lab, router| {
        let speaker = lab.speaker();
        speaker.announce([net("2001:db8:1::1/128")], &Route::default());
        speaker.peer(Over::V6, v6(), |_| {});
        speaker.await_established();
        router.await_route("2001:db8:1::1/128", &["2001:db8:99::10", "64512"]);
        speaker.withdraw([net("2001:db8:1::1/128")]);
        router.await_count(true, 0);
    });
}

#[test]
fn both_families_on_one_session() {
    with_each(|_, lab, router| {
        let speaker = lab.speaker();
        speaker.announce([net("198.51.100.1/32"), net("2001:db8:1::1/128")], &Route::default());
        speaker.peer(Over::V4, both(), |_| {});
        router.await_route("198.51.100.1/32", &["10.99.0.10"]);
        router.await_route("2001:db8:1::1/128", &["2001:db8:99::10"]);
    });
}

#[test]
fn communities_and_med() {
    with_each(|kind, lab, router| {
        let settings = RouteSettings {
            med: Some(77),
            communities: vec![
                "64512:100".parse::<Community>().expect("one"),
                "64512:200".parse().expect("one"),
            ],
            large_communities: vec!["64512:1:2".parse::<LargeCommunity>().expect("one")],
            ..RouteSettings::default()
        };
        let speaker = lab.speaker();
        speaker.announce([net("198.51.100.1/32")], &settings.check().expect("a route"));
        speaker.peer(Over::V4, v4(), |_| {});
        let parts: &[&str] = match kind {
            Kind::Bird => &["(64512,100) (64512,200)", "(64512, 1, 2)", "BGP.med: 77"],
            Kind::Frr => &["64512:100 64512:200", "64512:1:2", "\"metric\":77"],
            Kind::Gobgp => &["64512:100, 64512:200", "64512:1:2", "{Med: 77}"],
        };
        router.await_route("198.51.100.1/32", parts);
    });
}

#[test]
fn ten_thousand_prefixes() {
    with_each(|_, lab, router| {
        let speaker = lab.speaker();
        speaker.announce(many(10_000), &Route::default());
        speaker.peer(Over::V4, v4(), |_| {});
        router.await_count(false, 10_000);
        speaker.withdraw(many(10_000).step_by(2));
        router.await_count(false, 5_000);
    });
}

#[test]
fn an_internal_peer() {
    for kind in Kind::ALL {
        println!("{kind:?}");
        let lab = Lab::new();
        let router = Router::start(&lab, kind, &Wanted { router_as: SPEAKER_AS, ..Wanted::default() });
        let speaker = lab.speaker();
        let route = RouteSettings { local_pref: Some(321), ..RouteSettings::default() };
        speaker.announce([net("198.51.100.1/32")], &route.check().expect("a route"));
        let settings = Settings::new(SPEAKER_AS, PeerAs::Internal, [10, 99, 0, 10].into());
        speaker.peer_with(Over::V4, settings, |_| {});
        router.await_route("198.51.100.1/32", &["10.99.0.10", "321"]);
    }
}

/// A four-octet AS number, which AS_PATH and OPEN hold differently.
#[test]
fn a_large_as() {
    const LARGE: u32 = 4_200_000_001;
    for kind in Kind::ALL {
        println!("{kind:?}");
        let lab = Lab::new();
        let router = Router::start(&lab, kind, &Wanted { speaker_as: LARGE, ..Wanted::default() });
        let speaker = lab.speaker();
        speaker.announce([net("198.51.100.1/32")], &Route::default());
        let settings = Settings::new(LARGE, PeerAs::Is(ROUTER_AS), [10, 99, 0, 10].into());
        speaker.peer_with(Over::V4, settings, |_| {});
        router.await_route("198.51.100.1/32", &["10.99.0.10", "4200000001"]);
    }
}

/// RFC 8950: the session is over IPv6, and so is the way to IPv4 addresses. GoBGP takes no such routes into its table.
#[test]
fn ipv4_with_ipv6_next_hops() {
    for kind in [Kind::Bird, Kind::Frr] {
        println!("{kind:?}");
        let lab = Lab::new();
        let router = Router::start(&lab, kind, &Wanted { extended_next_hop: true, ..Wanted::default() });
        let speaker = lab.speaker();
        speaker.announce([net("198.51.100.1/32")], &Route::default());
        let mut settings = Settings::new(SPEAKER_AS, PeerAs::Is(ROUTER_AS), [10, 99, 0, 10].into());
        settings.families = both();
        settings.offer.extended_next_hop = true;
        speaker.peer_with(Over::V6, settings, |_| {});
        router.await_route("198.51.100.1/32", &["2001:db8:99::10"]);
    }
}

/// The first session's goodbye must not be the second one's.
#[test]
fn a_peer_that_is_removed_and_comes_back_is_told_again() {
    with_each(|_, lab, router| {
        let speaker = lab.speaker();
        speaker.announce(many(100), &Route::default());
        speaker.peer(Over::V4, v4(), |_| {});
        router.await_count(false, 100);
        speaker.tell(|sessions| sessions.remove_peer("router", Stop::Deconfigured));
        speaker.announce(many(101), &Route::default());
        speaker.peer(Over::V4, v4(), |_| {});
        router.await_count(false, 101);
    });
}

#[test]
fn a_router_that_starts_again_is_told_again() {
    for kind in Kind::ALL {
        println!("{kind:?}");
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
    }
}
