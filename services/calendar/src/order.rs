//! An order about the working time of one unit, as operators bring it: its hours by season, the days on which it is closed,
//! or both, as TOML. Parsed whole or refused with the name of the field that is wrong; who signed it is no matter of this
//! crate.

use chrono::{Datelike, NaiveDate, NaiveTime, TimeDelta};
use serde::Deserialize;

use crate::notice::wrong;
use crate::{Closure, NoticeError, Profile, Season};

/// An order holds some twenty lines.
const MOST_BYTES: usize = 16 * 1024;
/// Numbers that a version may have.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=1_000_000;
/// Years in which days may be closed.
const YEARS: std::ops::RangeInclusive<i32> = 2008..=2100;
const MOST_SEASONS: usize = 12;
const MOST_SPANS: usize = 6;
const MOST_CLOSURES: usize = 50;

/// An order to be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoursOrder {
    /// Code of the unit that it is about; it holds for whatever lies in it.
    pub unit: String,
    /// Grows with each order about the unit.
    pub version: u32,
    /// The document that orders it.
    pub authority_ref: String,
    /// Hours by season; empty: they stay as they were.
    pub seasons: Vec<Season>,
    /// The closures that it brings, changes or lifts; others stay as they were.
    pub closures: Vec<OrderedClosure>,
}

/// A closure as an order has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedClosure {
    /// By which later orders about the unit change or lift it.
    pub code: String,
    /// Unset: it is lifted.
    pub closure: Option<Closure>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    unit: String,
    version: u32,
    authority_ref: String,
    #[serde(default, rename = "season")]
    seasons: Vec<FileSeason>,
    #[serde(default, rename = "closure")]
    closures: Vec<FileClosure>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSeason {
    from: String,
    spans: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileClosure {
    code: String,
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    lifted: bool,
}

impl HoursOrder {
    /// Reads an order: `unit`, `version`, `authority_ref`, and `[[season]]` with `from = "MM-DD"` and
    /// `spans = ["HH:MM-HH:MM"]`, or `[[closure]]` with `code` and `from`, `to` (both included) or `lifted = true`.
    ///
    /// # Errors
    /// [`NoticeError`]: no TOML of this form, a value that cannot be, neither hours nor closures.
    pub fn from_toml(text: &str) -> Result<Self, NoticeError> {
        if text.len() > MOST_BYTES {
            return Err(wrong("order", "has more than 16 KiB"));
        }
        let file: File = toml::from_str(text).map_err(|error| wrong("order", error.message()))?;
        if !is_code(&file.unit) {
            return Err(wrong("order.unit", "must be the code of a unit"));
        }
        if !VERSIONS.contains(&file.version) {
            return Err(wrong("order.version", "must lie between 1 and 1,000,000"));
        }
        let authority_ref = file.authority_ref.trim().to_owned();
        let length = authority_ref.chars().count();
        if !(1..=200).contains(&length) || authority_ref.chars().any(char::is_control) {
            let message = "names the document that orders it, in at most 200 characters";
            return Err(wrong("order.authority_ref", message));
        }
        if file.seasons.is_empty() && file.closures.is_empty() {
            return Err(wrong("order", "states neither hours nor closures"));
        }
        let seasons = seasons(&file.seasons)?;
        let closures = closures(&file.closures, &authority_ref)?;
        Ok(Self { unit: file.unit, version: file.version, authority_ref, seasons, closures })
    }

    /// What the order makes of a unit for which else only the usual hours hold.
    #[must_use]
    pub fn over(&self, usual: &Profile) -> Profile {
        let hours = usual.with_hours(self.seasons.clone()).unwrap_or_else(|_| usual.clone());
        let closures = self.closures.iter().filter_map(|ordered| ordered.closure.clone());
        let all = closures.fold(hours, |profile, closure| profile.closed(closure).unwrap_or(profile));
        all.at_version(u16::try_from(self.version).unwrap_or(u16::MAX))
    }
}

fn seasons(file: &[FileSeason]) -> Result<Vec<Season>, NoticeError> {
    if file.len() > MOST_SEASONS {
        return Err(wrong("order.season", "there are at most 12"));
    }
    let mut seasons = Vec::with_capacity(file.len());
    for (number, FileSeason { from, spans }) in file.iter().enumerate() {
        let at = format!("order.season[{number}]");
        let Some(from) = day_of_year(from) else {
            return Err(wrong(&format!("{at}.from"), "must be a day of the year as MM-DD"));
        };
        let mut read = Vec::with_capacity(spans.len());
        for (place, text) in spans.iter().enumerate() {
            let Some(span) = span(text) else {
                let message = format!("{text:?} is no time from HH:MM to a later one, such as 08:30-12:00");
                return Err(wrong(&format!("{at}.spans[{place}]"), &message));
            };
            read.push(span);
        }
        // A unit that hardly ever works has no deadlines that anybody lives to see.
        let worked: TimeDelta = read.iter().map(|(open, close)| *close - *open).sum();
        if read.len() > MOST_SPANS || worked < TimeDelta::hours(1) {
            return Err(wrong(&format!("{at}.spans"), "there are at most 6, of at least an hour together"));
        }
        let alone = Season { from: (1, 1), spans: read.clone() };
        if let Err(error) = Profile::new(1, vec![alone]) {
            return Err(wrong(&format!("{at}.spans"), &error.to_string()));
        }
        seasons.push(Season { from, spans: read });
    }
    if !seasons.is_empty() {
        Profile::new(1, seasons.clone()).map_err(|error| wrong("order.season", &error.to_string()))?;
    }
    Ok(seasons)
}

fn closures(file: &[FileClosure], authority_ref: &str) -> Result<Vec<OrderedClosure>, NoticeError> {
    if file.len() > MOST_CLOSURES {
        return Err(wrong("order.closure", "there are at most 50"));
    }
    let mut closures: Vec<OrderedClosure> = Vec::with_capacity(file.len());
    for (number, FileClosure { code, from, to, lifted }) in file.iter().enumerate() {
        let at = format!("order.closure[{number}]");
        if !is_code(code) || closures.iter().any(|known| known.code == *code) {
            return Err(wrong(&format!("{at}.code"), "must be a code that stands once in the order"));
        }
        let read = |text: &str, end: &str| {
            day(text).ok_or_else(|| wrong(&format!("{at}.{end}"), "must be a date between 2008 and 2100"))
        };
        let closure = match (from, to, lifted) {
            (None, None, true) => None,
            (Some(from), Some(to), false) => Some(Closure {
                from: read(from, "from")?,
                to: read(to, "to")?,
                authority_ref: authority_ref.to_owned(),
            }),
            _ => return Err(wrong(&at, "has both its first and its last day, or is lifted")),
        };
        if let Some(closure) = &closure {
            let tried = Profile::office().closed(closure.clone());
            tried.map_err(|error| wrong(&format!("{at}.to"), &error.to_string()))?;
        }
        closures.push(OrderedClosure { code: code.clone(), closure });
    }
    Ok(closures)
}

fn is_code(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':');
    (1..=64).contains(&text.len()) && text.chars().all(safe)
}

