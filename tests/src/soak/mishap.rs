//! What may befall a process or a server, and how long it then takes until it serves again.

use std::{
    fmt,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use chassis::crash::SEAMS;
use jianghan::{reconcile, suite::SERVICES};
use nix::sys::signal::Signal;
use rand::{RngExt, rngs::StdRng};
use tokio_util::sync::CancellationToken;

use crate::World;

/// Services that tell much, and services that hear much: a seam elsewhere would be waited for in vain.
const PUBLISHERS: [&str; 3] = ["case-routing", "staffing", "volunteer-matching"];
const CONSUMERS: [&str; 4] = ["analytics", "staffing", "case-routing", "volunteer-matching"];

/// How long a process may go on without passing the seam at which it is to abort; then it is killed.
const SEAM: Duration = Duration::from_secs(30);
/// How long a stop in order may take (a promise).
const STOP: Duration = Duration::from_secs(25);

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mishap {
    /// `kill -9` of a process.
    Killed(&'static str),
    /// SIGTERM: it stops in order.
    Stopped(&'static str),
    /// It aborts at the nth passage of a seam of outbox or inbox.
    Aborted(&'static str, &'static str, u32),
    /// It stands still, with all its connections and leases, and then goes on as if nothing had been.
    Frozen(&'static str, Duration),
    /// `kill -9` of RabbitMQ.
    BrokerKilled,
    /// RabbitMQ stops and comes back later.
    BrokerAway(Duration),
    /// `kill -9` of PostgreSQL.
    DatabaseKilled,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// From the new start until it serves, the broker until events arrive again; nothing if that was not seen, because nothing was to
    /// do any more.
    pub back: Option<Duration>,
    /// How long a stop in order took.
    pub stop: Option<Duration>,
    /// Whether that which was to happen did: a seam may not be passed, a stop may fail.
    pub happened: bool,
    /// How a process ended that was to abort and did something else.
    pub ended: Option<ExitStatus>,
}

impl Mishap {
    /// Draws one; what befalls processes is likelier than what befalls the servers that all of them need.
    pub fn draw(chance: &mut StdRng) -> Self {
        match chance.random_range(0..100) {
            0..30 => Self::Killed(any(chance, &processes())),
            30..50 => Self::Stopped(any(chance, &SERVICES)), // nobody calls the gateway here
            50..75 => {
                let seam = any(chance, &SEAMS);
                let passes: &[_] = if seam.starts_with("inbox.") { &CONSUMERS } else { &PUBLISHERS };
                Self::Aborted(any(chance, passes), seam, chance.random_range(1..=50))
            }
            75..85 => {
                let time = Duration::from_millis(chance.random_range(1_000..=8_000));
                Self::Frozen(any(chance, &SERVICES), time)
            }
            85..92 => Self::BrokerKilled,
            92..94 => Self::BrokerAway(Duration::from_secs(chance.random_range(5..=30))),
            _ => Self::DatabaseKilled,
        }
    }

    /// Its kind, as the report counts it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Killed(_) => "killed",
            Self::Stopped(_) => "stopped",
            Self::Aborted(..) => "aborted",
            Self::Frozen(..) => "frozen",
            Self::BrokerKilled => "broker_killed",
            Self::BrokerAway(_) => "broker_away",
            Self::DatabaseKilled => "database_killed",
        }
    }

    /// Lets it happen and mends it.
    pub async fn befalls(&self, world: &World, quiet: &CancellationToken) -> Result<Outcome> {
        let mut outcome = Outcome { back: None, stop: None, happened: true, ended: None };
        match *self {
            Self::Killed(service) => {
                world.kills(service).await;
                outcome.back = Some(comes_back(world, service).await);
            }
            Self::Stopped(service) => {
                let begun = Instant::now();
                outcome.happened =
                    world.stops(service, STOP).await.inspect_err(|why| eprintln!("{why:#}")).is_ok();
                outcome.stop = Some(begun.elapsed());
                outcome.back = Some(comes_back(world, service).await);
            }
            Self::Aborted(service, seam, nth) => {
                world.kills(service).await;
                world.restarts(service, &[("JIANGHAN_CRASH_AT", &format!("{seam}:{nth}"))]).await;
                let ended = world.ends_within(service, SEAM).await;
                outcome.happened = ended.is_some_and(|ended| ended.signal() == Some(Signal::SIGABRT as i32));
                outcome.ended = ended.filter(|_| !outcome.happened);
                if ended.is_none() {
                    world.kills(service).await;
                }
                outcome.back = Some(comes_back(world, service).await);
            }
            Self::Frozen(service, time) => {
                world.signals(service, Signal::SIGSTOP).await?;
                tokio::time::sleep(time).await;
                world.signals(service, Signal::SIGCONT).await?;
                let begun = Instant::now();
                world.answers(service).await;
                outcome.back = Some(begun.elapsed());
            }
            Self::BrokerKilled => {
                let begun = {
                    let mut launched = world.launched.lock().await;
                    let rabbit = launched.rabbit.as_mut().context("the world has its own RabbitMQ")?;
                    rabbit.kill9().await?;
                    let begun = Instant::now();
                    rabbit.restart().await?;
                    begun
                };
                outcome.back = events_arrive(world, quiet, begun).await;
            }
            Self::BrokerAway(time) => {
                let begun = {
                    let mut launched = world.launched.lock().await;
                    let rabbit = launched.rabbit.as_mut().context("the world has its own RabbitMQ")?;
                    rabbit.stop().await?;
                    tokio::time::sleep(time).await;
                    let begun = Instant::now();
                    rabbit.restart().await?;
                    begun
                };
                outcome.back = events_arrive(world, quiet, begun).await;
            }
            Self::DatabaseKilled => {
                let begun = {
                    let mut launched = world.launched.lock().await;
                    let postgres = launched.postgres.as_mut().context("the world has its own PostgreSQL")?;
                    postgres.kill9().await?;
                    let begun = Instant::now();
                    postgres.restart().await?;
                    begun
                };
                for service in SERVICES {
                    world.answers(service).await;
                }
                outcome.back = Some(begun.elapsed());
            }
        }
        Ok(outcome)
    }
}

impl fmt::Display for Mishap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(service) => write!(out, "{service} killed"),
            Self::Stopped(service) => write!(out, "{service} stopped"),
            Self::Aborted(service, seam, nth) => write!(out, "{service} aborts at {seam}:{nth}"),
            Self::Frozen(service, time) => {
                write!(out, "{service} stands still for {:.1} s", time.as_secs_f64())
            }
            Self::BrokerKilled => out.write_str("RabbitMQ killed"),
            Self::BrokerAway(time) => write!(out, "RabbitMQ away for {} s", time.as_secs()),
            Self::DatabaseKilled => out.write_str("PostgreSQL killed"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.happened {
            out.write_str("did not happen, ")?;
        }
        if let Some(ended) = self.ended {
            write!(out, "ended with {ended}, ")?;
        }
        if let Some(stop) = self.stop {
            write!(out, "stopped after {:.1} s, ", stop.as_secs_f64())?;
        }
        match self.back {
            Some(back) => write!(out, "back after {:.1} s", back.as_secs_f64()),
            None => out.write_str("nothing was to do any more"),
        }
    }
}

/// Every process of the suite.
fn processes() -> Vec<&'static str> {
    SERVICES.into_iter().chain(["gateway"]).collect()
}

