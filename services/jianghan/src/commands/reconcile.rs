//! `jianghan reconcile`.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args as ClapArgs;

use super::Target;
use crate::{
    reconcile::{self, Waiting},
    simulate,
    suite::Suite,
};

/// Arguments of `reconcile`.
#[derive(ClapArgs)]
pub struct Args {
    /// How long to wait for events under way, in seconds; 0 compares at once. What is behind a dead event is not waited
    /// for.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Compares and prints what is missing, extra or differing, by id.
pub async fn run(args: Args) -> Result<ExitCode> {
    let file = args.target.read()?;
    let suite = Suite::new(&file.addresses)?;
    let operator = simulate::operator(&suite, &file)?;
    if args.drain > 0
        && let Err(error) = reconcile::drain(&suite, &operator, Duration::from_secs(args.drain)).await
    {
        eprintln!("jianghan: {error:#}; comparing all the same");
    }
    let (figures, away) = reconcile::known_statistics(&suite, &operator).await;
    for (service, error) in &away {
        eprintln!("jianghan: {service} tells no figures: {error:#}");
    }
    let waiting = Waiting::of(figures.values());
    if let Some(held_up) = waiting.held_up() {
        eprintln!("jianghan: {held_up}");
    }
    let outcome = reconcile::compare_all(&suite, &operator).await;
    for failure in &outcome.failures {
        eprintln!(
            "jianghan: `{}` of {} was not compared: {}",
            failure.subject, failure.service, failure.error
        );
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        for (subject, count) in &outcome.compared {
            println!("{subject:<16} {count} compared");
        }
        for difference in &outcome.differences {
            println!(
                "{:<9} {} {} in {}: expected `{}`, found `{}`",
                difference.kind,
                difference.subject,
                difference.key,
                difference.service,
                difference.expected,
                difference.found
            );
        }
        println!(
            "{} differences, {} duplicated effects, {} comparisons not made",
            outcome.differences.len(),
            outcome.duplicated_effects,
            outcome.failures.len()
        );
    }
    Ok(if outcome.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
