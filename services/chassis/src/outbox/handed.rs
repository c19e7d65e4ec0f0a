//! Events that this process has just committed, on their way to its relay. A relay that has seen every number below theirs
//! need not read from the table what was in memory a moment ago. The table alone counts: whatever does not follow without a
//! gap, and whatever was let go of here, is read there.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event::Event;

/// How many are kept at most: what a relay has under way at once.
const MOST: usize = 2_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Handed(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    events: Vec<(i64, Event)>,
    /// There are rows that were not handed over.
    others: bool,
}

impl Handed {
    /// These have been committed under these numbers.
    pub(super) fn add(&self, events: Vec<(i64, Event)>) {
        let mut kept = self.kept();
        if kept.events.len() + events.len() > MOST {
            kept.events.clear();
            kept.others = true;
        } else if !kept.others {
            kept.events.extend(events);
        }
    }

    /// There are rows besides, of another process or let go of: the table is to be read.
    pub(super) fn besides(&self) {
        let mut kept = self.kept();
        kept.events.clear();
        kept.others = true;
    }

    /// What follows `next`, the number after all that were seen, without a gap: at most so many, and whether there are more.
    /// Nothing of what was handed over stays here unless there are more. `None` where the table has to be read.
    pub(super) fn take(&self, next: Option<i64>, most: usize) -> Option<(Vec<(i64, Event)>, bool)> {
        let mut kept = self.kept();
        let others = std::mem::take(&mut kept.others);
        let mut events = std::mem::take(&mut kept.events);
        let next = next.filter(|_| !others)?;
        events.sort_unstable_by_key(|(seq, _)| *seq);
        events.retain(|(seq, _)| *seq >= next);
        if events.iter().zip(next..).any(|((seq, _), expected)| *seq != expected) {
            return None;
        }
        let more = events.len() > most;
        if more {
            kept.events = events.split_off(most);
        }
        Some((events, more))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use tokio::time::Instant;
    use uuid::Uuid;

    use super::{super::reading::Reading, *};
    use crate::clock::new_id;

    fn event() -> Event {
        let id = new_id();
        Event {
            id,
            r#type: "cn.jianghan.test.Happened.v1".into(),
            source: "test".into(),
            subject: "test".into(),
            time: chrono::DateTime::UNIX_EPOCH,
            partition_key: id,
            aggregate_version: 1,
            unit_id: None,
            line: None,
            correlation_id: Uuid::nil(),
            causation_id: None,
            actor_ref: None,
            traceparent: None,
            data: bytes::Bytes::new(),
        }
    }

    fn numbers(taken: Option<(Vec<(i64, Event)>, bool)>) -> Option<(Vec<i64>, bool)> {
        taken.map(|(events, more)| (events.into_iter().map(|(seq, _)| seq).collect(), more))
    }

    fn add(handed: &Handed, seqs: impl IntoIterator<Item = i64>) {
        handed.add(seqs.into_iter().map(|seq| (seq, event())).collect());
    }

    #[test]
    fn what_follows_without_a_gap_need_not_be_read() {
        let handed = Handed::default();
        add(&handed, [6, 7]);
        add(&handed, [3, 4, 5]); // committed before, told after
        assert_eq!(numbers(handed.take(Some(4), 3)), Some((vec![4, 5, 6], true)));
        assert_eq!(numbers(handed.take(Some(7), 3)), Some((vec![7], false)));
        assert_eq!(numbers(handed.take(Some(8), 3)), Some((vec![], false)));
    }

    #[test]
    fn what_lies_behind_a_gap_is_read() {
        let handed = Handed::default();
        add(&handed, [5]);
        assert_eq!(numbers(handed.take(Some(4), 3)), None);
        add(&handed, [5]);
        assert_eq!(numbers(handed.take(None, 3)), None, "nothing has been seen yet");
        assert_eq!(numbers(handed.take(Some(5), 3)), Some((vec![], false)), "it was let go of");
    }

    #[test]
    fn rows_of_others_and_too_many_of_ones_own_are_read() {
        let handed = Handed::default();
        add(&handed, [1]);
        handed.besides();
        add(&handed, [2]);
        assert_eq!(numbers(handed.take(Some(1), 3)), None);
        add(&handed, 3..3 + 1_500);
        add(&handed, 1_503..1_503 + 1_500);
        assert_eq!(numbers(handed.take(Some(3), 3)), None);
        assert_eq!(numbers(handed.take(Some(3), 3)), Some((vec![], false)));
    }

    proptest! {
        /// Commits in any order, some of them of others, which are only told of by a poll: everything is published once, and
        /// nothing before what was committed earlier under a lower number.
        #[test]
        fn everything_is_published_once_and_in_order(
            order in Just((1_i64..60).collect::<Vec<_>>()).prop_shuffle(),
            own in prop::collection::vec(prop::bool::weighted(0.8), 60),
            looks in prop::collection::vec((1_usize..6, prop::bool::weighted(0.2)), 1..60),
        ) {
            let (handed, now) = (Handed::default(), Instant::now());
            let mut reading = Reading::default();
            let (mut table, mut published) = (BTreeSet::new(), Vec::new());
            let mut order = order.into_iter();
            for (commits, poll) in looks.into_iter().chain([(60, true)]) {
                for seq in order.by_ref().take(commits) {
                    table.insert(seq);
                    if own[usize::try_from(seq).unwrap() - 1] {
                        add(&handed, [seq]);
                    }
                }
                if poll {
                    handed.besides();
                }
                let seqs: Vec<i64> = match handed.take(reading.next(), 500) {
                    Some((events, _)) => events.into_iter().map(|(seq, _)| seq).collect(),
                    None => {
                        let floor = reading.floor();
                        table.iter().copied().filter(|seq| *seq > floor && !published.contains(seq)).collect()
                    }
                };
                if let Some(first) = seqs.first() {
                    let missed = table.iter().any(|seq| seq < first && !published.contains(seq));
                    prop_assert!(!missed, "{first} was published before a lower one that was there");
                }
                reading.saw(seqs.iter().copied(), true, now);
                published.extend(seqs);
            }
            let once: BTreeSet<i64> = published.iter().copied().collect();
            prop_assert_eq!(once.len(), published.len(), "twice");
            prop_assert_eq!(once, table);
        }
    }
}
