//! Seeding the district once, and the accounts file: written before the seed is committed, and never over an older one, so that
//! no password is ever lost; readable by its owner only.

use std::{
    fs::{self, Permissions},
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use chassis::{clock::Clock, crypto::Crypto, db::Db, files};
use identity::{
    config::Config,
    seed::{SeedOptions, SeedReport},
};

use crate::{
    out,
    suite::{Account, AccountsFile, Addresses},
};

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
    let keep = move |report: &SeedReport| {
        keep_older(&path)?;
        write(&path, &file(report, book))
    };
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

/// Moves a file that is there out of the way: it is the only place of the passwords of the database that it was written for. It may
/// also be that of a seed which was not committed, so that it is no reason to refuse.
fn keep_older(path: &Path) -> Result<()> {
    let mut kept = path.as_os_str().to_owned();
    kept.push(format!(".before-{}", Clock::system().real_now().format("%Y%m%dT%H%M%S%.6fZ")));
    let kept = PathBuf::from(kept);
    match fs::rename(path, &kept) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot move {} aside", path.display())),
    }
    fs::set_permissions(&kept, Permissions::from_mode(files::PRIVATE))
        .with_context(|| format!("cannot make {} private", kept.display()))?;
    out::note!(
        "jianghan: {} was there already, perhaps with the only passwords of another database: it is {} now",
        path.display(),
        kept.display()
    );
    Ok(())
}

/// Writes it whole, mode 0600.
fn write(path: &Path, file: &AccountsFile) -> Result<()> {
    files::replace(path, &serde_json::to_vec_pretty(file)?, files::PRIVATE)
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_an_earlier_seed_are_still_there_after_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("accounts.json");
        let seeded = |role: &str| {
            keep_older(&path).unwrap();
            let accounts = vec![Account::stranger(role)];
            write(&path, &AccountsFile { addresses: Addresses::local(8080), accounts }).unwrap();
        };
        ["first", "second", "third"].into_iter().for_each(seeded);
        let all = || fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
        let mut roles: Vec<_> =
            all().map(|file| AccountsFile::read(&file).unwrap().accounts[0].role.clone()).collect();
        roles.sort();
        assert_eq!(roles, ["first", "second", "third"]);
        for file in all() {
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, files::PRIVATE, "{file:?}");
        }
        assert_eq!(AccountsFile::read(&path).unwrap().accounts[0].role, "third");
    }
}
