//! Deadlines and days of transfers and admissions. One at a time, for each may amend the whole list; the longest due comes
//! first; one that cannot be moved is put off itself, so that it keeps nobody waiting. Runs on domain time and wakes when it jumps.

use std::{sync::OnceLock, time::Duration};

use chassis::{
    Clock, Result,
    auth::Caller,
    db::{Db, Tx},
};
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    duty::{Duties, Tick, boxed},
    store::duties,
    sweep::{self, Sweep, Timers},
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
        sweep::timers(self, stop).await
    }
}

impl Timers for DutySweeper {
    type Id = Uuid;

    /// One, however many are asked for.
    async fn batch(&self, _most: i64, taken: &OnceLock<Uuid>) -> Result<usize> {
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let Some(id) = duties::take_due(tx.conn, tx.now).await? else { return Ok(0) };
                taken.set(id).ok();
                self.duties.apply(tx, &self.by, vec![(id, boxed(Tick))]).await?;
                Ok(1)
            })
            .await
    }

    async fn put_off(&self, id: Uuid) -> Result<()> {
        self.db
            .transaction(async |tx: &mut Tx<'_>| duties::put_off(tx.conn, id, tx.now, tx.now + PUT_OFF).await)
            .await
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
}
