use alloc::{string::ToString, vec, vec::Vec};

use super::*;
use crate::machine::drain;

const US: &str = "us";

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn lease(holder: &str, version: Version) -> Option<Record> {
    Some(Record { holder: Some(holder.into()), duration: Some(LEASE), transitions: 4, version })
}

/// Hands an input over and returns what comes out at that instant.
fn tell(elector: &mut Elector, millis: u64, input: Input) -> Vec<Output> {
    elector.handle_input(at(millis), input);
    drain(elector, at(millis))
}

fn write(version: Version, holder: Option<&str>, transitions: u32, acquires: bool) -> Output {
    let holder = holder.map(Into::into);
    Output::Write(Write { version: (version > 0).then_some(version), holder, transitions, acquires })
}

fn lead(until: u64) -> Output {
    Output::Lead { until: at(until) }
}

/// A leader since 0 with version 5, which last renewed at 0.
fn leader() -> Elector {
    let mut elector = Elector::new(US);
    assert_eq!(drain(&mut elector, at(0)), [Output::Read]);
    assert_eq!(tell(&mut elector, 0, Input::Found(lease("", 4))), [write(4, Some(US), 5, true)]);
    assert_eq!(tell(&mut elector, 10, Input::Written(5)), [lead(3_000)]);
    elector
}

/// A candidate that saw somebody else's Lease first at 0, in version 7.
fn candidate() -> Elector {
    let mut elector = Elector::new(US);
    assert_eq!(drain(&mut elector, at(0)), [Output::Read]);
    assert_eq!(tell(&mut elector, 0, Input::Found(lease("other", 7))), []);
    elector
}

/// Looks again and again until `to`, always finding `found`; returns what else came out.
fn look(elector: &mut Elector, to: u64, found: &Option<Record>) -> Vec<Output> {
    loop {
        let next = elector.poll_timeout().expect("a replica that waits looks again");
        if next > at(to) {
            return Vec::new();
        }
        let outputs = drain(elector, next);
        if outputs != [Output::Read] {
            return outputs;
        }
        elector.handle_input(next, Input::Found(found.clone()));
    }
}

#[test]
fn the_first_replica_creates_the_lease_at_once() {
    let mut elector = Elector::new(US);
    assert_eq!(drain(&mut elector, at(0)), [Output::Read]);
    assert_eq!(tell(&mut elector, 3, Input::Found(None)), [write(0, Some(US), 0, true)]);
    assert!(!elector.leads(at(3)), "nobody leads before the answer");
    assert_eq!(tell(&mut elector, 9, Input::Written(1)), [lead(3_003)]);
    assert_eq!(elector.holder(), Some(US));
}

#[test]
fn a_leader_renews_each_second_and_counts_from_the_sending() {
    let mut elector = leader();
    assert_eq!(drain(&mut elector, at(999)), []);
    assert_eq!(drain(&mut elector, at(1_000)), [write(5, Some(US), 5, false)]);
    assert_eq!(tell(&mut elector, 1_900, Input::Written(6)), [lead(4_000)]);
    assert_eq!(drain(&mut elector, at(2_000)), [write(6, Some(US), 5, false)]);
}

#[test]
fn leading_ends_at_the_deadline_also_when_nobody_wakes_the_machine() {
    let mut elector = leader();
    assert_eq!(elector.poll_timeout(), Some(at(1_000)));
    assert_eq!(drain(&mut elector, at(1_000)), [write(5, Some(US), 5, false)]);
    assert_eq!(elector.poll_timeout(), Some(at(3_000)), "the deadline holds while the renewal is under way");
    assert!(elector.leads(at(2_999)));
    assert!(!elector.leads(at(3_000)));
    assert_eq!(drain(&mut elector, at(3_000)), [Output::Lost]);
}

