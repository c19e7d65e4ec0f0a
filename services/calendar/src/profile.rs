//! The profile of a unit: its working hours by season, and closures laid over the national calendar.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{Calendar, instant};

/// Working hours from a day of the year on, until the next season begins (the last one wraps around).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Season {
    /// Month and day, e.g. `(6, 1)`.
    pub from: (u32, u32),
    /// Opening and closing times, in order, without overlap.
    pub spans: Vec<(NaiveTime, NaiveTime)>,
}

/// Days on which offices are closed by order of an authority (flood, public health).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    pub from: NaiveDate,
    /// Included.
    pub to: NaiveDate,
    /// The document that orders it.
    pub authority_ref: String,
}

/// Working hours and closures of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    version: u16,
    seasons: Vec<Season>,
    closures: Vec<Closure>,
}

/// A profile that cannot be worked by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    #[error("a profile needs at least one season, each from another valid day of the year, in order")]
    Seasons,
    #[error("the working hours of a season must be non-empty spans in order and without overlap")]
    Spans,
    #[error("a closure must not end before it begins, lasts at most 366 days, and names its authority")]
    Closure,
}

impl Profile {
    /// A profile of hours by season.
    ///
    /// # Errors
    /// [`ProfileError`] when the seasons do not cover the year with working time.
    pub fn new(version: u16, seasons: Vec<Season>) -> Result<Self, ProfileError> {
        let valid = |(month, day): (u32, u32)| NaiveDate::from_ymd_opt(2024, month, day).is_some();
        let ordered = seasons.windows(2).all(|pair| pair[0].from < pair[1].from);
        if seasons.is_empty() || !ordered || !seasons.iter().all(|season| valid(season.from)) {
            return Err(ProfileError::Seasons);
        }
        for Season { spans, .. } in &seasons {
            let times: Vec<NaiveTime> = spans.iter().flat_map(|(open, close)| [*open, *close]).collect();
            if times.is_empty() || !times.is_sorted() || spans.iter().any(|(open, close)| open >= close) {
                return Err(ProfileError::Spans);
            }
        }
        Ok(Self { version, seasons, closures: Vec::new() })
    }

    /// 08:30–12:00 and 14:00–17:00 the whole year.
    #[must_use]
    pub fn office() -> Self {
        let at = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or(NaiveTime::MIN);
        let spans = vec![(at(8, 30), at(12, 0)), (at(14, 0), at(17, 0))];
        Self { version: 1, seasons: vec![Season { from: (1, 1), spans }], closures: Vec::new() }
    }

    /// The next version of the profile, with a closure laid over the calendar.
    ///
    /// # Errors
    /// [`ProfileError::Closure`].
    pub fn closed(&self, closure: Closure) -> Result<Self, ProfileError> {
        let days = (closure.to - closure.from).num_days();
        if !(0..366).contains(&days) || closure.authority_ref.trim().is_empty() {
            return Err(ProfileError::Closure);
        }
        let mut next = self.clone();
        next.closures.push(closure);
        next.version = self.version.saturating_add(1);
        Ok(next)
    }

    /// The next version of the profile, with other hours and the same closures.
    ///
    /// # Errors
    /// [`ProfileError`] as for [`Profile::new`].
    pub fn with_hours(&self, seasons: Vec<Season>) -> Result<Self, ProfileError> {
        let hours = Self::new(self.version.saturating_add(1), seasons)?;
        Ok(Self { closures: self.closures.clone(), ..hours })
    }

    /// The same hours and closures as of another version: whoever keeps profiles of many units gives all of them one
    /// version, so that it grows with every change of any.
    #[must_use]
    pub fn at_version(self, version: u16) -> Self {
        Self { version, ..self }
    }

    /// The seasons, in the order of the year.
    #[must_use]
    pub fn seasons(&self) -> &[Season] {
        &self.seasons
    }

    /// The closures, as they were laid over the calendar.
    #[must_use]
    pub fn closures(&self) -> &[Closure] {
        &self.closures
    }

    /// Grows with every change of hours or closures.
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.version
    }

    /// Whether the unit works on that day.
    #[must_use]
    pub fn is_work_day(&self, calendar: &Calendar, day: NaiveDate) -> bool {
        calendar.is_work_day(day)
            && !self.closures.iter().any(|closure| (closure.from..=closure.to).contains(&day))
    }

    /// The working spans of a day, empty on a rest day.
    pub(crate) fn spans<'p>(
        &'p self,
        calendar: &Calendar,
        day: NaiveDate,
    ) -> impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)> + 'p {
        let season = if self.is_work_day(calendar, day) { self.season(day) } else { None };
        season
            .map_or(&[][..], |season| &season.spans)
            .iter()
            .map(move |(open, close)| (instant(day, *open), instant(day, *close)))
    }

    /// The end of business of a day, whether it is worked or not.
    pub(crate) fn close_of(&self, day: NaiveDate) -> DateTime<Utc> {
        let close = self.season(day).and_then(|season| season.spans.last()).map(|(_, close)| *close);
        close.map_or_else(|| end_of_day(day), |close| instant(day, close))
    }

    fn season(&self, day: NaiveDate) -> Option<&Season> {
        let of_year = (day.month(), day.day());
        self.seasons.iter().rev().find(|season| season.from <= of_year).or_else(|| self.seasons.last())
    }
}

/// 24:00 of a day, as its last microsecond: `at <= due` and the day of the due time both come out right.
pub(crate) fn end_of_day(day: NaiveDate) -> DateTime<Utc> {
    instant(day, NaiveTime::MIN) + TimeDelta::days(1) - TimeDelta::microseconds(1)
}
