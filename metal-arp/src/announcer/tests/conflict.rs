//! Conflicts about what is announced: told, defended, over.

use super::*;

#[test]
fn a_conflict_is_over_after_a_minute_of_silence() {
    let mut bed = Bed::settled();
    bed.frame(20_000, ETH0, CLAIM);
    bed.frame(20_500, ETH0, CLAIM);
    assert_eq!(bed.drain(20_500), [CONFLICT]);
    bed.frame(40_000, ETH0, CLAIM);
    assert_eq!(bed.drain(40_000), [CONFLICT]);
    assert!(bed.drain(99_999).is_empty());
    assert_eq!(bed.drain(100_000), [CONFLICT_OVER]);
    assert_eq!(bed.0.poll_timeout(), None);
    bed.frame(100_001, ETH0, CLAIM);
    assert_eq!(bed.drain(100_001), [CONFLICT]);
}

#[test]
fn a_conflict_ends_with_the_ownership_and_nothing_is_said_that_was_not_begun() {
    let mut bed = Bed::settled();
    bed.frame(20_000, ETH0, CLAIM);
    assert_eq!(bed.drain(20_000), [CONFLICT]);
    bed.own(20_001, ETH0, VIP, false);
    assert_eq!(bed.drain(20_001), [CONFLICT_OVER]);
    bed.own(20_002, ETH0, VIP, true);
    bed.frame(20_002, ETH0, CLAIM);
    // The report waits when the address goes.
    bed.own(20_002, ETH0, VIP, false);
    assert!(bed.drain(20_002).is_empty());
    assert!(bed.drain(200_000).is_empty());
}

#[test]
fn a_defence_is_one_round_and_then_none_for_ten_seconds() {
    let mut bed = Bed::settled();
    let expected = round(MAC, VIP).map(|packet| (ETH0, packet));
    bed.defend(20_000, VIP);
    assert_eq!(packets(bed.drain(20_000)), expected);
    bed.defend(20_001, VIP);
    bed.defend(29_999, VIP);
    assert!(bed.drain(29_999).is_empty());
    bed.defend(30_000, VIP);
    assert_eq!(packets(bed.drain(30_000)), expected);
    assert_eq!(bed.0.poll_timeout(), None);
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    bed.own(40_000, ETH0, v6, true);
    bed.outputs_until(at(50_000));
    bed.defend(50_000, v6);
    let frame = ndp::Packet::unsolicited(MAC, v6).emit();
    assert_eq!(bed.drain(50_000), [Output::Send { link: ETH0, frame }]);
}

#[test]
fn what_is_not_announced_is_not_defended() {
    let mut bed = Bed::new();
    bed.defend(0, VIP);
    assert!(bed.drain(0).is_empty());
    bed.probe(0, VIP);
    bed.drain(0);
    bed.defend(1, VIP);
    assert!(bed.drain(1).is_empty());
    bed.own(2, ETH0, VIP, false);
    bed.own(2, ETH0, VIP2, true);
    bed.link(2, ETH0, None);
    bed.defend(2, VIP2);
    assert!(bed.drain(2).is_empty());
    bed.0.handle_input(at(2), Input::Defend { link: 77, address: VIP.into() });
    assert!(bed.drain(2).is_empty());
}

#[test]
fn a_defence_does_not_disturb_the_announcement() {
    let mut bed = Bed::new();
    bed.own(0, ETH0, VIP, true);
    assert_eq!(bed.drain(0).len(), 2);
    bed.defend(50, VIP);
    assert_eq!(bed.drain(50).len(), 2);
    let times: Vec<_> = bed.play_until(60_000).into_iter().map(|(time, _)| time).step_by(2).collect();
    assert_eq!(times, [100, 1_100, 2_200, 3_300, 4_400]);
}

/// Two links of one node in the same LAN: the second stands by, so it owns nothing.
#[test]
fn a_node_with_two_links_in_one_lan_answers_once() {
    let mut bed = Bed::settled();
    bed.link(20_000, ETH1, Some(NEW_MAC));
    let asks = |bed: &mut Bed, packet| {
        // A broadcast reaches both; the answer comes from the link that owns.
        bed.frame(20_000, ETH0, packet);
        bed.frame(20_000, ETH1, packet);
        packets(bed.drain(20_000))
    };
    let answer = Packet::reply(MAC, VIP, CLIENT, QUESTION.sender_ip);
    assert_eq!(asks(&mut bed, QUESTION), [(ETH0, answer)]);
    // So does a question to one of them in promiscuous mode.
    assert_eq!(asks(&mut bed, Packet { destination: MAC, ..QUESTION }), [(ETH0, answer)]);
    assert_eq!(asks(&mut bed, Packet { destination: NEW_MAC, ..QUESTION }), []);
    // The announcement of the one is no conflict for the other, not even while it asks.
    bed.own(20_000, ETH0, VIP, false);
    let duty = Some(Duty { probe: true, ..QUIETLY });
    bed.0.handle_input(at(20_000), Input::Own { link: ETH1, address: VIP.into(), duty });
    bed.frame(20_010, ETH1, Packet::gratuitous(Operation::Request, MAC, VIP));
    bed.frame(20_020, ETH1, Packet::probe(MAC, VIP));
    assert!(
        bed.outputs_until(at(20_100))
            .iter()
            .all(|(_, output)| matches!(output, Output::Send { link: ETH1, .. }))
    );
    assert_eq!(bed.0.answers(ETH1, VIP.into()), Some(NEW_MAC));
}
