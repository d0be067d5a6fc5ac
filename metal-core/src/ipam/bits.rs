//! Sets of numbers that are good at finding what is *not* in them.

use alloc::{
    collections::{BTreeMap, btree_map::Entry},
    vec::Vec,
};
use core::iter;

/// A set of numbers of which many follow each other.
///
/// Sixty-four numbers make a word. A word that is full is a number of the next level, and so on: the lowest
/// number that is absent is found in as many steps as there are levels of full words, which is one for each
/// factor of 64. Words without numbers are not stored.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits {
    words: BTreeMap<u128, u64>,
    /// The full words of each level, as bits of the words of the next.
    full: Vec<BTreeMap<u128, u64>>,
}

/// How many bits of a number tell its place in its word.
const WIDTH: u32 = u64::BITS.ilog2();

impl Bits {
    /// Adds a number.
    pub(super) fn insert(&mut self, number: u128) {
        let mut number = number;
        let mut words = &mut self.words;
        for level in 0.. {
            let word = words.entry(number >> WIDTH).or_default();
            let before = *word;
            *word |= 1 << place(number);
            if *word != u64::MAX || before == u64::MAX {
                return;
            }
            number >>= WIDTH;
            if self.full.len() == level {
                self.full.push(BTreeMap::new());
            }
            words = &mut self.full[level];
        }
    }

    /// Removes a number.
    pub(super) fn remove(&mut self, number: u128) {
        let mut number = number;
        for words in iter::once(&mut self.words).chain(&mut self.full) {
            let Entry::Occupied(mut word) = words.entry(number >> WIDTH) else { return };
            let was_full = *word.get() == u64::MAX;
            *word.get_mut() &= !(1 << place(number));
            if *word.get() == 0 {
                word.remove();
            }
            if !was_full {
                return;
            }
            number >>= WIDTH;
        }
    }

    /// The lowest number from `start` on that is not in the set.
    pub(super) fn first_absent(&self, start: u128) -> Option<u128> {
        let (mut level, mut number) = (0, start);
        loop {
            let absent = !self.word(level, number >> WIDTH) & (u64::MAX << place(number));
            if absent != 0 {
                number = (number & !u128::from(u64::BITS - 1)) | u128::from(absent.trailing_zeros());
                break;
            }
            // Go on behind this word, one level up.
            let last = u128::MAX.checked_shr(WIDTH * (u32::try_from(level).ok()? + 1)).unwrap_or(0);
            if number >> WIDTH == last {
                return None;
            }
            number = (number >> WIDTH) + 1;
            level += 1;
        }
        while level > 0 {
            level -= 1;
            let absent = !self.word(level, number);
            number = (number << WIDTH) | u128::from(absent.trailing_zeros());
        }
        Some(number)
    }

    /// The numbers from `first` to `last` that are in the set, ascending.
    pub(super) fn range(&self, first: u128, last: u128) -> impl Iterator<Item = u128> {
        let words = self.words.range(first >> WIDTH..=last >> WIDTH);
        words.flat_map(|(index, word)| members(*index, *word)).filter(move |number| {
            // Only the words at the ends reach beyond.
            (first..=last).contains(number)
        })
    }

    fn word(&self, level: usize, index: u128) -> u64 {
        let words = if level == 0 { Some(&self.words) } else { self.full.get(level - 1) };
        words.and_then(|words| words.get(&index)).copied().unwrap_or(0)
    }
}

/// The place of a number in its word.
const fn place(number: u128) -> u32 {
    let [low, ..] = number.to_le_bytes();
    low as u32 % u64::BITS
}

/// The numbers of a word.
fn members(index: u128, word: u64) -> impl Iterator<Item = u128> {
    let some = |word: u64| Some(word).filter(|word| *word != 0);
    let rest = iter::successors(some(word), move |word| some(word & (word - 1)));
    rest.map(move |word| (index << WIDTH) | u128::from(word.trailing_zeros()))
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeSet, vec};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn absent_numbers_are_found_behind_full_words_of_every_level() {
        let mut bits = Bits::default();
        assert_eq!(bits.first_absent(7), Some(7));
        for number in 0..300_000 {
            assert_eq!(bits.first_absent(0), Some(number));
            bits.insert(number);
        }
        assert_eq!(bits.full.len(), 3, "full words, full words of those, and so on");
        bits.remove(70_000);
        assert_eq!(bits.first_absent(0), Some(70_000));
        assert_eq!(bits.first_absent(70_001), Some(300_000));
        for number in 0..300_000 {
            bits.remove(number);
        }
        let mut levels = iter::once(&bits.words).chain(&bits.full);
        assert!(levels.all(BTreeMap::is_empty), "nothing is stored about nothing");
    }

    #[test]
    fn the_last_number_of_all_has_no_successor() {
        let mut bits = Bits::default();
        for number in (0..64).map(|below| u128::MAX - below) {
            bits.insert(number);
        }
        assert_eq!(bits.first_absent(u128::MAX - 63), None);
        assert_eq!(bits.first_absent(u128::MAX - 64), Some(u128::MAX - 64));
        assert_eq!(bits.range(u128::MAX - 1, u128::MAX).collect::<Vec<_>>(), vec![u128::MAX - 1, u128::MAX]);
    }

    proptest! {
        #[test]
        fn it_is_a_set(
            steps in prop::collection::vec((0_u128..400, 1_u128..90, any::<bool>()), 0..40),
            base in prop::sample::select(vec![0_u128, 4000, u128::MAX - 500]),
            probe in 0_u128..400,
        ) {
            let (mut bits, mut set) = (Bits::default(), BTreeSet::new());
            for (start, count, add) in steps {
                for number in (start..start + count).map(|number| base + number) {
                    if add {
                        bits.insert(number);
                        set.insert(number);
                    } else {
                        bits.remove(number);
                        set.remove(&number);
                    }
                }
            }
            let probe = base + probe;
            let absent = (probe..=base + 490).find(|number| !set.contains(number));
            prop_assert_eq!(bits.first_absent(probe), absent);
            let found: Vec<_> = bits.range(probe, probe + 70).collect();
            let expected: Vec<_> = set.range(probe..=probe + 70).copied().collect();
            prop_assert_eq!(found, expected);
        }
    }
}
