//! `jianghan reconcile`.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args as ClapArgs;
use serde::Serialize;

use super::Target;
use crate::{
    out,
    reconcile::{self, Reconciliation, Waiting},
    simulate,
    suite::Suite,
};

/// Arguments of `reconcile`.
#[derive(ClapArgs)]
pub struct Args {
    /// How long to wait for events under way, in seconds. It exits 1 if some are under way then; 0 compares at once, without
    /// telling whether any are. What is behind a dead event is not waited for.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// What was found, for machines.
#[derive(Serialize)]
struct Told<'a> {
    /// Why the services were compared while events were under way; nothing if none were, or it was not waited for them.
    undrained: Option<&'a str>,
    /// What waited right before, by the services that tell it.
    waiting: Waiting,
    #[serde(flatten)]
    outcome: &'a Reconciliation,
}

/// Compares and prints what is missing, extra or differing, by id.
pub async fn run(args: Args) -> Result<ExitCode> {
    let file = args.target.read()?;
    let suite = Suite::new(&file.addresses)?;
    let operator = simulate::operator(&suite, &file)?;
    let undrained = match args.drain {
        0 => None,
        seconds => {
            let drained = reconcile::drain(&suite, &operator, Duration::from_secs(seconds)).await;
            drained.err().map(|error| format!("{error:#}"))
        }
    };
    if let Some(undrained) = &undrained {
        out::note!("jianghan: {undrained}; comparing all the same");
    }
    let (figures, away) = reconcile::known_statistics(&suite, &operator).await;
    for (service, error) in &away {
        out::note!("jianghan: {service} tells no figures: {error:#}");
    }
    let waiting = Waiting::of(figures.values());
    let held_up = waiting.held_up();
    if let Some(held_up) = &held_up {
        out::note!("jianghan: {held_up}");
    }
    let outcome = reconcile::compare_all(&suite, &operator).await;
    for failure in &outcome.failures {
        out::note!(
            "jianghan: `{}` of {} was not compared: {}",
            failure.subject,
            failure.service,
            failure.error
        );
    }
    if args.json {
        out::json(&Told { undrained: undrained.as_deref(), waiting, outcome: &outcome })?;
    } else {
        for (subject, count) in &outcome.compared {
            out::say!("{subject:<16} {count} compared")?;
        }
        for difference in &outcome.differences {
            out::say!(
                "{:<9} {} {} in {}: expected `{}`, found `{}`",
                difference.kind,
                difference.subject,
                difference.key,
                difference.service,
                difference.expected,
                difference.found
            )?;
        }
        out::say!(
            "{} differences, {} duplicated effects, {} comparisons not made",
            outcome.differences.len(),
            outcome.duplicated_effects,
            outcome.failures.len()
        )?;
        if args.drain > 0 && undrained.is_none() {
            let but = if held_up.is_some() { " but what waits for an operator" } else { "" };
            out::say!("nothing is under way{but}")?;
        }
    }
    Ok(if outcome.is_clean() && undrained.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
