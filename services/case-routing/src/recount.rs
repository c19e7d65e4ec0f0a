//! Counts the clocks of open cases with the calendar in force, in batches, whenever it has changed: by an imported notice
//! or by a release with other facts. The cases say themselves how far that is: each stands in the agenda with the
//! version its clocks were counted with, so that a pass may be interrupted, repeated, and run on several replicas.

use std::{sync::Arc, time::Duration};

use chassis::{
    Result,
    auth::Caller,
    clock::new_id,
    command::{AggregateStore, Change},
    db::{Db, Tx},
};
use tokio_util::sync::CancellationToken;

use crate::{
    atlas::Atlas,
    domain::{Case, CaseId, Party},
    store::{agenda, case_store::CaseStore},
    verb::{act, decided},
};

/// Cases in one transaction.
const BATCH: i64 = 100;
/// How often it is looked for cases that a replica with an older calendar has touched since.
const AGAIN: Duration = Duration::from_secs(60);

/// Brings cases up to the calendar.
#[derive(Clone)]
pub struct Recounter {
    db: Db,
    atlas: Arc<Atlas>,
    by: Caller,
    /// Real time between looks at the version.
    pause: Duration,
}

impl Recounter {
    /// Over the service's database.
    pub fn new(db: Db, atlas: Arc<Atlas>, service: &str, pause: Duration) -> Self {
        Self { db, atlas, by: Caller::system(service), pause }
    }

    /// Works until `stop`. Outages are logged and waited out.
    ///
    /// # Errors
    /// None.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let mut again = tokio::time::interval(AGAIN);
        let mut done = None;
        loop {
            let wanted = self.atlas.calendar_version();
            if done != Some(wanted) {
                match self.pass(&stop).await {
                    Ok(()) => done = Some(wanted),
                    Err(error) => tracing::warn!(error = %error.chain(), "the recount was interrupted"),
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(self.pause) => {}
                _ = again.tick() => done = None,
            }
        }
    }

    /// Every case that is behind, by id.
    async fn pass(&self, stop: &CancellationToken) -> Result<()> {
        let mut after = CaseId(uuid::Uuid::nil());
        let mut counted = 0;
        while !stop.is_cancelled() {
            let behind = {
                let mut conn = self.db.conn().await?;
                agenda::behind(&mut conn, self.atlas.calendar_version(), after, BATCH).await?
            };
            let Some(last) = behind.last() else { break };
            after = *last;
            counted += self.recount(&behind).await?;
        }
        if counted > 0 {
            tracing::info!(cases = counted, "clocks were counted with another calendar");
        }
        Ok(())
    }

    /// These cases in one transaction; one by one when that fails, so that one keeps no other back.
    async fn recount(&self, ids: &[CaseId]) -> Result<usize> {
        match self.together(ids).await {
            Err(error) if !error.retryable() && ids.len() > 1 => {
                tracing::warn!(error = %error.chain(), "clocks are counted one by one");
                let mut counted = 0;
                for id in ids {
                    match self.together(std::slice::from_ref(id)).await {
                        Ok(one) => counted += one,
                        Err(error) if error.retryable() => return Err(error),
                        Err(error) => {
                            tracing::error!(case.id = %id, error = %error.chain(), "a clock cannot be counted");
                        }
                    }
                }
                Ok(counted)
            }
            outcome => outcome,
        }
    }

    async fn together(&self, ids: &[CaseId]) -> Result<usize> {
        let world = self.atlas.world();
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let before = CaseStore::default().load(tx.conn, ids).await?;
                let mut changes = Vec::with_capacity(before.len());
                for id in ids {
                    let Some(record) = before.get(id) else { continue };
                    let act = act(&world, new_id(), Party::system(), tx.now);
                    let Some(decision) = Case::clone(&record.case).follow_calendar(&act) else { continue };
                    let next = decided(Some(record), decision, &self.by);
                    for emit in next.events {
                        tx.emit(emit);
                    }
                    changes.push(Change { before: Some(record.clone()), after: next.aggregate, trace: None });
                }
                let counted = changes.len();
                CaseStore::default().save_in(tx, changes).await?;
                Ok(counted)
            })
            .await
    }
}
