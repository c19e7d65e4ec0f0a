//! When timers are looked at: every so often, and at once when domain time jumps.

use std::{future::Future, time::Duration};

use chassis::{Clock, Result};
use tokio_util::sync::CancellationToken;

/// Does what is due of one kind.
pub trait Sweep: Sync {
    /// The kind, in the plural.
    const WHAT: &'static str;

    /// Does everything that is due now, or until `stop`.
    fn sweep(&self, stop: &CancellationToken) -> impl Future<Output = Result<()>> + Send;
}

/// Sweeps until `stop`. Outages are logged and waited out.
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
        jumps.mark_unchanged();
        if let Err(error) = sweeper.sweep(stop).await {
            tracing::warn!(error = %error.chain(), what = S::WHAT, "a sweep was interrupted");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
            _ = jumps.changed() => {}
        }
    }
}
