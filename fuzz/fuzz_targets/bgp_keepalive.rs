//! KEEPALIVE: of all that can stand behind a marker, only one is a KEEPALIVE, and it is written as that.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_bgp::wire::{
    Message, Session, encode_keepalive,
    frame::{Frame, MaxLength, MessageType},
};

fuzz_target!(|data: &[u8]| {
    let mut message = [0xff; 32];
    let len = 16 + data.len().min(16);
    message[16..len].copy_from_slice(&data[..len - 16]);
    let Ok(frame) = Frame::parse(&message[..len], MaxLength::Standard) else { return };
    if frame.kind() != MessageType::Keepalive {
        return;
    }
    assert!(matches!(Message::parse(&frame, &Session::default()), Ok(Message::Keepalive)));
    let mut written = [0; 19];
    assert_eq!(encode_keepalive(&mut written), Ok(19));
    assert_eq!(written, message[..19]);
});
