//! A service in a process of its own: started with its environment, its output kept in a log, stopped by its pid. It
//! never outlives the process that started it.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// One running process.
#[derive(Debug)]
pub struct Process {
    /// Name of the service.
    pub service: &'static str,
    /// Where its output goes.
    pub log: PathBuf,
    binary: PathBuf,
    environment: Vec<(String, String)>,
    child: Child,
    guard: Child,
}

impl Process {
    /// Starts `binary serve <service>`.
    ///
    /// # Errors
    /// When the binary or the log cannot be used.
    pub fn start(
        binary: &Path,
        service: &'static str,
        environment: Vec<(String, String)>,
        log: PathBuf,
    ) -> Result<Self> {
        let (child, guard) = spawn(binary, service, &environment, &log)?;
        Ok(Self { service, log, binary: binary.to_owned(), environment, child, guard })
    }

    /// Pid of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("waiting for {}", self.service))
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Kills it at once, as a crash would, and reaps it.
    ///
    /// # Errors
    /// When the system cannot tell how it ended.
    pub fn kill9(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL);
        self.child.wait().with_context(|| format!("waiting for {}", self.service))?;
        Ok(())
    }

    /// Starts it again with the same environment and `more`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self, more: &[(String, String)]) -> Result<()> {
        let mut environment = self.environment.clone();
        environment.extend(more.iter().cloned());
        self.dismiss_guard();
        (self.child, self.guard) = spawn(&self.binary, self.service, &environment, &self.log)?;
        Ok(())
    }

    /// Waits for its end; kills it when that takes too long, which is a failure.
    ///
    /// # Errors
    /// When it had to be killed or ended with another code than 0.
    pub async fn wait(&mut self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            match self.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("{} ended with {status}; see {}", self.service, self.log.display()),
                None if Instant::now() > deadline => {
                    self.kill9()?;
                    bail!("{} did not stop within {patience:?} and was killed", self.service);
                }
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// The guard's pid may be another process's by now, once the child was reaped: the guard goes first.
    fn dismiss_guard(&mut self) {
        let _ = self.guard.kill(); // gone already, or now
        let _ = self.guard.wait();
    }

    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id())
            && let Err(error) = kill(Pid::from_raw(pid), signal)
        {
            tracing::debug!(service = self.service, %error, "the process is gone already");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.dismiss_guard();
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::SIGKILL);
            let _ = self.child.wait(); // reaped or not, nothing more can be done here
        }
    }
}

fn spawn(
    binary: &Path,
    service: &str,
    environment: &[(String, String)],
    log: &Path,
) -> Result<(Child, Child)> {
    let output = File::options().create(true).append(true).open(log);
    let output = output.with_context(|| format!("cannot write {}", log.display()))?;
    let errors = output.try_clone().context("the log")?;
    let mut child = Command::new(binary)
        .args(["serve", service])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        // A terminal's Ctrl-C goes to its whole group: it is for us, who stop the services in order, and their second signal.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    match guard(child.id()) {
        Ok(guard) => Ok((child, guard)),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

/// A small shell that kills `pid` once we are gone in whatever way: its input ends with us.
fn guard(pid: u32) -> Result<Child> {
    Command::new("sh")
        .args(["-c", "cat >/dev/null; kill -KILL \"$1\"", "sh", &pid.to_string()])
        .process_group(0) // a terminal's Ctrl-C must not end it before us
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run sh")
}
