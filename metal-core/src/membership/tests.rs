use alloc::{collections::BTreeSet, string::String, vec, vec::Vec};

use super::{
    beacon::{ClaimState, Flags, Kind, Message, Page, Refused},
    *,
};
use crate::machine::drain;

const SECRET: Secret = [7; 32];
const LINK: LinkIndex = 2;

fn ip(n: u32) -> IpAddr {
    (0x0a00_0000 + n).to_be_bytes().into()
}

const CLAIM: Claim = Claim { term: 4, state: ClaimState::Held };

/// Members on one switch without delay.
struct Switch {
    now: Instant,
    members: Vec<Membership>,
    /// What each has found out.
    found: Vec<Vec<Output>>,
    /// Members that are cut off.
    away: BTreeSet<usize>,
    sent: Vec<(usize, Vec<u8>)>,
}

impl Switch {
    fn new() -> Self {
        Self {
            now: Instant::from_secs(1),
            members: vec![],
            found: vec![],
            away: BTreeSet::new(),
            sent: vec![],
        }
    }

    /// Adds a member with a key and one link; its number is also its incarnation.
    fn join(&mut self) -> usize {
        let id = self.members.len();
        let n = u8::try_from(id).unwrap();
        let identity = Identity {
            node: alloc::format!("n{id}").into(),
            salt: [n; 16],
            seed: u64::from(n),
            interval_ms: 100,
            multiplier: 3,
        };
        self.members.push(Membership::new(identity));
        self.found.push(vec![]);
        self.tell(id, Input::Key(SECRET));
        self.tell(id, Input::Link(LINK, Some(port(n))));
        self.tell(id, Input::Ready);
        id
    }

    fn tell(&mut self, id: usize, input: Input<'_>) {
        self.members[id].handle_input(self.now, input);
    }

    /// Performs everything that is due now, and what follows from it.
    fn settle(&mut self) {
        loop {
            let mut frames = vec![];
            for id in 0..self.members.len() {
                if self.away.contains(&id) {
                    continue;
                }
                for output in drain(&mut self.members[id], self.now) {
                    match output {
                        Output::Send(link, frame) => frames.push((id, link, frame)),
                        other => self.found[id].push(other),
                    }
                }
            }
            if frames.is_empty() {
                return;
            }
            for (from, link, frame) in frames {
                for to in (0..self.members.len()).filter(|to| *to != from && !self.away.contains(to)) {
                    if frame[..6] == [0xff; 6] || frame[5] == u8::try_from(to).unwrap() {
                        self.members[to].handle_input(self.now, Input::Frame(link, &frame));
                    }
                }
                self.sent.push((from, frame));
            }
        }
    }

    fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        self.settle();
        loop {
            let awake = (0..self.members.len()).filter(|id| !self.away.contains(id));
            let next = awake.filter_map(|id| self.members[id].poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = next;
            self.settle();
        }
        self.now = end;
    }

    fn peers(&self, id: usize) -> Vec<String> {
        self.members[id].peers(LINK).map(|(_, peer)| alloc::format!("{}", peer.node)).collect()
    }

    /// What `id` said last on the wire.
    fn beacon(&self, id: usize) -> beacon::Beacon {
        let identity = &self.members[id].identity;
        let seal = Seal::derive(&SECRET, &identity.salt, identity.node.as_str());
        let messages = self.sent.iter().rev().filter(|(from, _)| *from == id);
        messages
            .map(|(_, frame)| beacon::parse(frame).unwrap().open(&seal).unwrap())
            .find_map(|message| if let Message::Beacon(beacon) = message { Some(beacon) } else { None })
            .unwrap()
    }

    fn refused(&self, id: usize, reason: Refused) -> u64 {
        self.members[id].counters().refused().find(|(other, _)| *other == reason).unwrap().1
    }
}

fn port(n: u8) -> Port {
    Port { name: "eth0".into(), mac: [2, 0, 0, 0, 0, n], prefixes: vec!["10.0.0.9/24".parse().unwrap()] }
}

