//! Asking before an address is announced.

use super::*;

const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
const NOBODY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
const OBJECTED: Output =
    Output::Conflict { link: ETH0, address: IpAddr::V4(VIP), mac: CLIENT, announced: false };
const QUESTION_OF_OURS: Packet = Packet::probe(MAC, VIP);

/// What is sent up to a time, in milliseconds.
fn sent(bed: &mut Bed, end: u64) -> Vec<(u64, Packet)> {
    bed.play_until(end)
}

/// When it is asked for the address up to a time.
fn asked(bed: &mut Bed, end: u64) -> Vec<u64> {
    let mut times = Vec::new();
    for (now, output) in bed.outputs_until(at(end)) {
        match output {
            Output::Send { frame, .. } => {
                assert_eq!(Packet::parse(frame.as_bytes()), Ok(QUESTION_OF_OURS));
                times.push(now.as_micros() / 1_000);
            }
            output => panic!("unexpected: {output:?}"),
        }
    }
    times
}

impl Bed {
    fn ndp_frame(&mut self, now: u64, packet: ndp::Packet) {
        self.0.handle_input(at(now), Input::Frame { link: ETH0, frame: packet.emit().as_bytes() });
    }
}

#[test]
fn nobody_objects_announced_after_fifty_milliseconds_and_asked_for_later_on() {
    let mut bed = Bed::new();
    bed.probe(1_000, VIP);
    let announcement = |start: u64| {
        [0, 100, 1_100, 2_200, 3_300, 4_400]
            .into_iter()
            .flat_map(move |time| round(MAC, VIP).map(|packet| (start + time, packet)))
    };
    let questions = [1_000, 1_016, 1_032, 2_050, 5_050, 15_050, 40_050].map(|time| (time, QUESTION_OF_OURS));
    let mut expected: Vec<_> = questions.into_iter().chain(announcement(1_050)).collect();
    let mut said = sent(&mut bed, 600_000);
    expected.sort_by_key(|(time, packet)| (*time, packet.sender_ip));
    said.sort_by_key(|(time, packet)| (*time, packet.sender_ip));
    let times = |sent: &[(u64, Packet)]| {
        sent.iter().map(|(time, packet)| (*time, packet.sender_ip)).collect::<Vec<_>>()
    };
    assert_eq!(times(&said), times(&expected));
    assert_eq!(bed.0.poll_timeout(), None);
    let counters = bed.0.counters()[&IpAddr::V4(VIP)];
    assert_eq!((counters.probes, counters.gratuitous), (7, 12));
}

#[test]
fn ipv6_asks_from_the_unspecified_address_in_the_group() {
    let mut bed = Bed::new();
    bed.probe(0, V6);
    let question = Output::Send { link: ETH0, frame: ndp::Packet::solicitation(MAC, NOBODY, V6).emit() };
    let group = ndp::solicited_node(V6);
    assert_eq!(bed.drain(0), [Output::Join { link: ETH0, group }, question]);
    let outputs = bed.outputs_until(at(50));
    let said = Output::Send { link: ETH0, frame: ndp::Packet::unsolicited(MAC, V6).emit() };
    assert_eq!(outputs, [(at(16), question), (at(32), question), (at(50), said)]);
    bed.own(60, ETH0, V6, false);
    assert_eq!(bed.drain(60), [Output::Leave { link: ETH0, group }]);
    assert_eq!(bed.0.poll_timeout(), None);
}

#[test]
fn while_it_is_asked_there_are_no_answers() {
    let mut bed = Bed::new();
    bed.probe(0, VIP);
    bed.probe(0, V6);
    bed.drain(0);
    bed.frame(1, ETH0, QUESTION);
    bed.ndp_frame(1, ndp::Packet::solicitation(CLIENT, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9), V6));
    assert!(bed.drain(1).is_empty());
    assert_eq!(bed.0.drops().get(Silence::Probing), 2);
    bed.outputs_until(at(60));
    bed.frame(60, ETH0, QUESTION);
    assert_eq!(packets(bed.drain(60)), [(ETH0, Packet::reply(MAC, VIP, CLIENT, QUESTION.sender_ip))]);
}

