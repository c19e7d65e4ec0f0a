//! The programs of an installed PostgreSQL.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context;

use super::OLDEST;

/// Where Debian has the programs of every version that is installed, in a folder of its number.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder of an installed PostgreSQL that is new enough, and of the version that made the cluster in `data` if one is there: no
/// other one opens it.
pub(super) fn find_binaries(data: &Path) -> anyhow::Result<PathBuf> {
    let made_by = made_by(data);
    let dir = installed(made_by)?;
    check_maker(made_by, version_in(&dir)?, &dir, data)?;
    Ok(dir)
}

/// The version of the programs in a folder.
pub(super) fn version_in(dir: &Path) -> anyhow::Result<u32> {
    let postgres = dir.join("postgres");
    let told = std::process::Command::new(&postgres).arg("--version").stdin(Stdio::null()).output();
    let told = told.with_context(|| format!("cannot run {}", postgres.display()))?;
    check_version(&String::from_utf8_lossy(&told.stdout), dir)
}

/// The version that made a cluster; `None` where there is none, or one that does not say.
pub(super) fn made_by(data: &Path) -> Option<u32> {
    std::fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// Refuses a version that is too old, in words that say what to do; gives back its number. `told` is what `postgres --version` says.
pub(super) fn check_version(told: &str, dir: &Path) -> anyhow::Result<u32> {
    let version = told.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let major = version.and_then(|version| version.split(|c: char| !c.is_ascii_digit()).next());
    let major = major.and_then(|major| major.parse().ok()).filter(|major: &u32| *major >= OLDEST);
    major.with_context(|| {
        format!(
            "PostgreSQL {OLDEST} or newer is needed, and the one in {} is {}: install a newer one, set JIANGHAN_PG_BIN \
             to the folder of its programs, or set JIANGHAN_DATABASE_URL to a server you have",
            dir.display(),
            version.unwrap_or("of no known version")
        )
    })
}

/// Refuses programs of another version than the one that made the cluster, and names that one.
pub(super) fn check_maker(made_by: Option<u32>, version: u32, dir: &Path, data: &Path) -> anyhow::Result<()> {
    let Some(needed) = made_by.filter(|needed| *needed != version) else { return Ok(()) };
    anyhow::bail!(
        "{} was made by PostgreSQL {needed}, and the one in {} is {version}: install PostgreSQL {needed}, set \
         JIANGHAN_PG_BIN to the folder of its programs, or choose another data folder",
        data.display(),
        dir.display()
    )
}

/// Whether all programs are there that a server needs: a folder may hold those of a client alone.
fn is_complete(dir: &Path) -> bool {
    dir.join("postgres").exists() && dir.join("initdb").exists()
}

/// The programs to run: those that `JIANGHAN_PG_BIN` names; else of the version that is needed; else the newest of Debian's
/// folders, and those on the path where it has none.
fn installed(needed: Option<u32>) -> anyhow::Result<PathBuf> {
    if let Some(dir) = std::env::var_os("JIANGHAN_PG_BIN").map(PathBuf::from) {
        anyhow::ensure!(is_complete(&dir), "JIANGHAN_PG_BIN={} holds no postgres and initdb", dir.display());
        return Ok(dir);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|dir| is_complete(dir));
    chosen(Path::new(DEBIAN), on_path, needed).context(
        "PostgreSQL is not installed: install it (on Debian: apt-get install postgresql-15), set JIANGHAN_PG_BIN to the \
         folder of its programs, or set JIANGHAN_DATABASE_URL to a server you have",
    )
}

/// Of the versions in `tree` the one that is needed, else the newest; `on_path` where the tree has not what is wanted of it.
pub(super) fn chosen(tree: &Path, on_path: Option<PathBuf>, needed: Option<u32>) -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(tree)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, dir)| is_complete(dir))
        .collect();
    found.sort();
    let fitting = match needed {
        Some(needed) => found.iter().find(|(version, _)| *version == needed).cloned(),
        None => found.last().cloned(),
    };
    // Another version than the needed one is better than none: what it is, is told with what is needed.
    fitting.map(|(_, dir)| dir).or(on_path).or_else(|| found.pop().map(|(_, dir)| dir))
}
