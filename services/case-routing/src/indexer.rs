//! Notes the words of imported texts, behind the load: the index of words is by far the dearest thing to write, so an import
//! leaves it out and this brings it up, batch by batch, when the load has paused. It may be interrupted and run on several
//! replicas; what is left stands in the ledger, and searches say how much that is.

use std::time::Duration;

use chassis::{
    Result,
    db::{Db, Tx},
};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::pairs,
    store::{imports, words},
};

/// The load has paused when no batch came in for so long.
const PAUSED_MS: i64 = 2_000;
/// A batch does not wait any longer than this for a pause.
const LONGEST_MS: i64 = 600_000;
/// Cases in one transaction: their rows are held meanwhile.
const CHUNK: usize = 250;

/// Notes words.
pub struct Indexer {
    db: Db,
    pause: Duration,
}

impl Indexer {
    /// Over the service's database; looks every `pause` whether there is something to do.
    pub fn new(db: Db, pause: Duration) -> Self {
        Self { db, pause }
    }

    /// Works until `stop`. Outages are logged and waited out.
    ///
    /// # Errors
    /// None.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            match self.pass(&stop).await {
                Ok(0) => {}
                Ok(cases) => tracing::info!(cases, "words of imported cases were noted"),
                Err(error) => tracing::warn!(error = %error.chain(), "noting words was interrupted"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.pause) => {}
            }
        }
        Ok(())
    }

    /// Until nothing is left or the load goes on.
    async fn pass(&self, stop: &CancellationToken) -> Result<usize> {
        let mut done = 0;
        while !stop.is_cancelled() {
            let waiting = imports::waiting(&mut *self.db.conn().await?).await?;
            let Some((newest, oldest)) = waiting else { break };
            if newest < PAUSED_MS && oldest < LONGEST_MS {
                break;
            }
            match self.chunk().await? {
                0 => break, // another replica has what is left
                cases => done += cases,
            }
        }
        Ok(done)
    }

    async fn chunk(&self) -> Result<usize> {
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let Some((batch, cases)) = imports::take_unindexed(tx.conn).await? else { return Ok(0) };
                let (now, rest) = cases.split_at(cases.len().min(CHUNK));
                let texts = imports::texts(tx.conn, now).await?;
                let words: Vec<_> = texts.iter().map(|(case, text)| (*case, pairs(text))).collect();
                words::note(tx.conn, &words).await?;
                imports::leave_unindexed(tx.conn, batch, rest).await?;
                Ok(now.len())
            })
            .await
    }
}
