//! Plays residents and everybody who serves them against a running suite, over its gRPC API only, and reports what
//! came of it. It must never reach into a service.

pub mod actors;
pub mod clock;
mod closing;
mod handling;
pub mod input;
pub(crate) mod keywords;
pub mod life;
pub(crate) mod mapping;
mod offers;
pub mod report;

pub use handling::lead_task;
pub(crate) use offers::{best_known, volunteers};

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{sync::Semaphore, task::JoinSet};

use self::{
    actors::Actors,
    clock::DomainClock,
    input::Row,
    life::Life,
    report::{Counters, Report, Run},
};
use crate::{
    reconcile::Reconciliation,
    suite::{AccountsFile, Addresses, Session, Suite},
};

/// How a simulation is played.
#[derive(Clone, Debug)]
pub struct Options {
    /// With the row's number, decides the place and every chance.
    pub seed: u64,
    /// How many lives may be active at once.
    pub concurrency: usize,
    /// How long, in real time, a life waits for events of other services, and repeats calls to one that is away.
    pub patience: Duration,
    /// How many resident accounts take part.
    pub residents: u64,
    /// Whether to draw a progress bar.
    pub progress: bool,
    /// How long to wait, at the end, for events under way.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            concurrency: 16,
            patience: Duration::from_secs(30),
            residents: 200,
            progress: true,
            drain: Duration::from_secs(120),
        }
    }
}

/// What all lives share.
pub struct World {
    pub(crate) suite: Suite,
    pub(crate) actors: Arc<Actors>,
    pub(crate) clock: Arc<DomainClock>,
    pub(crate) awake: Arc<Semaphore>,
    pub(crate) seed: u64,
    pub(crate) residents: u64,
    pub(crate) patience: Duration,
    acknowledged: Mutex<BTreeSet<String>>,
    bar: ProgressBar,
}

impl World {
    /// Notes a registration that was acknowledged.
    pub(crate) fn registered(&self, case_id: &str) {
        let mut acknowledged = self.acknowledged.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        acknowledged.insert(case_id.to_owned());
    }
}

/// The account that may look at statistics and move domain time.
pub fn operator(suite: &Suite, file: &AccountsFile) -> Result<Arc<Session>> {
    let account = file.accounts.iter().find(|account| account.role == "it_operator");
    Ok(Session::new(suite, account.context("the accounts file holds no it_operator")?.clone()))
}

/// Who plays, and where.
pub struct Cast {
    suite: Suite,
    operator: Arc<Session>,
    actors: Arc<Actors>,
    addresses: Addresses,
}

impl Cast {
    /// Everybody whom an accounts file names, none of whom has signed in yet; whoever does stays so from one run to the next. Calls to
    /// a service that is away are repeated for so long.
    pub async fn load(file: &AccountsFile, patience: Duration) -> Result<Self> {
        let suite = Suite::patient(&file.addresses, patience)?;
        let operator = operator(&suite, file)?;
        let actors = Arc::new(Actors::load(&suite, file).await?);
        Ok(Self { suite, operator, actors, addresses: file.addresses.clone() })
    }
}

/// What has been played, before anybody looked at what came of it.
pub struct Played {
    suite: Suite,
    operator: Arc<Session>,
    run: Run,
}

impl Played {
    /// Together with what was played after it: both are looked at as one run.
    pub fn and(self, later: Self) -> Self {
        Self { run: self.run.and(later.run), ..self }
    }

    /// Drains, reconciles and reports.
    pub async fn report(self) -> Result<(Report, Reconciliation)> {
        report::make(&self.suite, &self.operator, self.run).await
    }
}

/// Plays the rows that `rows` makes from the domain's now, drains, reconciles and reports.
pub async fn run(
    file: &AccountsFile,
    options: &Options,
    rows: impl FnOnce(chrono::DateTime<chrono::Utc>) -> Result<Vec<Row>>,
) -> Result<(Report, Reconciliation)> {
    play(&Cast::load(file, options.patience).await?, options, rows).await?.report().await
}

/// Plays the rows that `rows` makes from the domain's now, each to its end.
pub async fn play(
    cast: &Cast,
    options: &Options,
    rows: impl FnOnce(chrono::DateTime<chrono::Utc>) -> Result<Vec<Row>>,
) -> Result<Played> {
    let Cast { suite, operator, actors, addresses } = cast;
    let clock = DomainClock::start(suite, operator.clone()).await?;
    let started = clock.now();
    let rows = rows(started)?;
    clock.step_by(step(&rows));
    let before = Counters::read(suite, operator).await?;
    let bar = if options.progress { ProgressBar::new(rows.len() as u64) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("  {bar:40} {pos}/{len} 件 cases  {elapsed}  {per_sec}")?);
    let world = Arc::new(World {
        suite: suite.clone(),
        actors: actors.clone(),
        clock: clock.clone(),
        awake: Arc::new(Semaphore::new(options.concurrency.max(1))),
        seed: options.seed,
        residents: options.residents.max(1),
        patience: options.patience,
        acknowledged: Mutex::default(),
        bar,
    });

    let wall = std::time::Instant::now();
    let mut lives = JoinSet::new();
    for row in rows {
        clock.enter();
        let world = world.clone();
        lives.spawn(async move {
            let _left = Leave(world.clock.clone());
            Life::live(world, row).await
        });
    }
    let mut driver = tokio::spawn(clock.clone().drive());
    let (mut ended, mut stuck) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            result = &mut driver => {
                result??;
            }
            life = lives.join_next() => match life {
                None => break,
                Some(life) => {
                    world.bar.inc(1);
                    match life? {
                        Ok(life) => ended.push(life),
                        Err(error) => stuck.push(format!("{error:#}")),
                    }
                }
            }
        }
    }
    driver.abort();
    world.bar.finish_and_clear();
    let wall = wall.elapsed();
    let acknowledged =
        std::mem::take(&mut *world.acknowledged.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    let run = Run {
        acknowledged,
        ended,
        stuck,
        wall,
        domain: clock.now() - started,
        before,
        addresses: addresses.clone(),
        drain: options.drain,
    };
    Ok(Played { suite: suite.clone(), operator: operator.clone(), run })
}

/// How far the clock may overshoot a wake-up: ten minutes for a day, up to four hours for years, so that a long file takes
/// no more steps than a short one.
fn step(rows: &[Row]) -> chrono::Duration {
    let span = match rows {
        [first, .., last] => last.arrival - first.arrival,
        _ => chrono::Duration::zero(),
    };
    (span / 5000).clamp(chrono::Duration::minutes(10), chrono::Duration::hours(4))
}

/// Counts a life as gone however it ends.
struct Leave(Arc<DomainClock>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.leave();
    }
}
