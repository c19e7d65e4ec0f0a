//! One file per command: arguments, help and what it prints. Exit codes: 0 done, 1 failed or found something, 2 usage.

pub mod analytics;
pub mod audit;
pub mod calendar;
pub mod catalogue;
pub mod classify;
pub mod events;
pub mod exchange;
pub mod export;
pub mod hotspots;
pub mod import;
pub mod key;
mod list_files;
pub mod process;
pub mod reconcile;
pub mod route;
pub mod seed;
pub mod serve;
pub mod simulate;
pub mod up;

use std::{
    fs::OpenOptions,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use chassis::lifecycle::shutdown_signal;
use clap::Args;

use crate::suite::AccountsFile;

/// How a command finds a running suite.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// Accounts file of the running suite, as `infra/up` writes it.
    #[arg(
        long,
        value_name = "FILE",
        default_value_os_t = default_data_dir().join("accounts.json"),
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

/// Where `up` keeps its data unless told otherwise: `.data` in the folder that `JIANGHAN_HOME` names (the scripts of
/// `infra/` name the repository), or here. For root in a folder that other users may not enter, such as `/root`, it is
/// `/var/lib/jianghan`, because the servers run as a user of their own.
pub fn default_data_dir() -> PathBuf {
    let home = std::env::var_os("JIANGHAN_HOME").map(PathBuf::from).unwrap_or_default();
    let here = std::env::current_dir().unwrap_or_default();
    data_dir_of(&here, &home, nix::unistd::geteuid().is_root())
}

/// The same for somebody who stands in a folder, from which `home` is looked for.
fn data_dir_of(here: &Path, home: &Path, root: bool) -> PathBuf {
    let closed = |dir: &Path| std::fs::metadata(dir).is_ok_and(|dir| dir.mode() & 0o001 == 0);
    let unreachable = root && here.join(home).ancestors().any(closed);
    if unreachable { PathBuf::from("/var/lib/jianghan") } else { home.join(".data") }
}

/// Does what writes a file that appears when it is whole. Told to stop, it gives that up, and what was written aside is gone: it may
/// hold what residents wrote.
///
/// # Errors
/// Of the work; that it was stopped.
pub async fn unless_stopped<T>(out: &Path, work: impl Future<Output = Result<T>>) -> Result<T> {
    unless(shutdown_signal(), out, work).await
}

async fn unless<T>(
    stop: impl Future<Output = ()>,
    out: &Path,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = stop => bail!("stopped; {} was not written", out.display()),
    }
}

/// Whether a report can be written where it is asked for: told before the work, which may take hours. An older one stays as it is.
///
/// # Errors
/// Naming the file.
pub fn try_report(path: &Path) -> Result<()> {
    let known = path.exists();
    let tried = OpenOptions::new().append(true).create(true).open(path);
    tried.with_context(|| format!("--report: cannot write {}", path.display()))?;
    if !known {
        std::fs::remove_file(path).ok();
    }
    Ok(())
}

/// Writes a report as JSON.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let json = serde_json::to_vec_pretty(value)?;
    std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{Permissions, set_permissions},
        os::unix::fs::PermissionsExt,
    };

    use super::*;

    #[test]
    fn data_of_a_root_whose_folder_is_closed_to_the_servers_goes_elsewhere() {
        let outer = tempfile::tempdir_in("/tmp").expect("a folder");
        let home = outer.path().join("jianghan");
        std::fs::create_dir(&home).expect("made");
        set_permissions(&home, Permissions::from_mode(0o755)).expect("opened");
        let (usual, elsewhere) = (home.join(".data"), PathBuf::from("/var/lib/jianghan"));
        for (mode, root, expected) in
            [(0o700, true, &elsewhere), (0o700, false, &usual), (0o755, true, &usual), (0o711, true, &usual)]
        {
            set_permissions(outer.path(), Permissions::from_mode(mode)).expect("set");
            assert_eq!(data_dir_of(Path::new("/"), &home, root), *expected, "{mode:o}, root: {root}");
            // Standing in it, with nothing said about where it is.
            let told = data_dir_of(&home, Path::new(""), root);
            assert_eq!(told == elsewhere, *expected == elsewhere, "{mode:o}, root: {root}: {told:?}");
        }
    }

    #[tokio::test]
    async fn what_is_told_to_stop_leaves_no_half_a_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let files = || std::fs::read_dir(dir.path()).expect("a folder").count();
        let (begun, stop) = tokio::sync::oneshot::channel::<()>();
        let work = async {
            let half = tempfile::NamedTempFile::new_in(dir.path()).expect("a file");
            assert_eq!(files(), 1);
            begun.send(()).expect("somebody stops it");
            std::future::pending::<()>().await;
            anyhow::Ok(half)
        };
        let stopped = unless(async { stop.await.expect("it is begun") }, Path::new("cases.csv"), work).await;
        assert_eq!(stopped.expect_err("not done").to_string(), "stopped; cases.csv was not written");
        assert_eq!(files(), 0);
    }

    #[test]
    fn where_a_report_cannot_go_is_told_before_and_what_is_there_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let (new, old) = (dir.path().join("new.json"), dir.path().join("old.json"));
        std::fs::write(&old, "{}").expect("written");
        try_report(&new).expect("it can go there");
        try_report(&old).expect("it can be replaced");
        assert!(!new.exists(), "nothing is left before there is something to tell");
        assert_eq!(std::fs::read(&old).expect("it stays"), b"{}");
        for wrong in [dir.path().join("no/such/report.json"), dir.path().to_owned()] {
            let error = try_report(&wrong).expect_err("refused").to_string();
            assert_eq!(error, format!("--report: cannot write {}", wrong.display()));
        }
    }
}
