//! Waiting for a condition, with a deadline, a sign of life and an ear for Ctrl-C.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{Stop, console::Console, interrupt::Interrupt};

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(2);
/// After this long the user is told what is being waited for.
const SILENCE: Duration = Duration::from_millis(300);

/// Why a condition does not hold.
#[derive(Debug)]
pub(crate) enum Pending {
    /// It may yet.
    NotYet(String),
    /// It cannot any more.
    Never(anyhow::Error),
}

impl From<String> for Pending {
    fn from(reason: String) -> Self {
        Self::NotYet(reason)
    }
}

impl From<anyhow::Error> for Pending {
    fn from(error: anyhow::Error) -> Self {
        Self::Never(error)
    }
}

/// What every wait needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiter<'a> {
    pub(crate) console: &'a Console,
    pub(crate) interrupt: &'a Interrupt,
}

impl Waiter<'_> {
    /// Waits until `condition` yields a value; `None` when it has not within `patience`.
    pub(crate) fn within<T>(
        self,
        patience: Duration,
        what: &str,
        mut condition: impl FnMut() -> Option<T>,
    ) -> Result<Option<T>> {
        let begin = Instant::now();
        let mut shown = SILENCE;
        loop {
            if self.interrupt.is_raised() {
                return Err(Stop::Interrupted.into());
            }
            if let Some(value) = condition() {
                return Ok(Some(value));
            }
            let waited = begin.elapsed();
            if waited >= patience {
                return Ok(None);
            }
            if waited >= shown {
                self.console.waiting(format_args!("waiting for {what}"), waited);
                shown = waited + Duration::from_millis(100);
            }
            thread::sleep(GLANCE);
        }
    }

    /// Waits until `condition` holds; the error says what has not come about, and why not.
    pub(crate) fn until<T>(
        self,
        patience: Duration,
        what: &str,
        mut condition: impl FnMut() -> Result<T, Pending>,
    ) -> Result<T> {
        let mut reason = String::new();
        let outcome = self.within(patience, what, || match condition() {
            Ok(value) => Some(Ok(value)),
            Err(Pending::Never(error)) => Some(Err(error)),
            Err(Pending::NotYet(why)) => {
                reason = why;
                None
            }
        })?;
        outcome.unwrap_or_else(|| {
            Err(anyhow::anyhow!("waited {} s in vain for {what}: {reason}", patience.as_secs()))
        })
    }

    /// Lets time pass; fails at once on Ctrl-C.
    pub(crate) fn rest(self, time: Duration) -> Result<()> {
        self.within(time, "the end of the measurement", || None::<()>).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_reasons_and_interrupts() {
        let (console, interrupt) = (Console::new(true, false), Interrupt::default());
        let waiter = Waiter { console: &console, interrupt: &interrupt };
        let mut looks = 0;
        let third = waiter.within(Duration::from_secs(10), "three looks", || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(third.unwrap(), Some(3));
        let error = |pending: fn() -> Pending, patience| {
            waiter.until(patience, "rain", || Err::<(), _>(pending())).unwrap_err().to_string()
        };
        let sun = || "the sun shines".to_owned().into();
        assert_eq!(error(sun, Duration::ZERO), "waited 0 s in vain for rain: the sun shines");
        let desert = || anyhow::anyhow!("this is a desert").into();
        assert_eq!(error(desert, Duration::from_secs(10)), "this is a desert");
        interrupt.raise();
        let stop = waiter.rest(Duration::from_secs(10)).unwrap_err();
        assert!(matches!(stop.downcast_ref(), Some(Stop::Interrupted)));
    }
}
