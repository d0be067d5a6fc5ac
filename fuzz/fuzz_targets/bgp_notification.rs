//! NOTIFICATION: any body has a code, names and perhaps a text, and is written as it was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_bgp::wire::{
    Notification,
    frame::{Frame, MaxLength},
    notification::{Communication, communicate},
};

fuzz_target!(|body: &[u8]| {
    let Some(notification) = Notification::parse(body) else {
        assert!(body.len() < 2);
        return;
    };
    let _ = notification.to_string();
    if let Some(inner) = notification.hard_reset() {
        let _ = inner.to_string();
    }
    if let Some(Communication::Text(text)) = notification.communication() {
        assert_eq!(communicate(text, &mut [0; 256]), &notification.data[..=text.len()]);
    }
    let mut buffer = [0xaa; 4_096];
    if let Ok(len) = notification.encode(&mut buffer) {
        let frame = Frame::parse(&buffer[..len], MaxLength::Standard).expect("a whole message");
        assert_eq!(frame.body(), body);
    }
});
