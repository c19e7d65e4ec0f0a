//! Parked events are tried again, the first of each key only, with growing delay; after the last attempt they are
//! dead and wait for an operator, and so do those behind them, because order matters more than speed. Those behind rest: nobody
//! looks at them until the one before has gone, which makes the next due.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    batch::Intake,
    store::{self, Cause, Row},
};
use crate::{Error, Result, db::Tx, event::Event};

/// Heads handled in one transaction.
const TOGETHER: i64 = 64;

/// How often it is looked for what is due.
const TICK: Duration = Duration::from_millis(250);

/// At so many ticks it is looked whether what was parked behind another still is.
const LOOKS: u32 = 8;

/// How often it is looked for what rests and should not.
const PATROL: Duration = Duration::from_secs(30);

/// Keys looked at, and events laid to rest, at a time.
const AT_A_TIME: i64 = 10_000;

/// Works until `stop`.
pub(super) async fn run(intake: Intake, stop: CancellationToken) -> Result<()> {
    let mut idle = tokio::time::interval(TICK);
    let mut patrol = tokio::time::interval(PATROL);
    for timer in [&mut idle, &mut patrol] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    let inbox = intake.db.inbox().clone();
    let (mut late, mut from) = (Late::default(), Uuid::nil());
    loop {
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            _ = patrol.tick() => look_around(&intake, &mut from).await,
            _ = idle.tick() => {
                let keys = late.with(inbox.take_behind());
                let woken = wake(&intake, &keys).await;
                if woken.is_ok() {
                    late.looked();
                }
                woken
            }
            () = inbox.rung() => Ok(()),
        };
        if let Err(error) = looked {
            tracing::warn!(error = %error.chain(), "what rests is looked at later");
        }
        loop {
            match pass(&intake).await {
                Ok(0) => break,
                Ok(_) if stop.is_cancelled() => return Ok(()),
                Ok(_) => {}
                // Nothing is lost by waiting, and new events flow meanwhile: no reason to end the service.
                Err(error) => {
                    tracing::warn!(error = %error.chain(), "parked events wait for the database");
                    break;
                }
            }
        }
    }
}

/// Keys of which something was parked behind another lately, each with how often it is still to be looked at. Whoever was letting
/// that one go, here or in another process, has not seen what was parked meanwhile; nearly always it has gone for all to see within
/// these looks. What took longer the patrol finds within half a minute.
#[derive(Debug, Default)]
struct Late(HashMap<Uuid, u32>);

impl Late {
    /// Takes these in, and gives all.
    fn with(&mut self, keys: Vec<Uuid>) -> Vec<Uuid> {
        self.0.extend(keys.into_iter().map(|key| (key, LOOKS)));
        self.0.keys().copied().collect()
    }

    /// All of them have been looked at.
    fn looked(&mut self) {
        self.0.retain(|_, left| {
            *left -= 1;
            *left > 0
        });
    }
}

/// Makes due what rests though it is the first of one of these keys.
async fn wake(intake: &Intake, keys: &[Uuid]) -> Result<()> {
    if !keys.is_empty() {
        store::wake(&mut *intake.db.conn().await?, keys).await?;
    }
    Ok(())
}

/// What was parked before the end of a process that knew of it, or behind one that took long to go, and what replicas of earlier
/// builds parked without rest: looked for by and by, from one key on.
async fn look_around(intake: &Intake, from: &mut Uuid) -> Result<()> {
    let mut conn = intake.db.conn().await?;
    store::lay_to_rest(&mut conn, AT_A_TIME).await?;
    let keys = store::keys(&mut conn, *from, AT_A_TIME).await?;
    store::wake(&mut conn, &keys).await?;
    let all = keys.len() < usize::try_from(AT_A_TIME).unwrap_or(usize::MAX);
    *from = keys.last().copied().filter(|_| !all).unwrap_or_default();
    Ok(())
}

