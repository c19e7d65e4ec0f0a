//! The days of mediations that go by: noted, so that somebody looks after them. As for cases, the longest due comes first,
//! what another replica works on is passed over, and a case whose mediations cannot be moved is put off. Then mediations that are
//! open still, though their cases were withdrawn, merged or ended, are ended with them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use chassis::{
    Clock, Error, Result,
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
    domain::{Act, CaseId, Mediation, Party},
    store::mediations::{self, DocketStore},
    sweep::{self, Sweep, Timers},
    verb::{act, at_place},
};

/// Mediations of ended cases looked at together.
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
        let noted = sweep::timers(self, stop).await;
        // Neither waits for the other to be in order.
        self.end_with_cases(stop).await?;
        noted
    }
}

impl Timers for MediationSweeper {
    type Id = CaseId;

    async fn batch(&self, most: i64, taken: &OnceLock<CaseId>) -> Result<usize> {
        let world = self.atlas.world();
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let due = mediations::take_due(tx.conn, tx.now, most).await?;
                let Some(first) = due.first() else { return Ok(0) };
                taken.set(*first).ok();
                let mut dockets = AggregateStore::load(&DocketStore, tx.conn, &due).await?;
                let mut changes = Vec::with_capacity(due.len());
                for id in &due {
                    let Some(before) = dockets.remove(id) else { continue };
                    let step = |mediation: Mediation, act: &Act<'_>| mediation.tick(act);
                    let Some((after, told)) = before.moved_on(&world, &self.by, tx.now, step)? else {
                        continue;
                    };
                    told.into_iter().for_each(|emit| tx.emit(emit));
                    tx.changed(id.0);
                    changes.push(Change { before: Some(before), after, trace: None });
                }
                DocketStore.save(tx.conn, changes).await?;
                // What stood still must not come back at once.
                mediations::put_off(tx.conn, &due, tx.now, tx.now + PUT_OFF).await?;
                Ok(due.len())
            })
            .await
    }

    async fn put_off(&self, id: CaseId) -> Result<()> {
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                // Its row is locked, whether or not the case and its mediations can be read.
                let known = AggregateStore::load(&DocketStore, tx.conn, &[id]).await;
                if let Some(error) = known.err().filter(Error::retryable) {
                    return Err(error);
                }
                mediations::put_off(tx.conn, &[id], tx.now, tx.now + PUT_OFF).await
            })
            .await
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
}
