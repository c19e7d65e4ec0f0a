//! `bench lifecycle`: a closed loop of users, each playing one lifecycle after the other. One lifecycle: *create* =
//! registered … dispatched in one command; *assign* = signed, and the worker's acceptance seen on the case; *resolve* =
//! first contact, then completed; *search* = the requester's own cases, newest first, with the new one among them.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use proto::{
    case_routing::v1::{
        AssignmentStatus, CaseState, Channel, CompleteCaseRequest, ContactRequesterRequest, GetCaseRequest,
        IntakeCaseRequest, ListCasesRequest, SignTaskRequest, Urgency,
    },
    ops::v1::GetStatisticsResponse,
};
use tonic::{Code, Status};

use super::{
    floor, history,
    report::{LifecycleReport, MemoryMb, Step, bucket_quantile, round},
    usage,
};
use crate::{
    launch::{Launch, Launched, SeedScope, Shape},
    reconcile,
    simulate::{self, actors::Actors},
    suite::{Session, Suite, request_id},
};

/// Streets whose people are seeded: enough organisations to spread over, few enough to sign in quickly.
pub(super) const STREETS: [&str; 2] = ["420103005", "420103008"];
/// The steps of a lifecycle, in order.
const STEPS: [&str; 4] = ["create", "assign", "resolve", "search"];