#[test]
fn two_know_each_other_at_once() {
    let mut switch = Switch::new();
    switch.join();
    switch.join();
    switch.settle();
    for (id, other) in [(0, "n1"), (1, "n0")] {
        assert_eq!(switch.peers(id), [other]);
        assert!(switch.members[id].peers(LINK).all(|(_, peer)| peer.hears_us));
        assert!(matches!(switch.found[id][..], [Output::Joined(LINK, _)]), "{:?}", switch.found[id]);
    }
    // Two first beacons, and one answer each at most.
    assert!(switch.sent.len() <= 4, "{}", switch.sent.len());
}

#[test]
fn beacons_go_out_in_nine_tenths_of_the_interval_to_all_of_it() {
    let mut switch = Switch::new();
    switch.join();
    switch.run(1_000);
    let count = switch.sent.len();
    assert!((11..=13).contains(&count), "{count}");
    assert_eq!(switch.members[0].counters().sent(Kind::Beacon), u64::try_from(count).unwrap());
}

#[test]
fn nothing_is_sent_or_believed_without_a_key() {
    let mut switch = Switch::new();
    switch.join();
    switch.settle();
    let (_, frame) = switch.sent[0].clone();
    let identity = Identity { node: "x".into(), salt: [9; 16], seed: 0, interval_ms: 100, multiplier: 3 };
    let mut keyless = Membership::new(identity);
    keyless.handle_input(switch.now, Input::Link(LINK, Some(port(9))));
    keyless.handle_input(switch.now, Input::Frame(LINK, &frame));
    assert_eq!(drain(&mut keyless, switch.now), []);
    assert_eq!(keyless.poll_timeout(), None);
    assert!(!keyless.may_claim(LINK));
}

#[test]
fn a_silent_member_is_gone_after_its_own_detection_time() {
    let mut switch = Switch::new();
    switch.join();
    switch.join();
    switch.run(1_000);
    switch.away.insert(1);
    switch.found[0].clear();
    switch.run(199);
    assert_eq!(switch.found[0], []);
    switch.run(102);
    let lost = Output::Lost { link: LINK, node: "n1".into(), cause: Loss::Silent };
    assert_eq!(switch.found[0], [lost]);
    assert_eq!(switch.peers(0), [] as [&str; 0]);
}

#[test]
fn a_farewell_ends_a_member_at_once() {
    let mut switch = Switch::new();
    switch.join();
    switch.join();
    switch.run(500);
    switch.found[0].clear();
    switch.tell(1, Input::Farewell);
    switch.settle();
    let lost = Output::Lost { link: LINK, node: "n1".into(), cause: Loss::Farewell };
    assert_eq!(switch.found[0], [lost]);
    switch.away.insert(1);
    // A farewell of somebody unknown is nothing.
    let farewell = switch.sent.last().unwrap().1.clone();
    switch.tell(0, Input::Frame(LINK, &farewell));
    switch.settle();
    assert_eq!(switch.found[0].len(), 1);
}

#[test]
fn recordings_earn_no_trust() {
    let mut switch = Switch::new();
    switch.join();
    switch.join();
    switch.run(500);
    switch.away.insert(1);
    let frames: Vec<_> = switch.sent.iter().filter(|(from, _)| *from == 1).cloned().collect();
    // While the member is known its numbers are.
    for (_, frame) in &frames {
        switch.tell(0, Input::Frame(LINK, frame));
    }
    assert_eq!(switch.refused(0, Refused::Replayed), u64::try_from(frames.len()).unwrap());
    switch.run(400);
    assert_eq!(switch.peers(0), [] as [&str; 0]);
    // Later the nonce is another.
    for (_, frame) in &frames {
        switch.tell(0, Input::Frame(LINK, frame));
        switch.run(10);
        assert_eq!(switch.peers(0), [] as [&str; 0]);
    }
}

#[test]
fn a_late_member_is_probed_and_its_answer_clears_it() {
    let mut switch = Switch::new();
    switch.join();
    switch.join();
    switch.tell(1, Input::Claim(LINK, ip(1), Some(CLAIM)));
    switch.run(500);
    switch.found[0].clear();
    // Its beacons do not arrive, its answers do.
    switch.away.insert(1);
    switch.run(240);
    switch.away.clear();
    let probes: Vec<_> = switch.sent.iter().rev().take_while(|(from, _)| *from == 0).cloned().collect();
    let probe = probes.iter().find(|(_, frame)| beacon::parse(frame).unwrap().kind == Kind::Probe).unwrap();
    assert!(switch.beacon(0).suspects.contains(&switch.members[1].hash()));
    switch.members[1].handle_input(switch.now, Input::Frame(LINK, &probe.1));
    switch.settle();
    assert_eq!(switch.members[0].counters().suspected, 1);
    assert_eq!(switch.members[0].counters().cleared, 1);
    switch.run(1_000);
    assert_eq!(switch.found[0], []);

    // Who never answers is asked eight times.
    switch.away.insert(1);
    let before = switch.members[0].counters().sent(Kind::Probe);
    switch.run(400);
    assert_eq!(switch.members[0].counters().sent(Kind::Probe) - before, 8);
    assert_eq!(switch.peers(0), [] as [&str; 0]);
}

