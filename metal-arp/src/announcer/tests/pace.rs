//! How many frames to everybody there are, and when.

use super::*;

/// Over two /16 and 2^112 neighbours, both families in turn.
fn vip(n: u32) -> IpAddr {
    if n.is_multiple_of(2) {
        Ipv4Addr::from_bits(0x0a00_0000 + n).into()
    } else {
        Ipv6Addr::from_bits((0xfd00 << 112) + u128::from(n)).into()
    }
}

/// Owns so many addresses from second 1 on.
fn crowd(mut bed: Bed, addresses: u32) -> Bed {
    for n in 0..addresses {
        bed.own(1_000, ETH0, vip(n), true);
    }
    bed
}

/// The frames to everybody with their times, and whom each is about.
fn frames(outputs: Vec<(Instant, Output)>) -> Vec<(Instant, IpAddr)> {
    let about = |(now, output)| match output {
        Output::Send { frame, .. } if is_ipv6(frame.as_bytes()) => {
            Some((now, ndp::Packet::parse(frame.as_bytes()).expect("ours parse").target.into()))
        }
        Output::Send { frame, .. } => {
            let packet = Packet::parse(frame.as_bytes()).expect("ours parse");
            let asks = packet.sender_ip.is_unspecified();
            Some((now, if asks { packet.target_ip } else { packet.sender_ip }.into()))
        }
        Output::Join { .. } => None,
        output => panic!("unexpected: {output:?}"),
    };
    outputs.into_iter().filter_map(about).collect()
}

