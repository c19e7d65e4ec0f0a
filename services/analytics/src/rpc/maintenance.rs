//! Rebuild and digest, for the operator.

use std::sync::Arc;

use chassis::{
    Error, Result,
    auth::Caller,
    command::{Meta, answered, once},
    db::{Db, Tx},
};
use proto::analytics::v1::{
    GetRollupDigestRequest, GetRollupDigestResponse, RebuildRollupsRequest, RebuildRollupsResponse,
};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{Indicators, making::Turn};
use crate::{
    rebuild::{self, Claim, Progress},
    store::{
        digest::{self, Whole},
        query,
    },
};

impl Indicators {
    /// Runs in a task of its own: a caller whose deadline passes finds the answer under the same request id later.
    pub(super) async fn rebuild(
        &self,
        caller: Caller,
        request: RebuildRollupsRequest,
    ) -> Result<RebuildRollupsResponse> {
        let meta = Meta::of("RebuildRollups", &request, |r| &r.request_id)?;
        let (db, progress, stop) = (self.db.clone(), self.progress.clone(), self.stop.clone());
        let task = self.tasks.spawn(async move {
            tokio::select! {
                answer = rebuild_once(&db, &caller, meta, &progress) => answer,
                () = stop.cancelled() => Err(Error::unavailable("the service is stopping")),
            }
        });
        task.await.map_err(Error::task)?
    }

    pub(super) async fn digest(&self, request: &GetRollupDigestRequest) -> Result<GetRollupDigestResponse> {
        let id = match request.digest_id.as_str() {
            "" => None,
            text => Some(Uuid::try_parse(text).map_err(|_| Error::invalid("digest_id", "must be a UUID"))?),
        };
        let made = match id {
            _ if request.progress_only => Whole::default(),
            Some(id) => self.digests.get(id, |turn| self.begin_digest(turn)).await?,
            None => whole(&self.db).await?,
        };
        let (rebuild_position, rebuild_target) = self.progress.read();
        Ok(GetRollupDigestResponse {
            digest: made.digest,
            facts: made.facts,
            rollups: made.rollups,
            rebuild_position,
            rebuild_target,
        })
    }

    /// In a task of its own, which waits for its turn.
    fn begin_digest(&self, turn: Turn) -> JoinHandle<Result<Whole>> {
        let (db, stop) = (self.db.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            let made = async {
                let _turn = turn.lock().await;
                whole(&db).await
            };
            tokio::select! {
                made = made => made,
                () = stop.cancelled() => Err(Error::unavailable("the service is stopping")),
            }
        })
    }
}

/// The digest of this moment.
async fn whole(db: &Db) -> Result<Whole> {
    db.transaction(async |tx: &mut Tx<'_>| {
        query::snapshot(tx.conn).await?;
        digest::whole(tx.conn).await
    })
    .await
}

async fn rebuild_once(
    db: &Db,
    caller: &Caller,
    meta: Meta,
    progress: &Arc<Progress>,
) -> Result<RebuildRollupsResponse> {
    let Some(mut claim) = Claim::take(db).await? else {
        // Whoever has it may just have stored this very answer.
        let known = answered(db, caller, &meta).await?;
        return known.ok_or_else(|| Error::wrong_state("rebuild", "", "a rebuild is running already"));
    };
    let answer = rebuild_under(&mut claim, db, caller, meta, progress).await;
    claim.release().await;
    answer
}

async fn rebuild_under(
    claim: &mut Claim,
    db: &Db,
    caller: &Caller,
    meta: Meta,
    progress: &Arc<Progress>,
) -> Result<RebuildRollupsResponse> {
    // A repeat is spared the first digest.
    if let Some(answer) = answered(db, caller, &meta).await? {
        return Ok(answer);
    }
    let before = whole(db).await?;
    let (inner, progress) = (db.clone(), progress.clone());
    let work = async move |tx: &mut Tx<'_>| {
        // The answer commits last, in this transaction; it waits meanwhile, and sees what was made.
        query::isolate(tx.conn).await?;
        digest::wait_long(tx.conn).await?;
        let events = rebuild::run(&inner, claim, &progress).await?;
        query::hold_tables(tx.conn).await?;
        let whole = digest::whole(tx.conn).await?;
        Ok(RebuildRollupsResponse { events, digest: whole.digest, digest_before: before.digest })
    };
    once(db, caller, meta, work).await
}
