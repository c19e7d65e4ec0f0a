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
    /// it began on, up to the one it ended on: what begins and ends on one day costs no day.
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
                    let counts =
                        |day: &NaiveDate| profile.is_work_day(self, *day) && !paused_on(*day, pauses);
                    profile.close_of(nth(start, limit.n, counts))
                }
                TimeUnit::CalDay => {
                    end_of_day(self.rolled(nth(start, limit.n, |day| !paused_on(*day, pauses)), profile))
                }
                TimeUnit::Month => {
                    let whole =
                        start.checked_add_months(Months::new(u32::from(limit.n))).unwrap_or(NaiveDate::MAX);
                    end_of_day(self.rolled(without_pauses(start, whole, pauses), profile))
                }
            }
        };
        let provisional = limit.unit != TimeUnit::CalHour && self.crosses_unknown(start, local_day(at));
        Due { at, provisional, calendar_version: self.version_with(profile) }
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

    /// A last day that is a rest day gives way to the next working day.
    fn rolled(&self, last: NaiveDate, profile: &Profile) -> NaiveDate {
        last.iter_days().find(|day| profile.is_work_day(self, *day)).unwrap_or(last)
    }

    fn crosses_unknown(&self, from: NaiveDate, to: NaiveDate) -> bool {
        self.is_provisional(to) || (from.year()..=to.year()).any(|year| !self.is_published(year))
    }
}

/// The n-th day after `start` that counts.
fn nth(start: NaiveDate, n: u16, counts: impl Fn(&NaiveDate) -> bool) -> NaiveDate {
    start.iter_days().skip(1).filter(counts).nth(usize::from(n).saturating_sub(1)).unwrap_or(NaiveDate::MAX)
}

fn paused_on(day: NaiveDate, pauses: &[Interval]) -> bool {
    pauses.iter().any(|pause| local_day(pause.from) < day && day <= local_day(pause.to))
}

/// The last day, moved on by the days that pauses took away before it was reached.
fn without_pauses(start: NaiveDate, last: NaiveDate, pauses: &[Interval]) -> NaiveDate {
    let days = u16::try_from((last - start).num_days()).unwrap_or(u16::MAX);
    if pauses.is_empty() || days == 0 { last } else { nth(start, days, |day| !paused_on(*day, pauses)) }
}