fn any<T: Copy>(chance: &mut StdRng, of: &[T]) -> T {
    of[chance.random_range(0..of.len())]
}

/// Starts it and gives how long it takes to answer.
async fn comes_back(world: &World, service: &str) -> Duration {
    let begun = Instant::now();
    world.restarts(service, &[]).await;
    world.answers(service).await;
    begun.elapsed()
}

/// How long it takes from `begun` until an event arrives at analytics, which hears of everything; nothing if all is quiet before.
async fn events_arrive(world: &World, quiet: &CancellationToken, begun: Instant) -> Option<Duration> {
    let consumed = async || {
        let figures = reconcile::figures(&world.patient, &world.operator, "analytics").await;
        figures.ok().map(|figures| figures.consumed)
    };
    let before = consumed().await;
    while consumed().await <= before {
        quiet.run_until_cancelled(tokio::time::sleep(Duration::from_millis(50))).await?;
    }
    Some(begun.elapsed())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_kind_is_drawn_and_a_seed_draws_the_same_again() {
        let drawn = |seed| {
            let mut chance = StdRng::seed_from_u64(seed);
            (0..1000).map(|_| Mishap::draw(&mut chance)).collect::<Vec<_>>()
        };
        assert_eq!(drawn(7), drawn(7));
        let kinds: BTreeSet<_> = drawn(7).iter().map(Mishap::kind).collect();
        assert_eq!(kinds.len(), 7, "{kinds:?}");
        let seams = drawn(7).into_iter().filter_map(|mishap| match mishap {
            Mishap::Aborted(service, seam, _) => Some((service, seam)),
            _ => None,
        });
        let seams: BTreeSet<_> = seams.collect();
        assert_eq!(seams.len(), 5 * PUBLISHERS.len() + 4 * CONSUMERS.len(), "{seams:?}");
    }
}
