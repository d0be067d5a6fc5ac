//! Which thread goes first.

use std::io;

/// Lets the calling thread go before all that are scheduled normally, until it ends (`SCHED_FIFO`). Threads and processes
/// that it starts are normal again.
///
/// # Errors
/// EPERM without CAP_SYS_NICE in the first user namespace.
pub fn realtime() -> io::Result<()> {
    // Not the lowest, which others take for less urgent things.
    let parameters = libc::sched_param { sched_priority: 20 };
    // SAFETY: the parameters are live; 0 is the calling thread.
    let done = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