#[test]
fn a_renewal_that_is_answered_too_late_does_not_lead() {
    let mut elector = leader();
    assert_eq!(drain(&mut elector, at(1_000)), [write(5, Some(US), 5, false)]);
    // Paused until after the renewal's own end.
    let outputs = tell(&mut elector, 4_000, Input::Written(6));
    assert_eq!(outputs, [Output::Lost, write(6, Some(US), 5, false)], "it has to hold the Lease again first");
    assert_eq!(tell(&mut elector, 4_010, Input::Written(7)), [lead(7_000)]);
}

#[test]
fn a_paused_leader_goes_on_if_the_renewal_that_waits_for_it_is_still_good() {
    let mut elector = leader();
    assert_eq!(drain(&mut elector, at(1_000)), [write(5, Some(US), 5, false)]);
    // The old deadline has passed, but nobody else can have led.
    assert_eq!(tell(&mut elector, 3_500, Input::Written(6))[0], lead(4_000));
}

#[test]
fn a_paused_leader_that_was_replaced_sees_it_by_the_version() {
    let mut elector = leader();
    let outputs = drain(&mut elector, at(60_000));
    assert_eq!(outputs, [Output::Lost, write(5, Some(US), 5, false)]);
    assert_eq!(tell(&mut elector, 60_010, Input::Conflict), []);
    assert_eq!(drain(&mut elector, at(60_260)), [Output::Read]);
    assert_eq!(tell(&mut elector, 60_270, Input::Found(lease("other", 60))), []);
    assert_eq!(elector.holder(), Some("other"));
}

#[test]
fn a_failed_renewal_is_looked_after_before_the_deadline() {
    let mut elector = leader();
    assert_eq!(drain(&mut elector, at(1_000)), [write(5, Some(US), 5, false)]);
    assert_eq!(tell(&mut elector, 2_000, Input::Failed), []);
    assert_eq!(drain(&mut elector, at(2_250)), [Output::Read]);
    // It had gone through, only the answer was lost. What counts is an answer.
    assert_eq!(tell(&mut elector, 2_260, Input::Found(lease(US, 6))), [write(6, Some(US), 4, false)]);
    assert!(elector.leads(at(2_999)));
    assert!(!elector.leads(at(3_000)));
    assert_eq!(tell(&mut elector, 2_270, Input::Written(7)), [lead(5_260)]);
}

#[test]
fn somebody_who_edits_the_lease_does_not_end_the_lead() {
    let mut elector = leader();
    assert_eq!(drain(&mut elector, at(1_000)), [write(5, Some(US), 5, false)]);
    assert_eq!(tell(&mut elector, 1_010, Input::Conflict), [Output::Read], "at once: it has no time to lose");
    assert_eq!(tell(&mut elector, 1_020, Input::Found(lease(US, 9))), [write(9, Some(US), 4, false)]);
    assert_eq!(tell(&mut elector, 1_030, Input::Written(10)), [lead(4_020)]);
}

#[test]
fn a_lease_with_another_holder_ends_the_lead_at_once() {
    let mut elector = leader();
    assert_eq!(drain(&mut elector, at(1_000)), [write(5, Some(US), 5, false)]);
    assert_eq!(tell(&mut elector, 1_010, Input::Conflict), [Output::Read]);
    assert_eq!(tell(&mut elector, 1_020, Input::Found(lease("other", 9))), [Output::Lost]);
}

#[test]
fn a_lease_that_is_deleted_under_its_leader_is_made_again() {
    let mut elector = leader();
    assert_eq!(drain(&mut elector, at(1_000)), [write(5, Some(US), 5, false)]);
    assert_eq!(tell(&mut elector, 1_010, Input::Conflict), [Output::Read]);
    assert_eq!(tell(&mut elector, 1_020, Input::Found(None)), [write(0, Some(US), 0, true)]);
    assert_eq!(tell(&mut elector, 1_030, Input::Written(9)), [lead(4_020)]);
}