/// The most frames in any window of this length.
fn densest(frames: &[(Instant, IpAddr)], window: Duration) -> usize {
    let mut first = 0;
    let mut most = 0;
    for last in 0..frames.len() {
        while frames[last].0.since(frames[first].0) >= window {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

#[test]
fn when_thousands_move_each_has_a_word_before_any_has_two() {
    let mut bed = crowd(Bed::new(), 5_000);
    let frames = frames(bed.outputs_until(at(60_000)));
    // 2,500 of IPv4 with two frames in each of six rounds, 2,500 of IPv6 with one.
    assert_eq!(frames.len(), 2_500 * 12 + 2_500 * 6);
    let first: BTreeSet<_> = frames[..5_000].iter().map(|(_, address)| *address).collect();
    assert_eq!(first.len(), 5_000);
    // At 10,000 a second, after a first hundred at once.
    assert_eq!(frames[0].0, at(1_000));
    assert!(frames[4_999].0 <= at(1_500), "{}", frames[4_999].0);
    assert!(densest(&frames, Duration::from_secs(1)) <= 10_100);
    assert!(densest(&frames, Duration::from_micros(1)) <= 100);
}

#[test]
fn a_late_takeover_does_not_wait_for_the_repeats_of_others() {
    let mut bed = crowd(Bed::new(), 5_000);
    bed.outputs_until(at(1_600));
    bed.own(1_600, ETH0, VIP, true);
    let next = frames(bed.outputs_until(at(1_601)));
    assert_eq!(next[0].1, IpAddr::V4(VIP), "{next:?}");
}

#[test]
fn ownership_repeated_while_it_waits_keeps_its_place() {
    let mut bed = crowd(Bed::new(), 300);
    bed.drain(1_000);
    // The last hundred wait for 10 ms at least; being told again every millisecond costs them nothing.
    for now in 1_001..1_030 {
        for n in 0..300 {
            bed.own(now, ETH0, vip(n), true);
        }
        bed.drain(now);
    }
    let silent = (0..300).filter(|n| bed.0.counters()[&vip(*n)].gratuitous == 0).count();
    assert_eq!(silent, 0);
}

#[test]
fn each_link_has_a_budget_of_its_own() {
    let mut bed = crowd(Bed::new(), 1_000);
    bed.link(1_000, ETH1, Some(NEW_MAC));
    bed.own(1_000, ETH1, VIP, true);
    let sent = bed.drain(1_000);
    let of = |index| {
        sent.iter().filter(|output| matches!(output, Output::Send { link, .. } if *link == index)).count()
    };
    assert_eq!((of(ETH0), of(ETH1)), (100, 2));
}

#[test]
fn an_address_is_refreshed_every_minute_or_so() {
    let mut bed = Bed::with(Setup { seed: 7, ..Setup::default() });
    bed.own(0, ETH0, VIP, true);
    let sent = bed.play_until(600_000);
    let (announcement, refreshes) = sent.split_at(12);
    assert_eq!(announcement.last().map(|(time, _)| *time), Some(4_400));
    assert!(refreshes.iter().all(|(_, packet)| *packet == Packet::gratuitous(Operation::Request, MAC, VIP)));
    let times: Vec<_> = refreshes.iter().map(|(time, _)| *time).collect();
    assert!((34_400..64_400).contains(&times[0]), "{times:?}");
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().all(|pause| (54_000..66_000).contains(pause)), "{pauses:?}");
    assert!(pauses.iter().collect::<BTreeSet<_>>().len() > 5, "no jitter: {pauses:?}");
}

#[test]
fn the_seed_decides() {
    let run = |seed| {
        let mut bed = crowd(Bed::with(Setup { seed, ..Setup::default() }), 20);
        frames(bed.outputs_until(at(300_000)))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn refreshes_stay_within_their_budget_and_are_spread_out() {
    let mut bed = crowd(Bed::with(Setup::default()), 1_000);
    bed.outputs_until(at(120_000));
    let frames = frames(bed.outputs_until(at(420_000)));
    assert!(densest(&frames, Duration::from_secs(1)) <= 50);
    // Five minutes, a frame a minute.
    assert!((4_500..5_600).contains(&frames.len()), "{}", frames.len());
    let addresses: BTreeSet<_> = frames.iter().map(|(_, address)| *address).collect();
    assert_eq!(addresses.len(), 1_000);
}

#[test]
fn with_more_addresses_than_the_budget_allows_the_interval_grows() {
    let addresses = 6_000;
    let mut bed = crowd(Bed::with(Setup::default()), addresses);
    bed.outputs_until(at(200_000));
    let frames = frames(bed.outputs_until(at(560_000)));
    // 50 a second; each address in its turn, every two minutes.
    assert!((17_900..=18_001).contains(&frames.len()), "{}", frames.len());
    assert!(densest(&frames, Duration::from_secs(1)) <= 50);
    let mut last = BTreeMap::new();
    for (now, address) in &frames {
        if let Some(before) = last.insert(*address, *now) {
            let pause = now.since(before);
            assert!(
                pause > Duration::from_secs(100) && pause < Duration::from_secs(140),
                "{address}: {pause:?}"
            );
        }
    }
    assert_eq!(last.len(), usize::try_from(addresses).expect("small"));
}

#[test]
fn takeovers_do_not_wait_for_refreshes() {
    let mut bed = crowd(Bed::with(Setup::default()), 6_000);
    bed.outputs_until(at(200_000));
    bed.own(200_000, ETH0, VIP, true);
    let sent = packets(bed.drain(200_000).into_iter().take(2).collect());
    assert_eq!(sent, round(MAC, VIP).map(|packet| (ETH0, packet)));
}

#[test]
fn a_link_that_is_down_is_not_refreshed() {
    let mut bed = Bed::with(Setup::default());
    bed.own(0, ETH0, VIP, true);
    assert!(bed.play_until(100_000).len() > 12);
    bed.link(100_000, ETH0, None);
    assert!(bed.drain(100_000).is_empty());
    assert_eq!(bed.0.poll_timeout(), None);
    bed.link(200_000, ETH0, Some(MAC));
    assert_eq!(packets(bed.drain(200_000)), round(MAC, VIP).map(|packet| (ETH0, packet)));
    bed.own(201_000, ETH0, VIP, false);
    assert!(bed.drain(201_000).is_empty());
    assert_eq!(bed.0.poll_timeout(), None);
}

#[test]
fn a_rate_of_zero_counts_as_one() {
    let mut bed = Bed::with(Setup { takeover_rate: 0, refresh_rate: 0, ..Setup::default() });
    bed.own(0, ETH0, VIP, true);
    bed.own(0, ETH0, VIP2, true);
    assert!(bed.play_until(200_000).len() > 24);
}