/// Arguments of `bench lifecycle`.
#[derive(ClapArgs)]
pub struct Args {
    /// Which shape.
    #[arg(long, value_enum, default_value = "all-in-one")]
    shape: Shape,
    /// Users of the closed loop.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    users: u16,
    /// Measured time, in seconds; five more go before it.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Cases that are there before.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    preload: u64,
    /// Cases of a made-up history that are imported before: much faster than `--preload`, and as large a table.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    history: u64,
    /// Catalogue item of every case.
    #[arg(long, default_value = "CJ-0112")]
    item: String,
    /// Show this many of the dearest statements; counting them costs some speed.
    #[arg(long, default_value_t = 0)]
    statements: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Launches, preloads, measures the floor, measures, prints; exits 1 on an error.
pub async fn run(args: Args) -> Result<ExitCode> {
    let folder = tempfile::tempdir().context("a scratch folder")?;
    // Workers on duty accept at once, as their duty rule says; the bench still waits to see it on the case.
    let settings = folder.path().join("bench.toml");
    std::fs::write(&settings, "[services.staffing]\nauto_accept = true\n")?;
    let launch = Launch {
        shape: args.shape,
        dir: folder.path().to_owned(),
        port: 0,
        faults: None,
        seed: SeedScope { streets: Some(STREETS.map(str::to_owned).to_vec()), residents: Some(50) },
        throw_away: true,
        statistics: args.statements > 0,
        binary: std::env::current_exe().context("the path of this binary")?,
        config: Some(settings),
        environment: vec![("JIANGHAN_LOG".into(), "warn".into())],
    };
    let quiet = args.json;
    let mut launched = launch
        .start(|what| {
            if !quiet {
                eprintln!("  … {what}");
            }
        })
        .await?;
    let outcome = measure(&args, &mut launched).await;
    launched.stop().await?;
    let report = outcome?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(if report.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(args: &Args, launched: &mut Launched) -> Result<LifecycleReport> {
    let users = usize::from(args.users);
    let suite = launched.suite()?;
    let operator = simulate::operator(&suite, &launched.accounts)?;
    let actors = Arc::new(Actors::load(&suite, &launched.accounts).await?);
    let bench = Arc::new(Bench::new(launched.suite()?, actors, args.item.clone()));
    bench.preload(args.preload, users, args.json).await?;
    let scratch = tempfile::tempdir().context("a scratch folder")?;
    let patient = Suite::patient(&launched.addresses, Duration::from_secs(60))?;
    let importer = simulate::operator(&patient, &launched.accounts)?;
    history::preload(&patient, &importer, scratch.path(), args.history, args.json).await?;
    let server = launched.postgres.as_ref().context("the bench runs its own PostgreSQL")?;
    let (floor_1, floor_users) = floor::measure(server, users, 5).await?;

    let mut tasks = Vec::new();
    for user in 0..users {
        tasks.push(tokio::spawn(bench.clone().user(user as u64)));
    }
    tokio::time::sleep(Duration::from_secs(5)).await; // sign-ins, caches, plans
    let before = reconcile::statistics(&suite, &operator).await?;
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
    let after = reconcile::statistics(&suite, &operator).await?;
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
    let first_errors = bench.first_errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    Ok(LifecycleReport {
        shape: if args.shape == Shape::AllInOne { "all-in-one" } else { "distributed" }.to_owned(),
        users,
        preloaded: args.preload + args.history,
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
    })
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

fn fresh_histograms() -> Result<Vec<Histogram<u64>>> {
    STEPS.iter().map(|_| Ok(Histogram::new(3)?)).collect()
}

/// Users who play lifecycles, and what became of them. `bench spike` has them beside its arrivals.
pub(super) struct Bench {
    suite: Suite,
    actors: Arc<Actors>,
    item: String,
    measuring: AtomicBool,
    pub(super) stopping: AtomicBool,
    finished: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) first_errors: Mutex<Vec<String>>,
}

/// What one user needs: the place, and who acts there.
pub(super) struct Cast {
    pub(super) place: String,
    window: Arc<Session>,
    resident: Arc<Session>,
}

/// Calls, and calls again when told to come back later. A macro, because closures that give futures of borrowed
/// arguments are not `Send` in tasks.
macro_rules! again {
    ($bench:expr, $step:literal, $call:expr) => {
        loop {
            match $call {
                Ok(answer) => break answer.into_inner(),
                Err(status) => $bench.wait_as_advised($step, status).await?,
            }
        }
    };
}

impl Bench {
    /// Nobody plays yet.
    pub(super) fn new(suite: Suite, actors: Arc<Actors>, item: String) -> Self {
        Self {
            suite,
            actors,
            item,
            measuring: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            finished: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            first_errors: Mutex::default(),
        }
    }

    /// Waits as long as the answer advises; any other failure ends the lifecycle.
    async fn wait_as_advised(&self, step: &'static str, status: Status) -> Result<()> {
        match advised_wait(&status) {
            Some(wait) => {
                self.retries.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Err(anyhow::Error::from(status).context(step)),
        }
    }

    /// Counts an error and keeps the first ten.
    pub(super) fn note(&self, error: &anyhow::Error) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first_errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if first.len() < 10 {
            first.push(format!("{error:#}"));
        }
    }

    pub(super) fn cast(&self, user: u64) -> Result<Cast> {
        // Only places that somebody of the seeded streets serves.
        let served: Vec<_> = self
            .actors
            .places
            .iter()
            .filter(|place| STREETS.iter().any(|street| place.code.starts_with(street)))
            .collect();
        if served.is_empty() {
            bail!("the seeded streets hold no places");
        }
        let place = served[usize::try_from(user)? % served.len()];
        Ok(Cast {
            place: place.unit_id.clone(),
            window: self.actors.role_at("service_worker", &place.unit_id, user)?.clone(),
            resident: self.actors.resident(user, 50)?.clone(),
        })
    }

    async fn preload(self: &Arc<Self>, count: u64, users: usize, quiet: bool) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(count) };
        bar.set_style(ProgressStyle::with_template("  preload {bar:40} {pos}/{len}  {elapsed}  {per_sec}")?);
        let next = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for user in 0..users.max(64) as u64 {
            let (bench, next, bar) = (self.clone(), next.clone(), bar.clone());
            tasks.push(tokio::spawn(async move {
                let cast = bench.cast(user)?;
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    bench.create(&cast).await?;
                    bar.inc(1);
                }
                Ok::<_, anyhow::Error>(())
            }));
        }
        for task in tasks {
            task.await??;
        }
        bar.finish_and_clear();
        let operator = self.actors.role("it_operator", 0)?;
        reconcile::drain(&self.suite, operator, Duration::from_secs(600)).await
    }

