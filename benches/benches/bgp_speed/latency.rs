//! From a change to its bytes at a socket of ours on the other end of the cable.

use std::{
    io::Read,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Scale,
    convergence::since,
    lab::{Lab, PORT, SPEAKER_AS, Speaker},
    report::{Against, Row},
    wire::{Heard, accept, open, router_as},
};

/// With so many prefixes in the table.
const TABLE: u32 = 100_000;
const SINGLE_CHANGES: usize = 1_000;

pub(crate) fn measure(scale: Scale) -> Vec<Row> {
    let table = TABLE / scale.divisor;
    let (single_changes, turns) =
        if scale.divisor == 1 { (SINGLE_CHANGES, 4 * scale.turns) } else { (10, 2) };
    let lab = Lab::new();
    let listener = lab.listen(PORT);
    let speaker = Speaker::start(&lab);
    speaker.announce(0..table, 1);
    speaker.tell(|sessions| sessions.synced());
    speaker.peer("receiver", PORT, SPEAKER_AS, 90);
    let (stream, _) = accept(&listener, &open(router_as(), 90));
    let mut receiver = Receiver { stream, heard: Heard::new(), buffer: vec![0; 256 << 10] };
    let established = speaker.established();
    let all = usize::try_from(table).expect("not many");
    let dump = vec![since(established, receiver.await_announced(all))];

    let mut one = Vec::new();
    for (number, med) in
        (0..table).step_by(7).cycle().zip([2, 3, 4, 5].into_iter().cycle()).take(single_changes)
    {
        quiet();
        let began = speaker.announce(number..=number, med);
        one.push(since(began, receiver.await_announced(1)));
    }
    let (mut changed, mut withdrawn, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..u32::try_from(turns).expect("few") {
        quiet();
        let began = speaker.announce(0..table, 10 + turn);
        changed.push(since(began, receiver.await_announced(all)));
        quiet();
        let began = speaker.withdraw(0..table);
        withdrawn.push(since(began, receiver.await_withdrawn(all)));
        quiet();
        let began = speaker.announce(0..table, 10 + turn);
        new.push(since(began, receiver.await_announced(all)));
    }
    let row = |what: String, samples, goal| Row { what, samples, against: Against::P99(goal) };
    vec![
        row(format!("one change among {table} prefixes to the receiver"), one, 1.0),
        row(format!("{table} new prefixes at once to the receiver"), new, 50.0),
        row(format!("{table} changes of attributes at once"), changed, 50.0),
        row(format!("{table} withdrawals at once"), withdrawn, 50.0),
        row(format!("a session with {table} prefixes, from Established"), dump, 50.0),
    ]
}

/// Longer than changes wait for others, so that the next one is the first after a quiet time.
fn quiet() {
    thread::sleep(Duration::from_millis(15));
}

struct Receiver {
    stream: TcpStream,
    heard: Heard,
    buffer: Vec<u8>,
}

impl Receiver {
    /// When so many more had come.
    fn await_announced(&mut self, count: usize) -> Instant {
        let wanted = self.heard.announced + count;
        self.read_until(|heard| heard.announced >= wanted)
    }

    fn await_withdrawn(&mut self, count: usize) -> Instant {
        let wanted = self.heard.withdrawn + count;
        self.read_until(|heard| heard.withdrawn >= wanted)
    }

    fn read_until(&mut self, done: impl Fn(&Heard) -> bool) -> Instant {
        loop {
            let length = self.stream.read(&mut self.buffer).expect("the speaker says it before the deadline");
            let now = Instant::now();
            assert!(length > 0, "the speaker has closed the connection");
            self.heard.count(&self.buffer[..length]);
            if done(&self.heard) {
                return now;
            }
        }
    }
}
