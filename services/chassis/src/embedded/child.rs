//! One child process and the thread that waits for it. The thread lives as long as the child, because the kernel's
//! parent-death signal (set by `setpriv`) fires when the spawning *thread* ends.

use std::{
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, User, geteuid},
};
use tokio::sync::watch;

/// A running child.
#[derive(Debug)]
pub(super) struct Child {
    pid: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Child {
    /// Spawns the command in a process group of its own, so that a terminal's Ctrl-C does not reach it first.
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        command.process_group(0);
        let (exited, exit) = watch::channel(None);
        let (started, start) = std::sync::mpsc::channel();
        std::thread::Builder::new().name("child".to_owned()).stack_size(128 << 10).spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    let _ = started.send(Err(error)); // the receiver waits for exactly this
                    return;
                }
            };
            let _ = started.send(Ok(child.id()));
            if let Ok(status) = child.wait() {
                exited.send_replace(Some(status));
            }
        })?;
        let pid = start.recv().map_err(io::Error::other)??;
        let pid = i32::try_from(pid).map_err(io::Error::other)?;
        Ok(Self { pid: Pid::from_raw(pid), exit })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// How it ended, once it has.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Sends a signal unless it has ended.
    pub(super) fn signal(&self, signal: Signal) {
        if self.status().is_none() {
            let _ = kill(self.pid, signal); // it may end at this very moment
        }
    }

    /// Waits until it has ended; `false` when it takes longer.
    pub(super) async fn ended(&self, within: Duration) -> bool {
        let mut exit = self.exit.clone();
        tokio::time::timeout(within, exit.wait_for(Option::is_some)).await.is_ok()
    }

    /// As [`ended`](Self::ended), for `Drop`, which cannot await.
    pub(super) fn ended_blocking(&self, within: Duration) -> bool {
        let start = Instant::now();
        while self.status().is_none() {
            if start.elapsed() > within {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

/// The unprivileged user that a server runs as when we are root, because servers refuse to run as root, or should: the
/// first of `names` that there is. `package` makes it. `None` unless we are root.
pub(super) fn server_user(names: &[&str], package: &str) -> anyhow::Result<Option<User>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    first_user(names, package).map(Some)
}

fn first_user(names: &[&str], package: &str) -> anyhow::Result<User> {
    for name in names {
        if let Some(user) = User::from_name(name).context("looking up the server user")? {
            return Ok(user);
        }
    }
    bail!("there is no user `{}`: install the {package} package", names.join("` or `"))
}

/// The unprivileged user whose this folder is, if we are root and it is there: who wrote it goes on with it.
pub(super) fn owner(dir: &Path) -> anyhow::Result<Option<User>> {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = std::fs::metadata(dir) else { return Ok(None) };
    let owner = Uid::from_raw(metadata.uid());
    if !geteuid().is_root() || owner.is_root() {
        return Ok(None);
    }
    User::from_uid(owner).context("looking up the server user")
}

/// A command that drops to the server user when we are root, and gets `death` when we die.
pub(super) fn command(program: &Path, user: Option<&User>, death: &str) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command
            .arg(format!("--reuid={}", user.name))
            .arg(format!("--regid={}", user.gid.as_raw()))
            .arg("--init-groups");
    }
    command.arg("--pdeathsig").arg(death).arg(program);
    command.stdin(Stdio::null());
    command
}

/// Makes a folder of mode 0700 that belongs to the server user, if there is one.
pub(super) fn private_dir(dir: &Path, user: Option<&User>) -> anyhow::Result<()> {
    use std::os::unix::fs::{PermissionsExt, chown};
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
        .and_then(|()| match user {
            Some(user) => chown(dir, Some(user.uid.as_raw()), Some(user.gid.as_raw())),
            None => Ok(()),
        })
        .with_context(|| format!("cannot hand over the folder {}", dir.display()))
}

/// A fresh short folder under /tmp: socket paths stop at 107 bytes.
pub(super) fn short_dir(user: Option<&User>) -> anyhow::Result<PathBuf> {
    let name: u64 = rand::random();
    let dir = PathBuf::from(format!("/tmp/jh-{:010x}", name & 0xff_ffff_ffff));
    private_dir(&dir, user)?;
    Ok(dir)
}

