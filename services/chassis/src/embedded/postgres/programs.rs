//! The programs of an installed PostgreSQL.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context;

use super::{OLDEST, PACKAGE, USERS, child};

/// The folder of an installed PostgreSQL that is new enough.
pub(super) fn find_binaries() -> anyhow::Result<PathBuf> {
    let dir = installed()?;
    let postgres = dir.join("postgres");
    let told = std::process::Command::new(&postgres).arg("--version").stdin(Stdio::null()).output();
    let told = told.with_context(|| format!("cannot run {}", postgres.display()))?;
    check_version(&String::from_utf8_lossy(&told.stdout), &dir)?;
    Ok(dir)
}

/// Refuses a version that is too old, in words that say what to do. `told` is what `postgres --version` says.
pub(super) fn check_version(told: &str, dir: &Path) -> anyhow::Result<()> {
    let version = told.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let major = version.and_then(|version| version.split(|c: char| !c.is_ascii_digit()).next());
    anyhow::ensure!(
        major.and_then(|major| major.parse().ok()).is_some_and(|major: u32| major >= OLDEST),
        "PostgreSQL {OLDEST} or newer is needed, and the one in {} is {}: install a newer one, set JIANGHAN_PG_BIN \
         to the folder of its programs, or set JIANGHAN_DATABASE_URL to a server you have",
        dir.display(),
        version.unwrap_or("of no known version")
    );
    Ok(())
}

/// The newest installed PostgreSQL: `JIANGHAN_PG_BIN`, then Debian's folders, then the path.
fn installed() -> anyhow::Result<PathBuf> {
    let complete = |dir: &Path| dir.join("postgres").exists() && dir.join("initdb").exists();
    if let Some(dir) = std::env::var_os("JIANGHAN_PG_BIN").map(PathBuf::from) {
        anyhow::ensure!(complete(&dir), "JIANGHAN_PG_BIN={} holds no postgres and initdb", dir.display());
        return Ok(dir);
    }
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, dir)| complete(dir))
        .collect();
    found.sort();
    if let Some((_, dir)) = found.pop() {
        return Ok(dir);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|dir| complete(dir));
    on_path.context(
        "PostgreSQL is not installed: install it (on Debian: apt-get install postgresql-15), set JIANGHAN_PG_BIN to the \
         folder of its programs, or set JIANGHAN_DATABASE_URL to a server you have",
    )
}

/// Whether a usable PostgreSQL is installed.
///
/// # Errors
/// A sentence that says what to install or set.
pub fn check_installed() -> anyhow::Result<()> {
    find_binaries().map(drop)?;
    child::server_user(&USERS, PACKAGE)?;
    let setpriv = std::process::Command::new("setpriv").arg("--version").stdout(Stdio::null()).status();
    anyhow::ensure!(
        setpriv.is_ok_and(|s| s.success()),
        "`setpriv` is missing: install the package util-linux"
    );
    Ok(())
}
