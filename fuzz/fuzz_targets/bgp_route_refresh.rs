//! ROUTE-REFRESH: any body is read or refused; what was read is written as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_bgp::wire::{
    RouteRefresh,
    frame::{Frame, MaxLength},
};

fuzz_target!(|body: &[u8]| {
    match RouteRefresh::parse(body) {
        Ok(refresh) => {
            let mut buffer = [0xaa; 23];
            assert_eq!(refresh.encode(&mut buffer), Ok(23));
            let frame = Frame::parse(&buffer, MaxLength::Standard).expect("a whole message");
            assert_eq!(frame.body(), body);
        }
        Err(error) => {
            assert_ne!(body.len(), 4);
            let notification = error.notification();
            assert!(matches!((notification.code, notification.subcode), (7, 1) | (1, 2)));
        }
    }
});
