//! The promises of the spine at length: rounds of made-up requests, during which one mishap after another befalls the suite of
//! processes. At the end of each round, while it is left alone, everything is looked at; the first round that is not clean is
//! the last, so that what it left can be looked into.

mod mishap;
mod report;

use std::time::{Duration, Instant};

use anyhow::Result;
use jianghan::simulate::report::Report as Round;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;

use self::mishap::Mishap;
pub use self::report::Report;
use crate::{World, tables};

/// How long the events of a round may take to be handled once nothing befalls the suite any more.
const DRAIN: Duration = Duration::from_secs(300);

/// How long it goes on, and with what.
#[derive(Clone, Debug)]
pub struct Options {
    /// No round begins after so long.
    pub time: Duration,
    /// Nor after so many mishaps.
    pub mishaps: Option<usize>,
    /// Requests of a round.
    pub requests: u64,
    /// Longest time between a mishap and the next.
    pub pause: Duration,
    /// Decides requests and mishaps.
    pub seed: u64,
}

/// Goes on until the time is over, there were mishaps enough, `stop` says so or a round is not clean.
///
/// # Errors
/// When something could not be done at all.
///
/// # Panics
/// When something that was started again does not come back.
pub async fn run(options: &Options, stop: &CancellationToken, tell: impl Fn(&str)) -> Result<Report> {
    let world = World::distributed().await;
    let _turn = world.alone().await;
    tell(&format!("logs: {}", world.dir.display()));
    let begun = Instant::now();
    let mut chance = StdRng::seed_from_u64(options.seed);
    let mut report = Report::new(options.seed);
    loop {
        let seed = options.seed.wrapping_mul(1_000_003).wrapping_add(report.rounds);
        let quiet = CancellationToken::new();
        let playing = async {
            let played = world.only_plays(options.requests, seed, DRAIN).await;
            quiet.cancel();
            played
        };
        let mishaps = befall(world, options.pause, &mut chance, &quiet, &mut report, &tell);
        let (played, troubled) = tokio::join!(playing, mishaps);
        troubled?;
        let (round, _) = played?.report().await?;
        world.consumes_every_group().await;
        report.ends_round(world, &round).await?;
        tell(&report.line(&round, begun.elapsed()));
        if !round.is_clean() {
            tell(&evidence(world, &round).await);
            break;
        }
        let enough = options.mishaps.is_some_and(|mishaps| report.befell() >= mishaps);
        if enough || begun.elapsed() >= options.time || stop.is_cancelled() || !report.is_clean() {
            break;
        }
        world.otlp.forget();
    }
    report.minutes = begun.elapsed().as_secs_f64() / 60.0;
    Ok(report)
}

/// One mishap after another until all is to be quiet.
async fn befall(
    world: &World,
    pause: Duration,
    chance: &mut StdRng,
    quiet: &CancellationToken,
    report: &mut Report,
    tell: impl Fn(&str),
) -> Result<()> {
    loop {
        let pause = pause.mul_f64(chance.random_range(0.1..=1.0));
        if quiet.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(());
        }
        let mishap = Mishap::draw(chance);
        let outcome = mishap.befalls(world, quiet).await?;
        tell(&format!("  {mishap}: {outcome}"));
        report.note(&mishap, &outcome);
    }
}

/// What a round that is not clean leaves to look into.
async fn evidence(world: &World, round: &Round) -> String {
    let mut told = round.table();
    for stuck in &round.stuck {
        told.push_str(&format!("{stuck}\n{}\n", tables::how_far(world, stuck).await));
    }
    told
}
