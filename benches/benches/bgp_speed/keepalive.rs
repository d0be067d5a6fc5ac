//! How late KEEPALIVEs are while a peer is told a million prefixes and reads slowly but steadily, alone and beside
//! peers that keep the speaker busy.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;

use crate::{
    Scale,
    convergence::since,
    lab::{DEADLINE, Lab, PORT, SPEAKER_AS, Speaker},
    report::{Against, Row},
    wire::{Heard, KEEPALIVE, accept, open, route_refresh, router_as},
};

const PREFIXES: u32 = 1_000_000;
/// The least there is; KEEPALIVEs come each second, which is the least as well, so without jitter.
const HOLD_TIME: u16 = 3;
const INTERVAL: Duration = Duration::from_secs(1);
/// What the slow peer reads at a time, and how often.
const MOUTHFUL: usize = 8 << 10;
const PAUSE: Duration = Duration::from_millis(10);
/// Peers that read as fast as they can and ask for everything again at once, each told in another way.
const GREEDY: u16 = 4;

pub(crate) fn measure(scale: Scale) -> Vec<Row> {
    let count = PREFIXES / scale.divisor;
    [0, GREEDY]
        .into_iter()
        .map(|greedy| {
            let late = run(count, greedy);
            let others =
                if greedy == 0 { String::new() } else { format!(", {greedy} greedy peers beside it") };
            let what = format!("lateness of KEEPALIVEs to a slow peer of {count} prefixes{others}");
            Row { what, samples: late, against: Against::Max(100.0) }
        })
        .collect()
}

fn run(count: u32, greedy: u16) -> Vec<f64> {
    let lab = Lab::new();
    let speaker = Speaker::start(&lab);
    speaker.announce(0..count, 1);
    speaker.tell(|sessions| sessions.synced());
    let over = Arc::new(AtomicBool::new(false));
    let others: Vec<_> = (1..=greedy)
        .map(|number| {
            let (listener, over) = (lab.listen(PORT + number), over.clone());
            // Another AS of ours: the messages are others as well.
            speaker.peer(&format!("greedy{number}"), PORT + number, SPEAKER_AS + 10 + u32::from(number), 90);
            thread::spawn(move || be_greedy(&listener, &over))
        })
        .collect();
    let listener = lab.listen(PORT);
    // Accepted sockets inherit it: what has been sent must not wait in the receiver for long.
    SockRef::from(&listener).set_recv_buffer_size(16 << 10).expect("an option");
    speaker.peer("slow", PORT, SPEAKER_AS, HOLD_TIME);
    let (late, open) = be_slow(&listener, usize::try_from(count).expect("not many"));
    let ended = speaker.ended();
    assert!(ended.is_empty(), "no session ends: {ended:?}");
    drop(open);
    over.store(true, Ordering::Relaxed);
    let heard: Vec<_> = others.into_iter().map(|other| other.join().expect("no panic")).collect();
    assert!(heard.iter().all(|heard| *heard > 0), "each of the others hears something: {heard:?} prefixes");
    late
}

/// Reads little by little until everything has come, and a few KEEPALIVEs more. How late each KEEPALIVE was, all queues
/// on the way included.
fn be_slow(listener: &TcpListener, count: usize) -> (Vec<f64>, TcpStream) {
    let (mut stream, _) = accept(listener, &open(router_as(), HOLD_TIME));
    let (mut heard, mut buffer) = (Heard::new(), vec![0; MOUTHFUL]);
    let (mut late, mut last, mut said) = (Vec::new(), Instant::now(), Instant::now());
    stream.set_read_timeout(Some(PAUSE)).expect("an option");
    let began = Instant::now();
    while heard.announced < count || late.len() < 2 {
        assert!(began.elapsed() < DEADLINE, "after {DEADLINE:?}: {} prefixes of {count}", heard.announced);
        if said.elapsed() > INTERVAL.mul_f64(0.8) {
            said = Instant::now();
            stream.write_all(&KEEPALIVE).expect("room in the socket");
        }
        read(&mut stream, &mut buffer, &mut heard);
        let now = Instant::now();
        for _ in 0..std::mem::take(&mut heard.keepalives) {
            late.push(since(last + INTERVAL, now));
            last = now;
        }
        if heard.announced < count {
            thread::sleep(PAUSE);
        }
    }
    (late, stream)
}

/// How many prefixes it was told.
fn be_greedy(listener: &TcpListener, over: &AtomicBool) -> usize {
    let (mut stream, _) = accept(listener, &open(router_as(), 90));
    let (mut heard, mut buffer) = (Heard::new(), vec![0; 256 << 10]);
    stream.set_read_timeout(Some(PAUSE)).expect("an option");
    let mut asked = false;
    while !over.load(Ordering::Relaxed) {
        if heard.announced > 0 && !asked {
            asked = true;
            stream.write_all(&route_refresh()).expect("room in the socket");
        }
        if read(&mut stream, &mut buffer, &mut heard) == 0 && asked {
            // Nothing more comes for now.
            asked = false;
        }
    }
    heard.announced
}

/// What has come, or nothing after a moment.
fn read(stream: &mut TcpStream, buffer: &mut [u8], heard: &mut Heard) -> usize {
    match stream.read(buffer) {
        Ok(0) => panic!("the speaker has closed the connection"),
        Ok(length) => {
            heard.count(&buffer[..length]);
            length
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
        Err(error) => panic!("the connection with the speaker: {error}"),
    }
}
