//! A private PostgreSQL cluster: one folder, one unix socket in a private folder, no TCP. `trust` is safe there. As
//! root the server runs as the unprivileged user `postgres`.

mod making;
mod programs;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{sys::signal::Signal, unistd::User};

use self::programs::find_binaries;
use super::child::{self, Child, Reaper};

/// Who the server runs as when we are root, and what brings that user.
const USERS: [&str; 1] = ["postgres"];
const PACKAGE: &str = "postgresql";

/// The oldest version that knows every setting and statement used.
const OLDEST: u32 = 15;

/// PostgreSQL's own settings, and the line in them that brings in ours.
const CONF: &str = "postgresql.conf";
const INCLUDE: &str = "include 'jianghan.conf'";

/// How long a start may take; recovery after a hard stop takes a second or so.
const START: Duration = Duration::from_secs(60);

/// Megabytes of pages that a durable server keeps: a sixteenth of the memory that there is, which holds all of the suite besides, but
/// no less than 128 and no more than 1,024. PostgreSQL takes them as it fills them.
fn buffers_mb() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = told.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let machine: Option<u64> =
        total.and_then(|kilobytes| kilobytes.parse().ok()).map(|kilobytes: u64| kilobytes >> 10);
    // In a container there is what it may have; `max` is no number.
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").unwrap_or_default();
    let limit = limit.trim().parse::<u64>().ok().map(|bytes| bytes >> 20);
    let least = machine.into_iter().chain(limit).min();
    least.map_or(256, |megabytes| (megabytes / 16).clamp(128, 1_024))
}

/// How long a fast shutdown may take before it is cut.
const STOP: Duration = Duration::from_secs(20);

/// Where and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the cluster (`pg` and `pg.log` below it); kept, and used again by the next start.
    pub dir: PathBuf,
    /// For tests and benches: deleted when this process ends in whatever way.
    pub throw_away: bool,
    /// Whether commits are durable, and the server as large as a lasting one. Off only together with `throw_away`, and not in
    /// tests that kill the server.
    pub durable: bool,
    /// Whether the server counts its statements (`pg_stat_statements`).
    pub statistics: bool,
}

impl Options {
    /// A lasting, durable cluster in a folder.
    pub fn lasting(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), throw_away: false, durable: true, statistics: false }
    }

    /// A throw-away cluster under /tmp. `durable` for tests that kill the server.
    pub fn throw_away(durable: bool) -> Self {
        let name: u64 = rand::random();
        Self {
            dir: PathBuf::from(format!("/tmp/jh-pg-{name:016x}")),
            throw_away: true,
            durable,
            statistics: false,
        }
    }
}

/// A running private cluster.
#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    options: Options,
    user: Option<User>,
    socket_dir: PathBuf,
    child: Option<Child>,
    reaper: Option<Reaper>,
}