#[test]
fn whoever_has_the_address_or_asks_for_it_likewise_objects() {
    let objections = [
        CLAIM,
        Packet::gratuitous(Operation::Reply, CLIENT, VIP),
        // The answer to our question, and any question from the address.
        Packet {
            destination: MAC,
            target_mac: MAC,
            ..Packet::reply(CLIENT, VIP, MAC, Ipv4Addr::UNSPECIFIED)
        },
        Packet { sender_ip: VIP, target_ip: VIP2, ..QUESTION },
        Packet::probe(CLIENT, VIP),
    ];
    for objection in objections {
        let mut bed = Bed::new();
        bed.probe(0, VIP);
        assert_eq!(bed.drain(0).len(), 1);
        bed.frame(20, ETH0, objection);
        assert_eq!(bed.drain(20), [OBJECTED], "{objection:?}");
        assert_eq!(bed.0.drops().get(Silence::SenderClaimsAddress), 1);
        assert!(bed.drain(1_000).is_empty(), "{objection:?}");
        assert_eq!(bed.0.answers(ETH0, VIP.into()), None);
        bed.frame(1_000, ETH0, QUESTION);
        assert!(bed.drain(1_000).is_empty());
    }
    let objected = Output::Conflict { link: ETH0, address: V6.into(), mac: CLIENT, announced: false };
    let peer = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x77);
    for objection in [
        ndp::Packet::unsolicited(CLIENT, V6),
        ndp::Packet { source_ip: peer, ..ndp::Packet::unsolicited(CLIENT, V6) },
        ndp::Packet::reply(CLIENT, V6, MAC, peer),
        ndp::Packet::solicitation(CLIENT, V6, peer),
        ndp::Packet::solicitation(CLIENT, NOBODY, V6),
    ] {
        let mut bed = Bed::new();
        bed.probe(0, V6);
        assert_eq!(bed.drain(0).len(), 2);
        bed.ndp_frame(20, objection);
        assert_eq!(bed.drain(20), [objected], "{objection:?}");
        assert!(bed.drain(1_000).is_empty(), "{objection:?}");
    }
}

#[test]
fn what_is_said_about_others_or_by_ourselves_is_no_objection() {
    let mut bed = Bed::new();
    bed.link(0, ETH1, Some(NEW_MAC));
    bed.probe(0, VIP);
    bed.probe(0, V6);
    bed.drain(0);
    for packet in [
        QUESTION,
        Packet::probe(CLIENT, VIP2),
        Packet::gratuitous(Operation::Request, CLIENT, VIP2),
        // Back through a loop, and from our other link.
        QUESTION_OF_OURS,
        Packet::probe(NEW_MAC, VIP),
        Packet::gratuitous(Operation::Reply, NEW_MAC, VIP),
        // Nobody's.
        Packet::probe(BROADCAST, VIP),
        Packet { sender_mac: [0; 6], ..CLAIM },
    ] {
        bed.frame(10, ETH0, packet);
    }
    for packet in [
        ndp::Packet::solicitation(MAC, NOBODY, V6),
        ndp::Packet::solicitation(NEW_MAC, NOBODY, V6),
        ndp::Packet::unsolicited(NEW_MAC, V6),
        ndp::Packet::solicitation(CLIENT, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9), V6),
        ndp::Packet { mac: Some(BROADCAST), ..ndp::Packet::unsolicited(CLIENT, V6) },
    ] {
        bed.ndp_frame(10, packet);
    }
    let outputs = bed.outputs_until(at(60));
    assert!(outputs.iter().all(|(_, output)| matches!(output, Output::Send { .. })), "{outputs:?}");
    assert_eq!(bed.0.answers(ETH0, VIP.into()), Some(MAC));
    assert_eq!(bed.0.answers(ETH0, V6.into()), Some(MAC));
}

