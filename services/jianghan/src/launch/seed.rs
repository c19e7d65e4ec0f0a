//! Seeding the district once, and the accounts file: written before the seed is committed, so that no password is
//! ever lost, and readable by its owner only.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use chassis::{clock::Clock, crypto::Crypto, db::Db};
use identity::{
    config::Config,
    seed::{SeedOptions, SeedReport},
};

use crate::suite::{Account, AccountsFile, Addresses};

/// Whose accounts are seeded.
#[derive(Clone, Debug, Default)]
pub struct SeedScope {
    /// Only the people of these streets, by code; everybody without it.
    pub streets: Option<Vec<String>>,
    /// At most so many residents.
    pub residents: Option<u32>,
}

/// Seeds an empty database, with identity's own settings; false if it was seeded before.
pub async fn seed(
    db: &Db,
    config: Config,
    crypto: &Crypto,
    accounts: &Path,
    addresses: &Addresses,
    scope: &SeedScope,
) -> Result<bool> {
    let path = accounts.to_owned();
    let book = addresses.clone();
    let keep = move |report: &SeedReport| write(&path, &file(report, book));
    let options = SeedOptions {
        streets: scope.streets.clone(),
        residents: scope.residents,
        config,
        keep: Some(Box::new(keep)),
    };
    let report =
        identity::seed::seed(db, crypto, &Clock::system(), options).await.context("seeding the district")?;
    Ok(!report.already)
}

fn file(report: &SeedReport, addresses: Addresses) -> AccountsFile {
    let accounts = report
        .accounts
        .iter()
        .map(|account| Account {
            login: account.login.clone(),
            password: account.password.clone(),
            role: account.role.clone(),
            person_id: account.person_id.to_string(),
            actor_ref: account.actor_ref.clone(),
            unit_code: account.unit_code.clone(),
            org_code: account.org_code.clone(),
            line: account.line.clone().unwrap_or_default(),
            file: PathBuf::new(), // known to whoever reads it
        })
        .collect();
    AccountsFile { addresses, accounts }
}

/// Reads the accounts file and brings its addresses up to date: ports may differ between starts.
pub fn with_addresses(path: &Path, addresses: &Addresses) -> Result<AccountsFile> {
    let mut file =
        AccountsFile::read(path).context("the database is seeded already, but its accounts are missing")?;
    file.addresses = addresses.clone();
    write(path, &file)?;
    Ok(file)
}

/// Writes aside and renames, mode 0600.
fn write(path: &Path, file: &AccountsFile) -> Result<()> {
    let aside: PathBuf = path.with_extension("json.new");
    let mut output = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .with_context(|| format!("cannot write {}", aside.display()))?;
    output.write_all(&serde_json::to_vec_pretty(file)?)?;
    output.sync_all()?;
    std::fs::rename(&aside, path).with_context(|| format!("cannot write {}", path.display()))
}