impl Postgres {
    /// Starts a cluster, making it first when the folder is new. Gives back once it answers.
    ///
    /// # Errors
    /// In one clear sentence: PostgreSQL is not installed, or not of the version that made the cluster, the folder is out of reach
    /// or in use, the server did not come up (with the end of its log).
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let bin = find_binaries(&data(&options.dir))?;
        let user = child::server_user(&USERS, PACKAGE)?;
        std::fs::create_dir_all(&options.dir)
            .with_context(|| format!("cannot make the folder {}", options.dir.display()))?;
        sweep(&options.dir);
        let socket_dir = child::short_dir(user.as_ref())?;
        let mut server = Self { bin, options, user, socket_dir, child: None, reaper: None };
        server.make()?;
        server.configure()?;
        server.launch().await?;
        std::fs::write(server.options.dir.join("socket"), server.socket_dir.display().to_string())
            .context("noting the socket folder")?;
        Ok(server)
    }

    /// The address of a database, in the form that diesel-async and tokio-postgres take.
    pub fn url(&self, database: &str) -> String {
        let host = self.socket_dir.display().to_string().replace('/', "%2F");
        format!("postgres://jianghan@/{database}?host={host}")
    }

    /// The address with `{service}` in place of the database.
    pub fn url_template(&self) -> String {
        self.url("{service}")
    }

    /// Folder of the unix socket, for `psql -h` and `pgbench -h` (user `jianghan`).
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Folder of PostgreSQL's programs.
    pub fn bin_dir(&self) -> &Path {
        &self.bin
    }

    /// Pid of the server; 0 when it does not run.
    pub fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, Child::pid)
    }

    /// Makes a database unless it is there, as a copy of `template` if one is named. `true` when it was made.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> anyhow::Result<bool> {
        create_database(&self.url("postgres"), name, template).await
    }

    /// Kills the server as a power cut would, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not go.
    pub async fn kill9(&mut self) -> anyhow::Result<()> {
        self.end(Signal::SIGKILL, STOP).await
    }

    /// Stops the server (fast shutdown) if it runs.
    ///
    /// # Errors
    /// When it does not go even by force.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.end(Signal::SIGINT, STOP).await
    }

    /// Stops the server if it runs, and starts it on the same data and the same socket.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        self.launch().await
    }

    async fn end(&mut self, signal: Signal, within: Duration) -> anyhow::Result<()> {
        let Some(child) = self.child.take() else { return Ok(()) };
        child.signal(signal);
        if !child.ended(within).await {
            tracing::warn!(pid = child.pid(), "PostgreSQL does not stop and is killed");
            child.signal(Signal::SIGKILL);
            anyhow::ensure!(child.ended(STOP).await, "PostgreSQL (pid {}) does not end", child.pid());
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        data(&self.options.dir)
    }

    fn log(&self) -> PathBuf {
        self.options.dir.join("pg.log")
    }

    /// Written anew at every start, because the socket folder changes; `ALTER SYSTEM` still wins. A cluster that does
    /// not read it is not one of ours.
    fn configure(&self) -> anyhow::Result<()> {
        let conf = std::fs::read_to_string(self.data().join(CONF)).context("reading postgresql.conf")?;
        anyhow::ensure!(
            conf.lines().any(|line| line.trim() == INCLUDE),
            "{} is no cluster of jianghan's, or one that was not made to its end: choose another data folder, or \
             remove it if nothing in it is needed",
            self.data().display()
        );
        let durable = if self.options.durable { "on" } else { "off" };
        let connections = if self.options.throw_away { 400 } else { 200 };
        let buffers = if self.options.durable { buffers_mb() } else { 128 }; // what is measured is as what lasts
        let preload = if self.options.statistics {
            "shared_preload_libraries = 'pg_stat_statements'\npg_stat_statements.track_planning = on\n"
        } else {
            ""
        };
        let text = format!(
            "# Written by jianghan at every start.\n\
             listen_addresses = ''\n\
             unix_socket_directories = '{}'\n\
             unix_socket_permissions = 0700\n\
             max_connections = {connections}\n\
             shared_buffers = {buffers}MB\n\
             work_mem = 8MB\n\
             maintenance_work_mem = 128MB\n\
             fsync = {durable}\n\
             synchronous_commit = {durable}\n\
             full_page_writes = {durable}\n\
             wal_compression = lz4\n\
             default_toast_compression = lz4\n\
             wal_buffers = 16MB\n\
             min_wal_size = 512MB\n\
             max_wal_size = 2GB\n\
             checkpoint_timeout = 15min\n\
             random_page_cost = 1.1\n\
             jit = off\n\
             max_parallel_workers_per_gather = 0\n\
             update_process_title = off\n\
             timezone = 'UTC'\n\
             log_timezone = 'UTC'\n\
             lc_messages = 'C'\n\
             log_min_messages = warning\n\
             logging_collector = off\n{preload}",
            self.socket_dir.display()
        );
        let path = self.data().join("jianghan.conf");
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        if let Some(user) = &self.user {
            std::os::unix::fs::chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .with_context(|| format!("cannot hand over {}", path.display()))?;
        }
        Ok(())
    }

    async fn launch(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            self.free_folder(start).await?;
            let told_before = std::fs::metadata(self.log()).map_or(0, |log| log.len());
            // Kept from the first moment on: if the wait for it is given up, the server goes with it.
            self.child = Some(self.spawn()?);
            let Err(error) = self.ready(start).await else { break };
            let ended = self.child.as_ref().is_some_and(|child| child.status().is_some());
            self.kill9().await?;
            // Right after a hard kill backends of the old server may live on for a moment; PostgreSQL sees that
            // they hold its shared memory and does not start beside them.
            let told = child::since(&self.log(), told_before);
            let held = told.contains("already exists") || told.contains("shared memory");
            if !(ended && held && start.elapsed() < Duration::from_secs(10)) {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if self.options.throw_away {
            let dirs = [self.options.dir.as_path(), self.socket_dir.as_path()];
            let reaper = child::reap_after_us(self.pid(), "INT", &dirs).context("starting the reaper")?;
            self.reaper = Some(reaper); // that of the server before goes
        }
        Ok(())
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .with_context(|| format!("cannot write {}", self.log().display()))?;
        let mut command = child::command(&self.bin.join("postgres"), self.user.as_ref(), "INT");
        command.arg("-D").arg(self.data()).current_dir(self.data());
        command.stdout(log.try_clone().context("the log file")?).stderr(log);
        Child::spawn(command).context("cannot start postgres through setpriv (package util-linux)")
    }

    async fn ready(&self, start: Instant) -> anyhow::Result<()> {
        let url = self.url("postgres");
        loop {
            if let Some(status) = self.child.as_ref().and_then(Child::status) {
                bail!("PostgreSQL did not start ({status}):\n{}", child::tail(&self.log()));
            }
            if let Ok((client, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await {
                let connection = tokio::spawn(connection);
                let answered = client.simple_query("SELECT 1").await.is_ok();
                drop(client);
                connection.abort();
                if answered {
                    return Ok(());
                }
            }
            anyhow::ensure!(
                start.elapsed() < START,
                "PostgreSQL did not answer in time:\n{}",
                child::tail(&self.log())
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Makes sure that no other server uses the folder. PostgreSQL knows by itself a lock file whose process is gone,
    /// and waits for its backends; it only takes the number of a dead server for that server when some other process
    /// of the same user has it now. A lock file is never removed while the shared memory it names is in use: that is
    /// how a folder gets two servers.
    async fn free_folder(&self, start: Instant) -> anyhow::Result<()> {
        let lock = self.data().join("postmaster.pid");
        loop {
            let Ok(text) = std::fs::read_to_string(&lock) else { return Ok(()) };
            let pid = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok()).unwrap_or(0);
            let Ok(name) = std::fs::read_to_string(format!("/proc/{pid}/comm")) else { return Ok(()) };
            if !name.trim().starts_with("postgres") && !shared_memory_in_use(&text) {
                std::fs::remove_file(&lock).ok();
                return Ok(());
            }
            anyhow::ensure!(
                start.elapsed() < Duration::from_secs(10),
                "another PostgreSQL (pid {pid}) runs on {}: stop the jianghan that started it, or choose another \
                 data folder",
                self.data().display()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The cluster in a folder.
fn data(dir: &Path) -> PathBuf {
    dir.join("pg")
}

/// Whether a process is attached to the segment that a lock file names (its seventh line: key and id).
fn shared_memory_in_use(lock: &str) -> bool {
    let id = lock.lines().nth(6).and_then(|line| line.split_whitespace().nth(1));
    let segments = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    // key shmid perms size cpid lpid nattch …
    let mut segments = segments.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    segments.any(|segment| segment.get(1).copied() == id && segment.get(6).is_some_and(|count| *count != "0"))
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            child.signal(Signal::SIGINT);
            if !child.ended_blocking(STOP) {
                child.signal(Signal::SIGKILL);
            }
        }
        std::fs::remove_dir_all(&self.socket_dir).ok(); // only the socket was in it
        if self.options.throw_away {
            std::fs::remove_dir_all(&self.options.dir).ok();
        }
    }
}

/// Removes the socket folder of a start whose process was killed; its server is gone or about to go.
fn sweep(dir: &Path) {
    if let Ok(socket_dir) = std::fs::read_to_string(dir.join("socket")) {
        let socket_dir = Path::new(socket_dir.trim());
        // Only ever a folder that this module made, and only once no socket is left in it.
        if socket_dir.to_str().is_some_and(|path| path.starts_with("/tmp/jh-")) {
            std::fs::remove_dir(socket_dir).ok();
        }
    }
}

/// Makes a database on the server at `url` (any database of it) unless it is there.
///
/// # Errors
/// When the server refuses.
pub async fn create_database(url: &str, name: &str, template: Option<&str>) -> anyhow::Result<bool> {
    anyhow::ensure!(is_name(name) && template.is_none_or(is_name), "{name} is no name for a database");
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.context("the server")?;
    let connection = tokio::spawn(connection);
    let made = match client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await? {
        Some(_) => false,
        None => {
            let template = template.map(|t| format!(" TEMPLATE \"{t}\"")).unwrap_or_default();
            client.batch_execute(&format!("CREATE DATABASE \"{name}\"{template}")).await?;
            true
        }
    };
    drop(client);
    connection.await.ok();
    Ok(made)
}

/// Drops a database and whoever is connected to it.
///
/// # Errors
/// When the server refuses.
pub async fn drop_database(url: &str, name: &str) -> anyhow::Result<()> {
    anyhow::ensure!(is_name(name), "{name} is no name for a database");
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.context("the server")?;
    let connection = tokio::spawn(connection);
    client.batch_execute(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await?;
    drop(client);
    connection.await.ok();
    Ok(())
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() < 60
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
#[path = "postgres_tests.rs"]
mod tests;
