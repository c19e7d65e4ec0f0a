//! Deadlines and days of transfers and admissions. One at a time, for each may amend the whole list; the longest due comes
//! first; one that cannot be moved is put off, so that it keeps nobody waiting. Runs on domain time and wakes when it jumps.

use std::time::Duration;

use chassis::{
    Clock, Result,
    auth::Caller,
    db::{Db, Tx},
};
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::{
    duty::{Duties, Tick, boxed},
    store::duties,
    sweep::{self, Sweep},
};

/// How long one that cannot be moved is put off.
const PUT_OFF: TimeDelta = TimeDelta::hours(1);

/// Moves duties by time.
#[derive(Clone)]
pub struct DutySweeper {
    pub db: Db,
    pub duties: Duties,
    pub clock: Clock,
    pub by: Caller,
    /// Real time between looks.
    pub pause: Duration,
}

impl Sweep for DutySweeper {
    const WHAT: &'static str = "duties";

    async fn sweep(&self, stop: &CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            match self.first().await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) if error.retryable() => return Err(error),
                Err(error) => {
                    tracing::error!(error = %error.chain(), "a duty cannot be moved; it is put off");
                    self.put_off().await?;
                }
            }
        }
        Ok(())
    }
}

impl DutySweeper {
    /// Sweeps until `stop`. Outages are logged and waited out.
    ///
    /// # Errors
    /// None.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        sweep::until(&self, &self.clock, self.pause, &stop).await
    }

    /// Moves the longest due one; whether there was one.
    async fn first(&self) -> Result<bool> {
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let Some(id) = duties::take_due(tx.conn, tx.now).await? else { return Ok(false) };
                self.duties.apply(tx, &self.by, vec![(id, boxed(Tick))]).await?;
                Ok(true)
            })
            .await
    }

    async fn put_off(&self) -> Result<()> {
        self.db
            .transaction(async |tx: &mut Tx<'_>| match duties::take_due(tx.conn, tx.now).await? {
                Some(id) => duties::put_off(tx.conn, id, tx.now + PUT_OFF).await,
                None => Ok(()),
            })
            .await
    }
}
