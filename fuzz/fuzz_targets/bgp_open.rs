//! OPEN: any body is read or refused; what was read is written, and read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_bgp::wire::{
    Open,
    frame::{Frame, MaxLength},
    open::negotiate,
};

fuzz_target!(|body: &[u8]| {
    let open = match Open::parse(body) {
        Ok(open) => open,
        Err(error) => {
            assert!(matches!(error.notification().code, 1 | 2));
            assert!(error.offset() <= 19 + body.len());
            return;
        }
    };
    let owned = open.clone().into_owned();
    assert_eq!(open, owned);
    assert_ne!(open.asn(), 0);
    let _ = negotiate(&open, &owned);

    let mut buffer = [0xaa; 4_096];
    let Ok(len) = owned.encode(&mut buffer) else {
        // Many small parameters in little more than the longest message are longer in one.
        assert!(body.len() > 4_000);
        return;
    };
    let frame = Frame::parse(&buffer[..len], MaxLength::Standard).expect("a whole message");
    assert_eq!(Open::parse(frame.body()).expect("what is written can be read"), open);
});
