//! What a process takes.

use std::fs;

/// The resident bytes of this process.
///
/// # Panics
/// Without procfs.
#[must_use]
pub fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("procfs");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("pages");
    pages * 4096
}
