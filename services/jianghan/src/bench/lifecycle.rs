//! `bench lifecycle`: a closed loop of users, each playing one lifecycle after the other. One lifecycle: *create* =
//! registered … dispatched in one command; *assign* = signed, and the worker's acceptance seen on the case; *resolve* =
//! first contact, then completed; *search* = the requester's own cases, newest first, with the new one among them.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::{Args as ClapArgs, builder::ArgPredicate};
use proto::ops::v1::GetStatisticsResponse;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{
    compare, floor, history, marks,
    players::{Bench, RESIDENTS, STEPS, STREETS, fresh_histograms},
    report::{LifecycleReport, MemoryMb, Step, bucket_quantile, round},
    usage,
};
use crate::{
    launch::{Launch, Launched, SeedScope, Shape},
    out, reconcile,
    simulate::{self, actors::Actors},
    suite::{Session, Suite},
};

/// What is played before anything is measured, for sign-ins, caches and plans.
pub(super) const WARM_UP_SECONDS: u64 = 5;

/// Arguments of `bench lifecycle`.
#[derive(ClapArgs)]
pub struct Args {
    /// Which shape.
    #[arg(long, value_enum, default_value = "all-in-one")]
    pub(super) shape: Shape,
    /// Users of the closed loop.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) users: u16,
    /// Measured time, in seconds; five more go before it. With `--compare` it is 8 unless told.
    #[arg(long, default_value_t = 60, default_value_if("compare", ArgPredicate::IsPresent, "8"), value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(super) seconds: u64,
    /// Cases that the users play before, as far as dispatch: all of today, open, in two streets, of the 50 residents who play.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    preload: u64,
    /// Cases of a made-up history that are imported before, which is much faster: of three years and the whole district, nearly
    /// all closed; each of the 50 residents who play has one in a thousand of them.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    history: u64,
    /// Catalogue item of every case.
    #[arg(long, default_value = "CJ-0112")]
    pub(super) item: String,
    /// Show this many of the dearest statements; counting them costs some speed.
    #[arg(long, default_value_t = 0)]
    statements: u16,
    /// Compare suites with histories of so many cases each, measured in turn; exit 1 when medians of five rounds or more, by the
    /// floor of the same round, differ by more than 15 %. Each measurement leaves its own cases behind: where they come to more than a
    /// half of the next size nothing is judged, so keep `--seconds` short.
    #[arg(long, value_name = "N,N…", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(0..=10_000_000), conflicts_with_all = ["preload", "history", "statements"])]
    pub(super) compare: Vec<u64>,
    /// Measurements of each suite that `--compare` takes the median of; fewer than five are not held against the mark.
    #[arg(long, default_value_t = 5, requires = "compare", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) rounds: u16,
    /// Exit 1 also when a mark is missed; they hold for 100,000 cases before, preloaded and imported ones together, or more.
    /// Without it they are only told. With `--compare`: also when it is not judged.
    #[arg(long)]
    pub(super) marks: bool,
    /// Measure once for each line of standard input, and answer each by a line of JSON.
    #[arg(long, hide = true)]
    on_demand: bool,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Launches, preloads, measures the floor, measures, prints; exits 1 on an error, and when asked to also for a mark.
pub async fn run(args: Args) -> Result<ExitCode> {
    if !args.compare.is_empty() {
        return compare::run(&args).await;
    }
    let folder = tempfile::tempdir().context("a scratch folder")?;
    // Workers on duty accept at once, as their duty rule says; the bench still waits to see it on the case.
    let settings = folder.path().join("bench.toml");
    std::fs::write(&settings, "[services.staffing]\nauto_accept = true\n")?;
    let launch = Launch {
        shape: args.shape,
        dir: folder.path().to_owned(),
        port: 0,
        faults: None,
        seed: SeedScope { streets: Some(STREETS.map(str::to_owned).to_vec()), residents: Some(RESIDENTS) },
        throw_away: true,
        statistics: args.statements > 0,
        binary: std::env::current_exe().context("the path of this binary")?,
        config: Some(settings),
        environment: vec![("JIANGHAN_LOG".into(), "warn".into())],
    };
    let quiet = args.json || args.on_demand;
    let launched = launch
        .start(|what| {
            if !quiet {
                out::note!("  … {what}");
            }
        })
        .await?;
    let outcome = measured(&args, &launched, quiet).await;
    launched.stop().await?;
    Ok(if outcome? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prepares, then measures once, or as often as it is asked to; gives whether all was as it should be.
async fn measured(args: &Args, launched: &Launched, quiet: bool) -> Result<bool> {
    let operator = simulate::operator(&launched.suite()?, &launched.accounts)?;
    let actors = Arc::new(Actors::load(&launched.suite()?, &launched.accounts).await?);
    let field = Field { args, launched, operator, actors };
    let prepare = async {
        let bench = field.bench()?;
        bench.preload(args.preload, usize::from(args.users), quiet).await?;
        let scratch = tempfile::tempdir().context("a scratch folder")?;
        let patient = Suite::patient(&launched.addresses, Duration::from_secs(60))?;
        let importer = simulate::operator(&patient, &launched.accounts)?;
        let own = bench.residents()?;
        history::preload(&patient, &importer, scratch.path(), args.history, &own, quiet).await
    };
    if args.on_demand {
        return Ok(on_demand(&field, prepare).await? == 0);
    }
    prepare.await?;
    let report = field.measure().await?;
    if args.json {
        out::json(&report)?;
    } else {
        out::text(&report.table())?;
    }
    Ok(report.errors == 0 && (!args.marks || marks::all_met(&report.marks)))
}

/// Prepares, says so, and measures for each line of standard input; ends with it, also before all is prepared.
async fn on_demand(field: &Field<'_>, prepare: impl Future<Output = Result<()>>) -> Result<u64> {
    let (ask, mut asked) = tokio::sync::mpsc::channel(1);
    let mut asking = tokio::spawn(async move {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(_)) = lines.next_line().await {
            if ask.send(()).await.is_err() {
                break;
            }
        }
    });
    tokio::select! {
        prepared = prepare => prepared?,
        _ = &mut asking => return Ok(0),
    }
    out::say!("{}", compare::READY)?;
    let mut errors = 0;
    while asked.recv().await.is_some() {
        let report = field.measure().await?;
        errors += report.errors;
        out::say!("{}", serde_json::to_string(&report)?)?;
    }
    Ok(errors)
}

/// A suite that is ready to be measured.
struct Field<'a> {
    args: &'a Args,
    launched: &'a Launched,
    operator: Arc<Session>,
    actors: Arc<Actors>,
}

impl Field<'_> {
    fn bench(&self) -> Result<Arc<Bench>> {
        Ok(Arc::new(Bench::new(self.launched.suite()?, self.actors.clone(), self.args.item.clone())))
    }

