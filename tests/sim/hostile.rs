//! Recordings, strangers and noise.

use std::time::Duration;

use metal_core::membership::beacon::Refused;
use metal_tests::{
    lan::{Id, Lan},
    random::Random,
};

use crate::{calm, ip, millis, moved, web};

fn refused(lan: &Lan, id: Id, reason: Refused) -> u64 {
    let counters = lan.speaker(id).unwrap().counters();
    counters.refused().find(|(other, _)| *other == reason).unwrap().1
}

/// Everything that `id` sends within three seconds.
fn record(lan: &mut Lan, id: Id) -> Vec<Vec<u8>> {
    lan.recording = Some(Vec::new());
    lan.run(Duration::from_secs(3));
    let frames = lan.recording.take().unwrap_or_default();
    frames.into_iter().filter(|(from, ..)| *from == id).map(|(_, _, frame)| frame).collect()
}

#[test]
fn a_recording_keeps_nobody_alive() {
    let mut lan = Lan::settled(1, web());
    let owner = lan.owner(ip(1));
    let frames = record(&mut lan, owner);
    lan.kill(owner);
    let start = lan.now();
    for frame in frames.iter().cycle().take(500) {
        lan.inject(owner, 2, frame);
        lan.run(millis(5));
        if !lan.owners(ip(1)).is_empty() {
            break;
        }
    }
    assert!(lan.now().since(start) <= millis(400));
    let successor = lan.owner(ip(1));
    // Nor does it bring anybody back once he is forgotten.
    for frame in frames.iter().cycle().take(500) {
        lan.inject(owner, 2, frame);
        calm(&mut lan, millis(5));
    }
    assert_eq!(lan.speaker(successor).unwrap().members(2).count(), 1);
    assert!(refused(&lan, successor, Refused::Replayed) > 0);
}

#[test]
fn a_recording_holds_a_listener_back_only_once() {
    let mut lan = Lan::settled(1, web());
    let owner = lan.owner(ip(1));
    let frames = record(&mut lan, owner);
    (0..3).for_each(|id| lan.kill(id));
    lan.run(Duration::from_secs(1));
    let other = (owner + 1) % 3;
    lan.start(other);
    let start = lan.now();
    for frame in frames.iter().cycle().take(1_000) {
        lan.inject(other, 2, frame);
        lan.run(millis(2));
        if !lan.owners(ip(1)).is_empty() {
            break;
        }
    }
    let time = lan.now().since(start);
    assert!(time >= millis(590) && time <= millis(1_000), "{time:?}");
}

#[test]
fn a_replayed_farewell_ends_only_the_dead() {
    let mut lan = Lan::settled(1, web());
    let leaver = (lan.owner(ip(1)) + 1) % 3;
    lan.recording = Some(Vec::new());
    lan.tell(leaver, metal_core::speaker::Input::Stop);
    lan.run(millis(100));
    let frames = lan.recording.take().unwrap_or_default();
    lan.start(leaver);
    lan.run(Duration::from_secs(1));
    for (from, link, frame) in frames {
        lan.inject(from, link, &frame);
        calm(&mut lan, millis(10));
    }
    for id in 0..3 {
        assert_eq!(lan.speaker(id).unwrap().members(2).count(), 2);
    }
}

#[test]
fn strangers_are_counted_and_ignored() {
    let mut other = Lan::new(9, web());
    (0..3).for_each(|id| other.start_with_key(id, [8; 32]));
    other.recording = Some(Vec::new());
    other.run(Duration::from_secs(3));
    let mut lan = Lan::settled(1, web());
    for (from, link, frame) in other.recording.take().unwrap_or_default() {
        lan.inject(from, link, &frame);
        calm(&mut lan, millis(10));
    }
    for id in 0..3 {
        assert_eq!(lan.speaker(id).unwrap().members(2).count(), 2);
        assert!(refused(&lan, id, Refused::Key) > 20);
    }
}

#[test]
fn noise_changes_nothing() {
    let mut lan = Lan::settled(1, web());
    let owner = lan.owner(ip(1));
    let frames = record(&mut lan, owner);
    let mut random = Random::new(5);
    for frame in frames.iter().cycle().take(2_000) {
        let mut frame = frame.clone();
        for _ in 0..=random.below(3) {
            let at = random.index(frame.len());
            frame[at] = u8::try_from(random.below(256)).unwrap_or(0);
        }
        frame.truncate(random.index(frame.len() * 2).max(14));
        lan.inject(owner, 2, &frame);
        calm(&mut lan, millis(1));
    }
    lan.kill(owner);
    assert!(moved(&mut lan, ip(1), owner) <= millis(400));
}
