//! One promise at a time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use metal_bgp::{
    rib_out::{Audience, COALESCE, Export, Input, InvalidExport, Route, RouteSettings},
    wire::{
        Families, Family, Peer, Session,
        attribute::{Community, NextHop},
    },
};
use metal_core::{Machine, machine::drain};

use crate::support::{Speaker, both, export, hosts, net, with_med};

#[test]
fn end_of_rib_comes_after_synced_once_for_each_family_even_without_routes() {
    let mut speaker = Speaker::new();
    speaker.up(1, Peer::External);
    speaker.announce("192.0.2.1/32");
    assert_eq!(speaker.told(1), ["+192.0.2.1/32"]);
    speaker.synced();
    assert_eq!(drain(&mut speaker.rib, speaker.now), [1]);
    assert_eq!(speaker.told(1), ["end of IPv4 unicast", "end of IPv6 unicast"]);
    speaker.synced();
    assert_eq!(speaker.told(1), [""; 0]);
    // A new session gets its own.
    speaker.up(1, Peer::External);
    assert_eq!(speaker.told(1), ["+192.0.2.1/32", "end of IPv4 unicast", "end of IPv6 unicast"]);
}

#[test]
fn what_changed_before_synced_comes_before_end_of_rib() {
    let mut speaker = Speaker::new();
    speaker.up(1, Peer::External);
    assert_eq!(speaker.told(1), [""; 0]);
    speaker.announce("192.0.2.1/32");
    assert_eq!(speaker.told(1), ["+192.0.2.1/32"]);
    // This one would wait for others.
    speaker.announce("192.0.2.2/32");
    assert_eq!(speaker.told(1), [""; 0]);
    speaker.synced();
    assert_eq!(speaker.told(1), ["+192.0.2.2/32", "end of IPv4 unicast", "end of IPv6 unicast"]);
}

#[test]
fn the_first_change_leaves_at_once_and_others_join_the_next_update() {
    let mut speaker = Speaker::new();
    speaker.up(1, Peer::External);
    assert_eq!(drain(&mut speaker.rib, speaker.now), [1]);
    assert_eq!(speaker.told(1), [""; 0]);
    speaker.announce("192.0.2.1/32");
    assert_eq!(drain(&mut speaker.rib, speaker.now), [1]);
    assert_eq!(speaker.told(1), ["+192.0.2.1/32"]);

    let left = speaker.now;
    for host in 2..6 {
        speaker.now += Duration::from_millis(1);
        speaker.announce(&format!("192.0.2.{host}/32"));
        assert_eq!(drain(&mut speaker.rib, speaker.now), [0; 0]);
        assert_eq!(speaker.told(1), [""; 0]);
        assert_eq!(speaker.rib.poll_timeout(), Some(left + COALESCE));
    }
    speaker.now = left + COALESCE;
    assert_eq!(drain(&mut speaker.rib, speaker.now), [1]);
    assert_eq!(speaker.told(1), ["+4"]);
    assert_eq!(speaker.rib.poll_timeout(), None);

    speaker.now += COALESCE;
    speaker.withdraw("192.0.2.1/32");
    assert_eq!(speaker.told(1), ["-192.0.2.1/32"]);
}

#[test]
fn changed_attributes_are_announced_without_a_withdrawal() {
    let mut speaker = Speaker::new();
    speaker.up(1, Peer::External);
    speaker.set(net("192.0.2.1/32"), Some(&with_med(1)));
    assert_eq!(speaker.told(1), ["+192.0.2.1/32 med 1"]);
    speaker.now += COALESCE;
    speaker.set(net("192.0.2.1/32"), None);
    speaker.set(net("192.0.2.1/32"), Some(&with_med(2)));
    assert_eq!(speaker.told(1), ["+192.0.2.1/32 med 2"]);
    // There and back again is nothing.
    speaker.now += COALESCE;
    speaker.set(net("192.0.2.1/32"), None);
    speaker.set(net("192.0.2.1/32"), Some(&with_med(2)));
    assert_eq!(speaker.told(1), [""; 0]);
    assert_eq!(speaker.rib.poll_timeout(), None);
}

