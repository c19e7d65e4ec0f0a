//! The working calendar: working days, working hours and deadlines of Chinese public administration
//! (domain.md §6). Pure: no I/O, no clock; every instant is a parameter.
//!
//! All arithmetic is in Asia/Shanghai, which has no daylight saving time; instants come in and go out
//! as UTC. The holiday facts are embedded, never fetched. A year whose notice is not yet published is
//! *unknown*: it is computed with weekends only and the result is marked provisional.

mod due;
mod elapsed;
mod notice;
mod order;
mod profile;
mod table;
mod unit;

pub use due::{Due, Interval};
pub use notice::{Notice, NoticeError};
pub use order::{HoursOrder, OrderedClosure};
pub use profile::{Closure, Profile, ProfileError, Season};
pub use table::{Calendar, CalendarError, DayKind, HolidayGroup, YearNotice};
pub use unit::{Limit, TimeUnit, UnknownTimeUnit};

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};

/// Asia/Shanghai: UTC+8 all year.
const SHANGHAI: FixedOffset = match FixedOffset::east_opt(8 * 3600) {
    Some(offset) => offset,
    None => panic!("eight hours is a valid offset"),
};

/// The local date and time in Shanghai.
#[must_use]
pub fn local(at: DateTime<Utc>) -> NaiveDateTime {
    at.with_timezone(&SHANGHAI).naive_local()
}

/// The calendar day in Shanghai on which an instant falls: statistics attribute by it.
#[must_use]
pub fn local_day(at: DateTime<Utc>) -> NaiveDate {
    local(at).date()
}

/// The instant at which a local date and time is reached in Shanghai.
#[must_use]
pub fn instant(day: NaiveDate, time: NaiveTime) -> DateTime<Utc> {
    DateTime::from_naive_utc_and_offset(day.and_time(time) - SHANGHAI, Utc)
}
