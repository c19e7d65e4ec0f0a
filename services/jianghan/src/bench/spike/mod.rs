//! `bench spike`: registrations that arrive whatever becomes of the ones before (an open loop), in steps of very different
//! rates, beside users who play lifecycles (a closed loop). A registration may be refused only with a time to come again, and
//! must be taken when it comes again at that time; soon after each burst all is as fast as before.

mod report;

use std::{
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use hdrhistogram::Histogram;
use proto::case_routing::v1::{Channel, RegisterCaseRequest, Urgency};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;
use tonic::Status;

use self::report::{Registrations, Seconds, SpikeReport};
use super::players::{self, Bench, STREETS, advised_wait};
use crate::{
    launch::{Launch, Launched, SeedScope, Shape},
    out,
    simulate::actors::Actors,
    suite::{Session, Suite, request_id},
};

/// Registrations per second, step by step, at scale 1: 1, 15, 1, 25, 2, 35 and 10 times twenty.
const PROFILE: [f64; 7] = [20.0, 300.0, 20.0, 500.0, 40.0, 700.0, 200.0];
/// Seconds that the users play before the first step.
const WARM_UP: u64 = 5;
/// Connections that the arrivals share.
const CONNECTIONS: usize = 4;
/// How long after the last step those who were told to come again are waited for.
const LATEST: Duration = Duration::from_secs(180);
/// Residents who register.
const RESIDENTS: u32 = 50;

/// Arguments of `bench spike`.
#[derive(ClapArgs)]
pub struct Args {
    /// Which shape.
    #[arg(long, value_enum, default_value = "all-in-one")]
    shape: Shape,
    /// All rates times this, so that the bursts are more than the machine can take.
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    scale: f64,
    /// Length of each of the seven steps.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(6..=600))]
    seconds_per_step: u64,
    /// Users of the closed loop.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    users: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale.is_finite() && scale > 0.0 && scale <= 1_000.0 => Ok(scale),
        _ => Err("must be a number above 0, at most 1000".to_owned()),
    }
}

