//! The table of rest days and make-up working days: the facts of the yearly notices, and their versions.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{Datelike, NaiveDate, Weekday};
use serde::{Deserialize, Serialize};

const FACTS: &str = include_str!("../data/holidays.toml");

/// The last days of December can be rearranged by the next year's notice (seen from the 29th on).
const DECEMBER_TAIL: u32 = 28;

/// One holiday of a notice; each text is `YYYY-MM-DD`, or `from/to` for every day between, both included.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HolidayGroup {
    pub name: String,
    /// Rest days, weekends among them included where the notice lists them.
    pub off: Vec<String>,
    /// Make-up working days, and days that an amendment gave back to work.
    pub work: Vec<String>,
}

/// The notice (or notices) of the State Council General Office for one title year.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct YearNotice {
    pub title_year: i32,
    /// Addresses of the official papers, in order of issue.
    pub papers: Vec<String>,
    /// Empty while the notice is not published: the year is unknown then.
    #[serde(default, rename = "holiday")]
    pub holidays: Vec<HolidayGroup>,
}

#[derive(Deserialize)]
struct Facts {
    version: u32,
    year: Vec<FactsOfYear>,
}

#[derive(Deserialize)]
struct FactsOfYear {
    /// Grows with each amendment of the year.
    #[serde(default = "first_version")]
    version: u32,
    #[serde(flatten)]
    notice: YearNotice,
}

const fn first_version() -> u32 {
    1
}

/// Facts that do not make a calendar.
#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    #[error("the holiday facts cannot be read: {0}")]
    Syntax(#[from] Box<toml::de::Error>),
    #[error("{year}: {text:?} is not a date or a range of dates of that year or the December before")]
    Date { year: i32, text: String },
    #[error("{year}: {day} is both a rest day and a working day")]
    Contradiction { year: i32, day: NaiveDate },
    #[error("{year} is there twice")]
    Twice { year: i32 },
}

/// What a day is for those who work by the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DayKind {
    /// An ordinary working day.
    Work,
    /// A Saturday or Sunday that is worked.
    MakeUp,
    /// A Saturday or Sunday that no notice names.
    Weekend,
    /// A rest day that a notice names, weekends among them.
    Holiday,
    /// A day that others work and the unit does not, by order of an authority. The calendar itself knows of none.
    Closed,
}

impl DayKind {
    /// Whether people work on it.
    #[must_use]
    pub const fn is_work(self) -> bool {
        matches!(self, Self::Work | Self::MakeUp)
    }
}

/// What the notices of one title year say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Year {
    /// Of the notice.
    version: u32,
    /// The day and whether it is a working day.
    days: BTreeMap<NaiveDate, bool>,
    papers: Vec<String>,
}

/// The versioned table of published rest days and make-up working days. Cheap to keep, never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    version: u32,
    /// By title year.
    years: BTreeMap<i32, Year>,
}

