//! How far a relay has read. Numbers are taken when events are inserted and rows appear when their transactions commit, so
//! a lower number may appear after a higher one, and a relay that only looked above the highest would pass it over. It
//! looks above the *floor* instead: the highest number up to which every number has been seen or will never appear.
//! What lies between floor and highest is looked at again, which is little, for a gap is as old as an open transaction.
//!
//! A gap that stays open (a transaction that was rolled back, numbers that a crash of the server skipped) closes once
//! all transactions have ended that had begun when it was found, and one more read has not filled it. A number is taken
//! within a transaction a moment before the transaction gets its own; hence what is compared is noted [`PATIENCE`] after
//! the gap was found.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::store::Horizon;

/// See the module.
const PATIENCE: Duration = Duration::from_secs(2);

/// Numbers that have not been seen, from one to another.
#[derive(Debug, Clone, Copy)]
struct Gap {
    last: i64,
    found: Instant,
    /// Once noted: the transaction below which all must end.
    awaits: Option<i64>,
    /// They have.
    ended: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The highest number seen.
    highest: i64,
    /// By first number; they do not overlap.
    gaps: BTreeMap<i64, Gap>,
}

impl Reading {
    /// Every number up to here has been seen or will never appear.
    pub(super) fn floor(&self) -> i64 {
        self.gaps.first_key_value().map_or(self.highest, |(first, _)| first - 1)
    }

    /// The number after all that were seen; `None` while one of them may still appear, and before the first.
    pub(super) fn next(&self) -> Option<i64> {
        (self.highest > 0 && self.gaps.is_empty()).then_some(self.highest + 1)
    }

    /// Rows were read, in order of their numbers: all there are above the floor, or if not `all`, up to the last of them.
    pub(super) fn saw(&mut self, seqs: impl IntoIterator<Item = i64>, all: bool, now: Instant) {
        let mut last = 0;
        for seq in seqs {
            last = seq;
            if seq > self.highest {
                if seq > self.highest + 1 {
                    let gap = Gap { last: seq - 1, found: now, awaits: None, ended: false };
                    self.gaps.insert(self.highest + 1, gap);
                }
                self.highest = seq;
            } else {
                self.fill(seq);
            }
        }
        self.gaps.retain(|_, gap| !(gap.ended && (all || gap.last <= last)));
    }

    fn fill(&mut self, seq: i64) {
        let Some((first, gap)) = self.gaps.range(..=seq).next_back().map(|(first, gap)| (*first, *gap))
        else {
            return;
        };
        if seq > gap.last {
            return;
        }
        self.gaps.remove(&first);
        if first < seq {
            self.gaps.insert(first, Gap { last: seq - 1, ..gap });
        }
        if seq < gap.last {
            self.gaps.insert(seq + 1, gap);
        }
    }

    /// So far are transactions now. What those that have ended wrote shows in the next read.
    pub(super) fn all_ended_below(&mut self, horizon: Horizon, now: Instant) {
        for gap in self.gaps.values_mut() {
            match gap.awaits {
                Some(awaits) => gap.ended |= awaits <= horizon.ended,
                None if now.duration_since(gap.found) >= PATIENCE => gap.awaits = Some(horizon.next),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_floor_stands_below_the_oldest_gap() {
        let now = Instant::now();
        let mut reading = Reading::default();
        reading.saw([1, 2, 5, 6, 9], true, now);
        assert_eq!(reading.floor(), 2);
        reading.saw([4], true, now);
        assert_eq!(reading.floor(), 2);
        reading.saw([3], true, now);
        assert_eq!(reading.floor(), 6);
        reading.saw([7, 8], true, now);
        assert_eq!(reading.floor(), 9);
    }

    #[test]
    fn what_comes_next_is_known_once_there_is_no_gap() {
        let now = Instant::now();
        let mut reading = Reading::default();
        assert_eq!(reading.next(), None);
        reading.saw([1, 3], true, now);
        assert_eq!(reading.next(), None);
        reading.saw([2], true, now);
        assert_eq!(reading.next(), Some(4));
    }

    #[test]
    fn a_gap_closes_when_whatever_could_fill_it_has_ended_and_a_read_did_not_fill_it() {
        let begun = Instant::now();
        let later = begun + PATIENCE;
        let at = |ended| Horizon { ended, next: 100 };
        let mut reading = Reading::default();
        reading.saw([1, 4, 8], true, begun);
        reading.all_ended_below(at(1_000), begun);
        reading.saw([], true, begun);
        assert_eq!(reading.floor(), 1, "too early to know which transactions may fill it");
        reading.all_ended_below(at(90), later);
        reading.all_ended_below(at(99), later);
        reading.saw([], true, later);
        assert_eq!(reading.floor(), 1, "one that had begun is still open");
        reading.all_ended_below(at(100), later);
        assert_eq!(reading.floor(), 1, "it may just have been committed");
        reading.saw([2], false, later);
        assert_eq!(reading.floor(), 2, "the read did not come to the rest of it");
        reading.saw([3], false, later);
        assert_eq!(reading.floor(), 4);
        reading.saw([9], true, later);
        assert_eq!(reading.floor(), 9);
    }

    proptest! {
        /// Rows appear in any order of their commits; whatever is not seen yet lies above the floor.
        #[test]
        fn nothing_unseen_lies_below_the_floor(order in Just((1_i64..60).collect::<Vec<_>>()).prop_shuffle(), at in prop::collection::vec(1_usize..8, 1..30)) {
            let now = Instant::now();
            let mut reading = Reading::default();
            let mut visible = std::collections::BTreeSet::new();
            let mut seen = std::collections::BTreeSet::new();
            let mut order = order.into_iter();
            for n in at {
                visible.extend(order.by_ref().take(n));
                let floor = reading.floor();
                let read: Vec<i64> = visible.iter().copied().filter(|seq| *seq > floor && !seen.contains(seq)).collect();
                prop_assert_eq!(read.len(), visible.len() - seen.len(), "a row below the floor was passed over");
                seen.extend(read.iter().copied());
                reading.saw(read, true, now);
                prop_assert!((1..=reading.floor()).all(|seq| seen.contains(&seq)));
            }
        }
    }
}
