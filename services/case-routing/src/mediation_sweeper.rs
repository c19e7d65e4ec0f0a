//! The days of mediations that go by: noted, so that somebody looks after them. As for cases, the longest due comes first,
//! what another replica works on is passed over, and what cannot be read is put off. Then mediations that are open still,
//! though their cases were withdrawn, merged or ended, are ended with them.

use std::{sync::Arc, time::Duration};

use chassis::{
    Clock, Result,
    auth::Caller,
    clock::new_id,
    command::{AggregateStore, Change},
    db::{Db, Tx},
};
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    atlas::Atlas,
    domain::{CaseId, Party},
    store::mediations::{self, DocketStore},
    sweep::{self, Sweep},
    verb::{act, at_place},
};

/// Cases in one transaction.
const BATCH: i64 = 100;
/// How long what cannot be moved is put off.
const PUT_OFF: TimeDelta = TimeDelta::hours(1);

/// Notes the days that go by.
#[derive(Clone)]
pub struct MediationSweeper {
    db: Db,
    atlas: Arc<Atlas>,
    clock: Clock,
    by: Caller,
    /// Real time between looks.
    pause: Duration,
}

impl Sweep for MediationSweeper {
    const WHAT: &'static str = "mediations";

    async fn sweep(&self, stop: &CancellationToken) -> Result<()> {
        let mut most = BATCH;
        while !stop.is_cancelled() {
            match self.batch(most).await {
                Ok(0) => return self.end_with_cases(stop).await,
                Ok(_) => {}
                Err(error) if error.retryable() => return Err(error),
                Err(error) if most > 1 => {
                    tracing::warn!(error = %error.chain(), "mediations are looked at one by one");
                    most = 1;
                }
                Err(error) => {
                    tracing::error!(error = %error.chain(), "the day of a mediation failed; it is put off");
                    self.put_off_first().await?;
                }
            }
        }
        Ok(())
    }
}

impl MediationSweeper {
    /// Over the service's database.
    pub fn new(db: Db, atlas: Arc<Atlas>, clock: Clock, service: &str, pause: Duration) -> Self {
        Self { db, atlas, clock, by: Caller::system(service), pause }
    }

    /// Sweeps until `stop`. Outages are logged and waited out.
    ///
    /// # Errors
    /// None.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        sweep::until(&self, &self.clock, self.pause, &stop).await
    }

    /// One transaction over the longest due ones. Gives how many cases there were.
    async fn batch(&self, most: i64) -> Result<usize> {
        let world = self.atlas.world();
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let due = mediations::take_due(tx.conn, tx.now, most).await?;
                if due.is_empty() {
                    return Ok(0);
                }
                let mut changes = Vec::with_capacity(due.len());
                for (_, before) in AggregateStore::load(&DocketStore, tx.conn, &due).await? {
                    let mut after = before.clone();
                    for mediation in &before.mediations {
                        let act = act(&world, new_id(), Party::system(), tx.now);
                        let act = at_place(act, &before.case.case);
                        let Some(decision) = mediation.clone().tick(&act) else { continue };
                        let next = after.after(decision, &act, &self.by)?;
                        after = next.aggregate;
                        for emit in next.events {
                            tx.emit(emit);
                        }
                    }
                    tx.changed(after.case.case.id.0);
                    changes.push(Change { before: Some(before), after, trace: None });
                }
                changes.sort_by_key(|change| change.after.case.case.id);
                DocketStore.save(tx.conn, changes).await?;
                // What stood still must not come back at once.
                mediations::put_off(tx.conn, &due, tx.now, tx.now + PUT_OFF).await?;
                Ok(due.len())
            })
            .await
    }

    /// One case after the other; those that fail keep no other waiting, however many they are.
    async fn end_with_cases(&self, stop: &CancellationToken) -> Result<()> {
        let mut after = Uuid::nil();
        while !stop.is_cancelled() {
            let ended = {
                let mut conn = self.db.conn().await?;
                mediations::of_ended_cases(&mut conn, after, BATCH).await?
            };
            let Some((last, _)) = ended.last() else { break };
            after = *last;
            for (_, case) in ended {
                match self.end_with_case(case).await {
                    Ok(()) => {}
                    Err(error) if error.retryable() => return Err(error),
                    Err(error) => {
                        tracing::error!(%case, error = %error.chain(), "the mediation of an ended case stays open");
                    }
                }
            }
        }
        Ok(())
    }

    async fn end_with_case(&self, case: CaseId) -> Result<()> {
        let world = self.atlas.world();
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let act = act(&world, new_id(), Party::system(), tx.now);
                for (_, before) in AggregateStore::load(&DocketStore, tx.conn, &[case]).await? {
                    let act = at_place(act.clone(), &before.case.case);
                    let Some(decision) = before.ended_with_case(&act, &self.by)? else { continue };
                    for emit in decision.events {
                        tx.emit(emit);
                    }
                    tx.changed(case.0);
                    let change = Change { before: Some(before), after: decision.aggregate, trace: None };
                    DocketStore.save(tx.conn, vec![change]).await?;
                }
                Ok(())
            })
            .await
    }

    async fn put_off_first(&self) -> Result<()> {
        let until = self.clock.now() + PUT_OFF;
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let first = mediations::take_due(tx.conn, tx.now, 1).await?;
                mediations::put_off(tx.conn, &first, tx.now, until).await
            })
            .await
    }
}
