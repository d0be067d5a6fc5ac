//! The kernel answers in the speaker's place: as long as the speaker lives, and what is as it should be.

mod lan;

use std::time::{Duration, Instant};

use lan::{DEADLINE, Lan};
use metal_tests::wait::{ensure, wait_for};

/// Past the expiry nothing is answered any more. It is 200 ms after the last beacon; this allows for a busy machine.
const EXPIRED: Duration = Duration::from_secs(2);

#[test]
fn a_frozen_speaker_falls_silent_although_its_program_still_runs() {
    let mut lan = Lan::start(&["--fast-path"], &[]);
    lan.speaker.freeze(true);
    let frozen = Instant::now();
    // The process stands still, so that this is the program's answer. It may be over already on a busy machine.
    let answered = lan.is_answered(Duration::from_millis(20));
    assert!(answered || frozen.elapsed() > Duration::from_millis(90), "the kernel answers meanwhile");
    wait_for("silence", EXPIRED, || {
        ensure(!lan.is_answered(Duration::from_millis(20)), || "it answers".into())
    });
    assert!(!lan.is_answered(Duration::from_millis(300)), "silent for good");
    lan.speaker.freeze(false);
    lan.await_answer();
}

#[test]
fn a_killed_speaker_is_silent_at_once() {
    let mut lan = Lan::start(&["--fast-path"], &[]);
    lan.speaker.kill();
    assert!(!lan.is_answered(Duration::from_millis(300)), "nobody is left to answer");
}

#[test]
fn answers_of_the_kernel_are_in_the_metrics() {
    let lan = Lan::start(&["--fast-path"], &[]);
    assert!(lan.speaker.log().contains("the kernel answers ARP requests"), "{}", lan.speaker.log());
    let before = lan.responses();
    for _ in 0..100 {
        lan.await_answer();
    }
    wait_for("a hundred more answers in the metrics", DEADLINE, || {
        let now = lan.responses();
        ensure(now >= before + 100, || format!("{before} before, {now} now"))
    });
}

#[test]
fn a_stranger_with_the_address_is_still_told() {
    let lan = Lan::start(&["--fast-path"], &[]);
    wait_for("a word about it in the log", DEADLINE, || {
        lan.claim();
        let log = lan.speaker.log();
        ensure(log.contains("02:00:00:00:00:64") && log.contains(lan::VIP_TEXT), || log.clone())
    });
    lan.await_answer();
}

#[test]
fn three_capabilities_are_enough() {
    let only = ["setpriv", "--bounding-set=-all,+net_raw,+net_admin,+bpf"];
    let lan = Lan::start(&["--fast-path"], &only);
    let log = lan.speaker.log();
    assert!(log.contains("the kernel answers ARP requests") && !log.contains("as without"), "{log}");
}

#[test]
fn without_the_capabilities_the_speaker_answers_itself_and_says_so() {
    let drop = ["setpriv", "--bounding-set=-bpf,-sys_admin,-net_admin"];
    let mut lan = Lan::start(&["--fast-path"], &drop);
    let log = lan.speaker.log();
    assert!(log.contains("CAP_BPF") && log.contains("as without --fast-path"), "{log}");
    lan.speaker.freeze(true);
    assert!(!lan.is_answered(Duration::from_millis(300)), "it answered from user space");
    lan.speaker.freeze(false);
    lan.await_answer();
}

#[test]
fn without_the_flag_there_is_no_program() {
    let mut lan = Lan::start(&[], &[]);
    lan.speaker.freeze(true);
    assert!(!lan.is_answered(Duration::from_millis(300)), "it answered from user space");
}
