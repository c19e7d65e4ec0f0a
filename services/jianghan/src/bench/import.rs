//! `bench import`: a history through `jianghan import`'s own way, into an empty suite: how fast, whether it slows as the
//! tables grow, what it costs, and how long the figures and the index of words take to follow.

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use serde::Serialize;

use super::{
    floor,
    history::{self, Site},
    marks::{self, Mark},
    report::{MemoryMb, round},
    usage::{self, Statement},
};
use crate::{out, reconcile};

/// Cases a second.
const RATE: f64 = 10_000.0;
/// The last tenth as fast as the first, but for what two measurements of the same differ by.
const LAST_BY_FIRST: f64 = 0.9;

/// Arguments of `bench import`.
#[derive(ClapArgs)]
pub struct Args {
    /// Cases of the history.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(10_000..=10_000_000))]
    cases: u64,
    /// Compare afterwards what the services hold; takes some time.
    #[arg(long)]
    reconcile: bool,
    /// Show this many of the dearest statements; counting them costs some speed.
    #[arg(long, default_value_t = 0)]
    statements: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    cases: u64,
    seconds: f64,
    cases_per_second: f64,
    /// Of the first and of the last tenth: does it slow as the tables grow?
    first_tenth_per_second: f64,
    last_tenth_per_second: f64,
    /// Processor time of a case until the last answer, in microseconds; this process is client and services.
    process_us_a_case: f64,
    postgres_us_a_case: f64,
    /// Cases a second that one core gives.
    cases_per_core_second: f64,
    /// From the last answer until the figures had followed, and until every word could be found; seconds.
    figures_follow_seconds: f64,
    words_follow_seconds: f64,
    memory_mb: MemoryMb,
    /// Durable single-row commits per second by pgbench with one client.
    floor_1: f64,
    differences: Option<usize>,
    statements: Vec<Statement>,
    marks: Vec<Mark>,
}

/// Launches, imports, prints; exits 1 when a mark is missed or the services differ afterwards.
pub async fn run(args: Args) -> Result<ExitCode> {
    let site = Site::launch(args.json, args.statements > 0).await?;
    let outcome = measure(&args, &site).await;
    site.launched.stop().await?;
    let report = outcome?;
    if args.json {
        out::json(&report)?;
    } else {
        print(&report)?;
    }
    let clean = report.differences.is_none_or(|differences| differences == 0);
    Ok(if clean && marks::all_met(&report.marks) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(args: &Args, site: &Site) -> Result<Report> {
    let server = site.launched.postgres.as_ref().context("the bench runs its own PostgreSQL")?;
    let (floor_1, _) = floor::measure(server, 2, 3).await?;
    let file = site.folder.join("history.csv");
    history::write(&file, args.cases, &site.communities().await?, &[], chassis::Clock::system().now())?;
    if args.statements > 0 {
        usage::reset_statements(server).await?;
    }
    let used = || (usage::seconds(std::process::id()), usage::tree_seconds(server.pid().unsigned_abs()));
    let before = used();
    let began = Instant::now();
    let (outcome, points) = site.import(&file, args.cases, args.json).await?;
    let seconds = began.elapsed().as_secs_f64();
    let after = used();
    let statements = match args.statements {
        0 => Vec::new(),
        limit => usage::statements(server, limit).await?,
    };
    let (figures, words) = site.settle(&outcome).await?;
    let differences = match args.reconcile {
        true => Some(reconcile::reconcile(&site.suite, &site.operator).await?.differences.len()),
        false => None,
    };
    let cases = outcome.counts.imported as f64;
    let (process, postgres) = (after.0 - before.0, after.1 - before.1);
    let (per_second, first, last) = (cases / seconds, rate(&points, 0.0, 0.1), rate(&points, 0.9, 1.0));
    Ok(Report {
        cases: outcome.counts.imported,
        seconds: round(seconds),
        cases_per_second: round(per_second),
        first_tenth_per_second: round(first),
        last_tenth_per_second: round(last),
        process_us_a_case: round(process / cases * 1e6),
        postgres_us_a_case: round(postgres / cases * 1e6),
        cases_per_core_second: round(cases / (process + postgres)),
        figures_follow_seconds: round(figures),
        words_follow_seconds: round(words),
        memory_mb: MemoryMb::of(usage::memory(std::process::id())),
        floor_1: round(floor_1),
        differences,
        statements,
        marks: vec![
            Mark::at_least("cases/s", round(per_second), RATE),
            Mark::at_least("last tenth by the first", round(last / first), LAST_BY_FIRST),
        ],
    })
}

/// Rows a second between two parts of the whole.
fn rate(points: &[(u64, f64)], from: f64, to: f64) -> f64 {
    let all = points.last().map_or(0, |(rows, _)| *rows) as f64;
    let at = |part: f64| {
        let found = points.iter().take_while(|(rows, _)| *rows as f64 <= part * all).last();
        found.copied().unwrap_or((0, 0.0))
    };
    let ((a, since), (b, until)) = (at(from), at(to));
    (b - a) as f64 / (until - since).max(1e-9)
}

fn print(report: &Report) -> Result<()> {
    out::say!(
        "{} cases in {:.1} s: {:.0} cases/s, {:.0} in the first tenth, {:.0} in the last",
        report.cases,
        report.seconds,
        report.cases_per_second,
        report.first_tenth_per_second,
        report.last_tenth_per_second
    )?;
    out::say!(
        "  processor a case: process {:.0} µs, PostgreSQL {:.0} µs; {:.0} cases/s a core; floor {:.0} commits/s",
        report.process_us_a_case,
        report.postgres_us_a_case,
        report.cases_per_core_second,
        report.floor_1
    )?;
    out::say!(
        "  figures followed after {:.1} s, words after {:.1} s; memory {:.0} MB",
        report.figures_follow_seconds,
        report.words_follow_seconds,
        report.memory_mb.resident
    )?;
    out::text(&marks::lines(&report.marks))?;
    if let Some(differences) = report.differences {
        out::say!("  reconcile: {differences} differences")?;
    }
    for statement in &report.statements {
        out::say!(
            "  {:>9.1} ms {:>7} calls {:>9} rows {:>10} log bytes  {}: {}",
            statement.total_ms,
            statement.calls,
            statement.rows,
            statement.wal_bytes,
            statement.database,
            statement.text
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_a_part_is_its_rows_by_its_time() {
        let points: Vec<(u64, f64)> =
            (1..=10).map(|n| (n * 100, if n <= 5 { n as f64 } else { 2.0 * n as f64 - 5.0 })).collect();
        assert!((rate(&points, 0.0, 0.1) - 100.0).abs() < 1e-6);
        assert!((rate(&points, 0.9, 1.0) - 50.0).abs() < 1e-6);
    }
}
