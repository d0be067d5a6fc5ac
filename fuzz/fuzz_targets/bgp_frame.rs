//! The BGP framer: a stream of any bytes, whole and in pieces, gives the same messages and the same error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_bgp::wire::{
    Error,
    frame::{Frame, HEADER_LEN, MaxLength, MessageType, Unframed},
};

fuzz_target!(|data: &[u8]| {
    let [control, stream @ ..] = data else { return };
    let max = if control & 1 == 0 { MaxLength::Standard } else { MaxLength::Extended };
    let whole = receive(stream, stream.len(), max);
    let piece = usize::from(control >> 1) + 1;
    assert_eq!(receive(stream, piece, max), whole);
});

/// What a receiver makes of a stream that arrives in pieces: the type and length of each message, and the error.
fn receive(stream: &[u8], piece: usize, max: MaxLength) -> (Vec<(MessageType, usize)>, Option<Error>) {
    let (mut messages, mut start, mut end) = (Vec::new(), 0, 0);
    loop {
        match Frame::parse(&stream[start..end], max) {
            Ok(frame) => {
                assert!(frame.kind().lengths(max).contains(&u16::try_from(frame.len()).expect("two octets")));
                messages.push((frame.kind(), frame.len()));
                start += frame.len();
            }
            Err(Unframed::Incomplete { needed }) => {
                assert!(needed.get() + (end - start) <= usize::from(max.bytes()).max(HEADER_LEN));
                if end == stream.len() {
                    return (messages, None);
                }
                end = stream.len().min(end + piece);
            }
            Err(Unframed::Malformed(error)) => {
                assert!(error.offset() < HEADER_LEN);
                return (messages, Some(error.into()));
            }
        }
    }
}
