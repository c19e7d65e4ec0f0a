//! Durable timers: whatever falls due for a case by itself. The longest due comes first, and what is only to be archived
//! behind all else; what another replica works on is passed over; a case that cannot be moved is put off, so that it keeps
//! nobody waiting. Runs on domain time and wakes when it jumps.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use chassis::{
    Clock, Error, Result, Timestamp,
    auth::Caller,
    clock::new_id,
    command::{AggregateStore, Change},
    db::{Db, Tx},
};
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::{
    atlas::Atlas,
    domain::{Case, CaseId, Original, Party},
    store::{agenda, case_store::CaseStore, read},
    sweep::{self, Sweep, Timers},
    verb::{act, decided},
};

/// How long a case that cannot be moved is put off.
const PUT_OFF: TimeDelta = TimeDelta::hours(1);
/// As many merged cases hear of their originals in one transaction.
const HEARING: i64 = 100;

/// Moves cases by time.
#[derive(Clone)]
pub struct Sweeper {
    db: Db,
    atlas: Arc<Atlas>,
    clock: Clock,
    by: Caller,
    /// Real time between looks.
    pause: Duration,
}

impl Sweep for Sweeper {
    const WHAT: &'static str = "cases";

    async fn sweep(&self, stop: &CancellationToken) -> Result<()> {
        self.atlas.refresh(&self.db).await?;
        sweep::timers(self, stop).await?;
        self.hear_rectified(stop).await
    }
}

impl Timers for Sweeper {
    type Id = CaseId;

    async fn batch(&self, most: i64, taken: &OnceLock<CaseId>) -> Result<usize> {
        let world = self.atlas.world();
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let due = agenda::take_due(tx.conn, tx.now, most).await?;
                let Some(first) = due.first() else { return Ok(0) };
                taken.set(*first).ok();
                let before = CaseStore::default().load(tx.conn, &due).await?;
                let mut changes = Vec::with_capacity(due.len());
                let mut again: Vec<(CaseId, Option<Timestamp>)> = Vec::new();
                for id in &due {
                    let Some(record) = before.get(id) else { continue };
                    let act = act(&world, new_id(), Party::system(), tx.now);
                    let ticked = Case::clone(&record.case).tick(&act);
                    let ticked = ticked.map_err(|error| Error::internal(format!("case {id}: {error}")))?;
                    let Some(decision) = ticked else {
                        // A command moved it between the look and the lock: what it says now holds.
                        again.push((*id, record.case.next_timer_at()));
                        continue;
                    };
                    let next = decided(Some(record), decision, &self.by);
                    for emit in next.events {
                        tx.emit(emit);
                    }
                    if next.aggregate.case.next_timer_at().is_some_and(|at| at <= tx.now) {
                        again.push((*id, Some(tx.now + PUT_OFF))); // it stood still; it must not come back at once
                    }
                    changes.push(Change { before: Some(record.clone()), after: next.aggregate, trace: None });
                }
                CaseStore::default().save_in(tx, changes).await?;
                agenda::set_due(tx.conn, &again).await?;
                Ok(due.len())
            })
            .await
    }

    /// Where a command moved it meanwhile, until what it says now.
    async fn put_off(&self, id: CaseId) -> Result<()> {
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                // Its row is locked, whether or not the case can be read.
                let known = match CaseStore::default().load(tx.conn, &[id]).await {
                    Err(error) if error.retryable() => return Err(error),
                    // A case that cannot be read stands still too.
                    known => known.unwrap_or_default(),
                };
                let says = known.get(&id).and_then(|record| record.case.next_timer_at());
                let due = says.filter(|at| *at > tx.now).unwrap_or(tx.now + PUT_OFF);
                agenda::set_due(tx.conn, &[(id, Some(due))]).await
            })
            .await
    }
}

impl Sweeper {
    /// Over the service's database.
    pub fn new(db: Db, atlas: Arc<Atlas>, clock: Clock, service: &str, pause: Duration) -> Self {
        Self { db, atlas, clock, by: Caller::system(service), pause }
    }

    /// Merged cases whose bad ratings were found valid hear that the others were worked on again. Nothing tells them when that
    /// happens, in whichever of the ways in which a case is completed: it is looked for.
    async fn hear_rectified(&self, stop: &CancellationToken) -> Result<()> {
        let mut after = CaseId(uuid::Uuid::nil());
        while !stop.is_cancelled() {
            let heard = match self.some_hear_rectified(after, HEARING, &OnceLock::new()).await {
                Err(error) if !error.retryable() => {
                    tracing::warn!(error = %error.chain(), "merged cases hear of their originals one by one");
                    self.hear_singly(after).await?
                }
                heard => heard?,
            };
            match heard {
                Some(last) => after = last,
                None => break,
            }
        }
        Ok(())
    }

    /// One at a time, as many as together; the one that fails is passed over until the next look. Gives the last, if more may be
    /// behind it.
    async fn hear_singly(&self, mut after: CaseId) -> Result<Option<CaseId>> {
        for _ in 0..HEARING {
            let taken = OnceLock::new();
            match self.some_hear_rectified(after, 1, &taken).await {
                Ok(Some(last)) => after = last,
                Ok(None) => return Ok(None),
                Err(error) if error.retryable() => return Err(error),
                Err(error) => {
                    // None is to blame where none could be taken.
                    let Some(id) = taken.get() else { return Err(error) };
                    tracing::error!(%id, error = %error.chain(), "a merged case does not hear of its original");
                    after = *id;
                }
            }
        }
        Ok(Some(after))
    }

    /// Some of them, behind one. Gives the last, which is noted as well: that outlives a failure.
    async fn some_hear_rectified(
        &self,
        after: CaseId,
        most: i64,
        taken: &OnceLock<CaseId>,
    ) -> Result<Option<CaseId>> {
        let world = self.atlas.world();
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let ids = agenda::take_rectified(tx.conn, after, most).await?;
                let Some(last) = ids.last().copied() else { return Ok(None) };
                taken.set(last).ok();
                let before = CaseStore::default().load(tx.conn, &ids).await?;
                let mut changes = Vec::with_capacity(ids.len());
                for id in &ids {
                    let Some(record) = before.get(id) else { continue };
                    let Some(into) = record.case.merged_into else { continue };
                    // As it is committed: what it came to since the rating is told whatever becomes of it next.
                    let Some(original) = read::case(tx.conn, into).await? else { continue };
                    let original = Original::of(&original.case, &world.rules, &world.routes);
                    let act = act(&world, new_id(), Party::system(), tx.now);
                    let heard = Case::clone(&record.case).hear_rectified(&original, &act);
                    let Some(decision) = heard else { continue };
                    let next = decided(Some(record), decision, &self.by);
                    for emit in next.events {
                        tx.emit(emit);
                    }
                    changes.push(Change { before: Some(record.clone()), after: next.aggregate, trace: None });
                }
                CaseStore::default().save_in(tx, changes).await?;
                Ok(Some(last))
            })
            .await
    }

    /// Sweeps until `stop`. Outages are logged and waited out.
    ///
    /// # Errors
    /// None.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        sweep::until(&self, &self.clock, self.pause, &stop).await
    }
}
