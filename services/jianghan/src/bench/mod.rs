//! `jianghan bench`: measures a shape it launches itself on throw-away but durable data, with the load generator and
//! the servers sharing the machine. Figures of one run only; machines are noisy, so ratios to the floor are printed.

mod classify;
mod compare;
mod floor;
mod history;
mod import;
mod lifecycle;
mod marks;
mod players;
mod report;
mod routes;
mod search;
mod spike;
mod spine;
mod sweep;
pub mod usage;

use std::process::ExitCode;

use anyhow::{Result, bail};
use chassis::lifecycle::shutdown_signal;
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
    /// A history of cases through `jianghan import`'s own way: does it slow as the tables grow?
    Import(import::Args),
    /// Every kind of list and search over a history of cases.
    Search(search::Args),
    /// A burst of limits that pass among very many open ones: how late, and in which order.
    Sweep(sweep::Args),
    /// One decision of the router, in process, with a long responsibility list.
    Routes(routes::Args),
    /// The classifier against character n-grams with a linear support vector machine, on the same folds.
    Classify(classify::Args),
}

/// Runs a bench; exits 1 when a call failed or a mark was missed (`lifecycle`: with `--marks` or `--compare`; `events` has none).
pub async fn run(args: Args) -> Result<ExitCode> {
    // Those two start no servers and hold up whoever would listen: a signal ends them at once.
    let stoppable = !matches!(args.what, What::Routes(_) | What::Classify(_));
    tokio::select! {
        measured = measure(args.what) => measured,
        // Told to stop, servers and folders go with what was measured.
        () = shutdown_signal(), if stoppable => bail!("stopped; nothing was measured to its end"),
    }
}

async fn measure(what: What) -> Result<ExitCode> {
    match what {
        What::Lifecycle(args) => lifecycle::run(args).await,
        What::Spike(args) => spike::run(args).await,
        What::Events(args) => spine::run(args).await,
        What::Import(args) => import::run(args).await,
        What::Search(args) => search::run(args).await,
        What::Sweep(args) => sweep::run(args).await,
        What::Routes(args) => routes::run(&args),
        What::Classify(args) => classify::run(&args),
    }
}
