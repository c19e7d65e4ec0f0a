//! The days in Asia/Shanghai on which facts count (domain.md §4.0).

use calendar::local_day;
use chassis::Timestamp;
use chrono::{DurationRound, NaiveDate, TimeDelta};

use super::{CaseFact, vocabulary};

/// The attribution day of the due cohort: the earlier of the effective due day and the completion day. `None` for
/// cases that are no member: without a limit so far, merged, handed off, withdrawn or not accepted.
pub fn due_day(case: &CaseFact) -> Option<NaiveDate> {
    if vocabulary::never_due(case.case_state()) {
        return None;
    }
    match (case.effective_due(), case.completed_at) {
        (Some(due), Some(completed)) => Some(local_day(due.min(completed))),
        (Some(at), None) | (None, Some(at)) => Some(local_day(at)),
        (None, None) => None,
    }
}

/// When a case stopped being late, if it has: it was completed or ended, whichever came first.
pub fn lateness_ended(case: &CaseFact) -> Option<Timestamp> {
    match (case.completed_at, case.ended_at) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The days on which a case became late and stopped being so, if it was late at all. The first may lie ahead: then it
/// will count when that day has come, without any event.
pub fn late_days(case: &CaseFact) -> Option<(NaiveDate, Option<NaiveDate>)> {
    if case.deferred() {
        return None;
    }
    let due = case.effective_due()?;
    match lateness_ended(case) {
        Some(end) if end <= due => None,
        end => Some((local_day(due), end.map(local_day))),
    }
}

/// The full hour before or at an instant: the bucket of due times.
pub fn hour(at: Timestamp) -> Timestamp {
    // Truncation to hours fails only for instants outside the years 1678–2262.
    at.duration_trunc(TimeDelta::hours(1)).unwrap_or(at)
}
