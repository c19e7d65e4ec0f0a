//! `jianghan up`: the whole suite on embedded defaults, a day of requests, the board, until Ctrl-C.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use chassis::{config::TelemetryConfig, lifecycle::shutdown_signal, telemetry};
use clap::Args as ClapArgs;

use super::{default_data_dir, write_json};
use crate::{
    launch::{Launch, Launched, SeedScope, Shape},
    simulate::{self, Options, input},
};

/// Requests of the first day.
const DAY: u64 = 300;

/// Arguments of `up`.
#[derive(ClapArgs)]
pub struct Args {
    /// One process and the in-process bus, or RabbitMQ and a process per service.
    #[arg(long, value_enum, default_value = "all-in-one")]
    shape: Shape,
    /// Port of the board on 127.0.0.1; the services' gRPC ports are 21 to 25 above it.
    #[arg(long, default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    port: u16,
    /// Where databases, keys and accounts are kept.
    #[arg(long, value_name = "DIR", default_value_os_t = default_data_dir())]
    data_dir: PathBuf,
    /// Do not play the day of 300 cases. It is played once, at the first start.
    #[arg(long)]
    no_demo: bool,
    /// Stop when everything is up and the day is played.
    #[arg(long)]
    exit: bool,
    /// Write the figures of the day as JSON.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
}

/// Starts, plays, shows, waits.
pub async fn run(args: Args) -> Result<ExitCode> {
    let config = TelemetryConfig {
        log: std::env::var("JIANGHAN_LOG").unwrap_or_else(|_| "warn".into()),
        otlp_endpoint: std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok(),
        ..TelemetryConfig::default()
    };
    let telemetry = telemetry::init("jianghan", &config)?;
    let outcome = with_suite(&args).await;
    telemetry.flush().await;
    outcome
}

async fn with_suite(args: &Args) -> Result<ExitCode> {
    let started = std::time::Instant::now();
    let dir = absolute(&args.data_dir)?;
    let launch = Launch {
        shape: args.shape,
        dir: dir.clone(),
        port: args.port,
        faults: None,
        seed: SeedScope::default(),
        throw_away: false,
        statistics: false,
        binary: std::env::current_exe().context("the path of this binary")?,
        config: None,
        environment: Vec::new(),
    };
    // A signal while starting must not leave servers behind: what was started is stopped by its owner's drop.
    let mut launched = tokio::select! {
        launched = launch.start(|what| println!("  … {what}")) => launched?,
        () = shutdown_signal() => return Ok(ExitCode::FAILURE),
    };
    println!("  就绪 ready in {:.1} s", started.elapsed().as_secs_f64());
    let (accounts, paths) = (launched.accounts.clone(), launched_paths(&launched));
    let outcome = tokio::select! {
        outcome = play_and_wait(args, &accounts, &dir, &paths) => outcome,
        failed = launched.failed() => failed.map(|()| ExitCode::FAILURE),
        () = shutdown_signal() => Ok(ExitCode::SUCCESS),
    };
    println!("  停止 stopping …");
    tokio::select! {
        stopped = launched.stop() => stopped?,
        () = shutdown_signal() => anyhow::bail!("stopped at once by a second signal"),
    }
    outcome
}

struct Paths {
    board: String,
    accounts: PathBuf,
    key: PathBuf,
}

fn launched_paths(launched: &Launched) -> Paths {
    Paths {
        board: launched.addresses.gateway.clone(),
        accounts: launched.accounts_path.clone(),
        key: launched.key_path.clone(),
    }
}

async fn play_and_wait(
    args: &Args,
    accounts: &crate::suite::AccountsFile,
    dir: &Path,
    paths: &Paths,
) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let played = dir.join("demo.json");
    if !args.no_demo && !played.exists() {
        println!("  演示：{DAY} 件诉求的一天 playing a day of {DAY} requests");
        let options = Options {
            patience: Duration::from_secs(60),
            progress: std::io::stderr().is_terminal(),
            ..Options::default()
        };
        let (report, _) =
            simulate::run(accounts, &options, |start| Ok(input::synthetic(DAY, 1, start))).await?;
        print!("{}", report.table());
        write_json(&played, &report)?;
        if !report.is_clean() {
            code = ExitCode::FAILURE;
        }
    }
    if let Some(path) = &args.report {
        let text = std::fs::read_to_string(&played).context("--report: no day has been played here")?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("  看板 board     {}/", paths.board);
    println!("  帐号 accounts  {} (sign in as `{}`)", paths.accounts.display(), dispatcher(accounts));
    println!(
        "  密钥 key       {} — keep a copy: without it the personal data cannot be read",
        paths.key.display()
    );
    if args.exit {
        return Ok(code);
    }
    println!("  Ctrl-C 停止 stops");
    std::future::pending().await
}

fn dispatcher(accounts: &crate::suite::AccountsFile) -> &str {
    let found = accounts.accounts.iter().find(|account| account.role == "district_dispatcher");
    found.map_or("", |account| &account.login)
}

fn absolute(dir: &Path) -> Result<PathBuf> {
    std::path::absolute(dir).with_context(|| format!("{} is not a folder's path", dir.display()))
}
