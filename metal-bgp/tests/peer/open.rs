//! Both OPENs: what is offered, what is refused, what is agreed on.

use metal_bgp::{
    peer::{Cause, Input, Mode, Offer, PeerAs, PeerRestart, Restart, Settings},
    wire::{
        Afi, Capability, Families, Family, Open, Peer,
        capability::{GracefulRestart, NextHopEncoding, RestartFamily, Role},
        frame::MaxLength,
    },
};

use crate::support::{
    Bench, OURS, Said, THEIRS, closed, dual, notification, open, secs, settings, their_open, theirs,
};

const V4: Families = Families::NONE.with(Family::IPV4_UNICAST);
const V6: Families = Families::NONE.with(Family::IPV6_UNICAST);

fn our_open(bench: &mut Bench) -> Open<'static> {
    let said = bench.heard();
    let [Said::Open(open)] = &said[..] else { panic!("{said:?}") };
    open.clone()
}

fn codes(open: &Open<'_>) -> Vec<u8> {
    open.capabilities.iter().map(|capability| capability.code()).collect()
}

#[test]
fn what_is_offered_by_default() {
    let open = our_open(&mut Bench::connected(Settings { families: dual(), ..settings() }));
    let expected = Open::new(
        OURS,
        9,
        [10, 0, 0, 1].into(),
        vec![
            Capability::Multiprotocol(Family::IPV4_UNICAST),
            Capability::Multiprotocol(Family::IPV6_UNICAST),
            Capability::RouteRefresh,
            Capability::ExtendedMessage,
            Capability::FourOctetAs(OURS),
            Capability::EnhancedRouteRefresh,
        ],
    );
    assert_eq!(open, expected);
}

#[test]
fn what_can_be_offered() {
    let offer = Offer {
        route_refresh: false,
        enhanced_route_refresh: false,
        extended_message: false,
        extended_next_hop: true,
        link_local_next_hop: true,
        graceful_restart: Some(Restart { time: 120, restarted: true, forwarding: true, notification: true }),
        role: Some(Role::Customer),
    };
    let open = our_open(&mut Bench::connected(Settings { offer, ..settings() }));
    let encoding = NextHopEncoding { afi: Afi::IPV4, safi: 1, next_hop: Afi::IPV6 };
    let families = vec![RestartFamily { family: Family::IPV4_UNICAST, forwarding: true }];
    let restart =
        GracefulRestart { restarted: true, notification: true, restart_time: 120, families: families.into() };
    let expected = vec![
        Capability::Multiprotocol(Family::IPV4_UNICAST),
        Capability::ExtendedNextHop(vec![encoding].into()),
        Capability::Role(Role::Customer),
        Capability::GracefulRestart(restart),
        Capability::FourOctetAs(OURS),
        Capability::LinkLocalNextHop,
    ];
    assert_eq!(open.capabilities.to_vec(), expected);
}

#[test]
fn an_as_of_four_octets() {
    let open = our_open(&mut Bench::connected(Settings { my_as: 4_200_000_000, ..settings() }));
    assert_eq!((open.my_as, open.asn()), (23_456, 4_200_000_000));
}

#[test]
fn a_local_as_is_shown_instead() {
    let local = Settings { local_as: Some(65_000), peer_as: PeerAs::External, ..settings() };
    let mut bench = Bench::connected(local.clone());
    assert_eq!(our_open(&mut bench).asn(), 65_000);
    let negotiated = bench.establish_later(&theirs());
    assert_eq!((negotiated.local_as, negotiated.kind), (65_000, Peer::External));
    // Neither our AS nor the one that is shown can be an external peer's.
    for asn in [OURS, 65_000] {
        let mut bench = Bench::connected(local.clone());
        bench.heard();
        let theirs = Open::new(asn, 90, [10, 0, 0, 2].into(), vec![Capability::FourOctetAs(asn)]);
        let (said, _) = closed(&bench.say(&crate::support::open(&theirs)));
        assert_eq!(said, [Said::Notification(2, 2, vec![])]);
    }
}

