//! What a series of probes says: how many were lost, and for how long nobody answered.

use std::time::Duration;

/// One probe: when it was sent, counted from the first, and whether an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// When it was sent.
    pub(crate) at: Duration,
    /// Whether it was answered.
    pub(crate) answered: bool,
}

/// The result of a series around a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Probes sent, from the last one that was answered before the failure.
    pub(crate) sent: usize,
    /// Probes among them without an answer.
    pub(crate) lost: usize,
    /// The longest time between two answered probes that follow each other, by the time of sending. When
    /// no further probe was answered it is the time to the last one sent.
    pub(crate) longest_gap: Duration,
}

/// Counts the probes of a series from the last one answered before `failure`.
pub(crate) fn tally(probes: &[Probe], failure: Duration) -> Tally {
    let before = probes.iter().take_while(|probe| probe.at <= failure);
    let first = before
        .enumerate()
        .filter(|(_, probe)| probe.answered)
        .map(|(index, _)| index)
        .last()
        .unwrap_or_default();
    let around = &probes[first..];
    let lost = around.iter().filter(|probe| !probe.answered).count();
    let Some((begin, end)) = around.first().zip(around.last()) else { return Tally::default() };
    let answered = around.iter().filter(|probe| probe.answered).map(|probe| probe.at);
    let marks: Vec<Duration> = [begin.at].into_iter().chain(answered).chain([end.at]).collect();
    let longest_gap = marks.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    Tally { sent: around.len(), lost, longest_gap }
}

/// The smallest value that at least `percent` of the values do not exceed (nearest rank); zero of none.
pub(crate) fn percentile<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// One probe a millisecond: `.` is answered, `x` is not.
    fn series(pattern: &str) -> Vec<Probe> {
        (0..).zip(pattern.chars()).map(|(at, mark)| Probe { at: ms(at), answered: mark == '.' }).collect()
    }

    #[test]
    fn a_gap_reaches_from_answer_to_answer() {
        let tally = tally(&series(".....xxxx..."), ms(5));
        assert_eq!(tally, Tally { sent: 8, lost: 4, longest_gap: ms(5) });
    }

    #[test]
    fn the_longest_of_several_gaps_counts() {
        assert_eq!(tally(&series("..x.xxx.x."), ms(1)), Tally { sent: 9, lost: 5, longest_gap: ms(4) });
    }

    #[test]
    fn nothing_before_the_failure_counts() {
        assert_eq!(tally(&series("xxxxxx...x.."), ms(8)), Tally { sent: 4, lost: 1, longest_gap: ms(2) });
    }

    #[test]
    fn without_a_further_answer_the_gap_lasts_to_the_end() {
        assert_eq!(tally(&series("..xxxxx"), ms(2)), Tally { sent: 6, lost: 5, longest_gap: ms(5) });
        assert_eq!(tally(&series("xxxx"), ms(1)), Tally { sent: 4, lost: 4, longest_gap: ms(3) });
    }

    #[test]
    fn a_late_sender_is_not_hidden() {
        let probes = [0, 1, 30, 31].map(|at| Probe { at: ms(at), answered: true });
        assert_eq!(tally(&probes, ms(1)), Tally { sent: 3, lost: 0, longest_gap: ms(29) });
    }

    #[test]
    fn no_probes_no_numbers() {
        assert_eq!(tally(&[], ms(5)), Tally::default());
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<Duration> = (1..=100).map(ms).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (ms(50), ms(99)));
        assert_eq!(percentile(&values, 100), ms(100));
        let few = [ms(3), ms(7), ms(9)];
        assert_eq!((percentile(&few, 50), percentile(&few, 99)), (ms(7), ms(9)));
        assert_eq!(percentile(&few[..1], 50), ms(3));
        assert_eq!(percentile::<Duration>(&[], 50), ms(0));
    }
}
