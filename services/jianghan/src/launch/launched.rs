//! A suite that runs: its clients, what ends when it should not, and how it is stopped.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use chassis::{
    Error, Running,
    bus::EventBus,
    embedded::{Postgres, RabbitMq},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Process;
use crate::{
    reconcile::{self, Waiting},
    suite::{AccountsFile, Addresses, Suite},
};

/// A suite that runs.
pub struct Launched {
    /// Where it listens.
    pub addresses: Addresses,
    /// Who can sign in.
    pub accounts: AccountsFile,
    /// The accounts file.
    pub accounts_path: PathBuf,
    /// The master key file.
    pub key_path: PathBuf,
    /// Whether this start found no data and seeded.
    pub fresh: bool,
    /// The private PostgreSQL, unless a server of the operator's is used.
    pub postgres: Option<Postgres>,
    /// The private RabbitMQ, in the distributed shape.
    pub rabbit: Option<RabbitMq>,
    pub(super) parts: Parts,
}

pub(super) enum Parts {
    Here {
        services: Vec<Running>,
        bus: Arc<dyn EventBus>,
        /// Until its end has been told.
        gateway: Option<JoinHandle<Result<()>>>,
        stop: CancellationToken,
    },
    Processes(Vec<Process>),
}

impl Launched {
    /// Typed clients.
    ///
    /// # Errors
    /// When an address has no acceptable form.
    pub fn suite(&self) -> Result<Suite> {
        Suite::new(&self.addresses)
    }

