//! Beacons: any bytes through the parser, and any message, sealed with the right and with a wrong secret, into a
//! membership that trusts its sender.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_core::{
    Instant, Machine, drain,
    membership::{
        Identity, Input, Membership, Output, Port,
        beacon::{self, Header, Kind, Message, Seal, Secret},
    },
};

const SECRET: Secret = [7; 32];
const OTHER: Secret = [8; 32];
const OURS: [u8; 16] = [1; 16];
const THEIRS: [u8; 16] = [2; 16];
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const EVERYBODY: [u8; 6] = [0xff; 6];
const LINK: u32 = 2;

fuzz_target!(|data: &[u8]| {
    let seal = Seal::derive(&SECRET, &THEIRS, "n2");
    if let Ok(envelope) = beacon::parse(data) {
        let _ = envelope.open(&seal);
    }
    receive(data, &seal);
});

/// The bytes are bodies, each behind its kind and length. What is read is written the same way.
fn receive(mut data: &[u8], seal: &Seal) {
    let (mut now, mut ours) = start();
    let us = ours.hash();
    let mut sequence = 0;
    let mut nonce = learn_nonce(&drain(&mut ours, now)).unwrap_or_default();
    while let Some((control, rest)) = data.split_first() {
        let kind = [Kind::Beacon, Kind::Probe, Kind::Answer, Kind::Farewell][usize::from(control & 3)];
        let (length, rest) = rest.split_first().unwrap_or((&0, rest));
        let (body, rest) = rest.split_at(rest.len().min(usize::from(*length) * 4));
        data = rest;
        now += core::time::Duration::from_millis(u64::from(control >> 4) * 20);
        let Ok(mut message) = Message::parse(kind, body) else { continue };
        if let Message::Beacon(beacon) = &mut message
            && control & 4 != 0
        {
            beacon.echoes.truncate(15);
            beacon.echoes.push((us, nonce));
        }
        sequence += 1;
        let header = Header {
            key_id: beacon::key_id(&SECRET),
            salt: THEIRS,
            sequence,
            ifindex: 3,
            interface: "eth0",
            node: "n2",
        };
        let frame = beacon::emit(EVERYBODY, MAC, &header, &message, seal);
        let read = beacon::parse(&frame).expect("what is written parses").open(seal);
        assert!(same(&read.expect("what is written opens"), &message));

        ours.handle_input(now, Input::Frame(LINK, &frame));
        let stranger = Header { key_id: beacon::key_id(&OTHER), ..header };
        let wrong = Seal::derive(&OTHER, &THEIRS, "n2");
        for header in [header, stranger] {
            let frame = beacon::emit(EVERYBODY, MAC, &header, &message, &wrong);
            let before = *ours.counters();
            ours.handle_input(now, Input::Frame(LINK, &frame));
            assert!(Kind::ALL.iter().all(|kind| ours.counters().received(*kind) == before.received(*kind)));
        }
        nonce = learn_nonce(&drain(&mut ours, now)).unwrap_or(nonce);
    }
}

/// Claims that found no room are left out; all else is read as it was written.
fn same(read: &Message, written: &Message) -> bool {
    match (read, written) {
        (Message::Beacon(read), Message::Beacon(written)) => {
            let count = read.page.claims.len();
            read.page.claims[..] == written.page.claims[..count]
                && (&read.echoes, &read.heard, &read.prefixes)
                    == (&written.echoes, &written.heard, &written.prefixes)
        }
        _ => read == written,
    }
}

fn start() -> (Instant, Membership) {
    let now = Instant::from_secs(1);
    let identity = Identity { node: "n1".into(), salt: OURS, seed: 1, interval_ms: 100, multiplier: 3 };
    let mut ours = Membership::new(identity);
    ours.handle_input(now, Input::Key(SECRET));
    let port = Port { name: "eth0".into(), mac: [2, 0, 0, 0, 0, 1], prefixes: Vec::new() };
    ours.handle_input(now, Input::Link(LINK, Some(port)));
    (now, ours)
}

/// The nonce in our own last beacon: whoever echoes it is trusted.
fn learn_nonce(outputs: &[Output]) -> Option<beacon::Nonce> {
    let seal = Seal::derive(&SECRET, &OURS, "n1");
    outputs.iter().rev().find_map(|output| {
        let Output::Send(_, frame) = output else { return None };
        match beacon::parse(frame).expect("what is sent parses").open(&seal).expect("what is sent opens") {
            Message::Beacon(beacon) => Some(beacon.nonce),
            _ => None,
        }
    })
}
