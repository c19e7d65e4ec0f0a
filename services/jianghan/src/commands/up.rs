//! `jianghan up`: the whole suite on embedded defaults, a day of requests, scenarios, the board, until Ctrl-C.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use chassis::{
    config::{ServiceConfig, TelemetryConfig},
    files,
    lifecycle::shutdown_signal,
    telemetry,
};
use clap::{Args as ClapArgs, ValueEnum};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{default_data_dir, try_report, write_json};
use crate::{
    launch::{Launch, Launched, SeedScope, Shape},
    out,
    scenario::{Played, Scenario, Stage, Step},
    simulate::{self, Options, input, report::Report},
    suite::AccountsFile,
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
    /// Do not play the day of 300 cases. It is played once, at the first start; where it went wrong, `up` ends with 1, at later
    /// starts, too, unless this is given.
    #[arg(long)]
    no_demo: bool,
    /// Play these scenarios step by step, and say where the board shows them; `list` names them. May be given several times,
    /// or several names with commas. Exit 1 at the step that goes wrong.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = choice)]
    scenario: Vec<Choice>,
    /// Stop when everything is up and played. Stopped before that, with or without this, it ends with 1.
    #[arg(long)]
    exit: bool,
    /// Write the figures of the day, and the scenarios with their steps, as JSON.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Print what was played, and the addresses, as JSON.
    #[arg(long)]
    json: bool,
}

/// What `--scenario` takes.
#[derive(Clone, Copy, Debug)]
enum Choice {
    List,
    One(Scenario),
}

fn choice(text: &str) -> Result<Choice, String> {
    if text == "list" {
        return Ok(Choice::List);
    }
    let known = <Scenario as ValueEnum>::from_str(text, true);
    known.map(Choice::One).map_err(|_| format!("there is no scenario `{text}`; `--scenario list` names them"))
}

/// Starts, plays, shows, waits.
pub async fn run(args: Args) -> Result<ExitCode> {
    if args.scenario.iter().any(|choice| matches!(choice, Choice::List)) {
        out::text(&Scenario::list())?;
        return Ok(ExitCode::SUCCESS);
    }
    let telemetry = telemetry::init("jianghan", &telemetry_config(|name| std::env::var(name).ok())?)?;
    telemetry::log_panics();
    let outcome = with_suite(&args).await;
    telemetry.flush().await;
    outcome
}

/// As the services have it, but for a log that tells people only what goes wrong.
fn telemetry_config(env: impl Fn(&str) -> Option<String>) -> Result<TelemetryConfig> {
    let quiet = [("telemetry.log", toml::Value::from("warn"))];
    Ok(ServiceConfig::read_with("jianghan", &quiet, env)?.telemetry)
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
    let day = !args.no_demo && !day_file(&dir).exists();
    check_time(day, !args.scenario.is_empty(), launch.allows_time_travel()?)?;
    // One for the start and what follows: no signal comes between them.
    let mut told_to_stop = pin!(shutdown_signal());
    // A signal while starting must not leave servers behind: what was started is stopped by its owner's drop.
    let mut launched = tokio::select! {
        launched = launch.start(|what| args.say(&format!("  … {what}"))) => launched?,
        () = &mut told_to_stop => return Ok(ExitCode::FAILURE),
    };
    args.say(&format!("  就绪 ready in {:.1} s", started.elapsed().as_secs_f64()));
    let (accounts, paths) = (launched.accounts.clone(), launched_paths(&launched));
    let waits = OnceLock::new();
    let outcome = tokio::select! {
        outcome = play_and_wait(args, &accounts, &dir, &paths, &waits) => outcome,
        failed = launched.failed() => failed.map(|()| ExitCode::FAILURE),
        // Before it waits for this, what was asked for did not come to its end.
        () = &mut told_to_stop => Ok(waits.get().copied().unwrap_or(ExitCode::FAILURE)),
    };
    args.say("  停止 stopping …");
    tokio::select! {
        stopped = launched.stop() => stopped?,
        () = shutdown_signal() => anyhow::bail!("stopped at once by a second signal"),
    }
    outcome
}

/// Where the figures of the day are kept; it is played once.
fn day_file(dir: &Path) -> PathBuf {
    dir.join("demo.json")
}

