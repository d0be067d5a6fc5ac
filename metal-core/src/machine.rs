//! The one calling convention of everything that has time or order.

use alloc::vec::Vec;

use crate::time::Instant;

/// A state machine without input or output of its own.
///
/// The driver owns the clock and the sockets. It hands over what happened, performs what comes out, and
/// sleeps until the deadline or the next input:
///
/// 1. [`handle_input`](Machine::handle_input) whatever has arrived. When an input and a timer are due
///    together the input goes first: a process that was descheduled finds the keep-alives of its peers
///    waiting in the socket, and a timer that fired before them would blame the wrong side.
/// 2. [`poll_output`](Machine::poll_output) until it answers `None`, performing each output in order.
///    This is also what fires the timers that are due; there is no separate call for them.
/// 3. Wait until [`poll_timeout`](Machine::poll_timeout) or the next input. Extra wake-ups are harmless.
///
/// # Laws
/// [`drain`] checks them, and every test goes through it:
/// polling ends; after a drain the deadline is `None` or in the future; a second drain at the same
/// instant is empty; the same inputs at the same instants give the same outputs; nothing panics.
pub trait Machine {
    /// What the world tells the machine. Mistakes of a peer are inputs like any other, never errors.
    type Input<'a>;
    /// What the driver has to perform.
    type Output;

    /// Takes one input. Cheap: it marks what has to be decided again, and the next poll decides.
    fn handle_input(&mut self, now: Instant, input: Self::Input<'_>);

    /// The next thing to perform, or `None` when nothing is left to do at `now`.
    #[must_use = "an output has to be performed"]
    fn poll_output(&mut self, now: Instant) -> Option<Self::Output>;

    /// When to poll again if nothing arrives before.
    #[must_use]
    fn poll_timeout(&self) -> Option<Instant>;
}

/// More outputs than any machine produces in one drain: polling that goes on beyond is a loop.
const ENDLESS: usize = 1_000_000;

/// Polls until nothing is left and checks the laws of [`Machine`].
///
/// For tests, simulations and fuzz targets. A driver polls by itself, so that it can stop when its socket
/// is full.
///
/// # Panics
/// When the machine breaks a law.
pub fn drain<M: Machine>(machine: &mut M, now: Instant) -> Vec<M::Output> {
    let mut outputs = Vec::new();
    while let Some(output) = machine.poll_output(now) {
        outputs.push(output);
        assert!(outputs.len() < ENDLESS, "polling does not end at {now}");
    }
    assert!(machine.poll_output(now).is_none(), "a second drain at {now} is not empty");
    if let Some(deadline) = machine.poll_timeout() {
        assert!(deadline > now, "after a drain at {now} the deadline is {deadline}, not in the future");
    }
    outputs
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    /// Says "tick" each second, as often as it was told to.
    struct Ticker {
        left: u32,
        next: Option<Instant>,
        lawless: bool,
    }

    impl Machine for Ticker {
        type Input<'a> = u32;
        type Output = &'static str;

        fn handle_input(&mut self, now: Instant, input: u32) {
            self.left = input;
            self.next = (input > 0).then_some(now);
        }

        fn poll_output(&mut self, now: Instant) -> Option<&'static str> {
            let due = self.next.filter(|due| *due <= now)?;
            if !self.lawless {
                self.left -= 1;
                self.next = (self.left > 0).then(|| due + Duration::from_secs(1));
            }
            Some("tick")
        }

        fn poll_timeout(&self) -> Option<Instant> {
            self.next
        }
    }

    #[test]
    fn drain_returns_all_outputs_in_order() {
        let mut ticker = Ticker { left: 0, next: None, lawless: false };
        ticker.handle_input(Instant::ZERO, 3);
        assert_eq!(drain(&mut ticker, Instant::ZERO), ["tick"]);
        assert_eq!(drain(&mut ticker, Instant::from_secs(5)), ["tick", "tick"]);
        assert_eq!(ticker.poll_timeout(), None);
    }

    #[test]
    #[should_panic(expected = "polling does not end")]
    fn drain_refuses_a_machine_that_never_stops() {
        let mut ticker = Ticker { left: 1, next: Some(Instant::ZERO), lawless: true };
        drain(&mut ticker, Instant::ZERO);
    }
}