#[test]
fn claims_are_known_at_once_and_gone_at_once() {
    let mut switch = Switch::new();
    switch.join();
    switch.join();
    switch.run(500);
    switch.found[1].clear();
    switch.tell(0, Input::Claim(LINK, ip(1), Some(CLAIM)));
    switch.tell(0, Input::Claim(LINK, ip(2), Some(CLAIM)));
    switch.settle();
    assert_eq!(switch.found[1], [Output::Claims(LINK, vec![ip(1), ip(2)])]);
    let claim = |switch: &Switch| switch.members[1].peers(LINK).next().unwrap().1.claim(ip(1)).copied();
    assert_eq!(claim(&switch), Some(CLAIM));
    switch.tell(0, Input::Claim(LINK, ip(1), None));
    switch.settle();
    assert_eq!(claim(&switch), None);
    let total = |id: usize| switch.members[id].links[&LINK].claims_total();
    assert_eq!((total(0), switch.beacon(0).claims_total), (1, 1));
}

#[test]
fn thousands_of_claims_are_told_at_once_and_to_a_newcomer_in_person() {
    let mut switch = Switch::new();
    switch.join();
    switch.join();
    switch.run(500);
    for n in 0..5_000 {
        switch.tell(0, Input::Claim(LINK, ip(n), Some(CLAIM)));
    }
    switch.settle();
    let known = |switch: &Switch, id: usize| {
        let peer = switch.members[id].peers(LINK).find(|(_, peer)| peer.node.as_str() == "n0").unwrap().1;
        (peer.claims().count(), peer.is_complete())
    };
    assert_eq!(known(&switch, 1), (5_000, true));
    switch.run(1_000);
    switch.join();
    switch.settle();
    assert_eq!(known(&switch, 2), (5_000, true));
    assert!(switch.members[2].may_claim(LINK));
}

#[test]
fn a_lone_newcomer_listens_for_a_detection_time_and_another_until_it_knows_everybody() {
    let mut switch = Switch::new();
    switch.join();
    switch.run(299);
    assert!(!switch.members[0].may_claim(LINK));
    assert!(switch.beacon(0).flags.contains(Flags::LISTENING));
    switch.run(2);
    assert!(switch.members[0].may_claim(LINK));
    assert_eq!(switch.found[0], [Output::Listened(LINK)]);
    assert!(!switch.beacon(0).flags.contains(Flags::LISTENING));
    switch.join();
    switch.settle();
    assert!(switch.members[1].may_claim(LINK));
}

#[test]
fn all_that_start_together_listen_for_the_whole_time() {
    let mut switch = Switch::new();
    for _ in 0..3 {
        switch.join();
        switch.run(10);
    }
    switch.run(250);
    assert!((0..3).all(|id| !switch.members[id].may_claim(LINK)));
    switch.run(100);
    assert!((0..3).all(|id| switch.members[id].may_claim(LINK)));
}

#[test]
fn who_was_late_itself_blames_nobody_and_listens() {
    let mut switch = Switch::new();
    switch.join();
    switch.join();
    switch.run(1_000);
    switch.away.insert(0);
    switch.run(1_000);
    switch.away.clear();
    switch.found[0].clear();
    switch.settle();
    assert!(matches!(switch.found[0][0], Output::Starved(late) if late > Duration::from_millis(850)));
    // Who has been there all the time tells everything: listening is short.
    assert_eq!(switch.found[0][1..], [Output::Listened(LINK)]);
    assert_eq!(switch.peers(0), ["n1"]);
    assert_eq!(switch.members[0].counters().starved, 1);

    // A little late is nothing.
    switch.away.insert(0);
    switch.run(250);
    switch.away.clear();
    switch.found[0].clear();
    switch.settle();
    assert!(!switch.found[0].iter().any(|output| matches!(output, Output::Starved(_))));
}

