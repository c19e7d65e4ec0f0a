//! The days an answer is about, `[start, end)` in Asia/Shanghai.

use calendar::local_day;
use chassis::{Error, Result, Timestamp};
use chrono::{Datelike, Days, Months, NaiveDate};

/// The longest period answered, in days.
const MAX_DAYS: i64 = 3660;

/// Days of a period; the end is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// First day.
    pub start: NaiveDate,
    /// The day after the last.
    pub end: NaiveDate,
    /// Today in domain time: the stock at the end of a period is known for days that have ended.
    pub today: NaiveDate,
}

impl Period {
    /// From the texts of a request. Without a start the present month's first day; without an end, through today.
    pub fn parse(start: &str, end: &str, now: Timestamp) -> Result<Self> {
        let today = local_day(now);
        let tomorrow = today.checked_add_days(Days::new(1)).unwrap_or(today);
        let end = day("end_date", end)?.unwrap_or(tomorrow);
        let start = day("start_date", start)?.unwrap_or_else(|| {
            let last = today.min(end.pred_opt().unwrap_or(end));
            last.with_day(1).unwrap_or(last)
        });
        if end <= start {
            return Err(Error::invalid("end_date", "must be after the start date"));
        }
        if (end - start).num_days() > MAX_DAYS {
            return Err(Error::invalid("end_date", format!("the period is longer than {MAX_DAYS} days")));
        }
        Ok(Self { start, end, today })
    }

    /// The same days a year before, `[start, end)`.
    pub fn year_before(&self) -> (NaiveDate, NaiveDate) {
        let before = |day: NaiveDate| day.checked_sub_months(Months::new(12)).unwrap_or(day);
        let end = before(self.end);
        // Until before 29 February is through the 28th: that day of the year before belongs to it.
        let end = if end.day() < self.end.day() { end.succ_opt().unwrap_or(end) } else { end };
        (before(self.start), end)
    }

    /// Up to where the stock is known: no further than the last day that has ended.
    pub fn stock_end(&self) -> NaiveDate {
        self.end.min(self.today)
    }
}

fn day(field: &'static str, text: &str) -> Result<Option<NaiveDate>> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = || Error::invalid(field, "must be a date of the form YYYY-MM-DD between 2000 and 2999");
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| invalid())?;
    if text.len() == 10 && (2000..3000).contains(&day.year()) { Ok(Some(day)) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-24T20:00:00Z".parse().unwrap() // already the 25th in Shanghai
    }

    fn period(start: &str, end: &str) -> (String, String) {
        let period = Period::parse(start, end, now()).unwrap();
        (period.start.to_string(), period.end.to_string())
    }

    #[test]
    fn the_default_is_the_present_month_through_today() {
        assert_eq!(period("", ""), ("2026-11-01".into(), "2026-11-26".into()));
        assert_eq!(period("2026-01-05", ""), ("2026-01-05".into(), "2026-11-26".into()));
        assert_eq!(period("", "2026-03-01"), ("2026-02-01".into(), "2026-03-01".into()));
        assert_eq!(Period::parse("", "", now()).unwrap().stock_end().to_string(), "2026-11-25");
    }

    #[test]
    fn the_year_before_has_the_same_days_in_february_too() {
        for (period, expected) in [
            (("2024-02-01", "2024-03-01"), ("2023-02-01", "2023-03-01")),
            (("2028-02-01", "2028-02-29"), ("2027-02-01", "2027-03-01")),
            (("2029-02-01", "2029-03-01"), ("2028-02-01", "2028-03-01")),
        ] {
            let (start, end) = Period::parse(period.0, period.1, now()).unwrap().year_before();
            assert_eq!((start.to_string().as_str(), end.to_string().as_str()), expected);
        }
    }

    #[test]
    fn nonsense_names_its_field() {
        for (start, end, field) in [
            ("today", "", "start_date"),
            ("2026-1-1", "", "start_date"),
            ("0001-01-01", "", "start_date"),
            ("", "2026-02-30", "end_date"),
            ("2026-03-01", "2026-03-01", "end_date"),
            ("2000-01-01", "2026-01-01", "end_date"),
        ] {
            let error = Period::parse(start, end, now()).unwrap_err();
            assert!(matches!(error, Error::Invalid { field: f, .. } if f == field), "{start} {end}");
        }
    }
}