/// Refuses a folder that the server user cannot enter, in words that say what to do.
pub(super) fn check_reachable(dir: &Path, user: Option<&User>) -> anyhow::Result<()> {
    let Some(user) = user else { return Ok(()) };
    let reached =
        command(Path::new("test"), Some(user), "KILL").arg("-x").arg(dir).status().context("setpriv")?;
    anyhow::ensure!(
        reached.success(),
        "the user `{}` cannot enter {}: choose a data folder whose parents it may enter, such as /var/lib/jianghan",
        user.name,
        dir.display()
    );
    Ok(())
}

/// A small shell that, once this process is gone in whatever way, ends a server and deletes its folders. It is dismissed when this
/// is dropped: by then the server is gone, and its pid may be another process's.
#[derive(Debug)]
pub(super) struct Reaper(pub(super) process::Child);

impl Drop for Reaper {
    fn drop(&mut self) {
        let _ = self.0.kill(); // before its input ends: it is not to do its work
        let _ = self.0.wait();
    }
}

/// Starts the shell that ends `pid` and deletes `dirs` after us. For throw-away servers, whose owner may be a test process that
/// never runs destructors.
pub(super) fn reap_after_us(pid: i32, signal: &str, dirs: &[&Path]) -> io::Result<Reaper> {
    let script = r#"pid=$1; signal=$2; shift 2
        cat >/dev/null
        kill -"$signal" "$pid" 2>/dev/null
        n=0; while kill -0 "$pid" 2>/dev/null && [ "$n" -lt 200 ]; do n=$((n+1)); sleep 0.05; done
        kill -KILL "$pid" 2>/dev/null
        rm -rf -- "$@""#;
    // The write end of its input stays open until this process ends; that is the whole signal.
    let child = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg("sh")
        .arg(pid.to_string())
        .arg(signal)
        .args(dirs)
        .process_group(0)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Reaper(child))
}

/// The last lines of a log file, for messages about a server that did not come up.
pub(super) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

/// What a log has told since it was `length` bytes long.
pub(super) fn since(log: &Path, length: u64) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let from = usize::try_from(length).unwrap_or(usize::MAX).min(bytes.len());
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}

/// A TCP port of loopback that is free now.
pub(super) fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    Ok(listener.local_addr().context("no free port")?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_user_that_there_is_is_taken_and_the_package_is_named_when_there_is_none() {
        let found = first_user(&["no-such-user", "root", "nobody"], "coreutils").unwrap();
        assert_eq!(found.name, "root");
        let error = first_user(&["no-such-user", "nor-this"], "rabbitmq-server").unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no user `no-such-user` or `nor-this`: install the rabbitmq-server package"
        );
    }

    #[test]
    fn servers_of_a_root_are_another_user_s_and_those_of_anybody_else_their_own() {
        let root = geteuid().is_root();
        let user = server_user(&["no-such-user", "nobody"], "base-passwd").unwrap();
        assert_eq!(user.as_ref().map(|user| user.name.as_str()), root.then_some("nobody"));
        assert_eq!(server_user(&["no-such-user"], "base-passwd").is_err(), root, "nobody else needs one");
        let asked = command(Path::new("id"), user.as_ref(), "KILL").arg("-u").output().unwrap();
        let runs_as = user.map_or(geteuid(), |user| user.uid);
        assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), runs_as.to_string());
    }

    #[test]
    fn a_folder_that_the_server_user_cannot_enter_is_refused_with_what_to_do() {
        use std::{fs::Permissions, os::unix::fs::PermissionsExt};
        let user = server_user(&["nobody"], "base-passwd").unwrap();
        let closed = short_dir(None).unwrap();
        let dir = closed.join("data");
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        let refused = check_reachable(&dir, user.as_ref());
        let own = check_reachable(&dir, None);
        std::fs::set_permissions(&closed, Permissions::from_mode(0o755)).unwrap();
        let entered = check_reachable(&dir, user.as_ref());
        std::fs::remove_dir_all(&closed).unwrap();
        let dir = dir.display();
        let advice = "choose a data folder whose parents it may enter, such as /var/lib/jianghan";
        // Where it is not root who runs this, the servers are whoever runs it, and enter what it made.
        let told = user.map(|_| format!("the user `nobody` cannot enter {dir}: {advice}"));
        assert_eq!(refused.err().map(|error| error.to_string()), told);
        own.unwrap();
        entered.unwrap();
    }

    #[test]
    fn a_folder_of_nobody_in_particular_has_no_owner_to_go_on_as() {
        assert!(owner(Path::new("/no/such/folder")).unwrap().is_none());
        assert!(owner(Path::new("/")).unwrap().is_none(), "it is root's");
    }
}
