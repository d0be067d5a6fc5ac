//! Which thread goes first.

use std::io;

/// Asks for short turns for the calling thread: whoever wants the processor for a moment only then gets it before those
/// who would keep it, however many they are. It takes no right, and Linux 6.12; older kernels leave things as they are.
///
/// # Errors
/// Those of `sched_setattr(2)`.
pub fn short_turns() -> io::Result<()> {
    // SAFETY: takes a number that stands for the calling thread, and no pointers.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let attributes = Attributes {
        size: size_of::<Attributes>().try_into().map_err(io::Error::other)?,
        policy: 0,
        flags: 0,
        nice,
        priority: 0,
        // The shortest that the kernel takes, in nanoseconds.
        runtime: 100_000,
        deadline: 0,
        period: 0,
    };
    // SAFETY: the attributes are live and have the size that they say; 0 is the calling thread.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `struct sched_attr` in its first form.
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anybody_may_ask_for_short_turns() {
        std::thread::spawn(short_turns).join().expect("a thread").expect("granted");
    }
}
