//! Notes the words of imported texts, behind the load: the index of words is by far the dearest thing to write, so an import
//! leaves it out and this brings it up, batch by batch, when the load has paused. It may be interrupted and run on several
//! replicas; what is left stands in the ledger, and searches say how much that is. A case whose words cannot be noted keeps
//! nobody waiting: it is logged and passed over.

use std::{collections::HashMap, time::Duration};

use chassis::{
    Error, Result,
    db::{Db, Tx},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::{
    imports,
    words::{self, Words},
};

/// The load has paused when no batch came in for so long.
const PAUSED_MS: i64 = 2_000;
/// A batch does not wait any longer than this for a pause.
const LONGEST_MS: i64 = 600_000;
/// Cases in one transaction: their rows are held meanwhile.
const CHUNK: usize = 250;
/// Pairs in one transaction: some texts are hundreds of times as long as most.
const MOST_PAIRS: usize = 100_000;

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
        let (mut done, mut most) = (0, CHUNK);
        while !stop.is_cancelled() {
            let waiting = imports::waiting(&mut *self.db.conn().await?).await?;
            let Some((newest, oldest)) = waiting else { break };
            if newest < PAUSED_MS && oldest < LONGEST_MS {
                break;
            }
            let noted = if most > 1 { self.chunk(most).await } else { self.single().await };
            match noted {
                Ok(0) => break, // another replica has what is left
                Ok(cases) => {
                    done += cases;
                    most = (most * 2).min(CHUNK);
                }
                Err(error) if most > 1 => {
                    tracing::warn!(error = %error.chain(), cases = most, "noting words failed");
                    most /= 2;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// The first cases of a batch, at most so many and no more than fit.
    async fn chunk(&self, most: usize) -> Result<usize> {
        self.db
            .transaction(async move |tx: &mut Tx<'_>| {
                let Some((batch, cases)) = imports::take_unindexed(tx.conn).await? else { return Ok(0) };
                let first = &cases[..cases.len().min(most)];
                let words = imports::words(tx.conn, first).await?;
                let mut words: HashMap<Uuid, Words> =
                    words.into_iter().map(|words| (words.case, words)).collect();
                let sizes = first.iter().map(|case| words.get(case).map_or(0, |words| words.pairs.len()));
                let (now, rest) = cases.split_at(fitting(sizes));
                let mut noted: Vec<Words> = now.iter().filter_map(|case| words.remove(case)).collect();
                noted.sort_unstable_by_key(|words| words.case);
                words::note(tx.conn, &noted).await?;
                imports::leave_unindexed(tx.conn, batch, rest).await?;
                Ok(now.len())
            })
            .await
    }

    /// One case by itself. If that fails for a reason which does not pass, it is given up: nobody finds it by its words.
    async fn single(&self) -> Result<usize> {
        let first = imports::first_unindexed(&mut *self.db.conn().await?).await?;
        let Some((batch, case)) = first else { return Ok(0) };
        let noted = self
            .db
            .transaction(async move |tx: &mut Tx<'_>| {
                let words = imports::words(tx.conn, &[case]).await?;
                words::note(tx.conn, &words).await?;
                imports::forgo_unindexed(tx.conn, batch, case).await
            })
            .await;
        match noted {
            Ok(()) => {}
            Err(error @ Error::Unavailable { .. }) => return Err(error),
            Err(error) => {
                tracing::error!(error = %error.chain(), case_id = %case, "the words of a case cannot be noted");
                imports::forgo_unindexed(&mut *self.db.conn().await?, batch, case).await?;
            }
        }
        Ok(1)
    }
}

/// How many cases, at least one, have together no more pairs than a transaction is to write.
fn fitting(sizes: impl Iterator<Item = usize>) -> usize {
    let together = sizes.scan(0_usize, |sum, size| {
        *sum = sum.saturating_add(size);
        Some(*sum)
    });
    together.take_while(|sum| *sum <= MOST_PAIRS).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_writes_at_least_one_case_and_not_much_at_once() {
        assert_eq!(fitting([30; CHUNK].into_iter()), CHUNK);
        assert_eq!(fitting([20_000; CHUNK].into_iter()), 5);
        assert_eq!(fitting([MOST_PAIRS + 1, 1].into_iter()), 1);
        assert_eq!(fitting([1, MOST_PAIRS, 1].into_iter()), 1);
        assert_eq!(fitting([0, 0, 0].into_iter()), 3, "texts that are gone");
    }
}