/// Launches, plays the profile, prints; exits 1 when a mark is missed.
pub async fn run(args: Args) -> Result<ExitCode> {
    let folder = tempfile::tempdir().context("a scratch folder")?;
    let settings = folder.path().join("bench.toml");
    std::fs::write(&settings, "[services.staffing]\nauto_accept = true\n")?;
    let launch = Launch {
        shape: args.shape,
        dir: folder.path().to_owned(),
        port: 0,
        faults: None,
        seed: SeedScope { streets: Some(STREETS.map(str::to_owned).to_vec()), residents: Some(RESIDENTS) },
        throw_away: true,
        statistics: false,
        binary: std::env::current_exe().context("the path of this binary")?,
        config: Some(settings),
        environment: vec![("JIANGHAN_LOG".into(), "warn".into())],
    };
    let quiet = args.json;
    let told = move |what: &str| {
        if !quiet {
            out::note!("  … {what}");
        }
    };
    let launched = launch.start(told).await?;
    let outcome = measure(&args, &launched, told).await;
    launched.stop().await?;
    let report = outcome?;
    if args.json {
        out::json(&report)?;
    } else {
        out::text(&report.table())?;
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What arrivals and users note, second by second.
struct Spike {
    began: Instant,
    seconds: Mutex<Seconds>,
    registrations: Mutex<Registrations>,
    lifecycles: AtomicU64,
    bench: Arc<Bench>,
    suites: Vec<Suite>,
    residents: Vec<Arc<Session>>,
    places: Vec<String>,
    seconds_per_step: u64,
}

async fn measure(args: &Args, launched: &Launched, told: impl Fn(&str)) -> Result<SpikeReport> {
    let suite = launched.suite()?;
    let actors = Arc::new(Actors::load(&suite, &launched.accounts).await?);
    let bench = Arc::new(Bench::new(suite, actors.clone(), "CJ-0112".to_owned()));
    let casts = (0..u64::from(args.users)).map(|user| bench.cast(user)).collect::<Result<Vec<_>>>()?;
    let places = casts.iter().map(|cast| cast.place.clone()).collect();
    let mut residents = Vec::new();
    for n in 0..u64::from(RESIDENTS) {
        let session = actors.resident(n, u64::from(RESIDENTS))?.clone();
        session.request(()).await?; // signs in: a burst is one of registrations, not of passwords
        residents.push(session);
    }
    let suites = (0..CONNECTIONS).map(|_| launched.suite()).collect::<Result<Vec<_>>>()?;
    let total = PROFILE.len() as u64 * args.seconds_per_step;
    let spike = Arc::new(Spike {
        began: Instant::now() + Duration::from_secs(WARM_UP),
        seconds: Mutex::new(Seconds::new(total)?),
        registrations: Mutex::new(Registrations::new(PROFILE.len())?),
        lifecycles: AtomicU64::new(0),
        bench: bench.clone(),
        suites,
        residents,
        places,
        seconds_per_step: args.seconds_per_step,
    });

    let mut users = JoinSet::new();
    for user in 0..u64::from(args.users) {
        users.spawn(spike.clone().user(user));
    }
    let mut arrivals = JoinSet::new();
    let mut chance = StdRng::seed_from_u64(1);
    let mut due = spike.began;
    let mut number = 0;
    for (step, rate) in PROFILE.iter().enumerate() {
        let rate = rate * args.scale;
        told(&format!("{rate} 件/秒 registrations per second, {} s", args.seconds_per_step));
        let end = spike.began + Duration::from_secs((step as u64 + 1) * args.seconds_per_step);
        loop {
            // Arrivals that know nothing of one another.
            due += Duration::from_secs_f64(-chance.random_range(f64::EPSILON..1.0).ln() / rate);
            if due >= end {
                due = end;
                break;
            }
            tokio::time::sleep_until(due.into()).await;
            arrivals.spawn(spike.clone().arrival(number, step, due));
            number += 1;
            while arrivals.try_join_next().is_some() {}
        }
        tokio::time::sleep_until(end.into()).await;
    }
    bench.stopping.store(true, Ordering::Relaxed);
    while users.join_next().await.is_some() {}
    told("等候改时再来的 those who were told to come again");
    let all = async { while arrivals.join_next().await.is_some() {} };
    let in_time = tokio::time::timeout(LATEST, all).await.is_ok();
    spike.report(args, in_time)
}

impl Spike {
    fn record(&self, took: Duration) {
        let Some(since) = Instant::now().checked_duration_since(self.began) else { return };
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        seconds.record(since.as_secs(), took);
    }

    fn note(&self, what: impl FnOnce(&mut Registrations)) {
        what(&mut self.registrations.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// One user until told to stop.
    async fn user(self: Arc<Self>, user: u64) {
        let Ok(cast) = self.bench.cast(user) else { return };
        while !self.bench.stopping.load(Ordering::Relaxed) {
            match self.bench.lifecycle(&cast).await {
                Ok(steps) => {
                    self.lifecycles.fetch_add(1, Ordering::Relaxed);
                    for took in steps {
                        self.record(took);
                    }
                }
                Err(error) => {
                    self.bench.note(&error);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// One resident registers, and comes again once if told to.
    async fn arrival(self: Arc<Self>, number: usize, step: usize, due: Instant) {
        self.note(|all| all.offered[step] += 1);
        let request = RegisterCaseRequest {
            request_id: request_id(),
            text: "楼道口堆了垃圾，几天没有人清理，希望尽快看看。".into(),
            place_unit_id: self.places[number % self.places.len()].clone(),
            channel: Channel::App.into(),
            notice_version: "v1".into(),
            urgency: Urgency::Normal.into(),
            ..Default::default()
        };
        match self.tries(number, &request, false).await {
            Ok(()) => {
                // From when it was due, so that a generator that lags behind hides nothing.
                self.record(due.elapsed());
                self.note(|all| all.at_once[step] += 1);
            }
            Err(status) => match advised_wait(&status) {
                Some(wait) => {
                    self.note(|all| all.refused(step, due.elapsed(), wait));
                    tokio::time::sleep(wait).await;
                    self.comes_again(number, &request).await;
                }
                None => self.failed(&status),
            },
        }
    }

    async fn comes_again(&self, number: usize, request: &RegisterCaseRequest) {
        let began = Instant::now();
        match self.tries(number, request, true).await {
            Ok(()) => {
                self.record(began.elapsed());
                self.note(|all| all.on_retry += 1);
            }
            Err(status) if advised_wait(&status).is_some() => self.note(|all| all.refused_again += 1),
            Err(status) => self.failed(&status),
        }
    }

    async fn tries(&self, number: usize, request: &RegisterCaseRequest, again: bool) -> Result<(), Status> {
        let resident = &self.residents[number % self.residents.len()];
        let request = players::request(resident, request.clone(), again).await?;
        self.suites[number % self.suites.len()].cases().register_case(request).await.map(drop)
    }

    fn failed(&self, status: &Status) {
        self.note(|all| all.errors += 1);
        self.bench.note(&anyhow::anyhow!("registration: {:?} {}", status.code(), status.message()));
    }

    fn report(&self, args: &Args, in_time: bool) -> Result<SpikeReport> {
        let seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        if !in_time {
            registrations.never_came = registrations.outstanding();
        }
        let rates = PROFILE.map(|rate| rate * args.scale);
        let first = self.bench.first_errors.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut report = SpikeReport::of(&seconds, &registrations, &rates, self.seconds_per_step)?;
        report.shape = if args.shape == Shape::AllInOne { "all-in-one" } else { "distributed" }.to_owned();
        report.scale = args.scale;
        report.users = usize::from(args.users);
        report.lifecycles = self.lifecycles.load(Ordering::Relaxed);
        report.user_retries = self.bench.retries.load(Ordering::Relaxed);
        report.user_refused_again = self.bench.refused_again.load(Ordering::Relaxed);
        report.errors = self.bench.errors.load(Ordering::Relaxed);
        report.first_errors = first;
        report.judge();
        Ok(report)
    }
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 120_000_000, 2)?)
}
