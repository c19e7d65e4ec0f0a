//! Parked events are tried again, the first of each key only, with growing delay; after the last attempt they are
//! dead and wait for an operator, and so do those behind them, because order matters more than speed.

use std::{collections::HashSet, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    batch::Intake,
    store::{self, Row},
};
use crate::{Error, Result, db::Tx};

/// Heads handled in one transaction.
const TOGETHER: i64 = 64;

/// Works until `stop`.
pub(super) async fn run(intake: Intake, stop: CancellationToken) -> Result<()> {
    let mut idle = tokio::time::interval(Duration::from_millis(250));
    idle.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let inbox = intake.db.inbox().clone();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = inbox.rung() => {}
            _ = idle.tick() => {}
        }
        loop {
            match pass(&intake).await {
                Ok(0) => break,
                Ok(_) if stop.is_cancelled() => return Ok(()),
                Ok(_) => {}
                Err(error) if error.retryable() => {
                    tracing::warn!(error = %error.chain(), "parked events wait for the database");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Tries the due heads once. Gives how many were handled; what has failed is not due any more.
async fn pass(intake: &Intake) -> Result<usize> {
    let heads = {
        let mut conn = intake.db.conn().await?;
        store::due_heads(&mut conn, TOGETHER).await?
    };
    if heads.is_empty() {
        return Ok(0);
    }
    match attempt(intake, &heads).await {
        Ok(handled) => Ok(handled),
        Err(_) if heads.len() > 1 => {
            let mut handled = 0;
            for head in &heads {
                handled += single(intake, head).await?;
            }
            Ok(handled)
        }
        Err(error) => failed(intake, &heads[0], error).await,
    }
}

async fn single(intake: &Intake, head: &Row) -> Result<usize> {
    match attempt(intake, std::slice::from_ref(head)).await {
        Ok(handled) => Ok(handled),
        Err(error) => failed(intake, head, error).await,
    }
}

/// Handles heads of different keys in one transaction.
async fn attempt(intake: &Intake, heads: &[Row]) -> Result<usize> {
    let handled = intake
        .db
        .transaction(async |tx: &mut Tx<'_>| {
            let seqs: Vec<i64> = heads.iter().map(|head| head.seq).collect();
            let ours: HashSet<i64> = store::lock(tx.conn, &seqs).await?;
            let ours: Vec<&Row> = heads.iter().filter(|head| ours.contains(&head.seq)).collect();
            for head in &ours {
                if matches!(head.cause.as_str(), "malformed" | "unknown_type")
                    && intake.catalogue.get(&head.r#type).is_none()
                {
                    return Err(Error::internal(format!("event type {} is not known here", head.r#type)));
                }
            }
            intake.handle(tx, ours.iter().map(|head| head.event()).collect()).await?;
            let done: Vec<i64> = ours.iter().map(|head| head.seq).collect();
            store::unpark(tx.conn, &done).await?;
            Ok(done.len())
        })
        .await?;
    intake.db.inbox().count(handled, 0, 0);
    Ok(handled)
}

/// Notes the failure of one head.
async fn failed(intake: &Intake, head: &Row, error: Error) -> Result<usize> {
    let mut conn = intake.db.conn().await?;
    if error.retryable() {
        let mut cause = intake.cause(&error, head.attempts);
        cause.delay_ms = 1_000;
        store::failed(&mut conn, head.seq, &cause, false).await?;
        return Ok(0);
    }
    let cause = intake.cause(&error, head.attempts.saturating_add(1));
    let dead = cause.attempts >= intake.config.max_attempts;
    store::failed(&mut conn, head.seq, &cause, dead).await?;
    if dead {
        tracing::error!(
            event.id = %head.event_id, event.r#type = %head.r#type, attempts = cause.attempts,
            error = %error.chain(), "an event is dead"
        );
    }
    Ok(0)
}
