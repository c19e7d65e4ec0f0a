//! `jianghan bench`: measures a shape it launches itself on throw-away but durable data, with the load generator and
//! the servers sharing the machine. Figures of one run only; machines are noisy, so ratios to the floor are printed.

mod classify;
mod floor;
mod lifecycle;
mod report;
mod routes;
mod spike;
mod spine;
mod usage;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};

/// Arguments of `bench`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Whole lifecycles: create, assign, resolve, search; closed loop of so many users.
    Lifecycle(lifecycle::Args),
    /// Bursts of registrations beside users who play lifecycles: who is refused, and how soon all is as before.
    Spike(spike::Args),
    /// The event spine alone: commands, relay, bus, consumer.
    Events(spine::Args),
    /// One decision of the router, in process, with a long responsibility list.
    Routes(routes::Args),
    /// The classifier against character n-grams with a linear support vector machine, on the same folds.
    Classify(classify::Args),
}

/// Runs a bench; exits 1 when a call failed, and `classify` and `spike` also when a mark was missed.
pub async fn run(args: Args) -> Result<ExitCode> {
    match args.what {
        What::Lifecycle(args) => lifecycle::run(args).await,
        What::Spike(args) => spike::run(args).await,
        What::Events(args) => spine::run(args).await,
        What::Routes(args) => routes::run(&args),
        What::Classify(args) => classify::run(&args),
    }
}
