//! RIB-out: any history of routes, sessions, refreshes and slow readers, with routers that check what they are told.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../metal-bgp/tests/rib_out/history.rs"]
mod history;

fuzz_target!(|data: &[u8]| history::play(data));