    /// The floor, then lifecycles for the time that was asked for.
    async fn measure(&self) -> Result<LifecycleReport> {
        let Self { args, launched, operator, .. } = self;
        let users = usize::from(args.users);
        let suite = launched.suite()?;
        let bench = self.bench()?;
        let server = launched.postgres.as_ref().context("the bench runs its own PostgreSQL")?;
        let (floor_1, floor_users) = floor::measure(server, users, 5).await?;

        let mut tasks = Vec::new();
        for user in 0..users {
            tasks.push(tokio::spawn(bench.clone().user(user as u64)));
        }
        tokio::time::sleep(Duration::from_secs(WARM_UP_SECONDS)).await;
        let before = reconcile::statistics(&suite, operator).await?;
        if args.statements > 0 {
            usage::reset_statements(server).await?;
        }
        let used_before = processor_seconds(launched);
        bench.measuring.store(true, Ordering::Relaxed);
        let began = Instant::now();
        tokio::time::sleep(Duration::from_secs(args.seconds)).await;
        bench.measuring.store(false, Ordering::Relaxed);
        let seconds = began.elapsed().as_secs_f64();
        let used = processor_seconds(launched);
        let after = reconcile::statistics(&suite, operator).await?;
        bench.stopping.store(true, Ordering::Relaxed);
        let mut histograms = fresh_histograms()?;
        for task in tasks {
            for (total, part) in histograms.iter_mut().zip(task.await??) {
                total.add(&part)?;
            }
        }
        let lifecycles = bench.finished.load(Ordering::Relaxed);
        let per_second = lifecycles as f64 / seconds;
        let lags: Vec<i64> = after["analytics"]
            .lag_buckets
            .iter()
            .zip(&before["analytics"].lag_buckets)
            .map(|(after, before)| after - before)
            .collect();
        let memory_mb = memory(launched);
        let statements = match args.statements {
            0 => Vec::new(),
            limit => usage::statements(server, limit).await?,
        };
        let published = |sum: &BTreeMap<&'static str, GetStatisticsResponse>| -> i64 {
            sum.values().map(|statistics| statistics.published).sum()
        };
        let first_errors =
            bench.first_errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let mut report = LifecycleReport {
            shape: if args.shape == Shape::AllInOne { "all-in-one" } else { "distributed" }.to_owned(),
            users,
            preloaded: args.preload,
            imported: args.history,
            seconds: round(seconds),
            lifecycles,
            lifecycles_per_second: round(per_second),
            steps: STEPS.into_iter().zip(histograms.iter().map(Step::of)).collect(),
            errors: bench.errors.load(Ordering::Relaxed),
            first_errors,
            retries: bench.retries.load(Ordering::Relaxed),
            memory_total_mb: MemoryMb::sum(memory_mb.values()),
            memory_mb,
            processor_ms: used
                .iter()
                .map(|(who, seconds)| {
                    (*who, round((seconds - used_before[who]) * 1e3 / lifecycles.max(1) as f64))
                })
                .collect(),
            events_per_second: round((published(&after) - published(&before)) as f64 / seconds),
            analytics_lag_p50_ms: bucket_quantile(&lags, 0.5),
            analytics_lag_p99_ms: bucket_quantile(&lags, 0.99),
            floor_1: round(floor_1),
            floor_users: round(floor_users),
            ratio_to_floor: (per_second / floor_users * 1e4).round() / 1e4,
            statements,
            marks: Vec::new(),
        };
        report.judge();
        Ok(report)
    }
}

