//! `jianghan calendar`: what the working calendar makes of a limit, what it knows of a year, the yearly notice, and orders
//! about the working hours of units. `due` and `show` are pure: they ask no service and read no file but a notice or an
//! order that is named.

mod due;
mod notice;
mod show;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use calendar::{Calendar, DayKind, Notice};
use chrono::NaiveDate;
use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;

pub use self::notice::load_or_create;
use crate::out;

/// Arguments of `calendar`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// When a limit that begins at an instant ends.
    Due(due::Args),
    /// What is known of a year: working days, rest days, make-up days, papers.
    Show(show::Args),
    /// Make the key pair that signs notices and orders, and print the public key that the services are to trust.
    Key(notice::KeyArgs),
    /// Check a year's notice, or an order about working hours, and sign it.
    Sign(notice::SignArgs),
    /// Bring a signed notice or order to a running suite.
    Import(notice::ImportArgs),
}

/// Runs one of them.
pub async fn run(args: Args) -> Result<ExitCode> {
    match args.action {
        Action::Due(args) => due::run(&args),
        Action::Show(args) => show::run(&args),
        Action::Key(args) => notice::key(&args),
        Action::Sign(args) => notice::sign(&args),
        Action::Import(args) => notice::import(args).await,
    }
}

/// The calendar to count with: the shipped one, with notices laid over it.
#[derive(ClapArgs)]
struct Facts {
    /// Count as if this notice were in force; may be repeated. Without it the calendar of the release is used.
    #[arg(long, value_name = "FILE.toml")]
    notice: Vec<PathBuf>,
}

impl Facts {
    fn calendar(&self) -> Result<Calendar> {
        let mut calendar = Calendar::builtin().clone();
        for path in &self.notice {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("--notice: cannot read {}", path.display()))?;
            let notice = Notice::from_toml(&text)
                .with_context(|| format!("--notice: {} is no notice", path.display()))?;
            warn_if_passed_over(&calendar, &notice);
            calendar = calendar.laid_over(&notice.year, notice.version)?;
        }
        Ok(calendar)
    }
}

/// A notice that is older than what is known of its year would change nothing.
fn warn_if_passed_over(known: &Calendar, notice: &Notice) {
    let (year, version) = (notice.year.title_year, notice.version);
    if known.has_newer(year, version) {
        let newer = known.notice_version(year);
        out::note!("warning: version {version} of {year} is passed over: version {newer} is known");
    }
}

/// A run of days of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Days {
    from: NaiveDate,
    /// Included.
    to: NaiveDate,
    kind: DayKind,
}

impl Days {
    /// Joins days that follow each other and are of one kind.
    fn runs(days: impl IntoIterator<Item = (NaiveDate, DayKind)>) -> Vec<Self> {
        let mut runs: Vec<Self> = Vec::new();
        for (day, kind) in days {
            match runs.last_mut() {
                Some(run) if run.kind == kind && run.to.succ_opt() == Some(day) => run.to = day,
                _ => runs.push(Self { from: day, to: day, kind }),
            }
        }
        runs
    }

    fn text(&self) -> String {
        if self.from == self.to { self.from.to_string() } else { format!("{} – {}", self.from, self.to) }
    }
}

const fn kind_text(kind: DayKind) -> &'static str {
    match kind {
        DayKind::Work => "工作日 working day",
        DayKind::MakeUp => "调休上班 make-up day",
        DayKind::Weekend => "周末 weekend",
        DayKind::Holiday => "节假日 holiday",
        DayKind::Closed => "停办 closed by order",
    }
}