    /// One user until told to stop; gives back the latencies of the measured lifecycles.
    async fn user(self: Arc<Self>, user: u64) -> Result<Vec<Histogram<u64>>> {
        let cast = self.cast(user)?;
        let mut histograms = fresh_histograms()?;
        while !self.stopping.load(Ordering::Relaxed) {
            let measured = self.measuring.load(Ordering::Relaxed);
            match self.lifecycle(&cast).await {
                Ok(times) if measured && self.measuring.load(Ordering::Relaxed) => {
                    for (histogram, time) in histograms.iter_mut().zip(times) {
                        histogram.record(u64::try_from(time.as_micros())?.max(1))?;
                    }
                    self.finished.fetch_add(1, Ordering::Relaxed);
                }
                Ok(_) => {}
                Err(error) => {
                    self.note(&error);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        Ok(histograms)
    }

    pub(super) async fn lifecycle(&self, cast: &Cast) -> Result<[Duration; 4]> {
        let began = Instant::now();
        let (case_id, task_id, org_id) = self.create(cast).await?;
        let created = began.elapsed();

        let began = Instant::now();
        let leader = self.actors.leader(&org_id)?;
        let sign = SignTaskRequest {
            case_id: case_id.clone(),
            request_id: request_id(),
            task_id: task_id.clone(),
            ..Default::default()
        };
        again!(self, "sign", self.suite.tasks().sign_task(leader.request(sign.clone()).await?).await);
        self.accepted(leader, &case_id, &task_id).await?;
        let assigned = began.elapsed();

        let began = Instant::now();
        let handler = self.actors.handler(&org_id)?;
        let contact = ContactRequesterRequest {
            case_id: case_id.clone(),
            request_id: request_id(),
            method: "phone".into(),
            ..Default::default()
        };
        again!(
            self,
            "contact",
            self.suite.tasks().contact_requester(handler.request(contact.clone()).await?).await
        );
        let complete = CompleteCaseRequest {
            case_id: case_id.clone(),
            request_id: request_id(),
            evidence_refs: vec!["photo:after".into()],
            ..Default::default()
        };
        again!(
            self,
            "complete",
            self.suite.tasks().complete_case(handler.request(complete.clone()).await?).await
        );
        let resolved = began.elapsed();

        let began = Instant::now();
        let search = ListCasesRequest { page_size: 10, mine: true, ..Default::default() };
        let found = again!(
            self,
            "search",
            self.suite.cases().list_cases(cast.resident.request(search.clone()).await?).await
        );
        // Users share residents, so the new case is among the newest, not always the first.
        match found.cases.iter().find(|case| case.case_id == case_id) {
            Some(case) if case.state() >= CaseState::Completed => {}
            Some(case) => bail!("search: the completed case shows as {}", case.state().as_str_name()),
            None => bail!("search: the own case is not among the newest"),
        }
        Ok([created, assigned, resolved, began.elapsed()])
    }

    /// Registered … dispatched in one command: case, lead task, lead organisation.
    async fn create(&self, cast: &Cast) -> Result<(String, String, String)> {
        let request = IntakeCaseRequest {
            request_id: request_id(),
            text: "楼道口堆了垃圾，几天没有人清理，希望尽快看看。".into(),
            place_unit_id: cast.place.clone(),
            channel: Channel::Phone.into(),
            item_code: self.item.clone(),
            requester_id: cast.resident.account.person_id.clone(),
            notice_version: "v1".into(),
            urgency: Urgency::Normal.into(),
            ..Default::default()
        };
        let case = again!(
            self,
            "create",
            self.suite.cases().intake_case(cast.window.request(request.clone()).await?).await
        )
        .case
        .context("create answered without a case")?;
        let lead = simulate::lead_task(&case).context("create answered without a lead task")?;
        Ok((case.case_id.clone(), lead.task_id.clone(), lead.org_id.clone()))
    }

    /// Waits until the case shows that a worker has accepted.
    async fn accepted(&self, reader: &Session, case_id: &str, task_id: &str) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut pause = Duration::from_millis(20);
        loop {
            tokio::time::sleep(pause).await;
            let request = GetCaseRequest { case_id: case_id.to_owned() };
            let case = again!(
                self,
                "get",
                self.suite.cases().get_case(reader.request(request.clone()).await?).await
            )
            .case
            .context("an answer without a case")?;
            let task = case.tasks.iter().find(|task| task.task_id == task_id).context("the task is gone")?;
            match task.assignment() {
                AssignmentStatus::Accepted => return Ok(()),
                AssignmentStatus::Unfilled => bail!("assign: no worker was found"),
                _ if Instant::now() > deadline => bail!("assign: no acceptance within 30 s"),
                _ => pause = (pause * 3 / 2).min(Duration::from_millis(50)),
            }
        }
    }
}

/// How long a `RESOURCE_EXHAUSTED` answer asks to wait.
pub(super) fn advised_wait(status: &Status) -> Option<Duration> {
    use tonic_types::StatusExt;
    if status.code() != Code::ResourceExhausted {
        return None;
    }
    status.get_details_retry_info()?.retry_delay
}
