//! A yearly notice as operators bring it: one title year, its version and its papers, as TOML. Parsed whole or refused
//! with the name of the field that is wrong; who signed it is no matter of this crate.

use chrono::{Datelike, NaiveDate};
use serde::Deserialize;

use crate::{Calendar, CalendarError, HolidayGroup, YearNotice};

/// A file of a year holds some fifty lines.
const MOST_BYTES: usize = 16 * 1024;
/// Title years that have a notice of this form.
const YEARS: std::ops::RangeInclusive<i32> = 2008..=2100;

/// A notice to be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Grows with each amendment of the year.
    pub version: u32,
    /// What it says.
    pub year: YearNotice,
}

/// Why a text is no notice, or no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct NoticeError {
    /// Path of the field, such as `notice.holiday[0].off[1]`; `notice` or `order` for the text as a whole.
    pub field: String,
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title_year: i32,
    version: u32,
    papers: Vec<String>,
    #[serde(default, rename = "holiday")]
    holidays: Vec<FileHoliday>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileHoliday {
    name: String,
    off: Vec<String>,
    #[serde(default)]
    work: Vec<String>,
}

impl Notice {
    /// Reads a notice: `title_year`, `version`, `papers`, and `[[holiday]]` with `name`, `off`, `work` as in
    /// `data/holidays.toml`.
    ///
    /// # Errors
    /// [`NoticeError`]: no TOML of this form, a year, version, paper or day that cannot be, no rest day at all.
    pub fn from_toml(text: &str) -> Result<Self, NoticeError> {
        if text.len() > MOST_BYTES {
            return Err(wrong("notice", "has more than 16 KiB"));
        }
        let file: File = toml::from_str(text).map_err(|error| wrong("notice", error.message()))?;
        let (year, version) = (file.title_year, file.version);
        if !YEARS.contains(&year) {
            return Err(wrong("notice.title_year", "must lie between 2008 and 2100"));
        }
        if version == 0 {
            return Err(wrong("notice.version", "must be at least 1"));
        }
        let paper = |paper: &String| {
            (paper.starts_with("https://") || paper.starts_with("http://")) && paper.len() <= 300
        };
        if file.papers.is_empty() || !file.papers.iter().all(paper) {
            return Err(wrong("notice.papers", "names the official papers by their http(s) addresses"));
        }
        for (number, holiday) in file.holidays.iter().enumerate() {
            let at = format!("notice.holiday[{number}]");
            if holiday.name.trim().is_empty() {
                return Err(wrong(&format!("{at}.name"), "must not be empty"));
            }
            for (list, texts) in [("off", &holiday.off), ("work", &holiday.work)] {
                for (place, text) in texts.iter().enumerate() {
                    if !is_day_of(year, text) {
                        let message =
                            format!("{text:?} is no date or range of {year} or the December before");
                        return Err(wrong(&format!("{at}.{list}[{place}]"), &message));
                    }
                }
            }
        }
        if file.holidays.iter().all(|holiday| holiday.off.is_empty()) {
            return Err(wrong("notice.holiday", "names no rest day"));
        }
        let holidays = file.holidays.into_iter();
        let holidays = holidays.map(|FileHoliday { name, off, work }| HolidayGroup { name, off, work });
        let notice = YearNotice { title_year: year, papers: file.papers, holidays: holidays.collect() };
        match Calendar::builtin().amended(&notice) {
            Ok(_) => Ok(Self { version, year: notice }),
            Err(CalendarError::Contradiction { day, .. }) => {
                Err(wrong("notice.holiday", &format!("{day} is both a rest day and a working day")))
            }
            Err(error) => Err(wrong("notice.holiday", &error.to_string())),
        }
    }

    /// The days it names, in order, and whether each is worked.
    #[must_use]
    pub fn days(&self) -> Vec<(NaiveDate, bool)> {
        crate::table::days(&self.year).map(|days| days.into_iter().collect()).unwrap_or_default()
    }
}

pub(crate) fn wrong(field: &str, message: &str) -> NoticeError {
    NoticeError { field: field.to_owned(), message: message.trim().to_owned() }
}

/// `YYYY-MM-DD` or `from/to`, of the year or the December before.
fn is_day_of(year: i32, text: &str) -> bool {
    let (from, to) = text.split_once('/').unwrap_or((text, text));
    let day = |text: &str| text.parse::<NaiveDate>().ok();
    let of = |day: NaiveDate| day.year() == year || (day.year() == year - 1 && day.month() == 12);
    matches!((day(from), day(to)), (Some(from), Some(to)) if from <= to && of(from) && of(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        title_year = 2027
        version = 1
        papers = ["https://www.gov.cn/zhengce/2027.htm"]
        [[holiday]]
        name = "元旦"
        off = ["2027-01-01/2027-01-03"]
        work = ["2026-12-27"]
    "#;

    #[test]
    fn a_notice_is_read_with_its_days() {
        let notice = Notice::from_toml(GOOD).unwrap();
        assert_eq!((notice.version, notice.year.title_year), (1, 2027));
        let days: Vec<String> = notice.days().iter().map(|(day, works)| format!("{day} {works}")).collect();
        assert_eq!(days, ["2026-12-27 true", "2027-01-01 false", "2027-01-02 false", "2027-01-03 false"]);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        for (from, to, field) in [
            ("title_year = 2027", "title_year = 1999", "notice.title_year"),
            ("title_year = 2027", "title_year = 2028", "notice.holiday[0].off[0]"),
            ("version = 1", "version = 0", "notice.version"),
            ("version = 1", "version = -1", "notice"),
            ("version = 1", "", "notice"),
            ("version = 1", "version = 1\nsurprise = 1", "notice"),
            ("https://www.gov.cn/zhengce/2027.htm", "state council", "notice.papers"),
            ("[\"https://www.gov.cn/zhengce/2027.htm\"]", "[]", "notice.papers"),
            ("元旦", " ", "notice.holiday[0].name"),
            ("2027-01-01/2027-01-03", "2027-01-03/2027-01-01", "notice.holiday[0].off[0]"),
            ("2027-01-01/2027-01-03", "2027-02-30", "notice.holiday[0].off[0]"),
            ("2026-12-27", "2026-11-27", "notice.holiday[0].work[0]"),
            ("2026-12-27", "2027-01-02", "notice.holiday"),
            ("[\"2027-01-01/2027-01-03\"]", "[]", "notice.holiday"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            assert_eq!(Notice::from_toml(&text).unwrap_err().field, field, "{from} → {to}");
        }
        let long = format!("{GOOD}\n#{}", "x".repeat(MOST_BYTES));
        assert_eq!(Notice::from_toml(&long).unwrap_err().field, "notice");
    }
}
