//! `jianghan key`: the file of the key that seals the personal data. Services never make one themselves: one that started
//! beside its key would seal what no other opens.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use chassis::crypto::Crypto;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use crate::out;

/// Arguments of `key`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make the key file of a new suite, readable by its owner only. A file that is there is never changed: exit 1.
    Create(CreateArgs),
}

/// Arguments of `key create`.
#[derive(ClapArgs)]
struct CreateArgs {
    /// The key file; every service of the suite gets the same. The gateway, run apart, has one of its own for the cookies.
    #[arg(long, value_name = "FILE", env = "JIANGHAN_KEY_FILE")]
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs one of them.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.action {
        Action::Create(args) => create(args),
    }
}

fn create(args: &CreateArgs) -> Result<ExitCode> {
    let created = Crypto::create(&args.file)?;
    let file = args.file.display();
    if args.json {
        out::say!("{}", json!({ "created": created, "file": args.file }))?;
    } else if created {
        out::say!("密钥 key {file} — keep a copy elsewhere: without it the personal data cannot be read")?;
    } else {
        out::note!("{file} is there already; nothing was changed");
    }
    Ok(if created { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