    /// Waits until every service answers and all events have been taken in. What is parked does not keep a suite from
    /// starting: it is given. A part that ends meanwhile will not become ready, and is told at once.
    pub(super) async fn settled(&mut self) -> Result<Waiting> {
        let suite = self.suite()?;
        let operator = crate::simulate::operator(&suite, &self.accounts)?;
        let ready = async {
            let deadline = std::time::Instant::now() + Duration::from_secs(90);
            loop {
                match reconcile::taken_in(&suite, &operator, Duration::from_secs(90)).await {
                    Ok(waiting) => return Ok(waiting),
                    // Waiting does not change the password.
                    Err(error) if operator.is_refused().await => return Err(error),
                    Err(error) if std::time::Instant::now() > deadline => {
                        return Err(error.context("the services did not become ready"));
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        tokio::select! {
            waiting = ready => waiting,
            ended = self.failed() => {
                ended?;
                bail!("a part of the suite ended while it started")
            }
        }
    }

    /// Resolves when a part ends that should not: with what it said.
    ///
    /// # Errors
    /// Always: a part that ends is a failure.
    pub async fn failed(&mut self) -> Result<()> {
        match &mut self.parts {
            Parts::Here { services, gateway, .. } => {
                let ends = services.iter_mut().map(|running| {
                    let name = running.name;
                    Box::pin(async move { running.ended().await.with_context(|| format!("{name} ended")) })
                });
                tokio::select! {
                    (result, _, _) = futures::future::select_all(ends) => result?,
                    result = ended(gateway) => result.context("the gateway ended")?,
                }
                bail!("a service ended without being told to")
            }
            Parts::Processes(processes) => loop {
                for process in processes.iter_mut() {
                    if let Some(status) = process.ended()? {
                        bail!("{} ended with {status}; see {}", process.service, process.log.display());
                    }
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            },
        }
    }

    /// The processes of the distributed shape; none in the all-in-one.
    pub fn processes(&self) -> &[Process] {
        match &self.parts {
            Parts::Here { .. } => &[],
            Parts::Processes(processes) => processes,
        }
    }

    /// The same, to stop and start them.
    pub fn processes_mut(&mut self) -> &mut [Process] {
        match &mut self.parts {
            Parts::Here { .. } => &mut [],
            Parts::Processes(processes) => processes,
        }
    }

    /// Stops everything in order: the edge, the services, the broker, the database. No process is left behind.
    ///
    /// # Errors
    /// The first failure that [`failed`](Self::failed) has not told; the rest is stopped all the same.
    pub async fn stop(mut self) -> Result<()> {
        let mut first = None;
        let mut note = |result: Result<()>| {
            if let (Err(error), None) = (result, &first) {
                first = Some(error);
            }
        };
        match self.parts {
            Parts::Here { services, bus, mut gateway, stop } => {
                stop.cancel();
                note(ended(&mut gateway).await);
                // Together, not one after the other: a consumer that stops first would leave the others' events.
                for running in &services {
                    running.tell_to_stop();
                }
                for running in services {
                    note(running.stop().await);
                }
                bus.close().await;
            }
            Parts::Processes(mut processes) => {
                for process in &processes {
                    process.terminate();
                }
                for process in &mut processes {
                    note(process.wait(Duration::from_secs(30)).await);
                }
            }
        }
        if let Some(rabbit) = &mut self.rabbit {
            note(rabbit.stop().await);
        }
        if let Some(postgres) = &mut self.postgres {
            note(postgres.stop().await);
        }
        first.map_or(Ok(()), Err)
    }
}

/// Waits until a task has ended, and tells how, once. Cancel safe.
async fn ended(task: &mut Option<JoinHandle<Result<()>>>) -> Result<()> {
    let Some(running) = task else { return Ok(()) };
    let ended = running.await;
    *task = None;
    ended.map_err(Error::task)?
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::suite::{Account, fake};

    #[tokio::test]
    async fn a_service_that_dies_while_it_starts_is_told_at_once_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("staffing.log");
        let dies = Process::start(Path::new("false"), "staffing", Vec::new(), log.clone()).unwrap();
        let addresses = Addresses::all_at(fake::NOWHERE);
        let operator = Account::stranger("it_operator");
        let mut launched = Launched {
            addresses: addresses.clone(),
            accounts: AccountsFile { addresses, accounts: vec![operator] },
            accounts_path: dir.path().join("accounts.json"),
            key_path: dir.path().join("jianghan.key"),
            fresh: true,
            postgres: None,
            rabbit: None,
            parts: Parts::Processes(vec![dies]),
        };
        let told = tokio::time::timeout(Duration::from_secs(30), launched.settled()).await;
        let told = told.expect("long before the services are given up").unwrap_err().to_string();
        assert!(told.contains("staffing ended with"), "{told}");
        assert!(told.contains(&log.display().to_string()), "{told}");
    }

    #[tokio::test]
    async fn a_suite_that_does_not_let_its_operator_in_is_not_waited_for() {
        let (_, door) = fake::refusing(tonic::Status::unauthenticated("no")).await;
        let dir = tempfile::tempdir().unwrap();
        let addresses = Addresses::all_at(&door.address);
        let operator = Account::stranger("it_operator");
        let mut launched = Launched {
            addresses: addresses.clone(),
            accounts: AccountsFile { addresses, accounts: vec![operator] },
            accounts_path: dir.path().join("accounts.json"),
            key_path: dir.path().join("jianghan.key"),
            fresh: false,
            postgres: None,
            rabbit: None,
            parts: Parts::Processes(Vec::new()),
        };
        let told = tokio::time::timeout(Duration::from_secs(30), launched.settled()).await;
        let told = format!("{:#}", told.expect("long before the services are given up").unwrap_err());
        assert!(told.contains("`stranger` is refused"), "{told}");
        assert_eq!(door.knocks(), 1);
    }

    #[tokio::test]
    async fn a_gateway_that_has_ended_can_be_waited_for_again() {
        let mut gateway = Some(tokio::spawn(async { Err(anyhow::anyhow!("it broke")) }));
        assert_eq!(ended(&mut gateway).await.unwrap_err().to_string(), "it broke");
        ended(&mut gateway).await.expect("told already, it is stopped in order with the rest");
    }
}