#[test]
fn what_a_peer_is_not_told_does_not_make_a_message() {
    let mut speaker = Speaker::new();
    let with =
        |local_pref| RouteSettings { local_pref, ..RouteSettings::default() }.check().expect("a route");
    speaker.up(1, Peer::External);
    speaker.up(2, Peer::Internal);
    speaker.set(net("192.0.2.1/32"), Some(&with(None)));
    assert_eq!((speaker.messages(1).len(), speaker.messages(2).len()), (1, 1));
    speaker.now += COALESCE;
    speaker.set(net("192.0.2.1/32"), Some(&with(Some(200))));
    assert_eq!((speaker.messages(1).len(), speaker.messages(2).len()), (0, 1));
    // 100 is what is said where nothing is set.
    speaker.now += COALESCE;
    speaker.set(net("192.0.2.1/32"), Some(&with(Some(100))));
    speaker.set(net("192.0.2.2/32"), Some(&with(None)));
    assert_eq!(speaker.told(1), ["+192.0.2.2/32"]);
    assert_eq!(speaker.messages(2).len(), 1, "both in one");
}

#[test]
fn a_new_aggregate_is_announced_before_the_old_is_withdrawn() {
    let mut speaker = Speaker::new();
    speaker.up(1, Peer::External);
    speaker.announce("192.0.2.0/24");
    speaker.announce("198.51.100.0/24");
    assert_eq!(speaker.told(1), ["+2"]);
    speaker.now += COALESCE;
    speaker.withdraw("192.0.2.0/24");
    speaker.withdraw("198.51.100.0/24");
    speaker.announce("192.0.2.128/25");
    // The one without a successor goes first.
    assert_eq!(speaker.told(1), ["-198.51.100.0/24", "+192.0.2.128/25", "-192.0.2.0/24"]);
    speaker.now += COALESCE;
    speaker.announce("192.0.2.0/23");
    speaker.withdraw("192.0.2.128/25");
    assert_eq!(speaker.told(1), ["+192.0.2.0/23", "-192.0.2.128/25"]);
}

#[test]
fn a_slow_peer_is_never_told_what_is_over() {
    let mut speaker = Speaker::new();
    speaker.up(1, Peer::External);
    speaker.up(2, Peer::External);
    assert_eq!((speaker.told(1).len(), speaker.told(2).len()), (0, 0));
    for round in 0..100 {
        speaker.now += COALESCE;
        let announced = (round % 2 == 0).then(|| with_med(round));
        speaker.set(net("192.0.2.1/32"), announced.as_ref());
        speaker.set(net("192.0.2.2/32"), Some(&with_med(round)));
        assert_eq!(speaker.messages(1).len(), 2 - usize::from(round % 2 == 0));
    }
    assert_eq!(speaker.told(2), ["+192.0.2.2/32 med 99"]);
}

