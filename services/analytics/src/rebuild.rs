//! Makes every fact and rollup anew from the event log, beside the consumers: the bulk is replayed while they go on,
//! then they are held for a moment, the rest is replayed, and the new tables take the place of the old ones in the
//! same commit. The result is the same to the byte. Whoever reads the old ones for long, as a digest or a backup does, holds up
//! the exchange, and the others for two seconds at each try.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chassis::{
    Result,
    db::{Db, Tx},
};
use diesel_async::AsyncPgConnection;

use crate::store::{self, event_log, rebuild as tables};

/// Events replayed in one commit.
const CHUNK: i64 = 4000;

/// A line in the log every so many events.
const REPORT: i64 = 25 * CHUNK;

/// Consumers are held once no more than this is left.
const REST: i64 = 2 * CHUNK;

/// Between two tries to exchange the tables while somebody reads the old ones: consumers and readers go on meanwhile.
const AGAIN: Duration = Duration::from_secs(5);

/// How far a rebuild has come; zero when none runs.
#[derive(Debug, Default)]
pub struct Progress {
    position: AtomicI64,
    target: AtomicI64,
}

impl Progress {
    /// Position in the log, and that of the last event to replay.
    pub fn read(&self) -> (i64, i64) {
        (self.position.load(Ordering::Relaxed), self.target.load(Ordering::Relaxed))
    }

    fn set(&self, position: i64, target: i64) {
        self.position.store(position, Ordering::Relaxed);
        self.target.store(target, Ordering::Relaxed);
    }
}

/// The right to rebuild, which one holds at a time. It is held beyond the rebuild, until the answer is stored: whoever asks again
/// meanwhile would begin another.
pub struct Claim(AsyncPgConnection);

impl Claim {
    /// `None` while another rebuild runs.
    pub async fn take(db: &Db) -> Result<Option<Self>> {
        let mut conn = db.dedicated(tables::OPTIONS).await?;
        Ok(tables::claim(&mut conn).await?.then_some(Self(conn)))
    }

    /// Gives it back at once. One that is dropped is free when the server has noticed.
    pub async fn release(mut self) {
        if let Err(error) = tables::release(&mut self.0).await {
            tracing::warn!(error = %error.chain(), "the right to rebuild goes with its connection");
        }
    }
}

/// Rebuilds. Gives how many events were replayed.
pub async fn run(db: &Db, claim: &mut Claim, progress: &Arc<Progress>) -> Result<i64> {
    let conn = &mut claim.0;
    let result = Replay { db, conn, progress, position: 0, events: 0, items: HashSet::new() }.run().await;
    progress.set(0, 0);
    result
}

struct Replay<'a> {
    db: &'a Db,
    conn: &'a mut AsyncPgConnection,
    progress: &'a Progress,
    position: i64,
    events: i64,
    items: HashSet<(String, String)>,
}

impl Replay<'_> {
    async fn run(mut self) -> Result<i64> {
        tables::make_tables(self.conn).await?;
        loop {
            let horizon = self.horizon().await?;
            tracing::info!(
                rebuild.position = self.position,
                rebuild.target = horizon,
                "replaying the event log"
            );
            let near = horizon - self.position <= REST;
            // Also when little is left: one event may be an import of thousands of cases.
            while self.position < horizon {
                self.chunk(horizon).await?;
            }
            if near {
                if self.finish().await? {
                    break;
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
        tracing::info!(rebuild.events = self.events, "facts and rollups were made anew");
        Ok(self.events)
    }

    /// The last event below which nothing can appear any more: appending is held for the moment of asking.
    async fn horizon(&mut self) -> Result<i64> {
        let work = async |tx: &mut Tx<'_>| {
            tables::lock_log(tx.conn).await?;
            event_log::last(tx.conn).await
        };
        let last = self.db.transaction_on(self.conn, work).await?;
        self.progress.set(self.position, last);
        Ok(last)
    }

    async fn chunk(&mut self, horizon: i64) -> Result<()> {
        let mut replayed = self.begin();
        let work = async |tx: &mut Tx<'_>| replayed.step(tx.conn, horizon).await;
        self.db.transaction_on(self.conn, work).await?;
        let before = self.position;
        self.take(replayed);
        self.progress.set(self.position, horizon);
        if before / REPORT != self.position / REPORT {
            tracing::info!(
                rebuild.position = self.position,
                rebuild.target = horizon,
                "replaying the event log"
            );
        }
        Ok(())
    }

    /// Holds consumers and readers, replays the rest and swaps. `false`, with nothing held, while somebody is at the tables for long.
    async fn finish(&mut self) -> Result<bool> {
        let mut replayed = self.begin();
        let work = async |tx: &mut Tx<'_>| {
            replayed.hold_all(tx.conn).await?;
            let last = event_log::last(tx.conn).await?;
            while replayed.position < last {
                replayed.step(tx.conn, last).await?;
            }
            tables::swap(tx.conn).await
        };
        match self.db.transaction_on(self.conn, work).await {
            Ok(()) => {
                self.take(replayed);
                Ok(true)
            }
            Err(error) if !replayed.holds_all && error.retryable() => {
                tracing::info!(error = %error.chain(), "the tables are exchanged later");
                self.items = replayed.items;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn begin(&mut self) -> Replayed {
        let items = std::mem::take(&mut self.items);
        Replayed { position: self.position, events: 0, items, holds_all: false }
    }

    fn take(&mut self, replayed: Replayed) {
        self.position = replayed.position;
        self.events += replayed.events;
        self.items = replayed.items;
    }
}

/// What one transaction replays.
struct Replayed {
    position: i64,
    events: i64,
    items: HashSet<(String, String)>,
    /// Nobody else is at the log or the tables in use.
    holds_all: bool,
}

impl Replayed {
    async fn hold_all(&mut self, conn: &mut AsyncPgConnection) -> Result<()> {
        tables::lock_all(conn).await?;
        self.holds_all = true;
        Ok(())
    }

    /// Replays up to [`CHUNK`] events up to `until`.
    async fn step(&mut self, conn: &mut AsyncPgConnection, until: i64) -> Result<()> {
        let (last, page) = event_log::page(conn, self.position, until, CHUNK).await?;
        self.position = last.unwrap_or(until);
        self.events += page.len() as i64;
        let items = store::take_in(conn, &page, true).await?;
        let new: Vec<_> = items.into_iter().filter(|key| !self.items.contains(key)).collect();
        store::note_items(conn, &new).await?;
        self.items.extend(new);
        Ok(())
    }
}
