//! When timers are looked at: every so often, and at once when domain time jumps. How they are gone through: many at once, and
//! one by one where that fails, so that what cannot be done is put off itself and keeps nobody waiting.

use std::{fmt::Display, future::Future, sync::OnceLock, time::Duration};

use chassis::{Clock, Result, clock::rest};
use tokio_util::sync::CancellationToken;

/// As many in one transaction.
const BATCH: i64 = 100;

/// Does what is due of one kind.
pub trait Sweep: Sync {
    /// The kind, in the plural.
    const WHAT: &'static str;

    /// Does everything that is due now, or until `stop`.
    fn sweep(&self, stop: &CancellationToken) -> impl Future<Output = Result<()>> + Send;
}

/// Timers that each belong to one thing.
pub trait Timers: Sweep {
    /// What tells the thing.
    type Id: Copy + Display + Send + Sync;

    /// One transaction over the longest due. Gives how many there were; the first is noted, which outlives a failure.
    fn batch(&self, most: i64, taken: &OnceLock<Self::Id>) -> impl Future<Output = Result<usize>> + Send;

    /// Puts this one off, and no other, unless it is not due any more.
    fn put_off(&self, id: Self::Id) -> impl Future<Output = Result<()>> + Send;
}

/// Does everything that is due, or until `stop`.
///
/// # Errors
/// An outage, and what none of them is to blame for.
pub async fn timers<S: Timers>(sweeper: &S, stop: &CancellationToken) -> Result<()> {
    while !stop.is_cancelled() {
        let moved = match sweeper.batch(BATCH, &OnceLock::new()).await {
            Err(error) if !error.retryable() => {
                tracing::warn!(error = %error.chain(), what = S::WHAT, "timers are tried one by one");
                singly(sweeper).await?
            }
            moved => moved?,
        };
        if moved == 0 {
            return Ok(());
        }
    }
    Ok(())
}

/// One at a time; the one that fails is put off.
async fn singly<S: Timers>(sweeper: &S) -> Result<usize> {
    for done in 0..BATCH {
        let taken = OnceLock::new();
        match sweeper.batch(1, &taken).await {
            Ok(0) => return Ok(usize::try_from(done).unwrap_or(0)),
            Ok(_) => {}
            Err(error) if error.retryable() => return Err(error),
            Err(error) => {
                // None is to blame where none could be taken.
                let Some(id) = taken.get() else { return Err(error) };
                let what = S::WHAT;
                tracing::error!(%id, what, error = %error.chain(), "a timer failed; it is put off");
                sweeper.put_off(*id).await?;
            }
        }
    }
    Ok(usize::try_from(BATCH).unwrap_or(0))
}

/// Sweeps until `stop`. Outages are logged and waited out, and so is a clock that is wrong: what it says is over would be over for
/// good.
///
/// # Errors
/// None.
pub async fn until<S: Sweep>(
    sweeper: &S,
    clock: &Clock,
    pause: Duration,
    stop: &CancellationToken,
) -> Result<()> {
    let mut jumps = clock.jumps();
    loop {
        if !clock.is_astray()
            && let Err(error) = sweeper.sweep(stop).await
        {
            tracing::warn!(error = %error.chain(), what = S::WHAT, "a sweep was interrupted");
        }
        if !rest(&mut jumps, pause, stop).await {
            return Ok(());
        }
    }
}
