//! The suite of processes under load and one mishap after another, for as long as it is told; `infra/soak` calls it.

use std::{
    fs::File,
    io::{Write, stdout},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Parser;
use tests::{run, soak};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Plays made-up requests against a suite of processes with private, throw-away servers while, one after the other, services and
/// the gateway are killed, services stopped and frozen, and those with many events aborted at every seam; RabbitMQ and PostgreSQL are
/// killed, RabbitMQ also away for a while. Checks after each round that nothing was lost and nothing happened twice.
///
/// The first round that is not clean is the last, and so is one after which domain time is 18 years ahead (after some 200 rounds of
/// 500). Ctrl-C lets the round that runs come to its end, then reports. Exit code 1 when anything was lost, happened twice,
/// differed, got stuck, ended by itself, or did not stop in order.
#[derive(Parser)]
#[command(name = "infra/soak", max_term_width = 110)]
struct Args {
    /// No round begins after so many minutes.
    #[arg(long, default_value_t = 60.0, value_name = "MINUTES", value_parser = positive)]
    minutes: f64,
    /// No round begins after so many mishaps.
    #[arg(long, value_name = "N")]
    mishaps: Option<usize>,
    /// Requests of a round.
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    requests: u64,
    /// Longest time between two mishaps, in seconds; the shortest is a tenth of it.
    #[arg(long, default_value_t = 8.0, value_name = "SECONDS", value_parser = positive)]
    pause: f64,
    /// Decides which requests are made and which mishaps are drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the report as JSON; without this it goes to the standard output anyway.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Print the report as JSON on the standard output; what goes on is told on the standard error.
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number")?;
    if value > 0.0 && value <= 100_000.0 { Ok(value) } else { Err("more than 0, at most 100000".into()) }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut code = ExitCode::FAILURE;
    run(async {
        match soak(&args).await {
            Ok(clean) if clean => code = ExitCode::SUCCESS,
            Ok(_) => eprintln!("soak: NOT CLEAN"),
            Err(error) => eprintln!("soak: {error:#}"),
        }
    });
    code
}

/// Gives whether all was clean.
async fn soak(args: &Args) -> Result<bool> {
    let options = soak::Options {
        time: Duration::from_secs_f64(args.minutes * 60.0),
        mishaps: args.mishaps,
        requests: args.requests,
        pause: Duration::from_secs_f64(args.pause),
        seed: args.seed,
    };
    // Before the hours that it takes, and not only after them.
    let file = match &args.report {
        Some(path) => Some(File::create(path).with_context(|| format!("cannot write {}", path.display()))?),
        None => None,
    };
    let stop = CancellationToken::new();
    tokio::spawn(told_to_stop(stop.clone()));
    let report = soak::run(&options, &stop, |line| eprintln!("{line}")).await;
    for unclean in &report.unclean {
        eprintln!("soak: {unclean}");
    }
    let json = serde_json::to_string_pretty(&report)?;
    let printed = if args.json || file.is_none() { writeln!(stdout(), "{json}") } else { Ok(()) };
    if let Some(mut file) = file
        && let Err(error) = file.write_all(json.as_bytes())
    {
        if !args.json {
            println!("{json}");
        }
        return Err(error).context("cannot write the report");
    }
    printed.context("cannot print the report")?;
    Ok(report.is_clean())
}

/// The first signal ends the soak in order, the second at once; its servers go with it.
async fn told_to_stop(stop: CancellationToken) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    for round in 0.. {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if round > 0 {
            std::process::exit(1);
        }
        eprintln!("soak: this round is the last; once more stops at once");
        stop.cancel();
    }
    Ok(())
}