#[test]
fn of_two_links_in_one_lan_the_lower_one_serves() {
    let mut switch = Switch::new();
    switch.join();
    switch.tell(0, Input::Link(3, Some(Port { name: "eth1".into(), ..port(1) })));
    let relay = |switch: &mut Switch| {
        for output in drain(&mut switch.members[0], switch.now) {
            match output {
                Output::Send(link, frame) => switch.tell(0, Input::Frame(5 - link, &frame)),
                other => switch.found[0].push(other),
            }
        }
    };
    for _ in 0..10 {
        relay(&mut switch);
        switch.now += Duration::from_millis(50);
    }
    assert!(switch.members[0].may_claim(2) && !switch.members[0].may_claim(3));
    assert!(switch.found[0].contains(&Output::Standby(3, true)));
    // No longer heard, each is on its own again.
    for _ in 0..10 {
        let outputs = drain(&mut switch.members[0], switch.now);
        switch.found[0].extend(outputs.into_iter().filter(|output| !matches!(output, Output::Send(..))));
        switch.now += Duration::from_millis(50);
    }
    assert!(switch.found[0].contains(&Output::Standby(3, false)));
    assert!(switch.members[0].may_claim(3));
}

#[test]
fn a_loop_and_an_old_frame_of_ours_are_refused() {
    let mut switch = Switch::new();
    switch.join();
    switch.tell(0, Input::Link(3, Some(Port { name: "eth1".into(), ..port(1) })));
    switch.run(1_000);
    let oldest = switch.sent[0].1.clone();
    switch.tell(0, Input::Frame(LINK, &oldest));
    assert_eq!(switch.refused(0, Refused::Own), 1);
    switch.tell(0, Input::Frame(3, &oldest));
    assert_eq!(switch.refused(0, Refused::Replayed), 1);
    assert!(switch.members[0].may_claim(3));
}

#[test]
fn a_leaving_member_says_so() {
    let mut switch = Switch::new();
    switch.join();
    switch.join();
    switch.run(500);
    switch.found[0].clear();
    switch.tell(1, Input::Leaving);
    switch.settle();
    assert!(matches!(switch.found[0][..], [Output::Changed(LINK, _)]));
    assert!(switch.members[0].peers(LINK).all(|(_, peer)| !peer.stands_in_line()));
}

#[test]
fn other_secrets_and_changed_frames_are_counted() {
    let mut switch = Switch::new();
    switch.join();
    switch.join();
    switch.settle();
    switch.tell(1, Input::Key([8; 32]));
    switch.run(300);
    assert!(switch.refused(0, Refused::Key) > 0 && switch.refused(1, Refused::Key) > 0);
    let mut frame = switch.sent[0].1.clone();
    *frame.last_mut().unwrap() ^= 1;
    let before = switch.refused(1, Refused::Seal);
    switch.tell(1, Input::Key(SECRET));
    switch.tell(1, Input::Frame(LINK, &frame));
    // The number is checked before the seal: a broken copy of an old frame is just old.
    assert_eq!(switch.refused(1, Refused::Seal) + switch.refused(1, Refused::Replayed), before + 1);
}

#[test]
fn a_link_that_goes_takes_everything_with_it() {
    let mut switch = Switch::new();
    switch.join();
    switch.join();
    switch.run(500);
    switch.tell(0, Input::Link(LINK, None));
    assert_eq!(switch.peers(0), [] as [&str; 0]);
    assert_eq!(switch.members[0].poll_timeout(), None);
    assert!(switch.members[0].seals.is_empty());
    assert_eq!(switch.members[0].links.len(), 0);
}

#[test]
fn fifty_members_know_each_other() {
    let mut switch = Switch::new();
    for _ in 0..50 {
        switch.join();
        switch.run(7);
    }
    switch.run(500);
    for id in 0..50 {
        let members = switch.members[id].peers(LINK).filter(|(_, peer)| peer.hears_us).count();
        assert_eq!(members, 49);
    }
    assert_eq!(switch.beacon(0).heard.total, 49);
    assert_eq!(switch.beacon(0).page, Page::default());
}