/// Tries the due heads once. Gives how many were handled; what has failed is not due any more.
async fn pass(intake: &Intake) -> Result<usize> {
    let heads = {
        let mut conn = intake.db.conn().await?;
        store::due_heads(&mut conn, TOGETHER).await?
    };
    let (mut sound, mut handled) = (Vec::with_capacity(heads.len()), 0);
    for head in heads {
        match defect(intake, &head) {
            Some(cause) => failed(intake, &head, &cause).await?,
            None => sound.push(head),
        }
    }
    if sound.is_empty() {
        return Ok(0);
    }
    match attempt(intake, &sound).await {
        Ok(done) => handled += done,
        Err(_) if sound.len() > 1 => {
            for head in &sound {
                match attempt(intake, std::slice::from_ref(head)).await {
                    Ok(done) => handled += done,
                    Err(error) => failed(intake, head, &cause(intake, head, &error)).await?,
                }
            }
        }
        Err(error) => failed(intake, &sound[0], &cause(intake, &sound[0], &error)).await?,
    }
    Ok(handled)
}

/// Why a head must not reach the handler, whatever it was parked for: an event behind another may be of a type that
/// is not known here either, and an envelope that could not be read does not heal.
fn defect(intake: &Intake, head: &Row) -> Option<Cause> {
    let malformed = (head.cause == store::MALFORMED).then_some(head.detail.as_str());
    intake.defect(&head.r#type, &head.data, malformed, head.attempts.saturating_add(1))
}

/// Handles heads of different keys in one transaction.
async fn attempt(intake: &Intake, heads: &[Row]) -> Result<usize> {
    let handled = intake
        .db
        .transaction(async |tx: &mut Tx<'_>| {
            let seqs: Vec<i64> = heads.iter().map(|head| head.seq).collect();
            let ours: HashSet<i64> = store::lock(tx.conn, &seqs).await?;
            let ours: Vec<&Row> = heads.iter().filter(|head| ours.contains(&head.seq)).collect();
            let events: Vec<Event> = ours.iter().map(|head| head.event()).collect();
            intake.handle(tx, events.into()).await?;
            let done: Vec<i64> = ours.iter().map(|head| head.seq).collect();
            store::unpark(tx.conn, &done).await?;
            Ok(done.len())
        })
        .await?;
    intake.db.inbox().count(handled, 0, 0);
    Ok(handled)
}

/// What a failed attempt at a head means: what passes costs no attempt.
fn cause(intake: &Intake, head: &Row, error: &Error) -> Cause {
    if error.retryable() {
        return Cause { delay_ms: Some(1_000), ..intake.cause(error, head.attempts) };
    }
    intake.cause(error, head.attempts.saturating_add(1))
}

/// Notes the failure of one head.
async fn failed(intake: &Intake, head: &Row, cause: &Cause) -> Result<()> {
    let dead = cause.attempts > head.attempts && cause.attempts >= intake.config.max_attempts;
    let mut conn = intake.db.conn().await?;
    store::failed(&mut conn, head.seq, cause, dead).await?;
    if dead {
        tracing::error!(
            event.id = %head.event_id, event.r#type = %head.r#type, attempts = cause.attempts,
            cause = cause.code, error = %cause.detail, "an event is dead"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_id;

    #[test]
    fn a_key_is_looked_at_for_some_ticks_after_the_last_event_and_a_look_that_failed_is_none() {
        let (key, other) = (new_id(), new_id());
        let mut late = Late::default();
        assert_eq!(late.with(vec![key]), [key]);
        late.looked();
        for _ in 0..2 * LOOKS {
            assert_eq!(late.with(Vec::new()), [key], "those have failed");
        }
        late.with(vec![other]);
        for _ in 0..LOOKS - 1 {
            assert!(late.with(Vec::new()).contains(&key));
            late.looked();
        }
        assert_eq!(late.with(Vec::new()), [other]);
        assert_eq!(late.with(vec![key]).len(), 2, "the next event of the key");
        late.looked();
        assert_eq!(late.with(Vec::new()), [key]);
    }
}