/// Processor seconds so far by who used them. In the all-in-one the load generator is in the one process.
fn processor_seconds(launched: &Launched) -> BTreeMap<&'static str, f64> {
    let mut used = BTreeMap::from([("this process", usage::seconds(std::process::id()))]);
    if let Some(server) = &launched.postgres {
        used.insert("postgresql", usage::tree_seconds(server.pid().unsigned_abs()));
    }
    if let Some(broker) = &launched.rabbit {
        used.insert("rabbitmq", usage::tree_seconds(broker.pid().unsigned_abs()));
    }
    let services = launched.processes();
    if !services.is_empty() {
        used.insert("services", services.iter().map(|process| usage::seconds(process.pid())).sum());
    }
    used
}

/// Memory of the services, the gateway among them.
fn memory(launched: &Launched) -> BTreeMap<String, MemoryMb> {
    let of = |pid| MemoryMb::of(usage::memory(pid));
    match launched.processes() {
        [] => BTreeMap::from([("jianghan".to_owned(), of(std::process::id()))]),
        all => all.iter().map(|process| (process.service.to_owned(), of(process.pid()))).collect(),
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

    fn seconds(line: &[&str]) -> u64 {
        Line::try_parse_from([&["lifecycle"], line].concat()).expect("its arguments").args.seconds
    }

    #[test]
    fn a_comparison_measures_for_a_short_time_unless_it_is_told() {
        assert_eq!((seconds(&[]), seconds(&["--seconds", "5"])), (60, 5));
        assert_eq!(seconds(&["--compare", "0,100000"]), 8);
        assert_eq!(seconds(&["--compare", "0,100000", "--seconds", "5"]), 5);
    }
}
