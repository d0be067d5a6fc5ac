//! How much of the processors' time others have taken from this machine, where it is a virtual one.
//!
//! A thread that waits is woken late then, which says nothing about who answers it.

use std::fs;

use anyhow::{Context, Result};

/// The time of all processors since the machine started, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Processors {
    all: u64,
    stolen: u64,
}

impl Processors {
    /// Asks the kernel.
    pub(super) fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("/proc/stat")?;
        Self::parse(&text).context("/proc/stat has no line for all processors")
    }

    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user nice system idle iowait irq softirq steal; what follows is contained in these.
        let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|ticks| ticks.parse().ok()).collect();
        Some(Self { all: ticks.iter().sum(), stolen: *ticks.get(7)? })
    }

    /// The share of the time since `before` that was stolen.
    pub(super) fn stolen_since(self, before: Self) -> f64 {
        let all = self.all.saturating_sub(before.all);
        let stolen = self.stolen.saturating_sub(before.stolen);
        #[expect(clippy::cast_precision_loss, reason = "ticks of some seconds")]
        let share = stolen as f64 / all.max(1) as f64;
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_all_processors() {
        let before = Processors::parse("cpu  10 0 10 60 0 0 0 20 5 5\ncpu0 1 2 3\n").unwrap();
        let after = Processors::parse("cpu  20 0 20 120 0 0 0 40 9 9\n").unwrap();
        assert_eq!(before, Processors { all: 100, stolen: 20 });
        assert!((after.stolen_since(before) - 0.2).abs() < 1e-9);
        assert!(before.stolen_since(before).abs() < 1e-9);
        assert_eq!(Processors::parse("cpu  10 0 10 60\n"), None);
    }

    #[test]
    fn this_kernel_tells() {
        let before = Processors::now().unwrap();
        assert!((0.0..=1.0).contains(&Processors::now().unwrap().stolen_since(before)));
    }
}