#[test]
fn a_candidate_takes_over_after_four_seconds_without_a_change() {
    let mut elector = candidate();
    assert_eq!(look(&mut elector, 3_999, &lease("other", 7)), []);
    assert_eq!(elector.poll_timeout(), Some(at(4_000)));
    assert_eq!(drain(&mut elector, at(4_000)), [write(7, Some(US), 5, true)]);
    assert_eq!(tell(&mut elector, 4_010, Input::Written(8)), [lead(7_000)]);
}

#[test]
fn each_renewal_that_is_seen_makes_a_candidate_wait_again() {
    let mut elector = candidate();
    for second in 1..60 {
        assert_eq!(look(&mut elector, second * 1_000, &lease("other", 6 + second)), [], "{second}");
    }
}

#[test]
fn a_candidate_goes_by_the_duration_of_a_holder_with_a_longer_one() {
    let mut elector = Elector::new(US);
    assert_eq!(drain(&mut elector, at(0)), [Output::Read]);
    let slow = lease("other", 7).map(|lease| Record { duration: Some(Duration::from_secs(15)), ..lease });
    assert_eq!(tell(&mut elector, 0, Input::Found(slow.clone())), []);
    assert_eq!(look(&mut elector, 15_999, &slow), []);
    assert_eq!(look(&mut elector, 16_000, &slow), [write(7, Some(US), 5, true)]);
}

#[test]
fn a_lease_that_was_given_back_is_taken_at_once() {
    for free in [lease("", 8), lease("other", 8).map(|lease| Record { holder: None, ..lease })] {
        let mut elector = candidate();
        assert_eq!(drain(&mut elector, at(250)), [Output::Read]);
        assert_eq!(tell(&mut elector, 255, Input::Found(free)), [write(8, Some(US), 5, true)]);
    }
}

#[test]
fn a_lease_that_was_deleted_may_still_have_a_holder_who_does_not_know() {
    let mut elector = candidate();
    assert_eq!(drain(&mut elector, at(250)), [Output::Read]);
    assert_eq!(tell(&mut elector, 250, Input::Found(None)), []);
    assert_eq!(look(&mut elector, 4_249, &None), []);
    assert_eq!(look(&mut elector, 4_250, &None), [write(0, Some(US), 0, true)]);
}

#[test]
fn who_loses_the_race_for_a_free_lease_waits() {
    let mut elector = Elector::new(US);
    assert_eq!(drain(&mut elector, at(0)), [Output::Read]);
    assert_eq!(tell(&mut elector, 5, Input::Found(None)), [write(0, Some(US), 0, true)]);
    assert_eq!(tell(&mut elector, 10, Input::Conflict), []);
    assert_eq!(drain(&mut elector, at(260)), [Output::Read]);
    assert_eq!(tell(&mut elector, 270, Input::Found(lease("other", 1))), []);
}

#[test]
fn an_acquisition_whose_answer_was_lost_is_found_out() {
    let mut elector = Elector::new(US);
    assert_eq!(drain(&mut elector, at(0)), [Output::Read]);
    assert_eq!(tell(&mut elector, 5, Input::Found(None)), [write(0, Some(US), 0, true)]);
    assert_eq!(tell(&mut elector, 1_005, Input::Failed), []);
    assert_eq!(drain(&mut elector, at(1_255)), [Output::Read]);
    assert_eq!(tell(&mut elector, 1_260, Input::Found(lease(US, 1))), [write(1, Some(US), 4, false)]);
    assert_eq!(tell(&mut elector, 1_270, Input::Written(2)), [lead(4_260)]);
}

#[test]
fn without_an_api_server_nobody_leads_and_looks_go_on() {
    let mut elector = leader();
    let (mut outputs, mut now) = (Vec::new(), at(0));
    while now < at(60_000) {
        now = elector.poll_timeout().unwrap();
        for output in drain(&mut elector, now) {
            if output != Output::Lost {
                elector.handle_input(now, Input::Failed);
            }
            outputs.push((now, output));
        }
    }
    assert_eq!(outputs.iter().filter(|(_, output)| *output == Output::Lost).count(), 1);
    assert!(outputs.contains(&(at(3_000), Output::Lost)));
    assert!((200..260).contains(&outputs.len()), "{}", outputs.len());
}