#[test]
fn the_as_of_the_peer() {
    let is = PeerAs::Is(THEIRS);
    for (configured, found, good) in [
        (is, THEIRS, true),
        (is, 65_000, false),
        (is, OURS, false),
        (PeerAs::Is(OURS), OURS, true),
        (PeerAs::Internal, OURS, true),
        (PeerAs::Internal, THEIRS, false),
        (PeerAs::External, THEIRS, true),
        (PeerAs::External, 4_200_000_000, true),
        (PeerAs::External, OURS, false),
    ] {
        let mut bench = Bench::connected(Settings { peer_as: configured, ..settings() });
        let theirs = Open::new(found, 90, [10, 0, 0, 2].into(), vec![Capability::FourOctetAs(found)]);
        if good {
            let negotiated = bench.establish(&theirs);
            let kind = if found == OURS { Peer::Internal } else { Peer::External };
            assert_eq!((negotiated.peer_as, negotiated.kind), (found, kind));
            assert_eq!((negotiated.send.peer, negotiated.receive.peer), (kind, kind));
            continue;
        }
        bench.heard();
        let (said, ending) = closed(&bench.say(&open(&theirs)));
        assert_eq!(said, [Said::Notification(2, 2, vec![])]);
        assert!(ending.to_string().contains(&format!("AS {found}")), "{ending}");
    }
}

/// Where the field of two octets and the capability disagree, the capability counts; without it AS_TRANS is an AS
/// like any other.
#[test]
fn as_trans_without_the_capability() {
    let mut bench = Bench::connected(Settings { peer_as: PeerAs::Is(4_200_000_000), ..settings() });
    bench.heard();
    let theirs = Open::new(4_200_000_000, 90, [10, 0, 0, 2].into(), vec![]);
    let (said, ending) = closed(&bench.say(&open(&theirs)));
    assert_eq!(said, [Said::Notification(2, 2, vec![])]);
    assert_eq!(
        ending.to_string(),
        "no session: the peer is in AS 23456, configured is AS 4200000000; \
         the peer was told: OPEN Message Error: Bad Peer AS"
    );
    let mut bench = Bench::connected(settings());
    let mut theirs = their_open(vec![Capability::FourOctetAs(THEIRS)]);
    theirs.my_as = 1;
    assert_eq!(bench.establish(&theirs).peer_as, THEIRS);
}

#[test]
fn an_internal_peer_with_our_identifier() {
    let with_our_id =
        |asn| Open { bgp_identifier: [10, 0, 0, 1].into(), ..Open::new(asn, 9, [1; 4].into(), vec![]) };
    let mut bench = Bench::connected(Settings { peer_as: PeerAs::Internal, ..settings() });
    bench.heard();
    let (said, ending) = closed(&bench.say(&open(&with_our_id(OURS))));
    assert_eq!(said, [Said::Notification(2, 3, vec![])]);
    assert!(ending.to_string().contains("router ID 10.0.0.1"), "{ending}");
    // RFC 6286: an external one may have it.
    Bench::connected(settings()).establish(&with_our_id(THEIRS));
}

#[test]
fn families_that_both_sides_have() {
    let mp = |families: Families| families.iter().map(Capability::Multiprotocol).collect::<Vec<_>>();
    for (ours, theirs, expected, missing) in [
        (V4, mp(V4), V4, Families::NONE),
        (dual(), mp(V6), V6, V4),
        (dual(), mp(dual()), dual(), Families::NONE),
        // Without any such capability the peer has IPv4 unicast (RFC 4760 8).
        (dual(), vec![], V4, V6),
    ] {
        let mut bench = Bench::connected(Settings { families: ours, ..settings() });
        let negotiated = bench.establish(&their_open(theirs));
        assert_eq!((negotiated.families, negotiated.missing), (expected, missing));
    }
    for (ours, theirs) in [(V6, mp(V4)), (V4, mp(V6)), (V6, vec![])] {
        let mut bench = Bench::connected(Settings { families: ours, ..settings() });
        bench.heard();
        let (said, ending) = closed(&bench.say(&open(&their_open(theirs))));
        let afi = if ours == V6 { 2 } else { 1 };
        assert_eq!(said, [Said::Notification(2, 7, vec![1, 4, 0, afi, 0, 1])]);
        assert!(ending.to_string().contains("no common address family: configured is IPv"), "{ending}");
    }
}

