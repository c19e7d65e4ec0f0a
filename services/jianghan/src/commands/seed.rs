//! `jianghan seed`: puts the demonstration district into a suite that runs elsewhere, once.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use chassis::{config::ServiceConfig, crypto::Crypto};
use clap::Args as ClapArgs;
use serde_json::json;

use super::serve;
use crate::{
    launch::{self, SeedScope},
    out,
    suite::Addresses,
};

/// Arguments of `seed`.
#[derive(ClapArgs)]
pub struct Args {
    /// Where the generated passwords go (mode 0600), with the addresses of the suite. A file that is there is kept beside it, as
    /// FILE.before-TIME.
    #[arg(long, value_name = "FILE", default_value = "accounts.json")]
    accounts: PathBuf,
    /// Seed only the people of these streets, by code.
    #[arg(long, value_name = "CODE")]
    street: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Migrates identity's database, seeds it if it is empty, and writes the accounts file. identity tells the other
/// services when it runs.
pub async fn run(args: Args) -> Result<ExitCode> {
    let config = ServiceConfig::load("identity")?;
    let crypto = Crypto::load(&config.key_file)?;
    let db = serve::apply("identity", &config, &crypto).await?;
    let scope = SeedScope { streets: (!args.street.is_empty()).then_some(args.street), residents: None };
    let addresses = Addresses::local(8080).with_environment();
    let own = config.section()?;
    let seeded = launch::seed_district(&db, own, &crypto, &args.accounts, &addresses, &scope).await?;
    if args.json {
        out::say!("{}", json!({ "seeded": seeded, "accounts": seeded.then_some(&args.accounts) }))?;
    } else if seeded {
        out::say!("seeded; the accounts are in {}", args.accounts.display())?;
    } else {
        out::say!("the district is there already; nothing was changed")?;
    }
    Ok(ExitCode::SUCCESS)
}
