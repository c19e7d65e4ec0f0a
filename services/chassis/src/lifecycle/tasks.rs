//! Tasks with names. One that fails or panics is reported with its name; nothing dies silently.

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use tokio::task::JoinSet;

use crate::Error;

/// Whether a task may end before it is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// It may finish its work.
    Freely,
    /// It works until told to stop.
    WhenTold,
}

/// Tasks that are stopped together.
#[derive(Debug, Default)]
pub(super) struct Crew(JoinSet<(&'static str, Ends, anyhow::Result<()>)>);

impl Crew {
    /// Starts a task.
    pub(super) fn spawn<F>(&mut self, name: &'static str, ends: Ends, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.0.spawn(async move {
            let outcome = AssertUnwindSafe(task).catch_unwind().await;
            (name, ends, outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked"))))
        });
    }

    /// Resolves when a task has failed, or has ended though it was not told to; never otherwise. Cancel safe.
    pub(super) async fn failure(&mut self) -> anyhow::Error {
        loop {
            match self.0.join_next().await {
                Some(Ok((_, Ends::Freely, Ok(())))) => {}
                Some(Ok((name, Ends::WhenTold, Ok(())))) => {
                    return anyhow::anyhow!("the {name} ended by itself");
                }
                Some(Ok((name, _, Err(error)))) => return error.context(format!("the {name} failed")),
                Some(Err(lost)) => return Error::task(lost).into(),
                None => std::future::pending().await,
            }
        }
    }

    /// Waits for tasks that have been told to stop; aborts those that take longer. The first failure comes back.
    pub(super) async fn finish(&mut self, within: Duration) -> anyhow::Result<()> {
        let mut first = Ok(());
        let all = async {
            while let Some(ended) = self.0.join_next().await {
                let outcome = match ended {
                    Ok((name, _, Err(error))) => Err(error.context(format!("the {name} failed"))),
                    Ok((_, _, Ok(()))) => Ok(()),
                    Err(lost) => Err(Error::task(lost).into()),
                };
                if first.is_ok() {
                    first = outcome;
                }
            }
        };
        if tokio::time::timeout(within, all).await.is_err() {
            tracing::warn!(tasks = self.0.len(), "tasks did not end in time and are cut");
            self.0.shutdown().await;
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failures_panics_and_early_ends_are_told_by_name() {
        for (name, ends, task) in [
            ("timer", Ends::Freely, async { anyhow::bail!("boom") }.boxed()),
            ("relay", Ends::WhenTold, async { Ok(()) }.boxed()),
            ("consumer", Ends::WhenTold, async { panic!("no") }.boxed()),
        ] {
            let mut crew = Crew::default();
            crew.spawn("snapshot", Ends::Freely, async { Ok(()) });
            crew.spawn(name, ends, task);
            let failure = tokio::time::timeout(Duration::from_secs(5), crew.failure()).await.unwrap();
            assert!(format!("{failure:#}").contains(name), "{failure:#}");
        }
    }

    #[tokio::test]
    async fn what_does_not_end_in_time_is_cut() {
        let mut crew = Crew::default();
        crew.spawn("sleeper", Ends::WhenTold, std::future::pending());
        crew.finish(Duration::from_millis(20)).await.unwrap();
    }
}
