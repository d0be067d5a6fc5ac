//! UPDATEs as values: what was read is written, read as the same, and written as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_bgp::{
    validate::{Disposition, validate},
    wire::{
        Contents, Families, Peer, Session, Update,
        frame::{Frame, MaxLength},
    },
};

fuzz_target!(|data: &[u8]| {
    let [control, body @ ..] = data else { return };
    let session = Session {
        peer: if control & 1 == 0 { Peer::External } else { Peer::Internal },
        four_octet_as: control & 2 == 0,
        add_path: if control & 4 == 0 { Families::NONE } else { Families::ALL },
        max_length: MaxLength::Standard,
    };
    let Ok(update) = Update::parse(body, &session) else { return };
    let contents = Contents::of(&update);
    let mut buffer = [0xaa; 4_096];
    let Ok(len) = contents.encode(&session, &mut buffer) else {
        // Nothing is written longer than it was read.
        assert!(body.len() > 4_096 - 19);
        return;
    };
    let frame = Frame::parse(&buffer[..len], MaxLength::Standard).expect("a whole message");
    let again = Update::parse(frame.body(), &session).expect("what is written can be read");
    assert!(again.nlri().eq(update.nlri()) && again.withdrawn().eq(update.withdrawn()));
    // Writing repairs, and never breaks.
    assert!(
        validate(&again).disposition() <= validate(&update).disposition().max(Some(Disposition::Discard))
    );

    let mut second = [0x55; 4_096];
    let second_len = Contents::of(&again).encode(&session, &mut second).expect("it fitted before");
    assert_eq!(second[..second_len], buffer[..len]);
});
