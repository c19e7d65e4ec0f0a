//! Due times of limits: adding units of time to an instant, with pauses and recomputation.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::profile::end_of_day;
use crate::{Calendar, DayKind, Limit, Profile, TimeUnit, local_day};

/// When a limit ends, and what it was computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The last instant that is in time. 24:00 of a day is given as its last microsecond, so that the
    /// local day of this instant is the day of the deadline.
    pub at: DateTime<Utc>,
    /// The computation touched days whose notice is not published; it is to be recomputed when it is.
    pub provisional: bool,
    /// Version of the calendar (thousands) with that of the unit's profile.
    pub calendar_version: u32,
}

/// A closed period in which a clock stood still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Interval {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl Calendar {
    /// The version stored with a clock: the calendar's and the profile's.
    #[must_use]
    pub fn version_with(&self, profile: &Profile) -> u32 {
        // Both only grow, so that their sum grows with every change of either, also past a thousand.
        self.version() * 1000 + u32::from(profile.version())
    }

    /// When `n` units that begin at `from` end (domain.md §6.1). Never before `from`; `n = 0` is `from`.
    #[must_use]
    pub fn add(&self, unit: TimeUnit, n: u16, from: DateTime<Utc>, profile: &Profile) -> Due {
        self.add_paused(Limit::new(unit, n), from, &[], profile)
    }

    /// As [`Calendar::add`], for a clock that stood still in `pauses` (in order of time, without overlap).
    ///
    /// Hours stand still for exactly the paused time. For days, a pause takes away the days after the one
    /// it began on, up to the one it ended on: what begins and ends on one day costs no day. One in which the limit would
    /// have ended moves its end to the day on which it ended, or, with the close of that day or past it or on a rest day, to
    /// the next working day. One that begins when the limit is over moves nothing: late stays late.
    #[must_use]
    pub fn add_paused(
        &self,
        limit: Limit,
        from: DateTime<Utc>,
        pauses: &[Interval],
        profile: &Profile,
    ) -> Due {
        let start = local_day(from);
        let at = if limit.n == 0 {
            from
        } else {
            match limit.unit {
                TimeUnit::CalHour => {
                    let running = TimeDelta::hours(i64::from(limit.n));
                    self.after(TimeUnit::CalHour, from, running, pauses, profile)
                }
                TimeUnit::WorkHour => {
                    let running = TimeDelta::hours(i64::from(limit.n));
                    self.after(TimeUnit::WorkHour, from, running, pauses, profile)
                }
                TimeUnit::WorkDay => {
                    let last = nth(start, usize::from(limit.n), |day| profile.is_work_day(self, *day));
                    let due = |last: NaiveDate| profile.close_of(last);
                    due(self.moved_on(limit.unit, last, pauses, profile, due))
                }
                TimeUnit::CalDay => {
                    let last = start.checked_add_days(Days::new(u64::from(limit.n)));
                    self.end_of_last(limit.unit, last.unwrap_or(NaiveDate::MAX), pauses, profile)
                }
                TimeUnit::Month => {
                    let last = start.checked_add_months(Months::new(u32::from(limit.n)));
                    self.end_of_last(limit.unit, last.unwrap_or(NaiveDate::MAX), pauses, profile)
                }
            }
        };
        let provisional = limit.unit != TimeUnit::CalHour && self.crosses_unknown(start, local_day(at));
        Due { at, provisional, calendar_version: self.version_with(profile) }
    }

    /// As [`Calendar::add_paused`], of what was promised until an instant for a limit in days, whatever the limit would give:
    /// by the same rule, to the same time of a working day.
    #[must_use]
    pub fn promise_paused(
        &self,
        unit: TimeUnit,
        promised: DateTime<Utc>,
        pauses: &[Interval],
        profile: &Profile,
    ) -> DateTime<Utc> {
        let day = local_day(promised);
        // What was promised for a rest day stands until a pause moves it.
        let due = |last: NaiveDate| {
            if last == day { promised } else { promised + (self.rolled(last, profile) - day) }
        };
        due(self.moved_on(unit, day, pauses, profile, due))
    }

    /// The due time under this calendar of a limit that was promised under another: later if it comes out
    /// later, never earlier than what was promised.
    #[must_use]
    pub fn recompute(
        &self,
        promised: Due,
        limit: Limit,
        from: DateTime<Utc>,
        pauses: &[Interval],
        profile: &Profile,
    ) -> Due {
        let due = self.add_paused(limit, from, pauses, profile);
        Due { at: due.at.max(promised.at), ..due }
    }

    /// The rest days that did not count towards a limit, with what they are: those between, for units that run on
    /// working days only; those that the last day was moved past, for days and months of the calendar.
    #[must_use]
    pub fn skipped(
        &self,
        limit: Limit,
        from: DateTime<Utc>,
        due: DateTime<Utc>,
        profile: &Profile,
    ) -> Vec<(NaiveDate, DayKind)> {
        let start = local_day(from);
        let first = match limit.unit {
            _ if limit.n == 0 => None,
            TimeUnit::CalHour => None,
            TimeUnit::WorkHour => Some(start),
            TimeUnit::WorkDay => start.succ_opt(),
            TimeUnit::CalDay => start.checked_add_days(Days::new(u64::from(limit.n))),
            TimeUnit::Month => start.checked_add_months(Months::new(u32::from(limit.n))),
        };
        let days = first.into_iter().flat_map(|first| first.iter_days());
        days.take_while(|day| *day < local_day(due))
            .filter(|day| !profile.is_work_day(self, *day))
            .map(|day| {
                let kind = self.day_kind(day);
                (day, if kind.is_work() { DayKind::Closed } else { kind })
            })
            .collect()
    }

    /// 24:00 of the last day of a limit in days or months of the calendar, moved on by the pauses and past rest days.
    fn end_of_last(
        &self,
        unit: TimeUnit,
        last: NaiveDate,
        pauses: &[Interval],
        profile: &Profile,
    ) -> DateTime<Utc> {
        let due = |last: NaiveDate| end_of_day(self.rolled(last, profile));
        due(self.moved_on(unit, last, pauses, profile, due))
    }

    /// The last day of a limit in days, moved on by the pauses; `due` is when a limit with that last day ends.
    fn moved_on(
        &self,
        unit: TimeUnit,
        last: NaiveDate,
        pauses: &[Interval],
        profile: &Profile,
        due: impl Fn(NaiveDate) -> DateTime<Utc>,
    ) -> NaiveDate {
        let counts = |day: &NaiveDate| unit != TimeUnit::WorkDay || profile.is_work_day(self, *day);
        pauses.iter().fold(last, |last, pause| {
            if pause.from >= due(last) {
                return last;
            }
            let (from, to) = (local_day(pause.from), local_day(pause.to));
            let lost = || from.iter_days().skip(1).take_while(|day| *day <= to).filter(counts).count();
            // On its last day, or on the rest days behind it, no day is left to be taken away.
            let moved = if from < last { nth(last, lost(), counts) } else { last };
            if due(moved) <= pause.to {
                // Where it ended with the close of its last day or after it, that day leaves no time either.
                to.iter_days().filter(counts).find(|day| due(*day) > pause.to).unwrap_or(to)
            } else {
                moved
            }
        })
    }

    /// A last day that is a rest day gives way to the next working day.
    fn rolled(&self, last: NaiveDate, profile: &Profile) -> NaiveDate {
        last.iter_days().find(|day| profile.is_work_day(self, *day)).unwrap_or(last)
    }

    fn crosses_unknown(&self, from: NaiveDate, to: NaiveDate) -> bool {
        self.is_provisional(to) || (from.year()..=to.year()).any(|year| !self.is_published(year))
    }
}

/// The n-th day after `start` that counts; `start` where n is zero.
fn nth(start: NaiveDate, n: usize, counts: impl Fn(&NaiveDate) -> bool) -> NaiveDate {
    let Some(before) = n.checked_sub(1) else { return start };
    start.iter_days().skip(1).filter(counts).nth(before).unwrap_or(NaiveDate::MAX)
}
