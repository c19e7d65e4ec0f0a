//! `jianghan calendar due`.

use std::{path::Path, process::ExitCode};

use anyhow::Result;
use calendar::{Due, HoursOrder, Limit, Profile, TimeUnit, instant, local};
use case_routing::seed::{usual_hours, working_hours};
use chrono::{DateTime, Datelike, NaiveDateTime, Utc};
use clap::Args as ClapArgs;
use serde::Serialize;

use super::{Days, Facts, kind_text};
use crate::out;

/// Arguments of `calendar due`.
#[derive(ClapArgs)]
pub struct Args {
    /// Where the limit begins: RFC 3339 with any offset, or a time in Shanghai such as "2026-02-13 16:30".
    #[arg(long, value_name = "T", value_parser = parse_from)]
    from: DateTime<Utc>,
    /// How many units; 0 means at once.
    #[arg(long, value_name = "N")]
    n: u16,
    /// Of which unit: work_day, work_hour, cal_hour, cal_day, month.
    #[arg(long, value_name = "UNIT", value_parser = parse_unit)]
    unit: TimeUnit,
    /// Working hours and closures to count with: a file with an order about a unit (TOML, as `calendar sign` takes it), or
    /// the code of working hours of the release.
    #[arg(long, value_name = "FILE|CODE", default_value = "default", value_parser = parse_profile)]
    profile: Hours,
    #[command(flatten)]
    facts: Facts,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Working hours and closures, as they were asked for.
#[derive(Debug, Clone)]
struct Hours {
    name: String,
    profile: Profile,
}

/// What is told of a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Answer {
    /// In Shanghai, RFC 3339.
    from: String,
    n: u16,
    unit: TimeUnit,
    profile: String,
    /// In Shanghai, RFC 3339; midnight at the end of a day is its last microsecond.
    due: String,
    /// It touches days whose notice is not published.
    provisional: bool,
    /// Version of the calendar in thousands, and of the working hours.
    calendar_version: u32,
    /// Rest days that did not count, or that the last day was moved past.
    skipped: Vec<Days>,
}

