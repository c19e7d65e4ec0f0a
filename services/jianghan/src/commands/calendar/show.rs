//! `jianghan calendar show`.

use std::process::ExitCode;

use anyhow::Result;
use calendar::DayKind;
use clap::Args as ClapArgs;
use serde::Serialize;

use super::{Days, Facts};
use crate::out;

/// Arguments of `calendar show`.
#[derive(ClapArgs)]
pub struct Args {
    /// Which year.
    #[arg(long, value_name = "Y", value_parser = clap::value_parser!(i32).range(1..=9999))]
    year: i32,
    #[command(flatten)]
    facts: Facts,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is known of a year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Answer {
    year: i32,
    /// Without a notice only weekends are rest days, and every due time in the year is provisional.
    published: bool,
    calendar_version: u32,
    /// Of the notice that the year is known from; 0: none.
    notice_version: u32,
    days: usize,
    work_days: usize,
    /// Rest days that a notice names, weekends among them.
    off_days: Vec<Days>,
    /// Saturdays and Sundays that are worked.
    make_up_days: Vec<Days>,
    papers: Vec<String>,
}

/// Prints the year.
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
    let of = |kind| Days::runs(calendar.days_of(args.year).filter(|(_, is)| *is == kind));
    Ok(Answer {
        year: args.year,
        published: calendar.is_published(args.year),
        calendar_version: calendar.version(),
        notice_version: calendar.notice_version(args.year),
        days: calendar.days_of(args.year).count(),
        work_days: calendar.work_days_in_year(args.year),
        off_days: of(DayKind::Holiday),
        make_up_days: of(DayKind::MakeUp),
        papers: calendar.papers(args.year).to_vec(),
    })
}

impl Answer {
    fn text(&self) -> String {
        let mut text = format!(
            "{}  {} 工作日 working days of {}  (calendar {}, notice {})\n",
            self.year, self.work_days, self.days, self.calendar_version, self.notice_version
        );
        if !self.published {
            text += "未公布 not published: weekends only are known, due times are provisional\n";
        }
        for days in &self.off_days {
            text += &format!("休 off        {}\n", days.text());
        }
        for days in &self.make_up_days {
            text += &format!("班 make-up    {}\n", days.text());
        }
        for paper in &self.papers {
            text += &format!("文件 paper    {paper}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn shown(year: &str) -> Answer {
        answer(&Line::try_parse_from(["show", "--year", year]).unwrap().args).unwrap()
    }

    #[test]
    fn a_year_is_shown_with_its_days_and_papers() {
        for (year, work_days) in [("2024", 251), ("2025", 248), ("2026", 248)] {
            assert_eq!(shown(year).work_days, work_days, "{year}");
        }
        let year = shown("2026");
        assert!(year.published && year.days == 365 && year.papers.len() == 1);
        let make_up: Vec<String> = year.make_up_days.iter().map(Days::text).collect();
        assert_eq!(
            make_up,
            ["2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10"]
        );
        assert_eq!(year.off_days[1].text(), "2026-02-15 – 2026-02-23");
        assert!(year.text().contains("248"));
    }

    #[test]
    fn a_year_without_a_notice_is_shown_as_unknown() {
        let year = shown("2027");
        assert!(!year.published && year.off_days.is_empty() && year.papers.is_empty());
        assert_eq!(year.work_days, 261, "weekends only");
        assert!(year.text().contains("not published"));
    }

    #[test]
    fn a_year_that_cannot_be_is_refused() {
        for year in ["0", "10000", "two"] {
            let error = Line::try_parse_from(["show", "--year", year]).err().map(|error| error.to_string());
            assert!(error.is_some_and(|error| error.contains("--year")), "{year}");
        }
    }
}