#[test]
fn malformed_opens_get_their_notification() {
    let mut good = open(&theirs());
    for (at, octets, expected) in [
        (19, &[3][..], (2, 1, vec![0, 4])),
        (20, &[0, 0], (2, 2, vec![])),
        (22, &[0, 2], (2, 6, vec![])),
        (24, &[0, 0, 0, 0], (2, 3, vec![])),
        (29, &[7], (2, 4, vec![])),
        (30, &[200], (2, 0, vec![])),
    ] {
        let mut bytes = good.clone();
        bytes[at..at + octets.len()].copy_from_slice(octets);
        let mut bench = Bench::connected(settings());
        bench.heard();
        let (said, ending) = closed(&bench.say(&bytes));
        let (code, subcode, data) = expected;
        assert_eq!(said, [Said::Notification(code, subcode, data)], "{ending}");
        assert_eq!(ending.message.as_deref(), Some(&bytes[..]));
        assert!(matches!(ending.cause, Cause::Malformed(_)));
    }
    good.truncate(20);
    let mut bench = Bench::connected(settings());
    bench.heard();
    assert_eq!(bench.say(&good), [], "it is not there yet");
}

#[test]
fn what_both_sides_can_do() {
    let offer = Offer { extended_next_hop: true, link_local_next_hop: true, ..Offer::default() };
    let ours = Settings { offer, ..settings() };
    let negotiated = Bench::connected(ours.clone()).establish(&theirs());
    assert!(negotiated.route_refresh && negotiated.enhanced_route_refresh);
    assert!(!negotiated.extended_next_hop && !negotiated.link_local_next_hop);
    assert!(negotiated.send.four_octet_as && negotiated.receive.four_octet_as);
    assert_eq!(negotiated.send.max_length, MaxLength::Extended);
    assert_eq!(negotiated.peer_id, core::net::Ipv4Addr::new(10, 0, 0, 2));
    assert_eq!(negotiated.capabilities, theirs().capabilities.to_vec());

    let encoding = NextHopEncoding { afi: Afi::IPV4, safi: 1, next_hop: Afi::IPV6 };
    let theirs = their_open(vec![
        Capability::RouteRefreshCisco,
        Capability::ExtendedNextHop(vec![encoding].into()),
        Capability::LinkLocalNextHop,
    ]);
    let negotiated = Bench::connected(ours).establish(&theirs);
    assert!(negotiated.route_refresh && !negotiated.enhanced_route_refresh);
    assert!(negotiated.extended_next_hop && negotiated.link_local_next_hop);
    assert!(!negotiated.send.four_octet_as);
    assert_eq!(negotiated.send.max_length, MaxLength::Standard);
}

#[test]
fn roles_have_to_go_together() {
    let offer = Offer { role: Some(Role::Customer), ..Offer::default() };
    let ours = Settings { offer, ..settings() };
    Bench::connected(ours.clone()).establish(&their_open(vec![Capability::Role(Role::Provider)]));
    Bench::connected(ours.clone()).establish(&their_open(vec![]));
    Bench::connected(settings()).establish(&their_open(vec![Capability::Role(Role::Peer)]));
    for role in [Role::Customer, Role::Peer, Role::RouteServer, Role::Unknown(9)] {
        let mut bench = Bench::connected(ours.clone());
        bench.heard();
        let (said, ending) = closed(&bench.say(&open(&their_open(vec![Capability::Role(role)]))));
        assert_eq!(said, [Said::Notification(2, 11, vec![])]);
        assert!(ending.to_string().contains("we are its Customer"), "{ending}");
    }
}