impl Calendar {
    /// The calendar of the facts that are part of the release.
    ///
    /// # Panics
    /// Never in a release: the embedded facts are parsed by the tests.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Calendar> = LazyLock::new(|| match Calendar::from_toml(FACTS) {
            Ok(calendar) => calendar,
            Err(error) => panic!("the embedded holiday facts are wrong: {error}"),
        });
        &BUILTIN
    }

    /// Reads facts in the form of `data/holidays.toml`.
    ///
    /// # Errors
    /// Any [`CalendarError`].
    pub fn from_toml(text: &str) -> Result<Self, CalendarError> {
        let facts: Facts = toml::from_str(text).map_err(Box::new)?;
        let mut calendar = Self { version: facts.version, years: BTreeMap::new() };
        for FactsOfYear { version, notice } in &facts.year {
            if calendar.years.insert(notice.title_year, Year::of(notice, *version)?).is_some() {
                return Err(CalendarError::Twice { year: notice.title_year });
            }
        }
        Ok(calendar)
    }

    /// The calendar of the next version, with one title year published or amended. Clocks that run
    /// are recomputed with it, see [`Calendar::recompute`].
    ///
    /// # Errors
    /// Any [`CalendarError`] of the notice.
    pub fn amended(&self, notice: &YearNotice) -> Result<Self, CalendarError> {
        self.laid_over(notice, self.notice_version(notice.title_year))
    }

    /// The calendar of the next version, with a notice laid over what is known of its year: the same number is the same
    /// notice, as whoever brings it has written it down. One that is older than what is known is passed over, and makes a
    /// version all the same: the calendar of a later release is a higher version than that of an earlier one, whatever was
    /// laid over either.
    ///
    /// # Errors
    /// Any [`CalendarError`] of the notice.
    pub fn laid_over(&self, notice: &YearNotice, version: u32) -> Result<Self, CalendarError> {
        let year = Year::of(notice, version)?;
        let mut next = self.clone();
        if !self.has_newer(notice.title_year, version) {
            next.years.insert(notice.title_year, year);
        }
        next.version += 1;
        Ok(next)
    }

    /// Version of the notice that a title year is known from; 0: it is not known, or by an entry without days.
    #[must_use]
    pub fn notice_version(&self, year: i32) -> u32 {
        self.years.get(&year).filter(|year| !year.days.is_empty()).map_or(0, |year| year.version)
    }

    /// Whether a title year is known from a newer notice than that of a version.
    #[must_use]
    pub fn has_newer(&self, year: i32, version: u32) -> bool {
        self.notice_version(year) > version
    }

    /// Grows with every change of the facts.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Whether the notice for a year is known; an entry without days is not.
    #[must_use]
    pub fn is_published(&self, year: i32) -> bool {
        self.years.get(&year).is_some_and(|year| !year.days.is_empty())
    }

    /// Addresses of the papers that a title year is known from, in order of issue.
    #[must_use]
    pub fn papers(&self, year: i32) -> &[String] {
        self.years.get(&year).map_or(&[], |year| &year.papers)
    }

    /// Whether people work on that day.
    #[must_use]
    pub fn is_work_day(&self, day: NaiveDate) -> bool {
        self.day_kind(day).is_work()
    }

    /// What the day is: the notices decide (that of the day's year and that of the year after, which may rearrange
    /// December), else Monday to Friday are worked.
    #[must_use]
    pub fn day_kind(&self, day: NaiveDate) -> DayKind {
        let listed =
            |title_year: i32| self.years.get(&title_year).and_then(|year| year.days.get(&day)).copied();
        let weekend = matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
        match (listed(day.year()).or_else(|| listed(day.year() + 1)), weekend) {
            (Some(false), _) => DayKind::Holiday,
            (Some(true), true) => DayKind::MakeUp,
            (None, true) => DayKind::Weekend,
            (Some(true) | None, false) => DayKind::Work,
        }
    }

    /// Every day of a calendar year with what it is.
    pub fn days_of(&self, year: i32) -> impl Iterator<Item = (NaiveDate, DayKind)> + '_ {
        let first = NaiveDate::from_ymd_opt(year, 1, 1);
        let days = first.into_iter().flat_map(|first| first.iter_days());
        days.take_while(move |day| day.year() == year).map(|day| (day, self.day_kind(day)))
    }

    /// Whether a notice that is still to come may change what is known of that day.
    #[must_use]
    pub fn is_provisional(&self, day: NaiveDate) -> bool {
        !self.is_published(day.year())
            || (day.month() == 12 && day.day() >= DECEMBER_TAIL && !self.is_published(day.year() + 1))
    }

    /// The working days of a year.
    #[must_use]
    pub fn work_days_in_year(&self, year: i32) -> usize {
        self.days_of(year).filter(|(_, kind)| kind.is_work()).count()
    }
}

impl Year {
    fn of(notice: &YearNotice, version: u32) -> Result<Self, CalendarError> {
        Ok(Self { version, days: days(notice)?, papers: notice.papers.clone() })
    }
}

