//! The days in Asia/Shanghai on which facts count (domain.md §4.0).

use std::sync::LazyLock;

use calendar::{Calendar, local_day};
use chassis::Timestamp;
use chrono::{DurationRound, NaiveDate, TimeDelta};

use super::{CaseFact, vocabulary};

/// The attribution day of the due cohort: the earlier of the effective due day and the completion day. `None` for
/// cases that are no member: without a limit so far, merged, handed off, withdrawn or not accepted, and what was put
/// right on the spot by who found it.
pub fn due_day(case: &CaseFact) -> Option<NaiveDate> {
    if vocabulary::never_due(case.case_state()) || case.solved_on_spot {
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

/// One more time that a case was late before its work began again, kept as text in the order of the days:
/// `2026-03-02/2026-03-05,…`.
pub fn add_late(kept: &mut String, since: NaiveDate, until: NaiveDate) {
    let added = format!("{since}/{until}");
    let mut all: Vec<&str> = kept.split(',').filter(|period| !period.is_empty()).collect();
    all.push(&added);
    all.sort_unstable();
    *kept = all.join(",");
}

/// The days on which a case became late before its work began again, and stopped being so.
pub fn late_days_before(case: &CaseFact) -> impl Iterator<Item = (NaiveDate, NaiveDate)> {
    case.late_before.split(',').filter_map(period)
}

fn period(text: &str) -> Option<(NaiveDate, NaiveDate)> {
    let (since, until) = text.split_once('/')?;
    Some((since.parse().ok()?, until.parse().ok()?))
}

/// First day that is numbered, and how many are.
const FIRST_DAY: (i32, u32, u32) = (2000, 1, 1);
const NUMBERED_DAYS: usize = 36_525;

static WORK_DAYS: LazyLock<Vec<i64>> = LazyLock::new(|| {
    let first = NaiveDate::from_ymd_opt(FIRST_DAY.0, FIRST_DAY.1, FIRST_DAY.2).unwrap_or_default();
    let calendar = Calendar::builtin();
    let numbered = first.iter_days().take(NUMBERED_DAYS).scan(0, |number, day| {
        *number += i64::from(calendar.is_work_day(day));
        Some(*number)
    });
    numbered.collect()
});

/// The number of the last working day up to a day, counted from 2000: the difference of two is the working days in
/// between. Days before 2000 count nothing, those after 2099 as the last.
pub fn work_day_number(day: NaiveDate) -> i64 {
    let first = NaiveDate::from_ymd_opt(FIRST_DAY.0, FIRST_DAY.1, FIRST_DAY.2).unwrap_or_default();
    let Ok(index) = usize::try_from((day - first).num_days()) else { return 0 };
    WORK_DAYS.get(index).or(WORK_DAYS.last()).copied().unwrap_or_default()
}

/// The full hour before or at an instant: the bucket of due times.
pub fn hour(at: Timestamp) -> Timestamp {
    // Truncation to hours fails only for instants outside the years 1678–2262.
    at.duration_trunc(TimeDelta::hours(1)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_of_day_numbers_are_working_days() {
        let number = |day: &str| work_day_number(day.parse().unwrap());
        // Friday to Monday, and over the holidays of early October 2025 with their working Saturday.
        assert_eq!(number("2026-06-08") - number("2026-06-05"), 1);
        let calendar = Calendar::builtin();
        let (from, to): (NaiveDate, NaiveDate) =
            ("2025-09-26".parse().unwrap(), "2025-10-13".parse().unwrap());
        let worked =
            from.iter_days().skip(1).take_while(|day| *day <= to).filter(|day| calendar.is_work_day(*day));
        assert_eq!(work_day_number(to) - work_day_number(from), worked.count() as i64);
        assert_eq!(number("1999-12-31"), 0);
        assert_eq!(number("2500-01-01"), number("2099-12-31"));
    }
}