/// Prints the due time.
pub fn run(args: &Args) -> Result<ExitCode> {
    let answer = answer(args)?;
    if args.json {
        out::json(&answer)?;
    } else {
        out::text(&answer.text())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(args: &Args) -> Result<Answer> {
    let calendar = args.facts.calendar()?;
    let Hours { name, profile } = &args.profile;
    let limit = Limit::new(args.unit, args.n);
    let Due { at, provisional, calendar_version } = calendar.add(limit.unit, limit.n, args.from, profile);
    Ok(Answer {
        from: shanghai(args.from),
        n: args.n,
        unit: args.unit,
        profile: name.clone(),
        due: shanghai(at),
        provisional,
        calendar_version,
        skipped: Days::runs(calendar.skipped(limit, args.from, at, profile)),
    })
}

impl Answer {
    fn text(&self) -> String {
        let mut text = format!(
            "起 from      {}\n限 limit     {} {} ({})\n到 due       {}\n",
            self.from, self.n, self.unit, self.profile, self.due
        );
        if self.provisional {
            text += "暂定 provisional: it touches days whose notice is not published; weekends only were counted\n";
        }
        text += &format!("版本 calendar {}\n", self.calendar_version);
        for days in &self.skipped {
            text += &format!("略过 skipped  {}  {}\n", days.text(), kind_text(days.kind));
        }
        text
    }
}

/// RFC 3339 at +08:00, with as many decimals as there are.
fn shanghai(at: DateTime<Utc>) -> String {
    format!("{}+08:00", local(at).format("%Y-%m-%dT%H:%M:%S%.f"))
}

fn parse_from(text: &str) -> Result<DateTime<Utc>, String> {
    let plain = || {
        let forms = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
        forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
    };
    let at = match DateTime::parse_from_rfc3339(text) {
        Ok(at) => Some(at.to_utc()),
        Err(_) => plain().map(|time| instant(time.date(), time.time())),
    };
    at.filter(|at| (1..=9999).contains(&local(*at).year())).ok_or_else(|| {
        "neither RFC 3339 such as 2026-02-13T08:30:00.5Z nor a time in Shanghai such as \"2026-02-13 16:30\"".into()
    })
}

fn parse_unit(text: &str) -> Result<TimeUnit, String> {
    text.parse().map_err(|_| format!("one of {}", TimeUnit::ALL.map(TimeUnit::as_str).join(", ")))
}

fn parse_profile(text: &str) -> Result<Hours, String> {
    let name = text.to_owned();
    if let Some(profile) = working_hours().get(text) {
        return Ok(Hours { name, profile: profile.clone() });
    }
    if !Path::new(text).is_file() {
        let codes: Vec<&str> = working_hours().keys().map(String::as_str).collect();
        return Err(format!("no file, and no working hours of the release; these are: {}", codes.join(", ")));
    }
    let order = std::fs::read_to_string(text).map_err(|error| format!("cannot be read: {error}"))?;
    let order = HoursOrder::from_toml(&order).map_err(|error| error.to_string())?;
    Ok(Hours { name, profile: order.over(usual_hours()) })
}

#[cfg(test)]
mod tests {
    use calendar::DayKind;
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Line::try_parse_from([&["due"], line].concat()).map(|line| line.args)
    }

    fn asked(from: &str, n: u16, unit: &str) -> Answer {
        let n = n.to_string();
        answer(&parse(&["--from", from, "--n", &n, "--unit", unit]).unwrap()).unwrap()
    }

    #[test]
    fn every_vector_of_the_domain_model_is_answered() {
        for (unit, from, n, due) in [
            ("work_day", "2026-02-13 10:00", 1, "2026-02-14T17:00:00"),
            ("work_day", "2026-02-13 10:00", 2, "2026-02-24T17:00:00"),
            ("work_day", "2026-02-13 10:00", 3, "2026-02-25T17:00:00"),
            ("work_day", "2026-02-15 10:00", 1, "2026-02-24T17:00:00"),
            ("work_day", "2026-09-30 10:00", 1, "2026-10-08T17:00:00"),
            ("work_day", "2026-09-30 10:00", 2, "2026-10-09T17:00:00"),
            ("work_day", "2026-09-30 10:00", 5, "2026-10-13T17:00:00"),
            ("work_day", "2026-04-30 10:00", 5, "2026-05-11T17:00:00"),
            ("work_day", "2025-09-26 10:00", 5, "2025-10-10T17:00:00"),
            ("work_day", "2025-01-27 10:00", 5, "2025-02-10T17:00:00"),
            ("work_day", "2025-12-31 10:00", 1, "2026-01-04T17:00:00"),
            ("work_day", "2025-12-31 10:00", 2, "2026-01-05T17:00:00"),
            ("work_day", "2024-02-09 10:00", 1, "2024-02-18T17:00:00"),
            ("work_day", "2020-01-23 10:00", 1, "2020-02-03T17:00:00"),
            ("work_hour", "2026-02-13 16:30", 1, "2026-02-14T09:00:00"),
            ("work_hour", "2026-02-13 16:30", 2, "2026-02-14T10:00:00"),
            ("work_hour", "2026-02-14 16:00", 4, "2026-02-24T11:30:00"),
            ("work_hour", "2026-09-30 11:00", 4, "2026-09-30T17:00:00"),
            ("work_hour", "2026-10-10 10:00", 9, "2026-10-12T14:30:00"),
            ("work_hour", "2025-12-31 18:00", 2, "2026-01-04T10:30:00"),
            ("cal_hour", "2026-02-13 16:30", 2, "2026-02-13T18:30:00"),
            ("cal_day", "2026-02-05 10:00", 15, "2026-02-24T23:59:59.999999"),
            ("cal_day", "2026-09-16 10:00", 15, "2026-10-08T23:59:59.999999"),
            ("cal_day", "2026-04-10 10:00", 15, "2026-04-27T23:59:59.999999"),
            ("month", "2026-01-31 10:00", 1, "2026-02-28T23:59:59.999999"),
        ] {
            let answer = asked(from, n, unit);
            assert_eq!(answer.due, format!("{due}+08:00"), "{from} +{n} {unit}");
            assert!(!answer.provisional, "{from} +{n} {unit}");
            assert_eq!(answer.calendar_version, 1001);
        }
    }

    #[test]
    fn every_form_of_an_instant_means_the_same() {
        for from in [
            "2026-02-13 16:30",
            "2026-02-13T16:30",
            "2026-02-13 16:30:00",
            "2026-02-13T16:30:00.000",
            "2026-02-13T16:30:00+08:00",
            "2026-02-13T08:30:00Z",
            "2026-02-13T03:30:00.000000-05:00",
        ] {
            assert_eq!(asked(from, 1, "work_hour").due, "2026-02-14T09:00:00+08:00", "{from}");
        }
        assert_eq!(asked("2026-02-13T08:30:00.25Z", 2, "cal_hour").due, "2026-02-13T18:30:00.250+08:00");
        assert_eq!(asked("2026-02-13 16:30", 0, "work_day").due, "2026-02-13T16:30:00+08:00");
    }

    #[test]
    fn what_was_skipped_is_named_by_its_kind() {
        let run =
            |from: &str, to: &str, kind| Days { from: from.parse().unwrap(), to: to.parse().unwrap(), kind };
        assert_eq!(
            asked("2026-02-13 10:00", 2, "work_day").skipped,
            [run("2026-02-15", "2026-02-23", DayKind::Holiday)],
            "Saturday 14 is a make-up day"
        );
        assert_eq!(
            asked("2026-04-10 10:00", 15, "cal_day").skipped,
            [run("2026-04-25", "2026-04-26", DayKind::Weekend)],
            "only what the last day rolled past"
        );
        assert_eq!(
            asked("2026-01-31 10:00", 1, "month").skipped,
            [],
            "Saturday 28 February is a make-up day"
        );
        assert_eq!(asked("2026-02-13 16:30", 200, "cal_hour").skipped, []);
        assert!(asked("2026-02-13 10:00", 2, "work_day").text().contains("2026-02-15 – 2026-02-23"));
    }

    #[test]
    fn an_unpublished_year_is_said_to_be_provisional_until_its_notice_is_laid_over() {
        let answer = asked("2026-12-31 10:00", 1, "work_day");
        assert!(answer.provisional && answer.text().contains("provisional"));
        assert_eq!(answer.due, "2027-01-01T17:00:00+08:00");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("2027.toml");
        let notice = "title_year = 2027\nversion = 1\npapers = [\"https://www.gov.cn/2027\"]\n[[holiday]]\n\
                      name = \"元旦\"\noff = [\"2027-01-01/2027-01-03\"]\n";
        std::fs::write(&file, notice).unwrap();
        let path = file.display().to_string();
        let line = ["--from", "2026-12-31 10:00", "--n", "1", "--unit", "work_day", "--notice", &path];
        let firm = super::answer(&parse(&line).unwrap()).unwrap();
        assert_eq!((firm.due.as_str(), firm.provisional), ("2027-01-04T17:00:00+08:00", false));
        assert_eq!(firm.calendar_version, 2001);
        std::fs::write(&file, notice.replace("2027-01-01/", "2027-13-01/")).unwrap();
        let error = super::answer(&parse(&line).unwrap()).unwrap_err();
        assert!(format!("{error:#}").contains("notice.holiday[0].off[0]"), "{error:#}");
    }

    #[test]
    fn the_hours_and_closures_of_a_unit_are_read_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("street.toml");
        let order = "unit = \"420103005\"\nversion = 2\nauthority_ref = \"江防指〔2026〕3号\"\n[[season]]\n\
                     from = \"01-01\"\nspans = [\"08:30-12:00\", \"14:00-17:00\"]\n[[season]]\nfrom = \"06-01\"\n\
                     spans = [\"08:00-12:00\", \"15:00-18:00\"]\n[[closure]]\ncode = \"flood\"\n\
                     from = \"2026-07-09\"\nto = \"2026-07-10\"\n";
        std::fs::write(&file, order).unwrap();
        let path = file.display().to_string();
        let due = |from: &str, unit: &str| {
            let line = ["--from", from, "--n", "1", "--unit", unit, "--profile", &path];
            super::answer(&parse(&line).unwrap()).unwrap()
        };
        let answer = due("2026-07-08 10:00", "work_day");
        assert_eq!(answer.due, "2026-07-13T18:00:00+08:00", "closed for two days, then the summer's hours");
        assert_eq!((answer.profile.as_str(), answer.calendar_version), (path.as_str(), 1002));
        let kinds: Vec<DayKind> = answer.skipped.iter().map(|days| days.kind).collect();
        assert_eq!(kinds, [DayKind::Closed, DayKind::Weekend]);
        assert!(answer.text().contains("停办"));
        assert_eq!(due("2026-03-02 11:30", "work_hour").due, "2026-03-02T14:30:00+08:00");
        assert_eq!(due("2026-06-08 11:30", "work_hour").due, "2026-06-08T15:30:00+08:00");
        std::fs::write(&file, order.replace("2026-07-10", "2026-07-01")).unwrap();
        let line = ["--from", "2026-07-08 10:00", "--n", "1", "--unit", "work_day", "--profile", &path];
        let error = parse(&line).err().map(|error| error.to_string()).unwrap();
        assert!(error.contains("order.closure[0].to"), "{error}");
    }

    #[test]
    fn a_bad_argument_is_named() {
        let good = ["--from", "2026-02-13 16:30", "--n", "1", "--unit", "work_day", "--profile", "default"];
        assert!(parse(&good).is_ok());
        for (place, bad) in [
            (1, "yesterday"),
            (1, "2026-02-30 10:00"),
            (1, "2026-02-13"),
            (1, "10000-01-01 10:00"),
            (3, "-1"),
            (3, "70000"),
            (3, "1.5"),
            (5, "fortnight"),
            (7, "nobody"),
        ] {
            let mut line = good;
            line[place] = bad;
            let error = match parse(&line) {
                Ok(_) => panic!("{bad} was taken"),
                Err(error) => error,
            };
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(good[place - 1]) || bad == "-1", "{bad}: {error}");
        }
    }

    #[test]
    fn the_longest_limits_from_the_last_year_are_answered() {
        for unit in TimeUnit::ALL {
            assert!(asked("9999-12-31 23:59", u16::MAX, unit.as_str()).due.contains("+08:00"), "{unit}");
        }
    }
}
