//! Removes what the spine need not remember any longer: inbox records and stored answers after their days, in small
//! bites so that nobody waits.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Db;
use crate::{Result, command, inbox};

/// Rows per bite.
const BITE: i64 = 5_000;

/// Purges once an hour until `stop`. `days` is how long event ids and answers are kept.
pub async fn run(db: Db, days: i64, stop: CancellationToken) -> Result<()> {
    let mut hourly = tokio::time::interval(Duration::from_secs(3600));
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            _ = hourly.tick() => {}
        }
        if let Err(error) = once(&db, days).await {
            tracing::warn!(error = %error.chain(), "purging goes on in an hour");
        }
    }
}

/// Purges everything that is due. Gives how many inbox records and how many answers went.
pub async fn once(db: &Db, days: i64) -> Result<(usize, usize)> {
    let (mut records, mut answers) = (0, 0);
    loop {
        let mut conn = db.conn().await?;
        let (a, b) =
            (inbox::purge(&mut conn, days, BITE).await?, command::purge(&mut conn, days, BITE).await?);
        records += a;
        answers += b;
        if a == 0 && b == 0 {
            return Ok((records, answers));
        }
    }
}
