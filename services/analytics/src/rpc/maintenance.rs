//! Rebuild and digest, for the operator.

use std::sync::Arc;

use chassis::{
    Error, Result,
    auth::Caller,
    command::{Meta, once},
    db::{Db, Tx},
};
use proto::analytics::v1::{GetRollupDigestResponse, RebuildRollupsRequest, RebuildRollupsResponse};

use super::Indicators;
use crate::{
    rebuild::{self, Progress},
    store::{digest, query},
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

    pub(super) async fn digest(&self) -> Result<GetRollupDigestResponse> {
        let whole = self
            .db
            .transaction(async |tx: &mut Tx<'_>| {
                query::snapshot(tx.conn).await?;
                digest::whole(tx.conn).await
            })
            .await?;
        let (rebuild_position, rebuild_target) = self.progress.read();
        Ok(GetRollupDigestResponse {
            digest: whole.digest,
            facts: whole.facts,
            rollups: whole.rollups,
            rebuild_position,
            rebuild_target,
        })
    }
}

async fn rebuild_once(
    db: &Db,
    caller: &Caller,
    meta: Meta,
    progress: &Arc<Progress>,
) -> Result<RebuildRollupsResponse> {
    let (inner, progress) = (db.clone(), progress.clone());
    let work = async move |tx: &mut Tx<'_>| {
        // The answer commits last, in this transaction; it waits meanwhile, and sees what was made.
        query::isolate(tx.conn).await?;
        digest::wait_long(tx.conn).await?;
        let events = rebuild::run(&inner, &progress).await?;
        query::hold_tables(tx.conn).await?;
        let whole = digest::whole(tx.conn).await?;
        Ok(RebuildRollupsResponse { events, digest: whole.digest })
    };
    once(db, caller, meta, work).await
}
