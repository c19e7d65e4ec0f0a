//! One file per command: arguments, help and what it prints. Exit codes: 0 done, 1 failed or found something, 2 usage.

pub mod events;
pub mod reconcile;
pub mod seed;
pub mod serve;
pub mod simulate;
pub mod up;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::suite::AccountsFile;

/// How a command finds a running suite.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// Accounts file of the running suite, as `infra/up` writes it.
    #[arg(
        long,
        value_name = "FILE",
        default_value = ".data/accounts.json",
        env = "JIANGHAN_ACCOUNTS",
        global = true
    )]
    accounts: PathBuf,
}

impl Target {
    /// Reads the accounts file; `JIANGHAN_ADDR_<SERVICE>` overrides its addresses.
    pub fn read(&self) -> Result<AccountsFile> {
        let mut file = AccountsFile::read(&self.accounts)?;
        file.addresses = file.addresses.with_environment();
        Ok(file)
    }
}

/// Writes a report as JSON.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let json = serde_json::to_vec_pretty(value)?;
    std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
}
