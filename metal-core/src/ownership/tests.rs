use alloc::{vec, vec::Vec};

use super::*;

const PLACE: Place = (2, IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1)));
const HEIR: u32 = 77;

fn ownership() -> Ownership {
    let ms = Duration::from_millis;
    Ownership::new(Pace { step: ms(20), fresh_step: ms(100), patience: ms(500) })
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn in_line(place: usize) -> Situation {
    Situation { may_claim: true, place: Some(place), heir: Some(HEIR), ..Situation::default() }
}

fn rival(term: u32) -> Rival {
    let claim = Claim { term, state: ClaimState::Held };
    Rival { node: "n2".into(), claim, hears_us: true, precedes: false, to_us: false }
}

fn against(rival: Rival) -> Situation {
    Situation { rivals: vec![rival], ..in_line(0) }
}

/// Ours with term 6: an owner with term 5 has gone before.
fn owner() -> Ownership {
    let mut ownership = ownership();
    assert_eq!(ownership.decide(at(0), PLACE, &against(rival(5))), None);
    let gained = ownership.decide(at(0), PLACE, &in_line(0));
    assert_eq!(gained, Some(Change::Gained(Cause::Orphaned("n2".into()))));
    assert_eq!(ownership.claim(PLACE), Some(Claim { term: 6, state: ClaimState::Held }));
    ownership
}

#[test]
fn the_first_in_line_claims_at_once_and_the_others_wait_their_turn() {
    for (place, orphaned, wait) in
        [(0, false, 0), (1, false, 100), (3, false, 300), (0, true, 0), (1, true, 20), (3, true, 60)]
    {
        let mut ownership = ownership();
        if orphaned {
            ownership.decide(at(0), PLACE, &against(rival(1)));
        }
        let mut changes = vec![(0, ownership.decide(at(0), PLACE, &in_line(place)))];
        while let Some(due) = ownership.poll_timeout() {
            assert_eq!(ownership.take_due(due), Some(PLACE));
            changes.push((due.as_micros() / 1_000, ownership.decide(due, PLACE, &in_line(place))));
        }
        let claims: Vec<_> =
            changes.iter().filter(|(_, change)| change.is_some()).map(|(at, _)| *at).collect();
        assert_eq!(claims, [wait], "place {place}, orphaned: {orphaned}");
    }
}

#[test]
fn who_waits_does_not_start_over_and_stops_for_a_rival() {
    let mut ownership = ownership();
    ownership.decide(at(0), PLACE, &against(rival(1)));
    assert_eq!(ownership.decide(at(0), PLACE, &in_line(2)), None);
    // The first one has gone as well: we have waited for long enough.
    assert_eq!(ownership.decide(at(20), PLACE, &in_line(2)), None);
    assert!(matches!(ownership.decide(at(21), PLACE, &in_line(1)), Some(Change::Gained(_))));

    let mut ownership = self::ownership();
    assert_eq!(ownership.decide(at(0), PLACE, &in_line(1)), None);
    assert_eq!(ownership.decide(at(10), PLACE, &against(rival(1))), None);
    assert_eq!(ownership.poll_timeout(), None);
}

#[test]
fn nothing_is_claimed_without_permission_or_place() {
    let mut ownership = ownership();
    for situation in [
        Situation { may_claim: false, ..in_line(0) },
        Situation { leaving: true, ..in_line(0) },
        Situation { place: None, ..in_line(0) },
        against(rival(1)),
        Situation { rivals: vec![Rival { to_us: true, ..rival(1) }, rival(2)], ..in_line(0) },
    ] {
        assert_eq!(ownership.decide(at(1_000), PLACE, &situation), None, "{situation:?}");
        assert!(!ownership.owns(PLACE));
    }
}

#[test]
fn of_two_claims_the_higher_term_wins_then_the_order() {
    let ended = |cause| Some(Change::Ended(cause));
    let n2 = || NodeName::from("n2");
    let table = [
        (rival(5), Some(Change::Repeat)),
        (rival(6), Some(Change::Repeat)),
        (Rival { precedes: true, ..rival(6) }, ended(Cause::Yielded(n2()))),
        (Rival { precedes: true, ..rival(5) }, Some(Change::Repeat)),
        (rival(7), ended(Cause::Yielded(n2()))),
        // Who does not hear us cannot yield.
        (Rival { hears_us: false, ..rival(5) }, ended(Cause::Unheard(n2()))),
        (Rival { hears_us: false, ..rival(7) }, ended(Cause::Unheard(n2()))),
        // A former owner that hands over to us will fall silent.
        (Rival { to_us: true, ..rival(5) }, None),
    ];
    for (rival, change) in table {
        let mut ownership = owner();
        assert_eq!(ownership.decide(at(1), PLACE, &against(rival.clone())), change, "{rival:?}");
    }
}

#[test]
fn the_winner_announces_again_when_the_rival_appears_and_when_it_is_gone() {
    let mut ownership = owner();
    assert_eq!(ownership.decide(at(1), PLACE, &against(rival(5))), Some(Change::Repeat));
    assert_eq!(ownership.decide(at(2), PLACE, &against(rival(5))), None);
    assert_eq!(ownership.decide(at(3), PLACE, &in_line(0)), Some(Change::Repeat));
    assert_eq!(ownership.decide(at(4), PLACE, &in_line(0)), None);
}

#[test]
fn who_serves_goes_on_whatever_its_place() {
    let mut ownership = owner();
    assert_eq!(ownership.decide(at(1), PLACE, &in_line(7)), None);
    assert!(ownership.owns(PLACE));
    let listening = Situation { may_claim: false, ..in_line(0) };
    assert_eq!(ownership.decide(at(2), PLACE, &listening), Some(Change::Ended(Cause::LinkLost)));
}

#[test]
fn who_has_to_go_answers_until_the_successor_does() {
    for going in [Situation { leaving: true, ..in_line(0) }, Situation { place: None, ..in_line(0) }] {
        let mut ownership = owner();
        assert_eq!(ownership.decide(at(100), PLACE, &going), Some(Change::Claim));
        let claim = Claim { term: 6, state: ClaimState::HandingOver(HEIR) };
        assert_eq!(ownership.claim(PLACE), Some(claim));
        assert_eq!(ownership.poll_timeout(), Some(at(600)));
        assert_eq!(ownership.decide(at(200), PLACE, &going), None);
        let taken = Situation { rivals: vec![rival(7)], ..going };
        let handed = Change::Ended(Cause::HandedTo("n2".into()));
        assert_eq!(ownership.decide(at(210), PLACE, &taken), Some(handed));
        assert_eq!(ownership.poll_timeout(), None);
    }
}

#[test]
fn a_successor_that_does_not_answer_is_not_waited_for_for_ever() {
    let going = Situation { leaving: true, ..in_line(0) };
    let mut ownership = owner();
    ownership.decide(at(100), PLACE, &going);
    // The first successor is gone; the next one does not get more time.
    let other = Situation { heir: Some(78), ..going.clone() };
    assert_eq!(ownership.decide(at(400), PLACE, &other), Some(Change::Claim));
    assert_eq!(ownership.decide(at(600), PLACE, &other), Some(Change::Ended(Cause::NoSuccessor)));

    let mut ownership = owner();
    let alone = Situation { heir: None, ..going };
    assert_eq!(ownership.decide(at(100), PLACE, &alone), Some(Change::Ended(Cause::NotInLine)));
}

#[test]
fn a_cause_that_passes_ends_the_hand_over() {
    let mut ownership = owner();
    ownership.decide(at(1), PLACE, &Situation { place: None, ..in_line(0) });
    assert_eq!(ownership.decide(at(2), PLACE, &in_line(0)), Some(Change::Claim));
    assert_eq!(ownership.claim(PLACE), Some(Claim { term: 6, state: ClaimState::Held }));
}

#[test]
fn the_named_successor_claims_at_once_with_a_higher_term() {
    let mut ownership = ownership();
    let handed = Situation { rivals: vec![Rival { to_us: true, ..rival(9) }], ..in_line(4) };
    let gained = Change::Gained(Cause::HandedBy("n2".into()));
    assert_eq!(ownership.decide(at(0), PLACE, &handed), Some(gained));
    assert_eq!(ownership.claim(PLACE), Some(Claim { term: 10, state: ClaimState::Held }));
    // The former owner falls silent: nothing to repeat.
    assert_eq!(ownership.decide(at(1), PLACE, &in_line(4)), None);
}

#[test]
fn terms_do_not_wrap() {
    let mut ownership = ownership();
    ownership.decide(at(0), PLACE, &against(rival(u32::MAX)));
    ownership.decide(at(1), PLACE, &in_line(0));
    assert_eq!(ownership.claim(PLACE).unwrap().term, u32::MAX);
}

#[test]
fn forgetting_spares_what_is_ours() {
    let mut ownership = owner();
    ownership.forget(PLACE);
    assert_eq!(ownership.owned().collect::<Vec<_>>(), [PLACE]);
    ownership.decide(at(1), PLACE, &Situation::default());
    ownership.forget_link(2);
    assert_eq!(ownership.decide(at(2), PLACE, &in_line(0)), Some(Change::Gained(Cause::Free)));
}