/// Whether what is to be played may move domain time, as it must.
fn check_time(day: bool, scenario: bool, allowed: bool) -> Result<()> {
    ensure!(
        allowed || !day,
        "JIANGHAN_ALLOW_TIME_TRAVEL (allow_time_travel) is false, and the day of {DAY} requests moves domain time: say \
         --no-demo, or allow it"
    );
    ensure!(
        allowed || !scenario,
        "JIANGHAN_ALLOW_TIME_TRAVEL (allow_time_travel) is false, and scenarios move domain time: leave --scenario out, or \
         allow it"
    );
    Ok(())
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

impl Args {
    /// Tells people how far it is; where the output is for machines, beside it. The suite goes on though nobody reads it.
    fn say(&self, line: &str) {
        if self.json {
            out::note!("{line}");
        } else {
            out::say!("{line}").ok();
        }
    }
}

/// Plays what was asked for and, unless it is to end then, waits and says in `waits` how it ends.
async fn play_and_wait(
    args: &Args,
    accounts: &AccountsFile,
    dir: &Path,
    paths: &Paths,
    waits: &OnceLock<ExitCode>,
) -> Result<ExitCode> {
    args.report.as_deref().map_or(Ok(()), try_report)?;
    let played = day_file(dir);
    if !args.no_demo && !played.exists() {
        let report = play_the_day(args, accounts).await?;
        files::replace(&played, &serde_json::to_vec_pretty(&report)?, files::SHARED)
            .with_context(|| format!("cannot write {}", played.display()))?;
    }
    let scenarios = play_scenarios(args, accounts).await?;
    let failed = scenarios.iter().any(|one| one.failed.is_some());
    // At whichever start it was played.
    let figures = noted(&played);
    let day_well = args.no_demo || went_well(&figures);
    let code = if day_well && !failed { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let told = report(figures, &scenarios)?;
    if let Some(path) = &args.report {
        anyhow::ensure!(told != json!({}), "--report: no day has been played here, or its figures are lost");
        write_json(path, &told)?;
    }
    show(args, accounts, paths, &scenarios);
    if !day_well {
        let file = played.display();
        args.say(&format!("  演示有误 the day went wrong: see {file}; without it the day is played again"));
    }
    if args.json {
        let board = format!("{}/", paths.board);
        let places = json!({ "board": board, "accounts": paths.accounts, "key": paths.key, "played": told });
        out::json(&places).ok();
    }
    if args.exit || failed {
        return Ok(code);
    }
    waits.set(code).ok();
    args.say("  Ctrl-C 停止 stops");
    std::future::pending().await
}

async fn play_the_day(args: &Args, accounts: &AccountsFile) -> Result<Report> {
    args.say(&format!("  演示：{DAY} 件诉求的一天 playing a day of {DAY} requests"));
    let options = Options {
        patience: Duration::from_secs(60),
        progress: std::io::stderr().is_terminal(),
        ..Options::default()
    };
    let (report, _) = simulate::run(accounts, &options, |start| Ok(input::synthetic(DAY, 1, start))).await?;
    args.say(report.table().trim_end());
    Ok(report)
}

/// Plays what was asked for, until one goes wrong.
async fn play_scenarios(args: &Args, accounts: &AccountsFile) -> Result<Vec<Played>> {
    let mut all = Vec::new();
    if args.scenario.is_empty() {
        return Ok(all);
    }
    let stage = Stage::open(accounts, Duration::from_secs(60)).await?;
    for choice in &args.scenario {
        let Choice::One(scenario) = choice else { continue };
        args.say(&format!("  情景 scenario {}: {}", scenario.name(), scenario.about()));
        stage.to_work_hours().await?;
        let played = scenario.play(&stage, |step: &Step| args.say(&step.line())).await;
        let failed = played.failed.clone();
        all.push(played);
        if let Some(failed) = failed {
            args.say(&format!("  失败 failed at step {failed}"));
            break;
        }
    }
    Ok(all)
}

/// The figures of the day, if it was played here. What an interrupted start has left of them is no reason not to go on.
fn noted(day: &Path) -> Map<String, Value> {
    let Ok(text) = std::fs::read_to_string(day) else { return Map::new() };
    serde_json::from_str(&text).unwrap_or_else(|error| {
        out::note!(
            "jianghan: {} is not a report ({error}): the figures of the day are lost; remove it to play another day",
            day.display()
        );
        Map::new()
    })
}

/// Whether nothing went wrong on the day, as far as its figures are known.
fn went_well(figures: &Map<String, Value>) -> bool {
    Report::deserialize(figures).is_ok_and(|report| report.is_clean())
}

/// The figures of the day and the scenarios of this start.
fn report(mut figures: Map<String, Value>, scenarios: &[Played]) -> Result<Value> {
    if !scenarios.is_empty() {
        figures.insert("scenarios".to_owned(), serde_json::to_value(scenarios)?);
    }
    Ok(Value::Object(figures))
}

fn show(args: &Args, accounts: &AccountsFile, paths: &Paths, scenarios: &[Played]) {
    for played in scenarios {
        args.say(&format!("  看板上 on the board: {}", played.scenario));
        for shown in &played.shown {
            args.say(&format!("    {}\n      {} · {}", shown.url, shown.zh, shown.en));
        }
    }
    args.say(&format!("  看板 board     {}/", paths.board));
    let (file, login) = (paths.accounts.display(), dispatcher(accounts));
    args.say(&format!("  帐号 accounts  {file} (sign in as `{login}`)"));
    let key = paths.key.display();
    args.say(&format!("  密钥 key       {key} — keep a copy: without it the personal data cannot be read"));
}

fn dispatcher(accounts: &AccountsFile) -> &str {
    let found = accounts.accounts.iter().find(|account| account.role == "district_dispatcher");
    found.map_or("", |account| &account.login)
}

fn absolute(dir: &Path) -> Result<PathBuf> {
    std::path::absolute(dir).with_context(|| format!("{} is not a folder's path", dir.display()))
}

#[cfg(test)]
mod tests {
    use chassis::config::LogFormat;

    use super::*;

    #[test]
    fn telemetry_is_that_of_the_services_with_a_quieter_log() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(String, String)> =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            telemetry_config(move |name| {
                pairs.iter().find(|(set, _)| set == name).map(|(_, value)| value.clone())
            })
        };
        let config = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("JIANGHAN_LOG", "")]).unwrap();
        assert_eq!((config.log.as_str(), config.otlp_endpoint), ("warn", None));
        let config = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4317"),
            ("JIANGHAN_LOG", "info"),
            ("JIANGHAN_LOG_FORMAT", "json"),
            ("JIANGHAN_TRACE_SAMPLE", "0.5"),
            ("JIANGHAN_METRIC_INTERVAL_MS", "700"),
        ])
        .unwrap();
        assert_eq!((config.log.as_str(), config.log_format), ("info", LogFormat::Json));
        assert_eq!(config.otlp_endpoint.as_deref(), Some("http://otel:4317"));
        assert!((config.sample - 0.5).abs() < f64::EPSILON && config.metric_interval_ms == 700);
    }

    #[test]
    fn figures_of_the_day_that_are_lost_do_not_stop_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let day = day_file(dir.path());
        for left in ["", "[1", "[1]"] {
            std::fs::write(&day, left).unwrap();
            assert_eq!(noted(&day), Map::new(), "{left}");
        }
        std::fs::write(&day, r#"{"lost":0}"#).unwrap();
        assert_eq!(report(noted(&day), &[]).unwrap(), json!({ "lost": 0 }));
    }

    #[test]
    fn a_day_that_went_wrong_is_known_at_later_starts() {
        let dir = tempfile::tempdir().unwrap();
        let day = day_file(dir.path());
        assert!(went_well(&noted(&day)), "none was played");
        for (figures, well) in [(r#"{"lost": 0, "stuck": []}"#, true), (r#"{"lost": 1}"#, false)] {
            std::fs::write(&day, figures).unwrap();
            assert_eq!(went_well(&noted(&day)), well, "{figures}");
        }
        write_json(&day, &Report { undrained: Some("one is left".into()), ..Report::default() }).unwrap();
        assert!(!went_well(&noted(&day)));
        assert_eq!(report(noted(&day), &[]).unwrap()["undrained"], "one is left");
    }

    #[test]
    fn what_moves_time_is_not_played_where_that_is_forbidden() {
        assert!(check_time(true, true, true).is_ok() && check_time(false, false, false).is_ok());
        let day = check_time(true, true, false).unwrap_err().to_string();
        assert!(day.contains("--no-demo") && day.contains("JIANGHAN_ALLOW_TIME_TRAVEL"), "{day}");
        let scenario = check_time(false, true, false).unwrap_err().to_string();
        assert!(scenario.contains("--scenario"), "{scenario}");
    }
}