pub(crate) fn days(notice: &YearNotice) -> Result<BTreeMap<NaiveDate, bool>, CalendarError> {
    let year = notice.title_year;
    let mut days = BTreeMap::new();
    for holiday in &notice.holidays {
        for (texts, works) in [(&holiday.off, false), (&holiday.work, true)] {
            for text in texts {
                let wrong = || CalendarError::Date { year, text: text.clone() };
                let (from, to) = text.split_once('/').unwrap_or((text, text));
                let from: NaiveDate = from.parse().map_err(|_| wrong())?;
                let to: NaiveDate = to.parse().map_err(|_| wrong())?;
                let in_notice =
                    |day: NaiveDate| day.year() == year || (day.year() == year - 1 && day.month() == 12);
                if from > to || !in_notice(from) || !in_notice(to) {
                    return Err(wrong());
                }
                for day in from.iter_days().take_while(|day| *day <= to) {
                    if days.insert(day, works).is_some_and(|before| before != works) {
                        return Err(CalendarError::Contradiction { year, day });
                    }
                }
            }
        }
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn each_year_has_its_working_days() {
        let calendar = Calendar::builtin();
        // Monday to Friday, rest days among these, make-up days.
        let years = [
            (2016, 261, 17, 6),
            (2017, 260, 16, 5),
            (2018, 261, 18, 7),
            (2019, 261, 17, 6),
            (2020, 262, 19, 6),
            (2021, 261, 18, 7),
            (2022, 260, 18, 7),
            (2023, 260, 18, 7),
            (2024, 262, 19, 8),
            (2025, 261, 18, 5),
            (2026, 261, 19, 6),
        ];
        assert_eq!(years.map(|(year, ..)| year).to_vec(), (2016..=2026).collect::<Vec<_>>());
        for (year, weekdays, off, make_up) in years {
            let weekend = |day: NaiveDate| matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
            let of = |is_it: &dyn Fn(NaiveDate, DayKind) -> bool| {
                calendar.days_of(year).filter(|(day, kind)| is_it(*day, *kind)).count()
            };
            assert_eq!(of(&|day, _| !weekend(day)), weekdays, "{year}");
            assert_eq!(of(&|day, kind| kind == DayKind::Holiday && !weekend(day)), off, "{year}");
            assert_eq!(of(&|_, kind| kind == DayKind::MakeUp), make_up, "{year}");
            assert_eq!(calendar.work_days_in_year(year), weekdays - off + make_up, "{year}");
            // Make-up days only move rest days: what is left is the statutory days, and two days by which the spring
            // festival of 2020 was prolonged.
            let statutory = if year < 2025 { 11 } else { 13 };
            assert_eq!(off - make_up, statutory + if year == 2020 { 2 } else { 0 }, "{year}");
        }
    }

    #[test]
    fn the_last_days_of_december_are_looked_up_in_the_next_years_notice_too() {
        let calendar = Calendar::builtin();
        assert!(calendar.is_work_day(day("2018-12-29")), "a Saturday that is worked, listed in 2019");
        assert!(!calendar.is_work_day(day("2018-12-31")), "a Monday off, listed in 2019");
        assert!(!calendar.is_work_day(day("2022-12-31")));
    }

    #[test]
    fn an_empty_year_is_unknown_and_not_a_year_without_holidays() {
        let calendar = Calendar::builtin();
        assert!(calendar.is_published(2026) && !calendar.is_published(2027) && !calendar.is_published(2015));
        assert!(calendar.is_work_day(day("2027-01-01")), "weekends only, as long as nothing else is known");
        assert!(!calendar.is_work_day(day("2027-01-02")));
        assert!(calendar.is_provisional(day("2027-01-01")) && calendar.is_provisional(day("2026-12-31")));
        assert!(!calendar.is_provisional(day("2026-12-20")) && !calendar.is_provisional(day("2025-12-31")));
    }

    #[test]
    fn a_notice_older_than_what_is_known_of_its_year_is_passed_over_and_still_a_version() {
        let new_year = |off: &str| YearNotice {
            title_year: 2027,
            papers: vec![],
            holidays: vec![HolidayGroup { name: "元旦".into(), off: vec![off.into()], work: vec![] }],
        };
        let shipped = |version: &str| {
            let holiday = "[[year.holiday]]\nname = \"元旦\"\noff = [\"2027-01-01/2027-01-03\"]\nwork = []";
            let text = format!("version = 7\n[[year]]\ntitle_year = 2027\n{version}papers = []\n{holiday}");
            Calendar::from_toml(&text).unwrap()
        };
        assert_eq!((shipped("").notice_version(2027), shipped("version = 2\n").notice_version(2027)), (1, 2));
        assert_eq!(Calendar::builtin().notice_version(2027), 0, "not known");
        let imported = new_year("2027-01-01");
        // Whether 2 January is a rest day: only the release says so.
        for (calendar, version, rests, in_force) in [
            (shipped("version = 2\n"), 1, true, 2),
            (shipped("version = 2\n"), 2, false, 2),
            (shipped("version = 2\n"), 3, false, 3),
            (shipped(""), 1, false, 1),
        ] {
            let laid = calendar.laid_over(&imported, version).unwrap();
            let second = laid.day_kind(day("2027-01-02"));
            assert_eq!(second == DayKind::Holiday, rests, "{version}");
            assert_eq!((laid.notice_version(2027), laid.version()), (in_force, 8), "{version}");
            assert_eq!(calendar.has_newer(2027, version), rests);
        }
        let wrong = new_year("2029-01-01");
        assert!(shipped("version = 2\n").laid_over(&wrong, 1).is_err(), "though passed over");
    }

    #[test]
    fn holidays_for_a_part_of_the_people_are_working_days() {
        for half_day in ["2026-03-08", "2026-05-04", "2025-05-04"] {
            let calendar = Calendar::builtin();
            let listed = calendar.years[&day(half_day).year()].days.get(&day(half_day));
            assert!(listed.is_none_or(|works| !works), "{half_day} is never listed for its own sake");
        }
        assert!(Calendar::builtin().is_work_day(day("2024-03-08")));
        assert!(Calendar::builtin().is_work_day(day("2023-05-04")));
    }

    #[test]
    fn a_notice_that_contradicts_itself_is_refused() {
        let notice = |off: &str, work: &str| YearNotice {
            title_year: 2027,
            papers: vec![],
            holidays: vec![HolidayGroup {
                name: "元旦".into(),
                off: vec![off.into()],
                work: vec![work.into()],
            }],
        };
        let calendar = Calendar::builtin();
        assert!(calendar.amended(&notice("2027-01-01/2027-01-03", "2027-01-04")).is_ok());
        for (off, work) in [
            ("2027-01-01/2027-01-03", "2027-01-03"),
            ("2027-01-03/2027-01-01", "2027-01-04"),
            ("2026-01-01", "2027-01-04"),
            ("1 January", "2027-01-04"),
        ] {
            assert!(calendar.amended(&notice(off, work)).is_err(), "{off} {work}");
        }
        assert!(matches!(Calendar::from_toml("version = 1\nyear = [1]"), Err(CalendarError::Syntax(_))));
    }
}
