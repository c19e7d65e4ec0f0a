//! The units of time in which limits are stated (domain.md §6.1).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A unit of time of a statutory or promised limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// 紧急工作时: runs day and night.
    CalHour,
    /// 工作时: runs only inside working hours of working days; outside it starts at the next opening.
    WorkHour,
    /// 工作日: the start day is excluded; due at the end of business on the n-th working day.
    WorkDay,
    /// 自然日: the start day is excluded; due at 24:00, rolled past rest days (Civil Code arts 201–203).
    CalDay,
    /// 月: the same date of the end month, else its last day; rolled likewise (Civil Code art. 202).
    Month,
}

impl TimeUnit {
    /// Every unit.
    pub const ALL: [Self; 5] = [Self::CalHour, Self::WorkHour, Self::WorkDay, Self::CalDay, Self::Month];

    /// The code used in SQL, configuration and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CalHour => "cal_hour",
            Self::WorkHour => "work_hour",
            Self::WorkDay => "work_day",
            Self::CalDay => "cal_day",
            Self::Month => "month",
        }
    }

    /// Whether its passage is measured in working time (else in calendar time).
    #[must_use]
    pub const fn is_working(self) -> bool {
        matches!(self, Self::WorkHour | Self::WorkDay)
    }
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no unit of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown unit of time")]
pub struct UnknownTimeUnit;

impl FromStr for TimeUnit {
    type Err = UnknownTimeUnit;

    fn from_str(code: &str) -> Result<Self, UnknownTimeUnit> {
        Self::ALL.into_iter().find(|unit| unit.as_str() == code).ok_or(UnknownTimeUnit)
    }
}

/// A limit: `n` units of time. Zero means at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limit {
    pub unit: TimeUnit,
    pub n: u16,
}

impl Limit {
    /// A limit of `n` units.
    #[must_use]
    pub const fn new(unit: TimeUnit, n: u16) -> Self {
        Self { unit, n }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.n, self.unit)
    }
}
