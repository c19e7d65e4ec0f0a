//! `bench import`: a history through `jianghan import`'s own way, into an empty suite and then the same from another system into
//! what the first has left: how fast, whether it slows as the tables grow, what it costs, and how long the figures and the index of
//! words take to follow.

use std::{path::Path, process::ExitCode, time::Instant};

use anyhow::{Context, Result, ensure};
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
/// Over tables as large as a history as fast as into empty ones, but for what two measurements of the same differ by.
const AGAIN_BY_FIRST: f64 = 0.9;
/// Of what is imported first, and again: the same rows as other cases.
const SOURCES: [&str; 2] = [history::SOURCE, "bench-again"];

/// Arguments of `bench import`.
#[derive(ClapArgs)]
pub struct Args {
    /// Cases of the history, which is imported twice: as one system's and as another's.
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
    /// Into an empty suite.
    first: Part,
    /// The same from another system, into what the first has left, when everything had followed.
    again: Part,
    memory_mb: MemoryMb,
    /// Durable single-row commits per second by pgbench with one client.
    floor_1: f64,
    differences: Option<usize>,
    statements: Vec<Statement>,
    marks: Vec<Mark>,
}

/// One import.
#[derive(Serialize)]
struct Part {
    cases: u64,
    seconds: f64,
    cases_per_second: f64,
    /// Processor time of a case until the last answer, in microseconds; this process is client and services.
    process_us_a_case: f64,
    postgres_us_a_case: f64,
    /// Cases a second that one core gives.
    cases_per_core_second: f64,
    /// From the last answer until the figures had followed, and until every word could be found; seconds.
    figures_follow_seconds: f64,
    words_follow_seconds: f64,
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
    let server_id = server.pid().unsigned_abs();
    let [first, again] = SOURCES.map(|source| part(args, site, server_id, &file, source));
    let (first, again) = (first.await?, again.await?); // one after the other
    let statements = match args.statements {
        0 => Vec::new(),
        limit => usage::statements(server, limit).await?,
    };
    let differences = match args.reconcile {
        true => Some(reconcile::reconcile(&site.suite, &site.operator).await?.differences.len()),
        false => None,
    };
    let by_first = again.cases_per_second / first.cases_per_second;
    let marks = vec![
        Mark::at_least("cases/s", first.cases_per_second, RATE),
        Mark::at_least("cases/s, again", again.cases_per_second, RATE),
        Mark::at_least("again by first", round(by_first), AGAIN_BY_FIRST),
    ];
    let memory_mb = MemoryMb::of(usage::memory(std::process::id()));
    Ok(Report { first, again, memory_mb, floor_1: round(floor_1), differences, statements, marks })
}

/// Imports the file as what a system had, and waits until everything has followed.
async fn part(args: &Args, site: &Site, server_id: u32, file: &Path, source: &str) -> Result<Part> {
    let used = || (usage::seconds(std::process::id()), usage::tree_seconds(server_id));
    let before = used();
    let began = Instant::now();
    let outcome = site.import(file, source, args.cases, args.json).await?;
    let seconds = began.elapsed().as_secs_f64();
    let after = used();
    let (figures, words) = site.settle(&outcome).await?;
    ensure!(outcome.counts.imported == args.cases, "not all was imported: {:?}", outcome.counts);
    let cases = args.cases as f64;
    let (process, postgres) = (after.0 - before.0, after.1 - before.1);
    Ok(Part {
        cases: args.cases,
        seconds: round(seconds),
        cases_per_second: round(cases / seconds),
        process_us_a_case: round(process / cases * 1e6),
        postgres_us_a_case: round(postgres / cases * 1e6),
        cases_per_core_second: round(cases / (process + postgres)),
        figures_follow_seconds: round(figures),
        words_follow_seconds: round(words),
    })
}

fn print(report: &Report) -> Result<()> {
    for (part, into) in [(&report.first, "into empty tables"), (&report.again, "again, into these")] {
        out::say!(
            "{} cases {into} in {:.1} s: {:.0} cases/s",
            part.cases,
            part.seconds,
            part.cases_per_second
        )?;
        out::say!(
            "  processor a case: process {:.0} µs, PostgreSQL {:.0} µs; {:.0} cases/s a core",
            part.process_us_a_case,
            part.postgres_us_a_case,
            part.cases_per_core_second
        )?;
        out::say!(
            "  figures followed after {:.1} s, words after {:.1} s",
            part.figures_follow_seconds,
            part.words_follow_seconds
        )?;
    }
    out::say!("  memory {:.0} MB; floor {:.0} commits/s", report.memory_mb.resident, report.floor_1)?;
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
