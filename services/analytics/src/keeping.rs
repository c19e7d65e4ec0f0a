//! Housekeeping: partitions of the event log ahead of domain time, buckets that hold nothing any more, and sums of the stock that a
//! replica of a build before has left behind.

use std::time::Duration;

use chassis::{Clock, Error, Result, clock::rest, db::Db};
use tokio_util::sync::CancellationToken;

use crate::store::{partitions, stock};

/// How often, besides when domain time jumps.
const EVERY: Duration = Duration::from_secs(3600);

/// How soon again when it failed.
const AGAIN: Duration = Duration::from_secs(30);

/// Runs until stopped. What fails is tried again: events find room in the default partition meanwhile.
pub async fn run(db: Db, clock: Clock, stop: CancellationToken) -> Result<(), Error> {
    let mut jumps = clock.jumps();
    loop {
        let pause = match keep_all(&db, &clock).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::warn!(error = %error.chain(), "housekeeping failed");
                AGAIN
            }
        };
        if !rest(&mut jumps, pause, &stop).await {
            return Ok(());
        }
    }
}

async fn keep_all(db: &Db, clock: &Clock) -> Result<()> {
    keep(db, clock).await?;
    let mut conn = db.conn().await?;
    if stock::mend(&mut conn).await? {
        tracing::info!("summed the stock up anew: a replica of a build before had counted, too");
    }
    Ok(())
}

/// Makes partitions and sweeps, once; also before the first event is taken in, so that it finds its partition.
pub async fn keep(db: &Db, clock: &Clock) -> Result<()> {
    let mut conn = db.conn().await?;
    let made = partitions::ensure(&mut conn, clock.now()).await?;
    if made > 0 {
        tracing::info!(partitions = made, "made partitions of the event log");
    }
    partitions::sweep(&mut conn, clock.now()).await
}