#[test]
fn a_withdrawal_overtakes_announcements_that_wait() {
    let mut speaker = Speaker::new();
    hosts(10_000).for_each(|prefix| speaker.set(prefix, Some(&Route::default())));
    speaker.announce("192.0.2.1/32");
    speaker.up(1, Peer::External);
    // The first of 13 messages.
    assert!(speaker.next(1).is_some());
    speaker.set(net("10.0.0.5/32"), None);
    speaker.set(net("10.0.39.0/32"), None);
    speaker.announce("192.0.2.2/32");
    let told = speaker.told(1);
    assert_eq!(told[0], "-10.0.0.5/32");
    assert_eq!(told.len(), 1 + 12 + 1, "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("+192.0.2.2/32"));
    assert!(!told.contains(&"-10.0.39.0/32".to_string()), "it was never announced");
}

#[test]
fn withdrawals_leave_room_for_announcements() {
    let mut speaker = Speaker::new();
    hosts(40_000).for_each(|prefix| speaker.set(prefix, Some(&Route::default())));
    speaker.up(1, Peer::External);
    assert_eq!(speaker.messages(1).len(), 50);
    speaker.now += COALESCE;
    hosts(40_000).for_each(|prefix| speaker.set(prefix, None));
    speaker.announce("192.0.2.1/32");
    let told = speaker.told(1);
    assert_eq!(told.len(), 51, "40,000 withdrawals take 50 messages of 814");
    assert_eq!(told.iter().position(|what| what == "+192.0.2.1/32"), Some(16));
}

#[test]
fn messages_are_full() {
    let mut speaker = Speaker::new();
    hosts(10_000).for_each(|prefix| speaker.set(prefix, Some(&Route::default())));
    speaker.up(1, Peer::External);
    let messages = speaker.messages(1);
    assert_eq!(messages.len(), 10_000_usize.div_ceil(810));
    assert!(messages[..12].iter().all(|message| message.len() > 4_096 - 5));
}

#[test]
fn a_thousand_peers_share_each_message() {
    let mut speaker = Speaker::new();
    for (index, prefix) in hosts(1_000).enumerate() {
        speaker.set(prefix, Some(&with_med(u32::try_from(index % 4).expect("small"))));
    }
    // They come one after the other, and one is slow.
    let mut seen = BTreeSet::new();
    speaker.up(0, Peer::External);
    let first = speaker.next(0).expect("a message");
    for peer in 1..1_000 {
        speaker.up(peer, Peer::External);
        seen.extend(speaker.messages(peer).iter().map(|message| Arc::as_ptr(message).addr()));
        assert_eq!(seen.len(), 4);
    }
    seen.extend(speaker.messages(0).iter().map(|message| Arc::as_ptr(message).addr()));
    assert!(seen.contains(&Arc::as_ptr(&first).addr()));
    assert_eq!(seen.len(), 4);
    // So it is with changes.
    speaker.now += COALESCE;
    speaker.set(net("10.0.0.0/32"), Some(&with_med(9)));
    let change = speaker.messages(0);
    assert_eq!(change.len(), 1);
    for peer in 1..1_000 {
        assert!(speaker.messages(peer).iter().map(Arc::as_ptr).eq(change.iter().map(Arc::as_ptr)));
    }
}

#[test]
fn a_refresh_tells_the_family_again_and_nothing_else() {
    let mut speaker = Speaker::new();
    speaker.up(1, Peer::External);
    speaker.announce("192.0.2.1/32");
    speaker.announce("2001:db8::1/128");
    speaker.synced();
    assert_eq!(speaker.told(1).len(), 4);
    speaker.rib.handle_input(speaker.now, Input::Refresh { peer: &1, family: Family::IPV6_UNICAST });
    assert_eq!(drain(&mut speaker.rib, speaker.now), [1]);
    assert_eq!(speaker.told(1), ["+2001:db8::1/128"]);
    speaker.rib.handle_input(speaker.now, Input::Refresh { peer: &1, family: Family::IPV4_MULTICAST });
    assert_eq!(speaker.told(1), [""; 0]);
}

#[test]
fn an_enhanced_refresh_is_marked_and_tells_what_changes_meanwhile() {
    let mut speaker = Speaker::new();
    hosts(2_000).for_each(|prefix| speaker.set(prefix, Some(&Route::default())));
    let input = Input::Up { peer: 1, export: export(Peer::External), enhanced_refresh: true };
    speaker.rib.handle_input(speaker.now, input);
    speaker.rib.handle_input(speaker.now, Input::Refresh { peer: &1, family: Family::IPV4_UNICAST });
    assert_eq!(speaker.told(1).len(), 3, "no refresh before End-of-RIB");
    speaker.synced();
    let mut told = Vec::new();
    for _ in 0..4 {
        told.extend(speaker.next(1).as_ref().map(crate::support::read));
    }
    // Of what has not been told again, one goes and one goes and comes back.
    for prefix in ["10.0.7.1/32", "10.0.7.2/32"] {
        speaker.withdraw(prefix);
    }
    speaker.announce("10.0.7.2/32");
    told.extend(speaker.told(1));
    let expected = [
        "end of IPv4 unicast",
        "end of IPv6 unicast",
        "Beginning of IPv4 unicast",
        "+810",
        "-10.0.7.1/32",
        "+810",
        "+378",
        "+10.0.7.2/32",
        "End of IPv4 unicast",
    ];
    assert_eq!(told, expected);
}

#[test]
fn an_audience_of_its_own_touches_only_its_peers() {
    let mut speaker = Speaker::new();
    for peer in 1..=3 {
        speaker.up(peer, Peer::External);
    }
    speaker.announce("192.0.2.1/32");
    for peer in 1..=3 {
        assert_eq!(speaker.told(peer), ["+192.0.2.1/32"]);
    }
    speaker.now += COALESCE;
    let only = Audience::Only([2].into());
    speaker.set_for(&only, net("192.0.2.2/32"), Some(&Route::default()));
    assert_eq!([1, 2, 3].map(|peer| speaker.told(peer).len()), [0, 1, 0]);
    // Two audiences want the same prefix: communities are united.
    speaker.now += COALESCE;
    let communities = vec![Community::NO_EXPORT];
    let route = RouteSettings { communities, ..RouteSettings::default() }.check().expect("a route");
    speaker.set_for(&only, net("192.0.2.1/32"), Some(&route));
    assert_eq!(speaker.rib.wanted(&2, net("192.0.2.1/32")), Some(route));
    assert_eq!(speaker.rib.wanted(&1, net("192.0.2.1/32")), Some(Route::default()));
    assert_eq!([1, 2, 3].map(|peer| speaker.told(peer).len()), [0, 1, 0]);
    // When it has gone they share again.
    speaker.now += COALESCE;
    for prefix in ["192.0.2.1/32", "192.0.2.2/32"] {
        speaker.set_for(&only, net(prefix), None);
    }
    assert_eq!(speaker.told(2), ["-192.0.2.2/32", "+192.0.2.1/32"]);
    drain(&mut speaker.rib, speaker.now);
    speaker.now += COALESCE;
    speaker.announce("192.0.2.3/32");
    let messages = [1, 2, 3].map(|peer| speaker.messages(peer));
    assert!(messages.iter().all(|all| all.len() == 1 && Arc::ptr_eq(&all[0], &messages[0][0])));
}

#[test]
fn a_session_that_ends_touches_nobody_else() {
    let mut speaker = Speaker::new();
    speaker.up(1, Peer::External);
    speaker.up(2, Peer::External);
    speaker.announce("192.0.2.1/32");
    assert_eq!((speaker.told(1).len(), speaker.told(2).len()), (1, 1));
    speaker.rib.handle_input(speaker.now, Input::Down { peer: &1 });
    assert_eq!(speaker.next(1), None);
    assert_eq!(speaker.told(2), [""; 0]);
    assert!(speaker.rib.peers().eq(&[2]));
    speaker.up(1, Peer::External);
    assert_eq!(speaker.told(1), ["+192.0.2.1/32"]);
}

#[test]
fn a_family_without_a_next_hop_needs_one_of_the_route() {
    let mut speaker = Speaker::new();
    let session = Session { four_octet_as: true, ..Session::default() };
    let v4 = NextHop::V4([192, 0, 2, 254].into());
    let export = Export::new(session, 64_512, both(), Some(v4), None).expect("a good export");
    speaker.rib.handle_input(speaker.now, Input::Up { peer: 1, export, enhanced_refresh: false });
    speaker.announce("2001:db8::1/128");
    assert_eq!(speaker.told(1), [""; 0]);
    let next_hop_v6 = "2001:db8::99".parse().ok();
    let route = RouteSettings { next_hop_v6, ..RouteSettings::default() }.check().expect("a route");
    speaker.set(net("2001:db8::1/128"), Some(&route));
    assert_eq!(speaker.told(1), ["+2001:db8::1/128"]);
}

#[test]
fn an_export_that_no_peer_would_take_is_refused() {
    let session = Session::default();
    let hop = |address: &str| Some(NextHop::V6(address.parse().expect("an address")));
    assert_eq!(Export::new(session, 0, both(), None, None), Err(InvalidExport::AsZero));
    for bad in ["::", "::ffff:192.0.2.1", "ff02::1"] {
        let refused = Export::new(session, 64_512, both(), None, hop(bad));
        assert!(matches!(refused, Err(InvalidExport::NextHop(..))), "{bad}");
    }
    let add_path = Session { add_path: Families::ALL, ..session };
    assert_eq!(Export::new(add_path, 64_512, both(), None, None), Err(InvalidExport::AddPath));
}