#[test]
fn that_it_restarted_is_said_until_a_session_stands() {
    let restart = Restart { time: 120, restarted: true, forwarding: true, notification: false };
    let offer = Offer { graceful_restart: Some(restart), ..Offer::default() };
    let mut bench = Bench::connected(Settings { offer, ..settings() });
    let restarted = |open: &Open<'_>| {
        open.capabilities.iter().any(|it| matches!(it, Capability::GracefulRestart(it) if it.restarted))
    };
    assert!(restarted(&our_open(&mut bench)));
    bench.tell(Input::Failed(bench.connection, metal_bgp::peer::Transport::Closed));
    bench.reconnect();
    assert!(restarted(&our_open(&mut bench)), "nobody has heard it yet");
    let theirs_restart = GracefulRestart {
        restarted: false,
        notification: true,
        restart_time: 60,
        families: vec![RestartFamily { family: Family::IPV4_UNICAST, forwarding: false }].into(),
    };
    let negotiated = bench.establish_later(&their_open(vec![Capability::GracefulRestart(theirs_restart)]));
    let expected = PeerRestart { restarted: false, notification: false, families: V4 };
    assert_eq!(negotiated.graceful_restart, Some(expected));
    bench.tell(Input::Failed(bench.connection, metal_bgp::peer::Transport::Closed));
    bench.reconnect();
    assert!(!restarted(&our_open(&mut bench)));
}

/// RFC 5492 3: one attempt without, then all of them again.
#[test]
fn refused_parameters_are_left_out_once() {
    let mut bench = Bench::connected(settings());
    assert!(!codes(&our_open(&mut bench)).is_empty());
    bench.say(&notification(2, 4, &[]));
    bench.reconnect();
    assert_eq!(codes(&our_open(&mut bench)), []);
    // Without capabilities it is IPv4 unicast, and AS numbers of two octets.
    let negotiated = bench.establish_later(&theirs());
    assert_eq!((negotiated.families, negotiated.send.four_octet_as), (V4, false));
    bench.tell(Input::Failed(bench.connection, metal_bgp::peer::Transport::Closed));
    bench.reconnect();
    assert!(!codes(&our_open(&mut bench)).is_empty());
}

#[test]
fn refused_capabilities_are_left_out_and_no_others() {
    let mut bench = Bench::connected(settings());
    our_open(&mut bench);
    bench.say(&notification(2, 7, &[6, 0]));
    // An attempt that never got so far changes nothing.
    let (_, connection) = bench.redialled();
    bench.tell(Input::Failed(connection, metal_bgp::peer::Transport::Refused));
    bench.reconnect();
    assert_eq!(codes(&our_open(&mut bench)), [1, 2, 65, 70]);
    bench.say(&notification(2, 7, &[70, 0, 2, 0]));
    bench.reconnect();
    assert_eq!(codes(&our_open(&mut bench)), [1, 65]);
    // Which is said without a list, or of what was left out already.
    bench.say(&notification(2, 7, &[6, 0]));
    bench.reconnect();
    assert_eq!(codes(&our_open(&mut bench)), []);
    bench.say(&notification(2, 7, &[]));
    bench.reconnect();
    assert_eq!(codes(&our_open(&mut bench)), [1, 2, 6, 65, 70]);
    // Anything else is no reason to leave something out.
    bench.say(&notification(6, 5, &[]));
    bench.reconnect();
    assert_eq!(codes(&our_open(&mut bench)), [1, 2, 6, 65, 70]);
}

#[test]
fn an_open_without_common_capability_for_an_ipv6_peer_is_no_session() {
    let mut bench = Bench::connected(Settings { families: V6, ..settings() });
    our_open(&mut bench);
    bench.say(&notification(2, 4, &[]));
    bench.reconnect();
    our_open(&mut bench);
    let (said, _) = closed(&bench.say(&open(&theirs())));
    assert_eq!(said, [Said::Notification(2, 7, vec![1, 4, 0, 2, 0, 1])]);
}

#[test]
fn who_listens_does_not_dial() {
    let mut bench = Bench::new(Settings { mode: Mode::Listen, ..settings() });
    assert_eq!(bench.tell(Input::Start), []);
    assert_eq!(bench.pass(secs(600)), []);
    assert_eq!(bench.tell(Input::Accepted(1)), []);
    bench.connection = metal_bgp::peer::ConnectionId::Accepted(1);
    bench.establish(&theirs());
    // The end of it, and the next one.
    bench.tell(Input::Failed(bench.connection, metal_bgp::peer::Transport::Closed));
    assert_eq!(bench.tell(Input::Accepted(2)), []);
    bench.connection = metal_bgp::peer::ConnectionId::Accepted(2);
    bench.establish(&theirs());
}
