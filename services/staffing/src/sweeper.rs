//! Offers that nobody answered in time go to the next best, by the calendar that is in force. Runs on domain time and wakes when it jumps. Several replicas
//! may sweep: each looks again under the task's lock. What cannot be passed on is put off, and keeps no other waiting.

use std::time::Duration;

use chassis::{
    Clock, Result,
    clock::rest,
    db::{Db, Tx},
    put_off::PutOff,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    config::Config,
    desk::{Desk, Setup, Touch},
    domain::TaskId,
    store::tasks,
};

/// Sweeps until it is told to stop. Whatever fails is logged and tried again at the next turn: an offer that runs out
/// late is no reason to end the service.
///
/// # Errors
/// None.
pub async fn run(db: Db, clock: Clock, setup: Setup, config: Config, stop: CancellationToken) -> Result<()> {
    let mut jumps = clock.jumps();
    let mut put_off = PutOff::default();
    let pause = Duration::from_millis(config.sweep_ms.max(10));
    loop {
        let swept = match setup.days.refresh(&db).await {
            Ok(()) if clock.is_astray() => Ok(0), // whom it calls late may be in time
            Ok(()) => sweep(&db, &clock, &setup, config.sweep_batch, &mut put_off).await,
            Err(error) => Err(error),
        };
        match swept {
            Ok(swept) if swept == config.sweep_batch && !stop.is_cancelled() => continue, // there may be more
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %error.chain(), "offers could not be swept, again soon"),
        }
        if !rest(&mut jumps, pause, &stop).await {
            return Ok(());
        }
    }
}

/// One pass: at most `limit` tasks. Gives how many were looked at.
async fn sweep(db: &Db, clock: &Clock, setup: &Setup, limit: i64, put_off: &mut PutOff) -> Result<i64> {
    let overdue = {
        let mut conn = db.conn().await?;
        tasks::with_overdue_offers(&mut conn, clock.now(), limit.max(1), &put_off.ids()).await?
    };
    let count = overdue.len();
    put_off.each("overdue offers", overdue, |ids| pass_on(db, setup, ids)).await?;
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Gives how many.
async fn pass_on(db: &Db, setup: &Setup, overdue: Vec<Uuid>) -> Result<usize> {
    db.transaction(async |tx: &mut Tx<'_>| {
        let touch = Touch { tasks: overdue.clone(), offers: true, ..Touch::default() };
        let mut desk = Desk::open(tx, setup, touch).await?;
        for id in &overdue {
            desk.timed_out(TaskId(*id))?;
        }
        desk.save(tx).await?;
        Ok(overdue.len())
    })
    .await
}
