//! What another system says of a case that was referred to it. Reports come more than once and in any order: each counts once, by
//! its own name, and the one with the latest time says how the case stands there.

use crate::domain::{CaseState, Timestamp};

/// How a referred case stands in the other system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// In its word.
    pub status: String,
    /// The same as a state of ours, by the mapping in force when it was said.
    pub state: CaseState,
    /// By that mapping it is sent back; of what is known, whether it ever was: what was sent back is nobody's there.
    pub returned: bool,
    /// When it came to it there.
    pub at: Timestamp,
}

/// What a report comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reporting {
    /// It stands otherwise than was known.
    Moved,
    /// It stands as was known.
    Unchanged,
    /// It has come further since: a later report was here before.
    Late,
}

impl Reported {
    /// What this report comes to beside what is known. Of two with the same time the one that comes later counts, as the rows of
    /// a file with days only do.
    #[must_use]
    pub fn beside(&self, known: Option<&Self>) -> Reporting {
        match known {
            Some(known) if self.at < known.at => Reporting::Late,
            Some(known) if self.status == known.status && (known.returned || !self.returned) => {
                Reporting::Unchanged
            }
            _ => Reporting::Moved,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn start() -> Timestamp {
        "2026-03-02T01:00:00Z".parse().unwrap()
    }

    fn reported(status: &str, minute: i64) -> Reported {
        let at = start() + TimeDelta::minutes(minute);
        Reported { status: status.into(), state: CaseState::InProgress, returned: false, at }
    }

    /// What is known after reports by name, and how often it moved; as it is done over the tables.
    fn after(reports: &[(usize, Reported)]) -> (Option<Reported>, usize) {
        let (mut known, mut seen, mut moved) = (None::<Reported>, HashSet::new(), 0);
        for (name, report) in reports {
            if !seen.insert(*name) {
                continue;
            }
            match report.beside(known.as_ref()) {
                Reporting::Late => {}
                reporting => {
                    moved += usize::from(reporting == Reporting::Moved);
                    known = Some(report.clone());
                }
            }
        }
        (known, moved)
    }

    #[test]
    fn a_report_moves_it_says_nothing_new_or_comes_late() {
        let first = reported("已派单", 10);
        assert_eq!(first.beside(None), Reporting::Moved);
        assert_eq!(reported("已派单", 20).beside(Some(&first)), Reporting::Unchanged);
        assert_eq!(reported("办结", 20).beside(Some(&first)), Reporting::Moved);
        assert_eq!(reported("办结", 10).beside(Some(&first)), Reporting::Moved, "the later row of a file");
        assert_eq!(reported("办结", 9).beside(Some(&first)), Reporting::Late);
    }

    #[test]
    fn the_same_word_is_news_once_it_means_that_the_referral_is_sent_back() {
        let known = reported("退回", 10);
        let back = Reported { returned: true, ..reported("退回", 11) };
        assert_eq!(back.beside(Some(&known)), Reporting::Moved);
        assert_eq!(back.beside(Some(&back)), Reporting::Unchanged);
        assert_eq!(reported("退回", 12).beside(Some(&back)), Reporting::Unchanged);
    }

    #[test]
    fn a_state_that_was_said_again_is_as_new_as_its_last_report() {
        let reports = [reported("办理中", 1), reported("办理中", 5), reported("退回", 3)];
        let (known, moved) = after(&reports.into_iter().enumerate().collect::<Vec<_>>());
        assert_eq!((known.unwrap().status.as_str(), moved), ("办理中", 1));
    }

    proptest! {
        /// In whatever order and however often they come.
        #[test]
        fn the_latest_report_says_how_it_stands(
            statuses in prop::collection::vec(0usize..4, 1..8),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
            rest in any::<bool>(),
        ) {
            let words = ["待受理", "已派单", "办理中", "办结"];
            let minutes = (0_i64..).zip(&statuses);
            let all: Vec<Reported> = minutes.map(|(minute, word)| reported(words[*word], minute)).collect();
            let mut reports: Vec<(usize, Reported)> = order
                .iter()
                .map(|index| index.index(all.len()))
                .map(|name| (name, all[name].clone()))
                .collect();
            // What got lost is reported again, forwards or backwards.
            let again = all.iter().cloned().enumerate();
            if rest { reports.extend(again) } else { reports.extend(again.rev()) }
            let (known, moved) = after(&reports);
            prop_assert_eq!(known.as_ref(), all.last());
            prop_assert!(moved <= all.len());
        }
    }
}
