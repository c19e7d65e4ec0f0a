//! What befalls the processes of a distributed world: they are killed, abort at a seam, and come back.

use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use chassis::config::BusConfig;
use jianghan::{reconcile, suite::SERVICES};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{World, eventually, tables::Tables, wait::PATIENCE};

impl World {
    /// Kills a service's process as `kill -9` does.
    pub async fn kills(&self, service: &str) {
        let mut launched = self.launched.lock().await;
        let process = launched.processes_mut().iter_mut().find(|process| process.service == service);
        process.expect("a process of the world").kill9().expect("it can be killed");
    }

    /// Starts it again with the same environment and more.
    pub async fn restarts(&self, service: &str, more: &[(&str, &str)]) {
        let more: Vec<_> =
            more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut launched = self.launched.lock().await;
        let process = launched.processes_mut().iter_mut().find(|process| process.service == service);
        process.expect("a process of the world").restart(&more).expect("it can be started");
    }

    /// Asks a service's process to stop, and waits until it has.
    ///
    /// # Errors
    /// When it takes longer, and had to be killed, or ends with another code than 0.
    pub async fn stops(&self, service: &str, within: Duration) -> Result<()> {
        let mut launched = self.launched.lock().await;
        let process = launched.processes_mut().iter_mut().find(|process| process.service == service);
        let process = process.context("a process of the world")?;
        process.terminate();
        process.wait(within).await
    }

    /// Sends a service's process a signal.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn signals(&self, service: &str, signal: Signal) -> Result<()> {
        let launched = self.launched.lock().await;
        let process = launched.processes().iter().find(|process| process.service == service);
        let pid = process.context("a process of the world")?.pid();
        kill(Pid::from_raw(pid.try_into()?), signal).with_context(|| format!("{signal} to {service}"))
    }

    /// Starts again what has ended by itself though nobody made it, and gives how it did.
    ///
    /// # Errors
    /// When the system cannot tell, or does not start it.
    pub async fn mends(&self) -> Result<Vec<String>> {
        let mut launched = self.launched.lock().await;
        let mut mended = Vec::new();
        for process in launched.processes_mut() {
            if let Some(status) = process.ended()? {
                let (service, log) = (process.service, process.log.display());
                let ended = format!("{service} ended by itself with {status}; see {log}");
                process.restart(&[]).with_context(|| ended.clone())?;
                mended.push(ended);
            }
        }
        Ok(mended)
    }

    /// How a process ended by itself, if it did so in time.
    pub async fn ends_within(&self, service: &str, time: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + time;
        loop {
            {
                let mut launched = self.launched.lock().await;
                let process = launched.processes_mut().iter_mut().find(|process| process.service == service);
                let ended = process.expect("a process of the world").ended().expect("the system tells");
                if ended.is_some() || Instant::now() > deadline {
                    return ended;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a process has aborted. One that ended with a code, such as a start that failed, never came to the seam.
    pub async fn aborts(&self, service: &str, why: &str) {
        let ended = self.ends_within(service, PATIENCE).await;
        let ended = ended.unwrap_or_else(|| panic!("{service} did not abort at {why}"));
        assert_eq!(ended.signal(), Some(Signal::SIGABRT as i32), "{service} did not abort at {why}: {ended}");
    }

    /// Waits until a service answers.
    pub async fn answers(&self, service: &str) {
        if service == "gateway" {
            let ready = format!("{}/readyz", self.gateway);
            eventually("the gateway to be ready", async || {
                let answer = reqwest::get(&ready).await.ok()?;
                answer.status().is_success().then_some(())
            })
            .await;
            return;
        }
        eventually(&format!("{service} to answer"), async || {
            reconcile::figures(&self.suite, &self.operator, service).await.ok().map(drop)
        })
        .await;
    }

    /// How many cases there are.
    pub async fn registered(&self) -> usize {
        let all = reconcile::digests(&self.patient, &self.operator, "case-routing", "case").await;
        all.expect("case-routing lists its cases").len()
    }

    /// Waits until each service consumes as many queues as in a district, not one alone as in `up`.
    pub async fn consumes_every_group(&self) {
        let groups = i64::from(BusConfig::default().groups);
        assert!(groups > 1);
        for service in SERVICES {
            let tables = Tables::of(self, service).await.expect("the database");
            let held = "SELECT count(*) FROM consumer_lease WHERE expires_at >= clock_timestamp()";
            eventually(&format!("{service} to consume all its queues"), async || {
                (tables.count(held, &[]).await == groups).then_some(())
            })
            .await;
        }
    }
}
