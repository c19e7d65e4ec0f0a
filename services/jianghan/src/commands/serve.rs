//! `jianghan serve` and `jianghan migrate`: the services one by one, configured by the environment.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use chassis::{
    Service,
    clock::Clock,
    config::ServiceConfig,
    crypto::Crypto,
    db::{Db, Setup},
    outbox::GateConfig,
    pressure::PressureConfig,
};
use clap::Args as ClapArgs;

use crate::{out, suite::SERVICES};

const NAMES: [&str; 6] =
    ["identity", "case-routing", "staffing", "volunteer-matching", "analytics", "gateway"];

/// Arguments of `serve`.
#[derive(ClapArgs)]
pub struct Args {
    /// Which service.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(NAMES))]
    service: String,
}

/// Arguments of `migrate`.
#[derive(ClapArgs)]
pub struct MigrateArgs {
    /// Which service, or all.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(
        ["all", "identity", "case-routing", "staffing", "volunteer-matching", "analytics"]))]
    service: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs one service until it is told to stop.
pub fn run(args: &Args) -> ExitCode {
    match args.service.as_str() {
        "identity" => identity::run(),
        "case-routing" => case_routing::run(),
        "staffing" => staffing::run(),
        "volunteer-matching" => volunteer_matching::run(),
        "analytics" => analytics::run(),
        _ => gateway::run(),
    }
}

/// Applies migrations.
pub async fn migrate(args: MigrateArgs) -> Result<ExitCode> {
    let services: Vec<_> = match args.service.as_str() {
        "all" => SERVICES.to_vec(),
        one => vec![one],
    };
    for service in &services {
        let config = ServiceConfig::load(service)?;
        let crypto = Crypto::load(&config.key_file)?;
        apply(service, &config, &crypto).await?;
        if !args.json {
            out::say!("{service}: up to date")?;
        }
    }
    if args.json {
        out::say!("{}", serde_json::json!({ "up_to_date": services }))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Connects to a service's database.
pub async fn connect(service: &str, config: &ServiceConfig, crypto: &Crypto) -> Result<Db> {
    let setup = Setup {
        service: service.to_owned(),
        clock: Clock::system(),
        crypto: crypto.clone(),
        gate: GateConfig::from(&config.spine),
        pressure: PressureConfig::from(&config.grpc),
        patient: false,
    };
    Db::connect(&config.database, setup).await.with_context(|| format!("the database of {service}"))
}

/// Connects to a service's database and applies its migrations.
pub async fn apply(service: &str, config: &ServiceConfig, crypto: &Crypto) -> Result<Db> {
    let db = connect(service, config, crypto).await?;
    let migrations = match service {
        "identity" => identity::App::migrations(),
        "case-routing" => case_routing::App::migrations(),
        "staffing" => staffing::App::migrations(),
        "volunteer-matching" => volunteer_matching::App::migrations(),
        "analytics" => analytics::App::migrations(),
        other => bail!("{other} has no database"),
    };
    db.migrate(migrations).await.with_context(|| format!("migrating the database of {service}"))?;
    Ok(db)
}
