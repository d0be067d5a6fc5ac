//! From Established to the last route in the router, beside a minimal sender of the same bytes.

use std::{net::SocketAddr, time::Instant};

use crate::{
    Scale,
    lab::{Lab, PORT, ROUTER, SPEAKER_AS, Speaker},
    report::{Against, Row},
    router::{Kind, Router},
    wire::{Raw, Recording, open, router_as},
};

/// In turns, so that what else happens on the machine hits both.
pub(crate) fn measure(kind: Kind, count: u32, scale: Scale) -> Vec<Row> {
    let count = count / scale.divisor;
    let lab = Lab::new();
    let router = Router::start(&lab, kind);
    let to = SocketAddr::from((ROUTER, PORT));
    let connect = |open: &[u8]| lab.at_speaker(|| Raw::connect(to, open));

    // The sender says what metal says to this router: metal's OPEN, the router's answer to it, metal's UPDATEs.
    let ours = record(count, &open(router_as(), 90)).open;
    let hello = connect(&ours);
    let router_open = hello.router_open.clone();
    hello.end();
    let recording = record(count, &router_open);
    let (messages, octets) = (recording.messages(), recording.updates.len());

    let routes = usize::try_from(count).expect("not many");
    let send = || {
        let mut sender = connect(&recording.open);
        sender.send(&recording.updates);
        let time = since(sender.established, router.await_routes(routes));
        sender.end();
        time
    };
    // The first routes after its start have taken FRR ten seconds more.
    send();
    router.await_routes(0);
    let (mut metal, mut raw) = (Vec::new(), Vec::new());
    for turn in 0..2 * scale.turns {
        // The first of two is the second one of the next two.
        let is_raw = (turn % 2 == 0) ^ (turn / 2 % 2 == 1);
        if is_raw {
            raw.push(send());
        } else {
            let speaker = speaker(&lab, count);
            metal.push(since(speaker.established(), router.await_routes(routes)));
        }
        router.await_routes(0);
    }
    let what = format!(
        "{count} prefixes into {}'s {} ({messages} messages, {octets} octets)",
        kind.name(),
        kind.place()
    );
    vec![Row { what, samples: metal, against: Against::Raw { samples: raw, goal: 1.1 } }]
}

/// A speaker that has everything to say before it has a session.
fn speaker(lab: &Lab, count: u32) -> Speaker {
    let speaker = Speaker::start(lab);
    speaker.announce(0..count, 1);
    speaker.tell(|sessions| sessions.synced());
    speaker.peer("router", PORT, SPEAKER_AS, 90);
    speaker
}

fn record(count: u32, router_open: &[u8]) -> Recording {
    let lab = Lab::new();
    let listener = lab.listen(PORT);
    let speaker = speaker(&lab, count);
    let recording = Recording::take(&listener, router_open);
    drop(speaker);
    recording
}

/// From then till now, in milliseconds.
pub(crate) fn since(then: Instant, now: Instant) -> f64 {
    now.saturating_duration_since(then).as_secs_f64() * 1_000.0
}