#[test]
fn an_objection_ends_after_ten_quiet_seconds() {
    let mut bed = Bed::new();
    bed.probe(0, VIP);
    bed.drain(0);
    bed.frame(10, ETH0, CLAIM);
    assert_eq!(bed.drain(10), [OBJECTED]);
    // Asked again every few seconds, a round each time.
    let times = asked(&mut bed, 10_010 + 40);
    assert!((1_510..2_540).contains(&times[0]), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 2_100), "{times:?}");
    assert_eq!(&times[times.len() - 3..], [10_010, 10_026, 10_042]);
    assert_eq!(
        bed.drain_all(10_060)[..2],
        [Output::Answering { link: ETH0, address: VIP.into(), mac: Some(MAC) }, CONFLICT_OVER,]
    );
    bed.frame(10_100, ETH0, QUESTION);
    assert_eq!(packets(bed.drain(10_100))[0].1, Packet::reply(MAC, VIP, CLIENT, QUESTION.sender_ip));
}

#[test]
fn whoever_objects_each_time_is_asked_ever_less_often() {
    let mut bed = Bed::new();
    bed.probe(0, VIP);
    let mut rounds = Vec::new();
    let mut reports = 0;
    let mut now = Instant::ZERO;
    while let Some(deadline) = bed.0.poll_timeout().filter(|deadline| *deadline < at(1_000_000)) {
        now = now.max(deadline);
        for output in drain(&mut bed.0, now) {
            match output {
                Output::Send { frame, .. } => {
                    assert_eq!(Packet::parse(frame.as_bytes()), Ok(QUESTION_OF_OURS));
                    rounds.push(now.as_micros() / 1_000);
                    let answer = Packet::reply(CLIENT, VIP, MAC, Ipv4Addr::UNSPECIFIED);
                    bed.0.handle_input(now, Input::Frame { link: ETH0, frame: answer.emit().as_bytes() });
                }
                OBJECTED => reports += 1,
                output => panic!("unexpected: {output:?}"),
            }
        }
    }
    // The first question of each round is answered, so there is no second.
    let pauses: Vec<_> = rounds.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (pause, expected) in pauses.iter().zip([2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
        assert!((expected * 3 / 4..=expected * 5 / 4).contains(pause), "{pauses:?}");
    }
    assert_eq!(reports, rounds.len());
    assert_eq!(bed.0.counters()[&IpAddr::V4(VIP)].conflicts, rounds.len() as u64);
}

#[test]
fn a_flood_of_objections_changes_no_pace_and_is_reported_once_a_second() {
    let mut bed = Bed::new();
    bed.probe(0, VIP);
    bed.drain(0);
    let (mut questions, mut reports) = (0, 0);
    for now in 1..60_000 {
        bed.frame(now, ETH0, CLAIM);
        for output in bed.drain(now) {
            match output {
                OBJECTED => reports += 1,
                Output::Send { .. } => questions += 1,
                output => panic!("unexpected: {output:?}"),
            }
        }
    }
    assert_eq!(reports, 60);
    assert!((3..=7).contains(&questions), "{questions}");
}

#[test]
fn a_late_objector_is_a_conflict_about_what_is_announced() {
    let mut bed = Bed::new();
    bed.probe(0, VIP);
    bed.outputs_until(at(60));
    bed.frame(1_051, ETH0, Packet::reply(CLIENT, VIP, MAC, Ipv4Addr::UNSPECIFIED));
    assert_eq!(bed.0.poll_output(at(1_050)), Some(CONFLICT));
    assert_eq!(bed.0.answers(ETH0, VIP.into()), Some(MAC));
}

#[test]
fn what_is_announced_is_never_asked_for_again() {
    let mut bed = Bed::settled();
    bed.probe(10_000, VIP);
    assert_eq!(packets(bed.drain(10_000)), round(MAC, VIP).map(|packet| (ETH0, packet)));
    bed.link(10_001, ETH0, None);
    bed.probe(10_002, VIP);
    bed.link(10_003, ETH0, Some(NEW_MAC));
    assert_eq!(packets(bed.drain(10_003)), round(NEW_MAC, VIP).map(|packet| (ETH0, packet)));
    assert_eq!(bed.0.counters()[&IpAddr::V4(VIP)].probes, 0);
}

#[test]
fn whoever_knows_better_ends_the_asking() {
    let mut bed = Bed::new();
    bed.probe(0, VIP);
    bed.drain(0);
    bed.own(10, ETH0, VIP, true);
    assert_eq!(packets(bed.drain(10)), round(MAC, VIP).map(|packet| (ETH0, packet)));
    assert_eq!(bed.play_until(60_000).len(), 10);
    // What was objected to stays a conflict, now about what is announced.
    let mut bed = Bed::new();
    bed.probe(0, VIP);
    bed.drain(0);
    bed.frame(5, ETH0, CLAIM);
    assert_eq!(bed.drain(5), [OBJECTED]);
    bed.own(10, ETH0, VIP, true);
    assert_eq!(bed.drain(10).len(), 2);
    bed.frame(2_000, ETH0, CLAIM);
    assert_eq!(bed.drain(2_000)[0], CONFLICT);
    assert_eq!(bed.outputs_until(at(62_000)).last(), Some(&(at(62_000), CONFLICT_OVER)));
}

#[test]
fn a_link_without_an_address_waits_and_a_new_one_is_asked_anew() {
    let mut bed = Bed::unlinked();
    bed.probe(0, VIP);
    assert!(bed.drain_all(0).is_empty());
    assert_eq!(bed.0.poll_timeout(), None);
    bed.link(5_000, ETH0, Some(MAC));
    assert_eq!(packets(bed.drain(5_000)), [(ETH0, QUESTION_OF_OURS)]);
    bed.link(5_010, ETH0, None);
    assert!(bed.drain_all(5_010).is_empty());
    assert_eq!(bed.0.poll_timeout(), None);
    bed.link(6_000, ETH0, Some(NEW_MAC));
    let times: Vec<_> =
        sent(&mut bed, 6_049).into_iter().map(|(time, packet)| (time, packet.sender_mac)).collect();
    assert_eq!(times, [6_000, 6_016, 6_032].map(|time| (time, NEW_MAC)));
    assert_eq!(bed.drain(6_050).len(), 2);
}

#[test]
fn a_withdrawal_ends_the_asking_and_the_conflict() {
    let mut bed = Bed::new();
    bed.probe(0, VIP);
    bed.drain(0);
    bed.own(10, ETH0, VIP, false);
    assert!(bed.drain_all(10).is_empty());
    assert_eq!(bed.0.poll_timeout(), None);
    bed.probe(20, VIP);
    bed.frame(20, ETH0, CLAIM);
    assert_eq!(bed.drain(20), [OBJECTED]);
    bed.own(30, ETH0, VIP, false);
    assert_eq!(bed.drain_all(30), [CONFLICT_OVER]);
    assert_eq!(bed.0.poll_timeout(), None);
    assert!(!bed.0.owns(ETH0, VIP.into()));
}

#[test]
fn a_driver_that_was_held_up_still_asks_three_times() {
    let mut bed = Bed::new();
    bed.probe(0, VIP);
    assert_eq!(bed.drain(0).len(), 1);
    assert_eq!(packets(bed.drain(400)), [(ETH0, QUESTION_OF_OURS)]);
    assert_eq!(asked(&mut bed, 420), [416]);
    assert_eq!(packets(bed.drain(432)), round(MAC, VIP).map(|packet| (ETH0, packet)));
}

#[test]
fn thousands_are_asked_for_in_turn_within_the_budget() {
    let mut bed = Bed::new();
    let vip = |n: u32| Ipv4Addr::from_bits(0x0a00_0000 + n);
    for n in 0..5_000 {
        bed.probe(0, vip(n));
    }
    let frames = bed.play_until(2_000);
    let first: BTreeSet<_> =
        frames[..5_000].iter().map(|(_, packet)| (packet.sender_ip, packet.target_ip)).collect();
    assert!(first.len() > 4_500, "{}", first.len());
    let announced = (0..5_000).filter(|n| bed.0.answers(ETH0, vip(*n).into()).is_some()).count();
    assert_eq!(announced, 5_000);
    let within = |from: u64| frames.iter().filter(|(time, _)| (from..from + 100).contains(time)).count();
    assert!((0..1_900).step_by(100).all(|from| within(from) <= 1_101));
}
