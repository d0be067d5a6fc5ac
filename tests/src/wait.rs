//! Waiting for a condition, never for time.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const PERIOD: Duration = Duration::from_millis(20);

/// Waits until `look` has what is waited for. At the deadline it fails with what was seen last.
#[track_caller]
pub fn wait_for<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if started.elapsed() >= deadline => {
                panic!("waited {deadline:?} in vain for {what}; last seen: {seen}")
            }
            Err(_) => std::thread::sleep(PERIOD),
        }
    }
}

/// `Ok` when it holds, else the sentence that says what is seen instead.
pub fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
