//! `jianghan up` as an operator gives it: the binary itself, on a data folder and a port of its own.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// A start that takes longer hangs, and so does a stop.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// A folder that the servers of a root, who are another user, may enter.
pub fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("jh-up-").tempdir_in("/tmp").expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
    folder
}

/// The binary, which starts private servers: those are what is looked at.
pub fn private(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_remove("JIANGHAN_DATABASE_URL").env_remove("JIANGHAN_AMQP_URL");
    command.env_remove("JIANGHAN_CONFIG").env_remove("JIANGHAN_LOG");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// `jianghan up`, which plays the day of 300 requests where none has been played.
pub fn up(binary: &Path, data: &Path, port: u16) -> Command {
    let mut command = private(binary);
    command.args(["up", "--port"]).arg(port.to_string()).arg("--data-dir").arg(data);
    command
}

/// A port that is free, as are those of the services, 21 to 25 above it; lower than those that the system gives away.
pub fn free_port() -> u16 {
    let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let all_free = |port: &u16| free(*port) && (21..=25).all(|offset| free(*port + offset));
    let first = u16::try_from(std::process::id() % 200).expect("small");
    (0..200).map(|number| 20_000 + (first + number) % 200 * 50).find(all_free).expect("free ports")
}

/// Numbers of the processes that work in a folder, as every process of a PostgreSQL does in its own.
pub fn working_in(dir: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let works = |entry: &fs::DirEntry| {
        fs::read_link(entry.path().join("cwd")).is_ok_and(|place| place.starts_with(dir))
    };
    processes.filter(works).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The database's process on the data of a suite.
pub fn database(data: &Path) -> String {
    let told = fs::read_to_string(data.join("postgres/pg/postmaster.pid")).expect("a database runs");
    told.lines().next().expect("its number").trim().to_owned()
}

/// Which program a process runs; `None` when it has ended.
pub fn program(process: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{process}/comm")).ok().map(|name| name.trim().to_owned())
}

/// Whether a process is root, or could be again. A server never is, whoever started it.
pub fn is_root(process: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("its users");
    users.split_whitespace().any(|user| user == "0")
}

/// Whether the database was stopped in order.
pub fn database_rests(data: &Path) -> bool {
    !data.join("postgres/pg/postmaster.pid").exists()
}

/// A suite that came up, and waits for Ctrl-C or plays.
pub struct Up {
    /// What it said until then.
    pub said: Vec<String>,
    child: Child,
    log: PathBuf,
    /// Kept: what it says when it stops must have somewhere to go.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Up {
    /// Runs the command until it says that it waits; what it says to people in trouble goes to `log`.
    pub async fn start(command: Command, log: PathBuf) -> Self {
        Self::until("Ctrl-C", command, log).await
    }

    /// Runs the command until a line that it says has these words.
    pub async fn until(words: &str, mut command: Command, log: PathBuf) -> Self {
        command.stdout(Stdio::piped()).stderr(fs::File::create(&log).expect("a log"));
        let mut child = command.spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut said = Vec::new();
        let ready = async {
            while let Some(line) = lines.next_line().await.expect("text") {
                if line.contains(words) {
                    return true;
                }
                said.push(line);
            }
            false
        };
        let ready = timeout(PATIENCE, ready).await.expect("it comes up");
        assert!(ready, "it ended: {}", fs::read_to_string(&log).unwrap_or_default());
        Self { said, child, log, _lines: lines }
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        let number = self.child.id().expect("it runs");
        Pid::from_raw(i32::try_from(number).expect("a number"))
    }

    /// Told to stop before, it ends with success.
    pub async fn ends_well(mut self) {
        let ended = self.ends().await;
        assert!(ended.success(), "{ended}: {}", fs::read_to_string(&self.log).unwrap_or_default());
    }

    /// How it ends, told to stop before.
    pub async fn ends(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("it stops").expect("it is waited for")
    }
}