#[test]
fn a_leader_that_stops_gives_the_lease_back() {
    let mut elector = leader();
    assert_eq!(tell(&mut elector, 500, Input::Stop), [Output::Lost, write(5, None, 5, false)]);
    assert!(!elector.leads(at(500)));
    assert_eq!(tell(&mut elector, 510, Input::Written(6)), [Output::Released]);
    assert_eq!(elector.poll_timeout(), None);
    assert_eq!(tell(&mut elector, 520, Input::Stop), []);
}

#[test]
fn a_leader_that_stops_while_it_renews_waits_for_the_answer_first() {
    let mut elector = leader();
    assert_eq!(drain(&mut elector, at(1_000)), [write(5, Some(US), 5, false)]);
    assert_eq!(tell(&mut elector, 1_001, Input::Stop), [Output::Lost]);
    assert_eq!(tell(&mut elector, 1_010, Input::Written(6)), [write(6, None, 5, false)]);
    assert_eq!(tell(&mut elector, 1_020, Input::Written(7)), [Output::Released]);
}

#[test]
fn a_stop_does_not_lead_by_an_acquisition_under_way() {
    let mut elector = Elector::new(US);
    assert_eq!(drain(&mut elector, at(0)), [Output::Read]);
    assert_eq!(tell(&mut elector, 5, Input::Found(None)), [write(0, Some(US), 0, true)]);
    assert_eq!(tell(&mut elector, 6, Input::Stop), []);
    assert_eq!(tell(&mut elector, 10, Input::Written(1)), [write(1, None, 0, false)]);
    assert_eq!(tell(&mut elector, 20, Input::Conflict), [Output::Read]);
    assert_eq!(tell(&mut elector, 30, Input::Found(lease("other", 2))), [Output::Released]);
}

#[test]
fn who_does_not_hold_the_lease_stops_at_once() {
    assert_eq!(tell(&mut candidate(), 100, Input::Stop), [Output::Released]);
    assert_eq!(tell(&mut Elector::new(US), 0, Input::Stop), [Output::Released]);
}

#[test]
fn a_stop_ends_also_without_an_api_server() {
    let mut elector = leader();
    assert_eq!(tell(&mut elector, 500, Input::Stop), [Output::Lost, write(5, None, 5, false)]);
    assert_eq!(tell(&mut elector, 1_500, Input::Failed), []);
    assert_eq!(drain(&mut elector, at(1_750)), [Output::Read]);
    assert_eq!(tell(&mut elector, 2_750, Input::Failed), []);
    assert_eq!(drain(&mut elector, at(3_000)), [Output::Released]);
}

#[test]
fn answers_to_nothing_change_nothing() {
    for input in [Input::Found(lease(US, 9)), Input::Written(9), Input::Conflict, Input::Failed] {
        let mut elector = leader();
        assert_eq!(tell(&mut elector, 100, input.clone()), [], "{input:?}");
        assert_eq!(drain(&mut elector, at(1_000)), [write(5, Some(US), 5, false)], "{input:?}");
    }
}

#[test]
fn an_answer_of_the_wrong_kind_counts_as_a_failure() {
    let mut elector = candidate();
    assert_eq!(drain(&mut elector, at(250)), [Output::Read]);
    assert_eq!(tell(&mut elector, 260, Input::Written(9)), []);
    assert_eq!(drain(&mut elector, at(510)), [Output::Read]);
    assert_eq!(elector.holder().map(ToString::to_string), Some("other".into()));
    assert_eq!(vec![elector.leads(at(510))], [false]);
}