fn day(text: &str) -> Option<NaiveDate> {
    text.parse().ok().filter(|day: &NaiveDate| YEARS.contains(&day.year()))
}

/// `MM-DD`.
fn day_of_year(text: &str) -> Option<(u32, u32)> {
    let (month, day) = text.split_once('-').filter(|_| text.len() == 5)?;
    let of_year = (month.parse().ok()?, day.parse().ok()?);
    NaiveDate::from_ymd_opt(2024, of_year.0, of_year.1).map(|_| of_year)
}

/// `HH:MM-HH:MM`.
fn span(text: &str) -> Option<(NaiveTime, NaiveTime)> {
    let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").ok();
    let (open, close) = text.split_once('-')?;
    let (open, close) = (time(open)?, time(close)?);
    (open < close).then_some((open, close))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Calendar, DayKind, Limit, TimeUnit, instant, local};

    const GOOD: &str = r#"
        unit = "420103005"
        version = 2
        authority_ref = "江防指〔2026〕3号"
        [[season]]
        from = "01-01"
        spans = ["08:30-12:00", "14:00-17:00"]
        [[season]]
        from = "06-01"
        spans = ["08:00-12:00", "15:00-18:00"]
        [[closure]]
        code = "flood-2026"
        from = "2026-07-09"
        to = "2026-07-10"
        [[closure]]
        code = "drill"
        lifted = true
    "#;

    #[test]
    fn an_order_is_read_with_its_seasons_and_closures() {
        let order = HoursOrder::from_toml(GOOD).unwrap();
        assert_eq!((order.unit.as_str(), order.version, order.seasons.len()), ("420103005", 2, 2));
        assert_eq!(order.seasons[1].from, (6, 1));
        let [flood, drill] = &order.closures[..] else { panic!("{order:?}") };
        let closed = flood.closure.as_ref().unwrap();
        assert_eq!((closed.from, closed.to), (day("2026-07-09").unwrap(), day("2026-07-10").unwrap()));
        assert_eq!(closed.authority_ref, "江防指〔2026〕3号");
        assert_eq!((drill.code.as_str(), &drill.closure), ("drill", &None));
    }

    #[test]
    fn it_is_laid_over_the_usual_hours_and_what_it_closes_is_named() {
        let (calendar, order) = (Calendar::builtin(), HoursOrder::from_toml(GOOD).unwrap());
        let profile = order.over(&Profile::office());
        assert_eq!(calendar.version_with(&profile), calendar.version() * 1000 + 2);
        // Wednesday; Thursday and Friday are closed, then comes the weekend.
        let from = NaiveDate::from_ymd_opt(2026, 7, 8).unwrap();
        let from = instant(from, NaiveTime::from_hms_opt(10, 0, 0).unwrap());
        let due = calendar.add(TimeUnit::WorkDay, 1, from, &profile);
        assert_eq!(local(due.at).to_string(), "2026-07-13 18:00:00", "by the summer's hours");
        let skipped = calendar.skipped(Limit::new(TimeUnit::WorkDay, 1), from, due.at, &profile);
        let kinds: Vec<DayKind> = skipped.into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(kinds, [DayKind::Closed, DayKind::Closed, DayKind::Weekend, DayKind::Weekend]);

        let (head, rest) = GOOD.split_once("[[season]]").unwrap();
        let closed_only = format!("{head}[[closure]]{}", rest.split("[[closure]]").nth(1).unwrap());
        let profile = HoursOrder::from_toml(&closed_only).unwrap().over(&Profile::office());
        let due = calendar.add(TimeUnit::WorkDay, 1, from, &profile);
        assert_eq!(local(due.at).to_string(), "2026-07-13 17:00:00");
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        for (from, to, field) in [
            ("420103005", "四二〇一", "order.unit"),
            ("unit = \"420103005\"", "", "order"),
            ("version = 2", "version = 0", "order.version"),
            ("version = 2", "version = 2\nsurprise = 1", "order"),
            ("江防指〔2026〕3号", " ", "order.authority_ref"),
            ("06-01", "13-01", "order.season[1].from"),
            ("06-01", "6-1", "order.season[1].from"),
            ("06-01", "01-01", "order.season"),
            ("08:00-12:00", "12:00-08:00", "order.season[1].spans[0]"),
            ("08:00-12:00", "08:00", "order.season[1].spans[0]"),
            ("08:00-12:00", "08:00-16:00", "order.season[1].spans"),
            ("[\"08:00-12:00\", \"15:00-18:00\"]", "[]", "order.season[1].spans"),
            ("[\"08:00-12:00\", \"15:00-18:00\"]", "[\"08:00-08:59\"]", "order.season[1].spans"),
            ("flood-2026", "大水", "order.closure[0].code"),
            ("drill", "flood-2026", "order.closure[1].code"),
            ("2026-07-09", "2026-07-32", "order.closure[0].from"),
            ("2026-07-10", "1999-07-10", "order.closure[0].to"),
            ("2026-07-10", "2026-07-08", "order.closure[0].to"),
            ("2026-07-10", "2027-07-20", "order.closure[0].to"),
            ("lifted = true", "lifted = false", "order.closure[1]"),
            ("lifted = true", "from = \"2026-07-09\"", "order.closure[1]"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            assert_eq!(HoursOrder::from_toml(&text).unwrap_err().field, field, "{from} → {to}");
        }
        let (nothing, _) = GOOD.split_once("[[season]]").unwrap();
        assert_eq!(HoursOrder::from_toml(nothing).unwrap_err().field, "order");
        let long = format!("{GOOD}\n#{}", "x".repeat(MOST_BYTES));
        assert_eq!(HoursOrder::from_toml(&long).unwrap_err().field, "order");
    }
}
