//! The promises of the spine at length: rounds of made-up requests, during which one mishap after another befalls the suite of
//! processes. At the end of each round, while it is left alone, everything is looked at; the first round that is not clean is
//! the last, so that what it left can be looked into.

mod mishap;
mod report;

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use chassis::clock::Clock;
use chrono::TimeDelta;
use futures::FutureExt;
use jianghan::simulate::report::Report as Round;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;

use self::mishap::Mishap;
pub use self::report::Report;
use crate::{World, tables};

/// How long the events of a round may take to be handled once nothing befalls the suite any more.
const DRAIN: Duration = Duration::from_secs(300);

/// No round begins once domain time is so far ahead of real time: a round moves it on by weeks, and 20 years are the end.
const FAR: TimeDelta = TimeDelta::days(18 * 365);

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

/// Goes on until the time is over, there were mishaps enough, domain time is nearly as far ahead as it may be, `stop` says so or a
/// round is not clean. What keeps a round from its end is told in the report.
///
/// # Panics
/// When the suite does not start.
pub async fn run(options: &Options, stop: &CancellationToken, tell: impl Fn(&str)) -> Report {
    let world = World::distributed().await;
    let _turn = world.alone().await;
    tell(&format!("logs: {}", world.dir.display()));
    let begun = Instant::now();
    let mut chance = StdRng::seed_from_u64(options.seed);
    let mut report = Report::new(options.seed);
    loop {
        let number = report.rounds + 1;
        let going = round(world, options, &mut chance, &mut report, begun, &tell);
        // What does not come back panics; what was found until then is not to be lost.
        let went = AssertUnwindSafe(going).catch_unwind().await;
        let far = match went.unwrap_or_else(|panic| Err(anyhow!("it panicked: {}", said(&*panic)))) {
            Ok(far) => far,
            Err(error) => {
                report.unclean.push(format!("round {number} did not come to its end: {error:#}"));
                false
            }
        };
        if far {
            tell("domain time is 18 years ahead, of the 20 that it may be: this round was the last");
        }
        let enough = options.mishaps.is_some_and(|mishaps| report.befell() >= mishaps);
        let over = enough || far || begun.elapsed() >= options.time || stop.is_cancelled();
        if over || !report.is_clean() {
            break;
        }
        world.otlp.forget();
    }
    report.minutes = begun.elapsed().as_secs_f64() / 60.0;
    report
}

/// One round, and whether domain time is now nearly as far ahead as it may be.
async fn round(
    world: &World,
    options: &Options,
    chance: &mut StdRng,
    report: &mut Report,
    begun: Instant,
    tell: impl Fn(&str),
) -> Result<bool> {
    let seed = options.seed.wrapping_mul(1_000_003).wrapping_add(report.rounds);
    let quiet = CancellationToken::new();
    let playing = async {
        let played = world.only_plays(options.requests, seed, DRAIN).await;
        quiet.cancel();
        played
    };
    let mishaps = befall(world, options.pause, chance, &quiet, report, &tell);
    let (played, ()) = tokio::try_join!(playing, mishaps)?;
    let (round, _) = played.report().await?;
    report.ends_round(world, &round).await?;
    tell(&report.line(&round, begun.elapsed()));
    if !round.is_clean() {
        tell(&evidence(world, &round).await);
    }
    Ok(world.now().await? - Clock::system().real_now() > FAR)
}

/// What a panic says.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it says nothing")
}

/// One mishap after another until all is to be quiet; what has ended by itself meanwhile is noted and mended.
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
        let over = quiet.run_until_cancelled(tokio::time::sleep(pause)).await.is_none();
        report.unclean.extend(world.mends().await?);
        if over {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_by_its_words() {
        assert_eq!(said(&"waited in vain"), "waited in vain");
        assert_eq!(said(&String::from("waited 3 s")), "waited 3 s");
        assert_eq!(said(&7), "it says nothing");
    }
}
