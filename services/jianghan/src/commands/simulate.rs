//! `jianghan simulate`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::Args as ClapArgs;

use super::{Target, try_report, write_json};
use crate::{
    out,
    simulate::{
        self, Options,
        input::{self, Row},
    },
};

/// What it does to the suite's time.
const TIME: &str = "Moves domain time forward, never back. The suite has to allow it: `up` does, services of their \
    own with JIANGHAN_ALLOW_TIME_TRAVEL=true; a real district never should. Time may go 20 years ahead of real \
    time in all; what goes on from there begins in a new data folder (up --data-dir DIR).";

/// Arguments of `simulate`.
#[derive(ClapArgs)]
#[command(after_help = TIME)]
pub struct Args {
    /// CSV of messages with the columns subject[,detail][,time][,label], or any columns that --columns maps.
    #[arg(long, value_name = "FILE.csv", required_unless_present = "synthetic")]
    messages: Option<PathBuf>,
    /// Mapping file: which columns hold what, and which labels stand for which items. Without it the shipped mapping
    /// that fits the header is used.
    #[arg(long, value_name = "MAP.toml")]
    columns: Option<PathBuf>,
    /// Play so many made-up requests of one day instead of a file.
    #[arg(long, value_name = "N", conflicts_with = "messages")]
    synthetic: Option<u64>,
    /// At most so many messages.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Decides places and chances, together with the row.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests that may be worked on at once.
    #[arg(long, value_name = "C", default_value_t = 16)]
    concurrency: usize,
    /// How long to wait, at the end, for events under way, in seconds; 0 looks once. What is left is told in the report, and
    /// the exit code is 1.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    drain: u64,
    /// Write the report as JSON, also when something could not be compared: that is told in it, and the exit code is 1.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Print the report as JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Args {
    fn options(&self) -> Options {
        Options {
            seed: self.seed,
            concurrency: self.concurrency,
            patience: Duration::from_secs(60),
            progress: !self.json,
            drain: Duration::from_secs(self.drain),
            ..Options::default()
        }
    }

    /// What arrives, from an instant on.
    fn rows(&self, start: DateTime<Utc>) -> Result<Vec<Row>> {
        match (&self.messages, self.synthetic) {
            (Some(path), _) => input::read(path, self.columns.as_deref(), self.limit, start),
            (None, count) => Ok(input::synthetic(count.unwrap_or(300), self.seed, start)),
        }
    }
}

/// Plays, reports, and exits 1 unless nothing was lost, nothing happened twice, nobody is stuck, every event was handled and all
/// could be compared.
pub async fn run(args: Args) -> Result<ExitCode> {
    args.report.as_deref().map_or(Ok(()), try_report)?;
    let file = args.target.read()?;
    let (report, _) = simulate::run(&file, &args.options(), |start| args.rows(start)).await?;
    if let Some(undrained) = &report.undrained {
        out::note!("jianghan: {undrained}; comparing all the same");
    }
    for failure in &report.failures {
        out::note!("jianghan: not told: {failure}");
    }
    if let Some(path) = &args.report {
        write_json(path, &report)?;
    }
    if args.json {
        out::json(&report)?;
    } else {
        out::text(&report.table())?;
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &[&str]) -> Args {
        Line::try_parse_from([&["simulate"], line].concat()).expect("its arguments").args
    }

    #[test]
    fn seed_and_concurrency_are_those_that_were_asked_for() {
        let options = parse(&["--synthetic", "9", "--seed", "7", "--concurrency", "3"]).options();
        assert_eq!((options.seed, options.concurrency), (7, 3));
        let options = parse(&["--synthetic", "9"]).options();
        assert_eq!((options.seed, options.concurrency), (1, 16));
    }

    #[test]
    fn what_arrives_is_as_much_of_the_file_as_was_asked_for_or_a_day_of_the_seed() {
        let mut file = tempfile::NamedTempFile::new().expect("a scratch file");
        write!(file, "subject\n路灯不亮\n垃圾堆积\n水管漏水\n").expect("written");
        let path = file.path().to_str().expect("a path in UTF-8");
        let texts = |line: &[&str]| -> Vec<String> {
            let rows = parse(line).rows(DateTime::UNIX_EPOCH).expect("rows");
            rows.into_iter().map(|row| row.text).collect()
        };
        assert_eq!(texts(&["--messages", path, "--limit", "2"]), ["路灯不亮", "垃圾堆积"]);
        assert_eq!(texts(&["--messages", path]).len(), 3);
        let day = |seed| texts(&["--synthetic", "20", "--seed", seed]);
        assert_eq!((day("7").len(), day("7") == day("7"), day("7") == day("8")), (20, true, false));
    }
}
